"""A pass written out: every equation in symbols, with the numbers put in, and its result.

`worked_example` is a network at the scale of pencil and paper, from its weights to their gradients.
`card` is one unit at one step of any network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, SupportsFloat

import numpy as np

from ..machinery.module import Array
from ..recurrent import LSTM, RNN
from .document import Block, Formula, Heading, Line, Paragraph
from .equations import Equation, counted, dot, number_text, split_product
from .sequence import SequenceRun, follow

INPUT_SIZE = 1
STEP = 1e-100  # of the complex-step derivative, which no rounding stops from being tiny


@dataclass
class Example:
    """A small network with its input, initial state and targets, rounded to two decimals.

    layer: float64, unbatched. x: (T, 1). state: h_0 or (h_0, c_0), (1, H) each. targets: (T, H).
    The loss is ½ Σ (h − y)².
    """

    layer: Any
    x: Array
    state: Any
    targets: Array

    @classmethod
    def draw(cls, kind: str, hidden_size: int, steps: int, seed: int) -> Example:
        """kind: "rnn" or "lstm"."""
        rng = np.random.default_rng(seed)
        layer_class = LSTM if kind == "lstm" else RNN
        layer = layer_class(INPUT_SIZE, hidden_size, dtype=np.float64, rng=rng)
        for parameter in layer.parameters():
            parameter.data[...] = parameter.data.round(2)
        x = rng.standard_normal((steps, INPUT_SIZE)).round(2)
        states = [rng.uniform(-1, 1, (1, hidden_size)).round(2) for _ in layer.states]
        targets = rng.uniform(-1, 1, (steps, hidden_size)).round(2)
        return cls(layer, x, tuple(states) if len(states) > 1 else states[0], targets)

    def loss(self, layer: Any, state: Any) -> Any:
        """½ Σ (h − y)²"""
        output, _last = layer(self.x.astype(layer.weight_ih_l0.dtype), state)
        return np.sum((output - self.targets) ** 2) / 2

    def run(self) -> SequenceRun:
        output, _last = self.layer(self.x, self.state)
        return follow(self.layer, self.x, output - self.targets, state=self.state)["l0"]

    def complex_step(self, parameter: str) -> Array:
        """∂L/∂parameter, entry by entry: L(w + iε) = L(w) + iε ∂L/∂w (Squire and Trapp 1998)."""
        layer = self.layer.astype(np.complex128)
        state = self.state
        state = tuple(a + 0j for a in state) if isinstance(state, tuple) else state + 0j
        data = getattr(layer, parameter).data
        derivative = np.empty(data.shape)
        for place in np.ndindex(data.shape):
            data[place] += 1j * STEP
            derivative[place] = self.loss(layer, state).imag / STEP
            data[place] = data[place].real
        return derivative


def worked_example(kind: str, hidden_size: int = 2, steps: int = 2, seed: int = 0) -> list[Block]:
    """An RNN or an LSTM ("rnn", "lstm") forward and backward, by hand."""
    example = Example.draw(kind, hidden_size, steps, seed)
    run = example.run()
    blocks: list[Block] = [
        Heading(f"{'An LSTM' if kind == 'lstm' else 'An RNN'}, forward and backward"),
        Paragraph(
            f"{counted(hidden_size, 'unit')}, one input feature, {counted(steps, 'step')}, "
            f"seed {seed}. Numbers are shown with four digits and computed with sixteen. The unit "
            f"stands in brackets. `x` has a number and `y`, the target of `h`, a row for each "
            f"step. `h_prev` is `h` of the step before. `grad_h` is the derivative of the loss "
            f"with respect to `h`, and so for all others."
        ),
        Heading("What goes in", 2),
    ]
    blocks += [given(name, weight.data) for name, weight in run.weights.items()]
    blocks.append(given("x", example.x[:, 0]))
    states = example.state if isinstance(example.state, tuple) else (example.state,)
    blocks += [given(f"{k}_0", s[0]) for k, s in zip(example.layer.states, states, strict=True)]
    blocks.append(given("y", example.targets))
    for t in range(steps):
        blocks.append(Heading(f"Forward, step {t}", 2))
        blocks += [in_numbers(run, equation, t, written_out) for equation in run.forward]
    blocks += loss_blocks(example, run)
    for t in reversed(range(steps)):
        blocks.append(Heading(f"Backward, step {t}", 2))
        blocks += [in_numbers(run, equation, t, written_out) for equation in run.backward]
    return blocks + gradient_blocks(example, run)


def given(name: str, array: Array) -> Formula:
    return Formula(name, listed(array))


def listed(array: Array) -> str:
    if array.ndim == 0:
        return number_text(array)
    return f"[{', '.join(map(listed, array))}]"


def loss_blocks(example: Example, run: SequenceRun) -> list[Block]:
    h, y = run.values["h"], example.targets
    squares = " + ".join(
        f"({number_text(a)} − {enclosed(b)})²" for a, b in zip(h.flat, y.flat, strict=True)
    )
    loss = float(example.loss(example.layer, example.state))
    formula = Formula("L", "½ Σ (h − y)²", [Line("", f"½ · [{squares}]", number_text(loss))])
    lines = [
        Line(
            f"step {t}, [{j}]",
            f"{number_text(h[t, j])} − {enclosed(y[t, j])}",
            number_text(run.values["grad_h_from_output"][t, j]),
        )
        for t, j in np.ndindex(h.shape)
    ]
    words = (
        "The sum goes over all steps and units. Its derivative is where the gradient starts. After "
        "the last step nothing follows, so `grad_h_from_next` is 0 there."
    )
    return [
        Heading("The loss", 2),
        formula,
        Paragraph(words),
        Formula("grad_h_from_output", "h − y", lines),
    ]


def signed(numbers: Iterable[SupportsFloat]) -> list[str]:
    """As the terms of a sum: all but the first in parentheses where they are negative."""
    return [enclosed(n) if k else number_text(n) for k, n in enumerate(numbers)]


def enclosed(number: SupportsFloat) -> str:
    text = number_text(number)
    return f"({text})" if text.startswith("-") else text


def gradient_blocks(example: Example, run: SequenceRun) -> list[Block]:
    """Every parameter's gradient: the sum over the steps, and the complex step beside it."""
    words = (
        "Every step uses the same weights, so each adds its part to their gradients, the last step "
        "first. Beside the sum stands the complex-step derivative, which takes nothing but the "
        "forward pass, once more for each entry."
    )
    blocks: list[Block] = [Heading("The gradients of the weights", 2), Paragraph(words)]
    largest = 0.0
    for name, weight in run.weights.items():
        parts = run.contributions(name)  # (T, *shape)
        rows = slice(weight.first_row, weight.first_row + len(weight.data))
        exact = example.complex_step(weight.parameter)[rows]
        largest = max(largest, float(np.abs(weight.grad - exact).max()))
        lines = [
            Line(
                f"[{', '.join(map(str, place))}]",
                " + ".join(signed(parts[(slice(None, None, -1), *place)])),
                number_text(weight.grad[place]),
                f"complex step: {number_text(exact[place])}",
            )
            for place in np.ndindex(weight.data.shape)
        ]
        below = f" · {weight.from_below}" if weight.from_below else ""
        blocks.append(Formula(f"grad_{name}", f"Σ_t {weight.from_above}{below}", lines))
    difference = f"The largest difference between the two is {largest:.1e}."
    return [*blocks, Paragraph(difference)]


def card(run: SequenceRun, t: int, unit: int) -> tuple[list[Formula], list[Formula]]:
    """The equations of a unit at a step with its numbers: forward, backward.

    Raises IndexError for a step or a unit that is not there.
    """
    for name, number, size in (("t", t, run.steps), ("unit", unit, run.units)):
        if not 0 <= number < size:
            raise IndexError(f"{name}: expected a number from 0 to {size - 1}, got {number}")
    forward, backward = (
        [
            Formula(e.name, e.symbols, [one_line(run, e, t, unit, on_card)])
            for e in equations
            if e.name != "grad_x" and unit < run.values[e.name].shape[1]
        ]
        for equations in (run.forward, run.backward)
    )
    return forward, backward


Text = Callable[..., str]  # what stands for a name: written_out or on_card


def in_numbers(run: SequenceRun, equation: Equation, t: int, text: Text) -> Formula:
    """An equation with the numbers of every unit."""
    units = range(run.values[equation.name].shape[1])
    lines = [one_line(run, equation, t, unit, text, f"[{unit}]") for unit in units]
    return Formula(equation.name, equation.symbols, lines)


def one_line(
    run: SequenceRun, equation: Equation, t: int, unit: int, text: Text, label: str = ""
) -> Line:
    numbers = equation.numbers(
        lambda name: text(run, name, t, unit, alone=equation.formula == f"{{{name}}}")
    )
    return Line(label, numbers, number_text(run.values[equation.name][t, unit]))


WRITTEN_OUT = 4  # so many products are written one by one on a card


def on_card(run: SequenceRun, name: str, t: int, unit: int, *, alone: bool) -> str:
    """A number; a row times a vector as the sum of its products if they are few."""
    if split_product(name) is None:
        return number_text(run.number(name, t, unit))
    row, vector = run.factors(name, t, unit)
    if len(row) <= WRITTEN_OUT:
        return written_out(run, name, t, unit, alone=alone)
    return f"sum of {len(row)} products" if alone else number_text(dot(row, vector))


def written_out(run: SequenceRun, name: str, t: int, unit: int, *, alone: bool) -> str:
    """A number; a row times a vector as the sum of its products."""
    if split_product(name) is None:
        return number_text(run.number(name, t, unit))
    pairs = zip(*run.factors(name, t, unit), strict=True)
    return " + ".join(f"{enclosed(a)}·{enclosed(b)}" for a, b in pairs)
