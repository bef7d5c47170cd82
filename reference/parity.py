"""How far a scratch module and its twin are apart: every output and every gradient, as numbers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from scratch.cells import Cell
from scratch.losses import CrossEntropyLoss, MSELoss
from scratch.machinery.module import Array, Module
from scratch.machinery.packing import PackedSequence
from scratch.recurrent import Recurrent

from .table import align
from .twin import to_numpy, to_torch, twin

# Relative to the largest number of the tensor: both sides add up the same terms in another order,
# which moves the last digits of 16 (float64) or 7 (float32), and more of them where a sum cancels.
TOLERANCE = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-5}

Kind = Literal["output", "gradient"]


@dataclass(frozen=True)
class Row:
    """One tensor on both sides."""

    kind: Kind
    name: str  # a gradient has the name of what it is the gradient of
    shape: tuple[int, ...]
    difference: float  # max|a − b|
    relative: float  # max|a − b| / max|b|, b being torch's
    index: tuple[int, ...]  # where the difference is largest
    scratch: float  # the values there
    torch: float
    tolerance: float  # what `relative` may be: 1e-12 in float64, 1e-5 in float32
    problem: str = ""  # what cannot be subtracted: another shape or dtype, or no gradient

    @property
    def label(self) -> str:
        return self.name if self.kind == "output" else f"gradient of {self.name}"

    @property
    def ok(self) -> bool:
        return self.relative <= self.tolerance


@dataclass(frozen=True)
class Parity:
    """A row for every output and every gradient. `str()` is a table for the terminal."""

    title: str
    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """Whether every difference is within its row's tolerance."""
        return all(row.ok for row in self.rows)

    def worst(self, kind: Kind) -> Row:
        """The output or the gradient with the largest relative difference."""
        return max((row for row in self.rows if row.kind == kind), key=lambda row: row.relative)

    def __str__(self) -> str:
        lines = [("", "shape", "largest difference", "relative", "at", "scratch", "torch", "")]
        for row in self.rows:
            verdict = "" if row.ok else "differs"
            numbers = f"{row.difference:.1e}", f"{row.relative:.1e}", str(row.index)
            values = f"{row.scratch:.6g}", f"{row.torch:.6g}"
            if row.problem:
                numbers, values, verdict = ("", "", ""), ("", ""), row.problem
            lines.append((row.label, str(row.shape), *numbers, *values, verdict))
        return f"{self.title}\n{align(lines, left=(0, 1, 4, 7))}\n{self._summary()}"

    def _summary(self) -> str:
        bad = [row for row in self.rows if not row.ok]
        tolerance = max(row.tolerance for row in self.rows)
        if not bad:
            return (
                f"All {len(self.rows)} tensors agree: relative difference at most {tolerance:.0e}."
            )
        return f"{len(bad)} of {len(self.rows)} tensors differ by more than {tolerance:.0e}."


def compare(module: Module, *inputs: Any, seed: int = 0) -> Parity:
    """Run `module` and its twin on the same inputs; compare every output and every gradient.

    inputs: what `module` takes, in its dtype, float32 or float64: x and, of cells and layers, the
        initial state (zeros if it is not given); of a loss, prediction and target.
    seed: of the random gradients that the answers get, the same on both sides.

    The gradients are those of x, the initial state and the parameters; of a loss, that of the
    prediction. `module` and the gradients that it has stay as they are.

    Raises what `module` raises for inputs that it does not take, TypeError for a module that has no
    twin, and ValueError for another dtype and where dropout draws masks, which differ.
    """
    if not isinstance(module, Module):
        raise TypeError(
            f"module: expected a module of scratch, which from_torch makes of torch's, got "
            f"{type(module).__name__}"
        )
    _check_dropout(module)
    theirs, ours = twin(module), copy.deepcopy(module)
    ours.zero_grad()
    answer_names, input_names = _names(ours)

    answers = ours(*inputs)
    dtype = np.asarray(_flat(answers)[0]).dtype
    if dtype not in TOLERANCE:
        raise ValueError(f"compare: expected inputs in float32 or float64, got {dtype}")
    rng = np.random.default_rng(seed)
    upstream = _map(lambda a: np.asarray(rng.standard_normal(np.shape(a)), dtype), answers)

    record = ours.forward(*inputs)
    several = isinstance(ours, Recurrent)  # output and last state: one gradient for each
    grad_inputs = ours.backward(record, *(upstream if several else [upstream]))
    grads = dict(zip(input_names, _flat(grad_inputs), strict=True))
    grads |= {name: parameter.grad for name, parameter in ours.named_parameters()}

    if hasattr(ours, "states") and (len(inputs) == 1 or inputs[1] is None):
        # Zeros that are given have a gradient in torch, too.
        inputs = inputs[0], _map(np.zeros_like, answers[1] if several else answers)
    their_inputs = _tensors(inputs)
    leaves = dict(zip(input_names, _flat(their_inputs), strict=False))  # a target has no gradient
    for leaf in leaves.values():
        leaf.requires_grad_()
    their_answers = _flat(theirs(*their_inputs))
    leaves |= dict(theirs.named_parameters())
    their_grads = torch.autograd.grad(
        their_answers, list(leaves.values()), _flat(_tensors(upstream))
    )
    return Parity(
        f"{type(module).__name__}, {dtype}",
        (
            *rows("output", zip(answer_names, _flat(answers), their_answers, strict=True)),
            *rows("gradient", zip(leaves, map(grads.get, leaves), their_grads, strict=True)),
        ),
    )


# What goes in and what comes out


def _names(module: Module) -> tuple[list[str], list[str]]:
    """The names of the answers, and those of the inputs that get a gradient, x first."""
    if isinstance(module, Recurrent):
        states = module.states
        return ["output", *(f"{s}_n" for s in states)], ["x", *(f"{s}_0" for s in states)]
    if isinstance(module, Cell):
        return list(module.states), ["x", *(f"{s}_prev" for s in module.states)]
    if isinstance(module, MSELoss | CrossEntropyLoss):
        return ["loss"], ["prediction"]
    return ["output"], ["x"]


def _flat(value: Any) -> list[Any]:
    """The arrays or tensors in nested tuples; of a packed sequence, its data."""
    if isinstance(value, PackedSequence | torch.nn.utils.rnn.PackedSequence):
        return [value.data]
    if isinstance(value, tuple):
        return [array for entry in value for array in _flat(entry)]
    return [value]


def _map(function: Callable[[Array], Array], value: Any) -> Any:
    """`value` with `function` applied to every array in it."""
    if isinstance(value, PackedSequence):
        return value._replace(data=function(value.data))
    if isinstance(value, tuple):
        return tuple(_map(function, entry) for entry in value)
    return function(value)


def _tensors(value: Any) -> Any:
    """`value` with every array in it as a tensor."""
    if isinstance(value, PackedSequence):
        return torch.nn.utils.rnn.PackedSequence(*(_tensors(field) for field in tuple(value)))
    if isinstance(value, tuple | list):
        return tuple(_tensors(entry) for entry in value)
    return None if value is None else to_torch(value)


def _check_dropout(module: Module) -> None:
    for name, part in module.named_modules():
        if not isinstance(part, Recurrent) or not part.training:
            continue
        if part.num_layers > 1 and 0 < part.dropout < 1:
            raise ValueError(
                f"{name or type(module).__name__}: dropout={part.dropout} in training mode draws "
                f"other masks on either side: compare after .eval(), where nothing is dropped, or "
                f"with dropout=0"
            )


# What comes out, in numbers


def rows(kind: Kind, tensors: Iterable[tuple[str, Any, torch.Tensor]]) -> Iterator[Row]:
    """A row for each name with the array of scratch, or None, and the tensor of torch."""
    for name, ours, theirs in tensors:
        yield _row(kind, name, ours, to_numpy(theirs))


def _row(kind: Kind, name: str, ours: Any, theirs: Array) -> Row:
    """`ours` is an array, a NumPy scalar, or None for a gradient that is not there."""
    tolerance = TOLERANCE[theirs.dtype]
    problem = _problem(ours, theirs)
    if problem:
        nan = math.nan
        return Row(kind, name, theirs.shape, nan, math.inf, (), nan, nan, tolerance, problem)
    a, b = np.asarray(ours), theirs
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        difference = np.array(np.abs(a - b))
    difference[(a == b) | (np.isnan(a) & np.isnan(b))] = 0  # infinite or NaN on both sides
    difference[np.isnan(difference)] = math.inf
    if not b.size:
        return Row(kind, name, b.shape, 0.0, 0.0, (), math.nan, math.nan, tolerance)
    index = tuple(int(i) for i in np.unravel_index(difference.argmax(), b.shape))
    largest = float(difference[index])
    scale = float(np.abs(b[np.isfinite(b)]).max(initial=0))
    relative = largest / scale if scale else (math.inf if largest else 0.0)
    values = float(a[index]), float(b[index])
    return Row(kind, name, b.shape, largest, relative, index, *values, tolerance)


def _problem(ours: Any, theirs: Array) -> str:
    if ours is None:
        return "no gradient"
    if np.shape(ours) != theirs.shape:
        return f"shape {np.shape(ours)}"
    if np.asarray(ours).dtype != theirs.dtype:
        return f"dtype {np.asarray(ours).dtype}"
    return ""
