"""What cannot be studied is refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machinery.module import Array
from ..machinery.records import BackwardRun, Run


def check_run(run: Any) -> None:
    """Raises TypeError unless it is one of the runs of a layer's forward record."""
    if type(run) is not Run:
        expected = 'run: expected record.runs["l0"] of forward, or another run of a layer'
        raise TypeError(f"{expected}, got {type(run).__name__}")


def check_back(back: Any) -> None:
    """Raises TypeError unless it is one of the runs of a layer's backward record."""
    if type(back) is not BackwardRun:
        expected = 'back: expected back.runs["l0"] of backward_record, or another run of a layer'
        raise TypeError(f"{expected}, got {type(back).__name__}")


def check_numbers(name: str, array: Array) -> None:
    """Raises ValueError unless they are real and finite."""
    if array.dtype.kind == "c":
        raise ValueError(f"{name}: expected real numbers, got {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got infinity or NaN")


def check_module(name: str, module: Any, kinds: tuple[type, ...]) -> None:
    """Raises TypeError unless it is one of these; of torch, with the way to make it one."""
    if isinstance(module, kinds):
        return
    *some, last = (kind.__name__ for kind in kinds)
    expected = f"{', '.join(some)} or {last}" if some else last
    got = type(module).__name__
    if any(base.__module__.startswith("torch.nn.") for base in type(module).__mro__):
        got += " of torch: reference.from_torch makes an RNN or LSTM of torch's"
    raise TypeError(f"{name}: expected an {expected}, got {got}")


def check_single(layer: Any, *kinds: type) -> None:
    """Raises ValueError unless it is one layer of real numbers in one direction, not projected.

    Raises TypeError unless it is one of these kinds.
    """
    check_module("layer", layer, kinds)
    if layer.num_layers > 1 or layer.bidirectional or layer.proj_size:
        raise ValueError(
            f"layer: expected one layer in one direction without a projection, got {layer!r}"
        )
    if layer.weight_hh_l0.dtype.kind == "c":
        raise ValueError(f"layer: expected real numbers, got {layer.weight_hh_l0.dtype}")
