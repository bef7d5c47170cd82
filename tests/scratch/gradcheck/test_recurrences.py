"""Each table's derivatives are those of its forward pass, and its mistakes are told apart."""

import pytest

from scratch import check_gradients
from scratch.gradcheck.code_under_test import CodeUnderTest
from scratch.gradcheck.diagnose.mistakes import mistakes_of
from scratch.gradcheck.diagnose.recognize import recognize
from scratch.gradcheck.diagnose.recurrences import RECURRENCES
from tests.scratch.gradcheck.tabled import Tabled, inputs_of

OTHERS = [table for table in RECURRENCES if table.name.startswith(("GRU", "LSTM with h"))]
MORE = [table for table in RECURRENCES if table.torch not in ("RNN", "LSTM")]


@pytest.mark.parametrize("table", MORE, ids=lambda table: table.name)
def test_a_table_is_right_and_recognized(table):
    module, inputs = Tabled(table), inputs_of(table)
    report = check_gradients(module, *inputs)
    assert report.ok, report
    assert recognize(CodeUnderTest(module, inputs, 0)).table is table


@pytest.mark.parametrize("table", OTHERS[::2], ids=lambda table: table.name)
def test_its_mistakes_are_named(table):
    answers = ("output", *(f"{state}_n" for state in table.states))
    mistakes = {mistake.name: mistake for mistake in mistakes_of(table, answers)}
    gate = table.gates[-1]
    names = ["missing carry of h", "W_hh transposed", "h shifted by one step"]
    names += [f"local derivative of {'gate ' * (gate != 'h')}{gate}"] * (gate != "o")
    names += ["u and 1 − u changed about"] * ("u" in table.gates)
    for name in names:
        report = check_gradients(Tabled(table, mistakes[name].lines), *inputs_of(table))
        found = report.findings[0]
        assert name in (found.name, *found.alternatives), report
