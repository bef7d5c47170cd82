"""What the gradients would be if a cause were true.

The truth is one such world; others come from the judge's Jacobian with another upstream gradient,
or, where the module's equations are known, from those equations with a mistake in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..module import Array
from . import equations, structure
from .anatomy import Anatomy
from .judges import Truth
from .mistakes import Mistake, every
from .subject import Subject


@dataclass(frozen=True)
class World:
    """The gradients under some mistakes; of parameters also by step, (T, *shape), if known."""

    mistakes: tuple[Mistake, ...]
    grads: dict[str, Array]
    steps: dict[str, Array]


class Simulation:
    """A module's equations on given inputs: the worlds of its mistakes."""

    def __init__(
        self, subject: Subject, anatomy: Anatomy, inputs: Any = None, upstream: Any = None
    ) -> None:
        self.subject, self.anatomy = subject, anatomy
        self.inputs = subject.inputs if inputs is None else inputs
        self.answers = subject.answers if inputs is None else subject.call(inputs)
        leaves = structure.leaves(self.answers)
        if upstream is None:
            upstream = subject.upstream
        self.upstream = anatomy.upstream(structure.split(upstream, leaves))
        self.run = equations.forward(anatomy.given(subject, self.inputs))

    def world(self, *mistakes: Mistake) -> World:
        settings = {key: value for m in mistakes for key, value in m.settings.items()}
        upstream = self._upstream(mistakes)
        gradients = equations.backward(self.run, upstream, settings)
        grads, steps = {}, {}
        states = {"x": gradients.x, "h_0": gradients.h_0, "c_0": gradients.c_0}
        for mistake in mistakes:
            for role, returned in mistake.returned.items():
                last = upstream.get(role.replace("_0", "_n"), np.zeros_like(states[role]))
                states[role] = np.zeros_like(last) if returned == "zero" else last
        for role, name in self.anatomy.names.items():
            grads[name] = self.anatomy.from_standard(role, states[role])
        for name in self.subject.parameters:
            steps[name] = self.anatomy.layout.scatter(name, gradients.W)  # (T, *shape)
            grads[name] = steps[name].sum(axis=0)
        return World(mistakes, grads, steps)

    def _upstream(self, mistakes: Sequence[Mistake]) -> dict[str, Array]:
        upstream = dict(self.upstream)
        for mistake in mistakes:
            if mistake.ones:
                upstream = {role: np.ones_like(array) for role, array in upstream.items()}
        for mistake in mistakes:
            for role in mistake.ignored:
                upstream[role] = np.zeros_like(upstream[role])
            if mistake.only_last:
                upstream["output"] = upstream["output"].copy()
                upstream["output"][:-1] = 0
        return upstream

    def mistakes(self) -> list[Mistake]:
        """Those that can be in this module."""
        given = set(self.anatomy.names)
        found = every(self.anatomy.kind, self.anatomy.answers)
        kept = []
        for mistake in found:
            missing = set(mistake.returned) - given
            if not missing:
                kept.append(mistake)
            elif missing == set(mistake.returned):
                kept.append(replace(mistake, returned={}))
        return kept


def from_jacobian(subject: Subject, truth: Truth) -> Iterator[World]:
    """The worlds in which the upstream gradient is not used as it was given."""
    names = [name for name in subject.values if name not in truth.directions]
    if truth.reduced:
        return
    sizes = [leaf.size for leaf in subject.answer_leaves]
    starts = np.cumsum([0, *sizes])
    for mistake, upstream in _changed_upstream(subject, truth.upstream, starts):
        yield World((mistake,), {name: truth.gradient(name, upstream) for name in names}, {})


def _changed_upstream(
    subject: Subject, upstream: Array, starts: Array
) -> Iterator[tuple[Mistake, Array]]:
    look = "where backward takes in the gradients of the answers: they must be used as given"
    if len(subject.answer_leaves) > 1:
        last = [k for k, name in enumerate(subject.answer_names) if name.endswith("_n")]
        for which in [[k] for k in range(len(subject.answer_names))] + ([last] if last else []):
            changed = upstream.copy()
            for k in which:
                changed[starts[k] : starts[k + 1]] = 0
            name = "gradient of the final state ignored"
            if not set(which) <= set(last):
                name = f"gradient of {subject.answer_names[which[0]]} ignored"
            ignored = " and ".join(subject.answer_names[k] for k in which)
            yield Mistake(name, f"the gradient of {ignored} is ignored", look), changed
    yield (
        Mistake("upstream of ones", "the upstream gradient is taken for all ones", look),
        np.ones_like(upstream),
    )
    first = subject.answer_leaves[0]
    for axis in range(first.ndim - 1):
        if first.shape[axis] > 1:
            kept = np.zeros(first.shape)
            kept.swapaxes(0, axis)[-1] = 1
            changed = upstream.copy()
            changed[: first.size] *= kept.reshape(-1)
            name = subject.answer_names[0]
            yield (
                Mistake(
                    f"only the last step's {name}",
                    f"only the last entry along axis {axis} of the gradient of {name} is used",
                    look,
                ),
                changed,
            )
