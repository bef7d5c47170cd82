"""RNN and LSTM: cells carried through time, in layers and directions.

`bptt.py` carries one cell through time. Here such runs are stacked: every direction of a layer
reads the whole output of the layer below and writes its own rows of the layer's output.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from . import bptt
from .cells import RNN_STEPS, LSTMStep, ProjectedLSTMStep, cell_shapes
from .machinery.arrays import (
    Blocks,
    CellParameters,
    Layout,
    Memory,
    PackedLayout,
    PaddedLayout,
    Weights,
    memory_of_one_step,
    reverse,
)
from .machinery.checks import check_layer_arguments, check_nonlinearity
from .machinery.html import record_html
from .machinery.inputs import check_layer_gradients, check_layer_inputs
from .machinery.module import Array, Module, Parameter, Seed, uniform_parameter, without_warnings
from .machinery.packing import PackedSequence
from .machinery.records import Back, BackwardRun, Run, shapes


@dataclass(eq=False)
class LayerRecord:
    """What a layer computed: everything its backward pass needs.

    output, h_n, c_n: what the call returns; c_n for an LSTM only.
    runs: every step's arrays by the end of the weights' names ("l0", "l0_reverse", "l1", ...):
        `record.runs["l0"].i` is (T, N, H), N = 1 for unbatched input, or (rows, H) for packed
        input; `.x` has the layer's input size instead of H.
    masks: by layer ("l0", ...), the factors 0 or 1/(1−p) by which dropout multiplied the layer's
        output, (T, N, features) or (rows, features); empty without dropout.
    """

    layout: Layout
    runs: dict[str, Run] = field(default_factory=dict)
    masks: dict[str, Array] = field(default_factory=dict)
    output: Any = field(init=False)
    h_n: Array = field(init=False)
    c_n: Array = field(init=False)

    _repr_html_ = record_html

    def __repr__(self) -> str:
        return shapes(f"LayerRecord of {', '.join(self.runs)}", self, "output", "h_n", "c_n")


@dataclass(eq=False)
class LayerBackwardRecord:
    """What came back through a layer: what `backward` returns, and every step's gradients.

    grad_x, grad_h_0, grad_c_0: as x and the initial state; grad_c_0 for an LSTM only.
    runs: a `BackwardRun` for each run of the record, `back.runs["l0"].grad_h` and so on.
    """

    runs: dict[str, BackwardRun] = field(default_factory=dict)
    grad_x: Any = field(init=False)
    grad_h_0: Array = field(init=False)
    grad_c_0: Array = field(init=False)

    _repr_html_ = record_html

    def __repr__(self) -> str:
        title = f"LayerBackwardRecord of {', '.join(self.runs)}"
        return shapes(title, self, "grad_x", "grad_h_0", "grad_c_0")


class Recurrent(Module):
    """What RNN and LSTM share: layers, directions, and dropout between layers."""

    states: ClassVar[tuple[str, ...]]  # what is handed from step to step
    kind: type[Any]  # whose equations it has
    weight_ih_l0: Parameter

    def __init__(
        self,
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
        sizes = input_size, hidden_size, num_layers
        check_layer_arguments(*sizes, bias, batch_first, dropout, proj_size)
        self.input_size, self.hidden_size, self.num_layers = sizes
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional
        self.dropout, self.proj_size = float(dropout), proj_size
        self.directions = 2 if bidirectional else 1
        self.state_size = proj_size or hidden_size  # R, features of h
        self.output_size = self.directions * self.state_size
        self._rng = np.random.default_rng(rng)
        self._memory = Memory()
        # The ends of the weights' names, of each layer one for each direction.
        self._suffixes = [
            [f"l{layer}", f"l{layer}_reverse"][: self.directions] for layer in range(num_layers)
        ]

        rows, bound = len(self.kind.gate_order) * hidden_size, 1 / np.sqrt(hidden_size)
        for layer in range(num_layers):
            below = self.output_size if layer else input_size
            parameters = cell_shapes(rows, below, self.state_size, bias)
            if proj_size:
                parameters["weight_hr"] = (proj_size, hidden_size)
            for suffix in self._suffixes[layer]:
                for name, shape in parameters.items():
                    parameter = uniform_parameter(shape, bound, dtype, self._rng)
                    setattr(self, f"{name}_{suffix}", parameter)

    # Forward

    def __call__(self, x: Any, state: Any = None) -> tuple[Any, Any]:
        """The output and the last state. No step is kept."""
        record = self.forward(x, state, keep=False)
        last = tuple(getattr(record, f"{name}_n") for name in self.states)
        return record.output, last if len(last) > 1 else last[0]

    @without_warnings
    def forward(self, x: Any, state: Any = None, *, keep: bool = True) -> LayerRecord:
        """The same pass with everything that it computed; without the steps unless `keep`.

        x: (T, N, input_size), (N, T, input_size) if batch_first, (T, input_size), or packed.
        state: h_0, or (h_0, c_0), each (layers · directions, N, H), h_0 with `proj_size` P
        (layers · directions, N, P), without N for unbatched x; zeros if it is None. All in the
        module's dtype.
        Raises TypeError if x or a state is not an array, or the state of an LSTM not a pair;
        ValueError for another number of dimensions or another dtype of x; RuntimeError for another
        size of x, another shape or dtype of the state, or a PackedSequence whose fields do not fit
        each other.
        """
        given = check_layer_inputs(self, x, state)
        packed = isinstance(x, PackedSequence)
        layout: Layout = PackedLayout(x) if packed else PaddedLayout(x, self.batch_first)
        state_0 = [array[layout.inside] for array in given]  # (layers · directions, N, H)
        state_n = [np.empty_like(array) for array in state_0]
        record, memory = LayerRecord(layout), Memory(self._memory.blocks)
        hs = layout.split(x)
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                hs = self._drop(layer - 1, hs, record)
            hs = self._forward_layer(layer, hs, state_0, state_n, record, memory, keep)
        record.output = layout.join(hs)
        if keep:
            self._memory.blocks = memory.blocks
            if not packed:
                record.output.flags.writeable = False  # a view of the steps, which backward needs
        for name, array in zip(self.states, state_n, strict=True):
            setattr(record, f"{name}_n", array[layout.outside])
        return record

    def _forward_layer(
        self,
        layer: int,
        xs: Blocks,
        state_0: list[Array],
        state_n: list[Array],  # written
        record: LayerRecord,  # its runs are written
        memory: Memory,
        keep: bool,
    ) -> Blocks:
        """xs, (T, D, N), through one layer, in one direction or in both: (T, directions · R, N)."""
        size = 4 * sum(len(x) * self.hidden_size * x.shape[2] * x.itemsize for x in xs)  # of gates
        empty = memory.empty if size >= Memory.SMALL else np.empty
        halves = []  # the h of each direction
        for k, suffix in enumerate(self._suffixes[layer]):
            parameters = CellParameters.of(self, f"_{suffix}")
            weights = Weights(parameters, self.kind.gate_order, self.kind.negated)
            own_xs = reverse(xs) if k else xs
            place = layer * self.directions + k
            before, after = ([array[place].T for array in state] for state in (state_0, state_n))
            if keep:
                steps = bptt.forward(self.kind, weights, own_xs, before, after, empty)
                hs = [block.h[1:] for block in steps]
                record.runs[suffix] = Run(steps, reverse=k == 1, packed=record.layout.packed)
            else:
                hs = [np.empty((len(x), self.state_size, x.shape[2]), x.dtype) for x in own_xs]
                bptt.forward(self.kind, weights, own_xs, before, after, memory_of_one_step, hs)
            halves.append(reverse(hs) if k else hs)
        if len(halves) == 1:
            return halves[0]
        return [np.concatenate(pair, axis=1) for pair in zip(*halves, strict=True)]

    def _drop(self, layer: int, hs: Blocks, record: LayerRecord) -> Blocks:
        """The output of a layer times the mask of its dropout, which the record keeps."""
        shape = (*record.layout.shape_of_rows(hs), self.output_size)
        # 1/(1−p) with probability 1−p, else 0; all 0 for p = 1
        kept = (self._rng.random(shape) >= self.dropout).astype(hs[0].dtype)
        record.masks[f"l{layer}"] = kept / (1 - self.dropout if self.dropout < 1 else 1)
        return masked(hs, layer, record)

    # Backward

    @without_warnings
    def backward(
        self,
        record: LayerRecord,
        grad_output: Any = None,
        grad_state: Any = None,
        *,
        runs: dict[str, BackwardRun] | None = None,
    ) -> Any:
        """The gradients of x and of the initial state, in their structure.

        `grad_output` and `grad_state` are the gradients of the output and of the last state; None
        is zero. Adds to the gradients of the parameters, with the weights that `forward` used.
        What came back to every step goes into `runs`, if it is given.
        Raises TypeError if the record is not one or a gradient not an array, RuntimeError for
        another shape or a record of other parameters, ValueError for another dtype.
        """
        given = check_layer_gradients(self, record, LayerRecord, grad_output, grad_state)
        layout = record.layout
        grad_state_n = [array[layout.inside] for array in given]
        grad_state_0 = [np.empty_like(array) for array in grad_state_n]
        grad_hs = None if grad_output is None else layout.split(grad_output)
        for layer in range(self.num_layers)[::-1]:
            grad_hs = self._backward_layer(layer, record, grad_hs, grad_state_n, grad_state_0, runs)
            if f"l{layer - 1}" in record.masks:  # h ⊙ mask:  ∂(h ⊙ mask)/∂h = mask
                grad_hs = masked(grad_hs, layer - 1, record)
        grads = tuple([array[layout.outside] for array in grad_state_0])
        return layout.join(grad_hs), grads if len(grads) > 1 else grads[0]  # type: ignore[arg-type]

    def backward_record(
        self, record: LayerRecord, grad_output: Any = None, grad_state: Any = None
    ) -> LayerBackwardRecord:
        """`backward` with what came back to every step; the same numbers, bit for bit."""
        back = LayerBackwardRecord()
        back.grad_x, grads = self.backward(record, grad_output, grad_state, runs=back.runs)
        for name, grad in zip(self.states, grads if len(self.states) > 1 else [grads], strict=True):
            setattr(back, f"grad_{name}_0", grad)
        return back

    def _backward_layer(
        self,
        layer: int,
        record: LayerRecord,
        grad_hs: Blocks | None,
        grad_state_n: list[Array],
        grad_state_0: list[Array],  # written
        runs: dict[str, BackwardRun] | None,  # written, if it is given
    ) -> Blocks:
        """The gradient of the layer's input, (T, D, N), given that of its output."""
        R = self.state_size
        grad_xs: Blocks = []
        for k, suffix in enumerate(self._suffixes[layer]):
            run = record.runs[suffix]
            own_hs = grad_hs and [h[:, k * R : (k + 1) * R] for h in grad_hs]
            if k == 1:
                own_hs = own_hs and reverse(own_hs)
            place = layer * self.directions + k
            after, before = (
                [array[place].T for array in state] for state in (grad_state_n, grad_state_0)
            )
            back = None if runs is None else Back()
            own_xs = bptt.backward(run.steps, own_hs, after, before, back)
            if k == 0:
                grad_xs = own_xs
            else:
                for total, share in zip(grad_xs, reverse(own_xs), strict=True):
                    total += share
            if runs is not None and back is not None:
                runs[suffix] = BackwardRun(run, own_hs, back)
        return grad_xs

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


def masked(blocks: Blocks, layer: int, record: LayerRecord) -> Blocks:
    """The output of a layer, or its gradient, times the mask of its dropout."""
    masks = record.layout.split_rows(record.masks[f"l{layer}"])
    return [block * mask for block, mask in zip(blocks, masks, strict=True)]


class RNN(Recurrent):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh), or with ReLU, in layers and directions.

    Parameters weight_ih_l0 (H, input_size), weight_hh_l0 (H, H) and, unless `bias` is False,
    bias_ih_l0 and bias_hh_l0 (H,), H = hidden_size; "_l1" for the next of `num_layers`,
    "_l0_reverse" for the other direction if `bidirectional`; drawn uniformly within ±1/√H.

    `nonlinearity`: "tanh" or "relu". `batch_first`: x and output have N before T. `dropout`: the
    probability p with which, in training, a number that goes from layer to layer becomes 0; others
    are divided by 1 − p. `dtype`: a float or complex type. `rng`: a seed or a
    `numpy.random.Generator`, which then draws the masks of dropout.

        output, h_n = rnn(x, h_0)
        record = rnn.forward(x, h_0)
        grad_x, grad_h_0 = rnn.backward(record, grad_output, grad_h_n)

    Raises TypeError for an argument of another type, ValueError for a size below 1, another
    nonlinearity and a dropout outside [0, 1], RuntimeError for a dtype of integers; warns of a
    dropout that does nothing. Like
    https://docs.pytorch.org/docs/2.13/generated/torch.nn.RNN.html.
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
    ) -> None:
        check_nonlinearity(nonlinearity)
        self.nonlinearity, self.kind = nonlinearity, RNN_STEPS[nonlinearity]
        sizes = input_size, hidden_size, num_layers
        super().__init__(*sizes, bias, batch_first, dropout, bidirectional, 0, dtype, rng)


class LSTM(Recurrent):
    """LSTMCell through time, in layers and directions.

    Parameters weight_ih_l0 (4H, input_size), weight_hh_l0 (4H, H) and, unless `bias` is False,
    bias_ih_l0 and bias_hh_l0 (4H,), H = hidden_size, gates in the order i, f, g, o; with
    `proj_size` P weight_hh_l0 is (4H, P), and there is weight_hr_l0 (P, H) (Sak et al. 2014).
    "_l1" for the next of `num_layers`, "_l0_reverse" for the other direction if `bidirectional`;
    drawn uniformly within ±1/√H. `batch_first`, `dropout`, `dtype` and `rng` as for `RNN`.

        output, (h_n, c_n) = lstm(x, (h_0, c_0))
        record = lstm.forward(x, (h_0, c_0))
        grad_x, (grad_h_0, grad_c_0) = lstm.backward(record, grad_output, (grad_h_n, grad_c_n))

    Raises what `RNN` raises, and ValueError unless proj_size is below hidden_size. Like
    https://docs.pytorch.org/docs/2.13/generated/torch.nn.LSTM.html.
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
        self.kind = ProjectedLSTMStep if proj_size else LSTMStep
        sizes = input_size, hidden_size, num_layers
        super().__init__(*sizes, bias, batch_first, dropout, bidirectional, proj_size, dtype, rng)
