"""An edit of the person's own code, and a place in it where there can be one.

A rule looks at one node and yields other texts for it. What a rule may put in another's place has
the same shape there, as far as that is known; whether an edit mends anything is seen by running it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from . import words
from .functions import Part
from .scope import Held, Scope, Shape, shape_of

# The node, its field, the place in it, the new value: a tree, a list of trees, or their text.
Change = tuple[ast.AST, str, int | None, Any]


@dataclass(frozen=True)
class Edit:
    """A change of one line, or the same change of several.

    `rank` is small for what is likely; edits of one `tag` are the same slip in several places.
    """

    part: Part
    changes: tuple[Change, ...]
    statements: tuple[ast.stmt, ...]
    name: str
    cause: str
    rank: float
    tag: str = ""
    how: str = "as"  # the line reads "as" the new one, is "without" it, or has a new one "after" it
    inserted: str = ""
    likely: bool = False  # whether it may be one of two that are right only together

    def _new(self, value: Any, old: Any) -> Any:
        """The new value as trees, all of whose nodes have a place."""
        if isinstance(value, str):
            value = ast.parse(value, mode="eval").body
            if hasattr(value, "ctx"):
                value.ctx = getattr(old, "ctx", value.ctx)
        if isinstance(value, ast.AST):
            ast.copy_location(value, self.statements[0])
        for node in value if isinstance(value, list) else [value]:
            ast.fix_missing_locations(node)
        return value

    def apply(self) -> list[Any]:
        """Change the tree; returns what `undo` needs.

        Raises SyntaxError, and has changed nothing, where a text is not an expression: of the index
        `:, t` in `h[:, t]` no product can be made.
        """
        before = [getattr(holder, field) if index is None else getattr(holder, field)[index]
                  for holder, field, index, _ in self.changes]  # fmt: skip
        new = [self._new(change[3], old) for change, old in zip(self.changes, before, strict=True)]
        self._put(new)
        return before

    def undo(self, before: list[Any]) -> None:
        self._put(before)

    def _put(self, values: list[Any]) -> None:
        for (holder, field, index, _), value in zip(self.changes, values, strict=True):
            if index is None:
                setattr(holder, field, value)
            else:
                getattr(holder, field)[index] = value


@dataclass(frozen=True)
class Spot:
    """An expression, where it hangs in the tree, and what is known there."""

    part: Part
    scope: Scope
    statement: ast.stmt
    holder: ast.AST
    field: str
    index: int | None
    node: ast.expr

    @cached_property
    def text(self) -> str:
        return ast.unparse(self.node)

    @cached_property
    def known(self) -> dict[str, Held]:
        return self.scope.at(self.statement.lineno)

    @property
    def stores(self) -> bool:
        """Whether it is what is assigned to."""
        return self.field in ("target", "targets")

    @cached_property
    def shape(self) -> Shape | None:
        return shape_of(self.node, self.known)

    def edit(self, text: str, name: str, cause: str, rank: float, tag: str = "") -> Edit:
        change = (self.holder, self.field, self.index, text)
        return Edit(self.part, (change,), (self.statement,), name, cause, rank, tag)

    def below(self) -> Iterator[Spot]:
        """The expressions inside."""
        for field, value in ast.iter_fields(self.node):
            for k, part in enumerate(value if isinstance(value, list) else [value]):
                place: tuple[ast.AST, str, int | None] = (
                    self.node, field, k if isinstance(value, list) else None
                )  # fmt: skip
                if isinstance(part, ast.keyword | ast.Starred):
                    place, part = (part, "value", None), part.value
                elif isinstance(part, ast.comprehension):
                    place, part = (part, "iter", None), part.iter
                if isinstance(part, ast.expr):
                    yield Spot(self.part, self.scope, self.statement, *place, part)


def together(edits: list[Edit]) -> Iterator[Edit]:
    """The same slip everywhere in a line, and in several lines."""
    groups: dict[tuple[Part, str], list[Edit]] = {}
    for edit in edits:
        if edit.tag:
            groups.setdefault((edit.part, edit.tag), []).append(edit)
    for group in groups.values():
        lines: dict[ast.stmt, list[Edit]] = {}
        for edit in group:
            lines.setdefault(edit.statements[0], []).append(edit)
        several = [_joined(part) for part in lines.values()]
        yield from (edit for edit in several if len(edit.changes) > 1)
        if len(several) > 1:
            yield _joined(several)


def _joined(edits: list[Edit]) -> Edit:
    changes = tuple(change for edit in edits for change in edit.changes)
    lines = tuple(dict.fromkeys(line for edit in edits for line in edit.statements))
    return replace(edits[0], changes=changes, statements=lines, rank=edits[0].rank + 0.3)


GRADIENT = re.compile(r"(d|da|grad.*|delta.*|carr.*|err.*|from_.*|back.*|.*_(grad|diff|d))$")


@cache
def is_gradient(atom: str) -> bool:
    """Whether a name looks like that of a gradient."""
    name = words.root(atom)
    return bool(words.PREFIX.match(name) or GRADIENT.match(name))


def bracketed(node: ast.expr) -> ast.expr:
    """A sum in parentheses, as a factor needs it: unparse writes none around a tree's root."""
    if isinstance(node, ast.BinOp | ast.UnaryOp | ast.IfExp | ast.Compare):
        return ast.Name(f"({ast.unparse(node)})", ast.Load())
    return node


def factors(node: ast.expr) -> list[ast.expr]:
    """The factors of a product from left to right."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return [*factors(node.left), node.right]
    return [node]


def is_product(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div)


def spreads(shape: Shape, over: Shape) -> bool:
    """Whether an array of this shape multiplies one of the other, spread over it or as it is."""
    try:
        return bool(shape) and np.broadcast_shapes(shape, over) == over
    except ValueError:
        return False


def steps_of(spot: Spot, known: dict[str, Held]) -> Iterator[tuple[str, Held]]:
    """Steps of the arrays of whole sequences: `dhs[t]`, `dhs[:, t]`, and those before."""
    for name in spot.scope.counters:
        if name not in known or known[name].shape:
            continue
        for text, held in known.items():
            if text.isidentifier() and held.is_array and len(held.shape) == 3:
                for axis in range(3):
                    shape = (*held.shape[:axis], *held.shape[axis + 1 :])
                    for step in (name, f"{name} - 1"):
                        index = ", ".join([*[":"] * axis, step])
                        yield f"{text}[{index}]", replace(held, shape=shape)
