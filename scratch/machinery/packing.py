"""PackedSequence, and how a padded batch is packed and padded again.

Packed, sequences of several lengths lie step by step without padding: step 0 of every sequence,
the longest first, then step 1 of those that have one, and so on:

    padded, a sequence a row      packed
    a b c                         data         a d f b e c
    d e ·                         batch_sizes  3     2   1
    f · ·

Both ways only move numbers, between the same places. So the backward pass of packing is padding
with zeros, and that of padding is packing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from .checks import check_at_least, check_bool, check_int
from .module import Array, check_array, describe

Ints = NDArray[np.int64]


class _Fields(NamedTuple):
    data: Array
    batch_sizes: Ints
    sorted_indices: Ints | None
    unsorted_indices: Ints | None


class PackedSequence(_Fields):
    """N sequences without padding, step by step, the longest first. A tuple of four fields.

    data: (rows, *), any numbers; rows is the sum of the lengths. First the `batch_sizes[0]` rows of
        step 0, then the `batch_sizes[1]` rows of step 1, ...
    batch_sizes: (T,), int64; how many sequences have a step t. They never rise.
    sorted_indices: (N,), int64; `sorted_indices[k]` is the place in the caller's batch of the k-th
        sequence here. None: the caller's order is the order here.
    unsorted_indices: (N,), int64; the inverse permutation, derived when it is not given.

    Raises TypeError if `batch_sizes` or, where they are to be inverted, `sorted_indices` are not an
    array, and RuntimeError if the latter are not the int64 numbers from 0 to N − 1. The rest is
    checked by what uses it. Like
    https://docs.pytorch.org/docs/2.13/generated/torch.nn.utils.rnn.PackedSequence.html.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Array,
        batch_sizes: Ints,
        sorted_indices: Ints | None = None,
        unsorted_indices: Ints | None = None,
    ) -> Self:
        check_array("batch_sizes", batch_sizes)
        if unsorted_indices is None and sorted_indices is not None:
            _check_permutation("sorted_indices", sorted_indices)
            unsorted_indices = _invert(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def __repr__(self) -> str:
        fields = zip(self._fields, self, strict=True)
        shapes = [f"{name} {np.shape(field)}" for name, field in fields if field is not None]
        return f"PackedSequence({', '.join(shapes)})"


def pack_padded_sequence(
    input: Array,
    lengths: Sequence[int] | Array,
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Pack a padded batch.

    input: (T, N, *), or (N, T, *) if `batch_first`; any numbers. What lies beyond the length of a
        sequence is not looked at.
    lengths: N integers from 1 to T; the steps of each sequence. Floats are truncated, as in
        PyTorch.
    enforce_sorted: the sequences come longest first; `sorted_indices` is None then. Otherwise they
        are sorted, those of one length in the order of the caller.

    Returns a PackedSequence of the dtype of `input`, with copies of the numbers.

    Backward: the gradient of `input` is the padded gradient of `data`,
    `pad_packed_sequence(packed._replace(data=grad_data), batch_first, total_length=T)[0]`.

    Raises TypeError if `input` is not an array of numbers, `lengths` not a list, tuple or array of
    numbers, or `batch_first` not a bool; RuntimeError when `input` has fewer than two dimensions or
    is empty, `lengths` does not have N entries, or a length is not positive, greater than T, or
    greater than the one before while `enforce_sorted`.

    PyTorch accepts a length greater than T, and builds a PackedSequence that its layers refuse; and
    too few lengths if not `enforce_sorted`, and drops the sequences that have none. Like
    https://docs.pytorch.org/docs/2.13/generated/torch.nn.utils.rnn.pack_padded_sequence.html.
    """
    check_bool("batch_first", batch_first)
    x = _check_numbers("input", input)
    if x.ndim < 2 or not x.size:
        shape = "(N, T, *)" if batch_first else "(T, N, *)"
        raise RuntimeError(f"input: expected {shape} and at least one number, got {describe(x)}")
    if batch_first:
        x = x.swapaxes(0, 1)  # (T, N, *)
    steps, batch = x.shape[:2]
    lengths = _check_lengths(lengths, steps, batch, bool(enforce_sorted))

    order = None if enforce_sorted else np.argsort(-lengths, kind="stable")
    # At step t are those that are longer than t: (T, 1) < (N,), T that of the longest sequence.
    running = np.arange(lengths.max())[:, None] < lengths
    batch_sizes = running.sum(axis=1, dtype=np.int64)
    return PackedSequence(x[_places(batch_sizes, order)], batch_sizes, order)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Array, Ints]:
    """Pad a packed batch: the inverse of `pack_padded_sequence`.

    padding_value: what the steps beyond the end of a sequence are filled with.
    total_length: T, at least the length of the longest sequence, which it is if None.

    Returns the padded batch, (T, N, *) or (N, T, *) if `batch_first`, of the dtype of
    `sequence.data`, and the lengths, (N,), int64; both in the order of the caller's batch.

    Backward: the gradient of `sequence.data` is the packed gradient of the padded batch,
    `pack_padded_sequence(grad_padded, lengths, batch_first, enforce_sorted).data`, where
    `enforce_sorted` is what `sequence` was packed with.

    Raises TypeError for another type of an argument or of a field of `sequence`; RuntimeError when
    `padding_value` does not fit the dtype or the fields do not fit each other; ValueError when
    `total_length` is too small, as PyTorch documents it.

    PyTorch does not notice rows of data beyond the last step, nor `unsorted_indices` that name a
    sequence twice or not at all. Like
    https://docs.pytorch.org/docs/2.13/generated/torch.nn.utils.rnn.pad_packed_sequence.html.
    """
    check_packed("sequence", sequence)
    check_bool("batch_first", batch_first)
    data, batch_sizes, _, unsorted_indices = sequence
    batch, steps = int(batch_sizes[0]), _check_total_length(total_length, len(batch_sizes))
    padding = _check_padding_value(padding_value, data.dtype)

    order = None if unsorted_indices is None else _invert(unsorted_indices)
    time, place = _places(batch_sizes, order)
    outer = (batch, steps) if batch_first else (steps, batch)
    padded = np.full(outer + data.shape[1:], padding)
    padded[(place, time) if batch_first else (time, place)] = data
    lengths = np.bincount(place, minlength=batch).astype(np.int64)
    return padded, lengths


def _places(batch_sizes: Ints, order: Ints | None) -> tuple[Ints, Ints]:
    """Row r of the data is step `time[r]` of the caller's sequence `place[r]`."""
    time, rank = np.nonzero(np.arange(batch_sizes[0]) < batch_sizes[:, None])  # (rows,), (rows,)
    return time, rank if order is None else order[rank]


def _invert(permutation: Ints) -> Ints:
    inverse = np.empty_like(permutation)
    inverse[permutation] = np.arange(len(permutation))
    return inverse


# Checks: TypeError for the wrong kind of thing, RuntimeError for another shape, size or value


def check_packed(name: str, sequence: object) -> None:
    """Refuse anything but a PackedSequence, and one whose fields do not fit each other."""
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"{name}: expected a PackedSequence, got {describe(sequence)}")
    data, sizes, _, unsorted_indices = sequence
    _check_numbers(f"{name}.data", data)
    if sizes.ndim != 1 or sizes.dtype != np.int64 or not len(sizes):
        raise RuntimeError(
            f"{name}.batch_sizes: expected an int64 array (T,), T ≥ 1, {_got(sizes)}"
        )
    if sizes[-1] < 0 or np.any(sizes[1:] > sizes[:-1]):
        raise RuntimeError(
            f"{name}.batch_sizes: expected sizes that never rise nor fall below 0, {_got(sizes)}"
        )
    if data.ndim == 0 or len(data) != sizes.sum():
        raise RuntimeError(
            f"{name}.data: expected {sizes.sum()} rows, the sum of batch_sizes, "
            f"got {describe(data)}"
        )
    if unsorted_indices is not None:
        _check_permutation(f"{name}.unsorted_indices", unsorted_indices)
        if len(unsorted_indices) != sizes[0]:
            raise RuntimeError(
                f"{name}.unsorted_indices: expected {sizes[0]} of them, one for each sequence at "
                f"step 0, {_got(unsorted_indices)}"
            )


def check_order(name: str, sequence: PackedSequence) -> None:
    """Refuse indices that are not inverse to each other.

    A layer brings its states into the order of the rows by the one, and back by the other. PyTorch
    does not look, and its states come out in some other order.
    """
    order, back = sequence.sorted_indices, sequence.unsorted_indices
    if order is not None:
        _check_permutation(f"{name}.sorted_indices", order)
    if not np.array_equal(order, None if back is None else _invert(back)):  # type: ignore[arg-type]
        raise RuntimeError(
            f"{name}.sorted_indices: expected the inverse of unsorted_indices, {back}, got {order}"
        )


def check_same_order(name: str, sequence: PackedSequence, output: PackedSequence) -> None:
    """Refuse a sequence whose rows are other steps or sequences than those of `output`."""
    pairs: list[tuple[Any, Any]] = list(zip(sequence[1:], output[1:], strict=True))
    if not all(np.array_equal(a, b) for a, b in pairs):
        raise RuntimeError(
            f"{name}: expected the batch_sizes and indices of the output, as "
            f"output._replace(data=...) has them: {output[1:]}, got {sequence[1:]}"
        )


def _check_numbers(name: str, value: object) -> Array:
    array = check_array(name, value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{name}: expected numbers, got {describe(array)}")
    return array


def _check_permutation(name: str, indices: object) -> None:
    array = check_array(name, indices)
    expected = np.arange(array.size)
    if array.dtype != np.int64 or not np.array_equal(np.sort(array, axis=None), expected):
        raise RuntimeError(
            f"{name}: expected the int64 numbers from 0 to {array.size - 1}, each once, "
            f"{_got(array)}"
        )
    if array.ndim != 1:
        raise RuntimeError(f"{name}: expected an array (N,), got {describe(array)}")


def _check_lengths(lengths: object, steps: int, batch: int, enforce_sorted: bool) -> Ints:
    """The lengths as an int64 array of their own."""
    expected = f"lengths: expected {batch} integers from 1 to {steps}, one for each sequence"
    if not isinstance(lengths, np.ndarray | Sequence) or isinstance(lengths, str):
        raise TypeError(f"{expected}, got {describe(lengths)}")
    try:
        array = np.asarray(lengths)
    except ValueError:
        raise RuntimeError(f"{expected}, got nested lists of several lengths") from None
    if array.shape != (batch,):
        raise RuntimeError(f"{expected}, got {describe(array)}")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{expected}, {_got(array)}")
    # NaN is in no range; above `steps` a float is still one that int64 truncates to `steps`.
    if not np.all((array >= 1) & (array < steps + 1)):
        raise RuntimeError(f"{expected}, {_got(array)}")
    array = array.astype(np.int64)
    if enforce_sorted and np.any(array[1:] > array[:-1]):
        raise RuntimeError(
            f"lengths: expected the longest first, {_got(array)}. Sort the sequences, or pass "
            f"enforce_sorted=False"
        )
    return array


def _check_total_length(total_length: Any, longest: int) -> int:
    if total_length is None:
        return longest
    check_int("total_length", total_length, int | np.integer)
    check_at_least("total_length", total_length, longest)
    return int(total_length)


def _check_padding_value(padding_value: object, dtype: np.dtype[Any]) -> Array:
    """The number as an array () of `dtype`; a float is truncated to an integer."""
    number = np.asarray(padding_value)
    if number.ndim or number.dtype.kind not in "biufc":
        raise TypeError(f"padding_value: expected a number, got {describe(padding_value)}")
    if dtype.kind == "b":
        return number.astype(dtype)
    parts = [number.real.item(), number.imag.item()]
    if dtype.kind in "iu":
        fits = np.iinfo(dtype).min <= parts[0] <= np.iinfo(dtype).max
    else:
        largest = float(np.finfo(dtype).max)
        fits = all(abs(part) <= largest or not np.isfinite(part) for part in parts)
    if not fits or (parts[1] and dtype.kind != "c"):
        raise RuntimeError(f"padding_value: expected a number of {dtype}, got {padding_value!r}")
    return (number if dtype.kind == "c" else number.real).astype(dtype)


def _got(array: Array) -> str:
    return f"got {array.tolist()}" if array.size <= 20 else f"got {describe(array)}"
