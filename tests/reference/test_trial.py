"""Both sides of the systems: the first step and the whole training."""

import time
from dataclasses import replace

import numpy as np
import pytest

from reference import twin
from reference.trial import compare_first_step, largest_difference, rounding, run_scratch, run_torch
from scratch import Adam
from scratch.tasks.systems import SYSTEMS, load_task


def few(task, count=20):
    """The task with the first sequences of its data: the same steps in less time."""
    data = task.data
    return replace(
        task, data=data._replace(inputs=data.inputs[:count], targets=data.targets[:count])
    )


ALL = [
    (name, every_step)
    for name, system in SYSTEMS.items()
    for every_step in ([False, True] if system.allows_every_step else [False])
]


@pytest.mark.parametrize(("name", "every_step"), ALL)
def test_the_first_step_agrees(name, every_step):
    task = few(load_task(SYSTEMS[name], every_step=every_step), 200)
    model = task.make_model()
    parity = compare_first_step(model, task)
    assert parity.ok, str(parity)
    parameters = [name for name, _ in model.named_parameters()]
    assert [row.label for row in parity.rows] == [
        *("prediction", "loss", "gradient of prediction", "gradient of x"),
        *(f"gradient of {name}" for name in parameters),
    ]
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_mistake_in_the_model_shows_at_the_first_step():
    task = few(load_task(SYSTEMS["sine-lstm"]))
    model = task.make_model()
    backward = model.lstm.backward

    def wrong(*arguments):
        grads = backward(*arguments)
        model.lstm.weight_hh_l0.grad[7, 3] += 1e-9
        return grads

    model.lstm.backward = wrong
    (bad,) = (row for row in compare_first_step(model, task).rows if not row.ok)
    assert (bad.label, bad.index) == ("gradient of lstm.weight_hh_l0", (7, 3))


@pytest.mark.parametrize(
    ("name", "options", "truncate", "max_norm"),
    [
        ("sine-rnn", {}, None, None),
        ("sine-lstm", {}, None, 0.1),
        ("sine-rnn", {"every_step": True}, 15, None),
        ("airline-lstm", {"every_step": True}, 5, 0.05),
        ("classes-rnn", {"seed": 1}, None, None),
    ],
)
def test_trained_sides_stay_together(name, options, truncate, max_norm):
    task = few(load_task(SYSTEMS[name], **options))
    model = task.make_model()
    theirs, start = twin(model), {k: v.copy() for k, v in model.state_dict().items()}
    lines = {"scratch": [], "torch": []}
    how = {"truncate": truncate, "max_norm": max_norm}
    start_time = time.perf_counter()
    ours = run_scratch(model, task, lambda *line: lines["scratch"].append(line), **how)
    other = run_torch(theirs, task, lambda *line: lines["torch"].append(line), **how)
    elapsed = time.perf_counter() - start_time
    # 100 steps add up what rounding moves in each; more than 1e-8 would be another algorithm.
    assert largest_difference(ours.weights, other.weights) < 1e-8
    np.testing.assert_allclose(ours.losses, other.losses, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(ours.prediction, other.prediction, rtol=0, atol=1e-8)
    assert ours.prediction.shape == other.prediction.shape
    assert largest_difference(ours.weights, start) > 1e-3
    for side, result in (("scratch", ours), ("torch", other)):
        assert lines[side] == list(enumerate(result.losses, 1))
        assert len(result.losses) == task.system.epochs
        assert result.losses[-1] < result.losses[0]
        assert len(result.epoch_seconds) == len(result.losses)
        assert min(result.epoch_seconds) > 0
        assert (result.held_out is None) is (task.held_out is None)

    assert ours.seconds + other.seconds < elapsed


def test_the_seconds_are_those_of_the_epochs_without_what_is_printed(monkeypatch):
    """The clock stands still but for 7 s in each step and 100 s in each report."""
    now = 0.0

    def take(seconds):
        nonlocal now
        now += seconds

    class Slow(Adam):
        def step(self):
            take(7)

    monkeypatch.setattr("time.perf_counter", lambda: now)
    monkeypatch.setattr("reference.trial.Adam", Slow)
    task = few(load_task(replace(SYSTEMS["classes-rnn"], epochs=2)))
    side = run_scratch(task.make_model(), task, lambda *_: take(100))
    assert side.epoch_seconds == [7, 7]
    assert side.seconds == 14


def test_largest_difference():
    zeros = {"a": np.zeros(3), "b": np.zeros(1)}
    assert largest_difference({"a": np.array([0.0, -2, 1]), "b": np.ones(1)}, zeros) == 2


def test_gradients_of_an_earlier_step_do_not_add_up():
    task = load_task(SYSTEMS["classes-rnn"], dtype=np.float32)
    model = task.make_model()
    for parameter in model.parameters():
        parameter.grad = np.ones_like(parameter.data)
    assert compare_first_step(model, task).ok
    for parameter in model.parameters():
        parameter.grad = np.ones_like(parameter.data)
    assert rounding(model, task)[0] < 1e-5
    assert rounding(model, task)[0] < 1e-5
    assert all(parameter.grad is None for parameter in model.parameters())


def test_rounding_is_that_of_the_dtype():
    task = load_task(SYSTEMS["classes-rnn"], dtype=np.float32)
    for error in rounding(task.make_model(), task):
        assert 1e-9 < error < 1e-5
    task = load_task(SYSTEMS["classes-rnn"])
    assert rounding(task.make_model(), task)[0] == 0
