"""Why a module of torch, or a subclass of one of scratch, has no twin, and what to do instead."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch.nn.utils import parametrize, prune

from scratch.machinery.module import Module, describe

NUMPY_DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
# What changes a pass from outside, by the attributes of torch.nn.Module and torch.Tensor.
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
TENSOR_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")
UNDO = {"WeightNorm": "remove_weight_norm", "SpectralNorm": "remove_spectral_norm"}
RUN_IT = "compare(mine, module, x) runs the module as it is beside one of yours"


def check_torch(module: object, known: Collection[type]) -> None:
    """Raises TypeError unless `module` computes what a class of `known` does, and nothing else."""
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module: expected a torch.nn.Module, got {_what(module)}")
    for path, part in module.named_modules():
        reason = _reason(part, known)
        if reason:
            raise TypeError(f"{path or 'module'}: {reason}")
    dtypes = {p.dtype for p in module.parameters()}
    if len(dtypes) > 1:
        raise TypeError(f"module: expected parameters of one dtype, got {_names(dtypes)}")
    for name, parameter in module.named_parameters():
        check_tensor(name, parameter)


def check_tensor(name: str, tensor: torch.Tensor) -> None:
    """Raises TypeError for a parameter whose numbers NumPy cannot hold."""
    if tensor.is_meta:
        raise TypeError(f"{name}: on the meta device it has no numbers: load weights into it first")
    if tensor.dtype not in NUMPY_DTYPES:
        raise TypeError(
            f"{name}: expected float32 or float64, got {str(tensor.dtype).removeprefix('torch.')}: "
            f"convert it with .float(), which changes none of its numbers"
        )


def check_scratch(module: object, known: Collection[type], subclasses: bool = False) -> None:
    """Raises TypeError unless `module` is of a class of `known`, or derives from one if allowed."""
    classes = ", ".join(kind.__name__ for kind in known)
    if isinstance(module, torch.nn.Module):
        raise TypeError(
            f"module: {type(module).__name__} is torch's: from_torch(module) makes scratch's of "
            f"it. Expected one of scratch's {classes}"
        )
    if not isinstance(module, Module):
        raise TypeError(f"module: {describe(module)} has no twin: expected one of {classes}")
    base = next((kind for kind in type(module).__mro__ if kind in known), None)
    name = type(module).__name__
    if base is None:
        raise TypeError(
            f"{name} has no twin: expected one of scratch's {classes}. compare(module, "
            f"torch_module, x) holds it against a torch module of yours"
        )
    own = [method for method in ("forward", "backward") if method in vars(module)]
    if not subclasses and (base is not type(module) or own):
        what = f"derives from {base.__name__}" if not own else f"has a {own[0]} of its own"
        raise TypeError(
            f"{name} {what} and may compute something else: expected {base.__name__} itself. "
            f"compare(module, x) holds it against the twin of {base.__name__}"
        )


def _what(value: object) -> str:
    if isinstance(value, Module):
        return f"scratch's {type(value).__name__}: twin(module) makes torch's of it"
    if isinstance(value, Mapping):
        return f"a {type(value).__name__}: from_state_dict(state) builds the layer it describes"
    if isinstance(value, type):
        return f"the class {value.__name__}: expected an instance of it"
    if isinstance(value, str):
        return f"{value!r}: torch.load(file, weights_only=True) reads a state_dict"
    return describe(value)


def _reason(module: torch.nn.Module, known: Collection[type]) -> str:
    """Why this module, whatever its parts are, is not one of `known`; empty if it is."""
    kind = type(module)
    if parametrize.is_parametrized(module):
        name = next(iter(module.parametrizations))  # type: ignore[arg-type]
        return (
            f"{name} is parametrized: torch.nn.utils.parametrize.remove_parametrizations(module, "
            f"{name!r}) leaves its values as they are. Or {RUN_IT}"
        )
    if kind not in known:
        return _other_class(module, known)
    if "forward" in vars(module):
        return f"this {kind.__name__} has a forward of its own: del module.forward, or {RUN_IT}"
    for hooks in HOOKS:
        for hook in vars(module).get(hooks, {}).values():
            return f"this {kind.__name__} has {_hook(hooks, hook)}"
    for name, parameter in module.named_parameters(recurse=False):
        if any(getattr(parameter, hooks, None) for hooks in TENSOR_HOOKS):
            return f"{name} has a hook: remove it with the handle that register_hook returned"
    return ""


def _hook(hooks: str, hook: Any) -> str:
    name = getattr(hook, "name", None) or getattr(hook, "_tensor_name", None)
    if isinstance(hook, prune.BasePruningMethod):
        return f"a pruned {name}: torch.nn.utils.prune.remove(module, {name!r}) makes it final"
    if type(hook).__name__ in UNDO:
        undo = UNDO[type(hook).__name__]
        return f"{type(hook).__name__} on {name}: torch.nn.utils.{undo}(module, {name!r}) ends it"
    kind = hooks.strip("_").removesuffix("s").replace("_", " ")
    return f"a {kind}, which may change its numbers: handle.remove() takes it off, or {RUN_IT}"


def _other_class(module: torch.nn.Module, known: Collection[type]) -> str:
    kind = type(module)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if hasattr(module, "_orig_mod"):
        return "a compiled module: from_torch(module._orig_mod) takes the one inside"
    if isinstance(module, torch.jit.ScriptModule):
        return "TorchScript: from_state_dict(module.state_dict()) builds a layer from its weights"
    if isinstance(getattr(module, "module", None), torch.nn.Module):
        return f"{kind.__name__} wraps a module: from_torch(module.module) takes the one inside"
    if "quantized" in name:
        return f"{name} is quantized: expected the float module that it was made from"
    base = next((base for base in kind.__mro__ if base in known), None)
    if base is not None:
        return (
            f"{name} derives from {base.__name__} and may compute something else. If it does not, "
            f"from_state_dict(module.state_dict()) builds scratch's {base.__name__}; {RUN_IT}"
        )
    parts = list(_parts(module, known))
    if parts:
        lines = "".join(f"\n  from_torch(model{path})  # {type(p).__name__}" for path, p in parts)
        return f"{kind.__name__} has no twin, but parts of it have:{lines}"
    classes = ", ".join(sorted(kind.__name__ for kind in known))
    return f"{name} has no twin: expected one of torch's {classes}"


def _parts(
    module: torch.nn.Module, known: Collection[type]
) -> Iterator[tuple[str, torch.nn.Module]]:
    """The parts with a twin, by what is written behind `model`, without what lies inside them."""
    for name, part in module.named_children():
        path = f"[{name}]" if name.isdigit() else f".{name}"
        if type(part) in known:
            yield path, part
        else:
            yield from ((path + below, p) for below, p in _parts(part, known))


def _names(dtypes: Collection[torch.dtype]) -> str:
    return " and ".join(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes))
