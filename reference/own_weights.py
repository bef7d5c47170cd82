"""The weights of a module, and of an object of a person's own, with their gradients."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from scratch.machinery.module import Array

Weights = dict[str, tuple[Array, Array | None]]  # by name, an array and its gradient


def vars_with_grad(module: Any) -> Iterator[Any]:
    """The objects with .data and .grad, as Parameter has them, of a module and of those below."""
    yield from (holder for _, holder in _holders(module) if not isinstance(holder, np.ndarray))


def weights_of(module: Any) -> Weights:
    """Every weight and its gradient.

    A Parameter's `.grad`; of an attribute `W`, or a key of a dict, what is called `dW` or `grad_W`
    beside it, or `W` in a dict `grads`; of `params[0]` in a list `grads[0]`. One that has several
    names stands under the first with a gradient.
    """
    known: dict[int, tuple[str, Array, Array | None]] = {}
    for name, holder in _holders(module):
        if isinstance(holder, np.ndarray):
            found = name, holder, _gradient(module, name, holder.shape)
        else:
            found = name, holder.data, holder.grad
        if id(holder) not in known or (known[id(holder)][2] is None and found[2] is not None):
            known[id(holder)] = found
    gradients = set()
    for name, *_ in known.values():
        owner, dot, last = name.rpartition(".")
        gradients |= {f"{owner}{dot}d{last}", f"{owner}{dot}grad_{last}"}
    return {name: (data, grad) for name, data, grad in known.values() if name not in gradients}


def with_returned(weights: Weights, returned: list[Any]) -> Weights:
    """The same; if none has a gradient, with those that backward returned behind the inputs'.

    Which is whose is told by the shapes, if each weight has another one.
    """
    by_shape = {np.shape(grad): grad for grad in returned}
    shapes = {data.shape for data, _ in weights.values()}
    if any(grad is not None for _, grad in weights.values()) or shapes != by_shape.keys():
        return weights
    if not len(shapes) == len(weights) == len(returned):
        return weights
    return {name: (data, by_shape[data.shape]) for name, (data, _) in weights.items()}


def weight_names(module: Any) -> set[str]:
    """All of them, also the second name of a weight that has two."""
    return {name for name, _ in _holders(module)}


def _gradient(module: Any, name: str, shape: tuple[int, ...]) -> Array | None:
    owner, _, last = name.rpartition(".")
    beside, grads = (_entries(vars(module).get(n, {})) for n in (owner, "grads"))
    beside = beside if owner else vars(module)
    found = beside.get(f"d{last}"), beside.get(f"grad_{last}"), grads.get(last)
    return next((g for g in found if g is not None and np.shape(g) == shape), None)


def _holders(module: Any) -> Iterator[tuple[str, Any]]:
    """The weights, by every name: "W", "params.W" in a dict, "params.0" in a list."""
    if hasattr(module, "named_parameters"):
        yield from module.named_parameters()
        return
    attributes = getattr(module, "__dict__", {})
    named = dict(attributes)
    for name, value in attributes.items():
        if name != "grads":
            named |= {f"{name}.{key}": entry for key, entry in _entries(value).items()}
    yield from (
        (n, entry) for n, entry in named.items() if _is_weight(entry) or _is_parameter(entry)
    )


def _is_weight(value: Any) -> bool:
    return isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.floating)


def _is_parameter(value: Any) -> bool:
    """Whether it has .data and .grad, as Parameter has; a tensor is not one of mine."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return False
    return _is_weight(getattr(value, "data", None)) and hasattr(value, "grad")


def _entries(value: Any) -> dict[str, Any]:
    """Those of a dict or a list, by key or number as text."""
    if isinstance(value, dict):
        return {str(key): entry for key, entry in value.items()}
    return {str(k): entry for k, entry in enumerate(value)} if isinstance(value, list) else {}


def in_float64(module: Any) -> Any:
    """A copy that computes in float64."""
    if isinstance(module, torch.nn.Module):
        return copy.deepcopy(module).double()
    if hasattr(module, "astype"):
        return module.astype(np.float64)
    result = copy.deepcopy(module)
    known: dict[int, tuple[Any, Array]] = {}  # an array under two names stays one

    def cast(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: cast(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [cast(entry) for entry in value]
        if _is_weight(value):
            return known.setdefault(id(value), (value, value.astype(np.float64)))[1]
        if _is_parameter(value):
            value.data, value.grad = cast(value.data), None
        return value

    vars(result).update(cast(vars(result)))
    return result
