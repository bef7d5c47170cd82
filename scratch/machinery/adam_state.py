"""What Adam remembers of every parameter, and how it lies in memory.

The state of all parameters of one dtype lies end to end in long arrays: a step is then a dozen
NumPy calls, not a dozen for every parameter. For a layer of 32 units and its Linear head, that
takes a third of the time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .module import Array, Parameter, check_array, describe

OPTIONS: dict[str, type[np.generic]] = {
    "lr": np.float64,
    "betas": np.float64,
    "eps": np.float64,
    "weight_decay": np.float64,
    "amsgrad": np.bool_,
    "maximize": np.bool_,
    "decoupled_weight_decay": np.bool_,
}


class Rows(NamedTuple):
    """Of some parameters end to end: their state, and the memory that a step computes in."""

    exp_avg: Array  # m
    exp_avg_sq: Array  # v
    max_exp_avg_sq: Array  # the largest v so far
    gradient: Array
    scratch: Array


MOMENTS = Rows._fields[:3]


def moments(amsgrad: bool) -> tuple[str, ...]:
    return MOMENTS if amsgrad else MOMENTS[:2]


class State:
    """The rows of all parameters of one dtype."""

    def __init__(self, size: int, dtype: np.dtype[Any]) -> None:
        self.rows = Rows(*np.zeros((len(Rows._fields), size), dtype))
        self.dtype, self.real_dtype = dtype, self.rows.scratch.real.dtype

    def real_rows(self, start: int, stop: int) -> Rows:
        """All rows from `start` to `stop`. A complex number is two real ones, as in PyTorch."""
        return Rows(*(row[start:stop].view(self.real_dtype) for row in self.rows))

    def gather(self, arrays: list[Array], row: Array) -> None:
        np.concatenate([array.ravel() for array in arrays], out=row.view(self.dtype))


class Slot:
    """A parameter, the number of its steps, and its part of the state."""

    def __init__(self, parameter: Parameter, state: State, start: int) -> None:
        self.parameter = parameter
        self.shape, self.dtype = parameter.shape, parameter.dtype
        self.step = 0
        self.state = state
        self.start, self.stop = start, start + parameter.data.size

    def row(self, name: str) -> Array:
        """Its part of a row of the state, in its shape: a view, not a copy."""
        row: Array = getattr(self.state.rows, name)
        return row[self.start : self.stop].reshape(self.shape)

    def check(self) -> None:
        """Refuse a gradient that does not fit, or a parameter that is no longer what it was."""
        data, grad = self.parameter.data, self.parameter.grad
        if grad is None or (self.fits(data) and self.fits(grad) and data.flags.writeable):
            return
        for name, array in (("Parameter.data", data), ("Parameter.grad", grad)):
            if not self.fits(check_array(name, array)):
                raise RuntimeError(
                    f"{name}: expected shape {self.shape} and dtype {self.dtype}, got "
                    f"{describe(array)}"
                )
        raise RuntimeError(
            "Parameter.data: expected an array that can be changed, got one that is read-only"
        )

    def fits(self, array: Any) -> bool:
        return (
            isinstance(array, np.ndarray)
            and array.shape == self.shape
            and array.dtype == self.dtype
        )


def lay_out(parameters: list[Parameter]) -> list[Slot]:
    """A slot for every parameter, those of one dtype one after the other."""
    sizes: Counter[np.dtype[Any]] = Counter()
    for parameter in parameters:
        sizes[parameter.dtype] += parameter.data.size
    states = {dtype: State(size, dtype) for dtype, size in sizes.items()}
    starts: Counter[np.dtype[Any]] = Counter()
    slots = []
    for parameter in parameters:
        slots.append(Slot(parameter, states[parameter.dtype], starts[parameter.dtype]))
        starts[parameter.dtype] += parameter.data.size
    return slots


def neighbours(slots: list[Slot]) -> Iterator[list[Slot]]:
    """Those with a gradient, in groups that lie end to end and have taken as many steps."""
    group: list[Slot] = []
    for slot in slots:
        if slot.parameter.grad is None:
            continue
        if group:
            last = group[-1]
            if slot.start != last.stop or slot.state is not last.state or slot.step != last.step:
                yield group
                group = []
        group.append(slot)
    if group:
        yield group


def check_names(state: dict[str, Array], parameters: int) -> None:
    required = {*OPTIONS, "parameters"}
    if required <= state.keys():
        if not np.array_equal(state["parameters"], parameters):
            raise ValueError(
                f"state_dict: expected the state of {parameters} parameters, got that of "
                f"{state['parameters']}"
            )
        for i in range(parameters):
            names = {f"{i}.{name}" for name in ("step", *moments(bool(state["amsgrad"].any())))}
            required |= names if names & state.keys() else set()
    missing = sorted(required - state.keys())
    unexpected = sorted(state.keys() - required, key=str)
    if missing or unexpected:
        raise KeyError(f"state_dict: missing: {missing}, unexpected: {unexpected}")


def check_shapes(state: dict[str, Array], slots: list[Slot]) -> None:
    expected: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]
    expected = {
        name: ((2,) if name == "betas" else (), np.dtype(dtype)) for name, dtype in OPTIONS.items()
    }
    for i, slot in enumerate(slots):
        expected[f"{i}.step"] = ((), np.dtype(np.int64))
        expected |= {f"{i}.{name}": (slot.shape, slot.dtype) for name in MOMENTS}
    problems = [
        f"{name}: expected shape {expected[name][0]} and dtype {expected[name][1]}, got "
        f"{describe(array)}"
        for name, array in state.items()
        if name in expected
        and not (
            array.shape == expected[name][0]
            and np.can_cast(array.dtype, expected[name][1], "same_kind")
        )
    ]
    if problems:
        raise RuntimeError("state_dict does not fit:\n  " + "\n  ".join(problems))


def check_steps(state: dict[str, Array]) -> None:
    steps = {name: array.item() for name, array in state.items() if name.endswith(".step")}
    problems = [
        f"{name}: expected at least 1, got {step}" for name, step in steps.items() if step < 1
    ]
    if problems:
        raise ValueError("state_dict does not fit:\n  " + "\n  ".join(problems))
