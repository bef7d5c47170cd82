"""Pictures of both sides: the prediction over the truth, the loss, the parity of every tensor.

Each function takes data and, where it draws into one axes, optionally that; it returns the figure
and shows nothing. The two sides look the same in all of them, and differ without colour, too:
scratch is a broad dark solid line or a circle, torch a narrow light dashed line or a cross on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scratch.machinery.module import Array

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
NAIVE: dict[str, Any] = {"color": "0.35", "linewidth": 1, "linestyle": ":"}
SCRATCH: dict[str, Any] = {"color": "#0b3c8c", "linewidth": 2.6, "label": "scratch"}
TORCH: dict[str, Any] = {
    "color": "#ffa62b",
    "linewidth": 1.3,
    "linestyle": (0, (4, 3)),
    "label": "torch",
}


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
    axes.plot(x, truth, **TRUTH)
    if naive is not None:
        axes.plot(x, naive, **NAIVE, label=naive_label)
    axes.plot(x, scratch, **SCRATCH)
    axes.plot(x, torch, **TORCH)
    axes.set(xlabel=x_label, ylabel=y_label.replace("$", r"\$"))  # a name, no formula
    _whole_numbers(axes)
    _legend_above(axes)
    return figure


def draw_waves(numbers: Array, truth: Array, scratch: Array, torch: Array, y_label: str) -> Figure:
    """Predictions at every step: a panel for each of K sequences, called by their numbers.

    truth, scratch, torch: (K, T).
    """
    figure = _figure(9, 3.6)
    panels = figure.subplots(1, len(truth), sharey=True, squeeze=False)[0]
    steps = np.arange(1, truth.shape[1] + 1)
    for k, axes in enumerate(panels):
        axes.plot(steps, truth[k], **TRUTH)
        axes.plot(steps, scratch[k], **SCRATCH)
        axes.plot(steps, torch[k], **TORCH)
        axes.set(title=f"sequence {numbers[k]}", xlabel="time step")
        _whole_numbers(axes)
    panels[0].set_ylabel(y_label)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False)
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
    figure = _figure(8, 6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    a, b = np.array(scratch), np.array(torch)
    epochs = np.arange(1, len(a) + 1)
    one = len(a) == 1  # a line of one point is not seen
    above.plot(epochs, a, **SCRATCH, **({"marker": "o", "ms": 11, "mfc": "none"} if one else {}))
    above.plot(epochs, b, **TORCH, **({"marker": "x", "ms": 7, "mew": 2} if one else {}))
    positive = np.concatenate([a, b])[np.concatenate([a, b]) > 0]
    if positive.size and positive.max() > 20 * positive.min():
        above.set_yscale("log")
    above.set_ylabel(y_label)
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        difference = np.abs(a - b)
    _log_with_zeros(below, epochs, difference, vertical=True)
    below.set(xlabel="epoch", ylabel="|scratch − torch|")
    _whole_numbers(below)
    if one:
        below.set_xticks([1])
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
    figure.suptitle(title, x=0.99, ha="right", fontsize="small", color="0.35")


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
    figure = _figure(width, height)
    return figure, figure.add_subplot()


def _figure(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def _whole_numbers(axes: Any) -> None:
    """Epochs, sequences, rows and years have no halves."""
    axes.xaxis.get_major_locator().set_params(integer=True)


def _legend_above(axes: Any, *others: Any) -> None:
    """The legend of `axes`, and of others in its figure, where it covers no data."""
    handles, labels = [], []
    for part in (axes, *others):
        more = part.get_legend_handles_labels()
        handles += more[0]
        labels += more[1]
    axes.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, frameon=False)
