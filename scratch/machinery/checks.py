"""Checks of single arguments, before anything is computed.

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


def check_size(name: str, value: Any) -> None:
    check_int(name, value, int | np.integer)
    if value < 0:
        raise RuntimeError(f"{name}: expected at least 0, got {value}")


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


def check_pair(
    names: Sequence[str], state: Any, few: type[Exception] = RuntimeError, rows: bool = False
) -> Sequence[Any]:
    """The entries of a state, one for each name; with one name, the state itself.

    `few` for fewer entries, RuntimeError for more, TypeError for what is no tuple or list. With
    `rows`, an array counts as a pair of rows, of the wrong kind: PyTorch's layers take the entries
    by their index.
    """
    if len(names) == 1:
        return [state]
    expected = f"expected the pair ({', '.join(names)}), got"
    if rows and isinstance(state, np.ndarray):
        short = state.ndim == 0 or len(state) < len(names)
        raise (few if short else RuntimeError)(f"{expected} {describe(state)}")
    if not isinstance(state, tuple | list):
        raise TypeError(f"{expected} {describe(state)}")
    if len(state) != len(names):
        raise (few if len(state) < len(names) else RuntimeError)(f"{expected} {len(state)} values")
    return state


def check_grad_states(
    names: Sequence[str], value: Any, shapes: Sequence[Shape], dtype: np.dtype[Any]
) -> list[Array]:
    """The gradients of a state, in its structure: each may be None, for zeros.

    TypeError for what is no pair, RuntimeError for another shape, ValueError for another dtype.
    """
    if value is None:
        return [np.zeros(shape, dtype) for shape in shapes]
    arrays = check_pair(names, value)
    return [
        np.zeros(shape, dtype)
        if array is None
        else check_like(name, array, shape, dtype, ValueError)
        for name, array, shape in zip(names, arrays, shapes, strict=True)
    ]
