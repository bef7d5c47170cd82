"""PyTorch's own sample inputs and error inputs, which its wheel ships for its own tests."""

from __future__ import annotations

import functools

import hypothesis
import torch


@functools.cache
def databases() -> tuple[list, list]:
    """Modules and optimizers with their samples. Imported when asked for: it takes a second."""
    # The import registers PyTorch's own Hypothesis profiles and loads one with 10 examples.
    settings = hypothesis.settings.default

    from torch.testing._internal.common_modules import module_db
    from torch.testing._internal.common_optimizers import optim_db

    hypothesis.settings.register_profile("before torch.testing", settings)
    hypothesis.settings.load_profile("before torch.testing")
    return module_db, optim_db


def of_module(module_class: type):
    return next(info for info in databases()[0] if info.module_cls is module_class)


def of_optimizer(optimizer_class: type):
    return next(info for info in databases()[1] if info.optim_cls is optimizer_class)


def module_inputs(module_class: type, dtype: torch.dtype) -> list:
    """Constructor and forward inputs of `module_class`, numbers drawn from a fixed seed."""
    info = of_module(module_class)
    torch.manual_seed(0)
    return info.module_inputs_func(info, "cpu", dtype, requires_grad=False, training=True)


def module_error_inputs(module_class: type, dtype: torch.dtype) -> list:
    info = of_module(module_class)
    torch.manual_seed(0)
    return info.module_error_inputs_func(info, "cpu", dtype, requires_grad=False, training=True)


def optimizer_inputs(optimizer_class: type, dtype: torch.dtype) -> list:
    info = of_optimizer(optimizer_class)
    return info.optim_inputs_func("cpu", dtype)


def optimizer_error_inputs(optimizer_class: type, dtype: torch.dtype) -> list:
    info = of_optimizer(optimizer_class)
    return info.optim_error_inputs_func("cpu", dtype)


def to_numpy(value):
    """`value` with every tensor in it as a NumPy array of its own."""
    if isinstance(value, torch.Tensor):
        return value.detach().numpy().copy()
    if isinstance(value, tuple | list):
        return type(value)(to_numpy(entry) for entry in value)
    if isinstance(value, dict):
        return {name: to_numpy(entry) for name, entry in value.items()}
    return value
