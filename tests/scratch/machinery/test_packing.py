"""Packing and padding against torch.nn.utils.rnn, forward and backward, and what is refused."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils import rnn as theirs

from scratch.machinery.packing import (
    PackedSequence,
    check_packed,
    pack_padded_sequence,
    pad_packed_sequence,
)
from tests.parity import assert_parity


class Batch:
    """A padded batch, its lengths and options, drawn; T may exceed the longest length."""

    def __init__(self, draw):
        self.lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
        self.steps = max(self.lengths) + draw(st.integers(0, 2))
        self.features = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
        self.batch_first = draw(st.booleans())
        self.enforce_sorted = draw(st.booleans())
        if self.enforce_sorted:
            self.lengths.sort(reverse=True)
        self.dtype = draw(st.sampled_from([np.float32, np.float64]))
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.x = self.numbers(self.outer(self.steps) + self.features)

    def __repr__(self):
        return (
            f"Batch(lengths={self.lengths}, x: {self.x.shape} {self.x.dtype}, "
            f"batch_first={self.batch_first}, enforce_sorted={self.enforce_sorted})"
        )

    def outer(self, steps):
        batch = len(self.lengths)
        return (batch, steps) if self.batch_first else (steps, batch)

    def numbers(self, shape):
        return self.rng.standard_normal(shape).astype(self.dtype)

    def pack(self):
        return pack_padded_sequence(self.x, self.lengths, self.batch_first, self.enforce_sorted)


batches = st.composite(lambda draw: Batch(draw))()


def to_torch(packed, data):
    """The same sequence for torch. Its own sort is not stable: ties may lie in another order."""
    indices = [
        None if i is None else torch.tensor(i)
        for i in (packed.sorted_indices, packed.unsorted_indices)
    ]
    return theirs.PackedSequence(data, torch.tensor(packed.batch_sizes), *indices)


def torch_pack(x, batch, packed):
    """What torch packs from `x`, with the sequences in the order in which ours lie."""
    order = np.arange(len(batch.lengths)) if packed.sorted_indices is None else packed[2]
    x = x.index_select(0 if batch.batch_first else 1, torch.tensor(order))
    return theirs.pack_padded_sequence(x, np.array(batch.lengths)[order], batch.batch_first)


@settings(deadline=None)  # the first call of torch is slow
@given(batches)
def test_pack_equals_torch_forward_and_backward(batch):
    before = batch.x.copy()
    packed = batch.pack()
    x = torch.tensor(batch.x, requires_grad=True)
    expected = torch_pack(x, batch, packed)
    assert_parity("data", packed.data, expected.data)
    assert_parity("batch_sizes", packed.batch_sizes, expected.batch_sizes, 0)

    grad_data = batch.numbers(packed.data.shape)
    expected.data.backward(torch.tensor(grad_data))
    grad_x, _ = pad_packed_sequence(
        packed._replace(data=grad_data), batch.batch_first, total_length=batch.steps
    )
    assert_parity("grad_x", grad_x, x.grad)
    np.testing.assert_array_equal(batch.x, before)
    assert not np.shares_memory(packed.data, batch.x)


@settings(deadline=None)
@given(batches)
def test_indices_sort_the_lengths_and_are_inverse_to_each_other(batch):
    packed = batch.pack()
    if batch.enforce_sorted:
        assert packed.sorted_indices is None
        assert packed.unsorted_indices is None
        return
    order = np.argsort(-np.array(batch.lengths), kind="stable")
    assert_parity("sorted_indices", packed.sorted_indices, order, 0)
    assert packed.sorted_indices.dtype == packed.unsorted_indices.dtype == np.int64
    np.testing.assert_array_equal(packed.unsorted_indices[order], np.arange(len(order)))
    torch_sorted = theirs.pack_padded_sequence(
        torch.tensor(batch.x), batch.lengths, batch.batch_first, enforce_sorted=False
    )
    if len(set(batch.lengths)) == len(batch.lengths):
        assert_parity("sorted_indices", packed.sorted_indices, torch_sorted.sorted_indices, 0)
        assert_parity("unsorted_indices", packed.unsorted_indices, torch_sorted[3], 0)


@settings(deadline=None)
@given(batches, st.sampled_from([0.0, -1.5, 7, np.float32(2), float("inf"), float("nan")]))
def test_pad_equals_torch_forward_and_backward(batch, padding_value):
    packed = batch.pack()
    total_length = batch.rng.choice([None, batch.steps, batch.steps + 2])
    options = batch.batch_first, padding_value, total_length
    data = torch.tensor(packed.data, requires_grad=True)
    expected, expected_lengths = theirs.pad_packed_sequence(to_torch(packed, data), *options)
    padded, lengths = pad_packed_sequence(packed, *options)
    assert_parity("padded", padded, expected)
    assert_parity("lengths", lengths, expected_lengths, 0)
    assert lengths.tolist() == batch.lengths

    grad = batch.numbers(padded.shape)
    expected.backward(torch.tensor(grad))
    grad_data = pack_padded_sequence(grad, lengths, batch.batch_first, batch.enforce_sorted).data
    assert_parity("grad_data", grad_data, data.grad)


@settings(deadline=None)
@given(batches)
def test_pad_takes_what_torch_packed(batch):
    packed = theirs.pack_padded_sequence(
        torch.tensor(batch.x), batch.lengths, batch.batch_first, batch.enforce_sorted
    )
    ours = PackedSequence(*(None if f is None else f.numpy() for f in packed))
    expected = theirs.pad_packed_sequence(packed, batch.batch_first)
    for name, a, b in zip(("padded", "lengths"), pad_packed_sequence(ours), expected, strict=True):
        if name == "padded" and batch.batch_first:
            a = a.swapaxes(0, 1)
        assert_parity(name, a, b, 0)


@given(batches)
def test_padding_changes_nothing_and_has_exactly_no_gradient(batch):
    time = np.arange(batch.steps)
    beyond = time >= np.array(batch.lengths)[:, None]  # (N, T)
    if not batch.batch_first:
        beyond = beyond.T
    packed = batch.pack()
    batch.x[beyond] = np.nan
    np.testing.assert_array_equal(batch.pack().data, packed.data)
    grad_packed = packed._replace(data=batch.numbers(packed.data.shape))
    grad_x, _ = pad_packed_sequence(grad_packed, batch.batch_first, total_length=batch.steps)
    assert (grad_x[beyond] == 0).all()
    assert (grad_x[~beyond] != 0).all()


@settings(deadline=None)
@given(batches)
def test_round_trip(batch):
    packed = batch.pack()
    padded, lengths = pad_packed_sequence(packed, batch.batch_first, total_length=batch.steps)
    x = batch.x if not batch.batch_first else batch.x.swapaxes(0, 1)
    inside = np.arange(batch.steps)[:, None] < np.array(batch.lengths)
    expected = np.where(inside.reshape(inside.shape + (1,) * len(batch.features)), x, 0)
    expected = expected if not batch.batch_first else expected.swapaxes(0, 1)
    assert_parity("padded", padded, expected, 0)
    again = pack_padded_sequence(padded, lengths, batch.batch_first, batch.enforce_sorted)
    for name, a, b in zip(packed._fields, again, packed, strict=True):
        if b is not None:
            assert_parity(name, a, b, 0)


def test_many_sequences_of_one_length_stay_in_the_order_of_the_caller():
    """A sort that is not stable shows in more than 16 of them."""
    lengths = np.random.default_rng(0).integers(1, 4, 200)
    packed = pack_padded_sequence(np.ones((3, 200, 1)), lengths, enforce_sorted=False)
    expected = [n for length in (3, 2, 1) for n in range(200) if lengths[n] == length]
    assert packed.sorted_indices.tolist() == expected


def test_a_packed_sequence_shows_its_shapes():
    packed = pack_padded_sequence(np.zeros((3, 2, 5)), [2, 3], enforce_sorted=False)
    assert repr(packed) == (
        "PackedSequence(data (5, 5), batch_sizes (3,), sorted_indices (2,), unsorted_indices (2,))"
    )


def test_padding_of_complex_numbers():
    packed = pack_padded_sequence(np.ones((2, 2), complex), [2, 1])
    assert pad_packed_sequence(packed, padding_value=1 + 2j)[0][1, 1] == 1 + 2j


def test_a_total_length_that_is_a_truth_value_is_refused():
    packed = pack_padded_sequence(np.ones((1, 2)), [1, 1])
    with pytest.raises(TypeError, match="total_length: expected an int, got bool True"):
        pad_packed_sequence(packed, total_length=True)


def test_the_picture_in_the_docstring():
    padded = np.array([[1, 2, 3], [4, 5, 0], [6, 0, 0]])
    packed = pack_padded_sequence(padded, [3, 2, 1], batch_first=True)
    assert packed.data.tolist() == [1, 4, 6, 2, 5, 3]
    assert packed.batch_sizes.tolist() == [3, 2, 1]


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "uint8", "float16", "complex128"])
def test_any_numbers(dtype):
    x = np.arange(6).reshape(3, 2).astype(dtype)
    packed = pack_padded_sequence(x, [2, 3], enforce_sorted=False)
    expected = theirs.pack_padded_sequence(torch.tensor(x), [2, 3], enforce_sorted=False)
    np.testing.assert_array_equal(packed.data, expected.data)
    padded, _ = pad_packed_sequence(packed, padding_value=1.5)
    assert padded.dtype == dtype
    np.testing.assert_array_equal(padded, theirs.pad_packed_sequence(expected, False, 1.5)[0])


LENGTHS = [
    (5, 3, 2),
    range(5, 2, -1),
    np.array([5, 3, 2], np.int32),
    np.array([5, 3, 2], np.uint8),
    [np.int64(5), 3, 2],
    [5.0, 3.7, 3.9],
    np.array([5.9, 3, 2]),
    [True, True, True],
]


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("lengths", LENGTHS, ids=repr)
def test_lengths_that_torch_takes(lengths, enforce_sorted):
    x = np.random.default_rng(0).standard_normal((5, 3, 2))
    packed = pack_padded_sequence(x, lengths, enforce_sorted=enforce_sorted)
    expected = theirs.pack_padded_sequence(torch.tensor(x), lengths, False, enforce_sorted)
    assert_parity("batch_sizes", packed.batch_sizes, expected.batch_sizes, 0)
    if enforce_sorted:
        assert_parity("data", packed.data, expected.data, 0)


def test_packed_sequence_is_a_tuple_that_copies_and_pickles():
    packed = PackedSequence(np.ones((3, 1)), np.array([2, 1]), np.array([1, 0]))
    data, batch_sizes, sorted_indices, unsorted_indices = packed
    assert data is packed.data
    assert batch_sizes is packed.batch_sizes
    assert unsorted_indices.tolist() == sorted_indices.tolist() == [1, 0]
    for other in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        assert type(other) is PackedSequence
        np.testing.assert_array_equal(other.unsorted_indices, [1, 0])


def test_no_sequence_at_all_and_empty_last_steps():
    for sizes in ([0], [2, 2, 0]):
        packed = PackedSequence(np.ones((sum(sizes), 1)), np.array(sizes))
        expected = theirs.pad_packed_sequence(to_torch(packed, torch.tensor(packed.data)))
        for name, a, b in zip(("x", "lengths"), pad_packed_sequence(packed), expected, strict=True):
            assert_parity(name, a, b, 0)


# What torch refuses: TypeError for the wrong kind of thing, RuntimeError for the rest of it

NOT_LENGTHS = [
    3,
    3.0,
    True,
    None,
    "abc",
    {5, 3, 2},
    {0: 1},
    iter([5, 3, 2]),
    ["a", "b", "c"],
    [5, None, 2],
    [5 + 0j, 3, 2],
    np.array(["a", "b", "c"]),
    np.array([5, 3, 2], object),
]
BAD_LENGTHS = [
    [5, 3, 0],
    [5, 3, -1],
    [5, 3, 0.5],
    [float("nan"), 1, 1],
    [5, 3, 2, 1],
    [[5, 3, 2]],
    [[5, 3], [2]],
    np.array([[5, 3, 2]]),
    np.array(3),
    [],
]
LENGTHS_AND_TYPES = [(a, TypeError) for a in NOT_LENGTHS] + [(a, RuntimeError) for a in BAD_LENGTHS]


def refused(call, torch_call, argument, error=RuntimeError):
    """Both refuse; ours with `error`, the name of the argument and what came."""
    with pytest.raises(Exception):  # noqa: B017, PT011 - of several types
        torch_call()
    with pytest.raises(error, match=rf"{argument}\b.*: expected .*got ") as ours:
        call()
    assert ours.type is error


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize(
    ("lengths", "error"), LENGTHS_AND_TYPES, ids=lambda value: repr(value).split(" at ")[0]
)
def test_refused_lengths(lengths, error, enforce_sorted):
    x = np.ones((5, 3, 2))
    refused(
        lambda: pack_padded_sequence(x, lengths, False, enforce_sorted),
        lambda: theirs.pack_padded_sequence(torch.tensor(x), lengths, False, enforce_sorted),
        "lengths",
        error,
    )


@pytest.mark.parametrize("lengths", [[2, 3, 5], [5, 3]], ids=repr)
def test_refused_lengths_when_sorted(lengths):
    x = np.ones((5, 3, 2))
    refused(
        lambda: pack_padded_sequence(x, lengths),
        lambda: theirs.pack_padded_sequence(torch.tensor(x), lengths),
        "lengths",
    )


def test_lengths_that_only_we_refuse():
    """torch packs both: one into what its layers refuse, the other without the third sequence."""
    x = np.ones((5, 3, 2))
    broken = theirs.pack_padded_sequence(torch.tensor(x), [6, 3, 2])
    with pytest.raises(RuntimeError):
        theirs.pad_packed_sequence(broken)
    with pytest.raises(RuntimeError, match=r"lengths: expected 3 integers from 1 to 5.*\[6, 3, 2"):
        pack_padded_sequence(x, [6, 3, 2])
    assert theirs.pack_padded_sequence(torch.tensor(x), [5, 3], False, False).batch_sizes[0] == 2
    with pytest.raises(RuntimeError, match=r"lengths: expected 3 integers.*shape \(2,\)"):
        pack_padded_sequence(x, [5, 3], enforce_sorted=False)


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("shape", [(), (5,), (0, 3, 2), (3, 0, 2), (3, 3, 0)], ids=repr)
def test_refused_input(shape, batch_first, enforce_sorted):
    x, options = np.ones(shape), ([1] * (3 if shape else 1), batch_first, enforce_sorted)
    refused(
        lambda: pack_padded_sequence(x, *options),
        lambda: theirs.pack_padded_sequence(torch.tensor(x), *options),
        "input",
    )
    with pytest.raises(RuntimeError) as raised:
        pack_padded_sequence(x, *options)
    assert ("(N, T, *)" if batch_first else "(T, N, *)") in str(raised.value)


@pytest.mark.parametrize("x", [None, [[1.0]], 1.0], ids=repr)
def test_refused_input_that_is_no_array(x):
    refused(
        lambda: pack_padded_sequence(x, [1]),
        lambda: theirs.pack_padded_sequence(x, [1]),
        "input",
        TypeError,
    )


def test_refused_input_that_is_no_numbers():
    with pytest.raises(TypeError, match="input: expected numbers"):
        pack_padded_sequence(np.array([["a"]]), [1])


@pytest.mark.parametrize("batch_first", [None, 0, 1, "yes", np.True_], ids=repr)
def test_refused_batch_first(batch_first):
    x = np.ones((2, 2))
    refused(
        lambda: pack_padded_sequence(x, [2, 1], batch_first),
        lambda: theirs.pack_padded_sequence(torch.tensor(x), [2, 1], batch_first),
        "batch_first",
        TypeError,
    )
    packed = pack_padded_sequence(x, [2, 1])
    refused(
        lambda: pad_packed_sequence(packed, batch_first),
        lambda: theirs.pad_packed_sequence(
            to_torch(packed, torch.tensor(packed.data)), batch_first
        ),
        "batch_first",
        TypeError,
    )


@pytest.mark.parametrize("total_length", [4, 0, -1, np.int64(4), 5.0, 7.0, "5", [7]], ids=repr)
def test_refused_total_length(total_length):
    packed = pack_padded_sequence(np.ones((5, 2)), [5, 3])
    twin = to_torch(packed, torch.tensor(packed.data))
    refused(
        lambda: pad_packed_sequence(packed, total_length=total_length),
        lambda: theirs.pad_packed_sequence(twin, total_length=total_length),
        "total_length",
        ValueError if isinstance(total_length, int | np.integer) else TypeError,  # as torch's docs
    )


PADDING = [
    *[("float32", value) for value in (None, "0", [1], 1j, 1e300, -1e300, 2**70)],
    *[("int64", value) for value in (None, 1j, 1e30, 2**63, float("nan"), float("inf"))],
    *[("int8", value) for value in (128, 127.5, -128.5)],
    *[("uint8", value) for value in (300, -1.5)],
    ("float16", 65520.0),
    ("complex64", 1e300),
]


@pytest.mark.parametrize(("dtype", "padding_value"), PADDING, ids=repr)
def test_refused_padding_value(dtype, padding_value):
    packed = pack_padded_sequence(np.ones((2, 2), dtype), [2, 1])
    twin = to_torch(packed, torch.tensor(packed.data))
    refused(
        lambda: pad_packed_sequence(packed, False, padding_value),
        lambda: theirs.pad_packed_sequence(twin, False, padding_value),
        "padding_value",
        TypeError if padding_value in (None, "0", [1], 2**70) else RuntimeError,
    )


@pytest.mark.parametrize("sequence", [None, np.ones(3), (np.ones(3), np.array([3])), []], ids=repr)
def test_refused_sequence(sequence):
    refused(
        lambda: pad_packed_sequence(sequence),
        lambda: theirs.pad_packed_sequence(sequence),
        "sequence",
        TypeError,
    )


BAD_FIELDS = [  # rows, batch_sizes, sorted_indices, unsorted_indices, the field that is named
    (6, [3, 2, 1], None, None, "batch_sizes"),  # a list
    (6, np.array([3.0, 2, 1]), None, None, "batch_sizes"),
    (6, np.array([3, 2, 1], np.int32), None, None, "batch_sizes"),
    (6, np.array([[3, 2, 1]]), None, None, "batch_sizes"),
    (6, np.array(6), None, None, "batch_sizes"),
    (0, np.array([], np.int64), None, None, "batch_sizes"),
    (6, np.array([2, 3, 1]), None, None, "batch_sizes"),
    (6, np.array([3, 2, 3]), None, None, "batch_sizes"),
    (6, np.array([3, 3, 3]), None, None, "data"),
    (6, np.array([3, 2, 1]), [0, 1, 2], None, "sorted_indices"),
    (6, np.array([3, 2, 1]), np.array([0, 1, 3]), None, "sorted_indices"),
    (6, np.array([3, 2, 1]), np.array([0, 1, -1]), None, "sorted_indices"),
    (6, np.array([3, 2, 1]), np.array([0.0, 1, 2]), None, "sorted_indices"),
    (6, np.array([3, 2, 1]), np.array([0, 1, 2], np.int32), None, "sorted_indices"),
    (6, np.array([3, 2, 1]), np.array([[0, 1, 2]]), None, "sorted_indices"),
    (6, np.array([3, 2, 1]), None, [0, 1, 2], "unsorted_indices"),
    (6, np.array([3, 2, 1]), None, np.array([0, 1, 3]), "unsorted_indices"),
    (6, np.array([3, 2, 1]), None, np.array([0, 1, -1]), "unsorted_indices"),
    (6, np.array([3, 2, 1]), None, np.array([0.0, 1, 2]), "unsorted_indices"),
    (6, np.array([3, 2, 1]), None, np.array([[0, 1, 2]]), "unsorted_indices"),
]


@pytest.mark.parametrize(("rows", "sizes", "order", "back", "field"), BAD_FIELDS, ids=repr)
def test_refused_fields(rows, sizes, order, back, field):
    def to_tensor(value):
        return torch.tensor(value) if isinstance(value, np.ndarray) else value

    data, fields = np.ones((rows, 2)), (sizes, order, back)
    refused(
        lambda: pad_packed_sequence(PackedSequence(data, *fields)),
        lambda: theirs.pad_packed_sequence(
            theirs.PackedSequence(torch.tensor(data), *map(to_tensor, fields))
        ),
        field,
        TypeError if list in map(type, fields) else RuntimeError,
    )


@pytest.mark.parametrize("data", [[1.0, 2.0], None], ids=repr)
def test_refused_data(data):
    refused(
        lambda: pad_packed_sequence(PackedSequence(data, np.array([2]))),
        lambda: theirs.pad_packed_sequence(theirs.PackedSequence(data, torch.tensor([2]))),
        "data",
        TypeError,
    )


@pytest.mark.parametrize(
    ("rows", "sizes", "back", "field"),
    [
        (7, [3, 2, 1], None, "data"),
        (6, [3, 2, 1], [0, 1], "unsorted_indices"),
        (6, [3, 2, 1], [0, 1, 1], "unsorted_indices"),
        (6, [7, -1], None, "batch_sizes"),  # torch may bring the process down
    ],
)
def test_fields_that_only_we_refuse(rows, sizes, back, field):
    back = None if back is None else np.array(back)
    packed = PackedSequence(np.ones((rows, 2)), np.array(sizes), None, back)
    with pytest.raises(RuntimeError, match=rf"x.{field}: expected .*got "):
        check_packed("x", packed)
