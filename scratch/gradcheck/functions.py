"""check_functions, check_loss: functions as courses and small models have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import holes
from .check import check_gradients
from .foreign import Foreign
from .raised import ModuleRaised
from .report import GradientReport


def check_functions(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    *arguments: Any,
    ignore: Sequence[str] = (),
    **named: Any,
) -> GradientReport:
    """Whether `backward` computes the gradients of `forward(*arguments, **named)`; if not, why.

    What forward returns and backward takes is the cache. As many of the arrays that forward returns
    as backward takes gradients get a random upstream gradient, the others none. Gradients come back
    as a dict or a tuple and are matched to the arguments by their names (dW, grad_W, W_grad … → W;
    dprev_h → prev_h), a tuple's by the names in its `return` statement. One without a name is that
    of the array of its shape whose derivative it is, else of the next one of its shape. The report
    says which belongs to which.

    arguments: arrays, numbers, dicts, lists and tuples of arrays, objects that hold arrays; they
        are not changed. Arrays of floats are checked in float64. A list of arrays of one shape is
        one array, time first. A float is checked where a gradient comes back for it.
    ignore: names of arguments that are not checked, and of answers that get no gradient.

    Raises `NotCheckable`, a ValueError, when no judge works; what `forward` raises is passed on.
    """
    return _check(f"{_name(forward)}, {_name(backward)}", forward, backward, arguments, named,
                  ignore=ignore)  # fmt: skip


def check_loss(
    function: Callable[..., Any], *arguments: Any, parameters: Any = None, **named: Any
) -> GradientReport:
    """Whether the gradients that `function` returns are those of the loss that it returns.

    The loss is the number among what it returns; other arrays that are not called a gradient, such
    as a last state, are not answers. The gradients are matched as by `check_functions`.

    arguments, named: what it is called with, as for `check_functions`; integers alone are fine.
    parameters: a dict, list, module or object that holds them, such as `globals()`; they are
        replaced there for each pass, and put back. None: what the function's globals hold under the
        names of the gradients.

    Raises `NotCheckable`, a ValueError, when it returns no loss, when what it returns can be the
    gradient of nothing, or when no judge works; what `function` raises is passed on.
    """
    return _check(_name(function), function, None, arguments, named, parameters=parameters)


def _check(
    title: str,
    forward: Callable[..., Any],
    backward: Callable[..., Any] | None,
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    **options: Any,
) -> GradientReport:
    owner = getattr(forward, "__self__", None)
    try:
        code = Foreign(title, forward, backward, arguments, named, owner=owner, **options)
    except ModuleRaised as error:
        finding = holes.raised(error)
        if finding is None:
            raise error.raised from None
        return GradientReport(title, "none", 0.0, (), (finding,))
    return check_gradients(code, *code.inputs)


def _name(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    name = str(getattr(function, "__name__", type(function).__name__))
    return f"{type(owner).__name__}.{name}" if owner is not None else name
