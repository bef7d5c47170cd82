"""One sequence of a batch on its way through a layer, forward and backward, ready to be shown."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..cells import Cell, LSTMCell, RNNCell
from ..machinery.module import Array, without_warnings
from ..machinery.nests import map_leaves
from ..machinery.packing import PackedSequence
from ..models import SimpleLSTM, SimpleRNN
from ..recurrent import LSTM, RNN
from .checks import check_module
from .equations import LSTM_GATES, Equation, lstm_equations, rnn_equations, split_product


class Weight(NamedTuple):
    """A matrix or a bias of the equations: the rows of a parameter that belong to one gate.

    At step t it adds `from_above` ⊗ `from_below` to its gradient, or `from_above` if it is a bias.
    """

    data: Array
    grad: Array  # what the pass adds to `.grad`, from the whole batch
    parameter: str  # "weight_hh_l0"
    first_row: int  # where it begins in that
    from_above: str  # "grad_z_i"
    from_below: str | None  # "h_prev"


@dataclass
class SequenceRun:
    """What one run of a layer computed for one sequence. Numbers are float64.

    values: (T, n) by the record's names: x, h_prev, i, ..., grad_h, grad_z_i, ..., and besides
        z_i, ..., grad_x, grad_h_prev and grad_c_prev. Index t is the step of the input.
    weights: by the names that PyTorch's equations have: "W_hi" (H, H), "b_hi" (H,), ...
    """

    kind: str  # "RNN" or "LSTM"
    reverse: bool
    batch: int
    forward: list[Equation]
    backward: list[Equation]
    values: dict[str, Array]
    weights: dict[str, Weight]

    @property
    def steps(self) -> int:
        return len(self.values["x"])

    @property
    def units(self) -> int:
        return int(self.values["c" if self.kind == "LSTM" else "h"].shape[1])

    @property
    def order(self) -> list[int]:
        """The steps in the order of the forward pass."""
        return list(range(self.steps))[:: -1 if self.reverse else 1]

    def number(self, name: str, t: int, unit: int) -> float:
        """The number of a name in an equation, unless it is a product."""
        if name in self.weights:
            return float(self.weights[name].data[unit])
        return float(self.values[name][t, unit])

    def factors(self, name: str, t: int, unit: int) -> tuple[list[float], list[float]]:
        """The two vectors whose product a name like `W_hi h_prev` is."""
        product = split_product(name)
        assert product is not None
        matrix, transposed, vector = product
        weights = self.weights[matrix].data
        row = weights[:, unit] if transposed else weights[unit]
        return row.tolist(), self.values[vector][t].tolist()

    def contributions(self, name: str) -> Array:
        """What step t adds to the gradient of "W_hi" and so on: (T, *its shape)."""
        weight = self.weights[name]
        above = self.values[weight.from_above]
        if weight.from_below is None:
            return above
        return above[:, :, None] * self.values[weight.from_below][:, None, :]


@without_warnings
def follow(
    module: Any,
    x: Any,
    grad_output: Any,
    *,
    state: Any = None,
    grad_state: Any = None,
    sample: int = 0,
) -> dict[str, SequenceRun]:
    """What happens to sequence `sample` of a batch in every run, "l0", "l0_reverse", "l1", ...

    module: RNN, LSTM, SimpleRNN, SimpleLSTM or a cell, of real numbers; it is left as it is.
    x, state, grad_output, grad_state: what its `forward` and `backward` take. A cell answers with
        its state: `grad_output` is the gradient of that.
    Raises TypeError for another module, or a state given to a model; ValueError for complex
    numbers; IndexError for a sequence that is not there; and what the passes raise.
    """
    check_module("module", module, (RNN, LSTM, SimpleRNN, SimpleLSTM, RNNCell, LSTMCell))
    if any(parameter.dtype.kind == "c" for parameter in module.parameters()):
        raise ValueError("module: expected real numbers, got complex ones")
    if isinstance(module, Cell):
        return follow_cell(module, x, grad_output, state, grad_state, sample)
    module = copy.deepcopy(module)  # whose .grad is ours
    module.zero_grad()
    layer: Any = module
    if isinstance(module, SimpleRNN | SimpleLSTM):
        if state is not None or grad_state is not None:
            raise TypeError("state, grad_state: expected None, as a model takes x alone")
        part = "rnn" if isinstance(module, SimpleRNN) else "lstm"
        whole: Any = module.forward(x)
        whole_back: Any = module.backward_record(whole, grad_output)
        layer = getattr(module, part)
        record, back = getattr(whole, part), getattr(whole_back, part)
    else:
        record = module.forward(x, state)
        back = module.backward_record(record, grad_output, grad_state)

    batch, rows = rows_of(x, record, sample)
    runs = {}
    for place, suffix in enumerate(record.runs):
        first = {name: getattr(back, f"grad_{name}_0")[place] for name in layer.states}
        before = {k: np.atleast_2d(grad)[sample] for k, grad in first.items()}  # (H,)
        values = values_of(record.runs[suffix], rows) | values_of(back.runs[suffix], rows)
        runs[suffix] = one_run(layer, suffix, record.runs[suffix].reverse, batch, values, before)
    return runs


def follow_cell(
    cell: Any, x: Any, grad_answer: Any, state: Any, grad_state: Any, sample: int
) -> dict[str, SequenceRun]:
    """The same of a cell, as a layer of one step whose last state is the cell's answer."""
    if grad_state is not None:
        raise TypeError("grad_state: expected None, as a cell takes the gradient of its answer")
    tried = copy.deepcopy(cell)
    tried.backward(tried.forward(x, state), grad_answer)  # refuses what does not fit

    def one_step(nest: Any) -> Any:
        return map_leaves(lambda array: None if array is None else array[np.newaxis], nest)

    arguments = {"state": one_step(state), "grad_state": one_step(grad_answer), "sample": sample}
    (run,) = follow(as_layer(cell), x[np.newaxis], None, **arguments).values()
    weights = {
        name: weight._replace(parameter=weight.parameter.removesuffix("_l0"))
        for name, weight in run.weights.items()
    }
    return {"l0": replace(run, weights=weights)}


def as_layer(cell: Any) -> Any:
    """An RNN or LSTM with the weights of a cell."""
    arguments = cell.input_size, cell.hidden_size, 1
    options = {"bias": bool(cell.bias), "dtype": cell.weight_ih.dtype}
    layer: Any
    if isinstance(cell, LSTMCell):
        layer = LSTM(*arguments, **options)
    else:
        layer = RNN(*arguments, cell.nonlinearity, **options)
    layer.load_state_dict({f"{name}_l0": array for name, array in cell.state_dict().items()})
    return layer


def rows_of(x: Any, record: Any, sample: int) -> tuple[int, Any]:
    """The size of the batch, and where the steps of a sequence lie in the arrays of a run."""
    packed = isinstance(x, PackedSequence)
    batch = int(x.batch_sizes[0]) if packed else record.runs["l0"].h.shape[1]
    if not 0 <= sample < batch:
        raise IndexError(f"sample: expected a sequence from 0 to {batch - 1}, got {sample}")
    if not packed:
        return batch, np.s_[:, sample]
    place = sample if x.unsorted_indices is None else int(x.unsorted_indices[sample])
    starts = np.cumsum(x.batch_sizes) - x.batch_sizes
    return batch, starts[x.batch_sizes > place] + place


def values_of(run: Any, rows: Any) -> dict[str, Array]:
    return {name: np.asarray(getattr(run, name)[rows], np.float64) for name in run.names}


def one_run(
    layer: Any,
    suffix: str,
    reverse: bool,
    batch: int,
    values: dict[str, Array],
    grad_before: dict[str, Array],  # of the initial state
) -> SequenceRun:
    """The values of a record, and what follows from them: z, and what a step hands back."""
    weights = dict(named_weights(layer, suffix))
    for ih, hh, z in gate_names(layer):
        of_x, of_h = (weights[f"W_{which}"].data for which in (ih, hh))
        values[z] = values["x"] @ of_x.T + values["h_prev"] @ of_h.T
        if layer.bias:
            values[z] = values[z] + weights[f"b_{ih}"].data + weights[f"b_{hh}"].data
        values["grad_x"] = values.get("grad_x", 0) + values[f"grad_{z}"] @ of_x
    for name in layer.states:
        # What a step hands back is what the step before it gets from its next.
        from_next, first = values[f"grad_{name}_from_next"], grad_before[name][None]
        handed = (from_next[1:], first) if reverse else (first, from_next[:-1])
        values[f"grad_{name}_prev"] = np.concatenate(handed)
    if isinstance(layer, LSTM):
        kind, equations = "LSTM", lstm_equations(bool(layer.proj_size), layer.bias)
    else:
        kind, equations = "RNN", rnn_equations(layer.nonlinearity == "relu", layer.bias)
    return SequenceRun(kind, reverse, batch, *equations, values, weights)


def gate_names(layer: Any) -> list[tuple[str, str, str]]:
    """The ends of the names of weights, and the name of what they give: ("ii", "hi", "z_i")."""
    if isinstance(layer, LSTM):
        return [(f"i{gate}", f"h{gate}", f"z_{gate}") for gate in LSTM_GATES]
    return [("ih", "hh", "z")]


def named_weights(layer: Any, suffix: str) -> Iterator[tuple[str, Weight]]:
    """The parameters of a run gate by gate, under the names of the equations."""
    for number, (ih, hh, z) in enumerate(gate_names(layer)):
        rows = slice(number * layer.hidden_size, (number + 1) * layer.hidden_size)
        for name, parameter, below in (
            (f"W_{ih}", f"weight_ih_{suffix}", "x"),
            (f"W_{hh}", f"weight_hh_{suffix}", "h_prev"),
            (f"b_{ih}", f"bias_ih_{suffix}", None),
            (f"b_{hh}", f"bias_hh_{suffix}", None),
        ):
            if hasattr(layer, parameter):
                yield name, weight(layer, parameter, rows, f"grad_{z}", below)
    if layer.proj_size:
        yield "W_hr", weight(layer, f"weight_hr_{suffix}", slice(0, None), "grad_h", "m")


def weight(layer: Any, name: str, rows: slice, above: str, below: str | None) -> Weight:
    parameter = getattr(layer, name)
    data, grad = (np.asarray(a[rows], np.float64) for a in (parameter.data, parameter.grad))
    return Weight(data, grad, name, rows.start, above, below)
