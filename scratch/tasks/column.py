"""A column of numbers from a CSV file as spreadsheets write it, and the dates beside it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from ..machinery.module import Array
from ..machinery.printable import short
from .table import Table, read_table
from .times import read_times

MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none"}
DECIMALS = {".": "point", ",": "comma"}
GROUPS = {".": ",", ",": "."}  # between groups of three digits, where the decimal mark is the other


@dataclass(frozen=True)
class Reading:
    """How to read a file where that does not follow from it; None is to find out.

    encoding: a name that Python knows. decimal: "." or ",". time: the column with the times, dates
    or numbers; by default the one column of dates there is. time_format: the form of its dates, as
    `datetime.strptime` takes it. missing: "drop" leaves out rows without a number, "interpolate"
    fills them in between their neighbours in time; by default they are refused.
    """

    encoding: str | None = None
    decimal: str | None = None
    time: str | None = None
    time_format: str | None = None
    missing: str | None = None


@dataclass(frozen=True)
class Column:
    """values: (M,), float64. times: (M,), float64 or datetime64, rising. how: it was read."""

    values: Array
    times: Array
    time_name: str
    how: str


def read_column(content: bytes, column: str, name: str, reading: Reading | None = None) -> Column:
    """The numbers in a column of a CSV file with a header, in the order of time.

    `name` is the file's, for messages. Raises ValueError where there is no such column or two, for
    a cell that is not a finite number, for missing cells, and for what can be read in two ways,
    with the lines and what would help.
    """
    reading = reading or Reading()
    table = read_table(content, column, name, reading.encoding)
    where = f"{name}, column {short(column)!r}"
    values, notes = read_numbers(table, table.cells(column), where, reading.decimal)
    kept, gap_note = choose_rows(table, values, where, reading.missing)
    table, values = table.select(kept), values[kept]
    times, time_name, time_note = read_times(table, column, reading.time, reading.time_format)
    if len(times) > 1 and times[-1] < times[0]:
        values, times = values[::-1].copy(), times[::-1].copy()
        time_note += ", turned round, as the latest came first"
    gaps = np.isnan(values)
    if gaps.any():
        seconds = (times - times[0]) / (times[-1] - times[0])  # dates become numbers
        values[gaps] = np.interp(seconds[gaps], seconds[~gaps], values[~gaps])
    how = [table.how, *notes, *gap_note, f"{len(values)} values", time_note]
    return Column(values, times, time_name, ", ".join(how))


# Numbers


def read_numbers(
    table: Table, cells: list[str], where: str, decimal: str | None
) -> tuple[Array, list[str]]:
    """(rows,), float64, NaN for a missing cell; and how decimals are written, in words."""
    given = np.array([cell.casefold() not in MISSING for cell in cells], bool)
    by_mark = {mark: np.array([number(cell, mark) for cell in cells]) for mark in DECIMALS}
    if decimal is None:
        decimal = find_decimal(table, cells, given, by_mark, where)
    values = by_mark[decimal]
    if not np.isfinite(values[given]).all():
        row = int(np.argmax(given & ~np.isfinite(values)))
        other = {",": ".", ".": ","}[decimal]
        hint = ""
        if np.isfinite(by_mark[other][row]):
            hint = f" with a decimal {DECIMALS[decimal]}"
        raise ValueError(
            f"{table.name}, line {table.rows[row][0]}: expected a number{hint}, got "
            f"{short(cells[row])!r}"
        )
    values[~given] = np.nan
    notes = []
    if any(decimal in cell for cell in cells):
        notes.append(f"decimal {DECIMALS[decimal]}")
    if any(GROUPS[decimal] in cell for cell in cells):
        notes.append("digits in groups of three")
    return values, notes


def find_decimal(
    table: Table, cells: list[str], given: Array, by_mark: dict[str, Array], where: str
) -> str:
    """The mark with which most cells are numbers. Raises ValueError where it could be either."""
    fits = {mark: int(np.isfinite(values[given]).sum()) for mark, values in by_mark.items()}
    if fits["."] != fits[","]:
        return max(fits, key=lambda mark: fits[mark])
    differ = given & (by_mark["."] != by_mark[","]) & np.isfinite(by_mark["."])
    if table.separator == "," and len(table.header) > 1:
        return "."
    # 1,234 may be 1234 or 1.234. So may 1.234 where columns are separated by semicolons, since
    # the comma is taken; elsewhere it is what everything but a spreadsheet writes.
    if not differ.any() or (table.separator != ";" and not any("," in cell for cell in cells)):
        return "."
    row = int(np.argmax(differ))
    raise ValueError(
        f"{where}: expected one way to read {short(cells[row])!r} in line {table.rows[row][0]}, "
        f"got {by_mark['.'][row]:g} with --decimal . and {by_mark[','][row]:g} with --decimal ,"
    )


def number(cell: str, decimal: str) -> float:
    """The number in a cell, NaN if there is none. Groups of three digits may stand apart."""
    match = NUMBERS[decimal].fullmatch(cell)
    if match is None:
        return math.nan
    plain = cell.replace("−", "-").replace(decimal, "d")  # 1'234,5 -> 1'234d5 -> 1234.5
    return float(re.sub(r"[^\dde+-]", "", plain, flags=re.IGNORECASE).replace("d", "."))


def number_pattern(decimal: str) -> re.Pattern[str]:
    """1234.5, .5, 1e-3 and, with groups, 1,234.5; also 1 234.5 and 1'234.5."""
    group = rf"[{GROUPS[decimal]} \u00a0\u2009\u202f'’]"
    whole = rf"[1-9]\d{{0,2}}(?:({group})\d{{3}}(?:\1\d{{3}})*)|\d+"
    mark = re.escape(decimal)
    return re.compile(
        rf"[+\-−]?(?:(?:{whole})(?:{mark}\d*)?|{mark}\d+)(?:e[+-]?\d+)?", re.IGNORECASE
    )


NUMBERS = {decimal: number_pattern(decimal) for decimal in DECIMALS}


# Missing cells


def choose_rows(
    table: Table, values: Array, where: str, missing: str | None
) -> tuple[list[int], list[str]]:
    """The numbers of the rows to keep, and what became of the others, in words."""
    gaps = np.isnan(values)
    known = np.flatnonzero(~gaps)
    count = int(gaps.sum())
    if not count:
        return known.tolist(), []
    cells = f"{count} missing cell{'s' if count > 1 else ''}"
    lines = [str(table.rows[row][0]) for row in np.flatnonzero(gaps)[:5]]
    more = ", …" if count > len(lines) else ""
    if missing is None or not known.size:
        raise ValueError(
            f"{where}: expected numbers, got {cells} in line{'s' if count > 1 else ''} "
            f"{', '.join(lines)}{more}: --missing drop leaves such rows out, --missing interpolate "
            f"fills them in"
        )
    if missing == "drop":
        return known.tolist(), [f"{cells} left out"]
    kept = list(range(known[0], known[-1] + 1))
    ends = len(values) - len(kept)  # they have one neighbour only
    notes = [f"{count - ends} of {cells} interpolated"]
    return kept, notes + ([f"{ends} at the ends left out"] if ends else [])
