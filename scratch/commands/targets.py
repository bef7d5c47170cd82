"""What a target names: made, called as its owner says or as a guess says, and checked."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..gradcheck.check import check_gradients
from ..gradcheck.foreign import Foreign, obeys_the_one_rule
from ..gradcheck.functions import check_functions, check_loss
from ..gradcheck.raised import NotCheckable
from ..gradcheck.report import GradientReport
from . import guesses
from .expressions import Expressions
from .one_rule import Sizes as Sizes
from .one_rule import compare_with, inputs_for
from .options import UsageError

Like = dict[str, Any]


def check_target(
    namespace: dict[str, Any],
    names: Sequence[str],
    make: str | None,
    call: str | None,
    sizes: Sizes,
    like: str | None = None,
) -> tuple[GradientReport, Like]:
    """The report on what the names stand for, and under `like` the comparison with ours.

    namespace: the file's own names. names: a class, an object or a function that returns a loss and
    gradients; or two functions, forward and backward. make: an expression that makes the object.
    call: an example call. Without them, sizes are guessed.

    Raises UsageError for what cannot be a target; what the person's code raises is passed on.
    """
    found = [namespace[name] for name in names]
    if len(found) > 2:
        raise UsageError(f"expected a class, a function or two functions, got {len(found)} names")
    own = Expressions(namespace)
    if len(found) == 2:
        return _checked(own, call, sizes, like, [(found[0], found[1])])
    thing = found[0]
    things: Iterable[Any]
    if make:
        things = [own.value("--make", make)]
    elif inspect.isclass(thing):
        made = guesses.made(thing, sizes)
        first = next(made)
        one_rule = call is None and obeys_the_one_rule(first)
        things = [first] if one_rule else itertools.chain([first], made)
        if call and guesses.nothing_required(thing):  # the call goes with its own sizes
            things = [thing()]
    elif inspect.isroutine(thing):
        return _checked(own, call, sizes, like, [(thing, None)])
    else:
        things = [thing]
    if call is None and isinstance(things, list) and obeys_the_one_rule(things[0]):
        inputs = inputs_for(things[0], namespace.get("__file__", ""), sizes, like)
        report = check_gradients(things[0], *inputs)
        return report, compare_with(things[0], inputs, like, report.ok)
    if call:
        own.names["layer"] = next(iter(things))
        return _checked(own, call, sizes, like, [])
    pairs = (pair for each in things for pair in methods(each))
    return _checked(own, call, sizes, like, pairs)


FORWARD = ("forward", "call", "fprop", "forward_pass", "feedforward", "forward_propagation", "fwd")
BACKWARD = ("backward", "bprop", "backward_pass", "backprop", "backpropagation", "bptt", "bwd",
            "backward_propagation", "gradient", "gradients", "grad")  # fmt: skip


def methods(thing: Any) -> Iterator[guesses.Pair]:
    """What an object can be checked by: forward and backward, or a method that returns a loss."""
    forward = [m for name in FORWARD if callable(m := getattr(thing, name, None))]
    backward = [m for name in BACKWARD if callable(m := getattr(thing, name, None))]
    fused = [m for name in dir(thing) if guesses.FUSED.search(name) and not name.startswith("_")
             and inspect.ismethod(m := getattr(thing, name)) and m not in backward]  # fmt: skip
    if forward and backward:
        yield forward[0], backward[0]
    yield from ((method, None) for method in fused)
    yield from itertools.product(fused, backward)  # loss(x, y) and gradient(x, y)


def _checked(
    own: Expressions,
    call: str | None,
    sizes: Sizes,
    like: str | None,
    candidates: Iterable[guesses.Pair],
) -> tuple[GradientReport, Like]:
    note = ""
    if call:
        called, args, named = own.call("--call", call)
        candidates = as_called(called, own.names.get("layer"), list(candidates))
    else:
        (forward, backward), guess = guesses.find(candidates, own.names, sizes)
        args, named, note = guess.args, {}, guess.note
        candidates = [(forward, backward)]
    (forward, backward), report = _first_with_rows(candidates, args, named)
    if note:
        report = replace(report, notes=(*report.notes, note))
    if like is None or not report.rows:
        return report, {}
    owner = getattr(forward, "__self__", None)
    code = Foreign(report.subject, forward, backward, args, named, owner=owner)
    return report, compare_with(code, code.inputs, like, report.ok)


def _first_with_rows(
    candidates: Sequence[guesses.Pair], args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[guesses.Pair, GradientReport]:
    """The first report with a gradient; if there is none, the first at all."""
    found: list[tuple[guesses.Pair, GradientReport]] = []
    refused: list[NotCheckable] = []
    for pair in candidates:
        try:
            report = _report(*pair, args, named)
        except NotCheckable as error:
            refused.append(error)
            continue
        if report.rows:
            return pair, report
        found.append((pair, report))
    if not found:
        raise refused[0]
    return found[0]


def _report(
    forward: Callable[..., Any],
    backward: Callable[..., Any] | None,
    args: tuple[Any, ...],
    named: dict[str, Any],
) -> GradientReport:
    if backward is None:
        return check_loss(forward, *args, **named)
    if inspect.ismethod(forward) and forward.__name__ == "forward" and not named:
        return check_gradients(forward.__self__, *args)  # its class and not the method is named
    return check_functions(forward, backward, *args, **named)


def as_called(called: Any, layer: Any, given: list[guesses.Pair]) -> list[guesses.Pair]:
    """Forward and backward of what an example calls, the likely ones first."""
    if given and (called is given[0][0] or not inspect.ismethod(called)):
        return [(called, given[0][1])]
    if called is layer and callable(getattr(layer, "forward", None)):  # layer(...)
        called = layer.forward
    name = getattr(called, "__name__", "")
    layer = getattr(called, "__self__", layer)
    if getattr(layer, name, None) != called:  # a function
        return [(called, None)]
    beside = [name.replace(a, b) for a, b in zip(FORWARD, BACKWARD, strict=False) if a in name]
    found = [
        m for n in [*beside, *BACKWARD] if callable(m := getattr(layer, n, None)) and m != called
    ]
    pairs: list[guesses.Pair] = [(called, backward) for backward in found]
    fused = guesses.FUSED.search(name) and not beside
    return [(called, None), *pairs] if fused or not pairs else [*pairs, (called, None)]
