"""Links, anchors and figures of the documentation lead somewhere; formulas are written plainly."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import DOCS, PAGES, name, prose

REFUSED = r"\\(?:operatorname|bm|def|newcommand|require|label|ref|eqref|href|style|color|html\w*)\b"
WIDEST = 75  # symbols, of which about 80 fill a page
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def anchors(page) -> set[str]:
    """What a heading is called in an address, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.M)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for _, words, target in LINK.findall(prose(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), f"{name(page)} links to {target}"
        assert words, f"{name(page)}: {target} has no words"
        if anchor:
            assert anchor in anchors(file), f"{name(page)} links to {target}"


def test_every_figure_stands_on_a_page():
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for image, _, target in LINK.findall(prose(page))
        if image and not target.startswith("https://")
    }
    assert {path for path in DOCS.glob("figures/*") if path.suffix in (".svg", ".png")} == shown


def test_every_page_is_on_the_path():
    """docs/README.md leads to every page."""
    start = DOCS / "README.md"
    linked = {(DOCS / t.partition("#")[0]).resolve() for _, _, t in LINK.findall(prose(start))}
    assert set(DOCS.glob("*.md")) - linked - {start} == set()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_formulas_are_of_the_kind_that_every_viewer_renders(page):
    """`$$` alone on its line, empty lines around, and nothing inside that Markdown changes.

    Nor what GitHub refuses (\\operatorname and macros of one's own), and not wider than a page.
    Within a line a formula is plain text, so that no `$` stands there.
    """
    text = prose(page)
    lines = text.splitlines()
    marks = [k for k, line in enumerate(lines) if "$$" in line]
    assert len(marks) % 2 == 0
    for start, end in zip(marks[::2], marks[1::2], strict=True):
        assert lines[start].strip() == lines[end].strip() == "$$", f"{name(page)}: {start + 1}"
        assert not lines[start - 1].strip(), f"{name(page)}: {start + 1}"
        assert end + 1 == len(lines) or not lines[end + 1].strip(), f"{name(page)}: {end + 1}"
        assert "" not in [line.strip() for line in lines[start : end + 1]], f"{name(page)}: {start}"
    assert text.count("$") == 2 * len(marks), f"{name(page)}: a $ within a line"
    for formula in re.findall(r"\$\$(.*?)\$\$", text, re.S):
        assert not re.search(r"\\[\\{},;!]|\*|<|~", formula), f"{name(page)}: {formula}"
        assert not re.search(r"^\s*(?:[-+>#=]|\d+\.)", formula, re.M), f"{name(page)}: {formula}"
        assert not re.search(REFUSED, formula), f"{name(page)}: {formula}"
        symbols = re.sub(r"\\tag\{.*?\}|\\(?:mathrm|bar|left|right)|[{}^_\s]", "", formula)
        assert len(re.sub(r"\\[A-Za-z]+", "x", symbols)) <= WIDEST, f"{name(page)}: {formula}"
