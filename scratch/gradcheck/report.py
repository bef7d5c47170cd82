"""What a check found: a table of the gradients, then the causes, most certain first."""

from __future__ import annotations

import html
import textwrap
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..machinery.html import html_table
from ..machinery.module import Array

Index = tuple[int, ...]
WIDTH = 100  # of the findings' lines
NOT_CLAIMED = "not claimed"  # the problem of a row that is neither right nor wrong
MISSING = "no gradient came for"  # how the name of a remark on a parameter begins


@dataclass(frozen=True)
class Row:
    """One gradient, or one gate's rows of it.

    difference and relative are max|claimed − true| and the same over max|true|; they are at
    `where`, with `claimed` and `true` there. They are None where there is nothing to compare.
    """

    name: str
    shape: tuple[int, ...]
    ok: bool
    judged: str  # "each entry", "10 directions", ...
    difference: float | None = None
    relative: float | None = None
    where: Index | None = None
    claimed: float | None = None
    true: float | None = None
    kinks: int = 0  # entries at a kink, where there is no derivative; they are not judged
    problem: str = ""  # why there is nothing to compare
    gates: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Finding:
    """A cause that was tested. `name` is a short name for it, `tensors` what it explains."""

    name: str
    cause: str
    evidence: str
    look: str
    tensors: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()  # names of other causes that fit the same numbers

    def __str__(self) -> str:
        parts = [("", self.cause), ("evidence: ", self.evidence)]
        if self.alternatives:
            parts.append(("the same numbers follow from: ", "; ".join(self.alternatives)))
        if self.look:
            parts.append(("look at: ", self.look))
        return "\n".join(
            textwrap.fill(
                label + text,
                WIDTH,
                initial_indent="     ",
                subsequent_indent=" " * (5 + len(label)),
            )
            for label, text in parts
        ).lstrip()


@dataclass(frozen=True)
class GradientReport:
    """The result of `check_gradients`. `str(report)` is the table and the findings.

    remarks: what the code does beside computing gradients (it remembers a pass, it changes what it
    is given), where its convention allows that.
    """

    subject: str
    judge: str
    tolerance: float
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = field(default=())
    remarks: tuple[Finding, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Every gradient right and no finding."""
        return not self.findings and all(row.ok for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """The report as numbers, strings and lists."""
        return {"ok": self.ok, **asdict(self)}

    def __str__(self) -> str:
        lines = [f"{self.subject}: {self.verdict}"]
        if self.judge != "none":
            lines.append(f"judge: {self.judge}, relative tolerance {self.tolerance:.0e}")
        if self.rows:
            lines += ["", *table(self.rows)]
        for k, finding in enumerate([*self.findings, *self.remarks], 1):
            lines += ["", f"{k:>3}. {finding}"]
        if self.notes:
            lines += ["", *(f"note: {note}" for note in self.notes)]
        return "\n".join(lines)

    @property
    def verdict(self) -> str:
        """The gradients, and apart from them what else the code does: "right: 4 gradients"."""
        judged = [row for row in self.rows if row.problem != NOT_CLAIMED]
        wrong = sum(not row.ok for row in judged)
        count = f"{len(judged)} gradient{'s' * (len(judged) != 1)}"
        if wrong:
            words = f"WRONG: {wrong} of {count}"
        elif self.findings:
            words = f"WRONG: all {count} right, but " if judged else "WRONG: "
            return words + ", ".join(finding.name for finding in self.findings)
        else:
            missing = [
                name for r in self.remarks if r.name.startswith(MISSING) for name in r.tensors
            ]
            several = f"{len(judged)} of {len(judged) + len(missing)} gradients"
            words = f"right: {several if missing else count}"
        names = [remark.name for remark in self.remarks]
        return words + (f"; but {', '.join(names)}" if names else "")

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The same in a notebook; what is wrong is bold, and the findings stand below."""
        before, lines = str(self).split("\n\n")[0], cells(self.rows)
        after = [*self.findings, *self.remarks]
        wrong = [k for k, line in enumerate(lines) if line[0] == "WRONG"]
        words = [*(f"{k}. {found}" for k, found in enumerate(after, 1)), *self.notes]
        below = "".join(f"<p>{html.escape(text)}</p>" for text in words)
        return html_table(HEADER, lines, caption=before.replace("\n", "; "), marked=wrong) + below


HEADER = ("", "gradient of", "shape", "difference", "relative", "at", "claimed", "true", "judged")


def cells(rows: tuple[Row, ...]) -> list[tuple[str, ...]]:
    """The cells of each row, and below a wrong gradient those of its gates."""
    lines = []
    for row in rows:
        lines.append(_cells(row))
        if not row.ok:
            lines += [_cells(gate, indent="  ") for gate in row.gates]
    return lines


def table(rows: tuple[Row, ...]) -> list[str]:
    """The rows as lines of text, below the heads of the columns."""
    lines = [HEADER, *cells(rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(HEADER))]
    left = (0, 1, 2, 8)
    return [
        "  ".join(
            text.ljust(width) if k in left else text.rjust(width)
            for k, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _cells(row: Row, indent: str = "") -> tuple[str, ...]:
    mark = "ok" if row.ok else "WRONG"
    mark = "" if row.problem == NOT_CLAIMED else mark
    shape = "" if indent else "×".join(map(str, row.shape)) or "number"
    judged = row.problem or row.judged
    if row.kinks:
        judged += f", {row.kinks} at a kink"
    numbers = [f"{n:.1e}" for n in (row.difference, row.relative) if n is not None]
    if row.where is not None and numbers:
        numbers += [str(list(row.where)), f"{row.claimed:.6g}", f"{row.true:.6g}"]
    numbers += [""] * (5 - len(numbers))
    if row.kinks and row.where is None:
        numbers = [""] * 5
    return (mark, indent + row.name, shape, *numbers, "" if indent else judged)


def error(claimed: Array, predicted: Array) -> float:
    """max|claimed − predicted| / max|predicted|"""
    scale = float(np.abs(predicted).max(initial=0))
    gap = float(np.abs(claimed - predicted).max(initial=0))
    return 0.0 if gap == 0 else gap / scale if scale else np.inf


def row_of(
    name: str,
    claimed: Array,
    true: Array,
    tolerance: float,
    floor: float,
    *,
    judged: str = "each entry",
    kinks: Array | None = None,
) -> Row:
    """The row of one gradient. `floor` is the absolute difference that rounding explains."""
    difference = np.abs(claimed - true)
    difference = np.where(np.isnan(difference), np.inf, difference)
    if not difference.size:
        return Row(name, true.shape, True, judged, 0.0, 0.0)
    if kinks is not None:
        if kinks.all():
            return Row(name, true.shape, True, judged, kinks=kinks.size)
        difference = np.where(kinks, -1, difference)
    where = tuple(int(k) for k in np.unravel_index(difference.argmax(), true.shape))
    largest, scale = float(difference[where]), float(np.abs(true).max())
    relative = largest / scale if scale else (0.0 if largest <= floor else np.inf)
    return Row(
        name,
        true.shape,
        bool(largest <= tolerance * scale + floor),
        judged,
        largest,
        relative,
        where,
        float(claimed[where]),
        float(true[where]),
        0 if kinks is None else int(kinks.sum()),
    )
