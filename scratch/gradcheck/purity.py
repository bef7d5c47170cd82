"""The rule that every module obeys, tested by running it: what may change, and what may not.

Nothing here needs the true gradient. Each function returns findings for what it saw.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..machinery import nests
from ..machinery.module import Array, Module, Parameter
from .code_under_test import Claims, CodeUnderTest, asked
from .linearity import SAME, agree, linear
from .report import Finding, error


def findings(code: CodeUnderTest, claims: Claims) -> list[Finding]:
    """All of them, for the claims of an ordinary pass."""
    found = [*_none_refused(code), *_call_and_forward(code), *_changes(code)]
    if all(grad is None or np.isfinite(grad).all() for grad in claims.grads.values()):
        # two passes that claim NaN can be compared no further
        found += _twice(code, claims) + _two_records(code, claims) + linear(code, claims)
    return found


def random_forward(code: CodeUnderTest) -> Finding:
    first, second = (nests.vector(code.call()) for _ in range(2))
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
        if id(value) in seen or isinstance(value, Module | Parameter) or depth < 0:
            return
        seen.add(id(value))
        if isinstance(value, np.ndarray):
            found[path] = value
        elif isinstance(value, dict):
            for key, part in value.items():
                walk(part, f"{path}[{key!r}]", depth - 1)
        elif hasattr(value, "_fields"):
            for key in value._fields:
                walk(getattr(value, key), f"{path}.{key}", depth - 1)
        elif isinstance(value, tuple | list):
            for k, part in enumerate(value):
                walk(part, f"{path}[{k}]", depth - 1)
        elif hasattr(value, "__dict__") and not isinstance(value, type):
            for key, part in vars(value).items():
                walk(part, f"{path}.{key}", depth - 1)

    walk(value, path, depth)
    return found


def _watched(code: CodeUnderTest, record: Any = None) -> dict[str, Array]:
    watched = dict(zip(code.input_names, nests.float_arrays(code.inputs), strict=False))
    watched |= {name: p.data for name, p in code.parameters.items()}
    return watched | (arrays_of(record) if record is not None else {})


def _changed(before: dict[str, Array], after: dict[str, Array]) -> Iterator[str]:
    for name, array in before.items():
        now = after.get(name)
        if now is None or now.shape != array.shape or now.tobytes() != array.tobytes():
            yield name


def _changes(code: CodeUnderTest) -> list[Finding]:
    if not code.guarded:
        return _changes_unguarded(code)
    code.guarded = False
    try:
        return _changes_unguarded(code)
    finally:
        code.guarded = True


def _changes_unguarded(code: CodeUnderTest) -> list[Finding]:
    found = []
    stages: list[tuple[str, list[str]]] = []
    before = {name: array.copy() for name, array in _watched(code).items()}
    with _restored(code):
        code.call()
        stages.append(("the call", list(_changed(before, _watched(code)))))
    with _restored(code):
        code.forward()
        stages.append(("forward", list(_changed(before, _watched(code)))))
    with _restored(code):
        code.clear()
        record = code.forward()
        before = {name: array.copy() for name, array in _watched(code, record).items()}
        upstream = code.grad_answers(code.upstream)
        kept = nests.vector(upstream).copy()
        with asked():
            code.module.backward(record, *upstream)
        changed = list(_changed(before, _watched(code, record)))
        if not np.array_equal(kept, nests.vector(upstream)):
            changed.append("the gradient that it was given")
        stages.append(("backward", changed))
    for stage, names in stages:
        if names:
            shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
            kinds = {_kind(code, name) for name in names}
            found.append(
                Finding(
                    f"{stage} changes {' and '.join(sorted(kinds))}",
                    f"{stage} changes {shown}",
                    "compared byte by byte, before and after",
                    "operations in place (+=, *=, out=) on what was given: work on a copy",
                    tuple(names),
                )
            )
    return found


def _kind(code: CodeUnderTest, name: str) -> str:
    if name in code.input_names:
        return "inputs"
    if name in code.parameters:
        return "parameters"
    return "the record" if name.startswith("record") else "the upstream gradient"


@contextmanager
def _restored(code: CodeUnderTest) -> Iterator[None]:
    """Puts back what a pass that is not guarded changes in the inputs and the parameters."""
    saved = {name: array.copy() for name, array in _watched(code).items()}
    try:
        yield
    finally:
        for name, array in _watched(code).items():
            array[...] = saved[name]


# Added, not assigned; nothing remembered


def _twice(code: CodeUnderTest, claims: Claims) -> list[Finding]:
    """A second backward pass, which starts from gradients that are not zero."""
    code.clear()
    record = code.forward()
    code.backward(record, code.upstream)
    start = {}
    for name, parameter in code.parameters.items():
        first = claims.grads[name]
        if first is None or first.shape != parameter.shape:
            parameter.grad = None
            continue
        start[name] = code.rng.standard_normal(parameter.shape)
        parameter.grad = start[name].copy()
    returned = code.backward(record, code.upstream)
    second = code.collect(returned).grads
    found = []
    assigned: list[str] = []
    other: list[str] = []
    for name in start:
        one, two = claims.grads[name], second[name]
        if two is None:
            continue
        scale = max(np.abs(one).max(initial=0), np.abs(start[name]).max(initial=0))
        if (
            two.shape == one.shape
            and np.abs(two - start[name] - one).max(initial=0) <= SAME * scale
        ):
            continue
        same = two.shape == one.shape and np.abs(two - one).max(initial=0) <= SAME * scale
        (assigned if same else other).append(name)
    if assigned:
        found.append(
            Finding(
                "assigned instead of added between passes",
                f"the gradient of {' and '.join(assigned)} is assigned, not added to .grad",
                "with .grad set to random numbers before backward, they were gone after it",
                "where gradients are stored: parameter.add_grad(grad)",
                tuple(assigned),
            )
        )
    inputs = [n for n in code.checked_inputs if not agree(claims.grads[n], second[n])]
    if other or inputs:
        names = [*inputs, *other]
        found.append(
            Finding(
                "second backward differs",
                f"a second backward on the same record gives another gradient of "
                f"{' and '.join(names)}",
                "the same record and the same upstream gradient, one backward after the other",
                "what backward changes: the record, the module, or what it adds",
                tuple(names),
            )
        )
    return found


def _two_records(code: CodeUnderTest, claims: Claims) -> list[Finding]:
    """The record of one pass, used after another pass with other inputs."""
    inputs = code.nearby_inputs()
    code.clear()
    record = code.forward()
    code.forward(inputs)
    code.call(inputs)
    after = code.collect(code.backward(record, code.upstream)).grads
    differ = [name for name in claims.grads if not agree(claims.grads[name], after[name])]
    if not differ:
        return []
    return [
        Finding(
            "module remembers a pass",
            "backward uses what the last forward left in the module, not the record it is given",
            f"after another forward with other inputs, the gradient of {' and '.join(differ)} of "
            f"the first record is another",
            "attributes of self that forward sets and backward reads: put them into the record",
            tuple(differ),
        )
    ]
