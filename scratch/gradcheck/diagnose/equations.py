"""An RNN and an LSTM with a place for every mistake that their backward pass invites.

`forward` is the plain recurrence. `backward` is the chain rule, one line for each rule, and each
line can be told to be wrong in the ways listed in `mistakes.py`: what it then computes is what a
module with that mistake must have computed. With no mistake it is the backward pass of `cells.py`,
which a test asserts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...machinery.module import Array

GATES = {"LSTM": ("i", "f", "g", "o"), "tanh": ("h",), "relu": ("h",)}


@dataclass(frozen=True)
class Given:
    """kind: "LSTM", "tanh" or "relu". W = [W_ih | W_hh | b], (G, H, D+H+1)."""

    kind: str
    W: Array
    x: Array  # (T, N, D)
    h_0: Array  # (N, H)
    c_0: Array  # (N, H); not used by an RNN


@dataclass(frozen=True)
class Run:
    """All steps: (T, N, H) but for the gates, (T, G, N, H)."""

    given: Given
    z: Array
    gates: Array
    h: Array
    h_prev: Array
    c: Array
    c_prev: Array
    tanh_c: Array


@dataclass(frozen=True)
class Gradients:
    """What a backward pass computed. The gradient of W is Σ grad_z inputsᵀ."""

    z: Array  # (T, G, N, H)
    inputs: Array  # (T, N, D+H+1)  [x; h_prev; 1]
    x: Array  # (T, N, D)
    h_0: Array  # (N, H)
    c_0: Array  # (N, H)
    named: dict[str, Array]  # grad_i, grad_c, ...: (T, N, H), for the comparison of traces

    def W(self) -> Array:
        """(G, H, D+H+1)"""
        T, G, N, H = self.z.shape
        columns = self.z.transpose(1, 3, 0, 2).reshape(G * H, T * N)
        return np.asarray(columns @ self.inputs.reshape(T * N, -1)).reshape(G, H, -1)

    def W_by_step(self) -> Array:
        """(T, G, H, D+H+1)"""
        return np.asarray(np.swapaxes(self.z, 2, 3) @ self.inputs[:, None])

    def W_by_sample(self) -> Array:
        """(N, G, H, D+H+1)"""
        return np.asarray(np.einsum("tgnh,tnk->nghk", self.z, self.inputs))


def sigmoid(z: Array) -> Array:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * z))


def forward(given: Given) -> Run:
    T, N, D = given.x.shape
    G, H, _ = given.W.shape
    z, gates = np.empty((T, G, N, H)), np.empty((T, G, N, H))
    h, c = np.empty((T + 1, N, H)), np.empty((T + 1, N, H))
    tanh_c = np.empty((T, N, H))
    h[0], c[0] = given.h_0, given.c_0
    W_x, W_h, b = given.W[..., :D], given.W[..., D : D + H], given.W[..., -1]
    with np.errstate(over="ignore", invalid="ignore"):
        z_x = np.einsum("tnd,ghd->tgnh", given.x, W_x) + b[:, None]
        for t in range(T):
            z[t] = z_x[t] + h[t] @ W_h.swapaxes(1, 2)
            if given.kind == "LSTM":
                gates[t] = sigmoid(z[t])
                gates[t, 2] = np.tanh(z[t, 2])
                i, f, g, o = gates[t]
                c[t + 1] = f * c[t] + i * g
                tanh_c[t] = np.tanh(c[t + 1])
                h[t + 1] = o * tanh_c[t]
            else:
                gates[t] = np.tanh(z[t]) if given.kind == "tanh" else np.maximum(z[t], 0)
                h[t + 1] = gates[t, 0]
    return Run(given, z, gates, h[1:], h[:-1], c[1:], c[:-1], tanh_c)


# The derivative of an activation, and what is written in its place; a is its value, z its argument.
SIGMOID_SLOPES = {
    "right": lambda a, z: a * (1 - a),
    "value": lambda a, z: a,
    "one": lambda a, z: np.ones_like(a),
    "of the value": lambda a, z: sigmoid(a) * (1 - sigmoid(a)),
    "z(1 − z)": lambda a, z: z * (1 - z),
    "of tanh": lambda a, z: 1 - a * a,
    "1 − a": lambda a, z: 1 - a,
}
TANH_SLOPES = {
    "right": lambda a, z: 1 - a * a,
    "value": lambda a, z: a,
    "one": lambda a, z: np.ones_like(a),
    "of the value": lambda a, z: 1 - np.tanh(a) ** 2,
    "1 − z²": lambda a, z: 1 - z * z,
    "of σ": lambda a, z: a * (1 - a),
    "1 − a": lambda a, z: 1 - a,
    "of ReLU": lambda a, z: 1.0 * (a > 0),
}
RELU_SLOPES = {
    "right": lambda a, z: 1.0 * (a > 0),
    "value": lambda a, z: a,
    "one": lambda a, z: np.ones_like(a),
    "of tanh": lambda a, z: 1 - a * a,
    "of σ": lambda a, z: a * (1 - a),
}


def slopes_of(kind: str, gate: str) -> dict[str, Any]:
    if kind == "LSTM":
        return TANH_SLOPES if gate in ("g", "c") else SIGMOID_SLOPES
    return TANH_SLOPES if kind == "tanh" else RELU_SLOPES


def backward(
    run: Run, upstream: dict[str, Array], mistakes: dict[str, Any], trace: bool = False
) -> Gradients:
    """Backpropagation through time, with `mistakes`: the setting of a rule → what is done instead.

    `upstream` has any of output and cs, (T, N, H), and h_n, c_n, (N, H).
    """
    get = mistakes.get
    given, lstm = run.given, run.given.kind == "LSTM"
    T, N, H = run.h.shape
    D = given.x.shape[2]
    gates = GATES[given.kind]
    G = len(gates)
    W_x, W_h = given.W[..., :D], given.W[..., D : D + H]
    if get("W_h transposed"):
        W_h = W_h.swapaxes(1, 2)
    zeros = np.zeros((N, H))
    grad_output = upstream.get("output", np.zeros((T, N, H)))
    grad_cs = upstream.get("cs", np.zeros((T, N, H)))
    grad_h_n, grad_c_n = upstream.get("h_n", zeros), upstream.get("c_n", zeros)
    slopes = _slopes(run, mistakes)
    h_prev = _previous(run.h_prev, run.h, get("h_prev"))
    c_prev = _previous(run.c_prev, run.c, get("c_prev"))
    left_out_h, left_out_x = get("left out of h", ()), get("left out of x", ())
    order = get("order of grad_z", range(G))
    sign = [get(f"factor of {gate}", 1.0) for gate in gates]
    to_h = [k for k in range(G) if k not in left_out_h]
    to_x = [k for k in range(G) if k not in left_out_x]

    grad_z = np.zeros((T, G, N, H))
    grad_x = np.zeros((T, N, D))
    names = ("grad_h", "grad_c", "grad_h_prev", "grad_c_prev", *(f"grad_{g}" for g in gates))
    named = {name: np.zeros((T, N, H)) for name in names} if trace else {}
    from_h, from_c = grad_h_n, grad_c_n  # what step t+1 hands back to step t
    skipped = {"first": range(1, T), "last": range(T - 1)}
    for t in reversed(skipped.get(get("skipped step", ""), range(T))):
        # h_t goes into the output and into step t+1, c_t into step t+1 and into h_t.
        grad_h = grad_output[t] + _carried(from_h, grad_h_n, t == T - 1, get("carry h"))
        if lstm:
            i, f, g, o = run.gates[t]
            # h = o ⊙ tanh(c)
            grad_o = grad_h * (run.c[t] if get("grad_o") == "c" else run.tanh_c[t])
            grad_c = grad_cs[t] + _carried(from_c, grad_c_n, t == T - 1, get("carry c"))
            if not get("no grad_c from h"):
                through_o = 1.0 if get("h without o") else o
                grad_c = grad_c + grad_h * through_o * slopes["c"][t]
            # c = f ⊙ c_prev + i ⊙ g
            grad_f = grad_c * (g if get("grad_f") == "g" else c_prev[t])
            grad_i = grad_c * {None: g, "i": i, "c_prev": run.c_prev[t]}[get("grad_i")]
            grad_g = grad_c * {None: i, "g": g, "f": f}[get("grad_g")]
            from_c = grad_c * _forget(run.gates, t, get("forget"))
            grads = [grad_i, grad_f, grad_g, grad_o]
            if trace:
                named["grad_c"][t], named["grad_c_prev"][t] = grad_c, from_c
        else:
            grads = [grad_h]
        # a = φ(z)
        for k, gate in enumerate(gates):
            grad_z[t, k] = grads[k] * slopes[gate][t] * sign[k]
            if trace:
                named[f"grad_{gate}"][t] = grads[k]
        if "order of grad_z" in mistakes:
            grad_z[t] = grad_z[t, list(order)]
        # z = W_x x + W_h h_prev + b
        from_h = (grad_z[t, to_h] @ W_h[to_h]).sum(axis=0)
        grad_x[t] = (grad_z[t, to_x] @ W_x[to_x]).sum(axis=0)
        if trace:
            named["grad_h"][t], named["grad_h_prev"][t] = grad_h, from_h
    inputs = np.concatenate([given.x, h_prev, np.ones((T, N, 1))], axis=2)
    if trace:
        named |= {f"grad_z_{gate}": grad_z[:, k] for k, gate in enumerate(gates)}
        named["grad_x"] = grad_x
    return Gradients(grad_z, inputs, grad_x, from_h, from_c, named)


def _slopes(run: Run, mistakes: dict[str, Any]) -> dict[str, Array]:
    """The derivative of every activation, (T, N, H)."""
    kind = run.given.kind
    slopes = {}
    for k, gate in enumerate(GATES[kind]):
        written = mistakes.get(f"slope of {gate}", "right")
        a, z = run.gates[:, k], run.z[:, k]
        if written == "of the step before":
            a = run.h_prev if kind != "LSTM" else _previous(a, a, "one step early")
            written = "right"
        slopes[gate] = slopes_of(kind, gate)[written](a, z)
    if kind == "LSTM":
        written = mistakes.get("slope of c", "right")
        slopes["c"] = 1 - run.h**2 if written == "1 − h²" else (
            TANH_SLOPES[written](run.tanh_c, run.c)
        )  # fmt: skip
    return slopes


def _previous(previous: Array, current: Array, instead: str | None) -> Array:
    """The state before each step, or what is used in its place."""
    if instead == "one step late":
        return current
    if instead == "one step early":
        return np.concatenate([previous[:1], previous[:-1]])
    if instead == "zero at first":
        return np.concatenate([np.zeros_like(previous[:1]), previous[1:]])
    return previous


def _carried(handed: Array, last: Array, at_end: bool, instead: str | None) -> Array:
    """What reaches a step from the one after it; at the end, the last state's gradient."""
    if instead == "never":
        return np.zeros_like(handed)
    if instead == "only the last state's" and not at_end:
        return np.zeros_like(handed)
    if instead == "the last state's at every step":
        return last
    if instead == "half":
        return 0.5 * handed if not at_end else handed
    return handed


def _forget(gates: Array, t: int, instead: str | None) -> Array:
    """The forget gate of step t, or what the gradient of c is multiplied with in its place."""
    if instead == "one":
        return np.ones_like(gates[t, 1])
    if instead == "one step late":
        return np.asarray(gates[min(t + 1, len(gates) - 1), 1])
    if instead == "one step early":
        return np.asarray(gates[max(t - 1, 0), 1])
    return np.asarray(gates[t, {"i": 0, "o": 3}.get(instead or "", 1)])
