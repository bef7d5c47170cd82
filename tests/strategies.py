"""Drawn modules with inputs. Hypothesis draws the structure; a seeded generator the numbers.

Numbers element by element would shrink to zeros, which hide mistakes: here states, biases and
upstream gradients are never zero.
"""

from __future__ import annotations

import warnings
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

from scratch.cells import LSTMCell, RNNCell
from scratch.machinery.packing import PackedSequence, pack_padded_sequence
from scratch.recurrent import LSTM, RNN

SEEDS = st.integers(0, 2**32 - 1)
FLOATS = st.sampled_from([np.float32, np.float64])
SIZES = st.integers(1, 8)
NONLINEARITIES = st.sampled_from(["tanh", "relu"])


def thorough() -> bool:
    """Whether the tests run under the profile of that name."""
    return bool(hypothesis.settings.default.max_examples > 1000)


class Case:
    """A module, its inputs, and a gradient for each of its answers, None where none is given.

    x: the input. state: the initial state or None; full_state: the same with zeros for None.
    grads: the upstream gradients in the structure of the answers, with None in any place.
    """

    module: Any
    x: Any
    state: Any
    full_state: Any
    grads: tuple[Any, ...]
    rng: np.random.Generator

    def saturate(self, draw) -> None:
        """Weights five times as large, or gates far open and far closed.

        As far as float64 has the digits for: a σ is open at +60, where both sides round it to 1.
        Between, and where all of a tanh is saturated, 1 − σ and 1 − tanh² are differences that
        keep few digits on either side, and few in float32: its tanh goes to ±60, and one unit of
        every tanh stays where it is. (`test_cells.py` has σ at ±10 and ±30.)
        """
        relu = getattr(self.module, "nonlinearity", "") == "relu"
        how = draw(st.sampled_from(["as it is", "large weights", "gates"]), "size")
        if how == "large weights" and (relu or self.two_states):
            for parameter in self.module.parameters():
                parameter.data *= 5
        if how != "gates" or relu:
            return
        far = [0, 10, -10, 30, -30] if self.dtype == np.float64 else [0, 60, -60]
        for name, parameter in self.module.named_parameters():
            if name.startswith("bias_ih"):
                hidden = self.module.hidden_size
                tanh = np.append(0, self.rng.choice(far, hidden - 1))
                i, f, o = draw(st.tuples(*[st.sampled_from([0, -10, -30, 60])] * 3), name)
                gates = [np.full(hidden, offset) for offset in (i, f, o)]
                gates.insert(2, tanh)
                parameter.data += np.concatenate(gates if self.two_states else [tanh])

    @property
    def two_states(self) -> bool:
        return isinstance(self.module, LSTM | LSTMCell)

    @property
    def dtype(self) -> np.dtype:
        return next(self.module.parameters()).dtype

    def numbers(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(self.dtype)

    def numbers_like(self, value: Any) -> Any:
        """Others in the same structure."""
        if isinstance(value, PackedSequence):
            return value._replace(data=self.numbers_like(value.data))
        if isinstance(value, tuple):
            return tuple(self.numbers_like(entry) for entry in value)
        return None if value is None else self.numbers(*value.shape)

    def draw_state(self, draw, shapes: list[tuple[int, ...]]) -> None:
        """States of `shapes`, h alone or the pair (h, c)."""
        shapes = shapes if self.two_states else shapes[:1]
        given = draw(st.booleans(), "state given")
        arrays = [self.numbers(*s) if given else np.zeros(s, self.dtype) for s in shapes]
        self.full_state = tuple(arrays) if self.two_states else arrays[0]
        self.state = self.full_state if given else None

    def draw_grad_state(self, draw) -> Any:
        """A gradient of the state after, all of it None or, of a pair, any part."""
        if not self.two_states:
            given = draw(st.booleans(), "grad_h given")
            return self.numbers(*self.full_state.shape) if given else None
        given = draw(st.sampled_from(["", "none", "h", "c", "hc"]), "grads given")
        if not given:
            return None
        return tuple(
            self.numbers(*array.shape) if name in given else None
            for array, name in zip(self.full_state, "hc", strict=True)
        )

    def __repr__(self) -> str:
        def shapes(value: Any) -> Any:
            if isinstance(value, PackedSequence):
                return f"packed {value.batch_sizes.tolist()} order {value.sorted_indices}"
            if isinstance(value, tuple):
                return tuple(shapes(entry) for entry in value)
            return None if value is None else value.shape

        return (
            f"{self.module!r} {self.dtype}, x: {shapes(self.x)}, state: {shapes(self.state)}, "
            f"grads: {shapes(self.grads)}"
        )


@st.composite
def cells(draw, dtypes=FLOATS) -> Case:
    """An RNNCell or LSTMCell with x (N, input_size) or (input_size,), N from 0 to 8."""
    case = Case()
    case.rng = np.random.default_rng(draw(SEEDS, "seed"))
    sizes = draw(SIZES, "input_size"), draw(SIZES, "hidden_size")
    options = {"bias": draw(st.booleans(), "bias"), "dtype": draw(dtypes), "rng": case.rng}
    if draw(st.booleans(), "LSTM"):
        case.module = LSTMCell(*sizes, **options)
    else:
        case.module = RNNCell(*sizes, nonlinearity=draw(NONLINEARITIES), **options)
    case.saturate(draw)
    batch = draw(st.one_of(st.just(()), st.integers(0, 8).map(lambda n: (n,))), "batch")
    case.x = case.numbers(*batch, sizes[0])
    case.draw_state(draw, [(*batch, sizes[1])] * 2)
    case.grads = (case.draw_grad_state(draw),)
    return case


def layers(
    kinds=(RNN, LSTM),
    forms=("padded", "unbatched", "packed"),
    dtypes=FLOATS,
    max_layers=3,
    one_direction=False,
    dropout=True,
    saturated=True,
):
    """An RNN or LSTM over the whole domain of its arguments; T and the lengths are 1 to 8.

    Its dropout, if there is any, is one without chance: in eval(), or with p = 1. If not
    `saturated`, its weights are as they are drawn.
    """
    return _layers(kinds, forms, dtypes, max_layers, one_direction, dropout, saturated)


@st.composite
def _layers(draw, kinds, forms, dtypes, max_layers, one_direction, dropout, saturated) -> Case:
    case = Case()
    case.rng = np.random.default_rng(draw(SEEDS, "seed"))
    kind, form = draw(st.sampled_from(kinds)), draw(st.sampled_from(forms), "form")
    input_size, hidden_size = draw(SIZES, "input_size"), draw(SIZES, "hidden_size")
    options = {
        "num_layers": draw(st.integers(1, max_layers), "num_layers"),
        "bias": draw(st.booleans(), "bias"),
        "batch_first": draw(st.booleans(), "batch_first"),
        "bidirectional": not one_direction and draw(st.booleans(), "bidirectional"),
        "dropout": draw(st.sampled_from([0.0, 0.5, 1.0])) if dropout else 0.0,
        "dtype": draw(dtypes),
    }
    if kind is RNN:
        options["nonlinearity"] = draw(NONLINEARITIES)
    else:
        options["proj_size"] = draw(st.integers(0, hidden_size - 1), "proj_size")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "dropout acts between layers")
        case.module = kind(input_size, hidden_size, **options, rng=case.rng)
    if saturated:
        case.saturate(draw)
    case.module.train(options["dropout"] == 1.0 or draw(st.booleans(), "training"))
    if options["dropout"] == 0.5:
        case.module.eval()

    case.x, batch = _sequences(draw, case, form)
    runs = options["num_layers"] * (1 + options["bidirectional"])
    state_size = options.get("proj_size") or hidden_size
    case.draw_state(draw, [(runs, *batch, state_size), (runs, *batch, hidden_size)])
    grad_output = _like_output(case) if draw(st.booleans(), "grad_output") else None
    case.grads = grad_output, case.draw_grad_state(draw)
    return case


def _sequences(draw, case: Case, form: str) -> tuple[Any, tuple[int, ...]]:
    """The input, and the shape of the batch."""
    features = case.module.input_size
    if form == "packed":
        lengths = draw(st.lists(SIZES, min_size=1, max_size=8), "lengths")
        enforce_sorted = draw(st.booleans(), "enforce_sorted")
        if enforce_sorted:
            lengths.sort(reverse=True)
        padded = case.numbers(max(lengths), len(lengths), features)
        packed = pack_padded_sequence(padded, lengths, enforce_sorted=enforce_sorted)
        return packed, (len(lengths),)
    steps = draw(SIZES, "T")
    if form == "unbatched":
        return case.numbers(steps, features), ()
    batch = draw(st.integers(0, 8), "N")
    outer = (batch, steps) if case.module.batch_first else (steps, batch)
    return case.numbers(*outer, features), (batch,)


def _like_output(case: Case) -> Any:
    width = (getattr(case.module, "proj_size", 0) or case.module.hidden_size) * (
        1 + case.module.bidirectional
    )
    if isinstance(case.x, PackedSequence):
        return case.x._replace(data=case.numbers(len(case.x.data), width))
    return case.numbers(*case.x.shape[:-1], width)
