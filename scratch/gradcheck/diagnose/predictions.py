"""What the gradients would be if a mistake had been made.

The truth is one such prediction. Others come from the judge's Jacobian with another upstream
gradient or, where the module's recurrence is known, from its table with a wrong line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from ...machinery import nests
from ...machinery.module import Array
from ..code_under_test import CodeUnderTest
from ..judges import Truth
from .mistakes import Mistake, mistakes_of, of_unknown
from .recognize import Recognized
from .recurrences import Backward, forward, with_neighbours


class Gradients(dict[str, Array]):
    """Gradients by name, each computed when it is first asked for."""

    def __init__(self, names: Sequence[str], make: Callable[[str], Array]) -> None:
        super().__init__()
        self.names, self._make = tuple(names), make

    def __missing__(self, name: str) -> Array:
        self[name] = self._make(name)
        return self[name]


@dataclass(frozen=True)
class Prediction:
    """The gradients under some mistakes; if known, a parameter's parts by step and by sample."""

    mistakes: tuple[Mistake, ...]
    grads: Gradients
    steps: Gradients | None = None  # (T, *shape)
    samples: Gradients | None = None  # (N, *shape)


class Simulation:
    """A module's recurrence on given inputs, with whatever mistakes."""

    def __init__(
        self, code: CodeUnderTest, known: Recognized, inputs: Any = None, upstream: Any = None
    ) -> None:
        self.code, self.known = code, known
        self.inputs = code.inputs if inputs is None else inputs
        answers = code.answers if inputs is None else code.call(inputs)
        if upstream is None:
            upstream = code.upstream
        self.upstream = known.upstream(nests.split(upstream, nests.float_arrays(answers)))
        self.given = known.given(code, self.inputs)
        self.steps = with_neighbours(known.table, forward(known.table, *self.given))
        self.names = (*known.names.values(), *code.parameters)
        self.roles = {name: role for role, name in known.names.items()}

    def backward(self, *mistakes: Mistake) -> Backward:
        wrong = {name: line for mistake in mistakes for name, line in mistake.lines.items()}
        return Backward(self.known.table, self.steps, self.upstream, wrong)

    def prediction(self, *mistakes: Mistake) -> Prediction:
        passed = self.backward(*mistakes)
        steps = cache(passed.weights)
        total = cache(lambda: steps().sum(axis=0))
        samples = cache(lambda: self._by_sample(mistakes))
        scatter, parameters = self.known.layout.scatter, tuple(self.code.parameters)

        def make(name: str) -> Array:
            if name not in self.roles:
                return scatter(name, total())
            role = self.roles[name]
            return self.known.from_standard(
                role, passed.x() if role == "x" else passed.states[role]
            )

        return Prediction(
            mistakes,
            Gradients(self.names, make),
            Gradients(parameters, lambda name: scatter(name, steps())),
            Gradients(parameters, lambda name: scatter(name, samples())),
        )

    def _by_sample(self, mistakes: Sequence[Mistake]) -> Array:
        """The gradient of the weights for each sample alone, (N, G, H, D+H+1)."""
        wrong = {name: line for mistake in mistakes for name, line in mistake.lines.items()}
        table, (weights, x, states) = self.known.table, self.given
        found = []
        for n in range(x.shape[1]):
            one = slice(n, n + 1)
            alone = forward(table, weights, x[:, one], {s: a[one] for s, a in states.items()})
            upstream = {name: grad[..., one, :] for name, grad in self.upstream.items()}
            passed = Backward(table, with_neighbours(table, alone), upstream, wrong)
            found.append(passed.weights().sum(axis=0))
        return np.stack(found)

    def mistakes(self) -> list[Mistake]:
        """Those that can be in this module: none of a state that it is not given."""
        absent = {f"grad_{s}_0" for s in self.known.table.states} - {
            f"grad_{role}" for role in self.known.names
        }
        found = mistakes_of(self.known.table, self.known.answers)
        return [mistake for mistake in found if not absent & set(mistake.lines)]


def from_jacobian(code: CodeUnderTest, truth: Truth) -> Iterator[Prediction]:
    """The predictions of upstream gradients that are not used as they were given."""
    names = [name for name in code.values if name not in truth.directions]
    answers = dict(zip(code.answer_names, code.answer_leaves, strict=True))
    parts = nests.split(truth.upstream, code.answer_leaves)
    given = {f"grad_{name}": part for name, part in zip(answers, parts, strict=True)}
    for mistake in () if truth.reduced else of_unknown(answers):
        changed = given | {name: line(given) for name, line in mistake.lines.items()}
        upstream = nests.vector(list(changed.values()))
        yield Prediction((mistake,), Gradients(names, partial(truth.gradient, upstream=upstream)))
