"""The arguments of the losses."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from .module import Array, check_array, describe


def check_mse(reduction: str, prediction: Array, target: Array) -> None:
    _check_reduction(reduction)
    check_array("prediction", prediction)
    check_array("target", target)
    _check_inexact(prediction)
    if target.shape != prediction.shape:
        raise ValueError(
            f"target: expected the prediction's shape {prediction.shape}, got {target.shape}. "
            f"Nothing is broadcast"
        )
    if not same_precision(target.dtype, prediction.dtype):
        raise ValueError(
            f"target: expected the prediction's dtype {prediction.dtype}, got {target.dtype}. "
            f"Nothing is promoted"
        )


def check_cross_entropy(loss: Any, prediction: Array, target: Array) -> None:
    _check_reduction(loss.reduction)
    check_array("prediction", prediction)
    check_array("target", target)
    if isinstance(loss.ignore_index, bool) or not isinstance(loss.ignore_index, int | np.integer):
        raise TypeError(f"ignore_index: expected an integer, got {describe(loss.ignore_index)}")
    if not isinstance(loss.label_smoothing, numbers.Real):
        raise TypeError(f"label_smoothing: expected a number, got {describe(loss.label_smoothing)}")
    if float(loss.label_smoothing) > 1:
        raise RuntimeError(
            f"label_smoothing: expected a share from 0.0 to 1.0, got {loss.label_smoothing}"
        )
    if target.shape == prediction.shape:
        _check_probabilities(loss, prediction, target)
    else:
        _check_indices(loss, prediction, target)


def _check_probabilities(loss: Any, prediction: Array, target: Array) -> None:
    if not np.issubdtype(target.dtype, np.floating):
        raise RuntimeError(
            f"target: expected class probabilities of a float type, as its shape is the "
            f"prediction's, {prediction.shape}, got {target.dtype}"
        )
    _check_inexact(prediction)
    _check_has_classes(prediction)
    if loss.ignore_index >= 0:
        raise RuntimeError(
            f"ignore_index: expected no index, as the target holds class probabilities, got "
            f"{loss.ignore_index}"
        )
    _check_weight(loss, prediction)


def _check_indices(loss: Any, prediction: Array, target: Array) -> None:
    _check_inexact(prediction)
    _check_has_classes(prediction)
    axis = class_axis(prediction)
    expected = prediction.shape[:axis] + prediction.shape[axis + 1 :]
    message = f"target: expected shape {expected} for class indices or {prediction.shape} "
    message += f"for class probabilities, got {target.shape}"
    if prediction.ndim == 1:
        if target.ndim == 1 and target.size != 1:
            raise ValueError(message)
    elif target.shape[:1] != expected[:1]:
        raise ValueError(f"{message}: another batch size")
    # PyTorch takes (1,) for (): one index for one sample without a batch.
    if target.shape != expected and (prediction.ndim, target.shape) != (1, (1,)):
        raise RuntimeError(message)
    if target.dtype != np.int64 and (target.dtype != np.uint8 or prediction.ndim > 2):
        allowed = "int64" if prediction.ndim > 2 else "int64 or uint8"
        raise RuntimeError(f"target: expected class indices of dtype {allowed}, got {target.dtype}")
    classes = prediction.shape[axis]
    outside = ((target < 0) | (target >= classes)) & (target != loss.ignore_index)
    if outside.any():
        raise IndexError(
            f"target: expected class indices from 0 to {classes - 1} or ignore_index "
            f"{loss.ignore_index}, got {target[outside].flat[0]}"
        )
    _check_weight(loss, prediction)
    if loss.weight is not None and not same_precision(loss.weight.dtype, prediction.dtype):
        raise RuntimeError(
            f"weight: expected the prediction's dtype {prediction.dtype}, got {loss.weight.dtype}"
        )


def _check_weight(loss: Any, prediction: Array) -> None:
    classes = prediction.shape[class_axis(prediction)]
    if loss.weight is not None and loss.weight.shape != (classes,):
        raise RuntimeError(
            f"weight: expected shape ({classes},), one weight for each of the {classes} "
            f"classes, got {loss.weight.shape}"
        )


def class_axis(prediction: Array) -> int:
    """The axis of C in (C,), (N, C) and (N, C, d1, …)."""
    return 0 if prediction.ndim == 1 else 1


def same_precision(dtype: np.dtype[Any], expected: np.dtype[Any]) -> bool:
    """Whether `dtype` is `expected` or, for a complex one, the dtype of its real part."""
    return dtype == expected or dtype == np.empty(0, expected).real.dtype


def _check_reduction(reduction: str) -> None:
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"reduction: expected 'none', 'mean' or 'sum', got {describe(reduction)}")


def _check_inexact(prediction: Array) -> None:
    if prediction.dtype.kind not in "fc":
        raise NotImplementedError(
            f"prediction: expected floating point or complex numbers, got {prediction.dtype}"
        )


def _check_has_classes(prediction: Array) -> None:
    if prediction.ndim == 0:
        raise IndexError("prediction: expected shape (C,), (N, C) or (N, C, d1, ...), got ()")


def check_grad_loss(grad_loss: Any, value: Any, dtype: np.dtype[Any]) -> Any:
    """`grad_loss` as an array of the shape of `value` or a NumPy scalar, of `dtype`."""
    if grad_loss is None:
        return dtype.type(0)
    if isinstance(grad_loss, numbers.Number):
        return dtype.type(grad_loss)
    check_array("grad_loss", grad_loss, dtype)
    if grad_loss.shape != value.shape:
        raise RuntimeError(
            f"grad_loss: expected the value's shape {value.shape}, got {grad_loss.shape}"
        )
    return grad_loss
