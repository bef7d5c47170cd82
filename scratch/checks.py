"""What cells and layers accept. Everything else is refused before anything is computed.

The types of the exceptions are those of torch.nn, which checks in several places and so has
several: ValueError for the number of dimensions of an input, RuntimeError for a size.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from numbers import Number
from types import UnionType
from typing import Any

import numpy as np

from .module import Array, check_array, describe

Shape = tuple[int, ...]


def check_int(name: str, value: object, kinds: type | UnionType = int) -> None:
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise TypeError(f"{name}: expected an int, got {describe(value)}")


def check_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, got {describe(value)}")


def check_at_least(name: str, value: int, smallest: int) -> None:
    if value < smallest:
        raise ValueError(f"{name}: expected at least {smallest}, got {value}")


def check_dropout(dropout: float, num_layers: int) -> None:
    """The types are those of PyTorch, which converts to a float before it looks."""
    expected = f"dropout: expected a probability from 0 to 1, got {describe(dropout)}"
    try:
        p = float(dropout)
    except (TypeError, ValueError) as error:
        raise type(error)(expected) from None
    if not isinstance(dropout, Number) or isinstance(dropout, bool) or not 0 <= p <= 1:
        raise ValueError(expected)
    if p > 0 and num_layers == 1:
        warnings.warn(
            f"dropout acts between layers: dropout={dropout} does nothing with num_layers=1",
            stacklevel=4,
        )


def check_dimensions(
    name: str, array: object, shapes: Mapping[int, str], error: type[Exception] = ValueError
) -> None:
    """`error` for an array whose number of dimensions is not among `shapes`."""
    if check_array(name, array).ndim not in shapes:
        raise error(f"{name}: expected {' or '.join(shapes.values())}, got {describe(array)}")


def check_like(
    name: str,
    array: object,
    shape: Shape,
    dtype: np.dtype[Any],
    dtype_error: type[Exception] = RuntimeError,
) -> Array:
    """RuntimeError for another shape, `dtype_error` for another dtype."""
    array = check_array(name, array)
    if array.shape != shape or array.dtype != dtype:
        raise (RuntimeError if array.shape != shape else dtype_error)(
            f"{name}: expected shape {shape} and dtype {dtype}, got {describe(array)}"
        )
    return array


def check_arrays(
    names: Sequence[str],
    value: Any,
    shapes: Sequence[Shape],
    dtype: np.dtype[Any],
    cell: bool = False,
) -> list[Array]:
    """The arrays of a state: `value` itself if there is one name, else a pair. None is zeros.

    RuntimeError for another shape or dtype; of a `cell`, ValueError for an array that has neither
    one nor two dimensions.
    """
    if value is None:
        return [np.zeros(shape, dtype) for shape in shapes]
    arrays = _take_apart(names, value, indexed=not cell)
    if cell:
        for name, array in zip(names, arrays, strict=True):
            check_dimensions(name, array, {1: "(hidden_size,)", 2: "(N, hidden_size)"})
    expected = zip(names, arrays, shapes, strict=True)
    return [check_like(name, array, shape, dtype) for name, array, shape in expected]


def check_grad_states(
    names: Sequence[str], value: Any, shapes: Sequence[Shape], dtype: np.dtype[Any]
) -> list[Array]:
    """The same for the gradients of a state, of which each may be None, for zeros.

    RuntimeError for another shape, ValueError for another dtype.
    """
    arrays = [None] * len(names) if value is None else _take_apart(names, value, indexed=False)
    return [
        np.zeros(shape, dtype)
        if array is None
        else check_like(name, array, shape, dtype, ValueError)
        for name, array, shape in zip(names, arrays, shapes, strict=True)
    ]


def _take_apart(names: Sequence[str], value: Any, indexed: bool) -> Sequence[Any]:
    """One array for each name; TypeError for what is no tuple, RuntimeError for another number.

    A pair that is `indexed`, as PyTorch's layers do with their state, may look like one in an array
    too, and is an IndexError where it has fewer entries.
    """
    if len(names) == 1:
        return [value]
    expected = f"expected the pair ({', '.join(names)}), got"
    if indexed and isinstance(value, np.ndarray):
        few = value.ndim == 0 or len(value) < len(names)
        raise (IndexError if few else RuntimeError)(f"{expected} {describe(value)}")
    if not isinstance(value, tuple | list):
        raise TypeError(f"{expected} {describe(value)}")
    if len(value) != len(names):
        few = indexed and len(value) < len(names)
        raise (IndexError if few else RuntimeError)(f"{expected} {len(value)} values")
    return value
