"""python -m scratch study SYSTEM: what happens inside a system, as figures and in words."""

from __future__ import annotations

import argparse
import copy
import os
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..machinery.module import Array
from ..machinery.writing import replacing
from ..models import SimpleLSTM, SimpleRNN
from ..optim import Adam
from ..tasks.adding import CORRECT, SOLVED, STEPS, adding_problem, adding_sequences
from ..tasks.systems import Model, System, Task
from ..training import epoch_line, train
from .explain import one_sequence
from .options import (
    Pace,
    UsageError,
    add_options,
    add_system,
    at_least,
    choose_system,
    file_name,
    make_model,
    read_task,
    training_words,
)
from .train import check_finite
from .weight_files import load, sized

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..study import Watch

SAMPLES = 100  # of the batch, for what is measured over many sequences
WATCHED = 20  # of the batch, whose gates are looked at after every epoch
Told = tuple[str, "Figure", str]  # the name of a figure, the figure, what it shows


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "study",
        help="look inside a system: gates, gradients, training",
        description="Train a system, or load its weights, and draw what happens inside.",
    )
    add_system(parser)
    add_options(parser)
    parser.add_argument(
        "--load",
        type=file_name,
        metavar="FILE.npz",
        help="weights to look into; trained further only with --epochs",
    )
    parser.add_argument(
        "--sequence",
        type=at_least(0),
        metavar="K",
        default=0,
        help="number of the sequence to look at (default: 0)",
    )
    parser.add_argument(
        "--out",
        type=file_name,
        metavar="DIR",
        default="out",
        help="folder for the figures (default: out)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    system, task = prepare(args)
    kinds: tuple[type[Model], type[Model]] = (SimpleRNN, SimpleLSTM)
    other = replace(system, model_class=kinds[system.model_class is SimpleRNN])
    with np.errstate(all="ignore"):
        studied = study(task, args, args.load)
        beside = study(read_task(other, args), args, None)
        if system.make_data is adding_problem:
            print_filled("", memory_words([studied, beside], args.seed))
        print()
        start = os.path.join(args.out, system.file_stem)
        paths = [
            save_and_tell(f"{start}-{name}.png", name, figure, told)
            for name, figure, told in figures(studied, beside, args.sequence)
        ]
        page = write_page(f"{start}-page.html", studied, args.sequence)
    print(f"\n{len(paths)} pictures: {paths[0]}, …\nThe page, for a browser: {page}")


def prepare(args: argparse.Namespace) -> tuple[System, Task]:
    """The system and its data; what cannot be done is refused before anything is trained."""
    if args.truncate is not None:
        raise UsageError("--truncate: expected none, as a gradient is followed to the first step")
    system = choose_system(args.system, args)
    if args.load is not None:
        system = sized(system, args)
    task = read_task(system, args)
    if args.sequence >= len(task.inputs):
        raise UsageError(
            f"--sequence: expected a number below {len(task.inputs)}, got {args.sequence}"
        )
    try:
        os.makedirs(args.out, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {args.out}: {error.strerror or error}") from None
    return task.system, task


@dataclass
class Studied:
    """A model of a task before and after training, and what was watched meanwhile.

    trained: whether the two differ, by training or by weights from a file.
    watch: None if nothing was trained here.
    """

    task: Task
    before: Model
    model: Model
    trained: bool
    watch: Watch | None = None

    @property
    def name(self) -> str:
        return "LSTM" if isinstance(self.model, SimpleLSTM) else "RNN"

    @property
    def layer(self) -> Any:
        return getattr(self.model, self.name.lower())

    def passes(self, model: Model, sequences: slice | Array) -> tuple[Any, Any]:
        """Forward and backward record of the model's layer, of the loss of some sequences."""
        inputs, targets = self.task.inputs[sequences], self.task.targets[sequences]
        criterion: Any = self.task.system.criterion
        record: Any = model.forward(inputs)
        loss = criterion.forward(record.output, targets)
        model.zero_grad()
        back: Any = model.backward_record(record, criterion.backward(loss))
        part = self.name.lower()
        return getattr(record, part), getattr(back, part)


def study(task: Task, args: argparse.Namespace, path: str | None) -> Studied:
    """The model trained, or with the weights of a file and trained on if epochs are asked for."""
    system, model = task.system, make_model(task)
    before = copy.deepcopy(model)
    if path is not None:
        load(model, path)
    studied = Studied(task, before, model, trained=bool(path or system.epochs))
    words = f"{studied.name} with {system.hidden_size} units in {task.inputs.dtype}"
    if not system.epochs or (path is not None and args.epochs is None):
        print(f"{system.name}: {words}, {f'weights of {path}' if path else 'not trained'}")
    else:
        print(f"{system.name}: {words}, Adam lr {system.lr:g}{training_words(args, task)}")
        studied.watch = train_and_watch(studied, args.max_norm)
    loss = float(system.criterion(model(task.inputs), task.targets))
    check_finite(f"the loss is {loss}", loss, system)
    return studied


def train_and_watch(studied: Studied, max_norm: float | None) -> Watch:
    from ..study import Watch

    task, model, part = studied.task, studied.model, studied.name.lower()
    system = task.system
    studied.passes(model, slice(SAMPLES))
    grad = studied.layer.weight_hh_l0.grad
    place = np.unravel_index(np.abs(grad).argmax(), grad.shape)
    optimizer = Adam(model.parameters(), lr=system.lr)
    index = tuple(int(i) for i in place)
    watch = Watch(model, optimizer, task.inputs[:WATCHED], f"{part}.weight_hh_l0", index)
    settings = (model, system.criterion, optimizer, task.inputs, task.targets, system.epochs)
    pace = Pace(system.epochs)
    for epoch, loss in enumerate(train(*settings, max_norm=max_norm), 1):
        if pace.due(epoch):
            print(f"  {epoch_line(epoch, system.epochs, loss)}", flush=True)
        check_finite(f"the loss is {loss} in epoch {epoch}", loss, system)
        watch.look(loss)
    return watch


def memory_words(both: list[Studied], seed: int) -> str:
    """Who has solved the adding problem: the error on 1000 sequences that nobody was trained on."""
    parts = []
    for studied in both:
        rng = np.random.default_rng([seed, 1])
        others = adding_sequences(rng, 1000, STEPS).astype(studied.task.inputs.dtype)
        off = np.abs(studied.model(others.inputs) - others.targets)
        error = float(np.sqrt(np.mean(off**2)))
        verdict = "solved" if error < SOLVED else "not solved"
        right = f"{np.mean(off < CORRECT):.0%} within {CORRECT}"
        parts.append(f"{studied.name} {error:.3f}, {right}: {verdict}")
    constant = float(np.sqrt(np.mean((0.5 - others.targets) ** 2)))
    return (
        f"Error on 1000 other sequences (RMS): {'; '.join(parts)}. Solved is below {SOLVED}; the "
        f"answer 0.5 gets {constant:.3f}."
    )


# The figures


def figures(studied: Studied, beside: Studied, k: int) -> Iterator[Told]:
    """Each with its name and what it shows, one after the other."""
    yield from inside_figures(studied, k)
    yield flow_figure(studied, beside)
    yield start_figure(studied, beside, k)
    yield from sequence_figures(studied, k)
    if studied.watch is not None:
        yield from training_figures(studied.watch)


def inside_figures(studied: Studied, k: int) -> Iterator[Told]:
    from .. import study

    record, back = studied.passes(studied.model, slice(k, k + 1))
    run, back_run = record.runs["l0"], back.runs["l0"]
    yield "forward", study.draw_forward(run), f"sequence {k}: {study.say_forward(run)}"
    yield "backward", study.draw_backward(back_run), study.say_backward(back_run)


def flow_figure(studied: Studied, beside: Studied) -> Told:
    from .. import study

    panels: dict[str, dict[str, Array]] = {"before training": {}, "after training": {}}
    for s in sorted((studied, beside), key=lambda s: s.name, reverse=True):
        models = (s.before, s.model) if s.trained else (s.before,)
        for title, model in zip(panels, models, strict=False):
            back = s.passes(model, slice(SAMPLES))[1].runs["l0"]
            for state, curve in study.norms(back).items():
                panels[title][f"{s.name} {state}"] = curve
    told = "from the last step back to the first the norm of the gradient changes by a factor of"
    panels = {title: curves for title, curves in panels.items() if curves}
    for title, curves in panels.items():
        told += f"\n{title}: {study.say_flow(curves)}"
    label = r"norm of $\partial L / \partial h_t$ or $\partial L / \partial c_t$"
    return "flow", study.draw_flow(panels, label=label), told


def start_figure(studied: Studied, beside: Studied, k: int) -> Told:
    from .. import study

    by_name: dict[str, Any] = {
        s.name: s.before.lstm if isinstance(s.before, SimpleLSTM) else s.before.rnn
        for s in (studied, beside)
    }
    x = studied.task.inputs[k : k + 1]
    radii = study.rnn_flow(by_name["RNN"], x)
    biases, straight = study.lstm_flow(by_name["LSTM"], x)
    names = "RNN, gradient of h", "LSTM, gradient of c"
    figure = study.draw_flow(
        {names[0]: radii, names[1]: biases},
        {names[1]: straight},
        beside_label="product of the forget gates",
    )
    told = (
        f"before training, a gradient of norm 1 at the last step has at the first step the norm\n"
        f"RNN: {study.say_flow(radii)}\nLSTM: {study.say_flow(biases)}\n"
        f"LSTM, straight through the forget gates: {study.say_flow(straight)}"
    )
    return "start", figure, told


def sequence_figures(studied: Studied, k: int) -> Iterator[Told]:
    from .. import study

    layer, weight = studied.layer, studied.layer.weight_hh_l0
    x = studied.task.inputs[k]
    by_backward, by_product = study.jacobian_norms(layer, x), study.product_norms(layer, x)
    told = study.say_jacobians(by_backward, by_product)
    yield "jacobians", study.draw_jacobians(by_backward, by_product), told

    _, back = studied.passes(studied.model, slice(k, k + 1))
    row, column = np.unravel_index(np.abs(weight.grad).argmax(), weight.shape)
    shares = study.Shares(back.runs["l0"], "weight_hh", row % layer.hidden_size, column)
    blocks = np.split(weight.grad, len(shares))
    grads = {g: float(b[shares.unit, column]) for g, b in zip(shares, blocks, strict=True)}
    told = f"weight_hh, unit {shares.unit} from unit {column}: {study.say_shares(shares)}"
    yield "shares", study.draw_shares(shares, grads), told

    inputs = studied.task.inputs
    few = np.unique(np.linspace(k, len(inputs) - 1, 3).astype(int))
    h = studied.passes(studied.model, few)[0].runs["l0"].h
    told = f"sequences {', '.join(map(str, few))}: {study.say_trajectories(h, weight.data)}"
    yield "trajectories", study.draw_trajectories(h, weight.data), told


def training_figures(watch: Watch) -> Iterator[Told]:
    from .. import study

    told = study.say_saturation(watch.saturation)
    yield "saturation", study.draw_saturation(watch.saturation), told
    told = f"{watch.name}[{', '.join(map(str, watch.place))}]: {study.say_adam(watch.adam)}"
    yield "adam", study.draw_adam(watch.adam), told


def write_page(path: str, studied: Studied, k: int) -> str:
    """Writes the page to play with, of sequence k. Returns its path."""
    from .. import study

    x, grad_output = one_sequence(studied.task, studied.model, k)
    try:
        study.page(studied.model, x, grad_output, path)
    except OSError as error:
        raise UsageError(f"--out {path}: {error.strerror or error}") from None
    print(f"{'page':<14}sequence {k}, forward and backward, step by step")
    return path


def save_and_tell(path: str, name: str, figure: Figure, told: str) -> str:
    """Writes the figure and prints its words. Returns the path."""
    try:
        with replacing(path) as file:
            figure.savefig(file, format="png")
    except OSError as error:
        raise UsageError(f"--out {path}: {error.strerror or error}") from None
    first, *more = told.splitlines()
    print_filled(f"{name:<14}", first)
    for line in more:
        print_filled(" " * 14, line)
    return path


def print_filled(before: str, text: str) -> None:
    """Within 100 columns, without dividing a word or a number."""
    wrapper = textwrap.TextWrapper(100, break_long_words=False, break_on_hyphens=False)
    wrapper.initial_indent, wrapper.subsequent_indent = before, " " * (len(before) + 2)
    print(wrapper.fill(text), flush=True)
