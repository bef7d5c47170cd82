"""Which changes of a lesson file do the tests not notice?

    python tests/mutation.py scratch/losses.py [--sample 100] [--seed 0] [--workers 2]

Changes one place of the file at a time, in a copy of the project: a comparison, an arithmetic
operator, a constant by one, a condition negated, a statement deleted, an argument dropped. Runs the
file's tests for each, first those that noticed an earlier change, until one fails, or until they
have taken four times the processor time that they take without a change. Prints each change that no
test noticed or that only the clock did, and how many there were. A survivor either lacks a test or
is equivalent: it changes nothing that anyone can see.
"""

from __future__ import annotations

import argparse
import ast
import copy
import difflib
import gc
import itertools
import math
import multiprocessing
import multiprocessing.connection
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

os.environ |= {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "HYPOTHESIS_PROFILE": "unshrunk",
}

import hypothesis.internal.conjecture.engine  # noqa: F401 - slow: loaded once, before forking
import pytest
import torch.testing._internal.common_modules  # noqa: F401 - slow, too

FORK = multiprocessing.get_context("fork")
ROOT = Path(__file__).parents[1]
SWAPPED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.MatMult: ast.Mult, ast.Pow: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt,
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
TESTS = {
    "linear": ["test_linear", "test_records"],
    "losses": ["test_losses", "../test_differences"],
    "optim": ["test_optim", "../test_differences"],
    "training": ["test_training"],
    "cells": [
        *("machinery/test_module", "machinery/test_html", "test_cells", "test_backward_record"),
        *("test_torch_samples", "test_refusals", "test_recurrent"),
    ],
    "bptt": ["test_recurrent", "test_cells", "test_backward_record", "test_cost"],
    "recurrent": [
        *("machinery/test_module", "machinery/test_html", "test_recurrent", "test_refusals"),
        *("test_backward_record", "test_laws", "test_cost", "test_records"),
    ],
    "models": [
        *("machinery/test_html", "test_models", "test_records", "test_backward_record"),
        "test_refusals",
    ],
    # machinery
    "adam_state": ["test_optim", "../test_differences"],
    "records": ["test_backward_record", "test_cells", "test_records", "machinery/test_html"],
    "arrays": ["test_cells", "test_records", "test_backward_record", "test_recurrent", "test_cost"],
    "module": ["machinery/test_module", "test_linear", "test_cells", "test_refusals"],
    "packing": ["machinery/test_packing", "test_refusals", "test_recurrent"],
    "rows": ["test_linear", "test_losses", "test_cost"],
}


def mutations(node: ast.AST):
    """What to do to this node: functions that change it in place."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in SWAPPED:
        yield lambda n: setattr(n, "op", SWAPPED[type(n.op)]())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPPED:
        yield lambda n: n.ops.__setitem__(0, SWAPPED[type(n.ops[0])]())
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        for step in (1, -1):
            yield lambda n, step=step: setattr(n, "value", n.value + step)
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))
    if isinstance(node, ast.Call):
        for k in range(len(node.args)):
            yield lambda n, k=k: n.args.pop(k)
        for k, keyword in enumerate(node.keywords):
            if keyword.arg != "strict":  # what zip is told holds
                yield lambda n, k=k: n.keywords.pop(k)
    body = getattr(node, "body", None)
    for k, statement in enumerate(body if isinstance(body, list) else ()):
        changes = ast.Assign, ast.AugAssign, ast.Raise, ast.Return
        called = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
        if not isinstance(node, ast.Module | ast.ClassDef) and (
            called or isinstance(statement, changes)
        ):
            yield lambda n, k=k: n.body.__setitem__(k, ast.Pass())


def mutants(source: str):
    """Line, and source after one change."""
    tree = ast.parse(source)
    for i, node in enumerate(ast.walk(tree)):
        for j, _ in enumerate(mutations(node)):
            other = copy.deepcopy(tree)
            changed = list(ast.walk(other))[i]
            list(mutations(changed))[j](changed)
            text = ast.unparse(ast.fix_missing_locations(other))
            yield getattr(node, "lineno", 0), text


class LastKillersFirst:
    """For pytest: the tests that failed for earlier mutants come first, the last of them foremost.

    Their names are in a file beside the copies, one a line.
    """

    def __init__(self, names: Path) -> None:
        self.names = names

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        killers = self.names.read_text("utf-8").splitlines() if self.names.exists() else []
        last = {name: number for number, name in enumerate(killers)}
        items.sort(key=lambda item: -last.get(item.nodeid, -1))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            with self.names.open("a", encoding="utf-8") as file:
                file.write(report.nodeid + "\n")
            os._exit(1)


def run_tests(place: str, tests: list[str], limit: int) -> None:
    """The tests of the copy of the project at `place`; exits with pytest's status."""
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))  # seconds, until SIGXCPU
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.chdir(place)
    sys.path[0] = place
    options = ["-q", "-x", "-p", "no:cacheprovider"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what is loaded already
    status = pytest.main([*options, *tests], [LastKillersFirst(Path(place).parent / "killers")])
    os._exit(status)


def run_all(places: Iterable[str], tests: list[str], limit: int, workers: int):
    """Number of a place, and what came of its tests: "passed", "failed" or "too slow"."""
    waiting = enumerate(places)
    running: dict[int, multiprocessing.Process] = {}
    gc.freeze()  # the tests' processes need not look through what was loaded before
    while True:
        for number, place in itertools.islice(waiting, workers - len(running)):
            running[number] = FORK.Process(target=run_tests, args=(place, tests, limit))
            running[number].start()
        if not running:
            return
        multiprocessing.connection.wait([process.sentinel for process in running.values()])
        for number, process in list(running.items()):
            if process.exitcode is not None:
                del running[number]
                slow = process.exitcode == -signal.SIGXCPU
                yield number, "too slow" if slow else "failed" if process.exitcode else "passed"


def seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def changed_lines(source: str, text: str) -> str:
    before, after = (ast.unparse(ast.parse(code)).splitlines() for code in (source, text))
    difference = difflib.ndiff(before, after)
    return "  ".join(re.sub(" +", " ", line) for line in difference if line[0] in "+-")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--sample", type=int, help="so many mutants of each file, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    for file in options.files:
        with tempfile.TemporaryDirectory() as place:
            try_file(file, Path(place), options)


def try_file(file: Path, places: Path, options: argparse.Namespace) -> None:
    tests = [f"tests/scratch/{name}.py" for name in TESTS[file.stem]]
    source = (ROOT / file).read_text("utf-8")
    tried = list(mutants(source))
    if options.sample is not None and options.sample < len(tried):
        tried = random.Random(options.seed).sample(tried, options.sample)
    tried.sort()  # one test often notices all changes of a line

    clean = places / "clean"
    for folder in ("scratch", "reference", "tests"):
        shutil.copytree(ROOT / folder, clean / folder)
    shutil.copy(ROOT / "pyproject.toml", clean)
    start = seconds_of_children()
    if next(run_all([str(clean)], tests, 600, 1)) != (0, "passed"):
        sys.exit(f"{file}: its tests fail without a change")
    limit = math.ceil(4 * (seconds_of_children() - start))

    def copies() -> Iterator[str]:
        for number, (_, text) in enumerate(tried):  # linked, with what Python has compiled
            copy = shutil.copytree(clean, places / str(number), copy_function=os.link)
            (copy / file).unlink()
            (copy / file).write_text(text, "utf-8")
            yield str(copy)

    counts = dict.fromkeys(("passed", "failed", "too slow"), 0)
    for number, result in run_all(copies(), tests, limit, options.workers):
        shutil.rmtree(places / str(number))
        counts[result] += 1
        if result != "failed":
            line, text = tried[number]
            print(f"  {result}: {file}:{line}: {changed_lines(source, text)}", flush=True)
    print(
        f"{file}: {len(tried)} mutants, {counts['failed'] + counts['too slow']} killed "
        f"({counts['too slow']} by the clock), {counts['passed']} survive",
        flush=True,
    )


if __name__ == "__main__":
    main()
