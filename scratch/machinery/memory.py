"""Memory for the arrays of a record, used again once the record is gone.

A record of a long sequence takes tens of megabytes, and fresh memory costs time beside the
arithmetic that fills it: the operating system maps and zeroes every page at its first touch. So a
layer takes back what its records no longer use and fills it anew, and a training loop runs in the
same memory from its second step on. No number is carried over, only the place. What the last record
took stays with the layer until its next `forward`.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .module import Array

SMALL = 1 << 18  # bytes; what is smaller stays in the allocator's own hands, which are fast


class Memory:
    """Gives out uninitialised arrays, and takes their memory back when the last view has died."""

    def __init__(self) -> None:
        self._free: dict[int, list[Array]] = {}

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Like `np.empty`, in memory in which no living array has a part."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size < SMALL:
            return np.empty(shape, dtype)
        try:
            block = self._free[size].pop()
        except (KeyError, IndexError):
            block = np.empty(size, np.uint8)
        # Views refer to the last array below them, which the buffer makes `array`: it lives as
        # long as any of them, and its end is the end of them all.
        array: Array = np.frombuffer(block.data, dtype)
        weakref.finalize(array, self._take_back, block).atexit = False
        return array.reshape(shape)

    def drop_free(self) -> None:
        """Give back to the system what no array uses."""
        self._free = {}

    def _take_back(self, block: Array) -> None:
        self._free.setdefault(block.size, []).append(block)

    def __reduce__(self) -> tuple[Any, ...]:
        return Memory, ()  # a copy of a module starts with memory of its own


def columns(
    memory: Memory | None, rows: int, sizes: Sequence[int], dtype: DTypeLike
) -> Sequence[Array]:
    """One contiguous (rows, n) array for each n of `sizes`, one behind the other in `memory`.

    Where all sizes are the same this is one array (T, rows, n). Without a `memory` they all lie in
    the same place: enough when no step is kept.
    """
    if memory is None:
        place = np.empty(rows * max(sizes), dtype)
        views = {n: place[: rows * n].reshape(rows, n) for n in set(sizes)}
        return [views[n] for n in sizes]
    place = memory.empty((rows * sum(sizes),), dtype)
    if min(sizes) == max(sizes):
        stacked: Sequence[Array] = place.reshape(len(sizes), rows, sizes[0])  # type: ignore[assignment]
        return stacked
    ends = rows * np.cumsum(sizes)
    return [place[e - rows * n : e].reshape(rows, n) for e, n in zip(ends, sizes, strict=True)]
