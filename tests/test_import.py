"""`import scratch` without torch, without matplotlib, and with the public names."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

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
    tree = ast.parse(path.read_text("utf-8"))
    for_types = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else ()
            base = ".".join([*start, *([node.module] if node.module else [])])
            # `from . import name` imports a module; `from .module import name` imports from one.
            yield from (base if is_file(base) else f"{base}.{alias.name}" for alias in node.names)


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
