"""python -m scratch explain: a pass written out, with every number that goes into it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..machinery.module import Array
from ..tasks.systems import EVERY_SYSTEM, Model, Task
from .options import UsageError, at_least, file_name
from .weight_files import begin

if TYPE_CHECKING:
    from ..study.document import Block

EXAMPLES = ("rnn", "lstm")
OF_A_SYSTEM = ("load", "sequence", "step", "unit", "every_step")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "explain",
        help="write out a pass: every equation with its numbers",
        description="Write out a pass. For rnn or lstm: a worked example small enough for pencil "
        "and paper, from the weights to their gradients. For a system: one unit at one step.",
    )
    parser.add_argument(
        "subject",
        metavar="SUBJECT",
        choices=[*EXAMPLES, *EVERY_SYSTEM],
        help=f"one of {', '.join([*EXAMPLES, *EVERY_SYSTEM])}",
    )
    parser.add_argument(
        "--hidden-size",
        type=at_least(1),
        metavar="H",
        help="units (default: 2, or the system's own)",
    )
    parser.add_argument(
        "--seed", type=at_least(0), metavar="S", default=0, help="of data and weights (default: 0)"
    )
    parser.add_argument(
        "--markdown", action="store_true", help="write Markdown, with the formulas in LaTeX"
    )
    parser.add_argument("--latex", action="store_true", help="write a document for pdflatex")
    example = parser.add_argument_group("for rnn and lstm")
    example.add_argument("--steps", type=at_least(1), metavar="T", help="time steps (default: 2)")
    system = parser.add_argument_group("for a system")
    system.add_argument(
        "--load", type=file_name, metavar="FILE.npz", help="weights as `train --save` writes them"
    )
    system.add_argument(
        "--sequence", type=at_least(0), metavar="K", help="number of the sequence (default: 0)"
    )
    system.add_argument(
        "--step",
        type=at_least(0),
        metavar="T",
        help="number of the time step (default: the last one)",
    )
    system.add_argument(
        "--unit", type=at_least(0), metavar="J", help="number of the unit (default: 0)"
    )
    system.add_argument(
        "--every-step", action="store_true", default=None, help="the model answers at every step"
    )
    parser.set_defaults(run=run, csv=None, dtype="float64")


def run(args: argparse.Namespace) -> None:
    if args.markdown and args.latex:
        raise UsageError("expected --markdown or --latex, got both")
    from ..study import document

    write = document.markdown if args.markdown else document.latex if args.latex else document.plain
    print(write(blocks(args)))


def blocks(args: argparse.Namespace) -> list[Block]:
    if args.subject not in EXAMPLES:
        if args.steps is not None:
            raise UsageError("--steps: expected rnn or lstm with it; a system has steps of its own")
        return card_of_system(args)
    for name in OF_A_SYSTEM:
        if getattr(args, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option}: expected a system with it: {', '.join(EVERY_SYSTEM)}")
    from ..study.explain import worked_example

    return worked_example(args.subject, args.hidden_size or 2, args.steps or 2, args.seed)


def card_of_system(args: argparse.Namespace) -> list[Block]:
    from ..study.document import Heading, Paragraph
    from ..study.explain import card
    from ..study.sequence import follow

    system = EVERY_SYSTEM[args.subject]
    args.every_step = bool(args.every_step)
    if args.every_step and not system.allows_every_step:
        raise UsageError(f"--every-step: {system.name} answers once per sequence")
    system = replace(system, hidden_size=args.hidden_size or system.hidden_size)
    task, model = begin(system, args)
    system = task.system
    sequence, unit = args.sequence or 0, args.unit or 0
    steps = task.inputs.shape[1]
    step = steps - 1 if args.step is None else args.step
    for option, number, size in (
        ("--sequence", sequence, len(task.inputs)),
        ("--step", step, steps),
        ("--unit", unit, system.hidden_size),
    ):
        if number >= size:
            raise UsageError(f"{option}: expected a number from 0 to {size - 1}, got {number}")
    (one_run,) = follow(model, *one_sequence(task, model, sequence)).values()
    forward, backward = card(one_run, step, unit)
    part = "lstm" if one_run.kind == "LSTM" else "rnn"
    weights = f"weights of {args.load}" if args.load else f"untrained weights of seed {args.seed}"
    return [
        Heading(f"{system.name}: unit {unit} at step {step} of sequence {sequence}"),
        Paragraph(
            f"{type(model).__name__}, {system.hidden_size} units, {steps} steps; {weights}. The "
            f'loss is that of this sequence alone. `record.{part}.runs["l0"].h[{step}, 0, {unit}]` '
            f'is `h`, `back.{part}.runs["l0"].grad_h[{step}, 0, {unit}]` is `grad_h`, and so for '
            f"the others."
        ),
        Heading("Forward", 2),
        *forward,
        Heading("Backward", 2),
        *backward,
    ]


def one_sequence(task: Task, model: Model, sequence: int) -> tuple[Array, Array]:
    """x of one sequence of the data, and the gradient of its loss by the model's answer."""
    only = slice(sequence, sequence + 1)
    x, criterion = task.inputs[only], task.system.criterion
    loss: Any = criterion.forward(model(x), task.targets[only])
    return x, criterion.backward(loss)
