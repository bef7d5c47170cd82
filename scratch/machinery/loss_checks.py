"""The arguments of the losses.

TypeError for the wrong kind of thing. For another shape, dtype or value a ValueError of MSELoss and
a RuntimeError of CrossEntropyLoss; but as in PyTorch an IndexError for a class outside [0, C), and
a ValueError for another batch size and an unknown reduction.
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from .module import Array, check_array, check_fit, check_record, describe, widened


def check_mse(reduction: Any, prediction: Any, target: Any) -> None:
    _check_reduction(reduction)
    _check_inexact(prediction, ValueError)
    check_array("target", target)
    if target.shape != prediction.shape:
        raise ValueError(
            f"target: expected the prediction's shape {prediction.shape}, got {target.shape}. "
            f"Nothing is broadcast"
        )
    if not _same_precision(target, prediction):
        raise ValueError(
            f"target: expected the prediction's dtype {prediction.dtype}, got {target.dtype}. "
            f"Nothing is promoted"
        )


def check_cross_entropy(loss: Any, prediction: Any, target: Any) -> None:
    _check_reduction(loss.reduction)
    _check_options(loss.ignore_index, loss.label_smoothing)
    _check_inexact(prediction, RuntimeError)
    check_array("target", target)
    if prediction.ndim == 0:
        raise RuntimeError("prediction: expected shape (C,), (N, C) or (N, C, d1, ...), got ()")
    axis = 0 if prediction.ndim == 1 else 1
    classes, weight = prediction.shape[axis], loss.weight
    if target.shape == prediction.shape:
        _check_probabilities(target, loss.ignore_index)
    else:
        _check_indices(prediction, target, axis)
        _check_range(target, classes, loss.ignore_index)
        if weight is not None and not _same_precision(weight, prediction):
            raise RuntimeError(
                f"weight: expected the prediction's dtype {prediction.dtype}, got {weight.dtype}"
            )
    if weight is not None and weight.shape != (classes,):
        raise RuntimeError(
            f"weight: expected shape ({classes},), one weight for each of the {classes} "
            f"classes, got {weight.shape}"
        )


def check_grad_loss(record: Any, kind: type, grad_loss: Any) -> Any:
    """`grad_loss` as an array of the value's shape or a NumPy scalar, in the dtype of sums."""
    check_record(record, kind)
    value = record.value
    if grad_loss is None:
        grad_loss = 0
    if isinstance(grad_loss, numbers.Number if value.dtype.kind == "c" else numbers.Real):
        return widened(value).dtype.type(grad_loss)
    check_fit("grad_loss", grad_loss, value.shape, value.dtype, ValueError)
    return widened(grad_loss)


def _check_reduction(reduction: Any) -> None:
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"reduction: expected 'none', 'mean' or 'sum', got {describe(reduction)}")


def _check_options(ignore_index: Any, label_smoothing: Any) -> None:
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, int | np.integer):
        raise TypeError(f"ignore_index: expected an integer, got {describe(ignore_index)}")
    if not isinstance(label_smoothing, numbers.Real):
        raise TypeError(f"label_smoothing: expected a number, got {describe(label_smoothing)}")
    if float(label_smoothing) > 1:
        raise RuntimeError(
            f"label_smoothing: expected a share from 0.0 to 1.0, got {label_smoothing}"
        )


def _check_inexact(prediction: Any, error: type[Exception]) -> None:
    if check_array("prediction", prediction).dtype.kind not in "fc":
        raise error(
            f"prediction: expected floating point or complex numbers, got {prediction.dtype}"
        )


def _check_probabilities(target: Array, ignore_index: Any) -> None:
    if target.dtype.kind != "f":
        raise RuntimeError(
            f"target: expected class probabilities of a float type, as its shape is the "
            f"prediction's, {target.shape}, got {target.dtype}"
        )
    if ignore_index >= 0:
        raise RuntimeError(
            f"ignore_index: expected no index, as the target holds class probabilities, got "
            f"{ignore_index}"
        )


def _check_indices(prediction: Array, target: Array, axis: int) -> None:
    expected = prediction.shape[:axis] + prediction.shape[axis + 1 :]
    # PyTorch takes (1,) for (): one index for one sample without a batch.
    if target.shape != expected and (prediction.ndim, target.shape) != (1, (1,)):
        message = f"target: expected shape {expected} for class indices or {prediction.shape} "
        message += f"for class probabilities, got {target.shape}"
        if target.shape[:1] != expected[:1] and prediction.ndim > 1:
            raise ValueError(f"{message}: another batch size")
        raise RuntimeError(message)
    if target.dtype != np.int64 and (target.dtype != np.uint8 or prediction.ndim > 2):
        allowed = "int64" if prediction.ndim > 2 else "int64 or uint8"
        raise RuntimeError(f"target: expected class indices of dtype {allowed}, got {target.dtype}")


def _check_range(target: Array, classes: int, ignore_index: Any) -> None:
    inside = (target >= 0) & (target < classes)
    if inside.all():
        return
    outside = target[~inside & (target != ignore_index)]
    if outside.size:
        raise IndexError(
            f"target: expected class indices from 0 to {classes - 1} or ignore_index "
            f"{ignore_index}, got {outside[0]}"
        )


def _same_precision(array: Array, prediction: Array) -> bool:
    """Whether its dtype is the prediction's or, for a complex one, that of its real part."""
    return array.dtype in (prediction.dtype, prediction.real.dtype)
