"""A backward pass that ends in an exception, or that is not written yet."""

from __future__ import annotations

import ast
import inspect
import textwrap
import traceback
from types import CodeType

import numpy as np

from .code_under_test import Claims, CodeUnderTest, ModuleRaised
from .report import MISSING, Finding


def raised(error: ModuleRaised) -> Finding | None:
    """The finding for an exception; None for one of the forward pass, which is the caller's."""
    kind = type(error.raised).__name__
    left_out = hole_on_the_way(error.raised)
    if isinstance(error.raised, NotImplementedError) or left_out or "llipsis" in str(error):
        words = "is not written yet" if kind == "NotImplementedError" else "has a hole: `...`"
        evidence = f"{left_out or str(error).rstrip(' :')}, at {error.line}"
        return Finding("hole", f"{error.doing} {words}", evidence, "that line")
    if error.doing != "backward":
        return None
    return Finding(
        f"backward raises {kind}", f"backward raises {error}", f"at {error.line}", "that line"
    )


def hole_on_the_way(raised: BaseException) -> str:
    """The statement with `...` as its value in a function that the exception went through, or ''.

    `dz = ...` raises nothing itself: what reads dz does, each in its own words.
    """
    frames = [frame for frame, _ in traceback.walk_tb(raised.__traceback__)]
    return next(filter(None, (_statement_with_dots(frame.f_code) for frame in frames)), "")


def _statement_with_dots(code: CodeType) -> str:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, TypeError, SyntaxError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.Return) and (
            isinstance(node.value, ast.Constant) and node.value.value is ...
        ):
            return f"`{ast.unparse(node)}`"
    return ""


def is_one(code: CodeUnderTest, claims: Claims) -> bool:
    """Whether no gradient came; where backward returns nothing, zeros are buffers as they were."""
    if getattr(code.original, "nothing_came", False):
        return not any(grad is not None and np.any(grad) for grad in claims.values())
    return all(grad is None for grad in claims.values())


def nothing_came(code: CodeUnderTest) -> Finding:
    nothing = f", and nothing came for {', '.join(code.values)}" if code.values else ""
    return Finding(
        "hole",
        "no gradient came: backward is not written yet, or returns and adds nothing",
        f"it returned no array{nothing}",
        "the end of backward: gradients are returned, or kept where parameters are",
        tuple(code.values),
    )


def missing(code: CodeUnderTest) -> list[Finding]:
    """A remark on parameters for which nothing came, while something came for others."""
    names = getattr(code.original, "missing", [])
    if not names:
        return []
    words = " and ".join(names)
    return [Finding(
        f"{MISSING} {words}",
        f"{MISSING} {words}; it was not judged",
        "the answers depend on it, and a gradient came for others",
        "what backward returns, or keeps beside the parameters, and under which name",
        tuple(names),
    )]  # fmt: skip
