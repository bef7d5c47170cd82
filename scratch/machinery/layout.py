"""How a batch of sequences comes in and goes out; inside it is a list of steps.

Inside, step t is (features, n): the n sequences that are still running at t, one a column. These
classes turn what the caller has into that list and back: a padded array, in which all sequences are
equally long, or a `PackedSequence`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .module import Array
from .packing import PackedSequence


class PaddedLayout:
    """(T, N, features), (N, T, features) if `batch_first`, or (T, features) if not `batched`."""

    packed = False

    def __init__(self, x: Array, batch_first: bool) -> None:
        self.batched = x.ndim == 3
        self.batch_first = batch_first and self.batched
        time, batch = x.shape[:2] if self.batched else (len(x), 1)
        if self.batch_first:
            time, batch = batch, time
        self.batch = batch
        self.shape: tuple[int, ...] = (time, batch)
        self.sizes = [batch] * time

    def split(self, x: Array) -> Sequence[Array]:
        """What the caller has → T steps."""
        if not self.batched:
            x = x[:, None]
        return self.split_rows(x.swapaxes(0, 1) if self.batch_first else x)

    def split_rows(self, rows: Array) -> Sequence[Array]:
        """(T, N, features) → T steps."""
        return rows.swapaxes(1, 2)  # type: ignore[return-value]

    def join(self, steps: Sequence[Array]) -> Array:
        """T steps → what the caller gets."""
        rows = np.asarray(steps).swapaxes(1, 2)  # (T, N, features), a view
        if not self.batched:
            return rows[:, 0]
        return rows.swapaxes(0, 1) if self.batch_first else rows

    def sort(self, state: Array) -> Array:
        """A state of the caller → (layers, N, H), the sequences in the order of the columns."""
        return state if self.batched else state[:, None]

    def unsort(self, state: Array) -> Array:
        """The other way."""
        return state if self.batched else state[:, 0]


class PackedLayout:
    """The rows of a `PackedSequence`: step 0 of every sequence, longest first, then step 1, ..."""

    packed = True
    batched = True

    def __init__(self, x: PackedSequence) -> None:
        self.order = _copies(x[1:])  # batch_sizes, sorted_indices, unsorted_indices
        _, self.sorted_indices, self.unsorted_indices = self.order
        self.batch = int(x.batch_sizes[0])
        self.shape: tuple[int, ...] = (len(x.data),)
        self.sizes = [int(size) for size in x.batch_sizes]

    def split(self, x: PackedSequence) -> Sequence[Array]:
        return self.split_rows(x.data)

    def split_rows(self, rows: Array) -> Sequence[Array]:
        """(rows, features) → T steps."""
        return [step.T for step in np.split(rows, np.cumsum(self.sizes[:-1]))]

    def join(self, steps: Sequence[Array]) -> PackedSequence:
        rows = np.concatenate([step.T for step in steps])
        return PackedSequence(rows, *_copies(self.order))

    def sort(self, state: Array) -> Array:
        return state if self.sorted_indices is None else state[:, self.sorted_indices]

    def unsort(self, state: Array) -> Array:
        return state if self.unsorted_indices is None else state[:, self.unsorted_indices]


def _copies(arrays: Iterable[Any]) -> list[Any]:
    return [None if array is None else array.copy() for array in arrays]


Layout = PaddedLayout | PackedLayout
