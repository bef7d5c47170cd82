"""What a file runs as, notebooks, and the table; the check is made in this process."""

import json
import os
import sys

import pytest

from scratch.commands import apart
from scratch.commands.check import WIDTH, table
from scratch.commands.checking import check_job
from tests.scratch.commands.test_apart import student


@pytest.fixture
def outcome(tmp_path, monkeypatch):
    """The outcome for a source, as the command gets it."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "argv", sys.argv)

    def outcome(source, name="mine.py"):
        path = tmp_path / name
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        job = apart.Job(str(path), ["Student"], None, None, None, (4, 5, 4, 3), 60)
        return apart.judge(job, check_job(job), "")

    return outcome


RIGHT = {
    "a property": student(body="bad = property(lambda self: 1 / 0)"),
    "an annotation": student(top="Array: type = np.ndarray",
                             body="def other(self, x: Array): pass"),
    "match": student(top="match 3:\n    case 3: one = 1.0", forward="x = one * x"),
    "a walrus": student(top="(one := 1.0)", forward="x = one * x"),
    "latin": ("# -*- coding: latin-1 -*-\n# é\n" + student()).encode("latin-1"),
    "a mark of UTF-8": b"\xef\xbb\xbf" + student().encode(),
    "tabs": student().replace("    ", "\t"),
    "trains": student() + "while True:\n    pass\nfor k in range(10**9):\n    print(k)\n",
    "no package": student(top="import nothing_like_it\nfrom nothing_like_it import *"),
    "no data": student(top="text = open('none.txt').read()"),
    "a script": student(top="import sys, argparse\nif len(sys.argv) < 2: sys.exit(1)\n"
                            "n = int(input())\nasync def wait(): pass"),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_what_files_hold_besides(outcome, name):
    found = outcome(RIGHT[name])
    assert found.verdict == "right", found.text


def test_a_loop_that_would_set_what_is_used_is_told(outcome):
    loop = "for k in range(3):\n    one += k\n    print(one)"
    told = "line 3, `for k in range(3):`, is not run; it would set one"
    assert told in outcome(student(top=f"one = 1.0\n{loop}", forward="x = one * x")).text
    assert told not in outcome(student(top=f"one = 1.0\n{loop}")).text


@pytest.mark.parametrize("narrow", ["'f'", "dtype='float32'", "np.float32"])
def test_a_dtype_by_its_name_is_widened(outcome, narrow):
    found = outcome(student(forward=f"x = x.astype({narrow})"))
    assert found.found["judge"] == "complex step", found.text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (student(forward="raise type('A\\nB', (Exception,), {})('\\x1b[31m')"),
         "A B: ?[31m (line 13, in forward"),
        (student(made="raise ValueError(9000 * 'x')"), "xxx…"),
        (student(body="def __deepcopy__(self, memo): raise ValueError('mine')"),
         "cannot be copied: mine"),
        ("class Student(dict): pass\n", "it has no such"),
        ("class Student(GeneratorExit): pass\n", "it has no such"),
        (student(body="def __getattr__(self, name): raise KeyError(name)"), "KeyError"),
        (student(body="raise ValueError('mine')"), "mine (line 5, in Student"),
        (student(top="data = np.loadtxt('none.csv')", forward="data.mean()"),
         "data is missing: line 2, `data = np.loadtxt('none.csv')`, ended in FileNotFoundError"),
        ("x = " + 100_000 * "-" + "1\n", "expected Python code, it nests too deeply"),
        ("x = " + 500 * "(" + "\n", "((…"),
        ("", "no such name"),
        (b"\0", "null bytes"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_printable_line_with_the_cause(outcome, source, words):
    found = outcome(source)
    assert found.status == 2
    assert words in found.text
    assert found.text.isprintable()
    assert len(found.text) <= apart.LONGEST


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "mine.py")
    job = apart.Job(str(tmp_path / "mine.py"), ["Student"], None, None, None, (4, 5, 4, 3), 60)
    assert "it is not a regular file" in check_job(job)["refused"]


def notebook(*cells):
    return json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in cells]})


def test_a_notebook_with_magics(outcome):
    cells = ["%matplotlib inline\n!pip install x\nnp.tanh?", "%%time\n" + student(), "%%bash\nls",
             "files = !ls", "this is no Python"]  # fmt: skip
    assert outcome(notebook(*cells), "mine.ipynb").verdict == "right"
    found = outcome(notebook("x = 1", student(made="1 / 0")), "mine.ipynb")
    assert "(cell 2, line 7, in __init__: 1 / 0)" in found.text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": 3}', '{"cells": [{"source": "x"}]}'])
def test_other_json_is_no_notebook(outcome, text):
    assert "expected a notebook, got other JSON" in outcome(text, "mine.ipynb").text


def test_the_table_is_narrow_and_says_each_verdict():
    def told(name, written):
        job = apart.Job(f"class/{name}.py", ["Student"], None, None, None, (4, 5, 4, 3), 60)
        return apart.judge(job, written, "")

    rows = [{"name": "b", "ok": False}]
    found = {"ok": False, "rows": rows, "like": {}, "findings": [{"cause": "long words " * 60}]}
    outcomes = [
        told("right", {"text": "", "found": {**found, "ok": True, "findings": []}}),
        told("wrong", {"text": "", "found": found}),
        told("a_very_long_name_" * 9, {"refused": "x" * 5000}),
        told("other", {"absent": "Student: no such name"}),
        told("nothing", {"text": "", "found": {**found, "ok": True, "rows": []}}),
        told(
            "part",
            {
                "text": "",
                "found": {
                    **found,
                    "ok": True,
                    "findings": [],
                    "rows": [{"name": "W", "ok": True}],
                    "remarks": [
                        {"name": "no gradient came for b", "cause": "no gradient came for b"}
                    ],
                },
            },
        ),
    ]
    lines = table(outcomes)
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) <= 1 + 2 * len(outcomes) + 2
    assert lines[1].split() == ["right.py", "Student", "right"]
    assert lines[-1] == "6 files: 1 right, 1 WRONG, 2 not checked, 1 no such name, 1 incomplete"
