"""The modules inside a module, with the inputs that they get: each can be checked on its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..machinery.module import Module
from .report import Finding, GradientReport
from .subject import ModuleRaised, NotCheckable, Subject


def parts(subject: Subject) -> dict[str, tuple[Module, tuple[Any, ...]]]:
    """The modules directly below, by name, and what their `forward` got in one forward pass."""
    found: dict[str, tuple[Module, tuple[Any, ...]]] = {}
    children = {k: v for k, v in vars(subject.module).items() if isinstance(v, Module)}

    def recorded(name: str, child: Module) -> Callable[..., Any]:
        forward = child.forward

        def record(*inputs: Any, **named: Any) -> Any:
            if not named:
                found.setdefault(name, (child, inputs))
            return forward(*inputs, **named)

        return record

    for name, child in children.items():
        vars(child)["forward"] = recorded(name, child)
    try:
        subject.forward()
    finally:
        for child in children.values():
            del vars(child)["forward"]
    return found


def of_parts(
    subject: Subject, check: Callable[..., GradientReport], found: list[Finding]
) -> list[Finding]:
    """`found`, with what is wrong in the parts where the whole could not be explained."""
    inner: list[Finding] = []
    for name, (child, inputs) in parts(subject).items():
        given = inputs[: next((k for k, v in enumerate(inputs) if v is None), len(inputs))]
        try:
            report = check(child, *given)
        except (NotCheckable, ModuleRaised):
            continue
        inner += [replace(f, cause=f"in {name}, checked on its own: {f.cause}",
                          tensors=tuple(f"{name}.{t}" for t in f.tensors))
                  for f in report.findings]  # fmt: skip
    named = {finding.name for finding in inner}
    vague = {"unknown", "missing carry"} if inner else set()
    return inner + [finding for finding in found if finding.name not in vague | named]
