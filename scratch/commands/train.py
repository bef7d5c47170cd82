"""python -m scratch train SYSTEM: train a system in NumPy, save and load its weights."""

from __future__ import annotations

import argparse
import math
import time
import zipfile
import zlib

import numpy as np

from ..data import HeldOut
from ..optim import Adam
from ..systems import SYSTEMS, Model, Task
from ..training import epoch_line, tenths, train, truncation_error
from .options import (
    UsageError,
    add_options,
    check_writable,
    choose_system,
    make_model,
    read_task,
    training_words,
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "train",
        help="train a system in NumPy",
        description="Train a system in NumPy, on the full batch, with Adam.",
    )
    parser.add_argument("system", metavar="SYSTEM", nargs="?", choices=SYSTEMS, help="%(choices)s")
    add_options(parser)
    parser.add_argument("--load", metavar="FILE.npz", help="weights to start from")
    parser.add_argument("--save", metavar="FILE.npz", help="where the trained weights go")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    system = choose_system(args.system, args)
    if args.save is not None:
        check_writable("--save", args.save)
    task = read_task(system, args)
    model = make_model(task)
    if args.load is not None:
        load(model, args.load)
    train_and_print(task, model, args)
    if args.save is not None:
        save(model, args.save)


def train_and_print(task: Task, model: Model, args: argparse.Namespace) -> None:
    system, truncate, max_norm = task.system, args.truncate, args.max_norm
    print(
        f"{system.name}: {type(model).__name__} in {task.inputs.dtype}, Adam lr {system.lr:g}"
        + training_words(args)
    )
    print_truncation_error(task, model, truncate)
    optimizer = Adam(model.parameters(), lr=system.lr)
    settings = (model, system.criterion, optimizer, task.inputs, task.targets, system.epochs)
    losses = train(*settings, truncate=truncate, max_norm=max_norm)
    start = time.perf_counter()
    with np.errstate(all="ignore"):
        for epoch, loss in enumerate(losses, 1):
            if epoch in tenths(system.epochs):
                print(epoch_line(epoch, system.epochs, loss), flush=True)
            if not math.isfinite(loss):
                raise UsageError(
                    f"the loss is {loss} in epoch {epoch}: expected a smaller --lr than "
                    f"{system.lr:g}, or other weights in --load"
                )
    seconds = time.perf_counter() - start
    print(f"Loss after training: {system.criterion(model(task.inputs), task.targets):.3g}")
    print_truncation_error(task, model, truncate)
    if task.held_out is not None:
        print(held_out_line(task.held_out, model))
    print(f"{seconds:.2f} seconds")


def print_truncation_error(task: Task, model: Model, truncate: int | None) -> None:
    if truncate is not None:
        data, criterion = task.data, task.system.criterion
        off = truncation_error(model, criterion, data.inputs, data.targets, truncate)
        print(f"Gradient cut every {truncate} steps: off by {off:.2%} of the full gradient's norm")


def held_out_line(held_out: HeldOut, model: Model) -> str:
    series = held_out.series
    rmse = held_out.rmse(held_out.restore(model(held_out.inputs)))
    naive = held_out.rmse(held_out.naive)
    return f"Held-out RMSE in {series.unit}: {rmse:.4g} ({series.naive_name}: {naive:.4g})"


def load(model: Model, path: str) -> None:
    """Copy the arrays of an .npz file into the parameters. Nothing pickled is read."""
    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                raise UsageError(f"--load {path}: expected an .npz file as --save writes it")
            with np.load(file, allow_pickle=False) as archive:
                arrays = dict(archive)
        model.load_state_dict(arrays)
    except OSError as error:
        raise UsageError(f"--load {path}: {error.strerror or error}") from None
    except (RuntimeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        problems = str(error).replace(":\n  ", ": ").replace("\n  ", "; ")
        raise UsageError(f"--load {path}: {problems}") from None


def save(model: Model, path: str) -> None:
    """The state_dict as an .npz file, under exactly this name."""
    try:
        with open(path, "wb") as file:
            np.savez(file, **model.state_dict())  # type: ignore[arg-type]
    except OSError as error:
        raise UsageError(f"--save {path}: {error.strerror or error}") from None
    print(f"Weights saved in {path}")
