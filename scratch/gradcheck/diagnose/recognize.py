"""Which equations a stranger's recurrent module computes, and where its parameters hold what.

Nothing is taken from names. Every way in which the parameters' shapes could hold the weights of a
recurrence is tried (one matrix or one for each gate, gates in any order, x and h side by side,
rows or columns, time or batch first), and the one is taken whose forward pass gives the module's
answers to rounding. From then on it is known what the backward pass should have computed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import eq
from typing import Any

import numpy as np

from ...machinery import nests
from ...machinery.module import Array
from ..code_under_test import CodeUnderTest
from .recurrences import RECURRENCES, Recurrence, Values, step_by_step
from .weight_layouts import ORDERS, Layout, layouts

FORWARD = 1e-9  # relative; the same equations summed in another order


@dataclass(frozen=True)
class Recognized:
    """A module that is a recurrence in one layer and one direction, or a cell of one."""

    table: Recurrence
    layout: Layout
    axes: dict[str, str]  # of x, h_0, c_0, output, h_n, c_n, cs: "tnd", "nh", ...
    names: dict[str, str]  # role of an input → its name in the report
    answers: tuple[str, ...]  # role of each answer

    @property
    def gates(self) -> tuple[str, ...]:
        return self.table.gates

    @property
    def order(self) -> str:
        """How the gates follow on each other in the parameters, in words."""
        places = map(self.layout.gate_places, self.layout.places)
        order = dict.fromkeys(self.gates[k] for place in places for k in place.flat)
        by = f" ({ORDERS[''.join(order)]})" if "".join(order) in ORDERS else ""
        return f", with the gates in the order {', '.join(order)}{by}" if len(order) > 1 else ""

    def given(self, code: CodeUnderTest, inputs: Any = None) -> tuple[Values, Array, Values]:
        """Weights, x and initial states as `recurrences.forward` takes them."""
        inputs = code.inputs if inputs is None else inputs
        leaves = dict(zip(code.input_names, nests.float_arrays(inputs), strict=False))
        arrays = {
            role: to_standard(leaves[name], self.axes[role], "nh" if role != "x" else "tnd")
            for role, name in self.names.items()
        }
        W = self.layout.gather({name: p.data for name, p in code.parameters.items()})
        x = arrays.pop("x")
        return weights_of(self.table, W, x), x, initial(self.table, arrays, x, W.shape[1])

    def upstream(self, parts: list[Array]) -> dict[str, Array]:
        """The gradients of the answers as `recurrences.Backward` takes them."""
        return {
            f"grad_{role}": to_standard(part, self.axes[role], STANDARD[role])
            for role, part in zip(self.answers, parts, strict=True)
        }

    def from_standard(self, role: str, array: Array) -> Array:
        """A gradient of x, h_0 or c_0 in the module's own form."""
        return from_standard(array, self.axes[role], STANDARD[role])


def weights_of(table: Recurrence, W: Array, x: Array) -> Values:
    """W_x, W_h and b, and what other bias there is, out of [W_x | W_h | b], (G, H, D+H+1)."""
    D, H = x.shape[-1], W.shape[1]
    biases = {name: W[..., D + H + k][:, None] for k, name in enumerate(table.weights[2:])}
    return {"W_x": W[..., :D], "W_h": W[..., D : D + H], **biases}


def initial(table: Recurrence, states: Values, x: Array, H: int) -> Values:
    """h_0, ...: those that are given, zeros for the others."""
    zeros = np.zeros((x.shape[1], H))
    return {f"{s}_0": states.get(f"{s}_0", zeros) for s in table.states}


STANDARD = {
    "x": "tnd", "h_0": "nh", "c_0": "nh", "output": "tnh", "cs": "tnh", "h_n": "nh", "c_n": "nh",
}  # fmt: skip


def to_standard(array: Array, axes: str, standard: str) -> Array:
    """Axes in the order of `standard`; "1" is an axis of length 1, missing ones are added."""
    letters = axes.replace("1", "")
    kept = array.squeeze(tuple(k for k, axis in enumerate(axes) if axis == "1"))
    turned = np.einsum(f"{letters}->{''.join(a for a in standard if a in letters)}", kept)
    return np.expand_dims(turned, tuple(k for k, a in enumerate(standard) if a not in letters))


def from_standard(array: Array, axes: str, standard: str) -> Array:
    """The other way; an axis that is missing in `axes` has length 1."""
    turned = np.einsum(f"{standard}->{axes.replace('1', '')}", array)
    return np.expand_dims(turned, tuple(k for k, axis in enumerate(axes) if axis == "1"))


def gap(numbers: Array, of: Array) -> float:
    """How far the farthest of some is from the nearest of other, sorted numbers."""
    right = np.minimum(numbers.searchsorted(of), len(numbers) - 1)
    left = np.maximum(right - 1, 0)
    return float(np.minimum(np.abs(numbers[right] - of), np.abs(numbers[left] - of)).max(initial=0))


def recognize(code: CodeUnderTest) -> Recognized | None:
    """The recurrence of the module, or None if it is none of those known here."""
    numbers = np.sort(nests.vector(code.answers))
    for way, one_by_one in ways(code, RECURRENCES):
        first = next(one_by_one)
        every_step = any(leaf.size > first["h"].size for leaf in code.answer_leaves)
        near = min(gap(numbers, first[state].flat[:1]) for state in way.table.states)
        if every_step and near > FORWARD * np.abs(numbers).max():
            continue  # one number rules out most
        steps = [first, *one_by_one]
        axes: dict[str, str] = {}
        for leaf in code.answer_leaves:
            axes |= _role(leaf, way.table, steps, set(axes))
        if len(axes) == len(code.answer_leaves):
            return replace(way, axes=axes | way.axes, answers=tuple(axes))
    return None


def ways(
    code: CodeUnderTest, tables: Sequence[Recurrence]
) -> Iterator[tuple[Recognized, Iterator[Values]]]:
    """Every way to read inputs and parameters that their shapes allow, and what that computes."""
    leaves = nests.float_arrays(code.inputs)
    packed = any(nests.is_packed(value) for value in (*code.inputs, code.answers))
    if packed or not 1 <= len(leaves) <= 3 or not 1 <= len(code.parameters) <= 16:
        return
    values = {name: p.data for name, p in code.parameters.items()}
    sizes = sorted({n for leaf in code.answer_leaves for n in leaf.shape})
    orders = list(itertools.permutations(("h_0", "c_0")[: len(leaves) - 1]))
    for x_axes, H, roles in itertools.product(
        _axes_of_x(leaves[0].ndim, code.is_cell), sizes, orders
    ):
        x = to_standard(leaves[0], x_axes, "tnd")
        found = [next(_state_axes(leaf.shape, x.shape[1], H), "") for leaf in leaves[1:]]
        if not all(found):
            continue
        axes = {"x": x_axes, **dict(zip(roles, found, strict=True))}
        names = dict(zip(axes, code.input_names, strict=True))
        given = {role: to_standard(leaf, axes[role], "nh")
                 for role, leaf in zip(roles, leaves[1:], strict=True)}  # fmt: skip
        for table in tables:
            if set(roles) <= {f"{s}_0" for s in table.states}:
                start = initial(table, given, x, H)
                biases = len(table.weights) - 2
                for layout in layouts(values, table.gates, H, x.shape[2], biases):
                    W = weights_of(table, layout.gather(values), x)
                    steps = step_by_step(table, W, x, start)
                    yield Recognized(table, layout, axes, names, ()), steps


def _axes_of_x(ndim: int, cell: bool) -> list[str]:
    """The likely orders first."""
    if ndim == 3:
        return ["tnd", "ntd", "dnt", "tdn", "ndt", "dtn"]
    if ndim == 2:
        return ["nd", "dn"] if cell else ["td", "dt", "nd", "dn"]
    return ["d"] if ndim == 1 else []


def _state_axes(shape: tuple[int, ...], N: int, H: int) -> Iterator[str]:
    sizes = {"n": N, "h": H, "1": 1}
    for axes in ("nh", "1nh", "h", "1h", "hn", "h1", "hn1", "n1h"):
        same = len(axes) == len(shape) and all(map(eq, map(sizes.get, axes), shape))
        if same and ("n" in axes or N == 1):
            yield axes


def _role(leaf: Array, table: Recurrence, steps: list[Values], taken: set[str]) -> dict[str, str]:
    """Which quantity an answer is → its axes; empty if it is none that is not taken."""
    T, (N, H) = len(steps), steps[0]["h"].shape
    candidates = {f"{s}_n": steps[-1][s] for s in table.states}
    if leaf.ndim == 3 or T > 1:
        candidates = {"output": np.stack([values["h"] for values in steps]), **candidates}
        if "c" in table.states:
            candidates["cs"] = np.stack([values["c"] for values in steps])
    for role, value in candidates.items():
        if role in taken:
            continue
        if value.ndim == 2:
            options = list(_state_axes(leaf.shape, N, H))
        else:
            sizes = {"t": T, "n": N, "h": H}
            letters = "tnh" if leaf.ndim == 3 else "th" if N == 1 else "nh" if T == 1 else ""
            options = [
                "".join(p)
                for p in itertools.permutations(letters)
                if tuple(sizes[a] for a in p) == leaf.shape
            ]
        for axes in options:
            mine = from_standard(value, axes, STANDARD[role])
            if np.abs(mine - leaf).max() <= FORWARD * max(np.abs(leaf).max(), 1e-300):
                return {role: axes}
    return {}


# Its gates, and other inputs that it takes


def find_gates(
    code: CodeUnderTest, known: Recognized | None
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """For each parameter with gates, the gate of every entry, and the gates' names."""
    if known is not None:
        several = len(known.gates) > 1
        places = {name: known.layout.gate_places(name) for name in code.parameters}
        return (places, known.gates) if several else ({}, ())
    gates = {}
    for name, parameter in code.parameters.items():
        rows = parameter.shape[0] if parameter.shape else 0
        named = name.split(".")[-1].startswith(("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        if named and rows % 4 == 0 and _is_lstm(code):
            of_rows = np.arange(rows).reshape(-1, *[1] * (parameter.data.ndim - 1)) // (rows // 4)
            gates[name] = np.broadcast_to(of_rows, parameter.shape)
    return gates, ("i", "f", "g", "o")


def _is_lstm(code: CodeUnderTest) -> bool:
    """Whether weight_hh has four rows for each unit."""
    shapes = [p.shape for name, p in code.parameters.items() if "weight_hh" in name]
    projected = any("weight_hr" in name for name in code.parameters)
    return projected or {shape[0] // shape[1] for shape in shapes} == {4}


def other_inputs(code: CodeUnderTest, known: Recognized, T: int | None = None) -> tuple[Any, ...]:
    """Random inputs of the same form: of T steps, or of one step and two samples more."""
    rng = np.random.default_rng(2)
    axes = [known.axes[role] for role in known.names]  # in the order of the inputs, x first
    arrays = nests.float_arrays(code.inputs)
    steps = dict(zip(axes[0], arrays[0].shape, strict=True)).get("t", 0)
    more = {"t": 1, "n": 2} if T is None else {"t": T - steps}
    shapes = [[n + more.get(axis, 0) for n, axis in zip(array.shape, letters, strict=True)]
              for array, letters in zip(arrays, axes, strict=True)]  # fmt: skip
    return tuple(nests.with_arrays(code.inputs, map(rng.standard_normal, shapes)))
