"""The text of a Python file or a notebook, and how its lines are told to who wrote it."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from ..machinery.printable import short
from .options import UsageError

MAGIC = re.compile(r"^(\s*)(?:[%!?]|[\w.]+\s*=\s*[%!]|[\w.]+\?\??\s*$)")
OTHER_LANGUAGE = re.compile(
    r"^\s*%%(?:bash|sh|script|html|HTML|javascript|js|latex|markdown|svg|perl|ruby|writefile|cython)"
)
SHOWN = 60  # characters of a line of code


@dataclass(frozen=True)
class Source:
    """What a file says. Of a notebook: its code cells, one behind the other, without magics."""

    path: str  # as the person wrote it
    text: str
    statements: list[ast.stmt]
    cells: tuple[int, ...] = ()  # the first line of each code cell
    broken: tuple[tuple[str, str], ...] = ()  # names in cells that are not Python, and why

    @property
    def file(self) -> str:
        return os.path.abspath(self.path)

    @property
    def defined(self) -> list[str]:
        """The classes and functions at its top level."""
        kinds = (ast.ClassDef, ast.FunctionDef)
        return [statement.name for statement in self.statements if isinstance(statement, kinds)]

    @property
    def future(self) -> list[str]:
        """What is imported from __future__: it changes how every statement is compiled."""
        return [
            alias.name
            for statement in self.statements
            if isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
            for alias in statement.names
        ]

    def where(self, line: int) -> str:
        """`line 7`, or `cell 2, line 3` of a notebook."""
        cell = bisect_right(self.cells, line)
        return f"cell {cell}, line {line - self.cells[cell - 1] + 1}" if cell else f"line {line}"

    def code(self, line: int) -> str:
        text = self.text.splitlines()[line - 1 : line]
        return f"`{short(''.join(text), SHOWN)}`"

    def line(self, line: int, function: str) -> str:
        """The line that an exception or the time limit found, to be put behind a message."""
        code = short("".join(self.text.splitlines()[line - 1 : line]), 200)
        return f" ({self.where(line)}, in {function}: {code})"

    def in_cells(self, text: str) -> str:
        """A report's lines of a notebook, told by cell."""
        if not self.cells:
            return text
        return re.sub(r"\bline (\d+)\b", lambda found: self.where(int(found[1])), text)


def read(path: str) -> Source:
    """Raises UsageError for what is not a file, not Python or not a notebook."""
    if not os.path.isfile(path):
        got = "it is not a regular file" if os.path.exists(path) else "there is no such file"
        raise UsageError(f"expected a Python file or a notebook, {got}")
    try:
        with open(path, "rb") as file:
            content = file.read()
        if path.endswith(".ipynb"):
            return notebook(path, content)
        statements = ast.parse(content, path).body
        return Source(path, importlib.util.decode_source(content), statements)
    except OSError as error:
        raise UsageError(f"expected a file that can be read, {error.strerror or error}") from None
    except SyntaxError as error:
        code = f": {short(error.text, SHOWN)}" if error.text else ""
        line = f"line {error.lineno}: " if error.lineno else ""
        raise UsageError(f"{line}{error.msg}{code}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"expected Python code, {str(error) or 'it nests too deeply'}") from None


def notebook(path: str, content: bytes) -> Source:
    """The code cells; a cell that is not Python is passed over, and the names in it are noted."""
    try:
        document = json.loads(content)
        cells = document["cells"] if "cells" in document else document["worksheets"][0]["cells"]
        texts = [_text(cell) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError(f"expected a notebook, got other JSON ({error!r})") from None
    lines: list[str] = []
    starts: list[int] = []
    broken: list[tuple[str, str]] = []
    for k, text in enumerate(texts, 1):
        starts.append(len(lines) + 1)
        try:
            text = without_magics(text)
        except SyntaxError as error:
            why = f"cell {k}, line {error.lineno}, is not Python: {error.msg}"
            names = re.findall(r"^(?:def |class )?(\w+)\s*[(:=]", text, re.MULTILINE)
            broken += [(name, why) for name in names]
            text = re.sub(r"^", "# ", text, flags=re.MULTILINE)
        lines += text.splitlines() or [""]
    whole = "\n".join(lines) + "\n"
    return Source(path, whole, ast.parse(whole, path).body, tuple(starts), tuple(broken))


def _text(cell: Any) -> str:
    text = cell["source"] if "source" in cell else cell["input"]
    return text if isinstance(text, str) else "".join(text)


def without_magics(text: str) -> str:
    """A cell's Python, as many lines as before. Raises SyntaxError if it is not Python."""
    if OTHER_LANGUAGE.match(text):
        return re.sub(r"^", "# ", text, flags=re.MULTILINE)
    try:
        ast.parse(text)  # a line may begin with % inside of parentheses
    except SyntaxError:
        text = "\n".join(
            f"{found[1]}pass  # {line.strip()}" if (found := MAGIC.match(line)) else line
            for line in text.splitlines()
        )
        ast.parse(text)
    return text
