"""A gradient is linear in the upstream gradient: scaling it shows clipping and ignoring."""

from __future__ import annotations

from typing import Any

import numpy as np

from .code_under_test import Claims, CodeUnderTest
from .report import Finding, error

SAME = 1e-10  # relative; the same arithmetic, or the same times a power of two
SMALL, LARGE = 2.0**-20, 2.0**20  # powers of two scale a float without rounding


def agree(one: Any, two: Any) -> bool:
    """Whether two claims are the same but for rounding."""
    if one is None or two is None or np.shape(one) != np.shape(two):
        return (one is None) == (two is None)
    return error(two, one) <= SAME or np.array_equal(one, two, equal_nan=True)


def linear(code: CodeUnderTest, claims: Claims) -> list[Finding]:
    zero = code.claims(0 * code.upstream)
    constant = [name for name, grad in zero.items() if grad is not None and np.any(grad)]
    if constant:
        size = max(float(np.abs(zero[name]).max()) for name in constant)
        same = [name for name in constant if agree(claims[name], zero[name])]
        ignored = len(same) == len(constant)
        return [
            Finding(
                "upstream ignored",
                f"the gradient of {' and '.join(constant)} "
                f"{'does not depend' if ignored else 'depends only in part'} on the upstream "
                f"gradient",
                f"for an upstream gradient of zero it must be zero; its largest entry is {size:.2g}"
                + ("; it is the same for a random upstream gradient" if ignored else ""),
                "where backward takes in the gradients of the answers: they must be used as given",
                tuple(constant),
            )
        ]
    small = code.claims(SMALL * code.upstream)
    large = code.claims(LARGE * code.upstream)
    bent = [
        name
        for name, grad in small.items()
        if grad is not None
        and not agree(grad / SMALL, large[name] / LARGE)
        and float(np.abs(large[name]).max()) > 0
    ]
    if not bent:
        return []
    growth = max(np.abs(large[n]).max() / max(np.abs(small[n]).max(), 1e-300) for n in bent)
    # What is clipped is linear as long as it is small; what is squared is not.
    smaller = code.claims(SMALL * SMALL * code.upstream)
    clipped = all(agree(small[n] / SMALL, smaller[n] / SMALL / SMALL) for n in bent)
    words = _limit(large, bent) if clipped else "something inside backward is squared, or the like"
    return [
        Finding(
            "clipping" if clipped else "not linear in the upstream gradient",
            f"the gradient of {' and '.join(bent)} does not grow in proportion to the upstream "
            f"gradient: {words}",
            f"2^40 times the upstream gradient made it {growth:.3g} times as large, not 1.1e+12",
            "np.clip, or a division by a norm, in backward: clip after it, in the training loop"
            if clipped
            else "the lines of backward in which a gradient is multiplied by a gradient",
            tuple(bent),
        )
    ]


def _limit(large: dict[str, Any], names: list[str]) -> str:
    """What the gradient is cut off at."""
    limits = set()
    for name in names:
        sizes = np.abs(large[name])
        if (sizes >= sizes.max() * (1 - 1e-12)).sum() > 1:
            limits.add(f"{sizes.max():.6g}")
    if len(limits) == 1:
        return f"it is clipped to ±{limits.pop()}"
    norm = np.sqrt(sum(float((large[name] ** 2).sum()) for name in names))
    if norm < LARGE * 1e-3:
        return f"something inside is clipped; the norm stays at {norm:.4g}"
    return "something inside backward is clipped or scaled"


def claims_when_small(code: CodeUnderTest) -> dict[str, Any]:
    """What is claimed where nothing is clipped, brought back to size."""
    grads = code.claims(SMALL * code.upstream)
    return {name: None if grad is None else grad / SMALL for name, grad in grads.items()}
