"""python -m scratch check: exit status, the report, and one line for what cannot be checked."""

import inspect
import json
import sys

import numpy as np
import pytest

from scratch.__main__ import main
from scratch.commands import apart
from scratch.commands.checking import check_job
from scratch.commands.one_rule import compare_with
from scratch.gradcheck.diagnose.recurrences import RECURRENCES
from tests.scratch.gradcheck import students
from tests.scratch.gradcheck.tabled import Tabled, inputs_of

RIGHT = inspect.getsource(students)
WRONG = RIGHT.replace("            dc_next = dc * f\n", "            pass\n")


@pytest.fixture
def write(tmp_path):
    def write(source, name="mine.py"):
        path = tmp_path / name
        path.write_text(source)
        return str(path)

    return write


class InThisProcess:
    """As `apart.Child`, without a process of its own: the report is the same, and it is faster."""

    def __init__(self, job):
        self.job, self.path, self.argv = job, sys.path[:], sys.argv

    def ended(self):
        return True

    def outcome(self):
        return apart.judge(self.job, check_job(self.job), "")

    def close(self):
        sys.path[:], sys.argv = self.path, self.argv


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(apart, "Child", InThisProcess)


def run(capsys, *arguments):
    try:
        status = main(["check", *arguments])
    except SystemExit as exit_:
        status = exit_.code
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.parametrize(
    ("name", "like"),
    [("JointLSTM", "LSTM"), ("GatewiseLSTM", "LSTM"), ("StudentRNN", "RNN"),
     ("StudentLSTMCell", "LSTMCell")],
)  # fmt: skip
def test_right_code(write, capsys, name, like):
    path = write(RIGHT)
    for options in ([], ["--like", like], ["--input-size", "2", "--hidden-size", "2", "--seq-len",
                                           "3", "--batch", "2"]):  # fmt: skip
        status, out, err = run(capsys, f"{path}:{name}", *options)
        assert (status, err) == (0, ""), out
        assert out.startswith(f"{name}: right")
        assert ("every intermediate value agrees" in out) == ("--like" in options)
        order = {"JointLSTM": "i, f, g, o (PyTorch", "GatewiseLSTM": "f, i, g, o (the equations"}
        words = f", with the gates in the order {order.get(name)}"
        assert (words in " ".join(out.split())) == ("--like" in options and name in order)


def test_wrong_code_and_the_line_where_it_begins(write, capsys):
    status, out, err = run(capsys, f"{write(WRONG)}:JointLSTM", "--like", "LSTM")
    assert (status, err) == (1, "")
    assert "the gradient of c is not carried from step to step" in out
    assert "grad_c of step 3 is right (dc, line" in out
    assert "grad_c_prev of step 3 is wrong" in out


def test_wrong_code_without_a_comparison(write, capsys):
    status, out, err = run(capsys, f"{write(WRONG)}:JointLSTM")
    assert (status, err) == (1, "")
    assert "compared with" not in out


def test_json(write, capsys):
    status, out, _ = run(capsys, f"{write(WRONG)}:JointLSTM", "--like", "LSTM", "--json")
    report = json.loads(out)
    assert status == 1
    assert report["ok"] is False
    assert report["findings"][0]["name"] == "missing carry of c"
    assert {row["name"] for row in report["rows"]} >= {"x", "W_h", "b_x"}
    assert "grad_c_prev of step 3" in report["like"]["backward"]


def test_another_forward_pass_than_that_of_like(write, capsys):
    source = RIGHT.replace("h = o * np.tanh(c)\n            hs", "h = o * c\n            hs")
    source = source.replace("dh * tanh_c", "dh * c").replace("dh * o * (1 - tanh_c**2)", "dh * o")
    status, out, _ = run(capsys, f"{write(source)}:JointLSTM", "--like", "LSTM")
    assert status == 1
    assert out.startswith("JointLSTM: right")
    assert "it does not compute what LSTM computes" in out
    assert "c of step 0 is right (c, line" in out
    assert "h of step 0 is wrong" in out


GRU = """
from tests.scratch.gradcheck.mendable import Module, Parameter, np


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


class Mine(Module):
    def __init__(self, D, H):
        rng = np.random.default_rng(0)
        shapes = {"W": (D, 3 * H), "U": (H, 3 * H), "b": (3 * H,), "d": (3 * H,)}
        for name, shape in shapes.items():
            setattr(self, name, Parameter(rng.normal(0, 0.5, shape)))

    def __call__(self, x, h):
        return self.forward(x, h)[0]

    def forward(self, x, h):
        a, b = x @ self.W.data + self.b.data, h @ self.U.data + self.d.data
        (au, ar, an), (bu, br, bn) = np.split(a, 3, 1), np.split(b, 3, 1)
        u, r = sigmoid(au + bu), sigmoid(ar + br)
        n = np.tanh(an + r * bn)
        return (1 - u) * n + u * h, x, h, u, r, n, bn

    def backward(self, record, dh):
        h, x, h_prev, u, r, n, bn = record
        du = dh * (h_prev - n)
        dn = dh * (1 - u) * (1 - n**2)
        dr = dn * bn
        dzu, dzr = du * u * (1 - u), dr * r * (1 - r)
        da, db = np.hstack([dzu, dzr, dn]), np.hstack([dzu, dzr, dn * r])
        self.W.add_grad(x.T @ da)
        self.U.add_grad(h_prev.T @ db)
        self.b.add_grad(da.sum(0))
        self.d.add_grad(db.sum(0))
        return da @ self.W.data.T, db @ self.U.data.T + dh * u
"""


def test_a_gru_and_the_first_value_of_it_that_is_wrong(write, capsys):
    status, out, _ = run(capsys, f"{write(GRU)}:Mine", "--like", "GRUCell")
    assert status == 0
    assert "every answer agrees, with the gates in the order u, r, n (Keras)" in out
    assert "every intermediate value agrees" in out
    wrong = GRU.replace("dr = dn * bn", "dr = dn * h_prev")
    status, out, _ = run(capsys, f"{write(wrong)}:Mine", "--like", "GRUCell")
    assert status == 1
    assert "grad_z_n of step 0 is right (dn, line" in out
    assert "grad_r of step 0 is wrong" in out


def test_a_gru_of_another_form(write):
    source = GRU.replace("r * bn)", "(r * h) @ self.U.data[:, -h.shape[1]:])")
    namespace = {"__name__": "mine"}
    exec(compile(source, write(source), "exec"), namespace)
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((3, 2)), rng.standard_normal((3, 4))
    text = compare_with(namespace["Mine"](2, 4), inputs, "GRUCell", False)["forward"]
    assert text.startswith("it does not compute what GRUCell computes with these parameters")
    assert "n of step 0 is wrong: n, line" in text
    before = next(table for table in RECURRENCES if table.name.startswith("GRU with W_h (r"))
    text = compare_with(Tabled(before), inputs_of(before), "GRU", True)["forward"]
    assert "its answers are those of GRU with W_h (r ⊙ h_prev) in place of" in text


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (RIGHT, "", ["expected FILE.py:NAME"]),
        (RIGHT, ":Nothing", ["Nothing: no such name", "it has sigmoid, JointLSTM"]),
        (RIGHT, ":sigmoid", ["sigmoid: expected a loss", "--call 'sigmoid(z=N(...))'"]),
        ("def f(:\n", ":F", ["line 1", "invalid syntax"]),
        (
            "from nothing_like_it import F\n",
            ":F",
            ["F is missing: line 1", "`from nothing_like_it import F`", "ModuleNotFoundError"],
        ),
        ("class F:\n    pass\n", ":F", ["it has no such", "forward and backward"]),
        (
            "class F:\n    def __init__(self):\n        raise OSError('no disk')\n",
            ":F",
            ["ended in OSError: no disk", "line 3, in __init__: raise OSError('no disk')"],
        ),
        (
            RIGHT.replace("db += dz.sum(axis=0)", "db += dz.sum(axis=0)[:3]"),
            ":JointLSTM",
            ["ValueError", "in backward: db += dz.sum(axis=0)[:3]"],
        ),
        (
            RIGHT.replace("c = f * c + i * g", "c = f * c + i * gg"),
            ":JointLSTM",
            ["NameError", "in forward: c = f * c + i * gg"],
        ),
        (
            RIGHT.replace("def __init__(self, input_size, hidden_size, rng=None)",
                          "def __init__(self, a, b, c, d)"),
            ":JointLSTM",
            ["its constructor takes (a, b, c, d)", "--make 'JointLSTM(..., ..., ..., ...)'"],
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_told_in_one_line(write, capsys, source, target, words):
    status, out, err = run(capsys, write(source) + target)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


PLACES = {
    "in __init__": (
        "rng = np.random.default_rng(rng)\n        H =",
        "rng = np.random.default_rng(rng)\n        {}\n        H =",
    ),
    "in forward": ("        h, c = state\n", "        {}\n        h, c = state\n"),
    "in backward": ("        T, N, _ = x.shape\n", "        {}\n        T, N, _ = x.shape\n"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("import sys; sys.exit(0)", "ended in sys.exit(0)"),
        ("raise RuntimeError('two\\nlines')", "ended in RuntimeError: two lines"),
        ("raise KeyboardInterrupt", "ended in KeyboardInterrupt"),
        ("raise GeneratorExit('out')", "ended in GeneratorExit: out"),
        (
            "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})",
            "ended in Odd: (its __str__ fails)",
        ),
    ],
)
def test_what_ends_their_code_is_told_with_its_line(write, capsys, place, line, words):
    before, instead = PLACES[place]
    path = write(RIGHT.replace(before, instead.format(line), 1))
    status, out, err = run(capsys, f"{path}:JointLSTM")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert place in err
    assert words in err
    assert line in err


def test_a_file_that_is_not_there(tmp_path, capsys):
    status, _, err = run(capsys, f"{tmp_path}/none.py:F")
    assert status == 2
    assert "there is no such file" in err


def test_an_option_out_of_range(write, capsys):
    status, _, err = run(capsys, f"{write(RIGHT)}:JointLSTM", "--batch", "0")
    assert status == 2
    assert "--batch: expected a whole number of at least 1" in err


def test_progress_only_on_a_terminal(capsys, monkeypatch):
    from scratch.gradcheck import check

    monkeypatch.setattr(check.time, "monotonic", iter([0.0, *[9.0] * 9]).__next__)
    with check.Progress("LSTM") as progress:
        progress(16, 32)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(check.time, "monotonic", iter([0.0, *[9.0] * 9]).__next__)
    monkeypatch.setattr(check.sys.stderr, "isatty", lambda: True)
    with check.Progress("LSTM") as progress:
        progress(16, 32)
    assert "LSTM: 16 of 32 derivatives" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("class Mine(elsewhere.JointLSTM):\n    pass\n", "every intermediate value agrees"),
        (
            "class Mine(Module):\n"
            "    def __init__(self, input_size, hidden_size):\n"
            "        self.inner = elsewhere.JointLSTM(input_size, hidden_size)\n"
            "    def __call__(self, *inputs):\n"
            "        return self.inner(*inputs)\n"
            "    def forward(self, *inputs):\n"
            "        return self.inner.forward(*inputs)\n"
            "    def backward(self, *arguments):\n"
            "        return self.inner.backward(*arguments)\n",
            "every gradient is right",
        ),
    ],
    ids=["inherited", "called"],
)
def test_right_code_in_another_file_is_not_called_wrong(
    write, capsys, tmp_path, monkeypatch, source, words
):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "elsewhere", raising=False)
    write(RIGHT, "elsewhere.py")
    path = write(f"import elsewhere\nfrom scratch import Module\n\n\n{source}")
    status, out, _ = run(capsys, f"{path}:Mine", "--like", "LSTM")
    assert status == 0, out
    assert words in out
