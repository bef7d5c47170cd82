"""Exercise 1: the backward pass of an RNN cell.

In `backward`, dh is the gradient of the loss with respect to h, (N, H). Find dz, that of z. The
rest of the function, which makes the other gradients of it, is there.

    z = x Wx + h_prev Wh + b        h = tanh(z)

x: (N, D), h_prev and h: (N, H), Wx: (D, H), Wh: (H, H), b: (H,).

    python -m scratch check docs/exercises/rnn_cell.py:forward,backward \\
        --call 'forward(N(3, 2), N(3, 4), N(2, 4), N(4, 4), N(4))'
"""

import numpy as np


def forward(x, h_prev, Wx, Wh, b):
    z = x @ Wx + h_prev @ Wh + b
    h = np.tanh(z)
    return h, (x, h_prev, Wx, Wh, h)


def backward(dh, cache):
    x, h_prev, Wx, Wh, h = cache
    dz = ...
    dx = dz @ Wx.T
    dh_prev = dz @ Wh.T
    dWx = x.T @ dz
    dWh = h_prev.T @ dz
    db = dz.sum(axis=0)
    return dx, dh_prev, dWx, dWh, db
