"""python -m scratch study, as a user runs it: its figures, what it says, its refusals."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

import scratch.study
from scratch import SimpleRNN
from scratch.__main__ import main

FIGURES = ["forward", "backward", "flow", "start", "jacobians", "shares", "trajectories"]
TRAINING = ["saturation", "adam"]


@pytest.fixture
def study(tmp_path, capsys, monkeypatch):
    """Run the command; returns what it prints. Figures are not made unless `drawn`."""

    def run(*arguments, drawn=False):
        for name in () if drawn else filter(re.compile("draw_").match, dir(scratch.study)):
            monkeypatch.setattr(scratch.study, name, lambda *_, **__: Figure(figsize=(1, 1)))
        assert main(["study", *map(str, arguments), "--out", str(tmp_path / "out")]) == 0
        return capsys.readouterr().out

    return run


def names_told(out):
    return [line.split()[0] for line in out.split("\n\n")[1].splitlines() if line[0] != " "]


def test_every_figure_is_written_and_told(study, tmp_path):
    out = study("classes-rnn", "--epochs", 3, "--sequence", 15, drawn=True)
    assert names_told(out) == [*FIGURES, *TRAINING, "page"]
    page = (tmp_path / "out" / "classes-rnn-page.html").read_text("utf-8")
    assert page.startswith("<!doctype html>") or page.startswith("<!DOCTYPE html>")
    for name in FIGURES + TRAINING:
        picture = (tmp_path / "out" / f"classes-rnn-{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
    assert out.splitlines()[0] == "classes-rnn: RNN with 20 units in float64, Adam lr 0.001"
    assert "classes-rnn: LSTM with 20 units" in out  # beside it, on the same data
    assert max(map(len, out.splitlines()[:-2])) <= 100  # the last ones name a folder


def test_what_it_says_changes_with_the_seed_and_the_sequence(study):
    base = ["airline-lstm", "--hidden-size", 3, "--epochs", 2]
    first, again = study(*base), study(*base)
    assert first == again
    for option in (["--seed", 1], ["--sequence", 1]):
        other = study(*base, *option)
        for name in [*FIGURES, "adam"]:
            told = [re.search(rf"^{name} .*(\n  .*)*", out, re.M)[0] for out in (first, other)]
            if option[0] == "--seed" or name not in ("flow", "adam"):  # of many sequences
                assert told[0] != told[1], (name, option)


def test_a_series_of_one_s_own_needs_no_system(study, tmp_path):
    numbers = np.random.default_rng(0).standard_normal(30)
    (tmp_path / "own.csv").write_text("\n".join(["x", *map(str, numbers)]))
    series = ["--csv", tmp_path / "own.csv", "--column", "x", "--window", 4]
    out = study(*series, "--epochs", 1, "--hidden-size", 2)
    assert out.startswith("series-lstm: LSTM with 2 units in float64, Adam lr 0.003")


def test_the_model_is_the_one_that_train_trains(study, capsys):
    run = ["airline-lstm", "--hidden-size", "3", "--epochs", "2"]
    assert main(["train", *run]) == 0
    losses = re.findall("Epoch .*", capsys.readouterr().out)
    assert re.findall("Epoch .*", study(*run))[:2] == losses


def test_loaded_weights_are_studied_as_they_are(study, tmp_path):
    model = SimpleRNN(10, 2, 5, dtype=np.float64, rng=5)
    np.savez(tmp_path / "w.npz", **model.state_dict())
    out = study("classes-rnn", "--load", tmp_path / "w.npz")
    assert out.startswith(f"classes-rnn: RNN with 2 units in float64, weights of {tmp_path}")
    assert names_told(out) == [*FIGURES, "page"]
    largest = np.abs(np.linalg.eigvals(model.rnn.weight_hh_l0.data)).max()
    assert f"|eigenvalue|: W_hh {largest:.3g}" in re.sub(r"\s+", " ", out)
    trained_on = study("classes-rnn", "--load", tmp_path / "w.npz", "--epochs", 1)
    assert names_told(trained_on) == [*FIGURES, *TRAINING, "page"]


def test_a_system_that_is_not_trained_is_studied_as_it_is(study):
    out = study("classes-rnn", "--epochs", 0, "--hidden-size", 2)
    assert out.startswith("classes-rnn: RNN with 2 units in float64, not trained\n")
    assert names_told(out) == [*FIGURES, "page"]
    assert "before training: RNN h:" in out
    assert "after training" not in out


def test_weights_that_are_no_numbers_are_refused(tmp_path, capsys):
    model = SimpleRNN(10, 2, 5, dtype=np.float64, rng=5)
    model.rnn.weight_hh_l0.data[...] = np.inf
    np.savez(tmp_path / "w.npz", **model.state_dict())
    with pytest.raises(SystemExit) as raised:
        main(["study", "classes-rnn", "--load", str(tmp_path / "w.npz"), "--out", str(tmp_path)])
    assert raised.value.code == 2
    assert "the loss is nan: expected" in capsys.readouterr().err


def test_the_adding_problem_says_who_solved_it(study):
    out = re.sub(r"\s+", " ", study("adding-lstm", "--epochs", 1, "--dtype", "float32"))
    said = r"([\d.]+), \d+% within 0\.04: not solved"
    found = re.search(rf"\(RMS\): LSTM {said}; RNN {said}\.", out)
    assert all(float(error) > 0.1 for error in found.groups())
    (constant,) = re.findall(r"the answer 0\.5 gets ([\d.]+)\.", out)
    assert float(constant) == pytest.approx(np.sqrt(1 / 24), abs=0.01)  # the variance of the sum


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["classes-rnn", "--sequence", "16"], "--sequence: expected a number below 16, got 16"),
        (["sine-rnn", "--every-step", "--truncate", "2"], "--truncate: expected none"),
        (["adding-rnn", "--every-step"], "--every-step: adding-rnn answers once per sequence"),
        (["classes-rnn", "--load", "/nowhere.npz"], "--load /nowhere.npz: No such file"),
        (["classes-rnn", "--out", "/dev/null"], "--out /dev/null: "),
        (["sine"], "invalid choice: 'sine'"),
        ([], "expected one of sine-rnn, "),
    ],
)
def test_what_is_wrong_and_what_would_be_right(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr("scratch.commands.study.train", None)  # nothing is trained
    with pytest.raises(SystemExit) as raised:
        main(["study", *arguments])
    assert raised.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
