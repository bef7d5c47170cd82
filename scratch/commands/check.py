"""python -m scratch check: is a person's own backward pass right, and if not, why."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
import time
from pathlib import Path

from ..machinery.printable import short
from . import apart
from .expressions import parsed
from .options import UsageError, at_least, positive

WIDTH, LETTERS = 100, 400  # of the table, of a cause in it
LIKE = ("RNNCell", "LSTMCell", "GRUCell", "RNN", "LSTM", "GRU")
HELP = """\
Is a backward pass of your own right, and if not, which mistake is in it? Yours may be

  a class with forward and backward:
      python -m scratch check my_lstm.py:StudentLSTM --like LSTM
  two functions, forward and backward:
      python -m scratch check layers.py:rnn_forward,rnn_backward \\
          --call 'rnn_forward(N(2, 5, 3), N(2, 4), N(3, 4), N(4, 4), N(4))'
  one function that returns a loss and the gradients:
      python -m scratch check chars.py:loss_function

in a file or a notebook (homework.ipynb:StudentLSTM). Of many people, all files of a folder and of
the folders in it:

      python -m scratch check solutions:StudentLSTM
"""
EPILOG = """\
Your file need not be written for this: definitions, imports and assignments run as far as they are
needed; loops that train, prints, plots and what is under `if __name__ == "__main__"` do not. Each
file runs in a process of its own, without your terminal, and in at most 8 GB of memory.

exit status: 0 right, 1 wrong, 2 could not be checked. Of several: 1 if one is wrong, 2 if none is
wrong but some could not be checked. A file whose gradients are right, but lack that of a parameter,
is incomplete, and its status 0.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "check",
        help="check a backward pass of your own",
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "targets",
        metavar="FILE:NAME[,NAME]",
        nargs="+",
        help="a class or functions of a file, a notebook, or of every file in a folder",
    )
    parser.add_argument(
        "--make", metavar="EXPR", help="how to make the object, which --call then calls layer"
    )
    parser.add_argument(
        "--call",
        metavar="EXPR",
        help="an example call, in the file's own names; N(2, 3) is an array of normal numbers, "
        "I(9, 2, 3) one of whole numbers below 9",
    )
    parser.add_argument(
        "--like",
        choices=LIKE,
        help="compare the values inside, too, with those of this module",
    )
    parser.add_argument(
        "--input-size", type=at_least(1), metavar="D", default=4, help="features (default: 4)"
    )
    parser.add_argument(
        "--hidden-size", type=at_least(1), metavar="H", default=5, help="units (default: 5)"
    )
    parser.add_argument(
        "--seq-len", type=at_least(1), metavar="T", default=4, help="time steps (default: 4)"
    )
    parser.add_argument(
        "--batch", type=at_least(1), metavar="N", default=3, help="samples (default: 3)"
    )
    parser.add_argument(
        "--timeout",
        type=positive,
        default=60.0,
        metavar="SECONDS",
        help="at most, for each file (default: 60)",
    )
    parser.add_argument("--json", action="store_true", help="print all that was found as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """The exit status: 0 right, 1 wrong, 2 could not be checked."""
    for option in ("make", "call"):
        parsed(f"--{option}", getattr(args, option) or "None")
    sizes = (args.input_size, args.hidden_size, args.seq_len, args.batch)
    jobs = [
        apart.Job(path, names, args.make, args.call, args.like, sizes, args.timeout)
        for target in args.targets
        for path, names in files_of(target)
    ]
    outcomes = with_progress(jobs)
    if len(args.targets) == 1 and not os.path.isdir(args.targets[0].rpartition(":")[0]):
        return tell(outcomes[0], args.json)
    if args.json:
        print(json.dumps([as_dict(outcome) for outcome in outcomes], ensure_ascii=False))
    else:
        print("\n".join(table(outcomes)))
    statuses = {outcome.status for outcome in outcomes}
    return next(s for s in (apart.WRONG, apart.NOT_CHECKED, apart.RIGHT) if s in statuses)


def files_of(target: str) -> list[tuple[str, list[str]]]:
    """The files of a target, each with the names to check in it."""
    path, colon, listed = target.rpartition(":")
    names = [name.strip() for name in listed.split(",")]
    if not colon or not path or not all(name.isidentifier() for name in names):
        raise UsageError(f"expected FILE.py:NAME, got {target!r}")
    if not os.path.isdir(path):
        return [(path, names)]
    found = [
        str(file)
        for file in sorted(Path(path).rglob("*"))
        if file.suffix in (".py", ".ipynb") and file.is_file()
        and not any(p.startswith((".", "__")) for p in file.relative_to(path).parts)
    ]  # fmt: skip
    if not found:
        raise UsageError(f"{path}: expected files that end in .py or .ipynb, there are none")
    return [(file, names) for file in found]


def with_progress(jobs: list[apart.Job]) -> list[apart.Outcome]:
    """The outcomes in the order of the jobs."""
    found: dict[int, apart.Outcome] = {}
    start, shown = time.monotonic(), False
    for outcome in apart.run(jobs):
        found[id(outcome.job)] = outcome
        if sys.stderr.isatty() and time.monotonic() - start > 2 and len(found) < len(jobs):
            shown = True
            print(f"\r{len(found)} of {len(jobs)} files\033[K", end="", file=sys.stderr, flush=True)
    if shown:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return [found[id(job)] for job in jobs]


def tell(outcome: apart.Outcome, as_json: bool) -> int:
    """Print the report on one file; a file without one is a UsageError."""
    if outcome.found is None:
        raise UsageError(f"{short(outcome.job.path, 200)}: {outcome.text}")
    print(json.dumps(outcome.found, ensure_ascii=False) if as_json else outcome.text)
    return outcome.status


def shortened(cause: str, width: int) -> list[str]:
    """At most two lines."""
    return textwrap.wrap(short(cause, LETTERS), width, max_lines=2, placeholder=" …")


def as_dict(outcome: apart.Outcome) -> dict[str, object]:
    return {
        "file": outcome.job.path,
        "checked": list(outcome.job.names),
        "verdict": outcome.verdict,
        "cause": outcome.cause,
        "report": outcome.found,
    }


def table(outcomes: list[apart.Outcome]) -> list[str]:
    """Lines for each file, of at most WIDTH characters, and one that counts."""
    folder = os.path.commonpath([os.path.dirname(o.job.path) for o in outcomes])
    cells = [("file", "checked", "verdict")]
    cells += [(short(os.path.relpath(o.job.path, folder or None), 30),
               short(", ".join(o.job.names), 24), o.verdict) for o in outcomes]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    left = sum(widths) + 2 * len(widths)
    causes = [["first cause"], *(shortened(o.cause, WIDTH - left) for o in outcomes)]
    lines: list[str] = []
    for cell, cause in zip(cells, causes, strict=True):
        lines.append("  ".join([*map(str.ljust, cell, widths), *cause[:1]]).rstrip())
        lines += [" " * left + line for line in cause[1:]]
    verdicts = [outcome.verdict for outcome in outcomes]
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)]
    return [
        *lines,
        "",
        f"{len(outcomes)} files: {', '.join(counts)}",
    ]
