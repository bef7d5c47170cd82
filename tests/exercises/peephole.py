"""Exercise 9: the backward pass of an LSTM cell with peepholes.

The gates see the cell state: i and f the old one, o the one just made. Write `backward`; dh and
dc_next are the gradients of h and c. Return dx, dh_prev, dc_prev, dWx, dWh, db, dpi, dpf, dpo.

    [zi, zf, zg, zo] = x Wx + h_prev Wh + b
    i = σ(zi + pi ⊙ c_prev)                 f = σ(zf + pf ⊙ c_prev)
    c = f ⊙ c_prev + i ⊙ tanh(zg)           o = σ(zo + po ⊙ c)           h = o ⊙ tanh(c)

x: (N, D), h, c and each gate: (N, H), Wx: (D, 4H), Wh: (H, 4H), b: (4H,), pi, pf and po: (H,).

    python -m scratch check docs/exercises/peephole.py:forward,backward \\
        --call 'forward(N(3, 2), N(3, 4), N(3, 4), N(2, 16), N(4, 16), N(16), N(4), N(4), N(4))'
"""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(x, h_prev, c_prev, Wx, Wh, b, pi, pf, po):
    zi, zf, zg, zo = np.split(x @ Wx + h_prev @ Wh + b, 4, axis=1)
    i = sigmoid(zi + pi * c_prev)
    f = sigmoid(zf + pf * c_prev)
    g = np.tanh(zg)
    c = f * c_prev + i * g
    o = sigmoid(zo + po * c)
    h = o * np.tanh(c)
    return h, c, (x, h_prev, c_prev, Wx, Wh, pi, pf, po, i, f, g, o, c)


def backward(dh, dc_next, cache):
    x, h_prev, c_prev, Wx, Wh, pi, pf, po, i, f, g, o, c = cache
    dzo = dh * np.tanh(c) * o * (1 - o)
    dc = dc_next + dh * o * (1 - np.tanh(c) ** 2) + dzo * po
    dzi = dc * g * i * (1 - i)
    dzf = dc * c_prev * f * (1 - f)
    dzg = dc * i * (1 - g**2)
    dz = np.concatenate([dzi, dzf, dzg, dzo], axis=1)
    dx = dz @ Wx.T
    dh_prev = dz @ Wh.T
    dc_prev = dc * f + dzi * pi + dzf * pf
    dWx = x.T @ dz
    dWh = h_prev.T @ dz
    db = dz.sum(axis=0)
    dpi = (dzi * c_prev).sum(axis=0)
    dpf = (dzf * c_prev).sum(axis=0)
    dpo = (dzo * c).sum(axis=0)
    return dx, dh_prev, dc_prev, dWx, dWh, db, dpi, dpf, dpo
