"""Classes as people write them, in the forms that they have; what they and the tests start from."""

import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(0)
T, N, D, H = 5, 2, 3, 4
X = rng.standard_normal((T, N, D))
STATE = rng.standard_normal((1, N, H)), rng.standard_normal((1, N, H))


def lstm(**options):
    torch.manual_seed(0)
    return nn.LSTM(D, H, **options).double()


class Stateful:
    """A plain object: forward returns the answer and keeps the rest, backward takes a gradient."""

    def __init__(self, linear, scale=1.0):
        self.W, self.bias = linear.weight.detach().numpy().T.copy(), linear.bias.detach().numpy()
        self.scale = scale

    def forward(self, x):
        self.x = x
        return x @ self.W + self.bias

    def backward(self, grad):
        self.dW = self.x.T @ grad * self.scale
        self.grad_bias = grad.sum(0)
        return grad @ self.W.T


class Cached(Stateful):
    """As courses write it: forward hands out a cache, and backward takes it, behind or before."""

    def forward(self, x):
        return super().forward(x), {"x": x}

    def backward(self, grad, cache):
        self.x = cache["x"]
        return super().backward(grad)


class CacheFirst(Cached):
    def backward(self, cache, grad):
        return super().backward(grad, cache)


class Course:
    """As in CS231n: h_0 is given and c starts at zero; backward returns every gradient."""

    def __init__(self, theirs, order="ifog", scale=1.0):
        def turned(weight):
            blocks = dict(zip("ifgo", weight.detach().numpy().reshape(4, H, -1), strict=True))
            return np.concatenate([blocks[gate] for gate in order]).T.copy()

        self.Wx, self.Wh = turned(theirs.weight_ih_l0), turned(theirs.weight_hh_l0)
        self.b = turned(theirs.bias_ih_l0 + theirs.bias_hh_l0)[0]
        self.scale = scale

    def forward(self, x, h):
        c, cache = np.zeros_like(h), []
        for x_t in x:
            z = x_t @ self.Wx + h @ self.Wh + self.b
            i, f, o = np.split(1 / (1 + np.exp(-z[:, : 3 * H])), 3, axis=1)
            g = np.tanh(z[:, 3 * H :])
            cache.append((x_t, h, c, i, f, o, g, f * c + i * g))
            c = cache[-1][-1]
            h = o * np.tanh(c)
        outputs = [step[5] * np.tanh(step[7]) for step in cache]
        return np.stack(outputs), cache

    def backward(self, grad_output, cache):
        grad_x, grad_h, grad_c = [], 0, 0
        sums = [np.zeros_like(array) for array in (self.Wx, self.Wh, self.b)]
        for grad, (x, h, c_prev, i, f, o, g, c) in zip(grad_output[::-1], cache[::-1], strict=True):
            tanh_c, grad_h = np.tanh(c), grad_h + grad
            grad_c = grad_c + grad_h * o * (1 - tanh_c**2)
            z_i, z_f = grad_c * g * i * (1 - i), grad_c * c_prev * f * (1 - f)
            z_o, z_g = grad_h * tanh_c * o * (1 - o), grad_c * i * (1 - g**2)
            grad_z = np.hstack([z_i, z_f, z_o, z_g])
            for total, part in zip(sums, (x.T @ grad_z, h.T @ grad_z, grad_z.sum(0)), strict=True):
                total += part
            grad_x.append(grad_z @ self.Wx.T)
            grad_h, grad_c = grad_z @ self.Wh.T, grad_c * f
        return np.stack(grad_x[::-1]), grad_h, sums[0], self.scale * sums[1], sums[2]


class Listed:
    """As in books: lists of weights and of gradients, which stay the same lists."""

    def __init__(self, linear):
        self.params = [linear.weight.detach().numpy().T.copy(), linear.bias.detach().numpy()]
        self.grads = [np.zeros_like(array) for array in self.params]
        self.W = self.params[0]

    def forward(self, x):
        self.x = x
        return x @ self.W + self.params[1]

    def backward(self, grad):
        self.grads[0][...] = self.x.T @ grad
        self.grads[1][...] = grad.sum(0)
        return grad @ self.W.T
