"""The training loop against the one in PyTorch, and the four systems in full."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import reference.training
from scratch import Adam, CrossEntropyLoss, MSELoss, SimpleLSTM, SimpleRNN
from scratch.tasks.systems import SYSTEMS, load_task
from scratch.training import chunks, epoch_line, tenths, train, truncation_error
from tests.parity import assert_parity
from tests.scratch.test_models import models, reference_twin, sizes_of
from tests.torch_twin import to_torch

# Adam divides a gradient by its own size, so that the smallest gradients, whose digits cancel, move
# a weight as much as the largest do: over 20 steps, differences grow a hundredfold.
TOLERANCE = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-3}


def assert_same_run(model, criterion, inputs, targets, **options):
    theirs = reference_twin(model)
    ours = list(
        train(model, criterion, Adam(model.parameters(), lr=0.01), inputs, targets, 20, **options)
    )
    expected = list(
        reference.training.train(
            theirs,
            getattr(torch.nn, type(criterion).__name__)(),
            torch.optim.Adam(theirs.parameters(), lr=0.01),
            to_torch(inputs),
            to_torch(targets),
            20,
            **options,
        )
    )
    tolerance = TOLERANCE[inputs.dtype]
    assert_parity("losses", np.array(ours), np.array(expected), tolerance)
    for name, parameter in model.named_parameters():
        assert_parity(name, parameter.data, theirs.get_parameter(name), tolerance)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("max_norm", [None, 0.1])
@pytest.mark.parametrize(("every_step", "truncate"), [(False, None), (True, None), (True, 3)])
@pytest.mark.parametrize("model_class", [SimpleRNN, SimpleLSTM])
def test_twenty_epochs_are_pytorch_s(model_class, every_step, truncate, max_norm, dtype):
    model = model_class(2, 5, 3, every_step=every_step, dtype=dtype, rng=0)
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((6, 8, 2)).astype(dtype)
    targets = rng.standard_normal(model(inputs).shape).astype(dtype)
    assert_same_run(model, MSELoss(), inputs, targets, truncate=truncate, max_norm=max_norm)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_twenty_epochs_of_classes_are_pytorch_s(dtype):
    task = load_task(SYSTEMS["classes-rnn"], dtype=dtype)
    assert_same_run(task.make_model(), CrossEntropyLoss(), task.inputs, task.targets)


def test_a_gradient_clipped_to_nothing_trains_nothing():
    task = load_task(SYSTEMS["classes-rnn"])
    model = task.make_model()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    optimizer = Adam(model.parameters(), lr=0.1)
    settings = (model, CrossEntropyLoss(), optimizer, task.inputs, task.targets, 3)
    assert len(set(train(*settings, max_norm=0.0))) == 1
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


# Truncated backpropagation through time


def drawn_task(model, time, seed):
    rng, dtype = np.random.default_rng(seed), model.fc.weight.dtype
    inputs = rng.standard_normal((4, time, sizes_of(model)[0])).astype(dtype)
    return inputs, rng.standard_normal(model(inputs).shape).astype(dtype)


@given(models(every_step=[True]), st.integers(1, 7), st.integers(0, 3), st.integers(0, 99))
def test_chunks_as_long_as_the_sequence_change_nothing(model, time, more, seed):
    inputs, targets = drawn_task(model, time, seed)
    start = {name: array.copy() for name, array in model.state_dict().items()}
    runs = []
    for truncate in (None, time + more):
        model.load_state_dict(start)
        optimizer = Adam(model.parameters(), lr=0.01)
        losses = list(train(model, MSELoss(), optimizer, inputs, targets, 2, truncate=truncate))
        runs.append((losses, [array.copy() for array in model.state_dict().values()]))
    assert runs[0][0] == runs[1][0]
    for a, b in zip(runs[0][1], runs[1][1], strict=True):
        np.testing.assert_array_equal(a, b)
    assert truncation_error(model, MSELoss(), inputs, targets, time + more) == 0


@given(models(every_step=[True]), st.integers(2, 8), st.integers(1, 8), st.integers(0, 99))
def test_truncation_error_is_that_of_detached_states_in_pytorch(model, time, truncate, seed):
    model = model.astype(np.float64)
    inputs, targets = drawn_task(model, time, seed)
    theirs = reference_twin(model)
    gradients = []
    for steps in (truncate, time):
        theirs.zero_grad()
        state, outputs = None, []
        for x, _target in chunks(to_torch(inputs), to_torch(targets), steps):
            output, state = theirs.forward_from(x, state)
            state = reference.training.detach(state)
            outputs.append(output)
        torch.nn.functional.mse_loss(torch.cat(outputs, dim=1), to_torch(targets)).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in theirs.parameters()]))
    cut, full = gradients
    expected = float((cut - full).norm() / full.norm())
    got = truncation_error(model, MSELoss(), inputs, targets, truncate)
    assert abs(got - expected) <= 1e-12 * max(1, expected)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("every_step", "truncate", "message"),
    [(True, 0, "at least one step, got 0"), (False, 2, "a model that answers at every step")],
)
def test_truncate_is_refused_before_anything_changes(every_step, truncate, message):
    model = SimpleRNN(1, 2, 1, every_step=every_step, rng=0)
    inputs, targets = drawn_task(model, 4, seed=0)
    optimizer = Adam(model.parameters())
    with pytest.raises(ValueError, match=message):
        next(train(model, MSELoss(), optimizer, inputs, targets, 1, truncate=truncate))
    with pytest.raises(ValueError, match=message):
        truncation_error(model, MSELoss(), inputs, targets, truncate)
    assert all(parameter.grad is None for parameter in model.parameters())


# The lines


@given(st.integers(1, 300))
def test_ten_lines_or_one_for_each_epoch(epochs):
    chosen = tenths(epochs)
    assert len(chosen) == min(epochs, 10)
    assert max(chosen) == epochs
    assert min(chosen) >= 1
    if epochs % 10 == 0:
        assert chosen == set(range(epochs // 10, epochs + 1, epochs // 10))


def test_the_line_of_an_epoch():
    assert epoch_line(10, 100, 0.1234567) == "Epoch [10/100], Loss: 0.123457"
    assert epoch_line(1, 9, 999999.5) == "Epoch [1/9], Loss: 999999.500000"
    assert epoch_line(1, 9, 1e6) == "Epoch [1/9], Loss: 1.00e+06"
    assert epoch_line(1, 9, 2.25e22) == "Epoch [1/9], Loss: 2.25e+22"


# The systems


def run(name, seed=0, every_step=False, dtype=np.float32):
    task = load_task(SYSTEMS[name], every_step=every_step, dtype=dtype, seed=seed)
    model, system = task.make_model(), task.system
    optimizer = Adam(model.parameters(), lr=system.lr)
    losses = list(
        train(model, system.criterion, optimizer, task.inputs, task.targets, system.epochs)
    )
    return task, model, losses


@pytest.mark.parametrize("every_step", [False, True])
def test_sine_rnn(every_step):
    _task, _model, losses = run("sine-rnn", every_step=every_step)
    assert len(losses) == 100
    assert losses[-1] < 1e-3


def test_sine_lstm():
    _task, _model, losses = run("sine-lstm")
    assert len(losses) == 100
    assert losses[-1] < 1e-3


@pytest.mark.parametrize("seed", range(10))
def test_classes_rnn(seed):
    _task, _model, losses = run("classes-rnn", seed)
    assert len(losses) == 10
    assert abs(losses[0] - math.log(5)) < 0.2
    assert (np.diff(losses) < 0).all()


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_airline_lstm(seed, every_step):
    task, model, losses = run("airline-lstm", seed, every_step)
    assert len(losses) == 30
    prediction = task.held_out.restore(model(task.held_out.inputs))
    assert task.held_out.rmse(prediction) <= 21


def test_a_norm_of_zero_clips_everything():
    model = SimpleRNN(1, 2, 1, rng=0)
    before = {name: array.copy() for name, array in model.state_dict().items()}
    x = np.ones((3, 4, 1), np.float32)
    list(train(model, MSELoss(), Adam(model.parameters()), x, x[:, 0], 1, max_norm=0.0))
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
