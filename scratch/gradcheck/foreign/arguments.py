"""What a function is called with, and which of it are parameters."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ..raised import NotCheckable
from . import names
from .objects import is_object
from .structures import Leaf, leaves, told_apart, with_leaves


class Arguments:
    """What a function is called with, by the names of its arguments."""

    def __init__(self, function: Callable[..., Any], args: Any, named: dict[str, Any]) -> None:
        try:
            self.bound = inspect.signature(function).bind(*args, **named)
        except (TypeError, ValueError) as error:
            name = getattr(function, "__name__", type(function).__name__)
            raise NotCheckable(f"{name}: {error}") from None
        self.values: dict[str, Any] = {n: _own(v) for n, v in self.bound.arguments.items()}

    def leaves(self, functions: Sequence[Callable[..., Any]]) -> list[Leaf]:
        """The float arrays; those of a list by the names that one of the functions gives them."""
        found: list[Leaf] = []
        for name, value in self.values.items():
            if not is_object(value):
                known = names.unpacked(functions, name, value)
                found += leaves(value, name, (name,), known=known)
        return told_apart(found)

    def call(self, function: Callable[..., Any], values: dict[str, Any]) -> Any:
        bound = copy.copy(self.bound)
        bound.arguments = values
        return function(*bound.args, **bound.kwargs)


def _own(value: Any) -> Any:
    """Independent arrays in float64."""
    found = {leaf.path: leaf.array.astype(float) for leaf in leaves(value, "")}
    return with_leaves(value, found)


def roles(arguments: Sequence[Leaf]) -> dict[str, bool]:
    """By name, whether an argument is a parameter: by its name, in a dict, or after one."""
    found, weights_began = {}, False
    for k, leaf in enumerate(arguments):
        first = k == 0 and leaf.name.islower()
        if leaf.in_dict or (names.is_weight(leaf.name) and not first):
            found[leaf.name] = weights_began = True
        else:
            weights_began = weights_began and not names.STRONG.search(leaf.name)
            found[leaf.name] = weights_began
    return found
