"""What a target names: made, called as its owner says or as a guess says, and checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from ..gradcheck.check import check_gradients
from ..gradcheck.foreign import obeys_the_one_rule
from ..gradcheck.functions import check_functions, check_loss
from ..gradcheck.report import GradientReport
from . import guesses
from .expressions import Expressions
from .one_rule import Sizes, compare_with, inputs_for, make_module
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

    Raises UsageError for what is no target; what the person's code raises is passed on.
    """
    found = [namespace[name] for name in names]
    if len(found) > 2:
        raise UsageError(f"expected a class, a function or two functions, got {len(found)} names")
    own = Expressions(namespace)
    if len(found) == 2:
        return _checked(own, call, sizes, [(found[0], found[1])]), {}
    thing = found[0]
    things: Iterable[Any]
    if make:
        things = [own.value("--make", make)]
    elif inspect.isclass(thing):
        first = next(guesses.made(thing, sizes))
        one_rule = call is None and obeys_the_one_rule(first)
        things = [make_module(thing, sizes)] if one_rule else guesses.made(thing, sizes)
    elif inspect.isroutine(thing):
        return _checked(own, call, sizes, [(thing, None)]), {}
    else:
        things = [thing]
    if call is None and isinstance(things, list) and obeys_the_one_rule(things[0]):
        inputs = inputs_for(things[0], namespace.get("__file__", ""), sizes, like)
        report = check_gradients(things[0], *inputs)
        return report, compare_with(things[0], inputs, like, report.ok)
    return _checked(own, call, sizes, map(methods, things)), {}


def methods(thing: Any) -> guesses.Pair:
    """What an object is checked by: forward and backward, or a method that returns a loss."""
    forward, backward = (getattr(thing, name, None) for name in ("forward", "backward"))
    if callable(forward) and callable(backward):
        return forward, backward
    for name in ("loss", "loss_and_grads", "compute_loss", "train_step", "loss_fn", "lossFun"):
        if callable(getattr(thing, name, None)):
            return getattr(thing, name), None
    raise UsageError(
        f"{type(thing).__name__}: expected methods forward and backward, or one that returns a "
        f"loss and gradients; with other names, --call 'layer.method(...)' says which"
    )


def _checked(
    own: Expressions, call: str | None, sizes: Sizes, candidates: Iterable[guesses.Pair]
) -> GradientReport:
    note = ""
    if call:
        forward, backward = next(iter(candidates))
        if inspect.ismethod(forward):
            own.names["layer"] = forward.__self__
        called, args, named = own.call("--call", call)
        forward, backward = as_called(called, forward, backward)
    else:
        (forward, backward), guess = guesses.find(candidates, own.names, sizes)
        args, named, note = guess.args, {}, guess.note
    if backward is None:
        report = check_loss(forward, *args, **named)
    elif inspect.ismethod(forward) and forward.__name__ == "forward" and not named:
        report = check_gradients(forward.__self__, *args)  # its class and not the method is named
    else:
        report = check_functions(forward, backward, *args, **named)
    return replace(report, notes=(*report.notes, note)) if note else report


def as_called(
    called: Any, forward: Callable[..., Any], backward: Callable[..., Any] | None
) -> guesses.Pair:
    """Forward and backward of what the example calls: `layer.loss(...)` has no backward."""
    if called is forward or not callable(called):
        return forward, backward
    owner = getattr(called, "__self__", None)
    if owner is None:
        if callable(getattr(called, "forward", None)) and backward is not None:  # layer(...)
            return called.forward, backward
        return called, backward
    name = getattr(called, "__name__", "")
    beside = getattr(owner, name.replace("forward", "backward"), None)
    if name == "forward" or (beside is not None and "forward" in name):
        return called, beside
    if name in ("step", "loss"):
        beside = getattr(owner, f"{name}_backward", None)
        return called, beside
    return called, None
