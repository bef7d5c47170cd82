"""What a factor is: −1, 2, ½, or a size of the problem such as the batch size.

Two readings of one number, such as 2 and a batch of two, are told apart by running the module on
inputs of another size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .. import judges, structure
from ..subject import ModuleRaised, NotCheckable, Subject
from .anatomy import Anatomy
from .causes import Cause
from .mistakes import Mistake
from .worlds import Simulation

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
    else:
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
    subject: Subject,
    anatomy: Anatomy | None,
    elsewhere: Elsewhere,
) -> Cause:
    """The cause with the factor's meaning, where it has one."""
    assert cause.factor is not None
    leaves = dict(zip(subject.input_names, structure.leaves(subject.inputs), strict=False))
    axes = None
    if anatomy is not None:
        axes = {name: anatomy.axes[role] for role, name in anatomy.names.items()}
    words = readings(cause.factor, sizes(leaves, axes))
    if not words:
        return cause
    tested = ""
    if words != ["−1"]:
        again = factor_elsewhere(tensor, mistakes, subject, elsewhere)
        if again is not None:
            factor, other = again
            kept = [word for word in words if word in readings(factor, sizes(other, axes))]
            if kept:
                tested = f"; on inputs of other sizes it is {factor:.6g}"
                words = kept
            else:
                return replace(cause, cause=f"{cause.cause}; on inputs of other sizes it is "
                               f"{factor:.6g}")  # fmt: skip
    meaning = MEANING.get(words[0], "a mean where a sum belongs, or the other way"
                          if "size" in words[0] or "number" in words[0] or "N·T" in words[0]
                          else "")  # fmt: skip
    text = f"{cause.cause}: {' or '.join(words)}{f' ({meaning})' if meaning else ''}{tested}"
    return replace(cause, name=f"factor {words[0]}", cause=text)


def factor_elsewhere(
    tensor: str, mistakes: tuple[Mistake, ...], subject: Subject, elsewhere: Elsewhere
) -> tuple[float, dict[str, Any]] | None:
    """The factor of a tensor's gradient on inputs of other sizes, and these inputs."""
    fresh = elsewhere()
    if fresh is not None:
        simulation, claimed = fresh
        true, inputs = simulation.world(*mistakes).grads[tensor], simulation.inputs
        mine = claimed[tensor]
    else:
        try:
            other = Subject(subject.original, fewer(subject.inputs), 1)
            truth, _ = judges.verdict(other)
            claims = other.claims().grads
        except (NotCheckable, ModuleRaised):
            return None
        if tensor not in truth.shapes or tensor in truth.directions:
            return None
        true, mine, inputs = truth.gradient(tensor), claims[tensor], other.inputs
    if mine is None or np.shape(mine) != true.shape or not np.any(true):
        return None
    factor = float((mine * true).sum() / (true * true).sum())
    leaves = dict(zip(subject.input_names, structure.leaves(inputs), strict=False))
    return factor, leaves


def fewer(inputs: Any) -> Any:
    """The inputs with one entry less along the first axis, where they share it and it is longer."""
    first = next((value for value in inputs if isinstance(value, np.ndarray)), None)
    if first is None:
        return inputs
    keep = tuple(slice(0, n - 1) if n > 2 else slice(None) for n in first.shape[:1])
    return tuple(value[keep] if isinstance(value, np.ndarray) and value.shape[:1] == first.shape[:1]
                 else value for value in inputs)  # fmt: skip
