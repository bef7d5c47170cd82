"""Linear: y = x Wᵀ + b over the last dimension."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .machinery.checks import check_size
from .machinery.linear_checks import check_linear_gradient, check_linear_input
from .machinery.module import Array, Module, Parameter, Seed, uniform_parameter, without_warnings
from .machinery.rows import Rows


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

    Raises TypeError for sizes that are not integers and RuntimeError for negative ones; warns if a
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

        Raises TypeError if it is not an array, RuntimeError for another last dimension or dtype.
        """
        check_linear_input(self, input)
        return self._compute(input)

    def forward(self, input: Array) -> LinearRecord:
        """The same pass, with what `backward` needs."""
        check_linear_input(self, input)
        kept = input.copy("K")  # in the same order: backward multiplies it as it lies
        weight, parameters = self.weight.data.copy(), (self.weight, self.bias)
        return LinearRecord(kept, weight, self._compute(input), parameters)

    @without_warnings
    def _compute(self, input: Array) -> Array:
        x = Rows(input)  # (…, rows, in)
        # y = x Wᵀ + b
        y = x.array @ self.weight.data.T  # (…, rows, out)
        if self.bias is not None:
            y += self.bias.data
        return x.back(y)

    @without_warnings
    def backward(self, record: LinearRecord, grad_output: Array | None) -> Array:
        """Add to the gradients of `weight` and `bias`; return the gradient of the input.

        `grad_output` has the shape and dtype of `record.output`; `None` means zero. The weight is
        the one that `forward` used. Raises TypeError if the record is not one or the gradient not
        an array, RuntimeError for another shape or a record of other parameters, ValueError for
        another dtype.
        """
        grad_output = check_linear_gradient(self, record, LinearRecord, grad_output)
        x, weight = Rows(record.input), record.weight  # (…, rows, in)
        grad_y = x.like(grad_output)  # (…, rows, out)
        stacked = tuple(range(grad_y.ndim - 2))  # rows may lie in several matrices
        # y = x Wᵀ + b:   ∂y/∂W = x      ⇒   grad_W = Σ_rows grad_yᵀ x
        grad_weight = grad_y.swapaxes(-1, -2) @ x.array
        self.weight.add_grad(grad_weight.sum(axis=stacked) if stacked else grad_weight)
        #                 ∂y/∂b = 1      ⇒   grad_b = Σ_rows grad_y
        if self.bias is not None:
            self.bias.add_grad(grad_y.sum(axis=(*stacked, -2)))
        #                 ∂y/∂x = W      ⇒   grad_x = grad_y W
        return x.back(grad_y @ weight)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
