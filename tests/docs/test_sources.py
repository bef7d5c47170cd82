"""Every paper that the pages and the code cite stands in docs/sources.md, and no other does."""

from __future__ import annotations

import re

from tests.docs.pages import DOCS, PAGES, ROOT

SOURCES = DOCS / "sources.md"
CITED = re.compile(  # Elman (1990) · Gers et al. 2000 · Kingma & Ba 2015 · Gers 등(2000)
    r"([A-Z][a-z]+)(?:(?:, [A-Z][a-z]+)*(?: and |와 |과 | & )[A-Z][a-z]+| et al\.| 등)?,?\s*\(?"
    r"((?:19|20)\d\d)\b(?!-)"
)
NOT_NAMES = {"Before", "On"}  # Before 1957, …


def test_what_is_cited_is_what_stands_among_the_sources():
    code = [path for package in ("scratch", "reference") for path in (ROOT / package).rglob("*.py")]
    texts = [" ".join(path.read_text().split()) for path in (*PAGES, *code) if path != SOURCES]
    cited = {found for text in texts for found in CITED.findall(text) if found[0] not in NOT_NAMES}
    listed = set(re.findall(r"^- (\w+)[^(]*\((\d{4})\)", SOURCES.read_text(), re.M))
    assert cited == listed
