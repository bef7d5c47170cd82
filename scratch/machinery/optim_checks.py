"""The arguments of Adam and of clip_grad_norm_, and a state that Adam is to take over."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from .module import Array, Parameter, check_array, check_fit, check_writeable, describe

MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")  # m, v and the largest v so far

OPTIONS: dict[str, type[np.generic]] = {
    "lr": np.float64,
    "betas": np.float64,
    "eps": np.float64,
    "weight_decay": np.float64,
    "amsgrad": np.bool_,
    "maximize": np.bool_,
    "decoupled_weight_decay": np.bool_,
}


def check_options(lr: Any, betas: Any, eps: Any, weight_decay: Any) -> None:
    for name, value in (("lr", lr), ("eps", eps), ("weight_decay", weight_decay)):
        if type(value) is not float and not isinstance(value, Real):
            raise TypeError(f"{name}: expected a number, got {describe(value)}")
        if not float(value) >= 0:
            raise ValueError(f"{name}: expected a number of at least 0, got {value}")
    if not isinstance(betas, tuple | list):
        raise TypeError(f"betas: expected two floats, got {describe(betas)}")
    if len(betas) != 2:
        raise ValueError(f"betas: expected two floats, got {len(betas)}")
    for i, beta in enumerate(betas):
        if not (isinstance(beta, float) and 0 <= beta < 1):
            error = ValueError if isinstance(beta, float) else TypeError
            raise error(f"betas[{i}]: expected a float from 0.0 to below 1.0, got {describe(beta)}")


def check_parameters(params: Any) -> list[Parameter]:
    """The parameters, each once."""
    if isinstance(params, Parameter) or not isinstance(params, Iterable):
        raise TypeError(f"params: expected an iterable of Parameters, got {describe(params)}")
    parameters = list(params)
    if not parameters:
        raise ValueError("params: expected at least one Parameter, got an empty list")
    named = [isinstance(entry, tuple) and len(entry) == 2 for entry in parameters]
    if any(named):
        if not all(named):
            raise ValueError("params: expected all of them with a name or none, got a mixture")
        parameters = [parameter for _, parameter in parameters]
    _check_each("params", parameters)
    distinct = list(dict.fromkeys(parameters))
    if len(distinct) != len(parameters):
        warnings.warn("params: a parameter comes twice; expected each once", stacklevel=3)
    return distinct


def check_gradient(parameter: Parameter, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse a gradient that does not fit, and data that are read-only or not what they were."""
    data, grad = parameter.data, parameter.grad
    if grad is None or (
        type(data) is type(grad) is np.ndarray
        and data.shape == grad.shape == shape
        and data.dtype == grad.dtype == dtype
        and data.flags.writeable
    ):
        return
    for name, array in (("Parameter.data", data), ("Parameter.grad", grad)):
        check_fit(name, array, shape, dtype)
    check_writeable("Parameter.data", data)


def check_state_dict(state_dict: Any, parameters: list[Parameter]) -> dict[str, Array]:
    """The state as arrays: complete, fitting the parameters, its options in their ranges."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"state_dict: expected a dict of arrays, got {describe(state_dict)}")
    state = {name: np.asarray(value) for name, value in state_dict.items()}
    number = state.get("parameters", len(parameters))
    if not np.array_equal(number, len(parameters)):
        raise ValueError(
            f"state_dict: expected the state of {len(parameters)} parameters, got that of {number}"
        )
    expected: dict[str, Any] = {"parameters": ((), np.int64)}
    expected |= {name: ((2,) if name == "betas" else (), OPTIONS[name]) for name in OPTIONS}
    moments = MOMENTS if np.any(state.get("amsgrad", False)) else MOMENTS[:2]
    for i, parameter in enumerate(parameters):
        own: dict[str, Any] = {f"{i}.step": ((), np.int64)}
        own |= {f"{i}.{name}": (parameter.shape, parameter.dtype) for name in moments}
        if own.keys() & state.keys():  # it has taken a step
            expected |= own
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys(), key=str)
    if missing or unexpected:
        raise KeyError(f"state_dict: missing: {missing}, unexpected: {unexpected}")
    problems = []
    for name, array in state.items():
        shape, dtype = expected[name]
        if array.shape != shape or not np.can_cast(array.dtype, dtype, "same_kind"):
            wanted = f"shape {shape} and dtype {np.dtype(dtype)}"
            problems.append(f"{name}: expected {wanted}, got {describe(array)}")
        elif name.endswith(".step") and array < 1:
            problems.append(f"{name}: expected at least 1, got {array}")
    if problems:
        raise ValueError("state_dict does not fit:\n  " + "\n  ".join(problems))
    check_options(*(state[name].tolist() for name in ("lr", "betas", "eps", "weight_decay")))
    return state


def check_clipped(parameters: Any) -> list[Array]:
    """The gradients of the parameters, which can be changed."""
    if isinstance(parameters, Parameter):
        parameters = [parameters]
    if not isinstance(parameters, Iterable):
        raise TypeError(f"parameters: expected Parameters, got {describe(parameters)}")
    listed = list(parameters)
    if isinstance(parameters, types.GeneratorType) and not listed:
        warnings.warn(
            "parameters: expected Parameters, got an empty generator; nothing is clipped",
            stacklevel=4,
        )
    _check_each("parameters", listed)
    grads = [parameter.grad for parameter in listed if parameter.grad is not None]
    for grad in grads:
        if check_array("Parameter.grad", grad).dtype.kind not in "fc":
            raise RuntimeError(
                f"Parameter.grad: expected floating point or complex numbers, got {describe(grad)}"
            )
        check_writeable("Parameter.grad", grad)
    return grads


def as_float(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: expected a number, got {describe(value)}") from None


def _check_each(name: str, parameters: list[Any]) -> None:
    for parameter in parameters:
        if not isinstance(parameter, Parameter):
            raise TypeError(f"{name}: expected Parameters, got {describe(parameter)} among them")
