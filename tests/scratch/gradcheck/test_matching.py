"""Which gradient is whose where no name says so: keys, expressions, numbers alone, objects.

Each function takes `off`, by which one of its gradients is scaled: 1 makes it right.
"""

from collections import namedtuple

import numpy as np
import pytest

from scratch import check_functions, check_gradients, check_loss

RNG = np.random.default_rng(17)


def draw(*shape):
    return 0.5 * RNG.standard_normal(shape)


def fit(W, b, x, y, off):
    """0.5 Σ (x W + b − y)² and its gradients of W, b and x."""
    error = x @ W + b - y
    return 0.5 * (error**2).sum(), off * x.T @ error, error.sum(axis=0), error @ W.T


# What a `return` statement says


def by_keys(W, b, x, y, off):
    g = {}
    loss, g["W"], g["b"], _ = fit(W, b, x, y, off)
    return loss, g["W"], g["b"]


def in_expressions(W, b, x, y, off):
    loss, dW, db, _ = fit(W, b, x, y, off)
    dW *= -1
    return loss, -dW, np.clip(db, -1e9, 1e9)


def masked(W, b, x, y, off, mask=1.0):
    loss, _, _, dx = fit(W, b, x, y, 1)
    return loss, (off * dx * mask).reshape(x.shape)


def in_the_order_of_the_alphabet(W2, W1, x, y, off):
    loss, dW1, _, _ = fit(W1 + 2 * W2, 0, x, y, 1)
    grads = {"W2": 2 * off * dW1, "W1": dW1}
    return loss, [grads[name] for name in sorted(grads)]


def with_a_state_under_its_own_name(W, h, x, y, off):
    loss, dW, _, _ = fit(W, 0, x + h, y, off)
    return loss, {"dW": dW, "h": x}


def under_another_name(W_in, b_in, x, y, off):
    loss, dWeights, db_in, _ = fit(W_in, b_in, x, y, off)
    return loss, dWeights, db_in


def scalars(w, b, x, y, off):
    error = w * x + b - y
    return 0.5 * sum(error**2), off * sum(error * x), sum(error)


Weights = namedtuple("Weights", "W b")


def in_a_named_tuple(p, x, y, off):
    loss, dW, db, _ = fit(p.W, p.b, x, y, off)
    return loss, Weights(dW, db)


# Parameters in objects


class Model:
    def __init__(self):
        self.W, self.b = draw(3, 2), draw(2)

    def loss(self, x, y, off):
        loss, self.dW, self.db, _ = fit(self.W, self.b, x, y, off)
        return loss


class Gates:
    """Two dicts with the same keys, in a part of the model."""

    def __init__(self):
        self.cell = Model()
        self.cell.W = {gate: draw(3, 2) for gate in "fo"}
        self.cell.b = {gate: draw(2) for gate in "fo"}

    def loss(self, x, y, off):
        found = {g: fit(self.cell.W[g], self.cell.b[g], x, y, off) for g in "fo"}
        dW, db = ({g: found[g][k] for g in "fo"} for k in (1, 2))
        return found["f"][0] + found["o"][0], dW, db


def kept_in_an_object(model, x, y, off):
    return model.loss(x, y, off)


def returned_by_an_object(model, x, y, off):
    loss, *grads = fit(model.W, model.b, x, y, off)
    return loss, dict(zip(["W", "b"], grads[:2], strict=True))


the_model = Model()


def of_a_global_object(x, y, off):
    return the_model.loss(x, y, off)


class Neuron:
    """A float beside an array."""

    def __init__(self):
        self.w, self.b, self.rate = draw(5), 0.3, 0.1


def of_a_float_in_an_object(neuron, x, y, off):
    error = neuron.w @ x + neuron.b - y
    grads = x @ error, off * error.sum()
    return 0.5 * (error**2).sum(), grads, (abs(error) < 0.5).mean()


DATA = draw(5, 3), draw(5, 2)
PLAIN = draw(3, 2), draw(2), *DATA


@pytest.mark.parametrize(
    ("function", "arguments", "names"),
    [
        (by_keys, PLAIN, ["W", "b"]),
        (in_expressions, PLAIN, ["W", "b"]),
        (masked, PLAIN, ["x"]),
        (in_the_order_of_the_alphabet, (draw(3, 2), draw(3, 2), *DATA), ["W2", "W1"]),
        (with_a_state_under_its_own_name, (draw(3, 2), draw(5, 3), *DATA), ["W"]),
        (under_another_name, PLAIN, ["W_in", "b_in"]),
        (scalars, (0.3, -0.2, draw(5), draw(5)), ["w", "b"]),
        (in_a_named_tuple, (Weights(draw(3, 2), draw(2)), *DATA), ["W", "b"]),
        (kept_in_an_object, (Model(), *DATA), ["W", "b"]),
        (returned_by_an_object, (Model(), *DATA), ["W", "b"]),
        (kept_in_an_object, (Gates(), *DATA), ["W.f", "b.f", "W.o", "b.o"]),
        (of_a_global_object, DATA, ["W", "b"]),
        (of_a_float_in_an_object, (Neuron(), draw(5, 7), draw(7)), ["b", "w"]),
    ],
)
def test_every_gradient_is_judged_as_that_of_its_array(function, arguments, names):
    right, wrong = (check_loss(function, *arguments, off) for off in (1.0, 2.0))
    assert right.ok, right
    assert sorted(row.name for row in right.rows if not row.problem) == sorted(names)
    assert {row.name[0] for row in wrong.rows if not row.ok} == {names[0][0]}, wrong


def test_keys_and_expressions_of_a_pair_of_functions():
    def forward(W, U, x, h):
        return np.tanh(x @ W + h @ U), (x, h, W, U)

    def backward(dout, cache):
        x, h, W, U = cache
        da = dout * (1 - np.tanh(x @ W + h @ U) ** 2)
        g = {"W": x.T @ da, "U": h.T @ da}
        return g["W"], np.dot(h.T, da), da @ W.T, np.dot(da, U.T)

    report = check_functions(forward, backward, draw(3, 3), draw(3, 3), draw(3, 3), draw(3, 3))
    assert report.ok, report
    assert len(report.rows) == 4


def test_two_dicts_with_the_same_keys_in_attributes():
    class Layer:
        off = 1.0

        def __init__(self):
            self.W, self.b = ({g: draw(*shape) for g in "fo"} for shape in ((3, 2), (2,)))

        def forward(self, x):
            self.x = x
            return np.tanh(x @ self.W["f"] + self.b["f"]) * (x @ self.W["o"] + self.b["o"])

        def backward(self, dout):
            f, o = (self.x @ self.W[g] + self.b[g] for g in "fo")
            da = {"f": dout * o * (1 - np.tanh(f) ** 2), "o": dout * np.tanh(f)}
            self.dW = {g: self.off * self.x.T @ da[g] for g in "fo"}
            self.db = {g: da[g].sum(axis=0) for g in "fo"}
            return da["f"] @ self.W["f"].T + da["o"] @ self.W["o"].T

    report = check_gradients(Layer(), draw(5, 3))
    assert report.ok, report
    assert [row.name for row in report.rows] == ["x", "W.f", "W.o", "b.f", "b.o"]
    Layer.off = 2.0
    report = check_gradients(Layer(), draw(5, 3))
    assert [row.name for row in report.rows if not row.ok] == ["W.f", "W.o"]
