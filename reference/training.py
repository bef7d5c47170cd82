"""The training loop in PyTorch: the twin of `scratch/training.py`, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from scratch.training import check_truncate, chunks


def train(
    model: Any,
    criterion: nn.Module,
    optimizer: Optimizer,
    inputs: Tensor,
    targets: Tensor,
    epochs: int,
    *,
    truncate: int | None = None,
    max_norm: float | None = None,
) -> Iterator[float]:
    """As `scratch.training.train`."""
    check_truncate(truncate, model.every_step)
    for _epoch in range(epochs):
        state: Any = None
        total = 0.0
        for x, target in chunks(inputs, targets, truncate):
            loss, state = train_step(model, criterion, optimizer, x, target, state, max_norm)
            total += loss * (x.shape[1] / inputs.shape[1])
        yield total


def train_step(
    model: Any,
    criterion: nn.Module,
    optimizer: Optimizer,
    x: Tensor,
    target: Tensor,
    state: Any = None,
    max_norm: float | None = None,
) -> tuple[float, Any]:
    """As `scratch.training.train_step`."""
    optimizer.zero_grad()
    output, state = model.forward_from(x, state)
    loss = criterion(output, target)
    loss.backward()
    if max_norm is not None:
        clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item(), detach(state)


def detach(state: Any) -> Any:
    """The same numbers, h or (h, c), as constants: no gradient flows back through them."""
    return state.detach() if isinstance(state, Tensor) else tuple(array.detach() for array in state)
