"""What the commands share: mistakes as one line and exit status 2, and the options of a system."""

from __future__ import annotations

import argparse
import io
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import NoReturn

from ..machinery import interrupt
from ..machinery.writing import try_to_write
from ..tasks.column import DECIMALS, Reading
from ..tasks.systems import (
    EVERY_SYSTEM,
    MEMORY,
    SYSTEMS,
    Model,
    System,
    Task,
    load_task,
    with_series,
)
from ..training import tenths

READING = [field.name for field in fields(Reading)]


class UsageError(Exception):
    """What the person at the keyboard can mend: what is wrong, and what would be right."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that names a mistake in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def run(parser: argparse.ArgumentParser, argv: list[str] | None = None) -> int:
    """Parse, and call what the parser has set as `run`. Returns its exit status.

    Without arguments it shows what the commands are. Ctrl-C ends it in one line.
    """
    if sys.stdout is None:
        parser.error("standard output: expected it open, got it closed")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 -- open until the process ends
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a letter that the terminal's encoding lacks
    if not (sys.argv[1:] if argv is None else argv):
        argv = ["--help"]
    guarded = False
    try:
        try:
            guarded = interrupt.raise_again()
            args = parser.parse_args(argv)
            status: int = args.run(args) or 0
        finally:
            sys.stdout.flush()
    except UsageError as error:
        parser.error(str(error))
    except MemoryError as error:
        parser.error(f"expected sizes that fit into memory, {str(error) or 'there is not enough'}")
    except KeyboardInterrupt as stop:
        parser.exit(130, f"{parser.prog}: {str(stop) or 'interrupted'}\n")
    except BrokenPipeError:  # whoever read the output has seen enough, as in `... | head`
        _discard_output()
        return 141
    except OSError as error:
        if error.filename is not None:  # a file, not a stream: whoever opened it should have said
            raise
        _discard_output()
        parser.error(f"standard output: {error.strerror or error}")
    finally:
        if guarded:
            interrupt.end_at_once()
    return status


def _discard_output() -> None:
    """What is still in the buffer goes nowhere, and the interpreter's last flush succeeds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def at_least(smallest: int) -> Callable[[str], int]:
    """The type of an option that takes whole numbers from `smallest` on."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = smallest - 1
        if not smallest <= number < 2**63:
            raise argparse.ArgumentTypeError(
                f"expected a whole number of at least {smallest}, below 2**63, got {text!r}"
            )
        return number

    return parse


def positive(text: str) -> float:
    """The type of an option that takes numbers above zero."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return number


def file_name(text: str) -> str:
    """The type of an option that names a file or a folder."""
    if not text:
        raise argparse.ArgumentTypeError("expected a name, got ''")
    return text


def check_writable(option: str, path: str) -> None:
    """Before minutes of work: the folder is there, and takes a file of the name `path`."""
    folder = os.path.dirname(os.path.realpath(path)) if os.path.basename(path) else path
    try:
        if not os.path.isdir(folder):
            raise UsageError(f"{option} {path}: expected an existing folder, got {folder}")
        if os.path.isdir(path):
            raise UsageError(f"{option} {path}: expected the name of a file, got a folder")
        try_to_write(path)
    except OSError as error:
        raise UsageError(f"{option} {path}: {error.strerror or error}") from None


def add_system(parser: argparse.ArgumentParser) -> None:
    """The system that a command works on, among those of `systems_table`."""
    parser.add_argument(
        "system",
        metavar="SYSTEM",
        nargs="?",
        choices=EVERY_SYSTEM,
        help="one of those below; with --csv it may be left out",
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that choose a system's settings and data, and how it is trained."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = systems_table()
    settings = parser.add_argument_group("settings (default: the system's own)")
    settings.add_argument("--epochs", type=at_least(0), metavar="N", help="passes over the data")
    settings.add_argument("--hidden-size", type=at_least(1), metavar="H", help="units")
    settings.add_argument("--lr", type=positive, metavar="LR", help="step size of Adam")
    settings.add_argument(
        "--seed", type=at_least(0), metavar="S", default=0, help="of data and weights (default: 0)"
    )
    settings.add_argument(
        "--dtype",
        choices=["float64", "float32"],
        default="float64",
        help="of all numbers (default: float64)",
    )
    settings.add_argument("--every-step", action="store_true", help="answer at every time step")
    settings.add_argument(
        "--truncate",
        type=at_least(1),
        metavar="K",
        help="end backpropagation through time, and take a step, after every K time steps; "
        "for --every-step",
    )
    settings.add_argument(
        "--max-norm",
        type=positive,
        metavar="NORM",
        help="scale a gradient of a larger norm down to it",
    )
    series = parser.add_argument_group(
        "a series of your own",
        "The model sees the changes from row to row, standardized, through a window, and\n"
        "learns the next change. The last fifth of the windows is held out.",
    )
    series.add_argument("--csv", type=file_name, metavar="FILE", help="CSV file with a header")
    series.add_argument("--column", metavar="NAME", help="column with the numbers")
    series.add_argument("--window", type=at_least(1), metavar="N", help="changes in a window")
    series.add_argument(
        "--time",
        metavar="NAME",
        help="column with the times (default: the only one of dates, else the rows)",
    )
    series.add_argument(
        "--time-format",
        metavar="FORM",
        help="how a date is written, such as %%d/%%m/%%Y (default: found from the file)",
    )
    series.add_argument(
        "--missing",
        choices=["drop", "interpolate"],
        help="what to do with rows without a number (default: refuse the file)",
    )
    series.add_argument(
        "--encoding", metavar="NAME", help="of the text (default: found from the file)"
    )
    series.add_argument(
        "--decimal",
        choices=list(DECIMALS),
        metavar="MARK",
        help=". or , (default: found from the file)",
    )


def systems_table(systems: Mapping[str, System] = EVERY_SYSTEM) -> str:
    """A line for each system, for --help."""
    lines = [
        f"  {s.name:<14}{s.model_class.__name__:<12}{s.make_data.__name__.replace('_', ' '):<20}"
        f"epochs {s.epochs}, hidden size {s.hidden_size}, lr {s.lr:g}"
        for s in systems.values()
    ]
    return "\n".join(["systems, and their own settings:", *lines])


def choose_system(name: str | None, args: argparse.Namespace) -> System:
    """The system called `name`, with the settings and the series of `args`.

    Without a name it is the airline's model on a series of one's own, called series-lstm.
    """
    series = {"--csv": args.csv, "--column": args.column, "--window": args.window}
    missing = [option for option, value in series.items() if value is None]
    if 0 < len(missing) < 3:
        raise UsageError(
            f"expected --csv, --column and --window together, got no {' and no '.join(missing)}"
        )
    if missing:
        for option in READING:
            if getattr(args, option) is not None:
                raise UsageError(f"--{option.replace('_', '-')}: expected --csv with it")
    if name is None and missing:
        raise UsageError(f"expected one of {', '.join(EVERY_SYSTEM)}, or --csv FILE")
    system = EVERY_SYSTEM[name or "airline-lstm"]
    if args.every_step and not system.allows_every_step:
        raise UsageError(
            f"--every-step: {name} answers once per sequence, expected one of "
            f"{', '.join(s.name for s in SYSTEMS.values() if s.allows_every_step)}"
        )
    if args.truncate is not None and not args.every_step:
        raise UsageError("--truncate: expected --every-step with it")
    if not missing:
        if system.output_size != 1:
            raise UsageError(
                f"--csv: {name} answers with classes, expected one of "
                f"{', '.join(s.name for s in SYSTEMS.values() if s.output_size == 1)}"
            )
        reading = Reading(**{name: getattr(args, name) for name in READING})
        if name in MEMORY:
            raise UsageError(f"--csv: {name} has data of its own, expected another system")
        system = with_series(system, args.csv, args.column, args.window, reading)
    return replace(
        system,
        name=name or "series-lstm",
        hidden_size=args.hidden_size or system.hidden_size,
        lr=args.lr or system.lr,
        epochs=system.epochs if args.epochs is None else args.epochs,
    )


class Pace:
    """Which epochs are printed: each tenth of them, and one whenever SECONDS went by without."""

    SECONDS = 3.0

    def __init__(self, epochs: int) -> None:
        self.shown, self.last = tenths(epochs), time.monotonic()

    def due(self, epoch: int) -> bool:
        now = time.monotonic()
        if epoch not in self.shown and now - self.last < self.SECONDS:
            return False
        self.last = now
        return True


def training_words(args: argparse.Namespace, task: Task) -> str:
    """What `--truncate` and `--max-norm` change, for the line that says what is trained."""
    steps = task.inputs.shape[1]
    cut = "" if args.truncate is None else f", gradient cut every {args.truncate} steps"
    if cut and args.truncate >= steps:
        cut = f", gradient not cut, as a sequence has only {steps} steps"
    clip = "" if args.max_norm is None else f", gradient clipped to the norm {args.max_norm:g}"
    return cut + clip


def read_task(system: System, args: argparse.Namespace) -> Task:
    """The system with its data. A file that cannot be used is a `UsageError`."""
    try:
        return load_task(system, every_step=args.every_step, dtype=args.dtype, seed=args.seed)
    except OSError as error:
        raise UsageError(f"--csv {args.csv}: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(str(error)) from None


def make_model(task: Task) -> Model:
    """A new model. A size that no memory can hold is a `UsageError`."""
    try:
        return task.make_model()
    except (MemoryError, OverflowError, ValueError) as error:
        size = f"--hidden-size {task.system.hidden_size}"
        raise UsageError(f"{size}: expected a size that fits into memory, {error}") from None
