"""Every mistake of the zoo is caught, and its cause is the first that the report names."""

import itertools
import random
import re

import numpy as np
import pytest

from scratch import check_gradients
from tests.scratch.gradcheck import forms
from tests.scratch.gradcheck.students import GatewiseLSTM, JointLSTM, StudentLSTMCell, StudentRNN
from tests.scratch.gradcheck.zoo import JOINT, ZOO, make, plant, subclasses
from tests.strategies import thorough

CLASSES = [JointLSTM, GatewiseLSTM, StudentRNN, StudentLSTMCell]


def check(cls, seed=0):
    module, inputs = make(cls, np.random.default_rng(seed))
    return check_gradients(module, *inputs)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_students_code_is_right_before_a_mistake_is_planted(cls):
    report = check(cls)
    assert report.ok, report
    assert report.judge == "complex step"


@pytest.mark.parametrize("mistake", ZOO, ids=lambda m: f"{m.of.__name__}: {m.instead}")
def test_a_mistake_is_caught_and_named(mistake):
    report = check(plant(mistake.of, (mistake.line, mistake.instead)))
    assert not report.ok
    assert report.findings[0].name == mistake.named, report


@pytest.mark.parametrize(
    ("module", "inputs", "named"), subclasses(), ids=lambda v: type(v).__name__
)
def test_a_mistake_in_a_subclass_is_caught_and_named(module, inputs, named):
    report = check_gradients(module, *inputs)
    assert not report.ok
    assert report.findings[0].name == named, report


def pairs(count):
    """Pairs of mistakes on different lines of JointLSTM, drawn from a fixed seed."""
    found = [
        (one, two)
        for one, two in itertools.combinations(JOINT, 2)
        if one.line not in two.line and two.line not in one.line
        and two.line not in one.instead and one.line not in two.instead
        and "random forward" not in (one.named, two.named)
    ]  # fmt: skip
    return random.Random(0).sample(found, count)


def test_two_mistakes_do_not_hide_each_other():
    named = 0
    drawn = pairs(30 if thorough() else 3)
    for one, two in drawn:
        report = check(plant(one.of, (one.line, one.instead), (two.line, two.instead)))
        names = " ".join(finding.name for finding in report.findings)
        assert not report.ok, f"{one} and {two}"
        assert report.findings, f"{one} and {two}"
        named += one.named in names and two.named in names
    # What cannot be told apart (both carries missing, one mistake inside another's range) is less
    # than a third.
    assert named >= 2 / 3 * len(drawn), named


def test_a_slip_in_a_derivative_does_not_hide_a_missing_carry():
    slip = "dzi = di * i * (1 - i)", "dzi = di * (1 - i)"
    report = check(plant(JointLSTM, slip, ("dc_next = dc * f", "pass")))
    names = {finding.name for finding in report.findings}
    assert {"missing carry of c", "local derivative of gate i"} <= names, report


# One text in three forms: a class, two functions, and a function with a head and a loss inside.


@pytest.mark.parametrize("form", forms.FORMS)
@pytest.mark.parametrize("recurrence", forms.RECURRENCES)
def test_a_text_is_right_in_every_form(recurrence, form):
    right = forms.RECURRENCES[recurrence]
    assert forms.check(form, right, forms.text_of(form, right)).ok


@pytest.mark.parametrize("head", forms.HEADS)
def test_a_head_is_right(head):
    text = forms.text_of("loss", forms.RNN, forms.HEADS[head])
    assert forms.check("loss", forms.RNN, text).ok


@pytest.mark.parametrize(
    "program",
    forms.programs()[:: 1 if thorough() else 61],
    ids=lambda program: f"{program.form}: {program.recurrence}: {program.named}",
)
def test_a_mistake_is_named_in_every_form(program):
    report = program.report()
    assert not report.ok
    first = report.findings[0]
    assert re.search(program.named, f"{first.name}: {first.cause}"), report


def test_two_mistakes_do_not_hide_each_other_in_any_form():
    named = 0
    every = forms.pairs()
    drawn = random.Random(0).sample(every, 30) if thorough() else [
        pair for pair in every if pair[0].recurrence == "RNN"
    ][::90]  # fmt: skip
    for program, mistakes in drawn:
        report = program.report()
        assert not report.ok, program.text
        assert report.findings, program.text
        causes = "\n".join(f"{finding.name}: {finding.cause}" for finding in report.findings)
        named += sum(bool(re.search(mistake, causes)) for mistake in mistakes)
    # Of two in each: where both change all gradients, no one line makes any of them right.
    assert named >= 2 / 3 * len(drawn), named
