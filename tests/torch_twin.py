"""A cell or layer of scratch next to its twin in torch.nn: the same weights, the same pass."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import torch
from torch.nn.utils import rnn as torch_packing

from scratch.cells import LSTMCell, RNNCell
from scratch.machinery.nests import flatten
from scratch.machinery.packing import PackedSequence
from tests.parity import assert_parity_to_rounding, assert_same_rounding

ONLY_OURS = {"dtype", "rng", "unknown"}


def torch_twin(module):
    """The torch.nn module of the same name, options, weights, dtype and mode."""
    names = set(inspect.signature(type(module)).parameters) - ONLY_OURS
    dtype = getattr(torch, next(module.parameters()).dtype.name)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "dropout option adds dropout")
        theirs = getattr(torch.nn, type(module).__name__)(
            **{name: getattr(module, name) for name in names}, dtype=dtype
        )
    weights = {name: torch.tensor(array) for name, array in module.state_dict().items()}
    theirs.load_state_dict(weights)
    return theirs.train(module.training)


def to_torch(value, requires_grad=False):
    """Arrays, in tuples and packed sequences too, as tensors of their own."""
    if isinstance(value, PackedSequence):
        indices = [None if i is None else torch.tensor(i) for i in value[2:]]
        data = to_torch(value.data, requires_grad)
        return torch_packing.PackedSequence(data, torch.tensor(value.batch_sizes), *indices)
    if isinstance(value, tuple):
        return tuple(to_torch(entry, requires_grad) for entry in value)
    if value is None:
        return None
    return torch.tensor(np.array(value), requires_grad=requires_grad)


def flat_grads(grads, answers):
    """One gradient for each array of `answers`: a None for a whole pair becomes two."""
    flat = []
    for grad, answer in zip(grads, answers, strict=True):
        count = len(flatten(answer))
        flat += [None] * count if grad is None else flatten(grad)
    return flat


def answers_of(module, record):
    """What the call returns, out of the record."""
    if not isinstance(module, RNNCell | LSTMCell):
        c_n = getattr(record, "c_n", None)
        return record.output, record.h_n if c_n is None else (record.h_n, c_n)
    state = tuple(array if record.batched else array[0] for array in states_of(module, record))
    return (state if len(state) > 1 else state[0],)


def states_of(module, step):
    return tuple(getattr(step, name) for name in module.states)


def arrays_of(module, record):
    """Every array that a record shows, by name."""
    if isinstance(module, RNNCell | LSTMCell):
        return {name: getattr(record, name) for name in record.names}
    arrays = dict(enumerate(flatten(answers_of(module, record)))) | record.masks
    for end, run in record.runs.items():
        arrays |= {f"{end}.{name}": getattr(run, name) for name in run.names}
    return arrays


def assert_same_arrays(before, after, message):
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name], err_msg=f"{name} {message}")


def widened(value):
    """Arrays, in tuples and packed sequences too, in float64."""
    if isinstance(value, PackedSequence):
        return value._replace(data=widened(value.data))
    if isinstance(value, tuple):
        return tuple(widened(entry) for entry in value)
    return None if value is None else np.asarray(value, np.float64)


def assert_same_numbers(names, ours, theirs, exact):
    """In float32 both sides against `exact()`, the same pass in float64. In float64, directly."""
    ours, theirs = list(ours), list(theirs)
    if theirs[0].dtype == torch.float32:
        assert_same_rounding(names, ours, theirs, exact())
        return
    for name, a, b in zip(names, ours, theirs, strict=True):
        assert_parity_to_rounding(name, a, b)


def away_from_kinks(module, record):
    """Whether no ReLU is so near its kink that rounding decides on which side of it it falls.

    At the kink there is no gradient to compare: |z| must be 1e-5 of the Σ|summands| of that z.
    """
    if getattr(module, "nonlinearity", "tanh") != "relu":
        return True
    runs = {"": record} if isinstance(module, RNNCell) else record.runs
    products = [
        (steps.weights.matrix, steps.inputs) for run in runs.values() for steps in run.steps
    ]
    with np.errstate(invalid="ignore"):  # 0 / 0 of a unit without inputs: at the kink
        distances = [np.abs(w @ x) / (np.abs(w) @ np.abs(x)) for w, x in products]
    return all((np.nan_to_num(d) > 1e-5).all() for d in distances)


def all_gradients(module, record, grads):
    """Those of the inputs in order, then those of the parameters, which start at None."""
    results = flatten(module.backward(record, *grads))
    return [*results, *(parameter.grad for parameter in module.parameters())]


def assert_same_pass(module, x, state, grads, full_state=None, record=None):
    """Answers and every gradient of both sides. Neither inputs nor record change.

    `full_state` is `state` with zeros for None; `record` that of an earlier forward pass. The
    gradients of the parameters start at None.
    """
    theirs = torch_twin(module)
    record = module.forward(x, state) if record is None else record
    inputs = to_torch(x, True), to_torch(state if full_state is None else full_state, True)
    expected = theirs(*inputs)
    expected = expected if len(grads) == 2 else (expected,)
    answers = answers_of(module, record)
    wide = module.astype(np.float64)

    def exact_record():
        return wide.forward(widened(x), widened(state))

    assert_same_numbers(
        [f"answer {i}" for i in range(len(flatten(answers)))],
        flatten(answers),
        flatten(expected),
        lambda: flatten(answers_of(wide, exact_record())),
    )

    before = arrays_of(module, record), dict(enumerate(flatten([x, state, grads])))
    copies = [{name: np.array(array) for name, array in arrays.items()} for arrays in before]
    ours = all_gradients(module, record, grads)
    assert_same_arrays(copies[0], arrays_of(module, record), "of the record was changed")
    assert_same_arrays(copies[1], before[1], "of the arguments was changed")

    pairs = [
        (answer, to_torch(grad))
        for answer, grad in zip(flatten(expected), flat_grads(grads, expected), strict=True)
        if grad is not None
    ]
    if pairs:
        torch.autograd.backward(*(list(side) for side in zip(*pairs, strict=True)))

    parameters = [name for name, _ in module.named_parameters()]
    leaves = [*flatten(inputs), *(theirs.get_parameter(name) for name in parameters)]
    names = ["x", "h", "c"][: len(leaves) - len(parameters)] + parameters
    assert_same_numbers(
        [f"gradient of {name}" for name in names],
        ours,
        map(gradient, leaves),
        lambda: all_gradients(wide, exact_record(), widened(grads)),
    )
    return record


def gradient(leaf):
    """The gradient of a tensor; zeros where nothing reached it."""
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
