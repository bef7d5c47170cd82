"""The time axis of a table: dates, in ISO 8601 or as spreadsheets write them, or numbers."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np

from ..machinery.module import Array
from ..machinery.printable import short
from .table import Table, normal

ISO = "ISO 8601"
HALVES = {"오전": "AM", "오후": "PM"}  # of a day, as a Korean spreadsheet writes them
DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y년 %m월 %d일"),
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%d-%b-%y"),
    *("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%b %d, %Y", "%B %d, %Y"),
)
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
MONTHS = ("%Y-%m", "%Y/%m", "%Y.%m", "%m/%Y", "%m.%Y", "%b %Y", "%B %Y", "%b-%Y", "%Y년 %m월")
FORMS = (ISO, *(day + clock for day in DAYS for clock in CLOCKS), *MONTHS)


def find_dates(cells: list[str], form: str | None = None) -> dict[str, Array]:
    """By form (of `datetime.strptime`), the dates of all cells, (M,) datetime64[us].

    Readings that differ, as of 01/02/2024, are all returned; none where some cell is not a date.
    A time with an offset from UTC becomes UTC.
    """
    found: dict[str, Array] = {}
    for each in FORMS if form is None else (form,):
        dates = read_as(cells, each)
        if dates is not None and not any(np.array_equal(dates, other) for other in found.values()):
            found[each] = dates
    return found


def read_as(cells: list[str], form: str) -> Array | None:
    """The dates of all cells in one form, or None."""
    try:
        return np.array([read_date(cell, form) for cell in cells], "datetime64[us]")
    except ValueError:
        return None


def read_date(cell: str, form: str) -> datetime:
    if form in FORMS:
        cell = re.sub(r"\.\s+", ".", cell).removesuffix(".")  # 2024. 1. 31., as in Korean
        cell = re.sub(r"(오전|오후) *(\S+)", lambda half: f"{half[2]} {HALVES[half[1]]}", cell)
    date = datetime.fromisoformat(cell) if form == ISO else datetime.strptime(cell, form)
    return date if date.tzinfo is None else date.astimezone(UTC).replace(tzinfo=None)


def first_not_a_date(cells: list[str], form: str | None) -> int:
    """The number of the first cell that is not a date in one of the forms before; there is one."""
    low, high = 0, len(cells)  # cells[:low] are dates in one form, cells[:high] are not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if find_dates(cells[:middle], form) else (low, middle)
    return low


# The axis


def read_times(
    table: Table, column: str, time: str | None, form: str | None
) -> tuple[Array, str, str]:
    """The times of the rows, rising or falling: (M,), the name of the axis, how it was found."""
    if time is None and form is not None:
        raise ValueError("--time-format: expected --time with it")
    if time is not None:
        times = read_named(table, time, form)
        return times, short(time), f"times in {short(time)!r} {span(times)}"
    rows = 1.0 + np.arange(len(table.rows))
    found = {}
    for name, cells in other_columns(table, column):
        readings = find_dates(cells) if len(cells) > 1 else {}
        if readings:
            found[name] = [dates for dates in readings.values() if is_sorted(dates)]
    named = ", ".join(repr(short(name)) for name in found)
    if not found:
        refuse_totals(table, column)
        return rows, "row", "no dates"
    if len(found) > 1:
        return rows, "row", f"dates in {named} not used, expected one such column or --time"
    ((name, kept),) = found.items()
    if len(kept) > 1:
        return rows, "row", f"dates in {named} not used, to be read in two ways without --time"
    if not kept:
        return rows, "row", f"dates in {named} not used, as they neither rise nor fall"
    return kept[0], short(name), f"dates in {named} {span(kept[0])}"


def other_columns(table: Table, column: str) -> list[tuple[str, list[str]]]:
    """Those with a name of their own, and their cells."""
    names = [n for n in table.header if n and n != normal(column) and table.header.count(n) == 1]
    return [(n, [cell_of(row, table, n) for _, row in table.rows]) for n in names]


def cell_of(row: list[str], table: Table, name: str) -> str:
    place = table.header.index(name)
    return row[place] if place < len(row) else ""


def refuse_totals(table: Table, column: str) -> None:
    """Raises ValueError where the last row alone has no date: its number is not of the series."""
    for name, cells in other_columns(table, column):
        if len(cells) > 2 and any(map(is_sorted, find_dates(cells[:-1]).values())):
            raise ValueError(
                f"{table.name}, line {table.rows[-1][0]}: expected a date in {short(name)!r}, as "
                f"in the lines before, got {short(cells[-1])!r}: take out a line of totals"
            )


def read_named(table: Table, name: str, form: str | None) -> Array:
    """The column `name` as dates, or as numbers where they are not dates."""
    cells = table.cells(name)
    readings = find_dates(cells, form)
    kept = {key: dates for key, dates in readings.items() if is_sorted(dates)} or readings
    if len(kept) > 1:
        ways = " or ".join(f"--time-format '{key}'" for key in kept)
        raise ValueError(
            f"{table.name}, column {short(name)!r}: expected one way to read {short(cells[0])!r}, "
            f"got several: {ways}"
        )
    times = next(iter(kept.values())) if kept else as_numbers(cells, form)
    if times is None:
        row = first_not_a_date(cells, form)
        wanted = "in ISO 8601, or --time-format" if form is None else f"of the form {form}"
        raise ValueError(
            f"{table.name}, line {table.rows[row][0]}: expected a date {wanted}, got "
            f"{short(cells[row])!r}"
        )
    steps = np.sign((times[1:] - times[:-1]).astype(np.float64))
    moves = steps[steps != 0]
    if not is_sorted(times):
        row = int(np.argmax(steps == -moves[0])) + 1 if moves.size else 1
        raise ValueError(
            f"{table.name}, line {table.rows[row][0]}: expected times that rise or fall from row "
            f"to row, got {short(cells[row])!r} after {short(cells[row - 1])!r}"
        )
    return times


def as_numbers(cells: list[str], form: str | None) -> Array | None:
    """Times that are numbers, such as years; None where there is a form, or no number."""
    try:
        times = np.array([float(cell) for cell in cells])
    except ValueError:
        return None
    return times if form is None and np.isfinite(times).all() else None


def is_sorted(times: Array) -> bool:
    """Whether they rise or fall; two may be equal, but not all."""
    rises, falls = (times[1:] >= times[:-1]).all(), (times[1:] <= times[:-1]).all()
    return bool(rises != falls) or len(times) < 2


def span(times: Array) -> str:
    """From when to when, and how many have the time of the row before."""
    dates = times.dtype.kind == "M"
    first, last = (
        str(time.astype("datetime64[D]")) if dates else f"{time:g}"
        for time in (times.min(), times.max())
    )
    same = int((times[1:] == times[:-1]).sum())
    return f"from {first} to {last}" + (f" ({same} of them twice)" if same else "")
