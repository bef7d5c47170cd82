"""SimpleRNN and SimpleLSTM against their twins on torch.nn, and against their own parts."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import reference.models
from scratch import LSTM, RNN, Linear, SimpleLSTM, SimpleRNN, pack_padded_sequence
from tests.parity import TOLERANCE, assert_parity, assert_parity_to_rounding
from tests.torch_twin import all_gradients, assert_same_numbers, flatten, to_torch, widened

MODELS = [SimpleRNN, SimpleLSTM]


def reference_twin(model):
    """The model of reference/models.py with the same sizes and weights."""
    x, h, y = sizes_of(model)
    dtype = getattr(torch, model.fc.weight.dtype.name)
    theirs = getattr(reference.models, type(model).__name__)(
        x, h, y, every_step=model.every_step, dtype=dtype
    )
    theirs.load_state_dict({name: torch.tensor(a) for name, a in model.state_dict().items()})
    return theirs


def sizes_of(model):
    layer = model.rnn if isinstance(model, SimpleRNN) else model.lstm
    return layer.input_size, layer.hidden_size, model.fc.out_features


def normal_state(model, batch, rng):
    """A state, (1, N, H), drawn by `rng`, in the model's structure and dtype."""
    shape, dtype = (1, batch, sizes_of(model)[1]), model.fc.weight.dtype
    h, c = rng.standard_normal((2, *shape)).astype(dtype)
    return h if isinstance(model, SimpleRNN) else (h, c)


def summands_of(model, record):
    """Σ|W||h| + |b| of the output's largest entry: its few entries may all be near zero."""
    summands = np.abs(record.fc.input) @ np.abs(model.fc.weight.data).T
    return (summands + np.abs(model.fc.bias.data)).max()


size = st.integers(1, 6)


@st.composite
def models(draw, model_classes=MODELS, every_step=(False, True)):
    return draw(st.sampled_from(model_classes))(
        *(draw(size), draw(size), draw(size)),
        every_step=draw(st.sampled_from(every_step)),
        dtype=draw(st.sampled_from([np.float64, np.float32])),
        rng=draw(st.integers(0, 2**32 - 1)),
    )


@pytest.mark.parametrize("form", ["unbatched", "batched", "from a state"])
@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("model_class", MODELS)
@given(data=st.data(), time=st.integers(1, 8), batch=size, seed=st.integers(0, 2**32 - 1))
def test_outputs_and_gradients_match_the_twin(
    model_class, every_step, form, data, time, batch, seed
):
    model = data.draw(models([model_class], [every_step]))
    rng, dtype = np.random.default_rng(seed), model.fc.weight.dtype
    leading = (time,) if form == "unbatched" else (batch, time)
    x = rng.standard_normal((*leading, sizes_of(model)[0])).astype(dtype)
    state = normal_state(model, batch, rng) if form == "from a state" else None
    theirs = reference_twin(model)

    record = model.forward_from(x, state)
    x_torch = to_torch(x, requires_grad=True)
    output, last_state = theirs.forward_from(x_torch, to_torch(state))
    assert_parity("output", record.output, output, summands=summands_of(model, record))
    for i, (a, b) in enumerate(zip(flatten(record.state), flatten(last_state), strict=True)):
        assert_parity_to_rounding(f"state {i}", a, b)

    grad = rng.standard_normal(record.output.shape).astype(dtype)
    output.backward(to_torch(grad))

    def exact():
        wide = model.astype(np.float64)
        return all_gradients(wide, wide.forward_from(widened(x), widened(state)), [widened(grad)])

    names = [name for name, _ in model.named_parameters()]
    expected = [x_torch.grad, *(theirs.get_parameter(name).grad for name in names)]
    ours = all_gradients(model, record, [grad])
    assert_same_numbers(["x", *names], ours, expected, exact)


@given(models(), size, size, st.integers(0, 2**32 - 1))
def test_call_and_records_follow_the_one_rule(model, batch, time, seed):
    rng, dtype = np.random.default_rng(seed), model.fc.weight.dtype
    xs = rng.standard_normal((2, batch, time, sizes_of(model)[0])).astype(dtype)
    records = [model.forward(x) for x in xs]
    for x, record in zip(xs, records, strict=True):
        np.testing.assert_array_equal(model(x), record.output)
        assert record.fc.output is record.output
    grads = rng.standard_normal((2, *records[0].output.shape)).astype(dtype)

    # Both records at once, in the other order, is the sum of either alone.
    alone = []
    for record, grad in zip(records, grads, strict=True):
        model.zero_grad()
        model.backward(record, grad)
        alone.append({name: p.grad for name, p in model.named_parameters()})
    model.zero_grad()
    for record, grad in zip(records[::-1], grads[::-1], strict=True):
        model.backward(record, grad)
    for name, parameter in model.named_parameters():
        np.testing.assert_array_equal(parameter.grad, alone[1][name] + alone[0][name], name)


@pytest.mark.parametrize("model_class", MODELS)
@pytest.mark.parametrize("every_step", [False, True])
def test_no_gradient_is_a_gradient_of_zero(model_class, every_step):
    model = model_class(2, 3, 4, every_step=every_step, rng=0)
    x = np.ones((5, 6, 2), np.float32)
    grad_x = model.backward(model.forward(x), None)
    np.testing.assert_array_equal(grad_x, np.zeros_like(x))
    for parameter in model.parameters():
        np.testing.assert_array_equal(parameter.grad, np.zeros_like(parameter.data))


@given(models(every_step=[True]), st.integers(2, 8), st.data())
def test_two_halves_with_the_state_handed_over_are_the_whole(model, time, data):
    middle = data.draw(st.integers(1, time - 1))
    x = np.random.default_rng(time).standard_normal((3, time, sizes_of(model)[0]))
    x = x.astype(model.fc.weight.dtype)
    first = model.forward(x[:, :middle])
    second = model.forward_from(x[:, middle:], first.state)
    halves = np.concatenate([first.output, second.output], axis=1)
    whole = model.forward(x)
    assert_parity("output", halves, whole.output, summands=summands_of(model, whole))


@pytest.mark.parametrize("model_class", MODELS)
def test_packed_input_is_answered_at_each_sequence_s_end(model_class):
    model = model_class(2, 3, 4, dtype=np.float64, rng=0)
    x = np.random.default_rng(1).standard_normal((3, 5, 2))
    lengths = np.array([2, 5, 3])
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    alone = [model(x[i, :length]) for i, length in enumerate(lengths)]
    assert_parity("output", model(packed), np.array(alone))


@pytest.mark.parametrize("model_class", MODELS)
def test_names_and_shapes_are_those_of_the_twin(model_class):
    model = model_class(2, 3, 4, rng=0)
    theirs = reference_twin(model).state_dict()
    ours = model.state_dict()
    assert [(name, a.shape) for name, a in ours.items()] == [
        (name, tuple(t.shape)) for name, t in theirs.items()
    ]


@pytest.mark.parametrize("model_class", MODELS)
def test_a_seed_is_the_same_weights_in_every_dtype(model_class):
    in_64, again, in_32 = (
        model_class(2, 3, 4, dtype=dtype, rng=5).state_dict()
        for dtype in (np.float64, np.float64, np.float32)
    )
    for name, array in in_64.items():
        np.testing.assert_array_equal(array, again[name])
        np.testing.assert_array_equal(array.astype(np.float32), in_32[name])
    assert not np.array_equal(in_64["fc.weight"], model_class(2, 3, 4, rng=6).fc.weight.data)


@pytest.mark.parametrize("model_class", MODELS)
@pytest.mark.parametrize("value", [1, None, "yes"])
def test_every_step_is_true_or_false(model_class, value):
    with pytest.raises(TypeError, match="every_step: expected True or False"):
        model_class(1, 2, 3, every_step=value)


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("model_class", MODELS)
def test_a_complex_step_is_the_gradient_of_x(model_class, every_step):
    model = model_class(1, 3, 1, every_step=every_step, dtype=np.float64, rng=0)
    rng = np.random.default_rng(1)
    x, direction = rng.standard_normal((2, 2, 4, 1))
    record = model.forward(x)
    grad = rng.standard_normal(record.output.shape)
    step = 1e-100  # d/dε f(x + ε d) = Im f(x + i ε d) / ε, without a difference that cancels
    derivative = model.astype(np.complex128)(x + 1j * step * direction).imag / step
    expected = (derivative * grad).sum()
    # A sum of at most 8 products of numbers near one: rounding of a few units in the last place.
    got = (model.backward(record, grad) * direction).sum()
    assert abs(got - expected) <= TOLERANCE[np.dtype(np.float64)] * np.abs(derivative * grad).sum()


@pytest.mark.parametrize(("model_class", "layer_class"), [(SimpleRNN, RNN), (SimpleLSTM, LSTM)])
def test_the_layer_is_drawn_before_the_head(model_class, layer_class):
    rng = np.random.default_rng(0)
    layer, head = layer_class(2, 3, rng=rng), Linear(3, 1, rng=rng)
    model = model_class(2, 3, 1, rng=0)
    drawn = model.state_dict()[f"{layer_class.__name__.lower()}.weight_ih_l0"]
    np.testing.assert_array_equal(drawn, layer.weight_ih_l0.data)
    np.testing.assert_array_equal(model.fc.weight.data, head.weight.data)
