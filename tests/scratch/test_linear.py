"""Linear against torch.nn.Linear: results, gradients, initial values, refusals."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scratch.linear import Linear
from scratch.machinery.module import Parameter
from scratch.machinery.rows import Rows
from tests.parity import assert_parity, assert_same_refusal
from tests.torch_samples import module_inputs, to_numpy

FLOATS = st.sampled_from([np.float32, np.float64])


def laid_out(draw, shape, rng, dtype):
    """Numbers of `shape` that lie in memory in a drawn order of the dimensions, or with gaps."""
    order = draw(st.permutations(range(len(shape))))
    gaps = draw(st.sampled_from([1, 2]))
    stored = rng.standard_normal([shape[axis] * gaps for axis in order]).astype(dtype)
    return stored[(slice(None, None, gaps),) * len(shape)].transpose(np.argsort(order))


def twin(linear):
    theirs = torch.nn.Linear(
        linear.in_features,
        linear.out_features,
        linear.bias is not None,
        dtype=getattr(torch, linear.weight.dtype.name),
    )
    theirs.load_state_dict(
        {name: torch.tensor(array) for name, array in linear.state_dict().items()}
    )
    return theirs


def assert_same_pass(linear, x, rng):
    theirs, x_torch = twin(linear), torch.tensor(np.array(x), requires_grad=True)
    expected = theirs(x_torch)
    record = linear.forward(x)
    assert not np.shares_memory(record.input, x)
    grad_output = rng.standard_normal(expected.shape).astype(x.dtype)
    # Sums of products may come out near zero: what counts is the size of the summands.
    x_abs, w_abs, grad_abs = np.abs(x), np.abs(linear.weight.data), np.abs(grad_output)
    bias_abs = 0 if linear.bias is None else np.abs(linear.bias.data)
    rows = range(x.ndim - 1)
    assert_parity("output", record.output, expected, summands=x_abs @ w_abs.T + bias_abs)
    assert_parity("call", linear(x), expected, summands=x_abs @ w_abs.T + bias_abs)

    before = np.array(x), grad_output.copy(), record.output.copy()
    for times in (1, 2):  # the second time, gradients are added
        grad_x = linear.backward(record, grad_output)
        expected.backward(torch.tensor(grad_output), retain_graph=True)
        assert_parity("grad_input", grad_x, x_torch.grad / times, summands=grad_abs @ w_abs)
        summands = {
            "weight": times * np.tensordot(grad_abs, x_abs, (rows, rows)),
            "bias": times * grad_abs.sum(axis=tuple(rows)),
        }
        for name, parameter in linear.named_parameters():
            expected_grad = theirs.get_parameter(name).grad
            assert_parity(f"{name}.grad", parameter.grad, expected_grad, summands=summands[name])
    for name, array, kept in zip(
        ("input", "grad_output", "output"), (x, grad_output, record.output), before, strict=True
    ):
        np.testing.assert_array_equal(array, kept, err_msg=f"{name} was changed")


@pytest.mark.filterwarnings("ignore:grad and param do not obey:UserWarning")  # of empty tensors
@settings(deadline=None)
@given(st.data(), st.integers(0, 2**32 - 1), FLOATS, st.booleans())
def test_parity(data, seed, dtype, bias):
    rng = np.random.default_rng(seed)
    leading = data.draw(st.lists(st.integers(0, 5), max_size=3))
    sizes = data.draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    linear = Linear(*sizes, bias, dtype=dtype, rng=rng)
    assert_same_pass(linear, laid_out(data.draw, (*leading, sizes[0]), rng, dtype), rng)


@pytest.mark.filterwarnings("ignore:.*no.*elements|Initializing zero-element:UserWarning")
@pytest.mark.parametrize("sizes", [(0, 3), (3, 0), (0, 0)])
def test_sizes_of_zero(sizes):
    with pytest.warns(UserWarning, match=rf"\({sizes[1]}, {sizes[0]}\)"):
        linear = Linear(*sizes, dtype=np.float64, rng=0)
    rng = np.random.default_rng(0)
    assert_same_pass(linear, rng.standard_normal((4, 2, sizes[0])), rng)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_every_order_of_the_dimensions_in_memory(order):
    shape = np.array([2, 3, 4, 5])
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape[list(order)]).transpose(np.argsort(order))  # (2, 3, 4, 5)
    assert_same_pass(Linear(5, 3, dtype=np.float64, rng=rng), x, rng)


def test_an_input_is_multiplied_as_it_lies_in_memory():
    """The output of a recurrent layer, (N, T, H), lies as (T, H, N): to copy it takes longer."""
    stored = np.ones((7, 3, 50))
    x = stored.transpose(2, 0, 1)
    rows = Rows(x)
    assert rows.split(x).shape == (7, 50, 3)
    assert np.shares_memory(rows.split(x), stored)
    np.testing.assert_array_equal(rows.join(rows.split(x)), x)


def test_infinite_numbers_give_no_warning():
    """Tested where NumPy raises: pytest makes its warnings errors only outside of `np.errstate`."""
    linear = Linear(2, 1, dtype=np.float64)
    linear.weight.data[...] = 1e200
    with np.errstate(all="raise"):
        for value in (np.inf, 1e200):
            x = np.array([[value, -value]])
            linear(x)
            linear.backward(linear.forward(x), np.array([[value]]))


def test_a_record_shows_its_shapes():
    record = Linear(2, 3).forward(np.zeros((4, 2), np.float32))
    assert repr(record) == "LinearRecord(input (4, 2), output (4, 3))"


def test_no_upstream_gradient_means_zero():
    linear = Linear(3, 2, rng=0)
    record = linear.forward(np.ones((4, 3), np.float32))
    assert_parity("grad_input", linear.backward(record, None), np.zeros((4, 3), np.float32))
    assert_parity("weight.grad", linear.weight.grad, np.zeros((2, 3), np.float32))


def test_backward_takes_the_weight_that_forward_used():
    x, grad_output = np.ones((4, 3)), np.ones((4, 2))
    linear, stepped = (Linear(3, 2, dtype=np.float64, rng=0) for _ in range(2))
    record = stepped.forward(x)
    stepped.weight.data *= 2
    expected = linear.backward(linear.forward(x), grad_output)
    assert_parity("grad_input", stepped.backward(record, grad_output), expected)


def test_another_module_s_record_is_refused():
    linear, other = Linear(3, 2, rng=0), Linear(3, 2, rng=0)
    record = other.forward(np.ones((4, 3), np.float32))
    with pytest.raises(RuntimeError, match="record: expected one computed with the current"):
        linear.backward(record, None)
    with pytest.raises(TypeError, match="record: expected what forward returns, got tuple"):
        linear.backward(tuple(record), None)
    assert linear.weight.grad is None
    assert other.weight.grad is None


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5))
def test_gradients_by_a_complex_step(seed, n_in, n_out):
    rng = np.random.default_rng(seed)
    linear = Linear(n_in, n_out, dtype=np.float64, rng=rng)
    x, grad_output = rng.standard_normal((3, n_in)), rng.standard_normal((3, n_out))
    grad_x = linear.backward(linear.forward(x), grad_output)

    other = linear.astype(np.complex128)
    step = 1e-100
    targets = {"input": (x + 0j, grad_x)}
    values = targets["input"][0]
    targets |= {name: (p.data, linear_grad(linear, name)) for name, p in other.named_parameters()}
    for name, (array, grad) in targets.items():
        estimate = np.empty(array.shape)
        for index in np.ndindex(array.shape):
            array[index] += 1j * step
            estimate[index] = (grad_output * other(values)).sum().imag / step
            array[index] = array[index].real
        assert_parity(name, grad, estimate)


def linear_grad(linear, name):
    return dict(linear.named_parameters())[name].grad


def test_initial_values():
    linear = Linear(400, 300, rng=3)
    bound = 1 / math.sqrt(400)
    for name, parameter in linear.named_parameters():
        assert parameter.dtype == np.float32
        assert np.abs(parameter.data).max() <= bound * (1 + 1e-6), name
    # A uniform distribution within ±b has the standard deviation b/√3.
    assert abs(linear.weight.data.std() / (bound / math.sqrt(3)) - 1) < 0.01
    assert abs(linear.weight.data.mean()) < 0.01 * bound
    theirs = torch.nn.Linear(400, 300)
    assert abs(linear.weight.data.std() / theirs.weight.std().item() - 1) < 0.02
    assert abs(linear.bias.data.std() / theirs.bias.std().item() - 1) < 0.2


def test_the_same_seed_gives_the_same_weights_in_every_dtype():
    single, double = Linear(4, 3, rng=5), Linear(4, 3, dtype=np.float64, rng=5)
    for (name, a), (_, b) in zip(single.named_parameters(), double.named_parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data.astype(np.float32), err_msg=name)
    np.testing.assert_array_equal(
        Linear(4, 3, rng=np.random.default_rng(5)).weight.data, single.weight.data
    )
    weight = Linear(4, 3, dtype=np.complex128, rng=5).weight.data
    assert (weight.imag != 0).all()
    assert not np.isin(weight.imag, weight.real).any()
    assert Linear(4, 3, dtype=None).weight.dtype == np.float32


def test_without_features_the_bias_begins_at_zero():
    """As in PyTorch, where 1/√0 would be its bound."""
    with pytest.warns(UserWarning, match="no elements"):
        linear = Linear(0, 3)
    assert not linear.bias.data.any()


@pytest.mark.parametrize("bias", [1, None, "yes", 0])
def test_bias_is_taken_as_true_or_false(bias):
    assert (Linear(2, 3, bias).bias is None) == (torch.nn.Linear(2, 3, bias).bias is None)
    assert repr(Linear(2, 3, bias)) == repr(torch.nn.Linear(2, 3, bias))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((-1, 3), ["in_features", "at least 0", "-1"]),
        ((3, -1), ["out_features", "at least 0", "-1"]),
        ((2.0, 3), ["in_features", "an int", "2.0"]),
        ((2, "3"), ["out_features", "an int", "'3'"]),
        ((None, 3), ["in_features", "an int", "None"]),
        ((2, True), ["out_features", "an int", "True"]),
        ((2, np.True_), ["out_features", "an int", "True"]),
    ],
)
def test_constructor_refusals(arguments, words):
    assert_same_refusal(lambda: Linear(*arguments), lambda: torch.nn.Linear(*arguments), *words)


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_a_dtype_without_a_derivative_is_refused_and_draws_nothing(dtype):
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    assert_same_refusal(
        lambda: Linear(2, 3, dtype=dtype, rng=rng),
        lambda: torch.nn.Linear(2, 3, dtype=getattr(torch, dtype)),
        "dtype",
        "float or complex",
        dtype,
    )
    assert rng.random() == other.random()


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((4, 3), np.float32), ["input", "(..., 2)", "(4, 3)"]),
        (np.zeros(3, np.float32), ["input", "(..., 2)", "(3,)"]),
        (np.zeros((), np.float32), ["input", "(..., 2)", "()"]),
        (np.zeros((4, 2)), ["input", "float32", "float64"]),
        (np.zeros((4, 2), np.int64), ["input", "float32", "int64"]),
        (np.zeros((4, 2), np.complex64), ["input", "float32", "complex64"]),
        ([1.0, 2.0], ["input", "array", "list"]),
        (None, ["input", "array", "None"]),
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_call_refusals(x, words, bias):
    theirs = torch.tensor(x) if isinstance(x, np.ndarray) else x
    for call in (Linear(2, 3, bias), Linear(2, 3, bias).forward):
        assert_same_refusal(lambda: call(x), lambda: torch.nn.Linear(2, 3, bias)(theirs), *words)  # noqa: B023


def test_backward_refusals():
    linear, theirs = Linear(2, 3), torch.nn.Linear(2, 3)
    record = linear.forward(np.zeros((4, 2), np.float32))
    output = theirs(torch.zeros(4, 2))
    for shape in [(3, 3), (3,), (1, 3), ()]:
        assert_same_refusal(
            lambda shape=shape: linear.backward(record, np.zeros(shape, np.float32)),
            lambda shape=shape: output.backward(torch.zeros(shape)),
            "grad_output",
            "(4, 3)",
            str(shape),
        )
    with pytest.raises(ValueError, match=r"grad_output: expected .* dtype float32, got .* float64"):
        linear.backward(record, np.zeros((4, 3)))
    with pytest.raises(TypeError, match="grad_output"):
        linear.backward(record, [1.0])
    assert linear.weight.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pytorchs_sample_inputs(dtype):
    for sample in module_inputs(torch.nn.Linear, dtype):
        arguments, inputs = sample.constructor_input, sample.forward_input
        linear = Linear(
            *arguments.args, **arguments.kwargs, dtype=str(dtype).removeprefix("torch."), rng=0
        )
        ours = linear(*to_numpy(inputs.args), **to_numpy(inputs.kwargs))
        assert_parity(sample.desc, ours, twin(linear)(*inputs.args, **inputs.kwargs))
        x = to_numpy([*inputs.args, *inputs.kwargs.values()])[0]
        assert_same_pass(linear, x, np.random.default_rng(1))


def test_an_input_changed_after_forward_does_not_matter():
    linear, x = Linear(2, 3, rng=0), np.ones((4, 2), np.float32)
    record, grad_output = linear.forward(x), np.ones((4, 3), np.float32)
    x[...] = 7
    linear.backward(record, grad_output)
    np.testing.assert_array_equal(linear.weight.grad, 4)


def test_a_weight_of_another_size_takes_the_place_of_the_first():
    linear, x = Linear(2, 2, bias=False, rng=0), np.ones((4, 2), np.float32)
    linear.weight = Parameter(np.ones((3, 2), np.float32))
    record = linear.forward(x)
    grad_x = linear.backward(record, np.ones((4, 3), np.float32))
    np.testing.assert_array_equal(record.output, np.full((4, 3), 2))
    np.testing.assert_array_equal(grad_x, np.full((4, 2), 3))
    np.testing.assert_array_equal(linear.weight.grad, np.full((3, 2), 4))


def test_gradients_in_float16_are_float16():
    linear = Linear(3, 2, dtype=np.float16, rng=0)
    x = np.ones((4, 3), np.float16)
    grad_x = linear.backward(linear.forward(x), np.ones((4, 2), np.float16))
    for array in (grad_x, linear.weight.grad, linear.bias.grad):
        assert array.dtype == np.float16
