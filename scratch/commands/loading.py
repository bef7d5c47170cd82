"""A person's own class out of a file, made and tried on inputs that fit it."""

from __future__ import annotations

import importlib.util
import inspect
import linecache
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, NamedTuple

import numpy as np

from ..gradcheck import signature
from ..gradcheck.code_under_test import NotCheckable
from ..machinery import nests
from ..machinery.module import Array
from .options import UsageError

ANSWERS = {
    "RNNCell": "h (N, H)",
    "LSTMCell": "h and c, (N, H) each,",
    "RNN": "the output (T, N, H) and h_n",
    "LSTM": "the output (T, N, H) and (h_n, c_n)",
}
LIMIT = 60.0  # seconds for importing a file, making an instance, or trying it on inputs
RULE = ("__call__", "forward", "backward", "parameters")


class Sizes(NamedTuple):
    """The sizes of the inputs that a module is tried on."""

    D: int
    H: int
    T: int
    N: int


def load(target: str) -> type[Any]:
    """The class FILE.py:NAME."""
    path, colon, name = target.rpartition(":")
    if not colon or not path or not name:
        raise UsageError(f"expected FILE.py:NAME, got {target!r}")
    if not os.path.isfile(path):
        raise UsageError(f"{path}: expected a Python file, there is no such file")
    stem = os.path.basename(path).removesuffix(".py")
    spec = importlib.util.spec_from_file_location(f"checked_{stem}", path)  # hides no other module
    if spec is None or spec.loader is None:
        raise UsageError(f"{path}: expected a Python file, its name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    own_code(path, "importing it", spec.loader.exec_module, module)
    found = getattr(module, name, None)
    if inspect.isclass(found):
        return found
    classes = [
        key
        for key, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    what = "no class" if found is None else f"{type(found).__name__}, expected a class"
    known = f"it has {', '.join(classes)}" if classes else "it has no class"
    raise UsageError(f"{name}: {what} of this name in {path}; {known}")


class TooLong(BaseException):
    """No Exception: what catches those in a person's code does not catch this."""


def own_code(
    path: str, doing: str, function: Callable[..., Any], *args: Any, limit: float | None = None
) -> Any:
    """What the function returns, after at most `limit` seconds (default LIMIT).

    What ends the person's code early is told with its own line. What it prints and warns of is
    not shown: it would come once for each of thousands of passes.
    """
    seconds = LIMIT if limit is None else limit
    try:
        with quiet(), limited(seconds):
            return function(*args)
    except UsageError:
        raise
    except NotCheckable as error:
        raise UsageError(f"{path}: {error}") from None
    except TooLong as error:
        line = own_line(error, path)
        raise UsageError(f"{path}: {doing} did not end within {seconds:g} s{line}") from None
    except SystemExit as error:
        line = own_line(error, path)
        raise UsageError(f"{path}: {doing} ended in sys.exit({error.code!r}){line}") from None
    except SyntaxError as error:
        code = f": {error.text.strip()}" if error.text else ""
        line = f", line {error.lineno}" if error.lineno else ""
        raise UsageError(f"{error.filename or path}{line}: {error.msg}{code}") from None
    except Exception as error:
        raise UsageError(f"{path}: {doing} ended in {told(error, path)}") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Without standard output and warnings."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises TooLong inside, at the line that runs then; where there are signals."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def told(error: BaseException, path: str) -> str:
    """The exception, and the last line of the person's file that it went through."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{own_line(error, path)}"


def own_line(error: BaseException, path: str) -> str:
    own = os.path.abspath(path)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if os.path.abspath(frame.filename) == own and frame.lineno is not None:
            line = linecache.getline(frame.filename, frame.lineno).strip()
            return f" (line {frame.lineno}, in {frame.name}: {line})"
    return ""


def make(cls: type[Any], path: str, sizes: Sizes) -> Any:
    """An instance: by the names of the constructor's arguments where they are known."""
    known = {
        **dict.fromkeys(("input_size", "input_dim", "in_features", "n_in", "n_x", "D"), sizes.D),
        **dict.fromkeys(("hidden_size", "hidden_dim", "n_hidden", "n_h", "n_a", "H"), sizes.H),
        **dict.fromkeys(("output_size", "output_dim", "out_features", "n_out", "n_y"), 2),
    }
    arguments = [
        p
        for p in inspect.signature(cls).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    required = [p.name for p in arguments if p.default is p.empty]
    if all(name in known for name in required):
        values = [known[name] for name in required]
    elif len(required) <= 3:
        values = [sizes.D, sizes.H, 2][: len(required)]
    else:
        raise UsageError(
            f"{cls.__name__}: expected a constructor of (input_size, hidden_size), it takes "
            f"({', '.join(required)})"
        )
    module = own_code(path, f"{cls.__name__}({', '.join(map(str, values))})", cls, *values)
    missing = [name for name in RULE if not callable(getattr(module, name, None))]
    if missing or not callable(module):
        raise UsageError(
            f"{cls.__name__}: expected {', '.join(RULE)}, it has no {', '.join(missing)}; derive "
            f"it from scratch.Module"
        )
    return module


def inputs_for(module: Any, path: str, sizes: Sizes, like: str | None) -> tuple[Any, ...]:
    """The first inputs, of those that a cell, a layer, a loss or a head takes, that it accepts."""
    refused: list[tuple[str, BaseException]] = []
    for kind, inputs in candidates(module, sizes, like):
        try:
            with np.errstate(all="ignore"):
                answers = module(*inputs)
                record = module.forward(*inputs)
                grads = nests.float_arrays(answers)
                if not fits(kind, answers, sizes):
                    continue
                splits = signature.splits_answers(module, answers)
                upstream = nests.with_arrays(answers, iter([np.ones_like(g) for g in grads]))
                module.backward(record, *(upstream if splits else (upstream,)))
            return inputs
        except Exception as error:
            refused.append((kind, error))
    name = type(module).__name__
    if not refused:
        wanted = f"--like {like}: expected {ANSWERS[like]}" if like else "expected arrays"
        raise UsageError(f"{name}: {wanted} as the answers of the call, got others")
    # An exception inside the person's own code says more than one about the arguments.
    told_best = next((e for _, e in reversed(refused) if "(line " in told(e, path)), refused[0][1])
    deepest = max((e for _, e in refused), key=lambda e: _depth(e, path), default=told_best)
    raise UsageError(f"{path}: {name} ended in {told(deepest, path)}")


def _depth(error: BaseException, path: str) -> int:
    """Backward after forward, and within one the later line."""
    own = os.path.abspath(path)
    frames = [f for f in traceback.extract_tb(error.__traceback__)
              if os.path.abspath(f.filename) == own]  # fmt: skip
    if not frames:
        return 0
    return (1_000_000 if frames[0].name == "backward" else 0) + (frames[-1].lineno or 0)


def candidates(
    module: Any, sizes: Sizes, like: str | None
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Inputs for every kind of module, the likely ones first."""
    rng = np.random.default_rng(0)
    D, H, T, N = sizes.D, sizes.H, sizes.T, sizes.N
    wanted = len(signature.positional(module.forward))
    dtype = next((p.dtype for p in module.parameters()), np.dtype(np.float64))

    def draw(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(dtype)

    for kind in (like,) if like else ("LSTM", "RNN", "LSTMCell", "RNNCell"):
        count = 2 if kind.startswith("LSTM") else 1
        for x in (draw(N, D),) if kind.endswith("Cell") else (draw(T, N, D), draw(N, T, D)):
            forms = [(N, H)] if kind.endswith("Cell") else [(1, N, H), (N, H)]
            for form in forms:
                states = [draw(*form) for _ in range(count)]
                if count == 2 and wanted != 3:
                    yield kind, (x, tuple(states))
                if 1 + count <= wanted:
                    yield kind, (x, *states)
            yield kind, (x,)
    if like is None:
        if wanted >= 2:
            yield "loss", (draw(N, D), draw(N, D))
            yield "loss", (draw(N, D), rng.integers(0, D, N))
        yield "other", (draw(T, N, D),)
        yield "other", (draw(N, T, D),)
        yield "other", (draw(N, D),)


def fits(kind: str, answers: Any, sizes: Sizes) -> bool:
    """Whether the answers are those of such a module: a guess is not taken for a fit."""
    leaves = nests.float_arrays(answers)
    shapes = [leaf.shape for leaf in leaves]
    if kind.endswith("Cell"):
        return shapes == [(sizes.N, sizes.H)] * (2 if kind == "LSTMCell" else 1)
    if kind in ("RNN", "LSTM"):
        states = 2 if kind == "LSTM" else 1
        return len(shapes) == 1 + states and len(shapes[0]) == 3 and isinstance(answers, tuple)
    return bool(shapes)
