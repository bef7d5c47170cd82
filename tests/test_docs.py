"""The README's map is that of the folders, and every section of a page says something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


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


@pytest.mark.parametrize("folder", ["scratch/gradcheck", "docs"])
def test_every_folder_of_a_folder_stands_in_the_map(folder):
    lines = lines_of_the_map()[folder.split("/")[0]]
    there = [p.name for p in (ROOT / folder).iterdir() if p.is_dir() and p.name[0] not in "_."]
    assert [name for name in there if f"{name}/" not in lines] == []


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
