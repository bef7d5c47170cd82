"""Which quantity of a recurrence is the first that a stranger's code gets wrong.

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
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import numpy as np

from ...machinery.module import Array
from ..code_under_test import CodeUnderTest
from ..purity import arrays_of
from .predictions import Simulation
from .recognize import Recognized, gap, ways
from .recurrences import Recurrence, Values

SAME = 1e-9  # relative to the quantity's largest number
MOST_ENTRIES = 100_000  # of an array that is kept


@dataclass(frozen=True)
class Held:
    """A variable's array as it was after a line."""

    line: int
    variable: str
    values: Array  # sorted
    array: Array


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
        self._found: dict[bytes, tuple[int, str] | tuple[()]] = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(before)
            # A value has a better name than that of what a function returned.
            self.held.sort(key=lambda held: held.variable.startswith("return"))

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
                    kept = np.array(array)
                    self.held.append(Held(line, path, np.sort(kept, axis=None), kept))

    def find(self, quantity: str, step: int, wanted: Array) -> Place:
        """The first variable that held all numbers of `wanted`."""
        numbers, key = np.sort(wanted, axis=None), wanted.tobytes()
        allowed = SAME * max(float(np.abs(numbers).max(initial=0)), 1e-300)
        for held in self.held if key not in self._found else ():
            few = held.values.size < numbers.size  # the smallest alone rules out most
            if not few and all(gap(held.values, n) <= allowed for n in (numbers[:1], numbers)):
                self._found[key] = held.line, held.variable
                break
        return Place(quantity, step, *self._found.setdefault(key, ()))

    def stands_for(self, wrong: Place, table: Recurrence, values: Values) -> Place | None:
        """The variable in the place of a wrong quantity: what follows from it, by the table, is
        what the code went on with."""
        name, lines = wrong.quantity, table.forward
        later = list(lines)[list(lines).index(name) + 1 :]
        follow = [n for n in later if name in table.sources(n, table.quantities[0])]
        before = [values[f"{state}_prev"] for state in table.states]
        for held in self.held if follow else ():
            for block in _blocks(held.array, *values[name].shape):
                if any(np.array_equal(block, state) for state in before):
                    continue  # (1 − u) h_prev + u h_prev is h_prev, whatever u is
                other = {**values, name: block}
                for n in later:
                    other[n] = lines[n](other)
                if all(self.find(n, 0, other[n]).line is not None for n in follow):
                    return Place(name, wrong.step, held.line, held.variable)
        return None


def _blocks(array: Array, N: int, H: int) -> Iterator[Array]:
    """The parts of an array that can be a gate, (N, H): all of it, or columns, or rows."""
    for turned in (np.atleast_2d(array), np.atleast_2d(array).T) if array.ndim <= 2 else ():
        if turned.shape[0] == N and turned.shape[1] % H == 0:
            yield from np.split(turned, turned.shape[1] // H, axis=1)


@dataclass(frozen=True)
class Comparison:
    """The quantities in the order in which they are computed, up to the first wrong one."""

    places: tuple[Place, ...]
    first_wrong: Place | None
    last_right: Place | None
    roots: int = 0  # of what is wrong at that step, how many do not follow from another of it
    instead: Place | None = None  # the variable from which the code goes on

    def __str__(self) -> str:
        if self.first_wrong is None:
            return "every intermediate value agrees"
        wrong = f"{self.first_wrong} is wrong: no variable ever holds it"
        if self.instead is not None:
            instead = f"{self.instead.variable}, line {self.instead.line}"
            wrong = f"{self.first_wrong} is wrong: {instead}, stands in its place"
        right = self.last_right
        if right is None:
            return wrong if self.instead else f"{wrong}; it is the first quantity"
        if self.instead is None:
            wrong += ", nor what follows from it: look between them"
        return f"{right} is right ({right.variable}, line {right.line}); {wrong}"


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


def _compare(
    recorder: Recorder, table: Recurrence, quantities: list[str], steps: dict[int, Values]
) -> Comparison:
    sources = {name: table.sources(name, quantities) for name in quantities}
    places: list[Place] = []
    last_right: Place | None = None
    for t, values in steps.items():
        found = {name: recorder.find(name, t, values[name]) for name in quantities}
        held = {name for name, place in found.items() if place.line is not None}
        missing = {n for n in quantities if n not in held and not _follow(n, sources) & held}
        for name, place in found.items():
            places.append(place)
            if name in held:
                last_right = place
            elif name in missing and not (name == "grad_h" and held):
                before = [place for source, place in found.items()
                          if source in sources[name] & held]  # fmt: skip
                roots = sum(not sources[n] & missing for n in missing)
                last = before[-1] if before else last_right
                return Comparison(tuple(places), place, last, roots)
    return Comparison(tuple(places), None, last_right)


def _follow(name: str, sources: dict[str, set[str]]) -> set[str]:
    """Everything that is computed from a quantity within its step."""
    found = {other for other, read in sources.items() if name in read}
    return found.union(*(_follow(other, sources) for other in found))


def best_guess(code: CodeUnderTest, tables: Sequence[Recurrence]) -> Comparison | None:
    """The forward comparison for the way to read the parameters that gets furthest.

    Of those that get as far, the one by which fewest values are wrong, and where a variable stands
    in the place of the wrong one: read with two gates changed about, three of four are right, too.
    """
    recorder, tried = Recorder(code.original, "forward"), []
    with recorder.recording():
        code.forward()
    for way, one_by_one in ways(code, tables):
        steps = list(one_by_one)
        found = _compare(recorder, way.table, way.table.quantities[0], dict(enumerate(steps)))
        if found.first_wrong is None:
            return found
        tried.append((found.first_wrong.step, -found.roots, found, way.table, steps))
    furthest = max((each[:2] for each in tried), default=None)
    best = [each[2:] for each in tried if each[:2] == furthest]
    for found, table, steps in best:
        assert found.first_wrong is not None
        values = steps[found.first_wrong.step]
        instead = recorder.stands_for(found.first_wrong, table, values)
        if instead is not None:
            return replace(found, instead=instead)
    return max((each[0] for each in best), key=lambda found: len(found.places), default=None)
