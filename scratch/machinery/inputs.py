"""What cells and layers are called with: checked, and taken apart for the equations.

Where several things are wrong, the first that PyTorch looks at is refused: the dimensions of all
arguments, then the rest of x, then the rest of the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .checks import (
    Shape,
    check_bool,
    check_dimensions,
    check_grad_states,
    check_like,
    check_pair,
)
from .layout import Layout, PackedLayout, PaddedLayout
from .module import Array, describe
from .packing import PackedSequence, check_order, check_packed, check_same_order


def cell_state(cell: Any, x: Any, state: Any) -> Sequence[Array]:
    """The state before a step: [h] or [h, c], of the shape (N, H) or (H,); zeros for None."""
    name = type(cell).__name__
    names = [f"{name}: {array}_prev" for array in cell.states]
    check_dimensions(f"{name}: x", x, {1: "(input_size,)", 2: "(N, input_size)"})
    batch, dtype = x.shape[:-1], cell.weight_ih.dtype
    shape = (*batch, cell.hidden_size)
    if state is None:
        arrays: Sequence[Array] = [np.zeros(shape, dtype) for _ in names]
    else:
        arrays = check_pair(names, state, few=RuntimeError if batch else IndexError)
        for array_name, array in zip(names, arrays, strict=True):
            check_dimensions(array_name, array, {1: "(hidden_size,)", 2: "(N, hidden_size)"})
    check_like(f"{name}: x", x, (*batch, cell.input_size), dtype)
    for array_name, array in zip(names, arrays, strict=True):
        check_like(array_name, array, shape, dtype)
    return arrays


def layer_inputs(layer: Any, x: Any, state: Any) -> tuple[Layout, list[Array]]:
    """How x lies; the initial state, (layers · directions, N, H), in the order of x's columns."""
    name = type(layer).__name__
    check_bool("bidirectional", layer.bidirectional)
    dtype = layer.weight_ih_l0.dtype
    layout = _layout(name, x, layer.batch_first)
    shapes = _state_shapes(layer, layout)
    if state is None:
        _check_data(name, x, layout, layer.input_size, dtype)
        return layout, [layout.sort(np.zeros(shape, dtype)) for shape in shapes]
    names = [f"{name}: {array}_0" for array in layer.states]
    arrays = check_pair(names, state, few=IndexError, rows=True)
    for array_name, array, shape in zip(names, arrays, shapes, strict=True):
        check_dimensions(array_name, array, {len(shape): f"shape {shape}"}, RuntimeError)
    _check_data(name, x, layout, layer.input_size, dtype)
    for array_name, array, shape in zip(names, arrays, shapes, strict=True):
        check_like(array_name, array, shape, dtype)
    return layout, [layout.sort(array) for array in arrays]


def layer_gradients(
    layer: Any, trace: Any, grad_output: Any, grad_state: Any
) -> tuple[Sequence[Array] | None, list[Array]]:
    """The gradients of the steps' output and of the last state, as `layer_inputs` gives it."""
    name = f"{type(layer).__name__}: grad"
    output, layout = trace.output, trace.layout
    if layout.packed and grad_output is not None:
        if not isinstance(grad_output, PackedSequence):
            raise TypeError(
                f"{name}_output: expected a PackedSequence, got {describe(grad_output)}"
            )
        data, expected = grad_output.data, output.data
        check_like(f"{name}_output.data", data, expected.shape, expected.dtype, ValueError)
        check_same_order(f"{name}_output", grad_output, output)
    elif grad_output is not None:
        check_like(f"{name}_output", grad_output, output.shape, output.dtype, ValueError)
    names = [f"{name}_{array}_n" for array in layer.states]
    arrays = check_grad_states(names, grad_state, _state_shapes(layer, layout), trace.h_n.dtype)
    return (
        None if grad_output is None else layout.split(grad_output),
        [layout.sort(array) for array in arrays],
    )


def _layout(name: str, x: Any, batch_first: bool) -> Layout:
    if isinstance(x, PackedSequence):
        check_packed(f"{name}: x", x)
        check_order(f"{name}: x", x)
        check_dimensions(f"{name}: x.data", x.data, {2: "(rows, input_size)"}, RuntimeError)
        return PackedLayout(x)
    batched = "(N, T, input_size)" if batch_first else "(T, N, input_size)"
    check_dimensions(f"{name}: x", x, {2: "(T, input_size)", 3: batched})
    return PaddedLayout(x, batch_first)


def _state_shapes(layer: Any, layout: Layout) -> list[Shape]:
    """Those of the caller's h and c."""
    runs = layer.num_layers * (2 if layer.bidirectional else 1)
    batch = (layout.batch,) if layout.batched else ()
    sizes = [layer.proj_size or layer.hidden_size, layer.hidden_size]
    return [(runs, *batch, size) for size in sizes[: len(layer.states)]]


def _check_data(name: str, x: Any, layout: Layout, input_size: int, dtype: np.dtype[Any]) -> None:
    data = x.data if layout.packed else x
    if data.dtype != dtype:
        raise ValueError(
            f"{name}: x: expected dtype {dtype}, got {data.dtype}. Nothing is promoted: "
            f"convert the input, or the module with .astype(...)"
        )
    if data.shape[-1] != input_size:
        raise RuntimeError(
            f"{name}: x: expected input_size {input_size} as last dimension, got {describe(data)}"
        )
    if not layout.sizes:
        raise RuntimeError(f"{name}: x: expected at least one time step, got {describe(data)}")
