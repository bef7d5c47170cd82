"""The rule that every module obeys, tested by running it: what may change, and what may not.

Nothing here needs the true gradient. Each function returns findings for what it saw.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ..machinery import nests
from ..machinery.module import Array, Module, Parameter
from .code_under_test import Claims, CodeUnderTest, same
from .linearity import SAME, agree
from .raised import ModuleRaised, asked
from .report import Finding, error


def findings(code: CodeUnderTest, claims: Claims) -> list[Finding]:
    """All of them, for the claims of an ordinary pass."""
    tests: list[Callable[[], list[Finding]]] = [
        partial(test, code) for test in (_none_refused, _call_and_forward, _changes)
    ]
    if all(grad is None or np.isfinite(grad).all() for grad in claims.values()):
        # two passes that claim NaN can be compared no further
        tests += [partial(test, code, claims) for test in (_twice, _two_records)]
    found: list[Finding] = []
    for test in tests:
        try:
            found += test()
        except ModuleRaised as error:
            found.append(_raised(error))
    return list({finding.name: finding for finding in found}.values())


def _raised(error: ModuleRaised) -> Finding:
    return Finding(
        f"a second {error.doing} raises {type(error.raised).__name__}",
        f"{error.doing} works once and then raises {error}",
        f"at {error.line}",
        "what the first pass takes out of the record, or leaves behind",
    )


def random_forward(code: CodeUnderTest) -> Finding:
    first, second = (nests.vector(code.call()) for _ in range(2))
    fresh = [copy.deepcopy(code.module) for _ in range(2)]
    if same(*(module(*copy.deepcopy(code.inputs)) for module in fresh)):
        return Finding(
            "call remembers a call",
            "a call changes what the next one answers: the module remembers something of it",
            f"two calls with the same inputs differ by up to {np.abs(first - second).max():.2g}; "
            f"those of two copies made at the same moment are equal",
            "attributes of self that the call changes, as a last state: hand it in as an argument",
        )
    return Finding(
        "random forward",
        "the forward pass is random: two calls with the same inputs differ",
        f"by up to {np.abs(first - second).max():.2g}, with every numpy Generator of the module "
        f"and NumPy's global one set back before each call",
        "where it draws numbers: draw from a numpy.random.Generator that is an attribute, or check "
        "after eval()",
    )


def _none_refused(code: CodeUnderTest) -> list[Finding]:
    if not code.zero_start:
        return []
    return [
        Finding(
            "None not handled",
            "backward cannot add to a .grad of None",
            "it raised an exception with .grad None, and none with .grad zero",
            "where gradients are added: parameter.add_grad(grad) handles None",
        )
    ]


# Call and forward


def _call_and_forward(code: CodeUnderTest) -> list[Finding]:
    """What the record names as answers must be what the call returns."""
    record = code.forward()
    found = []
    for name, answer in zip(code.answer_names, code.answer_leaves, strict=True):
        key = {"loss": "value"}.get(name, name)
        named = _get(record, key)
        if named is None or np.shape(named) != answer.shape:
            continue
        off = error(np.asarray(named), answer)
        if off > SAME:
            found.append(
                Finding(
                    "call and forward differ",
                    f"the call and forward compute different things: {name}",
                    f"record.{key} and what the call returns differ by {off:.2g}, relative",
                    "__call__ and forward: both must be one function",
                    (name,),
                )
            )
    return found


def _get(record: Any, name: str) -> Any:
    value = record.get(name) if isinstance(record, dict) else getattr(record, name, None)
    if isinstance(value, tuple) and hasattr(value, "data"):
        value = value.data
    return value if isinstance(value, np.ndarray | np.generic) else None


# What must not change


def arrays_of(value: Any, path: str = "record", depth: int = 8) -> dict[str, Array]:
    """The arrays inside a record, by the way to them; modules and parameters are left out."""
    found: dict[str, Array] = {}
    seen: set[int] = set()

    def walk(value: Any, path: str, depth: int) -> None:
        if id(value) in seen or isinstance(value, Module | Parameter | type) or depth < 0:
            return
        seen.add(id(value))
        if isinstance(value, np.ndarray):
            found[path] = value
        for place, part in _inside(value):
            walk(part, f"{path}{place}", depth - 1)

    walk(value, path, depth)
    return found


def _inside(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"[{key!r}]", part) for key, part in value.items()]
    if hasattr(value, "_fields"):
        return [(f".{key}", getattr(value, key)) for key in value._fields]
    if isinstance(value, tuple | list):
        return [(f"[{k}]", part) for k, part in enumerate(value)]
    return [(f".{key}", part) for key, part in getattr(value, "__dict__", {}).items()]


def _watched(code: CodeUnderTest, record: Any = None) -> dict[str, Array]:
    names = [*code.input_names, *code.parameters]
    record = getattr(record, "returned", record)  # of foreign code, what forward returned
    return dict(zip(names, code.watched(), strict=True)) | arrays_of(record)


def _changes(code: CodeUnderTest) -> list[Finding]:
    """What a pass changes that it is given, for the call, forward and backward in turn."""
    found: list[Finding] = []
    guarded, code.guarded = code.guarded, False

    @contextmanager
    def compared(stage: str, record: Any = None, **more: Array) -> Iterator[None]:
        before = {name: array.copy() for name, array in (_watched(code, record) | more).items()}
        with code.kept():
            yield
            after = _watched(code, record) | more
            names = [n for n, array in before.items() if not _same(array, after.get(n))]
            names = list(dict.fromkeys(name.strip() for name in names))  # one name for all GIVEN
        if names:
            shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
            kinds = " and ".join(sorted({_kind(code, name) for name in names}))
            found.append(Finding(
                f"{stage} changes {kinds}",
                f"{stage} changes {shown}",
                "compared byte by byte, before and after",
                "operations in place (+=, *=, out=) on what was given: work on a copy",
                tuple(names),
            ))  # fmt: skip

    try:
        with compared("the call"):
            code.call()
        with compared("forward"):
            code.forward()
        with code.kept():
            code.clear()
            record = code.forward()
            grads = code.grad_answers(code.upstream)
            given = {GIVEN + " " * k: g for k, g in enumerate(nests.float_arrays(grads))}
            with compared("backward", record, **given), asked("backward"):
                code.module.backward(record, *grads)
    finally:
        code.guarded = guarded
    return found


GIVEN = "the gradient that it was given"


def _same(before: Array, after: Array | None) -> bool:
    return after is not None and (
        before.shape == after.shape and before.tobytes() == after.tobytes()
    )


def _kind(code: CodeUnderTest, name: str) -> str:
    if name in code.input_names:
        return "inputs"
    if name in code.parameters:
        return "parameters"
    return "the record" if name.startswith("record") else "the upstream gradient"


# Added, not assigned; nothing remembered


def _twice(code: CodeUnderTest, claims: Claims) -> list[Finding]:
    """A second backward pass, which starts from gradients that are not zero."""
    code.clear()
    record = code.forward()
    code.backward(record, code.upstream)
    start: dict[str, Array] = {}
    for name, parameter in code.parameters.items():
        first = claims.get(name)
        parameter.grad = None
        if first is not None and first.shape == parameter.shape:
            start[name] = code.rng.standard_normal(parameter.shape)
            parameter.grad = start[name].copy()
    second = code.collect(code.backward(record, code.upstream))
    assigned: list[str] = []
    other = [n for n in code.checked_inputs if not agree(claims[n], second[n])]
    for name, before in start.items():
        one, two = claims[name], second[name]
        allowed = SAME * max(np.abs(one).max(initial=0), np.abs(before).max(initial=0))

        def near(wanted: Array, two: Any = two, allowed: float = allowed) -> bool:
            gap = np.abs(two - wanted) if two.shape == wanted.shape else np.full(1, np.inf)
            return bool(gap.max(initial=0) <= allowed)

        if two is not None and not near(before + one):
            (assigned if near(one) else other).append(name)
    found = []
    if assigned:
        found.append(Finding(
            "assigned instead of added between passes",
            f"the gradient of {' and '.join(assigned)} is assigned, not added to .grad",
            "with .grad set to random numbers before backward, they were gone after it",
            "where gradients are stored: parameter.add_grad(grad)",
            tuple(assigned),
        ))  # fmt: skip
    if other:
        found.append(Finding(
            "second backward differs",
            f"a second backward on the same record gives another gradient of {' and '.join(other)}",
            "the same record and the same upstream gradient, one backward after the other",
            "what backward changes: the record, the module, or what it adds",
            tuple(other),
        ))  # fmt: skip
    return found


def _two_records(code: CodeUnderTest, claims: Claims) -> list[Finding]:
    """The record of one pass, used after another pass with other inputs."""
    inputs = code.nearby_inputs()
    code.clear()
    record = code.forward()
    code.forward(inputs)
    code.call(inputs)
    after = code.collect(code.backward(record, code.upstream))
    differ = [name for name in claims if not agree(claims[name], after[name])]
    return [Finding(
        "module remembers a pass",
        "backward uses what the last forward left in the module, not the record it is given",
        f"after another forward with other inputs, the gradient of {' and '.join(differ)} of the "
        f"first record is another",
        "attributes of self that forward sets and backward reads: put them into the record",
        tuple(differ),
    )] if differ else []  # fmt: skip
