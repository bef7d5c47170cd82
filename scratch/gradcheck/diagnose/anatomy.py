"""Which equations a stranger's recurrent module computes, and where its parameters hold what.

Nothing is taken from names. Every way in which the parameters' shapes could hold the weights of an
RNN or an LSTM is tried (one matrix or one for each gate, gates in any order, x and h side by side,
rows or columns, time or batch first), and the one is taken whose forward pass gives the module's
answers to rounding. From then on it is known what the backward pass should have computed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from operator import eq
from typing import Any

import numpy as np

from ...machinery.module import Array
from ...machinery.packing import PackedSequence
from .. import structure
from ..subject import Subject
from . import equations
from .equations import GATES
from .layouts import Layout, layouts

FORWARD = 1e-9  # relative; the same equations summed in another order


@dataclass(frozen=True)
class Anatomy:
    """A module that is an RNN or an LSTM in one layer and one direction, or a cell of one."""

    kind: str  # "LSTM", "tanh", "relu"
    layout: Layout
    axes: dict[str, str]  # of x, h_0, c_0, output, h_n, c_n, cs: "tnd", "nh", ...
    names: dict[str, str]  # role of an input → its name in the report
    answers: tuple[str, ...]  # role of each answer

    @property
    def gates(self) -> tuple[str, ...]:
        return GATES[self.kind]

    def given(self, subject: Subject, inputs: Any = None) -> equations.Given:
        """The inputs and weights in the form of the equations."""
        inputs = subject.inputs if inputs is None else inputs
        leaves = dict(zip(subject.input_names, structure.leaves(inputs), strict=False))
        arrays = {
            role: to_standard(leaves[name], self.axes[role], "nh" if role != "x" else "tnd")
            for role, name in self.names.items()
        }
        weights = {name: p.data for name, p in subject.parameters.items()}
        W = self.layout.gather(weights)
        zeros = np.zeros((arrays["x"].shape[1], W.shape[1]))
        return equations.Given(
            self.kind, W, arrays["x"], arrays.get("h_0", zeros), arrays.get("c_0", zeros)
        )

    def upstream(self, parts: list[Array]) -> dict[str, Array]:
        """The gradients of the answers in the form of the equations."""
        return {
            role: to_standard(part, self.axes[role], STANDARD[role])
            for role, part in zip(self.answers, parts, strict=True)
        }

    def from_standard(self, role: str, array: Array) -> Array:
        """A gradient of x, h_0 or c_0 in the module's own form."""
        return from_standard(array, self.axes[role], STANDARD[role])


STANDARD = {
    "x": "tnd", "h_0": "nh", "c_0": "nh", "output": "tnh", "cs": "tnh", "h_n": "nh", "c_n": "nh",
}  # fmt: skip


def to_standard(array: Array, axes: str, standard: str) -> Array:
    """Axes in the order of `standard`; "1" is an axis of length 1, missing ones are added."""
    kept = array.reshape([n for n, axis in zip(array.shape, axes, strict=True) if axis != "1"])
    letters = axes.replace("1", "")
    order = [letters.index(axis) for axis in standard if axis in letters]
    turned = kept.transpose(order)
    shape = iter(turned.shape)
    return turned.reshape([next(shape) if axis in letters else 1 for axis in standard])


def from_standard(array: Array, axes: str, standard: str) -> Array:
    """The other way."""
    letters = axes.replace("1", "")
    kept = array.reshape(
        [n for n, axis in zip(array.shape, standard, strict=True) if axis in letters]
    )
    present = [axis for axis in standard if axis in letters]
    turned = kept.transpose([present.index(axis) for axis in letters])
    shape = iter(turned.shape)
    return turned.reshape([1 if axis == "1" else next(shape) for axis in axes])


def find(subject: Subject) -> Anatomy | None:
    """The equations of the module, or None if they are none of those known here."""
    leaves = structure.leaves(subject.inputs)
    if not 1 <= len(leaves) <= 3 or not subject.parameters or len(subject.parameters) > 16:
        return None
    if any(isinstance(v, PackedSequence) for v in (*subject.inputs, subject.answers)):
        return None
    for x_axes in _axes_of_x(leaves[0].ndim, subject.is_cell):
        x = to_standard(leaves[0], x_axes, "tnd")
        for H in sorted({n for leaf in subject.answer_leaves for n in leaf.shape}):
            for roles in _state_roles(len(leaves) - 1):
                states = _states(leaves[1:], roles, x.shape[1], H)
                if states is None:
                    continue
                found = _match(subject, x, x_axes, H, states)
                if found is not None:
                    return found
    return None


def _axes_of_x(ndim: int, cell: bool) -> list[str]:
    """The likely orders first."""
    if ndim == 3:
        return ["tnd", "ntd", "dnt", "tdn", "ndt", "dtn"]
    if ndim == 2:
        return ["nd", "dn"] if cell else ["td", "dt", "nd", "dn"]
    return ["d"] if ndim == 1 else []


def _state_roles(count: int) -> list[tuple[str, ...]]:
    if count == 2:
        return [("h_0", "c_0"), ("c_0", "h_0")]
    return [("h_0",)] if count else [()]


def _states(
    leaves: list[Array], roles: tuple[str, ...], N: int, H: int
) -> dict[str, tuple[str, Array]] | None:
    """role → (axes, (N, H) array), if the shapes allow it."""
    found = {}
    for role, leaf in zip(roles, leaves, strict=True):
        axes = next(_state_axes(leaf.shape, N, H), None)
        if axes is None:
            return None
        found[role] = (axes, to_standard(leaf, axes, "nh"))
    return found


def _state_axes(shape: tuple[int, ...], N: int, H: int) -> Iterator[str]:
    sizes = {"n": N, "h": H, "1": 1}
    for axes in ("nh", "1nh", "h", "1h", "hn", "h1", "hn1", "n1h"):
        same = len(axes) == len(shape) and all(map(eq, map(sizes.get, axes), shape))
        if same and ("n" in axes or N == 1):
            yield axes


def _match(
    subject: Subject, x: Array, x_axes: str, H: int, states: dict[str, tuple[str, Array]]
) -> Anatomy | None:
    """The layout whose answers are the module's, if there is one."""
    zeros = np.zeros((x.shape[1], H))
    h_0 = states["h_0"][1] if "h_0" in states else zeros
    c_0 = states["c_0"][1] if "c_0" in states else zeros
    values = {name: p.data for name, p in subject.parameters.items()}
    for kind in ("LSTM", "tanh", "relu"):
        if kind != "LSTM" and "c_0" in states:
            continue
        for layout in layouts(values, len(GATES[kind]), H, x.shape[2]):
            run = equations.forward(equations.Given(kind, layout.gather(values), x, h_0, c_0))
            axes: dict[str, str] = {}
            for leaf in subject.answer_leaves:
                axes |= _role(leaf, run, kind, set(axes))
            if len(axes) == len(subject.answer_leaves):
                roles = tuple(axes)
                axes |= {"x": x_axes} | {role: axes for role, (axes, _) in states.items()}
                names = dict(zip(("x", *states), subject.input_names, strict=True))
                return Anatomy(kind, layout, axes, names, roles)
    return None


def _role(leaf: Array, run: equations.Run, kind: str, taken: set[str]) -> dict[str, str]:
    """Which quantity an answer is → its axes; empty if it is none that is not taken."""
    T, N, H = run.h.shape
    candidates = {"output": run.h, "h_n": run.h[-1]}
    if kind == "LSTM":
        candidates |= {"c_n": run.c[-1], "cs": run.c}
    if leaf.ndim < 3 and T == 1:
        candidates = {role: candidates[role] for role in ("h_n", "c_n") if role in candidates}
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
