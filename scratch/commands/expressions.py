"""--make and --call: expressions in a file's own names, with arrays to draw."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from ..machinery.module import Array
from .options import UsageError


def with_repeats(indices: Array) -> Array:
    """With the first one again at the end of every axis.

    Where no index came twice, a gradient that is assigned to its row would look as one added.
    """
    for axis in range(indices.ndim) if indices.size else ():
        place = [0] * indices.ndim
        place[axis] = -1
        indices[tuple(place)] = indices.flat[0]
    return indices


def parsed(option: str, text: str) -> ast.expr:
    """The expression given to an option, which may be a mistake of the person's."""
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError) as error:
        why = getattr(error, "msg", error)
        raise UsageError(f"{option}: expected an expression, got {text!r}: {why}") from None


class Expressions:
    """Evaluates in a file's names, with `N(*shape)` normal numbers and `I(high, *shape)` integers.

    A name of the file is never hidden: where it has an N that cannot be called, such as a size,
    only the N of `N(...)` is ours.
    """

    def __init__(self, names: dict[str, Any], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)

        def normal(*shape: int) -> Array:
            return rng.standard_normal(shape)

        def integers(high: int, *shape: int) -> Array:
            return with_repeats(np.asarray(rng.integers(0, high, shape)))

        self.names: dict[str, Any] = {"np": np, **names}
        self.draw: dict[str, Callable[..., Array]] = {"N": normal, "I": integers}

    def value(self, option: str, text: str) -> Any:
        return self._value(parsed(option, text))

    def call(self, option: str, text: str) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """What is called, and the arguments."""
        node = parsed(option, text)
        if not isinstance(node, ast.Call):
            raise UsageError(f"{option}: expected a call such as f(N(2, 3)), got {text!r}")
        args: list[Any] = []
        for part in node.args:
            if isinstance(part, ast.Starred):
                args += self._value(part.value)
            else:
                args.append(self._value(part))
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self._value(keyword.value)
            named |= {keyword.arg: value} if keyword.arg else value
        return self._value(node.func), tuple(args), named

    def _value(self, node: ast.expr) -> Any:
        ours = _Ours({name for name in self.draw if not callable(self.names.get(name))})
        node = ast.fix_missing_locations(ours.visit(node))
        code = compile(ast.Expression(node), "<option>", "eval")
        scope = {"__builtins__": builtins, **self.names}
        scope |= {f"{name} of check": draw for name, draw in self.draw.items()}
        return eval(code, scope)


class _Ours(ast.NodeTransformer):
    """N(...) and I(...) that are not the file's."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in self.names:
            node.func.id = f"{node.func.id} of check"
        return node
