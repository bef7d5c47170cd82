"""Arrays in nests of tuples and lists, such as (output, (h_n, c_n)), as a flat list and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .module import Array


def is_packed(value: Any) -> bool:
    """Whether this is a `PackedSequence`, of this package or of PyTorch."""
    return "batch_sizes" in getattr(value, "_fields", ())


def flatten(nest: Any) -> list[Any]:
    """What a nest holds, in order, None too; of a packed sequence its data."""
    if is_packed(nest):
        return [nest.data]
    if isinstance(nest, tuple | list):
        return [leaf for part in nest for leaf in flatten(part)]
    return [nest]


def map_leaves(function: Callable[[Any], Any], nest: Any) -> Any:
    """The same nest with `function` applied to everything that `flatten` returns, in that order."""
    if is_packed(nest):
        return nest._replace(data=function(nest.data))
    if isinstance(nest, tuple | list):
        parts = [map_leaves(function, part) for part in nest]
        return type(nest)(*parts) if hasattr(nest, "_fields") else type(nest)(parts)
    return function(nest)


# Floating point and complex arrays alone: integers, such as class indices, have no gradient


def is_inexact(leaf: Any) -> bool:
    """Whether this is an array, or a number, of floats or complex numbers."""
    if isinstance(leaf, np.ndarray | np.generic):
        return leaf.dtype.kind in "fc"
    return isinstance(leaf, float | complex)


def float_arrays(nest: Any) -> list[Array]:
    """The floating point and complex arrays of a nest; a number is an array of shape ()."""
    return [np.asarray(leaf) for leaf in flatten(nest) if is_inexact(leaf)]


def with_arrays(nest: Any, arrays: Iterable[Array]) -> Any:
    """The nest with `arrays` in the places of its float arrays."""
    rest = iter(arrays)

    def place(leaf: Any) -> Any:
        if not is_inexact(leaf):
            return leaf
        return next(rest) if isinstance(leaf, np.ndarray) else next(rest)[()]

    return map_leaves(place, nest)


def as_dtype(nest: Any, dtype: DTypeLike) -> Any:
    """A copy of the nest with its float arrays in `dtype`."""
    return with_arrays(nest, [array.astype(dtype) for array in float_arrays(nest)])


def vector(nest: Any) -> Array:
    """All numbers of the float arrays, one behind the other."""
    parts = [array.reshape(-1) for array in float_arrays(nest)]
    return np.concatenate(parts) if parts else np.zeros(0)


def split(numbers: Array, like: list[Array]) -> list[Array]:
    """The inverse of `vector`: arrays of the shapes of `like`."""
    parts = np.split(numbers, np.cumsum([array.size for array in like])[:-1])
    return [part.reshape(array.shape) for part, array in zip(parts, like, strict=True)]
