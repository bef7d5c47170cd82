"""MSELoss and CrossEntropyLoss: how far a prediction is from its target, as one number.

Predictions may be complex128: every formula here is holomorphic (no absolute value, no conjugate),
so that a derivative can be taken by a complex step. Infinite and NaN predictions give infinite and
NaN losses without a warning, as in PyTorch.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike

from .machinery.loss_checks import check_cross_entropy, check_grad_loss, check_mse
from .machinery.module import Array, Module, check_array, widened, without_warnings
from .machinery.rows import by_sample, by_scores


class MSELossRecord(NamedTuple):
    """What `MSELoss.forward` computed. `value` is the loss."""

    difference: Array  # prediction − target, of the prediction's shape
    value: Any  # a NumPy scalar; of the prediction's shape for reduction="none"
    reduction: str

    def __repr__(self) -> str:
        return _repr(self, "difference")


class MSELoss(Module):
    """The squared differences of prediction and target, their mean or their sum.

    `reduction` is "none", "mean" or "sum". Raises nothing, as arguments are checked by the call.
    Like https://docs.pytorch.org/docs/2.13/generated/torch.nn.MSELoss.html, but nothing is
    broadcast and nothing is promoted.
    """

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def __call__(self, prediction: Array, target: Array) -> Any:
        """The loss, in the prediction's dtype: a NumPy scalar, an array for reduction="none".

        `prediction` and `target` are float arrays of one shape and dtype; beside a complex
        prediction, the target may be of the dtype of its real part.

        Raises TypeError if one is not an array; ValueError for an unknown reduction, integers, and
        another shape or dtype of the target.
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
            value = value / d.size
        return MSELossRecord(d, np.asarray(value, d.dtype)[()], self.reduction)

    @without_warnings
    def backward(self, record: MSELossRecord, grad_loss: Any = 1) -> Array:
        """The gradient of the prediction, in its shape and dtype.

        `grad_loss` is the gradient of the value: an array of its shape and dtype, or a number,
        which stands for every entry of a value that is an array. `None` means zero. Raises
        TypeError if the record is not one or the gradient neither an array nor a number,
        RuntimeError for another shape, ValueError for another dtype.
        """
        grad_loss = check_grad_loss(record, MSELossRecord, grad_loss)
        d = record.difference
        # value = 1/n Σ d²:              ∂value/∂(Σ d²) = 1/n
        if record.reduction == "mean" and d.size:
            grad_loss = grad_loss / d.size
        # Σ d²:                          ∂(Σ d²)/∂d = 2 d  (6.2)
        # d = prediction − target:       ∂d/∂prediction = 1
        return np.asarray(d * (2 * grad_loss), d.dtype)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class CrossEntropyRecord(NamedTuple):
    """What `CrossEntropyLoss.forward` computed. `value` is the loss.

    Of M = N · d1 · … samples, K count. Each looks at L classes: L = 1, the class of its target, or
    all of them, L = C, if the target is spread over them.
    """

    log_softmax: Array  # (N, C, d1, …), as the prediction: log_p
    samples: Array  # (K, 1), int: which samples count, those that are not ignored
    classes: Array  # (K, 1), int: the class of each; or (C,), all classes
    weight: Any  # (K, L), or 1 for all: w
    total: Any  # what the mean divides by: the weights of the targets, added up
    value: Any  # a NumPy scalar; (N, d1, …) for reduction="none"
    reduction: str

    def __repr__(self) -> str:
        return _repr(self, "log_softmax")


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

        Raises TypeError for the wrong kind of argument; ValueError for an unknown reduction or
        another batch size; IndexError for an index outside [0, C); RuntimeError for any other
        shape or dtype, for label_smoothing above 1 and for ignore_index beside probabilities.
        """
        return self.forward(prediction, target).value

    @without_warnings
    def forward(self, prediction: Array, target: Array) -> CrossEntropyRecord:
        """The same pass, with what `backward` needs."""
        check_cross_entropy(self, prediction, target)
        z = widened(by_sample(prediction))  # (M, C)
        # log_p_c = z_c − log Σ_k exp z_k, with z moved down by its largest real part  (6.3)
        z = z - z.real.max(1, keepdims=True, initial=-np.inf)
        log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
        # loss = −log_p_c at the class c of the target; in general −Σ_c w_c log_p_c  (6.4)
        spread = target.shape == prediction.shape
        target = by_sample(target) if spread else target.reshape(-1)  # (M, C) or (M,)
        samples, classes, w, total = self._weigh(target, z)
        loss = np.zeros(len(z), z.dtype)
        loss[samples] = -(w * log_p[samples, classes]).sum(1, keepdims=True)
        # value = loss  ("none"),  Σ loss  ("sum"),  1/total Σ loss  ("mean")
        value = by_scores(loss, prediction) if self.reduction == "none" else loss.sum()
        if self.reduction == "mean":
            value = value / total
        value = np.asarray(value, prediction.dtype)[()]
        log_p = by_scores(log_p, prediction)
        return CrossEntropyRecord(log_p, samples, classes, w, total, value, self.reduction)

    @without_warnings
    def backward(self, record: CrossEntropyRecord, grad_loss: Any = 1) -> Array:
        """The gradient of the prediction, in its shape and dtype.

        `grad_loss` is the gradient of the value, as in `MSELoss.backward`.
        """
        grad_loss = check_grad_loss(record, CrossEntropyRecord, grad_loss)
        log_p, samples = by_sample(record.log_softmax), record.samples
        if record.reduction == "none":
            grad_loss = np.broadcast_to(grad_loss, record.value.shape).reshape(-1)[samples]
        # value = 1/total Σ loss:              ∂value/∂loss = 1/total
        if record.reduction == "mean":
            grad_loss = grad_loss / record.total
        # loss = −Σ_c w_c log_p_c:             ∂loss/∂log_p_c = −w_c
        grad_log_p = np.zeros(log_p.shape, log_p.dtype)
        grad_log_p[samples, record.classes] = -record.weight * grad_loss
        # log_p_c = z_c − log Σ_k exp z_k:     ∂log_p_c/∂z_j = [c = j] − p_j,  p = exp(log_p)
        #                                  ⇒   ∂loss/∂z_j = p_j Σ_c w_c − w_j  (6.5)
        grad_z = grad_log_p - np.exp(log_p) * grad_log_p.sum(1, keepdims=True)
        return np.asarray(by_scores(grad_z, record.log_softmax), record.value.dtype)

    def _weigh(self, target: Array, z: Array) -> tuple[Array, Array, Any, Any]:
        """Which samples count, at which classes, with which weights w, and the total of these."""
        (M, C), dtype = z.shape, z.real.dtype
        w: Any = 1.0
        weight = None if self.weight is None else self.weight.astype(dtype)
        smoothing = max(0.0, float(self.label_smoothing))
        if target.ndim == 1:  # class indices
            samples = np.flatnonzero(target != self.ignore_index)[:, np.newaxis]  # (K, 1)
            classes, total = target[samples], len(samples)  # (K, 1)
            if weight is not None:
                w = weight[classes]
                total = w.sum()
            if not smoothing:
                return samples, classes, w, total
            target = classes == np.arange(C)  # (K, C)
        else:  # class probabilities
            samples, total = np.arange(M)[:, np.newaxis], M if C else 0
        # w_c = weight_c ((1 − ε) target_c + ε/C)
        w = (1 - smoothing) * target.astype(dtype, copy=False) + smoothing / max(C, 1)
        return samples, np.arange(C), w if weight is None else weight * w, total

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


def _repr(record: MSELossRecord | CrossEntropyRecord, name: str) -> str:
    """The value, or its shape if it is an array, and the shape of what it was computed from."""
    value = record.value.shape if np.ndim(record.value) else record.value
    return f"{type(record).__name__}(value {value}, {name} {getattr(record, name).shape})"
