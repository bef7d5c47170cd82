"""Tables as HTML, for what a notebook shows of an object (`_repr_html_`)."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def record_html(record: Any) -> str:
    """The arrays of a record and of the records in it: their names, shapes and ranges.

    record: a NamedTuple, a dataclass with a `_repr_html_`, or a run, whose arrays have `names`.
    The range of complex numbers is that of their absolute values.
    """
    rows = [
        (name, f"{array.dtype} {array.shape}", *map(_number, _range(array)))
        for name, array in _named_arrays(record)
    ]
    head = ("", "dtype and shape", "smallest", "largest")
    return html_table(head, rows, caption=type(record).__name__)


def _named_arrays(value: Any, name: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays in `value` under the expressions that lead to them: `runs["l0"].i`."""
    if isinstance(value, np.ndarray):
        yield name, value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _named_arrays(entry, f'{name}["{key}"]')
    elif isinstance(value, tuple) and not hasattr(value, "_fields"):
        for number, entry in enumerate(value):
            yield from _named_arrays(entry, f"{name}[{number}]")
    else:
        for attribute in _attributes(value):
            yield from _named_arrays(getattr(value, attribute), f"{name}.{attribute}".lstrip("."))


def _attributes(value: Any) -> Iterable[str]:
    """Those of a record that may hold arrays; of anything else none."""
    if hasattr(value, "_fields"):
        return value._fields  # type: ignore[no-any-return]
    if not hasattr(value, "_repr_html_"):  # not a record
        return ()
    if hasattr(value, "names"):  # a run; of a cell's backward pass, what it returned as well
        return [n for n in (*value.names, "grad_x", "grad_state_prev") if hasattr(value, n)]
    return sorted(vars(value), key=lambda attribute: attribute == "runs")  # the longest part last


def _range(array: NDArray[Any]) -> tuple[Any, Any]:
    array = np.abs(array) if array.dtype.kind == "c" else array
    return (array.min(), array.max()) if array.size else (None, None)


def _number(value: Any) -> str | None:
    return None if value is None else f"{value:.4g}"


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
