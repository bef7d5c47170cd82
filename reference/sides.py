"""One pass of either side on the same inputs: its answers and its gradients."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn.modules.loss import _Loss
from torch.nn.utils.rnn import PackedSequence as TorchPacked

from scratch.machinery.module import Array, Module, describe
from scratch.machinery.nests import flatten, is_inexact, map_leaves
from scratch.machinery.packing import PackedSequence

from .own_weights import vars_with_grad
from .refusals import check_tensor
from .twin import to_numpy, to_torch

LAYERS = (torch.nn.RNNBase,)
CELLS = (torch.nn.RNNCellBase,)


# Nests of arrays: tuples, and packed sequences, whose array is their data


def map_arrays(function: Callable[[Any], Any], nest: Any) -> Any:
    """`nest` with `function` applied to every array or tensor in it; None stays None."""
    return map_leaves(lambda leaf: None if leaf is None else function(leaf), nest)


def as_numpy(value: Any) -> Any:
    """`value` with every tensor in it as an array and every packed sequence as scratch's."""
    if isinstance(value, TorchPacked):
        return PackedSequence(*(as_numpy(field) for field in tuple(value)))
    if isinstance(value, torch.Tensor):
        if value.is_floating_point():
            check_tensor("input", value)
        return to_numpy(value)
    if isinstance(value, tuple | list) and not isinstance(value, PackedSequence):
        return tuple(as_numpy(entry) for entry in value)
    return value


def as_tensors(value: Any, like: torch.Tensor | None) -> Any:
    """`value` with every array in it as a tensor; floats in the dtype of `like`, on its device."""
    if isinstance(value, PackedSequence):
        data, *rest = tuple(value)
        return TorchPacked(as_tensors(data, like), *(as_tensors(field, None) for field in rest))
    if isinstance(value, tuple | list):
        return tuple(as_tensors(entry, like) for entry in value)
    if not isinstance(value, np.ndarray | np.generic):
        return value
    tensor = to_torch(np.asarray(value))
    if like is None:
        return tensor
    return tensor.to(like.device, like.dtype if tensor.is_floating_point() else None)


def floats_in(tensors: Any) -> list[torch.Tensor]:
    """Those of floats, which from here on have gradients."""
    leaves = [leaf for leaf in flatten(tensors) if isinstance(leaf, torch.Tensor)]
    return [leaf.requires_grad_() for leaf in leaves if leaf.is_floating_point()]


class Theirs:
    """The torch module itself, run on the inputs. Its .grad and its buffers stay as they are."""

    def __init__(self, module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        before = torch.get_rng_state()
        self.module = module
        self.parameters = {n: p for n, p in module.named_parameters() if p.is_floating_point()}
        like = next(iter(self.parameters.values()), None)
        if like is not None:
            check_tensor("torch module", like)
        tensors = as_tensors(inputs, like)
        self.takes_state = isinstance(module, LAYERS + CELLS)
        if self.takes_state:
            tensors = tensors[0], self._state(*tensors)
        self.inputs = tensors
        self.input_names = self._names_of_inputs()
        # The target of a loss has no gradient.
        self.leaves = floats_in(tensors[:1] if isinstance(module, _Loss) else tensors)
        with copied_buffers(module):
            self.answers = module(*tensors)
        if not torch.equal(torch.get_rng_state(), before):
            torch.set_rng_state(before)
            raise ValueError(
                f"{type(module).__name__}: draws random numbers, which differ on either side: "
                f"compare after .eval(), where dropout drops nothing"
            )
        self.answer_names = self._names_of_answers()

    def gradients(self, upstream: list[Array]) -> dict[str, Array]:
        """Of the inputs and the parameters, by name, for the gradients of the first answers."""
        pairs = [
            (answer, torch.as_tensor(np.asarray(grad)).to(answer.device, answer.dtype))
            for answer, grad in zip(flatten(self.answers), upstream, strict=False)
            if answer.requires_grad
        ]
        if not pairs:
            raise ValueError(f"{type(self.module).__name__}: its answers depend on nothing")
        wanted = dict(zip(self.input_names, self.leaves, strict=False))
        frozen = {n for n, p in self.parameters.items() if not p.requires_grad}
        wanted |= {n: p for n, p in self.parameters.items() if n not in frozen}
        grads = torch.autograd.grad(
            [answer for answer, _ in pairs],
            list(wanted.values()),
            [grad for _, grad in pairs],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return {name: to_numpy(grad) for name, grad in zip(wanted, grads, strict=True)}

    def _state(self, x: Any, *given: Any) -> Any:
        """The state as the module takes it: that of `given`, or zeros."""
        with torch.no_grad():
            answers = self.module(x)
        expected = answers if isinstance(self.module, CELLS) else answers[1]
        states = [s for s in flatten(tuple(given)) if s is not None]
        if not states:
            return map_arrays(torch.zeros_like, expected)
        shapes = flatten(expected)
        if len(states) == len(shapes) and all(
            s.numel() == e.numel() for s, e in zip(states, shapes, strict=True)
        ):
            states = [s.reshape(e.shape) for s, e in zip(states, shapes, strict=True)]
        return tuple(states) if isinstance(expected, tuple) else states[0]

    def _names_of_inputs(self) -> list[str]:
        if isinstance(self.module, LAYERS + CELLS):
            ending = "0" if isinstance(self.module, LAYERS) else "prev"
            return ["x", *(f"{s}_{ending}" for s in "hc"[: len(flatten(self.inputs[1]))])]
        if isinstance(self.module, _Loss):
            return ["prediction"]
        return ["x", *(f"input {k}" for k in range(1, len(flatten(self.inputs))))]

    def _names_of_answers(self) -> list[str]:
        count = len(flatten(self.answers))
        if isinstance(self.module, LAYERS):
            return ["output", "h_n", "c_n"][:count]
        if isinstance(self.module, CELLS):
            return ["h", "c"][:count]
        if isinstance(self.module, _Loss):
            return ["loss"]
        return ["output"] if count == 1 else [f"answer {k}" for k in range(count)]


@contextmanager
def copied_buffers(module: torch.nn.Module) -> Iterator[None]:
    """Runs on copies of the buffers, such as the running means of a BatchNorm."""
    own = [part._buffers for part in module.modules()]
    kept = [dict(buffers) for buffers in own]
    for buffers in own:
        buffers.update({n: None if b is None else b.clone() for n, b in buffers.items()})
    try:
        yield
    finally:
        for buffers, before in zip(own, kept, strict=True):
            buffers.update(before)


# What the argument of backward is called that takes what forward remembered.
CACHE = re.compile(r"\w*cache|ctx|context|record|memory|saved|steps|tape", re.IGNORECASE)


class Mine:
    """A module of scratch, or an object of a person's own with forward and backward, run.

    `inputs` are those that it was called with: of the forms that its forward may take a state in,
    the first that gives answers of the shapes of `expected`. `cached`: whether it answers with a
    cache behind its answers, as in `h, cache = rnn.forward(x)` and `rnn.backward(grad_h, cache)`.
    """

    def __init__(self, module: Any, inputs: tuple[Any, ...], expected: list[Any] | None) -> None:
        self.module = module
        self.inputs, self.cached = inputs, False
        if expected is None:
            self.answers = self.call(inputs)
            return
        shapes = [tuple(e.shape) for e in expected]
        fits: list[tuple[int, Any, bool, Any]] = []
        error: Exception | None = None
        for form in forms(module, inputs):
            try:
                returned = self.call(form)
            except Exception as raised:  # a form of the state that this class does not take
                if error is None or isinstance(error, TypeError):  # of too many arguments
                    error = raised
                continue
            for cached, answers in readings_of(returned):
                # A cache is what is left over: nothing is one that is an answer but for its axes.
                fits.append((2 * misfit(answers, shapes) + 3 * cached, form, cached, answers))
            if any(fit[0] == 0 for fit in fits):
                break
        if not fits:
            assert error is not None
            raise error
        _, self.inputs, self.cached, self.answers = min(fits, key=lambda fit: fit[0])
        wrong = [a for a in flatten(self.answers) if not _is_answer(a)]
        if wrong:
            raise TypeError(
                f"mine: expected a forward that answers with arrays of floats, or with them and a "
                f"cache, got {describe(wrong[0])} among its answers"
            )

    def call(self, inputs: tuple[Any, ...]) -> Any:
        if self._is_called:
            return self.module(*inputs)
        return _answers_of(self.module.forward(*inputs))

    @property
    def _is_called(self) -> bool:
        own = type(self.module).__call__ if callable(self.module) else Module.__call__
        return own is not Module.__call__

    def gradients(self, upstream: Any) -> tuple[list[Any], int]:
        """Those of the inputs, in their order, and how many answers got one from `upstream`."""
        weights = [p for p in vars_with_grad(self.module) if hasattr(p, "add_grad")]
        for zeros in (False, True):  # a class may only know `.grad += …`
            for parameter in weights:
                parameter.grad = np.zeros_like(parameter.data) if zeros else None
            try:
                record = self.module.forward(*self.inputs)
                returned, used = self._backward(record, upstream)
                break
            except TypeError:
                if zeros or not weights:
                    raise
        return flatten(tuple(returned) if isinstance(returned, list) else returned), used

    def _backward(self, record: Any, upstream: Any) -> tuple[Any, int]:
        backward = self.module.backward
        takes = positional(backward)
        if takes == 0:
            raise TypeError("mine: expected a backward that takes the gradients of the answers")
        parts = upstream if isinstance(upstream, tuple) else (upstream,)
        count = len(flatten(upstream))
        if self.cached:
            grads = parts if takes is None else parts[: takes - 1]
            if takes == count + 1:  # h and c one by one
                grads = tuple(flatten(upstream))
            first, cache = next(iter(inspect.signature(backward).parameters), ""), record[-1]
            given = (cache, *grads) if CACHE.fullmatch(first) else (*grads, cache)
            return backward(*given), len(flatten(grads))
        if not self._is_called and _answers_of(record) is record and takes is not None:
            if takes < len(parts):  # the record is kept inside
                return backward(*parts[:takes]), len(flatten(parts[:takes]))
            if takes == len(parts):
                return backward(*parts), count
        if takes == 2:
            return backward(record, upstream), count
        return backward(record, *parts), count


def misfit(answers: Any, shapes: list[tuple[int, ...]]) -> int:
    """0 for answers of the first of these shapes, 1 but for axes of length 1, 2 for other arrays.

    4 for what is not arrays, or more of them.
    """
    leaves = flatten(answers)
    if len(leaves) > len(shapes) or not all(map(_is_answer, leaves)):
        return 4
    found = [np.shape(leaf) for leaf in leaves]
    if found == shapes[: len(found)]:
        return 0
    alike = [_squeeze(s) for s in found] == [_squeeze(s) for s in shapes][: len(found)]
    return 1 if alike else 2


def _is_answer(leaf: Any) -> bool:
    return is_inexact(leaf) or isinstance(leaf, torch.Tensor)


def readings_of(returned: Any) -> Iterator[tuple[bool, Any]]:
    """What was returned as answers; and with a cache behind them, where it may be one."""
    yield False, returned
    if isinstance(returned, tuple) and not hasattr(returned, "_fields") and len(returned) > 1:
        yield True, returned[0] if len(returned) == 2 else returned[:-1]


def forms(module: Any, inputs: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The inputs as they are, and the state in the other forms that classes take it in."""
    yield inputs
    takes = positional(module.forward)
    x, *state = inputs
    states = flatten(tuple(state))
    if not state or any(s is None or not isinstance(s, np.ndarray) for s in states):
        return
    thin = [s[0] if s.ndim == 3 and len(s) == 1 else s for s in states]
    for arrays in (thin, states):
        yield x, tuple(arrays) if len(arrays) > 1 else arrays[0]
        if takes is None or takes > len(arrays):
            yield x, *arrays
        if len(arrays) > 1 and not arrays[1].any():  # a class whose c starts at zero
            yield x, arrays[0]
    yield (x,)


def positional(function: Callable[..., Any]) -> int | None:
    """How many arguments a bound method takes by position; None where it takes any number."""
    kinds = [p.kind for p in inspect.signature(function).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return None
    return sum(
        k in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for k in kinds
    )


def _answers_of(record: Any) -> Any:
    """The answers in what forward returns: by the names of the one rule, or the whole."""
    if hasattr(record, "output"):
        states = tuple(getattr(record, n) for n in ("h_n", "c_n") if hasattr(record, n))
        if not states:
            return record.output
        return record.output, states if len(states) > 1 else states[0]
    return record.value if hasattr(record, "value") else record


def _squeeze(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)
