"""The systems' data: sine waves, random classes, and windows of a series.

Each is a function of a generator and of `every_step`: whether the model answers at every step or
once, after the last. Arrays are float64; `systems.py` rounds them to the dtype of a run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..machinery.module import Array
from ..machinery.printable import short
from ..machinery.writing import read_whole
from .column import Reading, read_column


@dataclass(frozen=True)
class Series:
    """Numbers in time, which a model sees as changes over `lag` steps.

    values: (M,), float64, in `unit`. times: (M,), float64 or dates, datetime64, in `time_unit`.
    log: whether a change is a difference of logarithms, or of the values themselves.
    naive_name: what "no change" amounts to, in words. source: how its file was read, in words.
    """

    values: Array
    times: Array
    unit: str
    time_unit: str
    lag: int
    log: bool
    naive_name: str
    source: str = ""

    def changes(self) -> Array:
        """The changes that lead to the values number lag, lag + 1, ...: (M − lag,)."""
        values = np.log(self.values) if self.log else self.values
        return np.asarray(values[self.lag :] - values[: -self.lag])


@dataclass(frozen=True)
class HeldOut:
    """The end of a series, kept from the training: what the model is judged on.

    inputs: (N, window, 1), as the inputs of the training, in its dtype.
    first: the number of the first value held out.
    mean, std: of the changes before it, by which changes are standardized.
    """

    series: Series
    first: int
    mean: float
    std: float
    inputs: Array

    @property
    def truth(self) -> Array:
        """(N,), float64, in the series' unit."""
        return self.series.values[self.first :]

    @property
    def naive(self) -> Array:
        """The values one lag before, (N,): what "no change" predicts."""
        return self.series.values[self.first - self.series.lag : -self.series.lag]

    @property
    def times(self) -> Array:
        return self.series.times[self.first :]

    def restore(self, prediction: Array) -> Array:
        """What the model answers to `inputs`, in the series' unit: (N,), float64.

        `prediction` is (N, 1), or (N, window, 1), of which the last step counts.
        """
        last = prediction.reshape(len(self.truth), -1)[:, -1].astype(np.float64)
        # z = (change − mean) / std;  change = log(value / naive), or value − naive
        change = self.mean + self.std * last
        return self.naive * np.exp(change) if self.series.log else self.naive + change

    def rmse(self, values: Array) -> float:
        """The root of the mean squared difference of `values`, (N,), from the truth."""
        return float(np.sqrt(np.mean((values - self.truth) ** 2)))

    def loses(self, rmse: float) -> str:
        """That a model with this RMSE is not better than "no change", in words; else ""."""
        naive = self.rmse(self.naive)
        if rmse < naive:
            return ""
        return f'loses against "{self.series.naive_name}": RMSE {rmse:.6g} against {naive:.6g}'


class Data(NamedTuple):
    """What a model is trained on, and what it is judged on.

    inputs: (N, T, input_size). targets: as the model answers, (N, output_size) or, `every_step`,
    (N, T, output_size); for classes their indices (N,), int64.
    """

    inputs: Array
    targets: Array
    held_out: HeldOut | None = None

    def astype(self, dtype: DTypeLike) -> Data:
        """The same with floats of another dtype; class indices stay what they are."""
        targets, held_out = self.targets, self.held_out
        return Data(
            self.inputs.astype(dtype),
            targets if targets.dtype == np.int64 else targets.astype(dtype),
            held_out and replace(held_out, inputs=held_out.inputs.astype(dtype)),
        )


def sine_waves(rng: np.random.Generator, every_step: bool = False) -> Data:
    """1000 waves, (1000, 50, 1), and the same waves 0.1 rad ahead.

    A wave has 50 steps over 2π from a random start in [0, 1). The targets are the last value of
    the wave ahead, (1000, 1), or the whole of it if `every_step`, (1000, 50, 1).
    """
    start = rng.random((1000, 1, 1))
    angle = start + np.linspace(0, 2 * np.pi, 50)[:, np.newaxis]  # (1000, 50, 1)
    ahead = np.sin(angle + 0.1)
    return Data(np.sin(angle), ahead if every_step else ahead[:, -1])


def random_classes(rng: np.random.Generator, every_step: bool = False) -> Data:
    """16 sequences of 7 steps with 10 standard normal features, (16, 7, 10), and their classes.

    The classes, (16,), are drawn from 0 to 4. There is nothing to learn but by heart. A sequence
    has one class: raises ValueError for `every_step`.
    """
    if every_step:
        raise ValueError("every_step: expected False, as a sequence has one class, got True")
    return Data(rng.standard_normal((16, 7, 10)), rng.integers(0, 5, 16))


def airline_passengers(rng: np.random.Generator, every_step: bool = False) -> Data:
    """Windows of 12 months of growth over the same month a year before, and the growth after each.

    Growth is the difference of logarithms, standardized. Trained on the months before 1957, judged
    on 1957-1960. Thousands of passengers, 1949-1960: Box and Jenkins 1976, series G. Nothing is
    random here: `rng` is not used.
    """
    file = resources.files(__package__).joinpath("airline-passengers.csv")
    passengers = read_column(file.read_bytes(), "passengers", file.name).values
    series = Series(
        passengers,
        times=1949 + np.arange(len(passengers)) / 12,
        unit="thousand passengers",
        time_unit="year",
        lag=12,
        log=True,
        naive_name="same as last year",
    )
    return windows(series, 12, int(np.argmax(series.times >= 1957)), every_step)


def own_series(
    path: str, column: str, window: int, every_step: bool = False, reading: Reading | None = None
) -> Data:
    """Windows of `window` changes from one row to the next in a column of a CSV file.

    Changes are standardized; the targets are the change after each window. The last fifth of the
    windows is held out. Raises OSError for a file that cannot be read and ValueError for a column
    that `read_column` refuses, that is too short or changes evenly.
    """
    read = read_column(read_whole(path), column, path, reading)
    count = len(read.values) - 1 - window
    if count < 5:
        raise ValueError(
            f"{path}: expected at least {window + 6} values in column {short(column)!r} for "
            f"windows of {window}, got {len(read.values)}"
        )
    series = Series(
        read.values,
        read.times,
        unit=short(column),
        time_unit=read.time_name,
        lag=1,
        log=False,
        naive_name="same as the row before",
        source=f"{path}: {read.how}",
    )
    try:
        return windows(series, window, len(read.values) - count // 5, every_step)
    except ValueError as error:
        raise ValueError(f"{path}, column {short(column)!r}: {error}") from None


def windows(series: Series, window: int, first: int, every_step: bool = False) -> Data:
    """Windows of standardized changes, (N, window, 1), and the change after each, (N, 1).

    If `every_step`, the targets are the windows one step later, (N, window, 1). The values from
    number `first` on are held out; mean and standard deviation are those of the changes before.
    Raises ValueError when the changes cannot be standardized.
    """
    with np.errstate(all="ignore"):
        changes = series.changes()
        train = changes[: first - series.lag]
        mean, std = float(train.mean()), float(train.std())
    if not np.isfinite(changes).all():
        raise ValueError("expected smaller numbers, as their differences overflow")
    if not 1e-12 * np.abs(series.values).max() < std < np.inf:
        raise ValueError(
            f"expected changes that vary before value number {first + 1}, got a mean change of "
            f"{mean:g} with standard deviation {std:g}"
        )
    z = (changes - mean) / std
    steps = np.lib.stride_tricks.sliding_window_view(z, window)[:, :, np.newaxis]
    inputs = steps[:-1].copy()  # (N, window, 1)
    targets = steps[1:].copy() if every_step else z[window:, np.newaxis]
    count = first - series.lag - window
    held_out = HeldOut(series, first, mean, std, inputs[count:])
    return Data(inputs[:count], targets[:count], held_out)
