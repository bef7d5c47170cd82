"""Code of other conventions as a module that obeys the one rule.

A pair of functions with a cache, a function that returns a loss and its gradients, an object that
keeps its cache in itself: each is run once, to see what goes in, what comes out and which gradient
belongs to what. From then on it is called as any module is.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ...machinery import nests
from ...machinery.module import Array, Parameter, describe
from ..raised import ModuleRaised, NotCheckable, asked
from . import names, objects
from .arguments import Arguments, roles
from .copies import Kept
from .matching import Claim, match, of_wrong_shape
from .plan import Part, loss_of, parts, plan
from .spaces import Defaults, spaces_of
from .structures import Leaf, get, is_float_array, leaves, one_array, told_apart, with_leaves
from .wide_numpy import own_namespaces, replaced, replacements

STEP = 1e-5  # of a central difference that tells which array a gradient is of
MODES: tuple[np.dtype[Any], ...] = (np.dtype(float), np.dtype(complex))


@dataclass
class Pass:
    """What a pass was given, what it may have changed, and what it returned: the record."""

    kept: dict[str, Any]
    values: dict[str, Any]
    returned: Any = None


class Foreign:
    """`backward` None: `forward` returns the loss and its gradients.

    owner: the object that `forward` and `backward` are methods of. parameters: a namespace that
    holds some. ignore: names of arguments and answers that are left out.
    """

    lenient = True  # what it changes or remembers between passes is a remark, not a mistake

    def __init__(
        self,
        title: str,
        forward: Callable[..., Any],
        backward: Callable[..., Any] | None,
        args: tuple[Any, ...],
        named: dict[str, Any],
        *,
        owner: Any = None,
        parameters: Any = None,
        ignore: Sequence[str] = (),
    ) -> None:
        self.title, self.own = title, [f for f in (forward, backward) if f is not None]
        self._forward, self._backward, self._owner = forward, backward, owner
        self.ignore = tuple(ignore)
        self.arguments = Arguments(forward, args, named)
        self.claims: dict[str, Claim] = {}
        self.dtype = MODES[0]
        self._spaces = spaces_of([*self.own, owner], parameters)
        values = self.arguments.values
        self._kept = Kept({
            "owner": owner,
            "objects": {n: v for n, v in values.items() if objects.is_object(v)},
            "spaces": [{name: where[name] for name in used} for where, used in self._spaces],
        })  # fmt: skip
        classes = [type(owner)] if owner is not None else []
        own = own_namespaces([*self.own, *classes])
        self._numpy = {mode.kind: replacements(own, mode) for mode in MODES}
        self._random = random.getstate()  # every pass draws the same numbers
        self._held: dict[str, Leaf] = {}
        self._arguments: dict[str, Leaf] = {}
        self._data: dict[str, Parameter] = {}
        self._learn()

    @classmethod
    def of_object(cls, thing: Any, args: tuple[Any, ...]) -> Foreign:
        """An object with `forward` and `backward`, called with `args`."""
        for name in ("forward", "backward"):
            if not callable(getattr(thing, name, None)):
                raise NotCheckable(
                    f"module: expected __call__, forward, backward and parameters, got "
                    f"{describe(thing)} without {name}"
                )
        return cls(type(thing).__name__, thing.forward, thing.backward, args, {}, owner=thing)

    def with_arguments(self, values: dict[str, Any]) -> Foreign:
        """The same code, called with other values of its arguments, by their names."""
        other = copy.copy(self)
        other.arguments = copy.copy(self.arguments)
        other.arguments.values = values
        other.claims, other._held, other._arguments, other._data = {}, {}, {}, {}
        other._learn()
        return other

    # The one rule

    def __call__(self, *inputs: Array) -> Any:
        return self._answers(self.forward(*inputs).returned)

    def forward(self, *inputs: Array) -> Pass:
        given = dict(zip(self.input_names, inputs, strict=True))
        given |= {n: p.data for n, p in self._data.items() if n in self._arguments}
        return self._run({self._arguments[n].path: array for n, array in given.items()})

    def backward(self, record: Pass, *grads: Array) -> tuple[Any, ...]:
        returned = self._back(record, grads)
        found = {name: self._claim(claim, returned, record) for name, claim in self.claims.items()}
        if self.upstream is not None:
            scale = np.asarray(grads[0])
            found = {n: g if g is None or scale == 1 else g * scale for n, g in found.items()}
        for name, parameter in self._data.items():
            if found.get(name) is not None:
                _add(parameter, found[name])
        return tuple(found.get(name) for name in self.input_names)

    def parameters(self) -> Iterator[Parameter]:
        yield from self._data.values()

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        yield from self._data.items()

    def astype(self, dtype: DTypeLike) -> Foreign:
        other = copy.copy(self)
        other.dtype = np.dtype(dtype)
        other._data = {n: Parameter(p.data.astype(dtype)) for n, p in self._data.items()}
        return other

    # One pass

    def _run(self, new: dict[Any, Array]) -> Pass:
        kept, memo = self._kept.copied(self.dtype)
        for name, leaf in self._held.items():
            _write(leaf, kept, memo, self._data[name].data)
        record = Pass(kept, with_leaves(self.arguments.values, new) | kept["objects"])
        before = random.getstate()
        random.setstate(self._random)
        try:
            with self._installed(record), asked("forward"):
                function = self._method(self._forward, record)
                record.returned = self.arguments.call(function, record.values)
        finally:
            random.setstate(before)
        return record

    def _back(self, record: Pass, grads: Sequence[Any]) -> Any:
        if self._backward is None:
            return record.returned
        for claim in self.claims.values():  # what is added to in an object starts at zero
            if claim.where == "kept" and is_float_array(get(record.kept, claim.path)):
                get(record.kept, claim.path)[...] = 0
        given = self.plan.given(record.returned, record.values, grads if self.plan.grads else ())
        with self._installed(record), asked("backward"):
            return self._method(self._backward, record)(**given)

    def _method(self, function: Callable[..., Any], record: Pass) -> Callable[..., Any]:
        """The method of the copy."""
        if self._owner is not None and getattr(function, "__self__", None) is self._owner:
            method: Callable[..., Any] = getattr(record.kept["owner"], function.__name__)
            return method
        return function

    @contextmanager
    def _installed(self, record: Pass) -> Iterator[None]:
        """With this pass's globals, and numpy as wide as its numbers, in the places of theirs."""
        mine = [(where, name, where[name], value)
                for (where, _), kept in zip(self._spaces, record.kept["spaces"], strict=True)
                for name, value in kept.items()]  # fmt: skip
        with replaced(self._numpy[self.dtype.kind]), replaced(mine):
            try:
                yield
            finally:
                for (where, _), kept in zip(self._spaces, record.kept["spaces"], strict=True):
                    kept.update({name: where[name] for name in kept})

    # What it was seen to do

    def _learn(self) -> None:
        first = self._first = self._run({})
        if first.returned is None or first.returned is ...:
            raise ModuleRaised(NotImplementedError("it returned nothing"), "forward")
        found = parts(first.returned, names.returned(self._forward))
        self.upstream: Array | None = None
        if self._backward is None:
            loss = loss_of(found)
            if loss is None:
                raise NotCheckable(
                    f"{self.title}: expected a loss among what it returns, got none; "
                    f"a forward pass is checked together with its backward pass"
                )
            answers = [loss]
        else:
            self.plan = plan(self._backward, found, list(self.arguments.values), self.ignore)
            answers = self.plan.answers
            if not answers:
                loss = loss_of(found)
                if loss is None:
                    raise NotCheckable(f"{self.title}: expected a backward pass that takes the "
                                       f"gradient of an array that forward returns")  # fmt: skip
                answers = [loss]
        self._parts: list[Part] = answers
        self._build()
        first = self._run({})
        self._without = [p for p in found if p.is_answer and p not in answers]
        takes = self._backward is not None and bool(self.plan.grads)
        if not takes:
            self.upstream = np.ones(1)
        rng = np.random.default_rng(1)
        arrays = [a for part in answers for a in part.arrays(first.returned)]
        self.answer_names = [name for part in answers for name in part.names]
        grads = [rng.standard_normal(a.shape) if takes else np.ones(()) for a in arrays]
        self._upstream = nests.vector(tuple(grads))
        between = self._kept.again(first.kept)
        returned = self._back(first, grads if takes else ())
        self._learn_claims(first, between, returned)

    def _build(self) -> None:
        """Runs a first pass. Where an object makes its weights in it, all passes start from there.

        As a layer does that learns from its first input how wide it is.
        """
        before, first = self._kept, self._first
        known = [leaf.path for leaf in self._in_objects(before.things)]
        new = self._in_objects(first.kept)
        old = [leaf.array for leaf in new if leaf.path in known]
        made = [
            replace(leaf, kept=True)
            for leaf in new
            if leaf.path not in known
            and names.is_weight(leaf.name, leaf.in_dict)
            and not any(np.may_share_memory(leaf.array, array) for array in old)
        ]
        if made:
            self._kept = Kept(first.kept)
            self._first = self._run({})
        if not any(map(self._matters, made)):
            self._first, self._kept = first, before

    def _learn_claims(self, record: Pass, between: dict[str, Any], returned: Any) -> None:
        arguments = [f for f in self.arguments.leaves(self.own) if f.name not in self.ignore]
        held = self._held_leaves()
        source = self._backward or self._forward
        self.claims, over = match(
            returned, names.returned(source), arguments, held, self._is_derivative,
            fused=self._backward is None, loss=self._parts[0].path,
        )  # fmt: skip
        beside = objects.pairs(self._kept.things, between, record.kept)
        own = {leaf.identity: leaf for leaf in held}
        taken = {leaf.identity for leaf in held if leaf.name in self.claims}
        for leaf, path in beside:
            leaf = own.setdefault(leaf.identity, leaf)
            free = leaf.identity not in taken and leaf.name not in (*self.claims, *self.ignore)
            if free and self._matters(leaf):
                self.claims[leaf.name] = Claim("kept", path)
        held = [leaf for leaf in own.values() if leaf.name not in {f.name for f in arguments}]
        self.nothing_came = returned is None or returned is ...
        mine = {leaf.name: leaf for leaf in arguments}
        is_parameter = roles(arguments)
        needed = {n: f for n, f in mine.items()
                  if n in self.claims or (not f.is_number and self._matters(f))}  # fmt: skip
        missing = [leaf for name, leaf in needed.items() if name not in self.claims]
        if self._backward is not None:
            self.claims |= of_wrong_shape(over, missing)
        for name, leaf in needed.items():
            self._arguments[name] = leaf
            if is_parameter[name]:
                self._data[name] = Parameter(leaf.array.astype(float))
        claimed = [leaf for leaf in held if leaf.name in self.claims]
        others = [leaf for leaf in held if leaf.name not in self.claims]
        others = [leaf for leaf in others if self._is_forgotten(leaf, claimed)]
        self.claims |= self._under_other_names(others, record)
        for leaf in (*claimed, *others):
            self._held[leaf.name] = leaf
            self._data[leaf.name] = Parameter(leaf.array.astype(float))
        used = [claim.path for claim in self.claims.values() if claim.where == "returned"]
        self._over = [c for c in over if c.path not in used]
        if not self.claims:
            self._refuse_what_shows_none([*arguments, *held], record)
        self._kept.share_large({id(leaf.source) for leaf in self._held.values()})
        self.claimed = tuple(self.claims)
        weights = [f.name for f in arguments if names.is_weight(f.name, f.in_dict)]
        self.missing = [
            name
            for name in self._data
            if name not in self.claims and (name in weights or name in self._held)
        ]
        self.input_names = [n for n in self._arguments if n not in self._data]
        self.inputs = tuple(self._arguments[n].array for n in self.input_names)

    @property
    def notes(self) -> Iterator[str]:
        """What belongs to what, for the report."""
        if self._without and self._backward is not None:
            words, given = (" and ".join(p.name or f"result {p.path[0]}" for p in found)
                            for found in (self._without, self._parts))  # fmt: skip
            yield f"the upstream gradient is one of {given}; none comes from {words}"
        pairs = [f"{_called(claim)} → {name}" for name, claim in self.claims.items()]
        yield f"gradients: {', '.join(pairs)}"
        over = [c.name for c in self._over if c.name is not None and names.wrt(c.name)]
        if over:
            yield f"{', '.join(over)} belongs to nothing that was found, and was not judged"

    def _held_leaves(self) -> list[Leaf]:
        """The floats and float arrays of the objects and the namespaces."""
        found: list[Leaf] = []
        found += self._in_objects(self._kept.things)
        for k, space in enumerate(self._kept.things["spaces"]):
            where = self._spaces[k][0]
            for key, value in space.items():
                name, way = str(key), ("spaces", k, key)
                if isinstance(where, Defaults):
                    name = where.name(key)
                if objects.is_object(value):
                    found += objects.arrays_of(value, name, way)
                else:
                    known = names.unpacked(self.own, key, value)
                    found += leaves(value, name, way, known=known)
        once = {leaf.identity: leaf for leaf in reversed(found)}
        return told_apart([replace(leaf, kept=True) for leaf in reversed(once.values())])

    @staticmethod
    def _in_objects(kept: dict[str, Any], grads: bool = False) -> list[Leaf]:
        """The float arrays of the owner and of the objects among the arguments."""
        found = list(objects.arrays_of(kept["owner"], "self", ("owner",), grads=grads))
        for name, thing in kept["objects"].items():
            found += objects.arrays_of(thing, name, ("objects", name), grads=grads)
        return found

    def _matters(self, leaf: Leaf) -> bool:
        """Whether the answers depend on an array."""
        moved = 0.1 * np.random.default_rng(2).standard_normal(leaf.array.shape)
        one, two = (self._answers(p.returned) for p in (self._first, self._moved(leaf, moved)))
        return nests.vector(one).tobytes() != nests.vector(two).tobytes()

    def _is_forgotten(self, leaf: Leaf, claimed: Sequence[Leaf]) -> bool:
        """Whether an array is called a weight, is not a part of a claimed one, and matters."""
        in_dict = leaf.in_dict and not leaf.is_number
        if not names.is_weight(leaf.name, in_dict) or leaf.name in self.ignore:
            return False
        if any(np.may_share_memory(leaf.source, other.source) for other in claimed
               if is_float_array(leaf.source) and is_float_array(other.source)):  # fmt: skip
            return False
        return self._matters(leaf)

    def _under_other_names(self, forgotten: list[Leaf], record: Pass) -> dict[str, Claim]:
        """What an object keeps as the gradient of a weight that it has not, of one's shape."""
        known = [claim.path for claim in self.claims.values() if claim.where == "kept"]
        spare = [leaf for leaf in self._in_objects(record.kept, grads=True)
                 if leaf.path not in known and any(map(names.is_weight, names.wrt(leaf.name)))
                 and not names.match([leaf.name], list(self.claims), exact=True)]  # fmt: skip
        found: dict[str, Claim] = {}
        for leaf in forgotten:
            fits = [g for g in spare if g.array.shape == leaf.array.shape and g.path not in known]
            fits = [g for g in fits if self._is_derivative(leaf, g.array)] or fits
            if fits:
                found[leaf.name] = Claim("kept", fits[0].path)
                known.append(fits[0].path)
        return found

    def _refuse_what_shows_none(self, arrays: list[Leaf], record: Pass) -> None:
        """NotCheckable for returned arrays that fit nothing, and for weights that it changes."""
        if self._over:
            shapes = ", ".join(str(np.shape(one_array(c.value))) for c in self._over)
            raise NotCheckable(
                f"{self.title}: expected gradients of arrays that go in, and found none that what "
                f"it returns, of shape {shapes}, could be the gradient of"
            )
        after = {leaf.name: get(record.kept if leaf.kept else record.values, leaf.path)
                 for leaf in arrays if names.is_weight(leaf.name, leaf.in_dict)}  # fmt: skip
        changed = [leaf.name for leaf in arrays if leaf.name in after
                   and not np.array_equal(leaf.array, one_array(after[leaf.name]))]  # fmt: skip
        if changed:
            raise NotCheckable(
                f"{self.title}: expected it to return gradients, or to keep them beside the "
                f"parameters; it changes {' and '.join(changed)} itself and shows none"
            )

    def _is_derivative(self, leaf: Leaf, grad: Array) -> bool:
        """Whether `grad` is the derivative by an array, along a random direction."""
        along = np.random.default_rng(3).standard_normal(leaf.array.shape)
        ends = [nests.vector(self._answers(self._moved(leaf, step * along).returned))
                for step in (STEP, -STEP)]  # fmt: skip
        true = (ends[0] - ends[1]) @ self._upstream / (2 * STEP)
        size = np.linalg.norm(grad) * np.linalg.norm(along)
        return bool(abs(np.sum(grad * along) - true) <= 1e-5 * size + 1e-9 * np.abs(ends[0]).max())

    def _moved(self, leaf: Leaf, by: Array) -> Pass:
        """A pass with other numbers in one array."""
        if not leaf.kept:
            return self._run({leaf.path: leaf.array + by})
        held, data = self._held, self._data
        self._held, self._data = {leaf.name: leaf}, {leaf.name: Parameter(leaf.array + by)}
        try:
            return self._run({})
        finally:
            self._held, self._data = held, data

    def _answers(self, returned: Any) -> Any:
        found = tuple(a for part in self._parts for a in part.arrays(returned))
        return found if len(found) > 1 else found[0]

    def _claim(self, claim: Claim, returned: Any, record: Pass) -> Any:
        value = returned if claim.where == "returned" else record.kept
        found = one_array(get(value, claim.path))
        return None if found is None else np.array(found)


def _called(claim: Claim) -> str:
    """What a gradient is called where it is found."""
    if claim.where == "kept":
        steps = [s[0] if isinstance(s, tuple) else s for s in claim.path]
        shown = steps[1 if steps[0] == "owner" else 2 :]
        words = [f".{s}" if isinstance(s, str) else f"[{s}]" for s in shown]
        return "".join(words).removeprefix(".")
    return claim.name or "".join(f"[{step!r}]" for step in claim.path) or "the result"


def _write(leaf: Leaf, kept: dict[str, Any], memo: dict[int, Any], value: Array) -> None:
    """Puts a parameter's numbers into the copy of the array that holds it, if they are others.

    Of two arrays that share memory, only the one that is moved may be written.
    """
    if np.array_equal(leaf.array, value):
        return
    if leaf.is_number:
        *way, last = leaf.path
        inside = get(kept, tuple(way))
        if isinstance(last, tuple):
            setattr(inside, last[0], value.item())
        else:
            inside[last] = value.item()
        return
    if is_float_array(leaf.source):
        memo[id(leaf.source)][...] = value
        return
    steps = leaf.source if isinstance(leaf.source, list) else list(leaf.source.values())
    for step, part in zip(steps, value, strict=True):
        memo[id(step)][...] = part


def _add(parameter: Parameter, grad: Array) -> None:
    """Also one of a wrong shape, which the check then names."""
    if parameter.grad is not None and np.shape(grad) == parameter.grad.shape:
        parameter.grad = parameter.grad + grad
    else:
        parameter.grad = np.asarray(grad)
