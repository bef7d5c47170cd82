"""What cells and layers accept. Everything else is refused before anything is computed.

The types of the exceptions are those of torch.nn, which checks in several places and so has
several: ValueError for the number of dimensions of an input, RuntimeError for a size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .module import Array, describe

Shape = tuple[int, ...]


def check_int(name: str, value: object) -> None:
    if not isinstance(value, int):
        raise TypeError(f"{name}: expected an int, got {describe(value)}")


def check_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, got {describe(value)}")


def check_dimensions(
    name: str, array: object, shapes: Mapping[int, str], error: type[Exception] = ValueError
) -> None:
    """`error` for an array whose number of dimensions is not among `shapes`."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name}: expected a NumPy array, got {describe(array)}")
    if array.ndim not in shapes:
        raise error(f"{name}: expected {' or '.join(shapes.values())}, got {describe(array)}")


def check_like(name: str, array: object, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """RuntimeError for another shape or dtype."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name}: expected a NumPy array, got {describe(array)}")
    if array.shape != shape or array.dtype != dtype:
        raise RuntimeError(
            f"{name}: expected shape {shape} and dtype {dtype}, got {describe(array)}"
        )
    return array


def check_arrays(
    names: Sequence[str],
    value: Any,
    shapes: Sequence[Shape],
    dtype: np.dtype[Any],
    *,
    optional: bool = False,
) -> list[Array]:
    """The arrays of a state, or of its gradient: `value` itself if there is one name, else a pair.

    None stands for zeros; within a pair only if `optional`. RuntimeError for another shape, dtype
    or number of arrays, IndexError for too few, TypeError for what is neither array nor pair.
    """
    if value is None:
        return [np.zeros(shape, dtype) for shape in shapes]
    arrays = [value] if len(names) == 1 else value
    pair = f"{names[0].split(':')[0]}: expected the pair ({', '.join(names)}), got"
    if not isinstance(arrays, tuple | list):
        error: type[Exception] = RuntimeError if isinstance(value, np.ndarray) else TypeError
        raise error(f"{pair} {describe(value)}")
    if len(arrays) != len(names):
        error = IndexError if len(arrays) < len(names) else RuntimeError
        raise error(f"{pair} {len(arrays)} values")
    return [
        np.zeros(shape, dtype)
        if array is None and optional
        else check_like(name, array, shape, dtype)
        for name, array, shape in zip(names, arrays, shapes, strict=True)
    ]
