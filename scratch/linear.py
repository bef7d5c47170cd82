"""Linear: y = x Wᵀ + b over the last dimension."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .machinery.checks import check_size
from .machinery.module import (
    Array,
    Module,
    Parameter,
    Seed,
    check_array,
    check_record,
    uniform_parameter,
    without_warnings,
)


class LinearRecord(NamedTuple):
    """What `Linear.forward` computed and `Linear.backward` needs."""

    input: Array  # (*, in), a copy
    weight: Array  # (out, in), a copy
    output: Array  # (*, out)
    parameters: tuple[Parameter, Parameter | None]  # weight and bias, as they were


class Linear(Module):
    """y = x Wᵀ + b over the last dimension of x, with any dimensions before it.

    Parameters: `weight` (out_features, in_features) and, unless `bias` is false, `bias`
    (out_features,), both drawn uniformly within ±1/√in_features. `dtype` is a float or complex
    type, `rng` a seed or a `numpy.random.Generator`.

    Raises TypeError for sizes that are no integers and RuntimeError for negative ones; warns when a
    size is zero. Like https://docs.pytorch.org/docs/2.13/generated/torch.nn.Linear.html.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        check_size("in_features", in_features)
        check_size("out_features", out_features)
        self.in_features = in_features
        self.out_features = out_features
        if self.in_features == 0 or self.out_features == 0:
            warnings.warn(
                f"in_features, out_features: a weight of shape ({self.out_features}, "
                f"{self.in_features}) has no elements to initialize",
                stacklevel=2,
            )
        rng = np.random.default_rng(rng)
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
        shape = self.out_features, self.in_features
        self.weight = uniform_parameter(shape, bound, dtype, rng)
        self.bias: Parameter | None = None
        if bias:
            self.bias = uniform_parameter((self.out_features,), bound, dtype, rng)

    def __call__(self, input: Array) -> Array:
        """The output, of shape (*, out_features), for an input of shape (*, in_features).

        Raises TypeError when it is no array, RuntimeError for another last dimension or dtype.
        """
        return self._compute(self._check_input(input))

    def forward(self, input: Array) -> LinearRecord:
        """The same pass, with what `backward` needs."""
        x = self._check_input(input)
        kept = x.copy("K")  # in the same order: backward multiplies it as it lies
        weight, parameters = self.weight.data.copy(), (self.weight, self.bias)
        return LinearRecord(kept, weight, self._compute(x), parameters)

    @without_warnings
    def _compute(self, x: Array) -> Array:
        order = _memory_order(x)
        x_rows = _as_rows(x.transpose(order))  # (…, rows, in)
        # y = x Wᵀ + b
        y = x_rows @ self.weight.data.T  # (…, rows, out)
        if self.bias is not None:
            y += self.bias.data
        return _from_rows(y, x.shape, order)

    @without_warnings
    def backward(self, record: LinearRecord, grad_output: Array | None) -> Array:
        """Add to the gradients of `weight` and `bias`; return the gradient of the input.

        `grad_output` has the shape and dtype of `record.output`; `None` means zero. The weight is
        the one that `forward` used. Raises TypeError for what is no record or no array,
        RuntimeError for another shape or a record of other parameters, ValueError for another
        dtype.
        """
        check_record(record, LinearRecord)
        x, weight, output, parameters = record
        if parameters != (self.weight, self.bias):
            raise RuntimeError(
                "record: expected one computed with the current parameters, got another"
            )
        if grad_output is None:
            grad_output = np.zeros_like(output)
        check_array("grad_output", grad_output, output.dtype)
        if grad_output.shape != output.shape:
            raise RuntimeError(
                f"grad_output: expected the output's shape {output.shape}, got {grad_output.shape}"
            )
        order = _memory_order(x)
        x_rows = _as_rows(x.transpose(order))  # (…, rows, in)
        grad_y = grad_output.transpose(order).reshape(*x_rows.shape[:-1], len(weight))
        # y = x Wᵀ + b  ⇒  grad_W = grad_yᵀ x,  grad_b = Σ_rows grad_y,  grad_x = grad_y W
        grad_weight = grad_y.swapaxes(-1, -2) @ x_rows  # (…, out, in)
        if grad_weight.ndim > 2:
            grad_weight = grad_weight.sum(axis=tuple(range(grad_weight.ndim - 2)))
        self.weight.add_grad(grad_weight)
        if self.bias is not None:
            self.bias.add_grad(grad_y.sum(axis=tuple(range(grad_y.ndim - 1))))
        return _from_rows(grad_y @ weight, x.shape, order)

    def _check_input(self, x: Array) -> Array:
        check_array("input", x)
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise RuntimeError(
                f"input: expected shape (..., {self.in_features}), as in_features is "
                f"{self.in_features}, got {x.shape}"
            )
        if x.dtype != self.weight.dtype:
            raise RuntimeError(
                f"input: expected the module's dtype {self.weight.dtype}, got {x.dtype}. Nothing "
                f"is promoted: convert the input, or the module with .astype(...)"
            )
        return x

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


# Recurrent layers keep (T, H, N) arrays and show them as (N, T, H). To bring such an input into
# rows of features takes ten times as long as to multiply it, so it is multiplied as it lies in
# memory: as one matrix where that needs no copy, else as a stack of matrices.


def _memory_order(x: Array) -> list[int]:
    """The axes of `x`, the last one last, the others from the largest step in memory down."""
    leading = sorted(range(x.ndim - 1), key=lambda axis: -abs(x.strides[axis]))
    return [*leading, x.ndim - 1]


def _as_rows(x: Array) -> Array:
    """`x` as one matrix of rows; as it is where its rows are the columns of matrices in memory."""
    if x.ndim > 2 and x.strides[-1] != x.itemsize and not x.flags.c_contiguous:
        return x
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _from_rows(y: Array, shape: tuple[int, ...], order: list[int]) -> Array:
    """The rows of `y` in the order and the leading dimensions of an input of `shape`."""
    if len(shape) <= 2:
        return y.reshape(*shape[:-1], y.shape[-1])
    y = y.reshape(*(shape[axis] for axis in order[:-1]), y.shape[-1])
    # The inverse permutation undoes .transpose(order). np.argsort takes a third of a small forward.
    inverse = sorted(order, key=order.__getitem__)
    return y.transpose(inverse)
