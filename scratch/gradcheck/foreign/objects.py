"""Objects that know nothing of `Module`: where their parameters are, and where the gradients."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from . import names
from .copies import ATOMS, parts_of
from .structures import Leaf, Path, get, is_float_array, leaves, one_array

# Containers of parameters, and beside them those of their gradients.
BESIDE = {"grads": ("params", "parameters", "weights"), "gradients": ("parameters", "params"),
          "grad": ("params", "data", "value", "val", "w", "v"), "dparams": ("params",),
          "param_grads": ("params",), "gradient": ("data", "value"), "d": ("v", "value", "w"),
          "g": ("v", "value", "w"), "dw": ("w",)}  # fmt: skip
HOLDERS = ("data", "value", "val", "w", "v")  # of an object for one parameter, whose name it has
DEPTH, MOST = 4, 100  # levels and parts of objects that are looked into
Kept = dict[str, Any]


def obeys_the_one_rule(thing: Any) -> bool:
    """Whether it has `parameters`, a call, and a backward pass that takes a record."""
    rule = ("forward", "backward", "parameters")
    if not callable(thing) or not all(callable(getattr(thing, name, None)) for name in rule):
        return False
    wanted = inspect.signature(thing.backward).parameters.values()
    return len(wanted) != 1 or any(p.kind is p.VAR_POSITIONAL for p in wanted)


def is_object(value: Any, depth: int = DEPTH) -> bool:
    """Whether it is, or a list or dict holds, an object with attributes, such as a model."""
    if isinstance(value, dict | list | tuple):
        parts = value.values() if isinstance(value, dict) else value
        small = depth > 0 and len(value) <= MOST
        return small and any(is_object(part, depth - 1) for part in parts)
    if isinstance(value, (*ATOMS, np.ndarray, np.generic)) or inspect.isroutine(value):
        return False
    return type(value).__module__ not in ("builtins", "random") and bool(parts_of(value))


def pairs(before: Kept, middle: Kept, after: Kept) -> list[tuple[Leaf, Path]]:
    """The parameters in what is kept, and the way to their gradients in a copy of it.

    before: an "owner", "objects" and "spaces" as they were. middle, after: copies, after a forward
    pass that changed no parameter, and after the backward pass.
    """
    ways: list[Path] = [("owner",), *(("objects", name) for name in before["objects"]),
                        *(("spaces", k) for k in range(len(before["spaces"])))]  # fmt: skip
    every = [pair for way in ways for pair in _pairs(
        get(before, way), get(middle, way), get(after, way), "", way, DEPTH)]  # fmt: skip
    found: dict[Any, tuple[Leaf, Path]] = {}
    for leaf, path in every:
        found.setdefault(leaf.identity, (leaf, path))
    ends = [leaf.name.rpartition(".")[2] for leaf, _ in found.values()]
    return [
        (replace(leaf, name=end if ends.count(end) == 1 and not end.isdigit() else leaf.name,
                 in_dict=True, kept=True), path)
        for (leaf, path), end in zip(found.values(), ends, strict=True)
    ]  # fmt: skip


def _pairs(
    before: Any, middle: Any, after: Any, prefix: str, path: Path, depth: int
) -> Iterator[tuple[Leaf, Path]]:
    mine, between, theirs = _parts(before), _parts(middle), _parts(after)
    attributes = not isinstance(before, dict | list | tuple)

    def pair(base: Any, grad: Any, way: Path, label: str) -> Iterator[tuple[Leaf, Path]]:
        known = _list_names(before, base, mine[base])
        own = (*path, (base,) if attributes else base)
        return _beside(
            mine[base], grad, between.get(base), own, (*path, *way), label, prefix, known
        )

    for key, grad in theirs.items():
        here: Path = ((key,),) if attributes else (key,)
        if _is_grads(key) and isinstance(grad, dict):  # self.grads["W"] of self.W
            for name, part in grad.items():
                base = next((b for b in (name, *names.wrt(str(name))) if b in mine), None)
                if base is not None:
                    yield from pair(base, part, (*here, name), str(base))
        for base in _bases(key, mine):
            whose = prefix.rstrip(".")
            label = whose if key in BESIDE and base in HOLDERS and whose else str(base)
            yield from pair(base, grad, here, label)
    for key, part in mine.items() if depth else ():
        inner = theirs.get(key)
        deep = isinstance(part, list | tuple | dict) or hasattr(part, "__dict__")
        if deep and type(inner) is type(part):
            here = ((key,),) if attributes else (key,)
            yield from _pairs(part, between.get(key), inner, f"{prefix}{key}.", (*path, *here),
                              depth - 1)  # fmt: skip


def _parts(value: Any) -> dict[Any, Any]:
    """What is inside, and the properties by the names of containers: params, grads."""
    found = parts_of(value)
    for name in {*BESIDE, "params", "parameters", "weights"} - found.keys():
        if isinstance(getattr(type(value), name, None), property):
            with suppress(Exception):  # it is the person's code
                found[name] = getattr(value, name)
    return found


def _is_grads(key: Any) -> bool:
    return isinstance(key, str) and (key in BESIDE or "grad" in key)


def _bases(key: Any, mine: dict[Any, Any]) -> list[Any]:
    """What an attribute can be the gradient of, by its name; or dicts, of a dict of gradients."""
    if not isinstance(key, str):
        return []
    found = [*BESIDE.get(key, ()), *names.wrt(key)]
    bases = {base.lstrip("_"): base for base in mine if isinstance(base, str)}
    hits = names.match([key.lstrip("_")], list(bases), exact=True).values()
    found += [bases[hit] for hit in hits]
    if _is_grads(key) and isinstance(mine.get(key), dict):
        found += [base for base, value in mine.items() if isinstance(value, dict)]
    return [base for base in dict.fromkeys(found) if base in mine and base != key]


def _beside(
    value: Any,
    grad: Any,
    after: Any,
    own: Path,
    path: Path,
    name: str,
    prefix: str,
    known: list[str] | None,
) -> Iterator[tuple[Leaf, Path]]:
    """A parameter and its gradient, or a container of them and the container beside it.

    own, path: the ways to both.
    """
    if _may_be_parameter(value):
        same = _may_be_parameter(after) and np.array_equal(value, after)
        fits = np.shape(grad) == np.shape(value) or (is_float_array(grad) and names.is_weight(name))
        if same and one_array(grad) is not None and fits:
            full = name if name == prefix.rstrip(".") else f"{prefix}{name}"
            yield Leaf(full, value, own), path
    elif isinstance(value, dict) and isinstance(grad, dict):
        for key in value:
            other = [k for k in grad if k == key or key in names.wrt(str(k))]
            if other and _may_be_parameter(value[key]):
                yield Leaf(f"{prefix}{name}.{key}", value[key], (*own, key)), (*path, other[0])
    elif isinstance(value, list | tuple) and isinstance(grad, list | tuple):
        for k, (part, _) in enumerate(zip(value, grad, strict=False)):
            if _may_be_parameter(part):
                label = known[k] if known else f"{name}[{k}]"
                yield Leaf(f"{prefix}{label}", part, (*own, k)), (*path, k)


def _may_be_parameter(value: Any) -> bool:
    return is_float_array(value) or isinstance(value, float)


def _list_names(owner: Any, attribute: Any, value: Any) -> list[str] | None:
    """The names of the parts of a list of parameters: those of the attributes, or in the source."""
    if not isinstance(value, list | tuple):
        return None
    by_id = {id(part): name for name, part in parts_of(owner).items() if isinstance(name, str)}
    if all(id(part) in by_id for part in value):
        return [by_id[id(part)] for part in value]
    return names.of_list(type(owner), str(attribute), len(value))


def arrays_of(
    owner: Any, full: str, path: Path, *, grads: bool = False, depth: int = DEPTH
) -> Iterator[Leaf]:
    """The float arrays inside an object, by the names of the attributes or of their keys.

    grads: also those in containers of gradients. path: the way to it, where those of the arrays
    begin.
    """
    attributes = not isinstance(owner, dict | list | tuple)
    for name, value in parts_of(owner).items():
        way, here = f"{full}.{name}", (*path, (name,) if attributes else name)
        if name in HOLDERS and is_float_array(value) and depth < DEPTH:
            yield from leaves(value, full.rpartition(".")[2], here, full=full)
        elif isinstance(value, list | tuple) and (known := _list_names(owner, name, value)):
            for k, (part_name, part) in enumerate(zip(known, value, strict=True)):
                yield from leaves(part, part_name, (*here, k), full=f"{way}.{part_name}")
        elif is_object(value):
            more = arrays_of(value, way, here, grads=grads, depth=depth - 1)
            yield from more if depth else ()
        elif grads or name not in BESIDE:
            yield from leaves(value, str(name), here, full=way)
