"""The exercises: as handed out a hole, solved right, and of common wrong solutions the cause."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from scratch.commands.targets import Sizes, check_target

ROOT = Path(__file__).parent.parent.parent
HANDED_OUT = ROOT / "docs/exercises"
SOLUTIONS = ROOT / "tests/exercises"
NAMES = sorted(path.stem for path in SOLUTIONS.glob("*.py"))

WRONG = {  # exercise: what stands in the solution, what a learner writes, words of the
# first cause
    "rnn_cell": [
        ("dh * (1 - h**2)", "dh * (1 - h)", "1 − a stands where"),
        ("dh * (1 - h**2)", "dh * h * (1 - h)", "the derivative of σ is used"),
        ("dh * (1 - h**2)", "dh", "activation's derivative is left out"),
    ],
    "rnn_sum": [
        ("dWh += h[t].T", "dWh = h[t].T", "holds only step 0's part"),
        ("dWh += h[t].T", "dWh += h[t + 1].T", "h_t is used where h_(t−1) belongs"),
        ("h[t].T @ dz", "dz.T @ h[t]", "Wh is transposed"),
    ],
    "lstm_gate": [
        ("dc * c_prev * f * (1 - f)", "dc * c * f * (1 - f)", "c_t is used where c_(t−1) belongs"),
        ("dc * c_prev * f * (1 - f)", "dc * c_prev * (1 - f**2)", "the derivative of tanh is used"),
        ("dc * c_prev * f * (1 - f)", "dc * c_prev", "activation's derivative is left out"),
    ],
    "lstm_carry": [
        ("dc = dc * f", "dc = dc", "without the factor f"),
        ("dc = dc * f", "dc = dc * i", "with i, not f"),
        ("dc = dc * f", "dc = 0", "c is not carried from step to step"),
    ],
    "cross_entropy": [
        ("(p - one_hot) / len(y)", "p - one_hot", "division by `len(y)` is missing"),
        ("(p - one_hot) / len(y)", "(one_hot - p) / len(y)", "the sign is wrong"),
        ("(p - one_hot) / len(y)", "p / len(y)", "the one-hot target is not subtracted"),
    ],
    "lstm_whole": [
        ("dc_next + dh * o", "dh * o", "the gradient of the new c is ignored"),
        ("dc * i * (1 - g**2)", "dc * i * g * (1 - g)", "gate g: the derivative of σ is used"),
        ("[dzi, dzf, dzg, dzo]", "[dzi, dzf, dzo, dzg]", "in the order i, f, o, g where"),
    ],
    "gru_cell": [
        (" + dh * u\n", "\n", "`dh * u` is not added"),
        ("[dr, du, dn * r]", "[dr, du, dn]", "the reset gate r is missing as a factor in `dn`"),
        ("dh * (h_prev - n)", "dh * (n - h_prev)", "gate u is multiplied by -1: the wrong sign"),
    ],
    "peephole": [
        (" + dzo * po", "", "`dzo * po` is not added"),
        (" + dzi * pi + dzf * pf", "", "`dzf * pf + dzi * pi` is not added"),
        ("dzo * c)", "dzo * c_prev)", "shifted by one step: `c_prev`"),
    ],
}  # fmt: skip


def loaded(path: Path):
    spec = importlib.util.spec_from_file_location(f"exercise_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def checked(path: Path, folder: Path | None = None, old: str = "", new: str = ""):
    """Whether it is right, and the first cause, by the command of the file's docstring."""
    if folder is not None:
        text = path.read_text()
        code = text.rindex('"""\n\nimport numpy')
        assert text.count(old, code) == 1
        path = folder / path.name
        path.write_text(text[:code] + text[code:].replace(old, new))
    module = loaded(path)
    command = re.search(r"check docs/exercises/\w+\.py:(\S+)", module.__doc__)
    call = re.search(r"--call '(.*)'", module.__doc__)
    report, _ = check_target(
        vars(module), command[1].split(","), None, call and call[1], Sizes(4, 5, 4, 3)
    )
    return report.ok, report.findings[0].cause if report.findings else ""


CHECKED = [name for name in NAMES if name != "adam"]


@pytest.mark.parametrize("name", CHECKED)
def test_an_exercise_as_handed_out_has_a_hole(name):
    ok, cause = checked(HANDED_OUT / f"{name}.py")
    assert not ok
    assert re.search("has a hole|is not written yet", cause)


@pytest.mark.parametrize("name", CHECKED)
def test_its_solution_is_right(name):
    assert checked(SOLUTIONS / f"{name}.py") == (True, "")


@pytest.mark.parametrize(
    ("name", "old", "new", "cause"),
    [(name, *wrong) for name, wrongs in WRONG.items() for wrong in wrongs],
)
def test_a_wrong_solution_is_told_its_cause(name, old, new, cause, tmp_path):
    ok, found = checked(SOLUTIONS / f"{name}.py", tmp_path, old, new)
    assert not ok
    assert cause in found


@pytest.mark.parametrize("name", NAMES)
def test_an_exercise_is_its_solution_with_a_hole(name):
    exercise = (HANDED_OUT / f"{name}.py").read_text()
    before, after = re.split(r"\.\.\.\n|    raise NotImplementedError\(\"yours\"\)\n", exercise)
    solution = (SOLUTIONS / f"{name}.py").read_text()
    assert solution.startswith(before)
    assert solution.endswith(after)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("", "", "right: five steps"),
        ("m_hat / (", "m / (", "WRONG: m and v are right, w is not, in step 1"),
        ("(1 - beta2) * g**2", "(1 - beta1) * g**2", "WRONG: v is not right in step 1"),
        ("beta1 * m + (1 - beta1) * g", "beta1 * m + g", "WRONG: m is not right in step 1"),
    ],
)
def test_adam_checks_itself(old, new, words, tmp_path):
    text = (SOLUTIONS / "adam.py").read_text()
    if old:
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = tmp_path / "adam.py"
    path.write_text(text)
    module = loaded(path)
    status, found = module.check(module.adam)
    assert found.startswith(words)
    assert status == (1 if old else 0)


def test_adam_as_handed_out_has_a_hole():
    module = loaded(HANDED_OUT / "adam.py")
    assert module.check(module.adam) == (1, "hole: adam is not written yet")
