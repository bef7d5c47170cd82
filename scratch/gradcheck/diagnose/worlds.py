"""What the gradients would be if a cause were true.

The truth is one such world; others come from the judge's Jacobian with another upstream gradient,
or, where the module's equations are known, from those equations with a mistake in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from ...machinery.module import Array
from .. import structure
from ..judges import Truth
from ..subject import Subject
from . import equations
from .anatomy import Anatomy
from .mistakes import Mistake, every


class Grads(dict[str, Array]):
    """Gradients by name, each computed when it is first asked for."""

    def __init__(self, names: Sequence[str], make: Callable[[str], Array]) -> None:
        super().__init__()
        self.names, self._make = tuple(names), make

    def __missing__(self, name: str) -> Array:
        self[name] = self._make(name)
        return self[name]


@dataclass(frozen=True)
class World:
    """The gradients under some mistakes; if known, a parameter's parts by step and by sample."""

    mistakes: tuple[Mistake, ...]
    grads: Grads
    steps: Grads | None = None  # (T, *shape)
    samples: Grads | None = None  # (N, *shape)


class Simulation:
    """A module's equations on given inputs: the worlds of its mistakes."""

    def __init__(
        self, subject: Subject, anatomy: Anatomy, inputs: Any = None, upstream: Any = None
    ) -> None:
        self.subject, self.anatomy = subject, anatomy
        self.inputs = subject.inputs if inputs is None else inputs
        answers = subject.answers if inputs is None else subject.call(inputs)
        if upstream is None:
            upstream = subject.upstream
        parts = structure.split(upstream, structure.leaves(answers))
        self.upstream = anatomy.upstream(parts)
        self.run = equations.forward(anatomy.given(subject, self.inputs))
        self.names = (*anatomy.names.values(), *subject.parameters)
        self.roles = {name: role for role, name in anatomy.names.items()}

    def world(self, *mistakes: Mistake) -> World:
        settings = {key: value for m in mistakes for key, value in m.settings.items()}
        upstream = self._upstream(mistakes)
        gradients = equations.backward(self.run, upstream, settings)
        states = {"x": gradients.x, "h_0": gradients.h_0, "c_0": gradients.c_0}
        for mistake in mistakes:
            for role, returned in mistake.returned.items():
                last = upstream.get(role.replace("_0", "_n"), np.zeros_like(states[role]))
                states[role] = np.zeros_like(last) if returned == "zero" else last

        def make(name: str) -> Array:
            if name in self.roles:
                role = self.roles[name]
                return self.anatomy.from_standard(role, states[role])
            return self.anatomy.layout.scatter(name, W())

        W = cache(gradients.W)
        steps, samples = cache(gradients.W_by_step), cache(gradients.W_by_sample)
        scatter, parameters = self.anatomy.layout.scatter, tuple(self.subject.parameters)
        return World(
            mistakes,
            Grads(self.names, make),
            Grads(parameters, lambda name: scatter(name, steps())),
            Grads(parameters, lambda name: scatter(name, samples())),
        )

    def _upstream(self, mistakes: Sequence[Mistake]) -> dict[str, Array]:
        upstream = dict(self.upstream)
        for mistake in mistakes:
            for role in mistake.ones:
                upstream[role] = np.ones_like(upstream[role])
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
        yield World((mistake,), Grads(names, partial(truth.gradient, upstream=upstream)))


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
    every = list(range(len(subject.answer_names)))
    for which in [every, *([k] for k in every if len(every) > 1)]:
        changed = upstream.copy()
        for k in which:
            changed[starts[k] : starts[k + 1]] = 1
        ones = " and ".join(subject.answer_names[k] for k in which)
        cause = f"the gradient of {ones} is taken for all ones"
        yield Mistake("upstream of ones", cause, look), changed
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
