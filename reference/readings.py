"""The ways in which the weights of an LSTM or RNN are read by different libraries and books."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, unpack_sequence

from scratch.gradcheck.diagnose.weight_layouts import ORDERS
from scratch.machinery.nests import map_leaves

SIGMOIDS: dict[str, Callable[[Tensor], Tensor]] = {
    "σ": torch.sigmoid,
    "clip(0.2 z + 0.5)": lambda z: (0.2 * z + 0.5).clamp(0, 1),
    "clip(z / 6 + 0.5)": lambda z: (z / 6 + 0.5).clamp(0, 1),
}


@dataclass(frozen=True)
class Reading:
    """What is read otherwise than PyTorch reads it. The defaults are PyTorch."""

    order: str = "ifgo"
    transposed: str = ""  # "weight_ih", "weight_hh" or "both": each gate's square matrix
    reshaped: bool = False  # x @ W was meant, and W was reshaped rather than transposed
    bias: str = "both"  # "bias_ih" or "bias_hh" alone, or "none"
    forget_bias: int = 0  # added to the forget gate
    sigmoid: str = "σ"
    tanh_c: bool = True  # h = o ⊙ tanh(c), else o ⊙ c
    nonlinearity: str = ""  # of an RNN, if another

    def __str__(self) -> str:
        return "; ".join(self._words())

    def _words(self) -> Iterator[str]:
        if self.order != "ifgo":
            by = f" ({ORDERS[self.order]})" if self.order in ORDERS else ""
            yield f"the gates in the order {' '.join(self.order)}{by}, not i f g o"
        if self.transposed:
            which = "weight_ih and weight_hh" if self.transposed == "both" else self.transposed
            yield f"the matrix of each gate in {which} transposed"
        if self.reshaped:
            yield "weights of the shape (columns, rows) that were reshaped, not transposed"
        if self.bias != "both":
            yield "no bias" if self.bias == "none" else f"{self.bias} alone, not the sum of two"
        if self.forget_bias:
            where = "added to" if self.forget_bias > 0 else "taken off"
            yield f"a forget bias of 1 {where} the forget gate (TensorFlow 1 adds one inside)"
        if self.sigmoid != "σ":
            by = "Keras before 2.3" if "0.2" in self.sigmoid else "Keras 3, torch's hardsigmoid"
            yield f"the hard σ, {self.sigmoid} ({by})"
        if not self.tanh_c:
            yield "h = o ⊙ c, without tanh"
        if self.nonlinearity:
            yield f"{self.nonlinearity} as the nonlinearity"


def readings(layer: nn.Module, most: int = 3) -> Iterator[Reading]:
    """Every reading with at most `most` changes that fits the layer, those with fewer first."""
    square = ["weight_hh"] if state_size(layer) == layer.hidden_size else []
    square += ["weight_ih"] if layer.input_size == layer.hidden_size else []
    options: dict[str, list[Any]] = {
        "transposed": square + (["both"] if len(square) > 1 else []),
        "bias": ["bias_ih", "bias_hh", "none"] if layer.bias else [],
    }
    if gates(layer) == 4:
        orders = dict.fromkeys([*ORDERS, *map("".join, itertools.permutations("ifgo"))])
        options = {
            "order": [order for order in list(orders)[1:] if set(order) == set("ifgo")],
            **options,
            "reshaped": [True],
            "forget_bias": [1, -1],
            "sigmoid": list(SIGMOIDS)[1:],
            "tanh_c": [False],
        }
    else:
        options["nonlinearity"] = ["relu" if layer.nonlinearity == "tanh" else "tanh"]
    for count in range(1, most + 1):
        for names in itertools.combinations(options, count):
            for values in itertools.product(*(options[name] for name in names)):
                changes = dict(zip(names, values, strict=True))
                if not {"transposed", "reshaped"} <= changes.keys():
                    yield Reading(**changes)


def gates(layer: nn.Module) -> int:
    return 4 if isinstance(layer, nn.LSTM | nn.LSTMCell) else 1


def readable(layer: nn.Module) -> bool:
    """Whether `Read` can stand for it."""
    return type(layer) in (nn.RNN, nn.LSTM, nn.RNNCell, nn.LSTMCell)


def state_size(layer: Any) -> int:
    """The features of h: those of the projection, if there is one."""
    return int(getattr(layer, "proj_size", 0) or layer.hidden_size)


class Read(nn.Module):
    """A layer or cell of torch.nn that reads its weights as `reading` says.

    `steps` are the values of each step, in the order in which they were computed: i, f, g, o, c, h
    of an LSTM, h of an RNN, (N, H) each; every layer and direction after the other.
    """

    def __init__(self, layer: nn.Module, reading: Reading) -> None:
        super().__init__()
        self.layer, self.reading = layer, reading
        self.steps: list[dict[str, Tensor]] = []

    def forward(self, x: Any, state: Any = None) -> Any:
        if isinstance(x, PackedSequence):
            return self._packed(x, state)
        self.steps = []
        layer: Any = self.layer
        if isinstance(layer, nn.RNNCellBase):
            rows = x if x.dim() == 2 else x[None]
            h_0, c_0 = self._states(x, state, rows)
            h, c = (s.reshape(*x.shape[:-1], -1) for s in self._step(rows, h_0[0], c_0[0], ""))
            return (h, c) if gates(layer) == 4 else h
        batched = x.dim() == 3
        x = x if batched else x[:, None]
        x = x.transpose(0, 1) if batched and layer.batch_first else x  # (T, N, D)
        directions = 2 if layer.bidirectional else 1
        h_0, c_0 = self._states(x, state, x[0], layer.num_layers * directions)
        last = []
        for k in range(layer.num_layers):
            outputs = []
            for d in range(directions):
                place, suffix = k * directions + d, f"_l{k}" + "_reverse" * d
                h, c = h_0[place], c_0[place]
                output = []
                for x_t in x.flip(0) if d else x:
                    h, c = self._step(x_t, h, c, suffix)
                    output.append(h)
                outputs.append(torch.stack(output[::-1] if d else output))
                last.append((h, c))
            x = torch.cat(outputs, -1)
        h_n, c_n = (torch.stack(s) for s in zip(*last, strict=True))
        if not batched:
            x, h_n, c_n = x[:, 0], h_n[:, 0], c_n[:, 0]
        elif layer.batch_first:
            x = x.transpose(0, 1)
        return x, (h_n, c_n) if gates(layer) == 4 else h_n

    def _packed(self, x: PackedSequence, state: Any) -> Any:
        """Each sequence by itself, the longest first."""
        outputs, ends = [], []
        for n, sequence in enumerate(unpack_sequence(PackedSequence(x.data, x.batch_sizes))):
            column = n if x.sorted_indices is None else int(x.sorted_indices[n])
            output, end = self.forward(sequence, map_leaves(partial(_column, column), state))
            outputs.append(output)
            ends.append(end if isinstance(end, tuple) else (end,))
        order = slice(None) if x.unsorted_indices is None else x.unsorted_indices
        last = tuple(torch.stack(s, 1)[:, order] for s in zip(*ends, strict=True))
        data = pack_sequence(outputs).data
        return PackedSequence(data, *x[1:]), last if len(last) > 1 else last[0]

    def _states(self, x: Tensor, state: Any, x_0: Tensor, runs: int = 1) -> tuple[Tensor, Tensor]:
        sizes = state_size(self.layer), int(self.layer.hidden_size)  # type: ignore[arg-type]
        states = state if isinstance(state, tuple) else (state, None)
        h, c = (
            x.new_zeros(runs, len(x_0), size) if s is None else s.reshape(runs, -1, size)
            for s, size in zip(states, sizes, strict=True)
        )
        return h, c

    def _step(self, x: Tensor, h: Tensor, c: Tensor, suffix: str) -> tuple[Tensor, Tensor]:
        z = x @ self._weight("weight_ih", suffix).T + h @ self._weight("weight_hh", suffix).T
        for name in ("bias_ih", "bias_hh"):
            if self.layer.bias and self.reading.bias in ("both", name):
                z = z + self._ordered(getattr(self.layer, name + suffix))
        if gates(self.layer) == 1:
            name = self.reading.nonlinearity or str(self.layer.nonlinearity)
            h = torch.relu(z) if name == "relu" else torch.tanh(z)
            self.steps.append({"h": h})
            return h, c
        sigmoid = SIGMOIDS[self.reading.sigmoid]
        z_i, z_f, z_g, z_o = z.chunk(4, -1)
        i, f = sigmoid(z_i), sigmoid(z_f + self.reading.forget_bias)
        g, o = torch.tanh(z_g), sigmoid(z_o)
        c = f * c + i * g
        h = o * (torch.tanh(c) if self.reading.tanh_c else c)
        if f"weight_hr{suffix}" in self.layer._parameters:
            h = h @ getattr(self.layer, f"weight_hr{suffix}").T
        self.steps.append({"i": i, "f": f, "g": g, "o": o, "c": c, "h": h})
        return h, c

    def _weight(self, name: str, suffix: str) -> Tensor:
        weight: Tensor = getattr(self.layer, name + suffix)  # (G·H, columns)
        if self.reading.reshaped:
            weight = weight.reshape(weight.shape[1], weight.shape[0]).T
        if self.reading.transposed in (name, "both"):
            blocks = weight.chunk(gates(self.layer))
            if blocks[0].shape[0] == blocks[0].shape[1]:
                weight = torch.cat([block.T for block in blocks])
        return self._ordered(weight)

    def _ordered(self, weight: Tensor) -> Tensor:
        if gates(self.layer) == 1 or self.reading.order == "ifgo":
            return weight
        blocks = dict(zip(self.reading.order, weight.chunk(4), strict=True))
        return torch.cat([blocks[gate] for gate in "ifgo"])


def _column(number: int, state: Tensor | None) -> Tensor | None:
    return None if state is None else state[:, number]


def with_reading(module: nn.Module, reading: Reading) -> nn.Module:
    """`module` with every layer in it read so; the parameters are shared, not copied."""
    if readable(module):
        return Read(module, reading)
    result = _shallow(module)
    for name, part in module.named_children():
        if readable(part) or any(readable(below) for below in part.modules()):
            result._modules[name] = with_reading(part, reading)
    return result


def _shallow(module: nn.Module) -> nn.Module:
    result = object.__new__(type(module))
    result.__dict__ = {**vars(module), "_modules": dict(module._modules)}
    return result
