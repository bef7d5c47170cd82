"""How one claimed gradient can come from one predicted gradient: each way is tried, none assumed.

Every function here takes what was claimed and what was predicted, and answers with a `Cause` only
if the numbers agree.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...machinery.module import Array
from ..report import error
from .predictions import Prediction


@dataclass(frozen=True)
class Cause:
    """A way from the predicted to the claimed gradient, and how far it is off.

    `cause` has a place for the names of the gradients: "the gradient of {} is zero".
    """

    name: str
    cause: str
    look: str
    error: float
    factor: float | None = None


RIGHT = "right"


@dataclass(frozen=True)
class Context:
    """What is known besides the two arrays."""

    tolerance: float  # relative to the predicted gradient's largest number
    floor: float
    gates: dict[str, Array]  # for each parameter with gates: each entry's gate
    gate_names: tuple[str, ...]


def fits(claimed: Array, predicted: Array, context: Context) -> bool:
    scale = float(np.abs(predicted).max(initial=0))
    gap = np.abs(claimed - predicted).max(initial=0)
    return bool(gap <= context.tolerance * scale + context.floor)


def explain(name: str, claimed: Any, prediction: Prediction, context: Context) -> Cause | None:
    """The simplest way from the predicted gradient to `claimed`; None if there is none."""
    wanted = prediction.grads[name]
    if claimed is None:
        return Cause("gradient missing", "nothing came for the gradient of {}: it is None",
                     "the end of backward: every input's gradient is returned, every parameter's "
                     "added to .grad", 0.0)  # fmt: skip
    if claimed.shape != wanted.shape:
        return _shape(claimed, wanted, context)
    if not np.isfinite(claimed).all():
        return Cause("not finite", "the gradient of {} has infinite or NaN entries",
                     "a division by zero, a logarithm or root of a number that is not positive, an "
                     "exp that overflows, or memory that was never filled (np.empty)",
                     0.0)  # fmt: skip
    if fits(claimed, wanted, context):
        return Cause(RIGHT, "", "", error(claimed, wanted))
    if not np.any(claimed):
        return Cause("gradient zero", "the gradient of {} is zero throughout",
                     "the line that computes it, and the one that returns it or adds it to .grad",
                     0.0)  # fmt: skip
    return (
        _single(claimed, wanted)
        or _factor(claimed, wanted, context)
        or _first(claimed, _turned(wanted), "the line that stores or returns it", context)
        or _first(claimed, _steps(name, prediction), "the loop over time: a parameter that is used "
                  "at every step gets the sum (+=)", context)
        or _first(claimed, _samples(name, prediction), "the sum over the batch", context)
        or _first(claimed, _another(name, prediction, context), "the line that stores it", context)
        or _gates(name, claimed, wanted, context)
        or _clipped(claimed, wanted, context)
    )  # fmt: skip


# What a gradient may be instead: a name, the words, and the array that it then is
Options = Iterator[tuple[str, str, Array]]


def _first(claimed: Array, options: Options, look: str, context: Context) -> Cause | None:
    """The first of the options that is what was claimed."""
    for name, words, array in options:
        if array.shape == claimed.shape and fits(claimed, array, context):
            return Cause(name, words, look, error(claimed, array))
    return None


def _shape(claimed: Array, wanted: Array, context: Context) -> Cause | None:
    came = f"the gradient of {{}} has shape {claimed.shape}, expected {wanted.shape}"
    if claimed.dtype.kind not in "fiu":
        return Cause("wrong shape", f"{came}, and holds {claimed.dtype}", "", 0.0)
    if claimed.shape == wanted.T.shape and fits(claimed.T, wanted, context):
        return Cause(
            "transposed",
            f"{came}: it is transposed",
            "the outer product of grad_z and the input: its rows are those of the parameter",
            error(claimed.T, wanted),
        )
    if claimed.size == wanted.size and fits(claimed.reshape(wanted.shape), wanted, context):
        return Cause("wrong shape", f"{came}; the numbers are right",
                     "where the gradient is stored: reshape it", 0.0)  # fmt: skip
    for axes in itertools.permutations(range(claimed.ndim)):
        turned = claimed.transpose(axes)
        if turned.shape == wanted.shape and fits(turned, wanted, context):
            return Cause(
                "wrong shape",
                f"{came}: its axes are in another order, {axes} gives the right one",
                "where the gradient is stored or returned: its axes are those of the tensor",
                error(turned, wanted),
            )
    for count in range(1, claimed.ndim + 1):
        for axes in itertools.combinations(range(claimed.ndim), count):
            total = claimed.sum(axis=axes)
            if total.size == wanted.size and fits(total.reshape(wanted.shape), wanted, context):
                return Cause(
                    "wrong shape",
                    f"{came}: it is not summed over axis {', '.join(map(str, axes))}",
                    "where the gradient is stored: a parameter that is used for every sample and "
                    "step gets the sum",
                    error(total.reshape(wanted.shape), wanted),
                )
    return None


def _single(claimed: Array, wanted: Array) -> Cause | None:
    rounded = claimed.astype(np.float32).astype(claimed.dtype)
    off = error(claimed, wanted)
    if off > 1e-5 or not np.array_equal(rounded, claimed):
        return None
    return Cause(
        "float32 inside",
        "the gradient of {} is rounded to float32, though the module computes in float64",
        "arrays that backward makes with dtype float32: take the dtype of the input",
        off,
    )


def _factor(claimed: Array, wanted: Array, context: Context) -> Cause | None:
    c = float((claimed * wanted).sum() / max(float((wanted * wanted).sum()), 1e-300))
    nothing = np.abs(wanted).max(initial=0) <= context.floor  # a factor of what is rounding
    if wanted.size < 2 or c == 0 or nothing or not fits(claimed / c, wanted, context):
        return None
    number = f"{c:.6g}" if abs(c - 1) > 1e-5 else f"1 {'−' if c < 1 else '+'} {abs(c - 1):.2g}"
    words = f"the gradient of {{}} is {number} times what it should be"
    look = "the factors in its line, and whether it is summed and scaled once"
    return Cause(f"factor {number}", words, look, error(claimed / c, wanted), c)


def _turned(wanted: Array) -> Options:
    """Transposed, reshaped, reversed or shifted along an axis."""
    is_ = "the gradient of {} is"
    yield "transposed", f"{is_} transposed", wanted.T if wanted.ndim == 2 else np.empty(0)
    for axes in itertools.permutations(range(wanted.ndim)):
        turned = wanted.transpose(axes).reshape(wanted.shape)
        yield "reshaped", f"{is_} reshaped where it should be transposed", turned
    for axis, size in enumerate(wanted.shape):
        if size > 1:
            yield "reversed", f"{is_} reversed along axis {axis}", np.flip(wanted, axis)
            for by in (1, -1):
                emptied = np.roll(wanted, by, axis)
                yield "shifted", f"{is_} shifted by {by} along axis {axis}", emptied.copy()
                emptied.swapaxes(0, axis)[0 if by == 1 else -1] = 0
                yield "shifted", f"{is_} shifted by {by} along axis {axis}", emptied


def _steps(name: str, prediction: Prediction) -> Options:
    """Steps that are missing from the sum over time."""
    if prediction.steps is None or name not in prediction.steps.names:
        return
    steps = prediction.steps[name]
    if len(steps) > 1:
        holds, total = "the gradient of {} holds", steps.sum(axis=0)
        yield ("assigned instead of added", f"{holds} only step 0's part, the last one computed: "
               "each step overwrites the sum of the steps before it", steps[0])  # fmt: skip
        yield "only the last step", f"{holds} only the last step's part", steps[-1]
        yield "step 0 missing", f"{holds} the sum over all steps but step 0", total - steps[0]
        words = f"{holds} the sum over all steps but the last one"
        yield "last step missing", words, total - steps[-1]


def _samples(name: str, prediction: Prediction) -> Options:
    """One sample's part in place of the sum over the batch."""
    if prediction.samples is not None and name in prediction.samples.names:
        samples = prediction.samples[name]
        for k, sample in enumerate(samples if len(samples) > 1 else ()):
            words = f"the gradient of {{}} holds only sample {k}'s part"
            yield "not summed over the batch", words, sample


def _another(name: str, prediction: Prediction, context: Context) -> Options:
    """The gradient of another tensor."""
    for other in prediction.grads.names:
        if other != name:
            gates = [context.gates[n] for n in (name, other) if n in context.gates]
            what = f"gradient of {other}"
            if len(gates) == 2 and not any(map(np.ptp, gates)):
                mine, theirs = (context.gate_names[int(gate.flat[0])] for gate in gates)
                if mine != theirs:
                    what = f"gate {theirs}'s gradient used for gate {mine}"
            words = f"{{}} got the gradient of {other} ({what})"
            yield what, words, prediction.grads[other]


def _gates(name: str, claimed: Array, wanted: Array, context: Context) -> Cause | None:
    """Each gate's rows are another gate's, or those of the same gate times a factor."""
    if name not in context.gates or np.ptp(context.gates[name]) == 0:
        return None
    gates, names = context.gates[name], context.gate_names
    floor = context.floor + context.tolerance * float(np.abs(wanted).max())
    inner = Context(context.tolerance, floor, {}, ())
    sources, words, rebuilt = [], [], np.empty_like(wanted)
    for k, gate in enumerate(names):
        mine, right = claimed[gates == k], wanted[gates == k]
        c = float((mine * right).sum() / max(float((right * right).sum()), 1e-300))
        side = round(np.sqrt(right.size))
        options = [(j, "", wanted[gates == j]) for j in (k, *range(len(names)))]
        if right.size > 1:
            words_of_factor = f"factor {c:.4g} on gate {gate}" if c else f"gate {gate} is zero"
            options.append((k, words_of_factor, c * right))
        if side * side == right.size:
            turned = right.reshape(side, side).T.reshape(-1)
            options.append((k, f"gate {gate} is transposed", turned))
        found = next((option for option in options if fits(mine, option[2], inner)), None)
        if found is None:
            return None
        sources.append(found[0])
        words += [found[1]] if found[1] else []
        rebuilt[gates == k] = found[2]
    off = error(claimed, rebuilt)
    if sorted(sources) == list(range(len(names))) and sources != sorted(sources):
        order = ", ".join(names[j] for j in sources)
        return None if words else Cause(
            "gates in another order",
            f"the rows of the gradient of {{}} are in the order {order} where the parameter has "
            f"{', '.join(names)}",
            "where the gates' gradients are put side by side",
            off,
        )  # fmt: skip
    words += [f"gate {names[j]}'s gradient used for gate {names[k]}"
              for k, j in enumerate(sources) if j != k]  # fmt: skip
    said = "; ".join(words)
    return Cause(
        said,
        f"in the gradient of {{}}: {said}; the other gates are right",
        "the lines that put together this gradient, gate by gate",
        off,
    )


def _clipped(claimed: Array, wanted: Array, context: Context) -> Cause | None:
    limit = float(np.abs(claimed).max())
    at_limit = int((np.abs(claimed) >= limit * (1 - 1e-12)).sum())
    clipped = np.clip(wanted, -limit, limit)
    if (at_limit < 2 and claimed.size > 1) or not fits(claimed, clipped, context):
        return None
    return Cause(
        "clipping",
        f"the gradient of {{}} is clipped to ±{limit:.6g}",
        "np.clip in backward: clip after it, in the training loop",
        error(claimed, clipped),
    )
