"""Draw the figures of the chapters: `python docs/figures/draw.py`, or only those that are named.

A figure is made from numbers that are computed here, in seconds, and from nothing else. A sentence
with some of these numbers goes into the description inside the file. A test computes the sentence
again, so that no figure outlives the code that it shows.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from diagrams import lstm_cell, rnn_backward, rnn_unrolled

from scratch import LSTM, RNN, Adam, MSELoss, SimpleLSTM, SimpleRNN, study
from scratch.machinery.starting import set_forget_bias
from scratch.study.style import LINES, new_figure, number, several, title
from scratch.tasks.adding import adding_sequences
from scratch.tasks.data import airline_passengers, sine_waves
from scratch.tasks.systems import SYSTEMS, load_task
from scratch.training import train, truncation_error

HERE = Path(__file__).parent
SHOWN = 21  # of the sequences of the adding problem, the one whose gates are drawn
Drawn = tuple[str, Any]  # a sentence with the numbers, and a function that draws them


def series() -> Drawn:
    """Chapter 1: a wave and its target, the airline series, its growth."""
    wave = sine_waves(np.random.default_rng(0), every_step=True)
    x, y = wave.inputs[0, :, 0], wave.targets[0, :, 0]
    airline = airline_passengers(np.random.default_rng(0)).held_out.series
    growth = airline.changes()

    def draw():
        figure, panels = several(None, 1, 3, 11, 3.1)
        panels[0].plot(x, **LINES[0], label="input")
        panels[0].plot(y, **LINES[1], label="0.1 rad ahead")
        panels[0].plot(49, y[-1], "s", color="0.15", label="the last value")
        title(panels[0], "a sine wave")
        panels[0].set_xlabel("time step")
        panels[0].legend(frameon=False, fontsize="small", loc="upper center")
        panels[1].plot(airline.times, airline.values, **LINES[0])
        title(panels[1], "airline passengers, thousands")
        panels[2].plot(airline.times[12:], growth, **LINES[0])
        panels[2].axhline(0, color="0.8", zorder=0)
        title(panels[2], "log of the growth over a year")
        for panel in panels[1:]:
            panel.set_xlabel("year")
            panel.axvline(1957, color="0.5", linewidth=0.8, linestyle=":")
        return figure

    said = (
        f"passengers from {airline.values.min():.0f} to {airline.values.max():.0f} thousand, "
        f"growth from {number(growth.min())} to {number(growth.max())}"
    )
    return said, draw


def level() -> Drawn:
    """Chapter 1: the same LSTM on the level and on the growth of the series."""
    data = airline_passengers(np.random.default_rng(0))
    held = data.held_out
    values, first = held.series.values, held.first
    mean, std = values[:first].mean(), values[:first].std()
    z = (values - mean) / std
    windows = np.lib.stride_tricks.sliding_window_view(z, 12)[:-1, :, np.newaxis].copy()

    def fit(inputs, targets):
        model = SimpleLSTM(1, 32, 1, dtype=np.float64, rng=0)
        optimizer = Adam(model.parameters(), lr=0.003)
        list(train(model, MSELoss(), optimizer, inputs, targets, 30))
        return model

    on_level = fit(windows[: first - 12], z[12:first, np.newaxis])
    by_level = mean + std * on_level(windows[first - 12 :])[:, 0]
    by_growth = held.restore(fit(data.inputs, data.targets)(held.inputs))

    def draw():
        figure = new_figure(7.5, 3.6)
        axes = figure.subplots()
        axes.plot(held.times, held.truth, color="0.15", linewidth=1.2, label="truth")
        axes.plot(held.times, by_growth, **LINES[0], label="an LSTM on growth")
        axes.plot(held.times, by_level, **LINES[1], label="the same LSTM on the level")
        most = values[:first].max()
        axes.axhline(most, color="0.5", linewidth=0.8, linestyle=":", label="most before 1957")
        axes.set(xlabel="year", ylabel="thousand passengers", xticks=range(1957, 1962))
        axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(0, 1))
        return figure

    said = f"RMSE on the level {held.rmse(by_level):.1f}, on growth {held.rmse(by_growth):.1f}"
    return said, draw


def truncation() -> Drawn:
    """Chapter 3: how far a truncated gradient is from the whole one."""
    task = load_task(SYSTEMS["sine-rnn"], every_step=True)
    x, y, model = task.inputs[:100], task.targets[:100], task.make_model()
    steps = (1, 2, 5, 10, 25, 50)

    def errors():
        return [truncation_error(model, MSELoss(), x, y, k) for k in steps]

    before = errors()
    list(train(model, MSELoss(), Adam(model.parameters(), lr=0.01), x, y, 20))
    after = errors()

    def draw():
        figure = new_figure(6, 3.4)
        axes = figure.subplots()
        axes.plot(steps, before, marker="o", **LINES[0], label="new weights")
        axes.plot(steps, after, marker="s", **LINES[1], label="after 20 steps of Adam")
        axes.set(xscale="log", xlabel="steps K in a chunk", ylabel="‖g_cut − g‖ / ‖g‖")
        axes.set_xticks(steps, labels=[str(k) for k in steps])
        axes.minorticks_off()
        axes.legend(frameon=False, fontsize="small")
        return figure

    words = [
        f"{k}: {number(a, 2)}, {number(b, 2)}"
        for k, a, b in zip(steps, before, after, strict=False)
    ]
    return "error before and after training, by K: " + "; ".join(words), draw


@functools.cache
def layers() -> tuple[RNN, LSTM, Any]:
    """An RNN and an LSTM as they start, and 50 steps of noise."""
    x = np.random.default_rng(0).standard_normal((50, 1, 3))
    return RNN(3, 16, dtype=np.float64, rng=1), LSTM(3, 16, dtype=np.float64, rng=1), x


def flow() -> Drawn:
    """Chapter 4: the norm of the gradient at every step, for other starting weights."""
    rnn, lstm, x = layers()
    of_rnn = study.rnn_flow(rnn, x, (0.5, 1.0, 1.5))
    of_lstm, straight = study.lstm_flow(lstm, x, (0.0, 1.0, 5.0))

    def draw():
        both = {"RNN, gradient of h": of_rnn, "LSTM, gradient of c": of_lstm}
        beside = {"LSTM, gradient of c": straight}
        return study.draw_flow(both, beside, beside_label="product of the forget gates")

    ends = [f"{k} {number(c[0], 2)}" for group in (of_rnn, of_lstm) for k, c in group.items()]
    return "of a gradient of norm 1 the first step gets: " + ", ".join(ends), draw


def jacobians() -> Drawn:
    """Chapter 4: how h at one step depends on h at an earlier one, in two ways."""
    rnn, _, x = layers()
    norms = study.jacobian_norms(rnn, x[:20, 0]), study.product_norms(rnn, x[:20, 0])
    return f"of a change of h_0, {number(norms[0][19, 0], 2)} is left in h_19", (
        lambda: study.draw_jacobians(*norms)
    )


@functools.cache
def adding_models() -> dict[str, tuple[Any, list[float]]]:
    """Three models on the adding problem with 20 steps, and their losses."""
    found = {}
    for name, kind, bias in (
        ("RNN", SimpleRNN, None),
        ("LSTM, forget bias as drawn", SimpleLSTM, None),
        ("LSTM, forget bias 3", SimpleLSTM, 3.0),
    ):
        rng = np.random.default_rng(0)
        data = adding_sequences(rng, 200, 20)
        model = kind(2, 8, 1, dtype=np.float64, rng=rng)
        if bias is not None:
            set_forget_bias(model.lstm, bias)
        optimizer = Adam(model.parameters(), lr=0.02)
        losses = list(train(model, MSELoss(), optimizer, data.inputs, data.targets, 200))
        found[name] = model, losses
    return found


def adding() -> Drawn:
    """Chapter 4: who learns the adding problem."""
    held = adding_sequences(np.random.default_rng(1), 500, 20)
    found = adding_models()
    errors = {
        name: float(np.sqrt(np.mean((model(held.inputs) - held.targets) ** 2)))
        for name, (model, _) in found.items()
    }

    def draw():
        figure = new_figure(6.5, 3.4)
        axes = figure.subplots()
        for (name, (_, losses)), style in zip(found.items(), LINES, strict=False):
            axes.plot(np.sqrt(losses), **style, label=name)
        axes.axhline(0.2, color="0.5", linewidth=0.8, linestyle=":", label="the answer 0.5")
        axes.set(xlabel="epoch", ylabel="root mean squared error", ylim=(0, 0.45))
        axes.legend(frameon=False, fontsize="small")
        return figure

    ends = ", ".join(f"{name} {error:.3f}" for name, error in errors.items())
    return f"error on other sequences: {ends}", draw


def gates() -> Drawn:
    """Chapter 5 and the README: the gates of the LSTM that has learned to add, on one sequence."""
    held = adding_sequences(np.random.default_rng(1), 500, 20)
    model, _ = adding_models()["LSTM, forget bias 3"]
    run = model.forward(held.inputs).lstm.runs["l0"]
    marks = np.flatnonzero(held.inputs[SHOWN, :, 1] == 1)
    said = f"marks at steps {marks[0]} and {marks[1]}; {study.say_forward(run, SHOWN)}"
    return said, lambda: study.draw_forward(run, SHOWN)


@functools.cache
def four_trained() -> dict[str, tuple[Any, Any, list[float]]]:
    """Each system with its task, its model and its losses; of the sine waves the first 50."""
    found = {}
    for name, system in SYSTEMS.items():
        task = load_task(system)
        x, y, model = task.inputs[:50], task.targets[:50], task.make_model()
        if task.held_out is not None:
            x, y = task.inputs, task.targets
        optimizer = Adam(model.parameters(), lr=system.lr)
        losses = list(train(model, system.criterion, optimizer, x, y, system.epochs))
        found[name] = task, model, losses
    return found


def systems() -> Drawn:
    """Chapter 9: the losses of the four systems, and the airline series."""
    found = four_trained()
    task, model, _ = found["airline-lstm"]
    held = task.held_out
    answers = held.restore(model(held.inputs))

    def draw():
        figure, panels = several(None, 1, 3, 11, 3.3)
        for name, style in zip(("sine-rnn", "sine-lstm"), LINES, strict=False):
            panels[0].plot(np.arange(1, 101), found[name][2], **style, label=name)
        panels[0].set_yscale("log")
        panels[0].legend(frameon=False, fontsize="small")
        title(panels[0], "loss, 50 sine waves")
        panels[1].plot(np.arange(1, 11), found["classes-rnn"][2], **LINES[0])
        panels[1].axhline(np.log(5), color="0.5", linewidth=0.8, linestyle=":")
        panels[1].text(10, np.log(5) + 0.002, "ln 5", fontsize="small", ha="right")
        title(panels[1], "loss, classes-rnn")
        for panel in panels[:2]:
            panel.set_xlabel("epoch")
        panels[2].plot(held.times, held.truth, color="0.15", linewidth=1.2, label="truth")
        panels[2].plot(held.times, answers, **LINES[0], label="airline-lstm")
        panels[2].plot(held.times, held.naive, **LINES[1], label="same as last year")
        panels[2].set(xlabel="year", ylim=(200, 760))
        panels[2].legend(frameon=False, fontsize="small", loc="upper left")
        title(panels[2], "passengers, thousands")
        return figure

    ends = ", ".join(f"{name} {number(losses[-1], 2)}" for name, (_, _, losses) in found.items())
    return f"last losses: {ends}; RMSE {held.rmse(answers):.1f}", draw


def answers() -> Drawn:
    """Chapter 9: all values of the waves beside one answer each, and like beside like."""
    whole = load_task(SYSTEMS["sine-rnn"], every_step=True).targets[:50]
    task, model, _ = four_trained()["sine-rnn"]
    y, prediction = task.targets[:50, 0], model(task.inputs[:50])[:, 0]

    def draw():
        figure, panels = several(None, 1, 2, 9, 3.2)
        panels[0].plot(whole.ravel(), **LINES[0], label=f"{whole.size} values of {len(y)} waves")
        panels[0].plot(prediction, **LINES[1], label=f"{len(y)} answers")
        title(panels[0], "every value beside one answer per wave")
        panels[1].plot(y, "o", color=LINES[0]["color"], label=f"{len(y)} last values")
        panels[1].plot(prediction, "x", color=LINES[1]["color"], label=f"{len(y)} answers")
        title(panels[1], "the last value beside the answer")
        panels[0].set(xlabel="place in the array", ylim=(-1.1, 1.7))
        panels[1].set(xlabel="wave", ylim=(0, 1.25))
        for panel in panels:
            panel.legend(frameon=False, fontsize="small", loc="upper right")
        return figure

    far = np.abs(prediction - y).max()
    return f"{whole.size} values, {y.size} answers, at most {far:.3f} from the last values", draw


def adam() -> Drawn:
    """Chapter 6: a weight of the recurrent matrix of sine-rnn, on 50 waves, through Adam."""
    task = load_task(SYSTEMS["sine-rnn"])
    x, y, model = task.inputs[:50], task.targets[:50], task.make_model()
    optimizer = Adam(model.parameters(), lr=0.01)
    watch = study.Watch(model, optimizer, x[:1], "rnn.weight_hh_l0", (3, 4))
    for loss in train(model, MSELoss(), optimizer, x, y, 40):
        watch.look(loss)
    return study.say_adam(watch.adam), lambda: study.draw_adam(watch.adam)


FIGURES = {
    "series": series,
    "level": level,
    "rnn-unrolled": lambda: ("an RNN over three steps, forward", rnn_unrolled),
    "rnn-backward": lambda: ("an RNN over three steps, backward", rnn_backward),
    "truncation": truncation,
    "flow": flow,
    "jacobians": jacobians,
    "adding": adding,
    "lstm-cell": lambda: ("a step of an LSTM", lstm_cell),
    "gates": gates,
    "adam": adam,
    "systems": systems,
    "answers": answers,
}


def main(names: list[str]) -> None:
    mpl.rcParams["svg.hashsalt"] = "figures"  # the same file from the same numbers
    for name in names or FIGURES:
        sentence, draw = FIGURES[name]()
        about = {"Description": sentence, "Date": None, "Creator": None}
        draw().savefig(HERE / f"{name}.svg", metadata=about, facecolor="white")
        print(f"{name}.svg: {sentence}")


if __name__ == "__main__":
    main(sys.argv[1:])
