"""Copies of what code keeps, objects and globals, in which arrays that are shared stay shared."""

from __future__ import annotations

import copy
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ...machinery.module import Array
from ..raised import NotCheckable, words

LONG = 10_000  # parts of a list that is shared in the same way
LARGE = 1_000_000  # entries of an array that need not be copied, such as a data set
ATOMS = (str, bytes, int, float, complex, type, types.ModuleType, types.FunctionType,
         types.BuiltinFunctionType, type(None))  # fmt: skip


class Kept:
    """Things that a pass may change. `copied(dtype)` are they as they were, for one pass."""

    def __init__(self, things: dict[str, Any]) -> None:
        self.things = things
        self.shared: list[Any] = []  # modules, data sets: a pass reads them and changes none
        self.arrays = list(arrays_inside(things, self.shared))

    def share_large(self, needed: set[int]) -> None:
        """From here on, large arrays are not copied, but for those with a needed id: data sets."""
        large = {id(a) for a in self.arrays if a.size > LARGE} - needed
        self.shared += [array for array in self.arrays if id(array) in large]
        self.arrays = [array for array in self.arrays if id(array) not in large]

    def copied(self, dtype: DTypeLike) -> tuple[dict[str, Any], dict[int, Any]]:
        """A copy, and by the id of each array inside, its copy."""
        memo: dict[int, Any] = {}
        roots: dict[int, Array] = {}
        for array in self.arrays:
            memo[id(array)] = _copy_of(array, np.dtype(dtype), roots)
        return self.again(self.things, memo), memo

    def again(self, things: dict[str, Any], memo: dict[int, Any] | None = None) -> dict[str, Any]:
        """A copy of what a pass has left behind."""
        memo = {} if memo is None else memo
        memo |= {id(value): value for value in self.shared}
        try:
            return copy.deepcopy(things, memo)
        except Exception as error:
            raise NotCheckable(
                f"every pass runs on a copy, and something cannot be copied: {words(error)}"
            ) from error


def arrays_inside(value: Any, long: list[Any] | None = None) -> Iterator[Array]:
    """Every array in nests, in objects and in what these hold, each once.

    Modules, and lists and dicts of very many parts, are not looked into; they go into `long`.
    """
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, types.ModuleType) and long is not None:
            long.append(value)
        if isinstance(value, ATOMS) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, list | tuple | dict | set) and len(value) > LONG:
            if long is not None:
                long.append(value)
        else:
            waiting += parts_of(value).values()


def parts_of(value: Any) -> dict[Any, Any]:
    """What is directly inside: items by key or place, attributes by name."""
    if isinstance(value, (*ATOMS, np.ndarray, np.generic)):
        return {}
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, tuple | list | set | frozenset):
        return dict(enumerate(value))
    if isinstance(value, types.MethodType):
        return {"__self__": value.__self__}
    slots = [s for cls in type(value).__mro__ for s in getattr(cls, "__slots__", ())]
    found = {s: getattr(value, s) for s in slots if isinstance(s, str) and hasattr(value, s)}
    return found | dict(getattr(value, "__dict__", {}))


def _copy_of(array: Array, dtype: np.dtype[Any], roots: dict[int, Array]) -> Array:
    """A copy; floats in `dtype`. Views of one array become views of its copy."""
    if array.dtype.kind not in "fc":
        return array if array.size > LARGE else array.copy()
    kind = dtype if array.dtype.kind == "f" else np.dtype(complex)
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    if root is array or root.dtype != array.dtype or not _strided(root) or 0 in array.strides:
        if root is not array:
            return array.astype(kind)
        if id(array) not in roots:
            roots[id(array)] = array.astype(kind, order="K")
        return roots[id(array)]
    if id(root) not in roots:
        roots[id(root)] = root.astype(kind, order="K")
    size = root.itemsize
    start = (array.ctypes.data - root.ctypes.data) // size * kind.itemsize
    strides = [step // size * kind.itemsize for step in array.strides]
    return np.ndarray(array.shape, kind, roots[id(root)], start, strides)


def _strided(array: Array) -> bool:
    """Whether its copy of order "K" lies in memory as it does."""
    return bool(array.flags.c_contiguous)
