"""MSELoss and CrossEntropyLoss: how far a prediction is from its target, as one number.

Predictions may be complex128: every formula here is holomorphic (no absolute value, no conjugate),
so that a derivative can be taken by a complex step. Infinite and NaN predictions give infinite and
NaN losses without a warning, as in PyTorch.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike

from .machinery.loss_checks import check_cross_entropy, check_grad_loss, check_mse, class_axis
from .machinery.module import Array, Module, check_array, check_record, widened, without_warnings


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
        TypeError if one is not an array, NotImplementedError for integers.
        """
        return self.forward(prediction, target).value

    @without_warnings
    def forward(self, prediction: Array, target: Array) -> MSELossRecord:
        """The same pass, with what `backward` needs."""
        check_mse(self.reduction, prediction, target)
        # d = prediction − target
        d = np.asarray(prediction - target)
        # value = d²  ("none"),  Σ d²  ("sum"),  1/n Σ d²  ("mean")  (6.1)
        wide = widened(d).reshape(-1)
        value = d * d if self.reduction == "none" else wide @ wide
        if self.reduction == "mean":
            value = value / wide.dtype.type(d.size)
        return MSELossRecord(d, value.astype(d.dtype), self.reduction)

    @without_warnings
    def backward(self, record: MSELossRecord, grad_loss: Any = 1) -> Array:
        """The gradient of the prediction, in its shape and dtype.

        `grad_loss` is the gradient of the value: an array of its shape and dtype, or a number,
        which stands for every entry of a value that is an array. `None` means zero. Raises
        RuntimeError for another shape, ValueError for another dtype.
        """
        check_record(record, MSELossRecord)
        d, value, reduction = record
        grad_loss = check_grad_loss(grad_loss, value, d.dtype)
        # value = 1/n Σ d²:              ∂value/∂(Σ d²) = 1/n
        if reduction == "mean" and d.size:
            grad_loss = widened(np.asarray(grad_loss)) / d.size
        # Σ d²:                          ∂(Σ d²)/∂d = 2 d  (6.2)
        # d = prediction − target:       ∂d/∂prediction = 1
        return np.asarray(d * (2 * grad_loss)).astype(d.dtype, copy=False)

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

    Raises TypeError if `weight` is not an array; the other arguments are checked by the call, as in
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
        probabilities, IndexError for an index outside [0, C), TypeError for the wrong kind of
        argument, NotImplementedError for integer scores.
        """
        return self.forward(prediction, target).value

    @without_warnings
    def forward(self, prediction: Array, target: Array) -> CrossEntropyRecord:
        """The same pass, with what `backward` needs."""
        check_cross_entropy(self, prediction, target)
        axis, dtype = class_axis(prediction), prediction.dtype
        # log_p_c = z_c − log Σ_k exp z_k, with z moved down by its largest real part  (6.3)
        z = prediction - prediction.real.max(axis, keepdims=True, initial=-np.inf)
        log_p = z - np.log(np.exp(z).sum(axis, keepdims=True))
        # loss = −Σ_c w_c log_p_c; w is 1 for the target class and 0 for the others. Those are left
        # out and not multiplied by zero, because log_p may be −∞ there.
        w, counted, kept, total = self._weigh(prediction, target)
        loss = (w * -log_p).sum(axis, where=counted)  # (N, d1, …)  (6.4)
        # value = loss  ("none"),  Σ loss  ("sum"),  1/total Σ loss  ("mean")
        value = loss if self.reduction == "none" else widened(loss).sum()
        if self.reduction == "mean":
            value = value / total
        return CrossEntropyRecord(log_p, w, kept, total, value.astype(dtype), self.reduction)

    @without_warnings
    def backward(self, record: CrossEntropyRecord, grad_loss: Any = 1) -> Array:
        """The gradient of the prediction, in its shape and dtype.

        `grad_loss` is the gradient of the value: an array of its shape and dtype, or a number,
        which stands for every entry of a value that is an array. `None` means zero. Raises
        RuntimeError for another shape, ValueError for another dtype.
        """
        check_record(record, CrossEntropyRecord)
        log_p, w, kept, total, value, reduction = record
        axis = class_axis(log_p)
        grad_loss = check_grad_loss(grad_loss, value, log_p.dtype)
        if isinstance(grad_loss, np.ndarray) and reduction == "none":
            grad_loss = grad_loss.reshape(kept.shape)  # (N, 1, d1, …)
        # value = 1/total Σ loss:              ∂value/∂loss = 1/total
        if reduction == "mean":
            grad_loss = (widened(np.asarray(grad_loss)) / total).astype(log_p.dtype)
        # loss = −Σ_c w_c log_p_c:             ∂loss/∂log_p_c = −w_c
        # log_p_c = z_c − log Σ_k exp z_k:     ∂log_p_c/∂z_j = [c = j] − p_j,  p = exp(log_p)
        #                                  ⇒   ∂loss/∂z_j = p_j Σ_c w_c − w_j  (6.5)
        p = np.exp(log_p)
        grad_z = p * w.sum(axis, keepdims=True) - w
        grad_z *= np.where(kept, grad_loss, log_p.dtype.type(0))
        return np.asarray(grad_z)

    def _weigh(self, prediction: Array, target: Array) -> tuple[Array, Array, Array, Any]:
        """w, where it counts, which targets are kept, and what the mean divides by."""
        shape, axis, dtype = prediction.shape, class_axis(prediction), prediction.real.dtype
        C, trailing = shape[axis], (1,) * (prediction.ndim - axis - 1)
        column = (*shape[:axis], 1, *shape[axis + 1 :])  # (N, 1, d1, …)
        total: Any
        if target.shape != shape:  # class indices
            index = target.reshape(column)
            kept = index != self.ignore_index
            counted = (index == np.arange(C).reshape(C, *trailing)) & kept  # (N, C, d1, …)
            w = counted.astype(dtype)
            total = np.count_nonzero(kept)
        else:  # class probabilities
            kept = counted = np.ones(column, dtype=bool)
            w = target.astype(dtype)
            total = kept.size if C else 0
        weight = None
        if self.weight is not None:
            weight = self.weight.astype(dtype, copy=False).reshape(C, *trailing)
            # By a weight that no target has it is not multiplied, as 0 · ∞ is NaN.
            w = np.where(counted, w * weight, 0).astype(dtype)
            total = total if target.shape == shape else widened(w).sum()
        if self.label_smoothing > 0:  # what is not above zero is taken for zero, as in PyTorch
            # w_c = weight_c ((1 − ε) target_c + ε/C)
            smoothing = float(self.label_smoothing)
            w *= 1 - smoothing
            w += (1 if weight is None else weight) * (smoothing / max(C, 1))
            counted = kept
        # In float16 a number of targets above 65,504 would be infinite.
        return w, counted, kept, total if dtype == np.float16 else dtype.type(total)

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
