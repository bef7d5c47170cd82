"""What the numbers of all systems amount to, in two lines or three."""

from __future__ import annotations

from typing import Any

import numpy as np

from scratch.machinery.module import Array
from scratch.tasks.systems import SYSTEMS

from ..benchmark import Spread
from ..parity import TOLERANCE

# A shorter run says more about the machine than about the two sides.
SECONDS, EPOCHS = 0.5, 5
TOO_SHORT = "too short for a ratio; python -m reference bench has one"


def verdict(results: dict[str, dict[str, Any]]) -> list[str]:
    """What all the numbers amount to, in two lines or three."""
    systems = list(results.values())
    count = {1: next(iter(results)), 2: "Both systems"}.get(len(results), "All three systems")
    if len(results) == len(SYSTEMS):
        count = "All four systems"
    tolerance = TOLERANCE[np.dtype(systems[0]["dtype"])]
    trained = any(system["epochs"] for system in systems)
    after = " after training" if trained else "; not trained"
    apart = {name: max(system["first_step"].values()) for name, system in results.items()}
    above = [name for name, difference in apart.items() if difference > tolerance]
    first = "equal to rounding"
    if above:
        first = f"up to {number(max(apart.values()))} apart ({', '.join(above)})"
    weights = float(np.max([system["trained"]["weights"] for system in systems]))
    seconds = {
        name: sum(system["seconds"][side] for system in systems)
        for name, side in (("NumPy", "scratch"), ("PyTorch", "torch"))
    }
    lines = [f"{count}: first step {first}; weights at most {number(weights)} apart{after}."]
    if weights > 1e-3 and not above:
        lines.append("Training amplified the rounding; a smaller --lr amplifies it less.")
    if trained:
        lines.append(time_line(seconds, systems))
    return lines


def time_line(seconds: dict[str, float], systems: list[dict[str, Any]]) -> str:
    """How long the sides took, and how many times as long the slower one."""
    faster, slower = sorted(seconds, key=lambda name: seconds[name])
    sides = ("scratch", "torch") if faster == "NumPy" else ("torch", "scratch")
    short, long = (
        np.concatenate([np.array(system["epoch_seconds"][side]) for system in systems])
        for side in sides
    )
    ratio = times_as_long(short, long)
    return f"{faster} took {duration(seconds[faster])}, {slower} {duration(seconds[slower])} " + (
        f"({ratio} times as long)." if ratio else f"({TOO_SHORT})."
    )


def times_as_long(short: Array, long: Array) -> str:
    """long / short with the middle half of its epochs; empty where the times are too short."""
    if len(short) < EPOCHS or min(short.sum(), long.sum()) < SECONDS:
        return ""
    spread = Spread.of(long / short)
    return f"{long.sum() / short.sum():.2g} [{spread.low:.2g}, {spread.high:.2g}]"


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def number(difference: float) -> str:
    return f"{difference:.1e}" if difference else "0"
