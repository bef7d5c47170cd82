"""The training loop. `reference/training.py` is the same in PyTorch, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .machinery.module import Array, Module
from .optim import Adam, clip_grad_norm_


def train(
    model: Any,
    criterion: Module,
    optimizer: Adam,
    inputs: Array,
    targets: Array,
    epochs: int,
    *,
    truncate: int | None = None,
    max_norm: float | None = None,
) -> Iterator[float]:
    """Train on the full batch, and yield each epoch's loss: of each chunk before its own step.

    model: SimpleRNN or SimpleLSTM. inputs: (N, T, input_size). targets: as the model answers.
    truncate: backpropagation through time ends at chunks of so many steps (Williams and Peng 1990):
        the state is handed from chunk to chunk, the gradient is not, and the optimizer takes a step
        after each chunk. For models that answer at every step.
    max_norm: clip the norm of the gradient to it.
    criterion: its reduction is "mean"; the loss of an epoch is the mean over its chunks' steps.
    """
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
    criterion: Module,
    optimizer: Adam,
    x: Array,
    target: Array,
    state: Any = None,
    max_norm: float | None = None,
) -> tuple[float, Any]:
    """One step of the optimizer; the loss before it, and the last state, a constant."""
    optimizer.zero_grad()
    record = model.forward_from(x, state)
    loss = criterion.forward(record.output, target)
    model.backward(record, criterion.backward(loss))
    if max_norm is not None:
        clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return float(loss.value), record.state


def truncation_error(
    model: Any, criterion: Module, inputs: Array, targets: Array, truncate: int
) -> float:
    """How far the gradient that is cut every `truncate` steps is from the full one.

    ‖g_cut − g‖ / ‖g‖ over all parameters, of the loss of the whole sequence at the model's present
    weights. The gradients collected in the model are lost.
    """
    check_truncate(truncate, model.every_step)
    gradients = []
    for steps in (truncate, None):
        model.zero_grad()
        state = None
        for x, target in chunks(inputs, targets, steps):
            record = model.forward_from(x, state)
            loss = criterion.forward(record.output, target)
            # T · mean over T steps = Σ_chunks steps of the chunk · mean over the chunk; T cancels
            model.backward(record, criterion.backward(loss, x.shape[1]))
            state = record.state
        gradients.append(np.concatenate([p.grad.ravel() for p in model.parameters()]))
    model.zero_grad()
    cut, full = gradients
    return float(np.linalg.norm(cut - full) / np.linalg.norm(full))


def chunks(inputs: Any, targets: Any, truncate: int | None) -> Iterator[tuple[Any, Any]]:
    """(N, T, …) of both in chunks of at most `truncate` steps, or whole; arrays or tensors."""
    if truncate is None:
        yield inputs, targets
        return
    for start in range(0, inputs.shape[1], truncate):
        steps = slice(start, start + truncate)
        yield inputs[:, steps], targets[:, steps]


def check_truncate(truncate: int | None, every_step: bool) -> None:
    """Raises ValueError for less than one step, and for a model that answers only at the end."""
    if truncate is None:
        return
    if truncate < 1:
        raise ValueError(f"truncate: expected at least one step, got {truncate}")
    if not every_step:
        raise ValueError(
            f"truncate: expected a model that answers at every step, as every chunk has its own "
            f"loss, got every_step=False and truncate={truncate}"
        )


def tenths(epochs: int) -> set[int]:
    """The epochs, counted from 1, in which another tenth of them is complete."""
    return {-(-epochs * tenth // 10) for tenth in range(1, 11)}


def epoch_line(epoch: int, epochs: int, loss: float) -> str:
    """`Epoch [10/100], Loss: 0.0123`; `epoch` is counted from 1."""
    return f"Epoch [{epoch}/{epochs}], Loss: {loss:{'.6f' if abs(loss) < 1e6 else '.2e'}}"
