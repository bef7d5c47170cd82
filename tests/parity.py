"""The one comparison of the suite: shape, dtype, then values, naming the tensor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

# Relative to the largest number of the tensor. Sums over T steps, N samples and H units are taken
# in another order on either side; over the sizes drawn here that moves the last two or three of
# 16 (float64) or 7 (float32) digits.
TOLERANCE = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-5}


def assert_parity(name: str, ours, theirs, tolerance: float | None = None, summands=None) -> None:
    """`ours` equals `theirs` (an array or a torch tensor) up to max|a−b| / max|b| ≤ tolerance.

    `summands`, where the tensor is a sum that may cancel: Σ|summands| of each of its entries, in
    a shape that broadcasts to its own. Each difference is then taken relative to that number.
    """
    theirs = np.asarray(theirs.detach() if hasattr(theirs, "detach") else theirs)
    ours = np.asarray(ours)
    assert ours.shape == theirs.shape, f"{name}: shape {ours.shape}, expected {theirs.shape}"
    assert ours.dtype == theirs.dtype, f"{name}: dtype {ours.dtype}, expected {theirs.dtype}"
    if not theirs.size:
        return
    np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs), err_msg=name)
    finite = np.isfinite(theirs)
    np.testing.assert_array_equal(ours[~finite], theirs[~finite], err_msg=name)
    if not finite.any():
        return
    difference = np.abs(np.where(finite, ours, 0) - np.where(finite, theirs, 0))
    scale = np.abs(theirs[finite]).max() if summands is None else np.asarray(summands)
    scale = np.broadcast_to(scale, difference.shape)
    assert np.isfinite(scale[finite]).all(), f"{name}: the scale is not finite: {scale}"
    tolerance = TOLERANCE[theirs.dtype] if tolerance is None else tolerance
    where = np.unravel_index((difference - tolerance * scale).argmax(), difference.shape)
    assert difference[where] <= tolerance * scale[where], (
        f"{name}{[int(i) for i in where]}: {ours[where]!r}, expected {theirs[where]!r}; "
        f"difference {difference[where]:.2e} on a scale of {scale[where]:.2e}, "
        f"allowed {tolerance:.0e} of it"
    )


def rounding_alone(dtype) -> float:
    """What a gradient may be off by, however small it is.

    One tensor in ten thousand is small because it is a sum that cancels, or has a factor such as
    1 − h² next to its zero; its error is that of its summands. A pass is made of numbers around 1
    (gates, h, the gradients from above), each rounded by up to eps/2: 16 eps are 32 such errors
    that all go the same way.
    """
    return 16 * float(np.finfo(dtype).eps)


def assert_parity_to_rounding(name: str, ours, theirs, largest: float | None = None) -> None:
    """`assert_parity`, but a difference that is `rounding_alone` is allowed.

    `largest` is the tensor's largest number where `theirs` is only a part of it.
    """
    theirs = np.asarray(theirs.detach() if hasattr(theirs, "detach") else theirs)
    if largest is None:
        largest = np.abs(theirs, where=np.isfinite(theirs), out=np.zeros(theirs.shape)).max(
            initial=0
        )
    allowed = TOLERANCE[theirs.dtype] * largest + rounding_alone(theirs.dtype)
    assert_parity(name, ours, theirs, tolerance=1, summands=allowed)


def assert_same_rounding(names, ours, theirs, exact) -> None:
    """`ours` are no further from `exact`, the same numbers in float64, than 16 times `theirs`.

    A float32 number is a sum over steps, samples and units that may cancel, and then few of its 7
    digits are left on either side. In which tensor of a pass that shows most is chance, so the
    worst of `theirs` counts, as in `reference.trial.rounding`; over the layers of a thorough run
    and PyTorch's samples, one side was up to 10 times as far as the other. What every sum may lose,
    and what is `rounding_alone`, come on top.
    """

    def error(a, b):
        largest = float(np.abs(b).max(initial=0))
        assert np.isfinite(largest), "the float64 pass is not finite"
        difference = float(np.abs(a - b).max(initial=0))
        difference = max(0.0, difference - rounding_alone(a.dtype))
        return difference / largest if largest else (np.inf if difference else 0.0)

    theirs = [np.asarray(their.detach()) for their in theirs]
    rounding = max(error(their, e) for their, e in zip(theirs, exact, strict=True))
    for name, our, their, e in zip(names, ours, theirs, exact, strict=True):
        assert our.shape == their.shape, f"{name}: shape {our.shape}, expected {their.shape}"
        assert our.dtype == their.dtype, f"{name}: dtype {our.dtype}, expected {their.dtype}"
        assert error(our, e) <= 16 * rounding + TOLERANCE[their.dtype], (
            f"{name}: {error(our, e):.2e} from the pass in float64, torch {error(their, e):.2e} "
            f"and at most {rounding:.2e} in any gradient"
        )


def assert_same_refusal(ours: Callable, theirs: Callable, *words: str) -> None:
    """Both sides raise the same type of exception; the message of `ours` has all the `words`."""
    with pytest.raises(Exception) as expected:  # noqa: PT011 -- whatever PyTorch raises
        theirs()
    with pytest.raises(expected.type) as raised:
        ours()
    assert raised.type is expected.type, f"{raised.type}, expected {expected.type}: {raised.value}"
    for word in words:
        assert word in str(raised.value), f"{word!r} is not in the message: {raised.value}"
