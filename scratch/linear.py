"""Linear: y = x Wᵀ + b over the last dimension."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .machinery.linear_checks import (
    check_linear_gradient,
    check_linear_input,
    check_linear_sizes,
)
from .machinery.module import (
    Array,
    Module,
    Parameter,
    Seed,
    uniform_parameter,
    widened,
    without_warnings,
)
from .machinery.rows import Rows, sum_leading


class LinearRecord(NamedTuple):
    """What `Linear.forward` computed and `Linear.backward` needs."""

    input: Array  # (*, in), a copy
    weight: Array  # (out, in), a copy
    output: Array  # (*, out)
    parameters: tuple[Parameter, Parameter | None]  # weight and bias, as they were

    def __repr__(self) -> str:
        return f"LinearRecord(input {self.input.shape}, output {self.output.shape})"


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
        check_linear_sizes(in_features, out_features)
        self.in_features = in_features
        self.out_features = out_features
        rng = np.random.default_rng(rng)
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        self.weight = uniform_parameter((out_features, in_features), bound, dtype, rng)
        self.bias: Parameter | None = None
        if bias:
            self.bias = uniform_parameter((out_features,), bound, dtype, rng)

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
        rows = Rows(input)
        # y = x Wᵀ + b
        y = rows.split(input) @ self.weight.data.T  # (rows, out)
        if self.bias is not None:
            y += self.bias.data
        return rows.join(y)

    @without_warnings
    def backward(self, record: LinearRecord, grad_output: Array | None) -> Array:
        """Add to the gradients of `weight` and `bias`; return the gradient of the input.

        `grad_output` has the shape and dtype of `record.output`; `None` means zero. The weight is
        the one that `forward` used. Raises TypeError if the record is not one or the gradient not
        an array, RuntimeError for another shape or a record of other parameters, ValueError for
        another dtype.
        """
        grad_output = check_linear_gradient(self, record, LinearRecord, grad_output)
        rows = Rows(record.input)
        x, grad_y = rows.split(record.input), rows.split(grad_output)  # (rows, in), (rows, out)
        # y = x Wᵀ + b:   ∂y/∂W = x      ⇒   grad_W = Σ_rows grad_yᵀ x
        self.weight.add_grad(sum_leading(grad_y.mT @ x, 2))
        #                 ∂y/∂b = 1      ⇒   grad_b = Σ_rows grad_y
        if self.bias is not None:
            self.bias.add_grad(sum_leading(widened(grad_y), 1))
        #                 ∂y/∂x = W      ⇒   grad_x = grad_y W
        return rows.join(grad_y @ record.weight)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
