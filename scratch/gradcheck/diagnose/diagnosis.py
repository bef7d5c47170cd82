"""From wrong gradients to causes: the fewest mistakes that reproduce every number that was claimed.

A mistake is a wrong line: it predicts other gradients. A cause is how one claimed gradient comes of
the predicted one: doubled, transposed. A finding is what the report says of either. The prediction
that leaves the fewest gradients unexplained, with the fewest mistakes, is reported, and what it
does not explain is said to fit nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...machinery import nests
from ...machinery.module import Array
from ..code_under_test import CodeUnderTest, ModuleRaised
from ..judges import Progress, Truth
from ..report import Finding, error
from .causes import RIGHT, Cause, Context, explain, fits
from .other_sizes import by_length, name_factor, simple, worst
from .predictions import Gradients, Prediction, Simulation, from_jacobian
from .recognize import find_gates, other_inputs, recognize

EXACT = 1e-9  # relative; both sides are float64 and differ in the order of sums alone


@dataclass(frozen=True)
class Explanation:
    """One prediction held against the claims."""

    prediction: Prediction
    causes: dict[str, Cause | None]

    @property
    def unexplained(self) -> list[str]:
        return [name for name, cause in self.causes.items() if cause is None]

    @property
    def cost(self) -> tuple[int, float]:
        """Fewer gradients unexplained first, then fewer mistakes."""
        own = {(c.name, c.cause) for c in self.causes.values() if c is not None and c.name != RIGHT}
        # Of two causes of the same numbers, a step left out is less likely than its state ignored,
        # and a factor that is no simple number less likely than what makes it.
        extra = 0.1 * any(name == "step 0 missing" for name, _ in own)
        factors = {c.factor for c in self.causes.values() if c is not None and c.factor is not None}
        extra += 0.5 * sum(not simple(factor) for factor in factors)
        return len(self.unexplained), len(self.prediction.mistakes) + len(own) + extra


class Diagnosis:
    """The causes of what a module claims on its inputs, given what is true."""

    def __init__(
        self,
        code: CodeUnderTest,
        truth: Truth,
        claimed: dict[str, Any],
        kinks: dict[str, Array],
    ) -> None:
        self.code, self.truth, self.kinks = code, truth, kinks
        names = [name for name in code.values if name not in truth.directions]
        self.true = Prediction((), Gradients(names, truth.gradient))
        self.claimed = {name: self._without_kinks(name, claimed[name]) for name in names}
        self.known, self.simulation = None, None
        tolerance = truth.tolerance
        found = recognize(code)
        if found is not None and set(names) == set(code.values):
            simulation = Simulation(code, found)
            prediction = simulation.prediction()
            if all(error(prediction.grads[n], self.true.grads[n]) < 100 * tolerance + truth.floor
                   or kinks.get(n, np.zeros(1)).any() for n in names):  # fmt: skip
                self.known, self.simulation = found, simulation
                self.true, tolerance = prediction, EXACT
        gates, gate_names = find_gates(code, self.known)
        floor = 1e-12 * max([1.0, *(np.abs(self.true.grads[n]).max(initial=0) for n in names)])
        if self.simulation is None:
            floor = truth.floor
        self.context = Context(tolerance, float(floor), gates, gate_names)

    def _without_kinks(self, name: str, claimed: Any) -> Any:
        """The claims, with the judge's numbers where there is no derivative to claim."""
        if name not in self.kinks or claimed is None or claimed.shape != self.kinks[name].shape:
            return claimed
        return np.where(self.kinks[name], self.truth.gradient(name), claimed)

    # Predictions

    def predictions(self) -> Iterator[Prediction]:
        if self.simulation is None:
            yield from from_jacobian(self.code, self.truth)
        else:
            yield from map(self.simulation.prediction, self.simulation.mistakes())

    def read(self, prediction: Prediction, claimed: dict[str, Any] | None = None) -> Explanation:
        """The claims, or those on other inputs, each explained from what a prediction says."""
        claims = (self.claimed if claimed is None else claimed).items()
        return Explanation(
            prediction, {n: explain(n, c, prediction, self.context) for n, c in claims}
        )

    def reproduces(self, prediction: Prediction, names: Iterable[str]) -> bool:
        """Whether its mistakes alone give one of the wrong gradients as it was claimed."""
        return any(
            self.claimed[name] is not None
            and self.claimed[name].shape == prediction.grads[name].shape
            and np.any(self.claimed[name])
            and fits(self.claimed[name], prediction.grads[name], self.context)
            for name in names
        )

    def best(
        self, pairs: bool, progress: Progress | None = None
    ) -> tuple[Explanation, list[Explanation]]:
        """The explanation that explains most with least, and others that do as well."""
        first = self.read(self.true)
        wrong = [n for n, c in first.causes.items() if c is None or c.name != RIGHT]
        explanations = [first, *(self.read(prediction) for prediction in self.predictions()
                                 if self.reproduces(prediction, wrong))]  # fmt: skip
        best = min(explanations, key=lambda e: e.cost)
        if pairs and best.unexplained and self.simulation is not None:
            explanations += self._pairs(best.unexplained, progress)
            best = min(explanations, key=lambda e: e.cost)
        named = {mistake.name for mistake in best.prediction.mistakes}
        rivals = [e for e in explanations if e.cost == best.cost and e.prediction.mistakes and named
                  and {mistake.name for mistake in e.prediction.mistakes} != named]  # fmt: skip
        return best, rivals

    def _pairs(self, hardest: list[str], progress: Progress | None) -> Iterator[Explanation]:
        """Two mistakes at once that together give a gradient that neither explains alone."""
        assert self.simulation is not None
        wrong = {name for name in self.claimed if not self._claims_truth(name)}
        likely = [mistake for mistake in self.simulation.mistakes() if not mistake.alone]
        changed = [(m, self._changed(self.simulation.prediction(m))) for m in likely]
        pairs = list(itertools.combinations([pair for pair in changed if pair[1] <= wrong], 2))
        for k, ((one, by_one), (two, by_two)) in enumerate(pairs):
            if progress is not None:
                progress(k, len(pairs), "pairs of mistakes")
            reached = [name for name in hardest if name in by_one | by_two]
            if reached and one.fits_with(two):
                prediction = self.simulation.prediction(one, two)
                if self.reproduces(prediction, reached):
                    yield self.read(prediction)

    def _changed(self, prediction: Prediction) -> set[str]:
        """The gradients that the prediction's mistakes change."""
        grads, true = prediction.grads, self.true.grads
        return {name for name in self.claimed if not fits(grads[name], true[name], self.context)}

    # Words

    def findings(self, pairs: bool = True, progress: Progress | None = None) -> list[Finding]:
        """The causes; `pairs` of mistakes are tried where single ones leave something open."""
        best, rivals = self.best(pairs, progress)
        rivals = [r for r in rivals if self._survives(r)] if self._survives(best) else []
        found = [self._of_mistake(m, best, rivals) for m in best.prediction.mistakes]
        found += self._of_causes(best)
        if best.unexplained:
            found += by_length(self.code) if self.known is None else []
            found.append(self._of_nothing(best, pairs))
        return found

    def _survives(self, explanation: Explanation) -> bool:
        """Whether the mistakes also give what is claimed on other numbers of other sizes."""
        fresh = self.fresh()
        if fresh is None:
            return True
        simulation, claimed = fresh
        prediction = simulation.prediction(*explanation.prediction.mistakes)
        return not self.read(prediction, claimed).unexplained

    def fresh(self, T: int | None = None) -> tuple[Simulation, dict[str, Any]] | None:
        """The module on other inputs: of T steps, or of one step more and two samples more."""
        if self.simulation is None or self.known is None:
            return None
        inputs = other_inputs(self.code, self.known, T)
        try:
            answers = self.code.call(inputs)
            upstream = np.random.default_rng(1).standard_normal(nests.vector(answers).size)
            claimed = self.code.claims(upstream, inputs, answers)
            simulation = Simulation(self.code, self.known, inputs, upstream)
            right = simulation.prediction().grads
            leaves = zip(self.code.input_names, nests.float_arrays(inputs), strict=True)
            if any(right[name].shape != leaf.shape for name, leaf in leaves):
                return None
            return simulation, claimed
        except (ModuleRaised, ValueError):  # ValueError: other sizes have to be read otherwise
            return None

    def _of_mistake(self, mistake: Any, best: Explanation, rivals: list[Explanation]) -> Finding:
        right = [n for n, c in best.causes.items() if c is not None and c.name == RIGHT]
        grads, true = best.prediction.grads, self.true.grads
        reached = max((error(self.claimed[n], grads[n]) for n in right), default=0.0)
        off = {n: error(self.claimed[n], true[n]) for n in right if not self._claims_truth(n)}
        evidence = (
            f"a backward pass with this mistake gives what was claimed for {len(right)} of "
            f"{len(best.causes)} gradients, to {reached:.0e}"
        )
        if off:
            largest = max(off.values())
            evidence += f"; the right one is off by up to {largest:.2g} ({len(off)} of them)"
        if len(best.prediction.mistakes) > 1:
            evidence += "; together with the other mistake named here"
        if "carry" in mistake.name:
            evidence += self._by_length()
        others = sorted({" and ".join(m.name for m in r.prediction.mistakes) for r in rivals})
        return Finding(
            mistake.name, mistake.cause, evidence, mistake.look, tuple(off), tuple(others)
        )

    def _claims_truth(self, name: str) -> bool:
        cause = explain(name, self.claimed[name], self.true, self.context)
        return cause is not None and cause.name == RIGHT

    def _by_length(self) -> str:
        """The largest error at T = 1 and T = 2."""
        errors = []
        for fresh in map(self.fresh, (1, 2)):
            if fresh is None:
                return ""
            simulation, claimed = fresh
            true, names = simulation.prediction().grads, self.code.parameters
            judged = (n for n in (self.code.input_names[0], *names) if n in claimed)
            errors.append(worst(claimed, {n: true[n] for n in judged}))
        if not np.isfinite(errors).all():  # a gradient that should be zero is not
            return ""
        return (
            f"; largest relative error of x and the parameters: {errors[0]:.0e} for T = 1, "
            f"{errors[1]:.2g} for T = 2"
        )

    def _of_causes(self, best: Explanation) -> list[Finding]:
        """One finding for each cause, with all the gradients that it explains."""
        groups: dict[tuple[str, str], list[str]] = {}
        for name, cause in best.causes.items():
            if cause is not None and cause.name != RIGHT:
                groups.setdefault((cause.name, cause.cause), []).append(name)
        once = ", once the mistake above is taken into account" if best.prediction.mistakes else ""
        found = []
        for names in sorted(groups.values(), key=len, reverse=True):
            causes = [c for n in names if (c := best.causes[n]) is not None]
            cause, off = causes[0], max(c.error for c in causes)
            if cause.factor is not None:
                mistakes = best.prediction.mistakes
                cause = name_factor(cause, names[0], mistakes, self.code, self.known, self.fresh)
            entries = sum(best.prediction.grads[n].size for n in names)
            evidence = f"this gives what was claimed{once} in all {entries} entries, to {off:.0e}"
            if cause.name == "gradient missing":
                evidence = "after a forward and a backward pass, there was none"
            words = cause.cause.format(" and ".join(names))
            found.append(Finding(cause.name, words, evidence, cause.look, tuple(names)))
        return found

    def _of_nothing(self, best: Explanation, pairs: bool) -> Finding:
        names = best.unexplained
        facts = []
        for name in names:
            claimed, true = self.claimed[name], self.true.grads[name]
            if claimed is None or claimed.shape != true.shape:
                facts.append(f"{name} has another shape")
            elif np.abs(true).max(initial=0) <= self.context.floor:
                facts.append(f"{name} should be zero and reaches {np.abs(claimed).max():.2g}")
            else:
                facts.append(f"{name} is off by {error(claimed, true):.2g}{self._where(name)}")
        tested = "the mistakes of a recurrence alone, " if self.simulation else ""
        if tested and pairs:
            tested = "the mistakes of a recurrence alone and in pairs, "
        return Finding(
            "unknown",
            f"the gradient of {' and '.join(names)} is wrong, and fits none of the causes tested",
            f"{'; '.join(facts)}. Tested: {tested}zero, a factor, another upstream gradient, "
            f"transposed, reversed, shifted, another gate's or another parameter's, clipped",
            "the values inside: `python -m scratch check FILE.py:NAME --like LSTM` (or RNN, GRU, "
            "LSTMCell, RNNCell, GRUCell) names the first that is not as there",
            tuple(names),
        )

    def _where(self, name: str) -> str:
        """The gates or the time steps at which a gradient is wrong."""
        claimed, true, context = self.claimed[name], self.true.grads[name], self.context
        off = np.abs(claimed - true) > context.tolerance * np.abs(true).max() + context.floor
        if name in context.gates:
            wrong = [g for k, g in enumerate(context.gate_names)
                     if off[context.gates[name] == k].any()]  # fmt: skip
            return f", in gate {', '.join(wrong)}" if len(wrong) < len(context.gate_names) else ""
        if self.known is not None and name == self.known.names["x"] and "t" in self.known.axes["x"]:
            axis = self.known.axes["x"].index("t")
            steps = np.flatnonzero(np.moveaxis(off, axis, 0).reshape(off.shape[axis], -1).any(1))
            return f", at step {', '.join(map(str, steps))}"
        return ""
