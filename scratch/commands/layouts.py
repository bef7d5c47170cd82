"""How people lay out x, states, weights and biases, and what the names of arguments say of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..gradcheck.foreign.names import WEIGHT, string_keys, unpacked
from .expressions import with_repeats
from .one_rule import Sizes

K = 2  # outputs of a head
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Convention:
    """How arrays lie: `x`, a state and a bias by letters; whether weights act from the left."""

    name: str
    x: str  # "ntd"; "[d1]" is a list of columns, one for each step, "#nt" whole numbers below D
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
    Convention("(N, T) indices", "#nt", "nh", "h", False),
    Convention("T indices", "#t", "h1", "h1", True),
)
STEP = re.compile(r"^(x_?t|xt|x_?i)$|prev|_t$")
X = re.compile(r"^(x|xs|xt|x_t|inputs?|data|seq|sequence|words?|features)$", re.IGNORECASE)
STATE = re.compile(r"^[hacs](_?(0|t|prev|next))?$|prev|hidden|state|init|first|start|"
                   r"^[hac]_?(p|old|in)$", re.IGNORECASE)  # fmt: skip
TARGET = re.compile(r"^(targets?|labels?|y|ys|ts?|y_true|expected)$", re.IGNORECASE)
STRENGTH = re.compile(r"^(reg|lamb?da?_?|l2|weight_decay|eps|epsilon)$", re.IGNORECASE)
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


def number_for(name: str, sizes: Sizes) -> int | None:
    """The size that a name stands for."""
    values = {**sizes._asdict(), "K": K}
    for letter, words in SIZES_BY_NAME.items():
        if name in words.split() or name.lower() in words.lower().split():
            return int(values[letter])
    return None


def arguments(
    names: Sequence[str],
    forward: Callable[..., Any],
    convention: Convention,
    gates: int,
    mine: Sizes,
) -> Iterator[tuple[Any, ...]]:
    """Arrays for the names: every reading of the weights, every kind of target."""
    weights = [n for n in names if _is_weight(n, names)]
    keys = {n: found for n in names if (found := string_keys(forward, n))}  # dicts
    lists = {n: found for n in names if (found := _unpacked(forward, n))}  # Wx, Wh, b = params
    pairs = [n for n, found in lists.items() if all(map(STATE.search, found))]  # h, c = state
    keys |= {n: found for n, found in lists.items() if n not in pairs}
    weights = [n for n in weights if n not in keys]
    inside = [key for found in keys.values() for key in found]
    targets = [n for n in names if TARGET.match(n) and n not in weights]
    for shapes in shapes_of_weights([*weights, *inside], convention, gates, mine):
        by_name = dict(zip([*weights, *inside], shapes, strict=True))
        for target in _targets(convention, mine) if targets else [None]:
            rng = np.random.default_rng(0)

            def draw(shape: Shape, rng: np.random.Generator = rng) -> Any:
                return rng.standard_normal(shape)

            args: list[Any] = []
            for name in names:
                number = number_for(name, mine)
                if name in keys:
                    held = {key: 0.5 * draw(by_name[key]) for key in keys[name]}
                    args.append(list(held.values()) if name in lists else held)
                elif name in pairs:
                    shape = shape_of(convention.state, mine)
                    args.append(tuple(0.5 * draw(shape) for _ in lists[name]))
                elif name in by_name:
                    args.append(0.5 * draw(by_name[name]))
                elif name in targets:
                    args.append(target)
                elif name == "mask":
                    args.append(np.ones(np.asarray(target).shape))
                elif X.match(name) or (name == names[0] and not STATE.search(name)):
                    args.append(_x(convention.x, mine, draw))
                elif STATE.search(name):
                    args.append(0.5 * draw(shape_of(convention.state, mine)))
                else:
                    args.append(0.1 if STRENGTH.match(name) else number)
            yield tuple(args)


def _unpacked(forward: Callable[..., Any], name: str) -> list[str]:
    """The names that the parts of an argument get: `Wx, Wh, b = params`."""
    found = (unpacked([forward], name, [None] * length) for length in range(2, 13))
    return next((names for names in found if names), [])


def _is_weight(name: str, names: Sequence[str]) -> bool:
    if STRENGTH.match(name) or (name == names[0] and not name[:1].isupper()):
        return False
    after = any(WEIGHT.match(n) for n in names[: names.index(name)])
    return bool(WEIGHT.match(name)) or (after and not X.match(name) and not re.search(
        r"prev|0$|first|init|state", name) and not TARGET.match(name))  # fmt: skip


def shape_of(letters: str, sizes: Sizes) -> Shape:
    values = {"n": sizes.N, "t": sizes.T, "d": sizes.D, "h": sizes.H, "1": 1, "k": K}
    return tuple(values[letter] for letter in letters)


def _x(letters: str, sizes: Sizes, draw: Callable[[Shape], Any]) -> Any:
    if letters.startswith("#"):
        rng = np.random.default_rng(5)
        return with_repeats(rng.integers(0, sizes.D, shape_of(letters[1:], sizes)))
    if letters.startswith("["):
        return [draw(shape_of(letters.strip("[]"), sizes)) for _ in range(sizes.T)]
    return draw(shape_of(letters, sizes))


def shapes_of_weights(
    names: Sequence[str], convention: Convention, gates: int, sizes: Sizes
) -> Iterator[tuple[Shape, ...]]:
    """The shapes of weights and biases, for every reading of their names."""
    D, H, G = sizes.D, sizes.H, gates * sizes.H
    shapes: dict[str, Shape] = {"x": (D, G), "h": (H, G), "both": (H + D, G), "head": (H, K)}
    if convention.left:
        shapes = {role: (b, a) for role, (a, b) in shapes.items()}
    shapes |= {"bias": _bias(convention.bias, G), "head bias": _bias(convention.bias, K)}
    shapes |= {"peephole": (H,), "three peepholes": (3, H), "feature": _bias(convention.bias, D)}
    for roles in itertools.product(*(_roles(name, names) for name in names)):
        yield tuple(shapes[role] for role in roles)


def _bias(letters: str, size: int) -> Shape:
    return tuple(size if letter == "h" else 1 for letter in letters)


ROLES = (  # of a weight by its name without underscores: the first that fits
    (r"^(gamma|beta|scale|shift)$", ("feature", "bias")),
    (r"^b(y|v|q|out|o2)|^bias_?o|^[cq].?$|^d$", ("head bias",)),
    (r"^b", ("bias",)),
    (r"^p$", ("three peepholes", "peephole")),
    (r"^p.$", ("peephole",)),
    (r"hy$|ya$|out$|^V$|^[Ww][yv]", ("head",)),
    (r"^.+(xh|ax|x|ih|in|input)$", ("x",)),
    (r"^.+(hh|aa|h|rec|hidden|a)$", ("h",)),
)
GATE = re.compile(r"^[WUVR]([fiogczrnC])\w?$")


def _roles(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """What a weight can be: of x, of h, of both side by side, of a head; or a bias."""
    short, others = name.replace("_", ""), [n.replace("_", "") for n in names]
    for pattern, roles in ROLES:
        if re.search(pattern, short):
            return roles
    if GATE.match(short):  # Wf meets [h, x], or x where there is a Uf
        if short[0] in "UR":
            return ("h",)
        return ("x",) if any(n[0] in "UR" and n[1:] == short[1:] for n in others) else ("both",)
    if short in ("U", "W") and {"U", "W"} <= set(others):
        of_x = "U" if "V" in others or others.index("U") < others.index("W") else "W"
        return ("x", "h") if short == of_x else ("h", "x")
    return ("both", "x", "h") if short == "W" else ("x", "h", "both", "head")


def _targets(convention: Convention, sizes: Sizes) -> list[Any]:
    """Classes and numbers, for each step and for the last."""
    rng = np.random.default_rng(3)
    N, T = sizes.N, sizes.T
    if convention.x.startswith("["):
        last = convention.x.strip("[]").replace("d", "k")
        return [[rng.standard_normal(shape_of(last, sizes)) for _ in range(T)],
                [int(k) for k in rng.integers(0, K, T)]]  # fmt: skip
    classes = [rng.integers(0, K, shape) for shape in (N, (N, T), (T, N))]
    letters = [convention.x.strip("#").replace("d", width) for width in "khd"]
    letters = [each for width in letters for each in (width, width.replace("t", ""))]
    return classes + [rng.standard_normal(shape_of(each, sizes)) for each in letters]
