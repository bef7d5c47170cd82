"""Exercise 7: the whole backward pass of an LSTM cell.

`forward` is there, `backward` is yours. dh and dc_next are the gradients of the loss with respect
to h and c, the latter without what goes through h. Return dx, dh_prev, dc_prev, dWx, dWh, db.

    z = x Wx + h_prev Wh + b = [zi, zf, zg, zo]
    i, f, o = σ(zi), σ(zf), σ(zo)           g = tanh(zg)
    c = f ⊙ c_prev + i ⊙ g                  h = o ⊙ tanh(c)

x: (N, D), h, c and each gate: (N, H), Wx: (D, 4H), Wh: (H, 4H), b: (4H,).

    python -m scratch check docs/exercises/lstm_whole.py:forward,backward \\
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
    raise NotImplementedError("yours")
