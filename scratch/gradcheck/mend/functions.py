"""The person's own functions that run in a pass: their source as a tree, their code swapped.

`function.__code__` can be replaced in place, so that every caller of a method, a closure or a
function of a module runs the edited code; and put back.
"""

from __future__ import annotations

import ast
import gc
import linecache
import os
import re
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import CodeType, FrameType, FunctionType
from typing import Any

import numpy as np

SCRATCH = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep
STANDARD = os.path.abspath(sysconfig.get_paths()["stdlib"]) + os.sep


@dataclass(eq=False)
class Part:
    """One function: those that run its code, the code, and its tree, which edits change."""

    functions: list[FunctionType]
    code: CodeType
    tree: ast.FunctionDef
    lines: list[str]  # of the file
    in_forward: bool = False

    @property
    def file(self) -> str:
        return self.code.co_filename

    @cached_property
    def normalizes(self) -> bool:
        """Whether the file looks as if it had a softmax, or normalized by mean and variance."""
        return bool(re.search(r"softmax|norm|exp\(|var\b|std\b", "".join(self.lines)))

    @cached_property
    def reverses(self) -> bool:
        """Whether the file reverses arrays."""
        return bool(re.search(r"::-1|flip", "".join(self.lines)))

    @cached_property
    def module(self) -> ast.Module:
        """The tree, in what makes its free variables and its private names those that they are."""
        free = [name for name in self.code.co_freevars if name != "__class__"]
        body: ast.stmt = self.tree
        around = self.code.co_qualname.split(".")[:-1]
        if around and around[-1] != "<locals>":  # for private names, and super()
            body = ast.ClassDef(around[-1], [], [], [body], [])
        if free:
            names: list[ast.expr] = [ast.Name(name, ast.Store()) for name in free]
            nothing = ast.Assign(names, ast.Constant(None))
            arguments = ast.arguments([], [], None, [], [], None, [])
            body = ast.FunctionDef("around", arguments, [nothing, body], [])
        return ast.fix_missing_locations(ast.Module([body], []))

    def compiled(self) -> CodeType | None:
        """The code of the tree as it is; None if it cannot take the place of the original."""
        try:
            whole = compile(self.module, self.file, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, TypeError):
            return None
        found = _inside(whole, self.code.co_name)
        fits = found is not None and found.co_freevars == self.code.co_freevars
        return found if fits else None

    def run(self, code: CodeType) -> None:
        """Let the functions run `code`."""
        for function in self.functions:
            function.__code__ = code


def _inside(code: CodeType, name: str) -> CodeType | None:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_name == name:
                return constant
            if (deeper := _inside(constant, name)) is not None:
                return deeper
    return None


def is_own(file: str) -> bool:
    """Whether a file is the person's, and neither NumPy's, Python's nor this package's."""
    if file.startswith("<"):
        return file in linecache.cache
    file = os.path.abspath(file)
    library = file.startswith(STANDARD) and "site-packages" not in file
    return not (library or file.startswith((SCRATCH, NUMPY)))


@contextmanager
def _profiled(seen: dict[CodeType, None]) -> Iterator[None]:
    def called(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code not in seen:
            seen[frame.f_code] = None

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        yield
    finally:
        sys.setprofile(before if callable(before) else None)  # one in C cannot be put back


def that_ran(forward: Callable[[], Any], both: Callable[[], Any]) -> list[Part]:
    """The functions of the person's own that ran, in the order in which they were called first."""
    first: dict[CodeType, None] = {}
    seen: dict[CodeType, None] = {}
    with _profiled(first):
        forward()
    with _profiled(seen):
        both()
    own = [code for code in seen if is_own(code.co_filename)]
    holders: dict[CodeType, list[FunctionType]] = {code: [] for code in own}
    for holder in gc.get_referrers(*own) if own else ():
        if isinstance(holder, FunctionType) and holder.__code__ in holders:
            holders[holder.__code__].append(holder)
    trees: dict[str, tuple[ast.Module, list[str]] | None] = {}
    parts = []
    for code in own:
        if code.co_filename not in trees:
            trees[code.co_filename] = _parsed(code.co_filename)
        parsed = trees[code.co_filename]
        tree = _find(parsed[0], code) if parsed is not None else None
        if tree is not None and parsed is not None and holders[code]:
            parts.append(Part(holders[code], code, tree, parsed[1], code in first))
    return parts


def _parsed(file: str) -> tuple[ast.Module, list[str]] | None:
    lines = linecache.getlines(file)
    try:
        return ast.parse("".join(lines)), lines
    except SyntaxError:
        return None


def _find(module: ast.Module, code: CodeType) -> ast.FunctionDef | None:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    return None
