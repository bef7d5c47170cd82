"""backward_record: the numbers of backward, and every step's gradients as autograd has them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scratch import LSTM, RNN, LSTMCell, PackedSequence, SimpleLSTM, SimpleRNN
from scratch.machinery.nests import flatten
from tests.parity import assert_parity_to_rounding
from tests.strategies import cells, layers

DOUBLE = st.just(np.float64)


def grads_of(module):
    return {name: parameter.grad for name, parameter in module.named_parameters()}


def assert_same_as_backward(module, run, run_record, answers):
    """Both add the same to `.grad` and give the same gradients, bit for bit."""
    module.zero_grad()
    expected = flatten(run())
    added = grads_of(module)
    module.zero_grad()
    back = run_record()
    for ours, theirs in zip(flatten(answers(back)), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name, grad in grads_of(module).items():
        np.testing.assert_array_equal(grad, added[name], err_msg=name)
    return back


@given(layers())
def test_of_a_layer(case):
    layer = case.module
    record = layer.forward(case.x, case.state)

    def answers(back):
        states = [getattr(back, f"grad_{name}_0") for name in layer.states]
        return back.grad_x, states

    back = assert_same_as_backward(
        layer,
        lambda: layer.backward(record, *case.grads),
        lambda: layer.backward_record(record, *case.grads),
        answers,
    )
    assert back.runs.keys() == record.runs.keys()
    for end, run in back.runs.items():
        np.testing.assert_array_equal(run.grad_h, run.grad_h_from_output + run.grad_h_from_next)
        assert run.grad_h.shape == record.runs[end].h.shape
        if isinstance(layer, LSTM):
            np.testing.assert_array_equal(run.grad_c, run.grad_c_from_h + run.grad_c_from_next)
            assert run.grad_z_f.shape == record.runs[end].f.shape
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"):
            parameter = getattr(layer, f"{name}_{end}", None)
            if parameter is not None:
                shares = run.contributions(name)
                assert shares.shape[1:] == parameter.shape
                # The sum over t is taken in one product there and step by step here.
                summands = np.abs(shares).sum(axis=0)
                allowed = 100 * np.finfo(shares.dtype).eps * summands.max(initial=0)
                assert np.abs(shares.sum(axis=0) - parameter.grad).max(initial=0) <= allowed


@given(cells())
def test_of_a_cell(case):
    cell = case.module
    step = cell.forward(case.x, case.state)
    assert_same_as_backward(
        cell,
        lambda: cell.backward(step, *case.grads),
        lambda: cell.backward_record(step, *case.grads),
        lambda back: (back.grad_x, back.grad_state_prev),
    )


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("model_class", [SimpleRNN, SimpleLSTM])
def test_of_a_model(model_class, every_step):
    rng = np.random.default_rng(0)
    model = model_class(3, 4, 2, every_step=every_step, dtype=np.float64, rng=rng)
    record = model.forward(rng.standard_normal((5, 6, 3)))
    grad = rng.standard_normal(record.output.shape)
    back = assert_same_as_backward(
        model,
        lambda: model.backward(record, grad),
        lambda: model.backward_record(record, grad),
        lambda back: back.grad_x,
    )
    layer = back.lstm if model_class is SimpleLSTM else back.rnn
    assert layer.runs["l0"].grad_h.shape == (6, 5, 4)


# Against autograd, unrolled by hand with every quantity kept


def unrolled(layer, end, xs, states):
    """The steps of one run in torch, and for each quantity its tensors by step."""
    weights = {
        name: torch.tensor(getattr(layer, f"{name}_{end}").data)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        if getattr(layer, f"{name}_{end}", None) is not None
    }
    seen = {}

    def see(name, tensor):
        tensor.retain_grad()
        seen.setdefault(name, []).append(tensor)
        return tensor

    h, *c = states
    steps = range(len(xs))[:: -1 if end.endswith("reverse") else 1]
    for t in steps:
        z = xs[t] @ weights["weight_ih"].T + h @ weights["weight_hh"].T
        if "bias_ih" in weights:
            z = z + weights["bias_ih"] + weights["bias_hh"]
        if isinstance(layer, RNN):
            z = see("z", z)
            h = see("h", torch.tanh(z) if layer.nonlinearity == "tanh" else torch.relu(z))
            continue
        z_i, z_f, z_g, z_o = (
            see(f"z_{k}", part) for k, part in zip("ifgo", z.chunk(4, dim=1), strict=True)
        )
        i, f, o = (see(k, torch.sigmoid(part)) for k, part in (("i", z_i), ("f", z_f), ("o", z_o)))
        g = see("g", torch.tanh(z_g))
        c = [see("c", f * c[0] + i * g)]
        h = o * torch.tanh(c[0])
        if "weight_hr" in weights:
            h = see("m", h) @ weights["weight_hr"].T
        h = see("h", h)
    return {name: tensors[:: -1 if steps.step < 0 else 1] for name, tensors in seen.items()}, (h, c)


def alone(case, value):
    """Of x, or an array of its rows, what is unrolled at once, (T, N, features); and where.

    A padded batch is one, each sequence of a packed one another. Yields their place in the arrays
    of a run, and in those of a state.
    """
    if isinstance(case.x, PackedSequence):
        sizes, order = case.x.batch_sizes, case.x.unsorted_indices
        starts = np.cumsum(sizes) - sizes
        for n in range(sizes[0]):
            place = n if order is None else order[n]
            rows = starts[sizes > place] + place
            yield torch.tensor(value.data[rows])[:, None], rows, np.s_[:, n : n + 1]
    elif value.ndim == 2:
        yield torch.tensor(value)[:, None], np.s_[:, 0], np.s_[:, None]
    else:
        by_time = value.swapaxes(0, 1) if case.module.batch_first else value
        yield torch.tensor(by_time), np.s_[:], np.s_[:]


def unrolled_layers(layer, record, xs, rows, states, grad_states):
    """The output of all layers, what was seen in each run, and Σ state · grad_state of the last."""
    seen, total, outputs = {}, 0, []
    for k, end in enumerate(record.runs):
        seen[end], last = unrolled(layer, end, xs, [array[k] for array in states])
        total = total + sum(
            (a * b[k]).sum() for a, b in zip(flatten(last), grad_states, strict=True)
        )
        outputs.append(torch.stack(seen[end]["h"]))
        if len(outputs) == (2 if layer.bidirectional else 1):
            xs, outputs = torch.cat(outputs, -1), []
            mask = record.masks.get(end[:2])
            if mask is not None:
                xs = xs * torch.tensor(mask[rows]).reshape(xs.shape)
    return xs, seen, total


@given(layers(dtypes=DOUBLE, saturated=False))
def test_every_gradient_is_autograds(case):
    layer = case.module
    record = layer.forward(case.x, case.state)
    if getattr(layer, "nonlinearity", "") == "relu" and any(
        (np.abs(run.h) < 1e-9).any() and (run.h != 0).any() for run in record.runs.values()
    ):
        return  # too near to a kink for rounding
    grad_output = case.numbers_like(record.output)
    grad_last = [case.numbers_like(getattr(record, f"{name}_n")) for name in layer.states]
    back = layer.backward_record(
        record, grad_output, tuple(grad_last) if len(grad_last) > 1 else grad_last[0]
    )
    full = case.full_state if isinstance(case.full_state, tuple) else (case.full_state,)
    for (xs, rows, columns), (upstream, _, _) in zip(
        alone(case, case.x), alone(case, grad_output), strict=True
    ):
        states = [torch.tensor(array[columns], requires_grad=True) for array in full]
        grads = [torch.tensor(array[columns]) for array in grad_last]
        output, seen, total = unrolled_layers(layer, record, xs, rows, states, grads)
        ((output * upstream).sum() + total).backward()
        for end, tensors in seen.items():
            for name, steps in tensors.items():
                ours = getattr(back.runs[end], f"grad_{name}")
                theirs = np.stack([np.zeros(t.shape) if t.grad is None else t.grad for t in steps])
                part = ours[rows].reshape(theirs.shape)
                largest = np.abs(ours).max(initial=0)
                assert_parity_to_rounding(f"{end} grad_{name}", part, theirs, largest)


def test_contributions_of_a_parameter_that_is_not_there():
    lstm = LSTM(2, 3, bias=False, rng=0)
    record = lstm.forward(np.ones((4, 1, 2), np.float32))
    run = lstm.backward_record(record, record.output).runs["l0"]
    with pytest.raises(ValueError, match="expected one of weight_ih, weight_hh, got 'bias_ih'"):
        run.contributions("bias_ih")
    with pytest.raises(AttributeError, match=r"has no 'grad_y': it has grad_h"):
        _ = run.grad_y


def test_records_say_what_they_hold():
    lstm = LSTM(2, 3, rng=0)
    record = lstm.forward(np.ones((4, 1, 2), np.float32))
    back = lstm.backward_record(record, record.output)
    assert repr(record) == "LayerRecord of l0(output (4, 1, 3), h_n (1, 1, 3), c_n (1, 1, 3))"
    gradients = "grad_x (4, 1, 2), grad_h_0 (1, 1, 3), grad_c_0 (1, 1, 3)"
    assert repr(back) == f"LayerBackwardRecord of l0({gradients})"
    step = LSTMCell(2, 3, rng=0).forward(np.ones((4, 2), np.float32))
    assert repr(step).startswith("LSTMStep(x (4, 2), h_prev (4, 3), c_prev (4, 3), i (4, 3)")
