"""Sizes for code that comes without an example call: by the names of its arguments.

The conventions of `layouts` are tried in turn, and the first is taken in which forward and backward
run and every gradient has the shape of its argument.
"""

from __future__ import annotations

import ast
import copy
import inspect
import itertools
import re
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..gradcheck.foreign import Foreign
from ..gradcheck.foreign.names import WEIGHT
from ..gradcheck.foreign.spaces import spaces_of
from ..gradcheck.raised import ModuleRaised, NotCheckable, words
from .layouts import (
    SEQUENCES,
    SIZES_BY_NAME,
    STATE,
    STEP,
    STEPS,
    TARGET,
    K,
    X,
    arguments,
    number_for,
    shape_of,
    shapes_of_weights,
)
from .one_rule import Sizes
from .options import UsageError

SECONDS = 15.0  # for all guesses together
STRETCH = 12  # steps of a character model
FUSED = re.compile(r"loss|cost|grad|train|step|bptt|backprop", re.IGNORECASE)  # by its name


@dataclass(frozen=True)
class Guess:
    args: tuple[Any, ...]
    note: str  # for the report: how it was called


def made(cls: type[Any], sizes: Sizes) -> Iterator[Any]:
    """Instances, by the names of the constructor's arguments; a UsageError if there is none."""
    wanted = [p for p in signature_of(cls).parameters.values()
              if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]  # fmt: skip
    required = [p.name for p in wanted if p.default is p.empty]
    refused: list[Exception] = []
    count = 0
    for values in _constructor_values(required, [p.name for p in wanted], sizes):
        try:
            with np.errstate(all="ignore"):
                thing = cls(**values)
            count += 1
            yield thing
        except Exception as error:
            refused.append(error)
    if not count and refused and all(number_for(name, sizes) is not None for name in required):
        raise refused[0]  # it was called as it wants to be
    if not count:
        shown = ", ".join(required)
        raise UsageError(
            f"{cls.__name__}: its constructor takes ({shown}), which was tried with sizes and with "
            f"arrays of weights"
            + (f": {words(refused[0])}" if refused else "")
            + f". Say how to make "
            f"one: --make '{cls.__name__}({', '.join('...' for _ in required)})'"
        )


def _constructor_values(
    required: list[str], every: list[str], sizes: Sizes
) -> Iterator[dict[str, Any]]:
    known = {n: k for n in every if (k := number_for(n, sizes)) is not None}
    known = {n: k for n, k in known.items() if n in required or k in (sizes.D, sizes.H, K)}
    wide = [name for name, size in known.items() if size == sizes.H]
    if len(wide) > 1 and "out" in wide[-1]:  # (n_in, n_hidden, n_out)
        known[wide[-1]] = K
    if all(name in known for name in required):
        yield known
        yield {name: known[name] for name in required}
    if required and all(WEIGHT.match(name) for name in required):
        for convention, gates in itertools.product((SEQUENCES[0], SEQUENCES[2]), (1, 4, 3)):
            for shapes in shapes_of_weights(required, convention, gates, sizes):
                rng = np.random.default_rng(0)
                yield {n: 0.5 * rng.standard_normal(shape)
                       for n, shape in zip(required, shapes, strict=True)}  # fmt: skip
    elif 0 < len(required) <= 3:
        yield dict(zip(required, (sizes.D, sizes.H, K), strict=False))


def nothing_required(cls: type[Any]) -> bool:
    wanted = signature_of(cls).parameters.values()
    return all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
               for p in wanted)  # fmt: skip


def signature_of(called: Callable[..., Any]) -> inspect.Signature:
    """Its arguments; none of what is built in and does not say which it takes."""
    try:
        return inspect.signature(called)
    except (ValueError, TypeError):
        return inspect.Signature()


# The arguments of a call


Pair = tuple[Callable[..., Any], Callable[..., Any] | None]  # backward None: it returns a loss


def find(candidates: Iterable[Pair], namespace: dict[str, Any], sizes: Sizes) -> tuple[Pair, Guess]:
    """The first of some pairs, and arguments, with which forward and backward run.

    Raises UsageError, with an example call to complete, if there are none.
    """
    best: tuple[int, Pair, Guess] | None = None
    stops: list[ModuleRaised | NotCheckable] = []
    tried: dict[str, None] = {}
    end = time.thread_time() + SECONDS
    last: Pair | None = None
    for forward, backward in candidates:
        last = forward, backward
        for layout, args in _guesses(forward, namespace, sizes):
            if time.thread_time() > end or (best is not None and best[0] == RUNS):
                break
            tried[layout] = None
            score, stopped = tried_with(forward, backward, args)
            stops += [stopped] if stopped is not None else []
            if score and (best is None or score > best[0]):
                note = f"without --call, it was called as {shown(forward, args)}"
                best = score, (forward, backward), Guess(args, note)
    if best is not None:
        return best[1], best[2]
    if last is None:
        raise UsageError(
            "expected a class or object with methods forward and backward, or with one that "
            "returns a loss and gradients: it has no such; with other names, --call "
            "'layer.method(...)' says which"
        )
    names = [p.name for p in signature_of(last[0]).parameters.values()]
    refused = [stop for stop in stops if isinstance(stop, NotCheckable)]
    raised = [stop for stop in stops if isinstance(stop, ModuleRaised)]
    if refused:  # it runs
        why = words(refused[0]).removeprefix(f"{_called(last[0])}: ")
    else:
        first = f"; the first ended in {raised[0]} ({raised[0].line})" if raised else ""
        why = f"no sizes were found with which it runs{first}. Tried: "
        why += "; ".join(list(tried)[:12]) or "nothing"
    call = f"{_called(last[0])}({', '.join(f'{name}=N(...)' for name in names)})"
    raise UsageError(
        f"{_called(last[0])}: {why}. Give an example call, with N(2, 3) for an "
        f"array of normal numbers and I(9, 2) for whole numbers below 9: --call '{call}'"
    )


RUNS, WRONG_SHAPES, NO_BACKWARD, NOTHING = 3, 2, 1, 0


def tried_with(
    forward: Callable[..., Any], backward: Callable[..., Any] | None, args: tuple[Any, ...]
) -> tuple[int, ModuleRaised | NotCheckable | None]:
    """How far the code gets with these arguments, and what stops it."""
    try:
        with np.errstate(all="ignore"):
            owner = getattr(forward, "__self__", None)
            code = Foreign(_called(forward), forward, backward, args, {}, owner=owner)
            if owner is not None and backward is None and not code.claims:  # one method of several
                return NOTHING, None
            return (RUNS if code.claims and fits(code) else WRONG_SHAPES), None
    except ModuleRaised as error:
        return (NO_BACKWARD if error.doing == "backward" else NOTHING), error
    except NotCheckable as error:
        return NOTHING, error


def distinct(sizes: Sizes) -> Sizes:
    """Other sizes where two are equal: a transposed array would go unseen."""
    N, T = sizes.N, sizes.T
    while N in (sizes.D, sizes.H, K):
        N += 1
    while T in (sizes.D, sizes.H, N, K):
        T += 1
    return sizes._replace(T=T, N=N)


def fits(code: Foreign) -> bool:
    """Whether every gradient that came has the shape of its argument."""
    record = code.forward(*code.inputs)
    rng = np.random.default_rng(0)
    answers = code(*code.inputs)
    arrays = answers if isinstance(answers, tuple) else (answers,)
    grads = [rng.standard_normal(np.shape(a)) for a in arrays]
    returned = code.backward(record, *([np.ones(())] if code.upstream is not None else grads))
    for parameter in code.parameters():
        if parameter.grad is not None and np.shape(parameter.grad) != parameter.shape:
            return False
    return all(g is None or np.shape(g) == np.shape(x)
               for g, x in zip(returned, code.inputs, strict=True))  # fmt: skip


def _guesses(
    forward: Callable[..., Any], namespace: dict[str, Any], sizes: Sizes
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    owner = getattr(forward, "__self__", None)
    wanted = [p for p in signature_of(forward).parameters.values()
              if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]  # fmt: skip
    fused = FUSED.search(_called(forward))
    names = [p.name for p in wanted if p.default is p.empty or X.match(p.name)
             or (fused and p.default is None and TARGET.match(p.name))]  # fmt: skip
    step = any(STEP.search(name) for name in names)
    both = (*STEPS, *SEQUENCES) if step else (*SEQUENCES, *STEPS)
    if not step and not _loops(forward) and not any(STATE.search(name) for name in names):
        both = (STEPS[0], *SEQUENCES, *STEPS[1:])
    indices = _index_guesses(names, forward, namespace, sizes)
    mine = _sizes_of(owner, sizes)
    floats = (
        (f"x {convention.name}{f', {gates} gates' if gates > 1 else ''}", args)
        for gates, convention in itertools.product(_gates(names) if owner is None else (1,), both)
        for plain in arguments(names, forward, convention, gates, mine)
        for args in (*_with_targets(owner, names, plain), plain)
    )
    if any(TARGET.match(name) for name in names) or not names or not X.match(names[0]):
        yield from indices
        yield from floats
    else:
        yield from floats
        yield from indices


def _loops(function: Callable[..., Any]) -> bool:
    """Whether there is a loop in its source, as over time; also where none can be read."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return True
    return any(isinstance(node, ast.For | ast.While | ast.comprehension) for node in ast.walk(tree))


def _with_targets(
    owner: Any, names: Sequence[str], args: tuple[Any, ...]
) -> Iterator[tuple[Any, ...]]:
    """The arguments with a target of the shape of what the object's forward pass answers."""
    targets = [k for k, name in enumerate(names[: len(args)]) if TARGET.match(name)]
    if len(targets) != 1 or not callable(getattr(owner, "forward", None)):
        return
    with suppress(Exception), np.errstate(all="ignore"):  # it is the person's code
        k = targets[0]
        answer = copy.deepcopy(owner).forward(*copy.deepcopy(args[:k]))
        target = np.random.default_rng(5).standard_normal(np.shape(answer))
        yield (*args[:k], target, *args[k + 1 :])


def _gates(names: Sequence[str]) -> tuple[int, ...]:
    """Four of an LSTM first where there is a c; one for each matrix where gates have their own."""
    lettered = [n for n in names if re.fullmatch(r"[WUb]_?[fiogczrn]", n)]
    if len(lettered) >= 3:
        return (1, 4)
    return (4, 1, 3) if any(re.match(r"c_?(0|prev|t)|prev_c", n) for n in names) else (1, 4, 3)


# Indices: character models


def _index_guesses(
    names: Sequence[str],
    forward: Callable[..., Any],
    namespace: dict[str, Any],
    sizes: Sizes,
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Lists of indices, targets one step ahead, states of the sizes that the file's arrays have."""
    owner = getattr(forward, "__self__", None)
    arrays = [v for where, used in spaces_of([forward, owner]) for name in used
              if isinstance(v := where[name], np.ndarray) and v.dtype.kind == "f"]  # fmt: skip
    if owner is not None:
        arrays += [v for v in vars(owner).values() if isinstance(v, np.ndarray)]
    found = {int(n) for array in arrays for n in array.shape if n > 1}
    if not found:
        return
    ints = {n: v for n, v in namespace.items() if isinstance(v, int) and v in found}
    vocab = [v for n, v in ints.items() if re.search(r"vocab|^V$|n_chars|n_letters|size_x", n)]
    high = min(vocab or found)
    rng = np.random.default_rng(4)
    for H, states in itertools.product(sorted(found), ("h1", "h", "1h")):
        args: list[Any] = []
        for name in names:
            if STATE.search(name) and not TARGET.match(name):
                args.append(0.5 * rng.standard_normal(shape_of(states, sizes._replace(H=H))))
            elif number_for(name, sizes) is not None and not X.match(name):
                args.append(number_for(name, sizes))
            else:
                args.append([int(k) for k in rng.integers(0, high, STRETCH)])
        yield f"indices below {high}, states of {H}", tuple(args)


# What an object shows of its sizes


def _sizes_of(owner: Any, sizes: Sizes) -> Sizes:
    """D and H, where an object has them as attributes; N and H of a state that it keeps."""
    found = {}
    for letter in ("D", "H"):
        values = [getattr(owner, name, None) for name in SIZES_BY_NAME[letter].split()]
        found[letter] = next((v for v in values if type(v) is int), getattr(sizes, letter))
    sizes = distinct(sizes._replace(**found))
    for name, value in vars(owner).items() if hasattr(owner, "__dict__") else ():
        if STATE.search(name) and isinstance(value, np.ndarray) and value.ndim == 2:
            sizes = sizes._replace(N=value.shape[0], H=value.shape[1])
    return sizes


# Words


def _called(forward: Callable[..., Any]) -> str:
    name = str(getattr(forward, "__name__", "call"))
    return f"layer.{name}" if hasattr(forward, "__self__") else name


def shown(forward: Callable[..., Any], args: Sequence[Any]) -> str:
    """The call, as --call takes it."""
    return f"{_called(forward)}({', '.join(map(_told, args))})"


def _told(value: Any) -> str:
    if isinstance(value, np.ndarray):
        inside = ", ".join(map(str, value.shape))
        return f"N({inside})" if value.dtype.kind == "f" else f"I({value.max() + 1}, {inside})"
    if isinstance(value, dict):
        return f"dict({', '.join(f'{key}={_told(part)}' for key, part in value.items())})"
    if isinstance(value, list) and value and isinstance(value[0], int):
        return f"I({max(value) + 1}, {len(value)})"
    if isinstance(value, list) and value:
        return f"[{_told(value[0])} for t in range({len(value)})]"
    return repr(value)
