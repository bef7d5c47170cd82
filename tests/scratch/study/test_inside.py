"""Figures of one sample: the artists hold the record's numbers, on scales that fit them."""

import numpy as np
import pytest

from scratch import LSTM, LSTMCell, pack_padded_sequence
from scratch.study import (
    Shares,
    draw_backward,
    draw_forward,
    draw_trajectories,
    eigenvalues,
    norms,
    principal_components,
    say_backward,
    say_forward,
    say_trajectories,
)
from tests.scratch.study.records import images, line, passes

SIZES = [(2, 7), (32, 20)]


@pytest.mark.parametrize(("H", "T"), SIZES)
def test_forward_shows_the_record(H, T):
    _, run, _ = passes("lstm", H, T, D=2)
    figure = draw_forward(run, 1)
    above = figure.axes[0]
    np.testing.assert_array_equal(line(above, "x[0]"), run.x[:, 1, 0])
    np.testing.assert_array_equal(line(above, "x[1]"), run.x[:, 1, 1])
    for name, values in zip("ifgoch", images(figure), strict=True):
        np.testing.assert_array_equal(values, getattr(run, name)[:, 1])
    limits = [axes.images[0].get_clim() for axes in figure.axes if axes.images]
    assert [limits[k] for k in (0, 1, 3)] == [(0, 1)] * 3
    for low, high in (limits[k] for k in (2, 4, 5)):
        assert low == -high
    assert len({axes.get_xlim() for axes in figure.axes}) == 1  # one time axis
    for axes in figure.axes[1:]:
        (bar,) = axes.child_axes  # beside the strip, not on it
        assert bar.get_position().x0 >= axes.get_position().x1


def test_the_arrow_points_the_way_a_run_went():
    lstm = LSTM(2, 3, bidirectional=True, dtype=np.float64, rng=0)
    record = lstm.forward(np.ones((4, 1, 2)))
    back = lstm.backward_record(record, np.ones_like(record.output))
    for name, forward, backward, side in [
        ("l0", "time step t →", "← time step t", "right"),
        ("l0_reverse", "← time step t", "time step t →", "left"),
    ]:
        assert draw_forward(record.runs[name]).axes[-1].get_xlabel() == forward
        words = draw_backward(back.runs[name]).axes[-1].get_xlabel()
        assert words.startswith(f"{backward}: the gradient comes from the {side};")


def test_an_input_of_many_features_is_a_strip_too():
    _, run, _ = passes("rnn", 3, 5, D=4)
    x, h = images(draw_forward(run, 2))
    np.testing.assert_array_equal(x, run.x[:, 2])
    np.testing.assert_array_equal(h, run.h[:, 2])


@pytest.mark.parametrize(("H", "T"), SIZES)
@pytest.mark.parametrize(("kind", "names"), [("lstm", "ifgoch"), ("rnn", "hz")])
def test_backward_shows_the_record_on_scales_symmetric_around_0(kind, names, H, T):
    _, _, back = passes(kind, H, T)
    for decades in (0, 4):
        figure = draw_backward(back, 1, decades=decades)
        for name, values in zip(names, images(figure), strict=True):
            np.testing.assert_array_equal(values, getattr(back, f"grad_{name}")[:, 1])
        for axes in figure.axes:
            norm = axes.images[0].norm
            largest = np.abs(axes.images[0].get_array()).max()
            assert (norm.vmin, norm.vmax) == (-largest, largest)
            assert norm(0.0) == pytest.approx(0.5)  # white


def test_given_axes_are_drawn_into():
    from matplotlib.figure import Figure

    _, run, back = passes("rnn", 2, 4)
    own = Figure()
    axes = own.subplots(2, 2)
    assert draw_forward(run, axes=axes[0]) is own
    assert draw_backward(back, axes=axes[1]) is own
    assert len(images(own)) == 3
    with pytest.raises(ValueError, match="axes: expected 2, got 4"):
        draw_forward(run, axes=axes)


def test_a_figure_shows_itself_in_a_notebook():
    _, run, _ = passes("rnn", 2, 4)
    assert draw_forward(run)._repr_png_().startswith(b"\x89PNG")


def test_what_is_no_sample_is_refused():
    _, run, _ = passes("rnn", 2, 4)
    with pytest.raises(IndexError, match="sample: expected one of 3, got 3"):
        draw_forward(run, 3)
    lstm = LSTM(1, 2, dtype=np.float64, rng=0)
    packed = pack_padded_sequence(np.zeros((3, 2, 1)), [3, 1])
    with pytest.raises(ValueError, match="run: expected one of padded input"):
        draw_forward(lstm.forward(packed).runs["l0"])


def test_components_are_those_of_the_covariance():
    _, run, _ = passes("lstm", 5, 20)
    found = principal_components(run.h)
    states = run.h.reshape(-1, 5)
    variances, directions = np.linalg.eigh(np.cov(states.T))
    np.testing.assert_allclose(found.share, variances[:-3:-1] / variances.sum(), rtol=1e-9)
    np.testing.assert_allclose(
        np.abs(np.sum(found.directions * directions.T[:-3:-1], axis=1)), 1, rtol=1e-9
    )
    expected = (run.h - states.mean(axis=0)) @ found.directions.T
    np.testing.assert_allclose(found.path, expected, atol=1e-12)


def test_one_unit_or_none_that_moves():
    path, share, _ = principal_components(np.random.default_rng(0).standard_normal((4, 1, 1)))
    assert path.shape == (4, 1, 2)
    np.testing.assert_allclose(share, [1, 0])
    assert np.isfinite(principal_components(np.zeros((4, 1, 3))).path).all()
    draw_trajectories(np.zeros((4, 1, 3)), np.eye(3))


def test_trajectories_and_eigenvalues_are_drawn():
    model, run, _ = passes("lstm", 4, 9)
    weight = model.lstm.weight_hh_l0.data
    left, right = draw_trajectories(run.h, weight).axes[:2]
    path = principal_components(run.h).path
    for n, dots in enumerate(left.collections[:3]):
        np.testing.assert_array_equal(dots.get_offsets(), path[:, n])
    for k, gate in enumerate("ifgo"):
        (marks,) = (m for m in right.lines if m.get_label() == f"of W_h{gate}")
        expected = np.linalg.eigvals(weight[4 * k : 4 * k + 4])
        np.testing.assert_array_equal(marks.get_xdata(), expected.real)
        np.testing.assert_array_equal(marks.get_ydata(), expected.imag)
    np.testing.assert_array_equal(eigenvalues(np.diag([3.0, 2.0]))[""], [3, 2])
    with pytest.raises(ValueError, match=r"expected shape \(3, 3\) or \(12, 3\), got \(8, 3\)"):
        eigenvalues(np.zeros((8, 3)))


def test_what_is_said_is_computed():
    _, run, back = passes("lstm", 3, 6)
    said = say_forward(run, 2)
    for name in "ifgoch":
        values = getattr(run, name)[:, 2]
        assert f"{name} {values.min():.2g} to {values.max():.2g}".replace("-", "−") in said
    grad = np.abs(back.grad_h[:, 2])
    t, unit = np.argwhere(grad == grad.max())[0]
    assert f"{grad.max():.2g}, at step {t} in unit {unit}" in say_backward(back, 2)
    share = principal_components(run.h).share.sum()
    assert f"{share:.1%} of the variance of 3 units" in say_trajectories(run.h, np.eye(3))
    assert say_trajectories(run.h, np.diag([0.5, -2.0, 1.0])).endswith("|eigenvalue|: W_hh 2")


def test_what_is_no_number_is_grey_and_what_is_complex_is_refused():
    model, _, _ = passes("rnn", 3, 4)
    model.rnn.weight_hh_l0.data[0, 0] = np.nan
    record = model.forward(np.ones((1, 4, 1)))
    run = record.rnn.runs["l0"]
    back = model.backward_record(record, np.ones((1, 2))).rnn.runs["l0"]
    for figure in (draw_forward(run), draw_backward(back), draw_backward(back, decades=0)):
        strip = figure.axes[-1].images[0]
        assert np.isfinite(strip.get_clim()).all()
        figure.draw_without_rendering()
    with pytest.raises(ValueError, match="h: expected finite numbers, got infinity or NaN"):
        draw_trajectories(run.h, np.eye(3))
    record = LSTM(2, 3, dtype=np.complex128, rng=0).forward(np.ones((4, 1, 2), np.complex128))
    run = record.runs["l0"]
    with pytest.raises(ValueError, match="run: expected real numbers, got complex128"):
        draw_forward(run)
    with pytest.raises(ValueError, match="h: expected real numbers, got complex128"):
        draw_trajectories(run.h, np.eye(3))


def test_another_record_than_that_of_a_run_is_refused():
    model, run, back = passes("lstm", 3, 4)
    step = LSTMCell(1, 3, rng=0).forward(np.ones((2, 1), np.float32))
    record = model.forward(np.ones((1, 4, 1)))
    for wrong in (back, step, record.lstm):
        with pytest.raises(TypeError, match=r'run: expected record\.runs\["l0"\] of forward, or'):
            draw_forward(wrong)
    for function in (draw_backward, say_backward, norms):
        with pytest.raises(TypeError, match=r"back: expected back\.runs.* of a layer, got Run"):
            function(run)
    for name in ("bias_ih", "weight_hr"):
        with pytest.raises(ValueError, match=f"name: expected weight_ih or weight_hh, got '{name}"):
            Shares(back, name, 0, 0)


def test_a_gradient_of_zeros_is_said_to_be_one():
    model, _, _ = passes("lstm", 3, 4)
    record = model.forward(np.ones((1, 4, 1)))
    back = model.backward_record(record, np.zeros((1, 2))).lstm.runs["l0"]
    assert say_backward(back) == "∂L/∂h is 0 at every step"
