"""The three pictures that `compare` writes for each system."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from scratch.commands.options import UsageError
from scratch.losses import MSELoss
from scratch.machinery.writing import replacing
from scratch.tasks.data import HeldOut
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
    csv, column = task.system.series or ("", "")
    of = f" on {os.path.basename(csv)} {column}" if csv else ""
    trained = f"epochs {task.system.epochs}" if scratch.losses else "not trained"
    paths = []
    every = zip(picture_paths(task.system, out), pictures, strict=True)
    for path, figure in every:
        if figure is None:
            continue
        paths.append(path)
        when = "first step" if figure is pictures[2] else trained
        title = [f"{task.system.name}{of}, {task.inputs.dtype}, {when}"]
        lost = losing(task.held_out, scratch, torch) if figure is pictures[0] else []
        figures.add_title(figure, "\n".join(title + lost))
        try:
            with replacing(path) as file:
                figure.savefig(file, format="png")
        except OSError as error:
            raise UsageError(f"--out {out}: {error.strerror or error}") from None
    return paths


def picture_paths(system: System, out: str) -> list[str]:
    kinds = "prediction", "loss", "parity"
    return [os.path.join(out, f"{system.file_stem}-{kind}.png") for kind in kinds]


def losing(held_out: HeldOut | None, scratch: Side, torch: Side) -> list[str]:
    """A line for each side that is not better than the baseline, or one for both."""
    if held_out is None or scratch.held_out is None or torch.held_out is None:
        return []
    words = {
        name: held_out.loses(held_out.rmse(held_out.restore(answers)))
        for name, answers in (("scratch", scratch.held_out), ("torch", torch.held_out))
    }
    if words["scratch"] == words["torch"]:
        return [f"the model {words['torch']}"] if words["torch"] else []
    return [f"{name} {said}" for name, said in words.items() if said]


def draw_prediction(task: Task, scratch: Side, torch: Side) -> Any:
    """The held-out series, the classes, whole waves or their last values: what the task has."""
    held_out = task.held_out
    if held_out is not None and scratch.held_out is not None and torch.held_out is not None:
        series = held_out.series
        return figures.draw_held_out(
            held_out.times,
            held_out.truth,
            held_out.restore(scratch.held_out),
            held_out.restore(torch.held_out),
            held_out.naive,
            series.time_unit,
            series.unit,
            series.naive_name,
        )
    truth, ours, theirs = task.targets, scratch.prediction, torch.prediction
    if task.targets.dtype == np.int64:
        return figures.draw_classes(truth, ours, theirs)
    few = np.linspace(0, len(task.targets) - 1, 3).astype(int)
    if task.every_step:
        waves = (truth[few, :, 0], ours[few, :, 0], theirs[few, :, 0])
        return figures.draw_waves(few + 1, *waves, "wave 0.1 rad ahead")
    ahead = 0.1 / (2 * np.pi / 49)  # rad, over the rad from step to step
    ends = (truth[few, 0], ours[few, 0], theirs[few, 0])
    return figures.draw_wave_ends(few + 1, task.inputs[few, :, 0], ahead, *ends)
