"""An array (…, features) as rows of features, without a copy where that can be avoided.

Recurrent layers keep (T, H, N) arrays and show them as (N, T, H). To bring such an array into rows
takes ten times as long as to multiply it, so it is multiplied as it lies in memory: as one matrix
where that needs no copy, else as a stack of matrices.
"""

from __future__ import annotations

import math

from .module import Array


class Rows:
    """`array` is x as one matrix, (rows, features), or as several, (…, rows, features)."""

    def __init__(self, x: Array) -> None:
        self.leading = x.shape[:-1]
        # The axes of x, the last one last, the others from the largest step in memory down.
        self.order = sorted(range(x.ndim - 1), key=lambda axis: -abs(x.strides[axis]))
        x = x.transpose(*self.order, x.ndim - 1)
        columns_of_matrices = x.ndim > 2 and x.strides[-1] != x.itemsize
        if not columns_of_matrices or x.flags.c_contiguous:
            x = x.reshape(math.prod(self.leading), x.shape[-1])
        self.array = x

    def like(self, y: Array) -> Array:
        """The rows of another array with the same leading dimensions, in the same order."""
        y = y.transpose(*self.order, y.ndim - 1)
        return y.reshape(*self.array.shape[:-1], y.shape[-1])

    def back(self, y: Array) -> Array:
        """Rows in this order → (…, features) in the order of x."""
        if len(self.leading) > 1:
            y = y.reshape(*(self.leading[axis] for axis in self.order), y.shape[-1])
            # The inverse permutation undoes the transposition. np.argsort takes a third of a pass.
            inverse = sorted(range(len(self.order)), key=self.order.__getitem__)
            return y.transpose(*inverse, y.ndim - 1)
        return y.reshape(*self.leading, y.shape[-1])
