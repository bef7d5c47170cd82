"""A table as HTML, for what a notebook shows of an object (`_repr_html_`)."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Sequence


def html_table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    caption: str = "",
    marked: Collection[int] = (),
) -> str:
    """A table with a line of headings; the rows with the numbers in `marked` are bold.

    Cells show `str(cell)`, with `<` and `&` escaped; None is an empty cell. Numbers, and strings
    that begin like one, stand on the right. Raises ValueError for a row of another length.
    """
    lines = [f"<caption>{html.escape(caption)}</caption>"] if caption else []
    lines.append(_row("th", head, "text-align: left"))
    for number, row in enumerate(rows):
        if len(row) != len(head):
            raise ValueError(f"rows: expected {len(head)} cells, got {len(row)} in row {number}")
        lines.append(_row("td", row, "font-weight: bold" if number in marked else ""))
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _row(tag: str, cells: Sequence[object], style: str) -> str:
    parts = []
    for cell in cells:
        text = "" if cell is None else str(cell)
        side = "" if tag == "th" else f"text-align: {'right' if _is_number(text) else 'left'}"
        styles = "; ".join(filter(None, (style, side)))
        parts.append(f'<{tag} style="{styles}">{html.escape(text)}</{tag}>')
    return f"<tr>{''.join(parts)}</tr>"


def _is_number(text: str) -> bool:
    return text[:1].isdigit() or (text[:1] in "+-−." and text[1:2].isdigit())
