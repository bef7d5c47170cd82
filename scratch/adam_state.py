"""What Adam remembers of every parameter, and how it lies in memory.

The state of all parameters of one dtype lies end to end in long arrays: a step is then a dozen
NumPy calls, not a dozen for every parameter. For a layer of 32 units and its Linear head, that
takes a third of the time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from .module import Array, Parameter, describe

OPTIONS = (
    "lr",
    "betas",
    "eps",
    "weight_decay",
    "amsgrad",
    "maximize",
    "decoupled_weight_decay",
)
MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")  # the first rows of the state
SCRATCH = 4  # the last one


def moments(amsgrad: bool) -> tuple[str, ...]:
    return MOMENTS if amsgrad else MOMENTS[:2]


class State:
    """For all parameters of one dtype end to end: m, v, the largest v, and two rows of scratch."""

    def __init__(self, size: int, dtype: np.dtype[Any]) -> None:
        self.table = np.zeros((5, size), dtype)
        self.real_dtype = self.table.real.dtype

    def rows(self, start: int, stop: int) -> Array:
        """All rows from `start` to `stop`. A complex number is two real ones, as in PyTorch."""
        return self.table[:, start:stop].view(self.real_dtype)

    def gather(self, arrays: list[Array], row: Array) -> None:
        np.concatenate([array.ravel() for array in arrays], out=row.view(self.table.dtype))


class Slot:
    """A parameter, the number of its steps, and its part of the state."""

    def __init__(self, parameter: Parameter, state: State, start: int) -> None:
        self.parameter = parameter
        self.shape, self.dtype = parameter.shape, parameter.dtype
        self.step = 0
        self.state = state
        self.start, self.stop = start, start + parameter.data.size

    def row(self, i: int) -> Array:
        """Its part of the i-th row of the state, in its shape: a view, not a copy."""
        return self.state.table[i, self.start : self.stop].reshape(self.shape)

    def check(self) -> None:
        """Refuse a gradient that does not fit, or a parameter that is no longer what it was."""
        data, grad = self.parameter.data, self.parameter.grad
        for name, array in (("Parameter.data", data), ("Parameter.grad", grad)):
            if array is None:
                continue
            if not isinstance(array, np.ndarray):
                raise TypeError(f"{name}: expected a NumPy array, got {describe(array)}")
            if array.shape != self.shape or array.dtype != self.dtype:
                raise RuntimeError(
                    f"{name}: expected shape {self.shape} and dtype {self.dtype}, got "
                    f"{describe(array)}"
                )

    def gradient(self) -> Array:
        assert self.parameter.grad is not None
        return self.parameter.grad


def lay_out(parameters: list[Parameter]) -> list[Slot]:
    """A slot for every parameter, those of one dtype one after the other."""
    distinct = list(dict.fromkeys(parameters))
    sizes: Counter[np.dtype[Any]] = Counter()
    for parameter in distinct:
        sizes[parameter.dtype] += parameter.data.size
    states = {dtype: State(size, dtype) for dtype, size in sizes.items()}
    starts: Counter[np.dtype[Any]] = Counter()
    slots = []
    for parameter in distinct:
        slots.append(Slot(parameter, states[parameter.dtype], starts[parameter.dtype]))
        starts[parameter.dtype] += parameter.data.size
    return slots


def runs(slots: list[Slot]) -> Iterator[list[Slot]]:
    """Those with a gradient, in runs that lie end to end and have taken as many steps."""
    run: list[Slot] = []
    for slot in slots:
        if slot.parameter.grad is None:
            continue
        if run:
            last = run[-1]
            if slot.start != last.stop or slot.state is not last.state or slot.step != last.step:
                yield run
                run = []
        run.append(slot)
    if run:
        yield run


def check_names(state: dict[str, Array], parameters: int) -> None:
    required = {*OPTIONS, "parameters"}
    if required <= state.keys():
        if state["parameters"] != parameters:
            raise ValueError(
                f"state_dict: expected the state of {parameters} parameters, got that of "
                f"{state['parameters']}"
            )
        for i in range(parameters):
            names = {f"{i}.{name}" for name in ("step", *moments(bool(state["amsgrad"])))}
            required |= names if names & state.keys() else set()
    missing, unexpected = sorted(required - state.keys()), sorted(state.keys() - required)
    if missing or unexpected:
        raise KeyError(f"state_dict: missing: {missing}, unexpected: {unexpected}")


def check_shapes(state: dict[str, Array], slots: list[Slot]) -> None:
    expected: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]
    expected = {name: ((), np.dtype(np.float64)) for name in OPTIONS}
    expected["betas"] = ((2,), np.dtype(np.float64))
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
