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
    """Every weight and its gradient: a Parameter's, or that of `W` in `dW`, `grad_W` or `grads`."""
    found: Weights = {}
    for name, holder in _holders(module):
        if not isinstance(holder, np.ndarray):
            found[name] = holder.data, holder.grad
            continue
        owner, _, last = name.rpartition(".")
        place = vars(module) if not owner else vars(module).get(owner, {})
        grads = vars(module).get("grads", {})
        options = [place.get(f"d{last}"), place.get(f"grad_{last}")]
        options += [grads.get(last)] if isinstance(grads, dict) else []
        grad = next((g for g in options if np.shape(g) == holder.shape and g is not None), None)
        found[name] = holder, grad
    gradients = {f"{start}{name}" for name in found for start in ("d", "grad_")}
    return {name: pair for name, pair in found.items() if name not in gradients}


def _holders(module: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(module, "named_parameters"):
        yield from module.named_parameters()
        return
    for name, value in getattr(module, "__dict__", {}).items():
        if isinstance(value, dict) and name != "grads":
            named = {f"{name}.{key}": entry for key, entry in value.items()}
        else:
            named = {name: value}
        for key, entry in named.items():
            if isinstance(entry, torch.Tensor):
                continue
            data = entry.data if hasattr(entry, "grad") and hasattr(entry, "data") else entry
            if isinstance(data, np.ndarray) and np.issubdtype(data.dtype, np.floating):
                yield key, entry


def in_float64(module: Any) -> Any:
    """A copy that computes in float64."""
    if isinstance(module, torch.nn.Module):
        return copy.deepcopy(module).double()
    if hasattr(module, "astype"):
        return module.astype(np.float64)
    result = copy.deepcopy(module)
    for name, holder in list(_holders(result)):
        if not isinstance(holder, np.ndarray):
            holder.data, holder.grad = holder.data.astype(np.float64), None
        elif "." in name:
            owner, _, key = name.partition(".")
            getattr(result, owner)[key] = holder.astype(np.float64)
        else:
            setattr(result, name, holder.astype(np.float64))
    return result
