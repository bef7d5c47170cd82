"""python -m scratch train, as a user runs it: its lines, its files, its refusals."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scratch.__main__ import main
from scratch.commands.options import Pace
from scratch.tasks.systems import SYSTEMS

ROOT = Path(__file__).parents[3]


def scratch(*arguments, blocked=()):
    """Run `python -m scratch` in a process of its own, in which `blocked` cannot be imported."""
    code = f"import runpy, sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"
    code += "runpy.run_module('scratch', run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


# What it prints and writes


def test_a_run_without_torch_and_matplotlib_saved_and_gone_on_with(tmp_path):
    path = tmp_path / "weights"  # the name is taken as it is, without an .npz at its end
    first = scratch("train", "airline-lstm", "--save", path, blocked=["torch", "matplotlib"])
    assert (first.returncode, first.stderr) == (0, "")
    lines = first.stdout.splitlines()
    assert lines[0] == "airline-lstm: SimpleLSTM in float64, Adam lr 0.003"
    assert [line.split(",")[0] for line in lines[1:11]] == [
        f"Epoch [{epoch}/30]" for epoch in range(3, 31, 3)
    ]
    (after,) = re.findall(r"^Loss after training: ([\d.]+)$", first.stdout, re.M)
    (rmse, naive) = re.findall(
        r"^Held-out RMSE in thousand passengers: ([\d.]+) \(same as last year: ([\d.]+)\)$",
        *(first.stdout, re.M),
    )[0]
    assert float(rmse) <= 21
    assert naive == "41.85"
    assert re.search(r"^[\d.]+ seconds$", first.stdout, re.M)
    assert lines[-1] == f"Weights saved in {path}"

    with np.load(path, allow_pickle=False) as archive:
        assert sorted(archive) == sorted(
            [f"lstm.{kind}_{gate}_l0" for kind in ("weight", "bias") for gate in ("ih", "hh")]
            + ["fc.weight", "fc.bias"]
        )
        assert {array.dtype for array in archive.values()} == {np.dtype(np.float64)}
    second = scratch("train", "airline-lstm", "--load", path, "--epochs", 1, "--dtype", "float32")
    assert second.returncode == 0
    # The first loss of the second run is what the first run ended with.
    (loss,) = re.findall(r"Epoch \[1/1\], Loss: ([\d.]+)", second.stdout)
    assert f"{float(loss):.3g}" == after


def test_a_seed_and_every_option_say_what_is_trained(capsys):
    def run(*arguments):
        assert main(["train", *map(str, arguments)]) == 0
        return re.sub(r"[\d.]+ seconds", "", capsys.readouterr().out)

    base = ["classes-rnn", "--epochs", 3]
    assert run(*base) == run(*base, "--seed", 0)
    for option in (["--seed", 1], ["--hidden-size", 3], ["--lr", 0.1], ["--dtype", "float32"]):
        assert run(*base) != run(*base, *option)
    # Adam divides by the size of the gradient: only one as small as its eps makes smaller steps.
    free, clipped = run(*base), run(*base, "--max-norm", 1e-8)
    assert "Adam lr 0.001, gradient clipped to the norm 1e-08\n" in clipped
    first, last = (re.findall(r"Loss: (.*)", text) for text in (free, clipped))
    assert first[0] == last[0]
    assert last[-1] > first[-1]


def test_a_series_of_one_s_own_at_every_step_and_truncated(tmp_path, capsys):
    path = tmp_path / "level.csv"
    values = np.random.default_rng(0).standard_normal(40).cumsum()
    path.write_text("day,level\n" + "".join(f"{i},{v}\n" for i, v in enumerate(values)))
    series = ["--csv", str(path), "--column", "level", "--window", "6"]
    options = ["--every-step", "--truncate", "2", "--epochs", "4"]
    assert main(["train", *series, *options]) == 0
    out = capsys.readouterr().out
    assert out.startswith("series-lstm: SimpleLSTM in float64")
    assert "level.csv: utf-8, separated by commas, decimal point, 40 values, no dates\n" in out
    (rmse, naive) = re.findall(
        r"^Held-out RMSE in level: (.*) \(same as the row before: (.*)\)", out, re.M
    )[0]
    lost = re.findall(
        '^The model loses against "same as the row before": RMSE (.*) against (.*)$', out, re.M
    )
    assert [f"{float(number):.4g}" for numbers in lost for number in numbers] == (
        [] if float(rmse) < float(naive) else [rmse, naive]
    )
    before, after = re.findall(r"Gradient cut every 2 steps: off by ([\d.]+)%", out)
    assert float(before) > 0
    assert float(after) > 0
    assert main(["train", "sine-rnn", *series, "--epochs", "1"]) == 0
    assert capsys.readouterr().out.startswith("sine-rnn: SimpleRNN in float64, Adam lr 0.01")


def test_how_to_read_a_file_is_handed_on(tmp_path, refuse, capsys):
    path = tmp_path / "x.csv"
    rows = "".join(f"{n:02}.01.2024;{1000 + n * n}\n" for n in range(1, 20))
    path.write_text("tag;größe\n20.12.2023;\n" + rows.replace(";10", ";1.0"), "cp1252")
    series = ["--csv", path, "--column", "größe", "--window", "3", "--epochs", "1"]
    assert "got 1 missing cell in line 2" in refuse(*series, "--decimal", ",")
    assert "expected one way to read '1.0" in refuse(*series, "--missing", "drop")
    assert "--encoding nix: expected" in refuse(*series, "--encoding", "nix")
    assert "--time: expected --csv with it" in refuse("sine-rnn", "--time", "tag")
    how = ["--decimal", ",", "--missing", "drop", "--time", "tag", "--time-format", "%d.%m.%Y"]
    assert main(["train", *map(str, series), *how, "--encoding", "latin-1"]) == 0
    assert (
        f"{path}: latin-1, separated by semicolons, digits in groups of three, 1 missing cell left "
        "out, 19 values, times in 'tag' from 2024-01-01 to 2024-01-19\n"
    ) in capsys.readouterr().out


def test_something_is_printed_every_few_seconds(monkeypatch):
    seconds = 0.0
    monkeypatch.setattr("time.monotonic", lambda: seconds)
    pace, due = Pace(1000), []
    for epoch in range(1, 251):  # of 0.5 s each
        seconds += 0.5
        if pace.due(epoch):
            due.append(epoch)
    assert {100, 200} <= set(due)
    assert max(b - a for a, b in zip([0, *due], due, strict=False)) == 6
    assert [epoch for epoch in range(1, 31) if Pace(30).due(epoch)] == list(range(3, 31, 3))


def test_alone_it_shows_what_it_can_do():
    result = scratch()
    assert (result.returncode, result.stderr) == (0, "")
    for command in ("train", "check"):
        assert re.search(rf"^    {command} +\w", result.stdout, re.M)


def test_reading_on_in_a_closed_pipe_is_no_traceback():
    command = f"{sys.executable} -m scratch train sine-rnn --hidden-size 1 --epochs 5 | head -n 1"
    result = subprocess.run(
        *(["bash", "-c", command],),
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "sine-rnn: SimpleRNN in float64, hidden size 1, Adam lr 0.01\n"
    assert result.stderr == ""


# What it refuses


def test_a_refusal_is_one_line_and_status_2():
    result = scratch("train", "airline-lstm", "--csv", "nothing.csv")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "python -m scratch: expected --csv, --column and --window together, got no --column and "
        "no --window\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            "expected one of sine-rnn, sine-lstm, classes-rnn, airline-lstm, adding-rnn, "
            "adding-lstm, or --csv FILE",
        ),
        (["sine"], "invalid choice: 'sine' (choose from"),
        (["classes-rnn", "--every-step"], "expected one of sine-rnn, sine-lstm, airline-lstm"),
        (["sine-rnn", "--max-norm", "0"], "--max-norm: expected a number above 0, got '0'"),
        (["sine-rnn", "--truncate", "5"], "--truncate: expected --every-step with it"),
        (
            ["sine-rnn", "--truncate", "0"],
            "expected a whole number of at least 1, below 2**63, got '0'",
        ),
        (
            ["sine-rnn", "--epochs", "1.5"],
            "expected a whole number of at least 0, below 2**63, got '1.5'",
        ),
        (
            ["sine-rnn", "--seed", "-1"],
            "expected a whole number of at least 0, below 2**63, got '-1'",
        ),
        (["sine-rnn", "--lr", "nan"], "expected a number above 0, got 'nan'"),
        (["sine-rnn", "--dtype", "float16"], "invalid choice: 'float16'"),
        (["sine-rnn", "--hidden-size", "9" * 15], "--hidden-size 999999999999999: "),
        (
            ["sine-rnn", "--hidden-size", "9" * 30],
            "expected a whole number of at least 1, below 2**63",
        ),
        (["airline-lstm", "--lr", "1e300"], "expected a smaller --lr than 1e+300"),
        (["sine-rnn", "--save", ""], "--save: expected a name, got ''"),
        (["sine-rnn", "--load", ""], "--load: expected a name, got ''"),
        (["--csv", "", "--column", "a", "--window", "3"], "--csv: expected a name, got ''"),
        (["airline-lstm", "--window", "3"], "together, got no --csv and no --column"),
        (
            ["classes-rnn", "--csv", "x.csv", "--column", "a", "--window", "3"],
            "--csv: classes-rnn answers with classes, expected one of sine-rnn, sine-lstm",
        ),
        (
            ["--csv", "/nowhere/x.csv", "--column", "a", "--window", "3"],
            "--csv /nowhere/x.csv: No such file or directory",
        ),
        (["classes-rnn", "--load", "/nowhere/x.npz"], "No such file or directory"),
        (["classes-rnn", "--save", "/nowhere/x.npz"], "expected an existing folder, got /nowhere"),
        (["classes-rnn", "--save", "/"], "expected the name of a file, got a folder"),
    ],
)
def test_what_is_wrong_and_what_would_be_right(refuse, arguments, message):
    assert message in refuse(*arguments)


def test_a_series_that_cannot_be_read(refuse, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a\n1\n?\n")
    message = refuse("--csv", path, "--column", "a", "--window", 3)
    assert f"{path}, line 3: expected a number, got '?'" in message


def test_nothing_is_trained_before_a_refused_file(refuse, tmp_path, monkeypatch):
    monkeypatch.setattr("scratch.commands.train.train", None)
    refuse("classes-rnn", "--save", tmp_path)
    refuse("classes-rnn", "--load", tmp_path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("system", "lr", "what"),
    [("airline-lstm", "1e30", "held-out RMSE is inf"), ("sine-rnn", "1e200", "the loss is inf")],
)
def test_a_training_that_ends_in_infinity_saves_nothing(refuse, tmp_path, system, lr, what):
    options = ("--lr", lr, "--epochs", 1, "--hidden-size", 2, "--save", tmp_path / "z.npz")
    message = refuse(system, *options)
    assert what in message
    assert "after training: expected a smaller --lr" in message
    assert not (tmp_path / "z.npz").exists()


def test_chunks_as_long_as_the_sequence_cut_nothing(capsys):
    options = ["--every-step", "--epochs", "1", "--hidden-size", "2"]
    assert main(["train", "airline-lstm", *options, "--truncate", "12"]) == 0
    out = capsys.readouterr().out
    assert "gradient not cut, as a sequence has only 12 steps" in out
    assert "off by" not in out
    assert main(["train", "airline-lstm", *options, "--truncate", "11"]) == 0
    assert "gradient cut every 11 steps" in capsys.readouterr().out


def test_help_names_the_systems_and_their_settings(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    lines = capsys.readouterr().out.splitlines()
    for name, s in SYSTEMS.items():
        (line,) = (line for line in lines if line.startswith(f"  {name} "))
        assert line.endswith(f"epochs {s.epochs}, hidden size {s.hidden_size}, lr {s.lr:g}")


# Where it cannot write


QUICK = "train classes-rnn --epochs 1"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"{QUICK} > /dev/full", "No space left on device"),
        (f"{QUICK} >&-", "expected it open, got it closed"),
        ("check --help > /dev/full", "No space left on device"),
        ("check none.py:A >&-", "expected it open, got it closed"),
    ],
)
def test_output_that_cannot_be_written(command, message):
    environment = {key: v for key, v in os.environ.items() if key != "PYTHONUNBUFFERED"}
    result = subprocess.run(
        *(["bash", "-c", f"{sys.executable} -m scratch {command}"],),
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"python -m scratch: standard output: {message}\n"


def test_a_closed_standard_error_changes_no_status():
    """An answer of 1 would mean "wrong"."""
    for command, status in (("check none.py:A", 2), (QUICK, 0)):
        arguments = [sys.executable, "-m", "scratch", *command.split()]
        closed = ["bash", "-c", '"$@" 2>&-', "bash", *arguments]
        result = subprocess.run(closed, cwd=ROOT, stdout=subprocess.PIPE, check=False)
        assert result.returncode == status


def test_letters_that_the_output_lacks(tmp_path):
    path = tmp_path / "×.npz"
    result = subprocess.run(
        [sys.executable, "-m", "scratch", *QUICK.split(), "--save", str(path)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "?.npz" in result.stdout
    assert path.exists()
