"""twin and from_torch: every module and option goes over to the other side and back."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import scratch
from reference import from_torch, models, twin
from tests.parity import assert_parity
from tests.strategies import FLOATS, SEEDS, SIZES, cells, layers


def assert_twins(ours, theirs):
    """Same name, mode and printed options, same weights in memory of their own."""
    assert type(ours).__name__ == type(theirs).__name__
    for name, part in ours.named_modules():
        other = theirs.get_submodule(name)
        assert type(part).__name__ == type(other).__name__
        assert part.training is other.training
    expected = dict(theirs.named_parameters())
    assert list(ours.state_dict()) == list(expected)
    for name, array in ours.state_dict().items():
        assert_parity(name, array, expected[name], tolerance=0)
        assert expected[name].requires_grad
        assert not np.shares_memory(array, expected[name].detach().numpy())


def assert_round_trip(module):
    """There and back, and from the back there again; returns the twin."""
    theirs = twin(module)
    assert_twins(module, theirs)
    back = from_torch(theirs)
    assert type(back) is type(module)
    assert repr(back) == repr(module)
    assert_twins(back, theirs)
    return theirs


def torch_input(x):
    if isinstance(x, np.ndarray):
        return torch.from_numpy(x.copy())
    return torch.nn.utils.rnn.PackedSequence(*(None if i is None else torch.tensor(i) for i in x))


@given(case=st.one_of(cells(), layers(forms=("padded", "unbatched"))))
def test_cells_and_layers_with_any_options(case):
    theirs = assert_round_trip(case.module)
    ours = case.module(case.x)
    expected = theirs(torch_input(case.x))
    while isinstance(ours, tuple):
        ours, expected = ours[0], expected[0]
    assert_parity("output", ours, expected)


def test_arguments_that_hold_no_bool_go_over():
    assert "bias_ih" in dict(assert_round_trip(scratch.RNNCell(3, 4, "relu")).named_parameters())
    assert not list(twin(scratch.RNNCell(3, 4, 0)).parameters())[2:]


@given(SIZES, SIZES, st.booleans(), FLOATS, SEEDS)
def test_linear(inputs, outputs, bias, dtype, seed):
    assert_round_trip(scratch.Linear(inputs, outputs, bias=bias, dtype=dtype, rng=seed))


@given(
    st.sampled_from([scratch.SimpleRNN, scratch.SimpleLSTM]),
    st.tuples(SIZES, SIZES, SIZES),
    st.booleans(),
    FLOATS,
    st.sampled_from(["", "fc", "rnn", "lstm"]),
)
def test_models_and_the_mode_of_their_parts(kind, sizes, every_step, dtype, in_training):
    model = kind(*sizes, every_step=every_step, dtype=dtype, rng=1).eval()
    for name, part in model.named_modules():
        part.training = name == in_training
    theirs = assert_round_trip(model)
    assert theirs.every_step is every_step
    x = np.random.default_rng(0).standard_normal((3, 5, sizes[0])).astype(dtype)
    assert_parity("output", model(x), theirs(torch.from_numpy(x)))


def test_a_model_with_another_layer_put_in():
    model = scratch.SimpleRNN(2, 3, 1, rng=0)
    model.rnn = scratch.RNN(2, 3, num_layers=2, nonlinearity="relu", batch_first=True, rng=0)
    theirs = assert_round_trip(model)
    assert theirs.rnn.nonlinearity == "relu"


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_mse_loss(reduction):
    theirs = assert_round_trip(scratch.MSELoss(reduction))
    assert theirs.reduction == reduction


@given(
    st.one_of(st.none(), FLOATS),
    st.sampled_from([-100, 2, np.int64(1)]),
    st.sampled_from(["none", "mean", "sum"]),
    st.sampled_from([0.0, 0.3, np.float32(0.5)]),
)
def test_cross_entropy_loss(weight_dtype, ignore_index, reduction, smoothing):
    weight = None if weight_dtype is None else np.arange(1, 4, dtype=weight_dtype)
    ours = scratch.CrossEntropyLoss(weight, ignore_index, reduction, smoothing)
    theirs = twin(ours)
    back = from_torch(theirs)
    for side in (theirs, back):
        assert (side.ignore_index, side.reduction) == (ignore_index, reduction)
        assert side.label_smoothing == smoothing
    if weight is None:
        assert theirs.weight is None
        assert back.weight is None
    else:
        assert_parity("weight", weight, theirs.weight, tolerance=0)
        assert_parity("weight", back.weight, theirs.weight, tolerance=0)
        assert not np.shares_memory(weight, theirs.weight.numpy())
        assert not np.shares_memory(back.weight, theirs.weight.numpy())


def test_weights_of_the_twin_can_be_trained_and_its_own_arrays_are_used():
    ours = scratch.LSTM(2, 3, dtype=np.float64, rng=0)
    theirs = twin(ours)
    with torch.no_grad():
        theirs.weight_ih_l0.zero_()
        output, _ = theirs(torch.ones(4, 1, 2, dtype=torch.float64))
        expected, _ = theirs(torch.zeros(4, 1, 2, dtype=torch.float64))
    assert torch.equal(output, expected)
    assert ours.weight_ih_l0.data.all()


def test_nobodys_random_numbers_change_and_no_warning_comes_twice():
    with pytest.warns(UserWarning, match="dropout"):
        module = scratch.LSTM(2, 3, dropout=0.5)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_torch(twin(module))
    assert torch.equal(torch.get_rng_state(), before)


class Mine(scratch.Module):
    pass


class Derived(scratch.LSTM):
    pass


class Doubled(nn.LSTM):
    def forward(self, x, state=None):
        output, state = super().forward(x, state)
        return 2 * output, state


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(1, 2), nn.Sequential(nn.ReLU(), nn.Linear(2, 1))


def changed(change):
    module = nn.LSTM(1, 2)
    change(module)
    return module


def inside_a_model(module):
    model = models.SimpleLSTM(1, 2, 1)
    model.fc = module
    return model


def own_backward():
    module = scratch.LSTM(1, 2)
    module.backward = lambda *_: None
    return module


def quantized():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(1, 2)), {nn.LSTM})
    return model[0]


def with_warnings_off(make):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


utils = nn.utils
REFUSED = [
    (twin, Mine(), ["Mine has no twin", "SimpleLSTM", "compare(module, torch_module, x)"]),
    (twin, Derived(1, 2), ["Derived derives from LSTM", "compare(module, x)"]),
    (twin, own_backward(), ["LSTM has a backward of its own"]),
    (twin, nn.LSTM(1, 1), ["LSTM is torch's", "from_torch(module)"]),
    (twin, 3, ["int 3"]),
    (from_torch, nn.GRU(1, 1), ["torch.nn.modules.rnn.GRU has no twin", "SimpleLSTM"]),
    (from_torch, scratch.LSTM(1, 1), ["scratch's LSTM", "twin(module)"]),
    (from_torch, None, ["None"]),
    (from_torch, nn.LSTM, ["the class LSTM: expected an instance"]),
    (from_torch, {}, ["from_state_dict(state)"]),
    (from_torch, "model.pt", ["weights_only=True"]),
    (from_torch, Doubled(1, 2), ["Doubled derives from LSTM", "from_state_dict(module.state_dict"]),
    (from_torch, Net(), ["from_torch(model.lstm)  # LSTM", "model.head[1])  # Linear"]),
    (from_torch, nn.DataParallel(nn.LSTM(1, 2)), ["from_torch(module.module)"]),
    (from_torch, with_warnings_off(lambda: torch.jit.script(nn.Linear(1, 2))), ["TorchScript"]),
    (from_torch, quantized(), ["torch.ao.nn.quantized", "the float module"]),
    (from_torch, nn.LSTM(1, 2, device="meta"), ["meta device"]),
    (from_torch, nn.LSTM(1, 2).half(), ["float16", ".float()"]),
    (from_torch, changed(lambda m: setattr(m, "forward", m.forward)), ["forward of its own"]),
    (from_torch, changed(lambda m: m.register_forward_hook(print)), ["a forward hook"]),
    (from_torch, changed(lambda m: m.register_forward_pre_hook(print)), ["a forward pre hook"]),
    (from_torch, changed(lambda m: m.register_full_backward_hook(print)), ["a backward hook"]),
    (from_torch, changed(lambda m: m.bias_hh_l0.register_hook(print)), ["bias_hh_l0 has a hook"]),
    (from_torch, changed(lambda m: utils.prune.l1_unstructured(m, "weight_hh_l0", 0.5)),
     ["prune.remove(module, 'weight_hh_l0')"]),
    (from_torch, utils.parametrizations.weight_norm(nn.Linear(1, 2)),
     ["weight is parametrized", "remove_parametrizations(module, 'weight')"]),
    (from_torch, with_warnings_off(lambda: utils.weight_norm(nn.Linear(1, 2))),
     ["remove_weight_norm(module, 'weight')"]),
    (from_torch, inside_a_model(utils.spectral_norm(nn.Linear(2, 1))),
     ["fc: ", "remove_spectral_norm(module, 'weight')"]),
    (from_torch, inside_a_model(nn.Linear(2, 1).double()), ["one dtype, got float32 and float64"]),
]  # fmt: skip


@pytest.mark.parametrize(("function", "module", "words"), REFUSED)
def test_what_may_compute_something_else_is_refused_with_the_way_out(function, module, words):
    assert_refused(function, module, words)


def assert_refused(function, module, words):
    with pytest.raises(TypeError) as raised:
        function(module)
    for word in words:
        assert word in str(raised.value)


def test_the_ways_out_lead_out():
    x = torch.randn(3, 1, 1)
    pruned = changed(lambda m: utils.prune.l1_unstructured(m, "weight_hh_l0", 0.5))
    utils.prune.remove(pruned, "weight_hh_l0")
    # In no table above: the first module that is compiled takes a second of imports.
    compiled = torch.compile(nn.LSTM(1, 2), backend="eager")
    assert_refused(from_torch, compiled, ["from_torch(module._orig_mod)"])
    wrapped = nn.DataParallel(nn.LSTM(1, 2)).module
    for module in (pruned, compiled._orig_mod, wrapped):
        assert_parity("output", from_torch(module)(x.numpy())[0], module(x)[0])
    normed = utils.parametrizations.weight_norm(nn.Linear(1, 2))
    expected = normed(x)
    utils.parametrize.remove_parametrizations(normed, "weight")
    assert_parity("output", from_torch(normed)(x.numpy()), expected)
    assert from_torch(nn.LSTM(1, 2).bfloat16().float()).weight_ih_l0.dtype == np.float32


def test_a_shared_parameter_becomes_two_of_the_same_numbers():
    ours = scratch.LSTM(2, 3, rng=0)
    ours.bias_hh_l0 = ours.bias_ih_l0
    theirs = twin(ours)
    assert torch.equal(theirs.bias_hh_l0, theirs.bias_ih_l0)
    theirs.bias_hh_l0 = theirs.bias_ih_l0
    back = from_torch(theirs)
    np.testing.assert_array_equal(back.bias_hh_l0.data, back.bias_ih_l0.data)


def test_arguments_of_numpy_become_those_of_python():
    linear = twin(scratch.Linear(np.int64(2), np.int32(3)))
    loss = twin(scratch.CrossEntropyLoss(ignore_index=np.int64(1), label_smoothing=np.float32(0.5)))
    assert [type(n) for n in (linear.in_features, linear.out_features)] == [int, int]
    assert (type(loss.ignore_index), type(loss.label_smoothing)) == (int, float)


def test_a_dtype_that_only_one_side_has():
    with pytest.raises(TypeError):
        twin(scratch.Linear(2, 3, dtype=np.longdouble))
    with pytest.raises(TypeError):
        from_torch(models.SimpleRNN(2, 3, 1, dtype=torch.bfloat16))
