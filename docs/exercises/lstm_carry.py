"""Exercise 3: what a step of an LSTM hands back through the cell state. Replace the `...`.

    i, f, o = σ(z_i), σ(z_f), σ(z_o)        g = tanh(z_g)
    c = f ⊙ c_prev + i ⊙ g                  h = o ⊙ tanh(c)

x: (T, N, D), both states: (N, H). At the `...` grad_c is the whole gradient of c of this step, and
what is asked for is that of c_prev; all of i, f, g, o, c_prev and grad_c are (N, H).

    python -m scratch check docs/exercises/lstm_carry.py:MyLSTM --like LSTM
"""

import numpy as np

from scratch import Module, Parameter


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class MyLSTM(Module):
    def __init__(self, input_size, hidden_size):
        rng = np.random.default_rng(0)
        self.W_x = Parameter(rng.normal(0, 0.5, (4 * hidden_size, input_size)))
        self.W_h = Parameter(rng.normal(0, 0.5, (4 * hidden_size, hidden_size)))
        self.b = Parameter(rng.normal(0, 0.5, 4 * hidden_size))

    def __call__(self, x, state):
        steps = self.forward(x, state)
        return np.stack([step["h"] for step in steps]), (steps[-1]["h"], steps[-1]["c"])

    def forward(self, x, state):
        h, c = state
        steps = []
        for x_t in x:
            step = {"x": x_t, "h_prev": h, "c_prev": c}
            z = x_t @ self.W_x.data.T + h @ self.W_h.data.T + self.b.data
            z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
            i, f, g, o = sigmoid(z_i), sigmoid(z_f), np.tanh(z_g), sigmoid(z_o)
            c = f * c + i * g
            h = o * np.tanh(c)
            steps.append({**step, "i": i, "f": f, "g": g, "o": o, "c": c, "h": h})
        return steps

    def backward(self, steps, grad_output, grad_state):
        grad_h, grad_c = grad_state
        grad_x = []
        for s, grad in zip(reversed(steps), grad_output[::-1], strict=True):
            i, f, g, o, c_prev = (s[name] for name in ("i", "f", "g", "o", "c_prev"))
            tanh_c = np.tanh(s["c"])
            grad_h = grad_h + grad
            grad_c = grad_c + grad_h * o * (1 - tanh_c**2)
            grad_z_i = grad_c * g * i * (1 - i)
            grad_z_f = grad_c * c_prev * f * (1 - f)
            grad_z_g = grad_c * i * (1 - g**2)
            grad_z_o = grad_h * tanh_c * o * (1 - o)
            grad_z = np.concatenate([grad_z_i, grad_z_f, grad_z_g, grad_z_o], axis=1)
            self.W_x.add_grad(grad_z.T @ s["x"])
            self.W_h.add_grad(grad_z.T @ s["h_prev"])
            self.b.add_grad(grad_z.sum(axis=0))
            grad_x.append(grad_z @ self.W_x.data)
            grad_h = grad_z @ self.W_h.data
            grad_c = ...
        return np.stack(grad_x[::-1]), (grad_h, grad_c)
