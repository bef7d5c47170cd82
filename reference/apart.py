"""Why the answers of a module differ from those of a torch module: how the weights are read, or
where the two part; and which weight of the one is which of the other, by its numbers."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from scratch.gradcheck.foreign.copies import arrays_inside
from scratch.machinery.module import Array
from scratch.machinery.nests import flatten, is_inexact, is_packed

from .own_weights import Weights
from .readings import Read, Reading, readable, readings, with_reading
from .sides import Mine, Theirs, copied_buffers
from .twin import to_numpy

# Relative to the largest number: nearer than that are two sums taken in another order, at any
# number of steps; further off is another formula.
EQUAL = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-4}


def explain(mine: Any, theirs: nn.Module, inputs: tuple[Any, ...]) -> list[str]:
    """One line for the end of a table of differences; none where nothing can be said."""
    layers = [part for part in theirs.modules() if readable(part)]
    try:
        runs = list(_runs(mine, theirs, inputs))
    except Exception:  # a class of a person's own may not take fewer steps
        return []
    if not layers:
        return [f"They part{_step_words(runs[-1], theirs, None)}."]
    plain = with_reading(theirs, Reading())
    if _agree(runs, plain):
        return ["Without its hooks or a forward of its own, the torch module answers as mine does."]
    for reading in readings(layers[0]):
        module = with_reading(theirs, reading)
        if _agree(runs, module):
            digits = _digits(max(_distance(*pair) for pair in runs[-1].pairs(module)))
            return [
                f"The answers are equal to {digits} digits if torch's weights are read so: "
                f"{reading}."
            ]
    read = next(part for part in plain.modules() if isinstance(part, Read))
    words = _step_words(runs[-1], plain, read)
    return [f"No other reading of the weights makes them equal. They part{words}."]


def _agree(runs: list[_Run], module: nn.Module) -> bool:
    return all(_same(*pair) for run in runs for pair in run.pairs(module))


class _Run:
    """Mine on the first steps of the inputs, and how far a torch module is from it there."""

    def __init__(self, mine: Any, theirs: nn.Module, inputs: tuple[Any, ...]) -> None:
        their = Theirs(theirs, inputs)
        given = inputs
        if their.takes_state and len(inputs) == 1:
            dtype = flatten(inputs[0])[0].dtype
            given = inputs[0], tuple(to_numpy(t).astype(dtype) for t in flatten(their.inputs[1]))
            given = given if len(given[1]) > 1 else (given[0], given[1][0])
        ours = Mine(copy.deepcopy(mine), given, flatten(their.answers))
        self.inputs = their.inputs
        self.ours, self.module = ours, ours.module
        self.answers = [np.asarray(a) for a in flatten(ours.answers)]

    def pairs(self, module: nn.Module) -> list[tuple[Array, Array]]:
        """Mine's answers and those of `module`."""
        with torch.no_grad(), copied_buffers(module):
            answers = [to_numpy(t) for t in flatten(module(*self.inputs))]
        return list(zip(self.answers, answers, strict=False))


def _runs(mine: Any, theirs: nn.Module, inputs: tuple[Any, ...]) -> Iterator[_Run]:
    """On one step, on two, on all: what differs early is told apart cheaply."""
    layer = _layer(theirs)
    for steps in (1, 2):
        few = None if layer is None else _first_steps(inputs[0], steps, layer.batch_first)
        if few is not None:
            yield _Run(mine, theirs, (few, *inputs[1:]))
    yield _Run(mine, theirs, inputs)


def _first_steps(x: Any, steps: int, batch_first: bool) -> Any:
    """The first steps of every sequence; None if there are no more than these."""
    if is_packed(x):
        rows = int(x.batch_sizes[:steps].sum())
        few = x._replace(data=x.data[:rows], batch_sizes=x.batch_sizes[:steps])
        return few if steps < len(x.batch_sizes) else None
    axis = 1 if x.ndim == 3 and batch_first else 0
    return (x[:, :steps] if axis else x[:steps]) if steps < x.shape[axis] else None


def _layer(module: nn.Module) -> Any:
    """The first RNN or LSTM, which has an axis of time."""
    return next((part for part in module.modules() if isinstance(part, nn.RNNBase)), None)


def _same(a: Array, b: Array) -> bool:
    coarser = min(a.dtype, b.dtype, key=lambda dtype: dtype.itemsize)
    return _distance(a, b) < EQUAL.get(coarser, 1e-2)


def _distance(a: Array, b: Array) -> float:
    if a.size != b.size or not b.size:
        return math.inf
    with np.errstate(all="ignore"):
        found = float(np.abs(a.reshape(b.shape) - b).max() / np.abs(b).max())
    return math.inf if math.isnan(found) else found


def _digits(distance: float) -> int:
    return min(16, int(-math.log10(max(distance, 1e-17))))


# Where they part


def _step_words(run: _Run, module: nn.Module, read: Read | None) -> str:
    """The first step, and the first quantity of it, that are not the same on both sides."""
    step = _first_step(*run.pairs(module)[0], _layer(module))
    packed = is_packed(run.inputs[0])
    if packed and step is not None:  # it is a row of the packed data
        step = int((run.inputs[0].batch_sizes.cumsum(0) <= step).sum())
    words = "" if step is None else f" at step {step}"
    return words if read is None or packed else words + _quantity(run, module, read, step or 0)


def _first_step(ours: Array, theirs: Array, layer: Any) -> int | None:
    """Where the outputs differ first; None where they have no axis of time."""
    if layer is None or ours.size != theirs.size or theirs.ndim < 2:
        return None
    ours = ours.reshape(theirs.shape)
    if layer.batch_first and theirs.ndim == 3:
        ours, theirs = ours.swapaxes(0, 1), theirs.swapaxes(0, 1)
    return next((t for t in range(len(ours)) if not _same(ours[t], theirs[t])), None)


def _quantity(run: _Run, module: nn.Module, read: Read, step: int) -> str:
    """Which of torch's values at that step are in mine's record, by their numbers."""
    run.pairs(module)  # leaves the steps in `read`
    values = {n: to_numpy(t) for n, t in read.steps[min(step, len(read.steps) - 1)].items()}
    inside = arrays_inside(run.ours.module.forward(*run.ours.inputs))
    known = [array for array in inside if is_inexact(array)]
    held = [n for n, value in values.items() if any(_holds(array, value) for array in known)]
    missing = [n for n in values if n not in held]
    if "h" in held or not set(held) & set("ifgo"):  # the record does not keep the gates
        return ""
    return (
        f", first in {missing[0]}: of torch's values at that step, forward's record holds "
        f"{', '.join(held)}, and not {', '.join(missing)}"
    )


def _holds(array: Array, value: Array) -> bool:
    """Whether `value`, (N, H), is `array`, or its transpose, or one step of it."""
    if array.size < value.size or array.ndim < 1:
        return False
    for part in (array, array.T):
        rows = part.reshape(-1, *value.shape) if part.size % value.size == 0 else part[None]
        if rows.shape[1:] == value.shape and any(_same(r, value) for r in rows):
            return True
    return False


# Which weight is which


def match(
    weights: Weights, theirs: Theirs, grads: dict[str, Array]
) -> tuple[list[tuple[str, Any, Array]], list[str]]:
    """(name, mine's gradient, torch's) of the weights that both have, and what is said of the rest.

    A weight belongs to that of torch with its name and shape. Any other is found by its numbers:
    transposed, joined or in another order, each of its entries is one of torch's, or the sum of
    two biases.
    """
    parameters = {n: to_numpy(p) for n, p in theirs.parameters.items() if n in grads}
    single = any(array.dtype == np.float32 for array in parameters.values())
    found: list[tuple[str, Any, Array]] = []
    unknown, other = [], []
    values, slopes = _table(parameters, grads)
    for name, (data, grad) in weights.items():
        if name in parameters and parameters[name].shape == data.shape:
            found.append((name, grad, grads[name]))
            distance = _distance(data, parameters[name])
            if distance > 1e-6 and not (data == parameters[name]).all():
                other.append(f"{name} by {distance:.1e}")
            continue
        theirs_grad = _gather(data, values, slopes, single)
        if theirs_grad is None:
            unknown.append(name)
        elif grad is not None:
            found.append((name, grad, theirs_grad))
        else:
            unknown.append(name)
    notes = []
    if not weights and parameters:
        notes.append(
            "Gradients of weights not compared, as mine has none under names that are known: "
            "parameters(), W and dW or grad_W, params and grads."
        )
    if other:
        notes.append(f"The weights themselves differ: {', '.join(other)}.")
    if unknown:
        notes.append(
            f"Gradients not compared, as the numbers of the weight do not stand in the torch "
            f"module, or it has no gradient: {', '.join(unknown)}."
        )
    return found, notes


def _table(parameters: dict[str, Array], grads: dict[str, Array]) -> tuple[Array, Array]:
    """Every entry of torch's weights, sorted, and its gradient; the sums of two biases as well."""
    pairs = [(array, grads[name]) for name, array in parameters.items()]
    for name, array in parameters.items():
        partner = name.replace("bias_ih", "bias_hh")
        if "bias_ih" in name and partner in parameters:
            pairs.append((array + parameters[partner], grads[name]))
    values = np.concatenate([v.reshape(-1).astype(np.float64) for v, _ in pairs] or [np.zeros(0)])
    slopes = np.concatenate([g.reshape(-1).astype(np.float64) for _, g in pairs] or [np.zeros(0)])
    order = np.argsort(values, kind="stable")
    return values[order], slopes[order]


def _gather(data: Array, values: Array, slopes: Array, single: bool) -> Array | None:
    """The gradients of the entries with the numbers of `data`; None if one has none."""
    wanted = data.reshape(-1).astype(np.float64)
    near = 1e-6 if single or data.dtype == np.float32 else 1e-12
    low = np.searchsorted(values, wanted - near * np.abs(wanted))
    high = np.searchsorted(values, wanted + near * np.abs(wanted), side="right")
    if not len(values) or (low == high).any():
        return None
    first, last = slopes[low], slopes[high - 1]
    if (np.abs(first - last) > 1e-6 * np.abs(slopes).max()).any():
        return None
    return first.reshape(data.shape).astype(data.dtype)
