"""What the pages call chars.py: a character model whose one function returns loss and gradients."""

import numpy as np

vocab_size, H = 5, 4
rng = np.random.default_rng(0)
Wxh = rng.normal(0, 0.5, (H, vocab_size))
Whh = rng.normal(0, 0.5, (H, H))
Why = rng.normal(0, 0.5, (vocab_size, H))
bh, by = np.zeros((H, 1)), np.zeros((vocab_size, 1))


def loss(inputs, targets, hprev):
    """inputs, targets: lists of indices; hprev: (H, 1)."""
    xs, hs, ps, value = {}, {-1: hprev}, {}, 0
    for t, index in enumerate(inputs):
        xs[t] = np.zeros((vocab_size, 1))
        xs[t][index] = 1
        hs[t] = np.tanh(Wxh @ xs[t] + Whh @ hs[t - 1] + bh)
        scores = np.exp(Why @ hs[t] + by)
        ps[t] = scores / scores.sum()
        value += -np.log(ps[t][targets[t], 0])
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby, dh_next = np.zeros_like(bh), np.zeros_like(by), np.zeros_like(hprev)
    for t in reversed(range(len(inputs))):
        dy = ps[t].copy()
        dy[targets[t]] -= 1
        dWhy += dy @ hs[t].T
        dby += dy
        dz = (Why.T @ dy + dh_next) * (1 - hs[t] ** 2)
        dbh += dz
        dWxh += dz @ xs[t].T
        dWhh += dz @ hs[t - 1].T
        dh_next = Whh.T @ dz
    return value, dWxh, dWhh, dWhy, dbh, dby, hs[len(inputs) - 1]


loss_function = loss
