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
    elsewhere: bool,
) -> Finding:
    """The finding; `made` are all the edits that are needed together.

    elsewhere: whether they were also seen to be right on inputs of other sizes.
    """
    old, new = shown(edit)
    lines = sorted({str(statement.lineno) for statement in edit.statements}, key=int)
    where = f"line{'s' * (len(lines) > 1)} {joined(lines)}"
    code = joined([f"`{line}`" for line in old])
    mended = {
        "as": f"with {where} as {joined([f'`{line}`' for line in new])}",
        "without": f"without {where}",
        "after": f"with `{edit.inserted}` after {where}",
    }[edit.how]
    others = sorted({other.statements[0].lineno for other, _ in made if other is not edit})
    if others:
        mended += f", and line{'s' * (len(others) > 1)} {joined([*map(str, others)])} mended too"
    right = f"all {count} gradients are" if count > 1 else "the gradient is"
    too = ", on inputs of other sizes too" if elsewhere else ""
    is_wrong = f"{len(wrong)} {'are' if len(wrong) > 1 else 'is'} wrong"
    evidence = f"{mended}, {right} right to {worst:.0e}{too}; as it is, {is_wrong}"
    texts = [f"line {r.statements[0].lineno}: {r.cause}" for r in rivals if shown(r)[1] != new]
    return Finding(
        edit.name,
        f"{edit.cause} ({where}: {code})",
        evidence,
        place(edit),
        tuple(sorted(wrong)),
        tuple(dict.fromkeys(texts))[:2],
    )


def place(edit: Edit) -> str:
    """FILE:LINE: the line as it should read."""
    old, new = shown(edit)
    code = joined([f"`{line}`" for line in old])
    look = {"as": new[0], "without": f"take out {code}",
            "after": f"{edit.inserted}, to follow {code}"}[edit.how]  # fmt: skip
    first = min(statement.lineno for statement in edit.statements)
    return f"{os.path.basename(edit.part.file)}:{first}: {look}"


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
