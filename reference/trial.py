"""Both sides of a system: its first step compared, and both trained in turn.

What is done in NumPy stands next to the same in PyTorch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from scratch.machinery.module import Array
from scratch.optim import Adam
from scratch.tasks.systems import Model, Task
from scratch.training import train as train_scratch

from .parity import Parity, rows
from .training import train as train_torch
from .twin import nearest_twin, to_numpy, to_torch, twin

Report = Callable[[int, float], None]  # called with each epoch, from 1 on, and its loss


class Step(NamedTuple):
    """A step of training up to the optimizer. Arrays, or tensors of torch, by name."""

    outputs: dict[str, Any]
    gradients: dict[str, Any]


def scratch_step(model: Model, task: Task) -> Step:
    """Prediction, loss, and the gradients of everything. `model` is left with gradients."""
    criterion = task.system.criterion
    model.zero_grad()
    record = model.forward(task.inputs)
    loss: Any = criterion.forward(record.output, task.targets)
    grad_prediction = criterion.backward(loss)
    grad_x = model.backward(record, grad_prediction)  # type: ignore[arg-type]
    grad_parameters = {name: parameter.grad for name, parameter in model.named_parameters()}
    return Step(
        {"prediction": record.output, "loss": loss.value},
        {"prediction": grad_prediction, "x": grad_x, **grad_parameters},
    )


def torch_step(model: torch.nn.Module, task: Task) -> Step:
    """The same in PyTorch."""
    criterion = twin(task.system.criterion)
    x, target = to_torch(task.inputs).requires_grad_(), to_torch(task.targets)
    prediction = model(x)
    loss = criterion(prediction, target)
    leaves = {"prediction": prediction, "x": x, **dict(model.named_parameters())}
    grads = torch.autograd.grad(loss, list(leaves.values()))
    return Step({"prediction": prediction, "loss": loss}, dict(zip(leaves, grads, strict=True)))


def compare_first_step(model: Model, task: Task) -> Parity:
    """Outputs and gradients of both sides at the first step. `model` stays without gradients."""
    ours, theirs = scratch_step(model, task), torch_step(nearest_twin(model), task)
    model.zero_grad()
    outputs = [(name, ours.outputs[name], tensor) for name, tensor in theirs.outputs.items()]
    grads = [(name, ours.gradients.get(name), tensor) for name, tensor in theirs.gradients.items()]
    return Parity(
        f"{task.system.name}, first step, {task.inputs.dtype}",
        (*rows("output", outputs), *rows("gradient", grads)),
    )


def rounding(model: Model, task: Task) -> tuple[float, float]:
    """How far the gradients of each side are from the same step taken in float64.

    max|a − b| / max|b| of the worst gradient, of scratch and of torch. Where the two sides differ
    by more than expected, it tells which of them rounds more.
    """
    exact_task = replace(task, data=task.data.astype(np.float64))
    exact = scratch_step(model.astype(np.float64), exact_task).gradients
    ours = scratch_step(model, task).gradients
    theirs = {n: to_numpy(g) for n, g in torch_step(nearest_twin(model), task).gradients.items()}
    model.zero_grad()

    def worst(grads: dict[str, Array]) -> float:
        return max(float(np.abs(grads[n] - b).max() / np.abs(b).max()) for n, b in exact.items())

    return worst(ours), worst(theirs)


class Side(NamedTuple):
    """What training on one side gave."""

    losses: list[float]  # of each epoch, the loss of each chunk before that chunk's step
    epoch_seconds: list[float]
    weights: dict[str, Array]
    prediction: Array  # the model's answers to the training inputs
    held_out: Array | None  # and to the held-out inputs

    @property
    def seconds(self) -> float:
        return sum(self.epoch_seconds)


def run_scratch(model: Model, task: Task, report: Report, **options: Any) -> Side:
    """Train `model` in NumPy, with the settings of the task's system.

    options: `truncate` and `max_norm`, as `train` takes them.
    """
    system = task.system
    optimizer = Adam(model.parameters(), lr=system.lr)
    data = task.inputs, task.targets
    epochs = train_scratch(model, system.criterion, optimizer, *data, system.epochs, **options)
    losses, seconds = _clock(epochs, report)
    return _side(losses, seconds, model.state_dict(), model, task)


def run_torch(model: Any, task: Task, report: Report, **options: Any) -> Side:
    """Train `model`, the twin, in PyTorch."""
    system = task.system
    optimizer = torch.optim.Adam(model.parameters(), lr=system.lr)
    data = to_torch(task.inputs), to_torch(task.targets)
    criterion = twin(system.criterion)
    epochs = train_torch(model, criterion, optimizer, *data, system.epochs, **options)
    losses, seconds = _clock(epochs, report)
    weights = {name: to_numpy(tensor) for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        return _side(losses, seconds, weights, lambda x: to_numpy(model(to_torch(x))), task)


def _clock(epochs: Iterator[float], report: Report) -> tuple[list[float], list[float]]:
    """The loss of each epoch, and the seconds that it took, without those of the report."""
    losses, seconds, start = [], [], time.perf_counter()
    for epoch, loss in enumerate(epochs, 1):
        losses.append(loss)
        seconds.append(time.perf_counter() - start)
        report(epoch, loss)
        start = time.perf_counter()
    return losses, seconds


def _side(
    losses: list[float],
    seconds: list[float],
    weights: dict[str, Array],
    predict: Callable[[Array], Array],
    task: Task,
) -> Side:
    held_out = None if task.held_out is None else predict(task.held_out.inputs)
    return Side(losses, seconds, weights, predict(task.inputs), held_out)


def largest_difference(ours: dict[str, Array], theirs: dict[str, Array]) -> float:
    """max|a − b| over all the arrays."""
    return max(float(np.abs(ours[name] - array).max()) for name, array in theirs.items())
