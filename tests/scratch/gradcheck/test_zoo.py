"""Every mistake of the zoo is caught, and its cause is the first that the report names."""

import itertools
import random

import numpy as np
import pytest

from scratch import check_gradients
from tests.scratch.gradcheck.students import GatewiseLSTM, JointLSTM, StudentLSTMCell, StudentRNN
from tests.scratch.gradcheck.zoo import JOINT, ZOO, make, plant, subclasses

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
    drawn = pairs(10)
    for one, two in drawn:
        report = check(plant(one.of, (one.line, one.instead), (two.line, two.instead)))
        names = " ".join(finding.name for finding in report.findings)
        assert not report.ok, f"{one} and {two}"
        assert report.findings, f"{one} and {two}"
        named += one.named in names and two.named in names
    # What cannot be told apart (both carries missing, one mistake inside another's range) is less
    # than a third.
    assert named >= 7, named


@pytest.mark.parametrize(
    ("line", "instead", "gate"),
    [
        ("dzg = dg * (1 - g**2)", "dzg = dg * (1 - g)", "g"),
        ("dzi = di * i * (1 - i)", "dzi = di * (1 - i)", "i"),
    ],
)
def test_a_slip_in_a_derivative_does_not_hide_a_missing_carry(line, instead, gate):
    report = check(plant(JointLSTM, (line, instead), ("dc_next = dc * f", "pass")))
    names = {finding.name for finding in report.findings}
    assert {"missing carry of c", f"local derivative of gate {gate}"} <= names, report
