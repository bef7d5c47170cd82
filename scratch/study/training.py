"""In the course of training: how saturated the gates are, and what Adam does with one weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..machinery.module import Array
from ..optim import Adam
from .equations import counted
from .style import (
    BLUE,
    DARK,
    ORANGE,
    Panels,
    dot,
    legend_above,
    legend_below,
    log_axis,
    number,
    plain_numbers,
    say_nothing_is_drawn,
    several,
    title,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEAR = 0.1  # of an end


def saturation(values: Array, low: float, high: float = 1.0) -> tuple[float, float]:
    """The shares of `values` within a tenth of their range near its ends `low` and `high`."""
    margin = NEAR * (high - low)
    return float(np.mean(values < low + margin)), float(np.mean(values > high - margin))


class Watch:
    """Looks at a model and its optimizer once before training and after every step of Adam.

        watch = Watch(model, optimizer, inputs[:100], "lstm.weight_hh_l0", (3, 4))
        for loss in train(model, criterion, optimizer, inputs, targets, epochs):
            watch.look(loss)

    model: SimpleRNN or SimpleLSTM. inputs: (N, T, input_size), on which gates are looked at.
    name, place: the parameter and the index of the weight whose way through Adam is noted; Adam is
    without weight decay, amsgrad and maximize. Raises KeyError for a name that the model has not.
    """

    def __init__(
        self, model: Any, optimizer: Adam, inputs: Array, name: str, place: tuple[int, ...]
    ) -> None:
        names = [name for name, _ in model.named_parameters()]
        if name not in names:
            raise KeyError(f"name: expected one of {', '.join(names)}, got {name!r}")
        self.model, self.optimizer, self.inputs = model, optimizer, inputs
        self.name, self.place, self._number = name, place, names.index(name)
        self._parameter = dict(model.named_parameters())[name]
        self.losses: list[float] = []
        self._saturation: list[dict[str, tuple[float, float]]] = []
        self._adam: list[tuple[float, float, float]] = []
        self._weights = [float(self._parameter.data[place])]
        self._look_inside()

    def look(self, loss: float) -> None:
        """After a step: the loss before it, and what it left behind."""
        self.losses.append(loss)
        state = self.optimizer.state_dict()
        arrays = (
            self._parameter.grad,
            state[f"{self._number}.exp_avg"],
            state[f"{self._number}.exp_avg_sq"],
        )
        g, m, v = (float(array[self.place]) for array in arrays if array is not None)
        self._adam.append((g, m, v))
        self._weights.append(float(self._parameter.data[self.place]))
        self._look_inside()

    def _look_inside(self) -> None:
        record = self.model.forward(self.inputs)
        run = (record.lstm if hasattr(record, "lstm") else record.rnn).runs["l0"]
        ends = {"i": 0.0, "f": 0.0, "g": -1.0, "o": 0.0} if "i" in run.names else {"h": -1.0}
        found = {name: saturation(getattr(run, name), low) for name, low in ends.items()}
        self._saturation.append(found)

    @property
    def saturation(self) -> dict[str, Array]:
        """For each gate, or h of an RNN, the shares near either end: (epochs + 1, 2)."""
        return {
            name: np.array([shares[name] for shares in self._saturation])
            for name in self._saturation[0]
        }

    @property
    def weights(self) -> Array:
        """The weight before the first step and after each, (steps + 1,)."""
        return np.array(self._weights)

    @property
    def adam(self) -> AdamWay:
        g, m, v = np.array(self._adam).T
        (beta1, beta2), lr, eps = self.optimizer.betas, self.optimizer.lr, self.optimizer.eps
        return AdamWay(g, m, v, lr, beta1, beta2, eps)


class AdamWay(NamedTuple):
    """What Adam made of one weight's gradients: g, m and v after each of its steps, (steps,)."""

    g: Array
    m: Array
    v: Array
    lr: float
    beta1: float
    beta2: float
    eps: float

    @property
    def t(self) -> Array:
        return np.arange(1, len(self.g) + 1)

    @property
    def m_hat(self) -> Array:
        return np.asarray(self.m / (1 - self.beta1**self.t))

    @property
    def v_hat(self) -> Array:
        return np.asarray(self.v / (1 - self.beta2**self.t))

    @property
    def step(self) -> Array:
        """What was subtracted from the weight."""
        return np.asarray(self.lr * self.m_hat / (np.sqrt(self.v_hat) + self.eps))

    @property
    def step_without_correction(self) -> Array:
        return np.asarray(self.lr * self.m / (np.sqrt(self.v) + self.eps))


def draw_saturation(saturation: Mapping[str, Array], *, axes: Panels | None = None) -> Figure:
    """The shares of values near either end over the epochs.

    saturation: name → (epochs + 1, 2). axes: a panel for each name.
    """
    count, line = len(saturation), {"linewidth": 2, "clip_on": False}
    width = 1.2 + 2.4 * max(count, 2)
    figure, panels = several(axes, 1, count, width, 3.2, sharey=True, sharex=True)
    for panel, (name, shares) in zip(panels, saturation.items(), strict=True):
        epochs, lower = np.arange(len(shares)), "−1" if name in ("g", "h") else "0"
        panel.plot(epochs, shares[:, 0], color=BLUE, **line, label=f"near {lower}")
        panel.plot(epochs, shares[:, 1], color=ORANGE, **line, ls=(0, (4, 1.5)), label="near 1")
        title(panel, name)
        legend_below(panel)
        panel.set(xlabel="epoch", xlim=(0, max(1, len(shares) - 1)))
        panel.xaxis.get_major_locator().set_params(integer=True, nbins=3)
    highest = max(float(shares.max()) for shares in saturation.values())
    panels[0].set_ylim(0, max(0.05, min(1.02, 1.1 * highest)))
    panels[0].yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    panels[0].set_ylabel("share of all values")
    return figure


def say_saturation(saturation: Mapping[str, Array]) -> str:
    """For each quantity the share of values near its two ends, before and after."""
    parts = [
        f"{name} {shares[0].sum():.0%} → {shares[-1].sum():.0%}"
        for name, shares in saturation.items()
    ]
    return (
        f"share of values within {NEAR:.0%} of their range from one of its ends, before → after "
        f"training: {', '.join(parts)}"
    )


def draw_adam(way: AdamWay, *, axes: Panels | None = None) -> Figure:
    """g, m and m̂; v and v̂; the step with and without bias correction, over Adam's steps.

    axes: 3, above each other.
    """
    figure, panels = several(axes, 3, 1, 8.5, 7, sharex=True)
    t = way.t
    thick: dict[str, Any] = {"color": DARK, "linewidth": 1.6, **dot(t)}
    dashed: dict[str, Any] = {"color": ORANGE, "linewidth": 1.4, "linestyle": (0, (4, 2)), **dot(t)}
    panels[0].plot(t, way.g, color="0.7", linewidth=1, **dot(t), label="g, the gradient")
    panels[0].plot(t, way.m_hat, **thick, label="m̂, corrected")
    panels[0].plot(t, way.m, **dashed, label="m")
    panels[1].plot(t, way.v_hat, **thick, label="v̂, corrected")
    panels[1].plot(t, way.v, **dashed, label="v")
    log_axis(panels[1].yaxis, way.v, way.v_hat)
    say_nothing_is_drawn(panels[1], way.v)
    panels[2].plot(t, way.step, **thick, label="α m̂ / (√v̂ + ε), what the weight loses")
    panels[2].plot(
        t, way.step_without_correction, **dashed, label="α m / (√v + ε), without correction"
    )
    for panel in panels:
        panel.margins(x=0.01)
        legend_above(panel)
        panel.tick_params(labelsize="x-small")
    for panel in (panels[0], panels[2]):
        panel.axhline(0, color="0.85", linewidth=0.8, zorder=0)
        plain_numbers(panel.yaxis)
    panels[-1].set_xlabel("step of Adam")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    figure.align_ylabels(list(panels))
    return figure


def say_adam(way: AdamWay) -> str:
    """The first and the largest step, with and without bias correction."""
    steps, without = np.abs(way.step), np.abs(way.step_without_correction)
    return (
        f"the first of {counted(len(steps), 'step')} is {number(steps[0])}, without bias "
        f"correction {number(without[0])}; the largest {number(steps.max())} and "
        f"{number(without.max())}"
    )
