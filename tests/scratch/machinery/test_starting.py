"""Weights to start from: the forget bias and the spectral radius that were asked for."""

import numpy as np
import pytest

from scratch import LSTM, RNN, LSTMCell
from scratch.machinery.starting import set_forget_bias, set_spectral_radius


def test_a_forget_gate_that_sees_nothing_is_sigma_of_the_bias():
    lstm = LSTM(2, 3, num_layers=2, bidirectional=True, dtype=np.float64, rng=0)
    before = LSTM(2, 3, num_layers=2, bidirectional=True, dtype=np.float64, rng=0)
    set_forget_bias(lstm, 3.0)
    record = lstm.forward(np.zeros((1, 1, 2)))
    for suffix in ("l0", "l0_reverse"):  # x and h_prev are 0
        np.testing.assert_allclose(record.runs[suffix].f, 1 / (1 + np.exp(-3.0)), rtol=1e-15)
        np.testing.assert_array_equal(
            record.runs[suffix].i, before.forward(np.zeros((1, 1, 2))).runs[suffix].i
        )
    cell = LSTMCell(2, 3, dtype=np.float64, rng=0)
    set_forget_bias(cell, -1.0)
    f = cell.forward(np.zeros((1, 2))).f
    np.testing.assert_allclose(f, 1 / (1 + np.e), rtol=1e-15)
    with pytest.raises(ValueError, match=r"lstm: expected one with biases, got LSTM\(2, 3"):
        set_forget_bias(LSTM(2, 3, bias=False), 1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_eigenvalue_is_as_far_from_0_as_asked(dtype):
    rnn = RNN(2, 5, num_layers=2, dtype=dtype, rng=0)
    weight_ih = rnn.weight_ih_l0.data.copy()
    set_spectral_radius(rnn, 1.5)
    for weight in (rnn.weight_hh_l0, rnn.weight_hh_l1):
        assert weight.dtype == dtype
        largest = np.abs(np.linalg.eigvals(weight.data)).max()
        assert largest == pytest.approx(1.5, rel=float(10 * np.finfo(dtype).eps))
    np.testing.assert_array_equal(rnn.weight_ih_l0.data, weight_ih)
    rnn.weight_hh_l0.data[...] = 0
    with pytest.raises(ValueError, match="weight_hh_l0: expected an eigenvalue that is not 0"):
        set_spectral_radius(rnn, 1.0)
