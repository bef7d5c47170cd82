"""Exercise 2: the gradient of the recurrent weights over time.

The same Wh acts at every step, so its gradient collects something from each. Write the line that
does it. In the loop dz is the gradient of z of step t, (N, H), and h[t] is the state before step
t.

    z[t] = x[t] Wx + h[t] Wh + b        h[t+1] = tanh(z[t])        t = 0, …, T−1

x: (T, N, D), h: (T+1, N, H) with h[0] = h0, Wx: (D, H), Wh: (H, H), b: (H,).

    python -m scratch check docs/exercises/rnn_sum.py:forward,backward \\
        --call 'forward(N(4, 3, 2), N(3, 4), N(2, 4), N(4, 4), N(4))'
"""

import numpy as np


def forward(x, h0, Wx, Wh, b):
    h = [h0]
    for x_t in x:
        h.append(np.tanh(x_t @ Wx + h[-1] @ Wh + b))
    h = np.stack(h)
    return h[1:], (x, h, Wx, Wh)


def backward(dout, cache):
    x, h, Wx, Wh = cache
    dx = np.zeros_like(x)
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(len(Wh))
    dh = np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        dh = dh + dout[t]
        dz = dh * (1 - h[t + 1] ** 2)
        dWx += x[t].T @ dz
        dWh += ...
        db += dz.sum(axis=0)
        dx[t] = dz @ Wx.T
        dh = dz @ Wh.T
    return dx, dh, dWx, dWh, db
