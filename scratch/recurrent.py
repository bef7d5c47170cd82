"""RNN and LSTM: cells carried through time, in layers and directions.

`bptt.py` carries one cell through time. Here such runs are stacked: every direction of a layer
reads the whole output of the layer below and writes its own part of the layer's output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from . import bptt
from .cells import RNN_STEPS, LSTMStep, cell_shapes
from .machinery.checks import check_at_least, check_bool, check_dropout, check_int
from .machinery.inputs import layer_gradients, layer_inputs
from .machinery.layout import Layout
from .machinery.memory import Memory, columns
from .machinery.module import (
    Array,
    Module,
    Parameter,
    Seed,
    check_record,
    uniform_parameter,
    without_warnings,
)
from .machinery.weights import CellParameters, Weights
from .projection import ProjectedLSTMStep


class Trace:
    """What a layer computed: everything its backward pass needs.

    output, h_n, c_n: what the call returns; c_n for an LSTM only.
    runs: every step's arrays by the end of the weights' names ("l0", "l0_reverse", "l1", ...):
        `trace.runs["l0"].i` is (T, N, H), N = 1 for unbatched input, or (rows, H) for packed input;
        `.x` has the layer's input size instead of H.
    masks: by layer ("l0", ...), the factors 0 or 1/(1−p) by which dropout multiplied the layer's
        output, (T, N, features) or (rows, features); empty without dropout.
    """

    output: Any
    h_n: Array
    c_n: Array

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.runs: dict[str, bptt.Run] = {}
        self.masks: dict[str, Array] = {}


class Recurrent(Module):
    """What RNN and LSTM share: layers, directions, and dropout between layers."""

    states: ClassVar[tuple[str, ...]]  # what is handed from step to step
    weight_ih_l0: Parameter

    def __init__(
        self,
        *,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int,
        dtype: DTypeLike,
        rng: Seed,
    ) -> None:
        check_dropout(dropout, num_layers)
        check_bool("bias", bias)
        check_bool("batch_first", batch_first)
        check_int("input_size", input_size)
        check_at_least("input_size", input_size, 1)
        check_int("hidden_size", hidden_size)
        check_at_least("hidden_size", hidden_size, 1)
        check_int("num_layers", num_layers, int | np.integer)
        check_at_least("num_layers", num_layers, 1)
        check_int("proj_size", proj_size, int | np.integer)
        check_at_least("proj_size", proj_size, 0)
        if proj_size >= hidden_size:
            raise ValueError(
                f"proj_size: expected less than hidden_size, {hidden_size}, got {proj_size}"
            )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._rng = np.random.default_rng(rng)
        self._memory = Memory()

        rows, bound = len(self._kind.gate_order) * hidden_size, 1 / np.sqrt(hidden_size)
        for layer in range(num_layers):
            below = self._output_size if layer else input_size
            shapes = cell_shapes(rows, below, self._state_size, bias)
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for suffix in self._suffixes(layer):
                for name, shape in shapes.items():
                    parameter = uniform_parameter(shape, bound, dtype, self._rng)
                    setattr(self, f"{name}_{suffix}", parameter)

    @property
    def _kind(self) -> type[Any]:
        raise TypeError(f"{type(self).__name__} has no equations")

    @property
    def _state_size(self) -> int:
        return self.proj_size or self.hidden_size

    @property
    def _output_size(self) -> int:
        return self._state_size * len(self._suffixes(0))

    def _suffixes(self, layer: int) -> list[str]:
        """The ends of the weights' names, one for each direction."""
        return [f"l{layer}", f"l{layer}_reverse"] if self.bidirectional else [f"l{layer}"]

    def __call__(self, x: Any, state: Any = None) -> tuple[Any, Any]:
        """The output and the last state. No step is kept."""
        trace = self._run(x, state, memory=None)
        return trace.output, trace.h_n if len(self.states) == 1 else (trace.h_n, trace.c_n)

    def forward(self, x: Any, state: Any = None) -> Trace:
        """The same pass with everything that it computed.

        x: (T, N, input_size), (N, T, input_size) if batch_first, (T, input_size), or packed.
        state: h_0, or (h_0, c_0), each (layers · directions, N, H), h_0 with `proj_size` P
        (layers · directions, N, P), without N for unbatched x; zeros if it is None. All in the
        module's dtype.
        Raises TypeError for what is no array, ValueError for another number of dimensions or
        another dtype of x, RuntimeError for another size of x, another shape or dtype of the state,
        or a PackedSequence whose fields do not fit each other, IndexError for half a pair.
        """
        return self._run(x, state, self._memory)

    @without_warnings
    def _run(self, x: Any, state: Any, memory: Memory | None) -> Trace:
        layout, state_0 = layer_inputs(self, x, state)
        state_n = [np.empty_like(array) for array in state_0]
        trace = Trace(layout)
        xs = layout.split(x)
        for layer in range(self.num_layers):
            hs = columns(memory or Memory(), self._output_size, layout.sizes, self._dtype)
            for k, suffix in enumerate(self._suffixes(layer)):
                trace.runs[suffix] = bptt.forward(
                    self._kind,
                    self._weights(suffix),
                    xs,
                    self._own_rows(hs, k),
                    self._own_state(state_0, layer, k),
                    self._own_state(state_n, layer, k),
                    memory,
                    reverse=k == 1,
                    packed=layout.packed,
                )
            xs = hs
            if self.dropout and self.training and layer + 1 < self.num_layers:
                mask = trace.masks[f"l{layer}"] = self._draw_mask(layout)
                xs = [h * m for h, m in zip(hs, layout.split_rows(mask), strict=True)]
        trace.output = layout.join(hs)
        if memory is not None:
            memory.drop_free()  # what a whole pass had no use for
            if not layout.packed:
                trace.output.flags.writeable = False  # a view of the steps, which backward needs
        for name, array in zip(self.states, state_n, strict=True):
            setattr(trace, f"{name}_n", layout.unsort(array))
        return trace

    @without_warnings
    def backward(self, trace: Trace, grad_output: Any = None, grad_state: Any = None) -> Any:
        """The gradients of x and of the initial state, in their structure.

        `grad_output` and `grad_state` are the gradients of the output and of the last state; None
        is zero. Adds to the gradients of the parameters, with the weights that `forward` used.
        Raises TypeError for what is no array, RuntimeError for another shape or for a trace
        of other parameters, ValueError for another dtype.
        """
        name = f"{type(self).__name__}: trace"
        check_record(trace, Trace, name)
        for suffix, run in trace.runs.items():
            if run.weights.parameters != CellParameters.of(self, f"_{suffix}"):
                raise RuntimeError(
                    f"{name}: expected one computed with the current parameters, got another"
                )
        layout = trace.layout
        grad_hs, grad_state_n = layer_gradients(self, trace, grad_output, grad_state)
        grad_state_0 = [np.empty_like(array) for array in grad_state_n]
        for layer in reversed(range(self.num_layers)):
            below = self._output_size if layer else self.input_size
            grad_xs = columns(Memory(), below, layout.sizes, trace.h_n.dtype)
            for k, suffix in enumerate(self._suffixes(layer)):
                bptt.backward(
                    trace.runs[suffix],
                    None if grad_hs is None else self._own_rows(grad_hs, k),
                    self._own_state(grad_state_n, layer, k),
                    self._own_state(grad_state_0, layer, k),
                    grad_xs,
                    add=k == 1,
                )
            grad_hs = grad_xs
            if f"l{layer - 1}" in trace.masks:
                mask = layout.split_rows(trace.masks[f"l{layer - 1}"])
                grad_hs = [grad * m for grad, m in zip(grad_xs, mask, strict=True)]
        grad_states = tuple(layout.unsort(array) for array in grad_state_0)
        return layout.join(grad_xs), grad_states if len(grad_states) > 1 else grad_states[0]

    # One cell's share

    def _weights(self, suffix: str) -> Weights:
        parameters = CellParameters.of(self, f"_{suffix}")
        return Weights(parameters, self._kind.gate_order)

    def _own_rows(self, hs: Sequence[Array], k: int) -> Sequence[Array]:
        """What direction `k` writes into its layer's output."""
        if not self.bidirectional:
            return hs
        rows = slice(k * self._state_size, (k + 1) * self._state_size)
        return [h[rows] for h in hs]

    def _own_state(self, state: list[Array], layer: int, k: int) -> list[Array]:
        """(layers · directions, N, H) → (H, N), a view."""
        place = layer * len(self._suffixes(layer)) + k
        return [array[place].T for array in state]

    def _draw_mask(self, layout: Layout) -> Array:
        """1/(1−p) with probability 1−p, else 0; all 0 for p = 1."""
        kept = self._rng.random((*layout.shape, self._output_size)) >= self.dropout
        return kept.astype(self._dtype) / (1 - self.dropout if self.dropout < 1 else 1)

    @property
    def _dtype(self) -> np.dtype[Any]:
        weight: Parameter = self.weight_ih_l0
        return weight.dtype

    def extra_repr(self) -> str:
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        changed = [f"{k}={getattr(self, k)}" for k, v in defaults.items() if getattr(self, k) != v]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *changed])


class RNN(Recurrent):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh), or with ReLU; as `torch.nn.RNN`.

    Parameters weight_ih_l0 (H, input_size), weight_hh_l0 (H, H), bias_ih_l0 and bias_hh_l0 (H,),
    "_l1" for the next layer, "_l0_reverse" for the other direction; drawn uniformly within ±1/√H
    by `rng`, a seed or a generator, which then draws the masks of dropout.

        output, h_n = rnn(x, h_0)
        trace = rnn.forward(x, h_0)
        grad_x, grad_h_0 = rnn.backward(trace, grad_output, grad_h_n)
    """

    states = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
        **unknown: Any,
    ) -> None:
        if "proj_size" in unknown:
            raise ValueError("proj_size: only an LSTM has a projection")
        if unknown:
            raise TypeError(f"RNN has no argument {', '.join(unknown)}")
        if nonlinearity not in list(RNN_STEPS):
            raise ValueError(f"nonlinearity: expected 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=0,
            dtype=dtype,
            rng=rng,
        )

    @property
    def _kind(self) -> type[Any]:
        return RNN_STEPS[self.nonlinearity]


class LSTM(Recurrent):
    """LSTMCell through time, in layers and directions; as `torch.nn.LSTM`.

    Parameters weight_ih_l0 (4H, input_size), weight_hh_l0 (4H, H), bias_ih_l0 and bias_hh_l0
    (4H,), gates in the order i, f, g, o; with `proj_size` P weight_hh_l0 is (4H, P), and there is
    weight_hr_l0 (P, H). "_l1" for the next layer, "_l0_reverse" for the other direction. Drawn
    uniformly within ±1/√H by `rng`, a seed or a generator, which then draws the masks of dropout.

        output, (h_n, c_n) = lstm(x, (h_0, c_0))
        trace = lstm.forward(x, (h_0, c_0))
        grad_x, (grad_h_0, grad_c_0) = lstm.backward(trace, grad_output, (grad_h_n, grad_c_n))
    """

    states = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        super().__init__(
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=proj_size,
            dtype=dtype,
            rng=rng,
        )

    @property
    def _kind(self) -> type[Any]:
        return ProjectedLSTMStep if self.proj_size else LSTMStep
