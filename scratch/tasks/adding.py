"""The adding problem, which nothing without a memory can solve.

Hochreiter and Schmidhuber 1997, experiment 4. A sequence is a list of numbers, two of which are
marked; the target is their sum. The second mark comes before the middle of the sequence, so that
whoever answers at the end must have kept both numbers for at least half of it:

    number  −0.3   0.9   0.2  −0.6   0.1   0.7  −0.8   0.4
    mark      −1     1     1     0     0     0     0    −1      target 0.5 + (0.9 + 0.2) / 4
"""

from __future__ import annotations

import numpy as np

from .data import Data

COUNT, STEPS = 500, 50
CORRECT = 0.04  # an answer is right if it is closer to the target, as in the paper
SOLVED = 0.1  # the root mean squared error below which the problem is; the answer 0.5 gets 0.2


def adding_problem(rng: np.random.Generator, every_step: bool = False) -> Data:
    """500 sequences of 50 steps, (500, 50, 2), and what their marked numbers sum to, (500, 1).

    There is one answer, at the end: raises ValueError for `every_step`.
    """
    if every_step:
        raise ValueError("every_step: expected False, as a sequence has one sum, got True")
    return adding_sequences(rng, COUNT, STEPS)


def adding_sequences(rng: np.random.Generator, count: int, steps: int) -> Data:
    """`count` sequences of `steps` numbers and marks, (count, steps, 2); targets (count, 1).

    Numbers are uniform within ±1. One of the first ten is marked by 1, then another one of the
    first half; the first and the last step have the mark −1, unless that is where a 1 stands: then
    the first number is 0. The target is 0.5 + the sum of both marked numbers / 4.

    The paper's sequences are `steps` to 1.1 `steps` long; these are all equally long. Raises
    ValueError for fewer than 4 steps.
    """
    if steps < 4:
        raise ValueError(f"steps: expected at least 4, got {steps}")
    sequence = np.arange(count)
    first = rng.integers(0, min(10, steps // 2), count)
    second = rng.integers(0, steps // 2 - 1, count)
    second += second >= first  # one of the others
    numbers = rng.uniform(-1, 1, (count, steps))
    numbers[(first == 0) | (second == 0), 0] = 0
    marks = np.zeros((count, steps))
    marks[:, [0, -1]] = -1
    marks[sequence, first] = marks[sequence, second] = 1
    total = numbers[sequence, first] + numbers[sequence, second]
    return Data(np.stack([numbers, marks], axis=2), 0.5 + total[:, np.newaxis] / 4)
