"""The arguments of a Linear layer."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .checks import check_size
from .module import Array, check_array, check_fit, check_grads, check_record, other_parameters


def check_linear_sizes(in_features: Any, out_features: Any) -> None:
    """Warns if one is zero."""
    check_size("in_features", in_features)
    check_size("out_features", out_features)
    if in_features == 0 or out_features == 0:
        warnings.warn(
            f"in_features, out_features: a weight of shape ({out_features}, {in_features}) has no "
            f"elements to initialize",
            stacklevel=3,
        )


def check_linear_input(linear: Any, x: Any) -> None:
    check_array("input", x)
    if x.ndim == 0 or x.shape[-1] != linear.in_features:
        raise RuntimeError(
            f"input: expected shape (..., {linear.in_features}), as in_features is "
            f"{linear.in_features}, got {x.shape}"
        )
    if x.dtype != linear.weight.dtype:
        raise RuntimeError(
            f"input: expected the module's dtype {linear.weight.dtype}, got {x.dtype}. Nothing is "
            f"promoted: convert the input, or the module with .astype(...)"
        )


def check_linear_gradient(linear: Any, record: Any, kind: type, grad_output: Any) -> Any:
    """The gradient of the output; zeros for None."""
    check_record(record, kind)
    if record.parameters != (linear.weight, linear.bias):
        raise other_parameters()
    check_grads(record.parameters)
    output: Array = record.output
    if grad_output is None:
        return np.zeros_like(output)
    check_fit("grad_output", grad_output, output.shape, output.dtype, ValueError)
    return grad_output
