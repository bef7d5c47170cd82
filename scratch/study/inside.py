"""Inside a pass: every unit of one sample at every step, forward and backward; the states' path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..machinery.module import Array
from ..machinery.records import BackwardRun, Run
from .checks import check_back, check_numbers, check_run
from .equations import counted
from .style import (
    DARK,
    GATES,
    GREY,
    LINES,
    SHARE,
    Panels,
    dot,
    draw_strip,
    few_ticks,
    legend_above,
    legend_beside,
    number,
    several,
    title,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {
    "x": "x, the input",
    "i": "i, the input gate",
    "f": "f, the forget gate",
    "g": "g, the candidate",
    "o": "o, the output gate",
    "c": "c, the cell state",
    "h": "h, the hidden state",
    "z": "z, before the nonlinearity",
}
LINES_OF_X = 3  # an input of more features is drawn as a strip, too


def of_sample(run: Run, name: str, sample: int) -> Array:
    """One quantity of one sample, (T, units).

    Raises ValueError for packed input, whose rows mix sequences of several lengths, and for complex
    numbers; IndexError for a sample that is not there.
    """
    if run.packed:
        raise ValueError(
            "run: expected one of padded input, got one of packed input; study.page shows either"
        )
    array: Array = getattr(run, name)
    if array.dtype.kind == "c":
        raise ValueError(f"run: expected real numbers, got {array.dtype}")
    if not -array.shape[1] <= sample < array.shape[1]:
        raise IndexError(f"sample: expected one of {array.shape[1]}, got {sample}")
    return array[:, sample]


def draw_forward(run: Run, sample: int = 0, *, axes: Panels | None = None) -> Figure:
    """The input, the gates and the states of one sample over time, units as rows.

    run: `record.runs["l0"]` or another; an arrow shows which way it went. Gates of σ are coloured
    from 0 to 1, what has a sign symmetrically around 0. axes: 7 of them for an LSTM (x, i, f, g, o,
    c, h), 2 for an RNN (x, h).
    """
    check_run(run)
    names = [name for name in NAMES if name in run.names]
    values = {name: of_sample(run, name, sample) for name in names}
    figure, panels = _strips(axes, list(values.values()))
    for panel, (name, array) in zip(panels, values.items(), strict=True):
        if name == "x" and array.shape[1] <= LINES_OF_X:
            _draw_lines(panel, array)
        elif name in ("i", "f", "o"):
            draw_strip(panel, array)
        else:
            draw_strip(panel, array, decades=0)
        title(panel, NAMES[name])
    _time_below(panels, len(values["h"]), "← time step t" if run.reverse else "time step t →")
    return figure


def draw_backward(
    back: BackwardRun, sample: int = 0, *, decades: float = 4, axes: Panels | None = None
) -> Figure:
    """The gradients of what `draw_forward` shows, each with a colour scale of its own around 0.

    back: `back.runs["l0"]` or another. decades: how many below the largest gradient the colours
    tell apart, logarithmically; 0 for linear colours. axes: 6 for an LSTM (i, f, g, o, c, h), 2 for
    an RNN (h, z).
    """
    check_back(back)
    names = [name for name in NAMES if f"grad_{name}" in back.names]
    values = {name: of_sample(back, f"grad_{name}", sample) for name in names}
    figure, panels = _strips(axes, list(values.values()))
    for panel, (name, array) in zip(panels, values.items(), strict=True):
        draw_strip(panel, array, decades=decades)
        title(panel, f"∂L/∂{NAMES[name]}")
    colours = f"; colours are logarithmic over {decades:g} decades" if decades else ""
    words = "time step t →: the gradient comes from the left"
    if not back.reverse:
        words = "← time step t: the gradient comes from the right"
    _time_below(panels, len(values["h"]), words + colours)
    return figure


def _strips(axes: Panels | None, values: list[Array]) -> tuple[Figure, Panels]:
    """Panels above each other, higher for more units."""
    heights = [0.45 + 0.02 * min(array.shape[1], 32) for array in values]
    height = sum(heights) + 0.34 * len(heights) + 0.6
    options = {"sharex": True, "height_ratios": heights}
    return several(axes, len(values), 1, 8.5, height, **options)


def _draw_lines(panel: Any, x: Array) -> None:
    for feature, (values, style) in enumerate(zip(x.T, LINES, strict=False)):
        panel.plot(values, **style, **dot(values), label=f"x[{feature}]")
    if x.shape[1] > 1:
        legend_beside(panel)
    panel.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    panel.tick_params(labelsize="x-small")


def _time_below(panels: Panels, steps: int, label: str) -> None:
    last = panels[-1]
    last.set_xlim(-0.5, steps - 0.5)
    few_ticks(last.xaxis, steps)
    last.set_xlabel(label)
    last.figure.align_ylabels(list(panels))


def say_forward(run: Run, sample: int = 0) -> str:
    """The range of the gates and the states of one sample."""
    check_run(run)
    parts = []
    for name in ("i", "f", "o", "g", "c", "h"):
        if name in run.names:
            values = of_sample(run, name, sample)
            parts.append(f"{name} {number(values.min(), 2)} to {number(values.max(), 2)}")
    return ", ".join(parts)


def say_backward(back: BackwardRun, sample: int = 0) -> str:
    """Where ∂L/∂h of one sample is largest, and on how few steps most of it falls."""
    check_back(back)
    grad = np.abs(of_sample(back, "grad_h", sample))
    t, unit = np.unravel_index(grad.argmax(), grad.shape)
    by_step = np.sort(grad.sum(axis=1))[::-1].cumsum()
    steps = int(np.searchsorted(by_step, 0.9 * by_step[-1])) + 1
    if not grad.any():
        return "∂L/∂h is 0 at every step"
    return (
        f"|∂L/∂h| is largest, {number(grad.max(), 2)}, at step {t} in unit {unit}; 90% of its sum "
        f"over all steps and units lies in {steps} of {counted(len(grad), 'step')}"
    )


class Components(NamedTuple):
    """The first two principal components of states, and where the states lie on them."""

    path: Array  # (T, N, 2)
    share: Array  # (2,), of the variance
    directions: Array  # (2, H), each of length 1


def principal_components(h: Array) -> Components:
    """h: (T, N, H), centred over all T · N states. With one unit the second component is 0.

    Raises ValueError for numbers that are not real and finite.
    """
    check_numbers("h", h)
    states = h.reshape(-1, h.shape[2])
    centred = states - states.mean(axis=0)
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    directions = np.vstack([directions, np.zeros((2, h.shape[2]), h.dtype)])[:2]
    # A direction and its opposite are the same component: the larger side points up.
    signs = np.where(directions.sum(axis=1) < 0, -1, 1)
    directions = directions * signs[:, np.newaxis]
    variances = np.append(lengths**2, [0, 0])[:2] / max(float((lengths**2).sum()), 1e-300)
    path = (centred @ directions.T).reshape(*h.shape[:2], 2)
    return Components(path, variances, directions)


def eigenvalues(weight_hh: Array) -> dict[str, Array]:
    """Of W_hh of an RNN, (H, H), or of each gate's part of an LSTM's, (4H, H): (H,), complex.

    The name of an RNN's only part is "". Raises ValueError for a projected LSTM's weight, which
    is not square.
    """
    rows, H = weight_hh.shape
    if rows not in (H, 4 * H):
        raise ValueError(
            f"weight_hh: expected shape ({H}, {H}) or ({4 * H}, {H}), got {weight_hh.shape}"
        )
    parts = {"": weight_hh} if rows == H else dict(zip(GATES, np.split(weight_hh, 4), strict=True))
    return {name: np.linalg.eigvals(part) for name, part in parts.items()}


def say_trajectories(h: Array, weight_hh: Array) -> str:
    """How much of the variance is drawn, and the largest |eigenvalue| of each part of W_hh."""
    share = principal_components(h).share.sum()
    parts = [
        f"W_h{name or 'h'} {number(np.abs(values).max())}"
        for name, values in eigenvalues(weight_hh).items()
    ]
    return (
        f"two components have {share:.1%} of the variance of {h.shape[2]} units; largest "
        f"|eigenvalue|: {', '.join(parts)}"
    )


def draw_trajectories(h: Array, weight_hh: Array, *, axes: Panels | None = None) -> Figure:
    """The path of the hidden state on its first two principal components, and the eigenvalues.

    h: (T, N, H), a path for each of N samples, coloured from the first step to the last.
    weight_hh: (H, H) or (4H, H). axes: 2. Raises ValueError for numbers that are not real and
    finite, and for a projected LSTM's weight, which is not square.
    """
    figure, (left, right) = several(axes, 1, 2, 10, 4.6)
    _draw_paths(left, principal_components(h))
    _draw_eigenvalues(right, eigenvalues(weight_hh))
    return figure


def _draw_paths(axes: Any, found: Components) -> None:
    steps, samples, _ = found.path.shape
    for n in range(samples):
        path = found.path[:, n]
        axes.plot(*path.T, color="0.8", linewidth=1, zorder=1)
        dots = axes.scatter(*path.T, c=range(steps), cmap=SHARE, s=14, zorder=2)
        style = {"linestyle": "none", "mfc": "none", "mec": DARK, "ms": 9, "zorder": 3}
        axes.plot(*path[0], marker="o", label="first step" if n == 0 else "", **style)
        axes.plot(*path[-1], marker="s", label="last step" if n == 0 else "", **style)
    bar = axes.figure.colorbar(dots, ax=axes, label="time step t", pad=0.02)
    few_ticks(bar.ax.yaxis, steps)
    for k, axis in enumerate((axes.xaxis, axes.yaxis)):
        axis.set_label_text(f"component {k + 1}, {found.share[k]:.0%} of the variance")
    axes.margins(0.08)
    legend_above(axes)


def _draw_eigenvalues(axes: Any, parts: dict[str, Array]) -> None:
    from matplotlib.ticker import MaxNLocator

    angle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(angle), np.sin(angle), color=GREY, linewidth=1)
    axes.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    axes.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    for (name, values), marker in zip(parts.items(), "osD^", strict=False):
        look = {"linestyle": "none", "marker": marker, "ms": 6, "mfc": "none", "mew": 1.3}
        colour, label = GATES.get(name, GATES["i"]), f"of W_h{name or 'h'}"
        axes.plot(values.real, values.imag, **look, mec=colour, label=label)
    axes.set(xlabel="real part of the eigenvalue", ylabel="imaginary part", aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    legend_above(axes)
