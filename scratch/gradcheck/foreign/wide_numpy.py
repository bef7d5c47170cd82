"""A numpy that makes float64 arrays where the code asks for float32, or complex ones.

The code under test sees it in the place of `np` during a check. A buffer that is narrower than what
is put into it would lose digits, and one that is real would lose the imaginary part by which a
complex step differentiates.
"""

from __future__ import annotations

import cmath
import math
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

CREATE = ("zeros", "ones", "empty", "full", "zeros_like", "ones_like", "empty_like", "full_like",
          "array", "asarray", "ascontiguousarray", "eye", "identity", "copy")  # fmt: skip
TYPED = ("sum", "mean", "cumsum", "prod", "einsum", "concatenate", "stack", "hstack", "vstack",
         "arange", "linspace", "fromiter")  # fmt: skip
FLOATS = ("float16", "float32", "float64", "half", "single", "double", "longdouble")


class WideNumpy(types.ModuleType):
    """numpy with other floats. What is asked for once is kept, so that it costs no more."""

    def __init__(self, dtype: DTypeLike) -> None:
        super().__init__("numpy")
        self.wide_dtype = np.dtype(dtype)

    def __getattr__(self, name: str) -> Any:
        value = wide(getattr(np, name), self.wide_dtype)
        setattr(self, name, value)
        return value


@cache
def wide_numpy(dtype: np.dtype[Any]) -> WideNumpy:
    return WideNumpy(dtype)


def wide(value: Any, dtype: np.dtype[Any]) -> Any:
    """What stands in the place of `value`, one of numpy's names."""
    name = getattr(value, "__name__", "")
    if vars(np).get(name) is not value:
        return value
    if name in FLOATS:
        return dtype.type
    if name in CREATE:
        return _creates(getattr(np, name), dtype)
    if name in TYPED:
        return _typed(getattr(np, name), dtype)
    if name in ("absolute", "fabs") and dtype.kind == "c":
        return _absolute
    if name == "sign" and dtype.kind == "c":
        return lambda z, **named: np.sign(np.real(z), **named)
    return value


def _wide_type(value: Any, dtype: np.dtype[Any]) -> Any:
    """`value`, or `dtype` if it names a floating point type."""
    if value is WideFloat:
        return dtype
    if isinstance(value, str | type | np.dtype):
        try:
            return dtype if np.dtype(value).kind == "f" else value
        except TypeError:
            return value
    return value


def _typed(function: Callable[..., Any], dtype: np.dtype[Any]) -> Callable[..., Any]:
    @wraps(function)
    def with_wide_dtype(*args: Any, **named: Any) -> Any:
        if "dtype" in named:
            named["dtype"] = _wide_type(named["dtype"], dtype)
        return function(*args, **named)

    return with_wide_dtype


def _creates(function: Callable[..., Any], dtype: np.dtype[Any]) -> Callable[..., Any]:
    typed = _typed(function, dtype)

    @wraps(function)
    def create(*args: Any, **named: Any) -> Any:
        array = typed(*args[:1], *(_wide_type(arg, dtype) for arg in args[1:]), **named)
        return array.astype(dtype) if array.dtype.kind == "f" and array.dtype != dtype else array

    return create


def _absolute(z: Any, **named: Any) -> Any:
    """|z| for a real z, continued to complex ones: what a complex step can differentiate."""
    return np.where(np.real(z) < 0, -np.asarray(z), z)[()]


# In the place of numpy


def own_namespaces(functions: list[Any]) -> list[dict[str, Any]]:
    """The globals of functions and classes, and of everything of a person's own that they use."""
    found: dict[int, dict[str, Any]] = {}
    waiting = list(functions)
    while waiting:
        value = waiting.pop()
        for names in _namespaces(value):
            if id(names) not in found:
                found[id(names)] = names
                waiting += [v for v in names.values() if _is_own(v)]
    return list(found.values())


def _namespaces(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, types.ModuleType):
        yield vars(value)
    elif isinstance(value, type):
        for base in value.__mro__[:-1]:
            if _is_own(base):
                module = sys.modules.get(base.__module__)
                methods = [m for m in vars(base).values() if isinstance(m, types.FunctionType)]
                yield from (method.__globals__ for method in methods[:1])
                if module is not None:
                    yield vars(module)
    else:
        names = getattr(getattr(value, "__func__", value), "__globals__", None)
        if isinstance(names, dict):
            yield names


def _is_own(value: Any) -> bool:
    """Whether it is a function, class or module of a file that nobody installed."""
    if not isinstance(value, types.ModuleType | types.FunctionType | types.MethodType | type):
        return False
    name = value.__name__ if isinstance(value, types.ModuleType) else value.__module__
    top = str(name).partition(".")[0]
    if top in sys.stdlib_module_names or top in (__package__ or "").split(".")[:1]:
        return top == "__main__"
    file = getattr(sys.modules.get(str(name)), "__file__", None) or ""
    return "site-packages" not in file and "dist-packages" not in file


Replaced = tuple[Any, Any, Any, Any]  # where, the name, what it is, what it becomes
ABSENT = object()


class _AnyFloat(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, float)


class WideFloat(float, metaclass=_AnyFloat):
    """`float` that leaves a complex number as it is."""

    def __new__(cls, value: Any = 0.0) -> Any:
        return complex(value) if np.iscomplexobj(value) else float(value)


class WideMath(types.ModuleType):
    """`math` that takes complex numbers where there is such a function."""

    def __getattr__(self, name: str) -> Any:
        return getattr(cmath, name, None) or getattr(math, name)


def replacements(namespaces: list[dict[str, Any]], dtype: DTypeLike) -> list[Replaced]:
    """The wide numpy for every name of numpy, or of one of its functions, in `namespaces`."""
    kind = np.dtype(dtype)
    others: dict[int, types.ModuleType] = {id(np): wide_numpy(kind)}
    if kind.kind == "c":
        others[id(math)] = WideMath("math")
    found: list[Replaced] = []
    for names in namespaces:
        for name, value in list(names.items()):
            other = others.get(id(value)) or _of_numpy(value, kind)
            if other is not value:
                found.append((names, name, value, other))
        if kind.kind == "c" and "float" not in names:
            found.append((names, "float", ABSENT, WideFloat))
    return found


@contextmanager
def replaced(all_of: list[Replaced]) -> Iterator[None]:
    """With the others in their places, which are put back in the end."""
    try:
        for names, name, _, other in all_of:
            names[name] = other
        yield
    finally:
        for names, name, value, _ in all_of:
            if value is ABSENT:
                del names[name]
            else:
                names[name] = value


def _of_numpy(value: Any, kind: np.dtype[Any]) -> Any:
    """For `from numpy import zeros, float32`."""
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType | np.ufunc):
        return wide(value, kind)
    return value
