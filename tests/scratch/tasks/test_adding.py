"""The adding problem: what its sequences are, and who solves it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratch import Adam
from scratch.tasks.adding import SOLVED, adding_problem, adding_sequences
from scratch.tasks.systems import MEMORY, load_task
from scratch.training import train


@given(steps=st.integers(4, 60), seed=st.integers(0, 2**32))
def test_two_of_the_numbers_are_marked_and_their_sum_is_asked_for(steps, seed):
    inputs, targets, _ = adding_sequences(np.random.default_rng(seed), 200, steps)
    assert (inputs.shape, targets.shape) == ((200, steps, 2), (200, 1))
    numbers, marks = inputs[..., 0], inputs[..., 1]
    assert (np.abs(numbers) <= 1).all()
    np.testing.assert_array_equal((marks == 1).sum(1), 2)
    np.testing.assert_allclose(
        *(0.5 + (numbers * (marks == 1)).sum(1, keepdims=True) / 4, targets), rtol=0, atol=1e-15
    )
    places = np.argwhere(marks == 1)[:, 1].reshape(200, 2)
    assert (places.min(1) < 10).all()
    assert places.max() < steps // 2
    assert len(np.unique(places)) > 1
    first = marks[:, 0] == 1
    np.testing.assert_array_equal(numbers[first, 0], 0)
    np.testing.assert_array_equal(marks[:, -1], -1)
    np.testing.assert_array_equal(marks[~first, 0], -1)
    assert set(np.unique(marks[:, 1:-1])) <= {0.0, 1.0}


def test_every_step_of_the_first_half_is_marked_now_and_then():
    marks = adding_sequences(np.random.default_rng(0), 3000, 50).inputs[..., 1] == 1
    share = marks.mean(0)
    assert (share[:25] > 0.01).all()
    assert (share[25:] == 0).all()
    assert share[:10].sum() > 1.2  # one of the first ten, and 9 in 24 of the others


def test_what_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="steps: expected at least 4, got 3"):
        adding_sequences(rng, 5, 3)
    with pytest.raises(ValueError, match="every_step: expected False"):
        adding_problem(rng, every_step=True)


def errors_on_others(name, every):
    """The root mean squared error on 1000 sequences that the training did not see, now and then."""
    task = load_task(MEMORY[name], dtype=np.float32)
    model = task.make_model()
    optimizer = Adam(model.parameters(), lr=task.system.lr)
    settings = model, task.system.criterion, optimizer, task.inputs, task.targets
    others = adding_sequences(np.random.default_rng(1), 1000, 50).astype(np.float32)
    for epoch, _loss in enumerate(train(*settings, task.system.epochs), 1):
        if epoch % every == 0:
            yield np.sqrt(np.mean((model(others.inputs) - others.targets) ** 2))


def test_the_lstm_solves_it_and_the_rnn_does_not():
    """The same sequences, size, step size and number of epochs. The answer 0.5 gets 0.2."""
    assert any(error < SOLVED for error in errors_on_others("adding-lstm", 100))
    errors = list(errors_on_others("adding-rnn", 100))
    assert len(errors) == 6
    assert min(errors) > 0.18


def test_only_the_lstm_starts_with_open_forget_gates():
    lstm = load_task(MEMORY["adding-lstm"]).make_model().lstm
    bias = lstm.bias_ih_l0.data + lstm.bias_hh_l0.data
    i, f, g, o = bias.reshape(4, -1)
    assert (f == 3).all()
    assert not np.intersect1d([i, g, o], [0, 3]).size
