"""Arrays in whatever people put them into: dicts, lists of a column for each step, tuples, objects.

A list of arrays of one shape (or a dict by step) is one array, with the steps as its first axis.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from ...machinery.module import Array
from .copies import parts_of
from .names import GENERIC, STATE, Key, Names, holds_others

Path = tuple[Any, ...]  # from the outside in: a key, a place, or (attribute,)


def get(value: Any, path: Path) -> Any:
    """What is at the end of a path; None where it ends before."""
    for step in path:
        try:
            value = getattr(value, step[0]) if isinstance(step, tuple) else value[step]
        except (AttributeError, KeyError, IndexError, TypeError):
            return None
    return value


def is_float_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fc"


def is_number(value: Any) -> bool:
    return isinstance(value, float | complex | np.inexact) or (
        is_float_array(value) and value.ndim == 0
    )


def steps_of(value: Any) -> list[Any]:
    """The arrays of a list of float arrays of one shape, or of a dict of them by integers."""
    if isinstance(value, dict) and value and all(isinstance(k, int | np.integer) for k in value):
        value = [value[key] for key in sorted(value)]
    if type(value) is not list or not value:
        return []
    same = all(is_float_array(v) and v.shape == value[0].shape for v in value)
    return value if same and value[0].ndim else []


def one_array(value: Any) -> Any:
    """An array of anything that is one: an array, a number, a list of steps; None of None."""
    if value is None or value is ... or value is NotImplemented:
        return None
    if steps := steps_of(value):
        return np.stack(steps)
    if isinstance(value, np.ndarray | np.generic | float | int | complex):
        return np.asarray(value)
    if isinstance(value, list | tuple):
        try:
            return np.asarray(value, float)
        except (TypeError, ValueError):
            return None
    return None


def like_steps(value: Any, array: Any) -> Any:
    """`array` in the structure of `value`, whose steps it holds."""
    if isinstance(value, dict):
        return dict(zip(sorted(value), array, strict=False))
    return list(array)


# What goes in


@dataclass(frozen=True)
class Leaf:
    """An array that goes in. `source` is the array itself, a number, or the list of steps."""

    name: str
    source: Any
    path: Path
    in_dict: bool = False
    full: str = ""  # the name with those of what it is in, for where the short one is not unique
    kept: bool = False  # in a namespace or an object, and no argument

    @property
    def array(self) -> Array:
        return np.asarray(one_array(self.source))

    @property
    def is_number(self) -> bool:
        """Whether it is a float, which may be a parameter, a rate or a size."""
        return not isinstance(self.source, np.ndarray) and is_number(self.source)

    @property
    def identity(self) -> Any:
        """Equal for one array under two names; numbers are told apart by where they are."""
        return self.path if self.is_number else id(self.source)


def leaves(
    value: Any,
    name: str,
    path: Path = (),
    in_dict: bool = False,
    known: Sequence[str] | None = None,
    full: str = "",
) -> Iterator[Leaf]:
    """The floats and arrays of floats in nests, by their keys; the names of a list may be known."""
    full = full or name
    if known is not None:
        states = all(STATE.search(part) for part in known)  # h, c = state
        for k, part in enumerate(value):
            yield from leaves(part, known[k], (*path, k), not states, full=f"{full}.{known[k]}")
    elif is_float_array(value) or is_number(value) or steps_of(value):
        yield Leaf(name, value, path, in_dict, full)
    elif isinstance(value, dict):
        for key, part in value.items():
            inner = key if isinstance(key, str) else f"{name}[{key!r}]"
            yield from leaves(part, inner, (*path, key), True, full=f"{full}.{key}")
    elif isinstance(value, tuple | list):
        fields = getattr(value, "_fields", None)
        for k, part in enumerate(value):
            if fields:
                yield from leaves(part, fields[k], (*path, k), True, full=f"{full}.{fields[k]}")
            elif not is_number(part):  # a list of numbers is data
                yield from leaves(part, f"{name}[{k}]", (*path, k), in_dict, full=f"{full}[{k}]")


def with_leaves(value: Any, new: Mapping[Path, Array], path: Path = ()) -> Any:
    """The same nest, in new containers, with `new` arrays at their paths."""
    if path in new:
        if isinstance(value, float | complex) and not isinstance(value, np.generic):
            return new[path].item()
        same = is_float_array(value) or is_number(value)
        return new[path] if same else like_steps(value, new[path])
    if isinstance(value, dict):
        fresh = copy.copy(value)
        fresh.update({key: with_leaves(part, new, (*path, key)) for key, part in value.items()})
        return fresh
    if isinstance(value, tuple | list):
        items = [with_leaves(part, new, (*path, k)) for k, part in enumerate(value)]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value.copy() if isinstance(value, np.ndarray) else value


# What comes back


@dataclass(frozen=True)
class Came:
    """Something that was returned, under the name that it has there."""

    name: str | None
    path: Path
    value: Any
    full: str = ""  # the name with those of what it is in


Named = TypeVar("Named", Leaf, Came)


def told_apart(found: Sequence[Named]) -> list[Named]:
    """With as much of the full names as makes them unique: W.f and b.f of two dicts by gate."""
    found = list(found)
    for length in range(2, 6):
        names = [each.name for each in found]
        for k, each in enumerate(found):
            if each.name is not None and each.full and names.count(each.name) > 1:
                longer = ".".join(each.full.split(".")[-length:])
                found[k] = replace(each, name=type(each.name)(longer))
    return found


def came(
    value: Any,
    names: Names,
    whole: Callable[[str], bool],
    path: Path = (),
    depth: int = 6,
    full: str = "",
) -> Iterator[Came]:
    """Everything inside what was returned.

    whole: whether a list under a name is one gradient, and not several.
    """
    name = names if isinstance(names, str) else None
    full = full or name or ""
    if value is None or value is ... or depth < 0:
        yield Came(name, path, None, full)
    elif isinstance(value, np.ndarray | np.generic | float | int | complex) or (
        name is not None and steps_of(value) and whole(name)
    ):
        yield Came(name, path, value, full)
    elif name is not None and not isinstance(value, tuple | list) and holds_others(name):
        return
    elif isinstance(value, dict):
        for key, part in value.items():
            inner = Key(key) if isinstance(key, str) else _inside(name, key)
            yield from came(part, inner, whole, (*path, key), depth - 1, f"{full}.{key}".strip("."))
    elif isinstance(value, tuple | list):
        known = names if isinstance(names, list) and len(names) == len(value) else []
        fields = [Key(field) for field in getattr(value, "_fields", ())]
        known = fields or known
        if not known or ... in known:
            history = isinstance(value, list)  # a tuple is one of gradients, whatever it is called
            known = [_inside(name, k) if history else None for k in range(len(value))]
        for k, (part, inner) in enumerate(zip(value, known, strict=True)):
            yield from came(part, inner, whole, (*path, k), depth - 1)
    else:
        for attribute, part in parts_of(value).items():
            yield from came(part, Key(attribute), whole, (*path, (attribute,)), depth - 1,
                            f"{full}.{attribute}".strip("."))  # fmt: skip


def _inside(name: str | None, key: Any) -> str | None:
    """The name of a part of hs is hs[0]; those of `grads` have none."""
    return None if name is None or GENERIC.match(name) else f"{name}[{key!r}]"
