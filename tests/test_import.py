"""`import scratch` without torch, without matplotlib, and with the public names."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pytest

import scratch

ROOT = Path(__file__).parents[1]


def test_import_scratch_where_torch_is_not_installed():
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # an import of it fails, as if it were not there
        "import scratch, scratch.tasks.systems, scratch.training, scratch.__main__\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def imports(path):
    """What the file imports, by full name, inside functions too; not what is for types only."""
    package = path.relative_to(ROOT).parent.parts
    for node in statements(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else ()
            base = ".".join([*start, *([node.module] if node.module else [])])
            # `from . import name` imports a module; `from .module import name` imports from one.
            yield from (base if is_file(base) else f"{base}.{alias.name}" for alias in node.names)


def statements(node):
    """Those within `node`; no expressions, which are most of a tree and hold no statement."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from statements(child)


def is_file(name):
    return (ROOT / (name.replace(".", "/") + ".py")).exists()


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in ROOT.glob("scratch/**/*.py")}
IMPORTS = {name: set(imports(path)) for name, path in FILES.items()}


def within(package, name):
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("name", FILES)
def test_scratch_imports_neither_torch_nor_reference(name):
    for other in IMPORTS[name]:
        assert not any(within(package, other) for package in ("torch", "reference", "tests")), other


@pytest.mark.parametrize("name", FILES)
def test_only_commands_import_commands(name):
    """`__main__` and what stands behind a subcommand: nothing that computes."""
    if not (name == "scratch.__main__" or within("scratch.commands", name)):
        for other in IMPORTS[name]:
            assert not within("scratch.commands", other), other


def test_imports_run_one_way():
    """No file imports itself by way of others."""
    graph = {name: {other for other in found if other in FILES} for name, found in IMPORTS.items()}
    assert graph["scratch.cells"] >= {"scratch.machinery.arrays", "scratch.machinery.module"}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the files


def test_every_public_name_is_there():
    for name in scratch.__all__:
        assert hasattr(scratch, name)
    namespace = {}
    exec("from scratch import *", namespace)
    assert set(scratch.__all__) <= set(namespace)


# The house


def room(name):
    """A file at the root of scratch is a room of its own, a folder is one."""
    return ".".join(name.split(".")[:2])


def test_the_house_has_at_most_six_floors():
    """A room stands above all that it imports. __init__ and __main__ are its door."""
    rooms = {room(name) for name in FILES} - {"scratch", "scratch.__main__"}
    below = {
        above: {room(other) for name in FILES if room(name) == above for other in IMPORTS[name]}
        for above in rooms
    }

    def floor(name):
        return 1 + max([floor(other) for other in below[name] & rooms - {name}], default=0)

    assert max(map(floor, rooms)) <= 6
    assert floor("scratch.machinery") == 1
    assert floor("scratch.cells") == 2


def test_the_rooms_stand_in_their_order():
    """machinery, the lesson, tasks, commands; gradcheck and study are used by commands alone."""
    order = ["machinery", "lesson", "tasks", "commands"]
    place = {f"scratch.{name}": k for k, name in enumerate(order)}
    beside = {"scratch.gradcheck", "scratch.study"}
    for name, found in IMPORTS.items():
        if room(name) in ("scratch", "scratch.__main__"):
            continue
        here = place.get(room(name), 2 if room(name) in beside else 1)
        for other in found & FILES.keys() - {"scratch"}:
            there = place.get(room(other), 2 if room(other) in beside else 1)
            assert there <= here, f"{name} imports {other}"
            if room(other) in beside:
                assert room(name) in (room(other), "scratch.commands"), f"{name} imports {other}"


def test_the_lesson_is_at_most_ten_files():
    lesson = [p.stem for p in (ROOT / "scratch").glob("*.py") if not p.stem.startswith("__")]
    assert len(lesson) <= 10


def test_import_scratch_does_not_load_the_checker():
    code = "import sys, scratch; assert not any('gradcheck' in name for name in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_pass_of_an_lstm_is_short_to_follow():
    """Forward and backward, one layer, padded: the functions and files that a value passes."""
    lstm = scratch.LSTM(3, 4, rng=0)
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    passed = set()

    def note(frame, event, _argument):
        code = frame.f_code
        inside = Path(code.co_filename).is_relative_to(ROOT / "scratch")
        if event == "call" and inside and not code.co_name.startswith("<"):  # no comprehensions
            passed.add((code.co_filename, code.co_qualname))

    sys.setprofile(note)
    try:
        record = lstm.forward(x)
        lstm.backward(record, record.output)
    finally:
        sys.setprofile(None)
    assert len(passed) <= 25, sorted(passed)
    assert len({file for file, _name in passed}) <= 6, sorted(passed)
