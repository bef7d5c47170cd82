"""Local derivatives: wrong ones, missing ones, those taken of the value once more."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from . import words
from .edits import Edit, Spot, bracketed, factors, is_gradient, is_product, spreads
from .scope import Held, is_atom

ACTIVATION = re.compile("tanh|sig|logist|squash|act|relu|deriv|prime|slope|σ", re.IGNORECASE)


def forms(value: str, held: Held | None, *, plain: bool = True) -> Iterator[tuple[str, str]]:
    """What can be made of an activated value, and its words; for none known, all."""
    if plain:
        yield value, "the value itself"
    if held is None or held.is_gate:
        yield f"{value} * (1 - {value})", "the derivative of a sigmoid at its value"
        yield f"(1 - {value})", "what a gate leaves"
    if held is None or (held.is_array and max(abs(held.low), abs(held.high)) <= 1):
        yield f"(1 - {value} ** 2)", "the derivative of tanh at its value"


def derivatives(spot: Spot) -> Iterator[Edit]:
    """Another derivative of the same value."""
    node = spot.node
    yield from _of_products(spot)
    value, old = _derived(node)
    if not value or is_gradient(value):
        return
    if isinstance(node, ast.Call) and not ACTIVATION.search(ast.unparse(node.func)):
        return
    held = spot.known.get(value)
    gate = words.gate(value, spot.known)
    name = f"local derivative of {f'gate {words.root(value)}' if 'gate' in gate else value}"
    for new, meaning in forms(value, held, plain=old != "value"):
        if new.strip("()").replace(" ", "") == spot.text.replace(" ", ""):
            continue
        if isinstance(node, ast.Call):
            function = ast.unparse(node.func).removeprefix("np.")
            if new == value:
                cause = f"{function} is applied again to `{value}`, where the value belongs"
            else:
                cause = (f"the derivative of {gate} is wrong: `{spot.text}` applies {function} "
                         f"again, to the value `{value}`, in place of its derivative `{new}`, "
                         f"{meaning}")  # fmt: skip
            yield spot.edit(new, name, cause, 0.5, f"{function} of a value: {meaning}")
        else:
            cause = f"the derivative of {gate} is wrong: `{spot.text}` stands where `{new}` belongs"
            yield spot.edit(new, name, cause, 2, f"{old} for {meaning}")


def _of_products(spot: Spot) -> Iterator[Edit]:
    """`d * (1 - g) * g` for `d * (1 - g ** 2)`."""
    parts = [ast.unparse(bracketed(factor)) for factor in factors(spot.node)]
    inside = isinstance(spot.holder, ast.BinOp) and isinstance(spot.holder.op, ast.Mult)
    for value in () if inside else parts:
        old = f"(1 - {value})"
        if old in parts and (held := spot.known.get(value)) is not None and held.is_array:
            rest = [part for part in parts if part not in (value, old)]
            new = f"(1 - {value} ** 2)"
            cause = (f"the derivative of `{value}` is wrong: `{value} * {old}`, that of a sigmoid, "
                     f"stands where `{new}`, that of tanh, belongs")  # fmt: skip
            yield spot.edit(" * ".join([*rest, new]), f"local derivative of {value}", cause, 2)


def _derived(node: ast.expr) -> tuple[str, str]:
    """The value of which a node looks like a derivative, and which form it has."""
    match node:
        case ast.Call(args=[value, *_]) if is_atom(value):
            return ast.unparse(value), "call"
        case ast.Call(args=[ast.Call(args=[value]) as inner]) if is_atom(value):
            return ast.unparse(inner), "call"
        case ast.BinOp(left=ast.Constant(value=1), op=ast.Sub() | ast.Add(), right=right):
            match right:
                case ast.BinOp(left=value, op=ast.Pow()) | ast.BinOp(left=value, op=ast.Mult()):
                    return ast.unparse(value), "1 - v²"
            return ast.unparse(right), "1 - v"
        case ast.BinOp(op=ast.Pow(), left=ast.BinOp(left=ast.Constant(value=1), right=value)):
            return ast.unparse(value), "(1 - v)²"
    return "", ""


def inside_out(spot: Spot) -> Iterator[Edit]:
    """tanh(c) for c and back; a call left out."""
    node = spot.node
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        inner = node.args[0]
        function = ast.unparse(node.func)
        if not isinstance(inner, ast.Tuple | ast.List) and "." not in function.removeprefix("np."):
            text = ast.unparse(inner)
            word = function.removeprefix("np.")
            if not ACTIVATION.search(word) and word not in ("exp", "abs", "sqrt", "square", "sign"):
                return
            cause = f"{word} is applied to `{text}` where `{text}` itself belongs"
            yield spot.edit(f"({text})", f"{word} too many", cause, 1.5, f"without {word}")
    held = spot.known.get(spot.text)
    if held is None or not held.is_array or not is_atom(node) or is_gradient(spot.text):
        return
    if max(abs(held.low), abs(held.high)) >= 0.2:
        cause = f"`{spot.text}` stands where tanh of it belongs"
        yield spot.edit(f"np.tanh({spot.text})", "tanh left out", cause, 2, "with tanh")


def missing_factor(spot: Spot) -> Iterator[Edit]:
    """A gate or a local derivative that a term lacks."""
    holder = spot.holder
    inside = isinstance(holder, ast.BinOp) and isinstance(holder.op, ast.Mult | ast.Pow | ast.Div)
    if spot.shape is None or not spot.shape or inside or spot.node in getattr(holder, "ops", ()):
        return
    text = ast.unparse(bracketed(spot.node) if not is_product(spot.node) else spot.node)
    for value, held in spot.known.items():
        if not held.is_array or not spreads(held.shape, spot.shape) or is_gradient(value):
            continue
        gate = words.gate(value, spot.known)
        of = f"local derivative of {f'gate {words.root(value)}' if 'gate' in gate else value}"
        there = {ast.unparse(factor) for factor in factors(spot.node)}
        for form, meaning in forms(value, held):
            other = f"1 - {value}" if form == value else value
            if held.is_gate and "derivative" not in meaning and other in there:
                name, cause = of, f"the derivative of {gate} is not whole: `{form}` is missing"
            elif form == value:
                name, cause = f"{words.root(value)} left out", f"{gate} is missing as a factor"
            elif "derivative" in meaning:
                name, cause = of, f"the derivative of {gate}, `{form}`, is missing"
            else:
                name = f"1 - {words.root(value)} left out"
                cause = f"`{form}` is missing as a factor"
            cause = f"{cause} in `{spot.text}`"
            beside = _beside(spot)
            if "derivative" in meaning and form in beside:
                name = "missing parentheses"
                cause = (f"parentheses are missing: the derivative `{form}` multiplies only "
                         f"`{beside}`, not `{spot.text}`")  # fmt: skip
            rank = 2.4 if "not whole" in cause else 3
            yield spot.edit(f"{text} * {form}", name, cause, rank)


def _beside(spot: Spot) -> str:
    """The other side of a sum."""
    match spot.holder:
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            return ast.unparse(right if spot.node is left else left)
    return ""
