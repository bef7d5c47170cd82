"""Three judges of a gradient: complex step, another library's, central differences.

Each gives the Jacobian of all answers by every entry of every checked tensor, so that the true
gradient is known for any upstream gradient.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.exceptions import ComplexWarning
from numpy.typing import DTypeLike

from ..machinery import nests
from ..machinery.module import Array
from .code_under_test import CodeUnderTest, ModuleRaised, NotCheckable

H = 1e-20  # of the complex step: nothing is subtracted, so it can be as small as numbers get
STEPS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)  # of the central differences
MOST_NUMBERS = 30_000_000  # of a Jacobian; beyond, only the gradient itself is kept

Progress = Callable[..., None]  # done, total, of what


@dataclass
class Truth:
    """What a judge says. `jacobian[name]` is (entries or directions, answers)."""

    judge: str  # "complex step", "torch", "central differences"
    why: str  # why not a stronger one
    tolerance: float  # relative to the largest number of a tensor
    floor: float  # absolute; what rounding explains
    jacobian: dict[str, Array]
    directions: dict[str, Array]  # (directions, *shape) of the tensors that are judged so
    shapes: dict[str, tuple[int, ...]]
    upstream: Array
    reduced: bool  # whether the Jacobian is that of Σ upstream · answers alone

    def size(self, name: str) -> int:
        return math.prod(self.shapes[name])

    def gradient(self, name: str, upstream: Array | None = None) -> Array:
        """The true gradient; of a tensor judged in directions, its product with each of them."""
        if self.reduced:
            if upstream is not None:
                raise ValueError("upstream: only that of the check is known")
            values = self.jacobian[name][:, 0]
        else:
            values = self.jacobian[name] @ (self.upstream if upstream is None else upstream)
        return values if name in self.directions else values.reshape(self.shapes[name])


# Judges


class Steps:
    """The answers where one of the checked arrays is moved."""

    def __init__(self, code: CodeUnderTest, dtype: DTypeLike) -> None:
        self.code, self.function = code, code.function(dtype)
        self.values = {name: array.astype(dtype) for name, array in code.values.items()}

    def answers(self, name: str, direction: Array | int, by: complex) -> Array:
        """All of them, with `by` times a direction, or in one entry, added to an array."""
        moved = self.values[name].copy()
        if isinstance(direction, int):
            moved.flat[direction] += by
        else:
            moved += by * direction
        return self.function({**self.values, name: moved})


class ComplexStep(Steps):
    """Im f(x + ih) / h: exact to rounding (Squire and Trapp 1998)."""

    name = "complex step"
    tolerance = 1e-10

    def derivative(self, name: str, direction: Array | int) -> Array:
        """Of all answers, in a direction or, for an int, by one entry."""
        return np.asarray(self.answers(name, direction, 1j * H).imag / H)

    def refusal(self, central: CentralDifferences) -> str:
        """Why it cannot judge this module; empty if it can."""
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", ComplexWarning)
            try:
                return self._refusal(central)
            except ModuleRaised as error:
                if isinstance(error.raised, ComplexWarning):
                    return "an array of real dtype inside drops the imaginary part"
                return f"complex inputs end in {error}"

    def _refusal(self, central: CentralDifferences) -> str:
        real, found = nests.vector(self.code.answers), self.function(self.values)
        if not np.issubdtype(found.dtype, np.complexfloating):
            return "the answers to complex inputs are real: the imaginary part is dropped"
        if found.shape != real.shape or not np.isfinite(found).all():
            return "the answers to complex inputs are not finite"
        if np.abs(found - real).max(initial=0) > 1e-9 * np.abs(real).max(initial=1e-300):
            return "the forward pass answers complex inputs differently"
        for name, value in self.values.items():
            direction = self.code.rng.standard_normal(value.shape)
            if not central.agrees(name, direction, self.derivative(name, direction)):
                return f"its derivative by {name} is not that of central differences"
        return ""


class CentralDifferences(Steps):
    """(f(x+h) − f(x−h)) / 2h in float64, at several h; the two that agree best are taken."""

    name = "central differences"
    tolerance = 1e-6

    def __init__(self, code: CodeUnderTest) -> None:
        super().__init__(code, np.float64)
        self.gaps: list[float] = []  # the disagreement of the two steps that were taken

    def derivative(self, name: str, direction: Array | int) -> Array:
        tries = np.stack([self.difference(name, direction, h) for h in STEPS])
        gaps = np.abs(np.diff(tries, axis=0))  # (steps − 1, answers)
        best = gaps.argmin(axis=0)
        self.gaps.append(float(gaps.min(axis=0).max(initial=0)))
        return np.asarray(np.take_along_axis(tries, best[None] + 1, axis=0)[0])

    def difference(self, name: str, direction: Array | int, h: float) -> Array:
        ahead, behind = self.answers(name, direction, h), self.answers(name, direction, -h)
        return (ahead - behind) / (2 * h)

    @property
    def error(self) -> float:
        """What three of four entries stay below; the others may be close to a kink."""
        return float(np.quantile(self.gaps, 0.75)) if self.gaps else 0.0

    @property
    def coarse(self) -> bool:
        """Whether the answers stay the same, or jump, over steps of 1e-10: float32 inside.

        In float64 they move in proportion to the step, but for a kink that lies in between.
        """
        here = nests.vector(self.code.answers)
        for name, value in self.values.items():
            for _ in range(2):
                direction = self.code.rng.standard_normal(value.shape)
                expected = 1e-10 * self.difference(name, direction, 1e-5)
                gap = np.abs(self.answers(name, direction, 1e-10) - here - expected)
                # And at a stationary point, where nothing else moves them, in h² = 1e-20.
                rounding = 1e-14 * np.abs(here).max(initial=0) + 1e-18
                if gap.max(initial=0) <= 0.3 * np.abs(expected).max(initial=0) + rounding:
                    return False
        return True

    def agrees(self, name: str, direction: Array, derivative: Array) -> bool:
        """Whether some step size gives `derivative`."""
        scale = max(np.abs(derivative).max(initial=0), 1e-3)
        gaps = (np.abs(self.difference(name, direction, h) - derivative).max(initial=0)
                for h in (1e-5, 1e-4, 1e-6, 1e-3))  # fmt: skip
        return any(gap <= 1e-5 * scale for gap in gaps)

    def at_kink(self, name: str, direction: Array | int) -> bool:
        """Whether the derivatives to the left and to the right differ, by an entry or along one."""
        for h in (1e-6, 2e-5):
            gap, floor = self.gap(name, direction, h)
            # At a kink it stays as h shrinks; where the forward pass is smooth it is h·f″.
            wider, _ = self.gap(name, direction, 10 * h)
            if ((gap > floor) & (gap > 0.5 * wider)).any():
                return True
        return False

    def gap(self, name: str, direction: Array | int, h: float) -> tuple[Array, float]:
        """|derivative to the right − to the left| of each answer, and what rounding explains."""
        here = nests.vector(self.code.answers)
        right = (self.answers(name, direction, h) - here) / h
        left = (here - self.answers(name, direction, -h)) / h
        scale = max(np.abs(right).max(initial=0), np.abs(left).max(initial=0))
        rounding = 1e-14 * np.abs(here).max(initial=0) / h
        return np.abs(right - left), float(max(1e-4 * scale, rounding, 1e-7))


class Twin(Protocol):
    """A module of the same weights in a library that differentiates: `reference.judge(module)`."""

    def differences(self, code: CodeUnderTest) -> tuple[str, str] | None:
        """That the answers are not the twin's, and why; None where they are."""

    def jacobian(self, code: CodeUnderTest, upstream: Array | None) -> dict[str, Array]:
        """(entries, answers), or (entries, 1) for the gradient of Σ upstream · answers."""


def check_twin(twin: Any) -> None:
    """TypeError if it is not a `Twin`."""
    if not callable(getattr(twin, "jacobian", None)):
        raise TypeError(
            f"twin: expected reference.judge(module) of a torch module, got {type(twin).__name__}"
        )


class TwinJudge:
    """What the twin says."""

    name = "torch"
    tolerance = 1e-10

    def __init__(self, code: CodeUnderTest, twin: Twin) -> None:
        self.jacobian = partial(twin.jacobian, code)


# The verdict


def choose(code: CodeUnderTest, judge: str | None, twin: Twin | None) -> tuple[Any, str]:
    """The strongest judge that works, or the one asked for, and why not a stronger one."""
    central = CentralDifferences(code)
    reason = ""
    if judge in (None, "complex"):
        try:
            complex_step = ComplexStep(code, np.complex128)
            refusal = complex_step.refusal(central)
        except ModuleRaised as error:
            refusal = f"no complex copy: {error}"
        if not refusal:
            return complex_step, ""
        if judge == "complex":
            raise NotCheckable(f"judge: the complex step does not work here: {refusal}")
        reason = f"no complex step: {refusal}"
    if judge != "torch" and twin is None and central.coarse:
        raise NotCheckable(
            f"the forward pass does not follow steps of 1e-10 (float32 inside?{code.narrowing()}): "
            f"too coarse for "
            f"central differences, and no stronger judge works ({reason}). Compute in the dtype of "
            f"the input"
        )
    if judge == "torch" and twin is None:
        raise ValueError("judge: 'torch' needs reference.judge(module) of a torch module as `twin`")
    if judge in (None, "torch") and twin is not None:
        return TwinJudge(code, twin), reason
    return central, reason


def verdict(
    code: CodeUnderTest,
    judge: str | None = None,
    twin: Twin | None = None,
    entries: int = 4096,
    progress: Progress | None = None,
) -> tuple[Truth, CentralDifferences]:
    """The Jacobian by the strongest judge that works, or by the one asked for.

    A tensor of more than `entries` numbers is judged in 10 random directions.
    """
    chosen, why = choose(code, judge, twin)
    directions = {
        name: code.rng.standard_normal((10, *array.shape))
        for name, array in code.values.items()
        if array.size > entries and chosen.name != "torch"
    }
    jacobian, reduced = _jacobian(code, chosen, directions, progress)
    shapes = {name: array.shape for name, array in code.values.items()}
    said = chosen.name, why, chosen.tolerance, 0.0, jacobian, directions, shapes
    truth = Truth(*said, code.upstream, reduced)
    truth.floor = _floor(code, chosen, truth)
    return truth, CentralDifferences(code)


def _jacobian(
    code: CodeUnderTest, judge: Any, directions: dict[str, Array], progress: Progress | None
) -> tuple[dict[str, Array], bool]:
    """The Jacobian, and whether it is that of Σ upstream · answers alone, as it is too large."""
    values = code.values
    total = sum(len(directions.get(name, array.reshape(-1))) for name, array in values.items())
    reduced = total * code.upstream.size > MOST_NUMBERS
    if isinstance(judge, TwinJudge):
        return judge.jacobian(code.upstream if reduced else None), reduced
    jacobian, done = {}, itertools.count(1)

    def row(name: str, direction: Array | int) -> Array:
        derivative: Array = judge.derivative(name, direction)
        if progress is not None:
            progress(next(done), total)
        return np.array([derivative @ code.upstream]) if reduced else derivative

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name, array in values.items():
            ways = directions.get(name, range(array.size))
            width = 1 if reduced else code.upstream.size
            rows = [row(name, way) for way in ways]
            jacobian[name] = np.array(rows).reshape(len(rows), width)
    return jacobian, reduced


def _floor(code: CodeUnderTest, judge: Any, truth: Truth) -> float:
    """The absolute difference that rounding explains; NotCheckable if it hides every gradient.

    A gradient is the sum Σ_k ∂answer_k/∂x upstream_k. Where it cancels, a few of the summands' last
    digits are left, and where no answer depends on x, a few of the answers' own. The difference of
    two answers of central differences leaves what its steps leave.
    """
    noise = np.abs(nests.vector(code.answers)).max(initial=0)
    if not isinstance(judge, CentralDifferences):
        upstream = 1.0 if truth.reduced else np.abs(code.upstream)
        summands = [np.sum(np.abs(rows) * upstream, axis=1) for rows in truth.jacobian.values()]
        size = max((each.max(initial=0) for each in summands), default=0.0)
        return float(1e-13 * max(size, min(noise, 1.0)))
    gradients = [np.abs(truth.gradient(name)) for name in code.values]
    largest = max((gradient.max(initial=0) for gradient in gradients), default=0.0)
    # Where all gradients are zero, what is left is rounding, far below 1e-12.
    if 30 * judge.error > max(1e-2 * largest, 1e-12):
        raise NotCheckable(
            f"central differences at steps {STEPS[0]:g} to {STEPS[-1]:g} disagree by "
            f"{judge.error:.1e}, the largest gradient is {largest:.1e}: the forward pass is "
            f"too coarse (float32 inside?) or not smooth, and no stronger judge works ({truth.why})"
        )
    return float(1e-8 * largest + 1e-10 * noise + 30 * judge.error)
