"""The figures of the chapters show the numbers of the code as it is."""

from __future__ import annotations

import html
import re
import sys

import pytest

from tests.docs.pages import DOCS, PAGES, disagreement

sys.path.append(str(DOCS / "figures"))

import draw


@pytest.mark.parametrize("figure", draw.FIGURES)
def test_the_sentence_in_the_file_is_what_is_computed(figure):
    said, _ = draw.FIGURES[figure]()
    text = (DOCS / "figures" / f"{figure}.svg").read_text()
    inside = html.unescape(re.search("<dc:description>(.*?)</dc:description>", text, re.S)[1])
    wrong = disagreement(inside, said)
    assert wrong is None, f"{wrong}: python docs/figures/draw.py {figure} draws it again"


@pytest.mark.parametrize("figure", ["rnn-unrolled", "rnn-backward", "lstm-cell", "truncation"])
def test_figures_can_be_drawn(figure):
    assert draw.FIGURES[figure]()[1]().axes


def test_below_every_figure_stands_how_it_is_drawn():
    for page in PAGES:
        for figure, caption in re.findall(r"figures/([\w-]+)\.svg\)\n\n(.*\n.*)", page.read_text()):
            assert f"`python docs/figures/draw.py {figure}`" in caption, f"{page.name}: {figure}"
