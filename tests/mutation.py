"""Which changes of a lesson file do the tests not notice?

    python tests/mutation.py scratch/losses.py [--sample 100] [--seed 0] [--limit 60] [--workers 2]

Changes one place of the file at a time, in a copy of the project: a comparison, an arithmetic
operator, a constant by one, a condition negated, a statement deleted, an argument dropped. Runs the
file's tests for each, and prints how many noticed and the lines of those that did not. A survivor
either lacks a test or is equivalent: it changes nothing that anyone can see.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
    "cells": ["test_cells", "test_backward_record", "test_torch_samples", "test_refusals"],
    "bptt": ["test_recurrent", "test_cells", "test_cost", "test_backward_record"],
    "recurrent": ["test_recurrent", "test_refusals", "test_backward_record", "test_laws"],
    "models": ["test_models", "test_records"],
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
        for k in range(len(node.keywords)):
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


def survives(file: Path, text: str, tests: list[str], limit: float) -> bool:
    with tempfile.TemporaryDirectory() as place:
        for folder in ("scratch", "reference", "tests"):
            shutil.copytree(ROOT / folder, Path(place, folder))
        shutil.copy(ROOT / "pyproject.toml", place)
        Path(place, file).write_text(text, "utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        environment = os.environ | one_thread
        try:
            run = subprocess.run(
                command, cwd=place, env=environment, capture_output=True, timeout=limit
            )
        except subprocess.TimeoutExpired:
            return False
        return run.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--sample", type=int, help="so many mutants of each file, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=60, help="seconds for the tests of a mutant")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    for file in options.files:
        tests = [f"tests/scratch/{name}.py" for name in TESTS[file.stem]]
        source = (ROOT / file).read_text("utf-8")
        if not survives(file, source, tests, options.limit):
            sys.exit(f"{file}: its tests fail, or take longer than --limit, as it is")
        tried = list(mutants(source))
        if options.sample is not None and options.sample < len(tried):
            tried = random.Random(options.seed).sample(tried, options.sample)

        def try_one(mutant, file=file, tests=tests):
            return survives(file, mutant[1], tests, options.limit)

        with ThreadPoolExecutor(options.workers) as pool:
            results = list(pool.map(try_one, tried))
        alive = [text for text, lives in zip(tried, results, strict=True) if lives]
        print(f"{file}: {len(tried)} mutants, {len(tried) - len(alive)} killed", flush=True)
        original = ast.unparse(ast.parse(source)).splitlines()
        for line, text in sorted(alive):
            known = set(original)
            new = [part.strip() for part in text.splitlines() if part not in known]
            print(f"  line {line}: {' / '.join(new) or 'a line deleted'}", flush=True)


if __name__ == "__main__":
    main()
