"""Correct modules, at every option, pass without a finding."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scratch import (
    LSTM,
    RNN,
    CrossEntropyLoss,
    Linear,
    LSTMCell,
    MSELoss,
    RNNCell,
    SimpleLSTM,
    SimpleRNN,
    check_gradients,
    pack_padded_sequence,
)

SIZE = st.integers(1, 4)
FLOAT = st.sampled_from([np.float32, np.float64])


@st.composite
def layers(draw, rng):
    D, H, T, N = (draw(SIZE) for _ in range(4))
    lstm = draw(st.booleans())
    options = {
        "num_layers": draw(st.integers(1, 2)),
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
        "dtype": draw(FLOAT),
        "rng": rng,
    }
    if options["num_layers"] > 1:
        options["dropout"] = draw(st.sampled_from([0.0, 0.5]))
    if lstm and H > 1:
        options["proj_size"] = draw(st.integers(0, H - 1))
    if not lstm:
        options["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    layer = (LSTM if lstm else RNN)(D, H, **options)
    form = draw(st.sampled_from(["batched", "unbatched", "packed"]))
    shape = (T, D) if form == "unbatched" else (N, T, D) if layer.batch_first else (T, N, D)
    x = rng.standard_normal(shape).astype(options["dtype"])
    if form == "packed":
        lengths = [draw(st.integers(1, T)) for _ in range(N)]
        x = pack_padded_sequence(x, lengths, layer.batch_first, enforce_sorted=False)
    return layer, (x,)


@st.composite
def cells(draw, rng):
    D, H, N = (draw(SIZE) for _ in range(3))
    kind = draw(st.sampled_from([RNNCell, LSTMCell]))
    options = {"bias": draw(st.booleans()), "dtype": draw(FLOAT), "rng": rng}
    if kind is RNNCell:
        options["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    shape = draw(st.sampled_from([(D,), (N, D)]))
    return kind(D, H, **options), (rng.standard_normal(shape).astype(options["dtype"]),)


@st.composite
def heads(draw, rng):
    D, out, T, N = (draw(SIZE) for _ in range(4))
    dtype = draw(FLOAT)
    kind = draw(st.sampled_from(["linear", "model"]))
    if kind == "linear":
        shape = draw(st.sampled_from([(D,), (N, D), (T, N, D)]))
        module = Linear(D, out, draw(st.booleans()), dtype=dtype, rng=rng)
        return module, (rng.standard_normal(shape).astype(dtype),)
    model = draw(st.sampled_from([SimpleRNN, SimpleLSTM]))
    module = model(D, 3, out, every_step=draw(st.booleans()), dtype=dtype, rng=rng)
    return module, (rng.standard_normal((N, T, D)).astype(dtype),)


@st.composite
def losses(draw, rng):
    N, C, d = (draw(SIZE) for _ in range(3))
    dtype = draw(FLOAT)
    reduction = draw(st.sampled_from(["none", "mean", "sum"]))
    shape = draw(st.sampled_from([(N, C), (N, C, d), (C,)]))
    prediction = rng.standard_normal(shape).astype(dtype)
    kind = draw(st.sampled_from(["mse", "indices", "probabilities"]))
    if kind == "mse":
        return MSELoss(reduction), (prediction, rng.standard_normal(shape).astype(dtype))
    loss = CrossEntropyLoss(
        rng.uniform(0.5, 2, C).astype(dtype) if draw(st.booleans()) else None,
        reduction=reduction,
        label_smoothing=draw(st.sampled_from([0.0, 0.3])),
    )
    if kind == "probabilities":
        return loss, (prediction, rng.uniform(0, 1, shape).astype(dtype))
    index = np.delete(shape, 0 if len(shape) == 1 else 1)
    return loss, (prediction, np.asarray(rng.integers(0, C, tuple(index))))


@given(
    st.data(), st.integers(0, 2**32 - 1), st.sampled_from([layers, layers, cells, heads, losses])
)
def test_a_correct_module_passes_without_a_finding(data, seed, kind):
    module, inputs = data.draw(kind(np.random.default_rng(seed)))
    report = check_gradients(module, *inputs)
    assert report.ok, report
    assert not report.findings
    assert report.judge == "complex step", report
