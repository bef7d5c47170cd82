"""How the arrays of a pass lie: weights as one matrix, steps time first and samples last.

A batch comes in as a list of blocks: stretches of steps in which the same number of sequences is
running. Padded sequences are one block. Packed ones are a block for each number of sequences, the
longest sequences first: the columns of a block are the first columns of the block before it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .html import record_html
from .module import Array, Module, Parameter
from .packing import PackedSequence


class CellParameters(NamedTuple):
    """The parameters of one cell, named as in torch.nn without the layer's number."""

    weight_ih: Parameter  # (G·H, D), G gates
    weight_hh: Parameter  # (G·H, R), R the size of h: H, or P with a projection
    bias_ih: Parameter | None = None  # (G·H,)
    bias_hh: Parameter | None = None  # (G·H,)
    weight_hr: Parameter | None = None  # (P, H)

    @classmethod
    def of(cls, module: Module, suffix: str = "") -> CellParameters:
        """Those that `module` has under the names of the fields and `suffix`."""
        found: list[Any] = [getattr(module, field + suffix, None) for field in cls._fields]
        return cls(*found)


class Weights:
    """W = [W_ih | W_hh | b_ih + b_hh], so that z = W [x; h_prev; 1] is one matrix product.

    A snapshot: backward uses the weights of its own forward pass, even if the optimizer has since
    changed the parameters.

    order: which of the gates of a parameter (i, f, g, o) comes first inside, which second, ...
    negated: the first so many are held negated in `matrix`, which then gives −z of them.
    """

    def __init__(self, parameters: CellParameters, order: Sequence[int], negated: int = 0) -> None:
        weight_ih, weight_hh, *biases, weight_hr = parameters
        present = [bias.data for bias in biases if bias is not None]
        columns = [weight_ih.data, weight_hh.data]
        if present:
            columns.append(sum(present[1:], present[0])[:, None])
        W = np.concatenate(columns, axis=1)  # (G·H, D+R+1)

        self.parameters = parameters
        self.order = list(order)
        self.input_size = D = weight_ih.data.shape[1]
        self.state_size = R = weight_hh.data.shape[1]
        self.hidden_size = H = len(W) // len(order)
        if len(order) > 1:
            W = W.reshape(len(order), H, W.shape[1]).take(self.order, axis=0).reshape(W.shape)
        # Contiguous: a product with a transposed view takes longer.
        self.ih_transposed: Array = W[:, :D].T.copy()  # (D, G·H)
        self.hh_transposed: Array = W[:, D : D + R].T.copy()  # (R, G·H)
        if negated:
            W[: negated * H] *= -1
        self.matrix: Array = W
        self.projection = np.empty((0, 0)) if weight_hr is None else weight_hr.data.copy()  # (P, H)

    def by_parameter(self, grad_W: Array, grad_W_hr: Array | None = None) -> list[Any]:
        """The parameters, and their shares of the gradients of the matrices.

        grad_W: (…, G·H, D+R+1). grad_W_hr: (…, P, H), with a projection.
        """
        D, R = self.input_size, self.state_size
        if len(self.order) > 1:
            *leading, _rows, columns = grad_W.shape
            gates = grad_W.reshape(*leading, len(self.order), self.hidden_size, columns)
            back = [self.order.index(gate) for gate in range(len(self.order))]
            grad_W = gates.take(back, axis=-3).reshape(grad_W.shape)
        bias = grad_W[..., -1]
        parts = grad_W[..., :D], grad_W[..., D : D + R], bias, bias, grad_W_hr
        pairs = zip(self.parameters, parts, strict=True)
        return [(parameter, part) for parameter, part in pairs if parameter is not None]


Products = list[tuple[Array, Array]]  # grad, (T, rows, N), and inputs, (T, columns, N)


def products(stretches: Sequence[Products]) -> list[Array]:
    """Σ grad inputsᵀ, over the samples of all steps in some stretches, (rows, columns).

    The samples of all steps are the columns of two matrices, which meet in one product.
    """
    results = []
    for pairs in zip(*stretches, strict=True):
        sides = []
        for arrays in zip(*pairs, strict=True):  # the grads of all stretches, then their inputs
            a = arrays[0]
            if len(arrays) > 1:
                a = np.concatenate([step for steps in arrays for step in steps], axis=1)[None]
            sides.append(a.swapaxes(0, 1).reshape(a.shape[1], len(a) * a.shape[2]))
        results.append(sides[0] @ sides[1].T)
    return results


EVERY = np.s_[:]
Blocks = list[Array]  # each (steps, features, samples)


class PaddedLayout:
    """(T, N, features), (N, T, features) if `batch_first`, or (T, features) without a batch."""

    packed = False

    def __init__(self, x: Array, batch_first: bool) -> None:
        self.batched = x.ndim == 3
        self.batch_first = batch_first and self.batched
        # A state (layers, N, H) comes in as state[inside], and goes out as state[outside].
        self.inside = EVERY if self.batched else np.s_[:, None]
        self.outside = EVERY if self.batched else np.s_[:, 0]

    def split(self, x: Array) -> Blocks:
        """What the caller has → one block."""
        rows = x[:, None] if not self.batched else x.swapaxes(0, 1) if self.batch_first else x
        return [rows.swapaxes(1, 2)]

    def shape_of_rows(self, blocks: Blocks) -> tuple[int, ...]:
        return len(blocks[0]), blocks[0].shape[2]

    def split_rows(self, rows: Array) -> Blocks:
        """(T, N, features) → one block."""
        return [rows.swapaxes(1, 2)]

    def join(self, blocks: Blocks) -> Array:
        """One block → what the caller gets, a view."""
        rows = blocks[0].swapaxes(1, 2)
        return rows[:, 0] if not self.batched else rows.swapaxes(0, 1) if self.batch_first else rows


class PackedLayout:
    """The rows of a `PackedSequence`: step 0 of every sequence, longest first, then step 1, ..."""

    packed = True
    batched = True

    def __init__(self, x: PackedSequence) -> None:
        self.order = _copies(x[1:])  # batch_sizes, sorted_indices, unsorted_indices
        batch_sizes, sorted_indices, unsorted_indices = self.order
        self.inside = EVERY if sorted_indices is None else np.s_[:, sorted_indices]
        self.outside = EVERY if unsorted_indices is None else np.s_[:, unsorted_indices]
        starts = np.flatnonzero(np.diff(batch_sizes, prepend=0))  # the first step of each block
        self.sizes = [int(size) for size in batch_sizes[starts]]
        self.ends = np.cumsum(np.diff(starts, append=len(batch_sizes)) * self.sizes)

    def split(self, x: PackedSequence) -> Blocks:
        """A block for each number of sequences."""
        return self.split_rows(x.data)

    def shape_of_rows(self, blocks: Blocks) -> tuple[int, ...]:
        return (int(self.ends[-1]),)

    def split_rows(self, rows: Array) -> Blocks:
        """(rows, features) → a block for each number of sequences."""
        parts = zip(np.split(rows, self.ends[:-1]), self.sizes, strict=True)
        return [part.reshape(-1, n, rows.shape[1]).swapaxes(1, 2) for part, n in parts]

    def join(self, blocks: Blocks) -> PackedSequence:
        rows = [block.swapaxes(1, 2).reshape(-1, block.shape[1]) for block in blocks]
        return PackedSequence(np.concatenate(rows), *_copies(self.order))


def _copies(arrays: Iterable[Any]) -> list[Any]:
    return [None if array is None else array.copy() for array in arrays]


Layout = PaddedLayout | PackedLayout


def reverse(blocks: Blocks) -> Blocks:
    """The steps of all blocks the other way round; views."""
    return [block[::-1] for block in reversed(blocks)]


# glibc gives freed memory back to the system, which maps and zeroes it anew for the next array; but
# once a large array has been freed, it keeps up to twice as much. No page of this one is touched.
np.empty(33 * 10**6, np.uint8)


def _references() -> int:
    """How many `sys.getrefcount` counts for an array that nothing but a variable holds."""
    block = [np.empty(0)].pop()
    return sys.getrefcount(block)


UNUSED = _references()


@dataclass
class Memory:
    """The memory of one record, taken from that of the record before it where nobody uses it.

    Fresh memory costs time beside the arithmetic that fills it: the operating system maps and
    zeroes every page at its first touch. So a layer keeps the blocks of its last record, and fills
    anew those that nobody looks at any more. No number is carried over, only the place.
    """

    SMALL: ClassVar[int] = 1 << 18  # bytes; what is smaller the allocator has at hand
    before: list[Array] = field(default_factory=list)
    blocks: list[Array] = field(default_factory=list)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Like `np.empty`, in memory in which no living array has a part."""
        for _ in range(len(self.before)):
            block = self.before.pop(0)  # from here on no other thread finds it
            unused = sys.getrefcount(block) == UNUSED  # a view of it would hold one reference more
            if unused and block.shape == shape and block.dtype == dtype:
                break
            self.before.append(block)
        else:
            block = np.empty(shape, dtype)
        self.blocks.append(block)
        return block[...]

    def __reduce__(self) -> tuple[Any, ...]:
        return Memory, ()  # a copy of a module starts with memory of its own


def memory_of_one_step(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Where no step is kept: all (T, …) lie in the memory of one."""
    place = np.empty(shape[1:], dtype)
    return np.ndarray(shape, dtype, place, strides=(0, *place.strides))


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

    from_next: list[list[Array]] = field(default_factory=list)  # of each step: to h and c from t+1
    grad_z: list[Array] = field(default_factory=list)  # of each stretch, (steps, 4H, N)

    def block(self, T: int) -> tuple[list[Array], Array]:
        """Of the first T steps that are left, in their own order, (T, features, N); taken out."""
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
