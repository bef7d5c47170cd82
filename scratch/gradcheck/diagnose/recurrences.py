"""RNN, LSTM and GRU as tables: a line for each value of a step, and a line for each derivative.

A line is a small function whose arguments are the values that it reads, by their names. So the
table also says which value follows from which; and a mistake is a line in place of the right one
(`mistakes.py`). Another recurrence is another table.

In a step, an array is (N, H) but for x, (N, D), and z, (G, N, H); G is the number of gates. W_x is
(G, H, D), W_h (G, H, H), b (G, 1, H). A name with `_prev` is a state before the step; `grad_h_next`
is what the step after this one hands back.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from ...machinery.module import Array

Values = dict[str, Any]  # by name: those of one step


class Line(NamedTuple):
    """One line of a pass: a function and the names of the values that it is given."""

    compute: Callable[..., Any]
    reads: tuple[str, ...]

    def __call__(self, values: Values) -> Any:
        return self.compute(*[values[name] for name in self.reads])

    def with_(self, wrong: str, right: str) -> Line:
        """The same line with another value in the place of the right one."""
        return Line(self.compute, tuple(wrong if name == right else name for name in self.reads))


def line(function: Callable[..., Any]) -> Line:
    """A line that reads the values its arguments are named after."""
    return Line(function, tuple(inspect.signature(function).parameters))


class Equation(NamedTuple):
    """An equation in words, its line in the forward pass, and those of its derivatives, grad_…"""

    text: str
    lines: dict[str, Line]


def equation(text: str, **lines: Callable[..., Any] | Line) -> Equation:
    return Equation(
        text, {name: f if isinstance(f, Line) else line(f) for name, f in lines.items()}
    )


# Activations: a = φ(z)


def sigmoid(z: Array) -> Array:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * z))


Derivative = Callable[[Array, Array], Array]  # of the value a and the argument z


class Activation(NamedTuple):
    """φ, its derivative, and what is written in the derivative's place, in words."""

    symbol: str
    function: Callable[[Array], Array]
    derivative: Derivative
    wrong: dict[str, Derivative]


VALUE = "the activation's value stands where its derivative belongs"
LEFT_OUT = "the activation's derivative is left out"
OF_THE_VALUE = "the derivative is taken at the activated value, not at its argument"
OF_TANH = "the derivative of tanh is used for an activation that is not tanh"
OF_SIGMOID = "the derivative of σ is used for an activation that is not σ"
OF_RELU = "the derivative of ReLU is used for an activation that is not ReLU"
ONE_MINUS = "1 − a stands where the derivative belongs"

SIGMOID = Activation("σ", sigmoid, lambda a, z: a * (1 - a), {
    VALUE: lambda a, z: a,
    LEFT_OUT: lambda a, z: np.ones_like(a),
    OF_THE_VALUE: lambda a, z: sigmoid(a) * (1 - sigmoid(a)),
    "a(1 − a) is computed with the argument z in place of the value a = σ(z)":
        lambda a, z: z * (1 - z),
    OF_TANH: lambda a, z: 1 - a * a,
    ONE_MINUS: lambda a, z: 1 - a,
})  # fmt: skip
TANH = Activation("tanh", np.tanh, lambda a, z: 1 - a * a, {
    VALUE: lambda a, z: a,
    LEFT_OUT: lambda a, z: np.ones_like(a),
    OF_THE_VALUE: lambda a, z: 1 - np.tanh(a) ** 2,
    "1 − a² is computed with the argument z in place of the value a = tanh(z)":
        lambda a, z: 1 - z * z,
    OF_SIGMOID: lambda a, z: a * (1 - a),
    OF_RELU: lambda a, z: 1.0 * (a > 0),
    ONE_MINUS: lambda a, z: 1 - a,
})  # fmt: skip
RELU = Activation("max", lambda z: np.maximum(z, 0), lambda a, z: 1.0 * (a > 0), {
    VALUE: lambda a, z: a,
    LEFT_OUT: lambda a, z: np.ones_like(a),
    OF_TANH: lambda a, z: 1 - a * a,
    OF_SIGMOID: lambda a, z: a * (1 - a),
})  # fmt: skip


def hard_sigmoid(slope: float) -> Activation:
    return Activation(
        "hard σ",
        lambda z: np.clip(slope * z + 0.5, 0, 1),
        lambda a, z: slope * ((a > 0) & (a < 1)),
        {},
    )


def through(derivative: Derivative) -> Callable[[Array, Array, Array], Array]:
    """grad_z = grad_a ⊙ φ′"""
    return lambda grad_a, a, z: grad_a * derivative(a, z)


def activation(kind: Activation, a: str, z: str, grad_z: str) -> Equation:
    lines = {
        a: Line(kind.function, (z,)),
        grad_z: Line(through(kind.derivative), (f"grad_{a}", a, z)),
    }
    return Equation(f"{a} = {kind.symbol}({z})", lines)


# What every recurrence is made of


@dataclass(frozen=True, eq=False)
class Recurrence:
    """`equations` in the order of the forward pass."""

    name: str
    states: tuple[str, ...]  # what a step hands to the next; the first one is the output
    activations: dict[str, Activation]  # gate → its own, in the order of z
    inner: dict[str, tuple[Activation, str]]  # such as tanh_c → tanh, grad_c_from_h
    equations: tuple[Equation, ...]
    torch: str = ""  # the class of torch.nn that computes this
    weights: tuple[str, ...] = ("W_x", "W_h", "b")

    @property
    def gates(self) -> tuple[str, ...]:
        return tuple(self.activations)

    @cached_property
    def forward(self) -> dict[str, Line]:
        """What a step computes, in order."""
        lines = [pair for equation in self.equations for pair in equation.lines.items()]
        return {name: line for name, line in lines if not name.startswith("grad_")}

    @cached_property
    def backward(self) -> dict[str, Line]:
        """The derivatives, in the order of the backward pass."""
        lines = [pair for equation in self.equations[::-1] for pair in equation.lines.items()]
        return {name: line for name, line in lines if name.startswith("grad_")}

    def look(self, name: str) -> str:
        """Where a derivative is to be found: the first line that anyone writes it in."""
        text = next(equation.text for equation in self.equations if name in equation.lines)
        while name not in self.quantities[1]:
            name = next(other for other, line in self.backward.items() if name in line.reads)
        return f"the line of {name}: {text}"

    @cached_property
    def quantities(self) -> tuple[list[str], list[str]]:
        """What anyone's forward and backward pass computes, whichever way it is written."""
        kept = {*self.states, *self.gates}
        kept |= {f"z_{gate}" for gate in self.gates} | {f"{state}_prev" for state in self.states}
        grads = {f"grad_{name}" for name in (*kept, "x")}
        forward = [name for name in self.forward if name in {*self.states, *self.gates}]
        return forward, [name for name in self.backward if name in grads]

    def sources(self, name: str, quantities: list[str]) -> set[str]:
        """Those of the quantities from which this one is computed directly, within a step."""
        lines = self.forward | self.backward
        found: set[str] = set()
        for read in lines[name].reads:
            if read in quantities:
                found.add(read)
            elif read in lines:
                found |= self.sources(read, quantities)
        return found


def stacked(*names: str) -> Line:
    """Their gradients side by side, (G, N, H)."""
    return Line(lambda *grads: np.array(grads), tuple(f"grad_{name}" for name in names))


def gates(activations: dict[str, Activation], forget_bias: float = 0) -> tuple[Equation, ...]:
    """z and the gates' activations of it."""
    product = equation(
        "z = W_x x + W_h h_prev + b",
        z=lambda x, W_x, h_prev, W_h, b: x @ W_x.mT + h_prev @ W_h.mT + b,  # (G, N, H)
        grad_x=lambda grad_z, W_x: (grad_z @ W_x).sum(axis=0),
        grad_h_prev=lambda grad_z, W_h: (grad_z @ W_h).sum(axis=0),
        grad_W_x=lambda grad_z, x: grad_z.mT @ x,  # (G, H, D)
        grad_W_h=lambda grad_z, h_prev: grad_z.mT @ h_prev,  # (G, H, H)
        grad_b=lambda grad_z: grad_z.sum(axis=1, keepdims=True),  # (G, 1, H)
    )
    parts = {f"z_{gate}": Line(itemgetter(k), ("z",)) for k, gate in enumerate(activations)}
    if forget_bias:
        parts["z_f"] = line(lambda z: z[1] + forget_bias)
    names = ", ".join(parts)
    return (
        product,
        Equation(f"z = [{names}]", {**parts, "grad_z": stacked(*parts)}),
        *(gate(name, kind) for name, kind in activations.items()),
    )


def gate(name: str, kind: Activation) -> Equation:
    return activation(kind, name, f"z_{name}", f"grad_z_{name}")


H_IS_USED = equation(
    "h_t is an answer, and step t+1 reads it",
    grad_h=lambda grad_output, grad_h_next: grad_output + grad_h_next,
)


# The tables


def elman(name: str, kind: Activation, torch: str = "") -> Recurrence:
    return Recurrence(name, ("h",), {"h": kind}, {}, (*gates({"h": kind}), H_IS_USED), torch)


CELL_STATE = (
    equation(
        "c = f ⊙ c_prev + i ⊙ g",
        c=lambda f, c_prev, i, g: f * c_prev + i * g,
        grad_f=lambda grad_c, c_prev: grad_c * c_prev,
        grad_i=lambda grad_c, g: grad_c * g,
        grad_g=lambda grad_c, i: grad_c * i,
        grad_c_prev=lambda grad_c, f: grad_c * f,
    ),
    equation(
        "h_t and step t+1 read c_t",
        grad_c=lambda grad_cs, grad_c_next, grad_c_from_h: grad_cs + grad_c_next + grad_c_from_h,
    ),
)
OF_TANH_C = (
    activation(TANH, "tanh_c", "c", "grad_c_from_h"),
    equation(
        "h = o ⊙ tanh(c)",
        h=lambda o, tanh_c: o * tanh_c,
        grad_o=lambda grad_h, tanh_c: grad_h * tanh_c,
        grad_tanh_c=lambda grad_h, o: grad_h * o,
    ),
)
OF_C = (
    equation(
        "h = o ⊙ c",
        h=lambda o, c: o * c,
        grad_o=lambda grad_h, c: grad_h * c,
        grad_c_from_h=lambda grad_h, o: grad_h * o,
    ),
)


def lstm(
    name: str,
    torch: str = "",
    *,
    sigma: Activation = SIGMOID,
    h: tuple[Equation, ...] = OF_TANH_C,
    forget_bias: float = 0,
) -> Recurrence:
    kinds = {"i": sigma, "f": sigma, "g": TANH, "o": sigma}
    inner = {"tanh_c": (TANH, "grad_c_from_h")} if h is OF_TANH_C else {}
    equations = (*gates(kinds, forget_bias), *CELL_STATE, *h, H_IS_USED)
    return Recurrence(name, ("h", "c"), kinds, inner, equations, torch)


LSTM = lstm("LSTM", "LSTM")

# GRU: reset gate r, update gate u, proposal n

OF_X = equation(
    "z_x = W_x x + b",
    z_x=lambda x, W_x, b: x @ W_x.mT + b,  # (G, N, H)
    grad_z_x=stacked("z_r", "z_u", "z_n"),
    grad_x=lambda grad_z_x, W_x: (grad_z_x @ W_x).sum(axis=0),
    grad_W_x=lambda grad_z_x, x: grad_z_x.mT @ x,
    grad_b=lambda grad_z_x: grad_z_x.sum(axis=1, keepdims=True),
)
RESET_AFTER = (  # torch.nn.GRU; Keras with reset_after
    OF_X,
    equation(
        "z_h = W_h h_prev + b_h",
        z_h=lambda h_prev, W_h, b_h: h_prev @ W_h.mT + b_h,
        grad_z_h=stacked("z_r", "z_u", "m"),
        grad_h_prev=lambda grad_h_kept, grad_z_h, W_h: grad_h_kept + (grad_z_h @ W_h).sum(axis=0),
        grad_W_h=lambda grad_z_h, h_prev: grad_z_h.mT @ h_prev,
        grad_b_h=lambda grad_z_h: grad_z_h.sum(axis=1, keepdims=True),
    ),
    equation(
        "z_r, z_u and m are parts of z_x + z_h, z_x + z_h and z_h",
        z_r=lambda z_x, z_h: z_x[0] + z_h[0],
        z_u=lambda z_x, z_h: z_x[1] + z_h[1],
        m=lambda z_h: z_h[2],
    ),
    gate("r", SIGMOID),
    gate("u", SIGMOID),
    equation(
        "z_n = z_x + r ⊙ m",
        z_n=lambda z_x, r, m: z_x[2] + r * m,
        grad_r=lambda grad_z_n, m: grad_z_n * m,
        grad_m=lambda grad_z_n, r: grad_z_n * r,
    ),
    gate("n", TANH),
)
RESET_BEFORE = (  # Cho et al. 2014, equations 5 to 8
    OF_X,
    equation(
        "z_r, z_u = z_x + W_h h_prev",
        z_r=lambda z_x, h_prev, W_h: z_x[0] + h_prev @ W_h[0].mT,
        z_u=lambda z_x, h_prev, W_h: z_x[1] + h_prev @ W_h[1].mT,
        grad_h_prev=lambda grad_h_kept, grad_rh, r, grad_z_r, grad_z_u, W_h: (
            grad_h_kept + grad_rh * r + grad_z_r @ W_h[0] + grad_z_u @ W_h[1]
        ),
        grad_W_h=lambda grad_z_r, grad_z_u, grad_z_n, h_prev, rh: np.array(
            [grad_z_r.mT @ h_prev, grad_z_u.mT @ h_prev, grad_z_n.mT @ rh]
        ),
    ),
    gate("r", SIGMOID),
    gate("u", SIGMOID),
    equation(
        "z_n = z_x + W_h (r ⊙ h_prev)",
        rh=lambda r, h_prev: r * h_prev,
        z_n=lambda z_x, rh, W_h: z_x[2] + rh @ W_h[2].mT,
        grad_rh=lambda grad_z_n, W_h: grad_z_n @ W_h[2],
        grad_r=lambda grad_rh, h_prev: grad_rh * h_prev,
    ),
    gate("n", TANH),
)


def mixed(one: str, other: str) -> Equation:
    """h = (1 − u) ⊙ one + u ⊙ other"""
    grads = {"n": "grad_n", "h_prev": "grad_h_kept"}
    return equation(
        f"h = (1 − u) ⊙ {one} + u ⊙ {other}",
        h=Line(lambda u, a, b: (1 - u) * a + u * b, ("u", one, other)),
        grad_u=Line(lambda grad_h, a, b: grad_h * (b - a), ("grad_h", one, other)),
        **{grads[one]: line(lambda grad_h, u: grad_h * (1 - u)),
           grads[other]: line(lambda grad_h, u: grad_h * u)},
    )  # fmt: skip


def gru(reset: tuple[Equation, ...], update: Equation, name: str, torch: str = "") -> Recurrence:
    kinds = {"r": SIGMOID, "u": SIGMOID, "n": TANH}
    weights = ("W_x", "W_h", "b") + (("b_h",) if reset is RESET_AFTER else ())
    return Recurrence(name, ("h",), kinds, {}, (*reset, update, H_IS_USED), torch, weights)


U_KEEPS, U_REPLACES = mixed("n", "h_prev"), mixed("h_prev", "n")  # torch.nn.GRU has the first
BEFORE, REPLACES = "W_h (r ⊙ h_prev) in place of r ⊙ (W_h h_prev + b)", "u and 1 − u changed about"
RECURRENCES = (
    LSTM,
    elman("RNN", TANH, "RNN"),
    elman("RNN with ReLU", RELU, "RNN"),
    elman("RNN with σ", SIGMOID),
    gru(RESET_AFTER, U_KEEPS, "GRU", "GRU"),
    gru(RESET_BEFORE, U_KEEPS, f"GRU with {BEFORE}"),
    gru(RESET_BEFORE, U_REPLACES, f"GRU with {BEFORE} and {REPLACES}"),
    gru(RESET_AFTER, U_REPLACES, f"GRU with {REPLACES}"),
    lstm("LSTM with h = o ⊙ c", h=OF_C),
    lstm("LSTM with a forget bias of 1 inside", forget_bias=1),
    lstm("LSTM with the hard σ, clip(0.2 z + 0.5)", sigma=hard_sigmoid(0.2)),
    lstm("LSTM with the hard σ, clip(z / 6 + 0.5)", sigma=hard_sigmoid(1 / 6)),
)


# Both passes over all steps


def forward(table: Recurrence, weights: Values, x: Array, states: Values) -> list[Values]:
    """The values of every step. weights: the table's; x: (T, N, D); states: h_0, ... (N, H)."""
    return list(step_by_step(table, weights, x, states))


def step_by_step(table: Recurrence, weights: Values, x: Array, states: Values) -> Iterator[Values]:
    before = {f"{state}_prev": states[f"{state}_0"] for state in table.states}
    for x_t in x:
        values = {**weights, "x": x_t, **before}
        with np.errstate(over="ignore", invalid="ignore"):
            for name, line in table.forward.items():
                values[name] = line(values)
        before = {f"{state}_prev": values[state] for state in table.states}
        yield values


def with_neighbours(table: Recurrence, steps: list[Values]) -> list[Values]:
    """Each step with what a wrong line may read: values of the step before and the step after.

    i_before, i_after: of the first and the last step, where there is none, the step's own;
    h_prev_or_zero: the state before, taken for zero at the first step.
    """
    names = [*table.forward, *(f"{state}_prev" for state in table.states)]
    found = []
    for t, values in enumerate(steps):
        earlier, later = steps[max(t - 1, 0)], steps[min(t + 1, len(steps) - 1)]
        more = {f"{name}_before": earlier[name] for name in names}
        more |= {f"{name}_after": later[name] for name in names}
        more |= {f"{s}_prev_or_zero": values[f"{s}_prev"] * (t > 0) for s in table.states}
        found.append({**values, **more, "nothing": 0.0})
    return found


def every_step(T: int) -> range:
    return range(T)


class Backward:
    """Backpropagation through time, with `wrong` lines in place of those of the table.

    steps: from `with_neighbours`. upstream: any of grad_output and grad_cs, (T, N, H), and of
    grad_h_n and grad_c_n, (N, H). Besides the table's lines, `wrong` may have one for each of
    these; "steps", which of the T steps the loop goes over; and grad_h_0 and grad_c_0.
    """

    def __init__(
        self, table: Recurrence, steps: list[Values], upstream: Values, wrong: dict[str, Line]
    ) -> None:
        self.table, self.forward = table, steps
        T, state = len(steps), np.zeros_like(steps[0]["h"])
        every = np.broadcast_to(state, (T, *state.shape))
        given = {f"grad_{s}_n": state for s in table.states}
        given |= {"grad_output": every, "grad_cs": every, **upstream}
        given |= {name: wrong[name](given) for name in given if name in wrong}
        lines = {name: wrong.get(name, line) for name, line in table.backward.items()}
        # No other line reads these; they are computed when they are asked for.
        self.rest = {n: lines.pop(n) for n in ("grad_x", *map("grad_{}".format, table.weights))}
        loop = wrong["steps"].compute if "steps" in wrong else every_step
        handed = {f"grad_{s}_next": given[f"grad_{s}_n"] for s in table.states}
        self.steps: dict[int, Values] = {}
        for t in reversed(loop(T)):
            values = {**steps[t], **given, **handed, "last": t == T - 1}
            values["grad_output"], values["grad_cs"] = given["grad_output"][t], given["grad_cs"][t]
            for s in table.states:
                values[f"grad_{s}_n_once"] = given[f"grad_{s}_n"] * (t == T - 1)
            for name, (compute, reads) in lines.items():
                values[name] = compute(*[values[read] for read in reads])
            handed = {f"grad_{s}_next": values[f"grad_{s}_prev"] for s in table.states}
            self.steps[t] = values
        self.states = {f"{s}_0": handed[f"grad_{s}_next"] for s in table.states}
        self.states |= {name: wrong[f"grad_{name}"](given)
                        for name in self.states if f"grad_{name}" in wrong}  # fmt: skip

    def x(self) -> Array:
        """(T, N, D); zero where the loop did not come by."""
        found = np.zeros((len(self.forward), *self.forward[0]["x"].shape))
        for t, values in self.steps.items():
            found[t] = values["grad_x"] = self.rest["grad_x"](values)
        return found

    def weights(self) -> Array:
        """[W_x | W_h | b] for each step, (T, G, H, D+H+1), of a GRU [W_x | W_h | b | b_h]."""
        names = self.table.weights
        found = np.zeros((len(self.forward), *side_by_side(self.forward[0], names).shape))
        for t, values in self.steps.items():
            grads = {name: line(values) for name, line in self.rest.items() if name != "grad_x"}
            found[t] = side_by_side(grads, [f"grad_{name}" for name in names])
        return found


def side_by_side(values: Values, names: Sequence[str]) -> Array:
    """Matrices, (G, H, columns), and biases, (G, 1, H), side by side for each gate."""
    return np.concatenate([values[n] if "W_" in n else values[n].mT for n in names], axis=2)
