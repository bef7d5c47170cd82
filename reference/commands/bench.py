"""python -m reference bench: the speed and memory of both sides, on the same work in turn."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch

from scratch import LSTM, RNN
from scratch.commands.options import UsageError, at_least, check_writable
from scratch.machinery.writing import replacing

from ..benchmark import (
    DTYPES,
    LONG,
    SHORT,
    SIZES,
    Case,
    Growth,
    Row,
    Spread,
    cases,
    measure,
    measure_growth,
)

ROUNDS = 5  # at least, and more
WIDE, HIGH = 0.25, 10.0  # a spread, and a ratio, that speak of other work on the machine
SECONDS = 1.5  # until these have passed: all rows together take about three minutes

LEGEND = """\
Layers are named by (T, N, D, H): steps, sequences, input size, hidden size. A row's passes run in
turn: scratch, torch, limit, scratch, … Times are medians; ± is half the width of the middle half.
  ratio     torch / scratch in the same round: how many times as fast scratch is [its middle half]
  limit     the matrix products, exp and tanh of the pass alone, in NumPy; share = limit / scratch
  peak MB   what a pass takes beside inputs and weights: by tracemalloc, which counts Python's
            objects too, and by the memory events of torch.profiler
"""
LINE = "  {:<28} {:<7} {:>8} {:>4} {:>8} {:>4} {:>6} {:<14} {:>8} {:>5} {:>7} {:>7}"
HEADER = "\n".join(
    (
        LINE.format(
            "", "", "time, ms", "", "time, ms", "", "", "", "limit,", "", "peak MB", "peak MB"
        ),
        LINE.format(
            *("", "dtype", "scratch", "±", "torch", "±", "ratio", ""),
            *("ms", "share", "scratch", "torch"),
        ),
    )
)
GROWTH_LEGEND = f"""\
Forward and backward of layers at (N, D, H), in turn on {SHORT} and on {LONG} steps; in NumPy.
"""
GROWTH_LINE = "  {:<27} {:<7} {:>12} {:>12} {:>6} {:<14}"
GROWTH_HEADER = GROWTH_LINE.format("", "dtype", f"{SHORT}, ms", f"{LONG}, ms", "ratio", "")

# Read when the libraries are loaded: the threads of the usual BLAS libraries and of PyTorch.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
# Without them, torch.profiler reports on standard error that it starts and stops.
QUIET = {"KINETO_LOG_LEVEL": "9", "TORCH_CPP_LOG_LEVEL": "ERROR"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "bench",
        help="time NumPy and PyTorch on the same work",
        description="Time NumPy and PyTorch on the same work in turn. About three minutes.",
    )
    parser.add_argument(
        "--rows",
        metavar="PATTERN",
        default="",
        help="only rows in whose section, name and dtype this occurs; * stands for anything: "
        "'sine-lstm', 'LSTM*float64', 'alone'",
    )
    parser.add_argument(
        "--repeats",
        type=at_least(1),
        metavar="N",
        help=f"rounds of every row (at least {ROUNDS}, for {SECONDS} seconds)",
    )
    parser.add_argument(
        "--threads",
        type=at_least(1),
        metavar="N",
        help="threads on either side (default: all cores)",
    )
    parser.add_argument(
        "--growth",
        action="store_true",
        help=f"instead, how time grows from {SHORT} to {LONG} steps; takes 4 GB of memory",
    )
    parser.add_argument("--json", metavar="FILE", help="file for the numbers")
    parser.add_argument("--figure", metavar="FILE", help="file for a picture of the ratios")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    check(args)
    threads = args.threads or available_cores()
    environment = {**dict.fromkeys(THREADS, str(threads)), **QUIET}
    if any(os.environ.get(name) != value for name, value in environment.items()):
        return run_again(args, environment)
    torch.set_num_threads(threads)
    facts = versions(threads)
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    rows: list[Any] = list(bench_growth(args) if args.growth else bench(args))
    if args.json is not None:
        save_json(args.json, {**facts, "rows": [asdict(row) for row in rows]})
    if args.figure is not None:
        save_figure(args.figure, rows)
    return 0


def check(args: argparse.Namespace) -> None:
    """Everything that can be wrong, before minutes of measuring."""
    if not (growth_cases(args.rows) if args.growth else chosen_cases(args.rows)):
        raise UsageError(
            f"--rows: expected a part of a row's section, name and dtype, as in 'sine-lstm', "
            f"'LSTM*float64' or 'alone', got {args.rows!r}"
            + (". With --growth there are layers only" if args.growth else "")
        )
    if (args.threads or 1) > available_cores():
        raise UsageError(
            f"--threads: expected at most {available_cores()}, the cores here, got {args.threads}"
        )
    for option in ("json", "figure"):
        if getattr(args, option) is not None:
            check_writable(f"--{option}", getattr(args, option))
    if args.figure is None:
        return
    if args.growth:
        raise UsageError("--figure: expected without --growth, whose numbers have no picture")
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    if os.path.splitext(args.figure)[1][1:].lower() not in known:
        raise UsageError(f"--figure {args.figure}: expected a name that ends in .png, .svg or .pdf")


def run_again(args: argparse.Namespace, environment: dict[str, str]) -> int:
    """The same command in a process whose libraries are loaded with `environment`."""
    options = ("rows", "repeats", "threads", "json", "figure")
    given = {name: getattr(args, name) for name in options if getattr(args, name) is not None}
    command = [sys.executable, "-m", "reference", "bench"]
    command += [f"--{name}={value}" for name, value in given.items()]
    command += ["--growth"] if args.growth else []
    return subprocess.run(command, env=os.environ | environment, check=False).returncode


def available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions(threads: int) -> dict[str, Any]:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "BLAS": f"{blas['name']} {blas['version']}",
        "torch": torch.__version__,
        "threads": threads,
    }


# Measuring and printing


def chosen_cases(pattern: str) -> list[tuple[Case, str]]:
    """The cases with the dtypes in which they are measured."""
    return [
        (case, dtype)
        for case in cases()
        for dtype in DTYPES
        if fnmatchcase(f"{case.section} {case.name} {dtype}", f"*{pattern}*")
    ]


def how_often(args: argparse.Namespace) -> tuple[int, float]:
    return (args.repeats, 0) if args.repeats else (ROUNDS, SECONDS)


def bench(args: argparse.Namespace) -> Iterator[Row]:
    print(LEGEND)
    section, disturbed = "", False
    for case, dtype in chosen_cases(args.rows):
        if case.section != section:
            section = case.section
            print(f"{section}\n{HEADER}")
        row = measure(case, dtype, *how_often(args))
        print(line(row), flush=True)
        disturbed |= row.scratch_ms.spread > WIDE or row.torch_ms.spread > WIDE
        disturbed |= not 1 / HIGH < row.ratio.median < HIGH
        yield row
    if disturbed:
        print(
            f"\nSome rows spread by more than ±{WIDE:.0%}, or one side takes more than {HIGH:.0f} "
            f"times as long. Where\nseveral threads wait for a core that other work holds, times "
            f"grow many times over: run again\non an idle machine, or with --threads 1."
        )


def line(row: Row) -> str:
    return LINE.format(
        row.name,
        row.dtype,
        *milliseconds(row.scratch_ms),
        *milliseconds(row.torch_ms),
        *ratio(row.ratio),
        f"{row.limit_ms.median:.2f}",
        f"{row.share:.0%}",
        f"{row.scratch_bytes / 1e6:.2f}",
        f"{row.torch_bytes / 1e6:.2f}",
    )


def milliseconds(time: Spread) -> tuple[str, str]:
    return f"{time.median:.2f}", f"{time.spread:.0%}"


def ratio(spread: Spread) -> tuple[str, str]:
    return f"{spread.median:.2f}", f"[{spread.low:.2f}, {spread.high:.2f}]"


Layer = type[RNN] | type[LSTM]


def growth_cases(pattern: str) -> list[tuple[Layer, tuple[int, int, int], str]]:
    layers: tuple[Layer, ...] = (RNN, LSTM)
    return [
        (kind, (N, D, H), dtype)
        for _T, N, D, H in SIZES
        for kind in layers
        for dtype in DTYPES
        if fnmatchcase(f"{kind.__name__} {(N, D, H)} {dtype}", f"*{pattern}*")
    ]


def bench_growth(args: argparse.Namespace) -> Iterator[Growth]:
    print(f"{GROWTH_LEGEND}\n{GROWTH_HEADER}")
    for case in growth_cases(args.rows):
        row = measure_growth(*case, *how_often(args))
        times = f"{row.short_ms.median:.2f}", f"{row.long_ms.median:.2f}"
        print(GROWTH_LINE.format(row.name, row.dtype, *times, *ratio(row.ratio)), flush=True)
        yield row


# Files


def save_json(path: str, results: dict[str, Any]) -> None:
    try:
        with replacing(path) as file:
            file.write((json.dumps(results, indent=2, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise UsageError(f"--json {path}: {error.strerror}") from None


def save_figure(path: str, rows: list[Any]) -> None:
    from ..benchmark_figure import draw_ratios

    try:
        with replacing(path) as file:
            draw_ratios(rows).savefig(file, format=os.path.splitext(path)[1][1:] or "png")
    except OSError as error:
        raise UsageError(f"--figure {path}: {error.strerror}") from None
