"""What the module does on inputs of other sizes.

Two readings of one factor, such as 2 and a batch of two, are told apart there, and a backward pass
that is right for one time step and wrong from two on does not carry something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...machinery import nests
from .. import judges
from ..code_under_test import CodeUnderTest, ModuleRaised, NotCheckable
from ..report import Finding, error
from .causes import Cause
from .mistakes import Mistake
from .predictions import Simulation
from .recognize import Recognized

# The module simulated on inputs of other sizes, and what it claims there; None where it cannot be.
Elsewhere = Callable[[], tuple[Simulation, dict[str, Any]] | None]

NEAR = 1e-7


def sizes(leaves: dict[str, Any], axes: dict[str, str] | None) -> dict[str, float]:
    """The sizes of the inputs by their words."""
    found: dict[str, float] = {}
    words = {"n": "the batch size N", "t": "the number of steps T", "h": "the hidden size H",
             "d": "the input size D"}  # fmt: skip
    if axes is not None:
        for name, role in axes.items():
            sizes_of = zip(role, leaves[name].shape, strict=True)
            found |= {words[axis]: n for axis, n in sizes_of if axis in words}
        if len(found) > 1 and words["n"] in found and words["t"] in found:
            found["N·T"] = found[words["n"]] * found[words["t"]]
    elif leaves:
        name, leaf = next(iter(leaves.items()))
        found |= {f"the size of {name} along axis {k}": n for k, n in enumerate(leaf.shape)}
        found[f"the number of entries of {name}"] = leaf.size
    return found


def readings(factor: float, found: dict[str, float]) -> list[str]:
    """The words that fit a factor."""
    fits = []
    for sign, minus in ((1, ""), (-1, "−")):
        for word, n in {"2": 2, **found}.items():
            if abs(factor - sign * n) < NEAR * n and n > 1:
                fits.append(f"{minus}{word}")
            if abs(factor * n - sign) < NEAR and n > 1:
                fits.append(f"{minus}1/{'2' if word == '2' else word}")
    if abs(factor + 1) < NEAR:
        return ["−1"]
    return fits


def simple(factor: float) -> bool:
    """Whether it is a whole number or one over a whole number."""
    return any(abs(n - round(n)) < NEAR * abs(n) and round(n) for n in (factor, 1 / factor))


MEANING = {
    "−1": "the sign is wrong",
    "2": "counted twice",
    "1/2": "half of it is missing, or a derivative's factor 2",
}


def name_factor(
    cause: Cause,
    tensor: str,
    mistakes: tuple[Mistake, ...],
    code: CodeUnderTest,
    known: Recognized | None,
    elsewhere: Elsewhere,
) -> Cause:
    """The cause with the factor's meaning, where it has one."""
    assert cause.factor is not None
    leaves = dict(zip(code.input_names, nests.float_arrays(code.inputs), strict=False))
    axes = None
    if known is not None:
        axes = {name: known.axes[role] for role, name in known.names.items()}
    words = readings(cause.factor, sizes(leaves, axes))
    if not words:
        return cause
    tested = ""
    again = None if words == ["−1"] else factor_elsewhere(tensor, mistakes, code, elsewhere)
    if again is not None:
        factor, other = again
        tested = f"; on inputs of other sizes it is {factor:.6g}"
        words = [word for word in words if word in readings(factor, sizes(other, axes))]
        if not words:
            return replace(cause, cause=f"{cause.cause}{tested}")
    meaning = MEANING.get(words[0], "a mean where a sum belongs, or the other way"
                          if "size" in words[0] or "number" in words[0] or "N·T" in words[0]
                          else "")  # fmt: skip
    text = f"{cause.cause}: {' or '.join(words)}{f' ({meaning})' if meaning else ''}{tested}"
    return replace(cause, name=f"factor {words[0]}", cause=text)


def factor_elsewhere(
    tensor: str, mistakes: tuple[Mistake, ...], code: CodeUnderTest, elsewhere: Elsewhere
) -> tuple[float, dict[str, Any]] | None:
    """The factor of a tensor's gradient on inputs of other sizes, and these inputs."""
    fresh = elsewhere()
    if fresh is not None:
        simulation, claims = fresh
        true, inputs = simulation.prediction(*mistakes).grads[tensor], simulation.inputs
    else:
        inputs = fewer(code.inputs)
        judged = _judged(code, inputs)
        if judged is None or tensor not in judged[0]:
            return None
        true, claims = judged[0][tensor], judged[1]
    mine = claims[tensor]
    if mine is None or np.shape(mine) != true.shape or not np.any(true):
        return None
    leaves = dict(zip(code.input_names, nests.float_arrays(inputs), strict=False))
    return float((mine * true).sum() / (true * true).sum()), leaves


def fewer(inputs: Any) -> Any:
    """The inputs with one entry less along the first axis, where they share it and it is longer."""
    first = next((np.shape(value)[:1] for value in inputs if isinstance(value, np.ndarray)), ())
    last = first[0] - 1 if first and first[0] > 2 else None
    return tuple(value[:last] if first and np.shape(value)[:1] == first else value
                 for value in inputs)  # fmt: skip


def by_length(code: CodeUnderTest) -> list[Finding]:
    """A finding if one step is right and two are wrong, along some axis of the first input."""
    if not code.inputs or not isinstance(code.inputs[0], np.ndarray) or code.is_cell:
        return []
    x, output = code.inputs[0], code.answer_leaves[0]
    for axis in range(min(2, x.ndim - 1, output.ndim)):
        if not 1 < x.shape[axis] == output.shape[axis]:
            continue
        judged = [_judged(code, (x.take(range(T), axis), *code.inputs[1:])) for T in (1, 2)]
        one, two = (np.inf if pair is None else worst(pair[1], pair[0]) for pair in judged)
        if one <= 1e-9 < two < np.inf:
            return [Finding(
                "wrong carry",
                f"what a step hands back to the step before it is missing or wrong (along axis "
                f"{axis} of the input)",
                f"largest relative error {one:.0e} for one step, {two:.2g} for two",
                "what one step of the backward loop hands to the step before it: the gradients of "
                "all states",
            )]  # fmt: skip
    return []


def worst(claimed: dict[str, Any], true: dict[str, Any]) -> float:
    """The largest relative error; infinite where something is missing or has another shape."""
    wrong = [n for n in true if claimed[n] is None or claimed[n].shape != true[n].shape]
    return np.inf if wrong else max((error(claimed[n], true[n]) for n in true), default=0.0)


def _judged(
    code: CodeUnderTest, inputs: tuple[Any, ...]
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The true and the claimed gradients for other inputs; None if they cannot be checked."""
    try:
        other = CodeUnderTest(code.original, inputs, 1)
        truth, _ = judges.verdict(other)
        claims = other.claims()
    except (NotCheckable, ModuleRaised):
        return None
    return {n: truth.gradient(n) for n in other.values if n not in truth.directions}, claims
