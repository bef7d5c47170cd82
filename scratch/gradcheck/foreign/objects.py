"""Objects that know nothing of `Module`: where their parameters are, and where the gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from . import names
from .copies import parts_of
from .structures import Leaf, Path, is_float_array, leaves, one_array

# Containers of parameters, and beside them those of their gradients.
BESIDE = {"grads": ("params", "parameters", "weights"), "gradients": ("parameters", "params"),
          "grad": ("params", "data", "value", "val", "w"), "dparams": ("params",),
          "param_grads": ("params",), "gradient": ("data", "value")}  # fmt: skip
DEPTH = 4


def obeys_the_one_rule(thing: Any) -> bool:
    """Whether it has `parameters`, a call, and a backward pass that takes a record."""
    rule = ("forward", "backward", "parameters")
    if not callable(thing) or not all(callable(getattr(thing, name, None)) for name in rule):
        return False
    first = names.parameters_of(thing.backward)
    return len(first) != 1 or not names.wrt(first[0].name)


def pairs(before: Any, after: Any) -> dict[str, tuple[Leaf, Path]]:
    """By name, the parameters of an object and the way to their gradients in a copy of it.

    before: as it was. after: the copy, after a forward and a backward pass.
    """
    found: dict[str, tuple[Leaf, Path]] = {}
    for leaf, path in _pairs(before, after, "", (), DEPTH):
        if all(leaf.source is not other.source for other, _ in found.values()):
            name = leaf.name if leaf.name not in found else f"{leaf.name} ({len(found)})"
            found[name] = Leaf(name, leaf.source, leaf.path, True), path
    return found


def _pairs(
    before: Any, after: Any, prefix: str, path: Path, depth: int
) -> Iterator[tuple[Leaf, Path]]:
    mine, theirs = parts_of(before), parts_of(after)
    attributes = not isinstance(before, dict | list | tuple)
    for key, grad in theirs.items():
        for base in _bases(key, mine):
            step: Path = ((key,),) if attributes else (key,)
            names_of = _list_names(before, base, mine[base])
            label = prefix.rstrip(".") if base in ("data", "value", "val", "w") else base
            yield from _beside(mine[base], grad, theirs.get(base), (*path, *step), str(label),
                               prefix, names_of)  # fmt: skip
    if depth:
        for key, part in mine.items():
            inner = theirs.get(key)
            if type(inner) is type(part) and not is_float_array(part):
                step = ((key,),) if attributes else (key,)
                more = f"{prefix}{key}."
                if isinstance(part, list | tuple | dict) or hasattr(part, "__dict__"):
                    yield from _pairs(part, inner, more, (*path, *step), depth - 1)


def _bases(key: Any, mine: dict[Any, Any]) -> list[Any]:
    """What an attribute can be the gradient of."""
    if not isinstance(key, str):
        return []
    return [
        base for base in [*BESIDE.get(key, ()), *names.wrt(key)] if base in mine and base != key
    ]


def _beside(
    value: Any, grad: Any, after: Any, path: Path, name: str, prefix: str, known: list[str] | None
) -> Iterator[tuple[Leaf, Path]]:
    """A parameter and its gradient, or a container of them and the container beside it."""
    if is_float_array(value):
        same = is_float_array(after) and np.array_equal(value, after)
        if same and one_array(grad) is not None and np.shape(grad) == value.shape:
            full = name if name == prefix.rstrip(".") else f"{prefix}{name}"
            yield Leaf(full, value, ()), path
    elif isinstance(value, dict) and isinstance(grad, dict):
        for key in value:
            other = [k for k in grad if k == key or key in names.wrt(str(k))]
            if other and is_float_array(value[key]):
                yield Leaf(f"{prefix}{key}", value[key], ()), (*path, other[0])
    elif isinstance(value, list | tuple) and isinstance(grad, list | tuple):
        for k, (part, _) in enumerate(zip(value, grad, strict=False)):
            if is_float_array(part):
                label = known[k] if known else f"{name}[{k}]"
                yield Leaf(f"{prefix}{label}", part, ()), (*path, k)


def _list_names(owner: Any, attribute: Any, value: Any) -> list[str] | None:
    """The names of the parts of a list of parameters: those of the attributes, or in the source."""
    if not isinstance(value, list | tuple):
        return None
    by_id = {id(part): name for name, part in parts_of(owner).items() if isinstance(name, str)}
    if all(id(part) in by_id for part in value):
        return [by_id[id(part)] for part in value]
    return names.of_list(type(owner), str(attribute), len(value))


def arrays_of(owner: Any) -> Iterator[Leaf]:
    """The float arrays of an object's attributes, by their names or those of their keys."""
    for name, value in parts_of(owner).items():
        if isinstance(value, list | tuple) and (known := _list_names(owner, name, value)):
            for part_name, part in zip(known, value, strict=True):
                yield from leaves(part, part_name)
        elif name not in BESIDE:
            yield from leaves(value, str(name))
