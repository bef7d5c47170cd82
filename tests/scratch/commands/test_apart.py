"""Code that misbehaves, in the real process: one line, a status that is true, nothing of theirs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RNN = """\
import numpy as np
{top}

class Student:
    {body}
    def __init__(self, input_size, hidden_size):
        {made}
        rng = np.random.default_rng(0)
        self.Wx = rng.standard_normal((input_size, hidden_size))
        self.b = np.zeros(hidden_size)

    def forward(self, x):
        {forward}
        self.cache = x, np.tanh(x @ self.Wx + self.b)
        return self.cache[1]

    def backward(self, dout):
        {backward}
        x, h = self.cache
        dz = dout * (1 - h**2)
        self.dWx = x.T @ dz
        self.db = {db}
        return dz @ self.Wx.T
"""
FOREVER = "while True:\n            try: [][1]\n            except: pass"


def student(**parts):
    empty = dict.fromkeys(("top", "body", "made", "forward", "backward"), "pass")
    return RNN.format(**{**empty, "db": "dz.sum(0)", **parts})


RIGHT = {
    "loud": student(
        top="import atexit, threading, time",
        body="import os; os.write(1, b'out'); os.write(2, b'err'); print('out')",
        made="atexit.register(time.sleep, 99)\n        threading.Timer(99, print).start()",
        forward="os = __import__('os'); os.chdir('/'); os.closerange(0, 99)",
    ),
}  # fmt: skip
WRONG = {"wrong": student(db="dz.mean(0)")}
REFUSED = {  # and what the line says
    "exits": (student(forward="import os; os._exit(0)"), ["status 0", "forward: import os; os._e"]),
    "killed": (student(made="import os; os.kill(os.getpid(), 9)"), ["SIGKILL", "in __init__"]),
    "a loop": (student(forward=FOREVER), ["did not end within 3 s (--timeout)", "in forward"]),
    "builtins": (student(body="import builtins; builtins.len = lambda x: 0"), ["it replaces"]),
    "json": (student(body="import json; json.dumps = lambda x: '{}'"), ["replaces json.dumps"]),
}


def environment(folder=""):
    path = os.pathsep.join(filter(None, [str(ROOT), str(folder)]))
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def check(*arguments, folder=None):
    return subprocess.run(
        [sys.executable, "-m", "scratch", "check", *map(str, arguments)],
        env=environment(), cwd=folder, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """All of them in one run: the processes share its time."""
    folder = tmp_path_factory.mktemp("solutions")
    sources = RIGHT | WRONG | {name: source for name, (source, _) in REFUSED.items()}
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    result = check(f"{folder}:Student", "--timeout", "3", "--json")
    found = {Path(each["file"]).stem: each for each in json.loads(result.stdout)}
    return result, found


def test_nothing_of_theirs_comes_through(ran):
    result, found = ran
    assert (result.returncode, result.stderr) == (1, "")
    assert found.keys() == RIGHT.keys() | WRONG.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", RIGHT)
def test_right_code_that_misbehaves_is_right(ran, name):
    found = ran[1][name]
    assert found["verdict"] == "right", found["cause"]
    assert found["report"]["rows"]


@pytest.mark.parametrize("name", WRONG)
def test_wrong_code_has_a_report(ran, name):
    found = ran[1][name]
    assert found["verdict"] == "WRONG"
    assert found["report"]["findings"]


@pytest.mark.parametrize("name", REFUSED)
def test_the_rest_is_refused_in_one_line_that_names_the_cause(ran, name):
    found = ran[1][name]
    assert found["verdict"] in ("not checked", "no such name")
    assert found["report"] is None
    for words in REFUSED[name][1]:
        assert words in found["cause"]


def test_a_file_that_hides_a_module_of_python(tmp_path):
    """Also where the command is started in its folder."""
    (tmp_path / "json.py").write_text(student())
    result = check("json.py:Student", folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Student: right")


def test_ctrl_c_ends_the_command_in_one_line_and_its_child(tmp_path):
    (tmp_path / "loop.py").write_text(
        student(made=f"import os; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))",
                forward=FOREVER)
    )  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "scratch", "check", str(tmp_path / "loop.py:Student")],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    pid = tmp_path / "pid"
    while process.poll() is None and not (pid.exists() and pid.read_text()):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (130, "", "python -m scratch: interrupted\n")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
