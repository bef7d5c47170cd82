"""A translated chapter has the blocks, formulas and figures of its original, word for word.

And as many sections, lines of tables and items of lists, so that nothing is left out.
"""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import DOCS, blocks, name, prose

TRANSLATED = sorted((DOCS / "ko").glob("[0-9]*.md"))


@pytest.mark.parametrize("page", TRANSLATED, ids=name)
def test_a_translation_has_the_same_blocks_formulas_and_figures(page):
    original = DOCS / page.name
    for parts in (
        lambda p: [(block.language, block.text) for block in blocks(p)],
        lambda p: re.findall(r"\$\$(.*?)\$\$", p.read_text(), re.S),
        lambda p: re.findall(r"figures/[\w.-]+\.svg", p.read_text()),
        lambda p: re.findall(r"^(?:#+|\||-)(?= )", prose(p), re.M),
    ):
        assert parts(page) == parts(original)
