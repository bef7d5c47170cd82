"""Ctrl-C ends a command in one line, wherever it comes; what is trained by then is saved."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scratch import Adam
from scratch.__main__ import main

ROOT = Path(__file__).parents[3]


def run(module, *arguments, first=""):
    """`python -m module` in a process, with the folder `first` before all others."""
    path = os.pathsep.join(filter(None, [str(first), str(ROOT)]))
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_during_training_the_last_complete_epoch_is_saved(tmp_path):
    path, again = tmp_path / "w.npz", tmp_path / "again.npz"
    process = run("scratch", "train", "classes-rnn", "--epochs", 10**6, "--save", path)
    process.stdout.readline()  # it trains
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130
    epoch = int(
        re.fullmatch(r"python -m scratch: interrupted after epoch (\d+) of 1000000\n", error)[1]
    )
    if not epoch:  # so early that there is nothing yet
        assert not path.exists()
        return
    assert f"Weights after epoch {epoch} saved in {path}\n" in out
    assert main(["train", "classes-rnn", "--epochs", str(epoch), "--save", str(again)]) == 0
    with np.load(path) as interrupted, np.load(again) as trained:
        for name in trained:
            np.testing.assert_array_equal(interrupted[name], trained[name])


def test_an_epoch_that_is_half_done_is_not_saved(tmp_path, monkeypatch):
    class Interrupted(Adam):
        steps = 0

        def step(self):
            super().step()
            self.steps += 1
            if self.steps == 3:
                raise KeyboardInterrupt

    path, two = tmp_path / "w.npz", tmp_path / "two.npz"
    assert main(["train", "classes-rnn", "--epochs", "2", "--save", str(two)]) == 0
    monkeypatch.setattr("scratch.commands.train.Adam", Interrupted)
    with pytest.raises(SystemExit) as stopped:
        main(["train", "classes-rnn", "--save", str(path)])
    assert stopped.value.code == 130
    with np.load(path) as interrupted, np.load(two) as trained:
        for name in trained:
            np.testing.assert_array_equal(interrupted[name], trained[name])


@pytest.mark.parametrize(("module", "slow"), [("scratch", "numpy"), ("reference", "torch")])
def test_during_the_imports(tmp_path, module, slow):
    (tmp_path / f"{slow}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    process = run(module, first=tmp_path)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (130, "", "interrupted\n")


def test_a_program_that_imports_scratch_keeps_its_own_way():
    code = "import signal, scratch; print(signal.getsignal(signal.SIGINT).__name__)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.stdout == "default_int_handler\n"


def test_the_torch_side_without_torch(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    process = run("reference", first=tmp_path)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error.count("\n")) == (2, 1)
    assert "expected PyTorch: pip install" in error
