"""Exercise 4: what a step of an LSTM hands back through the cell state.

In the loop, dc is the whole gradient of c of step t, (N, H). The step before it wants the
gradient of c_prev. Write the line that hands it over: what is called dc in the next round of the
loop.

    i, f, o = σ(zi), σ(zf), σ(zo)           g = tanh(zg)
    c = f ⊙ c_prev + i ⊙ g                  h = o ⊙ tanh(c)

x: (T, N, D), h, c and each gate: (N, H), the states before the first step are zero.

    python -m scratch check docs/exercises/lstm_carry.py:MyLSTM
"""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class MyLSTM:
    def __init__(self, input_size, hidden_size):
        rng = np.random.default_rng(0)
        Wx = rng.normal(0, 0.5, (input_size, 4 * hidden_size))
        Wh = rng.normal(0, 0.5, (hidden_size, 4 * hidden_size))
        b = rng.normal(0, 0.5, 4 * hidden_size)
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]

    def forward(self, x):
        Wx, Wh, b = self.params
        h = c = np.zeros((x.shape[1], len(Wh)))
        self.steps = []
        hs = []
        for x_t in x:
            h_prev, c_prev = h, c
            i, f, g, o = np.split(x_t @ Wx + h @ Wh + b, 4, axis=1)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            c = f * c_prev + i * g
            h = o * np.tanh(c)
            self.steps.append((x_t, h_prev, c_prev, i, f, g, o, c))
            hs.append(h)
        return np.stack(hs)

    def backward(self, dout):
        Wx, Wh, _ = self.params
        for grad in self.grads:
            grad[...] = 0
        dx = []
        dh = dc = 0
        for t in reversed(range(len(dout))):
            x, h_prev, c_prev, i, f, g, o, c = self.steps[t]
            dh = dh + dout[t]
            dc = dc + dh * o * (1 - np.tanh(c) ** 2)
            dzi = dc * g * i * (1 - i)
            dzf = dc * c_prev * f * (1 - f)
            dzg = dc * i * (1 - g**2)
            dzo = dh * np.tanh(c) * o * (1 - o)
            dz = np.concatenate([dzi, dzf, dzg, dzo], axis=1)
            self.grads[0] += x.T @ dz
            self.grads[1] += h_prev.T @ dz
            self.grads[2] += dz.sum(axis=0)
            dx.insert(0, dz @ Wx.T)
            dh = dz @ Wh.T
            dc = dc * f
        return np.stack(dx)
