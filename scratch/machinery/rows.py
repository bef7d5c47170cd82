"""The leading dimensions of an array as the rows of a matrix, and back.

Recurrent layers keep (T, H, N) arrays and show them as (N, T, H). To bring such an array into rows
takes ten times as long as to multiply it, so it is multiplied as it lies in memory: as one matrix
where that needs no copy, else as a stack of matrices.
"""

from __future__ import annotations

import math

from .module import Array


class Rows:
    """How arrays (…, features) become rows of features: in the order in which `x` lies."""

    def __init__(self, x: Array) -> None:
        self.is_matrix = x.ndim == 2
        if self.is_matrix:
            return
        # The axes of x, the last one last, the others from the largest step in memory down.
        order = sorted(range(x.ndim - 1), key=lambda axis: -abs(x.strides[axis]))
        self.leading = [x.shape[axis] for axis in order]
        self.order = [*order, x.ndim - 1]
        x = x.transpose(self.order)
        stacked = x.ndim > 2 and x.strides[-1] != x.itemsize and not x.flags.c_contiguous
        self.rows = self.leading if stacked else [math.prod(self.leading)]

    def split(self, x: Array) -> Array:
        """(…, features) → (rows, features), or a stack of such matrices."""
        if self.is_matrix:
            return x
        return x.transpose(self.order).reshape(*self.rows, x.shape[-1])

    def join(self, y: Array) -> Array:
        """The other way round, for any number of features."""
        if self.is_matrix:
            return y
        y = y.reshape(*self.leading, y.shape[-1])
        # The inverse permutation undoes the transposition. np.argsort takes a third of a pass.
        return y.transpose(sorted(self.order, key=self.order.__getitem__))


def sum_leading(a: Array, dimensions: int) -> Array:
    """The sum over all axes but the last `dimensions`."""
    return a.sum(axis=tuple(range(a.ndim - dimensions))) if a.ndim > dimensions else a


def by_sample(scores: Array) -> Array:
    """Scores (C,), (N, C) or (N, C, d1, …) → (M, C), a row for each of the M = N · d1 · … samples.

    Those with d1, … lie class by class: a sum over a few classes is then one of long columns.
    """
    if scores.ndim == 1:
        return scores[None]
    if scores.ndim == 2:
        return scores
    samples = math.prod(scores.shape[:1] + scores.shape[2:])
    return scores.swapaxes(0, 1).reshape(scores.shape[1], samples).T


def by_scores(rows: Array, scores: Array) -> Array:
    """The other way round: (M, C) → the shape of the scores; (M,) → that without C."""
    if scores.ndim == 2:
        return rows
    samples = scores.shape[:1] + scores.shape[2:] if scores.ndim > 2 else ()
    shaped = rows.T.reshape(rows.shape[1:] + samples)
    return shaped.swapaxes(0, 1) if scores.ndim > 2 and rows.ndim == 2 else shaped
