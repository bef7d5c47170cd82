"""from_state_dict: a module from weights alone; and the files that hold them."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from torch import nn

import scratch
from reference import from_state_dict, twin
from reference.state import load_file, save_files
from tests.parity import assert_parity
from tests.strategies import cells, layers


@given(layers(forms=("padded",)))
def test_a_layer_from_its_weights(case):
    options = {"batch_first": case.module.batch_first}
    if isinstance(case.module, scratch.RNN):
        options["nonlinearity"] = case.module.nonlinearity
    state = twin(case.module).state_dict()
    module = from_state_dict({f"body.{n}": w for n, w in state.items()}, prefix="body.", **options)
    assert type(module) is type(case.module)
    ours, expected = module.eval()(case.x), case.module.eval()(case.x)
    assert_parity("output", ours[0], expected[0], tolerance=0)


@given(cells())
def test_a_cell_from_its_weights(case):
    options = {}
    if isinstance(case.module, scratch.RNNCell):
        options["nonlinearity"] = case.module.nonlinearity
    assert repr(from_state_dict(case.module.state_dict(), **options)) == repr(case.module)


@pytest.mark.parametrize(
    "module",
    [
        scratch.Linear(2, 3, dtype=np.float64, rng=0),
        scratch.Linear(2, 3, bias=False, rng=0),
        scratch.SimpleRNN(2, 3, 4, rng=0),
        scratch.SimpleLSTM(2, 3, 4, dtype=np.float64, rng=0),
    ],
    ids=repr,
)
def test_linear_and_models(module):
    again = from_state_dict(module.state_dict())
    assert repr(again) == repr(module)
    for name, array in again.state_dict().items():
        assert_parity(name, array, module.state_dict()[name], tolerance=0)
        assert not np.shares_memory(array, module.state_dict()[name])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(2, 3, 2, bidirectional=True)
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(6, 1))


@pytest.mark.parametrize("prefix", ["", "encoder", "lstm."])
def test_a_prefix_that_is_missing_or_wrong_is_told(prefix):
    with pytest.raises(ValueError, match="prefix: ") as raised:
        from_state_dict(Net().state_dict(), prefix=prefix)
    assert "from_state_dict(state, prefix='encoder.')  # LSTM" in str(raised.value)
    assert "from_state_dict(state, prefix='head.1.')  # Linear" in str(raised.value)


def test_a_wrapped_model():
    state = {f"module.{n}": w for n, w in twin(scratch.SimpleLSTM(2, 3, 1)).state_dict().items()}
    with pytest.raises(ValueError, match=r"prefix='module\.'\)  # SimpleLSTM"):
        from_state_dict(state)
    assert isinstance(from_state_dict(state, "module."), scratch.SimpleLSTM)


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        (nn.GRU(2, 3).state_dict(), ValueError, "weight_hh_l0 is a GRU's"),
        ({"a": torch.zeros(2)}, ValueError, "expected the parameters of a cell"),
        ({}, ValueError, "expected the parameters"),
        ({"recurrent_kernel": np.zeros((4, 16))}, ValueError, "as in Keras: docs/layouts.md"),
        (3, TypeError, "expected a state_dict, got int 3"),
        ("a.pt", TypeError, r"name of a file: from_state_dict\(load_file\('a.pt'\)\) takes it"),
        (nn.LSTM(2, 3), TypeError, r"from_torch\(module\)"),
        ({"model": {"weight": torch.zeros(2, 2)}}, TypeError, r"from_state_dict\(state\['model'\]"),
        ({"weight": [1.0]}, TypeError, "weight: expected a tensor or an array, got list"),
        (nn.Linear(2, 3).bfloat16().state_dict(), TypeError, r"weight.*bfloat16.*\.float\(\)"),
        (nn.Linear(2, 3, device="meta").state_dict(), TypeError, "meta device"),
    ],
)
def test_what_describes_no_module(state, error, words):
    with pytest.raises(error, match=words):
        from_state_dict(state)


def test_both_sides_are_saved_and_read_again(tmp_path):
    arrays = {"weight": np.arange(6.0).reshape(2, 3)}
    for name in ("w", "w.npz", "w.pt"):
        paths = save_files(str(tmp_path / name), arrays, {"weight": arrays["weight"] + 1})
        assert paths == [str(tmp_path / "w.npz"), str(tmp_path / "w.pt")]
        for k, path in enumerate(paths):
            np.testing.assert_array_equal(load_file(path)["weight"], arrays["weight"] + k)


def test_a_checkpoint_holds_one_state_dict(tmp_path):
    path, linear = str(tmp_path / "checkpoint.pt"), nn.Linear(2, 3)
    optimizer = torch.optim.Adam(linear.parameters())
    checkpoint = {"model": linear.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    torch.save(checkpoint, path)
    assert list(load_file(path)) == ["weight", "bias"]
    torch.save(checkpoint | {"best": linear.state_dict()}, path)  # which of the two?
    with pytest.raises(ValueError, match="expected tensors or arrays, got OrderedDict as 'model'"):
        load_file(path)
    torch.save(linear, path)
    with pytest.raises(ValueError, match=r"or a whole module: torch\.save\(module\.state_dict"):
        load_file(path)


class RunsCode:
    """Whoever unpickles it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return self.path.touch, ()


def test_no_code_in_a_file_is_run(tmp_path):
    torch.save({"weight": RunsCode(tmp_path / "written")}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt: expected a state_dict"):
        load_file(str(tmp_path / "model.pt"))
    assert not (tmp_path / "written").exists()
    np.savez(tmp_path / "objects.npz", a=np.array([None]))
    with pytest.raises(ValueError, match=r"objects\.npz: expected a state_dict"):
        load_file(str(tmp_path / "objects.npz"))


def test_damaged_files(tmp_path):
    for ending in ("pt", "npz"):
        path = tmp_path / f"damaged.{ending}"
        for content in (b"", b"PK\x03\x04 and nothing", b"text"):
            path.write_bytes(content)
            with pytest.raises(ValueError, match="expected a state_dict"):
                load_file(str(path))


def test_safetensors_where_the_package_is_there(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"12")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ValueError, match="pip install safetensors"):
        load_file(str(path))
    package = SimpleNamespace(load=lambda data: {"weight": torch.tensor([float(data)])})
    monkeypatch.setitem(sys.modules, "safetensors.torch", package)
    assert load_file(str(path))["weight"] == 12
