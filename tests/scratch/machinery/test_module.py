"""Module and Parameter: state, modes, copies, and what they refuse."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given

from scratch.cells import LSTMCell, RNNCell
from scratch.linear import Linear
from scratch.machinery.module import Module, Parameter
from scratch.recurrent import LSTM, RNN
from tests.parity import assert_parity, assert_same_refusal
from tests.strategies import cells, layers
from tests.torch_twin import arrays_of, assert_same_arrays, flatten, torch_twin


class Pair(Module):
    """A module of modules, one of its parameters under two names."""

    def __init__(self, **options):
        self.rnn = RNN(2, 3, **options)
        self.fc = Linear(3, 3, **options)
        self.fc.weight = self.rnn.weight_hh_l0


class TorchPair(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = torch.nn.RNN(2, 3)
        self.fc = torch.nn.Linear(3, 3)
        self.fc.weight = self.rnn.weight_hh_l0


MODULES = [
    lambda **o: RNNCell(2, 3, **o),
    lambda **o: LSTMCell(2, 3, bias=False, **o),
    lambda **o: RNN(2, 3, 2, "relu", bidirectional=True, **o),
    lambda **o: LSTM(2, 3, 2, proj_size=2, bias=False, **o),
    lambda **o: Linear(2, 3, **o),
    Pair,
]


def arrays(module):
    return {name: array.copy() for name, array in module.state_dict().items()}


def assert_unchanged(module, before):
    assert_same_arrays(before, module.state_dict(), "was changed")


# Names


def test_parameters_come_once_and_the_state_has_every_name():
    ours, theirs = Pair(), TorchPair()
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert len(list(ours.parameters())) == 5
    assert ours.state_dict()["rnn.weight_hh_l0"] is ours.fc.weight.data
    assert [name for name, _ in ours.named_modules()] == ["", "rnn", "fc"]


def test_a_shared_module_comes_once_and_its_state_under_both_names():
    ours, theirs = Module(), torch.nn.Module()
    ours.a, theirs.a = Linear(2, 2), torch.nn.Linear(2, 2)
    ours.b, theirs.b = ours.a, theirs.a
    for walk in ("named_modules", "named_parameters"):
        assert [n for n, _ in getattr(ours, walk)()] == [n for n, _ in getattr(theirs, walk)()]
    assert list(ours.state_dict()) == list(theirs.state_dict())


@given(layers())
def test_names_and_printing_are_torchs(case):
    theirs = torch_twin(case.module)
    assert list(case.module.state_dict()) == list(theirs.state_dict())
    # RNN of torch names no nonlinearity either
    assert repr(case.module) == repr(theirs)


def test_an_option_prints_as_the_float_that_it_is():
    options = {"num_layers": 2, "dropout": 1}
    assert repr(RNN(2, 3, **options)) == repr(torch.nn.RNN(2, 3, **options))


@given(cells())
def test_cells_print_as_torchs(case):
    assert repr(case.module) == repr(torch_twin(case.module))


def test_a_module_of_modules_prints_as_torchs():
    assert repr(Pair()).replace("Pair", "TorchPair") == repr(TorchPair())
    outer, theirs = Module(), torch.nn.Module()
    outer.inner, theirs.inner = Pair(), TorchPair()
    assert repr(outer).replace("Pair", "TorchPair") == repr(theirs)
    assert repr(Parameter(np.zeros(2))) == "Parameter(array([0., 0.]))"
    assert repr(Module()) == "Module()"


# Saving and loading


@pytest.mark.parametrize("build", MODULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trip(build, dtype):
    source, target = build(rng=1, dtype=np.float64), build(rng=2, dtype=dtype)
    places = [parameter.data for parameter in target.parameters()]
    assert target.load_state_dict(source.state_dict()) == ([], [])
    for name, array in target.state_dict().items():
        assert array.dtype == dtype
        np.testing.assert_array_equal(array, source.state_dict()[name].astype(dtype))
    for parameter, place in zip(target.parameters(), places, strict=True):
        assert parameter.data is place
    before = arrays(target)
    for parameter in source.parameters():
        parameter.data += 1  # the target has copies
    assert_unchanged(target, before)


def test_everything_that_is_wrong_stands_in_one_error_and_nothing_is_changed():
    module, theirs = LSTM(2, 3, rng=0), torch.nn.LSTM(2, 3)
    state = arrays(module)
    for array in state.values():
        array += 1
    state["weight_ih_l0"] = np.zeros((12, 3), np.float32)
    state["bias_ih_l0"] = np.zeros(11, np.float32)
    del state["bias_hh_l0"]
    state["weight_ih_l1"] = np.zeros((12, 3), np.float32)
    before = arrays(module)
    assert_same_refusal(
        lambda: module.load_state_dict(state),
        lambda: theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()}),
        "LSTM",
        "weight_ih_l0: expected shape (12, 2), got (12, 3)",
        "bias_ih_l0: expected shape (12,), got (11,)",
        "missing: bias_hh_l0, shape (12,)",
        "unexpected: weight_ih_l1, an array of shape (12, 3)",
    )
    assert_unchanged(module, before)


def test_a_shape_is_refused_even_if_not_strict():
    module, theirs = RNNCell(2, 3, rng=0), torch.nn.RNNCell(2, 3)
    state = {"weight_ih": np.zeros((3, 2), np.float32), "bias_hh": np.zeros(4, np.float32)}
    before = arrays(module)
    assert_same_refusal(
        lambda: module.load_state_dict(state, strict=False),
        lambda: theirs.load_state_dict(
            {k: torch.tensor(v) for k, v in state.items()}, strict=False
        ),
        "bias_hh: expected shape (3,), got (4,)",
    )
    assert_unchanged(module, before)


def test_not_strict_says_what_is_missing_and_unexpected():
    module, theirs = RNNCell(2, 3, rng=0), torch.nn.RNNCell(2, 3)
    state = {"weight_hh": np.ones((3, 3), np.float32), "more": np.zeros(1, np.float32)}
    expected = theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()}, strict=False)
    result = module.load_state_dict(state, strict=False)
    assert result.missing_keys == expected.missing_keys
    assert result.unexpected_keys == expected.unexpected_keys
    np.testing.assert_array_equal(module.weight_hh.data, 1)


@pytest.mark.parametrize("state", [None, [], 3, "weights"])
def test_what_is_no_state(state):
    assert_same_refusal(
        lambda: RNNCell(2, 3).load_state_dict(state),
        lambda: torch.nn.RNNCell(2, 3).load_state_dict(state),
        "state_dict",
        "dict",
    )


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 2), np.complex128),
        np.array([["a"] * 2] * 3),
        np.full((3, 2), None),
    ],
)
def test_numbers_that_do_not_fit_are_refused(array):
    module = RNNCell(2, 3, bias=False, rng=0)
    before = arrays(module)
    state = module.state_dict() | {"weight_ih": array}
    with pytest.raises(RuntimeError, match=r"weight_ih: expected float32 numbers, got "):
        module.load_state_dict(state)
    assert_unchanged(module, before)


@pytest.mark.parametrize("value", [[[0.0] * 2] * 3, [[1.0], [1.0, 2.0]], None, "weights", 1.0])
def test_values_that_are_no_arrays_are_refused(value):
    module, theirs = RNNCell(2, 3, bias=False, rng=0), torch.nn.RNNCell(2, 3, bias=False)
    before, state = arrays(module), {"weight_hh": np.ones((3, 3), np.float32), "weight_ih": value}
    assert_same_refusal(
        lambda: module.load_state_dict(state),
        lambda: theirs.load_state_dict(state | {"weight_hh": torch.ones(3, 3)}),
        "weight_ih: expected an array, got",
    )
    assert_unchanged(module, before)


def test_truth_values_are_loaded_as_zero_and_one():
    module = RNNCell(2, 3, bias=False, rng=0)
    module.load_state_dict({"weight_ih": np.eye(3, 2) > 0, "weight_hh": np.eye(3, dtype=np.int8)})
    np.testing.assert_array_equal(module.weight_ih.data, np.eye(3, 2, dtype=np.float32))
    np.testing.assert_array_equal(module.weight_hh.data, np.eye(3, dtype=np.float32))


# Modes and gradients


def test_modes_reach_every_module():
    pair = Pair()
    assert pair.training
    assert pair.rnn.training
    assert pair.eval() is pair
    assert not any(module.training for _, module in pair.named_modules())
    assert pair.train() is pair
    assert all(module.training for _, module in pair.named_modules())
    assert not pair.train(False).rnn.training


@pytest.mark.parametrize("mode", [1, None, "yes"])
def test_a_mode_is_a_bool(mode):
    pair = Pair()
    assert_same_refusal(
        lambda: pair.train(mode), lambda: torch.nn.RNN(2, 3).train(mode), "mode", "True or False"
    )
    assert pair.training


@given(layers())
def test_zero_grad_sets_none_or_zeros_in_place(case):
    module = case.module
    module.zero_grad(set_to_none=False)
    assert all(parameter.grad is None for parameter in module.parameters())
    module.backward(module.forward(case.x, case.state))
    grads = [parameter.grad for parameter in module.parameters()]
    assert all(grad is not None for grad in grads)
    module.zero_grad(set_to_none=False)
    assert all(
        parameter.grad is grad for parameter, grad in zip(module.parameters(), grads, strict=True)
    )
    assert not any(grad.any() for grad in grads)
    module.zero_grad()
    assert all(parameter.grad is None for parameter in module.parameters())


def test_a_parameter_is_replaced_by_a_parameter_only():
    cell, theirs = RNNCell(2, 3, rng=0), torch.nn.RNNCell(2, 3)
    before = arrays(cell)
    for value in (np.zeros((3, 2), np.float32), 1.0, [1.0]):
        assert_same_refusal(
            lambda value=value: setattr(cell, "weight_ih", value),
            lambda value=value: setattr(
                theirs,
                "weight_ih",
                torch.tensor(value) if isinstance(value, np.ndarray) else value,
            ),
            "RNNCell.weight_ih",
            "expected a Parameter",
            "weight_ih.data[...]",
        )
    assert_unchanged(cell, before)
    cell.weight_ih = Parameter(np.ones((3, 2), np.float32))
    np.testing.assert_array_equal(cell.state_dict()["weight_ih"], 1)


def test_a_bias_can_be_taken_away():
    linear, x = Linear(2, 3, rng=0), np.ones((4, 2), np.float32)
    linear.bias = None
    assert list(linear.state_dict()) == ["weight"]
    record = linear.forward(x)
    np.testing.assert_array_equal(record.output, x @ linear.weight.data.T)
    linear.backward(record, record.output)
    linear.bias = Parameter(np.ones(3, np.float32))
    np.testing.assert_array_equal(linear(x), record.output + 1)


def test_both_parts_of_a_complex_parameter_are_drawn_for_each_entry():
    weight = RNN(8, 4, dtype=np.complex128, rng=0).weight_ih_l0.data
    for part in (weight.real, weight.imag):
        assert np.unique(part).size == part.size
        assert np.abs(part).max() <= 1 / np.sqrt(4)


def test_a_parameter_is_a_float_or_complex_array():
    for data in (np.zeros(2, np.int64), np.zeros(2, bool)):
        assert_same_refusal(
            lambda data=data: Parameter(data),
            lambda data=data: torch.nn.Parameter(torch.tensor(data)),
            "floating point",
            data.dtype.name,
        )
    array = np.zeros(2)
    assert Parameter(array).data is array


def test_parameters_are_in_the_byte_order_of_the_machine():
    """No product with a view in another order works."""
    other = np.dtype(np.float64).newbyteorder("S")
    for make in (lambda: Parameter(np.zeros(2, other)), lambda: RNNCell(2, 3, dtype=other)):
        with pytest.raises(RuntimeError, match="byte order"):
            make()
    assert RNNCell(2, 3).astype(other).weight_ih.dtype == np.float64


def test_a_module_without_equations_says_so():
    for call in (Module(), Module().forward, lambda: Module().backward(None)):
        with pytest.raises(NotImplementedError, match="Module defines no"):
            call()


# Copies


@given(layers())
def test_astype_is_a_copy_that_computes_in_its_dtype(case):
    module = case.module
    module.backward(module.forward(case.x, case.state))
    before = arrays(module)
    other = module.astype(np.float64)
    assert all(parameter.grad is None for parameter in other.parameters())
    assert all(parameter.grad is not None for parameter in module.parameters())
    assert other.training == module.training
    for parameter in other.parameters():
        assert parameter.dtype == np.float64
        parameter.data += 1
    assert_unchanged(module, before)

    other = module.astype(np.float32)
    trace = other.forward(*in_dtype(np.float32, case.x, case.full_state))
    results = other.backward(trace)
    for array in [*arrays_of(module, trace).values(), *flatten(results)]:
        assert array.dtype == np.float32


def in_dtype(dtype, *values):
    """Every array of a nest in `dtype`."""
    return [
        value._replace(data=value.data.astype(dtype))
        if hasattr(value, "batch_sizes")
        else tuple(in_dtype(dtype, *value))
        if isinstance(value, tuple)
        else value.astype(dtype)
        for value in values
    ]


@pytest.mark.parametrize("dtype", [np.int64, bool])
def test_astype_needs_a_dtype_with_a_derivative(dtype):
    with pytest.raises(TypeError, match="float or complex"):
        RNNCell(2, 3).astype(dtype)


@given(layers())
def test_copies_and_pickles_compute_the_same(case):
    expected = flatten(case.module(case.x, case.state))
    case.module.forward(case.x, case.state)
    for other in (copy.deepcopy(case.module), pickle.loads(pickle.dumps(case.module))):
        for a, b in zip(flatten(other(case.x, case.state)), expected, strict=True):
            np.testing.assert_array_equal(a, b)
        assert not any(
            np.shares_memory(a, b)
            for a, b in zip(
                other.state_dict().values(), case.module.state_dict().values(), strict=True
            )
        )


def test_a_parameter_shared_by_two_modules_gets_the_sum():
    first = RNNCell(3, 3, bias=False, dtype=np.float64, rng=0)
    second = RNNCell(3, 3, bias=False, dtype=np.float64, rng=1)
    lone = copy.deepcopy(second)
    lone.weight_hh.data[...] = first.weight_hh.data
    second.weight_hh = first.weight_hh
    rng = np.random.default_rng(0)
    x, h, grad = rng.standard_normal((3, 4, 3))
    alone = copy.deepcopy(first)
    alone.backward(alone.forward(x, h), grad)
    lone.backward(lone.forward(x, h), grad)
    first.backward(first.forward(x, h), grad)
    second.backward(second.forward(x, h), grad)
    expected = alone.weight_hh.grad + lone.weight_hh.grad
    assert_parity("weight_hh.grad", first.weight_hh.grad, expected)


def test_a_module_is_replaced_by_a_module_only():
    pair, theirs = Pair(), torch.nn.Sequential(torch.nn.Linear(1, 1))
    theirs.rnn = torch.nn.Linear(1, 1)
    assert_same_refusal(
        lambda: setattr(pair, "rnn", 3), lambda: setattr(theirs, "rnn", 3), "Pair.rnn", "Module"
    )
    pair.rnn = None
    assert "rnn" not in dict(pair.named_modules())


@pytest.mark.parametrize("settings", [{}, {"all": "raise"}])
def test_loading_changes_all_or_nothing(settings):
    """A read-only parameter is noticed before another is changed; no setting of NumPy stops it."""

    class Two(Module):
        def __init__(self, second):
            self.a, self.b = Parameter(np.zeros(3, np.float32)), Parameter(second)

    huge = np.full(3, 1e300)
    with np.errstate(**settings):
        module = Two(np.broadcast_to(np.float32(1), (3,)))
        with pytest.raises(RuntimeError, match="b: expected a parameter that can be changed"):
            module.load_state_dict({"a": np.ones(3), "b": np.ones(3)})
        assert not module.a.data.any()
        module = Two(np.ones(3, np.float32))
        module.load_state_dict({"a": huge, "b": huge})
    assert np.isinf(module.b.data).all()


def test_a_prefix_of_all_names_is_named():
    lstm = LSTM(2, 3, rng=0)
    state = {f"module.lstm.{name}": array for name, array in lstm.state_dict().items()}
    with pytest.raises(RuntimeError, match=r"the names begin with 'module\.lstm\.'"):
        lstm.load_state_dict(state | {"fc.weight": np.ones(2)})


def test_a_tensor_is_named_with_the_way_out():
    lstm = LSTM(2, 3, rng=0)
    state = {name: torch.tensor(array) for name, array in lstm.state_dict().items()}
    with pytest.raises(RuntimeError, match=r"got a tensor: its \.detach\(\)\.numpy\(\)"):
        lstm.load_state_dict(state)
