"""What is watched in the course of training: gates near their ends, and one weight through Adam."""

import numpy as np
import pytest

from scratch import Adam, MSELoss, SimpleLSTM, SimpleRNN
from scratch.study import AdamWay, Watch, draw_adam, draw_saturation, say_adam, say_saturation
from scratch.study.training import saturation
from scratch.training import train
from tests.scratch.study.records import line


def watched(cls, epochs=6, **options):
    rng = np.random.default_rng(0)
    model = cls(1, 3, 1, dtype=np.float64, rng=rng)
    inputs = rng.standard_normal((8, 5, 1))
    optimizer = Adam(model.parameters(), lr=0.05, **options)
    part = "lstm" if cls is SimpleLSTM else "rnn"
    watch = Watch(model, optimizer, inputs, f"{part}.weight_hh_l0", (2, 1))
    for loss in train(model, MSELoss(), optimizer, inputs, inputs.sum(axis=1), epochs):
        watch.look(loss)
    return model, inputs, watch


@pytest.mark.parametrize("cls", [SimpleRNN, SimpleLSTM])
def test_the_steps_are_those_that_the_weight_took(cls):
    """m̂, v̂ and the step, from g, m and v as Adam left them, are what moved the weight."""
    model, _, watch = watched(cls, betas=(0.8, 0.95), eps=1e-3)
    way = watch.adam
    assert len(watch.losses) == len(way.g) == 6
    np.testing.assert_allclose(way.step, -np.diff(watch.weights), rtol=1e-9)
    m = v = 0.0
    for t, g in enumerate(way.g):
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
        np.testing.assert_allclose([way.m[t], way.v[t]], [m, v], rtol=1e-12)
    parameter = dict(model.named_parameters())[watch.name]
    assert watch.weights[-1] == parameter.data[2, 1]
    assert way.g[-1] == parameter.grad[2, 1]


def test_without_correction_the_first_step_is_too_large():
    way = watched(SimpleRNN)[2].adam
    factor = way.step_without_correction[0] / way.step[0]
    assert factor == pytest.approx(0.1 / np.sqrt(0.001), rel=1e-4)  # ε is small beside √v


def test_saturation_is_counted_within_a_tenth_of_the_range():
    values = np.array([0.05, 0.1, 0.5, 0.95])
    assert saturation(values, 0.0) == (0.25, 0.25)
    assert saturation(2 * values - 1, -1.0) == (0.25, 0.25)


def test_gates_are_looked_at_before_training_and_after_every_step():
    model, inputs, watch = watched(SimpleLSTM)
    assert set(watch.saturation) == set("ifgo")
    run = model.forward(inputs).lstm.runs["l0"]
    for name, shares in watch.saturation.items():
        assert shares.shape == (7, 2)
        low = -1.0 if name == "g" else 0.0
        assert tuple(shares[-1]) == saturation(getattr(run, name), low)
    assert set(watched(SimpleRNN)[2].saturation) == {"h"}


def test_a_parameter_that_is_not_there():
    model = SimpleRNN(1, 2, 1, rng=0)
    with pytest.raises(KeyError, match=r"name: expected one of rnn\.weight_ih_l0, .*got 'weight'"):
        Watch(model, Adam(model.parameters()), np.zeros((1, 2, 1), np.float32), "weight", (0, 0))


def test_figures_hold_what_was_watched():
    watch = watched(SimpleLSTM)[2]
    for axes, (name, shares) in zip(
        draw_saturation(watch.saturation).axes, watch.saturation.items(), strict=True
    ):
        np.testing.assert_array_equal(
            line(axes, "near −1" if name == "g" else "near 0"), shares[:, 0]
        )
        np.testing.assert_array_equal(line(axes, "near 1"), shares[:, 1])
    way = watch.adam
    first, second, third = draw_adam(way).axes
    np.testing.assert_array_equal(line(first, "g, the gradient"), way.g)
    np.testing.assert_array_equal(line(first, "m"), way.m)
    np.testing.assert_array_equal(line(first, "m̂, corrected"), way.m_hat)
    np.testing.assert_array_equal(line(second, "v"), way.v)
    np.testing.assert_array_equal(line(second, "v̂, corrected"), way.v_hat)
    np.testing.assert_array_equal(third.lines[0].get_ydata(), way.step)
    np.testing.assert_array_equal(third.lines[1].get_ydata(), way.step_without_correction)


def test_what_is_said_is_computed():
    shares = np.array([[0.1, 0.02], [0.3, 0.0], [0.25, 0.25]])
    assert say_saturation({"f": shares}).endswith("before → after training: f 12% → 50%")
    way = AdamWay(*np.array([[2.0, 1.0], [0.2, 0.28], [0.004, 0.005]]), 0.1, 0.9, 0.999, 0.0)
    assert say_adam(way) == (
        f"the first of 2 steps is 0.1, without bias correction 0.316; the largest 0.1 and "
        f"{0.1 * 0.28 / np.sqrt(0.005):.3g}"
    )
