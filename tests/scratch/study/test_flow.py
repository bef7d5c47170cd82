"""Gradients through time: norms, starts, shares and Jacobians, held against what they must be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratch import LSTM, RNN
from scratch.study import (
    AdamWay,
    Shares,
    draw_adam,
    draw_flow,
    draw_forward,
    draw_jacobians,
    draw_shares,
    jacobian_norms,
    lstm_flow,
    norms,
    product_norms,
    rnn_flow,
    say_flow,
    say_jacobians,
    say_shares,
    step_jacobians,
)
from scratch.study.style import number
from tests.scratch.study.records import line, passes


def test_norms_are_over_samples_and_units():
    _, _, back = passes("lstm", 3, 5)
    found = norms(back)
    assert set(found) == {"h", "c"}
    for state, curve in found.items():
        squares = np.square(getattr(back, f"grad_{state}")).sum(axis=(1, 2))
        np.testing.assert_allclose(curve, np.sqrt(squares), rtol=1e-14)


def test_a_linear_rnn_shrinks_by_its_spectral_radius():
    """Near 0 tanh is the identity, and for c I the gradient shrinks by exactly c."""
    rnn = RNN(1, 3, bias=False, dtype=np.float64, rng=0)
    rnn.weight_hh_l0.data[...] = 7 * np.eye(3)
    before = rnn.weight_hh_l0.data.copy()
    curves = rnn_flow(rnn, np.zeros((6, 1, 1)), (0.5, 2.0))
    assert list(curves) == ["spectral radius 0.5", "spectral radius 2"]
    for radius, curve in zip((0.5, 2.0), curves.values(), strict=True):
        np.testing.assert_allclose(curve, radius ** np.arange(5, -1, -1.0), rtol=1e-12)
    np.testing.assert_array_equal(rnn.weight_hh_l0.data, before)


def test_without_recurrent_weights_all_of_the_gradient_goes_straight_through_the_forget_gates():
    lstm = LSTM(2, 3, dtype=np.float64, rng=0)
    lstm.weight_hh_l0.data[...] = 0
    x = np.random.default_rng(0).standard_normal((6, 2, 2))
    found, straight = lstm_flow(lstm, x, (0.0, 2.0))
    for label, curve in found.items():
        np.testing.assert_allclose(straight[label], curve, rtol=1e-12)
    assert found["forget bias 2"][0] > found["forget bias 0"][0]
    lstm.weight_ih_l0.data[...] = 0  # all gates are σ(bias)
    found, _ = lstm_flow(lstm, x, (2.0,))
    np.testing.assert_allclose(
        found["forget bias 2"], (1 / (1 + np.exp(-2))) ** np.arange(5, -1, -1.0), rtol=1e-12
    )


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bidirectional": True}, {"proj_size": 1}])
def test_only_a_single_layer_has_such_a_flow(options):
    lstm = LSTM(1, 2, rng=0, **options)
    for function in (lstm_flow, jacobian_norms, step_jacobians):
        with pytest.raises(ValueError, match="expected one layer in one direction"):
            function(lstm, np.zeros((3, 1), np.float32))


def test_another_module_has_no_such_flow():
    x = np.zeros((3, 1), np.float32)
    with pytest.raises(TypeError, match=r"layer: expected an LSTM, got RNN$"):
        lstm_flow(RNN(1, 2), x)
    with pytest.raises(TypeError, match=r"layer: expected an RNN, got LSTM$"):
        rnn_flow(LSTM(1, 2), x)
    with pytest.raises(TypeError, match=r"layer: expected an RNN or LSTM, got str$"):
        jacobian_norms("rnn", x)


def test_flow_is_drawn_on_one_logarithmic_axis():
    panels = {
        "before": {"a": np.array([1e-9, 1.0]), "b": np.array([0.0, 2.0])},
        "after": {"a": np.array([3.0, 5.0])},
    }
    beside = {"before": {"b": np.array([1e-12, 1.0])}}
    figure = draw_flow(panels, beside, beside_label="dots")
    left, right = figure.axes
    for axes, curves in zip((left, right), panels.values(), strict=True):
        assert axes.get_yscale() == "log"
        for label, curve in curves.items():
            np.testing.assert_array_equal(line(axes, label), curve)
    assert any(np.array_equal(drawn.get_ydata(), beside["before"]["b"]) for drawn in left.lines)
    assert left.get_ylim()[0] < 1e-12
    assert "dots" in [text.get_text() for text in left.get_legend().get_texts()]


def test_factors_are_said_with_what_labels_share_said_once():
    curves = {"bias 0": np.array([0.5, 2.0]), "bias 1": np.array([3e-8, 1.0])}
    assert say_flow(curves) == "bias 0: 0.25, 1: 3e−8"
    assert say_flow({"h": np.zeros(2)}) == "h: none, as it is 0"
    assert say_flow({"RNN h": np.ones(2), "LSTM h": np.ones(2)}) == "RNN h: 1, LSTM h: 1"


@pytest.mark.parametrize(("kind", "gates"), [("lstm", "ifgo"), ("rnn", [""])])
def test_shares_end_at_the_gradient(kind, gates):
    model, _, back = passes(kind, 3, 6)
    grad = getattr(model, kind).weight_hh_l0.grad
    shares = Shares(back, "weight_hh", 2, 1)
    assert list(shares) == list(gates)
    blocks = grad.reshape(len(gates), 3, 3)
    grads = {gate: blocks[k, 2, 1] for k, gate in enumerate(gates)}
    contributions = back.contributions("weight_hh").reshape(6, len(gates), 3, 3)
    figure = draw_shares(shares, grads)
    for k, (gate, axes) in enumerate(zip(gates, figure.axes, strict=True)):
        np.testing.assert_array_equal(shares[gate], contributions[:, k, 2, 1])
        (bars,) = axes.containers
        np.testing.assert_array_equal([bar.get_height() for bar in bars], shares[gate])
        total = line(axes, "sum from the last step to t")
        assert total[-1] == shares[gate][-1]
        assert total[0] == pytest.approx(grads[gate], rel=1e-12)
        assert set(line(axes, ".grad")) == {grads[gate]}
    sums = ", ".join(f"{gate} {number(share.sum(), 2)}".strip() for gate, share in shares.items())
    assert f"steps, is {sums};" in say_shares(shares)


def test_shares_are_said_from_the_last_step_on():
    said = say_shares({"": np.array([0.1, 0.0, -0.4, 0.5])})
    assert "steps, is 0.2;" in said
    assert said.endswith("90% comes from the last 2")


layers = st.sampled_from(["tanh", "relu", "lstm"])


@given(
    kind=layers,
    H=st.integers(1, 4),
    T=st.integers(1, 6),
    bias=st.booleans(),
    batch_first=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_jacobians_by_backward_pass_and_by_products_are_equal(kind, H, T, bias, batch_first, seed):
    rng = np.random.default_rng(seed)
    options = {"bias": bias, "batch_first": batch_first, "dtype": np.float64, "rng": rng}
    layer = LSTM(2, H, **options) if kind == "lstm" else RNN(2, H, nonlinearity=kind, **options)
    x = rng.standard_normal((T, 2))
    by_backward, by_product = jacobian_norms(layer, x), product_norms(layer, x)
    np.testing.assert_array_equal(np.isnan(by_backward), ~np.tri(T, dtype=bool))
    np.testing.assert_allclose(by_backward, by_product, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(np.diag(by_backward), 1)


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_the_jacobian_of_a_step_is_its_derivative(kind):
    """By a complex step in the state before."""
    model, run, _ = passes(kind, 3, 4, N=1)
    layer = getattr(model, kind)
    jacobians = step_jacobians(layer, run.x[:, 0])
    exact, t = layer.astype(np.complex128), 2
    before = [run.h_prev[t, 0]] + ([run.c_prev[t, 0]] if kind == "lstm" else [])
    before = np.concatenate(before)
    for j in range(len(before)):
        state = before.astype(complex)
        state[j] += 1e-30j
        parts = [part[np.newaxis] for part in np.split(state, len(before) // 3)]
        h0 = parts[0] if kind == "rnn" else tuple(parts)
        _, after = exact(run.x[t : t + 1, 0].astype(complex), h0)
        after = after.ravel() if kind == "rnn" else np.concatenate([a.ravel() for a in after])
        np.testing.assert_allclose(jacobians[t, :, j], after.imag / 1e-30, rtol=1e-12)


def test_jacobians_are_drawn():
    model, run, _ = passes("lstm", 3, 7)
    a = jacobian_norms(model.lstm, run.x[:, 0])
    b = product_norms(model.lstm, run.x[:, 0])
    figure = draw_jacobians(a, b)
    for axes, expected in zip(figure.axes, (a, b), strict=False):
        np.testing.assert_array_equal(axes.images[0].get_array().filled(np.nan), expected)
    said = say_jacobians(a, b)
    assert f"of a random change of h_0, {number(a[6, 0], 2)} is left in h_6" in said
    assert say_jacobians(a, a + 0.5).endswith(number(0.5 / np.nanmax(a + 0.5), 1))


def test_curves_of_which_a_logarithm_shows_nothing_say_so():
    zeros = np.zeros(4)
    way = AdamWay(zeros, zeros, zeros, 0.01, 0.9, 0.999, 1e-8)
    figure = draw_flow({"": {"h": zeros}, "other": {"h": np.array([np.inf, 1, np.nan, 2])}})
    figure.draw_without_rendering()
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [
        ["0 at every step"],
        [],
    ]
    assert draw_adam(way).axes[1].texts[0].get_text() == "0 at every step"
    assert say_shares({"i": zeros, "f": np.array([0, 0, 1.0, 0])}).endswith("the last 0, 2")


def test_what_is_not_real_is_refused():
    layers = [RNN(2, 3, dtype=np.complex128, rng=0), LSTM(2, 3, dtype=np.complex128, rng=0)]
    x = np.ones((4, 1, 2), np.complex128)
    for layer, flow in zip(layers, (rnn_flow, lstm_flow), strict=True):
        for call in (
            lambda flow=flow, layer=layer: flow(layer, x),
            lambda layer=layer: jacobian_norms(layer, x[:, 0]),
        ):
            with pytest.raises(ValueError, match="layer: expected real numbers, got complex128"):
                call()
    record = layers[0].forward(x)
    back = layers[0].backward_record(record, record.output).runs["l0"]
    with pytest.raises(ValueError, match="weight_hh: expected real numbers, got complex128"):
        Shares(back, "weight_hh", 0, 0)


def test_a_curve_of_one_step_is_a_point():
    """A line through one point has nothing to be seen by."""
    one = np.ones(1)
    way = AdamWay(one, one, one, 0.01, 0.9, 0.999, 1e-8)
    _, run, _ = passes("lstm", 2, 1)
    for figure in (
        *(draw_flow({"": {"h": one}}), draw_shares({"i": one}, {"i": 1.0})),
        *(draw_adam(way), draw_forward(run)),
    ):
        curves = [c for axes in figure.axes for c in axes.lines if len(c.get_xdata()) == 1]
        assert curves
        assert all(curve.get_marker() == "o" for curve in curves)
