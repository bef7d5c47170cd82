"""What holds for the record of every module with parameters: it is its own, and it is complete."""

from __future__ import annotations

import numpy as np
import pytest

from scratch import LSTM, RNN, Linear, LSTMCell, RNNCell, SimpleLSTM, SimpleRNN
from tests.torch_twin import flatten

MODULES = {
    "Linear": lambda rng: Linear(3, 4, rng=rng),
    "RNNCell": lambda rng: RNNCell(3, 4, rng=rng),
    "LSTMCell": lambda rng: LSTMCell(3, 4, rng=rng),
    "RNN": lambda rng: RNN(3, 4, num_layers=2, bidirectional=True, rng=rng),
    "LSTM": lambda rng: LSTM(3, 4, num_layers=2, proj_size=2, rng=rng),
    "SimpleRNN": lambda rng: SimpleRNN(3, 4, 2, rng=rng),
    "SimpleLSTM": lambda rng: SimpleLSTM(3, 4, 2, every_step=True, rng=rng),
}


def made(name, seed=0, draw=None):
    """A module, its record of one pass, and gradients of the answers; random unless `draw`n."""
    module, draw = MODULES[name](seed), draw or np.random.default_rng(1).standard_normal
    x = draw((5, 3) if "Cell" in name else (5, 6, 3)).astype(np.float32)

    def drawn_like(answer):
        if isinstance(answer, tuple):
            return tuple(drawn_like(entry) for entry in answer)
        return draw(answer.shape).astype(np.float32)

    grads = drawn_like(module(x))
    return module, module.forward(x), grads if name in ("RNN", "LSTM") else (grads,)


@pytest.mark.parametrize("name", MODULES)
def test_weights_changed_after_forward_do_not_matter(name):
    module, record, grads = made(name)
    results = []
    for _ in range(2):
        module.zero_grad()
        grad_inputs = flatten(module.backward(record, *grads))
        results.append([*grad_inputs, *(p.grad for p in module.parameters())])
        for parameter in module.parameters():
            parameter.data += 1
    for before, after in zip(*results, strict=True):
        np.testing.assert_array_equal(after, before)


def test_two_records_of_the_same_numbers_are_two():
    """They are compared as objects: arrays have no one truth value."""
    lstm, x = LSTM(2, 3, rng=0), np.ones((4, 2), np.float32)
    records = [lstm.forward(x), lstm.forward(x)]
    backs = [lstm.backward_record(record) for record in records]
    for a, b in (records, backs, [record.runs["l0"] for record in records]):
        assert len({a, b}) == 2


@pytest.mark.parametrize("name", MODULES)
def test_the_record_of_another_module_is_refused(name):
    """Its weights are not this module's, and nothing is added to either's gradients."""
    module, _, grads = made(name)
    other, record, _ = made(name, seed=1)
    with pytest.raises(RuntimeError, match="another"):
        module.backward(record, *grads)
    for parameter in (*module.parameters(), *other.parameters()):
        assert parameter.grad is None


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (read_only, RuntimeError, "can be changed, got one that is read-only"),
        (lambda grad: grad[..., :-1], RuntimeError, r"expected shape \(.*\) and dtype float32"),
        (lambda grad: grad.astype(np.float64), RuntimeError, "and dtype float32"),
        (lambda grad: grad.tolist(), TypeError, "expected a NumPy array, got list"),
    ],
)
def test_a_gradient_that_cannot_be_added_to_is_refused_before_another_changes(
    name, spoil, error, words
):
    module, record, grads = made(name)
    parameters = list(module.parameters())
    for bad in parameters:
        for parameter in parameters:
            parameter.grad = np.ones(parameter.shape, np.float32)
        bad.grad = spoil(bad.grad)
        with pytest.raises(error, match=rf"Parameter\.grad: .*{words}"):
            module.backward(record, *grads)
        for parameter in parameters:
            assert parameter is bad or (parameter.grad == 1).all()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38])
@pytest.mark.parametrize("name", MODULES)
def test_numbers_that_are_not_finite_or_overflow_give_no_warning(name, value):
    """A warning is an error in this suite; no `np.errstate` stands around these calls."""
    module, record, grads = made(name, draw=lambda shape: np.full(shape, value, np.float32))
    module.backward(record, *grads)
