"""A page to play with: one HTML file that shows a pass, forward and backward, in any browser."""

from __future__ import annotations

import json
import math
import os
from importlib import resources
from typing import Any

from ..machinery.writing import replacing
from .sequence import SequenceRun, follow


def page(
    module: Any,
    x: Any,
    grad_output: Any,
    path: str | os.PathLike[str],
    *,
    state: Any = None,
    grad_state: Any = None,
    sample: int = 0,
    title: str | None = None,
) -> None:
    """Write a file that shows what happens to sequence `sample` of a batch, step by step.

        study.page(lstm, x, grad_output, "lstm.html")

    module: RNN, LSTM, SimpleRNN, SimpleLSTM or a cell, of real numbers; it is left as it is.
    x, state, grad_output, grad_state: what its `forward` and `backward` take; a model takes x and
        grad_output alone, a cell no grad_state: its grad_output is the gradient of the new state.
    title: the heading (default: the layer and its sizes).
    The file needs nothing else, and asks no network for anything.
    Raises what `scratch.study.sequence.follow` raises, and OSError if it cannot be written.
    """
    runs = follow(module, x, grad_output, state=state, grad_state=grad_state, sample=sample)
    if title is None:
        layer = getattr(module, "lstm", getattr(module, "rnn", module))
        title = str(layer) if layer is module else f"{type(module).__name__} with {layer}"
    data = {
        "title": title,
        "sample": sample,
        "runs": {suffix: run_data(run) for suffix, run in runs.items()},
    }
    template = resources.files(__package__).joinpath("page.html").read_text("utf-8")
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c")  # nothing in it ends the script element
    with replacing(os.fspath(path)) as file:
        file.write(template.replace("DATA", text, 1).encode())


def run_data(run: SequenceRun) -> dict[str, Any]:
    weights = {}
    for name, weight in run.weights.items():
        weights[name] = weight._asdict() | {
            "data": numbers(weight.data.tolist()),
            "grad": numbers(weight.grad.tolist()),
        }
    return {
        "kind": run.kind,
        "reverse": run.reverse,
        "batch": run.batch,
        "steps": run.steps,
        "units": run.units,
        "forward": [[e.name, e.formula] for e in run.forward],
        "backward": [[e.name, e.formula] for e in run.backward if e.name != "grad_x"],
        "values": {name: numbers(array.tolist()) for name, array in run.values.items()},
        "weights": weights,
    }


def numbers(value: Any) -> Any:
    """Nested lists as JSON has them: "NaN", "Infinity" and "-Infinity" are strings."""
    if isinstance(value, list):
        return [numbers(part) for part in value]
    if math.isfinite(value):
        return int(value) if value == 0 else value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
