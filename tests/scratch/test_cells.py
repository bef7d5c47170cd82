"""RNNCell and LSTMCell: against torch.nn, by a complex step, and the record by its equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scratch import LSTM
from scratch.cells import LSTMCell, RNNCell
from tests.parity import assert_parity, assert_parity_to_rounding
from tests.strategies import FLOATS, SEEDS, cells
from tests.torch_twin import (
    answers_of,
    arrays_of,
    assert_same_arrays,
    assert_same_pass,
    away_from_kinks,
    flatten,
)


@given(cells())
def test_parity(case):
    record = case.module.forward(case.x, case.state)
    assume(away_from_kinks(case.module, record))
    assert_same_pass(case.module, case.x, case.state, case.grads, case.full_state, record)


@pytest.mark.parametrize("offset", [-30, -25, -15, -10, 10, 15, 25, 30])
@pytest.mark.parametrize("gates", ["i", "f", "o", "ifo"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_parity_of_gates_far_closed_and_far_open(gates, offset, dtype):
    """A closed gate is a small number, as exact as any other: h = o tanh(c) has all its digits."""
    rng = np.random.default_rng(0)
    cell = LSTMCell(3, 4, dtype=dtype, rng=rng)
    for gate in gates:
        start = 4 * "ifgo".index(gate)
        cell.bias_ih.data[start : start + 4] += offset
    x, h, c, grad_h, grad_c = (
        rng.standard_normal((5, size)).astype(dtype) for size in (3, 4, 4, 4, 4)
    )
    assert_same_pass(cell, x, (h, c), ((grad_h, grad_c),))


@pytest.mark.parametrize("z", [-80, -30, -10, -1, 0, 1, 10])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_gate_has_all_its_digits_however_far_it_is_closed(z, dtype):
    """σ(z) = 1 / (1 + e⁻ᶻ), to a few units of its own last digit: 1 − σ(−z) is 0 at −80."""
    cell = LSTMCell(1, 1, dtype=dtype)
    for parameter in cell.parameters():
        parameter.data[...] = 0
    cell.bias_ih.data[...] = z
    record = cell.forward(np.zeros(1, dtype))
    for gate in (record.i, record.f, record.o):
        np.testing.assert_allclose(gate, 1 / (1 + math.exp(-z)), rtol=4 * np.finfo(dtype).eps)


@given(cells(dtypes=st.just(np.float64)), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_parity_of_inputs_that_are_not_finite(case, value):
    assume(case.x.size)
    case.x.flat[case.rng.integers(case.x.size)] = value
    record = case.module.forward(case.x, case.state)
    # A gradient for every answer: PyTorch leaves out what has none, and 0 · NaN is NaN.
    grads = case.numbers_like(answers_of(case.module, record))
    case.module.backward(record, *grads)  # neither warns
    case.module.zero_grad()
    with np.errstate(all="ignore"):
        assert_same_pass(case.module, case.x, case.state, grads, case.full_state)


@given(cells())
def test_the_call_gives_exactly_what_forward_gives(case):
    called = flatten(case.module(case.x, case.state))
    recorded = flatten(answers_of(case.module, case.module.forward(case.x, case.state)))
    for a, b in zip(called, recorded, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("sizes", [(0, 4), (3, 0), (0, 0)])
@pytest.mark.parametrize("kind", [RNNCell, LSTMCell])
def test_sizes_of_zero(kind, sizes):
    rng = np.random.default_rng(0)
    cell = kind(*sizes, dtype=np.float64, rng=rng)
    h, c, grad_h, grad_c = rng.standard_normal((4, 2, sizes[1]))
    state, grad = ((h, c), (grad_h, grad_c)) if kind is LSTMCell else (h, grad_h)
    assert_same_pass(cell, rng.standard_normal((2, sizes[0])), state, (grad,))


# Gradients by a complex step: f(x + iε) = f(x) + iε f′(x) + O(ε²), exact to rounding


@given(cells(dtypes=st.just(np.float64)))
def test_gradients_by_a_complex_step(case):
    record = case.module.forward(case.x, case.full_state)
    assume(away_from_kinks(case.module, record))
    assume(any(grad is not None for grad in flatten(case.grads)))
    grads = flatten(case.module.backward(record, *case.grads))
    grads += [parameter.grad for parameter in case.module.parameters()]

    other = case.module.astype(np.complex128)
    x, state = case.x + 0j, [array + 0j for array in flatten(case.full_state)]
    arrays = [x, *state, *(parameter.data for parameter in other.parameters())]

    def loss():
        answers = flatten(other(x, tuple(state) if case.two_states else state[0]))
        upstream = flatten(case.grads)
        pairs = zip(answers, upstream, strict=True)
        return sum((a * grad).sum() for a, grad in pairs if grad is not None)

    for k, (array, grad) in enumerate(zip(arrays, grads, strict=True)):
        chosen = case.rng.permutation(array.size)[:12]  # any 12 of each array
        flat, estimate = array.reshape(-1), np.empty(len(chosen))
        for i, index in enumerate(chosen):
            flat[index] += 1e-100j
            estimate[i] = np.imag(loss()) / 1e-100
            flat[index] = flat[index].real
        largest = np.abs(grad).max(initial=0)
        assert_parity_to_rounding(f"array {k}", grad.reshape(-1)[chosen], estimate, largest)


@pytest.mark.parametrize("cell_class", [RNNCell, LSTMCell])
def test_second_derivatives_by_a_complex_step_are_symmetric(cell_class):
    """A complex cell takes gradients at complex numbers: u ⋅ ∂grad_x/∂v = v ⋅ ∂grad_x/∂u."""
    rng, step = np.random.default_rng(0), 1e-100
    cell = cell_class(3, 4, dtype=np.float64, rng=rng).astype(np.complex128)
    x, u, v = rng.standard_normal((3, 2, 3))
    grads = [grad + 0j for grad in rng.standard_normal((len(cell.states), 2, 4))]

    def along(direction):
        record = cell.forward(x + 1j * step * direction)
        return cell.backward(record, grads if len(grads) > 1 else grads[0])[0].imag / step

    by_u, by_v = (along(u) * v).sum(), (along(v) * u).sum()
    assert abs(by_u) > 0.01
    # A sum of 6 numbers near one, each from a dozen operations.
    assert abs(by_u - by_v) <= 100 * np.finfo(float).eps * np.abs(along(u) * v).sum()


@pytest.mark.parametrize(("cell_class", "kind"), [(RNNCell, np.ndarray), (LSTMCell, tuple)])
def test_a_state_and_its_gradient_are_an_array_or_a_pair(cell_class, kind):
    cell, x = cell_class(2, 3, rng=0), np.ones((4, 2), np.float32)
    state = cell(x)
    grad_x, grad_state_prev = cell.backward(cell.forward(x), state)
    assert isinstance(grad_x, np.ndarray)
    assert isinstance(state, kind)
    assert isinstance(grad_state_prev, kind)


# The record


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@given(cells(dtypes=st.just(np.float64)))
def test_the_record_obeys_the_equations(case):
    cell, step = case.module, case.module.forward(case.x, case.state)
    x = np.atleast_2d(case.x)
    state = [np.atleast_2d(array) for array in flatten(case.full_state)]
    weights = {name: parameter.data for name, parameter in cell.named_parameters()}
    z = x @ weights["weight_ih"].T + state[0] @ weights["weight_hh"].T
    if cell.bias:
        z = z + weights["bias_ih"] + weights["bias_hh"]

    expected = {"x": x, "h_prev": state[0]}
    if case.two_states:
        i, f, g, o = np.split(z, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * state[1] + i * g
        expected |= {"c_prev": state[1], "i": i, "f": f, "g": g, "o": o}
        expected |= {"c": c, "tanh_c": np.tanh(c), "h": o * np.tanh(c)}
    else:
        expected["h"] = np.tanh(z) if cell.nonlinearity == "tanh" else np.maximum(z, 0)

    assert step.names == tuple(expected)
    assert set(step.names) <= set(dir(step))
    for name, values in expected.items():
        assert_parity_to_rounding(name, getattr(step, name), values)


@pytest.mark.parametrize("kind", [RNNCell, LSTMCell])
def test_a_record_says_what_it_has(kind):
    step = kind(2, 3, rng=0).forward(np.ones((1, 2), np.float32))
    with pytest.raises(AttributeError, match=r"has no 'gates'.*x, h_prev"):
        _ = step.gates
    with pytest.raises(AttributeError):
        _ = step._nothing


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("module", [LSTMCell(1, 2), LSTM(1, 2), LSTM(1, 2, proj_size=1)], ids=repr)
def test_large_numbers_neither_warn_nor_lose_the_gate(module, dtype):
    module = module.astype(dtype)
    for parameter in module.parameters():
        parameter.data[...] = 1e4
    record = module.forward(np.full((1, 1), -1e4, dtype))
    step = record if isinstance(module, LSTMCell) else record.runs["l0"]
    for name, value in (("i", 0), ("f", 0), ("g", -1), ("o", 0), ("c", 0), ("h", 0)):
        assert (getattr(step, name) == value).all(), name
    answers = answers_of(module, record)
    module.backward(record, *([None] * (len(answers) - 1)), answers[-1])


def test_the_arrays_of_a_step_cannot_be_changed():
    """They are what backward needs."""
    x = np.ones((4, 2), np.float32)
    projected = LSTM(2, 3, proj_size=2).forward(x).runs["l0"]
    for step in (RNNCell(2, 3).forward(x), LSTMCell(2, 3).forward(x), projected):
        for name in step.names:
            with pytest.raises(ValueError, match="read-only"):
                getattr(step, name)[...] = 0


@given(cells())
def test_a_record_keeps_no_array_of_the_caller(case):
    step = case.module.forward(case.x, case.state)
    before = {name: array.copy() for name, array in arrays_of(case.module, step).items()}
    for array in flatten([case.x, case.state]):
        if array is not None:
            array[...] = 7
    for parameter in case.module.parameters():
        parameter.data[...] = 7
    assert_same_arrays(before, arrays_of(case.module, step), "changed with an array of the caller")


@given(cells())
def test_weights_changed_after_forward_do_not_matter(case):
    step = case.module.forward(case.x, case.state)
    expected = flatten(case.module.backward(step, *case.grads))
    expected += [parameter.grad for parameter in case.module.parameters()]
    case.module.zero_grad()
    for parameter in case.module.parameters():
        parameter.data += 1
    again = flatten(case.module.backward(step, *case.grads))
    again += [parameter.grad for parameter in case.module.parameters()]
    for a, b in zip(again, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@given(cells())
def test_several_records_at_once_and_gradients_that_add_up(case):
    cell, x, state = case.module, case.x, case.state
    others = [(case.numbers(*x.shape), None), (x, state), (case.numbers(*x.shape), state)]
    singles = []
    for inputs in others:
        cell.zero_grad()
        results = flatten(cell.backward(cell.forward(*inputs), *case.grads))
        singles.append((results, [parameter.grad for parameter in cell.parameters()]))

    cell.zero_grad()
    steps = [cell.forward(*inputs) for inputs in others]
    for k in (1, 2, 0):
        for a, b in zip(flatten(cell.backward(steps[k], *case.grads)), singles[k][0], strict=True):
            np.testing.assert_array_equal(a, b)
    for k, parameter in enumerate(cell.parameters()):
        a, b, c = (grads[k] for _, grads in singles)
        np.testing.assert_array_equal(parameter.grad, b + c + a)


@given(cells())
def test_none_is_a_gradient_of_zeros(case):
    step = case.module.forward(case.x, case.state)
    zeros = [np.zeros_like(array) for array in flatten(answers_of(case.module, step))]
    for none, zero in [
        (None, tuple(zeros)),
        *([((None, zeros[1]), tuple(zeros))] if case.two_states else []),
    ]:
        results = flatten(case.module.backward(step, none))
        expected = flatten(case.module.backward(step, zero if case.two_states else zero[0]))
        for a, b in zip(results, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_order_of_the_gates_is_that_of_the_docstring():
    cell = LSTMCell(1, 2, bias=True, dtype=np.float64, rng=0)
    for parameter in cell.parameters():
        parameter.data[...] = 0
    cell.bias_ih.data[...] = np.repeat([1.0, 2.0, 3.0, 4.0], 2)  # rows of i, f, g, o
    step = cell.forward(np.zeros((1, 1)))
    for name, value in zip("ifgo", [1, 2, 3, 4], strict=True):
        expected = math.tanh(value) if name == "g" else 1 / (1 + math.exp(-value))
        assert_parity(name, getattr(step, name), np.full((1, 2), expected))


# Initial values


@pytest.mark.parametrize("kind", [RNNCell, LSTMCell])
def test_initial_values(kind):
    cell = kind(300, 400, rng=3)
    bound = 1 / math.sqrt(400)
    for name, parameter in cell.named_parameters():
        assert np.abs(parameter.data).max() <= bound * (1 + 1e-6), name
        # The mean of n uniform numbers has the standard error b/√(3n); the standard deviation,
        # b/√3, one of b/√(15n) (fourth moment b⁴/5).
        n = parameter.data.size
        values = parameter.data.astype(np.float64)
        assert abs(values.mean()) < 5 * bound / math.sqrt(3 * n), name
        assert abs(values.std() - bound / math.sqrt(3)) < 5 * bound / math.sqrt(15 * n), name


@given(SEEDS, FLOATS, st.sampled_from([RNNCell, LSTMCell]))
def test_the_same_seed_gives_the_same_values(seed, dtype, kind):
    first = kind(3, 4, dtype=np.float64, rng=seed)
    second = kind(3, 4, dtype=dtype, rng=np.random.default_rng(seed))
    for (name, a), (_, b) in zip(first.named_parameters(), second.named_parameters(), strict=True):
        np.testing.assert_array_equal(a.data.astype(dtype), b.data, err_msg=name)
    other = kind(3, 4, dtype=np.float64, rng=seed + 1)
    assert (other.weight_ih.data != first.weight_ih.data).any()
