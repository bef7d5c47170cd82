"""--save and --load: no file is lost by writing it, and none is unpacked that does not fit."""

import errno
import io
import os
import resource
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scratch.__main__ import main

ROOT = Path(__file__).parents[3]
QUICK = ("train", "classes-rnn", "--epochs", "1")


def train(*options):
    assert main([*QUICK, *map(str, options)]) == 0


def folder_of(path):
    return sorted(each.name for each in path.parent.iterdir())


# Writing


@pytest.fixture
def kept(tmp_path, capsys):
    """A file with weights, alone in its folder."""
    path = tmp_path / "here" / "w.npz"
    path.parent.mkdir()
    train("--save", path)
    capsys.readouterr()
    return path


def failing(error, times=1):
    """`np.savez` that writes a part and then fails, so many times; then it works again."""
    savez, left = np.savez, [times]

    def fail(file, **arrays):
        if left[0]:
            left[0] -= 1
            file.write(b"a part")
            raise error
        savez(file, **arrays)

    return fail


def test_a_full_disk_costs_neither_old_nor_new_weights(kept, refuse, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(np, "savez", failing(OSError(errno.ENOSPC, "No space left on device")))
    before = kept.read_bytes()
    message = refuse(*QUICK[1:], "--load", kept, "--save", kept, "--lr", "0.1")
    assert kept.read_bytes() == before
    assert folder_of(kept) == ["w.npz"]
    text, rescued = message.strip().split("; the weights are in ")
    assert text.endswith(f"--save {kept}: No space left on device")
    assert Path(rescued).parent == tmp_path
    with np.load(rescued) as new, np.load(kept) as old:
        assert set(new) == set(old)
        assert not np.array_equal(new["fc.bias"], old["fc.bias"])


def test_where_nothing_can_be_written_the_old_weights_stay(kept):
    before = kept.read_bytes()
    result = subprocess.run(
        [sys.executable, "-m", "scratch", *QUICK, "--save", str(kept)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr.endswith(
        "File too large; the weights could not be saved elsewhere either\n"
    )
    assert kept.read_bytes() == before
    assert folder_of(kept) == ["w.npz"]


def test_interrupted_while_writing_it_writes_again(kept, monkeypatch, capsys):
    before = kept.read_bytes()
    monkeypatch.setattr(np, "savez", failing(KeyboardInterrupt(), times=2))
    with pytest.raises(SystemExit):  # the person does not want to wait
        main([*QUICK, "--save", str(kept), "--lr", "0.1"])
    assert kept.read_bytes() == before
    monkeypatch.setattr(np, "savez", failing(KeyboardInterrupt()))
    with pytest.raises(SystemExit) as stopped:
        main([*QUICK, "--save", str(kept), "--lr", "0.1"])
    assert stopped.value.code == 130
    assert f"Weights after epoch 1 saved in {kept}" in capsys.readouterr().out
    assert kept.read_bytes() != before
    assert folder_of(kept) == ["w.npz"]


def test_what_is_no_plain_file_stays_what_it_is(kept):
    link = kept.parent / "link"
    link.symlink_to("w.npz")
    kept.chmod(0o640)
    before = kept.read_bytes()
    train("--load", link, "--save", link, "--lr", "0.1")
    assert link.is_symlink()
    assert kept.read_bytes() != before
    assert kept.stat().st_mode & 0o777 == 0o640
    train("--save", os.devnull)
    assert Path(os.devnull).is_char_device()


def test_a_name_that_cannot_be_written_is_refused_before_training(refuse, tmp_path, monkeypatch):
    monkeypatch.setattr("scratch.commands.train.train", None)
    (tmp_path / "dangling").symlink_to("/nowhere/w.npz")
    (tmp_path / "circle").symlink_to("circle")
    for name, words in (
        ("dangling", "expected an existing folder, got /nowhere"),
        ("circle", "Too many levels of symbolic links"),
        ("w" * 300, "File name too long"),
    ):
        assert words in refuse("classes-rnn", "--save", tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["circle", "dangling"]


# Reading


def test_everything_that_does_not_fit_stands_in_one_line(refuse, tmp_path):
    path, kept = tmp_path / "wrong.npz", tmp_path / "kept.npz"
    np.savez(path, **{"fc.weight": np.zeros((1, 9)), "fc.bias": np.array(["x"]), "more": 1.0})
    message = refuse("airline-lstm", "--load", path, "--save", kept)
    for part in (
        "missing: lstm.weight_ih_l0, shape (128, 1)",
        "unexpected: more",
        "fc.weight: expected shape (1, 32), got (1, 9)",
        "fc.bias: expected float64 numbers",
    ):
        assert part in message
    assert not kept.exists()


def test_a_file_that_is_no_npz(refuse, tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(b"")
    assert "expected an .npz file as --save writes it" in refuse("classes-rnn", "--load", path)
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    assert "expected an .npz file as --save writes it" in refuse("classes-rnn", "--load", path)
    np.savez(path, a=np.array([{}], dtype=object))
    assert "unexpected: a, an array of shape (1,) and dtype object" in refuse(
        "classes-rnn", "--load", path
    )
    np.savez(path, a=np.zeros(100))
    path.write_bytes(path.read_bytes().replace(b"\0" * 300, b"\1" * 300))
    assert "a damaged one (Bad CRC-32" in refuse("classes-rnn", "--load", path)


def test_a_file_of_pytorch_is_told_the_way(refuse, tmp_path):
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w") as archive:  # as torch.save writes it
        archive.writestr("w/data.pkl", b"")
    message = refuse("classes-rnn", "--load", path)
    way = f"python -m reference compare SYSTEM --load {path} --save FILE writes FILE.npz"
    assert message.endswith(f"got one of PyTorch: {way}\n")


def zipped(path, content, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.npy", content)
    return path.read_bytes()


def test_a_damaged_npz(refuse, tmp_path):
    path, buffer = tmp_path / "x.npz", io.BytesIO()
    np.save(buffer, np.random.default_rng(0).standard_normal(100))
    array = buffer.getvalue()
    whole = zipped(path, array)
    lzma = bytearray(zipped(path, array, zipfile.ZIP_LZMA))
    lzma[100:400] = b"\xff" * 300
    header = zipped(path, array.replace(b"(100,)", b"(100, "))
    beginning = zipped(path, array[:200])
    empty = zipped(path, b"")
    no_array = zipped(path, b"words")
    huge = zipped(path, array.replace(b"(100,), }" + b" " * 12, b"(9" + b"0" * 14 + b",), }"))
    cut = whole[:60] + whole[200:]
    for damaged in (lzma, header, beginning, empty, no_array, huge, cut, whole[:-30]):
        path.write_bytes(damaged)
        message = refuse("classes-rnn", "--load", path)
        assert f"--load {path}: expected an .npz file as --save writes it, got" in message


def test_the_hidden_size_is_that_of_the_file(tmp_path, capsys, refuse):
    path = tmp_path / "w.npz"
    train("--save", path, "--hidden-size", 7)
    capsys.readouterr()
    train("--load", path)
    assert "hidden size 7, Adam" in capsys.readouterr().out
    message = refuse("classes-rnn", "--load", path, "--hidden-size", 9)
    assert message.endswith(
        "fc.weight: expected shape (5, 9), got (5, 7); --hidden-size 7 would fit\n"
    )


def test_nothing_is_unpacked_that_does_not_fit(tmp_path, refuse):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, **{"rnn.weight_hh_l0": np.zeros((2000, 2000))})  # 32 MB
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    try:
        message = refuse("classes-rnn", "--load", path)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()
    assert "rnn.weight_hh_l0: expected shape (20, 20), got (2000, 2000)" in message


@pytest.mark.filterwarnings("error")
def test_names_and_headers_of_others(tmp_path, refuse):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        buffer = io.BytesIO()
        np.save(buffer, np.zeros(100))
        old = buffer.getvalue().replace(b"(100,), } ", b"(100L,), }")  # as Python 2 wrote it
        archive.writestr("\x1b[31mred\n" + "long" * 100 + ".npy", old)
    message = refuse("classes-rnn", "--load", path)
    assert "unexpected: ?[31mred longlong" in message
    assert message[:-1].isprintable()
    assert len(message) < 700  # 400 letters are cut


@pytest.mark.parametrize(("name", "words"), [("/dev/zero", "got a device"), ("/", "got a folder")])
def test_what_has_no_end_is_not_read(refuse, name, words):
    assert words in refuse("classes-rnn", "--load", name)


def test_numbers_that_are_too_large_for_the_dtype_are_no_warning(tmp_path, refuse):
    path = tmp_path / "w.npz"
    train("--save", path)
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **arrays | {"fc.bias": np.full(5, 1e300)})
    message = refuse("classes-rnn", "--load", path, "--dtype", "float32")
    assert "the loss is nan in epoch 1" in message


def test_memory_that_is_not_there_is_said_in_words(refuse, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("scratch.commands.weight_files.read_task", fail)
    assert "sizes that fit into memory, there is not enough" in refuse("classes-rnn")
