"""Objects that know nothing of `Module`: where they keep parameters, gradients and the cache."""

import copy
import threading

import numpy as np
import pytest

from scratch import Module, check_gradients, check_loss
from scratch.gradcheck.code_under_test import NotCheckable
from tests.scratch.gradcheck.students import StudentRNN
from tests.scratch.gradcheck.zoo import make

RNG = np.random.default_rng(13)


def draw(*shape):
    return 0.5 * RNG.standard_normal(shape)


def wrong(report):
    return sorted(row.name for row in report.rows if not row.ok)


def named(report):
    return sorted(row.name for row in report.rows)


class Lists:
    """Lists params and grads; a state that is remembered, buffers of float32."""

    def __init__(self, Wx, Wh, b, stateful=True):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(array) for array in self.params]
        self.stateful, self.h = stateful, None

    def forward(self, xs):
        Wx, Wh, b = self.params
        N, T, _ = xs.shape
        if self.h is None or not self.stateful:
            self.h = np.zeros((N, len(b)), dtype="f")
        hs = np.empty((N, T + 1, len(b)), dtype="f")
        hs[:, 0] = self.h
        for t in range(T):
            hs[:, t + 1] = np.tanh(xs[:, t] @ Wx + hs[:, t] @ Wh + b)
        self.h, self.cache = hs[:, -1], (xs, hs)
        return hs[:, 1:]

    def backward(self, dhs):
        Wx, Wh, _ = self.params
        xs, hs = self.cache
        dxs, dh = np.empty_like(xs), 0
        total = [0, 0, 0]
        for t in reversed(range(xs.shape[1])):
            dz = (dhs[:, t] + dh) * (1 - hs[:, t + 1] ** 2)
            parts = xs[:, t].T @ dz, hs[:, t].T @ dz, dz.sum(axis=0)
            total = [a + b for a, b in zip(total, parts, strict=True)]
            dxs[:, t], dh = dz @ Wx.T, dz @ Wh.T
        for grad, value in zip(self.grads, total, strict=True):
            grad[...] = value
        return dxs


def lists(cls=Lists, dtype="f"):
    return cls(draw(3, 4).astype(dtype), draw(4, 4).astype(dtype), draw(4).astype(dtype))


def test_lists_of_parameters_and_a_remembered_state():
    layer = lists()
    layer.forward(draw(2, 5, 3))  # it remembers a state from here on
    before = copy.deepcopy(vars(layer))
    report = check_gradients(layer, draw(2, 5, 3))
    assert report.ok, report
    assert report.judge == "complex step", "buffers are as wide as what is put into them"
    assert named(report) == ["Wh", "Wx", "b", "xs"]
    np.testing.assert_array_equal(layer.h, before["h"])
    for grad, kept in zip(layer.grads, before["grads"], strict=True):
        np.testing.assert_array_equal(grad, kept)


def test_a_mistake_in_lists_is_named():
    class OnlyLast(Lists):
        def backward(self, dhs):
            return super().backward(np.concatenate([0 * dhs[:, :-1], dhs[:, -1:]], axis=1))

    report = check_gradients(lists(OnlyLast), draw(2, 5, 3))
    assert wrong(report) == ["Wh", "Wx", "b", "xs"]
    assert "last step" in report.findings[0].cause, report


class Attributes:
    """Attributes W beside dW, which backward makes; the gradients of the inputs are returned."""

    scale = 1.0

    def __init__(self):
        self.W, self.U, self.b = draw(3, 4), draw(4, 4), draw(4)

    def forward(self, x, h):
        self.x, self.h_before = x, h
        self.h = np.tanh(x @ self.W + h @ self.U + self.b)
        return self.h

    def backward(self, dh):
        dz = dh * (1 - self.h**2)
        self.dW, self.dU = self.x.T @ dz, self.h_before.T @ dz * self.scale
        self.db = dz.sum(axis=0)
        return dz @ self.W.T, dz @ self.U.T


def test_attributes_beside_attributes():
    report = check_gradients(Attributes(), draw(2, 3), draw(2, 4))
    assert report.ok, report
    assert named(report) == ["U", "W", "b", "h", "x"]
    assert "dW → W" in str(report)

    class Doubled(Attributes):
        scale = 2.0

    assert wrong(check_gradients(Doubled(), draw(2, 3), draw(2, 4))) == ["U"]


class Dicts(Attributes):
    """Dictionaries parameters and gradients, into which backward adds."""

    def __init__(self):
        super().__init__()
        self.parameters = {"W": self.W, "U": self.U, "b": self.b}
        self.gradients = {name: np.ones_like(p) for name, p in self.parameters.items()}

    def backward(self, dh):
        returned = super().backward(dh)
        for name, grad in (("W", self.dW), ("U", self.dU), ("b", self.db)):
            self.gradients[name] += grad
        return returned


class Beside(Attributes):
    """W_grad of W, in an object for all parameters; a gradient that is a part of another array."""

    def __init__(self):
        super().__init__()
        self.joint = np.concatenate([self.W, self.U])
        self.W, self.U = self.joint[:3], self.joint[3:]
        self.joint_grad = np.zeros_like(self.joint)

    def backward(self, dh):
        returned = super().backward(dh)
        self.joint_grad[...] = np.concatenate([self.dW, self.dU])
        del self.dW, self.dU
        return returned


class ByName(Attributes):
    """A dictionary of gradients by the names of the attributes, which backward makes."""

    def backward(self, dh):
        returned = super().backward(dh)
        self.grads = {"W": self.dW, "U": self.dU, "b": self.db}
        del self.dW, self.dU, self.db
        return returned


class Overlapping(Beside):
    """The parts of the joint matrix have gradients of their own, too."""

    def backward(self, dh):
        returned = super().backward(dh)
        self.dW, self.dU = self.joint_grad[:3], self.joint_grad[3:]
        return returned


class Holder:
    def __init__(self, value):
        self.data, self.grad = value, np.zeros_like(value)


class Holders(Attributes):
    """A parameter is an object with data and grad; a call is a forward pass."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = Holder(np.concatenate([self.W, self.U])), Holder(self.b)
        del self.W, self.U, self.b

    def parameters(self):
        return [self.weight, self.bias]

    def __call__(self, x, h):
        return self.forward(x, h)

    def forward(self, x, h):
        self.W, self.U = self.weight.data[:3], self.weight.data[3:]
        self.b = self.bias.data
        return super().forward(x, h)

    def backward(self, dh):
        returned = super().backward(dh)
        self.weight.grad += np.concatenate([self.dW, self.dU])
        self.bias.grad += self.db
        return returned


@pytest.mark.parametrize(
    ("cls", "names"),
    [(Dicts, ["U", "W", "b", "h", "x"]), (ByName, ["U", "W", "b", "h", "x"]),
     (Beside, ["b", "h", "joint", "x"]), (Overlapping, ["U", "W", "b", "h", "joint", "x"]),
     (Holders, ["bias", "h", "weight", "x"])],
)  # fmt: skip
def test_wherever_parameters_are(cls, names):
    layer = cls()
    report = check_gradients(layer, draw(2, 3), draw(2, 4))
    assert report.ok, report
    assert named(report) == names

    class Transposed(cls):
        def backward(self, dh):
            self.h_before = self.h_before[::-1]
            return super().backward(dh)

    wrong_ones = wrong(check_gradients(Transposed(), draw(2, 3), draw(2, 4)))
    assert wrong_ones == [n for n in names if n in ("U", "joint", "weight")]


def test_a_gradient_of_a_wrong_shape_and_one_that_never_came():
    class Turned(Attributes):
        def backward(self, dh):
            returned = super().backward(dh)
            self.dW = self.dW.T
            return returned

    assert wrong(check_gradients(Turned(), draw(2, 3), draw(2, 4))) == ["W"]

    class Without(Attributes):
        def backward(self, dh):
            returned = super().backward(dh)
            del self.dW
            return returned

    report = check_gradients(Without(), draw(2, 3), draw(2, 4))
    assert report.ok
    assert report.verdict == "right: 4 of 5 gradients; but no gradient came for W"


def test_a_gradient_that_never_came_of_two_parts_with_the_same_names():
    class Two:
        def __init__(self):
            self.one, self.two = Attributes(), Attributes()

        def forward(self, x, h):
            return self.two.forward(x, self.one.forward(x, h))

        def backward(self, dh):
            dx_two, dh = self.two.backward(dh)
            dx_one, dh = self.one.backward(dh)
            del self.one.dW
            return dx_one + dx_two, dh

    report = check_gradients(Two(), draw(2, 3), draw(2, 4))
    assert report.verdict == "right: 7 of 8 gradients; but no gradient came for one.W"


class Lazy:
    """Weights of the size of the first input, made in the first forward pass; a name for each."""

    other = "dU"
    scale = 1.0
    W: np.ndarray | None = None

    def forward(self, x, h):
        if self.W is None:
            self.W, self.U = draw(x.shape[1], 4), draw(4, 4)
        self.x, self.h = x, h
        self.out = np.tanh(x @ self.W + h @ self.U)
        return self.out

    def backward(self, dout):
        dz = dout * (1 - self.out**2)
        self.dW = self.x.T @ dz
        setattr(self, self.other, self.scale * self.h.T @ dz)
        return dz @ self.W.T, dz @ self.U.T


@pytest.mark.parametrize("name", ["dU", "dW_hidden"])
def test_weights_made_in_the_first_pass_and_gradients_of_other_names(name):
    class Named(Lazy):
        other = name

    report = check_gradients(Named(), draw(2, 3), draw(2, 4))
    assert report.ok, report
    assert named(report) == ["U", "W", "h", "x"]
    Named.scale = 2.0
    assert wrong(check_gradients(Named(), draw(2, 3), draw(2, 4))) == ["U"]


def test_what_an_object_holds_besides():
    class Holds(Attributes):
        def __init__(self):
            super().__init__()
            self.np, self.data = np, list(range(20_000))

    assert check_gradients(Holds(), draw(2, 3), draw(2, 4)).ok
    layer = Holds()
    layer.lock = threading.Lock()
    with pytest.raises(NotCheckable, match="cannot be copied"):
        check_gradients(layer, draw(2, 3), draw(2, 4))


@pytest.mark.parametrize(
    ("wrap", "got"), [(lambda dx: {"dx": dx}, "dict of dx"), (lambda dx: "no", "str 'no'")]
)
def test_gradients_that_are_not_arrays_are_named(wrap, got):
    class Wrapped(Module):
        def __call__(self, x):
            return np.tanh(x)

        def forward(self, x):
            return np.tanh(x)

        def backward(self, h, grad):
            return wrap(grad * (1 - h * h))

    with pytest.raises(NotCheckable, match=f"^backward: expected it to return .* got {got}"):
        check_gradients(Wrapped(), draw(2, 3))


def test_parts_of_a_model_and_a_loss_inside():
    class Head:
        def __init__(self, W):
            self.params, self.grads = [W], [np.zeros_like(W)]

        def forward(self, x):
            self.x = x
            return x @ self.params[0]

        def backward(self, dout):
            self.grads[0][...] = self.x.reshape(-1, 4).T @ dout.reshape(-1, 2)
            return dout @ self.params[0].T

    class Model:
        def __init__(self):
            self.layers = [lists(), Head(draw(4, 2))]

        def forward(self, xs, target):
            for layer in self.layers:
                xs = layer.forward(xs)
            self.off = xs - target
            return 0.5 * np.sum(self.off**2)

        def backward(self, dout=1):
            dout = dout * self.off
            for layer in reversed(self.layers):
                dout = layer.backward(dout)
            return dout

    report = check_gradients(Model(), draw(2, 5, 3), draw(2, 5, 2))
    assert report.ok, report
    judged = [row.name for row in report.rows if not row.problem]
    assert sorted(judged) == ["Wh", "Wx", "b", "params[0]", "xs"]


class Classifier:
    """loss(x, y) returns the loss and the gradients by the names of the parameters."""

    def __init__(self, divide=True):
        self.params = {"W": draw(3, 4).astype("f"), "b": draw(4)}
        self.divide = divide

    def loss(self, x, y):
        scores = x @ self.params["W"] + self.params["b"]
        e = np.exp(scores)
        p = e / e.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(y)), y]).mean()
        p[np.arange(len(y)), y] -= 1
        if self.divide:
            p /= len(y)
        return loss, {"W": x.T @ p, "b": p.sum(axis=0)}


def test_a_method_that_returns_a_loss_and_gradients():
    x, y = draw(5, 3), np.array([0, 3, 1, 1, 2])
    report = check_loss(Classifier().loss, x, y)
    assert report.ok, report
    assert report.subject == "Classifier.loss"
    assert wrong(check_loss(Classifier(divide=False).loss, x, y)) == ["W", "b"]


def test_a_second_backward_that_differs_is_a_remark():
    class Forgets(Attributes):
        def backward(self, dh):
            returned = super().backward(dh)
            self.h_before = np.zeros_like(self.h_before)
            return returned

    report = check_gradients(Forgets(), draw(2, 3), draw(2, 4))
    assert report.ok
    assert "; but second backward differs" in report.verdict


def test_holes():
    class Unfinished(Attributes):
        def backward(self, dh): ...

    report = check_gradients(Unfinished(), draw(2, 3), draw(2, 4))
    assert [finding.name for finding in report.findings] == ["hole"]
    with pytest.raises(NotCheckable, match="without forward"):
        check_gradients(Classifier(), draw(5, 3))


class EmptiesTheRecord(StudentRNN):
    def backward(self, record, *grads):
        returned = super().backward(record, *grads)
        record[1][-1][...] = 0
        return returned


def test_of_a_module_too_right_gradients_are_said_apart_from_what_it_changes():
    module, inputs = make(EmptiesTheRecord, np.random.default_rng(0))
    report = check_gradients(module, *inputs)
    assert not report.ok
    assert all(row.ok for row in report.rows)
    assert report.verdict.startswith("WRONG: all 5 gradients right, but backward changes the rec")
