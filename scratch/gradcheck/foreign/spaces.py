"""What functions read that is not an argument: globals, default values, parameters given apart."""

from __future__ import annotations

import copy
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from .copies import ATOMS, arrays_inside

SMALL = 100  # parts of a list or dict without arrays that a pass may fill, such as a cache
Space = tuple[Any, list[Any]]  # a namespace, and the names in it that hold arrays


class Defaults:
    """The default values of a function's arguments as a namespace, by their places."""

    def __init__(self, function: types.FunctionType) -> None:
        self.function = function

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.function.__defaults__ or ())))

    def __getitem__(self, place: int) -> Any:
        return (self.function.__defaults__ or ())[place]

    def __setitem__(self, place: int, value: Any) -> None:
        values = list(self.function.__defaults__ or ())
        values[place] = value
        self.function.__defaults__ = tuple(values)

    def name(self, place: int) -> str:
        code, count = self.function.__code__, len(self.function.__defaults__ or ())
        return code.co_varnames[code.co_argcount - count + place]


class Cells:
    """The variables of a function around a function as a namespace."""

    def __init__(self, function: types.FunctionType) -> None:
        pairs = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        self.cells = {name: cell for name, cell in pairs if cell != types.CellType()}

    def __iter__(self) -> Iterator[str]:
        return iter(self.cells)

    def __getitem__(self, name: str) -> Any:
        return self.cells[name].cell_contents

    def __setitem__(self, name: str, value: Any) -> None:
        self.cells[name].cell_contents = value


def spaces_of(functions: list[Any], parameters: Any = None) -> list[Space]:
    """The namespaces that functions and what they call read, and that of `parameters`."""
    given = parameters
    if given is not None and not isinstance(given, dict | list):
        given = vars(given)
    spaces: list[Space] = []
    reached = list(reach(functions))
    used: dict[int, tuple[dict[str, Any], set[str]]] = {}
    for function in reached:
        names = function.__globals__
        used.setdefault(id(names), (names, set()))[1].update(names_in(function))
    for key, (where, found) in used.items():
        held = [name for name in where if name in found and holds_arrays(where[name])]
        if key == id(given):
            given = None
        spaces.append((where, held))
    if given is not None:
        keys = list(range(len(given)) if isinstance(given, list) else given)
        spaces.append((given, [key for key in keys if holds_arrays(given[key])]))
    own: list[Any] = [s for function in reached for s in (Defaults(function), Cells(function))]
    held_in_own = [(space, [k for k in space if holds_arrays(space[k])]) for space in own]
    return spaces + [(space, keys) for space, keys in held_in_own if keys]


def reach(functions: list[Any]) -> Iterator[types.FunctionType]:
    """Functions, the methods of classes, and those that they call by a global name."""
    seen: set[int] = set()
    waiting = list(functions)
    while waiting:
        value = waiting.pop(0)
        if id(value) in seen:
            continue
        seen.add(id(value))
        for function in _functions(value):
            if id(function) not in seen or function is value:
                seen.add(id(function))
                yield function
                cells = Cells(function)
                waiting += [function.__globals__[name] for name in names_in(function)]
                waiting += [cells[name] for name in cells]


def names_in(function: types.FunctionType) -> set[str]:
    """The globals that a function reads or sets."""
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    return names & function.__globals__.keys()


def _functions(value: Any) -> Iterator[types.FunctionType]:
    value = getattr(value, "__func__", value)
    if isinstance(value, types.FunctionType):
        yield value
    elif isinstance(value, type) and value.__module__ not in ("builtins", "numpy"):
        for base in value.__mro__[:-1]:
            yield from (m for m in vars(base).values() if isinstance(m, types.FunctionType))
    elif not isinstance(value, ATOMS) and hasattr(value, "__dict__"):
        yield from _functions(type(value))


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def holds_arrays(value: Any) -> bool:
    """Whether a value is worth a copy: a float, an array, a generator, or what holds one."""
    if isinstance(value, float):  # which a pass may be given another of
        return True
    if isinstance(value, ATOMS):
        return False
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return True
    small = isinstance(value, list | dict | set) and len(value) <= SMALL
    if not small and not any(True for _ in arrays_inside(value)):
        return False
    try:
        copy.deepcopy(value)
    except Exception:  # a file, a lock: what cannot be copied is left alone
        return False
    return True
