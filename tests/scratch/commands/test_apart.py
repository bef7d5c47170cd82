"""Code that misbehaves, in the real process: one line, a status that is true, nothing of theirs."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
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
SLEEP = "__import__('time').sleep(99)"
STOPPED = "os.kill(os.getpid(), signal.SIGSTOP)"
CANCELLED = "import faulthandler as f; f.cancel_dump_traceback_later(); f.disable()\n        "


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
    "builtins": (student(body="import builtins; builtins.len = lambda x: 0"), ["it replaces"]),
    "json": (student(body="import json; json.dumps = lambda x: '{}'"), ["replaces json.dumps"]),
}
ENDLESS = {
    "a loop": (student(forward=FOREVER), ["did not end within 2 s (--timeout)", "in forward"]),
    "no clock": (student(forward=CANCELLED + SLEEP), ["did not end within 2 s", "in forward"]),
    "stopped": (student(top="import os, signal", forward=STOPPED), ["did not end", "in forward"]),
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
    """All in two runs, as only what has no end should run out of time on a busy machine."""
    refused = {name: source for name, (source, _) in REFUSED.items()}
    endless = {name: source for name, (source, _) in ENDLESS.items()}
    results, found = [], {}
    for sources, limit in ((RIGHT | WRONG | refused, []), (endless, ["--timeout", "2"])):
        folder = tmp_path_factory.mktemp("solutions")
        for name, source in sources.items():
            (folder / f"{name}.py").write_text(source)
        results.append(check(f"{folder}:Student", *limit, "--json"))
        found |= {Path(each["file"]).stem: each for each in json.loads(results[-1].stdout)}
    return results, found


def test_nothing_of_theirs_comes_through(ran):
    results, found = ran
    assert [(result.returncode, result.stderr) for result in results] == [(1, ""), (2, "")]
    assert found.keys() == RIGHT.keys() | WRONG.keys() | REFUSED.keys() | ENDLESS.keys()


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


@pytest.mark.parametrize("name", REFUSED | ENDLESS)
def test_the_rest_is_refused_in_one_line_that_names_the_cause(ran, name):
    found = ran[1][name]
    assert found["verdict"] in ("not checked", "no such name")
    assert found["report"] is None
    for words in (REFUSED | ENDLESS)[name][1]:
        assert words in found["cause"]


def test_a_file_that_hides_a_module_of_python(tmp_path):
    """Also where the command is started in its folder; and more seconds than a clock counts."""
    (tmp_path / "json.py").write_text(student())
    result = check("json.py:Student", "--timeout", "1e99", folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Student: right")


def running(pid):
    with suppress(ProcessLookupError):
        os.kill(int(pid), 0)
        return True
    return False


def wait_until(condition):
    latest = time.monotonic() + 60
    while not condition() and time.monotonic() < latest:
        time.sleep(0.01)
    assert condition()


ESCAPES = sys.platform == "linux"  # elsewhere, only what stays in the group can be ended
SLEEPER = f"__import__('subprocess').Popen(['sleep', '99'], start_new_session={ESCAPES})"


def test_nothing_that_it_started_is_left(tmp_path):
    """Neither after a check, nor when the command is ended during one, by whatever signal."""
    pids = tmp_path / "pids"
    tell = f"print(__import__('os').getpid(), {SLEEPER}.pid, file=open({str(pids)!r}, 'w'))"
    (tmp_path / "right.py").write_text(student(made=tell))
    (tmp_path / "loop.py").write_text(student(made=tell, forward=FOREVER))
    assert check(tmp_path / "right.py:Student").returncode == 0
    assert not any(map(running, pids.read_text().split()))
    for sent, status, words in ENDED:
        pids.unlink()
        process = subprocess.Popen(
            [sys.executable, "-m", "scratch", "check", str(tmp_path / "loop.py:Student")],
            env=environment() | {"TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"))
        process.send_signal(sent)
        out, error = process.communicate(timeout=60)
        assert (process.returncode, out, error) == (status, "", words)
        wait_until(lambda: not any(map(running, pids.read_text().split())))
        wait_until(lambda: not list(tmp_path.glob("tmp*")))


ENDED = [
    (signal.SIGINT, 130, "python -m scratch: interrupted\n"),
    (signal.SIGKILL, -signal.SIGKILL, ""),  # SIGTERM and SIGHUP have no handler either
]
