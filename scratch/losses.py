"""MSELoss and CrossEntropyLoss: how far a prediction is from its target, as one number.

Predictions may be complex128: every formula here is holomorphic (no absolute value, no conjugate),
so that a derivative can be taken by a complex step. Infinite and NaN predictions give infinite and
NaN losses without a warning, as in PyTorch.
"""

from __future__ import annotations

import numbers
from typing import Any, NamedTuple, NoReturn, Self

import numpy as np
from numpy.typing import DTypeLike

from .machinery.module import Array, Module, check_array, check_record, describe, without_warnings


class MSELossRecord(NamedTuple):
    """What `MSELoss.forward` computed. `value` is the loss."""

    difference: Array  # prediction − target, of the prediction's shape
    value: Any  # a NumPy scalar; of the prediction's shape for reduction="none"
    reduction: str


class MSELoss(Module):
    """The squared differences of prediction and target, their mean or their sum.

    `reduction` is "none", "mean" or "sum". Like
    https://docs.pytorch.org/docs/2.13/generated/torch.nn.MSELoss.html, but nothing is broadcast
    and nothing is promoted.
    """

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def __call__(self, prediction: Array, target: Array) -> Any:
        """The loss, in the prediction's dtype: a NumPy scalar, an array for reduction="none".

        `prediction` and `target` are float arrays of one shape and dtype; beside a complex
        prediction, the target may be of the dtype of its real part.

        Raises ValueError for an unknown reduction and for another shape or dtype of the target,
        TypeError for what is no array, NotImplementedError for integers.
        """
        return self.forward(prediction, target).value

    @without_warnings
    def forward(self, prediction: Array, target: Array) -> MSELossRecord:
        """The same pass, with what `backward` needs."""
        self._check(prediction, target)
        # d = prediction − target
        d = np.asarray(prediction - target)
        # value = d²  ("none"),  Σ d²  ("sum"),  1/n Σ d²  ("mean")
        n = d.dtype.type(d.size)
        value = d * d if self.reduction == "none" else d.reshape(-1) @ d.reshape(-1)
        if self.reduction == "mean":
            value = value / n
        return MSELossRecord(d, value, self.reduction)

    @without_warnings
    def backward(self, record: MSELossRecord, grad_loss: Any = 1) -> Array:
        """The gradient of the prediction, in its shape and dtype.

        `grad_loss` is the gradient of the value: an array of its shape and dtype, or a number,
        which stands for every entry of a value that is an array. `None` means zero. Raises
        RuntimeError for another shape, ValueError for another dtype.
        """
        check_record(record, MSELossRecord)
        d, value, reduction = record
        grad_loss = _grad_of_value(grad_loss, value, d.dtype)
        # value = 1/n Σ d²:              ∂value/∂(Σ d²) = 1/n
        n = d.dtype.type(d.size)
        if reduction == "mean" and d.size:
            grad_loss = grad_loss / n
        # Σ d²:                          ∂(Σ d²)/∂d = 2 d
        # d = prediction − target:       ∂d/∂prediction = 1
        return np.asarray(d * (2 * grad_loss))

    def _check(self, prediction: Array, target: Array) -> None:
        _check_reduction(self.reduction)
        check_array("prediction", prediction)
        check_array("target", target)
        _check_inexact(prediction)
        if target.shape != prediction.shape:
            raise ValueError(
                f"target: expected the prediction's shape {prediction.shape}, got {target.shape}. "
                f"Nothing is broadcast"
            )
        if not _same_precision(target.dtype, prediction.dtype):
            raise ValueError(
                f"target: expected the prediction's dtype {prediction.dtype}, got {target.dtype}. "
                f"Nothing is promoted"
            )

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class CrossEntropyRecord(NamedTuple):
    """What `CrossEntropyLoss.forward` computed. `value` is the loss."""

    log_softmax: Array  # (N, C, d1, …), as the prediction: log_p
    weighted_target: Array  # (N, C, d1, …), what −log_p is multiplied with: w
    kept: Array  # (N, 1, d1, …), bool: False where the target is ignored
    total: Any  # what the mean divides by: the weights of the kept targets, added up
    value: Any  # a NumPy scalar; (N, d1, …) for reduction="none"
    reduction: str


class CrossEntropyLoss(Module):
    """−log softmax of the prediction at the target class, weighted; its mean or its sum.

    `weight`: None, or an array (C,), one weight per class, of the prediction's dtype.
    `ignore_index`: targets of this index count for nothing.
    `reduction`: "none", "mean" (weighted by the weights of the targets) or "sum".
    `label_smoothing`: within [0, 1]; this share of every target is spread evenly over the classes
    (Szegedy et al. 2016, section 7).

    Raises TypeError when `weight` is no array; the other arguments are checked by the call, as in
    https://docs.pytorch.org/docs/2.13/generated/torch.nn.CrossEntropyLoss.html.
    """

    def __init__(
        self,
        weight: Array | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self.weight = None if weight is None else check_array("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def __call__(self, prediction: Array, target: Array) -> Any:
        """The loss, in the prediction's dtype: a NumPy scalar, an array for reduction="none".

        `prediction`: scores (C,), (N, C) or (N, C, d1, …). `target`: class indices (int64, or
        uint8 without d1, …), of that shape without C; or class probabilities (any float type), of
        that shape.

        Raises ValueError for an unknown reduction or another batch size, RuntimeError for another
        shape or dtype of target or weight, for label_smoothing above 1 and for ignore_index beside
        probabilities, IndexError for an index outside [0, C), TypeError for what is no array or no
        number, NotImplementedError for integer scores.
        """
        return self.forward(prediction, target).value

    @without_warnings
    def forward(self, prediction: Array, target: Array) -> CrossEntropyRecord:
        """The same pass, with what `backward` needs."""
        self._check(prediction, target)
        axis = _class_axis(prediction)
        w, counted, kept, total = self._weigh(prediction, target)
        # log_p_c = z_c − log Σ_k exp z_k, with z moved down by its largest real part
        z = prediction - prediction.real.max(axis, keepdims=True, initial=-np.inf)
        log_p = z - np.log(np.exp(z).sum(axis, keepdims=True))
        # loss = −Σ_c w_c log_p_c. What is not counted is left out and not multiplied by zero,
        # because log_p may be −∞ there.
        loss = (w * -log_p).sum(axis, where=counted)  # (N, d1, …)
        # value = loss  ("none"),  Σ loss  ("sum"),  1/total Σ loss  ("mean")
        value = loss if self.reduction == "none" else loss.sum()
        if self.reduction == "mean":
            value = value / prediction.dtype.type(total)
        return CrossEntropyRecord(log_p, w, kept, total, value, self.reduction)

    @without_warnings
    def backward(self, record: CrossEntropyRecord, grad_loss: Any = 1) -> Array:
        """The gradient of the prediction, in its shape and dtype.

        `grad_loss` is the gradient of the value: an array of its shape and dtype, or a number,
        which stands for every entry of a value that is an array. `None` means zero. Raises
        RuntimeError for another shape, ValueError for another dtype.
        """
        check_record(record, CrossEntropyRecord)
        log_p, w, kept, total, value, reduction = record
        axis = _class_axis(log_p)
        grad_loss = _grad_of_value(grad_loss, value, log_p.dtype)
        if isinstance(grad_loss, np.ndarray) and reduction == "none":
            grad_loss = grad_loss.reshape(kept.shape)  # (N, 1, d1, …)
        # value = 1/total Σ loss:              ∂value/∂loss = 1/total
        if reduction == "mean":
            grad_loss = grad_loss / log_p.dtype.type(total)
        # loss = −Σ_c w_c log_p_c:             ∂loss/∂log_p_c = −w_c
        # log_p_c = z_c − log Σ_k exp z_k:     ∂log_p_c/∂z_j = [c = j] − p_j,  p = exp(log_p)
        #                                  ⇒   ∂loss/∂z_j = p_j Σ_c w_c − w_j
        p = np.exp(log_p)
        grad_z = p * w.sum(axis, keepdims=True) - w
        grad_z *= np.where(kept, grad_loss, log_p.dtype.type(0))
        return np.asarray(grad_z)

    def _weigh(self, prediction: Array, target: Array) -> tuple[Array, Array, Array, Any]:
        """The weighted target w, where it counts, the kept targets, and total."""
        shape, axis, dtype = prediction.shape, _class_axis(prediction), prediction.real.dtype
        classes, trailing = shape[axis], (1,) * (prediction.ndim - axis - 1)
        column = (*shape[:axis], 1, *shape[axis + 1 :])  # (N, 1, d1, …)
        weight: Any = dtype.type(1)
        if self.weight is not None:
            weight = self.weight.astype(dtype, copy=False).reshape(classes, *trailing)  # (C, 1, …)
        smoothing = self._smoothing()
        if target.shape == shape:
            kept = counted = np.ones(column, dtype=bool)
            w = weight * target.astype(dtype, copy=False)
            total: Any = kept.size if classes else 0
        else:
            target = target.reshape(column)
            kept = target != self.ignore_index
            is_target = (target == np.arange(classes).reshape(classes, *trailing)) & kept
            if np.count_nonzero(is_target) < np.count_nonzero(kept):
                self._refuse_indices(target, classes)
            counted = kept if smoothing else is_target
            w = weight * is_target
            total = w.sum()
        if smoothing:
            # w_c = weight_c ((1 − ε) target_c + ε/C)
            w *= 1 - smoothing
            w += weight * (smoothing / max(classes, 1))
        return w, counted, kept, total

    def _smoothing(self) -> float:
        """ε. What is not above zero is taken for zero, as in PyTorch."""
        return float(self.label_smoothing) if self.label_smoothing > 0 else 0.0

    def _check(self, prediction: Array, target: Array) -> None:
        _check_reduction(self.reduction)
        check_array("prediction", prediction)
        check_array("target", target)
        if isinstance(self.ignore_index, bool) or not isinstance(
            self.ignore_index, int | np.integer
        ):
            raise TypeError(f"ignore_index: expected an integer, got {describe(self.ignore_index)}")
        if not isinstance(self.label_smoothing, numbers.Real):
            raise TypeError(
                f"label_smoothing: expected a number, got {describe(self.label_smoothing)}"
            )
        if self.label_smoothing > 1:
            raise RuntimeError(
                f"label_smoothing: expected a share from 0.0 to 1.0, got {self.label_smoothing}"
            )
        if target.shape == prediction.shape:
            self._check_probabilities(prediction, target)
        else:
            self._check_indices(prediction, target)

    def _check_probabilities(self, prediction: Array, target: Array) -> None:
        if not np.issubdtype(target.dtype, np.floating):
            raise RuntimeError(
                f"target: expected class probabilities of a float type, as its shape is the "
                f"prediction's, {prediction.shape}, got {target.dtype}"
            )
        _check_inexact(prediction)
        _check_has_classes(prediction)
        if self.ignore_index >= 0:
            raise RuntimeError(
                f"ignore_index: expected no index, as the target holds class probabilities, got "
                f"{self.ignore_index}"
            )
        self._check_weight(prediction)

    def _check_indices(self, prediction: Array, target: Array) -> None:
        _check_inexact(prediction)
        _check_has_classes(prediction)
        axis = _class_axis(prediction)
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
            raise RuntimeError(
                f"target: expected class indices of dtype {allowed}, got {target.dtype}"
            )
        self._check_weight(prediction)
        if self.weight is not None and not _same_precision(self.weight.dtype, prediction.dtype):
            raise RuntimeError(
                f"weight: expected the prediction's dtype {prediction.dtype}, got "
                f"{self.weight.dtype}"
            )

    def _refuse_indices(self, target: Array, classes: int) -> NoReturn:
        outside = target[(target != self.ignore_index) & ((target < 0) | (target >= classes))]
        raise IndexError(
            f"target: expected class indices from 0 to {classes - 1} or ignore_index "
            f"{self.ignore_index}, got {outside.flat[0]}"
        )

    def _check_weight(self, prediction: Array) -> None:
        classes = prediction.shape[_class_axis(prediction)]
        if self.weight is not None and self.weight.shape != (classes,):
            raise RuntimeError(
                f"weight: expected shape ({classes},), one weight for each of the {classes} "
                f"classes, got {self.weight.shape}"
            )

    def astype(self, dtype: DTypeLike) -> Self:
        """A copy whose weights have `dtype`; for a complex one, the dtype of its real part."""
        twin = super().astype(dtype)
        if self.weight is not None:
            twin.weight = self.weight.astype(np.empty(0, dtype).real.dtype)
        return twin

    def extra_repr(self) -> str:
        weight = None if self.weight is None else self.weight.tolist()
        return (
            f"weight={weight}, ignore_index={self.ignore_index}, reduction={self.reduction!r}, "
            f"label_smoothing={self.label_smoothing}"
        )


def _class_axis(prediction: Array) -> int:
    """The axis of C in (C,), (N, C) and (N, C, d1, …)."""
    return 0 if prediction.ndim == 1 else 1


def _same_precision(dtype: np.dtype[Any], expected: np.dtype[Any]) -> bool:
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


def _grad_of_value(grad_loss: Any, value: Any, dtype: np.dtype[Any]) -> Any:
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
