"""Five right pieces of code that no table of recurrences knows: classes, two functions, one.

They are texts, so that a test can plant a mistake in a line and say in which. `planted` gives the
module that results, with inputs of T = 4 steps, N = 2 samples, D = 3; H = 4, and 2 answers a step.
"""

import itertools
import linecache

import numpy as np

from scratch.machinery.module import Module, Parameter

GRU_WITH_HEAD = """
def sigmoid(v):
    return 1 / (1 + np.exp(-v))


class Model(Module):
    def __init__(self, rng):
        self.Wx = Parameter(rng.normal(0, 0.5, (3, 12)))
        self.Wh = Parameter(rng.normal(0, 0.5, (4, 12)))
        self.b, self.V = Parameter(rng.normal(0, 0.5, 12)), Parameter(rng.normal(0, 0.5, (4, 2)))

    def __call__(self, x, h0):
        return self.forward(x, h0)[0]

    def forward(self, x, h0):
        h, steps, answers = h0, [], []
        Wh = self.Wh.data
        r = np.zeros_like(h0 @ Wh[:, :4])
        for x_t in x:
            a = x_t @ self.Wx.data + self.b.data
            z = sigmoid(a[:, :4] + h @ Wh[:, :4])
            r = sigmoid(a[:, 4:8] + h @ Wh[:, 4:8])
            n = np.tanh(a[:, 8:] + (r * h) @ Wh[:, 8:])
            h_prev, h = h, (1 - z) * n + z * h
            steps.append((x_t, h_prev, h, z, r, n))
            answers.append(h @ self.V.data)
        return np.stack(answers), steps

    def backward(self, record, dy):
        steps = record[1]
        Wx, Wh = self.Wx.data, self.Wh.data
        dWx, dWh, db, dV = 0 * Wx, 0 * Wh, 0 * self.b.data, 0 * self.V.data
        dx = []
        dh_next = np.zeros_like(steps[0][1])
        for t in reversed(range(len(steps))):
            x_t, h_prev, h, z, r, n = steps[t]
            dV += h.T @ dy[t]
            dh = dy[t] @ self.V.data.T + dh_next
            dn = dh * (1 - z) * (1 - n ** 2)
            dz = dh * (h_prev - n) * z * (1 - z)
            drh = dn @ Wh[:, 8:].T
            dr = drh * h_prev * r * (1 - r)
            da = np.hstack((dz, dr, dn))
            dWx += x_t.T @ da
            db += da.sum(axis=0)
            dWh += np.hstack((h_prev.T @ dz, h_prev.T @ dr, (r * h_prev).T @ dn))
            dx.insert(0, da @ Wx.T)
            dh_next = dh * z + drh * r + dz @ Wh[:, :4].T + dr @ Wh[:, 4:8].T
        self.Wx.add_grad(dWx)
        self.Wh.add_grad(dWh)
        self.b.add_grad(db)
        self.V.add_grad(dV)
        return np.stack(dx), dh_next
"""

CELL_AND_LOOP = """
def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def cell_forward(x, h_prev, c_prev, W, b):
    joined = np.concatenate((h_prev, x), axis=1)
    i, f, o, g = np.split(joined @ W + b, 4, axis=1)
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
    c = f * c_prev + i * g
    tanh_c = np.tanh(c)
    return o * tanh_c, c, (joined, c_prev, c, tanh_c, i, f, o, g, W)


def cell_backward(dh, dc_next, cache):
    joined, c_prev, c, tanh_c, i, f, o, g, W = cache
    H = c.shape[1]
    do = dh * tanh_c * o * (1 - o)
    dc = dc_next + dh * o * (1 - tanh_c ** 2)
    di = dc * g * i * (1 - i)
    df = dc * c_prev * f * (1 - f)
    dg = dc * i * (1 - g ** 2)
    da = np.concatenate((di, df, do, dg), axis=1)
    djoined = da @ W.T
    return djoined[:, H:], djoined[:, :H], dc * f, joined.T @ da, da.sum(axis=0)


def forward(x, h0, c0, W, b, V):
    h, c, caches, answers = h0, c0, [], []
    for t in range(len(x)):
        h, c, cache = cell_forward(x[t], h, c, W, b)
        caches.append((cache, h))
        answers.append(np.maximum(h @ V, 0))
    return np.stack(answers), (caches, np.stack(answers), V)


def backward(dy, record):
    caches, answers, V = record
    dx = [None] * len(dy)
    dW, db, dV = 0, 0, np.zeros_like(V)
    dh_next = dc_next = np.zeros_like(caches[0][1])
    for t in reversed(range(len(dy))):
        cache, h = caches[t]
        ds = dy[t] * (answers[t] > 0)
        dV += h.T @ ds
        dx[t], dh_next, dc_next, dW_t, db_t = cell_backward(ds @ V.T + dh_next, dc_next, cache)
        dW = dW + dW_t
        db = db + db_t
    return np.stack(dx), dh_next, dc_next, dW, db, dV


class Model(Module):
    def __init__(self, rng):
        self.W, self.b = Parameter(rng.normal(0, 0.5, (7, 16))), Parameter(rng.normal(0, 0.5, 16))
        self.V = Parameter(rng.normal(0, 0.5, (4, 2)))

    def __call__(self, x, h0, c0):
        return self.forward(x, h0, c0)[0]

    def forward(self, x, h0, c0):
        return forward(x, h0, c0, self.W.data, self.b.data, self.V.data)

    def backward(self, record, dy):
        dx, dh0, dc0, dW, db, dV = backward(dy, record[1])
        self.W.add_grad(dW)
        self.b.add_grad(db)
        self.V.add_grad(dV)
        return dx, dh0, dc0
"""

LOSS = """
def loss_and_gradients(targets, h0, Wxh, Whh, Why, bh, by):
    T = len(targets)
    xs, hs, ps, loss = {}, {-1: h0}, {}, 0
    for t in range(T):
        xs[t] = np.eye(3)[:, [t % 3]]
        hs[t] = np.tanh(Wxh @ xs[t] + Whh @ hs[t - 1] + bh)
        y = Why @ hs[t] + by
        ps[t] = np.exp(y) / np.exp(y).sum()
        loss = loss - np.log(ps[t][targets[t], 0]) / T
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby = np.zeros_like(bh), np.zeros_like(by)
    dhnext = np.zeros_like(h0)
    for t in reversed(range(T)):
        dy = ps[t].copy()
        dy[targets[t]] -= 1
        dy = dy / T
        dWhy += np.dot(dy, hs[t].T)
        dby += dy
        draw = (1 - hs[t] ** 2) * (np.dot(Why.T, dy) + dhnext)
        dWxh += np.dot(draw, xs[t].T)
        dWhh += np.dot(draw, hs[t - 1].T)
        dbh += draw
        dhnext = np.dot(Whh.T, draw)
    for grad in (dWxh, dWhh, dWhy, dbh, dby):
        pass
    return loss, (dhnext, dWxh, dWhh, dWhy, dbh, dby)


class Model(Module):
    def __init__(self, rng):
        shapes = {"Wxh": (4, 3), "Whh": (4, 4), "Why": (2, 4), "bh": (4, 1), "by": (2, 1)}
        for name, shape in shapes.items():
            setattr(self, name, Parameter(rng.normal(0, 0.5, shape)))

    def __call__(self, h0):
        return self.forward(h0)[0]

    def forward(self, h0):
        targets = np.array([0, 1, 1, 0])
        return loss_and_gradients(targets, h0, *(p.data for p in self.parameters()))

    def backward(self, record, grad_loss=1):
        dh0, *grads = record[1]
        for parameter, grad in zip(self.parameters(), grads):
            parameter.add_grad(grad_loss * grad)
        return grad_loss * dh0
"""

ENCODER = """
def run(x, W, U):
    h, hs, steps = np.zeros((x.shape[1], 4)), [], []
    for x_t in x:
        new = np.tanh(x_t @ W + h @ U)
        steps.append((x_t, h, new))
        h = new
        hs.append(h)
    return np.stack(hs), steps


def back(dh, steps, U):
    dz, dU = [], 0
    dh_next = 0
    for d, (x_t, h, new) in zip(dh[::-1], steps[::-1]):
        dz.append((d + dh_next) * (1 - new ** 2))
        dU = dU + h.T @ dz[-1]
        dh_next = dz[-1] @ U.T
    return np.stack(dz[::-1]), dU


class Model(Module):
    def __init__(self, rng):
        shapes = {"E": (3, 3), "W": (3, 4), "U": (4, 4), "V": (4, 4)}
        for name, shape in shapes.items():
            setattr(self, name, Parameter(rng.normal(0, 0.5, shape)))

    def __call__(self, x):
        return self.forward(x)[0]

    def forward(self, x):
        ids = np.arange(x.shape[0] * x.shape[1]).reshape(x.shape[:2]) % 3
        x = x + self.E.data[ids]
        hf, steps_f = run(x, self.W.data, self.U.data)
        hb, steps_b = run(x[::-1], self.W.data, self.V.data)
        return np.concatenate((hf, hb[::-1]), axis=2), (x, ids, steps_f, steps_b)

    def backward(self, record, dout):
        x, ids, steps_f, steps_b = record[1]
        W = self.W.data
        dz_f, dU = back(dout[:, :, :4], steps_f, self.U.data)
        dz_b, dV = back(dout[:, :, 4:][::-1], steps_b, self.V.data)
        dx_f, dx_b = dz_f @ W.T, dz_b @ W.T
        dx = dx_f + dx_b[::-1]
        dE = np.zeros_like(self.E.data)
        np.add.at(dE, ids, dx)
        self.E.add_grad(dE)
        self.U.add_grad(dU)
        self.V.add_grad(dV)
        self.W.add_grad(np.einsum("tni,tnj->ij", x, dz_f + dz_b[::-1]))
        return dx
"""

ATTENTION = """
class Model(Module):
    def __init__(self, rng):
        self.K = Parameter(rng.normal(0, 0.5, (3, 3)))

    def __call__(self, x):
        return self.forward(x)[0]

    def forward(self, x):
        mean = x.mean(axis=-1, keepdims=True)
        inv = 1 / np.sqrt(x.var(axis=-1, keepdims=True) + 0.1)
        norm = (x - mean) * inv
        k = norm @ self.K.data
        e = np.exp(norm @ k.transpose(0, 2, 1) / np.sqrt(3))
        A = e / e.sum(axis=-1, keepdims=True)
        return A @ k, (norm, inv, k, A)

    def backward(self, record, dout):
        norm, inv, k, A = record[1]
        dA = dout @ k.transpose(0, 2, 1)
        dS = A * (dA - (dA * A).sum(axis=-1, keepdims=True)) / np.sqrt(3)
        dq = dS @ k
        dk = dS.transpose(0, 2, 1) @ norm + A.transpose(0, 2, 1) @ dout
        self.K.add_grad(np.einsum("nti,ntj->ij", norm, dk))
        dnorm = dq + dk @ self.K.data.T
        dnorm = dnorm - norm * (dnorm * norm).mean(axis=-1, keepdims=True)
        return inv * (dnorm - dnorm.mean(axis=-1, keepdims=True))
"""

COUNT = itertools.count()


def planted(text, line="", instead=""):
    """The module of a text in which `line` is replaced, with inputs, and the number of
    the first line that differs."""
    assert line in text, line
    right, text = text, text.replace(line, instead, 1)
    lines = zip(right.splitlines(), text.splitlines(), strict=False)
    number = next((k for k, (one, other) in enumerate(lines, 1) if one != other), 0)
    name = f"<planted {next(COUNT)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace = {"np": np, "Module": Module, "Parameter": Parameter, "__name__": "planted"}
    exec(compile(text, name, "exec"), namespace)
    rng = np.random.default_rng(3)
    x, (h0, c0) = rng.standard_normal((4, 2, 3)), rng.standard_normal((2, 2, 4))
    inputs = {"np.maximum": (x, h0, c0), "targets": (h0[:1].T,), "ids": (x,), "np.exp(norm": (x,)}
    given = next((inputs[word] for word in inputs if word in text), (x, h0))
    return namespace["Model"](rng), given, number
