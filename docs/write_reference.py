"""Write reference.md, the public names, from their docstrings: `python docs/write_reference.py`.

Below a name stands what its class or function says, then what its methods say; those of `Module`,
which every module has, stand there alone. A test compares the page with the docstrings.
"""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import reference
import scratch

DOCS = Path(__file__).parent
HEAD = """# Reference

The public names of `scratch` and `reference`, in reading order, with what their docstrings say.
T is the number of steps, N that of samples, H the hidden size; *record* is what `forward` returns
([notation](notation.md)). The page is written by `python docs/write_reference.py`.
"""


def source(value: Any) -> str:
    """The file of a class, function or module, below the root of the repository."""
    module = value.__name__ if inspect.ismodule(value) else value.__module__
    return module.replace(".", "/") + ".py"


def signature(name: str, value: Any) -> str:
    """How it is called: names and defaults, without types."""
    called = inspect.signature(value)
    bare = [p.replace(annotation=p.empty) for p in called.parameters.values() if p.name != "self"]
    arguments = str(called.replace(parameters=bare, return_annotation=called.empty))
    arguments = arguments.replace("<class 'numpy.float32'>", "np.float32")
    return "\n".join(textwrap.wrap(f"{name}{arguments}", 96, subsequent_indent="    "))


def methods(value: type) -> dict[str, Any]:
    """Public methods and properties with a docstring; those of Module for Module alone."""
    found: dict[str, Any] = {}
    for base in reversed(value.__mro__):
        if not base.__module__.startswith(("scratch", "reference")):
            continue
        if base is scratch.Module and value is not scratch.Module:
            continue
        for name, method in vars(base).items():
            if inspect.isclass(method):
                found.pop(name, None)  # what a derived class puts in place of a property
                continue
            known = callable(method) or isinstance(method, property)
            if known and method.__doc__ and (name == "__call__" or not name.startswith("_")):
                found[name] = method
    return found


def entry(name: str, value: Any) -> str:
    """What stands below a name: how it is called, its docstring and those of its methods."""
    if isinstance(value, ModuleType):
        return inspect.getdoc(value) or ""
    parts = [signature(name, value), textwrap.indent(inspect.getdoc(value) or "", "    ")]
    for called, method in methods(value).items() if inspect.isclass(value) else ():
        shown = "module" if called == "__call__" else f".{called}"
        parts.append(shown if isinstance(method, property) else signature(shown, method))
        parts.append(textwrap.indent(inspect.getdoc(method) or "", "    "))
    return "\n\n".join(parts)


def names() -> list[tuple[str, str, Any]]:
    """(package, name, value) of every public name."""
    return [
        (package.__name__, name, getattr(package, name))
        for package in (scratch, reference)
        for name in package.__all__
    ]


def page() -> str:
    """The whole page."""
    text, last = HEAD, ""
    for package, name, value in names():
        if package != last:
            text += f"\n## From `{package}`\n"
            last = package
        text += f"\n### {name}\n\n[{source(value)}](../{source(value)})\n\n"
        text += f"```\n{entry(name, value)}\n```\n"
    return text


if __name__ == "__main__":
    (DOCS / "reference.md").write_text(page())
