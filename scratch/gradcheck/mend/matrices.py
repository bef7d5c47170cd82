"""Matrices the wrong way round, sums over another axis, a branch or an end that is another."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from . import words
from .edits import Edit, Spot, bracketed, is_gradient, is_product
from .scope import is_atom


def transposes(spot: Spot) -> Iterator[Edit]:
    """`.T` added or taken away, the order of a product."""
    node = spot.node
    match node:
        case ast.BinOp(left=left, op=ast.MatMult(), right=right):
            pattern = "{} @ {}"
        case ast.Call(func=ast.Attribute(attr="dot" | "matmul"), args=[left, right]):
            pattern = ast.unparse(node.func) + "({}, {})"
        case ast.Call(func=ast.Attribute(value=left, attr="dot"), args=[right]):
            pattern = "{}.dot({})"
        case _:
            return
    a, b = (ast.unparse(bracketed(side)) for side in (left, right))
    ta, tb = _transposed(a), _transposed(b)
    for one, two, what in ((ta, b, a), (a, tb, b), (ta, tb, "both")):
        turned = f"`{what}` is {'' if what.endswith('.T') else 'not '}transposed"
        cause = f"{turned}, and the other way it is right" if what != "both" else (
            "both matrices are the wrong way round")  # fmt: skip
        new = pattern.format(one, two)
        name = what.removesuffix(".T")
        name = f"{words.root(name)} transposed" if name.replace(".", "").isidentifier() else (
            "transposed")  # fmt: skip
        yield spot.edit(new, name, cause, 1.5)
    for one, two in ((b, a), (tb, ta), (b, ta), (tb, a)):
        cause = f"the product `{spot.text}` is the wrong way round"
        yield spot.edit(pattern.format(one, two), "transposed product", cause, 1.8)
    yield spot.edit(f"({spot.text}).T", "transposed", f"`{spot.text}` is transposed", 2)


def _transposed(text: str) -> str:
    return text.removesuffix(".T") if text.endswith(".T") else f"{text}.T"


def axes(spot: Spot) -> Iterator[Edit]:
    """A sum over another axis, a mean for a sum, a sum over the batch left out."""
    node = spot.node
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        attr, text = node.func.attr, spot.text
        if attr in ("sum", "mean"):
            other = "mean" if attr == "sum" else "sum"
            of = ast.unparse(bracketed(node.func.value))
            new = f"{of}.{other}{text[len(ast.unparse(node.func)) :]}"
            cause = f"a {attr} is taken where a {other} belongs: a factor of the number of entries"
            yield spot.edit(new, f"{attr} in place of {other}", cause, 1.3)
        for keyword in node.keywords:
            if keyword.arg == "axis" and isinstance(keyword.value, ast.Constant):
                old = ast.unparse(keyword.value)
                for axis in ("0", "1", "-1"):
                    new = text.replace(f"axis={old}", f"axis={axis}")
                    cause = f"summed over axis {old} in place of axis {axis}"
                    yield spot.edit(new, "sum over another axis", cause, 2)
    shape, atoms = spot.shape, map(ast.unparse, filter(is_atom, ast.walk(node)))
    summed = (is_atom(node) or is_product(node)) and any(map(is_gradient, atoms))
    if shape and len(shape) == 2 and summed:
        text = ast.unparse(bracketed(node))
        for new in (f"{text}.sum(axis=0)", f"{text}.sum(axis=0, keepdims=True)",
                    f"{text}.sum(axis=1, keepdims=True)"):  # fmt: skip
            axis = "first" if "axis=0" in new else "second"
            cause = f"`{spot.text}` is not summed over its {axis} axis"
            yield spot.edit(new, "not summed", cause, 2)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        text = ast.unparse(node.value)
        cause = f"`{spot.text}` is the part of one sample alone, not summed over the batch"
        yield spot.edit(f"{text}.sum(axis=0)", "not summed over the batch", cause, 1.8)


def choices(spot: Spot) -> Iterator[Edit]:
    """The other branch of `a if b else c`; a number cut off; a wrong end of an array."""
    node = spot.node
    match node:
        case ast.IfExp(body=body, test=test, orelse=orelse):
            for keep, drop in ((body, orelse), (orelse, body)):
                new, old = ast.unparse(keep), ast.unparse(drop)
                name, cause = (
                    f"condition {ast.unparse(test)}",
                    f"`{old}` stands where `{new}` belongs",
                )
                if isinstance(drop, ast.Constant) and new in spot.scope.carried:
                    name, begin = words.carry(new, arrives=True)
                    cause = f"{begin} not added"
                yield spot.edit(f"({new})", name, cause, 2)
        case ast.Call(func=ast.Attribute(attr="clip"), args=[value, *_]):
            low_high = ", ".join(ast.unparse(bound) for bound in node.args[1:3])
            cause = f"the gradient is clipped to the range from {low_high.replace(', ', ' to ')}"
            yield spot.edit(f"({ast.unparse(value)})", "clipping", cause, 1)
        case ast.Subscript(value=value, slice=index) if "::-1" in ast.unparse(index):
            cause = f"`{spot.text}` reverses the order of the steps, which is right as it is"
            yield spot.edit(ast.unparse(value), "reversed", cause, 1.6)
        case ast.Call(
            func=ast.Attribute(attr="stack" | "array" | "concatenate"), args=[ast.Name(id=name), *_]
        ):
            new = spot.text.replace(f"({name}", f"({name}[::-1]", 1)
            cause = f"the steps of `{name}` are in reversed order"
            yield spot.edit(new, "reversed", cause, 2)


def flips(spot: Spot) -> Iterator[Edit]:
    """`dhs[::-1]`, where something else is reversed too."""
    held = spot.known.get(spot.text)
    if held is None or not spot.part.reverses or "::-1" in spot.text:
        return
    if isinstance(spot.holder, ast.Subscript | ast.Attribute) or held.holder == "dict":
        return
    axes = 1 if held.holder else len(held.shape) - 1 if held.is_array else 0
    for index in ("::-1", ":, ::-1")[:axes]:
        new = f"{spot.text}[{index}]"
        cause = (f"the steps of `{spot.text}` are not reversed: it stands where `{new}` belongs, "
                 f"as for a network that reads its input backward")  # fmt: skip
        rank = 1.4 if isinstance(spot.statement, ast.For) else 1.7
        yield spot.edit(new, "not reversed", cause, rank)
