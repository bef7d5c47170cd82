"""The module under test, in float64, with what it answers and what its backward pass claims."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..machinery import nests
from ..machinery.module import Array, Module, describe
from . import signature
from .foreign.copies import Kept
from .narrowing import narrowing_line
from .raised import NOT_OWN, asked
from .raised import ModuleRaised as ModuleRaised
from .raised import NotCheckable as NotCheckable

STATE_ARGUMENT = re.compile(r"state|hidden|prev|init|^[hca](x|_?0|_?t)?$", re.IGNORECASE)
TARGET_ARGUMENT = re.compile(r"^(targets?|labels?|y|y_true|expected)$", re.IGNORECASE)


# From the checked arrays by name to all answers, one behind the other.
Function = Callable[[dict[str, Array]], Array]


# What one backward pass returned and added, by name; None where nothing came.
Claims = dict[str, Any]


def astype(module: Module, dtype: Any) -> Module:
    """A copy in `dtype`, also of a module that has no `astype`.

    Arrays that are one with a parameter's, or a part of it, are so in the copy.
    """
    own = getattr(type(module), "astype", Module.astype)
    if own is not Module.astype:
        with asked():
            converted: Module = module.astype(dtype)
        return converted
    kept = Kept({"module": module})
    data = [parameter.data for parameter in module.parameters()]
    kept.arrays = [a for a in kept.arrays if any(np.may_share_memory(a, d) for d in data)]
    twin: Module = kept.copied(dtype)[0]["module"]
    for parameter in twin.parameters():
        parameter.grad = None
    return twin


def attributes(module: Any) -> list[tuple[str, Any]]:
    """What the module and the modules below it hold, by the way to it."""
    modules = module.named_modules() if hasattr(module, "named_modules") else [("", module)]
    return [(f"{prefix}.{name}".lstrip("."), value)
            for prefix, part in modules for name, value in vars(part).items()]  # fmt: skip


def generators(module: Any) -> list[np.random.Generator]:
    return [value for _, value in attributes(module) if isinstance(value, np.random.Generator)]


class CodeUnderTest:
    """A module and inputs in float64, a random upstream gradient, and what the module does.

    If the caller gives no state and the module takes one, a random one is given: at zero, a
    backward pass that forgets the state can look right.
    """

    def __init__(self, module: Module, inputs: tuple[Any, ...], seed: int) -> None:
        for name in ("forward", "backward", "parameters"):
            if not callable(getattr(module, name, None)) or not callable(module):
                raise NotCheckable(
                    f"module: expected __call__, forward, backward and parameters, got "
                    f"{describe(module)} without {name}"
                )
        self.original = module
        # Not the numbers that a caller gets from the same seed: an upstream gradient equal to the
        # input would make Σ grad_y xᵀ symmetric, and a transposed one look right.
        self.rng = np.random.default_rng([seed, 0x67726164])
        self.module = astype(module, np.float64)
        self.parameters = dict(self._named_parameters(self.module))
        self.guarded = True  # whether passes run on copies, as they change what they are given
        self._random_states = [g.bit_generator.state for g in generators(self.module)]
        self.random = False
        self.zero_start = False  # whether backward needs .grad to be an array of zeros
        self.inputs: tuple[Any, ...] = nests.as_dtype(tuple(inputs), np.float64)
        self.lenient = bool(getattr(module, "lenient", False))  # see `Foreign`
        if not nests.float_arrays(self.inputs) and not self.lenient:
            raise NotCheckable("inputs: expected at least one floating point array")

        self.answers = self._first_answers()
        self.inputs = self._with_state()
        self.answers = self.call()
        self.splits = signature.splits_answers(module, self.answers)
        self.is_cell = signature.is_cell(module, self.inputs, self.answers)
        self.answer_leaves = nests.float_arrays(self.answers)
        self.answer_names = signature.answer_names(module, self.inputs, self.answers, self.is_cell)
        self._check_answers()
        size = nests.vector(self.answers).size
        self.upstream: Array = self.rng.standard_normal(size)
        if getattr(module, "upstream", None) is not None:
            self.upstream = np.ones(size)  # the module takes none: it starts from its own loss
        self.input_names = signature.input_names(module, self.inputs, self.is_cell)
        self.claimed = getattr(module, "claimed", None)  # None: everything is claimed
        self.checked_inputs = self._checked_inputs()
        self.guarded = self._changes_something()

    # What the module is asked

    def function(self, dtype: DTypeLike) -> Function:
        """The forward pass, in a copy of the module, as a function of the arrays in `values`."""
        module = astype(self.module, dtype)
        slots = self._named_parameters(module)
        inputs = dict(zip(self.input_names, nests.float_arrays(self.inputs), strict=True))
        here = inputs | {name: parameter.data.copy() for name, parameter in slots}

        def answers(values: dict[str, Array]) -> Array:
            arrays = here | values
            if self.guarded:
                arrays = {name: array.copy() for name, array in arrays.items()}
            for name, parameter in slots:
                parameter.data[...] = arrays[name]
            given = [arrays[name] for name in self.input_names]
            self._rewind(module)
            with asked():
                return nests.vector(module(*nests.with_arrays(self.inputs, given)))

        return answers

    def call(self, inputs: Any = None) -> Any:
        """The answers; to other inputs, if some are given."""
        inputs = self.inputs if inputs is None else inputs
        self._rewind(self.module)
        with self.kept(inputs) if self.guarded else asked():
            answers = self.module(*inputs)
            return copy.deepcopy(answers) if self.guarded else answers

    def forward(self, inputs: Any = None) -> Any:
        """The record."""
        inputs = self.inputs if inputs is None else inputs
        self._rewind(self.module)
        with self.kept() if self.guarded else asked():
            return self.module.forward(*(copy.deepcopy(inputs) if self.guarded else inputs))

    def backward(self, record: Any, upstream: Array, answers: Any = None) -> Any:
        """What backward returns; parameters get their `.grad`."""
        with self.kept(doing="backward") if self.guarded else asked("backward"):
            return self.module.backward(record, *self.grad_answers(upstream, answers))

    def _rewind(self, module: Module) -> None:
        """Set the module's random generators back, so that every pass draws the same numbers."""
        if self.random:
            for generator, state in zip(generators(module), self._random_states, strict=True):
                generator.bit_generator.state = state
            if self._draws_globally:
                np.random.set_state(self._global_state)  # noqa: NPY002 -- what others' code may use

    def watched(self, inputs: Any = None) -> list[Array]:
        """The arrays that no pass may change: inputs, then parameters."""
        inputs = self.inputs if inputs is None else inputs
        return [*nests.float_arrays(inputs), *(p.data for p in self.parameters.values())]

    @contextmanager
    def kept(self, inputs: Any = None, doing: str = "the call") -> Iterator[None]:
        """Puts back what a pass changes in its inputs and parameters."""
        arrays = self.watched(inputs)
        saved = [array.copy() for array in arrays]
        try:
            with asked(doing):
                yield
        finally:
            for array, before in zip(arrays, saved, strict=True):
                if array.flags.writeable:
                    array[...] = before

    def _changes_something(self) -> bool:
        """Whether a pass changes its inputs or the parameters."""
        before = [array.tobytes() for array in self.watched()]
        with self.kept():
            self.guarded = False
            self.call()
            with suppress(ModuleRaised):  # `claims` will say so, when it is asked
                self.claims()
            return before != [array.tobytes() for array in self.watched()]

    def grad_answers(self, upstream: Array, answers: Any = None) -> tuple[Any, ...]:
        """`upstream` in the structure that backward takes it in."""
        answers = self.answers if answers is None else answers
        parts = nests.split(upstream, nests.float_arrays(answers))
        grads = nests.with_arrays(answers, iter([part.copy() for part in parts]))
        return tuple(grads) if self.splits else (grads,)

    def claims(
        self, upstream: Array | None = None, inputs: Any = None, answers: Any = None
    ) -> Claims:
        """The gradients of a fresh forward and backward pass, from `.grad` None."""
        upstream = self.upstream if upstream is None else upstream
        inputs = self.inputs if inputs is None else inputs
        self.clear()
        record = self.forward(inputs)
        try:
            returned = self.backward(record, upstream, answers)
        except ModuleRaised as error:
            if self.zero_start or not isinstance(error.raised, TypeError | AttributeError):
                raise
            try:
                self.zero_start = True
                return self.claims(upstream, inputs, answers)
            except ModuleRaised:
                self.zero_start = False
                raise error from None
        return self.collect(returned, inputs)

    def clear(self) -> None:
        for parameter in self.parameters.values():
            parameter.grad = np.zeros_like(parameter.data) if self.zero_start else None

    def collect(self, returned: Any, inputs: Any = None) -> Claims:
        """The gradients by name: those that backward returned, and those in .grad."""
        found = signature.align(self.inputs if inputs is None else inputs, returned)
        came = dict(zip(self.input_names, found, strict=False))
        grads = {name: numbers(name, came.get(name)) for name in self.checked_inputs}
        for name, parameter in self.parameters.items():
            if self.claimed is None or name in self.claimed:
                grads[name] = None if parameter.grad is None else np.array(parameter.grad)
        return grads

    # What is known of it

    @property
    def values(self) -> dict[str, Array]:
        """The arrays whose gradients are checked, by name."""
        unclaimed = {*self.unclaimed, *self.input_names} - {*self.checked_inputs}
        return {name: array for name, array in self._named_arrays.items() if name not in unclaimed}

    @property
    def unclaimed(self) -> dict[str, Array]:
        """The arrays on which the answers depend and whose gradients were never claimed."""
        if self.claimed is None:
            return {}
        arrays = self._named_arrays.items()
        return {name: array for name, array in arrays if name not in self.claimed}

    @property
    def _named_arrays(self) -> dict[str, Array]:
        """Inputs, then parameters."""
        found = dict(zip(self.input_names, nests.float_arrays(self.inputs), strict=False))
        return found | {name: p.data for name, p in self.parameters.items()}

    def nearby_inputs(self) -> Any:
        """Other numbers, near those of the inputs; what gets no gradient stays as it is."""
        leaves = dict(zip(self.input_names, nests.float_arrays(self.inputs), strict=True))
        for name in self.checked_inputs:
            leaves[name] = leaves[name] + 0.1 * self.rng.standard_normal(leaves[name].shape)
        return nests.with_arrays(self.inputs, iter(leaves.values()))

    def plain_arrays(self) -> list[str]:
        """The attributes of a person's own module that are arrays of floats, and stay as they are.

        What a pass on other inputs changes is left out: it is remembered, and not learned.
        """
        if type(self.original).__module__.startswith(__package__.partition(".")[0] + "."):
            return []
        before = copy.deepcopy(dict(attributes(self.module)))
        self.forward(self.nearby_inputs())
        return [
            name
            for name, array in attributes(self.module)
            if isinstance(array, np.ndarray) and nests.is_inexact(array)
            and np.array_equal(before.get(name, ()), array)
        ]  # fmt: skip

    @staticmethod
    def _named_parameters(module: Any) -> list[tuple[str, Any]]:
        if hasattr(module, "named_parameters"):
            return list(module.named_parameters())
        return [(f"parameter {k}", p) for k, p in enumerate(module.parameters())]

    def _first_answers(self) -> Any:
        """The answers; finds out whether a pass draws random numbers.

        Two calls that agree do not prove that it draws none: a mask of few units can fall twice the
        same way.
        """
        self._global_state = np.random.get_state()  # noqa: NPY002 -- what others' code may use
        answers = self.call()
        states = [g.bit_generator.state for g in generators(self.module)]
        self._draws_globally = not _same_state(self._global_state, np.random.get_state())  # noqa: NPY002
        self.random = self._draws_globally or str(states) != str(self._random_states)
        return self.call() if self.random else answers

    def narrowing(self) -> str:
        """The line after which numbers are float32, for a message; empty if none is seen."""
        line = narrowing_line(self.call, NOT_OWN)
        return f", at {line}" if line else ""

    @property
    def repeatable(self) -> bool:
        return same(self.call(), self.call())

    def _with_state(self) -> tuple[Any, ...]:
        missing = signature.positional(self.module.forward)[len(self.inputs) :]
        if not missing or not STATE_ARGUMENT.search(missing[0]):
            return self.inputs
        # A cell answers with the state itself, a layer with an output and the state.
        candidates = [self.answers]
        if signature.splits_answers(self.module, self.answers) and len(self.answers) == 2:
            pair = signature.is_cell(self.module, self.inputs, self.answers)
            candidates = [self.answers, self.answers[1]] if pair else [self.answers[1]]
        for state in candidates:
            arrays = nests.float_arrays(state)
            values = [0.5 * self.rng.standard_normal(array.shape) for array in arrays]
            for more in ((nests.with_arrays(state, iter(values)),), tuple(values)):
                if len(more) <= len(missing) and self._accepts((*self.inputs, *more)):
                    return (*self.inputs, *more)
        return self.inputs

    def _accepts(self, inputs: tuple[Any, ...]) -> bool:
        try:
            answers = nests.float_arrays(self.call(inputs))
        except ModuleRaised:
            return False
        return [a.shape for a in answers] == [a.shape for a in nests.float_arrays(self.answers)]

    def _checked_inputs(self) -> list[str]:
        if self.claimed is not None:
            return [name for name in self.input_names if name in self.claimed]
        count = len(nests.float_arrays(self.inputs[0])) if self._only_first() else None
        return self.input_names[:count]

    def _only_first(self) -> bool:
        """Whether this is a loss, which returns the gradient of the prediction alone."""
        arguments = signature.positional(self.module.forward)
        scalar = all(leaf.ndim == 0 for leaf in self.answer_leaves)
        return scalar or (len(arguments) > 1 and bool(TARGET_ARGUMENT.match(arguments[1])))

    def _check_answers(self) -> None:
        if not self.answer_leaves:
            raise NotCheckable(
                f"answers: expected floating point arrays, got {describe(self.answers)}"
            )
        for name, leaf in zip(self.answer_names, self.answer_leaves, strict=True):
            if leaf.dtype != np.float64:
                raise NotCheckable(
                    f"{name}: expected float64, as parameters and inputs are float64 here, got "
                    f"{leaf.dtype}. Something inside casts{self.narrowing()}; differences in "
                    f"{leaf.dtype} are too coarse to judge a gradient. Compute in the dtype of the "
                    f"input"
                )
            if not np.isfinite(leaf).all():
                raise NotCheckable(f"{name}: expected finite numbers, got infinity or NaN")


def numbers(name: str, grad: Any) -> Any:
    """The gradient that backward returned for `name`; NotCheckable if it holds no numbers."""
    try:
        _ = None if grad is None else np.isfinite(grad)
    except Exception:  # of NumPy, or of what was returned
        got = grad.item() if getattr(grad, "shape", None) == () else grad
        raise NotCheckable(
            f"backward: expected the gradient of {name} as an array, got {describe(got)}; of a "
            f"module, it returns the gradients of the inputs in their order"
        ) from None
    return grad


def same(a: Any, b: Any) -> bool:
    """Whether the float arrays of two nests are equal, byte for byte."""
    return [x.tobytes() for x in nests.float_arrays(a)] == [
        x.tobytes() for x in nests.float_arrays(b)
    ]


def _same_state(a: Any, b: Any) -> bool:
    return a[2:] == b[2:] and np.array_equal(a[1], b[1])
