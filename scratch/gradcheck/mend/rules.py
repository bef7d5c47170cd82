"""All the edits that are tried, of an expression and of a line."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from . import derivatives, lines, loops, matrices, record, sums, variables
from .edits import Edit, Spot
from .lines import Line

OF_EXPRESSIONS = (
    variables.shifts, variables.others, variables.slices, variables.swapped,
    derivatives.derivatives, derivatives.inside_out, derivatives.missing_factor,
    sums.superfluous, sums.crossed, sums.parentheses, sums.differences, sums.missing_term,
    sums.normalized,
    matrices.transposes, matrices.axes, matrices.choices, matrices.flips,
)  # fmt: skip
OF_LOOPS = (variables.swapped, matrices.choices, matrices.flips)
OF_TARGETS = (variables.shifts, variables.others)
OF_LINES = (
    lines.added_or_assigned, lines.too_many, lines.targets, lines.never_carried,
    lines.last_step_only, loops.bounds, record.shared, record.target_not_subtracted, lines.repeated,
)  # fmt: skip


def of_expression(spot: Spot) -> Iterator[Edit]:
    """Every edit of one expression; what stands inside has its own."""
    of_loop = isinstance(spot.statement, ast.For)
    for rule in OF_TARGETS if spot.stores else OF_LOOPS if of_loop else OF_EXPRESSIONS:
        yield from rule(spot)


def of_line(line: Line) -> Iterator[Edit]:
    for rule in OF_LINES:
        yield from rule(line)
