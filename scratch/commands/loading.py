"""A person's file or notebook as a namespace: what the target needs of it is run, and no more.

Definitions always run. Any other statement at the top level runs if it sets a name that the target
reads, or that is read by what it needs in turn, and if it is

- an import or an assignment (`rng = …`, `params["W"] = …`, `text = open("input.txt").read()`);
- a call of a method of such a name, unless it is one of the file's own classes or a module
  (`weights.append(…)`, `parser.add_argument(…)`); `sys.path.…` and `….seed(…)` run anyway;
- an `if`, `try` or `with`, of which the same is kept;
- a `for` whose lines are all of these kinds (`for k in names: params[k] = …`), for a second at
  most: a training loop prints, plots or calls something as well.

So a character model that trains forever at the top level loads as it is: a `while`, a print, a
plot, what stands under `if __name__ == "__main__"`, and `losses = train(…)` do not run. A statement
that fails (a package or a data file that is not there) is passed over, and so is what then lacks
its names; `Namespace.explain` says so where such a name turns out to be missing. Where it is there,
but a loop that does not run would set or fill it, `Namespace.unfinished` says so.
"""

from __future__ import annotations
import __future__

import ast
import contextlib
import linecache
import os
import re
import signal
import sys
import traceback
import types
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..gradcheck.raised import named
from .notebooks import Source, read

STATEMENT_LIMIT = 10.0  # seconds for an assignment: a longer one trains
LOOP_LIMIT = 1.0  # seconds for a `for`
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
BY_NAME = ("globals", "vars", "eval", "exec", "locals")  # they reach every name


class TooLong(BaseException):
    """Not an Exception, so that no `except Exception` in a person's code catches it."""


@dataclass
class Namespace:
    """What was loaded: the names, and of those that are missing, why."""

    source: Source
    names: dict[str, Any]
    missing: dict[str, str] = field(default_factory=dict)  # by name: what was not run, and why
    failed: list[str] = field(default_factory=list)  # what was run, and did not end well
    unfinished: list[str] = field(default_factory=list)  # loops that would set what is read

    def explain(self, text: str) -> str:
        """Why the names are missing that `text` says are not defined; '' if it says none."""
        unknown = re.findall(r"name '(\w+)' is not defined", text)
        reasons = [self.missing.get(name, self.missing.get("*")) for name in unknown]
        return next((f"{name} is missing: {why}" for name, why in zip(unknown, reasons, strict=True)
                     if why), "")  # fmt: skip

    def told(self, error: BaseException) -> str:
        """The exception, the last line of the person's file that it went through, and why."""
        text = named(error)
        if isinstance(error, SystemExit):
            text = f"sys.exit({error.code!r})"
        told = f"ended in {text}{self.own_line(error)}"
        if why := self.explain(text):
            return f"{why}; so it {told}"
        return f"{told}; before that, {self.failed[0]}" if self.failed else told

    def own_line(self, error: BaseException) -> str:
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if frame.filename == self.source.file and frame.lineno is not None:
                if frame.name == "<module>":  # a statement, which is told already
                    return ""
                return self.source.line(frame.lineno, frame.name)
        return ""


def load(path: str, wanted: Iterable[str]) -> Namespace:
    """The file's namespace, with all that the names in `wanted` need.

    Raises UsageError for what is not a file, not Python or not a notebook; what the file itself
    raises is kept as the reason why names are missing.
    """
    source = read(path)
    package, folders = package_of(source)
    stem = os.path.splitext(os.path.basename(path))[0]
    module = types.ModuleType(f"checked_{stem}")  # hides no other module
    vars(module).update(__file__=source.file, __package__=package)
    sys.modules[module.__name__] = module
    sys.path[:] = [*folders, *sys.path, os.getcwd()]
    sys.argv = [path]
    # What the lines of a notebook are, and of a file whose text may change on the disk.
    lines = source.text.splitlines(keepends=True)
    linecache.cache[source.file] = (len(source.text), None, lines, source.file)
    namespace = Namespace(source, vars(module), dict(source.broken))
    kept, passed_over = choose(source.statements, set(wanted))
    used = {name for statement in kept for name in reads(statement)}
    for statement in passed_over:
        reason = note(namespace, statement, "is not run")
        if isinstance(statement, ast.For | ast.While) and (names := sorted(sets(statement) & used)):
            namespace.unfinished.append(f"{reason}; it would set {' and '.join(names)}")
    for statement in kept:
        run(namespace, statement)
    return namespace


def package_of(source: Source) -> tuple[str, list[str]]:
    """The package that a file's relative imports mean, and the folders that it imports from."""
    nodes = [node for statement in source.statements for node in ast.walk(statement)]
    level = max((node.level for node in nodes if isinstance(node, ast.ImportFrom)), default=0)
    own = folder = os.path.dirname(source.file)
    parts: list[str] = []
    while os.path.isfile(os.path.join(folder, "__init__.py")) or len(parts) < level:
        parts.insert(0, os.path.basename(folder))
        folder = os.path.dirname(folder)
    return ".".join(parts), list(dict.fromkeys((own, folder)))


# What runs


def choose(statements: list[ast.stmt], needed: set[str]) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """The statements that run, and those that do not though they would set a needed name."""
    needed = needed | {
        node.arg
        for statement in statements
        if isinstance(statement, DEFINITIONS) and statement.name in needed
        for node in ast.walk(statement)
        if isinstance(node, ast.arg)  # of which the file may hold an example under the same name
    }
    while True:
        kept = [keep(statement, needed) for statement in statements]
        found = {
            name
            for statement in kept
            if statement and (not isinstance(statement, DEFINITIONS) or statement.name in needed)
            for name in reads(statement)
        }
        if found <= needed:
            break
        needed = needed | found
        if needed.intersection(BY_NAME):
            needed |= {name for statement in statements for name in sets(statement)}
    pairs = zip(statements, kept, strict=True)
    passed_over = [statement for statement, k in pairs if k is None and sets(statement) & needed]
    return [statement for statement in kept if statement], passed_over


def keep(statement: ast.stmt, needed: set[str]) -> ast.stmt | None:
    """The statement, or what is kept of it; None if it does not run."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return statement
        case ast.Import() | ast.ImportFrom() | ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            return statement if sets(statement) & {*needed, "*"} else None
        case ast.Expr(value=ast.Call() as call):
            return statement if fills(call, needed) else None
        case ast.Expr(value=ast.NamedExpr()):
            return statement if sets(statement) & needed else None
        case ast.If(test=test) if ast.unparse(test).startswith("__name__ == "):
            return _kept_of(ast.If(ast.Constant(False), [ast.Pass()], statement.orelse), needed,
                            statement)  # fmt: skip
        case ast.If() | ast.Try() | ast.With():
            return _kept_of(statement, needed, statement)
        case ast.For() | ast.Match():
            fits = only_fills([statement], needed) and sets(statement) & needed
            return statement if fits else None
    return None


def fills(call: ast.Call, needed: set[str]) -> bool:
    """Whether a bare call is a method of a needed name, or one of those that run anyway."""
    return isinstance(call.func, ast.Attribute) and (
        root(call.func) in needed or runs_anyway(call.func)
    )


def runs_anyway(called: ast.expr) -> bool:
    way = ast.unparse(called)
    return way.startswith("sys.path.") or way.endswith("seed")


def only_fills(statements: list[ast.stmt], needed: set[str]) -> bool:
    """Whether a loop only assigns and fills."""
    for statement in statements:
        match statement:
            case ast.Assign() | ast.AugAssign() | ast.AnnAssign() | ast.Pass() | ast.Continue():
                continue
            case ast.Expr(value=ast.Call() as call) if fills(call, needed):
                continue
            case ast.If() | ast.For() if only_fills(statement.body + statement.orelse, needed):
                continue
            case ast.Match() if all(only_fills(case.body, needed) for case in statement.cases):
                continue
        return False
    return True


def _kept_of(block: ast.stmt, needed: set[str], at: ast.stmt) -> ast.stmt | None:
    """The block with what is kept of its parts; None if nothing is."""

    def part(statements: list[ast.stmt]) -> list[ast.stmt]:
        found = [keep(statement, needed) for statement in statements]
        return [statement for statement in found if statement]

    fields: dict[str, Any] = dict(ast.iter_fields(block))
    for name in ("body", "orelse", "finalbody"):
        fields[name] = part(fields.get(name, []))
    if not any(fields[name] for name in ("body", "orelse", "finalbody")):
        return None
    fields["body"] = fields["body"] or [ast.Pass()]
    if isinstance(block, ast.Try):
        fields["handlers"] = [
            ast.copy_location(
                ast.ExceptHandler(h.type, h.name, part(h.body) or [ast.Pass()]), h)
            for h in block.handlers]  # fmt: skip
    names = [name for name in block._fields if name in fields]
    made = type(block)(**{name: fields[name] for name in names})
    return ast.fix_missing_locations(ast.copy_location(made, at))


def sets(statement: ast.stmt) -> set[str]:
    """The names that a statement binds, or whose object it fills; "*" for an import of all."""
    if isinstance(statement, DEFINITIONS):
        return {statement.name}
    found: set[str] = set()
    for node in ast.walk(statement):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.Import() | ast.ImportFrom():
                found |= {(a.asname or a.name).partition(".")[0] for a in node.names}
            case ast.Name(ctx=ast.Store()):
                found.add(node.id)
            case ast.Attribute(ctx=ast.Store()) | ast.Subscript(ctx=ast.Store()):
                found.add(root(node))
            case ast.Expr(value=ast.Call(func=ast.Attribute() as called)):
                found.add(root(called))
    return found - {""}


def root(node: ast.expr) -> str:
    """`params` of `params["W"].data`; '' where no name stands at the beginning."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def reads(statement: ast.stmt) -> set[str]:
    """The names that it reads, in function bodies the global ones; attributes are among them."""
    codes: list[types.CodeType] = [
        compile(ast.Module([statement], []), "", "exec", dont_inherit=True)
    ]
    found: set[str] = set()
    for code in codes:
        found |= set(code.co_names)
        codes += [part for part in code.co_consts if isinstance(part, types.CodeType)]
    return found


# Running it


def run(namespace: Namespace, statement: ast.stmt) -> None:
    """Run one statement. If it fails, the names that it would set are missing."""
    names, source = namespace.names, namespace.source
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        called = statement.value.func
        value = names.get(root(called))
        own = type(value).__module__ == names["__name__"] or isinstance(value, types.ModuleType)
        if own and not runs_anyway(called):
            note(namespace, statement, "is not run")
            return
    flags = 0
    for feature in source.future:
        flags |= getattr(__future__, feature).compiler_flag
    numpy = next((name for name, value in names.items() if value is np), None)
    if numpy is not None:
        statement = WideNames(numpy).visit(statement)
    code = compile(ast.Module([statement], []), source.file, "exec", flags, dont_inherit=True)
    seconds = LOOP_LIMIT if isinstance(statement, ast.For) else STATEMENT_LIMIT
    unlimited = isinstance(statement, (*DEFINITIONS, ast.Import, ast.ImportFrom))
    try:
        with contextlib.nullcontext() if unlimited else limited(seconds):
            try:
                exec(code, names)
            except FileNotFoundError:  # a script may also be meant to be started in its own folder
                with contextlib.chdir(os.path.dirname(source.file)):
                    exec(code, names)
    except TooLong:
        why, first = f"did not end within {seconds:g} s", ""
    except BaseException as error:  # SystemExit, and whatever their code raises
        text = named(error)
        why, first = f"ended in {text}{namespace.own_line(error)}", namespace.explain(text)
    else:
        for name in sets(statement):
            namespace.missing.pop(name, None)
        return
    namespace.failed.append(note(namespace, statement, why, first.partition(" is missing: ")[2]))


class WideNames(ast.NodeTransformer):
    """x.astype("float32") as x.astype(np.float32), which a check replaces by a wider one."""

    def __init__(self, numpy: str) -> None:
        self.numpy = numpy

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "astype":
            node.args = [self._named(value) for value in node.args]
            for keyword in node.keywords:
                keyword.value = self._named(keyword.value)
        return node

    def _named(self, value: ast.expr) -> ast.expr:
        text = value.value if isinstance(value, ast.Constant) else None
        try:
            dtype = np.dtype(text) if isinstance(text, str) else None
        except TypeError:
            return value
        if dtype is None or dtype.kind != "f":
            return value
        node = ast.Attribute(ast.Name(self.numpy, ast.Load()), dtype.name, ast.Load())
        return ast.fix_missing_locations(ast.copy_location(node, value))


def note(namespace: Namespace, statement: ast.stmt, why: str, first: str = "") -> str:
    """The reason why a statement's names are missing: its own, or that of the `first` one."""
    source = namespace.source
    reason = first or f"{source.where(statement.lineno)}, {source.code(statement.lineno)}, {why}"
    for name in sets(statement):
        namespace.missing[name] = reason
    return reason


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises TooLong inside, at the line that runs then; where there are signals."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
