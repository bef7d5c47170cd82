"""python -m scratch train SYSTEM: train a system in NumPy, save and load its weights."""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass, field

import numpy as np

from ..machinery.module import Array
from ..optim import Adam
from ..tasks.systems import EVERY_SYSTEM, SYSTEMS, Model, System, Task
from ..training import epoch_line, train, truncation_error
from .options import (
    Pace,
    UsageError,
    add_options,
    add_system,
    check_writable,
    choose_system,
    file_name,
    training_words,
)
from .weight_files import begin, save


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "train",
        help="train a system in NumPy",
        description="Train a system in NumPy, on the full batch, with Adam.",
    )
    add_system(parser)
    add_options(parser)
    parser.add_argument("--load", type=file_name, metavar="FILE.npz", help="weights to start from")
    parser.add_argument(
        "--save", type=file_name, metavar="FILE.npz", help="file for the trained weights"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    system = choose_system(args.system, args)
    if args.save is not None:
        check_writable("--save", args.save)
    task, model = begin(system, args)
    done = Done()
    try:
        train_and_print(task, model, args, done)
        if args.save is not None:
            save(model.state_dict(), args.save)
    except KeyboardInterrupt:
        if done.weights:
            save(done.weights, args.save, f"Weights after epoch {done.epoch}")
        raise KeyboardInterrupt(
            f"interrupted after epoch {done.epoch} of {system.epochs}"
        ) from None


@dataclass
class Done:
    """The last complete epoch and, if they are to be saved, the weights after it."""

    epoch: int = 0
    weights: dict[str, Array] = field(default_factory=dict)


def train_and_print(task: Task, model: Model, args: argparse.Namespace, done: Done) -> None:
    system, truncate = task.system, args.truncate
    own = EVERY_SYSTEM.get(system.name, SYSTEMS["airline-lstm"])
    size = "" if system.hidden_size == own.hidden_size else f"hidden size {system.hidden_size}, "
    print(
        f"{system.name}: {type(model).__name__} in {task.inputs.dtype}, {size}Adam lr {system.lr:g}"
        + training_words(args, task)
    )
    if task.held_out is not None and task.held_out.series.source:
        print(task.held_out.series.source)
    with np.errstate(all="ignore"):
        print_truncation_error(task, model, truncate)
        seconds = train_epochs(task, model, args, done)
        print_result(task, model, truncate)
    print(f"{seconds:.2f} seconds")


def train_epochs(task: Task, model: Model, args: argparse.Namespace, done: Done) -> float:
    """Train, print a loss now and then, and keep in `done` how far it came. Returns the seconds."""
    system, pace = task.system, Pace(task.system.epochs)
    optimizer = Adam(model.parameters(), lr=system.lr)
    settings = (model, system.criterion, optimizer, task.inputs, task.targets, system.epochs)
    losses = train(*settings, truncate=args.truncate, max_norm=args.max_norm)
    start = time.perf_counter()
    for epoch, loss in enumerate(losses, 1):
        if pace.due(epoch):
            print(epoch_line(epoch, system.epochs, loss), flush=True)
        check_finite(f"the loss is {loss} in epoch {epoch}", loss, system)
        weights = model.state_dict() if args.save is not None else {}
        kept = {name: array.copy() for name, array in weights.items()}
        done.epoch, done.weights = epoch, kept
    return time.perf_counter() - start


def print_result(task: Task, model: Model, truncate: int | None) -> None:
    loss = float(task.system.criterion(model(task.inputs), task.targets))
    check_finite(f"the loss is {loss} after training", loss, task.system)
    print(f"Loss after training: {loss:.3g}")
    print_truncation_error(task, model, truncate)
    if task.held_out is None:
        return
    series = task.held_out.series
    rmse = task.held_out.rmse(task.held_out.restore(model(task.held_out.inputs)))
    check_finite(f"the held-out RMSE is {rmse} after training", rmse, task.system)
    naive = task.held_out.rmse(task.held_out.naive)
    print(f"Held-out RMSE in {series.unit}: {rmse:.4g} ({series.naive_name}: {naive:.4g})")
    if loses := task.held_out.loses(rmse):
        print(f"The model {loses}")


def check_finite(found: str, number: float, system: System) -> None:
    if not math.isfinite(number):
        raise UsageError(
            f"{found}: expected a smaller --lr than {system.lr:g}, or other weights in --load"
        )


def print_truncation_error(task: Task, model: Model, truncate: int | None) -> None:
    if truncate is not None and truncate < task.inputs.shape[1]:
        data, criterion = task.data, task.system.criterion
        off = truncation_error(model, criterion, data.inputs, data.targets, truncate)
        print(f"Gradient cut every {truncate} steps: off by {off:.2%} of the full gradient's norm")
