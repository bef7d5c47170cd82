"""Exercise 2: the gradient of the recurrent weights of an RNN. Replace the `...`.

    z_t = x_t W_xᵀ + h_{t−1} W_hᵀ + b        h_t = tanh(z_t)        t = 1, …, T

x: (T, N, D), the state: (N, H). In the loop grad_z is (N, H), h_prev (N, H); what step t gives W_h
has the shape of W_h, (H, H). `self.W_h.add_grad(array)` adds to the gradient.

    python -m scratch check docs/exercises/rnn_sum.py:MyRNN --like RNN
"""

import numpy as np

from scratch import Module, Parameter


class MyRNN(Module):
    def __init__(self, input_size, hidden_size):
        rng = np.random.default_rng(0)
        self.W_x = Parameter(rng.normal(0, 0.5, (hidden_size, input_size)))
        self.W_h = Parameter(rng.normal(0, 0.5, (hidden_size, hidden_size)))
        self.b = Parameter(rng.normal(0, 0.5, hidden_size))

    def __call__(self, x, h_0):
        steps = self.forward(x, h_0)
        return np.stack([h for _, _, h in steps]), steps[-1][2]

    def forward(self, x, h_0):
        steps, h = [], h_0
        for x_t in x:
            h_prev = h
            h = np.tanh(x_t @ self.W_x.data.T + h_prev @ self.W_h.data.T + self.b.data)
            steps.append((x_t, h_prev, h))
        return steps

    def backward(self, steps, grad_output, grad_h):
        grad_x = []
        for (x_t, h_prev, h), grad in zip(reversed(steps), grad_output[::-1], strict=True):
            grad_h = grad_h + grad
            grad_z = grad_h * (1 - h**2)
            self.W_x.add_grad(grad_z.T @ x_t)
            self.W_h.add_grad(...)
            self.b.add_grad(grad_z.sum(axis=0))
            grad_x.append(grad_z @ self.W_x.data)
            grad_h = grad_z @ self.W_h.data
        return np.stack(grad_x[::-1]), grad_h
