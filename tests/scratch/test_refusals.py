"""What RNN, LSTM and their cells refuse: with PyTorch's type of exception, and nothing changed.

The messages name the argument, what was expected and what came.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from scratch import CrossEntropyLoss, Linear, MSELoss, Parameter, SimpleLSTM, SimpleRNN
from scratch.cells import LSTMCell, RNNCell
from scratch.machinery.packing import PackedSequence, pack_padded_sequence
from scratch.recurrent import LSTM, RNN
from tests.parity import assert_same_refusal
from tests.strategies import cells, layers
from tests.torch_twin import flatten, to_torch, torch_twin

CELLS = {"RNNCell": RNNCell, "LSTMCell": LSTMCell}
LAYERS = {"RNN": RNN, "LSTM": LSTM}
MODULES = CELLS | LAYERS
F32 = np.float32


def zeros(*shape, dtype=F32):
    return np.zeros(shape, dtype)


def state_of(kind, *arrays):
    """One array for an RNN; for an LSTM the pair, the second like the first if there is one."""
    return (arrays[0], arrays[-1]) if "LSTM" in kind else arrays[0]


def tensors(value):
    """`to_torch` that leaves what is not an array as it is."""
    if isinstance(value, list):
        return [tensors(entry) for entry in value]
    if isinstance(value, tuple) and not isinstance(value, PackedSequence):
        return tuple(tensors(entry) for entry in value)
    return to_torch(value) if isinstance(value, np.ndarray | PackedSequence) else value


def snapshot(module):
    return {name: array.copy() for name, array in module.state_dict().items()}


def assert_call_refused(kind, module, x, state, *words):
    """By the call and by `forward`; with nothing changed."""
    theirs, before = torch_twin(module), snapshot(module)
    generator = module._rng.bit_generator.state if kind in LAYERS else None
    for call in (module, module.forward):
        assert_same_refusal(
            lambda call=call: call(x, state), lambda: theirs(tensors(x), tensors(state)), *words
        )
    for name, array in module.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert generator is None or module._rng.bit_generator.state == generator


# Constructors

LAYER_ARGUMENTS = [
    *((((bad, 3), {}), ("input_size", "at least 1", str(bad))) for bad in (0, -1)),
    *((((2, bad), {}), ("hidden_size", "at least 1", str(bad))) for bad in (0, -3)),
    *(
        (((bad, 3), {}), ("input_size", "an int", str(bad)))
        for bad in (2.0, "2", None, np.int64(2))
    ),
    *(
        (((2, bad), {}), ("hidden_size", "an int", str(bad)))
        for bad in (3.0, "3", None, np.int64(3))
    ),
    *((((2, 3, bad), {}), ("num_layers", "at least 1", str(bad))) for bad in (0, -1)),
    *((((2, 3, bad), {}), ("num_layers", "an int", str(bad))) for bad in (1.5, "relu", None)),
    *((((2, 3), {"bias": bad}), ("bias", "True or False")) for bad in (0, 1, "True", None)),
    *((((2, 3), {"batch_first": bad}), ("batch_first", "True or False")) for bad in (0, "x", None)),
    *(
        (((2, 3), {"dropout": bad}), ("dropout", "from 0 to 1", str(bad)))
        for bad in (-0.1, 1.1, float("nan"), float("inf"))
    ),
    *((((2, 3), {"dtype": bad}), ("dtype", "float or complex", bad)) for bad in ("int64", "bool")),
    (((2,), {}), ("hidden_size",)),
    (((), {}), ("input_size",)),
    (((2, 3), {"depth": 2}), ("depth",)),
]
RNN_ARGUMENTS = [
    (((2, 3), {"nonlinearity": bad}), ("nonlinearity", "'tanh' or 'relu'", str(bad)))
    for bad in ("sigmoid", None, ["tanh"], 1)
]
LSTM_ARGUMENTS = [
    (((2, 3), {"proj_size": 3}), ("proj_size", "less than hidden_size, 3", "got 3")),
    (((2, 3), {"proj_size": 4}), ("proj_size", "less than hidden_size, 3", "got 4")),
    (((2, 3), {"proj_size": -1}), ("proj_size", "at least 0", "got -1")),
    *((((2, 3), {"proj_size": bad}), ("proj_size", "an int")) for bad in (1.0, "1", None)),
    (((2, 3, 1, "relu"), {}), ("bias", "True or False", "'relu'")),
    (((2, 3), {"nonlinearity": "relu"}), ("nonlinearity",)),
]
CELL_ARGUMENTS = [
    (((-1, 3), {}), ("input_size", "at least 0", "-1")),
    (((2, -1), {}), ("hidden_size", "at least 0", "-1")),
    *((((bad, 3), {}), ("input_size", "an int", str(bad))) for bad in (2.0, "2", None)),
    *((((2, bad), {}), ("hidden_size", "an int", str(bad))) for bad in (3.0, "3", None)),
    (((2, 3), {"dtype": "int64"}), ("dtype", "float or complex", "int64")),
    (((2,), {}), ("hidden_size",)),
    (((2, 3), {"depth": 2}), ("depth",)),
]
ARGUMENTS = [
    *(("RNN", *row) for row in LAYER_ARGUMENTS + RNN_ARGUMENTS),
    *(("LSTM", *row) for row in LAYER_ARGUMENTS + LSTM_ARGUMENTS),
    *((kind, *row) for kind in CELLS for row in CELL_ARGUMENTS),
    ("LSTMCell", ((2, 3), {"nonlinearity": "relu"}), ("nonlinearity",)),
]


@pytest.mark.parametrize(("kind", "arguments", "words"), ARGUMENTS, ids=repr)
def test_constructors(kind, arguments, words):
    args, options = arguments
    dtype = options.get("dtype")
    theirs = options | ({"dtype": getattr(torch, dtype)} if dtype else {})
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert_same_refusal(
        lambda: MODULES[kind](*args, **options, rng=rng),
        lambda: getattr(torch.nn, kind)(*args, **theirs),
        *words,
    )
    assert rng.bit_generator.state == before


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("RNNCell", (10, 20, "relu")),
        ("RNNCell", (2, 3, None)),
        ("LSTMCell", (2, 3, 0)),
        ("LSTMCell", (2, 3, "yes")),
        ("RNNCell", (np.int64(2), np.int32(3))),
        ("RNN", (2, 3, np.int64(2))),
        ("LSTM", (2, 3, 1, True, False, np.float32(0), False, np.int64(1))),
        ("RNN", (2, 3, 2, "relu", False, True, 0, True)),
    ],
)
def test_arguments_that_torch_accepts(kind, args):
    """`RNNCell(10, 20, "relu")` is one: "relu" lands in `bias`."""
    ours, theirs = MODULES[kind](*args), getattr(torch.nn, kind)(*args)
    assert repr(ours) == repr(theirs)
    shapes = [(name, tuple(parameter.shape)) for name, parameter in theirs.named_parameters()]
    assert [(name, parameter.shape) for name, parameter in ours.named_parameters()] == shapes


@pytest.mark.parametrize("size", [True, False])
@pytest.mark.parametrize("kind", MODULES)
def test_a_bool_is_no_size(kind, size):
    with pytest.raises(TypeError, match=f"input_size: expected an int, got bool {size}"):
        MODULES[kind](size, 3)
    with pytest.raises(TypeError, match=f"hidden_size: expected an int, got bool {size}"):
        MODULES[kind](2, size)


# Calls

NO_ARRAYS = [[1.0], None, 1.0, "x", (1.0, 2.0)]


@pytest.mark.parametrize(
    ("x", "words"),
    [
        *((zeros(*shape), ("x", "(N, input_size)", str(shape))) for shape in [(), (4, 2, 2)]),
        (zeros(4, 3), ("x", "(4, 2)", "(4, 3)")),
        (zeros(3), ("x", "(2,)", "(3,)")),
        (zeros(0, 3), ("x", "(0, 2)", "(0, 3)")),
        (zeros(4, 2, dtype=np.float64), ("x", "float32", "float64")),
        (zeros(2, dtype=np.float64), ("x", "float32", "float64")),
        (zeros(4, 2, dtype=np.int64), ("x", "float32", "int64")),
    ],
)
@pytest.mark.parametrize("kind", CELLS)
def test_inputs_of_a_cell(kind, x, words):
    assert_call_refused(kind, CELLS[kind](2, 3), x, None, *words)


@pytest.mark.parametrize(
    ("x_shape", "states"),
    [
        ((4, 2), [(), (3,), (4, 2), (5, 3), (1, 3), (4, 1, 3), (4, 1, 1, 3)]),
        ((2,), [(), (2,), (1, 3), (4, 3), (1, 1, 3)]),
    ],
)
@pytest.mark.parametrize("kind", CELLS)
def test_states_of_a_cell(kind, x_shape, states):
    cell, good = CELLS[kind](2, 3), zeros(*x_shape[:-1], 3)
    for shape in states:
        bad = zeros(*shape)
        assert_call_refused(kind, cell, zeros(*x_shape), state_of(kind, bad), "h_prev", str(shape))
        if kind == "LSTMCell":
            assert_call_refused(kind, cell, zeros(*x_shape), (good, bad), "c_prev", str(shape))
    for dtype in (np.float64, np.int64):
        bad = state_of(kind, good.astype(dtype))
        assert_call_refused(
            kind, cell, zeros(*x_shape), bad, "h_prev", "float32", np.dtype(dtype).name
        )


def test_states_of_an_lstm_cell_that_are_not_a_pair():
    h, cell = zeros(4, 3), LSTMCell(2, 3)
    for state in [(h,), (), (h, h, h)]:
        with pytest.raises(RuntimeError, match=rf"pair .*h_prev.*c_prev.* got {len(state)} values"):
            cell(zeros(4, 2), state)
    for state in [h, zeros(2, 4, 3), 5]:
        with pytest.raises(TypeError, match=r"pair .*h_prev.*c_prev"):
            cell.forward(zeros(4, 2), state)


@pytest.mark.parametrize("nonlinearity", ["sigmoid", None, ["tanh"]])
def test_a_cell_refuses_its_nonlinearity_at_the_call(nonlinearity):
    cell = RNNCell(2, 3, nonlinearity=nonlinearity)
    words = "nonlinearity", "'tanh' or 'relu'", str(nonlinearity)
    assert_call_refused("RNNCell", cell, zeros(4, 2), None, *words)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        *(
            (zeros(*shape), ("x", "(T, input_size)", "{batched}", str(shape)))
            for shape in [(), (2,), (5, 4, 2, 2)]
        ),
        *(
            (zeros(*shape), ("x", "input_size 2", str(shape)))
            for shape in [(5, 4, 3), (5, 3), (5, 4, 0)]
        ),
        (zeros(0, 2), ("x", "at least one time step", "(0, 2)")),
        (zeros(0, 0, 2), ("x", "at least one time step", "(0, 0, 2)")),
        (zeros(5, 4, 2, dtype=np.float64), ("x", "float32", "float64", "astype")),
        (zeros(5, 2, dtype=np.int64), ("x", "float32", "int64", "astype")),
    ],
)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_inputs_of_a_layer(kind, batch_first, x, words):
    layer = LAYERS[kind](2, 3, 2, batch_first=batch_first, dropout=0.5)
    batched = "(N, T, input_size)" if batch_first else "(T, N, input_size)"
    words = [word.replace("{batched}", batched) for word in words]
    assert_call_refused(kind, layer, x, None, *words)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_sequence_without_steps(kind):
    words = "x", "at least one time step"
    assert_call_refused(kind, LAYERS[kind](2, 3), zeros(0, 4, 2), None, *words)
    assert_call_refused(kind, LAYERS[kind](2, 3, batch_first=True), zeros(4, 0, 2), None, *words)


@pytest.mark.parametrize(
    ("x_shape", "states"),
    [
        (
            (5, 4, 2),
            [(), (4, 3), (1, 4, 3), (2, 5, 3), (2, 4, 2), (4, 4, 3), (4, 2, 3), (2, 1, 4, 3)],
        ),
        ((5, 2), [(), (3,), (2, 2), (1, 3), (4, 3), (2, 1, 3)]),
    ],
)
@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bidirectional": True}])
@pytest.mark.parametrize("kind", LAYERS)
def test_states_of_a_layer(kind, options, x_shape, states):
    layer = LAYERS[kind](2, 3, **options)
    good = zeros(2, *x_shape[1:-1], 3)
    for shape in states:
        bad = zeros(*shape)
        words = str(good.shape), str(shape)
        assert_call_refused(kind, layer, zeros(*x_shape), state_of(kind, bad), "h_0", *words)
        if kind == "LSTM":
            assert_call_refused(kind, layer, zeros(*x_shape), (good, bad), "c_0", *words)
    for dtype in (np.float64, np.int64):
        bad = state_of(kind, good.astype(dtype))
        words = "h_0", "float32", np.dtype(dtype).name
        assert_call_refused(kind, layer, zeros(*x_shape), bad, *words)


def test_states_of_a_layer_with_a_projection():
    lstm = LSTM(2, 3, proj_size=2)
    h, c = zeros(1, 4, 2), zeros(1, 4, 3)
    assert_call_refused("LSTM", lstm, zeros(5, 4, 2), (c, c), "h_0", "(1, 4, 2)", "(1, 4, 3)")
    assert_call_refused("LSTM", lstm, zeros(5, 4, 2), (h, h), "c_0", "(1, 4, 3)", "(1, 4, 2)")


def test_states_of_an_lstm_that_are_not_a_pair():
    h, lstm = zeros(1, 4, 3), LSTM(2, 3)
    for state in [(h,), (), (h, h, h)]:
        with pytest.raises(RuntimeError, match=rf"pair .*h_0.*c_0.* got {len(state)} values"):
            lstm(zeros(5, 4, 2), state)
    for state in [h, zeros(2, 4, 3), zeros(4, 3), zeros(), 5]:
        with pytest.raises(TypeError, match=r"pair .*h_0.*c_0"):
            lstm.forward(zeros(5, 4, 2), state)


@pytest.mark.parametrize("kind", MODULES)
def test_two_mistakes_at_once_are_refused(kind):
    module = MODULES[kind](2, 3)
    x_shape = (4, 2) if kind in CELLS else (5, 4, 2)
    h_shape = (4, 3) if kind in CELLS else (1, 4, 3)
    for x, h in itertools.product(wrong_arrays(*x_shape), wrong_arrays(*h_shape)):
        pairs = [(zeros(*h_shape), h), (h, zeros(*h_shape)), (h, h)]
        for state in pairs if "LSTM" in kind else [h]:
            with pytest.raises((ValueError, RuntimeError), match=rf"{kind}: .*expected .*, got"):
                module(x, state)


def wrong_arrays(*shape):
    """Of another number of dimensions, of another size, of another dtype, or of two of these."""
    *others, features = shape
    for wrong in [(), (1, 1, *shape), (*others, features + 1)]:
        yield zeros(*wrong)
        yield zeros(*wrong, dtype=np.float64)
    yield zeros(*shape, dtype=np.float64)


@pytest.mark.parametrize("bidirectional", [0, 1, None, "yes"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_refuses_bidirectional_at_the_call(kind, bidirectional):
    layer = LAYERS[kind](2, 3, bidirectional=bidirectional)
    words = "bidirectional", "True or False", str(bidirectional)
    with pytest.raises(TypeError):
        getattr(torch.nn, kind)(2, 3, bidirectional=bidirectional)(torch.zeros(5, 4, 2))
    with pytest.raises(TypeError) as raised:
        layer(zeros(5, 4, 2))
    assert all(word in str(raised.value) for word in words)


@pytest.mark.parametrize(
    "dropout",
    [True, False, np.True_, None, "0.5", "half", 1j, [0.5], np.array(0.5), np.array([0.5, 0.5])],
    ids=repr,
)
@pytest.mark.parametrize("kind", LAYERS)
def test_a_dropout_that_is_not_a_number(kind, dropout):
    with pytest.raises((TypeError, ValueError)):  # it tries to make a float of it first
        getattr(torch.nn, kind)(2, 3, 2, dropout=dropout)
    with pytest.raises(TypeError, match="dropout: expected a probability from 0 to 1, got"):
        LAYERS[kind](2, 3, 2, dropout=dropout)


@pytest.mark.parametrize("kind", MODULES)
def test_what_is_no_array_is_a_type_error(kind):
    """PyTorch asks it for its dimensions, and raises AttributeError."""
    module, good = MODULES[kind](2, 3), zeros(4, 2)
    for bad in NO_ARRAYS:
        with pytest.raises(TypeError, match=r"x: expected a NumPy array, got "):
            module(bad)
        if bad is None:
            continue
        with pytest.raises(TypeError, match=r"h_(prev|0): expected a NumPy array, got "):
            module(good, state_of(kind, bad))
    if "LSTM" in kind:
        h = zeros(4, 3) if kind in CELLS else zeros(1, 3)
        with pytest.raises(TypeError, match=r"c_(prev|0): expected a NumPy array, got NoneType"):
            module(good, (h, None))


# Packed input


def packed(rows, sizes, order=None, back=None, features=(2,), dtype=F32):
    def ints(value):
        return None if value is None else np.array(value)

    return PackedSequence(zeros(rows, *features, dtype=dtype), ints(sizes), ints(order), ints(back))


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (packed(5, [3, 2], features=(3,)), ("x", "input_size 2", "(5, 3)")),
        (packed(5, [3, 2], features=()), ("x.data", "(rows, input_size)", "(5,)")),
        (packed(5, [3, 2], features=(1, 2)), ("x.data", "(rows, input_size)", "(5, 1, 2)")),
        (packed(4, [3, 2]), ("x.data", "5 rows", "(4, 2)")),
        (packed(5, [2, 3]), ("x.batch_sizes", "never rise", "[2, 3]")),
        (packed(5, np.array([3, 2], np.int32)), ("x.batch_sizes", "int64", "[3, 2]")),
        (packed(5, [3, 2], [0, 1, 2], [0, 1, 3]), ("x.unsorted_indices", "0 to 2", "[0, 1, 3]")),
        (packed(5, [3, 2], None, [0, 1, 3]), ("x.unsorted_indices", "0 to 2", "[0, 1, 3]")),
        (packed(5, [3, 2], [0, 1, 2, 3]), ("x.unsorted_indices", "3 of them", "[0, 1, 2, 3]")),
    ],
)
@pytest.mark.parametrize("kind", LAYERS)
def test_packed_inputs(kind, x, words):
    assert_call_refused(kind, LAYERS[kind](2, 3, 2, dropout=0.5), x, None, *words)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (packed(6, [3, 2]), ("x.data", "5 rows", "(6, 2)")),
        (packed(5, 5), ("x.batch_sizes", "(T,)", "5")),
        (packed(5, [3, 2], [2, 0, 1], [0, 1, 2]), ("x.sorted_indices", "inverse", "[2 0 1]")),
        (packed(5, [3, 2], None, [0, 2, 1]), ("x.sorted_indices", "inverse", "None")),
        (packed(5, [3, 2], [0, 2, 1]), ("x.sorted_indices",)),
        (packed(5, [3, 2], [0, 0, 1], [0, 1, 2]), ("x.sorted_indices", "each once", "[0, 0, 1]")),
    ],
)
@pytest.mark.parametrize("kind", LAYERS)
def test_packed_inputs_that_torch_does_not_notice(kind, x, words):
    """Or with an accident: it drops rows, or gives out the states in another order."""
    if words == ("x.sorted_indices",):
        x = x._replace(unsorted_indices=None)
        words = (*words, "inverse", "None")
    with pytest.raises(RuntimeError) as raised:
        LAYERS[kind](2, 3)(x)
    assert all(word in str(raised.value) for word in words), raised.value


@pytest.mark.parametrize("dtype", ["float64", "int64"])
@pytest.mark.parametrize("kind", LAYERS)
def test_packed_input_of_another_dtype(kind, dtype):
    """An LSTM of PyTorch has a RuntimeError for it, its own for padded input a ValueError."""
    with pytest.raises(ValueError, match=f"x: expected dtype float32, got {dtype}"):
        LAYERS[kind](2, 3)(packed(5, [3, 2], dtype=dtype))


@pytest.mark.parametrize("kind", LAYERS)
def test_states_beside_packed_input(kind):
    for order in (None, [0, 2, 1]):
        x = packed(5, [3, 2], order)
        for shape in [(1, 2, 3), (2, 3, 3), (1, 3, 2)]:
            bad = state_of(kind, zeros(*shape))
            with pytest.raises(RuntimeError, match=r"h_0: expected shape \(1, 3, 3\).*got"):
                LAYERS[kind](2, 3)(x, bad)
            with pytest.raises(RuntimeError):
                getattr(torch.nn, kind)(2, 3)(tensors(x), tensors(bad))


# Backward


def upstream(kind, record):
    """Gradients of the right shapes for every answer."""
    if kind in CELLS:
        return [state_of(kind, np.ones_like(record.h))]
    return [
        np.ones_like(record.output)
        if isinstance(record.output, np.ndarray)
        else record.output._replace(data=np.ones_like(record.output.data)),
        state_of(kind, np.ones_like(record.h_n)),
    ]


@pytest.mark.parametrize("kind", MODULES)
def test_gradients_that_do_not_fit(kind):
    module = MODULES[kind](2, 3)
    record = module.forward(zeros(5, 2) if kind in CELLS else zeros(6, 5, 2))
    good = upstream(kind, record)
    names = (["grad_output"] if kind in LAYERS else []) + ["grad_h"]
    for k, name in enumerate(names):
        right = flatten(good[k])[0]
        bad = [
            (RuntimeError, right[:, :2], "shape"),
            (RuntimeError, right[:1] if kind in CELLS else right[..., :2], "shape"),
            (ValueError, right.astype(np.float64), "dtype float32"),
            (TypeError, right.tolist(), "a NumPy array"),
            (TypeError, 1.0, "a NumPy array"),
        ]
        for error, value, word in bad:
            grads = list(good)
            grads[k] = state_of(kind, value) if name == "grad_h" else value
            with pytest.raises(error, match=name) as raised:
                module.backward(record, *grads)
            assert word in str(raised.value)
    if "LSTM" in kind:
        h = flatten(good[-1])[0]
        for wrong in [h, (h,), (h, h, h), 5]:
            with pytest.raises((TypeError, RuntimeError), match="the pair"):
                module.backward(record, *good[:-1], wrong)
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_of_packed_output_that_do_not_fit(kind):
    layer = LAYERS[kind](2, 3)
    x = pack_padded_sequence(zeros(4, 3, 2), [2, 4, 1], enforce_sorted=False)
    trace = layer.forward(x)
    good = upstream(kind, trace)[0]
    for error, bad, word in [
        (TypeError, good.data, "a PackedSequence"),
        (RuntimeError, good._replace(data=good.data[1:]), "shape"),
        (ValueError, good._replace(data=good.data.astype(np.float64)), "dtype"),
        (RuntimeError, good._replace(batch_sizes=np.array([4, 2, 1, 0])), "batch_sizes"),
        (RuntimeError, PackedSequence(good.data, good.batch_sizes), "indices"),
    ]:
        with pytest.raises(error, match="grad_output") as raised:
            layer.backward(trace, bad)
        assert word in str(raised.value)
    assert all(parameter.grad is None for parameter in layer.parameters())
    layer.backward(trace, good)


def test_a_record_of_another_module_is_refused():
    """Its gradients would go to the parameters of that module."""
    rng = np.random.default_rng(0)
    for module, other in (
        (LSTMCell(2, 3, rng=0), LSTMCell(2, 3, rng=1)),
        (LSTM(2, 3, rng=0), LSTM(2, 3, rng=1)),
    ):
        x = rng.standard_normal((4, 2)).astype(np.float32)
        for wrong, error in ((other.forward(x), RuntimeError), ((x, x), TypeError)):
            with pytest.raises(error, match="record: expected"):
                module.backward(wrong, None)
        assert all(p.grad is None for m in (module, other) for p in m.parameters())


def test_a_record_of_a_parameter_that_was_replaced_is_refused():
    """Its gradient would go to the parameter that is no longer there."""
    layers = RNN(2, 3, 2), LSTM(2, 3, bidirectional=True), Linear(2, 3)
    for module in (RNNCell(2, 3), LSTMCell(2, 3), *layers):
        x = zeros(4, 2)
        for name, parameter in list(module.named_parameters()):
            record = module.forward(x)
            setattr(module, name, Parameter(parameter.data))
            with pytest.raises(RuntimeError, match="computed with the current parameters"):
                module.backward(record, None)
            assert all(p.grad is None for p in [parameter, *module.parameters()])


def test_what_is_no_record_is_refused():
    modules = LSTM(2, 3), LSTMCell(2, 3), Linear(2, 3), MSELoss(), CrossEntropyLoss()
    for module in (*modules, SimpleRNN(2, 3, 1), SimpleLSTM(2, 3, 1)):
        for record in (None, zeros(4, 3), (1, 2, 3)):
            with pytest.raises(TypeError, match="expected what forward returns, got"):
                module.backward(record, None)


def test_the_output_in_a_record_cannot_be_changed():
    """It is a view of what backward needs."""
    x = np.ones((4, 2), np.float32)
    lstm = LSTM(2, 3, rng=0)
    with pytest.raises(ValueError, match="read-only"):
        lstm.forward(x).output[...] = 0
    lstm(x)[0][...] = 0


# Matrices and masked arrays, for which * means something else


def matrix_and_masked(array):
    return np.matrix(array), np.ma.masked_array(array, array > 1)


@pytest.mark.filterwarnings("ignore:the matrix subclass")  # NumPy's own, of the kind tried here
@pytest.mark.parametrize("kind", [*MODULES, "Linear"])
def test_matrices_and_masked_arrays_are_refused(kind):
    module = Linear(3, 3) if kind == "Linear" else MODULES[kind](3, 3)
    for x in matrix_and_masked(zeros(4, 3)):
        with pytest.raises(TypeError, match="expected a plain NumPy array, got a"):
            module.forward(x)


def test_a_memory_map_is_a_plain_array(tmp_path):
    x = np.memmap(tmp_path / "x", dtype=F32, mode="w+", shape=(4, 2))
    lstm = LSTM(2, 3, rng=0)
    np.testing.assert_array_equal(lstm(x)[0], lstm(np.asarray(x))[0])


# Any of these, drawn

SPOILED = {
    "a list": lambda array, rng: array.tolist(),
    "None": lambda array, rng: None,
    "int64": lambda array, rng: array.astype(np.int64),
    "float16": lambda array, rng: array.astype(np.float16),
    "another float": lambda array, rng: array.astype("f4" if array.dtype == "f8" else "f8"),
    "an axis more": lambda array, rng: array[np.newaxis],
    "an axis less": lambda array, rng: array.sum(0),
    "one more": lambda array, rng: array.repeat(2, rng.integers(array.ndim)),
    "one less": lambda array, rng: array[..., :-1],
}


def spoil(draw, rng, nest):
    """The same with one array, or the data of one packed sequence, replaced by something wrong."""
    arrays = [leaf for leaf in flatten(nest) if leaf is not None]
    assume(arrays)
    chosen = arrays[draw(st.integers(0, len(arrays) - 1), "which")]
    how = draw(st.sampled_from(sorted(SPOILED)), "how")

    def replaced(value):
        if isinstance(value, PackedSequence):
            return value._replace(data=replaced(value.data))
        if isinstance(value, tuple):
            return tuple(replaced(entry) for entry in value)
        return SPOILED[how](value, rng) if value is chosen else value

    return replaced(nest)


def refusal(call, *arguments):
    """The message of what `call` raises; None if it takes the arguments."""
    try:
        call(*arguments)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        return str(error)
    return None


@given(st.one_of(cells(), layers()), st.data())
def test_a_wrong_argument_is_refused_and_nothing_is_changed(case, data):
    module = case.module
    x, state = spoil(data.draw, case.rng, (case.x, case.state))
    before = snapshot(module)
    ours = refusal(module, x, state)
    if ours is None:  # and only then: some of what is wrong kills the process in PyTorch
        theirs = flatten(torch_twin(module)(tensors(x), tensors(state)))
        assert [a.shape for a in flatten(module(x, state))] == [tuple(a.shape) for a in theirs]
        return
    assert "expected" in ours
    for name, array in snapshot(module).items():
        np.testing.assert_array_equal(array, before[name])


@given(st.one_of(cells(), layers()), st.data())
def test_a_wrong_gradient_is_refused_and_nothing_is_added(case, data):
    record = case.module.forward(case.x, case.state)
    grads = spoil(data.draw, case.rng, case.grads)
    ours = refusal(case.module.backward, record, *grads)
    if ours is None:
        for grad, right in zip(flatten(grads), flatten(case.grads), strict=True):
            assert grad is None or (grad.shape, grad.dtype) == (right.shape, right.dtype)
        return
    assert "expected" in ours
    assert all(parameter.grad is None for parameter in case.module.parameters())
