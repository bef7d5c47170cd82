"""The arguments of a pass, checked before anything is computed: of cells and layers.

TypeError for the wrong kind of thing; ValueError for the number of dimensions of x and the dtype of
a layer's x, as in torch.nn, and for the dtype of a gradient; RuntimeError for any other shape, size
or dtype.

In a layer's pass, what is a plain array and fits is passed over by an `if`: no function is called
that finds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .arrays import CellParameters
from .module import (
    Array,
    check_array,
    check_fit,
    check_grads,
    check_record,
    describe,
    other_parameters,
)
from .packing import PackedSequence, check_order, check_packed, check_same_order

Shape = tuple[int, ...]


def check_cell_inputs(cell: Any, x: Any, state: Any) -> list[Array]:
    """The state before the step: [h] or [h, c], of shape (N, H) or (H,); zeros for None."""
    name, dtype = type(cell).__name__, cell.weight_ih.data.dtype
    check_array(f"{name}: x", x)
    if x.ndim not in (1, 2):
        raise misshapen(f"{name}: x", x, {1: "(input_size,)", 2: "(N, input_size)"})
    check_fit(f"{name}: x", x, (*x.shape[:-1], cell.input_size), dtype)
    names = [f"{name}: {array}_prev" for array in cell.states]
    shapes = [(*x.shape[:-1], cell.hidden_size)] * len(names)
    dimensions = {1: "(hidden_size,)", 2: "(N, hidden_size)"}
    return check_states(names, state, shapes, dtype, dimensions=dimensions)


def check_cell_gradients(cell: Any, record: Any, kind: type, grad_state: Any) -> list[Array]:
    """The gradients of the state after the step, as `check_cell_inputs` gives the state."""
    name = type(cell).__name__
    check_record(record, kind, f"{name}: record")
    used = record.steps[0].weights.parameters
    if used != CellParameters.of(cell):
        raise other_parameters(f"{name}: record")
    check_grads(used)
    names = [f"{name}: grad_{state}" for state in cell.states]
    shapes = [record.h.shape if record.batched else record.h.shape[1:]] * len(names)
    return check_states(names, grad_state, shapes, record.h.dtype, gradient=True)


def check_layer_inputs(layer: Any, x: Any, state: Any) -> list[Array]:
    """The initial state: [h_0] or [h_0, c_0], as the caller has it; zeros for None."""
    name, dtype, data = type(layer).__name__, layer.weight_ih_l0.data.dtype, x
    if not isinstance(layer.bidirectional, bool):  # refused by the call, as in torch.nn
        got = describe(layer.bidirectional)
        raise TypeError(f"bidirectional: expected True or False, got {got}")
    if isinstance(x, PackedSequence):
        check_packed(f"{name}: x", x)
        check_order(f"{name}: x", x)
        data, batch = x.data, tuple(x.batch_sizes[:1].tolist())
        if data.ndim != 2:
            raise misshapen(f"{name}: x.data", data, {2: "(rows, input_size)"}, RuntimeError)
    else:
        batched = "(N, T, input_size)" if layer.batch_first else "(T, N, input_size)"
        if type(x) is not np.ndarray:
            check_array(f"{name}: x", x)
        if x.ndim not in (2, 3):
            raise misshapen(f"{name}: x", x, {2: "(T, input_size)", 3: batched})
        batch = x.shape[1 - layer.batch_first : 2 - layer.batch_first] if x.ndim == 3 else ()
    if data.dtype != dtype:
        raise ValueError(
            f"{name}: x: expected dtype {dtype}, got {data.dtype}. Nothing is promoted: "
            f"convert the input, or the module with .astype(...)"
        )
    if data.shape[-1] != layer.input_size:
        raise RuntimeError(
            f"{name}: x: expected input_size {layer.input_size} as last dimension, got "
            f"{describe(data)}"
        )
    if not data.shape[1 if data.ndim == 3 and layer.batch_first else 0]:
        raise RuntimeError(f"{name}: x: expected at least one time step, got {describe(data)}")
    runs = layer.num_layers * layer.directions
    shapes = [(runs, *batch, layer.state_size), (runs, *batch, layer.hidden_size)]
    names = [f"{name}: {array}_0" for array in layer.states]
    return check_states(names, state, shapes[: len(names)], dtype)


def check_layer_gradients(
    layer: Any, record: Any, kind: type, grad_output: Any, grad_state: Any
) -> list[Array]:
    """The gradients of the last state, as `check_layer_inputs` gives the initial one."""
    name = type(layer).__name__
    if not isinstance(record, kind):
        check_record(record, kind, f"{name}: record")
    for suffix, run in record.runs.items():
        used = run.steps[0].weights.parameters
        if used != CellParameters.of(layer, f"_{suffix}"):
            raise other_parameters(f"{name}: record")
        check_grads(used)
    output, output_name = record.output, f"{name}: grad_output"
    if grad_output is not None:
        if isinstance(output, PackedSequence):
            if not isinstance(grad_output, PackedSequence):
                raise TypeError(
                    f"{output_name}: expected a PackedSequence, got {describe(grad_output)}"
                )
            check_same_order(output_name, grad_output, output)
            output_name, grad_output, output = f"{output_name}.data", grad_output.data, output.data
        plain = type(grad_output) is np.ndarray
        if not plain or grad_output.shape != output.shape or grad_output.dtype != output.dtype:
            check_fit(output_name, grad_output, output.shape, output.dtype, ValueError)
    last = [getattr(record, f"{state}_n") for state in layer.states]
    names = [f"{name}: grad_{state}_n" for state in layer.states]
    shapes = [array.shape for array in last]
    return check_states(names, grad_state, shapes, last[0].dtype, gradient=True)


def misshapen(
    name: str, array: Any, shapes: Mapping[int, str], error: type[Exception] = ValueError
) -> Exception:
    """What is raised for an array whose number of dimensions is not among `shapes`."""
    return error(f"{name}: expected {' or '.join(shapes.values())}, got {describe(array)}")


def check_states(
    names: Sequence[str],
    state: Any,
    shapes: Sequence[Shape],
    dtype: np.dtype[Any],
    *,
    dimensions: Mapping[int, str] | None = None,
    gradient: bool = False,
) -> list[Array]:
    """The entries of a state, one for each name; with one name, the state itself.

    Zeros for None and, in a gradient, for each entry that is None.
    """
    if state is None:
        return [np.zeros(shape, dtype) for shape in shapes]
    if len(names) == 1:
        state = [state]
    elif not isinstance(state, tuple | list):
        raise TypeError(f"expected the pair ({', '.join(names)}), got {describe(state)}")
    elif len(state) != len(names):
        raise RuntimeError(f"expected the pair ({', '.join(names)}), got {len(state)} values")
    arrays = []
    for name, array, shape in zip(names, state, shapes, strict=True):
        if array is None and gradient:
            array = np.zeros(shape, dtype)
        if type(array) is not np.ndarray or array.shape != shape or array.dtype != dtype:
            if dimensions is not None and check_array(name, array).ndim not in dimensions:
                raise misshapen(name, array, dimensions)
            check_fit(name, array, shape, dtype, ValueError if gradient else RuntimeError)
        arrays.append(array)
    return arrays
