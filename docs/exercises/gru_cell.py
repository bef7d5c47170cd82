"""Exercise 8: the backward pass of a GRU cell.

A GRU has no c: the update gate u mixes the old state with a proposal n. Write `backward` from dh,
the gradient of h, and return dx, dh_prev, dWx, dWh, dbx, dbh. This is the form of
torch.nn.GRUCell.

    [ar, au, an] = x Wx + bx                [br, bu, bn] = h_prev Wh + bh
    r = σ(ar + br)                          u = σ(au + bu)
    n = tanh(an + r ⊙ bn)                   h = (1 − u) ⊙ n + u ⊙ h_prev

x: (N, D), h and each gate: (N, H), Wx: (D, 3H), Wh: (H, 3H), bx and bh: (3H,).

    python -m scratch check docs/exercises/gru_cell.py:forward,backward \\
        --call 'forward(N(3, 2), N(3, 4), N(2, 12), N(4, 12), N(12), N(12))'
"""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(x, h_prev, Wx, Wh, bx, bh):
    ar, au, an = np.split(x @ Wx + bx, 3, axis=1)
    br, bu, bn = np.split(h_prev @ Wh + bh, 3, axis=1)
    r = sigmoid(ar + br)
    u = sigmoid(au + bu)
    n = np.tanh(an + r * bn)
    h = (1 - u) * n + u * h_prev
    return h, (x, h_prev, Wx, Wh, r, u, n, bn)


def backward(dh, cache):
    x, h_prev, Wx, Wh, r, u, n, bn = cache
    raise NotImplementedError("yours")
