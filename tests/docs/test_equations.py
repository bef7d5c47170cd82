"""Equations are numbered in the chapters and cited by the code: both directions hold."""

from __future__ import annotations

import functools
import io
import re
import tokenize

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, name, prose

CITED = re.compile(r"\((\d+\.\d+(?:, \d+\.\d+)*)\)")
CHAPTERS = sorted(DOCS.glob("[0-9][0-9]-*.md"))


def numbers(page) -> list[str]:
    return re.findall(r"\\tag\{([^}]*)\}", page.read_text())


@functools.cache
def cited_by_code() -> dict[str, str]:
    """Every number that stands in a comment of scratch/, and a place where it does."""
    found = {}
    for path in (ROOT / "scratch").rglob("*.py"):
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type == tokenize.COMMENT:
                for group in CITED.findall(token.string):
                    for number in group.split(", "):
                        found[number] = f"{path.relative_to(ROOT)}:{token.start[0]}"
    return found


def test_equations_are_numbered_in_order():
    for page in CHAPTERS:
        chapter = int(page.name[:2])
        expected = [f"{chapter}.{k + 1}" for k in range(len(numbers(page)))]
        assert numbers(page) == expected, name(page)


def test_what_the_code_cites_stands_in_the_chapters():
    known = {number for page in CHAPTERS for number in numbers(page)}
    unknown = {n: place for n, place in cited_by_code().items() if n not in known}
    assert unknown == {}


@pytest.mark.parametrize(
    "page", [p for p in CHAPTERS if p.name[:2] in ("02", "03", "04", "05", "06")], ids=name
)
def test_every_numbered_equation_is_cited_by_the_line_that_computes_it(page):
    assert [number for number in numbers(page) if number not in cited_by_code()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_a_page_cites_stands_in_the_chapters(page):
    known = {number for chapter in CHAPTERS for number in numbers(chapter)}
    text = re.sub(r"\$\$.*?\$\$", "", prose(page), flags=re.S)
    for group in re.findall(r"(?<![\w`])\(([2-6]\.\d+(?:, [2-6]\.\d+)*)\)", text):
        assert set(group.split(", ")) <= known, f"{name(page)}: ({group})"
