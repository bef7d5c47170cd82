"""Sizes for code that comes without an example call: by the names of its arguments.

Every convention below says how x, a state, a weight and a bias lie. They are tried in turn, and the
first is taken in which forward and backward run and every gradient has the shape of its argument.
"""

from __future__ import annotations

import inspect
import itertools
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..gradcheck.code_under_test import ModuleRaised, NotCheckable
from ..gradcheck.foreign import Foreign
from ..gradcheck.foreign.names import WEIGHT, string_keys
from ..gradcheck.foreign.spaces import spaces_of
from .one_rule import Sizes
from .options import UsageError

SECONDS = 15.0  # for all guesses together
K = 2  # outputs of a head
STRETCH = 12  # steps of a character model
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Convention:
    """How arrays lie: `x`, a state and a bias by letters; whether weights act from the left."""

    name: str
    x: str  # "ntd"; "[d1]" is a list of columns, one for each step
    state: str
    bias: str
    left: bool  # W @ x, so that W is (H, D); else x @ W, W is (D, H)


STEPS = (
    Convention("(N, D)", "nd", "nh", "h", False),
    Convention("(N, D), x @ W.T", "nd", "nh", "h", True),
    Convention("(n_x, m)", "dn", "hn", "h1", True),
    Convention("a column", "d1", "h1", "h1", True),
    Convention("a vector", "d", "h", "h", True),
)
SEQUENCES = (
    Convention("(N, T, D)", "ntd", "nh", "h", False),
    Convention("(T, N, D)", "tnd", "nh", "h", False),
    Convention("(n_x, m, T)", "dnt", "hn", "h1", True),
    Convention("(N, T, D), x @ W.T", "ntd", "nh", "h", True),
    Convention("(T, N, D), x @ W.T", "tnd", "nh", "h", True),
    Convention("(N, D, T)", "ndt", "nh", "1h", False),
    Convention("(T, n_x, m)", "tdn", "hn", "h1", True),
    Convention("a list of columns", "[d1]", "h1", "h1", True),
    Convention("(T, D)", "td", "h", "h", True),
    Convention("(T, D), x @ W", "td", "h", "h", False),
    Convention("a list of vectors", "[d]", "h", "h", True),
)
STEP = re.compile(r"^(x_?t|xt|x_?i)$|prev|_t$")
X = re.compile(r"^(x|xs|xt|x_t|inputs?|data|seq|sequence|words?|features)$", re.IGNORECASE)
STATE = re.compile(r"^[hacs](_?(0|t|prev|init|next|first|start))?$|prev|hidden|state|init|"
                   r"^[hac]_?(p|old|in)$", re.IGNORECASE)  # fmt: skip
TARGET = re.compile(r"^(targets?|labels?|y|ys|ts?|y_true|expected)$", re.IGNORECASE)
HEAD = re.compile(r"hy|ya|out|^V$|^W_?[yv]|^[bc]_?(y|v|out|o2)$|^w_?y$")
SIZES_BY_NAME = {
    "D": "input_size input_dim in_features n_in n_x n_i n_input n_inputs inputs D dim_x x_dim "
    "vocab_size V word_dim wordvec_dim wordvec_size embed_dim in_dim input_dims xdim",
    "H": "hidden_size hidden_dim n_hidden n_h n_a H units n_units hidden dim_h num_hidden n_out "
    "hidden_units state_size state_dim hdim n_cell_units h_dim out_dim",
    "K": "output_size output_dim out_features n_output n_outputs n_y outputs num_classes classes O "
    "n_classes C",
    "T": "seq_len seq_length T time_steps timesteps sequence_length n_steps steps",
    "N": "batch_size batch N m n_samples",
}


@dataclass(frozen=True)
class Guess:
    args: tuple[Any, ...]
    note: str  # for the report: how it was called


def number_for(name: str, sizes: Sizes) -> int | None:
    """The size that a name stands for."""
    values = {**sizes._asdict(), "K": K}
    for letter, words in SIZES_BY_NAME.items():
        if name in words.split() or name.lower() in words.lower().split():
            return int(values[letter])
    return None


def made(cls: type[Any], sizes: Sizes) -> Iterator[Any]:
    """Instances, by the names of the constructor's arguments; a UsageError if there is none."""
    wanted = [p for p in inspect.signature(cls).parameters.values()
              if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]  # fmt: skip
    required = [p.name for p in wanted if p.default is p.empty]
    refused: list[Exception] = []
    count = 0
    for values in _constructor_values(required, [p.name for p in wanted], sizes):
        try:
            with np.errstate(all="ignore"):
                thing = cls(**values)
            count += 1
            yield thing
        except Exception as error:
            refused.append(error)
    if not count and refused and not required:
        raise refused[0]
    if not count:
        shown = ", ".join(required)
        raise UsageError(
            f"{cls.__name__}: its constructor takes ({shown}), which was tried with sizes and with "
            f"arrays of weights" + (f": {refused[0]}" if refused else "") + f". Say how to make "
            f"one: --make '{cls.__name__}({', '.join('...' for _ in required)})'"
        )


def _constructor_values(
    required: list[str], every: list[str], sizes: Sizes
) -> Iterator[dict[str, Any]]:
    known = {n: k for n in every if (k := number_for(n, sizes)) is not None}
    known = {n: k for n, k in known.items() if n in required or k in (sizes.D, sizes.H, K)}
    if all(name in known for name in required):
        yield known
        yield {name: known[name] for name in required}
    if required and all(WEIGHT.match(name) for name in required):
        for convention, gates in itertools.product((SEQUENCES[0], SEQUENCES[2]), (1, 4, 3)):
            for shapes in _weights(required, convention, gates, sizes):
                rng = np.random.default_rng(0)
                yield {n: 0.5 * rng.standard_normal(shape)
                       for n, shape in zip(required, shapes, strict=True)}  # fmt: skip
    elif 0 < len(required) <= 3:
        yield dict(zip(required, (sizes.D, sizes.H, K), strict=False))


# The arguments of a call


Pair = tuple[Callable[..., Any], Callable[..., Any] | None]  # backward None: it returns a loss


def find(candidates: Iterable[Pair], namespace: dict[str, Any], sizes: Sizes) -> tuple[Pair, Guess]:
    """The first of some pairs, and arguments, with which forward and backward run.

    Raises UsageError, with an example call to complete, if there are none.
    """
    best: tuple[int, Pair, Guess] | None = None
    first: ModuleRaised | None = None
    tried: dict[str, None] = {}
    end = time.monotonic() + SECONDS
    last: Pair | None = None
    for forward, backward in candidates:
        last = forward, backward
        for words, args in _guesses(forward, namespace, sizes):
            if time.monotonic() > end or (best is not None and best[0] == RUNS):
                break
            tried[words] = None
            score, error = tried_with(forward, backward, args)
            first = first or error
            if score and (best is None or score > best[0]):
                note = f"without --call, it was called as {shown(forward, args)}"
                best = score, (forward, backward), Guess(args, note)
    if best is not None:
        return best[1], best[2]
    if last is None:
        raise UsageError(
            "expected a class or object with methods forward and backward, or with one that "
            "returns a loss and gradients: it has no such; with other names, --call "
            "'layer.method(...)' says which"
        )
    names = [p.name for p in inspect.signature(last[0]).parameters.values()]
    why = f"; the first ended in {first} ({first.line})" if first is not None else ""
    call = f"{_called(last[0])}({', '.join(f'{name}=N(...)' for name in names)})"
    raise UsageError(
        f"{_called(last[0])}: no sizes were found with which it runs{why}. Tried: "
        f"{'; '.join(list(tried)[:12]) or 'nothing'}. Give an example call, with N(2, 3) for an "
        f"array of normal numbers and I(9, 2) for whole numbers below 9: --call '{call}'"
    )


RUNS, WRONG_SHAPES, NO_BACKWARD, NOTHING = 3, 2, 1, 0


def tried_with(
    forward: Callable[..., Any], backward: Callable[..., Any] | None, args: tuple[Any, ...]
) -> tuple[int, ModuleRaised | None]:
    """How far the code gets with these arguments."""
    try:
        with np.errstate(all="ignore"):
            owner = getattr(forward, "__self__", None)
            code = Foreign("guess", forward, backward, args, {}, owner=owner)
            return (RUNS if code.claims and fits(code) else WRONG_SHAPES), None
    except ModuleRaised as error:
        return (NO_BACKWARD if error.doing == "backward" else NOTHING), error
    except NotCheckable:
        return NOTHING, None


def distinct(sizes: Sizes) -> Sizes:
    """Other sizes where two are equal: a transposed array would go unseen."""
    N, T = sizes.N, sizes.T
    while N in (sizes.D, sizes.H, K):
        N += 1
    while T in (sizes.D, sizes.H, N, K):
        T += 1
    return sizes._replace(T=T, N=N)


def fits(code: Foreign) -> bool:
    """Whether every gradient that came has the shape of its argument."""
    record = code.forward(*code.inputs)
    rng = np.random.default_rng(0)
    answers = code(*code.inputs)
    arrays = answers if isinstance(answers, tuple) else (answers,)
    grads = [rng.standard_normal(np.shape(a)) for a in arrays]
    returned = code.backward(record, *([np.ones(())] if code.upstream is not None else grads))
    for parameter in code.parameters():
        if parameter.grad is not None and np.shape(parameter.grad) != parameter.shape:
            return False
    return all(g is None or np.shape(g) == np.shape(x)
               for g, x in zip(returned, code.inputs, strict=True))  # fmt: skip


def _guesses(
    forward: Callable[..., Any], namespace: dict[str, Any], sizes: Sizes
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    owner = getattr(forward, "__self__", None)
    wanted = [p for p in inspect.signature(forward).parameters.values()
              if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]  # fmt: skip
    names = [p.name for p in wanted if p.default is p.empty or X.match(p.name)]
    step = any(STEP.search(name) for name in names)
    both = (*STEPS, *SEQUENCES) if step else (*SEQUENCES, *STEPS)
    indices = _index_guesses(names, forward, namespace, sizes)
    mine = distinct(_sizes_of(owner, sizes))
    floats = (
        (f"x {convention.name}, {gates} gate{'s' * (gates > 1)}", args)
        for gates, convention in itertools.product(_gates(names) if owner is None else (1,), both)
        for args in _arguments(names, forward, convention, gates, mine)
    )
    if any(TARGET.match(name) for name in names) or not names or not X.match(names[0]):
        yield from indices
        yield from floats
    else:
        yield from floats
        yield from indices


def _gates(names: Sequence[str]) -> tuple[int, ...]:
    """Four of an LSTM first where there is a c; one for each matrix where gates have their own."""
    lettered = [n for n in names if re.fullmatch(r"[WUb]_?[fiogczrn]", n)]
    if len(lettered) >= 3:
        return (1, 4)
    return (4, 1, 3) if any(re.match(r"c_?(0|prev|t)|prev_c", n) for n in names) else (1, 4, 3)


def _arguments(
    names: Sequence[str],
    forward: Callable[..., Any],
    convention: Convention,
    gates: int,
    mine: Sizes,
) -> Iterator[tuple[Any, ...]]:
    """Arrays for the names: every reading of the weights, every kind of target."""
    weights = [n for n in names if _is_weight(n, names)]
    keys = {n: found for n in names if (found := string_keys(forward, n))}  # dicts
    weights = [n for n in weights if n not in keys]
    inside = [key for found in keys.values() for key in found]
    targets = [n for n in names if TARGET.match(n) and n not in weights]
    for shapes in _weights([*weights, *inside], convention, gates, mine):
        by_name = dict(zip([*weights, *inside], shapes, strict=True))
        for target in _targets(convention, mine) if targets else [None]:
            rng = np.random.default_rng(0)

            def draw(shape: Shape, rng: np.random.Generator = rng) -> Any:
                return rng.standard_normal(shape)

            args: list[Any] = []
            for name in names:
                number = number_for(name, mine)
                if name in keys:
                    args.append({key: 0.5 * draw(by_name[key]) for key in keys[name]})
                elif name in by_name:
                    args.append(0.5 * draw(by_name[name]))
                elif name in targets:
                    args.append(target)
                elif X.match(name) or (name == names[0] and not STATE.search(name)):
                    args.append(_x(convention.x, mine, draw))
                elif STATE.search(name):
                    args.append(0.5 * draw(_shape(convention.state, mine)))
                else:
                    args.append(number)
            yield tuple(args)


def _is_weight(name: str, names: Sequence[str]) -> bool:
    if name == names[0] and not name[:1].isupper():
        return False
    after = any(WEIGHT.match(n) for n in names[: names.index(name)])
    return bool(WEIGHT.match(name)) or (after and not X.match(name) and not re.search(
        r"prev|0$|first|init|state", name) and not TARGET.match(name))  # fmt: skip


def _shape(letters: str, sizes: Sizes) -> Shape:
    values = {"n": sizes.N, "t": sizes.T, "d": sizes.D, "h": sizes.H, "1": 1, "k": K}
    return tuple(values[letter] for letter in letters)


def _x(letters: str, sizes: Sizes, draw: Callable[[Shape], Any]) -> Any:
    if letters.startswith("["):
        return [draw(_shape(letters.strip("[]"), sizes)) for _ in range(sizes.T)]
    return draw(_shape(letters, sizes))


def _weights(
    names: Sequence[str], convention: Convention, gates: int, sizes: Sizes
) -> Iterator[tuple[Shape, ...]]:
    """The shapes of weights and biases, for every reading of their names."""
    D, H, G = sizes.D, sizes.H, gates * sizes.H
    wide = {"x": (D, G), "h": (H, G), "xh": (H + D, G), "out": (H, K)}
    if convention.left:
        wide = {role: (b, a) for role, (a, b) in wide.items()}
    shapes: dict[str, Shape] = {
        **wide,
        "b": _bias(convention.bias, G),
        "c": _bias(convention.bias, K),
    }
    shapes |= {"v": (H,), "3h": (3, H)}  # peepholes
    for roles in itertools.product(*(_roles(name, names) for name in names)):
        yield tuple(shapes[role] for role in roles)


def _bias(letters: str, size: int) -> Shape:
    return tuple(size if letter == "h" else 1 for letter in letters)


def _roles(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """What a weight can be: of x, of h, of both side by side, of a head; or a bias."""
    short = name.replace("_", "")
    first = short[:1]
    others = [n.replace("_", "") for n in names]
    if short.startswith(("b", "bias")) or "bias" in short:
        return ("c",) if HEAD.search(name) or short in ("by", "bq", "bv", "bias_o") else ("b",)
    if first in "cq" and len(short) <= 2:
        return ("c",)
    if first == "p" and len(short) <= 2:
        return ("v",) if len(short) == 2 else ("3h", "v")
    if HEAD.search(name) and short not in ("Wo", "Wout2"):
        return ("out",)
    if re.search(r"(xh|ax|x|ih|in|input)$", short[1:]) or short == "Wax":
        return ("x",)
    if re.search(r"(hh|aa|h|rec|hidden|a)$", short[1:]):
        return ("h",)
    if re.fullmatch(r"[WUVR][fiogczrn]\w?", short):
        if first != "W" or not any(n[:1] in "UR" and n[1:] == short[1:] for n in others):
            return ("h",) if first in "UR" else ("xh",)
        return ("x",)
    if short == "V":
        return ("out",)
    if short == "U":
        return ("x", "h") if "W" in others and ("V" in others or others.index("U") < others.index(
            "W")) else ("h", "x")  # fmt: skip
    if short == "W":
        if "U" in others:
            return ("h", "x") if "V" in others or others.index("U") < others.index("W") else (
                "x", "h")  # fmt: skip
        return ("xh", "x", "h")
    return ("x", "h", "xh", "out")


def _targets(convention: Convention, sizes: Sizes) -> list[Any]:
    """Classes and numbers, for each step and for the last."""
    rng = np.random.default_rng(3)
    N, T = sizes.N, sizes.T
    if convention.x.startswith("["):
        last = convention.x.strip("[]").replace("d", "k")
        return [[rng.standard_normal(_shape(last, sizes)) for _ in range(T)],
                [int(k) for k in rng.integers(0, K, T)]]  # fmt: skip
    letters = convention.x.replace("d", "k")
    return [
        rng.integers(0, K, N),
        rng.integers(0, K, (N, T)),
        rng.standard_normal(_shape(letters, sizes)),
        rng.standard_normal(_shape(letters.replace("t", ""), sizes)),
        rng.integers(0, K, (T, N)),
    ]


# Indices: character models


def _index_guesses(
    names: Sequence[str],
    forward: Callable[..., Any],
    namespace: dict[str, Any],
    sizes: Sizes,
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Lists of indices, targets one step ahead, states of the sizes that the file's arrays have."""
    owner = getattr(forward, "__self__", None)
    arrays = [v for where, used in spaces_of([forward, owner]) for name in used
              if isinstance(v := where[name], np.ndarray) and v.dtype.kind == "f"]  # fmt: skip
    if owner is not None:
        arrays += [v for v in vars(owner).values() if isinstance(v, np.ndarray)]
    found = {int(n) for array in arrays for n in array.shape if n > 1}
    if not found:
        return
    ints = {n: v for n, v in namespace.items() if isinstance(v, int) and v in found}
    vocab = [v for n, v in ints.items() if re.search(r"vocab|^V$|n_chars|n_letters|size_x", n)]
    high = min(vocab or found)
    rng = np.random.default_rng(4)
    for H, states in itertools.product(sorted(found), ("h1", "h", "1h")):
        args: list[Any] = []
        for name in names:
            if STATE.search(name) and not TARGET.match(name):
                args.append(0.5 * rng.standard_normal(_shape(states, sizes._replace(H=H))))
            elif number_for(name, sizes) is not None and not X.match(name):
                args.append(number_for(name, sizes))
            else:
                args.append([int(k) for k in rng.integers(0, high, STRETCH)])
        yield f"indices below {high}, states of {H}", tuple(args)


# What an object shows of its sizes


def _sizes_of(owner: Any, sizes: Sizes) -> Sizes:
    """D and H, where an object has them as attributes."""
    found = {}
    for letter in ("D", "H"):
        values = [getattr(owner, name, None) for name in SIZES_BY_NAME[letter].split()]
        found[letter] = next((v for v in values if type(v) is int), getattr(sizes, letter))
    return sizes._replace(**found)


# Words


def _called(forward: Callable[..., Any]) -> str:
    name = str(getattr(forward, "__name__", "call"))
    return f"layer.{name}" if hasattr(forward, "__self__") else name


def shown(forward: Callable[..., Any], args: Sequence[Any]) -> str:
    """The call, as --call takes it."""
    return f"{_called(forward)}({', '.join(map(_told, args))})"


def _told(value: Any) -> str:
    if isinstance(value, np.ndarray):
        inside = ", ".join(map(str, value.shape))
        return f"N({inside})" if value.dtype.kind == "f" else f"I({value.max() + 1}, {inside})"
    if isinstance(value, dict):
        return f"dict({', '.join(f'{key}={_told(part)}' for key, part in value.items())})"
    if isinstance(value, list) and value and isinstance(value[0], int):
        return f"I({max(value) + 1}, {len(value)})"
    if isinstance(value, list) and value:
        return f"[{_told(value[0])} for t in range({len(value)})]"
    return repr(value)
