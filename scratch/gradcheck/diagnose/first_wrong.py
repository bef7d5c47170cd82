"""Which quantity of an RNN or an LSTM is the first that a stranger's code gets wrong.

The code runs under a trace that keeps the arrays of all its local variables, line by line. A
quantity is there if some variable held all its numbers, whatever it is called and however it lies
in the array. The first one that no variable held, and nothing that follows from it either, is the
first wrong one.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np

from ...machinery.module import Array
from ..code_under_test import CodeUnderTest
from ..purity import arrays_of
from .predictions import Simulation
from .recognize import Recognized, ways
from .recurrences import Recurrence, Values

SAME = 1e-9  # relative to the quantity's largest number
MOST_ENTRIES = 100_000  # of an array that is kept


@dataclass(frozen=True)
class Held:
    """A variable's array as it was after a line."""

    line: int
    variable: str
    values: Array  # sorted


@dataclass(frozen=True)
class Place:
    """Where a quantity was found: None for nowhere."""

    quantity: str
    step: int
    line: int | None = None
    variable: str | None = None

    def __str__(self) -> str:
        return f"{self.quantity} of step {self.step}"


class Recorder:
    """Keeps what the local variables hold in the functions of the files that code is from."""

    def __init__(self, original: Any, method: str) -> None:
        cls = type(original)
        own = getattr(original, "own", None) or [getattr(cls, method)]  # of foreign code, its own
        self.files = {inspect.unwrap(function).__code__.co_filename for function in own}
        for base in cls.__mro__:
            module = sys.modules.get(base.__module__)
            if not base.__module__.startswith(("scratch.", "builtins")):
                self.files.add(getattr(module, "__file__", None) or "")
        self.held: list[Held] = []
        self._seen: set[tuple[str, bytes]] = set()
        self._lines: dict[int, int] = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(before)

    def _trace(self, frame: FrameType, event: str, value: Any) -> Any:
        if frame.f_code.co_filename not in self.files:
            return None
        if event in ("line", "return"):
            line = self._lines.get(id(frame), frame.f_lineno)
            for name, local in frame.f_locals.items():
                self._keep(line, name, local)
            if event == "return":
                self._keep(frame.f_lineno, "return", value)
            self._lines[id(frame)] = frame.f_lineno
        return self._trace

    def _keep(self, line: int, variable: str, value: Any) -> None:
        if variable == "self":
            return
        with suppress(BaseException):  # theirs, in a property or an __eq__: this variable is lost
            if not (isinstance(value, list | tuple | dict) and len(value) > MOST_ENTRIES):
                self._keep_arrays(line, variable, value)

    def _keep_arrays(self, line: int, variable: str, value: Any) -> None:
        for path, array in arrays_of(value, variable, depth=2).items():
            if array.dtype.kind == "f" and array.size <= MOST_ENTRIES:
                key = (path, array.tobytes())
                if key not in self._seen:
                    self._seen.add(key)
                    self.held.append(Held(line, path, np.sort(np.asarray(array), axis=None)))

    def find(self, quantity: str, step: int, wanted: Array) -> Place:
        """The first variable that held all numbers of `wanted`."""
        numbers = np.sort(wanted, axis=None)
        allowed = SAME * max(float(np.abs(numbers).max(initial=0)), 1e-300)
        for held in self.held:
            if held.values.size >= numbers.size:
                right = np.searchsorted(held.values, numbers).clip(0, held.values.size - 1)
                left = (right - 1).clip(0)
                near = np.minimum(
                    np.abs(held.values[right] - numbers), np.abs(held.values[left] - numbers)
                )
                if near.max() <= allowed:
                    return Place(quantity, step, held.line, held.variable)
        return Place(quantity, step)


@dataclass(frozen=True)
class Comparison:
    """The quantities in the order in which they are computed, up to the first wrong one."""

    places: tuple[Place, ...]
    first_wrong: Place | None
    last_right: Place | None

    def __str__(self) -> str:
        if self.first_wrong is None:
            return "every intermediate value agrees"
        wrong = f"{self.first_wrong} is wrong: no variable ever holds it"
        if self.last_right is None:
            return f"{wrong}; it is the first quantity"
        right = self.last_right
        return (
            f"{right} is right ({right.variable}, line {right.line}); {wrong}, nor what follows "
            f"from it: look between them"
        )


def compare_backward(code: CodeUnderTest, known: Recognized) -> Comparison:
    """The gradients inside the backward pass, from the last step to the first."""
    recorder = Recorder(code.original, "backward")
    record = code.forward()
    code.clear()
    with recorder.recording():
        code.backward(record, code.upstream)
    right = Simulation(code, known).backward()
    right.x()  # with grad_x of every step
    return _compare(recorder, known.table, known.table.quantities[1], right.steps)


def compare_forward(code: CodeUnderTest, table: Recurrence, steps: list[Values]) -> Comparison:
    """The values inside the forward pass, from the first step to the last."""
    recorder = Recorder(code.original, "forward")
    with recorder.recording():
        code.forward()
    return _compare(recorder, table, table.quantities[0], dict(enumerate(steps)))


def _compare(
    recorder: Recorder, table: Recurrence, quantities: list[str], steps: dict[int, Values]
) -> Comparison:
    sources = {name: table.sources(name, quantities) for name in quantities}
    places: list[Place] = []
    last_right: Place | None = None
    for t, values in steps.items():
        found = {name: recorder.find(name, t, values[name]) for name in quantities}
        held = {name for name, place in found.items() if place.line is not None}
        for name, place in found.items():
            places.append(place)
            if name in held:
                last_right = place
            elif not _follow(name, sources) & held and not (name == "grad_h" and held):
                before = [place for source, place in found.items()
                          if source in sources[name] & held]  # fmt: skip
                return Comparison(tuple(places), found[name], before[-1] if before else last_right)
    return Comparison(tuple(places), None, last_right)


def _follow(name: str, sources: dict[str, set[str]]) -> set[str]:
    """Everything that is computed from a quantity within its step."""
    found = {other for other, read in sources.items() if name in read}
    return found.union(*(_follow(other, sources) for other in found))


def best_guess(code: CodeUnderTest, tables: Sequence[Recurrence]) -> Comparison | None:
    """The forward comparison for the way to read the parameters that gets furthest."""
    found = (compare_forward(code, way.table, steps) for way, steps in ways(code, tables))
    return max(found, key=lambda comparison: len(comparison.places), default=None)
