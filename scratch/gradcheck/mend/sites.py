"""The expressions of which edits are tried, with the gradients that depend on each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from .edits import Spot


@dataclass(eq=False)
class Site:
    """An expression that is moved as a whole, and the gradients that then change."""

    spot: Spot
    reaches: set[str] = field(default_factory=set)
    answers_change: bool = False


def parted(spot: Spot) -> Iterator[Spot]:
    """An expression, and what it joins: the parts of a tuple, the arguments of a call."""
    yield spot
    if isinstance(spot.node, ast.Tuple | ast.List | ast.Dict | ast.Call):
        for inner in spot.below():
            if inner.field not in ("func", "keys") and not isinstance(inner.node, ast.Constant):
                yield from parted(inner)


def own(spot: Spot) -> Iterator[Spot]:
    """An expression and what is inside, but for what is a site of its own."""
    yield spot
    if isinstance(spot.node, ast.Tuple | ast.List | ast.Dict | ast.Call):
        for inner in spot.below():
            if inner.field == "func":
                yield from everything(inner)
        return
    for inner in spot.below():
        yield from everything(inner)


def everything(spot: Spot) -> Iterator[Spot]:
    yield spot
    for inner in spot.below():
        yield from everything(inner)
