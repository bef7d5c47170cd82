"""Adam, and the clipping of gradients by their norm."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .machinery.adam_state import Group, groups_of, state_of
from .machinery.module import Array, Parameter, widened, without_warnings
from .machinery.optim_checks import (
    MOMENTS,
    OPTIONS,
    as_float,
    check_clipped,
    check_options,
    check_parameters,
    check_state_dict,
)


class Adam:
    """Adam (Kingma & Ba 2015, Algorithm 1), with the variants of `torch.optim.Adam`.

    `lr`: the step size α. `betas`: β1 and β2, two floats within [0, 1). `eps`: ε.
    `weight_decay`: λ, of the L2 penalty that is added to the gradient or, if
    `decoupled_weight_decay`, of the decay of the parameter itself (Loshchilov & Hutter 2019).
    `amsgrad`: divide by the largest v so far (Reddi et al. 2018). `maximize`: go up, not down.
    They are attributes; a schedule assigns to `lr` between steps.

    Raises TypeError unless `params` is an iterable of parameters and the options are numbers,
    ValueError if there are no parameters or an option is out of its range; warns if a parameter
    comes twice, and takes it once. Like
    https://docs.pytorch.org/docs/2.13/generated/torch.optim.Adam.html, without parameter groups.
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_options(lr, betas, eps, weight_decay)
        self._parameters = check_parameters(params)
        self._groups = groups_of(self._parameters, {})
        self.lr, self.betas, self.eps = lr, betas, eps
        self.weight_decay, self.decoupled_weight_decay = weight_decay, decoupled_weight_decay
        self.amsgrad, self.maximize = amsgrad, maximize

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; one whose gradient is `None` is skipped.

        `closure`, if given, is called first, and what it returns is returned. Raises TypeError if a
        gradient is not an array, RuntimeError if it has not the shape and dtype of its parameter,
        or a parameter is read-only, and for options as `__init__` does; then nothing was changed.
        """
        loss = None if closure is None else closure()
        check_options(self.lr, self.betas, self.eps, self.weight_decay)
        unchanged = [group.check() for group in self._groups]
        if not all(unchanged):
            self._groups = groups_of(self._parameters, state_of(self._groups, MOMENTS))
        for group in self._groups:
            if group.has_gradient:
                self._update(group)
        return loss

    @without_warnings
    def _update(self, group: Group) -> None:
        """Step t of the parameters of a group, whose numbers lie end to end in θ, g, m and v."""
        lr, eps, weight_decay = float(self.lr), float(self.eps), float(self.weight_decay)
        beta1, beta2 = (float(beta) for beta in self.betas)
        m, v, v_max = group.real_moments()
        g = group.joined(parameter.grad for parameter in group.parameters)
        t = group.step = group.step + 1
        if self.maximize:
            g = -g
        if weight_decay and self.decoupled_weight_decay:
            # θ = θ − α λ θ  (6.10)
            for parameter in group.parameters:
                parameter.data *= 1 - lr * weight_decay
        elif weight_decay:
            # g = g + λ θ  (6.9)
            g = g + weight_decay * group.joined(parameter.data for parameter in group.parameters)
        # m = β1 m + (1 − β1) g  (6.6)
        m *= beta1
        m += (1 - beta1) * g
        # v = β2 v + (1 − β2) g²  (6.7)
        v *= beta2
        v += (1 - beta2) * (g * g)
        if self.amsgrad:
            # v = v_max = max(v_max, v)  (6.11)
            v = np.maximum(v_max, v, out=v_max)
        # θ = θ − α m̂ / (√v̂ + ε)    with  m̂ = m / (1 − β1^t)    and  √v̂ = √v / √(1 − β2^t)  (6.8)
        group.subtract(lr / (1 - beta1**t) * m / (np.sqrt(v) / math.sqrt(1 - beta2**t) + eps))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set every gradient to `None`, or to zeros in place."""
        for parameter in self._parameters:
            parameter.zero_grad(set_to_none)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={getattr(self, name)}" for name in OPTIONS)
        return f"Adam({len(self._parameters)} parameters, {options})"

    # Saving and loading

    def state_dict(self) -> dict[str, Array]:
        """A copy of the options and of what the steps of every parameter left behind, as arrays.

        `np.savez(file, **state)` saves it and `np.load(file)` reads it. Of the first parameter,
        "0.step" is t, "0.exp_avg" m, "0.exp_avg_sq" v and "0.max_exp_avg_sq" the largest v; a
        parameter that has taken no step has none of these.
        """
        saved = {name: np.array(getattr(self, name), dtype) for name, dtype in OPTIONS.items()}
        saved["parameters"] = np.array(len(self._parameters))
        return saved | state_of(self._groups, MOMENTS if self.amsgrad else MOMENTS[:2])

    @without_warnings
    def load_state_dict(self, state_dict: Mapping[str, Array]) -> None:
        """Take over the options and the state of another Adam, so that its run goes on exactly.

        Arrays are cast to the parameters' dtypes. Raises TypeError if `state_dict` is not a
        mapping, KeyError if names are missing or unexpected, ValueError for another number of
        parameters, another shape or kind of number, and an option or a step out of its range.
        Everything of one kind that is wrong stands in one message, and then nothing has been
        changed.
        """
        saved = check_state_dict(state_dict, self._parameters)
        self._groups = groups_of(self._parameters, saved)
        for name in OPTIONS:
            value = saved[name].tolist()
            setattr(self, name, tuple(value) if name == "betas" else value)


@without_warnings
def clip_grad_norm_(
    parameters: Parameter | Iterable[Parameter],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Any:
    """Scale the gradients in place so that their norm, all taken as one vector, is `max_norm`.

    Smaller ones stay as they are; parameters whose gradient is `None` are skipped. `norm_type` is
    p of the p-norm, also `inf`, `-inf` and 0 (the number of gradients that are not zero). Returns
    the norm before, a NumPy scalar of the gradients' dtype, the widest of them. A norm that is
    infinite or NaN goes into the gradients unless `error_if_nonfinite`, which raises RuntimeError.

    Raises TypeError or ValueError if an option is not a number, TypeError if one of `parameters` is
    not a Parameter or a gradient not an array, RuntimeError if it is read-only or of integers, or
    empty and without such a norm; then nothing was changed. Warns when `parameters` is an empty
    generator. Like
    https://docs.pytorch.org/docs/2.13/generated/torch.nn.utils.clip_grad_norm_.html.
    """
    norm_type, max_norm = as_float("norm_type", norm_type), as_float("max_norm", max_norm)
    grads = check_clipped(parameters)
    if not grads:
        return np.float32(0)
    # The norm of the norms of the single gradients is the norm of all numbers.
    total_norm = _norm(np.array([_norm(grad, norm_type) for grad in grads]), norm_type)
    if error_if_nonfinite and not np.isfinite(total_norm):
        raise RuntimeError(
            f"parameters: expected gradients of a finite norm of order {norm_type}, got "
            f"{total_norm}; error_if_nonfinite=False scales them anyway"
        )
    # grad = grad · min(max_norm / (total_norm + 1e-6), 1)  (4.1)
    scale = np.minimum(max_norm / (total_norm + 1e-6), 1.0)
    for grad in grads:
        grad *= scale
    return total_norm


def _norm(a: Array, p: float) -> Any:
    """(Σ |a|^p)^(1/p) over all entries, with its limits for p = ±∞ and 0."""
    if a.size == 0 and (p < 0 or p == math.inf):
        raise RuntimeError(
            f"norm_type: expected p from 0 to below inf, as a gradient is empty, got {p}"
        )
    a = np.abs(a)
    dtype = a.dtype.type
    if p == 0:
        return dtype(np.count_nonzero(a))
    if p == math.inf or a.size == 1:  # as in PyTorch, of one number not even its square is taken
        return a.max()
    if p == -math.inf:
        return a.min()
    a = widened(a)
    return dtype(np.sqrt(np.vdot(a, a)) if p == 2 else (a**p).sum() ** (1 / p))
