"""What docs/differences.md says of losses, packing and Adam, on both sides."""

import numpy as np
import pytest
import torch

from scratch import Adam, CrossEntropyLoss, Linear, Parameter, pack_padded_sequence


def smoothed(weight, target):
    """Value and gradient of a smoothed loss of zeros, ours and theirs."""
    ours = CrossEntropyLoss(np.array(weight), label_smoothing=1.0)
    theirs = torch.nn.CrossEntropyLoss(
        torch.tensor(weight, dtype=torch.float64), label_smoothing=1.0
    )
    record = ours.forward(np.zeros((2, 3)), np.array(target))
    scores = torch.zeros((2, 3), dtype=torch.float64, requires_grad=True)
    expected = theirs(scores, torch.tensor(target))
    expected.backward()
    return record.value, ours.backward(record), expected.item(), scores.grad.numpy()


def test_smoothed_targets_whose_weights_cancel():
    ours, _, theirs, _ = smoothed([-1.0, 2.0, 1.0], [0, 2])
    assert np.isinf(ours)
    assert np.isnan(theirs)


@pytest.mark.parametrize("weight", [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
def test_smoothed_targets_that_weigh_nothing_are_nan_on_both_sides(weight):
    target = [-100, -100] if any(weight) else [0, 1]
    ours, _, theirs, _ = smoothed(weight, target)
    assert np.isnan(ours)
    assert np.isnan(theirs)


def test_an_ignored_sample_beside_an_infinite_weight():
    _, ours, _, theirs = smoothed([1.0, 1.0, np.inf], [-100, 1])
    assert (ours[0] == 0).all()
    assert np.isnan(theirs[0]).all()


def test_uint8_targets_with_smoothing_and_weights():
    weight, target = np.ones(3), np.array([0, 2], np.uint8)
    loss = CrossEntropyLoss(weight, label_smoothing=0.1)
    assert loss(np.eye(2, 3), target) == loss(np.eye(2, 3), target.astype(np.int64))
    theirs = torch.nn.CrossEntropyLoss(torch.tensor(weight), label_smoothing=0.1)
    with pytest.raises(RuntimeError):
        theirs(torch.eye(2, 3, dtype=torch.float64), torch.tensor(target))


def test_sequences_of_one_length_keep_their_order():
    lengths = np.random.default_rng(0).integers(1, 3, 40)
    packed = pack_padded_sequence(np.zeros((3, 40)), lengths, enforce_sorted=False)
    assert packed.sorted_indices.tolist() == sorted(range(40), key=lambda k: -lengths[k])
    theirs = torch.nn.utils.rnn.pack_padded_sequence(
        torch.zeros(3, 40), torch.tensor(lengths), enforce_sorted=False
    )
    assert theirs.sorted_indices.tolist() != packed.sorted_indices.tolist()


def test_adam_after_an_infinite_gradient():
    ours, theirs = Parameter(np.ones(1)), torch.nn.Parameter(torch.ones(1).double())
    adam, torchs = Adam([ours]), torch.optim.Adam([theirs])
    for value in (np.inf, 1.0):
        ours.grad, theirs.grad = np.array([value]), torch.tensor([value]).double()
        adam.step()
        torchs.step()
    assert np.isinf(adam.state_dict()["0.exp_avg"]).all()
    assert torchs.state_dict()["state"][0]["exp_avg"].isnan().all()
    assert np.isnan(ours.data).all()
    assert theirs.isnan().all()


def test_parameters_that_share_memory():
    data, tensor = np.ones(1), torch.ones(1).double()
    ours = [Parameter(data), Parameter(data)]
    theirs = [torch.nn.Parameter(tensor), torch.nn.Parameter(tensor)]
    for our, their in zip(ours, theirs, strict=True):
        our.grad, their.grad = np.full(1, -0.95), torch.full((1,), -0.95).double()
    Adam(ours, lr=0.1, weight_decay=1.0).step()
    torch.optim.Adam(theirs, lr=0.1, weight_decay=1.0).step()
    np.testing.assert_allclose(data, 0.8, rtol=1e-6)  # −0.95 + 1 is above zero for both
    np.testing.assert_allclose(tensor, 1.0, rtol=1e-6)  # −0.95 + 0.9 is below it for the second


def test_a_bias_in_float16_is_added_up_in_float32():
    linear = Linear(1, 1, dtype=np.float16, rng=0)
    x = np.full((60_000, 1), 0.25, np.float16)
    linear.backward(linear.forward(x), x)
    assert linear.bias.grad == 15_000
