"""The gates of a module's parameters, and other inputs of the same form."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...machinery.module import Array
from .. import structure
from ..subject import Subject
from .anatomy import Anatomy


def find_gates(
    subject: Subject, anatomy: Anatomy | None
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """For each parameter with gates, the gate of every entry, and the gates' names."""
    if anatomy is not None:
        if len(anatomy.gates) == 1:
            return {}, ()
        gates = {name: anatomy.layout.gate_places(name) for name in subject.parameters}
        return gates, anatomy.gates
    gates = {}
    for name, parameter in subject.parameters.items():
        *_, last = name.split(".")
        if last.startswith(("weight_ih", "weight_hh", "bias_ih", "bias_hh")):
            rows = parameter.shape[0]
            if rows % 4 == 0 and _is_lstm(subject):
                gate = np.arange(rows) // (rows // 4)
                gates[name] = np.broadcast_to(
                    gate.reshape(-1, *[1] * (parameter.data.ndim - 1)), parameter.shape
                )
    return gates, ("i", "f", "g", "o")


def _is_lstm(subject: Subject) -> bool:
    """Whether weight_hh has four rows for each unit."""
    ratios = {
        p.shape[0] // p.shape[1]
        for name, p in subject.parameters.items()
        if name.split(".")[-1].startswith("weight_hh")
    }
    projected = any("weight_hr" in name for name in subject.parameters)
    return ratios == {4} or projected


def other_inputs(subject: Subject, anatomy: Anatomy, T: int | None = None) -> tuple[Any, ...]:
    """Random inputs of the same form: of T steps, or of one step and two samples more."""
    rng = np.random.default_rng(2)
    leaves = dict(zip(subject.input_names, structure.leaves(subject.inputs), strict=False))
    arrays = []
    roles = {name: role for role, name in anatomy.names.items()}
    for name, leaf in leaves.items():
        axes = anatomy.axes[roles[name]]
        more = {"t": 1, "n": 2} if T is None else {"t": T - leaves[anatomy.names["x"]].shape[
            anatomy.axes["x"].index("t")] if "t" in anatomy.axes["x"] else 0}  # fmt: skip
        shape = [n + more.get(axis, 0) for n, axis in zip(leaf.shape, axes, strict=True)]
        arrays.append(rng.standard_normal(shape))
    return tuple(structure.replace(subject.inputs, iter(arrays)))
