"""What a time step has before its equations: the arrays that it fills, and how it shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

from .memory import Memory, columns
from .module import Array
from .weights import Weights


class Step:
    """What one time step computed: everything its backward pass needs, under its name.

    `names` are the arrays a step shows, each (N, features); N = 1 for unbatched input.
    """

    names: ClassVar[tuple[str, ...]] = ("x", "h_prev", "h")
    gate_order: ClassVar[tuple[int, ...]] = (0,)  # the places of the inner gates in a parameter

    _inputs: Array  # (D+R+1, N)  [x; h_prev; 1]: all that meets a weight; without biases, no 1
    _x: Array  # (D, N)           its first rows
    _h_prev: Array  # (R, N)      its next rows; R is H, or P with a projection
    _h: Array  # (H, N)

    weights: Weights  # of a cell's own step; the steps of a layer have their run's
    batched: bool

    @classmethod
    def allocate(
        cls, weights: Weights, hs: Sequence[Array], memory: Memory | None
    ) -> Iterator[Self]:
        """A step for each array of `hs`, (H, n), into which it will write its h."""
        D, R = weights.input_size, weights.state_size
        sizes = [h.shape[1] for h in hs]
        blocks = columns(memory, weights.matrix.shape[1], sizes, weights.dtype)
        for h, inputs in zip(hs, blocks, strict=True):
            step = cls()
            step._h, step._inputs = h, inputs
            step._x, step._h_prev = inputs[:D], inputs[D : D + R]
            inputs[D + R :] = 1
            yield step

    def __getattr__(self, name: str) -> Array:
        if name in type(self).names:
            array: Array = getattr(self, f"_{name}").T
            array.flags.writeable = False  # backward needs it as it is
            return array
        raise AttributeError(f"{type(self).__name__} has no {name!r}: it has {self.names}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.names]
