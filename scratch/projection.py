"""An LSTM whose h is projected to fewer features before it is handed on (`proj_size`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np

from .cells import LSTMStep
from .machinery.memory import Memory, columns
from .machinery.module import Array
from .machinery.weights import GradWeights, Weights


class ProjectedLSTMStep(LSTMStep):
    """h = W_hr m, with m = o ⊙ tanh(c) what an LSTM without projection calls h.

    Sak, Senior and Beaufays 2014; the form of torch.nn.LSTM. m is (N, H), h and h_prev are (N, P).
    """

    names = (*LSTMStep.names[:-1], "m", "h")

    _m: Array  # (H, N)
    _projected: Array  # (P, N)  where h goes

    @classmethod
    def allocate(
        cls, weights: Weights, hs: Sequence[Array], memory: Memory | None
    ) -> Iterator[Self]:
        ms = columns(memory, weights.hidden_size, [h.shape[1] for h in hs], weights.dtype)
        for step, h in zip(super().allocate(weights, ms, memory), hs, strict=True):
            step._projected = h
            yield step

    def forward(
        self, weights: Weights, x: Array, h_prev: Array, c_prev: Array
    ) -> tuple[Array, Array]:
        self._m, c = super().forward(weights, x, h_prev, c_prev)
        # h = W_hr m
        self._h = np.matmul(weights.projection, self._m, out=self._projected)
        return self._h, c

    def backward(
        self, weights: Weights, grad_weights: GradWeights, grad_h: Array, grad_c: Array
    ) -> tuple[Array, Array, Array]:
        # h = W_hr m:     ∂h/∂W_hr = mᵀ   ∂h/∂m = W_hrᵀ
        grad_weights.add_projection(grad_h, self._m)
        grad_m = weights.projection.T @ grad_h
        return super().backward(weights, grad_weights, grad_m, grad_c)
