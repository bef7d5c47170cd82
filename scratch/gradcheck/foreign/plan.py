"""How a backward pass is called: which answer each of its arguments is the gradient of, what the
cache is, and what else it takes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..raised import NotCheckable
from . import names
from .structures import Path, get, is_float_array, is_number, like_steps, one_array, steps_of

CACHE = re.compile(r"cache|memo|ctx|context|record|tape|saved|stored|trace|history|steps|state|"
                   r"residual|intermediate|forward|values|internals", re.IGNORECASE)  # fmt: skip
GRAD = re.compile(r"d_?(state|hidden|out|h|c|y|L)|grad")
OWN_TARGET = re.compile(r"^(targets?|labels?|ys?|Y|y_?true|y_?batch|expected)$")
LOSS = re.compile(r"loss|cost|error|nll|^[JEL]$", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """One of the things that forward returns."""

    name: str | None
    path: Path
    value: Any

    @property
    def is_answer(self) -> bool:
        return is_float_array(self.value) or is_number(self.value) or bool(steps_of(self.value))

    @property
    def is_state(self) -> bool:
        """Whether it is a tuple of arrays, such as (h, c)."""
        value = self.value
        return isinstance(value, tuple) and bool(value) and all(map(is_float_array, value))

    @property
    def names(self) -> list[str]:
        """Those of its arrays; empty for one that has none."""
        if self.is_answer:
            return [self.name or ""]
        return [f"{self.name or 'state'}[{k}]" for k in range(len(self.value))]

    def arrays(self, raw: Any) -> list[Any]:
        """Its arrays in what forward returned."""
        value = get(raw, self.path)
        if self.is_state and isinstance(value, tuple):
            return list(value)
        value = one_array(value)
        if value is None:
            raise NotCheckable(f"{self.name or 'answer'}: expected an array each time, got none")
        return [value]

    def like(self, grads: Iterator[Any]) -> Any:
        """The next gradients in the structure of this answer."""
        if self.is_state:
            return tuple(next(grads) for _ in self.value)
        grad = next(grads)
        if steps_of(self.value):
            return like_steps(self.value, grad)
        return grad[()] if grad.ndim == 0 else grad


def parts(value: Any, named: names.Names) -> list[Part]:
    """What forward returned, part by part."""
    if isinstance(value, tuple):
        known = named if isinstance(named, list) and len(named) == len(value) else []
        known = list(getattr(value, "_fields", known) or [None] * len(value))
        return [Part(name if isinstance(name, str) else None, (k,), part)
                for k, (name, part) in enumerate(zip(known, value, strict=True))]  # fmt: skip
    if isinstance(value, dict) and not steps_of(value):
        return [Part(str(key), (key,), part) for key, part in value.items()]
    if type(value) is list and not steps_of(value):
        return parts(tuple(value), named)
    return [Part(named if isinstance(named, str) else None, (), value)]


def loss_of(found: Sequence[Part]) -> Part | None:
    """The loss among what a function returns: a number, or an array that holds one."""
    single = [p for p in found if p.is_answer and np.size(p.value) == 1]
    named = [p for p in single if p.name is not None and LOSS.search(p.name)]
    numbers = [p for p in single if np.ndim(p.value) == 0]
    return next(iter([*named, *numbers, *single]), None)


@dataclass(frozen=True)
class Plan:
    """For each argument of backward, by name, what it gets."""

    grads: dict[str, Part]  # the gradient of an answer
    parts: dict[str, Path]  # what forward returned there
    arguments: tuple[str, ...]  # what forward was given under the same name

    def given(self, raw: Any, values: dict[str, Any], grads: Sequence[Any]) -> dict[str, Any]:
        """The arguments of backward; `grads` in the order of `answers`."""
        found = {name: get(raw, path) for name, path in self.parts.items()}
        found |= {name: values[name] for name in self.arguments}
        rest = iter(grads)
        for name, part in self.grads.items() if grads else ():
            found[name] = part.like(rest)
        return found

    @property
    def answers(self) -> list[Part]:
        return list(self.grads.values())


def plan(
    backward: Callable[..., Any],
    found: Sequence[Part],
    arguments: Sequence[str],
    ignore: Sequence[str],
) -> Plan:
    """Who gets what: by name where names agree, else gradients first and the cache last."""
    wanted = names.parameters_of(backward)
    given = [*arguments, *(p.name for p in found)]
    targets = [p.name for p in wanted if OWN_TARGET.match(p.name) and p.name not in given]
    if targets:
        raise NotCheckable(
            f"backward takes {targets[0]}, a target: it starts from a loss of its own and not from "
            f"an upstream gradient. Check it with what returns the loss: a function or method of "
            f"the inputs and the target, as layer.loss(x, y)"
        )
    states = [p for p in found[:-1] if p.is_state]  # what comes last is the cache
    answers = [p for p in found if (p.is_answer or p in states) and p.name not in ignore]
    others = [p for p in found if p not in answers and not p.is_answer]
    grads: dict[str, Part] = {}
    whole: dict[str, Path] = {}
    same: list[str] = []
    # What is called as an argument, such as the x of np.tanh(x), is not what came of it.
    by_name = {p.name: p for p in found if p.name is not None and p.name not in arguments}
    answer_names = [p.name for p in answers if p.name in by_name]
    hits = names.match([p.name for p in wanted if p.name not in by_name], answer_names)
    for p in wanted:
        if p.name in by_name:
            whole[p.name] = by_name[p.name].path
        elif p.name in hits:
            grads[p.name] = by_name[hits[p.name]]
        elif p.name in arguments:
            same.append(p.name)
    taken = [*whole.values(), *(p.path for p in grads.values())]
    free = [p for p in answers if p.path not in taken]
    caches = [p for p in others if p.path not in taken]
    known = {*grads, *whole, *same}
    open_ones = [p for p in wanted if p.name not in known and p.default is inspect.Parameter.empty]
    in_dict = all(part.path and isinstance(part.path[-1], str) for part in found)
    for name in _caches(open_ones, caches, bool(grads)):
        rest = caches or [p for p in reversed(found) if p.path not in taken]
        if in_dict:  # forward returns one dict, which is the cache
            whole[name] = ()
        elif rest:
            whole[name] = rest[0].path
            caches = caches[1:]
    free = [p for p in free if p.path not in whole.values()]
    still = [p.name for p in open_ones if p.name not in whole]
    if not grads and not still and free and np.size(free[0].value) > 1:
        # def backward(self, dout=None)
        optional = [p.name for p in wanted if p.default is not inspect.Parameter.empty]
        still = [name for name in optional if name not in known][:1]
    grads |= dict(zip(still, free, strict=False))
    order = [p.name for p in wanted if p.name in grads]
    return Plan({name: grads[name] for name in order}, whole, tuple(same))


def _caches(
    open_ones: Sequence[inspect.Parameter], caches: Sequence[Part], has_grads: bool
) -> list[str]:
    """Which arguments, of those whose names say nothing, take the cache."""
    called = [p.name for p in open_ones if CACHE.search(p.name) and not GRAD.match(p.name)]
    if called or not caches:
        return called
    last = open_ones[-1:] if len(open_ones) > 1 or has_grads else []
    if len(open_ones) == 1 and not has_grads and not names.wrt(open_ones[0].name):
        last = list(open_ones)
    return [p.name for p in last]
