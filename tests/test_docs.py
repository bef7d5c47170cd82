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
    (tmp_path / "docs").symlink_to(ROOT / "docs")
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


def lines_of_the_map() -> dict[str, str]:
    """The README's map: below the name of each folder, its lines."""
    (block,) = re.findall(
        r"^```\n(scratch/.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S
    )
    folders: dict[str, str] = {}
    for line in block.splitlines():
        if not line.startswith(" "):
            folder = line.split("/")[0]
        folders[folder] = folders.get(folder, "") + line + "\n"
    return folders


@pytest.mark.parametrize("package", ["scratch", "reference"])
def test_every_file_of_the_packages_stands_in_the_map(package):
    lines = lines_of_the_map()[package]
    named = {*re.findall(r"\w+\.py", lines), *re.findall(r"^ +(\w+/)", lines, re.M)}
    paths = [p for p in (ROOT / package).iterdir() if not p.name.startswith(("_", "."))]
    there = {p.name for p in paths if p.suffix == ".py"}
    there |= {f"{p.name}/" for p in paths if p.is_dir()}
    assert there - named == set(), "missing from the README's map"
    assert named - there == set(), "in the README's map alone"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_section_says_something(page):
    """Neither nothing nor a comment alone. Below a heading, its subsections count as well."""
    text = re.sub(r"^```.*?^```$", "block", page.read_text(), flags=re.M | re.S)
    heading = re.compile(r"^(#+) (.*)$", re.M)
    found = list(heading.finditer(text))
    for match, after in zip(found, [*found[1:], None], strict=True):
        body = text[match.end() : after.start() if after else len(text)]
        deeper = after is not None and len(after[1]) > len(match[1])
        said = re.sub(r"<!--.*?-->", "", body, flags=re.S).strip()
        assert said or deeper, f"{page.name}: nothing below {match[0]!r}"
