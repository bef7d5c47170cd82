"""Nests of tuples, flat and back, packed sequences of either library among them."""

import numpy as np
import torch

from scratch import pack_padded_sequence
from scratch.machinery import nests


def test_flat_and_back():
    nest = (np.ones(2), [None, (3, 4.0)], np.arange(3))
    assert [np.size(leaf) for leaf in nests.flatten(nest)] == [2, 1, 1, 1, 3]
    again = nests.map_leaves(lambda leaf: leaf, nest)
    assert type(again[1]) is list
    assert again[1][1] == (3, 4.0)


def test_only_floats_have_a_gradient():
    nest = (np.ones((2, 2)), (np.arange(3), 4.0), None)
    assert [a.shape for a in nests.float_arrays(nest)] == [(2, 2), ()]
    vector = nests.vector(nest)
    np.testing.assert_array_equal(vector, [1, 1, 1, 1, 4])
    parts = nests.split(2 * vector, nests.float_arrays(nest))
    doubled = nests.with_arrays(nest, parts)
    np.testing.assert_array_equal(doubled[0], 2 * np.ones((2, 2)))
    np.testing.assert_array_equal(doubled[1][0], np.arange(3))
    assert (float(doubled[1][1]), doubled[2]) == (8.0, None)
    assert nests.as_dtype(nest, np.float32)[0].dtype == np.float32
    assert nests.vector(np.arange(3)).shape == (0,)


def test_a_packed_sequence_counts_by_its_data():
    ours = pack_padded_sequence(np.ones((3, 2, 4)), [3, 1])
    theirs = torch.nn.utils.rnn.pack_padded_sequence(torch.ones(3, 2, 4), [3, 1])
    for packed in (ours, theirs):
        (data,) = nests.flatten((packed,))
        assert tuple(data.shape) == (4, 4)
        assert nests.is_packed(nests.map_leaves(lambda leaf: 2 * leaf, packed))
