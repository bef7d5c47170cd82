"""Weights to start from that are not those of torch.nn: a forget bias, a spectral radius."""

from __future__ import annotations

import numpy as np

from .module import Module


def set_forget_bias(lstm: Module, value: float) -> None:
    """Make the bias of every forget gate `value`: that of bias_ih, with 0 in bias_hh.

    lstm: an LSTM or LSTMCell. At `value` 3 a gate that sees nothing lets σ(3) = 0.95 of c through.
    Gers et al. 2000 start with positive ones; torch.nn with random ones within ±2/√H.
    Raises ValueError for a module without biases.
    """
    biases = {name: p for name, p in lstm.named_parameters() if name.startswith("bias_")}
    if not biases:
        raise ValueError(f"lstm: expected one with biases, got {lstm!r}")
    for name, bias in biases.items():
        _i, f, _g, _o = np.split(bias.data, 4)
        f[...] = value if name.startswith("bias_ih") else 0


def set_spectral_radius(rnn: Module, radius: float) -> None:
    """Scale every weight_hh so that its largest eigenvalue has the absolute value `radius`.

    rnn: an RNN or RNNCell. Raises ValueError for a weight whose eigenvalues are all 0.
    """
    for name, weight in rnn.named_parameters():
        if name.startswith("weight_hh"):
            largest = np.abs(np.linalg.eigvals(weight.data)).max()
            if not largest > 0:
                raise ValueError(f"{name}: expected an eigenvalue that is not 0, got none")
            weight.data *= weight.dtype.type(radius / largest)
