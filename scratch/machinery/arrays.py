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
        """(T, N); of packed rows, (rows,)."""
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

    SMALL: ClassVar[int] = 1 << 18  # bytes; less than that costs nothing to allocate
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
