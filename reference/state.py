"""A layer from a state_dict alone, and the files that hold one: .npz, .pt and .safetensors."""

from __future__ import annotations

import importlib
import io
import os
import pickle
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from scratch import LSTM, RNN, Linear, LSTMCell, RNNCell, SimpleLSTM, SimpleRNN
from scratch.machinery.module import Array, Module, describe
from scratch.machinery.writing import read_whole

from .refusals import check_tensor
from .twin import to_numpy

GATES = {1: "RNN", 3: "GRU", 4: "LSTM"}


def from_state_dict(state: Mapping[str, Any], prefix: str = "", **arguments: Any) -> Module:
    """The scratch module that the tensors or arrays of a state_dict of PyTorch describe.

    state: names as torch.nn gives them, such as weight_ih_l0; those without `prefix` are left out.
        Of a file, .npz, .pt, .pth or .safetensors: `reference.state.load_file(path)`.
    prefix: in front of the names, such as "lstm." or "module.".
    arguments: what no weight tells: batch_first and dropout of a layer, nonlinearity of an RNN,
        every_step of a SimpleRNN or SimpleLSTM.

    The kind and the sizes come from names and shapes: RNNCell, LSTMCell, RNN, LSTM, Linear, or a
    SimpleRNN or SimpleLSTM with one layer. Raises TypeError for values that are neither tensors
    nor arrays, or in a dtype that NumPy does not have; ValueError for names that describe none of
    these, with the prefixes below which one is described.
    """
    if isinstance(state, torch.nn.Module):
        raise TypeError("state: expected a state_dict, got a module: from_torch(module) takes it")
    arrays = as_arrays(state, prefix)
    module = _build({name: array.shape for name, array in arrays.items()}, arguments)
    if module is None:
        raise ValueError(_not_described(as_arrays(state), prefix))
    module = module.astype(next(iter(arrays.values())).dtype)
    module.load_state_dict(arrays)
    return module


def as_arrays(state: Mapping[str, Any], prefix: str = "") -> dict[str, Array]:
    """The arrays of a state_dict under the names behind `prefix`; copies of tensors."""
    if isinstance(state, str | os.PathLike):
        raise TypeError(
            f"state: expected a state_dict, got the name of a file: from_state_dict(load_file("
            f"{os.fspath(state)!r})) takes it, with load_file from reference.state"
        )
    if not isinstance(state, Mapping):
        raise TypeError(f"state: expected a state_dict, got {describe(state)}")
    arrays = {}
    for name, value in state.items():
        if not isinstance(name, str) or not name.startswith(prefix):
            continue
        if isinstance(value, Mapping):
            raise TypeError(
                f"state: expected tensors or arrays, got {type(value).__name__} as {name!r}: "
                f"from_state_dict(state[{name!r}]) may be meant"
            )
        if isinstance(value, torch.Tensor):
            check_tensor(name, value)
            value = to_numpy(value)
        if not isinstance(value, np.ndarray):
            raise TypeError(f"{name}: expected a tensor or an array, got {describe(value)}")
        arrays[name.removeprefix(prefix)] = value
    return arrays


def prefixes(state: Mapping[str, Array]) -> dict[str, Module]:
    """Every prefix below which `state` describes a module, the whole before its parts."""
    found: dict[str, Module] = {}
    ends = {name[: match.end()] for name in state for match in re.finditer(r"\.", name)}
    for prefix in sorted({"", *ends}, key=lambda end: (end.count("."), end)):
        below = {n.removeprefix(prefix): a.shape for n, a in state.items() if n.startswith(prefix)}
        module = _build(below, {})
        if module is not None:
            found[prefix] = module
    return found


def _build(shapes: Mapping[str, tuple[int, ...]], arguments: dict[str, Any]) -> Module | None:
    """A module with exactly these parameters, or None. Its weights are random."""
    try:
        module = _guess(shapes, arguments)
    except (KeyError, IndexError, ValueError):
        return None
    if module is None:
        return None
    expected = {name: array.shape for name, array in module.state_dict().items()}
    return module if expected == dict(shapes) else None


def _guess(shapes: Mapping[str, tuple[int, ...]], arguments: dict[str, Any]) -> Module | None:
    kinds: dict[str, Any] = {"rnn": SimpleRNN, "lstm": SimpleLSTM}
    for name, simple in kinds.items():
        if f"{name}.weight_ih_l0" in shapes and "fc.weight" in shapes:
            _, D, H = _gates(shapes, f"{name}.", "_l0")
            model: Module = simple(D, H, shapes["fc.weight"][0], rng=0, **arguments)
            return model
    if "weight" in shapes:
        outputs, inputs = shapes["weight"]
        return Linear(inputs, outputs, bias="bias" in shapes, rng=0, **arguments)
    if "weight_ih" in shapes:
        G, D, H = _gates(shapes, "", "")
        cells: dict[int, Any] = {1: RNNCell, 4: LSTMCell}
        cell: Module = cells[G](D, H, bias="bias_ih" in shapes, rng=0, **arguments)
        return cell
    if "weight_ih_l0" not in shapes:
        return None
    G, D, H = _gates(shapes, "", "_l0")
    options = {
        "num_layers": 1 + max(int(n) for name in shapes for n in re.findall(r"_l(\d+)", name)),
        "bias": "bias_ih_l0" in shapes,
        "bidirectional": "weight_ih_l0_reverse" in shapes,
    }
    if "weight_hr_l0" in shapes:
        options["proj_size"] = shapes["weight_hr_l0"][0]
    layers: dict[int, Any] = {1: RNN, 4: LSTM}
    layer: Module = layers[G](D, H, rng=0, **options, **arguments)
    return layer


def _gates(shapes: Mapping[str, tuple[int, ...]], prefix: str, suffix: str) -> tuple[int, int, int]:
    """The number of gates, the input size and the hidden size."""
    rows, D = shapes[f"{prefix}weight_ih{suffix}"]
    _, H = shapes[f"{prefix}weight_hh{suffix}"]
    if f"{prefix}weight_hr{suffix}" in shapes:
        _, H = shapes[f"{prefix}weight_hr{suffix}"]
    return rows // H, D, H


def _not_described(state: Mapping[str, Array], prefix: str) -> str:
    found = prefixes(state)
    if prefix in found:  # what the weights say is right, but not with these arguments
        return f"arguments: expected those of {type(found[prefix]).__name__}"
    if found:
        lines = "".join(
            f"\n  from_state_dict(state, prefix={end!r})  # {type(module).__name__}"
            for end, module in found.items()
        )
        return f"prefix: expected one below which a module is described, got {prefix!r}:{lines}"
    names = ", ".join(list(state)[:6]) + (", …" if len(state) > 6 else "")
    rows = {n: a.shape for n, a in state.items() if n.endswith("weight_hh_l0") and a.ndim == 2}
    gru = [n for n, shape in rows.items() if shape[0] == 3 * shape[1]]
    reason = f"; {gru[0]} is a GRU's" if gru else ""
    if any(name.endswith("recurrent_kernel") for name in state):
        reason = "; they are named as in Keras: docs/layouts.md makes PyTorch's of them"
    return f"state: expected the parameters of a cell, an RNN, LSTM or Linear, got {names}{reason}"


# Files


def load_file(path: str) -> dict[str, Array]:
    """The state_dict in an .npz, .pt, .pth or .safetensors file, or in a checkpoint in it.

    A pickle is read with weights_only=True, so that no code in it runs. Raises OSError for a file
    that cannot be read and ValueError for one that holds no state_dict.
    """
    data = read_whole(path)
    try:
        return as_arrays(_inner(_read(io.BytesIO(data), os.path.splitext(path)[1])))
    except pickle.UnpicklingError:
        reason = "got another file, or a whole module: torch.save(module.state_dict(), file)"
    except Exception as error:  # whatever the readers raise for damaged bytes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
    raise ValueError(f"{path}: expected a state_dict of arrays or tensors, {reason}")


def _inner(state: Any) -> Any:
    """Of a checkpoint the one entry that is a state_dict; anything else as it is."""
    entries = state.values() if isinstance(state, Mapping) else ()
    inside = [
        entry
        for entry in entries
        if isinstance(entry, Mapping)
        and entry
        and all(isinstance(value, torch.Tensor) for value in entry.values())
    ]
    return inside[0] if len(inside) == 1 else state


def _read(file: io.BytesIO, ending: str) -> Any:
    if ending == ".npz":
        with np.load(file, allow_pickle=False) as archive:
            return dict(archive)
    if ending != ".safetensors":
        return torch.load(file, map_location="cpu", weights_only=True)
    try:
        return importlib.import_module("safetensors.torch").load(file.getvalue())
    except ImportError:
        raise ValueError("and the package safetensors: pip install safetensors") from None


def save_files(path: str, scratch: Mapping[str, Array], theirs: Mapping[str, Array]) -> list[str]:
    """Both sides' weights as PATH.npz and PATH.pt, an ending of `path` aside. Returns the names."""
    stem, ending = os.path.splitext(path)
    stem = stem if ending in (".npz", ".pt", ".pth") else path
    with open(f"{stem}.npz", "wb") as file:
        np.savez(file, **scratch)  # type: ignore[arg-type]
    torch.save({n: torch.from_numpy(array) for n, array in theirs.items()}, f"{stem}.pt")
    return [f"{stem}.npz", f"{stem}.pt"]
