"""Exercise 1: the backward pass of an RNN cell. Replace the `...`.

    z = x W_xᵀ + h_prev W_hᵀ + b        h = tanh(z)

x: (N, D), h_prev and h: (N, H). Given grad_h = ∂L/∂h, find grad_z = ∂L/∂z, both (N, H).

    python -m scratch check docs/exercises/rnn_cell.py:MyRNNCell --like RNNCell
"""

import numpy as np

from scratch import Module, Parameter


class MyRNNCell(Module):
    def __init__(self, input_size, hidden_size):
        rng = np.random.default_rng(0)
        self.W_x = Parameter(rng.normal(0, 0.5, (hidden_size, input_size)))
        self.W_h = Parameter(rng.normal(0, 0.5, (hidden_size, hidden_size)))
        self.b = Parameter(rng.normal(0, 0.5, hidden_size))

    def __call__(self, x, h_prev):
        return self.forward(x, h_prev)["h"]

    def forward(self, x, h_prev):
        h = np.tanh(x @ self.W_x.data.T + h_prev @ self.W_h.data.T + self.b.data)
        return {"x": x, "h_prev": h_prev, "h": h}

    def backward(self, step, grad_h):
        x, h_prev, h = step["x"], step["h_prev"], step["h"]
        grad_z = ...
        self.W_x.add_grad(grad_z.T @ x)
        self.W_h.add_grad(grad_z.T @ h_prev)
        self.b.add_grad(grad_z.sum(axis=0))
        return grad_z @ self.W_x.data, grad_z @ self.W_h.data
