"""What Adam remembers of its parameters, and how that lies in memory.

That of all parameters of one dtype lies end to end in three rows: a step is then a dozen NumPy
calls, not a dozen for every parameter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .module import Array, Parameter, check_array, describe

MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")  # m, v and the largest v so far


class AdamState:
    """That of some parameters of one dtype."""

    def __init__(self, parameters: list[Parameter]) -> None:
        self.parameters = parameters
        self.shapes = [parameter.data.shape for parameter in parameters]
        self.dtype = parameters[0].dtype
        self.ends = np.cumsum([parameter.data.size for parameter in parameters]).tolist()
        self.steps = [0] * len(parameters)
        self.moments = np.zeros((len(MOMENTS), self.ends[-1]), self.dtype)

    def together(self) -> Iterator[slice]:
        """The parameters that can be changed in one go.

        All of them, if each has a gradient and has taken as many steps; else one by one.
        """
        have_gradient = [parameter.grad is not None for parameter in self.parameters]
        if all(have_gradient) and min(self.steps) == max(self.steps):
            yield slice(0, len(self.parameters))
            return
        for i in np.flatnonzero(have_gradient):
            yield slice(i, i + 1)

    def rows(self, chosen: slice) -> Array:
        """m, v and the largest v of some parameters, (3, numbers). A complex number is two real."""
        start = self.ends[chosen.start - 1] if chosen.start else 0
        return self.moments[:, start : self.ends[chosen.stop - 1]].view(self.moments.real.dtype)

    def row(self, arrays: list[Array]) -> Array:
        """Some parameters' arrays end to end, as the rows are."""
        return np.concatenate([array.ravel() for array in arrays]).view(self.moments.real.dtype)

    def split(self, row: Array, chosen: slice) -> Iterator[Array]:
        """The other way round: each parameter's part of a row, in its shape."""
        row, start = row.view(self.dtype), 0
        for shape, parameter in zip(self.shapes[chosen], self.parameters[chosen], strict=True):
            yield row[start : start + parameter.data.size].reshape(shape)
            start += parameter.data.size

    def moment(self, name: str, k: int) -> Array:
        """That of one parameter, in its shape: a view, not a copy."""
        start = self.ends[k - 1] if k else 0
        row = self.moments[MOMENTS.index(name), start : self.ends[k]]
        return row.reshape(self.shapes[k])

    def check(self) -> None:
        """Refuse a gradient that does not fit, or a parameter that is no longer what it was."""
        for parameter, shape in zip(self.parameters, self.shapes, strict=True):
            if parameter.grad is None:
                continue
            for name, array in (("data", parameter.data), ("grad", parameter.grad)):
                if type(array) is not np.ndarray:
                    check_array(f"Parameter.{name}", array)
                if array.shape != shape or array.dtype != self.dtype:
                    raise RuntimeError(
                        f"Parameter.{name}: expected shape {shape} and dtype {self.dtype}, got "
                        f"{describe(array)}"
                    )
            if not parameter.data.flags.writeable:
                raise RuntimeError(
                    "Parameter.data: expected an array that can be changed, got one that is "
                    "read-only"
                )


def states_by_dtype(parameters: list[Parameter]) -> list[AdamState]:
    groups: dict[Any, list[Parameter]] = {}
    for parameter in parameters:
        groups.setdefault(parameter.dtype, []).append(parameter)
    return [AdamState(group) for group in groups.values()]
