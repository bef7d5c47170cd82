"""What cells and layers remember of a pass, by the names of the equations, and what came back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arrays import Blocks, reverse
from .html import record_html
from .module import Array
from .packing import PackedSequence


@dataclass(eq=False)
class Run:
    """The steps of one cell in one direction. `run.h`, `run.i`, ... are (T, N, H), read-only.

    For packed input they are (rows of the packed data, H). Index t is the step of the input in
    either direction.
    """

    steps: list[Any]  # a block each, in the order in which the steps were taken
    reverse: bool = False
    packed: bool = False

    def _arrays(self, block: int) -> dict[str, Array]:
        """Those of a block by their names, each (T, features, N)."""
        arrays: dict[str, Array] = self.steps[block].named_arrays()
        return arrays

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._arrays(0)) if self.steps else ()

    def __getattr__(self, name: str) -> Array:
        # A name of Python's own is not looked for in the arrays: a copy asks before it has any.
        known = not name.startswith("_")
        blocks = [self._arrays(block) for block in range(len(self.steps))] if known else []
        if not blocks or name not in blocks[0]:
            have = f": it has {', '.join(blocks[0])}" if blocks else ""
            raise AttributeError(f"{type(self).__name__} has no {name!r}{have}")
        return self._turned([arrays[name] for arrays in blocks])

    def _turned(self, blocks: Blocks) -> Array:
        """(T, features, N) → (T, N, features), or the rows of the packed data."""
        blocks = [block.swapaxes(1, 2) for block in self._by_step(blocks)]  # (T, N, features)
        if self.packed:
            return np.concatenate([block.reshape(-1, block.shape[2]) for block in blocks])
        (array,) = blocks
        array.flags.writeable = False  # backward needs it as it is
        return array

    def _by_step(self, blocks: Blocks) -> Blocks:
        """In the order of the input's steps."""
        return reverse(blocks) if self.reverse else blocks

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.names]

    _repr_html_ = record_html

    def __repr__(self) -> str:
        return shapes(self._title(), self, *self.names)

    def _title(self) -> str:
        return type(self).__name__


@dataclass
class Back:
    """What comes back to the steps of a run, noted while they go backward, the last step first."""

    from_next: list[list[Array]] = field(default_factory=list)  # of h and c, (H, N), from step t+1
    grad_z: list[Array] = field(default_factory=list)  # of each stretch, (steps, 4H, N)

    def block(self, T: int) -> tuple[list[Array], Array]:
        """Take out what was noted last, of T steps, in their order: `from_next`, then `grad_z`.

        (T, features, N) each.
        """
        noted, self.from_next = self.from_next[-T:][::-1], self.from_next[:-T]
        grad_z: list[Array] = []
        while sum(map(len, grad_z)) < T:
            grad_z.append(self.grad_z.pop())
        return [np.stack(arrays) for arrays in zip(*noted, strict=True)], np.concatenate(grad_z)


class BackwardRun(Run):
    """What came back to the steps of a run: `run.grad_h`, `run.grad_c`, ... as the run is indexed.

    For an LSTM also grad_i and its like, before σ and tanh are differentiated, and grad_z_i and its
    like, after; for an RNN grad_z. grad_h is grad_h_from_output + grad_h_from_next, and grad_c is
    grad_c_from_h + grad_c_from_next.
    """

    def __init__(self, run: Run, grad_hs: Blocks | None, back: Back) -> None:
        super().__init__(run.steps, run.reverse, run.packed)
        self.back = [back.block(len(steps.x)) for steps in run.steps]
        self.from_output = grad_hs or [np.zeros_like(states[0]) for states, _ in self.back]

    def _arrays(self, block: int) -> dict[str, Array]:
        (from_next, *grad_c_from_next), grad_z = self.back[block]
        from_output = self.from_output[block]
        arrays: dict[str, Array] = self.steps[block].named_gradients(
            from_next + from_output, grad_z, *grad_c_from_next
        )
        return arrays | {"grad_h_from_output": from_output, "grad_h_from_next": from_next}

    def contributions(self, name: str) -> Array:
        """What step t added to the gradient of a parameter: (T, *its shape), "weight_hh" and so on.

        Their sum over t is what the pass added to `.grad`. A step of packed input counts all
        sequences that have it.
        """
        weights = self.steps[0].weights
        parameter = getattr(weights.parameters, name, None)
        if parameter is None:
            names = [n for n, p in weights.parameters._asdict().items() if p is not None]
            raise ValueError(f"name: expected one of {', '.join(names)}, got {name!r}")
        blocks: Blocks = []
        for block, steps in enumerate(self.steps):
            (from_next, *_), grad_z = self.back[block]
            grad_h = from_next + self.from_output[block]
            _, pairs = steps.affine_backward(slice(len(grad_h)), grad_z, grad_h)
            shares = [grad @ inputs.swapaxes(1, 2) for grad, inputs in pairs]
            blocks += [part for p, part in weights.by_parameter(*shares) if p is parameter]
        return np.concatenate(self._by_step(blocks))


class CellRecord(Run):
    """One step of a cell: `step.h`, `step.x`, ... are (N, H), N = 1 without a batch, read-only."""

    def __init__(self, step: Any, batched: bool) -> None:
        super().__init__([step])
        self.batched = batched

    def _turned(self, blocks: Blocks) -> Array:
        array: Array = super()._turned(blocks)[0]
        return array

    def _title(self) -> str:
        return type(self.steps[0]).__name__


class CellBackwardRecord(CellRecord):
    """What came back through one step of a cell.

    grad_x, grad_state_prev: what `backward` returns.
    grad_h and, for an LSTM, grad_c, grad_i, grad_z_i, ... as in a `BackwardRun`: (N, H).
    """

    def __init__(
        self, record: CellRecord, above: Blocks, grad_z: Array, grad_x: Array, grad_prev: Any
    ) -> None:
        super().__init__(record.steps[0], record.batched)
        self.above = above  # the gradients of h and c, (1, H, N)
        self.grad_z_inside = grad_z  # (1, 4H, N)
        self.grad_x, self.grad_state_prev = grad_x, grad_prev

    def _arrays(self, block: int) -> dict[str, Array]:
        grad_h, *grad_c_from_next = self.above
        arrays: dict[str, Array] = self.steps[block].named_gradients(
            grad_h, self.grad_z_inside, *grad_c_from_next
        )
        return arrays

    def _title(self) -> str:
        return f"backward record of {super()._title()}"


def shapes(title: str, record: Any, *names: str) -> str:
    """What a record says of itself: `title(h (5, 2, 4), c (5, 2, 4))`."""
    parts = []
    for name in names:
        array = getattr(record, name, None)
        if array is not None:
            array = array.data if isinstance(array, PackedSequence) else array
            parts.append(f"{name} {array.shape}")
    return f"{title}({', '.join(parts)})"
