"""One variable for another: another step of it, another of the same shape, another order."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from . import words
from .edits import Edit, Spot, is_gradient, is_product, steps_of
from .scope import is_atom, shape_of


def shifts(spot: Spot) -> Iterator[Edit]:
    """`hs[t]` ↔ `hs[t − 1]`, and `hs[−1]` at t = 0."""
    node = spot.node
    if not isinstance(node, ast.Subscript):
        return
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    for k, index in enumerate(inner):
        name, offset = _index(index)
        if name not in spot.scope.counters:
            yield from _at_step(spot, node, inner, k)
            continue
        for other in (offset - 1, offset + 1):
            text = name if not other else f"{name} {'+' if other > 0 else '-'} {abs(other)}"
            parts = [ast.unparse(part) for part in inner]
            parts[k] = text
            new = f"{ast.unparse(node.value)}[{', '.join(parts)}]"
            of = words.root(ast.unparse(node.value))
            which = "after the step" if other < offset else "before the step"
            where = "before it" if other < offset else "after it"
            cause = (f"shifted by one step: `{spot.text}`, {of} {which}, is used where the one "
                     f"{where}, `{new}`, belongs")  # fmt: skip
            yield spot.edit(new, f"{of} shifted by one step", cause, 1, f"shift {of} {other}")
        if offset < 0:
            cause = (f"at {name} = 0, `{spot.text}` is the last one, not the one before the first: "
                     f"the index {name} - 1 = -1 wraps round")  # fmt: skip
            starts = [text for text, held in spot.known.items()
                      if held.is_array and spot.shape == held.shape and text.isidentifier()
                      and ("0" in text or "init" in text or "start" in text)]  # fmt: skip
            for start in [*starts, f"0 * {spot.text}"]:
                new = f"({spot.text} if {name} else {start})"
                yield spot.edit(new, "index wraps round at the first step", cause, 1)


def _at_step(spot: Spot, node: ast.Subscript, inner: list[ast.expr], k: int) -> Iterator[Edit]:
    """`dh[:, t]` for `dh[:, -1]`, and for any other index that is none of the step's."""
    index = ast.unparse(inner[k])
    among = set(re.findall(r"\w+", index)) & spot.scope.counters
    if not among and index not in ("-1", "0"):
        return
    for step in sorted(among or spot.scope.counters & set(spot.known)):
        parts = [ast.unparse(part) for part in inner]
        parts[k] = step
        new = f"{ast.unparse(node.value)}[{', '.join(parts)}]"
        cause = f"`{spot.text}` stands where `{new}`, that of the step itself, belongs"
        yield spot.edit(new, f"{words.root(new)} of another step", cause, 1.2)


def _index(node: ast.expr) -> tuple[str, int]:
    match node:
        case ast.Name(id=name):
            return name, 0
        case ast.BinOp(left=ast.Name(id=name), op=ast.Add(), right=ast.Constant(value=int(n))):
            return name, n
        case ast.BinOp(left=ast.Name(id=name), op=ast.Sub(), right=ast.Constant(value=int(n))):
            return name, -n
    return "", 0


def others(spot: Spot) -> Iterator[Edit]:
    """Another variable of the same shape."""
    if is_product(spot.node) and spot.shape and not is_gradient(spot.text):
        for text, other in spot.known.items():
            if other.is_array and other.shape == spot.shape and not is_gradient(text):
                cause = f"`{spot.text}` stands where `{text}` belongs"
                yield spot.edit(text, f"{spot.text} in place of {text}", cause, 2.9)
    if not is_atom(spot.node) or (held := spot.known.get(spot.text)) is None:
        return
    for text, other in spot.known.items():
        fits = other.shape == held.shape and other.whole == held.whole
        if not held.shape and ("[" in text) != isinstance(spot.node, ast.Subscript):
            continue
        if fits and text != spot.text and held.holder == other.holder:
            yield spot.edit(text, *_instead(spot, text), f"{spot.text} → {text}")
    if not isinstance(spot.node, ast.Name):
        return
    for text, other in steps_of(spot, spot.known):
        if other.shape == held.shape and held.is_array and text not in spot.known:
            yield spot.edit(text, *_instead(spot, text), f"{spot.text} → {text}")


def _instead(spot: Spot, new: str) -> tuple[str, str, float]:
    """Name, cause and rank of one variable in another's place."""
    old = spot.text
    doubled = isinstance(spot.statement, ast.AugAssign) and (
        ast.unparse(spot.statement.target) == old
    )  # dc += dc
    carried = spot.scope.carried if doubled else spot.scope.unread
    if not spot.stores and is_gradient(new) and new in carried:
        name, begin = words.carry(new, arrives=new not in spot.scope.unread)
        rank = 0.3 if doubled else 0.6 if is_gradient(old) else 1.6
        return name, f"{begin} not used: `{old}` stands where it belongs", rank
    if words.base(old) == words.base(new) and not is_gradient(old):
        before = bool(words.BEFORE.search(new))
        which, where = ("after", "before it") if before else ("before", "after it")
        cause = (f"shifted by one step: `{old}`, the one {which} the step, is used where the one "
                 f"{where}, `{new}`, belongs")  # fmt: skip
        return f"{words.base(old)} shifted by one step", cause, 1.5
    cause = f"`{old}` stands where `{new}` belongs"
    if not is_gradient(old) and words.gate(new, spot.known) != f"`{new}`":
        cause += f", {words.gate(new, spot.known)}"
    return f"{words.root(old)} in place of {words.root(new)}", cause, 2.5


def slices(spot: Spot) -> Iterator[Edit]:
    """The other end of `z[:, :H]`, another width."""
    node = spot.node
    if not isinstance(node, ast.Slice) or (node.lower is None) == (node.upper is None):
        return
    end = node.lower or node.upper
    assert end is not None
    text = ast.unparse(end)
    old = spot.text
    new = f":{text}" if node.upper is None else f"{text}:"
    cause = f"the part `{old}` is taken where the part `{new}` belongs"
    widths = [t for t, held in spot.known.items() if held.whole and not held.shape and t != text]
    plain = text.lstrip("-")
    for bound in [
        new,
        f":{plain}",
        f"{plain}:",
        *(old.replace(text, width) for width in widths),
        *(f"{width}:" for width in widths),
    ]:
        if bound != old:
            lower, _, upper = bound.partition(":")
            slice_ = ast.Slice(
                ast.parse(lower, mode="eval").body if lower else None,
                ast.parse(upper, mode="eval").body if upper else None,
            )
            change = (spot.holder, spot.field, spot.index, slice_)
            words_ = cause if bound == new else f"`{old}` is taken where `{bound}` belongs"
            yield Edit(spot.part, (change,), (spot.statement,), "another slice", words_, 2)


def swapped(spot: Spot) -> Iterator[Edit]:
    """Two neighbours of a list in the other order: gates joined, arguments, values returned."""
    node = spot.node
    field = "args" if isinstance(node, ast.Call) else "elts"
    parts = getattr(node, field, [])
    if not isinstance(node, ast.Call | ast.Tuple | ast.List) or len(parts) < 2:
        return
    shapes = [shape_of(part, spot.known) for part in parts]
    for j in range(len(parts)):
        for k in range(j + 1, len(parts)):
            if None in (shapes[j], shapes[k]) or shapes[j] == shapes[k]:
                order = list(parts)
                order[j], order[k] = order[k], order[j]
                a, b = ast.unparse(parts[j]), ast.unparse(parts[k])
                cause = f"`{a}` and `{b}` stand in each other's place: the order is another one"
                yield Edit(spot.part, ((node, field, None, order),), (spot.statement,),
                           "another order", cause, 2)  # fmt: skip
