"""The ratios of a benchmark as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scratch.study.style import new_figure

from .benchmark import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Apart without colour too: full and open, above and below the row's middle.
STYLES: dict[str, dict[str, Any]] = {
    "float64": {"offset": -0.17, "color": "#0b3c8c", "marker": "o", "mfc": "#0b3c8c"},
    "float32": {"offset": 0.17, "color": "#c2691b", "marker": "s", "mfc": "white"},
}


def draw_ratios(rows: Sequence[Row], *, axes: Axes | None = None) -> Figure:
    """How many times as fast as PyTorch each case is, in both dtypes, with the quartiles."""
    labels: list[tuple[str, str]] = []  # a section's heading, (section, ""), then its cases
    for row in rows:
        for label in ((row.section, ""), (row.section, row.name)):
            if label not in labels:
                labels.append(label)
    if axes is None:
        axes = new_figure(8, 1.4 + 0.26 * len(labels)).add_subplot()
    axes.axvline(1, color="0.3", linestyle="--", linewidth=1)
    for dtype, style in STYLES.items():
        own = [row for row in rows if row.dtype == dtype]
        if own:
            _draw_dots(axes, own, labels, dtype, **style)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda ratio, _position: f"{ratio:g}")
    axes.set_xlabel("time of torch / time of scratch  (right of 1, scratch is faster)")
    axes.set_yticks(range(len(labels)), [name or section for section, name in labels])
    for text, (_section, name) in zip(axes.get_yticklabels(), labels, strict=True):
        text.set_fontweight("normal" if name else "bold")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    return axes.get_figure(root=True)  # type: ignore[return-value]


def _draw_dots(
    axes: Axes,
    rows: Sequence[Row],
    labels: list[tuple[str, str]],
    dtype: str,
    *,
    offset: float,
    **style: Any,
) -> None:
    places = [labels.index((row.section, row.name)) + offset for row in rows]
    medians = [row.ratio.median for row in rows]
    below = [row.ratio.median - row.ratio.low for row in rows]
    above = [row.ratio.high - row.ratio.median for row in rows]
    dots: dict[str, Any] = {"linestyle": "none", "markersize": 5, "elinewidth": 1.2, "label": dtype}
    axes.errorbar(medians, places, xerr=[below, above], **dots, **style)
