"""The expressions of which edits are tried, with the entries of the gradients that each reaches."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from ...machinery.module import Array
from .edits import Spot
from .functions import Part
from .scope import Scope


@dataclass(eq=False)
class Site:
    """An expression that is moved as a whole, and the entries of gradients that then change.

    Of what cannot be moved (an index, a list, what is assigned to), `reaches` is None.
    """

    spot: Spot
    reaches: Array | None = None
    answers_change: bool = False

    def away(self, wrong: Array) -> float | None:
        """How far it is from what is wrong: None if it does not reach all of that."""
        if self.reaches is None:
            return 0.3
        if not (self.reaches & wrong).any():
            return None
        if (wrong & ~self.reaches).any():
            return 1.5
        return min(0.5, float((self.reaches & ~wrong).mean()))


def assigned(part: Part, scope: Scope, statement: ast.stmt) -> Iterator[Spot]:
    """What a line assigns to."""
    if isinstance(statement, ast.Assign):
        for k, node in enumerate(statement.targets):
            yield Spot(part, scope, statement, statement, "targets", k, node)
    elif isinstance(statement, ast.AugAssign):
        yield Spot(part, scope, statement, statement, "target", None, statement.target)


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
