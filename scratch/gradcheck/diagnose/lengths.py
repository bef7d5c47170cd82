"""Whether a backward pass is right for one time step and wrong from two on.

For recurrent modules whose equations are not known here, such as several layers at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import judges
from ..report import Finding, error
from ..subject import ModuleRaised, NotCheckable, Subject


def by_length(subject: Subject) -> list[Finding]:
    """A finding if one step is right and two are wrong, along some axis of the first input."""
    x = subject.inputs[0]
    if not isinstance(x, np.ndarray) or subject.is_cell:
        return []
    for axis in range(min(2, x.ndim - 1)):
        output = subject.answer_leaves[0]
        if output.ndim <= axis or not 1 < x.shape[axis] == output.shape[axis]:
            continue
        errors = [_error(subject, x.take(range(T), axis)) for T in (1, 2)]
        if None not in errors and errors[0] <= 1e-9 < errors[1]:  # type: ignore[operator]
            return [
                Finding(
                    "missing carry",
                    f"something is not carried back from step to step (axis {axis} of the input)",
                    f"largest relative error {errors[0]:.0e} for one step, {errors[1]:.2g} for two",
                    "what one step of the backward loop hands to the step before it: the gradients "
                    "of all states",
                )
            ]
    return []


def _error(subject: Subject, x: Any) -> float | None:
    """The largest relative error for another first input; None if it cannot be checked."""
    try:
        other = Subject(subject.original, (x, *subject.inputs[1:]), 1)
        truth, _ = judges.verdict(other)
        claims = other.claims().grads
    except (NotCheckable, ModuleRaised):
        return None
    true = {name: truth.gradient(name) for name in other.values if name not in truth.directions}
    if any(claims[name] is None or claims[name].shape != true[name].shape for name in true):
        return None
    return max((error(claims[name], true[name]) for name in true), default=0.0)
