"""Every way in which parameters of given shapes can hold the weights of a recurrence."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...machinery.module import Array

SEGMENTS = ("x", "h", "1", "xh", "hx", "xh1", "hx1", "1xh", "1hx")
MOST_LAYOUTS = 20_000
# The order of the gates in the weights, and who writes it so. Of an LSTM, g is c, j or a elsewhere;
# of a GRU, u is z and n is h.
ORDERS = {
    "ifgo": "PyTorch, cuDNN, Keras",
    "igfo": "TensorFlow 1",
    "iofg": "ONNX",
    "ifog": "CS231n",
    "figo": "the equations in most papers: forget, input, candidate, output",
    "fgio": "Deep Learning from Scratch 2",
    "run": "PyTorch, cuDNN",
    "urn": "Keras",
}


@dataclass(frozen=True)
class Layout:
    """`places[name]` says for each entry of a parameter where it is in W.

    W is (G, H, D+H+1): W_x, W_h and the bias of each gate; or has two biases behind each other.
    """

    places: dict[str, Array]  # ints of the parameter's shape: an entry of W.reshape(-1)
    shape: tuple[int, int, int]

    def gather(self, values: dict[str, Array]) -> Array:
        """The parameters' arrays as W; two biases in one place add up."""
        W = np.zeros(self.shape)
        for name, place in self.places.items():
            np.add.at(W.reshape(-1), place.reshape(-1), values[name].reshape(-1))
        return W

    def scatter(self, name: str, W: Array) -> Array:
        """The gradient of W, (..., G, H, columns), as that of a parameter, (..., *shape)."""
        place = self.places[name]
        return W.reshape(*W.shape[:-3], -1)[..., place.reshape(-1)].reshape(
            *W.shape[:-3], *place.shape
        )

    def gate_places(self, name: str) -> Array:
        """For each entry of a parameter, the gate that it belongs to."""
        return np.asarray(self.places[name] // (self.shape[1] * self.shape[2]))


def layouts(
    values: dict[str, Array], names: tuple[str, ...], H: int, D: int, biases: int = 1
) -> Iterator[Layout]:
    """Every way in which parameters of these shapes can hold W, (G, H, D+H+biases).

    names: of the G gates.
    """
    G = len(names)
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, array in values.items():
        groups.setdefault(_plain(array.shape), []).append(name)
    options = [list(_group_options(shape, names, G, H, D)) for shape, names in groups.items()]
    usual = [tuple(map(names.index, order)) for order in ORDERS if set(order) == set(names)]
    orders = dict.fromkeys([*usual, *itertools.permutations(range(G))])
    count = 0
    for choice in itertools.product(*options):
        holds = [piece for group in choice for piece in group]
        if not _covers(holds, G):
            continue
        for order, first in itertools.product(orders, range(biases)):
            count += 1
            if count > MOST_LAYOUTS:
                return
            yield _layout(holds, values, order, (G, H, D + H + biases), D, first)


# One parameter's part: its name, its segments, whether gates are columns, and its gate (None: all).
Piece = tuple[str, str, bool, int | None]


def _plain(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without axes of length 1: a bias may be a column."""
    return tuple(n for n in shape if n != 1) or (1,)


def _width(segments: str, H: int, D: int) -> int:
    return sum({"x": D, "h": H, "1": 1}[part] for part in segments)


def _group_options(
    shape: tuple[int, ...], names: list[str], G: int, H: int, D: int
) -> Iterator[list[Piece]]:
    """What the parameters of one shape can be."""
    for gates in (G, 1) if G > 1 else (1,):
        fits = [
            (segments, columns)
            for segments in SEGMENTS
            for columns in (False, True)
            if shape == _plain(
                (_width(segments, H, D), gates * H) if columns
                else (gates * H, _width(segments, H, D))
            ) and not (segments == "1" and columns)
        ]  # fmt: skip
        if gates == G:
            for chosen in itertools.product(fits, repeat=len(names)):
                yield [(n, s, c, None) for n, (s, c) in zip(names, chosen, strict=True)]
        elif len(names) % G == 0:
            sets = len(names) // G
            for chosen in itertools.product(fits, repeat=sets):
                # One set of matrices after the other, or gate by gate.
                for blockwise in (True, False) if sets > 1 else (True,):
                    yield [
                        (name, *chosen[k // G if blockwise else k % sets],
                         k % G if blockwise else k // sets)
                        for k, name in enumerate(names)
                    ]  # fmt: skip


def _covers(pieces: list[Piece], G: int) -> bool:
    """Whether x and h meet each gate once; biases may be none, one or two."""
    counts = {"x": 0, "h": 0, "1": 0}
    for _, segments, _, gate in pieces:
        for part in segments:
            counts[part] += G if gate is None else 1
    return counts["x"] == counts["h"] == G and counts["1"] in (0, G, 2 * G)


def _layout(
    pieces: list[Piece],
    values: dict[str, Array],
    order: tuple[int, ...],
    shape: tuple[int, int, int],
    D: int,
    first: int,
) -> Layout:
    """`first` of two places is that of a gate's first bias, the other that of its second."""
    _, H, width = shape
    biases, met = width - D - H, dict.fromkeys([None, *order], first)
    places = {}
    for name, segments, transposed, gate in pieces:
        bias = D + H + met[gate] % biases
        columns_of = {"x": range(D), "h": range(D, D + H), "1": [bias]}
        met[gate] += "1" in segments
        columns = np.concatenate([columns_of[part] for part in segments])
        gates = order if gate is None else (order[gate],)
        rows = np.concatenate([np.arange(g * H, (g + 1) * H) for g in gates])
        place = rows[:, None] * width + columns  # (gates·H, columns)
        places[name] = (place.T if transposed else place).reshape(values[name].shape)
    return Layout(places, shape)
