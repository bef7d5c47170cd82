"""The code of the README and of the chapters runs: every ```python block, in order, by file.

A ```text block that follows a ```python block is what that block prints, word for word.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$\n?(?=(\s*```text\n(.*?)^```$)?)", re.M | re.S)


def code_blocks(page: Path) -> list[tuple[int, str, str | None]]:
    """Line number, code and expected output of every Python block."""
    text = page.read_text()
    return [
        (text.count("\n", 0, match.start()) + 2, match[2], match[4])
        for match in BLOCK.finditer(text)
        if match[1] == "python"
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_run_and_print_what_stands_below_them(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for line, code, expected in code_blocks(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * (line - 1) + code, str(page), "exec"), namespace)
        if expected is not None:
            assert printed.getvalue() == expected, f"{page.name}, the block at line {line}"


def test_links_between_files_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_file_of_the_packages_stands_in_the_map():
    text = (ROOT / "README.md").read_text()
    for package in ("scratch", "reference"):
        for path in (ROOT / package).glob("[!_]*.py"):
            assert path.name in text, f"{package}/{path.name} is missing from the README's map"
