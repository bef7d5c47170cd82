"""The parameters of one cell as the one matrix that its equations use, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .module import Array, Module, Parameter


class CellParameters(NamedTuple):
    """The parameters of one cell, named as in torch.nn without the layer's number."""

    weight_ih: Parameter  # (G·H, D)
    weight_hh: Parameter  # (G·H, R), R the size of h: H, or P with a projection
    bias_ih: Parameter | None = None  # (G·H,)
    bias_hh: Parameter | None = None  # (G·H,)
    weight_hr: Parameter | None = None  # (P, H)

    @classmethod
    def of(cls, module: Module, suffix: str = "") -> CellParameters:
        """Those that `module` has under the names of the fields and `suffix`."""
        found: list[Any] = [getattr(module, field + suffix, None) for field in cls._fields]
        return cls(*found)


class Weights:
    """W = [W_ih | W_hh | b_ih + b_hh], so that W [x; h_prev; 1] is one matrix product.

    Holds the values of the moment it was made, which a record's backward pass needs. Its rows are
    those of the parameters with the gates in another `order`.
    """

    def __init__(self, parameters: CellParameters, order: Sequence[int]) -> None:
        weight_ih, weight_hh, *biases, weight_hr = parameters
        self.parameters = parameters
        self.input_size = weight_ih.shape[1]  # D
        self.state_size = weight_hh.shape[1]  # R
        self.hidden_size = weight_ih.shape[0] // len(order)  # H
        self.dtype = weight_ih.dtype
        self.order = list(order)  # its own inverse
        parts = [weight_ih.data, weight_hh.data]
        present = [bias.data for bias in biases if bias is not None]
        if present:
            parts.append(sum(present[1:], present[0])[:, None])
        self.matrix = self.reorder(np.concatenate(parts, axis=1))  # (G·H, D+R+1)
        self.projection = (  # (P, H)
            np.empty((0, 0), self.dtype) if weight_hr is None else weight_hr.data.copy()
        )

    @cached_property
    def transposed(self) -> Array:
        """[W_ih | W_hh]ᵀ, contiguous: backward multiplies by it at every step."""
        columns = self.input_size + self.state_size
        return np.ascontiguousarray(self.matrix[:, :columns].T)  # (D+R, G·H)

    def split(self, inputs: Array) -> tuple[Array, Array]:
        """The rows of x and those of h_prev, of (D+R, ...)."""
        return inputs[: self.input_size], inputs[self.input_size :]

    def reorder(self, rows: Array) -> Array:
        """The blocks of rows of (G·H, ...), one for each gate, in the other order; either way."""
        if len(self.order) == 1:
            return rows
        gates = rows.reshape(len(self.order), self.hidden_size, rows.shape[1])
        return gates[self.order].reshape(rows.shape)


class GradWeights:
    """The gradient of a `Weights` in the making, over the steps of one backward pass."""

    # Few columns make a slow product, and every product adds to all of W. So steps are collected
    # until they have this many columns together, which then meet in one product.
    COLUMNS = 512

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._grad: Array | None = None  # (G·H, D+R+1)
        self._grad_projection = np.zeros(weights.projection.shape, weights.dtype)  # (P, H)
        self._steps: list[tuple[Array, Array]] = []
        self._columns = 0

    def add(self, grad_z: Array, inputs: Array) -> None:
        """grad_W += grad_z [x; h_prev; 1]ᵀ, now or with a later step's."""
        self._steps.append((grad_z, inputs))
        self._columns += inputs.shape[1]
        if self._columns >= self.COLUMNS:
            self._multiply()

    def _multiply(self) -> None:
        if len(self._steps) == 1:
            ((grad_z, inputs),) = self._steps
        else:
            grad_z, inputs = (
                np.concatenate(part, axis=1) for part in zip(*self._steps, strict=True)
            )
        product = grad_z @ inputs.T
        if self._grad is None:
            self._grad = product
        else:
            self._grad += product
        self._steps, self._columns = [], 0

    def add_projection(self, grad_h: Array, m: Array) -> None:
        """grad_W_hr += grad_h mᵀ"""
        self._grad_projection += grad_h @ m.T

    def finish(self) -> None:
        """Add what was collected to the `.grad` of the parameters."""
        if self._steps:
            self._multiply()
        assert self._grad is not None  # a run has at least one step
        weight_ih, weight_hh, *biases, weight_hr = self.weights.parameters
        D, R = self.weights.input_size, self.weights.state_size
        grad = self.weights.reorder(self._grad)
        weight_ih.add_grad(grad[:, :D])
        weight_hh.add_grad(grad[:, D : D + R])
        for bias in biases:
            if bias is not None:
                bias.add_grad(grad[:, -1])
        if weight_hr is not None:
            weight_hr.add_grad(self._grad_projection)
