"""The arguments of Adam and of clip_grad_norm_, and a state that Adam is to take over."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .adam_state import MOMENTS
from .module import Array, Parameter, check_array, describe

OPTIONS: dict[str, type[np.generic]] = {
    "lr": np.float64,
    "betas": np.float64,
    "eps": np.float64,
    "weight_decay": np.float64,
    "amsgrad": np.bool_,
    "maximize": np.bool_,
    "decoupled_weight_decay": np.bool_,
}


def check_params(params: Iterable[Parameter]) -> list[Parameter]:
    if isinstance(params, Parameter) or not isinstance(params, Iterable):
        raise TypeError(f"params: expected an iterable of Parameters, got {describe(params)}")
    parameters: list[Any] = list(params)
    if not parameters:
        raise ValueError("params: expected at least one Parameter, got an empty list")
    named = [isinstance(entry, tuple) and len(entry) == 2 for entry in parameters]
    if any(named) and not all(named):
        raise ValueError("params: expected all of them with a name or none, got a mixture")
    if any(named):
        parameters = [parameter for _, parameter in parameters]
    for parameter in parameters:
        if not isinstance(parameter, Parameter):
            raise TypeError(f"params: expected Parameters, got {describe(parameter)} among them")
    distinct = list(dict.fromkeys(parameters))
    if len(distinct) != len(parameters):
        warnings.warn("params: a parameter comes twice; expected each once", stacklevel=3)
    return distinct


def check_options(lr: Any, betas: Any, eps: Any, weight_decay: Any) -> None:
    _check_at_least_zero("lr", lr)
    _check_at_least_zero("eps", eps)
    _check_at_least_zero("weight_decay", weight_decay)
    if not isinstance(betas, tuple | list):
        raise TypeError(f"betas: expected two floats, got {describe(betas)}")
    for i in (0, 1):
        if i >= len(betas):
            raise IndexError(f"betas: expected two floats, got {len(betas)}")
        _check_at_least_zero(f"betas[{i}]", betas[i])
        if not isinstance(betas[i], float) or not betas[i] < 1:
            raise ValueError(
                f"betas[{i}]: expected a float from 0.0 to below 1.0, got {describe(betas[i])}"
            )


def _check_at_least_zero(name: str, value: Any) -> None:
    try:
        in_range = value >= 0.0
    except TypeError:
        raise TypeError(f"{name}: expected a number, got {describe(value)}") from None
    if not in_range:
        raise ValueError(f"{name}: expected a number of at least 0, got {value}")


def check_clipped(parameters: Parameter | Iterable[Parameter]) -> list[Parameter]:
    if isinstance(parameters, Parameter):
        return [parameters]
    if not isinstance(parameters, Iterable):
        raise TypeError(f"parameters: expected Parameters, got {describe(parameters)}")
    listed = list(parameters)
    if isinstance(parameters, types.GeneratorType) and not listed:
        warnings.warn(
            "parameters: expected Parameters, got an empty generator; nothing is clipped",
            stacklevel=4,
        )
    for parameter in listed:
        if not isinstance(parameter, Parameter):
            raise AttributeError(
                f"parameters: expected Parameters, got {describe(parameter)} among them"
            )
    return listed


def as_float(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: expected a number, got {describe(value)}") from None


def check_changeable(name: str, array: Any) -> None:
    if not check_array(name, array).flags.writeable:
        raise RuntimeError(f"{name}: expected an array that can be changed, got a read-only one")


def check_state_dict(state_dict: Any, parameters: list[Parameter]) -> dict[str, Array]:
    """The state as arrays: complete, fitting the parameters, its options in their ranges."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"state_dict: expected a dict of arrays, got {describe(state_dict)}")
    state = {name: np.asarray(value) for name, value in state_dict.items()}
    check_names(state, len(parameters))
    check_shapes(state, parameters)
    check_steps(state)
    check_options(*(state[name].tolist() for name in ("lr", "betas", "eps", "weight_decay")))
    return state


def check_names(state: Mapping[str, Array], parameters: int) -> None:
    required = {*OPTIONS, "parameters"}
    if required <= state.keys():
        if not np.array_equal(state["parameters"], parameters):
            raise ValueError(
                f"state_dict: expected the state of {parameters} parameters, got that of "
                f"{state['parameters']}"
            )
        for i in range(parameters):
            names = {
                f"{i}.{name}"
                for name in ("step", *(MOMENTS if state["amsgrad"].any() else MOMENTS[:2]))
            }
            required |= names if names & state.keys() else set()
    missing = sorted(required - state.keys())
    unexpected = sorted(state.keys() - required, key=str)
    if missing or unexpected:
        raise KeyError(f"state_dict: missing: {missing}, unexpected: {unexpected}")


def check_shapes(state: Mapping[str, Array], parameters: list[Parameter]) -> None:
    expected: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]
    expected = {
        name: ((2,) if name == "betas" else (), np.dtype(dtype)) for name, dtype in OPTIONS.items()
    }
    for i, parameter in enumerate(parameters):
        expected[f"{i}.step"] = ((), np.dtype(np.int64))
        expected |= {f"{i}.{name}": (parameter.shape, parameter.dtype) for name in MOMENTS}
    problems = [
        f"{name}: expected shape {expected[name][0]} and dtype {expected[name][1]}, got "
        f"{describe(array)}"
        for name, array in state.items()
        if name in expected
        and not (
            array.shape == expected[name][0]
            and np.can_cast(array.dtype, expected[name][1], "same_kind")
        )
    ]
    if problems:
        raise RuntimeError("state_dict does not fit:\n  " + "\n  ".join(problems))


def check_steps(state: Mapping[str, Array]) -> None:
    steps = {name: array.item() for name, array in state.items() if name.endswith(".step")}
    problems = [
        f"{name}: expected at least 1, got {step}" for name, step in steps.items() if step < 1
    ]
    if problems:
        raise ValueError("state_dict does not fit:\n  " + "\n  ".join(problems))
