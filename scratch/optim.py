"""Adam, and the clipping of gradients by their norm."""

from __future__ import annotations

import math
import types
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .machinery.adam_state import (
    MOMENTS,
    OPTIONS,
    Slot,
    check_names,
    check_shapes,
    check_steps,
    lay_out,
    moments,
    neighbours,
)
from .machinery.module import Array, Parameter, describe, without_warnings


class Adam:
    """Adam (Kingma & Ba 2015, Algorithm 1), with the variants of `torch.optim.Adam`.

    `lr`: the step size α. `betas`: β1 and β2, two floats within [0, 1). `eps`: ε.
    `weight_decay`: λ, of the L2 penalty that is added to the gradient or, if
    `decoupled_weight_decay`, of the decay of the parameter itself (Loshchilov & Hutter 2019).
    `amsgrad`: divide by the largest v so far (Reddi et al. 2018). `maximize`: go up, not down.
    They are attributes; a schedule assigns to `lr` between steps.

    Raises TypeError when `params` is no iterable of parameters, ValueError when it is empty or an
    option is out of its range; warns when a parameter comes twice, and takes it once. Like
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
        _check_options(lr, betas, eps, weight_decay)
        self._slots = lay_out(_check_params(params))
        self.lr, self.betas, self.eps = lr, betas, eps
        self.weight_decay, self.decoupled_weight_decay = weight_decay, decoupled_weight_decay
        self.amsgrad, self.maximize = amsgrad, maximize

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; one whose gradient is `None` is skipped.

        `closure`, if given, is called first, and what it returns is returned. Raises TypeError
        when a gradient is no array, RuntimeError when it has not the shape and dtype of its
        parameter, or a parameter is read-only; then nothing was changed.
        """
        loss = None if closure is None else closure()
        for slot in self._slots:
            slot.check()
        for slots in neighbours(self._slots):
            self._update(slots)
        return loss

    @without_warnings
    def _update(self, slots: list[Slot]) -> None:
        lr, eps, weight_decay = float(self.lr), float(self.eps), float(self.weight_decay)
        beta1, beta2 = (float(beta) for beta in self.betas)
        t = slots[0].step + 1
        for slot in slots:
            slot.step = t
        state = slots[0].state
        m, v, v_max, g, scratch = state.real_rows(slots[0].start, slots[-1].stop)

        state.gather([slot.parameter.grad for slot in slots if slot.parameter.grad is not None], g)
        if self.maximize:
            np.negative(g, out=g)
        if weight_decay and self.decoupled_weight_decay:
            # θ = θ − α λ θ
            for slot in slots:
                slot.parameter.data *= 1 - lr * weight_decay
        elif weight_decay:
            # g = g + λ θ
            state.gather([slot.parameter.data for slot in slots], scratch)
            scratch *= weight_decay
            g += scratch
        # m = β1 m + (1 − β1) g
        m *= beta1
        m += np.multiply(g, 1 - beta1, out=scratch)
        # v = β2 v + (1 − β2) g²
        v *= beta2
        g *= g
        v += np.multiply(g, 1 - beta2, out=g)
        if self.amsgrad:
            # v = v_max = max(v_max, v)
            v = np.maximum(v_max, v, out=v_max)
        # θ = θ − α m̂ / (√v̂ + ε)  with  m̂ = m / (1 − β1^t)  and  v̂ = v / (1 − β2^t)
        np.sqrt(v, out=scratch)
        scratch /= math.sqrt(1 - beta2**t)
        scratch += eps
        np.divide(m, scratch, out=scratch)
        scratch *= lr / (1 - beta1**t)
        for slot in slots:
            slot.parameter.data -= slot.row("scratch")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set every gradient to `None`, or to zeros in place."""
        for slot in self._slots:
            slot.parameter.zero_grad(set_to_none)

    # Saving and loading

    def state_dict(self) -> dict[str, Array]:
        """A copy of the options and of what the steps of every parameter left behind, as arrays.

        `np.savez(file, **state)` saves it and `np.load(file)` reads it. Of the first parameter,
        "0.step" is t, "0.exp_avg" m, "0.exp_avg_sq" v and "0.max_exp_avg_sq" the largest v; a
        parameter that has taken no step has none of these.
        """
        options = {name: getattr(self, name) for name in OPTIONS}
        state = {name: np.array(value, OPTIONS[name]) for name, value in options.items()}
        state["parameters"] = np.array(len(self._slots))
        for i, slot in enumerate(self._slots):
            if slot.step:
                state[f"{i}.step"] = np.array(slot.step)
                for name in moments(self.amsgrad):
                    state[f"{i}.{name}"] = slot.row(name).copy()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Array]) -> None:
        """Take over the options and the state of another Adam, so that its run goes on exactly.

        Arrays are cast to the parameters' dtypes. Raises TypeError when `state_dict` is no mapping,
        KeyError when names are missing or unexpected, ValueError for another number of parameters
        and for an option or a step out of its range, RuntimeError for another shape or kind of
        number. Everything of one kind that is wrong stands in one message, and then nothing has
        been changed.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict: expected a dict of arrays, got {describe(state_dict)}")
        state = {name: np.asarray(value) for name, value in state_dict.items()}
        check_names(state, len(self._slots))
        check_shapes(state, self._slots)
        check_steps(state)
        lr, betas, eps, weight_decay, amsgrad, maximize, decoupled = (
            state[name].tolist() for name in OPTIONS
        )
        _check_options(lr, betas, eps, weight_decay)

        self.lr, self.betas, self.eps = lr, tuple(betas), eps
        self.weight_decay, self.decoupled_weight_decay = weight_decay, decoupled
        self.amsgrad, self.maximize = amsgrad, maximize
        for i, slot in enumerate(self._slots):
            slot.step = int(state.get(f"{i}.step", 0))
            for name in MOMENTS:
                slot.row(name)[...] = state.get(f"{i}.{name}", 0)


def _check_params(params: Iterable[Parameter]) -> list[Parameter]:
    if isinstance(params, Parameter) or not isinstance(params, Iterable):
        raise TypeError(f"params: expected an iterable of Parameters, got {describe(params)}")
    parameters: list[Any] = list(params)
    if not parameters:
        raise ValueError("params: expected at least one Parameter, got an empty list")
    named = [isinstance(entry, tuple) and len(entry) == 2 for entry in parameters]
    if any(named) and not all(named):
        raise ValueError("params: expected all of them with a name or none, got a mixture")
    if any(named):
        parameters = [parameter for _, parameter in parameters]
    for parameter in parameters:
        if not isinstance(parameter, Parameter):
            raise TypeError(f"params: expected Parameters, got {describe(parameter)} among them")
    distinct = list(dict.fromkeys(parameters))
    if len(distinct) != len(parameters):
        warnings.warn("params: a parameter comes twice; expected each once", stacklevel=3)
    return distinct


def _check_options(lr: Any, betas: Any, eps: Any, weight_decay: Any) -> None:
    _check_at_least_zero("lr", lr)
    _check_at_least_zero("eps", eps)
    _check_at_least_zero("weight_decay", weight_decay)
    if not isinstance(betas, tuple | list):
        raise TypeError(f"betas: expected two floats, got {describe(betas)}")
    for i in (0, 1):
        if i >= len(betas):
            raise IndexError(f"betas: expected two floats, got {len(betas)}")
        _check_at_least_zero(f"betas[{i}]", betas[i])
        if not isinstance(betas[i], float) or not betas[i] < 1:
            raise ValueError(
                f"betas[{i}]: expected a float from 0.0 to below 1.0, got {describe(betas[i])}"
            )


def _check_at_least_zero(name: str, value: Any) -> None:
    try:
        in_range = value >= 0.0
    except TypeError:
        raise TypeError(f"{name}: expected a number, got {describe(value)}") from None
    if not in_range:
        raise ValueError(f"{name}: expected a number of at least 0, got {value}")


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
    the norm before, a NumPy scalar. A norm that is infinite or NaN goes into the gradients unless
    `error_if_nonfinite`, which raises RuntimeError.

    Raises TypeError or ValueError for what is no number, AttributeError for what is no Parameter,
    RuntimeError for a norm that an empty gradient does not have; warns when `parameters` is an
    empty generator. Like
    https://docs.pytorch.org/docs/2.13/generated/torch.nn.utils.clip_grad_norm_.html.
    """
    norm_type, max_norm = _as_float("norm_type", norm_type), _as_float("max_norm", max_norm)
    grads = [p.grad for p in _check_clipped(parameters) if p.grad is not None]
    if not grads:
        return np.float32(0)
    # The norm of the norms of the single gradients is the norm of all numbers.
    total_norm = _norm(np.array([_norm(grad, norm_type) for grad in grads]), norm_type)
    if error_if_nonfinite and not np.isfinite(total_norm):
        raise RuntimeError(
            f"parameters: expected gradients of a finite norm of order {norm_type}, got "
            f"{total_norm}; error_if_nonfinite=False scales them anyway"
        )
    # grad = grad · min(max_norm / (total_norm + 1e-6), 1)
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
    if p == 2:
        return np.sqrt(np.vdot(a, a))
    if p == math.inf:
        return a.max()
    if p == -math.inf:
        return a.min()
    if p == 0:
        return a.dtype.type(np.count_nonzero(a))
    return (a**p).sum() ** (1 / p)


def _check_clipped(parameters: Parameter | Iterable[Parameter]) -> list[Parameter]:
    if isinstance(parameters, Parameter):
        return [parameters]
    if not isinstance(parameters, Iterable):
        raise TypeError(f"parameters: expected Parameters, got {describe(parameters)}")
    listed = list(parameters)
    if isinstance(parameters, types.GeneratorType) and not listed:
        warnings.warn(
            "parameters: expected Parameters, got an empty generator; nothing is clipped",
            stacklevel=4,
        )
    for parameter in listed:
        if not isinstance(parameter, Parameter):
            raise AttributeError(
                f"parameters: expected Parameters, got {describe(parameter)} among them"
            )
    return listed


def _as_float(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: expected a number, got {describe(value)}") from None
