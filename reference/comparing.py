"""compare: a module and its twin, or any two modules, run on the same inputs."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from scratch.machinery.module import Array, Module, describe
from scratch.machinery.nests import flatten
from scratch.recurrent import Recurrent

from . import apart
from .own_weights import in_float64, weight_names, weights_of, with_returned
from .parity import TOLERANCE, Kind, Parity, inaccurate_side, row_of
from .sides import Mine, Theirs, as_numpy, map_arrays
from .twin import from_torch, nearest_twin, to_numpy


@torch.inference_mode(False)  # gradients are compared, also where the caller has them switched off
@torch.enable_grad()
def compare(module: Any, *inputs: Any, seed: int = 0) -> Parity:
    """Run two modules on the same inputs; compare every output and every gradient.

    compare(module, *inputs): a module of scratch, or a class derived from one, beside the torch
        module with its weights; or a torch module, which is itself run, beside scratch's.
    compare(mine, theirs, *inputs): any module of scratch or object with forward and backward beside
        a torch module that is itself run. Where the answers differ, `.notes` of the result say how
        the weights would have to be read for them to be equal, or where the two part.

    inputs: what the modules take: x and, of cells and layers, the initial state (zeros if it is not
        given); of a loss, prediction and target. Arrays, or tensors. In the dtype of the module,
        float32 or float64; of two modules in different dtypes, the torch one gets its own.
    seed: of the random gradients that the answers get, the same on both sides.

    The gradients are those of x, the initial state and the parameters; of a loss, that of the
    prediction. The modules and the gradients that they have stay as they are.

    Raises what the modules raise for inputs that they do not take, TypeError for a module that has
    no twin, and ValueError for another dtype and where dropout draws masks, which differ.
    """
    mine, theirs, inputs = _sides(module, inputs)
    pair = mine is not None and theirs is not None
    if not inputs:
        raise TypeError("compare: expected the inputs behind the modules, got none")
    inputs = tuple(as_numpy(value) for value in inputs)
    if mine is None:
        mine = from_torch(theirs)
    if isinstance(mine, Module):
        _check_dropout(mine)
    if theirs is None:
        theirs = nearest_twin(mine)
    tensors, notes = _tensors(mine, theirs, inputs, seed, pair)
    title = type(mine).__name__
    if pair:
        title += f" beside {type(theirs).__module__.partition('.')[0]}'s {type(theirs).__name__}"
    found = tuple(row_of(*tensor, lenient=pair) for tensor in tensors)
    dtype = np.asarray(tensors[0][3]).dtype
    names = ("mine", "torch") if pair else ("scratch", "torch")
    parity = Parity(f"{title}, {dtype}", found, tuple(notes), names)
    if parity.ok:
        return parity
    more = list(_shared(theirs))
    rounding = False
    if dtype == np.float32:
        said, rounding = _in_float64(mine, theirs, inputs, seed, pair, tensors)
        more += said
    if pair and not rounding and not all(row.ok for row in found if row.kind == "output"):
        more += apart.explain(mine, theirs, inputs)
    return replace(parity, notes=(*parity.notes, *more))


def _shared(module: torch.nn.Module) -> Iterator[str]:
    """What is said of parameters that are one: scratch has two, each with its own gradient."""
    first: dict[torch.nn.Parameter, str] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if first.setdefault(parameter, name) != name:
            one = f"{first[parameter]} and {name} are one parameter"
            yield f"In the torch module {one}, whose gradient is the sum of what both get."


def _sides(module: Any, inputs: tuple[Any, ...]) -> tuple[Any, Any, tuple[Any, ...]]:
    """Mine, theirs (one of them None: to be made of the other) and the inputs."""
    second = inputs[0] if inputs else None
    if isinstance(second, torch.nn.Module) or _is_object(second):
        mine, theirs = module, second
        if isinstance(module, torch.nn.Module):
            mine, theirs = second, module
        if isinstance(mine, torch.nn.Module):
            raise TypeError("compare: expected a module of yours or of scratch, got two of torch")
        if not isinstance(theirs, torch.nn.Module):
            raise TypeError("compare: expected one torch.nn.Module, got two modules without torch")
        if not _is_object(mine):
            raise TypeError(
                f"mine: expected an object with forward and backward, got {describe(mine)}"
            )
        return mine, theirs, inputs[1:]
    if isinstance(module, torch.nn.Module):
        return None, module, inputs
    if isinstance(module, Module):
        return module, None, inputs
    if _is_object(module):
        raise TypeError(
            f"theirs: expected a torch module to hold {type(module).__name__} against, as in "
            f"compare(mine, torch_module, x)"
        )
    raise TypeError(
        f"module: expected a module of scratch or torch, or an object with forward and backward, "
        f"got {describe(module)}"
    )


def _is_object(value: Any) -> bool:
    """Whether it has forward and backward, and is an instance."""
    methods = callable(getattr(value, "forward", None)), callable(getattr(value, "backward", None))
    return all(methods) and not isinstance(value, type | torch.Tensor | np.ndarray)


# Kind, name, mine and theirs
Tensors = list[tuple[Kind, str, Any, Array]]


def _tensors(
    mine: Any, theirs: torch.nn.Module, inputs: tuple[Any, ...], seed: int, pair: bool
) -> tuple[Tensors, list[str]]:
    """Every output and gradient of both sides, and what cannot be compared."""
    mine = copy.deepcopy(mine)
    if not pair:  # refuses in scratch's own words
        _check_dtype(mine(*inputs))
    their = Theirs(theirs, inputs)
    _check_dtype(as_numpy(their.answers))
    if their.takes_state and (len(inputs) == 1 or inputs[1] is None):
        inputs = inputs[0], as_numpy(map_arrays(lambda t: t.detach(), their.inputs[1]))
        inputs = map_arrays(lambda a: a.astype(_dtype(inputs[0])), inputs)
    names = weight_names(mine)  # a pass may leave other arrays in the object
    our = Mine(mine, inputs, [np.empty(t.shape) for t in flatten(their.answers)] if pair else None)
    answers = flatten(our.answers)
    rng = np.random.default_rng(seed)
    upstream = map_arrays(
        lambda a: np.asarray(rng.standard_normal(np.shape(a)), np.asarray(a).dtype), our.answers
    )
    grads, used = our.gradients(upstream)
    expected = flatten(their.answers)
    shown = [
        g.reshape(e.shape) if g.size == e.numel() else np.zeros(tuple(e.shape), g.dtype)
        for g, e in zip(flatten(upstream)[:used], expected, strict=False)
    ]
    their_grads = their.gradients(shown)
    outputs: Tensors = [
        ("output", name, a, to_numpy(e))
        for name, a, e in zip(their.answer_names, answers, expected, strict=False)
    ]
    count = len([n for n in flatten(our.inputs) if n is not None])
    input_names = [n for n in their.input_names[:count] if n in their_grads]
    ours = dict(zip(input_names, grads, strict=False))
    rows: Tensors = [("gradient", n, ours.get(n), their_grads[n]) for n in input_names]
    weights = {name: entry for name, entry in weights_of(mine).items() if name in names}
    weights = with_returned(weights, grads[len(input_names) :])
    parameters = list(their.parameters)
    if not pair:
        rows += [
            ("gradient", n, weights[n][1], their_grads[n]) for n in parameters if n in their_grads
        ]
        frozen = [n for n in parameters if n not in their_grads]
        notes = [f"Not compared, as requires_grad is False: {', '.join(frozen)}."] if frozen else []
        return outputs + rows, notes
    matched, notes = apart.match(weights, their, their_grads)
    notes = _left_out(their, answers) + notes
    return outputs + rows + [("gradient", *entry) for entry in matched], notes


def _left_out(their: Theirs, answers: list[Any]) -> list[str]:
    notes = []
    more = their.answer_names[len(answers) :]
    if more:
        notes.append(f"Not compared, as mine does not answer with it: {', '.join(more)}.")
    dtypes = {str(np.asarray(answers[0]).dtype), str(to_numpy(flatten(their.answers)[0]).dtype)}
    if len(dtypes) > 1:
        notes.append(
            f"The two compute in {' and '.join(sorted(dtypes))}: only the digits of float32 can "
            f"agree. torch_module.double() gives all of them."
        )
    return notes


def _dtype(value: Any) -> np.dtype[Any]:
    return np.asarray(flatten(value)[0]).dtype


def _check_dtype(answers: Any) -> None:
    if _dtype(answers) not in TOLERANCE:
        raise ValueError(f"compare: expected inputs in float32 or float64, got {_dtype(answers)}")


def _in_float64(
    mine: Any,
    theirs: torch.nn.Module,
    inputs: tuple[Any, ...],
    seed: int,
    pair: bool,
    tensors: Tensors,
) -> tuple[list[str], bool]:
    """The same in float64: which side rounds more, and whether it is rounding alone."""
    try:
        mine, theirs = in_float64(mine), in_float64(theirs)
        inputs = map_arrays(
            lambda a: a.astype(np.float64) if np.asarray(a).dtype.kind == "f" else a, inputs
        )
        exact, _ = _tensors(mine, theirs, inputs, seed, pair)
    except Exception as error:  # what a person's own class may do in another dtype
        return [f"In float64 the two cannot be run: {type(error).__name__}: {error}"], False
    found = [row_of(*tensor, lenient=pair) for tensor in exact]
    bad = [row for row in found if not row.ok]
    largest = max(row.relative for row in found)
    if bad:
        return [
            f"In float64, {len(bad)} of {len(found)} differ as well, by up to {largest:.1e}: it is "
            f"not rounding alone."
        ], False
    errors = [
        max(_error(tensor[side], e[3]) for tensor, e in zip(tensors, exact, strict=True))
        for side in (2, 3)
    ]
    name = "mine" if pair else "scratch"
    return [
        f"In float64, all {len(found)} agree to {largest:.1e}: the difference is rounding.",
        f"From the numbers in float64, {name} is up to {errors[0]:.1e} apart and torch up to "
        f"{errors[1]:.1e}, {inaccurate_side(errors[0], errors[1], name)}.",
    ], True


def _error(a: Any, exact: Array) -> float:
    if a is None or np.shape(a) != exact.shape:
        return math.inf
    with np.errstate(all="ignore"):
        return float(np.abs(a - exact).max(initial=0) / np.abs(exact).max(initial=0))


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
