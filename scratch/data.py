"""The systems' data: sine waves, random classes, and windows of a series from a CSV file.

Each is a function of a generator and of `every_step`: whether the model answers at every step or
once, after the last. Arrays are float64; `systems.py` rounds them to the dtype of a run.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .module import Array


@dataclass(frozen=True)
class HeldOut:
    """The end of a series, kept from the training: what the model is judged on.

    inputs: (N, window, 1), as the inputs of the training, in its dtype.
    truth: (N,), float64, the values, in the series' unit.
    naive: (N,), float64, the values one lag before: what "no change" predicts.
    times: (N,), float64, of the truth, in `time_unit`.
    unit, time_unit: for the axes of a figure.
    """

    inputs: Array
    truth: Array
    naive: Array
    times: Array
    unit: str
    time_unit: str
    log: bool
    mean: float  # of the changes in the training part
    std: float

    def restore(self, prediction: Array) -> Array:
        """What the model answers to `inputs`, in the series' unit: (N,), float64.

        `prediction` is (N, 1), or (N, window, 1), of which the last step counts.
        """
        change = self.mean + self.std * prediction.reshape(len(self.truth), -1)[:, -1].astype(float)
        # change = log value − log naive, or value − naive
        return self.naive * np.exp(change) if self.log else self.naive + change

    def rmse(self, values: Array) -> float:
        """The root of the mean squared difference of `values`, (N,), from the truth."""
        return float(np.sqrt(np.mean((values - self.truth) ** 2)))


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
    text = resources.files(__package__).joinpath("airline-passengers.csv").read_text("utf-8")
    passengers = parse_column(text.splitlines(), "passengers", "airline-passengers.csv")
    years = 1949 + np.arange(len(passengers)) / 12
    first = int(np.argmax(years >= 1957))
    unit = "thousand passengers"
    return windows(passengers, years, 12, 12, True, first, every_step, unit, "year")


def own_series(path: str, column: str, window: int, every_step: bool = False) -> Data:
    """Windows of `window` changes from one row to the next in a column of a CSV file.

    Changes are standardized; the targets are the change after each window. The last fifth of the
    windows is held out. Raises OSError for a file that cannot be read and ValueError for a column
    that is missing, holds something else than numbers, is too short or never changes its pace.
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        values = parse_column(file, column, path)
    count = len(values) - 1 - window
    if count < 5:
        raise ValueError(
            f"{path}: expected at least {window + 6} values in column {column!r} for windows of "
            f"{window}, got {len(values)}"
        )
    rows = 1.0 + np.arange(len(values))
    first = len(values) - count // 5
    try:
        return windows(values, rows, 1, window, False, first, every_step, column, "row")
    except ValueError as error:
        raise ValueError(f"{path}, column {column!r}: {error}") from None


def windows(
    values: Array,
    times: Array,
    lag: int,
    window: int,
    log: bool,
    first: int,
    every_step: bool,
    unit: str,
    time_unit: str,
) -> Data:
    """Windows of the standardized changes over `lag` steps, and the change after each.

    Returns inputs (N, window, 1) and targets (N, 1) of the values before number `first`, and what
    comes from there on. If `every_step`, the targets are the windows one step later,
    (N, window, 1). Mean and standard deviation are those of the changes before `first`. Raises
    ValueError when the changes cannot be standardized.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.log(values) if log else values
        change = scaled[lag:] - scaled[:-lag]  # of the values number lag, lag + 1, ...
        mean, std = change[: first - lag].mean(), change[: first - lag].std()
        z = (change - mean) / std if std else change
    if not np.isfinite(z).all():
        raise ValueError(f"expected smaller numbers: their changes overflow, {change.min()}")
    if std <= 1e-12 * np.abs(scaled).max():
        raise ValueError(
            f"expected values whose change varies, got the same change of {mean:g} throughout the "
            f"training part"
        )
    steps = np.lib.stride_tricks.sliding_window_view(z, window)[:, :, np.newaxis]
    inputs = steps[:-1].copy()  # (N, window, 1)
    targets = steps[1:].copy() if every_step else z[window:, np.newaxis]
    train = first - lag - window
    held_out = HeldOut(
        inputs[train:],
        values[first:],
        values[first - lag : len(values) - lag],
        times[first:],
        unit,
        time_unit,
        log,
        float(mean),
        float(std),
    )
    return Data(inputs[:train], targets[:train], held_out)


def parse_column(lines: Iterable[str], column: str, name: str) -> Array:
    """The numbers in a column of a CSV file with a header, (rows,), float64.

    `name` is the file's, for messages. Empty lines are skipped. Raises ValueError when there is no
    such column or two, and for a cell that is no finite number, naming its line.
    """
    reader = csv.reader(lines, skipinitialspace=True, strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        if header.count(column) != 1:
            found = ", ".join(header) or "no header"
            raise ValueError(f"{name}: expected one column named {column!r}, got {found}")
        place = header.index(column)
        return np.array(
            [_number(row, place, f"{name}, line {reader.line_num}") for row in reader if row]
        )
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{name}, line {reader.line_num + 1}: no CSV text: {error}") from None


def _number(row: list[str], place: int, where: str) -> float:
    if place >= len(row):
        raise ValueError(f"{where}: expected at least {place + 1} cells, got {len(row)}")
    try:
        number = float(row[place])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: expected a number, got {row[place]!r}")
    return number
