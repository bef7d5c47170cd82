"""Exercise 3: one gate of an LSTM cell.

In `backward`, dc is the whole gradient of c, (N, H). Find dzf, that of zf, the forget gate before
its sigmoid. The three other gates are there; write yours without looking at them first.

    z = x Wx + h_prev Wh + b = [zi, zf, zg, zo]
    i, f, o = σ(zi), σ(zf), σ(zo)           g = tanh(zg)
    c = f ⊙ c_prev + i ⊙ g                  h = o ⊙ tanh(c)

x: (N, D), h, c and each gate: (N, H), Wx: (D, 4H), Wh: (H, 4H), b: (4H,).

    python -m scratch check docs/exercises/lstm_gate.py:forward,backward \\
        --call 'forward(N(3, 2), N(3, 4), N(3, 4), N(2, 16), N(4, 16), N(16))'
"""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(x, h_prev, c_prev, Wx, Wh, b):
    z = x @ Wx + h_prev @ Wh + b
    zi, zf, zg, zo = np.split(z, 4, axis=1)
    i, f, g, o = sigmoid(zi), sigmoid(zf), np.tanh(zg), sigmoid(zo)
    c = f * c_prev + i * g
    h = o * np.tanh(c)
    return h, c, (x, h_prev, c_prev, Wx, Wh, i, f, g, o, c)


def backward(dh, dc_next, cache):
    x, h_prev, c_prev, Wx, Wh, i, f, g, o, c = cache
    dc = dc_next + dh * o * (1 - np.tanh(c) ** 2)
    dzi = dc * g * i * (1 - i)
    dzf = ...
    dzg = dc * i * (1 - g**2)
    dzo = dh * np.tanh(c) * o * (1 - o)
    dz = np.concatenate([dzi, dzf, dzg, dzo], axis=1)
    dx = dz @ Wx.T
    dh_prev = dz @ Wh.T
    dc_prev = dc * f
    dWx = x.T @ dz
    dWh = h_prev.T @ dz
    db = dz.sum(axis=0)
    return dx, dh_prev, dc_prev, dWx, dWh, db
