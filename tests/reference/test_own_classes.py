"""compare of a class of a person's own beside a torch module: its forms, its weights' gradients."""

import numpy as np
import pytest
import torch
from torch import nn

from reference import compare
from tests.reference.own_classes import (
    Cached,
    CacheFirst,
    Course,
    D,
    H,
    Listed,
    N,
    Stateful,
    X,
    lstm,
)


def test_a_plain_object_whose_weights_lie_otherwise():
    linear = nn.Linear(D, H).double()
    parity = compare(Stateful(linear), linear, X[0])
    assert parity.ok, str(parity)
    assert [row.name for row in parity.rows] == ["output", "x", "W", "bias"]
    (bad,) = (row for row in compare(Stateful(linear, 1.5), linear, X[0]).rows if not row.ok)
    assert (bad.name, bad.shape) == ("W", (D, H))
    assert bad.scratch == pytest.approx(1.5 * bad.torch)


@pytest.mark.parametrize("kind", [Cached, CacheFirst])
def test_a_cache_behind_the_answers(kind):
    linear = nn.Linear(D, H).double()
    parity = compare(kind(linear), linear, X[0])
    assert parity.ok, str(parity)
    assert [row.name for row in parity.rows] == ["output", "x", "W", "bias"]
    (bad,) = (row for row in compare(kind(linear, 1.5), linear, X[0]).rows if not row.ok)
    assert bad.name == "W"


def test_code_as_a_course_writes_it():
    theirs = lstm()
    parity = compare(Course(theirs), theirs, X)
    assert parity.ok, str(parity)
    assert [row.name for row in parity.rows] == ["output", "x", "h_0", "Wx", "Wh", "b"]
    (bad,) = (row for row in compare(Course(theirs, scale=1.5), theirs, X).rows if not row.ok)
    assert bad.name == "Wh"
    assert "i f o g (CS231n)" in compare(Course(theirs, "ifgo"), theirs, X).notes[-1]


def test_a_cache_of_arrays_is_not_taken_for_the_state():
    class Sums:
        def forward(self, x, h):
            return np.tanh(x.cumsum(0)), np.tanh(x.cumsum(0))[-1:], (x, h)

        def backward(self, grad, grad_h, cache):
            assert grad_h.shape == (1, N, D)
            x, h = cache
            grad = grad.copy()
            grad[-1] += grad_h[0]
            grad_z = grad * (1 - np.tanh(x.cumsum(0)) ** 2)
            return grad_z[::-1].cumsum(0)[::-1], np.zeros_like(h)

    class Theirs(nn.RNN):
        def forward(self, x, h=None):
            output = x.cumsum(0).tanh()
            return output, output[-1:]

    parity = compare(Sums(), Theirs(D, D).double(), X)
    assert [(row.name, row.ok) for row in parity.rows] == [
        (name, True) for name in ("output", "h_n", "x", "h_0")
    ]


def test_weights_and_gradients_in_one_dict():
    class Keyed(Stateful):
        def __init__(self, linear):
            super().__init__(linear)
            zeros = {"dW": np.zeros((D, H)), "db": np.zeros(H)}
            self.p = {"W": self.W, "b": self.bias} | zeros

        def backward(self, grad):
            grad_x = super().backward(grad)
            self.p |= {"dW": self.dW, "db": self.grad_bias}
            del self.dW, self.grad_bias
            return grad_x

    linear = nn.Linear(D, H).double()
    parity = compare(Keyed(linear), linear, X[0])
    assert parity.ok, str(parity)
    assert [row.name for row in parity.rows] == ["output", "x", "p.W", "p.b"]
    assert parity.notes == ()


def test_weights_and_gradients_in_lists():
    linear = nn.Linear(D, H).double()
    parity = compare(Listed(linear), linear, X[0])
    assert parity.ok, str(parity)
    assert [row.name for row in parity.rows] == ["output", "x", "params.0", "params.1"]
    single = nn.Linear(D, H)
    mine = Listed(single)
    with torch.no_grad():
        single.weight[0, 0] += 1
    notes = compare(mine, single, X[0].astype(np.float32)).notes
    assert any(note.startswith("In float64,") and "differ as well" in note for note in notes)


class Answers:
    """What is asked of it, and nothing is computed."""

    def __init__(self, answers, backward=lambda grad: grad):
        self.answers, self.backward = answers, backward

    def forward(self, x):
        return self.answers if self.answers is not ... else 1 / 0


@pytest.mark.parametrize(
    ("mine", "error", "words"),
    [
        (Answers(None), TypeError, "mine: expected a forward that answers with arrays .* NoneType"),
        (Answers({"h": X}), TypeError, "got dict among its answers"),
        (Answers([1, 2]), TypeError, "got int 1 among its answers"),
        (Answers(...), ZeroDivisionError, "division"),
        (Answers(X[0, :, :1], lambda: None), TypeError, "mine: expected a backward that takes"),
    ],
)
def test_what_is_not_an_answer(mine, error, words):
    with pytest.raises(error, match=words):
        compare(mine, nn.RNNCell(D, H).double(), X[0])


def test_a_cache_behind_answers_of_another_size():
    mine = Answers((X[0, :, :2], {"x": X}), lambda grad, cache: cache["x"][0])
    parity = compare(mine, nn.Linear(D, H).double(), X[0])
    assert [row.problem for row in parity.rows] == ["shape (2, 2)", ""]


def test_weights_that_are_not_found_are_said_to_be_none():
    class Hidden(Stateful):
        def __init__(self, linear):
            super().__init__(linear)
            self.W, self.bias = (self.W,), (self.bias,)

        def forward(self, x):
            return x @ self.W[0] + self.bias[0]

        def backward(self, grad):
            return grad @ self.W[0].T

    linear = nn.Linear(D, H).double()
    parity = compare(Hidden(linear), linear, X[0])
    assert parity.ok
    assert parity.notes[0].startswith("Gradients of weights not compared, as mine has none under")


def test_one_bias_is_the_sum_of_two():
    class Sum(Stateful):
        def __init__(self, rnn):
            self.W, self.b = (rnn.weight_ih.detach().numpy().T.copy(), 0)
            self.b = (rnn.bias_ih + rnn.bias_hh).detach().numpy()

        def forward(self, x, h):
            self.x, self.h = x, np.tanh(x @ self.W + self.b)
            return self.h

        def backward(self, grad):
            grad_z = grad * (1 - self.h**2)
            self.dW, self.db = self.x.T @ grad_z, grad_z.sum(0)
            return grad_z @ self.W.T, np.zeros_like(self.h)

    cell = nn.RNNCell(D, H).double()
    with torch.no_grad():
        cell.weight_hh.zero_()
    parity = compare(Sum(cell), cell, X[0])
    assert parity.ok, str(parity)
    assert [row.name for row in parity.rows] == ["h", "x", "h_prev", "W", "b"]


def test_a_weight_whose_numbers_stand_in_several_places_is_named():
    linear = nn.Linear(D, H).double()
    with torch.no_grad():
        linear.weight.fill_(0.5)
    parity = compare(Stateful(linear), linear, X[0])
    assert parity.ok
    assert [row.name for row in parity.rows] == ["output", "x", "bias"]
    assert parity.notes[0].startswith("Gradients not compared")
    assert parity.notes[0].endswith(": W.")


def test_a_parameter_that_torch_does_not_use_has_the_gradient_zero():
    linear = nn.Linear(D, H).double()
    linear.unused = nn.Linear(2, 2).double()
    assert compare(Stateful(linear), linear, X[0]).ok
