"""Checks of the arguments of constructors: sizes, flags, options."""

from __future__ import annotations

import warnings
from numbers import Real
from types import UnionType
from typing import Any

import numpy as np

from .module import describe


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


def check_dropout(dropout: Any, num_layers: int) -> None:
    """A number from 0 to 1. Warns of one that does nothing."""
    expected = f"dropout: expected a probability from 0 to 1, got {describe(dropout)}"
    if not isinstance(dropout, Real) or isinstance(dropout, bool):
        raise TypeError(expected)
    if not 0 <= float(dropout) <= 1:
        raise ValueError(expected)
    if float(dropout) > 0 and num_layers == 1:
        warnings.warn(
            f"dropout acts between layers: dropout={dropout} does nothing with num_layers=1",
            stacklevel=5,
        )


def check_nonlinearity(nonlinearity: object, error: type[Exception] = ValueError) -> None:
    if nonlinearity not in ("tanh", "relu"):
        raise error(f"nonlinearity: expected 'tanh' or 'relu', got {nonlinearity!r}")


def check_layer_arguments(
    input_size: Any,
    hidden_size: Any,
    num_layers: Any,
    bias: Any,
    batch_first: Any,
    dropout: Any,
    proj_size: Any,
) -> None:
    """The arguments of RNN and LSTM. Warns of dropout that does nothing."""
    check_dropout(dropout, num_layers)
    check_bool("bias", bias)
    check_bool("batch_first", batch_first)
    check_int("input_size", input_size)
    check_at_least("input_size", input_size, 1)
    check_int("hidden_size", hidden_size)
    check_at_least("hidden_size", hidden_size, 1)
    check_int("num_layers", num_layers, int | np.integer)
    check_at_least("num_layers", num_layers, 1)
    check_int("proj_size", proj_size, int | np.integer)
    check_at_least("proj_size", proj_size, 0)
    if proj_size >= hidden_size:
        raise ValueError(
            f"proj_size: expected less than hidden_size, {hidden_size}, got {proj_size}"
        )
