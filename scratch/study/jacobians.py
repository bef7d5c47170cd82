"""How h at one step depends on h at an earlier one: ∂h_t/∂h_k, measured in two ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..cells import LSTMCell, RNNCell
from ..machinery.module import Array
from ..recurrent import LSTM, RNN
from .checks import check_single
from .style import Panels, explain_colours, few_ticks, number, several, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def jacobian_norms(layer: RNN | LSTM, x: Array) -> Array:
    """‖∂h_t/∂h_k‖ at [t, k], (T, T), by the layer's backward pass; NaN where k > t.

    It is the Frobenius norm over √H: the root mean square by which a random change of h_k grows on
    its way to h_t, 1 for k = t. x: (T, input_size), one sample. Raises TypeError for another
    module, ValueError for more than one layer or direction, a projection, and complex numbers.
    """
    layer, H = _exact(layer), layer.hidden_size
    norms = np.full((len(x), len(x)), np.nan)
    each_unit = np.eye(H)[np.newaxis]  # H copies of the sample, a unit's gradient in each
    for t in range(len(x)):
        copies = np.repeat(np.asarray(x[: t + 1], np.float64)[:, np.newaxis], H, axis=1)
        record = layer.forward(copies.swapaxes(0, 1) if layer.batch_first else copies)
        upstream = each_unit if isinstance(layer, RNN) else (each_unit, None)
        back = layer.backward_record(record, None, upstream)
        norms[t, : t + 1] = np.linalg.norm(back.runs["l0"].grad_h, axis=(1, 2)) / np.sqrt(H)
    return norms


def product_norms(layer: RNN | LSTM, x: Array) -> Array:
    """The same as `jacobian_norms`, as norms of the products of the Jacobians of single steps.

    ∂h_t/∂h_k is the part from h to h of J_t J_{t−1} … J_{k+1}; J_t is the Jacobian of step t, from
    (h, c) to (h, c) for an LSTM.
    """
    H = layer.hidden_size
    steps = step_jacobians(layer, x)
    norms = np.full((len(x), len(x)), np.nan)
    products = np.empty((0, *steps.shape[1:]))  # at k: J_t … J_{k+1}
    for t, step in enumerate(steps):
        products = np.concatenate([step @ products, np.eye(len(step))[np.newaxis]])
        norms[t, : t + 1] = np.linalg.norm(products[:, :H, :H], axis=(1, 2)) / np.sqrt(H)
    return norms


def step_jacobians(layer: RNN | LSTM, x: Array) -> Array:
    """∂h_t/∂h_{t−1}, (T, H, H), or ∂(h, c)_t/∂(h, c)_{t−1}, (T, 2H, 2H), by a cell's backward pass.

    x: (T, input_size), one sample. Raises as `jacobian_norms` does.
    """
    layer = _exact(layer)
    run = layer.forward(np.asarray(x, np.float64)).runs["l0"]
    cell: Any
    if isinstance(layer, RNN):
        sizes = layer.input_size, layer.hidden_size, layer.bias
        cell = RNNCell(*sizes, nonlinearity=layer.nonlinearity, dtype=np.float64)
        before = [run.h_prev]
    else:
        cell = LSTMCell(layer.input_size, layer.hidden_size, layer.bias, dtype=np.float64)
        before = [run.h_prev, run.c_prev]
    cell.load_state_dict({name[: -len("_l0")]: a for name, a in layer.state_dict().items()})

    states = len(before)  # 1 for h, 2 for (h, c)
    rows = states * layer.hidden_size

    def a_state(arrays: list[Array]) -> Any:
        return arrays[0] if states == 1 else tuple(arrays)

    # A copy of every step for each row of its Jacobian; in each, the gradient of one entry is 1.
    copies = [np.repeat(array[:, 0], rows, axis=0) for array in (run.x, *before)]  # (T · rows, …)
    upstream = np.tile(np.eye(rows), (len(x), 1))
    step = cell.forward(copies[0], a_state(copies[1:]))
    _, grads = cell.backward(step, a_state(np.split(upstream, states, axis=1)))
    return np.hstack(grads if states > 1 else [grads]).reshape(len(x), rows, rows)


def _exact(layer: Any) -> Any:
    """A copy in float64."""
    check_single(layer, RNN, LSTM)
    return layer.astype(np.float64)


def draw_jacobians(by_backward: Array, by_product: Array, *, axes: Panels | None = None) -> Figure:
    """Both (T, T) norms beside each other, t downwards, k to the right, colours logarithmic."""
    from matplotlib.colors import LogNorm

    figure, panels = several(axes, 1, 2, 9.6, 4.6, sharey=True)
    both = np.concatenate([by_backward, by_product])
    positive = both[both > 0]  # NaN is not
    low, high = (positive.min(), positive.max()) if positive.size else (1.0, 1.0)
    norm = LogNorm(max(low, high * 1e-16), high if high > low else high * 10)
    titles = (
        r"$\Vert \partial h_t / \partial h_k \Vert$ by the backward pass",
        r"$\Vert J_t\, J_{t-1} \cdots J_{k+1} \Vert$, Jacobians of single steps",
    )
    for panel, norms, text in zip(panels, (by_backward, by_product), titles, strict=True):
        image = panel.imshow(norms, cmap="viridis", norm=norm, interpolation="nearest")
        panel.set_facecolor("0.93")
        title(panel, text)
        panel.set_xlabel("k")
        for axis in (panel.xaxis, panel.yaxis):
            few_ticks(axis, len(norms))
    panels[0].set_ylabel("t")
    explain_colours(panels[1], image)
    return figure


def largest_difference(a: Array, b: Array) -> float:
    """Of norms that both have, relative to the largest of b."""
    return float(np.nanmax(np.abs(a - b)) / np.nanmax(np.abs(b)))


def say_jacobians(by_backward: Array, by_product: Array) -> str:
    """How much of a change of the first h is left in the last one, and how far both ways differ."""
    last = len(by_backward) - 1
    return (
        f"of a random change of h_0, {number(by_backward[last, 0], 2)} is left in h_{last} (RMS); "
        f"backward pass and product of the steps' Jacobians differ by at most "
        f"{number(largest_difference(by_backward, by_product), 1)}"
    )
