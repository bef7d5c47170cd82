"""What the pages call layers.py: layers of the reader's own, in the forms that courses use."""

import numpy as np


def forward(x, W, b):
    return x @ W + b, (x, W)


def backward(dout, cache):
    x, W = cache
    return dout @ W.T, x.T @ dout, dout.sum(axis=0)


def rnn_forward(x, h0, Wx, Wh, b):  # x: (N, T, D)
    hs = [h0]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] @ Wx + hs[-1] @ Wh + b))
    return np.stack(hs[1:], axis=1), (x, hs, Wx, Wh, b)


def rnn_backward(dh, cache):
    x, hs, Wx, Wh, b = cache
    dx, dWx, dWh, db = (np.zeros_like(array) for array in (x, Wx, Wh, b))
    dprev = np.zeros_like(hs[0])
    for t in reversed(range(x.shape[1])):
        dz = (dh[:, t] + dprev) * (1 - hs[t + 1] ** 2)
        dx[:, t], dprev = dz @ Wx.T, dz @ Wh.T
        dWx += x[:, t].T @ dz
        dWh += hs[t].T @ dz
        db += dz.sum(axis=0)
    return dx, dprev, dWx, dWh, db


class Affine:
    def __init__(self, W, b):
        self.params, self.grads = [W, b], [np.zeros_like(W), np.zeros_like(b)]

    def forward(self, x):
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, dout):
        self.grads[0][...] = self.x.T @ dout
        self.grads[1][...] = dout.sum(axis=0)
        return dout @ self.params[0].T
