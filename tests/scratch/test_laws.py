"""Laws that RNN and LSTM obey whatever their weights are. None of them needs PyTorch.

They are tried in float64: in float32, sums that cancel leave too few digits to tell.
"""

from __future__ import annotations

import copy

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from scratch.machinery.packing import PackedSequence, pack_padded_sequence, pad_packed_sequence
from scratch.recurrent import RNN
from tests.parity import assert_parity, assert_parity_to_rounding
from tests.strategies import FLOATS, SEEDS, SIZES, layers
from tests.torch_twin import away_from_kinks, flatten


def lawful(**options):
    """Layers in float64 with weights as drawn: large ones amplify rounding from step to step."""
    return layers(dtypes=st.just(np.float64), saturated=False, **options)


class Pass:
    """Forward and backward: the answers, and the gradients of what went in and the parameters.

    Everything in time-first order, a state as a list of its arrays (runs, N, H), whatever the
    layer's options are.
    """

    def __init__(self, layer, x, state, grads):
        self.layer = copy.deepcopy(layer)
        self.layer.zero_grad()
        trace = self.layer.forward(x, state)
        assume(away_from_kinks(layer, trace))
        self.output, self.state = trace.output, [trace.h_n, *flatten(getattr(trace, "c_n", []))]
        grad_x, grad_state = self.layer.backward(trace, *grads)
        self.grad_x, self.grad_state = grad_x, flatten(grad_state)
        self.grads = {name: p.grad for name, p in self.layer.named_parameters()}


def assert_same(name, ours, expected):
    for k, (a, b) in enumerate(zip(flatten(ours), flatten(expected), strict=True)):
        assert_parity_to_rounding(f"{name} {k}", a, b)


def run(case, layer=None):
    return Pass(case.module if layer is None else layer, case.x, case.full_state, case.grads)


def pick(value, index, axis):
    """`value[:, index]` along `axis` of every array of a nest; None stays None."""
    if value is None:
        return None
    if isinstance(value, tuple):
        return tuple(pick(entry, index, axis) for entry in value)
    return np.take(value, index, axis)


def part_of_batch(case, index):
    """Input, state and upstream gradients of some sequences of a padded batch."""
    sequences = 0 if case.module.batch_first else 1
    grad_output, grad_state = case.grads
    grads = pick(grad_output, index, sequences), pick(grad_state, index, 1)
    return pick(case.x, index, sequences), pick(case.full_state, index, 1), grads


@given(lawful(forms=("padded",)), st.randoms(use_true_random=False))
def test_reordering_the_batch_reorders_everything(case, random):
    batch_axis = 0 if case.module.batch_first else 1
    order = list(range(case.x.shape[batch_axis]))
    random.shuffle(order)
    whole, shuffled = run(case), Pass(case.module, *part_of_batch(case, order))
    assert_same("output", shuffled.output, pick(whole.output, order, batch_axis))
    assert_same("state", shuffled.state, [s[:, order] for s in whole.state])
    assert_same("grad_x", shuffled.grad_x, pick(whole.grad_x, order, batch_axis))
    expected = [g[:, order] for g in whole.grad_state]
    assert_same("grad_state", shuffled.grad_state, expected)
    for name, grad in whole.grads.items():
        assert_parity_to_rounding(name, shuffled.grads[name], grad)


@given(lawful(forms=("padded",)))
def test_the_gradient_of_a_batch_is_the_sum_of_its_samples_gradients(case):
    whole = run(case)
    batch = case.x.shape[0 if case.module.batch_first else 1]
    sums = {name: np.zeros_like(grad) for name, grad in whole.grads.items()}
    for n in range(batch):
        for name, grad in Pass(case.module, *part_of_batch(case, [n])).grads.items():
            sums[name] += grad
    for name, grad in sums.items():
        assert_parity_to_rounding(name, whole.grads[name], grad)


@given(lawful(), st.floats(-3, 3))
def test_backward_is_linear_in_the_upstream_gradient(case, factor):
    factor = case.dtype.type(factor)
    trace = case.module.forward(case.x, case.full_state)

    def combine(a, b):
        """a + factor · b of two nests."""
        if a is None:
            return None
        if isinstance(a, PackedSequence):
            return a._replace(data=combine(a.data, b.data))
        if isinstance(a, tuple):
            return tuple(combine(*pair) for pair in zip(a, b, strict=True))
        return a + factor * b

    def gradients(grads):
        case.module.zero_grad()
        results = flatten(case.module.backward(trace, *grads))
        return [*results, *(parameter.grad for parameter in case.module.parameters())]

    others = case.numbers_like(case.grads)
    combined = gradients(combine(case.grads, others))
    separate = gradients(case.grads), gradients(others)
    for k, (both, a, b) in enumerate(zip(combined, *separate, strict=True)):
        # The two may cancel.
        summands = np.abs(a).max(initial=0) + np.abs(factor * b).max(initial=0)
        assert_parity(f"gradient {k}", both, a + factor * b, summands=summands)


@given(lawful(forms=("padded", "unbatched"), one_direction=True), st.data())
def test_two_halves_with_the_state_handed_over_equal_the_whole(case, data):
    time = 1 if case.module.batch_first and case.x.ndim == 3 else 0
    steps = case.x.shape[time]
    assume(steps > 1)
    cut = data.draw(st.integers(1, steps - 1), "cut")
    first, second = (range(cut), range(cut, steps))
    whole = run(case)

    def halved(value, half):
        return pick(value, half, time)

    layer = copy.deepcopy(case.module)
    early = layer.forward(halved(case.x, first), case.full_state)
    state = (early.h_n, early.c_n) if case.two_states else early.h_n
    late = layer.forward(halved(case.x, second), state)
    output = np.concatenate([early.output, late.output], axis=time)
    assert_same("output", output, whole.output)
    end = [late.h_n, late.c_n] if case.two_states else [late.h_n]
    assert_same("state", end, whole.state)

    grad_output, grad_n = case.grads
    grad_late, handed = layer.backward(late, halved(grad_output, second), grad_n)
    grad_early, grad_0 = layer.backward(early, halved(grad_output, first), handed)
    grad_x = np.concatenate([grad_early, grad_late], axis=time)
    assert_same("grad_x", grad_x, whole.grad_x)
    assert_same("grad_state", grad_0, whole.grad_state)
    for name, parameter in layer.named_parameters():
        assert_parity_to_rounding(name, parameter.grad, whole.grads[name])


@given(lawful(forms=("packed",)))
def test_a_packed_batch_equals_its_sequences_one_by_one(case):
    whole = run(case)
    layer = copy.deepcopy(case.module)
    layer.batch_first = False
    padded, lengths = pad_packed_sequence(case.x)
    outputs, _ = pad_packed_sequence(whole.output)
    grad_x, _ = pad_packed_sequence(case.x._replace(data=whole.grad_x.data))
    grad_output = None if case.grads[0] is None else pad_packed_sequence(case.grads[0])[0]
    sums = {name: np.zeros_like(grad) for name, grad in whole.grads.items()}
    for n, length in enumerate(lengths):
        own = None if grad_output is None else grad_output[:length, n]
        inputs = padded[:length, n], pick(case.full_state, n, 1), (own, pick(case.grads[1], n, 1))
        single = Pass(layer, *inputs)
        assert_same("output", outputs[:length, n], single.output)
        assert_same("state", [s[:, n] for s in whole.state], single.state)
        assert_same("grad_x", grad_x[:length, n], single.grad_x)
        expected = [g[:, n] for g in whole.grad_state]
        assert_same("grad_state", expected, single.grad_state)
        for name, grad in single.grads.items():
            sums[name] += grad
    for name, grad in sums.items():
        assert_parity_to_rounding(name, whole.grads[name], grad)


@given(lawful(forms=("padded",), max_layers=1))
def test_the_reverse_direction_is_the_forward_one_on_the_reversed_sequence(case):
    """With the weights of both directions exchanged, the sequence reversed in time."""
    assume(case.module.bidirectional)
    time = 1 if case.module.batch_first else 0
    whole, turned = run(case), copy.deepcopy(case.module)
    arrays = case.module.state_dict()
    exchanged = {
        name: name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse"
        for name in arrays
    }
    turned.load_state_dict({name: arrays[other] for name, other in exchanged.items()})
    half = whole.output.shape[-1] // 2

    def turn(output):
        """Reversed in time, the halves of the features exchanged."""
        return None if output is None else np.roll(np.flip(output, time), half, axis=-1)

    grad_output, grad_n = case.grads
    other = Pass(
        turned,
        np.flip(case.x, time),
        pick(case.full_state, [1, 0], 0),
        (turn(grad_output), pick(grad_n, [1, 0], 0)),
    )
    assert_same("output", turn(other.output), whole.output)
    assert_same("state", [s[::-1] for s in other.state], whole.state)
    assert_same("grad_x", np.flip(other.grad_x, time), whole.grad_x)
    expected = [g[::-1] for g in other.grad_state]
    assert_same("grad_state", expected, whole.grad_state)
    for name, grad in whole.grads.items():
        assert_parity_to_rounding(name, other.grads[exchanged[name]], grad)


@given(lawful(dropout=False))
def test_two_layers_equal_one_on_top_of_another(case):
    """The lowest layer on its own, and those above it."""
    layer = case.module
    assume(layer.num_layers > 1)
    whole = run(case)
    ends = 1 + layer.bidirectional
    options = {name: getattr(layer, name) for name in ("bias", "batch_first", "bidirectional")}
    options["dtype"] = case.dtype
    if isinstance(layer, RNN):
        options["nonlinearity"] = layer.nonlinearity
    else:
        options["proj_size"] = layer.proj_size
    width = whole.layer.output_size
    below = type(layer)(layer.input_size, layer.hidden_size, **options)
    above = type(layer)(width, layer.hidden_size, layer.num_layers - 1, **options)
    arrays = layer.state_dict()

    def upper(name):
        """`weight_ih_l0` of the upper layers is `weight_ih_l1` of all."""
        start, end = name.split("_l")
        return f"{start}_l{int(end[0]) + 1}{end[1:]}"

    below.load_state_dict({name: arrays[name] for name in below.state_dict()})
    above.load_state_dict({name: arrays[upper(name)] for name in above.state_dict()})

    def split(value):
        if value is None:
            return None, None
        if isinstance(value, tuple):
            pairs = [split(entry) for entry in value]
            return tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
        return value[:ends], value[ends:]

    states, grads = split(case.full_state), split(case.grads[1])
    lower = below.forward(case.x, states[0])
    top = above.forward(lower.output, states[1])
    assert_same("output", top.output, whole.output)
    end = [
        np.concatenate([getattr(lower, n), getattr(top, n)])
        for n in ("h_n", "c_n")[: len(layer.states)]
    ]
    assert_same("state", end, whole.state)
    grad_between, grad_above = above.backward(top, case.grads[0], grads[1])
    grad_x, grad_below = below.backward(lower, grad_between, grads[0])
    assert_same("grad_x", grad_x, whole.grad_x)
    pairs = zip(flatten(grad_below), flatten(grad_above), strict=True)
    assert_same("grad_state", [np.concatenate(p) for p in pairs], whole.grad_state)
    for name, parameter in below.named_parameters():
        assert_parity_to_rounding(name, parameter.grad, whole.grads[name])
    for name, parameter in above.named_parameters():
        assert_parity_to_rounding(name, parameter.grad, whole.grads[upper(name)])


@given(SEEDS, FLOATS, st.lists(SIZES, min_size=1, max_size=8), st.booleans(), st.integers(0, 3))
def test_the_backward_of_padding_is_packing(seed, dtype, lengths, batch_first, extra):
    """Both are linear, and the one the transpose of the other: ⟨pad(p), g⟩ = ⟨p, pack(g)⟩."""
    rng = np.random.default_rng(seed)
    steps = max(lengths) + extra
    outer = (len(lengths), steps) if batch_first else (steps, len(lengths))
    x, g = (rng.standard_normal((*outer, 3)).astype(dtype) for _ in range(2))

    def pack(padded):
        return pack_padded_sequence(padded, lengths, batch_first, enforce_sorted=False)

    padded, _ = pad_packed_sequence(pack(x), batch_first, total_length=steps)
    left, right = (padded * g).sum(), (pack(x).data * pack(g).data).sum()
    assert_parity("⟨pad(p), g⟩", left, right, summands=np.abs(x * g).sum())
