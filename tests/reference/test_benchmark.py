"""The bench command: what it measures, what it writes, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from reference import benchmark
from reference.__main__ import main
from reference.benchmark import (
    DTYPES,
    OPTIONS,
    SIZES,
    Case,
    Work,
    cases,
    layer_pass,
    limit,
    measure,
    torch_peak,
    training_step,
)
from reference.commands import bench
from reference.twin import twin
from scratch import LSTM, RNN
from scratch.tasks.systems import SYSTEMS
from tests.parity import assert_parity


@pytest.fixture
def in_this_process(monkeypatch):
    """As if the libraries had been loaded with the settings that the command wants."""
    for name, value in {**dict.fromkeys(bench.THREADS, "1"), **bench.QUIET}.items():
        monkeypatch.setenv(name, value)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_the_table_has_every_system_size_and_option():
    names = [(case.section, case.name) for case in cases()]
    assert len(set(names)) == len(names)
    assert len(names) == len(SYSTEMS) + 2 * (2 * len(SIZES) + len(OPTIONS))


@pytest.mark.parametrize("layer_class", [RNN, LSTM])
@pytest.mark.parametrize("options", [{}, *OPTIONS.values()])
def test_both_sides_of_a_layer_get_the_same_gradients(layer_class, options, monkeypatch):
    pairs = spy_on_twins(monkeypatch)
    work = layer_pass(layer_class, (5, 4, 3, 2), "float64", **options)
    for _ in range(2):  # each pass starts from no gradients
        work.scratch()
        work.torch()
    ((ours, theirs),) = pairs
    assert_same_gradients(ours, theirs)


def test_both_sides_of_a_training_step_get_the_same_gradients_and_weights(monkeypatch):
    pairs = spy_on_twins(monkeypatch)
    work = training_step(SYSTEMS["classes-rnn"], "float64")
    for _ in range(3):
        work.scratch()
        work.torch()
    ours, theirs = pairs[0]
    assert_same_gradients(ours, theirs)
    for (name, parameter), theirs_ in zip(
        ours.named_parameters(), theirs.parameters(), strict=True
    ):
        assert_parity(name, parameter.data, theirs_)


def spy_on_twins(monkeypatch):
    """A list that gets every module of scratch with its twin."""
    pairs = []

    def spy(module):
        pairs.append((module, twin(module)))
        return pairs[-1][1]

    monkeypatch.setattr(benchmark, "twin", spy)
    return pairs


def assert_same_gradients(ours, theirs):
    for (name, parameter), theirs_ in zip(
        ours.named_parameters(), theirs.parameters(), strict=True
    ):
        assert_parity(f"gradient of {name}", parameter.grad, theirs_.grad)


def test_a_row_is_a_line_of_json_and_of_the_table(tmp_path, capfd, in_this_process):
    file, figure = tmp_path / "bench.json", tmp_path / "bench.png"
    options = ["--rows", "classes", "--repeats", "2", "--threads", "1"]
    assert main(["bench", *options, "--json", str(file), "--figure", str(figure)]) == 0
    printed = capfd.readouterr().out.splitlines()
    assert max(map(len, printed)) <= 120
    assert sum("classes-rnn" in line for line in printed) == len(DTYPES)
    assert f"torch {torch.__version__}, threads 1" in printed[0]
    assert figure.read_bytes().startswith(b"\x89PNG")

    result = json.loads(file.read_text())
    assert (result["NumPy"], result["threads"]) == (np.__version__, 1)
    assert [row["dtype"] for row in result["rows"]] == list(DTYPES)
    for row in result["rows"]:
        assert (row["section"], row["name"], row["rounds"]) == ("training step", "classes-rnn", 2)
        for name in ("scratch_ms", "torch_ms", "ratio", "limit_ms"):
            assert 0 < row[name]["low"] <= row[name]["median"] <= row[name]["high"]
        assert row["share"] > 0
        assert min(row["scratch_bytes"], row["torch_bytes"]) > 0


def test_growth_with_the_steps(tmp_path, capfd, in_this_process):
    file = tmp_path / "growth.json"
    options = ["--growth", "--rows", "RNN (1, 8*float64", "--repeats", "9", "--threads", "1"]
    assert main(["bench", *options, "--json", str(file)]) == 0
    assert max(map(len, capfd.readouterr().out.splitlines())) <= 120
    (row,) = json.loads(file.read_text())["rows"]
    assert (row["name"], row["dtype"]) == ("RNN (1, 8, 64)", "float64")
    # Other processes may interrupt most rounds; not all of the short ones, of a few ms.
    assert row["long_ms"]["low"] > row["short_ms"]["low"] > 0


def test_the_command_starts_itself_with_the_threads_that_it_names(monkeypatch, capfd):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    options = ["--rows", "alone RNN (7*32", "--repeats", "1", "--threads", "1"]
    assert main(["bench", *options]) == 0
    printed = capfd.readouterr()
    assert "threads 1" in printed.out
    assert "alone" in printed.out
    assert not printed.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rows", "gru"], ["--rows", "gru", "sine-lstm"]),
        (["--growth", "--rows", "sine-lstm"], ["--rows", "sine-lstm"]),
        (["--repeats", "0"], ["--repeats", "at least 1", "'0'"]),
        (["--threads", "two"], ["--threads", "at least 1", "'two'"]),
        (["--json", "nowhere/bench.json"], ["--json", "existing folder", "nowhere"]),
        (["--json", "."], ["--json", "name of a file"]),
        (["--figure", "nowhere/bench.png"], ["--figure", "existing folder", "nowhere"]),
        (["--figure", "bench.xyz"], ["--figure", "bench.xyz", ".png"]),
        (["--figure", "bench.png", "--growth"], ["--figure", "--growth"]),
    ],
)
def test_what_it_refuses(options, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        main(["bench", *options])
    assert exit_.value.code == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert captured.err.count("\n") == 1
    for word in words:
        assert word in captured.err


def test_the_passes_run_in_turn_and_are_measured():
    """A pass of 2 MB beside one of 1 MB; both once for their memory, and in every round."""
    calls = []

    def ours():
        calls.append("scratch")
        np.zeros(250_000)

    def theirs():
        calls.append("torch")
        torch.zeros(125_000, dtype=torch.float64)

    work = Work(ours, theirs, lambda: calls.append("limit"))
    row = measure(Case("section", "name", lambda dtype: work), "float64", 3, 0)
    assert calls[-9:] == ["scratch", "torch", "limit"] * 3
    assert row.rounds == 3
    assert row.scratch_bytes == pytest.approx(2e6, rel=0.05)
    assert row.torch_bytes == pytest.approx(1e6, rel=0.05)


def test_peak_of_tensors_counts_what_lives_at_the_same_time():
    def run():
        for _ in range(3):
            torch.zeros(1000, dtype=torch.float64)
        first, second = torch.zeros(1000), torch.zeros(500)
        del first, second

    assert torch_peak(run) == 8000


@pytest.mark.parametrize("layer_class", [RNN, LSTM])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bidirectional": True}])
def test_the_limit_has_the_products_and_the_tanh_of_the_pass(layer_class, options, monkeypatch):
    layer = layer_class(3, 4, **options, dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((6, 100, 3))
    calls = []

    def spy(name, function):
        def call(*args, **kwargs):
            calls.append((name, *(array.shape for array in args)))
            return function(*args, **kwargs)

        monkeypatch.setattr(np, name, call)

    spy("dot", np.dot)
    spy("tanh", np.tanh)
    layer(x)
    ours = sorted(calls)
    calls.clear()
    limit(layer, [100] * 6, backward=False)()
    assert sorted(calls) == ours
