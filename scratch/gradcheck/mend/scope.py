"""What the variables of a function hold, line by line; and which are handed from step to step."""

from __future__ import annotations

import ast
import copy
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import CodeType, FrameType
from typing import Any

import numpy as np

from ...machinery.module import Parameter
from .functions import Part

Shape = tuple[int, ...]
VISITS = 2  # of a line; at the second one, what a loop assigns at its end is known


@dataclass(frozen=True)
class Held:
    """An array, a number or a list that an expression had."""

    shape: Shape
    low: float = math.nan
    high: float = math.nan
    whole: bool = False  # whether it is an integer
    holder: str = ""  # of a list, a tuple or a dict its type; its shape is then its length

    @property
    def is_array(self) -> bool:
        return bool(self.shape) and not self.whole and not self.holder

    @property
    def is_gate(self) -> bool:
        """Whether it can be what a sigmoid answers."""
        return self.is_array and self.low > 0 and self.high < 1


class Scope:
    """The atoms of a function, `h`, `hs[t]`, `self.W.data`, `step["f"]`, with what each held.

    `at(line)` has those that are known when a line begins.
    """

    def __init__(self, part: Part, atoms: set[str]) -> None:
        self.part = part
        self._code: dict[str, CodeType] = {
            text: compile(text, "<atom>", "eval") for text in sorted(atoms) if text[:3] != "np."
        }
        self._at: dict[int, dict[str, Held]] = {}
        self._visits: dict[int, int] = {}
        self.all: dict[str, Held] = {}
        alone = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Return)
        self.lines: dict[int, int] = {}  # from each line of a statement to its first
        for statement in ast.walk(part.tree):
            if isinstance(statement, alone):
                last = statement.end_lineno or statement.lineno
                self.lines |= dict.fromkeys(range(statement.lineno, last + 1), statement.lineno)
            elif isinstance(statement, ast.For):
                self.lines[statement.lineno] = statement.lineno

    @cached_property
    def carried(self) -> set[str]:
        return carries(self.part.tree) | self._given

    @cached_property
    def unread(self) -> set[str]:
        """The carried names that nothing reads."""
        within: list[ast.stmt] = [*loops(self.part.tree)] or [self.part.tree]
        return self.carried - {name for tree in within for name in names(tree, ast.Load)}

    @property
    def _given(self) -> set[str]:
        """The gradients that a step is given and does not read."""
        given = {a.arg for a in self.part.tree.args.args if re.match(r"_?d|grad", a.arg)}
        return given - set(names(self.part.tree, ast.Load))

    @cached_property
    def counters(self) -> set[str]:
        """The names over which loops run."""
        return {n.id for node in ast.walk(self.part.tree)
                if isinstance(node, ast.For | ast.comprehension)
                for n in ast.walk(node.target) if isinstance(n, ast.Name)}  # fmt: skip

    def afresh(self) -> Scope:
        """The same after an edit of the tree."""
        other = copy.copy(self)
        for name in ("carried", "unread", "counters"):
            vars(other).pop(name, None)
        return other

    def at(self, line: int) -> dict[str, Held]:
        return self._at.get(line, {})

    def look(self, frame: FrameType) -> None:
        line = self.lines.get(frame.f_lineno)
        if line is None or self._visits.get(line, 0) >= VISITS:
            return
        self._visits[line] = self._visits.get(line, 0) + 1
        known, globals_, locals_ = self._at.setdefault(line, {}), frame.f_globals, frame.f_locals
        for text, code in self._code.items():
            try:
                value = eval(code, globals_, locals_)
            except Exception:  # not there yet, or out of range
                continue
            if isinstance(value, Parameter):
                text, value = f"{text}.data", value.data
            if (held := held_in(value)) is not None:
                self.all[text] = held
                if text not in known or known[text].shape in ((), held.shape):
                    known[text] = held  # layers differ in shape; a sum may begin as 0


def held_in(value: Any) -> Held | None:
    if isinstance(value, list | tuple | dict) and value:
        return Held((len(value),), holder=type(value).__name__)
    if isinstance(value, bool) or not isinstance(value, np.ndarray | np.generic | int | float):
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "fi" or not array.size:
        return None
    return Held(array.shape, float(array.min()), float(array.max()), array.dtype.kind == "i")


def is_atom(node: ast.AST) -> bool:
    """A variable, an attribute or an entry of one; no call and no arithmetic but in an index."""
    match node:
        case ast.Name():
            return True
        case ast.Attribute(value=value):
            return node.attr not in ("T", "shape", "size") and is_atom(value)
        case ast.Subscript(value=value, slice=index):
            return is_atom(value) and not any(isinstance(n, ast.Call) for n in ast.walk(index))
    return False


def look_at(parts: list[Part], run: Callable[[], Any]) -> dict[Part, Scope]:
    """The scopes of the functions in one run of both passes."""
    atoms = {ast.unparse(n) for part in parts for n in ast.walk(part.tree) if is_atom(n)}
    atoms |= {argument.arg for part in parts for argument in part.tree.args.args}
    scopes = {part.code: Scope(part, atoms) for part in parts}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        scope = scopes.get(frame.f_code)
        if scope is not None and event == "line":
            scope.look(frame)
        return trace if scope is not None else None

    before = sys.gettrace()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sys.settrace(trace)
        try:
            run()
        finally:
            sys.settrace(before)
    return {scope.part: scope for scope in scopes.values()}


# Shapes of expressions, from those of the atoms


def shape_of(node: ast.expr, known: dict[str, Held]) -> Shape | None:
    """The shape that an expression has; None where that does not follow from its atoms."""
    match node:
        case ast.Constant(value=int() | float()):
            return ()
        case _ if is_atom(node):
            held = known.get(ast.unparse(node))
            return held.shape if held is not None and not held.holder else None
        case ast.Attribute(value=value, attr="T"):
            shape = shape_of(value, known)
            return shape[::-1] if shape is not None else None
        case ast.UnaryOp(operand=operand):
            return shape_of(operand, known)
        case ast.BinOp(left=left, op=op, right=right):
            return of_two(shape_of(left, known), op, shape_of(right, known))
        case ast.Call(func=ast.Attribute(attr="dot" | "matmul"), args=[left, right]):
            return of_two(shape_of(left, known), ast.MatMult(), shape_of(right, known))
        case ast.Call(func=ast.Attribute(value=left, attr="dot"), args=[right]):
            return of_two(shape_of(left, known), ast.MatMult(), shape_of(right, known))
        case ast.Call(func=ast.Attribute(attr="multiply"), args=[left, right]):
            return of_two(shape_of(left, known), ast.Mult(), shape_of(right, known))
        case ast.Call(func=ast.Name() | ast.Attribute(value=ast.Name(id="np")), args=[one]):
            return shape_of(one, known) if not node.keywords and not _reduces(node.func) else None
    return None


def _reduces(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr in ("sum", "mean", "max", "stack")


def of_two(left: Shape | None, op: ast.operator, right: Shape | None) -> Shape | None:
    if left is None or right is None:
        return None
    if isinstance(op, ast.MatMult):
        fits = left and right and left[-1] == right[0 if len(right) == 1 else -2]
        return (*left[:-1], *right[:-2], *right[-1:][: len(right) - 1]) if fits else None
    try:
        return np.broadcast_shapes(left, right)
    except ValueError:
        return None


# Which variables are handed from step to step


def loops(tree: ast.FunctionDef) -> list[ast.For | ast.While]:
    """The outer loops of a function."""
    found: list[ast.For | ast.While] = []

    def walk(body: list[ast.stmt]) -> None:
        for statement in body:
            if isinstance(statement, ast.For | ast.While):
                found.append(statement)
            elif isinstance(statement, ast.If | ast.With | ast.Try):
                walk(statement.body)

    walk(tree.body)
    return found


def names(node: ast.AST, context: type[ast.expr_context]) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, context):
            yield inner.id
        if isinstance(inner, ast.AugAssign) and isinstance(inner.target, ast.Name):
            yield inner.target.id


def carries(tree: ast.FunctionDef) -> set[str]:
    """The names that a loop hands from one of its turns to the next, or was meant to.

    Not those that are only added up, `dW += ...`: they are read by nothing else in the loop.
    """
    found: set[str] = set()
    initial = {name for other in ast.walk(tree) if isinstance(other, ast.Assign)
               for name in names(other, ast.Store)}  # fmt: skip
    initial |= {argument.arg for argument in tree.args.args}
    for loop in loops(tree):
        stored: set[str] = set()
        early: set[str] = set()
        read: set[str] = set()
        late: set[str] = set()  # stored, and not read any more in this turn
        for statement in simple(loop.body):
            loads, stores = (set(names(statement, c)) for c in (ast.Load, ast.Store))
            early |= loads - stored
            read |= loads - stores
            late = (late - loads) | stores
            stored |= stores
        found |= {name for name in ((early & stored) | late) & read if name in initial}
        found |= {name for name in (stored - read) | early if CARRIED.search(name)}
        entries = (node for node in ast.walk(loop) if isinstance(node, ast.Subscript))
        filled = {ast.unparse(e.value) for e in entries if isinstance(e.ctx, ast.Store)}
        found |= {name for name in (early & initial) - stored - filled if name in _zeros(tree)}
    return found


def _zeros(tree: ast.FunctionDef) -> set[str]:
    """The names of gradients that are first set to zero."""
    return {name for node in tree.body if isinstance(node, ast.Assign)
            and re.search(r"zeros|^0", ast.unparse(node.value))
            for name in names(node, ast.Store) if re.match("d|grad|carr", name)}  # fmt: skip


CARRIED = re.compile(r"next|prev|carr|later|from_right|future|dstate", re.IGNORECASE)


def simple(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that have no others inside, in the order of the text."""
    for statement in body:
        inner = [getattr(statement, field, []) for field in ("body", "orelse", "finalbody")]
        if any(inner) and not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            for block in inner:
                yield from simple(block)
        else:
            yield statement
