"""Loops over time that leave out steps, run the wrong way, or are cut."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .edits import Edit
from .lines import Line, number, where
from .scope import is_atom


def bounds(line: Line) -> Iterator[Edit]:
    """Steps that a loop leaves out; a loop back in time that is cut."""
    loop = line.statement
    if not isinstance(loop, ast.For):
        return
    yield from _cut(line, loop)
    for node in ast.walk(loop.iter):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("range", "arange")):
            for k, argument in enumerate(node.args):
                for by in (1, -1):
                    text = _moved(ast.unparse(argument), by)
                    cause = (
                        f"the loop leaves out a step, or has one too many: `{ast.unparse(node)}`"
                    )
                    change = (node, "args", k, ast.parse(text, mode="eval").body)
                    yield line.edit((change,), "loop bound", cause, 1.5)
            if len(node.args) == 1:
                most = _moved(ast.unparse(node.args[0]), 1)
                new = ast.parse(f"range({most})[::-1]", mode="eval").body
                cause = (f"`{ast.unparse(loop.iter)}` runs forward and leaves out a step: the "
                         f"backward pass goes from the last step to the first")  # fmt: skip
                yield line.edit(((loop, "iter", None, new),), "order of the steps", cause, 2.1)
            if len(node.args) == 2:
                change_ = (node, "args", None, node.args[1:])
                cause = f"the loop leaves out the first step: `{ast.unparse(node)}`"
                yield line.edit((change_,), "first step skipped", cause, 1.4)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("reversed",):
            place = where(loop, node)
            cause = "the loop runs backward where it should run forward"
            yield line.edit(((*place, node.args[0]),), "order of the steps", cause, 2)
    if not any(isinstance(n, ast.Slice) or ast.unparse(n).startswith("reversed")
               for n in ast.walk(loop.iter)):  # fmt: skip
        new = ast.parse(f"reversed(list({ast.unparse(loop.iter)}))", mode="eval").body
        cause = "the loop runs forward where a backward pass goes from the last step to the first"
        yield line.edit(((loop, "iter", None, new),), "order of the steps", cause, 2)


def _moved(text: str, by: int) -> str:
    match = re.fullmatch(r"(.+) ([+-]) 1", text)
    if match and (match[2] == "-") == (by > 0):
        return match[1]
    if re.fullmatch(r"-?\d+", text):
        return str(int(text) + by)
    return f"{text} {'+' if by > 0 else '-'} 1"


def _cut(line: Line, loop: ast.For) -> Iterator[Edit]:
    """`range(max(0, t − K), …)`: the inner loop of truncated backpropagation."""
    for node in ast.walk(loop.iter):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("max", "min", "np.maximum"):
            for keep, drop in (node.args, node.args[::-1]) if len(node.args) == 2 else ():
                numbers = [k for n in ast.walk(drop) if is_atom(n) and (k := number(line, n))]  # type: ignore[arg-type]
                known = _constants(drop) + numbers
                many = f" (K = {known[0]})" if known else ""
                after = f"after {known[0]} steps" if known else "after a few steps"
                cause = (f"backpropagation through time is cut {after} back from each answer{many}"
                         f": the loop stops at `{ast.unparse(drop)}`; the gradients are right only "
                         f"for sequences no longer than that")  # fmt: skip
                yield line.edit(((*where(loop, node), keep),), "truncated", cause, 0.8)


def _constants(node: ast.expr) -> list[int]:
    values = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
    return [value for value in values if isinstance(value, int) and value > 1]
