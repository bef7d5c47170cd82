"""What an edit that mends the gradients says of the line as it is."""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence

from ..report import Finding
from .edits import Edit


def finding(
    edit: Edit,
    rivals: Sequence[Edit],
    made: Sequence[tuple[Edit, Sequence[Edit]]],
    wrong: set[str],
    count: int,
    worst: float,
) -> Finding:
    """The finding; `made` are all the edits that are needed together."""
    old, new = shown(edit)
    numbers = sorted(statement.lineno for statement in edit.statements)
    where = f"line{'s' * (len(numbers) > 1)} {joined([str(n) for n in numbers])}"
    other = [m for m, _ in made if m is not edit]
    others = f", and line {joined([str(m.statements[0].lineno) for m in other])} mended" * bool(other)
    gradients = f"all {count} gradients are" if count > 1 else "the gradient is"
    changed = {
        "as": f"with {where} as {joined([f'`{line}`' for line in new])}",
        "without": f"without {where}",
        "after": f"with `{edit.inserted}` after {where}",
    }[edit.how]
    evidence = f"{changed}{others}, {gradients} right to {worst:.0e}; as it is, {len(wrong)} are wrong"
    words = edit.cause
    code = joined([f"`{line}`" for line in old])
    look = f"{os.path.basename(edit.part.file)}:{numbers[0]}: "
    look += {
        "as": f"{new[0] if new else ''}",
        "without": f"take out {code}",
        "after": f"{edit.inserted}, to follow {code}",
    }[edit.how]
    alternatives = []
    for rival in rivals:
        lines = shown(rival)[1]
        text = f"line {rival.statements[0].lineno}: {rival.cause}"
        if lines != new and text not in alternatives:
            alternatives.append(text)
    return Finding(
        edit.name, f"{words} ({where}: {code})", evidence, look, tuple(sorted(wrong)),
        tuple(alternatives[:2]),
    )  # fmt: skip


def joined(words: Sequence[str]) -> str:
    """one, two and three"""
    return ", ".join(words[:-1]) + " and " * (len(words) > 1) + "".join(words[-1:])


def shown(edit: Edit) -> tuple[list[str], list[str]]:
    """The lines as they are, and as they should read."""
    old = [line_of(statement) for statement in edit.statements]
    holders = [(holder, field, index) for holder, field, index, _ in edit.changes]
    before = edit.apply()
    try:
        new = []
        for statement in edit.statements:
            current = statement
            for holder, field, index in holders:
                if index is not None and isinstance(getattr(holder, field)[index], ast.stmt):
                    current = getattr(holder, field)[index]
            new.append(line_of(current))
    finally:
        edit.undo(before)
    return old, new


def line_of(statement: ast.stmt) -> str:
    """A statement as text; of one with others inside, its first line."""
    text = ast.unparse(statement)
    return text.splitlines()[0] if isinstance(statement, ast.For | ast.If | ast.While) else text
