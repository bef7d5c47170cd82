"""python -m reference compare, as a user runs it, and its refusals."""

import contextlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import scratch
from reference import figures
from reference.__main__ import main
from reference.commands import compare, pictures
from reference.commands.verdict import TOO_SHORT, time_line
from reference.parity import TOLERANCE
from reference.trial import Side
from scratch.commands.options import UsageError
from scratch.tasks.systems import SYSTEMS, load_task

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"  (scratch|torch) +Epoch \[(\d+)/(\d+)\], Loss: (\d+\.\d+)(?: +(\S+) apart)?$")
PICTURES = ("prediction", "loss", "parity")


@pytest.fixture
def undrawn(monkeypatch):
    """Pictures are made and their files written, but nothing is drawn into them."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run in an empty folder: the folder, what was printed, and the numbers."""
    folder = tmp_path_factory.mktemp("run")
    arguments = ["compare", "classes-rnn", "airline-lstm", "--json", "numbers.json"]
    output, errors = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        assert main(arguments) == 0
    assert errors.getvalue() == ""
    return folder, output.getvalue(), json.loads((folder / "numbers.json").read_text())


def test_what_is_printed(finished):
    _, output, numbers = finished
    assert all(len(line) <= 110 for line in output.splitlines())
    lines = [match.groups() for line in output.splitlines() if (match := LINE.match(line))]
    expected = []
    for name, epochs in (("classes-rnn", 10), ("airline-lstm", 30)):
        losses = numbers[name]["loss"]
        for side in ("scratch", "torch"):
            for epoch in range(epochs // 10, epochs + 1, epochs // 10):
                apart = abs(losses["scratch"][epoch - 1] - losses["torch"][epoch - 1])
                text = None if side == "scratch" else f"{apart:.1e}" if apart else "0"
                loss = f"{losses[side][epoch - 1]:.6f}"
                expected.append((side, str(epoch), str(epochs), loss, text))
    assert lines == expected


def test_the_pictures_are_named(finished):
    folder, output, numbers = finished
    paths = [Path("out") / f"{name}-{kind}.png" for name in numbers for kind in PICTURES]
    heading, *names = output.split("\nPictures: ")[1].splitlines()
    assert heading == (
        "the prediction over the truth, the loss of each epoch, the parity of every tensor"
    )
    assert " ".join(names).split() == [*map(str, paths), "Numbers", "numbers.json"]
    assert sorted(path.relative_to(folder) for path in folder.glob("out/*")) == sorted(paths)
    for path in paths:
        assert (folder / path).read_bytes().startswith(b"\x89PNG")


def test_the_verdict(finished):
    _, output, numbers = finished
    first, second = output.split("\nPictures: ")[0].splitlines()[-2:]
    weights = max(system["trained"]["weights"] for system in numbers.values())
    assert first == (
        f"Both systems: first step equal to rounding; weights at most {weights:.1e} apart after "
        "training."
    )
    names = {"NumPy": "scratch", "PyTorch": "torch"}
    faster, shorter, slower, longer, ratio = re.fullmatch(
        r"(\w+) took (\S+) s, (\w+) (\S+) s \((.*)\)\.", second
    ).groups()
    for name, seconds in ((faster, shorter), (slower, longer)):
        total = sum(system["seconds"][names[name]] for system in numbers.values())
        assert float(seconds) == pytest.approx(total, rel=0.05)  # two digits
    assert {faster, slower} == set(names)
    assert float(longer) >= float(shorter)
    # On a slow machine, the run may be long enough for a ratio.
    assert re.fullmatch(rf"{TOO_SHORT}|\S+ \[\S+, \S+\] times as long", ratio)


def results(*names, first=1e-15, weights=1e-15, dtype="float64", epochs=10):
    system = {
        "dtype": dtype,
        "epochs": epochs,
        "first_step": {"outputs": 0.0, "gradients": first},
        "trained": {"weights": weights},
        "seconds": {"scratch": 5.0 * epochs, "torch": 2.0 * epochs},
        "epoch_seconds": {"scratch": [4.0, 6.0] * (epochs // 2), "torch": [2.0] * epochs},
    }
    return dict.fromkeys(names, system)


def test_the_verdict_counts_the_systems_and_hides_nothing():
    for names, word in (
        (["sine-rnn"], "sine-rnn"),
        (list(SYSTEMS)[:2], "Both systems"),
        (list(SYSTEMS)[1:], "All three systems"),
        (list(SYSTEMS), "All four systems"),
    ):
        first, second = compare.verdict(results(*names))
        assert first.startswith(f"{word}: first step equal to rounding; ")
        assert "(2.5 [2, 3] times as long)" in second
        assert second.startswith("PyTorch took ")
    mixed = results("sine-rnn") | results("sine-lstm", first=1e-9, weights=3e-4)
    assert compare.verdict(mixed)[0] == (
        "Both systems: first step up to 1.0e-09 apart (sine-lstm); weights at most 3.0e-04 apart "
        "after training."
    )
    assert "equal" in compare.verdict(results("sine-rnn", first=1e-6, dtype="float32"))[0]
    lines = compare.verdict(results("sine-rnn", epochs=0))
    assert lines == [
        "sine-rnn: first step equal to rounding; weights at most 1.0e-15 apart; not trained."
    ]
    assert "weights at most nan" in compare.verdict(results("sine-rnn", weights=np.nan))[0]


def test_a_ratio_of_short_times_is_not_printed():
    def line(scratch, torch):
        seconds = {"NumPy": sum(scratch), "PyTorch": sum(torch)}
        return time_line(seconds, [{"epoch_seconds": {"scratch": scratch, "torch": torch}}])

    short = line([0.001] * 15, [0.002] * 15)
    assert short.startswith("NumPy took 0.015 s, PyTorch 0.03 s (too short for a ratio; ")
    assert "times as long" not in short
    assert "python -m reference bench" in short
    assert "too short" in line([1.0] * 4, [2.0] * 4)  # no spread of four epochs
    assert line([0.1] * 10, [0.2, 0.4] * 5).endswith("PyTorch 3 s (3 [2, 4] times as long).")
    assert line([0.3] * 10, [0.1] * 10).startswith("PyTorch took 1 s, NumPy 3 s (3 [3, 3] times")


@pytest.mark.usefixtures("undrawn")
def test_trained_weights_are_compared_without_training(tmp_path, capsys):
    folder = ["--out", str(tmp_path / "out")]
    saved = tmp_path / "weights"
    options = ["--epochs", "3", "--hidden-size", "3", "--save", str(saved), *folder]
    assert main(["compare", "classes-rnn", *options]) == 0
    assert f"{saved}.npz {saved}.pt" in capsys.readouterr().out
    wrapped = tmp_path / "wrapped.pt"
    state = torch.load(f"{saved}.pt", weights_only=True)
    torch.save({f"module.{name}": weight for name, weight in state.items()}, wrapped)
    path = tmp_path / "numbers.json"
    (tmp_path / "out" / "classes-rnn-loss.png").unlink()
    for file in (f"{saved}.npz", f"{saved}.pt", str(wrapped)):
        again = ["compare", "classes-rnn", "--load", file, "--json", str(path)]
        assert main([*again, "--save", str(tmp_path / "again"), *folder]) == 0
        output = capsys.readouterr().out
        assert f"Weights: those of {file}" in output
        assert "hidden size 3, Adam lr 0.001, epochs 0" in output
        assert ("below 'module.'" in output) is (file == str(wrapped))
        assert "not trained" in output
        assert "seconds" not in output
        assert "times as long" not in output
        numbers = json.loads(path.read_text())["classes-rnn"]
        assert numbers["epochs"] == 0
        assert numbers["loss"] == {"scratch": [], "torch": []}
        expected = np.load(file) if file.endswith("npz") else state
        for name, array in np.load(tmp_path / "again.npz").items():
            np.testing.assert_array_equal(array, np.asarray(expected[name]))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        *("classes-rnn-parity.png", "classes-rnn-prediction.png")
    ]
    assert main(["compare", "classes-rnn", "--load", file, "--epochs", "2", *folder]) == 0
    assert "Epoch [2/2]" in capsys.readouterr().out


def test_weights_that_do_not_fit(tmp_path):
    file, other = tmp_path / "lstm.pt", tmp_path / "text.pt"
    torch.save(torch.nn.LSTM(1, 32).state_dict(), file)
    other.write_text("text")
    weights = compare.read_weights(str(file))
    with pytest.raises(UsageError, match=r"--load .*lstm\.pt: .*missing: lstm\.weight_ih_l0"):
        compare.load(scratch.SimpleLSTM(1, 32, 1), weights, str(file))
    with pytest.raises(UsageError, match="; --hidden-size 32 would fit"):
        compare.load(scratch.SimpleLSTM(1, 3, 1), weights, str(file))
    with pytest.raises(UsageError, match=r"--load .*text\.pt: expected a state_dict"):
        compare.read_weights(str(other))


def test_which_side_is_inaccurate():
    assert compare.inaccurate_side(1e-6, 2e-5) == (
        "so the inaccurate side is torch: scratch is 20 times closer"
    )
    assert "is scratch: torch is 3 times" in compare.inaccurate_side(3e-5, 1e-5)
    for pair in ((1e-5, 1.5e-5), (1.5e-5, 1e-5), (0.0, 1e-5), (np.nan, 1.0)):
        assert "neither side" in compare.inaccurate_side(*pair)


@pytest.mark.usefixtures("undrawn")
def test_a_tensor_above_the_tolerance_in_float32(tmp_path, capsys, monkeypatch):
    options = ["--dtype", "float32", "--epochs", "1", "--out", str(tmp_path)]
    assert main(["compare", "classes-rnn", *options]) == 0
    assert "inaccurate" not in capsys.readouterr().out
    monkeypatch.setattr(compare, "rounding", lambda *_: (5e-7, 1e-4))
    monkeypatch.setitem(TOLERANCE, np.dtype(np.float32), 0.0)
    assert main(["compare", "classes-rnn", *options]) == 0
    output = capsys.readouterr().out
    assert "so the inaccurate side is torch: scratch is 200 times closer" in output
    assert "apart (classes-rnn); weights" in output


def test_the_numbers(finished):
    _, _, numbers = finished
    assert list(numbers) == ["classes-rnn", "airline-lstm"]
    for system in numbers.values():
        assert list(system) == [
            *("dtype", "epochs", "first_step", "trained", "loss", "held_out_rmse"),
            *("seconds", "epoch_seconds"),
        ]
        assert system["dtype"] == "float64"
        assert 0 < system["first_step"]["outputs"] < 1e-12
        assert 0 < system["first_step"]["gradients"] < 1e-12
        assert 0 < system["trained"]["weights"] < 1e-8
        assert 0 < system["trained"]["predictions"] < 1e-8
        assert all(seconds > 0 for seconds in system["seconds"].values())
        for side in ("scratch", "torch"):
            assert len(system["loss"][side]) == system["epochs"]
    classes, airline = numbers.values()
    assert classes["held_out_rmse"] is None
    assert classes["loss"]["scratch"][0] == pytest.approx(np.log(5), rel=0.2)
    assert all(np.diff(classes["loss"]["scratch"]) < 0)
    rmse = airline["held_out_rmse"]
    assert rmse["naive"] == pytest.approx(41.9, abs=0.05)
    assert max(rmse["scratch"], rmse["torch"]) <= 21
    assert rmse["scratch"] == pytest.approx(rmse["torch"], rel=1e-8)


@pytest.mark.usefixtures("undrawn")
def test_every_option(tmp_path, capsys):
    path = tmp_path / "numbers.json"
    options = {"--epochs": 2, "--hidden-size": 3, "--lr": 0.02, "--seed": 5, "--dtype": "float32"}
    flat = [str(entry) for pair in options.items() for entry in pair]
    flat += ["--every-step", "--truncate", "5", "--out", str(tmp_path), "--json", str(path)]
    assert main(["compare", "airline-lstm", "airline-lstm", *flat]) == 0
    assert list(json.loads(path.read_text())) == ["airline-lstm"]
    output = capsys.readouterr().out
    assert "float32, hidden size 3, Adam lr 0.02, epochs 2, gradient cut every 5 steps" in output
    assert "apart from the gradients in float64: scratch" in output
    assert "Epoch [2/2]" in output


@pytest.mark.usefixtures("undrawn")
def test_max_norm_clips_both_sides(tmp_path, capsys):
    def losses(*options):
        path = tmp_path / "numbers.json"
        more = ["--epochs", "3", "--out", str(tmp_path), "--json", str(path)]
        assert main(["compare", "classes-rnn", *more, *options]) == 0
        return json.loads(path.read_text())["classes-rnn"]["loss"]

    free, clipped = losses(), losses("--max-norm", "1e-8")
    assert "Adam lr 0.001, epochs 3, gradient clipped to the norm 1e-08" in capsys.readouterr().out
    assert clipped["scratch"] == pytest.approx(clipped["torch"], rel=1e-12)
    for side in ("scratch", "torch"):
        assert clipped[side][0] == free[side][0]
        assert clipped[side][2] > free[side][2]


@pytest.mark.usefixtures("undrawn")
def test_every_step_leaves_out_what_answers_once(tmp_path, capsys):
    options = ["--every-step", "--epochs", "1", "--hidden-size", "2", "--out", str(tmp_path)]
    assert main(["compare", *options]) == 0
    output = capsys.readouterr().out
    headings = re.findall(r"^(\S+): Simple", output, re.MULTILINE)
    assert "Left out: classes-rnn, which answers once per sequence." in output
    assert headings == ["sine-rnn", "sine-lstm", "airline-lstm"]


@pytest.mark.filterwarnings("error")
def test_a_column_with_letters_that_no_font_has_and_with_a_dollar(tmp_path):
    path, name = tmp_path / "x.csv", "日本 $^$"
    path.write_text(f"{name}\n" + "".join(f"{n % 7 * n}\n" for n in range(20)), "utf-8")
    options = ["--epochs", "1", "--hidden-size", "2", "--out", str(tmp_path)]
    assert main(["compare", "--csv", str(path), "--column", name, "--window", "3", *options]) == 0


def write_csv(path, rows, column="level"):
    lines = "\n".join(f"{i},{row}" for i, row in enumerate(rows))
    path.write_text(f"day,{column}\n{lines}\n", "utf-8")
    return ["--csv", str(path), "--column", column, "--window", "4"]


@pytest.mark.usefixtures("undrawn")
def test_a_series_of_ones_own(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    series = write_csv(tmp_path / "level.csv", np.sin(np.arange(40)) * 3)
    options = ["--epochs", "2", "--out", str(tmp_path)]
    assert main(["compare", *series, *options]) == 0
    output = capsys.readouterr().out
    assert re.search(r"held-out RMSE +scratch \S+, torch \S+, .* \(level\)$", output, re.MULTILINE)
    assert "level.csv: utf-8, separated by commas, decimal point, 40 values, no dates" in output
    assert main(["compare", "sine-rnn", *series, *options]) == 0
    other = write_csv(tmp_path / "a b.csv", np.sin(np.arange(40)), "temp/°C")
    assert main(["compare", *other, *options]) == 0
    for name in ("series-lstm-level-level", "sine-rnn-level-level", "series-lstm-a-b-temp%2F°C"):
        for kind in PICTURES:
            assert (tmp_path / f"{name}-{kind}.png").exists()


def titles(monkeypatch):
    """The titles of the pictures that are drawn from here on."""
    seen, add_title = [], figures.add_title
    monkeypatch.setattr(
        figures, "add_title", lambda figure, text: (seen.append(text), add_title(figure, text))
    )
    return seen


@pytest.mark.usefixtures("undrawn")
def test_a_model_that_loses_is_said_to_lose(tmp_path, capsys, monkeypatch):
    """Nothing can be learned of a random walk's steps in one epoch, and all of a sine's."""
    seen = titles(monkeypatch)
    walk = np.random.default_rng(0).standard_normal(100).cumsum()
    series = write_csv(tmp_path / "walk.csv", walk)
    options = ["--epochs", "1", "--out", str(tmp_path), "--json", str(tmp_path / "x.json")]
    assert main(["compare", *series, *options]) == 0
    rmse = json.loads((tmp_path / "x.json").read_text())["series-lstm"]["held_out_rmse"]
    assert rmse["scratch"] > rmse["naive"]
    numbers = f"RMSE {rmse['scratch']:.6g} against {rmse['naive']:.6g}"
    words = f'the model loses against "same as the row before": {numbers}'
    assert words in capsys.readouterr().out
    assert [words in title for title in seen] == [True, False, False]
    assert seen[0].startswith("series-lstm on walk level, float64, epochs 1\n")
    del seen[:]
    series = write_csv(tmp_path / "wave.csv", np.sin(np.arange(100) * 0.7))
    assert main(["compare", *series, "--out", str(tmp_path)]) == 0
    assert "model loses" not in capsys.readouterr().out + "".join(seen)


def test_one_side_that_loses_is_named():
    held_out = load_task(SYSTEMS["airline-lstm"]).held_out
    right = (np.log(held_out.truth / held_out.naive) - held_out.mean) / held_out.std
    sides = [Side([], 0.0, {}, None, answers[:, np.newaxis]) for answers in (right, 0 * right - 9)]
    (line,) = pictures.losing(held_out, *sides)
    assert line.startswith('torch loses against "same as last year": RMSE ')
    assert pictures.losing(held_out, sides[0], sides[0]) == []


def test_the_default_picture_of_a_wave_is_a_wave(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        figures, "draw_wave_ends", lambda *data: drawn.append(data) or figures.new_figure(1, 1)
    )
    options = ["--epochs", "1", "--hidden-size", "2", "--out", str(tmp_path)]
    assert main(["compare", "sine-rnn", *options]) == 0
    (numbers, seen, ahead, truth, _, _) = drawn[0]
    assert (numbers.tolist(), seen.shape) == ([1, 500, 1000], (3, 50))
    # Where the truth stands, the wave goes on: both have the same phase.
    phase = np.arcsin(seen[:, 0])
    np.testing.assert_allclose(np.sin(phase + (49 + ahead) * 2 * np.pi / 49), truth, rtol=1e-12)


def test_the_old_numbers_stay_until_the_new_are_written(tmp_path, capsys, monkeypatch):
    path = tmp_path / "x.json"
    path.write_text("old")
    monkeypatch.setattr(compare.json, "dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        compare.save_json(str(path), {})
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.filterwarnings("error")
def test_a_training_that_explodes(tmp_path, capsys):
    path, out = tmp_path / "numbers.json", ["--epochs", "3", "--out", str(tmp_path)]
    # float32 ends at 3e38, and the square of a prediction of 1e20 is beyond.
    with pytest.raises(SystemExit) as stopped:
        main(["compare", "airline-lstm", "--dtype", "float32", "--lr", "1e20", *out])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "the loss is inf in epoch 2 of scratch: expected a smaller --lr than 1e+20" in error
    # Passengers are exp(…) of the prediction. JSON has no word for an infinite error.
    assert main(["compare", "airline-lstm", "--lr", "1e9", *out, "--json", str(path)]) == 0
    rmse = json.loads(path.read_text())["airline-lstm"]["held_out_rmse"]
    assert rmse["scratch"] is rmse["torch"] is None
    assert rmse["naive"] > 0


# What a person can mend: one line on standard error, exit status 2, and nothing was trained


def assert_refused(arguments, capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main(["compare", *map(str, arguments)])
    assert stopped.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1, captured.err
    for word in words:
        assert word in captured.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sine"], ["'sine'", "sine-rnn", "airline-lstm"]),
        (["--epochs", "-1"], ["--epochs", "at least 0", "-1"]),
        (["--load", "w.npz"], ["--load: expected one SYSTEM with it, got 4"]),
        (["--save", "w"], ["--save: expected one SYSTEM with it, got 4"]),
        (["sine-rnn", "--save", "/nowhere/w"], ["--save", "existing folder"]),
        (["sine-rnn", "--load", "/nowhere/w.pt"], ["--load /nowhere/w.pt: No such file"]),
        (["sine-rnn", "--load", "/dev/null"], ["--load /dev/null: expected a file, got a device"]),
        (["--epochs", "many"], ["--epochs", "many"]),
        (["--hidden-size", "0"], ["--hidden-size", "at least 1"]),
        (["--lr", "0"], ["--lr", "above 0"]),
        (["--lr", "nan"], ["--lr", "above 0"]),
        (["--seed", "-3"], ["--seed", "at least 0"]),
        (["--dtype", "float16"], ["--dtype", "float16", "float32"]),
        (["--truncate", "0", "--every-step"], ["--truncate", "at least 1"]),
        (["--truncate", "5"], ["--truncate", "--every-step"]),
        (["--max-norm", "0"], ["--max-norm", "above 0"]),
        (["classes-rnn", "--every-step"], ["--every-step", "classes-rnn", "sine-lstm"]),
        (["--json", ""], ["--json", "expected a name, got ''"]),
        (["--csv", "x.csv", "--window", "3"], ["--column"]),
        (["--column", "x"], ["--csv"]),
        (["--unknown"], ["--unknown"]),
    ],
)
def test_bad_arguments(arguments, words, capsys, tmp_path):
    assert_refused([*arguments, "--out", tmp_path], capsys, *words)


def test_bad_places(tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    assert_refused(["--out", ""], capsys, "--out", "expected a name, got ''")
    assert_refused(["--out", file], capsys, "--out", "folder")
    assert_refused(["--out", file / "below"], capsys, "--out")
    (tmp_path / "pictures" / "airline-lstm-loss.png").mkdir(parents=True)
    assert_refused(["--out", tmp_path / "pictures"], capsys, "--out", "-loss.png", "a folder")
    out = ["--out", tmp_path / "out"]
    assert_refused([*out, "--json", tmp_path], capsys, "--json", "folder")
    assert_refused([*out, "--json", tmp_path / "no" / "a.json"], capsys, "--json", "existing")


def test_bad_series(tmp_path, capsys):
    out = ["--out", tmp_path]
    assert_refused(
        [*out, "--csv", tmp_path / "no.csv", "--column", "a", "--window", 3], capsys, "no.csv"
    )
    series = write_csv(tmp_path / "level.csv", [1, 2, "three", *range(40)])
    assert_refused([*out, *series], capsys, "line 4", "three")
    series = write_csv(tmp_path / "level.csv", range(7))
    assert_refused([*out, *series], capsys, "level", "7")
    assert_refused([*out, *series[:3], "height", *series[4:]], capsys, "height", "day, level")
    assert_refused([*out, "classes-rnn", *series], capsys, "classes-rnn")


def test_a_mistake_as_a_user_sees_it():
    command = [sys.executable, "-m", "reference", "compare", "--epochs", "-1"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "--epochs: expected a whole number of at least 0" in result.stderr
