"""What goes into a module and comes out of it: which is a state, and what each is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..machinery.module import Module, describe
from ..machinery.nests import flatten, float_arrays, is_packed
from .raised import NotCheckable

STATES = ("state", "states", "hidden", "hx", "state_0", "initial_state")


def positional(function: Callable[..., Any]) -> list[str]:
    """The names of the positional arguments of a bound method."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind in kinds]


def splits_answers(module: Module, answers: Any) -> bool:
    """Whether `backward` takes one gradient for each part of a tuple of answers.

    It does for a layer, (output, state); not for a cell, whose pair (h, c) is one state.
    """
    if not isinstance(answers, tuple) or is_packed(answers):
        return False
    return len(positional(module.backward)) != 2


def is_cell(module: Module, inputs: tuple[Any, ...], answers: Any) -> bool:
    """Whether the answers are a new state rather than an output and a state."""
    shapes = [leaf.shape for leaf in float_arrays(answers)]
    if isinstance(answers, tuple):
        if not splits_answers(module, answers):
            return not is_packed(answers)
        flat_pair = all(isinstance(part, np.ndarray) for part in answers) and len(answers) == 2
        return flat_pair and len(shapes[0]) <= 2 and shapes[0] == shapes[1]
    return any(leaf.shape == shapes[0] for value in inputs[1:] for leaf in float_arrays(value))


def input_names(module: Module, inputs: tuple[Any, ...], cell: bool) -> list[str]:
    """One name for each array of `inputs`: x, h_0, c_0, or the argument's name and its place."""
    known = getattr(module, "input_names", None)
    if isinstance(known, list) and len(known) == len(float_arrays(inputs)):
        return known
    arguments = positional(module.forward)
    arguments += [f"input {k}" for k in range(len(arguments), len(inputs))]
    names: list[str] = []
    ending = "prev" if cell else "0"
    for argument, value in zip(arguments, inputs, strict=False):
        count = len(float_arrays(value))
        if argument in STATES and count <= 2:
            names += [f"{state}_{ending}" for state in "hc"[:count]]
        elif is_packed(value):
            names.append(f"{argument}.data")
        elif count == 1 and not isinstance(value, tuple | list):
            names.append(argument)
        else:
            names += [f"{argument}[{k}]" for k in range(count)]
    return names


def answer_names(module: Module, inputs: tuple[Any, ...], answers: Any, cell: bool) -> list[str]:
    """h, c of a cell; output, h_n, c_n of a layer; else answer and its place.

    A state that is handed on has the form of the one that was given; what has another is a
    prediction. A module that gives the names itself has `answer_names`.
    """
    count = len(float_arrays(answers))
    known = getattr(module, "answer_names", None)
    if isinstance(known, list) and len(set(known)) == count and all(known):
        return known
    if not isinstance(answers, tuple) or is_packed(answers):
        number = count == 1 and float_arrays(answers)[0].ndim == 0
        return ["h" if cell else "loss" if number else "answer"][:count]
    layer = not cell and len(answers) == 2 and len(float_arrays(answers[0])) == 1
    states = [np.squeeze(state).shape for state in float_arrays(answers)[1 if layer else 0 :]]
    handed_on = states == [np.squeeze(state).shape for state in float_arrays(inputs[1:])]
    if 0 < len(states) <= 2 and handed_on and (layer or cell):
        return ["output", "h_n", "c_n"][:count] if layer else ["h", "c"][:count]
    return [f"answer[{k}]" for k in range(count)]


def align(inputs: tuple[Any, ...], grads: Any) -> list[Any]:
    """One gradient for each array of `inputs`, None where none was returned."""
    if not isinstance(grads, tuple | list) or is_packed(grads):
        grads = (grads,)
    wanted = [len(float_arrays(value)) for value in inputs]
    if len(inputs) > 1 and len(found := _gradients(grads)) == sum(wanted):
        return found
    parts = [*grads, *[None] * len(inputs)]
    aligned: list[Any] = []
    for count, part in zip(wanted, parts, strict=False):
        found = _gradients(part)
        aligned += [*found, *[None] * count][:count]
    return aligned


def _gradients(value: Any) -> list[Any]:
    """The arrays of `value`, of whatever numbers, and the None."""
    found: list[Any] = []
    for leaf in flatten(value):
        found.append(None if leaf is None else np.asarray(leaf))
        if leaf is not None and found[-1].dtype.kind not in "biufc":
            got = describe(leaf)
            got += f" of {', '.join(map(str, leaf))}" if isinstance(leaf, dict) else ""
            raise NotCheckable(
                f"backward: expected it to return the gradients of the inputs in their order, as "
                f"arrays, got {got}. Those of parameters go into .grad"
            )
    return found
