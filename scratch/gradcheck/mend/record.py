"""What forward keeps, one array in place of one for each step; and the target of a loss."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from .edits import Edit, is_gradient
from .lines import Line


def shared(line: Line) -> Iterator[Edit]:
    """One array that every step writes into, and that the record holds for all of them."""
    statement, name = line.statement, "record shares one array"
    match statement:
        case ast.Assign(
            targets=[ast.Subscript(value=ast.Name(id=buffer), slice=index)], value=value
        ):
            if ast.unparse(index) in ("...", ":"):
                yield line.replaced(f"{buffer} = {ast.unparse(value)}", name, _shared(buffer), 1)
        case ast.AugAssign(target=ast.Name(id=buffer), op=op, value=value) if line.around:
            text = ast.unparse(ast.BinOp(ast.Name(buffer, ast.Load()), op, value))
            yield line.replaced(f"{buffer} = {text}", name, _shared(buffer), 1.2)
    if isinstance(statement, ast.Assign | ast.Expr):
        for node in ast.walk(statement.value):
            out = [k for k in getattr(node, "keywords", ()) if k.arg == "out"]
            if isinstance(node, ast.Call) and out and isinstance(statement, ast.Expr):
                others = ", ".join(ast.unparse(a) for a in node.args)
                into = ast.unparse(out[0].value)
                text = f"{into} = {ast.unparse(node.func)}({others})"
                yield line.replaced(text, name, _shared(into), 1.2)
    for node in ast.walk(statement) if isinstance(statement, ast.Assign | ast.Expr) else ():
        for field in ("args", "elts", "value", "values"):
            yield from _copied(line, node, field)


def _shared(buffer: str) -> str:
    return (
        f"every step of the record holds the same array `{buffer}`: it is used again and filled "
        "in place, so that backward sees the last step's values at all steps"
    )


def _copied(line: Line, node: ast.AST, field: str) -> Iterator[Edit]:
    value: Any = getattr(node, field, None)
    for k, part in enumerate(value) if isinstance(value, list) else [(None, value)]:
        if isinstance(part, ast.Name) and (held := line.known.get(part.id)) and held.is_array:
            new = ast.parse(f"{part.id}.copy()", mode="eval").body
            change = (node, field, k, new)
            yield line.edit((change,), "record shares one array", _shared(part.id), 1.1)


def target_not_subtracted(line: Line) -> Iterator[Edit]:
    """`dy[target] -= 1` of softmax with cross-entropy, or `dy = p - target` of a one-hot array."""
    statement = line.statement
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
        return
    name = statement.targets[0].id
    if not is_gradient(name) and "d" not in name:
        return
    missing = f"the one-hot target is not subtracted from the softmax's probabilities in `{name}`"
    held, value = line.scope.all.get(name), statement.value
    for atom, other in line.scope.all.items():
        if held and other.is_array and (*other.shape, other.low, other.high) == (*held.shape, 0, 1):
            match value:
                case ast.BinOp(left=left, op=ast.Div(), right=right):
                    new = f"({ast.unparse(left)} - {atom}) / {ast.unparse(right)}"
                case _:
                    new = f"{ast.unparse(value)} - {atom}"
            cause = f"{missing}: `{atom}`"
            yield line.replaced(f"{name} = {new}", "target not subtracted", cause, 1.5)
    indices = set()
    for node in ast.walk(line.part.tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            inside = ", ".join(ast.unparse(part) for part in parts)
            if re.search(r"target|label|^y|, y|true|expected", inside):
                indices.add(inside)
                indices.add(inside.removesuffix(", 0"))
    for atom, held in line.scope.all.items():
        if held.whole and re.search(r"target|label|^y", atom):
            indices |= {atom, f"{atom}[t]"}
    for index in sorted(indices, key=lambda index: (len(index), index)):
        text = f"{name}[{index}] -= 1"
        if text not in ast.unparse(line.part.tree):
            cause = f"{missing}: `{text}` is missing"
            yield line.followed(text, "target not subtracted", cause, 1.5)
