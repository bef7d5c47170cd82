"""One cell carried through time: backpropagation through time for one layer in one direction.

`forward` hands the state from step to step; `backward` walks the same steps the other way and hands
its gradient back. Steps come in blocks in which the number of sequences is the same: in a single
one where all sequences are equally long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .machinery.arrays import Blocks, Products, Weights, products
from .machinery.module import Array
from .machinery.records import Back

State = Sequence[Array]  # [h] of an RNN, [h, c] of an LSTM, each (H, N)

# Backward works through chunks of steps, whose local derivatives are taken at once, and whose
# gradient of W is one product: of about so many columns (steps times samples). Fewer make slow
# products, so that short chunks of packed input wait for each other.
COLUMNS = 512


def forward(
    kind: type[Any],  # RNNStep or LSTMStep
    weights: Weights,
    xs: Blocks,  # (T, D, N)
    state_0: State,
    state_n: State,  # written
    empty: Callable[..., Array],  # makes the arrays of the steps
    outputs: Blocks | None = None,  # (T, H, N): every h, if the steps are not kept
) -> list[Any]:
    """Take all steps in turn, and return them."""
    blocks: list[Any] = []
    state: State = [array[:, : xs[0].shape[2]] for array in state_0]
    for k, x in enumerate(xs):
        T, N = len(x), x.shape[2]
        if state[0].shape[1] != N:  # sequences of other lengths start or end here
            state = hand_over(state, N, starting=state_0, ending=state_n)
        steps = kind(weights, T, state, empty)
        for t in range(T):
            steps.forward(t, x[t])  # (3.1)
            if outputs is not None:
                outputs[k][t] = steps.h[t + 1]
        state = [array[T] for array in steps.states]
        blocks.append(steps)
    for array, end in zip(state, state_n, strict=True):
        end[:, : array.shape[1]] = array
    return blocks


def backward(
    blocks: Sequence[Any],  # what forward returned
    grad_hs: Blocks | None,  # (T, H, N), from the output; None for zeros
    grad_state_n: State,
    grad_state_0: State,  # written
    back: Back | None = None,  # if it is given, what comes back to every step is noted there
) -> Blocks:
    """The same steps the other way round; the gradients of the xs, (T, D, N).

    Adds to the gradients of the parameters.
    """
    weights = blocks[0].weights
    grad_xs = [np.empty_like(steps.x) for steps in blocks]
    totals: list[Array] = []  # the gradients of W and, with a projection, of W_hr
    waiting: list[Products] = []  # pairs of arrays whose products are still to be added to them
    columns = 0  # of those pairs
    grad_state: State = [array[:, : grad_xs[-1].shape[2]].copy() for array in grad_state_n]
    for k in range(len(blocks))[::-1]:
        steps, (T, _, N) = blocks[k], grad_xs[k].shape
        if grad_state[0].shape[1] != N:  # sequences of other lengths end or start here
            grad_state = hand_over(grad_state, N, starting=grad_state_n, ending=grad_state_0)
        many = max(1, COLUMNS // max(1, N))
        for start in range(0, T, many)[::-1]:
            chunk = slice(start, min(start + many, T))
            local = steps.local_derivatives(chunk)
            grad_output = None if grad_hs is None else grad_hs[k][chunk]
            if grad_output is not None and many > 1:
                grad_output = np.ascontiguousarray(grad_output)  # each step's share in one piece
            for j in range(len(local.grad_z))[::-1]:
                if back is not None:
                    back.from_next.append([array.copy() for array in grad_state])
                # grad_state: of h and c after step t = start + j, as it comes from step t+1. h goes
                # into the output, too: its gradients add up. c does not.
                if grad_output is not None:
                    grad_h = grad_state[0]
                    grad_h += grad_output[j]  # (3.2)
                # From here on it is that of the state before step t.  (3.3)
                grad_state = steps.backward(j, local, *grad_state)
            grad_x, pairs = steps.affine_backward(chunk, local.grad_z, local.grad_h)
            grad_xs[k][chunk] = grad_x
            if back is not None:
                back.grad_z.append(local.grad_z)
            waiting.append(pairs)
            columns += N * len(local.grad_z)
            if columns >= COLUMNS or k == start == 0:  # enough of them, or the last
                shares = products(waiting)  # (3.4)
                totals = [a + b for a, b in zip(totals, shares, strict=True)] if totals else shares
                waiting, columns = [], 0
    for array, end in zip(grad_state, grad_state_0, strict=True):
        end[:, : array.shape[1]] = array
    for parameter, grad in weights.by_parameter(*totals):
        parameter.add_grad(grad)
    return grad_xs


def hand_over(state: State, size: int, *, starting: State, ending: State) -> State:
    """The columns of `state` for steps of `size` sequences, the longest sequences first.

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
