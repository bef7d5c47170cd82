"""Which quantity of an RNN or an LSTM is the first that a stranger's code gets wrong.

The code runs under a trace that keeps the arrays of all its local variables, line by line. A
quantity is there if some variable held all its numbers, whatever it is called and however it lies
in the array. The first one that no variable held, and nothing that follows from it either, is the
first wrong one.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np

from ...machinery.module import Array
from .. import structure
from ..behaviour import arrays_of
from ..subject import Subject
from . import equations
from .anatomy import Anatomy, to_standard
from .layouts import layouts
from .worlds import Simulation

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
    """Keeps what the local variables hold in the functions of the files that a class is from."""

    def __init__(self, cls: type[Any], method: str) -> None:
        self.files = {inspect.unwrap(getattr(cls, method)).__code__.co_filename}
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
        for path, array in arrays_of(value, variable, depth=2).items():
            if array.dtype.kind == "f" and array.size <= MOST_ENTRIES:
                key = (path, array.tobytes())
                if key not in self._seen:
                    self._seen.add(key)
                    self.held.append(Held(line, path, np.sort(array, axis=None)))

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


# A quantity and what is computed from it within a step.
AFTER: dict[str, dict[str, tuple[str, ...]]] = {
    "LSTM": {
        "grad_h": ("grad_o", "grad_c"),
        "grad_o": ("grad_z_o",),
        "grad_c": ("grad_f", "grad_i", "grad_g", "grad_c_prev"),
        "grad_f": ("grad_z_f",),
        "grad_i": ("grad_z_i",),
        "grad_g": ("grad_z_g",),
        "grad_z_o": ("grad_h_prev", "grad_x"),
        "grad_z_f": ("grad_h_prev", "grad_x"),
        "grad_z_i": ("grad_h_prev", "grad_x"),
        "grad_z_g": ("grad_h_prev", "grad_x"),
        "grad_c_prev": (),
        "grad_h_prev": (),
        "grad_x": (),
    },
    "RNN": {"grad_h": ("grad_z_h",), "grad_z_h": ("grad_h_prev", "grad_x"), "grad_h_prev": (),
            "grad_x": ()},
}  # fmt: skip
FORWARD: dict[str, dict[str, tuple[str, ...]]] = {
    "LSTM": {"i": ("c",), "f": ("c",), "g": ("c",), "o": ("h",), "c": ("h",), "h": ()},
    "RNN": {"h": ()},
}


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


def compare_backward(subject: Subject, anatomy: Anatomy) -> Comparison:
    """The gradients inside the backward pass, from the last step to the first."""
    run = Simulation(subject, anatomy)
    named = equations.backward(run.run, run.upstream, {}, trace=True).named
    recorder = Recorder(type(subject.original), "backward")
    record = subject.forward()
    subject.clear()
    with recorder.recording():
        subject.backward(record, subject.upstream)
    after = AFTER["LSTM" if anatomy.kind == "LSTM" else "RNN"]
    steps = reversed(range(len(run.run.h)))
    return _compare(recorder, named, after, list(steps))


def compare_forward(subject: Subject, given: equations.Given) -> Comparison:
    """The values inside the forward pass, from the first step to the last."""
    run = equations.forward(given)
    named = {"h": run.h, "c": run.c}
    named |= {gate: run.gates[:, k] for k, gate in enumerate(equations.GATES[given.kind])}
    recorder = Recorder(type(subject.original), "forward")
    with recorder.recording():
        subject.forward()
    after = FORWARD["LSTM" if given.kind == "LSTM" else "RNN"]
    return _compare(recorder, named, after, list(range(len(run.h))))


def _compare(
    recorder: Recorder,
    named: dict[str, Array],
    after: dict[str, tuple[str, ...]],
    steps: list[int],
) -> Comparison:
    places: list[Place] = []
    last_right: Place | None = None
    for t in steps:
        found = {name: recorder.find(name, t, named[name][t]) for name in after}
        held = {name for name, place in found.items() if place.line is not None}
        for name, place in found.items():
            places.append(place)
            if name in held:
                last_right = place
            elif not _follows(name, after) & held and not (name == "grad_h" and held):
                before = [found[p] for p in after if name in after[p] and p in held]
                return Comparison(tuple(places), place, before[-1] if before else last_right)
    return Comparison(tuple(places), None, last_right)


def _follows(name: str, after: dict[str, tuple[str, ...]]) -> set[str]:
    """Everything that is computed from a quantity within its step."""
    found = set(after[name])
    for child in after[name]:
        found |= _follows(child, after)
    return found


def best_guess(subject: Subject, kind: str) -> Comparison | None:
    """The forward comparison for the way of reading the parameters that gets furthest."""
    leaves = structure.leaves(subject.inputs)
    best: Comparison | None = None
    kinds = ("LSTM",) if kind == "LSTM" else ("tanh", "relu")
    for axes in ("nd",) if subject.is_cell else ("tnd", "ntd"):
        if leaves[0].ndim != len(axes):
            continue
        x = to_standard(leaves[0], axes, "tnd")
        for equation in kinds:
            H = leaves[1].shape[-1] if len(leaves) > 1 else subject.answer_leaves[-1].shape[-1]
            states = [leaf.reshape(-1, H) for leaf in leaves[1:]]
            states += [np.zeros((x.shape[1], H))] * (2 - len(states))
            if any(state.shape != (x.shape[1], H) for state in states):
                continue
            values = {name: p.data for name, p in subject.parameters.items()}
            for layout in layouts(values, len(equations.GATES[equation]), H, x.shape[2]):
                W = layout.gather(values)
                found = compare_forward(subject, equations.Given(equation, W, x, *states[:2]))
                if best is None or len(found.places) > len(best.places):
                    best = found
    return best
