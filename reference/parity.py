"""How far two sides are apart, in numbers: a row for every output and every gradient."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from scratch.machinery.html import html_table
from scratch.machinery.module import Array

from .table import align
from .twin import to_numpy

# Relative to the largest number of the tensor: both sides add up the same terms in another order,
# which moves the last digits of 16 (float64) or 7 (float32), and more of them where a sum cancels.
TOLERANCE = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-5}

Kind = Literal["output", "gradient"]


@dataclass(frozen=True)
class Row:
    """One tensor on both sides."""

    kind: Kind
    name: str  # a gradient has the name of what it is the gradient of
    shape: tuple[int, ...]
    difference: float  # max|a − b|
    relative: float  # max|a − b| / max|b|, b being torch's
    index: tuple[int, ...]  # where the difference is largest
    scratch: float  # the values there
    torch: float
    tolerance: float  # what `relative` may be: 1e-12 in float64, 1e-5 in float32
    nan: int = 0  # entries that are NaN on both sides, which count as equal
    problem: str = ""  # what cannot be subtracted: another shape or dtype, or no gradient

    @property
    def label(self) -> str:
        return self.name if self.kind == "output" else f"gradient of {self.name}"

    @property
    def ok(self) -> bool:
        return self.relative <= self.tolerance


@dataclass(frozen=True)
class Parity:
    """A row for every output and every gradient. `str()` is a table for the terminal."""

    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()  # what is not in the rows: why they differ, what was left out
    names: tuple[str, str] = ("scratch", "torch")  # of the two sides

    @property
    def ok(self) -> bool:
        """Whether every difference is within its row's tolerance."""
        return all(row.ok for row in self.rows)

    def worst(self, kind: Kind) -> Row:
        """The output or the gradient with the largest relative difference."""
        return max((row for row in self.rows if row.kind == kind), key=lambda row: row.relative)

    def __str__(self) -> str:
        table = align(self._lines(), left=(0, 1, 4, 7))
        return "\n".join([self.title, table, self._summary(), *self.notes])

    def _repr_html_(self) -> str:
        """The same in a notebook; what differs is bold."""
        head, *rows = self._lines()
        differ = [k for k, row in enumerate(self.rows) if not row.ok]
        below = "".join(f"<p>{html.escape(line)}</p>" for line in (self._summary(), *self.notes))
        return html_table(head, rows, caption=self.title, marked=differ) + below

    def _lines(self) -> list[tuple[str, ...]]:
        """The table: its heads, then a line for each row."""
        lines: list[tuple[str, ...]]
        lines = [("", "shape", "largest difference", "relative", "at", *self.names, "")]
        for row in self.rows:
            verdict = "NaN on both sides" if row.nan else ""
            verdict = verdict if row.ok else "differs"
            numbers = f"{row.difference:.1e}", f"{row.relative:.1e}", str(row.index)
            values = f"{row.scratch:.6g}", f"{row.torch:.6g}"
            if row.problem:
                numbers, values, verdict = ("", "", ""), ("", ""), row.problem
            lines.append((row.label, str(row.shape), *numbers, *values, verdict))
        return lines

    def _summary(self) -> str:
        bad = [row for row in self.rows if not row.ok]
        tolerance = max(row.tolerance for row in self.rows)
        if bad:
            return f"{len(bad)} of {len(self.rows)} tensors differ by more than {tolerance:.0e}."
        agree = f"relative difference at most {tolerance:.0e}."
        nan = [row for row in self.rows if row.nan]
        if not nan:
            return f"All {len(self.rows)} tensors agree: {agree}"
        return (
            f"{len(nan)} of {len(self.rows)} tensors hold NaN in the same places on both sides, "
            f"where nothing can be compared: {', '.join(row.label for row in nan)}. The rest: "
            f"{agree}"
        )


def inaccurate_side(scratch: float, torch: float, name: str = "scratch") -> str:
    """Whose numbers are further from those in float64, where one side's clearly are."""
    worse, better = max(scratch, torch), min(scratch, torch)
    if not worse >= 2 * better > 0:
        return "so neither side is clearly the inaccurate one"
    names = (name, "torch") if scratch > torch else ("torch", name)
    return f"so the inaccurate side is {names[0]}: {names[1]} is {worse / better:.0f} times closer"


def rows(kind: Kind, tensors: Iterable[tuple[str, Any, torch.Tensor]]) -> Iterator[Row]:
    """A row for each name with the array of scratch, or None, and the tensor of torch."""
    for name, ours, theirs in tensors:
        yield row_of(kind, name, ours, to_numpy(theirs))


def row_of(kind: Kind, name: str, ours: Any, theirs: Array, lenient: bool = False) -> Row:
    """`ours` is an array, a NumPy scalar, or None for a gradient that is not there.

    If `lenient`, axes of length 1 do not count, and of two dtypes the coarser one does.
    """
    tolerance = TOLERANCE[theirs.dtype]
    if lenient and ours is not None:
        ours = np.asarray(ours)
        if [n for n in ours.shape if n != 1] == [n for n in theirs.shape if n != 1]:
            ours = ours.reshape(theirs.shape)
        if ours.dtype in TOLERANCE:
            tolerance = max(tolerance, TOLERANCE[ours.dtype])
            ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    problem = _problem(ours, theirs)
    if problem:
        nan = math.nan
        return Row(
            kind, name, theirs.shape, nan, math.inf, (), nan, nan, tolerance, problem=problem
        )
    a, b = np.asarray(ours), theirs
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        difference = np.array(np.abs(a - b))
    difference[(a == b) | (np.isnan(a) & np.isnan(b))] = 0  # infinite or NaN on both sides
    difference[np.isnan(difference)] = math.inf
    if not b.size:
        return Row(kind, name, b.shape, 0.0, 0.0, (), math.nan, math.nan, tolerance)
    index = tuple(int(i) for i in np.unravel_index(difference.argmax(), b.shape))
    largest = float(difference[index])
    scale = float(np.abs(b[np.isfinite(b)]).max(initial=0))
    relative = largest / scale if scale else (math.inf if largest else 0.0)
    values = float(a[index]), float(b[index])
    nan = int((np.isnan(a) & np.isnan(b)).sum())
    return Row(kind, name, b.shape, largest, relative, index, *values, tolerance, nan)


def _problem(ours: Any, theirs: Array) -> str:
    if ours is None:
        return "no gradient"
    if np.shape(ours) != theirs.shape:
        return f"shape {np.shape(ours)}"
    if np.asarray(ours).dtype != theirs.dtype:
        return f"dtype {np.asarray(ours).dtype}"
    return ""
