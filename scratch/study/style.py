"""What the figures have in common: colours, strips of units over time, logarithmic axes.

Colours are those of Okabe and Ito 2008, which stay apart for colour-blind eyes; lines differ by
their dashes, too. Matplotlib is imported when something is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..machinery.module import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GREY, DARK = "0.55", "0.15"
GATES = {"i": BLUE, "f": ORANGE, "g": GREEN, "o": PINK}
LINES: list[dict[str, Any]] = [  # for up to four curves
    {"color": BLUE, "linestyle": "-"},
    {"color": ORANGE, "linestyle": (0, (5, 1.5))},
    {"color": GREEN, "linestyle": (0, (1.5, 1.2))},
    {"color": PINK, "linestyle": (0, (5, 1.2, 1, 1.2))},
]
SIGNED = "RdBu_r"  # blue below 0, white at 0, red above
SHARE = "viridis"  # from 0 to 1

Panels = Sequence[Any]  # of axes


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    from .canvas import Picture

    return Picture(figsize=(width, height), dpi=120, layout="constrained")


def several(
    axes: Panels | None,
    rows: int,
    columns: int,
    width: float,
    height: float,
    **options: Any,
) -> tuple[Figure, Panels]:
    """The figure and its rows · columns axes, a row after the other: those given, or new ones.

    Raises ValueError for another number of axes.
    """
    if axes is None:
        figure = new_figure(width, height)
        return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)
    panels = list(np.ravel(np.asarray(axes, dtype=object)))
    if len(panels) != rows * columns:
        raise ValueError(f"axes: expected {rows * columns}, got {len(panels)}")
    return panels[0].figure, panels


def draw_strip(axes: Any, values: Array, *, decades: float | None = None) -> Any:
    """Units as rows, time to the right, the colours explained at the side. values: (T, units).

    decades: None for values of σ, coloured from 0 to 1. Otherwise colours are symmetric around 0,
    up to the largest value (0: up to 1); where `decades` is above 0 they are logarithmic over so
    many decades below it, and linear around 0. NaN is grey.
    """
    from matplotlib.colors import Normalize, SymLogNorm

    if decades is None:
        low, high = 0.0, 1.0
    else:
        high = largest(values)
        low = -high
    norm = Normalize(low, high)
    if decades:
        norm = SymLogNorm(high / 10**decades, vmin=low, vmax=high)
    image = axes.imshow(
        values.T,
        aspect="auto",
        interpolation="nearest",
        cmap=SHARE if decades is None else SIGNED,
        norm=norm,
    )
    axes.set_facecolor(GREY)
    bar = explain_colours(axes, image)
    ticks = [low, (low + high) / 2, high]
    bar.set_ticks(ticks, labels=[number(tick, 2) for tick in ticks])
    bar.minorticks_off()
    few_ticks(axes.yaxis, values.shape[1], 4)
    axes.set_ylabel("unit", fontsize="x-small")
    return image


def explain_colours(axes: Any, image: Any, label: str = "") -> Any:
    """A colour bar inside the space of `axes`, so that axes above each other stay aligned."""
    beside = axes.inset_axes((1.012, 0, 0.014, 1))
    bar = axes.figure.colorbar(image, cax=beside, label=label)
    bar.ax.tick_params(labelsize="x-small")
    return bar


def largest(values: Array) -> float:
    """The end of a colour scale that is symmetric around 0; 1 where all finite values are 0."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0)) or 1.0


def few_ticks(axis: Any, count: int, most: int = 8) -> None:
    """At most so many round numbers from 0 to `count` − 1."""
    steps = (digit * 10**power for power in range(9) for digit in (1, 2, 5))
    step = next(step for step in steps if len(range(0, count, step)) <= most)
    axis.set_ticks(range(0, count, step))
    axis.set_tick_params(labelsize="x-small")


def dot(curve: Array) -> dict[str, Any]:
    """How a curve of a single point is drawn, which has no line to be seen by."""
    return {"marker": "o", "markersize": 5} if len(curve) == 1 else {}


def log_axis(axis: Any, *curves: Array) -> None:
    """Logarithmic, over what is positive in `curves`, with at most seven ticks."""
    from matplotlib.ticker import FixedLocator, NullLocator

    every = np.concatenate(curves)
    positive = every[(every > 0) & np.isfinite(every)]
    low, high = (positive.min(), positive.max()) if positive.size else (0.1, 1.0)
    margin = 10 ** max(0.1, 0.04 * (np.log10(high) - np.log10(low)))
    axis.axes.set_ylim(low / margin, high * margin)
    axis.axes.set_yscale("log")
    first, last = (int(np.floor(np.log10(end))) for end in (low, 10 * high))
    steps = (1, 2, 5, 10, 20, 50, 100)
    step = next(step for step in steps if (last - first) // step <= 6)
    exponents = range(-(-last // step) * step, first - step, -step)
    axis.set_major_locator(FixedLocator([10.0**exponent for exponent in exponents]))
    axis.set_minor_locator(NullLocator())


def say_nothing_is_drawn(axes: Any, *curves: Array) -> None:
    """In logarithmic axes, where all of `curves` are 0."""
    if not any((curve > 0).any() for curve in curves):
        axes.text(0.5, 0.5, "0 at every step", transform=axes.transAxes, ha="center")


def plain_numbers(axis: Any) -> None:
    """Ticks as −2e−05, with no factor of all of them in a corner."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axis.set_tick_params(labelsize="x-small")


def number(value: float, digits: int = 3) -> str:
    """−0.25, 1.5e−7: at most so many digits, and no zeros that say nothing."""
    mantissa, e, exponent = f"{value:.{digits}g}".partition("e")
    return (mantissa + (f"e{int(exponent)}" if e else "")).replace("-", "−")


def title(axes: Any, text: str) -> None:
    axes.set_title(text, loc="left", fontsize="medium")


def legend_above(axes: Any, columns: int = 4) -> None:
    """Above the axes, where it covers no data."""
    _legend(axes, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns)


def legend_below(axes: Any, columns: int = 2) -> None:
    """Below the axes and what is written there."""
    _legend(axes, loc="upper left", bbox_to_anchor=(0, -0.17), ncols=columns)


def legend_beside(axes: Any) -> None:
    """To the right of the axes, where strips have their colour bars."""
    _legend(axes, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.2)


def _legend(axes: Any, **options: Any) -> None:
    axes.legend(**options, frameon=False, fontsize="small", borderaxespad=0.2)
