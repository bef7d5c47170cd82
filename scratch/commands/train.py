"""python -m scratch train SYSTEM: train a system in NumPy, save and load its weights."""

from __future__ import annotations

import argparse
import io
import lzma
import math
import time
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..optim import Adam
from ..tasks.systems import SYSTEMS, Model, System, Task
from ..training import epoch_line, tenths, train, truncation_error
from .options import (
    UsageError,
    add_options,
    check_writable,
    choose_system,
    file_name,
    make_model,
    read_task,
    training_words,
)

# What zipfile, its decompressors and NumPy's reader of array headers raise for damaged bytes.
DAMAGE = (
    *(OSError, EOFError, MemoryError, OverflowError, RuntimeError, SyntaxError, TypeError),
    *(ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError),
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "train",
        help="train a system in NumPy",
        description="Train a system in NumPy, on the full batch, with Adam.",
    )
    parser.add_argument(
        "system", metavar="SYSTEM", nargs="?", choices=SYSTEMS, help="one of those below"
    )
    add_options(parser)
    parser.add_argument("--load", type=file_name, metavar="FILE.npz", help="weights to start from")
    parser.add_argument(
        "--save", type=file_name, metavar="FILE.npz", help="where the trained weights go"
    )
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
        + training_words(args, task)
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
            check_finite(f"the loss is {loss} in epoch {epoch}", loss, system)
        seconds = time.perf_counter() - start
        print_result(task, model, truncate)
    print(f"{seconds:.2f} seconds")


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


def load(model: Model, path: str) -> None:
    """Copy the arrays of an .npz file into the parameters. Nothing pickled is read."""
    expected = f"--load {path}: expected an .npz file as --save writes it"
    try:
        file = io.BytesIO(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"--load {path}: {error.strerror or error}") from None
    if not zipfile.is_zipfile(file):
        raise UsageError(f"{expected}, got none, or a part of one")
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
    except DAMAGE as error:
        raise UsageError(f"{expected}, got a damaged one ({_one_line(error)})") from None
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise UsageError(f"{expected}, got other files in it")
    try:
        model.load_state_dict(arrays)
    except (RuntimeError, ValueError) as error:
        problems = str(error).replace(":\n  ", ": ").replace("\n  ", "; ")
        raise UsageError(f"--load {path}: {problems}") from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def save(model: Model, path: str) -> None:
    """The state_dict as an .npz file, under exactly this name."""
    try:
        with open(path, "wb") as file:
            np.savez(file, **model.state_dict())  # type: ignore[arg-type]
    except OSError as error:
        raise UsageError(f"--save {path}: {error.strerror or error}") from None
    print(f"Weights saved in {path}")
