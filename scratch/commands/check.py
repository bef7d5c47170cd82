"""python -m scratch check FILE.py:NAME: is a person's own backward pass right, and if not, why."""

from __future__ import annotations

import argparse
import ast
import inspect
import itertools
import json
import math
import os
import sys
import types
from typing import Any

from .options import at_least

LIKE = ("RNNCell", "LSTMCell", "RNN", "LSTM")
CHECK_LIMIT = 600.0  # seconds for the check itself, and for the comparison


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "check",
        help="check the backward pass of a class of your own",
        description="Check the backward pass of a class of your own, and name the mistake. "
        "Exit status: 0 right, 1 wrong, 2 could not be checked.",
    )
    parser.add_argument("target", metavar="FILE.py:NAME", help="a class derived from Module")
    parser.add_argument("--make", metavar="EXPR", help="how to make the object, called layer")
    parser.add_argument("--call", metavar="EXPR", help="an example call: 'f(N(2, 3), I(9, 2))'")
    parser.add_argument("--like", choices=LIKE, help="compare the values inside with ours")
    parser.add_argument("--input-size", type=at_least(1), default=4, help="(default 4)")
    parser.add_argument("--hidden-size", type=at_least(1), default=5, help="(default 5)")
    parser.add_argument("--seq-len", type=at_least(1), default=4, help="time steps (default 4)")
    parser.add_argument("--batch", type=at_least(1), default=3, help="samples (default 3)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """The exit status: 0 right, 1 wrong. What could not be checked is a `UsageError`."""
    # Imported here: the other commands do not need the checker.
    from ..gradcheck.check import check_gradients
    from .loading import Sizes, inputs_for, load, make, own_code

    path, _, names = args.target.rpartition(":")
    sizes = Sizes(args.input_size, args.hidden_size, args.seq_len, args.batch)
    readable = os.path.isfile(path) and path.endswith(".py")
    namespace = own_code(path, "importing it", definitions, path) if readable else {}
    if args.make or args.call or is_foreign(namespace, names.split(",")):
        from . import one_rule, targets

        report, lines = own_code(
            path, "the check", targets.check_target, namespace, names.split(","), args.make,
            args.call, one_rule.Sizes(*sizes), args.like, limit=CHECK_LIMIT,
        )  # fmt: skip
        return tell(report, lines, args)
    cls = load(args.target)
    module = make(cls, path, sizes)
    inputs = own_code(path, "a pass", inputs_for, module, path, sizes, args.like)
    report = own_code(path, "the check", check_gradients, module, *inputs, limit=CHECK_LIMIT)
    lines = own_code(
        path,
        "the comparison",
        compare_with,
        module,
        inputs,
        args.like,
        report.ok,
        limit=CHECK_LIMIT,
    )
    return tell(report, lines, args)


def definitions(path: str) -> dict[str, Any]:
    """The names that a file's definitions, imports and assignments make, up to its first loop."""
    with open(path) as file:
        tree = ast.parse(file.read(), path)
    kept = itertools.takewhile(lambda node: not isinstance(node, ast.For | ast.While), tree.body)
    module = types.ModuleType(f"checked_{os.path.basename(path).removesuffix('.py')}")
    sys.modules[module.__name__] = module
    module.__file__, tree.body = path, list(kept)
    exec(compile(tree, path, "exec"), vars(module))
    return vars(module)


def is_foreign(namespace: dict[str, Any], names: list[str]) -> bool:
    """Whether the names stand for something else than a class that obeys the one rule."""
    found = [namespace.get(name) for name in names]
    if len(found) == 1 and inspect.isclass(found[0]):
        backward = getattr(found[0], "backward", None)
        alone = backward is not None and len(inspect.signature(backward).parameters) == 2
        return alone or not all(hasattr(found[0], name) for name in ("__call__", "parameters"))
    return all(map(callable, found)) or (found != [None] and not inspect.isclass(found[0]))


def tell(report: Any, lines: dict[str, Any], args: argparse.Namespace) -> int:
    """Print it; the exit status."""
    if args.json:
        found = {**report.to_dict(), "like": lines and {"kind": args.like, **lines}}
        print(json.dumps(plain(found), ensure_ascii=False))
    else:
        print(report)
        for words, text in lines.items():
            if words != "ok":
                print(f"\n{words}, compared with {args.like}: {text}")
    return 0 if report.ok and lines.get("ok", True) else 1


def compare_with(
    module: Any, inputs: tuple[Any, ...], like: str | None, right: bool
) -> dict[str, Any]:
    """The first quantity of the forward and of the backward pass that is not ours.

    Where all gradients are `right`, a quantity that no variable held is none that is wrong.
    """
    if like is None:
        return {}
    from ..gradcheck.code_under_test import CodeUnderTest
    from ..gradcheck.diagnose import first_wrong
    from ..gradcheck.diagnose.recognize import recognize
    from ..gradcheck.diagnose.recurrences import RECURRENCES

    code = CodeUnderTest(module, inputs, 0)
    known = recognize(code)
    tables = [table for table in RECURRENCES if (table.name == "LSTM") == like.startswith("LSTM")]
    if known is None or known.table not in tables:
        closest = first_wrong.best_guess(code, tables)
        text = f"it does not compute what {like} computes with these parameters"
        if closest is not None and closest.first_wrong is not None:
            text += f"; read in the way that comes closest, {closest}"
        return {"ok": False, "forward": text}
    backward = first_wrong.compare_backward(code, known)
    if right and backward.first_wrong is not None:
        text = f"every gradient is right; no variable was seen to hold {backward.first_wrong}"
        return {"ok": True, "forward": "every answer agrees", "backward": text}
    return {
        "ok": backward.first_wrong is None,
        "forward": "every answer agrees",
        "backward": str(backward),
    }


def plain(value: Any) -> Any:
    """Numbers that JSON has: infinity and NaN become words."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
