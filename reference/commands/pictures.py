"""The three pictures that `compare` writes for each system."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from scratch.commands.options import UsageError
from scratch.losses import MSELoss
from scratch.tasks.systems import System, Task

from .. import figures
from ..parity import Parity
from ..trial import Side


def draw(task: Task, parity: Parity, scratch: Side, torch: Side, out: str) -> list[str]:
    """Write the three pictures of a system. Returns their paths."""
    is_mse = isinstance(task.system.criterion, MSELoss)
    loss_label = "loss, mean squared error" if is_mse else "loss, cross-entropy [nat]"
    pictures = (
        draw_prediction(task, scratch, torch),
        figures.draw_losses(scratch.losses, torch.losses, loss_label) if scratch.losses else None,
        figures.draw_parity(parity),
    )
    paths = [p for p, figure in zip(picture_paths(task.system, out), pictures, strict=True)
             if figure is not None]  # fmt: skip
    trained = f"epochs {task.system.epochs}" if scratch.losses else "not trained"
    titles = (trained, "first step") if len(paths) == 2 else (trained, trained, "first step")
    drawn = [figure for figure in pictures if figure is not None]
    for path, figure, when in zip(paths, drawn, titles, strict=True):
        figures.add_title(figure, f"{task.system.name}, {task.inputs.dtype}, {when}")
        try:
            with warnings.catch_warnings():  # a column's name may have letters that no font has
                warnings.filterwarnings("ignore", "Glyph", UserWarning)
                figure.savefig(path)
        except OSError as error:
            raise UsageError(f"--out {out}: {error.strerror or error}") from None
    return paths


def picture_paths(system: System, out: str) -> list[str]:
    return [
        os.path.join(out, f"{system.name}-{kind}.png") for kind in ("prediction", "loss", "parity")
    ]


def draw_prediction(task: Task, scratch: Side, torch: Side) -> Any:
    """The held-out series, the classes, whole waves or their last values: what the task has."""
    held_out = task.held_out
    if held_out is not None and scratch.held_out is not None and torch.held_out is not None:
        series = held_out.series
        return figures.draw_curves(
            held_out.times,
            held_out.truth,
            held_out.restore(scratch.held_out),
            held_out.restore(torch.held_out),
            series.time_unit,
            series.unit,
            naive=held_out.naive,
            naive_label=series.naive_name,
        )
    truth, ours, theirs = task.targets, scratch.prediction, torch.prediction
    if task.targets.dtype == np.int64:
        return figures.draw_classes(truth, ours, theirs)
    label = "wave 0.1 rad ahead"
    if task.every_step:
        few = np.linspace(0, len(task.targets) - 1, 3).astype(int)
        return figures.draw_waves(
            few + 1, truth[few, :, 0], ours[few, :, 0], theirs[few, :, 0], label
        )
    order = np.argsort(task.targets[:, 0])
    return figures.draw_curves(
        np.arange(1, len(order) + 1),
        truth[order, 0],
        ours[order, 0],
        theirs[order, 0],
        "sequence, in the order of the truth",
        f"{label}, last value",
    )
