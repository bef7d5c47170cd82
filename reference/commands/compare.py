"""python -m reference compare: train systems in NumPy and in PyTorch, and hold them together."""

from __future__ import annotations

import argparse
import json
import math
import os
from dataclasses import replace
from typing import Any

import numpy as np

from scratch.commands.options import (
    Pace,
    UsageError,
    add_options,
    check_writable,
    choose_system,
    file_name,
    make_model,
    read_task,
    systems_table,
    training_words,
)
from scratch.commands.weight_files import copy_into, hidden_size_of
from scratch.machinery.module import Array
from scratch.machinery.writing import replacing
from scratch.tasks.data import HeldOut
from scratch.tasks.systems import SYSTEMS, Model, System, Task
from scratch.training import epoch_line

from ..parity import Parity, inaccurate_side
from ..state import as_arrays, load_file, prefixes, save_files
from ..trial import (
    Report,
    Side,
    compare_first_step,
    largest_difference,
    rounding,
    run_scratch,
    run_torch,
)
from ..twin import twin
from .pictures import draw, losing, picture_paths
from .verdict import TOO_SHORT, number, times_as_long, verdict

LEGEND = """\
Both sides start from the same weights and train on the same data, scratch first, then torch.
At the first step, "apart" is max|a − b| / max|b| of the worst tensor; afterwards it is max|a − b|.
"""

PICTURES = (
    "Pictures: the prediction over the truth, the loss of each epoch, the parity of every tensor"
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "compare",
        help="train systems in NumPy and in PyTorch, from the same weights",
        description="Train systems in NumPy and in PyTorch, from the same weights on the same\n"
        "data, and show how far the two sides are apart.",
    )
    parser.add_argument(
        "systems",
        metavar="SYSTEM",
        nargs="*",
        help="one or more of those below (default: all)",
    )
    add_options(parser)
    parser.epilog = systems_table(SYSTEMS)
    parser.add_argument(
        "--out",
        type=file_name,
        metavar="DIR",
        default="out",
        help="folder for the pictures (default: out)",
    )
    parser.add_argument("--json", type=file_name, metavar="FILE", help="file for the numbers")
    parser.add_argument(
        "--load",
        type=file_name,
        metavar="FILE",
        help="weights for both sides, from an .npz, .pt or .safetensors file; compared without "
        "training, unless --epochs says how long",
    )
    parser.add_argument(
        "--save",
        type=file_name,
        metavar="FILE",
        help="where the weights go: those of NumPy into FILE.npz, PyTorch's into FILE.pt",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    systems = choose_systems(args)
    left_out = "" if args.systems or not args.every_step or args.csv else once_only()
    check_places(systems, args.out, args.json)
    if args.save is not None:
        check_writable("--save", args.save)
    weights = None if args.load is None else read_weights(args.load)
    if weights is not None and args.hidden_size is None:
        size = hidden_size_of(weights) or systems[0].hidden_size
        systems = [replace(systems[0], hidden_size=size)]
    tasks = [read_task(system, args) for system in systems]
    models = [make_model(task) for task in tasks]
    if weights is not None:
        left_out += load(models[0], weights, args.load)
    print(LEGEND + left_out)
    results, pictures = {}, []
    for task, model in zip(tasks, models, strict=True):
        with np.errstate(all="ignore"):  # a training that overflows says so itself
            results[task.system.name], paths = compare_system(task, model, args)
        pictures.append("  ".join(paths))
        print()
    print(*verdict(results), "", PICTURES, sep="\n", end="\n  ")
    print(*pictures, sep="\n  ")
    if args.json is not None:
        save_json(args.json, results)
        print(f"Numbers\n  {args.json}")


def choose_systems(args: argparse.Namespace) -> list[System]:
    """Those named; without a name the series of one's own, or all that can do what is asked."""
    if args.load is not None and args.epochs is None:
        args.epochs = 0
    for name in args.systems:
        if name not in SYSTEMS:
            raise UsageError(f"SYSTEM: expected one of {', '.join(SYSTEMS)}, got {name!r}")
    own_series = (args.csv, args.column, args.window) != (None, None, None)
    if not args.systems and own_series:
        return [choose_system(None, args)]
    names = list(dict.fromkeys(args.systems)) or [
        name for name, system in SYSTEMS.items() if system.allows_every_step or not args.every_step
    ]
    for option in ("load", "save"):
        if getattr(args, option) is not None and len(names) > 1:
            raise UsageError(f"--{option}: expected one SYSTEM with it, got {len(names)}")
    return [choose_system(name, args) for name in names]


def once_only() -> str:
    """The systems that --every-step leaves out."""
    names = [name for name, system in SYSTEMS.items() if not system.allows_every_step]
    return f"Left out: {', '.join(names)}, which answers once per sequence.\n"


def compare_system(
    task: Task, model: Model, args: argparse.Namespace
) -> tuple[dict[str, Any], list[str]]:
    """Compare, train, print and draw. Returns the numbers for --json and the pictures' names."""
    system, theirs = task.system, twin(model)
    print(
        f"{system.name}: {type(model).__name__} in {task.inputs.dtype}, hidden size "
        f"{system.hidden_size}, Adam lr {system.lr:g}, epochs {system.epochs}"
        + training_words(args, task)
    )
    if task.held_out is not None and task.held_out.series.source:
        print(f"  {task.held_out.series.source}")
    parity = compare_first_step(model, task)
    print_first_step(parity, rounding(model, task) if task.inputs.dtype == np.float32 else None)
    how = {"truncate": args.truncate, "max_norm": args.max_norm}
    scratch = run_scratch(model, task, reporter("scratch", system), **how)
    torch = run_torch(theirs, task, reporter("torch", system, scratch.losses), **how)
    numbers = numbers_of(task, parity, scratch, torch)
    print_trained(task, numbers, scratch, torch)
    if args.save is not None:
        print_line("saved", " ".join(save(args.save, scratch.weights, torch.weights)))
    ratio = times_as_long(np.array(scratch.epoch_seconds), np.array(torch.epoch_seconds))
    if system.epochs:
        print_line(
            "seconds",
            f"scratch {scratch.seconds:.2g}, torch {torch.seconds:.2g}, "
            + (f"torch/scratch {ratio}" if ratio else TOO_SHORT),
        )
    return numbers, draw(task, parity, scratch, torch, args.out)


def numbers_of(task: Task, parity: Parity, scratch: Side, torch: Side) -> dict[str, Any]:
    """What --json writes of a system."""
    return {
        "dtype": str(task.inputs.dtype),
        "epochs": task.system.epochs,
        "first_step": {
            "outputs": parity.worst("output").relative,
            "gradients": parity.worst("gradient").relative,
        },
        "trained": {
            "weights": largest_difference(scratch.weights, torch.weights),
            "predictions": largest_difference(predictions_of(scratch), predictions_of(torch)),
        },
        "loss": {"scratch": scratch.losses, "torch": torch.losses},
        "held_out_rmse": held_out_rmse(task.held_out, scratch, torch),
        "seconds": {"scratch": scratch.seconds, "torch": torch.seconds},
        "epoch_seconds": {"scratch": scratch.epoch_seconds, "torch": torch.epoch_seconds},
    }


def predictions_of(side: Side) -> dict[str, Array]:
    held_out = {} if side.held_out is None else {"held-out": side.held_out}
    return {"training": side.prediction, **held_out}


def held_out_rmse(held_out: HeldOut | None, scratch: Side, torch: Side) -> dict[str, float] | None:
    if held_out is None or scratch.held_out is None or torch.held_out is None:
        return None
    return {
        "scratch": held_out.rmse(held_out.restore(scratch.held_out)),
        "torch": held_out.rmse(held_out.restore(torch.held_out)),
        "naive": held_out.rmse(held_out.naive),
    }


# Printing


def print_line(label: str, text: str) -> None:
    print(f"  {label:<16}{text}", flush=True)


def print_first_step(parity: Parity, errors: tuple[float, float] | None) -> None:
    output, gradient = parity.worst("output").relative, parity.worst("gradient").relative
    print_line("first step", f"outputs {number(output)}, gradients {number(gradient)} apart")
    for row in parity.rows:
        if not row.ok:
            print_line("", f"above {row.tolerance:.0e}: {row.label}, {number(row.relative)}")
    if errors is not None:
        print_line(
            "",
            f"apart from the gradients in float64: scratch {number(errors[0])}, "
            f"torch {number(errors[1])}",
        )
        if not parity.ok:
            print_line("", inaccurate_side(*errors))


def print_trained(task: Task, numbers: dict[str, Any], scratch: Side, torch: Side) -> None:
    weights, predictions = map(number, numbers["trained"].values())
    label = "after training" if task.system.epochs else "not trained"
    print_line(label, f"weights {weights}, predictions {predictions} apart")
    rmse = numbers["held_out_rmse"]
    if task.held_out is not None and rmse is not None:
        series = task.held_out.series
        print_line(
            "held-out RMSE",
            f"scratch {rmse['scratch']:.4g}, torch {rmse['torch']:.4g}, "
            f"{series.naive_name} {rmse['naive']:.4g} ({series.unit})",
        )
        for words in losing(task.held_out, scratch, torch):
            print_line("", words)


def reporter(side: str, system: System, others: list[float] | None = None) -> Report:
    """Prints the loss every tenth of the epochs, and how far it is from that of `others`."""
    pace = Pace(system.epochs)

    def report(epoch: int, loss: float) -> None:
        if pace.due(epoch):
            apart = number(abs(loss - others[epoch - 1])) if others is not None else ""
            line = epoch_line(epoch, system.epochs, loss)
            print_line(side, f"{line}   {apart:>7} apart" if apart else line)
        if not math.isfinite(loss):
            raise UsageError(
                f"{system.name}: the loss is {loss} in epoch {epoch} of {side}: expected a smaller "
                f"--lr than {system.lr:g}"
            )

    return report


# Files


def read_weights(path: str) -> dict[str, Array]:
    try:
        return load_file(path)
    except OSError as error:
        raise UsageError(f"--load {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"--load {error}") from None


def load(model: Model, weights: dict[str, Array], path: str) -> str:
    """Copy the weights of a file into `model`. Returns the line that says so."""
    fits = [end for end, part in prefixes(weights).items() if type(part) is type(model)]
    prefix = fits[0] if fits else ""
    copy_into(model, as_arrays(weights, prefix), path)
    return f"Weights: those of {path}" + (f" below {prefix!r}.\n" if prefix else ".\n")


def save(path: str, scratch: dict[str, Array], torch: dict[str, Array]) -> list[str]:
    try:
        return save_files(path, scratch, torch)
    except OSError as error:
        raise UsageError(f"--save {path}: {error.strerror or error}") from None


def check_places(systems: list[System], out: str, json_file: str | None) -> None:
    """Before any training: pictures and numbers can be written where they shall go."""
    try:
        os.makedirs(out, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out}: expected a folder, {error.strerror}") from None
    for system in systems:
        for path in picture_paths(system, out):
            check_writable("--out", path)
    if json_file is not None:
        check_writable("--json", json_file)


def save_json(path: str, results: dict[str, Any]) -> None:
    """The numbers; one that is infinite or NaN, for which JSON has no word, becomes null."""
    try:
        with replacing(path) as file:
            file.write((json.dumps(finite(results), indent=2, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise UsageError(f"--json {path}: {error.strerror}") from None


def finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
