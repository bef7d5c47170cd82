"""Through time: how large the gradient is at every step, for which weights, from which step.

The measures are plain arrays, the figures draw them, and the sentences say what they show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from ..machinery.module import Array
from ..machinery.records import BackwardRun
from ..machinery.starting import set_forget_bias, set_spectral_radius
from ..recurrent import LSTM, RNN
from .checks import check_back, check_numbers, check_single
from .equations import counted
from .style import (
    DARK,
    GATES,
    GREY,
    LINES,
    Panels,
    dot,
    few_ticks,
    legend_above,
    legend_below,
    log_axis,
    number,
    plain_numbers,
    say_nothing_is_drawn,
    several,
    title,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curves = Mapping[str, Array]  # what it is of → (T,)


def norms(back: BackwardRun) -> dict[str, Array]:
    """‖∂L/∂h_t‖ and, of an LSTM, ‖∂L/∂c_t‖, over all samples and units: (T,) each, by "h", "c".

    Raises TypeError for another record, and ValueError for packed input, whose rows are not steps.
    """
    check_back(back)
    if back.packed:
        raise ValueError("back: expected one of padded input, got one of packed input")
    states = [name for name in ("h", "c") if f"grad_{name}" in back.names]
    return {name: np.linalg.norm(getattr(back, f"grad_{name}"), axis=(1, 2)) for name in states}


def rnn_flow(
    rnn: RNN, x: Array, radii: Sequence[float] = (0.5, 1.0, 1.5), seed: int = 0
) -> dict[str, Array]:
    """‖∂L/∂h_t‖, (T,), for copies of `rnn` whose W_hh has these spectral radii.

    L is the last h in a random direction, drawn by `seed`, so that ‖∂L/∂h_T‖ is 1. Raises
    TypeError for another module, ValueError for more than one layer or direction, and for complex
    numbers.
    """
    check_single(rnn, RNN)
    found = {}
    for radius in radii:
        scaled = rnn.astype(np.float64)
        set_spectral_radius(scaled, radius)
        record = scaled.forward(np.asarray(x, np.float64))
        back = scaled.backward_record(record, None, _direction(record.h_n, seed))
        found[f"spectral radius {radius:g}"] = norms(back.runs["l0"])["h"]
    return found


def lstm_flow(
    lstm: LSTM, x: Array, biases: Sequence[float] = (0.0, 1.0, 5.0), seed: int = 0
) -> tuple[dict[str, Array], dict[str, Array]]:
    """‖∂L/∂c_t‖, (T,), for copies of `lstm` whose forget gates start with these biases.

    L is the last c in a random direction u, drawn by `seed`, so that ‖∂L/∂c_T‖ is 1. The second
    result is the part of it that takes the straight way through c: ‖u ⊙ f_T ⊙ … ⊙ f_{t+1}‖. Raises
    TypeError for another module, ValueError for more than one layer or direction, a projection,
    complex numbers, and without biases.
    """
    check_single(lstm, LSTM)
    found, straight = {}, {}
    for bias in biases:
        opened = lstm.astype(np.float64)
        set_forget_bias(opened, bias)
        record = opened.forward(np.asarray(x, np.float64))
        u = _direction(record.c_n, seed)
        back = opened.backward_record(record, None, (None, u))
        # f_T, f_T ⊙ f_{T−1}, …: what is left of u at step T−1, T−2, …
        left = np.cumprod(record.runs["l0"].f[:0:-1], axis=0)[::-1] * u.reshape(-1, u.shape[-1])
        ways = np.append(np.linalg.norm(left, axis=(1, 2)), 1.0)
        found[f"forget bias {bias:g}"] = norms(back.runs["l0"])["c"]
        straight[f"forget bias {bias:g}"] = ways
    return found, straight


def _direction(state: Array, seed: int) -> Array:
    """A random vector of length 1, of the shape of `state`."""
    u = np.random.default_rng(seed).standard_normal(state.shape)
    return np.asarray(u / np.linalg.norm(u))


def draw_flow(
    panels: Mapping[str, Curves],
    beside: Mapping[str, Curves] | None = None,
    *,
    beside_label: str = "",
    label: str = "norm of the gradient",
    axes: Panels | None = None,
) -> Figure:
    """Norms over time on a common logarithmic axis; a panel with its title for each mapping.

    panels: title → label → (T,). beside: the same for other curves, drawn as dots in the colour of
    those with their title and label; the dots are called `beside_label`. label: of the vertical
    axis. axes: one for each panel. Zeros are not drawn; where there is nothing else, it is said.
    """
    figure, drawn = several(axes, 1, len(panels), 5.2 * len(panels), 4.2, sharey=True)
    others = beside or {}
    for panel, (name, curves) in zip(drawn, panels.items(), strict=True):
        _draw_curves(panel, curves, others.get(name, {}), beside_label)
        title(panel, name)
    every = [curve for group in (panels, others) for c in group.values() for curve in c.values()]
    log_axis(drawn[0].yaxis, *every)
    drawn[0].set_ylabel(label)
    return figure


def _draw_curves(panel: Any, curves: Curves, beside: Curves, beside_label: str) -> None:
    dots: dict[str, Any] = {"linestyle": "none", "marker": "o", "ms": 3, "mfc": "white"}
    steps = 0
    for (label, curve), style in zip(curves.items(), cycle(LINES), strict=False):
        panel.plot(curve, **style, **dot(curve), linewidth=1.8, label=label)
        steps = max(steps, len(curve))
        if label in beside:
            few = {"markevery": max(1, len(curve) // 25)}
            panel.plot(beside[label], **dots, **few, color=style["color"], zorder=3)
    if beside:
        panel.plot([], [], **dots, color=GREY, label=beside_label)
    say_nothing_is_drawn(panel, *curves.values())
    legend_below(panel)
    few_ticks(panel.xaxis, steps)
    panel.set_xlabel("← time step t")


def say_flow(curves: Curves) -> str:
    """For each curve, by which factor the norm differs between the last step and step 0.

    Words that all labels begin with are said once: "forget bias 0: 3e−12, 1: 1.9e−5".
    """
    beginnings = {"".join(label.rpartition(" ")[:2]) for label in curves}
    common = beginnings.pop() if len(beginnings) == 1 else ""
    parts = [f"{label[len(common) :]}: {_factor(curve)}" for label, curve in curves.items()]
    return common + ", ".join(parts)


def _factor(curve: Array) -> str:
    return number(float(curve[0] / curve[-1]), 2) if curve[-1] else "none, as it is 0"


class Shares(dict[str, Array]):
    """By gate ("" for an RNN), what each step adds to the gradient of one weight: (T,)."""

    def __init__(self, back: BackwardRun, name: str, unit: int, column: int) -> None:
        """The weight at row `unit` of each gate, and `column`, of "weight_ih" or "weight_hh".

        Raises TypeError for another record, ValueError for another name, and complex numbers;
        IndexError for a weight that is not there.
        """
        check_back(back)
        if name not in ("weight_ih", "weight_hh"):
            raise ValueError(f"name: expected weight_ih or weight_hh, got {name!r}")
        contributions = back.contributions(name)  # (T, G·H, columns)
        check_numbers(name, contributions)
        gates = "ifgo" if "grad_z_i" in back.names else [""]
        parts = np.split(contributions, len(gates), axis=1)
        super().__init__({g: part[:, unit, column] for g, part in zip(gates, parts, strict=True)})
        self.name, self.unit, self.column = name, unit, column


def draw_shares(
    shares: Mapping[str, Array], grads: Mapping[str, float], *, axes: Panels | None = None
) -> Figure:
    """Bars: what each step adds to a weight's gradient; a line: their sum from the last step on.

    shares: gate → (T,). grads: gate → the weight's `.grad`, which the line ends at. axes: a panel
    for each gate.
    """
    count = len(shares)
    figure, panels = several(axes, count, 1, 8.5, 0.9 + 1.45 * count, sharex=True)
    for panel, (gate, share) in zip(panels, shares.items(), strict=True):
        steps = np.arange(len(share))
        panel.bar(steps, share, width=0.8, color=GATES.get(gate, GATES["i"]), label="step t adds")
        total = np.cumsum(share[::-1])[::-1]
        line = {"color": DARK, "linewidth": 1.4, **dot(total)}
        panel.plot(steps, total, **line, label="sum from the last step to t")
        panel.axhline(grads[gate], color=DARK, linewidth=0.9, linestyle=(0, (4, 3)), label=".grad")
        panel.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        panel.set_xlim(-0.6, len(share) - 0.4)
        panel.margins(y=0.1)
        plain_numbers(panel.yaxis)
        if gate:
            panel.set_ylabel(f"gate {gate}")
    few_ticks(panels[-1].xaxis, len(share))
    panels[-1].set_xlabel("← time step t")
    legend_above(panels[0], 3)
    figure.align_ylabels(list(panels))
    return figure


def say_shares(shares: Mapping[str, Array]) -> str:
    """For each gate the sum, and how many of the last steps have 90% of all that is added."""
    sums, steps = [], []
    for gate, share in shares.items():
        size = np.append(0, np.abs(share)[::-1].cumsum())  # of the last 0, 1, 2, … steps
        sums.append(f"{gate} {number(float(share.sum()), 2)}".lstrip())
        steps.append(str(np.searchsorted(size, 0.9 * size[-1])))
    return (
        f"the gradient, a sum over {counted(len(share), 'step')}, is {', '.join(sums)}; of all "
        f"that they add, in absolute value, 90% comes from the last {', '.join(steps)}"
    )
