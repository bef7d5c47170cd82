"""The weights that --save writes and --load reads."""

from __future__ import annotations

import argparse
import io
import lzma
import math
import os
import tempfile
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np

from ..machinery.module import Array
from ..machinery.printable import short
from ..machinery.writing import replacing
from ..tasks.systems import Model, System, Task
from .options import UsageError, make_model, read_task

# What zipfile, its decompressors and NumPy's reader of array headers raise for damaged bytes.
DAMAGE = (
    *(OSError, EOFError, MemoryError, OverflowError, RuntimeError, SyntaxError, TypeError),
    *(ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError),
)
HEADER = 2**16  # bytes, of an array's header at most
Weights = Mapping[str, Array]


def save(weights: Weights, path: str, words: str = "Weights") -> None:
    """The arrays as an .npz file under exactly this name, or, where that fails, another."""
    try:
        write_arrays(weights, path)
    except OSError as error:
        raise UsageError(f"--save {path}: {error.strerror or error}; {rescue(weights)}") from None
    print(f"{words} saved in {path}")


def rescue(weights: Weights) -> str:
    """Writes the arrays wherever it is possible, and says where."""
    for folder in (tempfile.gettempdir(), os.path.expanduser("~"), os.getcwd()):
        with suppress(OSError):
            path = os.path.join(folder, f"weights-{os.getpid()}.npz")
            write_arrays(weights, path)
            return f"the weights are in {path}"
    return "the weights could not be saved elsewhere either"


def write_arrays(weights: Weights, path: str) -> None:
    with replacing(path) as file:
        np.savez(file, **weights)  # type: ignore[arg-type]


# Reading


@contextmanager
def archive(path: str) -> Iterator[zipfile.ZipFile]:
    """An .npz file opened for reading; whatever is wrong with it is a `UsageError`."""
    expected = f"--load {path}: expected an .npz file as --save writes it"
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise UsageError(f"{expected}, got {'a folder' if os.path.isdir(path) else 'a device'}")
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                raise UsageError(f"{expected}, got another file, or a part of one")
            try:
                with zipfile.ZipFile(file) as opened, warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # NumPy's, of an old or odd header
                    if any(name.endswith("/data.pkl") for name in opened.namelist()):
                        way = f"python -m reference compare SYSTEM --load {path} --save FILE"
                        raise UsageError(f"{expected}, got one of PyTorch: {way} writes FILE.npz")
                    yield opened
            except DAMAGE as error:
                what = short(str(error), 200) or type(error).__name__
                raise UsageError(f"{expected}, got a damaged one ({what})") from None
    except OSError as error:
        raise UsageError(f"--load {path}: {error.strerror or error}") from None


def headers(opened: zipfile.ZipFile) -> dict[str, tuple[zipfile.ZipInfo, Array]]:
    """Every array's place in the file, and one of its shape and dtype that takes no memory."""
    found = {}
    for info in opened.infolist():
        with opened.open(info) as entry:
            start = io.BytesIO(entry.read(HEADER))
        version = np.lib.format.read_magic(start)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(start)
        if not dtype.hasobject and info.file_size != start.tell() + dtype.itemsize * math.prod(
            shape
        ):
            raise ValueError(f"{short(info.filename)} has another size than its header says")
        stand_in = np.broadcast_to(np.zeros((), dtype), shape)
        found[short(info.filename.removesuffix(".npy"))] = info, stand_in
    return found


def begin(system: System, args: argparse.Namespace) -> tuple[Task, Model]:
    """The system's data and a model; with --load of the size and with the weights of that file."""
    if args.load is not None:
        system = sized(system, args)
    task = read_task(system, args)
    model = make_model(task)
    if args.load is not None:
        load(model, args.load)
    return task, model


def sized(system: System, args: argparse.Namespace) -> System:
    """The system with the hidden size of the weights in --load, unless --hidden-size is given."""
    if args.hidden_size is not None:
        return system
    return replace(system, hidden_size=hidden_size_in(args.load) or system.hidden_size)


def hidden_size_in(path: str) -> int | None:
    """The hidden size of the layer in an .npz file, where there is one and its bytes are there."""
    with archive(path) as opened:
        arrays = {name: array for name, (_, array) in headers(opened).items()}
    if sum(array.nbytes for array in arrays.values()) > os.path.getsize(path):
        return None  # compressed: no memory is taken because a file says so
    return hidden_size_of(arrays)


def hidden_size_of(arrays: Weights) -> int | None:
    for name, array in arrays.items():
        if name.endswith("weight_hh_l0") and array.ndim == 2:
            return int(array.shape[1])
    return None


def load(model: Model, path: str) -> None:
    """Copy the arrays of an .npz file into the parameters. Nothing pickled is read.

    Nothing is unpacked before all names, shapes and dtypes are known to fit.
    """
    with archive(path) as opened:
        found = headers(opened)
        copy_into(model, {name: array for name, (_, array) in found.items()}, path)
        arrays = {}
        for name, (info, _) in found.items():
            content = io.BytesIO(opened.read(info))
            arrays[name] = np.lib.format.read_array(content, allow_pickle=False)
    copy_into(model, arrays, path)


def copy_into(model: Model, arrays: Weights, path: str) -> None:
    """Load the arrays; what does not fit is a `UsageError`."""
    try:
        with np.errstate(all="ignore"):  # a number that is too large becomes infinite
            model.load_state_dict(arrays)
    except RuntimeError as error:
        problems = short(str(error).replace(":\n  ", ": ").replace("\n  ", "; "), 1000)
        size = hidden_size_of(arrays)
        if size not in (None, model.fc.weight.shape[1]):
            problems += f"; --hidden-size {size} would fit"
        raise UsageError(f"--load {path}: {problems}") from None
