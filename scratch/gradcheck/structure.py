"""Answers, inputs and gradients are arrays in tuples; here they are lists of arrays and back.

Only floating point and complex numbers count: integers, such as class indices, have no gradient.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..machinery.module import Array, Module
from ..machinery.packing import PackedSequence

STATES = ("state", "states", "hidden", "hx", "state_0", "initial_state")


def leaves(value: Any) -> list[Array]:
    """The inexact arrays of `value`, depth first; a number counts as an array of shape ()."""
    if isinstance(value, PackedSequence):
        return leaves(value.data)
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in leaves(part)]
    if isinstance(value, np.ndarray | np.generic | float | complex):
        array = np.asarray(value)
        return [array] if np.issubdtype(array.dtype, np.inexact) else []
    return []


def replace(value: Any, arrays: Iterator[Array]) -> Any:
    """`value` with its inexact arrays replaced by the next ones of `arrays`."""
    if isinstance(value, PackedSequence):
        return value._replace(data=replace(value.data, arrays))
    if isinstance(value, tuple | list):
        parts = [replace(part, arrays) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if leaves(value):
        array = next(arrays)
        return array if isinstance(value, np.ndarray) else array[()]
    return value


def convert(value: Any, dtype: Any) -> Any:
    """A copy of `value` with its inexact arrays in `dtype`."""
    return replace(value, iter([leaf.astype(dtype) for leaf in leaves(value)]))


def flat(value: Any) -> Array:
    """All numbers of `value`, one behind the other."""
    parts = [leaf.reshape(-1) for leaf in leaves(value)]
    return np.concatenate(parts) if parts else np.zeros(0)


def split(vector: Array, like: list[Array]) -> list[Array]:
    """The inverse of `flat`: arrays of the shapes of `like`."""
    ends = np.cumsum([leaf.size for leaf in like])[:-1]
    return [
        part.reshape(leaf.shape) for part, leaf in zip(np.split(vector, ends), like, strict=True)
    ]


def positional(function: Callable[..., Any]) -> list[str]:
    """The names of the positional arguments of a bound method."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind in kinds]


def splits_answers(module: Module, answers: Any) -> bool:
    """Whether `backward` takes one gradient for each part of a tuple of answers.

    It does for a layer, (output, state); not for a cell, whose pair (h, c) is one state.
    """
    if not isinstance(answers, tuple) or isinstance(answers, PackedSequence):
        return False
    return len(positional(module.backward)) != 2


def is_cell(module: Module, inputs: tuple[Any, ...], answers: Any) -> bool:
    """Whether the answers are a new state rather than an output and a state."""
    shapes = [leaf.shape for leaf in leaves(answers)]
    if isinstance(answers, tuple):
        if not splits_answers(module, answers):
            return not isinstance(answers, PackedSequence)
        flat_pair = all(isinstance(part, np.ndarray) for part in answers) and len(answers) == 2
        return flat_pair and len(shapes[0]) <= 2 and shapes[0] == shapes[1]
    return any(leaf.shape == shapes[0] for value in inputs[1:] for leaf in leaves(value))


def input_names(module: Module, inputs: tuple[Any, ...], cell: bool) -> list[str]:
    """One name for each array of `inputs`: x, h_0, c_0, or the argument's name and its place."""
    arguments = positional(module.forward)
    arguments += [f"input {k}" for k in range(len(arguments), len(inputs))]
    names: list[str] = []
    ending = "prev" if cell else "0"
    for argument, value in zip(arguments, inputs, strict=False):
        count = len(leaves(value))
        if argument in STATES and count <= 2:
            names += [f"{state}_{ending}" for state in "hc"[:count]]
        elif isinstance(value, PackedSequence):
            names.append(f"{argument}.data")
        elif count == 1 and not isinstance(value, tuple | list):
            names.append(argument)
        else:
            names += [f"{argument}[{k}]" for k in range(count)]
    return names


def answer_names(answers: Any, cell: bool) -> list[str]:
    """h, c of a cell; output, h_n, c_n of a layer; else answer and its place."""
    count = len(leaves(answers))
    if not isinstance(answers, tuple) or isinstance(answers, PackedSequence):
        number = count == 1 and leaves(answers)[0].ndim == 0
        return ["h" if cell else "loss" if number else "answer"][:count]
    if cell:
        return ["h", "c"]
    layer = len(answers) == 2 and len(leaves(answers[0])) == 1 and 2 <= count <= 3
    return ["output", "h_n", "c_n"][:count] if layer else [f"answer[{k}]" for k in range(count)]


def align(inputs: tuple[Any, ...], grads: Any) -> list[Any]:
    """One gradient for each array of `inputs`, None where none was returned."""
    if not isinstance(grads, tuple | list) or isinstance(grads, PackedSequence):
        grads = (grads,)
    wanted = [len(leaves(value)) for value in inputs]
    if len(inputs) > 1 and len(found := _gradients(grads)) == sum(wanted):
        return found
    parts = [*grads, *[None] * len(inputs)]
    aligned: list[Any] = []
    for count, part in zip(wanted, parts, strict=False):
        found = _gradients(part)
        aligned += [*found, *[None] * count][:count]
    return aligned


def _gradients(value: Any) -> list[Any]:
    """The arrays of `value`, of whatever dtype, and the None."""
    if isinstance(value, PackedSequence):
        return [value.data]
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in _gradients(part)]
    return [None if value is None else np.asarray(value)]
