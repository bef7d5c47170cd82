"""Parameter and Module: what a layer is made of before it computes anything.

Everything that computes in this package is a `Module` and obeys one rule:

    answers = module(*inputs)                        # what torch.nn returns; nothing is remembered
    record  = module.forward(*inputs)                # the same pass, with everything it computed
    grads   = module.backward(record, *grad_answers) # the gradients of what went in

A module keeps its parameters and nothing of a pass: the record does that. Gradients of parameters
are *added* to `Parameter.grad`, never assigned, so that a parameter used twice gets the sum.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Seed = int | np.random.Generator | None

# A decorator: infinite and NaN numbers go through without a warning, as in PyTorch.
without_warnings = np.errstate(all="ignore")


def widened(array: Array) -> Array:
    """float16 as float32, in which PyTorch, too, adds up and multiplies it; others as they are."""
    return array.astype(np.float32) if array.dtype == np.float16 else array


class Parameter:
    """An array that is learned, and its gradient.

    `data` is a float or complex array, shared with the caller and not copied. `grad` is `None`
    until a backward pass adds to it; then it has the shape and dtype of `data`.

    Raises RuntimeError for integers and other numbers that have no derivative, and for another byte
    order than the machine's. Like
    https://docs.pytorch.org/docs/2.13/generated/torch.nn.parameter.Parameter.html.
    """

    def __init__(self, data: Array) -> None:
        data = np.asarray(data)  # of a matrix or a masked array, too, the plain array
        if not np.issubdtype(data.dtype, np.inexact):
            raise RuntimeError(
                f"Parameter: expected floating point or complex numbers, got {describe(data)}"
            )
        if not data.dtype.isnative:
            raise RuntimeError(
                f"Parameter: expected this machine's byte order, got {describe(data)}: "
                f"data.astype(data.dtype.newbyteorder('=')) has it"
            )
        self.data = data
        self.grad: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    def add_grad(self, grad: Array) -> None:
        """Add `grad`, of the shape of `data`, to the gradient collected so far."""
        if self.grad is None:
            self.grad = np.array(grad, dtype=self.data.dtype)
        else:
            self.grad += grad

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradient to `None`, or to zeros in place."""
        if set_to_none:
            self.grad = None
        elif self.grad is not None:
            self.grad[...] = 0

    def __repr__(self) -> str:
        return f"Parameter({self.data!r})"


def uniform_parameter(
    shape: tuple[int, ...], bound: float, dtype: DTypeLike, rng: np.random.Generator
) -> Parameter:
    """A parameter drawn from the uniform distribution within ±`bound`, as in `torch.nn`.

    It is drawn in float64 and then rounded: the same seed gives the same weights in every dtype.
    Real and imaginary part of a complex parameter are drawn one after the other. `dtype=None` is
    float32. Raises RuntimeError for integers, as PyTorch does.
    """
    dtype = np.dtype(np.float32 if dtype is None else dtype)
    if not np.issubdtype(dtype, np.inexact):
        raise RuntimeError(f"dtype: expected a float or complex type, got {dtype}")
    values: Array = rng.uniform(-bound, bound, shape)
    if np.issubdtype(dtype, np.complexfloating):
        values = values + 1j * rng.uniform(-bound, bound, shape)
    return Parameter(values.astype(dtype))


class LoadResult(NamedTuple):
    """What `load_state_dict(strict=False)` did not find, and what it had no place for."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Parameters and modules under the names of their attributes, as in `torch.nn.Module`.

    Assigning a `Parameter` or a `Module` to an attribute registers it. `training` is True until
    `eval()`.
    """

    training: bool = True

    def __call__(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no __call__")

    def forward(self, *inputs: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def backward(self, record: Any, *grad_answers: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no backward")

    def __setattr__(self, name: str, value: Any) -> None:
        now, place = vars(self).get(name), f"{type(self).__name__}.{name}"
        if isinstance(now, Parameter) and not isinstance(value, Parameter | None):
            raise TypeError(
                f"{place} is a Parameter: expected a Parameter or None, got {describe(value)}. To "
                f"change its values, assign to {name}.data[...]"
            )
        if isinstance(now, Module) and not isinstance(value, Module | None):
            raise TypeError(
                f"{place} is a Module: expected a Module or None, got {describe(value)}"
            )
        super().__setattr__(name, value)

    # Walking the tree

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module under the name `prefix`, then those below it, depth first, each once."""
        seen: set[int] = set()
        for name, module in self._named_places(prefix):
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def _named_places(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """The same, a shared module once for each of its names."""
        yield prefix, self
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield from value._named_places(f"{prefix}.{name}" if prefix else name)

    def _named_slots(self) -> Iterator[tuple[str, Parameter]]:
        """Every attribute that holds a parameter, a shared one once for each of its names."""
        for prefix, module in self._named_places():
            for name, value in vars(module).items():
                if isinstance(value, Parameter):
                    yield f"{prefix}.{name}" if prefix else name, value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Names and parameters, a module's own before those of its modules, each parameter once."""
        seen: set[int] = set()
        for name, parameter in self._named_slots():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter

    def parameters(self) -> Iterator[Parameter]:
        for _, parameter in self.named_parameters():
            yield parameter

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set every gradient to `None`, or to zeros in place."""
        for parameter in self.parameters():
            parameter.zero_grad(set_to_none)

    # Modes

    def train(self, mode: bool = True) -> Self:
        if not isinstance(mode, bool):
            raise ValueError(f"mode: expected True or False, got {describe(mode)}")
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        return self.train(False)

    def astype(self, dtype: DTypeLike) -> Self:
        """A copy of the module with its parameters in `dtype`, without their gradients.

        complex128 is allowed: the copy takes complex inputs, for derivatives by a complex step.
        """
        if not np.issubdtype(np.dtype(dtype), np.inexact):
            raise TypeError(f"dtype: expected a float or complex type, got {np.dtype(dtype)}")
        twin = copy.deepcopy(self)
        for parameter in twin.parameters():
            parameter.data = parameter.data.astype(np.dtype(dtype).newbyteorder("="))
            parameter.grad = None
        return twin

    # Saving and loading

    def state_dict(self) -> dict[str, Array]:
        """The parameters' arrays by name. They are the arrays themselves, not copies."""
        return {name: parameter.data for name, parameter in self._named_slots()}

    def load_state_dict(self, state_dict: Mapping[str, Array], strict: bool = True) -> LoadResult:
        """Copy the arrays of `state_dict` into the parameters, cast to the parameters' dtype.

        Raises TypeError if it is not a mapping, RuntimeError if a value is not an array or has
        another shape or kind of number or, if `strict`, when names are missing or unexpected.
        Everything that is wrong stands in one message, and then nothing has been changed.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict: expected a dict of arrays, got {describe(state_dict)}")
        slots = dict(self._named_slots())
        arrays = dict(state_dict)
        result = LoadResult(
            [name for name in slots if name not in arrays],
            [name for name in arrays if name not in slots],
        )
        problems = []
        if strict:
            problems += [f"missing: {name}, shape {slots[name].shape}" for name in result[0]]
            problems += [f"unexpected: {name}, {describe(arrays[name])}" for name in result[1]]
            for prefix in {name.removesuffix(slot) for slot in result[0] for name in result[1]}:
                if prefix and all(f"{prefix}{slot}" in arrays for slot in slots):
                    problems.append(f"the names begin with {prefix!r}: load them without it")
        common = [name for name in slots if name in arrays]
        for name in common:
            expected, got = slots[name].data, arrays[name]
            if hasattr(got, "detach") and hasattr(got, "numpy"):
                problems.append(f"{name}: expected an array, got a tensor: its .detach().numpy()")
            elif not isinstance(got, np.ndarray):
                problems.append(f"{name}: expected an array, got {describe(got)}")
            elif expected.shape != got.shape:
                problems.append(f"{name}: expected shape {expected.shape}, got {got.shape}")
            elif not expected.flags.writeable:
                problems.append(
                    f"{name}: expected a parameter that can be changed, it is read-only"
                )
            elif not np.can_cast(got.dtype, expected.dtype, "same_kind"):
                problems.append(f"{name}: expected {expected.dtype} numbers, got {got.dtype}")
        if problems:
            raise RuntimeError(
                f"state_dict does not fit {type(self).__name__}:\n  " + "\n  ".join(problems)
            )
        with np.errstate(all="ignore"):
            for name in common:
                slots[name].data[...] = arrays[name]
        return result

    # Printing

    def extra_repr(self) -> str:
        """The arguments that `repr` shows between the parentheses."""
        return ""

    def __repr__(self) -> str:
        children = [(k, v) for k, v in vars(self).items() if isinstance(v, Module)]
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = [f"({name}): {module!r}".replace("\n", "\n  ") for name, module in children]
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def describe(value: object) -> str:
    """What came, for an error message: shape and dtype of an array, type and value of the rest."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    return f"{type(value).__name__} {value!r}" if np.isscalar(value) else type(value).__name__


def check_grads(parameters: Iterable[Parameter | None]) -> None:
    """RuntimeError if something cannot be added to the `grad` of one: called before any changes."""
    for parameter in parameters:
        if parameter is None or parameter.grad is None:
            continue
        check_fit("Parameter.grad", parameter.grad, parameter.shape, parameter.dtype)
        check_writeable("Parameter.grad", parameter.grad)


def check_writeable(name: str, array: Array) -> None:
    if not array.flags.writeable:
        raise RuntimeError(
            f"{name}: expected an array that can be changed, got one that is read-only"
        )


def check_record(record: object, kind: type, name: str = "record") -> None:
    if not isinstance(record, kind):
        raise TypeError(f"{name}: expected what forward returns, got {describe(record)}")


def other_parameters(name: str = "record") -> Exception:
    """What is raised for a record of a module whose parameters have been replaced since."""
    return RuntimeError(f"{name}: expected one computed with the current parameters, got another")


def check_array(name: str, value: object) -> Array:
    """`value` if it is an array; raises TypeError if it is not."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name}: expected a NumPy array, got {describe(value)}")
    if isinstance(value, np.matrix | np.ma.MaskedArray):  # for which * means something else
        raise TypeError(
            f"{name}: expected a plain NumPy array, got a {type(value).__name__}; "
            f"np.asarray(...) makes one of a matrix, .filled(...) of a masked array"
        )
    return value


def check_fit(
    name: str,
    array: Any,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    dtype_error: type[Exception] = RuntimeError,
) -> None:
    """TypeError for what is not an array, RuntimeError for another shape, or `dtype_error`."""
    if check_array(name, array).shape != shape or array.dtype != dtype:
        error = RuntimeError if array.shape != shape else dtype_error
        raise error(f"{name}: expected shape {shape} and dtype {dtype}, got {describe(array)}")
