"""One cell carried through time: backpropagation through time for one layer in one direction.

`forward` hands the state from step to step; `backward` walks the same steps the other way and hands
its gradient back. Where sequences differ in length, step t has as many columns as there are
sequences still running, longest first; `hand_over` lets them start and end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .machinery.memory import Memory
from .machinery.module import Array
from .machinery.weights import GradWeights, Weights

State = Sequence[Array]  # [h] of an RNN, [h, c] of an LSTM, each (H, N)
AnyStep = Any  # RNNStep or LSTMStep: their forward and backward differ in the states they take


class Run:
    """The steps of one layer in one direction. `run.h`, `run.i`, ... are (T, N, H).

    For packed input they are (rows of the packed data, H). Index t is the step of the input in
    either direction. Each access collects the steps' arrays anew.
    """

    def __init__(self, steps: list[AnyStep], weights: Weights, reverse: bool, packed: bool):
        self.steps = steps  # in the order of the input; empty if none was kept
        self.weights = weights
        self.reverse = reverse
        self.packed = packed

    def __getattr__(self, name: str) -> Array:
        if name.startswith("_") or not (self.steps and name in self.steps[0].names):
            raise AttributeError(f"a run has no {name!r}")
        arrays = [getattr(step, name) for step in self.steps]
        return np.concatenate(arrays) if self.packed else np.stack(arrays)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(self.steps[0].names if self.steps else ())]


def forward(
    kind: type[AnyStep],
    weights: Weights,
    xs: Sequence[Array],  # T arrays (D, n)
    hs: Sequence[Array],  # T arrays (H, n): written
    state_0: State,
    state_n: State,  # written
    memory: Memory | None,
    *,
    reverse: bool,
    packed: bool,
) -> Run:
    """All steps in turn. They are kept if there is a `memory` to keep them in."""
    way = slice(None, None, -1 if reverse else 1)
    xs, hs = xs[way], hs[way]
    kept: list[AnyStep] = []
    state: State = [array[:, : xs[0].shape[1]].copy() for array in state_0]  # the record keeps c
    for step, x in zip(kind.allocate(weights, hs, memory), xs, strict=True):
        if x.shape[1] != state[0].shape[1]:
            state = hand_over(state, x.shape[1], starting=state_0, ending=state_n)
        state = step.forward(weights, x, *state)
        if memory is not None:
            kept.append(step)
    hand_over(state, 0, starting=state_0, ending=state_n)
    return Run(kept[way], weights, reverse, packed)


def backward(
    run: Run,
    grad_hs: Sequence[Array] | None,  # T arrays (H, n)
    grad_state_n: State,
    grad_state_0: State,  # written
    grad_xs: Sequence[Array],  # T arrays (D, n): written, or added to
    *,
    add: bool,
) -> None:
    """The steps of `forward` the other way round; adds to the parameters' gradients."""
    way = slice(None, None, 1 if run.reverse else -1)
    grad_weights = GradWeights(run.weights)
    steps = range(len(run.steps))[way]
    grad_state: State = [array[:, : grad_xs[steps[0]].shape[1]] for array in grad_state_n]
    for t in steps:
        place = grad_xs[t]
        size = place.shape[1]
        if size != grad_state[0].shape[1]:
            grad_state = hand_over(grad_state, size, starting=grad_state_n, ending=grad_state_0)
        # h_t goes two ways, into the output and into step t+1: their gradients add up.
        grad_h, *grad_c = grad_state
        if grad_hs is not None:
            grad_h = grad_h + grad_hs[t]
        grad_x, *grad_state = run.steps[t].backward(run.weights, grad_weights, grad_h, *grad_c)
        place[...] = place + grad_x if add else grad_x
    hand_over(grad_state, 0, starting=grad_state_n, ending=grad_state_0)
    grad_weights.finish()


def hand_over(state: State, size: int, *, starting: State, ending: State) -> State:
    """The columns of `state` for a step of `size` sequences.

    Sequences that end leave their columns in `ending`; those that start bring theirs from
    `starting`. Both are (H, N) for all N sequences of the batch.
    """
    before = state[0].shape[1]
    if size < before:
        for array, end in zip(state, ending, strict=True):
            end[:, size:before] = array[:, size:]
        return [array[:, :size] for array in state]
    return [
        np.concatenate([array, start[:, before:size]], axis=1)
        for array, start in zip(state, starting, strict=True)
    ]
