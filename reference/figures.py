"""Pictures of both sides: the prediction over the truth, the loss, the parity of every tensor.

Each function takes data and, where it draws into one axes, optionally that; it returns the figure
and shows nothing. The two sides look the same in all of them, and differ without colour, too:
scratch is a broad dark solid line or a circle, torch a narrow light dashed line or a cross on top.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scratch.machinery.module import Array
from scratch.study.style import new_figure

from .letters import readable
from .parity import Parity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRUTH: dict[str, Any] = {
    "color": "0.75",
    "linewidth": 6,
    "solid_capstyle": "round",
    "label": "truth",
}
NAIVE: dict[str, Any] = {"color": "#c2185b", "linewidth": 1.4, "linestyle": (0, (1, 1.2))}
SCRATCH: dict[str, Any] = {"color": "#0b3c8c", "linewidth": 2.6, "label": "scratch"}
TORCH: dict[str, Any] = {
    "color": "#ffa62b",
    "linewidth": 1.3,
    "linestyle": (0, (4, 3)),
    "label": "torch",
}
ONE: dict[str, dict[str, Any]] = {  # marks for a single point, where a line is not seen
    "truth": {"marker": "s", "ms": 17},
    "naive": {"marker": "D", "ms": 6},
    "scratch": {"marker": "o", "ms": 11, "mfc": "none", "mew": 2.2},
    "torch": {"marker": "x", "ms": 6.5, "mew": 2},
}
SHOWN = 200  # values side by side: more are one smear


def draw_held_out(
    x: Array,
    truth: Array,
    scratch: Array,
    torch: Array,
    naive: Array,
    x_label: str,
    y_label: str,
    naive_label: str,
) -> Figure:
    """The prediction of both sides over the truth, and below how far off they and `naive` are.

    All are (N,), x may be dates. Of many values the last 200 are drawn, and below 200 parts of all.
    """
    figure = new_figure(8, 6)
    part = slice(-SHOWN, None)
    few = len(x) <= SHOWN
    above, below = figure.subplots(2, 1, height_ratios=[3, 2], sharex=few)
    shown = "" if few else f", the last {SHOWN} of {len(x)}"
    draw_curves(
        *(x[part], truth[part], scratch[part], torch[part], x_label + shown, y_label),
        naive=naive[part],
        naive_label=naive_label,
        axes=above,
    )
    errors = {"naive": naive - truth, "scratch": scratch - truth, "torch": torch - truth}
    draw_errors(x, errors, x_label, axes=below)
    if few:
        above.set_xlabel("")
    figure.align_ylabels()
    return figure


def draw_curves(
    x: Array,
    truth: Array,
    scratch: Array,
    torch: Array,
    x_label: str,
    y_label: str,
    *,
    naive: Array | None = None,
    naive_label: str = "",
    axes: Axes | None = None,
) -> Figure:
    """The prediction of both sides over the truth; all of them, and `naive`, are (N,)."""
    figure, axes = _axes(axes, 8, 4.5)
    axes.plot(x, truth, **TRUTH, **_mark(x, "truth"))
    if naive is not None:
        axes.plot(x, naive, **NAIVE, **_mark(x, "naive"), label=naive_label)
    axes.plot(x, scratch, **SCRATCH, **_mark(x, "scratch"))
    axes.plot(x, torch, **TORCH, **_mark(x, "torch"))
    if len(x) == 1:
        axes.margins(y=0.3)
    _name(axes.set_xlabel, x_label)
    _name(axes.set_ylabel, y_label)
    _ticks(axes, x)
    _legend_above(axes)
    return figure


def draw_errors(
    x: Array, errors: dict[str, Array], x_label: str, *, axes: Axes | None = None
) -> Figure:
    """The size of the errors, (N,) each, of "naive", "scratch" and "torch"; without a legend.

    Many are drawn as the root mean square of each of 200 parts, at its first place.
    """
    figure, axes = _axes(axes, 8, 3)
    starts = np.unique(np.linspace(0, len(x), min(len(x), SHOWN), endpoint=False).astype(int))
    counts = np.diff(starts, append=len(x))
    for side, look in (("naive", NAIVE), ("scratch", SCRATCH), ("torch", TORCH)):
        with np.errstate(all="ignore"):  # a side that overflowed
            sizes = np.sqrt(np.add.reduceat(errors[side] ** 2, starts) / counts)
        axes.plot(x[starts], sizes, **look, **_mark(x, side))
    axes.set_ylabel("|error|" if len(x) <= SHOWN else f"RMSE of each {counts.max()}")
    axes.set_ylim(bottom=0)
    if len(x) == 1:  # room for the mark of the largest
        axes.set_ylim(top=1.3 * axes.dataLim.y1 or 1)
    _name(axes.set_xlabel, x_label)
    _ticks(axes, x)
    return figure


def draw_waves(numbers: Array, truth: Array, scratch: Array, torch: Array, y_label: str) -> Figure:
    """Predictions at every step: a panel for each of K sequences, called by their numbers.

    truth, scratch, torch: (K, T).
    """
    figure, panels = _panels(len(truth))
    steps = np.arange(1, truth.shape[1] + 1)
    for k, axes in enumerate(panels):
        axes.plot(steps, truth[k], **TRUTH)
        axes.plot(steps, scratch[k], **SCRATCH)
        axes.plot(steps, torch[k], **TORCH)
        axes.set(title=f"sequence {numbers[k]}", xlabel="time step")
        _ticks(axes, steps)
    panels[0].set_ylabel(y_label)
    _legend_of_panels(figure, panels)
    return figure


def draw_wave_ends(
    numbers: Array, seen: Array, ahead: float, truth: Array, scratch: Array, torch: Array
) -> Figure:
    """Predictions after the last step: a panel for each of K sequences, called by their numbers.

    seen: what the model saw, (K, T). truth, scratch, torch: (K,), `ahead` steps later.
    """
    figure, panels = _panels(len(truth))
    steps = np.arange(1, seen.shape[1] + 1)
    end = steps[-1] + ahead
    point: dict[str, Any] = {"linestyle": "none", "clip_on": False, "zorder": 3}
    for k, axes in enumerate(panels):
        axes.plot([*steps, end], [*seen[k], truth[k]], **TRUTH)
        axes.plot(end, scratch[k], **SCRATCH | point | ONE["scratch"])
        axes.plot(end, torch[k], **TORCH | point | ONE["torch"])
        axes.set(title=f"sequence {numbers[k]}, off by {abs(scratch[k] - truth[k]):.1g}")
        axes.set_xlabel("time step")
        _ticks(axes, steps)
    panels[0].set_ylabel("wave and its next value")
    _legend_of_panels(figure, panels)
    return figure


def draw_classes(truth: Array, scratch: Array, torch: Array, *, axes: Axes | None = None) -> Figure:
    """The true class of each sequence and the one that each side finds likeliest.

    truth: (N,), class indices. scratch, torch: scores (N, C).
    """
    figure, axes = _axes(axes, 8, 3.6)
    number = np.arange(1, len(truth) + 1)
    size: dict[str, Any] = {"linestyle": "none", "clip_on": False}
    axes.plot(number, truth, marker="s", ms=19, mfc="0.85", mec="0.6", label="true class", **size)
    axes.plot(
        *(number, scratch.argmax(1)),
        **size | {"marker": "o", "ms": 11, "mew": 2.2, "mfc": "none"},
        color=SCRATCH["color"],
        label="likeliest for scratch",
    )
    axes.plot(
        *(number, torch.argmax(1)),
        **size | {"marker": "x", "ms": 6.5, "mew": 2},
        color=TORCH["color"],
        label="likeliest for torch",
    )
    axes.set(xlabel="sequence", ylabel="class", xticks=number, yticks=range(scratch.shape[1]))
    axes.margins(y=0.15)
    _legend_above(axes)
    return figure


def draw_losses(scratch: Sequence[float], torch: Sequence[float], y_label: str) -> Figure:
    """Both loss curves, and below them, on a logarithmic axis, how far apart they are."""
    figure = new_figure(8, 6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    a, b = np.array(scratch), np.array(torch)
    epochs = np.arange(1, len(a) + 1)
    one = len(a) == 1  # a line of one point is not seen
    above.plot(epochs, a, **SCRATCH, **(ONE["scratch"] if one else {}))
    above.plot(epochs, b, **TORCH, **(ONE["torch"] if one else {}))
    positive = np.concatenate([a, b])[np.concatenate([a, b]) > 0]
    if positive.size and positive.max() > 20 * positive.min():
        above.set_yscale("log")
    above.set_ylabel(y_label)
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        difference = np.abs(a - b)
    _log_with_zeros(below, epochs, difference, vertical=True)
    below.set(xlabel="epoch", ylabel="|scratch − torch|")
    _ticks(below, epochs)
    _legend_above(above, below)
    figure.align_ylabels()
    return figure


def draw_parity(parity: Parity, *, axes: Axes | None = None) -> Figure:
    """The relative difference of every output and every gradient, and what may be rounding."""
    figure, axes = _axes(axes, 8, 1.8 + 0.32 * len(parity.rows))
    places = np.arange(len(parity.rows))
    relative = np.array([row.relative for row in parity.rows])
    tolerance = parity.rows[0].tolerance
    axes.axvline(tolerance, color="0.3", linestyle="--", label=f"tolerance, {tolerance:.0e}")
    _log_with_zeros(axes, places, relative, vertical=False, upto=tolerance)
    axes.set_yticks(places, [row.label for row in parity.rows])
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.set_xlabel("relative difference, max|scratch − torch| / max|torch|")
    _legend_above(axes)
    return figure


def add_title(figure: Figure, title: str) -> None:
    """A small title at the top right, where no legend begins."""
    style: dict[str, Any] = {"x": 0.99, "ha": "right", "fontsize": "small", "color": "0.35"}
    _name(figure.suptitle, title, **style)


def _log_with_zeros(
    axes: Axes, places: Array, values: Array, *, vertical: bool, upto: float = 0.0
) -> None:
    """Values on a logarithmic axis; zeros and infinities, which have no place on it, at its ends.

    `vertical`: the values go up, the places to the right; otherwise the other way round.
    `upto`: the axis reaches beyond it.
    """
    positive = values[np.isfinite(values) & (values > 0)]
    low, high = (positive.min(), positive.max()) if positive.size else (1e-16, 1e-14)
    floor, ceiling = 10.0 ** np.floor(np.log10(low) - 0.7), 3 * max(high, upto)
    dots: dict[str, Any] = {"linestyle": "none", "clip_on": False, "color": "0.1", "zorder": 3}
    for chosen, shown, marker, label in (
        (np.isfinite(values) & (values > 0), values, "o", "difference"),
        (values == 0, np.full(len(values), floor), "v" if vertical else "<", "exactly 0"),
        (np.isinf(values), np.full(len(values), ceiling), "^" if vertical else ">", "infinite"),
    ):
        if chosen.any():
            xy = (places[chosen], shown[chosen]) if vertical else (shown[chosen], places[chosen])
            fill = dots["color"] if marker == "o" else "white"
            axes.plot(*xy, **dots, marker=marker, mfc=fill, ms=5.5, label=label)
    if vertical:
        axes.set_yscale("log")
        axes.set_ylim(floor, ceiling)
    else:
        axes.set_xscale("log")
        axes.set_xlim(floor, ceiling)


def _axes(axes: Any, width: float, height: float) -> tuple[Figure, Any]:
    """`axes` and its figure, or new ones."""
    if axes is not None:
        return axes.figure, axes
    figure = new_figure(width, height)
    return figure, figure.add_subplot()


def _panels(count: int) -> tuple[Figure, Any]:
    figure = new_figure(9, 3.6)
    return figure, figure.subplots(1, count, sharey=True, squeeze=False)[0]


def _name(put: Callable[..., Any], name: str, **style: Any) -> None:
    """A label or title that people wrote: in a font that has its letters, and without formulas."""
    text, families = readable(name)
    put(text.replace("$", r"\$"), fontfamily=families, **style)


def _mark(x: Array, side: str) -> dict[str, Any]:
    return ONE[side] if len(x) == 1 else {}


def _ticks(axes: Any, x: Array) -> None:
    """Dates as such; whole numbers, as epochs, sequences, rows and years have no halves."""
    if len(x) == 1:
        axes.set_xticks(x)
    if x.dtype.kind == "M":
        import matplotlib.dates

        dates: Any = matplotlib.dates
        if len(x) == 1:
            axes.xaxis.set_major_formatter(dates.DateFormatter("%Y-%m-%d"))
            return
        locator = dates.AutoDateLocator(maxticks=9)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    elif len(x) > 1 and x.max() - x.min() >= 2:
        axes.xaxis.get_major_locator().set_params(integer=True)


def _legend_of_panels(figure: Figure, panels: Any) -> None:
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False)


def _legend_above(axes: Any, *others: Any) -> None:
    """The legend of `axes`, and of others in its figure, where it covers no data."""
    handles, labels = [], []
    for part in (axes, *others):
        more = part.get_legend_handles_labels()
        handles += more[0]
        labels += more[1]
    axes.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, frameon=False)
