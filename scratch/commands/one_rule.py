"""Modules that obey the one rule: tried on inputs that fit them, compared with ours."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..gradcheck import signature
from ..gradcheck.code_under_test import CodeUnderTest
from ..gradcheck.diagnose import first_wrong
from ..gradcheck.diagnose.recognize import recognize
from ..gradcheck.diagnose.recurrences import RECURRENCES
from ..machinery import nests
from ..machinery.module import Array
from .options import UsageError

ANSWERS = {
    "RNNCell": "h (N, H)",
    "LSTMCell": "h and c, (N, H) each,",
    "RNN": "the output (T, N, H) and h_n",
    "LSTM": "the output (T, N, H) and (h_n, c_n)",
    "GRUCell": "h (N, H)",
    "GRU": "the output (T, N, H) and h_n",
}


class Sizes(NamedTuple):
    """The sizes of the inputs that a module is tried on."""

    D: int
    H: int
    T: int
    N: int


def inputs_for(module: Any, path: str, sizes: Sizes, like: str | None) -> tuple[Any, ...]:
    """The first inputs, of those that a cell, a layer, a loss or a head takes, that it accepts."""
    refused: list[Exception] = []
    for kind, inputs in candidates(module, sizes, like):
        try:
            with np.errstate(all="ignore"):
                answers = module(*inputs)
                record = module.forward(*inputs)
                grads = nests.float_arrays(answers)
                if not fits(kind, answers, sizes):
                    continue
                splits = signature.splits_answers(module, answers)
                upstream = nests.with_arrays(answers, iter([np.ones_like(g) for g in grads]))
                module.backward(record, *(upstream if splits else (upstream,)))
            return inputs
        except Exception as error:
            refused.append(error)
    if not refused:
        wanted = f"--like {like}: expected {ANSWERS[like]}" if like else "expected arrays"
        raise UsageError(
            f"{type(module).__name__}: {wanted} as the answers of the call, got others"
        )
    # An exception inside the person's own code says more than one about the arguments.
    raise max(refused, key=lambda error: _depth(error, path))


def _depth(error: Exception, path: str) -> int:
    """Backward after forward, and within one the later line."""
    frames = [f for f in traceback.extract_tb(error.__traceback__)
              if os.path.abspath(f.filename) == path]  # fmt: skip
    if not frames:
        return 0
    return (1_000_000 if frames[0].name == "backward" else 0) + (frames[-1].lineno or 0)


def candidates(
    module: Any, sizes: Sizes, like: str | None
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Inputs for every kind of module, the likely ones first."""
    rng = np.random.default_rng(0)
    D, H, T, N = sizes.D, sizes.H, sizes.T, sizes.N
    wanted = len(signature.positional(module.forward))
    dtype = next((p.dtype for p in module.parameters()), np.dtype(np.float64))

    def draw(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(dtype)

    for kind in (like,) if like else ("LSTM", "RNN", "LSTMCell", "RNNCell"):
        count = 2 if kind.startswith("LSTM") else 1
        for x in (draw(N, D),) if kind.endswith("Cell") else (draw(T, N, D), draw(N, T, D)):
            forms = [(N, H)] if kind.endswith("Cell") else [(1, N, H), (N, H)]
            for form in forms:
                states = [draw(*form) for _ in range(count)]
                if count == 2 and wanted != 3:
                    yield kind, (x, tuple(states))
                if 1 + count <= wanted:
                    yield kind, (x, *states)
            yield kind, (x,)
    if like is None:
        if wanted >= 2:
            yield "loss", (draw(N, D), draw(N, D))
            yield "loss", (draw(N, D), rng.integers(0, D, N))
        yield "other", (draw(T, N, D),)
        yield "other", (draw(N, T, D),)
        yield "other", (draw(N, D),)


def fits(kind: str, answers: Any, sizes: Sizes) -> bool:
    """Whether the answers are those of such a module: a guess is not taken for a fit."""
    leaves = nests.float_arrays(answers)
    shapes = [leaf.shape for leaf in leaves]
    if kind.endswith("Cell"):
        return shapes == [(sizes.N, sizes.H)] * (2 if kind == "LSTMCell" else 1)
    if kind in ("RNN", "LSTM", "GRU"):
        states = 2 if kind == "LSTM" else 1
        return len(shapes) == 1 + states and len(shapes[0]) == 3 and isinstance(answers, tuple)
    return bool(shapes)


def compare_with(
    module: Any, inputs: tuple[Any, ...], like: str | None, right: bool
) -> dict[str, Any]:
    """The first quantity of the forward and of the backward pass that is not ours.

    Where all gradients are `right`, a quantity that no variable held is not called wrong.
    """
    if like is None:
        return {}

    code = CodeUnderTest(module, inputs, 0)
    known = recognize(code)
    tables = [table for table in RECURRENCES if table.torch == like.removesuffix("Cell")]
    if known is None or known.table not in tables:
        closest = first_wrong.best_guess(code, tables)
        text = f"it does not compute what {like} computes with these parameters"
        text += f"; its answers are those of {known.table.name}" if known else ""
        if closest is not None and closest.first_wrong is not None:
            text += f"; read in the way that comes closest, {closest}"
        return {"ok": False, "forward": text}
    forward = f"every answer agrees{known.order}"
    backward = first_wrong.compare_backward(code, known)
    if right and backward.first_wrong is not None:
        text = f"every gradient is right; no variable was seen to hold {backward.first_wrong}"
        return {"ok": True, "forward": forward, "backward": text}
    return {"ok": backward.first_wrong is None, "forward": forward, "backward": str(backward)}
