"""Which gradient that came back belongs to what that went in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import names
from .structures import Came, Leaf, Path, came, one_array


@dataclass(frozen=True)
class Claim:
    """Where a gradient is to be found: in what was "returned", or in what is "kept"."""

    where: str
    path: Path
    name: str | None = None  # what it is called there


def match(
    returned: Any,
    named: names.Names,
    arguments: Sequence[Leaf],
    held: dict[str, Leaf],
    *,
    fused: bool,
    loss: Path = (),
) -> tuple[dict[str, Claim], list[Came]]:
    """The claims by name: by the names of the gradients, and of what has none by order and shape.

    And the gradients that belong to nothing.

    held: parameters in namespaces and objects. fused: among the gradients stand a loss, and states
    that are no gradients.
    """
    leaves = {leaf.name: leaf for leaf in reversed([*arguments, *held.values()])}
    leaves = {name: leaves[name] for name in reversed(leaves)}
    order = _parameters_first(arguments, held)

    def whole(name: str) -> bool:
        return bool(names.match([name], order)) or name in leaves

    everything = list(came(returned, named, whole))
    if fused:
        everything = [c for c in everything if c.path[: len(loss)] != loss]
    found = _by_name(everything, order, leaves)
    taken = {claim.path for claim in found.values()}
    rest = [c for c in everything if c.path not in taken]
    rest = [replace(c, name=None) if not c.path or names.GENERIC.match(c.name or "") else c
            for c in rest]  # fmt: skip
    rest = [c for c in rest if c.name is None or names.wrt(c.name)]
    free = [leaf for leaf in arguments if leaf.name not in found]
    if fused:
        rest = [c for c in rest if c.name is None and c.value is not None]
        free = [leaf for leaf in free if not names.STATE.search(leaf.name)]
        if not any(leaf.name in found for leaf in [*arguments, *held.values()]) and not free:
            free = list(held.values())
    pairs = _by_order(rest, free)
    if not fused:
        used = [c.path for _, c in pairs]
        unnamed = [c for c in rest if c.path not in used and c.name is None and c.value is not None]
        pairs += _by_order(unnamed, [leaf for leaf in held.values() if leaf.name not in found])
    for leaf, c in pairs:
        if c.value is not None:
            found[leaf.name] = Claim("returned", c.path, c.name)
    used = [claim.path for claim in found.values()]
    over = [c for c in rest if c.path not in used and c.value is not None and not fused]
    return {name: found[name] for name in leaves if name in found}, over


def of_wrong_shape(over: Sequence[Came], missing: Sequence[Leaf]) -> dict[str, Claim]:
    """What is left on both sides: gradients whose shapes are those of nothing that went in."""
    if len(over) != len(missing) or not all(map(_related, over, missing)):
        return {}
    return {leaf.name: Claim("returned", c.path, c.name)
            for c, leaf in zip(over, missing, strict=True)}  # fmt: skip


def _related(c: Came, leaf: Leaf) -> bool:
    """Whether it has no name, or one that begins as the leaf's does: gb of biases[0]."""
    bases = names.wrt(c.name) if c.name is not None else [""]
    return any(leaf.name.lower().startswith(base.lower()) for base in bases)


def _parameters_first(arguments: Sequence[Leaf], held: dict[str, Leaf]) -> list[str]:
    weights = [leaf.name for leaf in arguments if leaf.in_dict or names.WEIGHT.match(leaf.name)]
    return list(dict.fromkeys([*weights, *(leaf.name for leaf in arguments), *held]))


def _by_name(
    everything: Sequence[Came], order: Sequence[str], leaves: dict[str, Leaf]
) -> dict[str, Claim]:
    found: dict[str, Claim] = {}
    named = {c.name: c for c in everything if c.name is not None and c.value is not None}
    for name, c in named.items():
        inside = bool(c.path) and not isinstance(c.path[-1], int)
        if name in leaves and inside:  # grads["W"]
            found[name] = Claim("returned", c.path, name)
    free = [name for name in order if name not in found]
    others = [name for name in named if name not in found]
    for gradient, target in names.match(others, free).items():
        value, wanted = one_array(named[gradient].value), leaves[target].array.shape
        exact = target in names.wrt(gradient)
        if value is not None and (exact or value.shape == wanted):
            found[target] = Claim("returned", named[gradient].path, gradient)
    return found


def _by_order(rest: Sequence[Came], free: Sequence[Leaf]) -> list[tuple[Leaf, Came]]:
    """Side by side where most shapes agree; else what has no name takes the next of its shape."""

    def agree(c: Came, leaf: Leaf) -> bool:
        value = one_array(c.value)
        return value is None or value.shape == leaf.array.shape

    inner = [c for c in rest if any(names.INNER.match(base) for base in names.wrt(c.name or ""))]
    if len(rest) == len(free) and 2 * sum(map(agree, rest, free)) >= len(free) and not inner:
        return list(zip(free, rest, strict=True))
    pairs: list[tuple[Leaf, Came]] = []
    left = list(free)
    for c in rest:
        fits = [leaf for leaf in left if agree(c, leaf) and _related(c, leaf)]
        if c.value is not None and fits:
            left.remove(fits[0])
            pairs.append((fits[0], c))
    return pairs
