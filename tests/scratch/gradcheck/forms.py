"""One text for each recurrence, and from it three programs: a class, two functions, a fused loss.

`MISTAKES` replaces a line of a text, and so plants the same mistake in all three. `make` gives a
program as code and what it is called with: D = 3, H = 4, T = 5 steps, N = 2 samples, 6 classes.
"""

from __future__ import annotations

import itertools
import linecache
import re
import textwrap
from typing import Any, NamedTuple

import numpy as np

from scratch import check_functions, check_gradients, check_loss
from scratch.gradcheck.report import GradientReport


class Recurrence(NamedTuple):
    forward: str  # makes hs, (T, N, H), of x, of the states h0 (and c0) and of the parameters
    backward: str  # UPSTREAM is where the gradient of hs[t] comes from
    kept: str  # what backward reads of forward
    parameters: dict[str, tuple[int, ...]]
    states: tuple[str, ...] = ("h0",)

    def with_(self, *changes: tuple[str, str]) -> Recurrence:
        forward, backward = self.forward, self.backward
        for old, new in changes:
            assert (forward + backward).count(old) == 1, f"{old!r} is not there once"
            forward, backward = forward.replace(old, new), backward.replace(old, new)
        return self._replace(forward=forward, backward=backward)


RNN = Recurrence(
    """
h, hs = h0, np.zeros((T, *h0.shape))
for t in range(T):
    h = np.tanh(x[t] @ Wx + h @ Wh + b)
    hs[t] = h
""",
    """
dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
dh_next = np.zeros_like(h0)
for t in reversed(range(T)):
    h = hs[t]
    h_prev = hs[t - 1] if t else h0
    dh = UPSTREAM + dh_next
    dz = dh * (1 - h**2)
    dWx += x[t].T @ dz
    dWh += h_prev.T @ dz
    db += dz.sum(axis=0)
    dx[t] = dz @ Wx.T
    dh_next = dz @ Wh.T
dh0 = dh_next
""",
    "hs",
    {"Wx": (3, 4), "Wh": (4, 4), "b": (4,)},
)

# From each answer back to the first step, as tutorials with a `bptt_truncate` have it.
INNER_LOOP = RNN._replace(
    backward="""
dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
dh0 = np.zeros_like(h0)
for t in reversed(range(T)):
    dz = (UPSTREAM) * (1 - hs[t]**2)
    for step in range(t, -1, -1):
        h_prev = hs[step - 1] if step else h0
        dWx += x[step].T @ dz
        dWh += h_prev.T @ dz
        db += dz.sum(axis=0)
        dx[step] += dz @ Wx.T
        dh_prev = dz @ Wh.T
        if step == 0:
            dh0 += dh_prev
        dz = dh_prev * (1 - h_prev**2)
"""
)

LSTM = Recurrence(
    """
h, c, hs, steps = h0, c0, np.zeros((T, *h0.shape)), []
for t in range(T):
    h_prev, c_prev = h, c
    hx = np.concatenate((h_prev, x[t]), axis=1)
    zi, zf, zo, zg = np.split(hx @ W + b, 4, axis=1)
    i = sigmoid(zi)
    f = sigmoid(zf)
    o = sigmoid(zo)
    g = np.tanh(zg)
    c = f * c_prev + i * g
    h = o * np.tanh(c)
    hs[t] = h
    steps.append((h_prev, h, i, f, o, g, c_prev, c))
""",
    """
dx, dW, db = np.zeros_like(x), np.zeros_like(W), np.zeros_like(b)
dh_next, dc_next = np.zeros_like(h0), np.zeros_like(c0)
for t in reversed(range(T)):
    h_prev, h, i, f, o, g, c_prev, c = steps[t]
    tanh_c = np.tanh(c)
    dh = UPSTREAM + dh_next
    dzo = dh * tanh_c * o * (1 - o)
    dc = dc_next + dh * o * (1 - tanh_c**2)
    dzi = dc * g * i * (1 - i)
    dzf = dc * c_prev * f * (1 - f)
    dzg = dc * i * (1 - g**2)
    dz = np.concatenate((dzi, dzf, dzo, dzg), axis=1)
    dW += np.concatenate((h_prev, x[t]), axis=1).T @ dz
    db += dz.sum(axis=0)
    dhx = dz @ W.T
    dx[t] = dhx[:, H:]
    dh_next = dhx[:, :H]
    dc_next = dc * f
dh0, dc0 = dh_next, dc_next
""",
    "hs, steps",
    {"W": (7, 16), "b": (16,)},
    ("h0", "c0"),
)

PEEPHOLE = LSTM._replace(parameters=LSTM.parameters | {"Wp": (3, 4)}).with_(
    ("i = sigmoid(zi)", "i = sigmoid(zi + Wp[0] * c_prev)"),
    ("f = sigmoid(zf)", "f = sigmoid(zf + Wp[1] * c_prev)"),
    ("    o = sigmoid(zo)\n", ""),
    ("    h = o * np.tanh(c)", "    o = sigmoid(zo + Wp[2] * c)\n    h = o * np.tanh(c)"),
    ("np.zeros_like(b)\n", "np.zeros_like(b)\ndWp = np.zeros_like(Wp)\n"),
    ("(1 - tanh_c**2)", "(1 - tanh_c**2) + dzo * Wp[2]"),
    ("dc_next = dc * f", "dWp[0] += (dzi * c_prev).sum(axis=0)\n"
     "    dWp[1] += (dzf * c_prev).sum(axis=0)\n    dWp[2] += (dzo * c).sum(axis=0)\n"
     "    dc_next = dc * f + dzi * Wp[0] + dzf * Wp[1]"),
)  # fmt: skip

GRU_BEFORE = Recurrence(
    """
h, hs, steps = h0, np.zeros((T, *h0.shape)), []
for t in range(T):
    h_prev = h
    ax = x[t] @ Wx + b
    z = sigmoid(ax[:, :H] + h_prev @ Uz)
    r = sigmoid(ax[:, H:2 * H] + h_prev @ Ur)
    n = np.tanh(ax[:, 2 * H:] + (r * h_prev) @ Un)
    h = (1 - z) * h_prev + z * n
    hs[t] = h
    steps.append((h_prev, z, r, n))
""",
    """
dx, dWx, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(b)
dUz, dUr, dUn = np.zeros_like(Uz), np.zeros_like(Ur), np.zeros_like(Un)
dh_next = np.zeros_like(h0)
for t in reversed(range(T)):
    h_prev, z, r, n = steps[t]
    dh = UPSTREAM + dh_next
    dan = dh * z * (1 - n**2)
    daz = dh * (n - h_prev) * z * (1 - z)
    drh = dan @ Un.T
    dar = drh * h_prev * r * (1 - r)
    da = np.concatenate((daz, dar, dan), axis=1)
    dUz += h_prev.T @ daz
    dUr += h_prev.T @ dar
    dUn += (r * h_prev).T @ dan
    dWx += x[t].T @ da
    db += da.sum(axis=0)
    dx[t] = da @ Wx.T
    dh_next = dh * (1 - z) + drh * r + daz @ Uz.T + dar @ Ur.T
dh0 = dh_next
""",
    "hs, steps",
    {"Wx": (3, 12), "Uz": (4, 4), "Ur": (4, 4), "Un": (4, 4), "b": (12,)},
)

GRU_AFTER = GRU_BEFORE.with_(
    ("    n = np.tanh(ax[:, 2 * H:] + (r * h_prev) @ Un)",
     "    m = h_prev @ Un\n    n = np.tanh(ax[:, 2 * H:] + r * m)"),
    ("steps.append((h_prev, z, r, n))", "steps.append((h_prev, z, r, n, m))"),
    ("h_prev, z, r, n = steps[t]", "h_prev, z, r, n, m = steps[t]"),
    ("    drh = dan @ Un.T\n", ""),
    ("dar = drh * h_prev * r", "dar = dan * m * r"),
    ("(r * h_prev).T @ dan", "h_prev.T @ (dan * r)"),
    ("drh * r +", "(dan * r) @ Un.T +"),
)  # fmt: skip

RECURRENCES = {
    "RNN": RNN,
    "RNN with σ": RNN.with_(("np.tanh(", "sigmoid("), ("(1 - h**2)", "h * (1 - h)")),
    "RNN with ReLU": RNN.with_(("np.tanh(", "np.maximum(0, "), ("(1 - h**2)", "(h > 0)")),
    "RNN, inner loop": INNER_LOOP,
    "LSTM": LSTM,
    "LSTM with h = o c": LSTM.with_(
        ("h = o * np.tanh(c)", "h = o * c"), ("    tanh_c = np.tanh(c)\n", ""),
        ("dh * tanh_c * o", "dh * c * o"), ("dh * o * (1 - tanh_c**2)", "dh * o"),
    ),
    "LSTM with hard σ": LSTM.with_(
        *((f"{a} = sigmoid(z{a})", f"{a} = np.clip(0.2 * z{a} + 0.5, 0, 1)") for a in "ifo"),
        *((f"{a} * (1 - {a})", f"0.2 * (({a} > 0) & ({a} < 1))") for a in "ifo"),
    ),
    "peephole LSTM": PEEPHOLE,
    "GRU, reset before": GRU_BEFORE,
    "GRU, reset after": GRU_AFTER,
}  # fmt: skip

# Heads and losses: what `loss` and `dys`, the gradient of the scores (T, N, 6), are made of.
SOFTMAX = """
e = np.exp(scores - scores.max(axis=-1, keepdims=True))
p = e / e.sum(axis=-1, keepdims=True)
"""
HEADS = {
    "softmax, indices": SOFTMAX + """
rows, columns = np.indices(y.shape)
loss = -np.log(p[rows, columns, y]).mean()
dys = p.copy()
dys[rows, columns, y] -= 1
dys /= T * N
""",
    "softmax, one-hot": SOFTMAX + """
target = np.eye(6)[y]
loss = -(target * np.log(p)).sum()
dys = p - target
""",
    "sigmoid": """
target = np.eye(6)[y]
p = sigmoid(scores)
loss = -(target * np.log(p) + (1 - target) * np.log(1 - p)).mean()
dys = (p - target) / p.size
""",
    "squared error": """
target = np.eye(6)[y]
off = scores - target
loss = (off**2).mean()
dys = 2 * off / off.size
""",
    "last step": SOFTMAX + """
rows = np.arange(N)
loss = -np.log(p[-1, rows, y[-1]]).sum() / N
dys = np.zeros_like(p)
dys[-1] = p[-1]
dys[-1, rows, y[-1]] -= 1
dys /= N
""",
}  # fmt: skip

START = """
import numpy as np


def sigmoid(v):
    return 1 / (1 + np.exp(-v))

"""
CLASS = """
class Layer:
    def __init__(self, PARAMETERS):
        SELF_PARAMETERS = PARAMETERS

    def forward(self, x, STATES):
        PARAMETERS = SELF_PARAMETERS
        T, H = len(x), h0.shape[1]
        FORWARD
        self.cache = x, STATES, KEPT
        return hs

    def backward(self, dhs):
        PARAMETERS = SELF_PARAMETERS
        x, STATES, KEPT = self.cache
        T, H = len(x), h0.shape[1]
        BACKWARD
        SELF_GRADS = GRADS
        return dx, DSTATES
"""
FUNCTIONS = """
def forward(x, STATES, PARAMETERS):
    T, H = len(x), h0.shape[1]
    FORWARD
    return hs, (x, STATES, PARAMETERS, KEPT)


def backward(dhs, cache):
    x, STATES, PARAMETERS, KEPT = cache
    T, H = len(x), h0.shape[1]
    BACKWARD
    return dx, DSTATES, GRADS
"""
LOSS = """
def loss_and_gradients(x, y, STATES, PARAMETERS, Wy, by):
    T, N, H = len(x), len(h0), h0.shape[1]
    FORWARD
    scores = hs @ Wy + by
    HEAD
    dWy = np.zeros_like(Wy)
    BACKWARD
    dby = dys.sum(axis=(0, 1))
    return loss, GRADS, dWy, dby
"""
FORMS = {"class": CLASS, "functions": FUNCTIONS, "loss": LOSS}
UPSTREAM = {"loss": "dys[t] @ Wy.T"}  # else dhs[t]
HEAD_OF_A_STEP = r"(for t in reversed.*\n)", r"\1    dWy += hs[t].T @ dys[t]\n"


def text_of(form: str, recurrence: Recurrence, head: str = HEADS["softmax, indices"]) -> str:
    """The program."""
    backward = recurrence.backward.replace("UPSTREAM", UPSTREAM.get(form, "dhs[t]"))
    if form == "loss":
        backward = re.sub(*HEAD_OF_A_STEP, backward)
    words = {
        "SELF_PARAMETERS": ", ".join(f"self.{name}" for name in recurrence.parameters),
        "SELF_GRADS": ", ".join(f"self.d{name}" for name in recurrence.parameters),
        "PARAMETERS": ", ".join(recurrence.parameters),
        "GRADS": ", ".join(f"d{name}" for name in recurrence.parameters),
        "DSTATES": ", ".join(f"d{name}" for name in recurrence.states),
        "STATES": ", ".join(recurrence.states),
        "KEPT": recurrence.kept,
    }
    text = FORMS[form]
    for name, lines in (("FORWARD", recurrence.forward), ("BACKWARD", backward), ("HEAD", head)):
        text = re.sub(rf"^( *){name}\n", lambda m, lines=lines: textwrap.indent(  # type: ignore
            lines.strip() + "\n", m[1]), text, flags=re.M)  # fmt: skip
    for name, word in words.items():
        text = re.sub(rf"\b{name}\b", word, text)
    return START + text


COUNT = itertools.count()


def check(form: str, recurrence: Recurrence, text: str) -> GradientReport:
    """The report on a program of this form."""
    name = f"<program {next(COUNT)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    code: dict[str, Any] = {"__name__": "program"}
    exec(compile(text, name, "exec"), code)
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((5, 2, 3)), rng.integers(6, size=(5, 2))
    states = rng.standard_normal((len(recurrence.states), 2, 4))
    weights = [rng.normal(0, 0.6, shape) for shape in recurrence.parameters.values()]
    if form == "class":
        return check_gradients(code["Layer"](*weights), x, *states)
    if form == "functions":
        return check_functions(code["forward"], code["backward"], x, *states, *weights)
    head = rng.normal(0, 0.6, (4, 6)), rng.normal(0, 0.6, 6)
    return check_loss(code["loss_and_gradients"], x, y, *states, *weights, *head)


class Mistake(NamedTuple):
    of: tuple[str, ...]  # the recurrences
    line: str
    instead: str
    named: str  # a pattern that the first finding's name or cause has
    forms: tuple[str, ...] = tuple(FORMS)


RNNS = "RNN", "RNN with σ", "RNN with ReLU"
LSTMS = "LSTM", "LSTM with h = o c", "LSTM with hard σ", "peephole LSTM"
GRUS = "GRU, reset before", "GRU, reset after"
WITH_SIGMA = "LSTM", "LSTM with h = o c", "peephole LSTM"
CARRY_H, CARRY_C = (
    r"missing carry of h|\bh is not carried",
    r"missing carry of c|\bc is not carried",
)
TWICE = r"σ|sigmoid.*again|at the activated value"

MISTAKES = [
    # The carry
    Mistake((*RNNS, *LSTMS, *GRUS), " + dh_next\n", "\n", CARRY_H),
    Mistake(LSTMS, "dc = dc_next + dh", "dc = dh", CARRY_C),
    Mistake(LSTMS, "    dc_next = dc", "    dc_last = dc", CARRY_C),
    Mistake(RNNS, "dh_next = dz @ Wh.T", "dh_next = dz @ Wh", "transposed"),
    Mistake(RNNS, "dh_next = dz @ Wh.T\n",
            "dh_next = dz @ Wh.T\n    if t % 3 == 0:\n        dh_next = np.zeros_like(h0)\n",
            r"truncated.*every K = 3"),
    Mistake(LSTMS, "dh_next = dhx[:, :H]\n",
            "dh_next = dhx[:, :H]\n    if t % 2 == 0:\n        dh_next *= 0\n        dc *= 0\n",
            r"truncated.*every K = 2"),
    Mistake(("RNN, inner loop",), "range(t, -1, -1)", "range(t, max(-1, t - 2), -1)",
            r"truncated.*2"),
    Mistake(LSTMS, "    dzi = dc *", "    dc += dc\n    dzi = dc *",
            r"dc \+= dc|`dc`.*(twice|doubled)|doubled|factor 2"),
    Mistake(("LSTM", "LSTM with hard σ"), "dzi = dc *", "dzi = dh * o * (1 - tanh_c**2) *",
            r"gate i|\bdzi\b"),
    Mistake(("LSTM", "LSTM with hard σ"), "dzf = dc * c_prev *",
            "dzf = dc_next * c_prev + dh * o * (1 - tanh_c**2) * c_prev *",
            r"parenthes|only the part|multiplies only"),
    Mistake(GRUS, "dh * (1 - z) + ", "", "missing term",
            forms=("class", "functions")),
    Mistake(GRUS, " + dar @ Ur.T", "", r"gate r|Ur|missing term"),
    # The step before
    Mistake(("RNN", "RNN with σ"), "hs[t - 1] if t else h0", "hs[t - 1]",
            r"wraps|last state|initial state|first step"),
    Mistake(RNNS, "dWh += h_prev.T", "dWh += h.T", "shifted by one step|one step"),
    Mistake(LSTMS, "dW += np.concatenate((h_prev,", "dW += np.concatenate((h,",
            r"shifted|h_prev|rows|columns|state after"),
    Mistake(("LSTM", "LSTM with hard σ"), "dzf = dc * c_prev", "dzf = dc * c", "shifted|c_prev"),
    # Local derivatives
    Mistake(("RNN",), "dh * (1 - h**2)", "dh / (1 - h**2)", r"divi|multipl"),
    Mistake(("RNN",), "dh * (1 - h**2)", "dh * (1 - np.tanh(h)**2)", "local derivative"),
    Mistake(("RNN with σ",), "dh * h * (1 - h)", "dh * (1 - h**2)", "local derivative"),
    Mistake(("RNN with ReLU",), "dh * (h > 0)", "dh * (1 - h**2)", "local derivative",
            forms=("class", "functions")),
    Mistake(WITH_SIGMA, "g * i * (1 - i)", "g * sigmoid(i)", "local derivative of gate i"),
    Mistake(WITH_SIGMA, "c_prev * f * (1 - f)", "c_prev * sigmoid(f) * (1 - sigmoid(f))",
            "local derivative of gate f"),
    Mistake(LSTMS, "dc * i * (1 - g**2)", "dc * i * (1 - g)", "local derivative of (gate )?g"),
    Mistake(("LSTM", "peephole LSTM"), "(1 - tanh_c**2)", "(1 - c**2)", r"tanh\(c\)|tanh left out"),
    Mistake(("LSTM with h = o c",), "dh * c * o", "dh * np.tanh(c) * o", "tanh"),
    Mistake(GRUS, "dh * z * (1 - n**2)", "dh * (1 - z) * (1 - n**2)", r"1 - z|u and 1"),
    Mistake(GRUS, "(n - h_prev)", "(h_prev - n)", r"sign|factor −1|gate [uz].*-1"),
    Mistake(GRUS, "* z * (1 - z)", "* sigmoid(z)", "local derivative of gate [uz]"),
    # Factors, gates, sums
    Mistake(LSTMS, "dc_next = dc * f", "dc_next = dc", r"\bf left out|factor",
            forms=("class", "functions")),
    Mistake(LSTMS, "h, i, f, o, g, c_prev, c = steps[t]", "h, f, i, o, g, c_prev, c = steps[t]",
            r"another order|unpack|\bi and f\b|exchanged"),
    Mistake(LSTMS, "(dzi, dzf, dzo, dzg)", "(dzi, dzf, dzg, dzo)", "another order|order"),
    Mistake(GRUS[:1], "dUn += (r * h_prev).T", "dUn += h_prev.T", r"\br\b"),
    Mistake(GRUS[1:], "@ (dan * r)\n", "@ dan\n", r"\br\b"),
    Mistake((*RNNS, *LSTMS, *GRUS), "    db += d", "    db = d", "assigned instead of added"),
    Mistake(RNNS, "reversed(range(T))", "reversed(range(1, T))", "first step skipped"),
    # The record
    Mistake(WITH_SIGMA[:2], "    i = sigmoid(zi)\n",
            "    i = sigmoid(zi) if t == 0 else i\n    i[...] = sigmoid(zi)\n",
            "record shares one array"),
]  # fmt: skip

# In the head and the loss of `loss`.
HEAD_MISTAKES = [
    ("softmax, indices", "    dys /= T * N\n", "", "mean and sum"),
    ("softmax, indices", "    dys /= T * N\n", "    dys /= N\n", "mean and sum|factor"),
    ("softmax, one-hot", "dys = p - target", "dys = p", "target not subtracted"),
    ("softmax, one-hot", "dys = p - target", "dys = target - p", "sign|factor −1"),
    ("squared error", "dys = 2 * off", "dys = off", "factor|too (small|large) by"),
    ("squared error", "off / off.size", "off", "mean and sum|factor"),
    ("softmax, indices", "dWy += hs", "dWy = hs", "assigned instead of added"),
    ("softmax, indices", "hs[t].T @ dys", "hs[t - 1].T @ dys", "shifted|hs"),
    ("softmax, indices", "    dby =", "    np.clip(dWy, -0.05, 0.05, out=dWy)\n    dby =",
     "clip"),
    ("softmax, indices", "    dby =",
     "    norm = np.sqrt((dWy**2).sum())\n    dWy *= min(1, 0.1 / norm)\n    dby =",
     "clip|norm"),
]  # fmt: skip


class Program(NamedTuple):
    """A mistake in one form."""

    form: str
    recurrence: str
    text: str
    named: str

    def report(self) -> GradientReport:
        return check(self.form, RECURRENCES[self.recurrence], self.text)


def programs() -> list[Program]:
    """Every mistake in each of the three forms, and those of the heads."""
    found = [
        Program(form, of, text_of(form, RECURRENCES[of].with_((m.line, m.instead))), m.named)
        for m in MISTAKES for of in m.of for form in m.forms
    ]  # fmt: skip
    for (head, line, instead, named), of in itertools.product(HEAD_MISTAKES, ("RNN", "LSTM")):
        text = text_of("loss", RECURRENCES[of], HEADS[head])
        assert text.count(line) == 1, line
        found.append(Program("loss", of, text.replace(line, instead), named))
    return found


def pairs() -> list[tuple[Program, tuple[str, str]]]:
    """Two mistakes on different lines of one program, and both their names."""
    found = []
    for one, two in itertools.combinations(MISTAKES, 2):
        if one.line.strip() in two.line or two.line.strip() in one.line:
            continue
        for of in (name for name in one.of if name in two.of):
            try:
                recurrence = RECURRENCES[of].with_((one.line, one.instead), (two.line, two.instead))
            except AssertionError:  # one stands in the other's line
                continue
            found += [
                (Program(form, of, text_of(form, recurrence), ""), (one.named, two.named))
                for form in one.forms if form in two.forms
            ]  # fmt: skip
    return found
