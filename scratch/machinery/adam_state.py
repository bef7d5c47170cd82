"""What Adam remembers of its parameters, and how that lies in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .module import Array, Parameter
from .optim_checks import MOMENTS, check_gradient

SMALL = 1 << 13  # numbers; a larger parameter is changed alone, as bringing it to others costs more


class Group:
    """Parameters of one dtype that have taken equally many steps, and what these left behind.

    Their numbers lie end to end, so that a step is a dozen calls of NumPy for all of them, not for
    each. `moments`, (3, numbers), has m, v and the largest v so far.
    """

    def __init__(self, parameters: dict[int, Parameter], saved: Mapping[str, Any]) -> None:
        """parameters: by their number in the optimizer. saved: as `state_of` gives it."""
        self.numbers, self.parameters = list(parameters), list(parameters.values())
        self.has_gradient = self.parameters[0].grad is not None
        self.step = int(saved.get(f"{self.numbers[0]}.step", 0))
        self.shapes = [parameter.data.shape for parameter in self.parameters]
        self.dtype = self.parameters[0].data.dtype
        ends = np.cumsum([parameter.data.size for parameter in self.parameters]).tolist()
        self.parts = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        self.moments = np.zeros((len(MOMENTS), ends[-1]), self.dtype)
        for k, number in enumerate(self.numbers):
            for name, moment in self.moments_of(k).items():
                moment[...] = saved.get(f"{number}.{name}", 0)

    def moments_of(self, k: int) -> dict[str, Array]:
        """Those of its k-th parameter by name, in its shape: views, not copies."""
        part, shape = self.parts[k], self.shapes[k]
        rows = zip(MOMENTS, self.moments, strict=True)
        return {name: row[part].reshape(shape) for name, row in rows}

    def check(self) -> bool:
        """Refuse a gradient that does not fit; False if a parameter has gained or lost its one."""
        for parameter, shape in zip(self.parameters, self.shapes, strict=True):
            check_gradient(parameter, shape, self.dtype)
        return all((p.grad is not None) == self.has_gradient for p in self.parameters)

    # All of its numbers in one vector. A complex number is two real ones, as in PyTorch.

    def real_moments(self) -> Array:
        return self.moments.view(self.moments.real.dtype)

    def joined(self, arrays: Iterable[Any]) -> Array:
        """An array of each parameter, end to end; of a single one, it may be itself."""
        flat = [array.ravel() for array in arrays]
        vector = np.concatenate(flat) if len(flat) > 1 else flat[0]
        return vector.view(vector.real.dtype)

    def subtract(self, change: Array) -> None:
        """θ = θ − change."""
        change = change.view(self.dtype)
        for parameter, part, shape in zip(self.parameters, self.parts, self.shapes, strict=True):
            parameter.data -= change[part].reshape(shape)


def groups_of(parameters: Iterable[Parameter], saved: Mapping[str, Any]) -> list[Group]:
    """The parameters in groups: all that are small and have a gradient, or have none."""
    members: dict[Any, dict[int, Parameter]] = {}
    for number, parameter in enumerate(parameters):
        alone = number if parameter.data.size > SMALL else None
        step = int(saved.get(f"{number}.step", 0))
        kind = parameter.dtype, step, parameter.grad is None, alone
        members.setdefault(kind, {})[number] = parameter
    return [Group(own, saved) for own in members.values()]


def state_of(groups: list[Group], names: Iterable[str]) -> dict[str, Array]:
    """By name, the number of steps of each parameter that has taken one, and copies of its moments.

    names: which of MOMENTS.
    """
    saved = {}
    for group in groups:
        for k, number in enumerate(group.numbers if group.step else ()):
            saved[f"{number}.step"] = np.array(group.step)
            moments = group.moments_of(k)
            saved |= {f"{number}.{name}": moments[name].copy() for name in names}
    return saved
