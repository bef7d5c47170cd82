"""Which gradient that came back belongs to what that went in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import names
from .structures import Came, Leaf, Path, came, one_array, told_apart

Pairs = list[tuple[Leaf, Came]]


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
    held: Sequence[Leaf],
    agrees: Callable[[Leaf, Any], bool],
    *,
    fused: bool,
    loss: Path = (),
) -> tuple[dict[str, Claim], list[Came]]:
    """The claims by name: by the names of the gradients, and of what has none by order and shape.

    And the gradients that belong to nothing.

    held: parameters in namespaces and objects. agrees: whether numbers are the derivative by an
    array; it decides where several arrays have the shape of a gradient without a name. fused: among
    the gradients stand a loss, and states that are not gradients.
    """
    leaves = {leaf.name: leaf for leaf in reversed([*arguments, *held])}
    leaves = {name: leaves[name] for name in reversed(leaves)}
    order = _parameters_first(arguments, held)

    def whole(name: str) -> bool:
        return bool(names.match([name], order)) or name in leaves

    everything = told_apart(list(came(returned, named, whole)))
    if fused:
        everything = [c for c in everything if c.path[: len(loss)] != loss]
    found = _by_name(everything, order, leaves)
    taken = {claim.path for claim in found.values()}
    rest = [c for c in everything if c.path not in taken and _may_be_gradient(c, found)]
    rest = [replace(c, name=None) if not c.path or names.GENERIC.match(c.name or "") else c
            for c in rest]  # fmt: skip
    if fused:
        rest = [c for c in rest if c.value is not None]
    scalars = any(np.ndim(one_array(c.value)) == 0 for c in rest if c.value is not None)
    free = [leaf for name, leaf in leaves.items()
            if name not in found and (scalars or not leaf.is_number)]  # fmt: skip
    pairs = _by_numbers(rest, free, agrees, always=fused)
    pairs += _by_hint(*_left(rest, free, pairs))
    left, free = _left(rest, free, pairs)
    mine = [leaf for leaf in free if not leaf.kept]
    if fused:
        left = [c for c in left if not _has_name(c) or _is_of_weight(c)]
        mine = [leaf for leaf in mine if not _is_input(leaf)]
    # What is a number without a name may be an accuracy, and a float a rate.
    free = [leaf for leaf in free if not leaf.is_number or names.is_weight(leaf.name)]
    pairs += _by_order(left, [leaf for leaf in mine if leaf in free])
    left, free = _left(rest, free, pairs)
    left = [c for c in left if c.value is not None and (not _has_name(c) or _is_of_weight(c))]
    pairs += _by_order(left, [leaf for leaf in free if leaf.kept])
    if fused and not pairs and not found:
        pairs += _by_order(left, [leaf for leaf in free if not leaf.kept])
    for leaf, c in pairs:
        if c.value is not None:
            found[leaf.name] = Claim("returned", c.path, c.name)
    used = [claim.path for claim in found.values()]
    over = [c for c in rest if c.path not in used and c.value is not None]
    return {name: found[name] for name in leaves if name in found}, over


def _has_name(c: Came) -> bool:
    """Whether it is called the gradient of something, and not only by a key or in an expression."""
    return c.name is not None and not isinstance(c.name, names.Key | names.Inside)


def _is_of_weight(c: Came) -> bool:
    return any(map(names.is_weight, names.wrt(c.name or "")))


def _may_be_gradient(c: Came, found: dict[str, Claim]) -> bool:
    """Not h of (dW, h), nor h of a dict in which gradients are called dW."""
    if c.name is None or names.wrt(c.name) or names.GENERIC.match(c.name):
        return True
    beside = [f.name for f in found.values() if _container(f) == _container(c) is not None]
    return isinstance(c.name, names.Key) and not any(names.wrt(name or "") for name in beside)


def _container(c: Came | Claim) -> Path | None:
    """The way to the dict or object that it is directly in; None of a part of a tuple."""
    return None if not c.path or isinstance(c.path[-1], int) else ("in", *c.path[:-1])


def _is_input(leaf: Leaf) -> bool:
    return bool(names.STATE.search(leaf.name) or names.TARGET.match(leaf.name))


def _left(
    rest: Sequence[Came], free: Sequence[Leaf], pairs: Pairs
) -> tuple[list[Came], list[Leaf]]:
    paths, used = [c.path for _, c in pairs], [leaf.name for leaf, _ in pairs]
    return ([c for c in rest if c.path not in paths], [f for f in free if f.name not in used])


def of_wrong_shape(over: Sequence[Came], missing: Sequence[Leaf]) -> dict[str, Claim]:
    """What is left on both sides: gradients whose shapes are those of nothing that went in."""
    if len(over) != len(missing) or not all(map(_related, over, missing)):
        return {}
    return {leaf.name: Claim("returned", c.path, c.name)
            for c, leaf in zip(over, missing, strict=True)}  # fmt: skip


def _related(c: Came, leaf: Leaf) -> bool:
    """Whether it has no name, or one that begins as the leaf's does, gb of biases[0], or is one of
    a weight as the leaf is."""
    bases = names.wrt(c.name) if c.name is not None and _has_name(c) else [""]
    weight = names.is_weight(leaf.name, leaf.in_dict)
    return any(
        leaf.name.lower().startswith(base.lower()) or (weight and names.is_weight(base))
        for base in bases
    )


def _parameters_first(arguments: Sequence[Leaf], held: Sequence[Leaf]) -> list[str]:
    weights = [leaf.name for leaf in arguments if names.is_weight(leaf.name, leaf.in_dict)]
    return list(dict.fromkeys([*weights, *(leaf.name for leaf in [*arguments, *held])]))


def _by_name(
    everything: Sequence[Came], order: Sequence[str], leaves: dict[str, Leaf]
) -> dict[str, Claim]:
    found: dict[str, Claim] = {}
    named = {
        c.name: c
        for c in everything
        if c.name is not None and c.value is not None and not isinstance(c.name, names.Inside)
    }
    others = [name for name in named if name not in leaves]
    decorated = [_container(named[name]) for name in others
                 if names.match([name], order) and _container(named[name])]  # fmt: skip
    for name, c in named.items():
        inside = isinstance(name, names.Key) and _container(c) not in decorated
        # W of grads["W"], and not the parameter itself
        if name in leaves and inside and not np.array_equal(c.value, leaves[name].source):
            found[str(name)] = Claim("returned", c.path, name)
    free = [name for name in order if name not in found]
    others = [name for name in named if name not in found]
    for gradient, target in names.match(others, free).items():
        value, wanted = one_array(named[gradient].value), leaves[target].array.shape
        exact = target in names.wrt(gradient)
        if value is not None and (exact or value.shape == wanted):
            found[target] = Claim("returned", named[gradient].path, gradient)
    return found


def _agree(c: Came, leaf: Leaf) -> bool:
    value = one_array(c.value)
    return value is None or value.shape == leaf.array.shape


def _by_numbers(
    rest: Sequence[Came], free: Sequence[Leaf], agrees: Callable[[Leaf, Any], bool], always: bool
) -> Pairs:
    """What is the derivative by one of several arrays of its shape."""
    pairs: Pairs = []
    for c in rest:
        fits = [leaf for leaf in _left(rest, free, pairs)[1] if _agree(c, leaf)]
        if c.value is not None and (always or len(fits) > 1):
            pairs += [(leaf, c) for leaf in fits if agrees(leaf, one_array(c.value))][:1]
    return pairs


def _by_hint(rest: Sequence[Came], free: Sequence[Leaf]) -> Pairs:
    """By the name in an expression, dx * mask, where it is in one, and the shape is that of x."""
    hints: list[str | None] = [c.name for c in rest if isinstance(c.name, names.Inside)]
    once = {c.name: c for c in rest if c.name is not None and hints.count(c.name) == 1}
    by_name = {leaf.name: leaf for leaf in free}
    hits = names.match(list(once), list(by_name)).items()
    return [(by_name[name], once[hint]) for hint, name in hits
            if _agree(once[hint], by_name[name])]  # fmt: skip


def _by_order(rest: Sequence[Came], free: Sequence[Leaf]) -> Pairs:
    """Side by side where most shapes agree; else what has no name takes the next of its shape."""
    inner = [c for c in rest if _has_name(c)
             and any(names.INNER.match(base) for base in names.wrt(c.name or ""))]  # fmt: skip
    if len(rest) == len(free) and 2 * sum(map(_agree, rest, free)) >= len(free) and not inner:
        return list(zip(free, rest, strict=True))
    pairs: Pairs = []
    left = list(free)
    for c in rest:
        fits = [leaf for leaf in left if _agree(c, leaf) and _related(c, leaf)]
        if c.value is not None and fits:
            left.remove(fits[0])
            pairs.append((fits[0], c))
    return pairs
