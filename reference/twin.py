"""The same module on the other side: from NumPy to torch.nn with `twin`, back with `from_torch`."""

from __future__ import annotations

import warnings
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

import scratch.models
from scratch import cells, linear, losses, recurrent
from scratch.machinery.module import Array, Module, Parameter

from . import models
from .refusals import check_scratch, check_torch

_CELL = ("input_size", "hidden_size", "bias")
_LAYER = (*_CELL, "num_layers", "batch_first", "dropout", "bidirectional")
_CROSS_ENTROPY = ("weight", "ignore_index", "reduction", "label_smoothing")


class Pair(NamedTuple):
    """Two classes that belong together, and the attributes of both that hold the arguments."""

    scratch: type[Module]
    torch: type[torch.nn.Module]
    attributes: tuple[str, ...]


PAIRS = [
    Pair(cells.RNNCell, torch.nn.RNNCell, (*_CELL, "nonlinearity")),
    Pair(cells.LSTMCell, torch.nn.LSTMCell, _CELL),
    Pair(recurrent.RNN, torch.nn.RNN, (*_LAYER, "nonlinearity")),
    Pair(recurrent.LSTM, torch.nn.LSTM, (*_LAYER, "proj_size")),
    Pair(linear.Linear, torch.nn.Linear, ("in_features", "out_features", "bias")),
    Pair(losses.MSELoss, torch.nn.MSELoss, ("reduction",)),
    Pair(losses.CrossEntropyLoss, torch.nn.CrossEntropyLoss, _CROSS_ENTROPY),
    Pair(
        scratch.models.SimpleRNN,
        models.SimpleRNN,
        ("rnn.input_size", "rnn.hidden_size", "fc.out_features", "every_step"),
    ),
    Pair(
        scratch.models.SimpleLSTM,
        models.SimpleLSTM,
        ("lstm.input_size", "lstm.hidden_size", "fc.out_features", "every_step"),
    ),
]
KEYWORDS = {"fc.out_features": "output_size"}


def twin(module: Module) -> torch.nn.Module:
    """The torch.nn module with the arguments, weights, dtype and mode of a scratch module.

    The weights are copies and require gradients. Gradients are not taken along, nor is the
    generator that draws the masks of dropout. A parameter with two names becomes two.

    Raises TypeError for any but the cells, RNN, LSTM, Linear, the losses, SimpleRNN, SimpleLSTM:
    what derives from one of them may compute something else.
    """
    for _, part in module.named_modules() if isinstance(module, Module) else [("", module)]:
        check_scratch(part, [pair.scratch for pair in PAIRS])
    return nearest_twin(module)


def nearest_twin(module: Module) -> torch.nn.Module:
    """As `twin`; of a module that derives from one with a twin, that one's."""
    check_scratch(module, [pair.scratch for pair in PAIRS], subclasses=True)
    # What a constructor draws is thrown away: it shall not change anybody's next random numbers.
    with torch.random.fork_rng(devices=[]):
        result: torch.nn.Module = _other_side(module, "scratch")
    for name, part in vars(module).items():
        if isinstance(part, Module):
            setattr(result, name, nearest_twin(part))
    state = {name: to_torch(array) for name, array in module.state_dict().items()}
    result.load_state_dict(state | dict(result.named_buffers()), assign=True)
    result.training = module.training
    return result


def from_torch(module: torch.nn.Module) -> Module:
    """The scratch module with the arguments, weights, dtype and mode of a torch.nn module.

    The weights are copies, also of those on another device.

    Raises TypeError, which says what to do, for whatever may compute something else than the
    classes with a twin: another class, a subclass, one with hooks, parametrizations or a forward
    of its own, a wrapper, and for parameters in a dtype that NumPy does not have.
    """
    check_torch(module, [pair.torch for pair in PAIRS])
    result: Module = _other_side(module, "torch")
    for name, part in module.named_children():
        setattr(result, name, from_torch(part))
    named = module.named_parameters(remove_duplicate=False)
    state = {name: to_numpy(tensor) for name, tensor in named}
    if state:
        result = result.astype(next(iter(state.values())).dtype)
    result.load_state_dict(state)
    result.training = module.training
    return result


def to_torch(array: Array) -> torch.Tensor:
    """A tensor with the numbers of `array`, in memory of its own."""
    return torch.from_numpy(np.array(array, order="C"))


def to_numpy(tensor: torch.Tensor) -> Array:
    """An array with the numbers of `tensor`, in memory of its own."""
    array: Array = tensor.detach().cpu().numpy().copy()
    return array


def _other_side(module: object, side: Literal["scratch", "torch"]) -> Any:
    """A module of the other side with the arguments, but not yet the weights, of `module`."""
    pair = next(pair for pair in PAIRS if isinstance(module, getattr(pair, side)))
    arguments = {
        KEYWORDS.get(path, path.split(".")[-1]): _argument(attrgetter(path)(module))
        for path in pair.attributes
    }
    other: type[Any] = pair.torch if side == "scratch" else pair.scratch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a dropout without effect: `module` has warned already
        return other(**arguments)


def _argument(value: Any) -> Any:
    """An argument for the other side; a parameter stands for True, "there is one"."""
    if isinstance(value, Parameter | torch.nn.Parameter):
        return True
    if isinstance(value, torch.Tensor):
        return to_numpy(value)
    if isinstance(value, np.ndarray):
        return to_torch(value)
    return value.item() if isinstance(value, np.generic) else value
