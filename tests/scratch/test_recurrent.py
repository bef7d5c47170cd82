"""RNN and LSTM against torch.nn, over the whole domain of their arguments."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
import warnings

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from scratch.bptt import COLUMNS
from scratch.cells import LSTMCell, RNNCell
from scratch.machinery.arrays import Memory
from scratch.machinery.packing import PackedSequence, pack_padded_sequence
from scratch.recurrent import LSTM, RNN
from tests.parity import assert_parity, assert_parity_to_rounding
from tests.strategies import FLOATS, SEEDS, layers
from tests.torch_twin import (
    answers_of,
    arrays_of,
    assert_same_arrays,
    assert_same_pass,
    away_from_kinks,
    flat_grads,
    flatten,
    to_torch,
    torch_twin,
)


def assert_equal(ours, expected):
    for a, b in zip(flatten(ours), flatten(expected), strict=True):
        np.testing.assert_array_equal(a, b)


@given(layers())
def test_parity(case):
    record = case.module.forward(case.x, case.state)
    assume(away_from_kinks(case.module, record))
    assert_same_pass(case.module, case.x, case.state, case.grads, case.full_state, record)


@given(layers(dtypes=st.just(np.float64)), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_parity_of_inputs_that_are_not_finite(case, value):
    """At the first step, from where it reaches every other."""
    data = flatten(case.x)[0]
    assume(data.size)
    data.flat[0] = value
    record = case.module.forward(case.x, case.state)
    # A gradient for every answer: PyTorch leaves out what has none, and 0 · NaN is NaN.
    grads = case.numbers_like(answers_of(case.module, record))
    case.module.backward(record, *grads)  # neither warns
    case.module.zero_grad()
    with np.errstate(all="ignore"):
        assert_same_pass(case.module, case.x, case.state, grads, case.full_state)


@pytest.mark.parametrize("shape", [(70, 32), (600, 1), (2, 700)])
@pytest.mark.parametrize(("kind", "options"), [(RNN, {}), (LSTM, {}), (LSTM, {"proj_size": 3})])
@pytest.mark.parametrize("form", ["padded", "packed"])
def test_parity_of_long_and_large_batches(kind, options, shape, form):
    """More columns than the gradient of the weights collects before it multiplies."""
    steps, batch = shape
    assert steps * batch > COLUMNS
    layer = kind(3, 5, bidirectional=True, dtype=np.float64, rng=0, **options)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((steps, batch, 3))
    if form == "packed":
        lengths = rng.integers(steps // 2, steps + 1, batch)
        x = pack_padded_sequence(x, lengths, enforce_sorted=False)
    trace = layer.forward(x)
    output = flatten(trace.output)[0]
    grad = rng.standard_normal(output.shape)
    if form == "packed":
        grad = trace.output._replace(data=grad)
    zeros = tuple(np.zeros_like(array) for array in flatten(answers_of(layer, trace)[1]))
    zeros = zeros if kind is LSTM else zeros[0]
    assert_same_pass(layer, x, None, (grad, None), zeros, trace)


@given(layers())
def test_the_call_gives_exactly_what_forward_gives(case):
    record = case.module.forward(case.x, case.state)
    called = case.module(case.x, case.state)
    assert_equal(called, answers_of(case.module, record))
    if isinstance(case.x, PackedSequence):
        for a, b in zip(called[0][1:], case.x[1:], strict=True):
            assert a is b or np.array_equal(a, b)


@given(layers())
def test_a_record_keeps_no_array_of_the_caller(case):
    record = case.module.forward(case.x, case.state)
    before = {name: array.copy() for name, array in arrays_of(case.module, record).items()}
    packed = isinstance(case.x, PackedSequence)
    order = copy.deepcopy(record.output[1:]) if packed else ()
    for array in [*flatten([case.x, case.state]), *(case.x[1:] if packed else ())]:
        if array is not None:
            array[...] = 7
    for parameter in case.module.parameters():
        parameter.data[...] = 7
    assert_same_arrays(
        before, arrays_of(case.module, record), "changed with an array of the caller"
    )
    if packed:
        for output, kept, expected in zip(
            record.output[1:], record.layout.order, order, strict=True
        ):
            np.testing.assert_array_equal(output, expected)
            if output is not None:
                output[...] = 7
            np.testing.assert_array_equal(kept, expected)


@given(layers())
def test_none_is_a_gradient_of_zeros(case):
    record = case.module.forward(case.x, case.state)
    output, state = answers_of(case.module, record)
    zero = (
        output._replace(data=np.zeros_like(output.data))
        if isinstance(output, PackedSequence)
        else np.zeros_like(output)
    )
    zeros = tuple(np.zeros_like(array) for array in flatten(state))
    expected = case.module.backward(record, zero, zeros if case.two_states else zeros[0])
    assert_equal(case.module.backward(record), expected)
    if case.two_states:
        assert_equal(case.module.backward(record, None, (None, zeros[1])), expected)


@pytest.mark.parametrize("upstream", [1e3, np.inf, np.nan])
def test_no_gradient_flows_through_a_relu_that_is_closed(upstream):
    """Not even one that is not finite, or that grows beyond float32 on its way."""
    rnn = RNN(1, 2, nonlinearity="relu", bias=False, rng=0)
    rnn.weight_hh_l0.data[...] = [[10, 0], [0, 1]]
    rnn.weight_ih_l0.data[...] = [[1], [-1]]
    theirs, x = torch_twin(rnn), np.full((60, 1, 1), 1e-30, np.float32)
    record, x_torch = rnn.forward(x), to_torch(x, True)
    grad = np.full_like(record.output, upstream)
    grad_x, _ = rnn.backward(record, grad)
    theirs(x_torch)[0].backward(to_torch(grad))
    np.testing.assert_array_equal(grad_x, x_torch.grad)
    for name, parameter in rnn.named_parameters():
        np.testing.assert_array_equal(parameter.grad, theirs.get_parameter(name).grad, name)


@given(layers(dtypes=st.just(np.float64), max_layers=2, dropout=False))
def test_gradients_by_a_complex_step(case):
    """Along a random direction of everything at once: f(x + iεd) = f(x) + iε ⟨f′(x), d⟩ + O(ε²)."""
    record = case.module.forward(case.x, case.full_state)
    assume(away_from_kinks(case.module, record))
    grads = flatten(case.module.backward(record, *case.grads))
    grads += [parameter.grad for parameter in case.module.parameters()]

    other = case.module.astype(np.complex128)
    data, state = flatten(case.x)[0] + 0j, [array + 0j for array in flatten(case.full_state)]
    arrays = [data, *state, *(parameter.data for parameter in other.parameters())]
    products = []
    for array, grad in zip(arrays, grads, strict=True):
        direction = case.numbers(*array.shape)
        array += 1e-100j * direction
        products.append((grad * direction).ravel())

    x = case.x._replace(data=data) if isinstance(case.x, PackedSequence) else data
    answers = other(x, tuple(state) if case.two_states else state[0])
    pairs = zip(flatten(answers), flat_grads(case.grads, answers), strict=True)
    loss = sum((answer * grad).sum() for answer, grad in pairs if grad is not None)
    products = np.concatenate(products)
    derivative = np.float64(np.imag(loss) / 1e-100)
    assert_parity("derivative", products.sum(), derivative, summands=np.abs(products).sum())


# A layer is its cell, step by step


@given(
    layers(
        dtypes=st.just(np.float64),
        forms=("padded",),
        max_layers=1,
        one_direction=True,
        dropout=False,
    )
)
def test_cell_steps_equal_the_layer(case):
    layer, states = case.module, len(flatten(case.full_state))
    assume(not getattr(layer, "proj_size", 0))
    options = {"bias": layer.bias, "dtype": case.dtype}
    if isinstance(layer, RNN):
        cell = RNNCell(
            layer.input_size, layer.hidden_size, nonlinearity=layer.nonlinearity, **options
        )
    else:
        cell = LSTMCell(layer.input_size, layer.hidden_size, **options)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})

    xs = case.x.swapaxes(0, 1) if layer.batch_first else case.x  # (T, N, D)
    state, steps = tuple(array[0] for array in flatten(case.full_state)), []
    for x in xs:
        step = cell.forward(x, state if states > 1 else state[0])
        state = tuple(getattr(step, name) for name in layer.states)
        steps.append(step)
    trace = layer.forward(case.x, case.state)
    outputs = trace.output.swapaxes(0, 1) if layer.batch_first else trace.output
    for t, step in enumerate(steps):
        assert_parity_to_rounding(f"h, step {t}", outputs[t], step.h)
        for name in step.names:
            assert_parity_to_rounding(
                f"{name}, step {t}", getattr(trace.runs["l0"], name)[t], getattr(step, name)
            )
    assert_equal(flatten(answers_of(layer, trace)[1]), [array[None] for array in state])

    grad_x, grad_state = layer.backward(trace, *case.grads)
    grad_xs = grad_x.swapaxes(0, 1) if layer.batch_first else grad_x
    grad_output, grad_n = case.grads
    if grad_output is not None and layer.batch_first:
        grad_output = grad_output.swapaxes(0, 1)
    given = [None] * states if grad_n is None else flatten(grad_n)
    grads = [np.zeros_like(s) if g is None else g[0] for g, s in zip(given, state, strict=True)]
    for t in reversed(range(len(steps))):
        if grad_output is not None:
            grads[0] = grads[0] + grad_output[t]
        step_x, grad_prev = cell.backward(steps[t], tuple(grads) if states > 1 else grads[0])
        grads = flatten(grad_prev)
        assert_parity_to_rounding(f"grad_x, step {t}", grad_xs[t], step_x)
    for a, b in zip(flatten(grad_state), grads, strict=True):
        assert_parity_to_rounding("grad_state", a[0], b)
    for name, parameter in cell.named_parameters():
        assert_parity_to_rounding(
            name,
            dict(layer.named_parameters())[f"{name}_l0"].grad,
            parameter.grad,
        )


def test_the_record_of_a_layer_by_name():
    lstm = LSTM(2, 3, num_layers=2, bidirectional=True, proj_size=2, rng=0)
    trace = lstm.forward(np.ones((5, 4, 2), np.float32))
    assert list(trace.runs) == ["l0", "l0_reverse", "l1", "l1_reverse"]
    shapes = {"x": 2, "h_prev": 2, "c_prev": 3, "i": 3, "c": 3, "m": 3, "h": 2}
    for name, width in shapes.items():
        assert getattr(trace.runs["l0"], name).shape == (5, 4, width), name
    assert trace.runs["l1"].x.shape == (5, 4, 4)
    assert {"x", "i", "h"} <= set(dir(trace.runs["l0"]))
    np.testing.assert_array_equal(trace.runs["l1_reverse"].h, trace.output[..., 2:])
    np.testing.assert_array_equal(trace.runs["l0_reverse"].h, trace.runs["l1"].x[..., 2:])
    with pytest.raises(AttributeError, match="has no 'q'"):
        _ = trace.runs["l0"].q


@pytest.mark.parametrize("kind", [RNN, LSTM])
def test_the_last_state_is_an_array_or_a_pair_as_in_pytorch(kind):
    x = np.ones((5, 4, 2), np.float32)
    _, ours = kind(2, 3, rng=0)(x)
    _, theirs = getattr(torch.nn, kind.__name__)(2, 3)(torch.tensor(x))
    assert isinstance(ours, tuple) == isinstance(theirs, tuple)


def test_a_record_can_be_copied_and_says_what_it_has():
    lstm = LSTM(2, 3, dtype=np.float64, rng=0)
    trace = lstm.forward(np.ones((5, 4, 2)))
    run = trace.runs["l0"]
    for copied in (copy.deepcopy(trace), pickle.loads(pickle.dumps(trace))):
        twin = copied.runs["l0"]
        for name in run.names:
            np.testing.assert_array_equal(getattr(twin, name), getattr(run, name))
            assert not np.shares_memory(getattr(twin, name), getattr(run, name))
    assert not hasattr(run, "_z")
    with pytest.raises(AttributeError, match=r"Run has no 'q': it has x, h_prev, c_prev, i, f, g"):
        _ = run.q


@given(layers(kinds=(LSTM,), forms=("packed",)))
def test_the_arrays_of_a_run_lie_like_the_packed_data(case):
    trace = case.module.forward(case.x, case.state)
    np.testing.assert_array_equal(trace.runs["l0"].x, case.x.data)
    width = trace.runs["l0"].h.shape[1]
    last = trace.runs[f"l{case.module.num_layers - 1}"]
    np.testing.assert_array_equal(last.h, trace.output.data[:, :width])


# Records in reused memory


def large(kind, packed, seed=0):
    """A layer and an input whose arrays are above `Memory.SMALL`: their memory is used again."""
    layer = kind(32, 32, bidirectional=True, dtype=np.float64, rng=seed)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((40, 32, 32))
    lengths = rng.integers(25, 41, 32)
    assert lengths.sum() * 32 * x.itemsize > Memory.SMALL
    return layer, pack_padded_sequence(x, lengths, enforce_sorted=False) if packed else x


def arrays_in_memory(trace):
    """The arrays of a record as they lie in memory, not the copies that its names show."""
    for run in trace.runs.values():
        for step in run.steps:
            yield from (value for value in vars(step).values() if isinstance(value, np.ndarray))
    yield from flatten([trace.output])


def spans(trace):
    """The stretches of memory that the record's large blocks take."""
    return [
        np.lib.array_utils.byte_bounds(array) for array in arrays_in_memory(trace) if array.size
    ]


def assert_apart(*traces):
    """No byte belongs to two of the records."""
    ends = sorted((span, k) for k, trace in enumerate(traces) for span in spans(trace))
    top = {}
    for (start, end), k in ends:
        for other, reached in top.items():
            assert other == k or start >= reached, f"records {other} and {k} share memory"
        top[k] = max(end, top.get(k, 0))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [RNN, LSTM])
@pytest.mark.parametrize("order", [*itertools.permutations(range(3))][::2])
def test_records_alive_at_once_share_no_memory(kind, packed, order):
    layer, x = large(kind, packed)
    lone = copy.deepcopy(layer)  # with memory of its own
    scaled = [x._replace(data=x.data * k) if packed else x * k for k in (1, 2, 3)]
    expected = [flatten(lone(value)) for value in scaled]

    kept = {}
    for _ in range(2):  # the second time, in the memory of the first
        traces = {k: layer.forward(scaled[k]) for k in range(3)}
        assert_apart(*traces.values())
        kept[len(kept)] = traces[order[0]].output  # held on to while its record goes
        for gone in order:
            layer.backward(traces[gone], traces[gone].output)
            del traces[gone]
            # a new record takes the free memory; what lives must not notice
            fresh = layer.forward(scaled[0])
            assert_apart(fresh, *traces.values())
            for k, trace in traces.items():
                assert_equal(answers_of(layer, trace), expected[k])
            for output in kept.values():
                assert_equal(output, expected[order[0]][:1])
            del fresh


def test_memory_is_used_again_once_the_record_and_its_views_are_gone():
    layer, x = large(LSTM, packed=False)
    place = layer.forward(x).output.__array_interface__["data"][0]
    places = [array.__array_interface__["data"][0] for array in arrays_in_memory(layer.forward(x))]
    assert place in places


def test_a_pickle_of_a_layer_holds_nothing_of_its_last_record():
    layer, x = large(LSTM, packed=False)
    before = len(pickle.dumps(layer))
    layer.forward(x)
    assert len(pickle.dumps(layer)) <= before


def test_a_view_of_a_record_keeps_its_memory():
    layer, x = large(LSTM, packed=False)
    trace = layer.forward(x)
    views = [
        trace.output[3],
        trace.runs["l0"].i[2],
        trace.runs["l0_reverse"].tanh_c[-1, 1:],
    ]
    before = [view.copy() for view in views]
    del trace
    for k in range(3):
        layer.forward(x * k)
    for view, expected in zip(views, before, strict=True):
        np.testing.assert_array_equal(view, expected)


@given(layers())
def test_weights_changed_after_forward_do_not_matter(case):
    layer = case.module
    trace = layer.forward(case.x, case.state)
    expected = flatten(layer.backward(trace, *case.grads))
    expected += [parameter.grad for parameter in layer.parameters()]
    layer.zero_grad()
    for parameter in layer.parameters():
        parameter.data += 1
    again = flatten(layer.backward(trace, *case.grads))
    assert_equal(again + [parameter.grad for parameter in layer.parameters()], expected)


@given(layers())
def test_gradients_add_up(case):
    record = case.module.forward(case.x, case.state)
    case.module.backward(record, *case.grads)
    once = [parameter.grad.copy() for parameter in case.module.parameters()]
    case.module.backward(record, *case.grads)
    for parameter, grad in zip(case.module.parameters(), once, strict=True):
        np.testing.assert_array_equal(parameter.grad, 2 * grad)


# Dropout


@given(layers(dropout=False, dtypes=st.just(np.float64)), st.sampled_from([0.1, 0.5, 1.0]))
def test_dropout_equals_single_layers_under_the_recorded_masks(case, p):
    """Against a stack of torch layers with the masks of the record between them.

    A p near 1 multiplies the input of the next layer so much that its tanh is saturated.
    """
    layer = case.module
    assume(layer.num_layers > 1)
    layer.dropout = p
    layer.train()
    trace = layer.forward(case.x, case.state)
    assume(away_from_kinks(layer, trace))
    assert list(trace.masks) == [f"l{k}" for k in range(layer.num_layers - 1)]
    ends = 1 + layer.bidirectional

    stack = []
    for k in range(layer.num_layers):
        options = {name: getattr(layer, name) for name in ("hidden_size", "bias", "bidirectional")}
        options["batch_first"] = layer.batch_first
        if isinstance(layer, RNN):
            options["nonlinearity"] = layer.nonlinearity
        else:
            options["proj_size"] = layer.proj_size
        width = layer.input_size if k == 0 else layer.output_size
        options |= {"input_size": width, "dtype": case.dtype}
        single = type(layer)(**options)
        names = {name: name.replace("l0", f"l{k}") for name in single.state_dict()}
        weights = layer.state_dict()
        single.load_state_dict({name: weights[source] for name, source in names.items()})
        stack.append((single, names))

    def own(arrays, k):
        return None if arrays is None else arrays[k * ends : (k + 1) * ends]

    def shaped(mask):
        if isinstance(case.x, PackedSequence):
            return mask
        mask = mask if case.x.ndim == 3 else mask[:, 0]
        return mask.swapaxes(0, 1) if layer.batch_first and case.x.ndim == 3 else mask

    def masked(value, k):
        mask = shaped(trace.masks[f"l{k}"])
        if isinstance(value, PackedSequence):
            return value._replace(data=value.data * mask)
        return value * mask

    x, records, inputs = case.x, [], []
    for k, (single, _) in enumerate(stack):
        state = case.full_state
        state = tuple(own(s, k) for s in state) if case.two_states else own(state, k)
        record = single.forward(x, state)
        records.append(record)
        inputs.append((x, state))
        for name in ("h_n", "c_n")[: len(layer.states)]:
            assert_equal(own(getattr(trace, name), k), getattr(record, name))
        x = masked(record.output, k) if k + 1 < len(stack) else record.output
    assert_equal(trace.output, x)

    grad_x, grad_state = layer.backward(trace, *case.grads)
    grad, grad_n = case.grads
    for k in reversed(range(len(stack))):
        single, names = stack[k]
        own_grad = tuple(own(g, k) for g in grad_n) if isinstance(grad_n, tuple) else own(grad_n, k)
        # the single layer is held against torch, and the stack against the single layers
        assert_same_pass(single, *inputs[k], (grad, own_grad), record=records[k])
        single.zero_grad()
        grad, grad_0 = single.backward(records[k], grad, own_grad)
        for a, b in zip(flatten(grad_state), flatten(grad_0), strict=True):
            assert_parity("grad_state", own(a, k), b)
        for name, parameter in single.named_parameters():
            ours = dict(layer.named_parameters())[names[name]].grad
            assert_parity(names[name], ours, parameter.grad)
        if k:
            grad = masked(grad, k - 1)
    assert_equal(grad_x, grad)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_share_of_zeros_and_the_mean_of_the_masks(p, packed):
    layer = RNN(2, 20, num_layers=3, dropout=p, rng=0)
    x = np.ones((20, 10, 2), np.float32)
    if packed:
        x = pack_padded_sequence(x, [20] * 10)
    masks = [m for _ in range(20) for m in layer.forward(x).masks.values()]
    values = np.stack(masks)
    n = values.size  # 160,000 draws
    assert values.dtype == np.float32
    np.testing.assert_allclose(np.unique(values), [0, 1 / (1 - p)], rtol=1e-6)
    # The share of zeros of n draws has the standard deviation √(p(1−p)/n); the mean of the masks
    # that over 1−p. Within 5 of them, chance fails once in two million.
    deviation = math.sqrt(p * (1 - p) / n)
    assert abs((values == 0).mean() - p) < 5 * deviation
    assert abs(values.mean(dtype=np.float64) - 1) < 5 * deviation / (1 - p)


@given(layers(), st.sampled_from([0.3, 0.7]))
def test_every_entry_of_a_mask_is_a_draw_of_its_own(case, p):
    """Of its own sequence, step, direction and feature, in the order of memory."""
    case.module.dropout = p
    case.module.train()
    rng = copy.deepcopy(case.module._rng)
    masks = case.module.forward(case.x, case.state).masks
    assert len(masks) == case.module.num_layers - 1
    for mask in masks.values():
        expected = (rng.random(mask.shape) >= p).astype(case.dtype) / case.dtype.type(1 - p)
        np.testing.assert_allclose(mask, expected, rtol=1e-6)


@given(layers(), st.sampled_from([0.3, 0.7]))
def test_backward_uses_the_masks_of_forward_after_eval(case, p):
    case.module.dropout = p
    record = case.module.train().forward(case.x, case.state)
    expected = flatten(case.module.backward(record, *case.grads))
    assert_equal(case.module.eval().backward(record, *case.grads), expected)


def test_dropout_draws_from_the_module_s_generator():
    def masks(seed):
        layer = LSTM(2, 3, num_layers=2, dropout=0.5, rng=seed)
        return [layer.forward(np.ones((4, 5, 2), np.float32)).masks["l0"] for _ in range(2)]

    first, again, other = masks(1), masks(1), masks(2)
    np.testing.assert_array_equal(first, again)
    assert (first[0] != first[1]).any()
    assert (first[0] != other[0]).any()


@given(layers(dropout=False), st.sampled_from([0.3, 0.7]))
def test_the_call_draws_the_masks_that_forward_draws(case, p):
    case.module.dropout = p
    case.module.train()
    other = copy.deepcopy(case.module)  # with a generator in the same state
    record = case.module.forward(case.x, case.state)
    assert_equal(other(case.x, case.state), answers_of(case.module, record))


@given(layers(dropout=False), st.sampled_from([0.3, 1.0]))
def test_no_dropout_in_eval_nor_at_p_0(case, p):
    expected = case.module(case.x, case.state)
    case.module.dropout = p
    case.module.eval()
    trace = case.module.forward(case.x, case.state)
    assert trace.masks == {}
    assert_equal(answers_of(case.module, trace), expected)
    case.module.dropout = 0.0
    case.module.train()
    assert case.module.forward(case.x, case.state).masks == {}


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
@pytest.mark.parametrize("dropout", [0.5, 1, 1.0])
def test_dropout_in_a_single_layer_warns(kind, dropout):
    ours, theirs = {"RNN": RNN, "LSTM": LSTM}[kind], getattr(torch.nn, kind)
    for module in (ours, theirs):
        with pytest.warns(UserWarning, match="dropout") as caught:
            module(2, 3, dropout=dropout)
        assert len(caught) == 1
        if module is ours:
            assert caught[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            module(2, 3, dropout=0.0)
            module(2, 3, num_layers=2, dropout=dropout)


# Initial values


@pytest.mark.parametrize("options", [{}, {"proj_size": 50, "bidirectional": True, "num_layers": 2}])
def test_initial_values(options):
    layer = LSTM(30, 100, **options, rng=3)
    theirs = torch.nn.LSTM(30, 100, **options)
    shapes = [(name, tuple(p.shape)) for name, p in theirs.named_parameters()]
    assert [(name, p.shape) for name, p in layer.named_parameters()] == shapes
    bound = 1 / math.sqrt(100)
    for name, parameter in layer.named_parameters():
        values, n = parameter.data.astype(np.float64), parameter.data.size
        assert np.abs(values).max() <= bound * (1 + 1e-6), name
        # The mean of n uniform numbers has the standard error b/√(3n); the standard deviation,
        # b/√3, one of b/√(15n) (fourth moment b⁴/5).
        assert abs(values.mean()) < 5 * bound / math.sqrt(3 * n), name
        assert abs(values.std() - bound / math.sqrt(3)) < 5 * bound / math.sqrt(15 * n), name


@given(SEEDS, FLOATS, st.sampled_from([RNN, LSTM]))
def test_the_same_seed_gives_the_same_values(seed, dtype, kind):
    first = kind(2, 3, 2, bidirectional=True, dtype=np.float64, rng=seed)
    second = kind(2, 3, 2, bidirectional=True, dtype=dtype, rng=np.random.default_rng(seed))
    assert list(first.state_dict()) == list(second.state_dict())
    for (name, a), (_, b) in zip(first.named_parameters(), second.named_parameters(), strict=True):
        np.testing.assert_array_equal(a.data.astype(dtype), b.data, err_msg=name)


def test_dropout_draws_for_every_step_and_sequence():
    layer = LSTM(2, 3, num_layers=2, bidirectional=True, dropout=0.5, rng=0)
    mask = layer.forward(np.ones((5, 4, 2), np.float32)).masks["l0"]
    assert mask.shape == (5, 4, 6)
    assert len({sequence.tobytes() for step in mask for sequence in step}) > 10
