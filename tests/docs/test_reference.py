"""The reference page is that of the docstrings, and these say what one has to know."""

from __future__ import annotations

import inspect
import re
import sys

import pytest
import torch

from tests.docs.pages import DOCS

sys.path.append(str(DOCS))

import write_reference

NAMES = [(name, value) for _, name, value in write_reference.names()]
NOT_CALLED = ("GradientReport", "Parity", "Module")  # made by a function, or derived from
PLACES = (torch.nn, torch.optim, torch.nn.utils, torch.nn.utils.rnn)
SHAPE = re.compile(r"\((?:N|T|H|C|M|P|4H|rows|out_features)\b[^()]*[,)]")
ANY_SHAPE = ("Adam", "clip_grad_norm_", "Module", "MSELoss", "Parameter")


def test_the_page_is_what_the_docstrings_say():
    said = (DOCS / "reference.md").read_text()
    assert said == write_reference.page(), "python docs/write_reference.py writes it again"


@pytest.mark.parametrize(("name", "value"), NAMES, ids=[name for name, _ in NAMES])
def test_a_public_name_says_what_it_raises_and_where_it_comes_from(name, value):
    said = inspect.getdoc(value)
    assert said
    if not callable(value) or name in NOT_CALLED:
        return
    assert "Raises" in said, "the docstring does not say what it raises"
    for argument in inspect.signature(value).parameters:
        assert re.search(rf"\b{argument}\b", said), f"the docstring does not say what {argument} is"
    if any(hasattr(place, name) for place in PLACES):
        link = re.search(rf"docs\.pytorch\.org/docs/2\.13/\S*\.{name}\.html", said)
        assert link, "the docstring does not say what it is like"
        text = write_reference.entry(name, value)
        assert name in ANY_SHAPE or SHAPE.search(text), "the docstring has no shapes"
        assert re.search(r"dtype|float|int64", text), "the docstring has no dtypes"
