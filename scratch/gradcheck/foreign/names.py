"""What people call a gradient, and what their source says about the names of what it returns."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

# dW, dL_dW, d_W, grad_W, gW, W_grad, W_diff, W_d … → W
BEFORE = ("dL_d", "dLd", "dL_", "dJ_d", "dJd", "dE_d", "dEd", "dloss_d", "d_loss_d", "grad_",
          "grads_", "gradient_", "gradients_", "grad", "delta_", "delta", "nabla_", "d_", "d", "g_",
          "g", "D")  # fmt: skip
AFTER = ("_grad", "_grads", "_gradient", "_diff", "_delta", "_d", "grad", "Grad")
GENERIC = re.compile(r"^(d|g|delta|grads?|gradients?|dout|out|results?|ret|res|back)$")
OTHERS = re.compile(r"param|weight|theta|cache|state|memory|model|hist", re.IGNORECASE)
# A quantity inside a step: its gradient is not that of anything that went in.
INNER = re.compile(r"^(z|Z|A|t|raw|net|pre|gates?|acts?|scores?|logits?|tanh|[ifgo]t?)$")
# A state before, after or at the start, an input of one step or of all: h_prev, dhnext, a0, xt, xs.
AROUND = re.compile(r"prev(ious)?|next|init(ial)?|first|last|start|old|past|_|0")
X = ("x", "xs", "xt", "inp", "input", "inputs", "data")

WEIGHT = re.compile(
    r"^[WUVKRPBwuvb]([A-Z0-9_].*|[a-z]{0,2})$|^([Ww]eight|[Bb]ias|[Kk]ernel|theta|gamma|beta|param)"
)
STATE = re.compile(r"state|hidden|prev|init|_?0$|^x|^[hcas](_?t|_?n)?$|first|start|^inputs?$", re.I)
STRONG = re.compile(r"state|hidden|prev|init|_?0$|^xs?$|^xt$|first|start|^inputs?$", re.I)
TARGET = re.compile(r"^(targets?|labels?|y|ys|ts?|y_true|expected|Y)$")


def is_weight(name: str, in_dict: bool = False) -> bool:
    """Whether an array is called as a parameter is, or is one of several in a dict."""
    return in_dict or any(WEIGHT.match(part) for part in name.split("."))  # W of encoder.W


def wrt(name: str) -> list[str]:
    """What `name` can be the gradient of; empty if it is not called a gradient."""
    found = [name[len(b) :] for b in BEFORE if name.startswith(b)]
    found += [name[: -len(a)] for a in AFTER if name.endswith(a)]
    return [base.lstrip("_") for base in dict.fromkeys(found) if base.strip("_")]


def _plain(name: str) -> str:
    return name.replace("_", "")


def _lower(name: str) -> str:
    return _plain(name).lower()


def _state(name: str) -> str:
    """h of h_prev, hprev, h0, dhnext; x of xs, xt, inputs."""
    short = AROUND.sub("", name.lower())
    if short in X:
        return "x"
    return short[:-1] if len(short) > 1 and short[-1] in "ts" else short


def match(
    gradients: Sequence[str], targets: Sequence[str], *, exact: bool = False
) -> dict[str, str]:
    """Which gradient is which target's, by their names. `targets`: parameters before inputs.

    exact: letter for letter, but for underscores and capitals.
    """
    found: dict[str, str] = {}
    for key in (str, _plain, _lower, _state)[: 3 if exact else 4]:
        for gradient in gradients:
            free = [t for t in targets if t not in found.values()]
            keys = {key(base) for base in wrt(gradient)}
            fits = [t for t in free if key(t) in keys]
            if gradient not in found and fits and (key is not _state or len(fits) == 1):
                found[gradient] = fits[0]
    return found


# What the source says


def tree_of(function: Callable[..., Any]) -> ast.AST | None:
    """The syntax tree of a function or a class, where there is a source."""
    try:
        return _tree(inspect.unwrap(getattr(function, "__func__", function)))
    except TypeError:  # of an object that can be called and not hashed
        return None


@lru_cache(maxsize=256)
def _tree(function: Callable[..., Any]) -> ast.AST | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None


Names = str | list[Any] | None  # of a value; a list for the parts of a tuple, None where none shows


class Key(str):
    """A key of what holds gradients, W of g["W"]: whose gradient it is, or what it is called."""

    __slots__ = ()


class Inside(str):
    """A name inside an expression, dx of dx * mask: a hint, where the shape fits."""

    __slots__ = ()


def holds_others(name: str) -> bool:
    """Whether a dict or an object is called as one of parameters or states: params, cache."""
    return bool(OTHERS.search(name)) and not holds_gradients(name)


def holds_gradients(name: str) -> bool:
    """Whether a dict or an object is called as one of gradients is: g, grads, dparams."""
    return bool(GENERIC.match(name) or "grad" in name.lower() or wrt(name))


def returned(function: Callable[..., Any]) -> Names:
    """The names in the last `return` of a function."""
    tree = tree_of(function)
    if tree is None:
        return None
    functions = ast.FunctionDef | ast.Lambda
    nested = [n for n in ast.walk(tree) if n is not tree and isinstance(n, functions)]
    inner = {id(node) for part in nested for node in ast.walk(part)}
    mine = [node for node in ast.walk(tree) if id(node) not in inner]
    returns = [n for n in mine if isinstance(n, ast.Return) and n.value is not None]
    if not returns:
        return None
    last = max(returns, key=lambda node: node.lineno).value
    assigned = {
        target.id: node.value
        for node in mine
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return _names(last, assigned)


def _names(node: ast.AST | None, assigned: dict[str, Any]) -> Names:
    if isinstance(node, ast.Tuple | ast.List):
        parts: list[Any] = []
        for part in node.elts:
            if isinstance(part, ast.Starred):
                inner = _names(part.value, assigned)
                parts += inner if isinstance(inner, list) else [...]
            else:
                parts.append(_names(part, assigned))
        return parts
    if isinstance(node, ast.Name):
        literal = assigned.get(node.id)
        if isinstance(literal, ast.Tuple | ast.List) and literal.elts:
            return _names(literal, {})
        if isinstance(literal, ast.ListComp) and len(literal.generators) == 1:
            # [np.zeros_like(w) for w in (W, b)]
            over = _names(literal.generators[0].iter, assigned)
            if isinstance(over, list):
                return [f"d{name}" if isinstance(name, str) else None for name in over]
        return node.id
    if isinstance(node, ast.Subscript) and isinstance(key := getattr(node.slice, "value", 0), str):
        return Key(key) if holds_gradients(_called(node.value)) else key
    if isinstance(node, ast.Attribute):
        return Key(node.attr) if holds_gradients(_called(node.value)) else node.attr
    return _inside(node)


def _called(node: ast.AST) -> str:
    """grads of grads and of self.grads."""
    return str(getattr(node, "attr", getattr(node, "id", "")))


THE_SAME = ("np", "numpy", "array", "asarray", "copy", "stack", "list", "tuple")


def _inside(node: ast.AST | None) -> str | None:
    """dx of np.stack(dx[::-1]) and of dx * mask; None of what has no or several such names."""
    if node is None or isinstance(node, ast.Constant | ast.Dict | ast.Lambda):
        return None
    heads = [n.func for n in ast.walk(node) if isinstance(n, ast.Call)]
    # What is called is not an operand, but for the array of a method: dx of dx.reshape(4).
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n not in heads}
    found -= {"np", "numpy"}
    gradients = [name for name in found if wrt(name) or GENERIC.match(name)]
    if len(gradients) == 1:
        return Inside(gradients[0])
    operations = [n for n in ast.walk(node) if isinstance(n, ast.BinOp | ast.Call)]
    same = all(isinstance(n, ast.Call) and _called(n.func) in THE_SAME for n in operations)
    return Inside(found.pop()) if same and len(found) == 1 and not gradients else None


def of_list(cls: type[Any], attribute: str, length: int) -> list[str] | None:
    """The names of the parts of self.params: `self.params = [Wx, Wh]`, `Wx, Wh = self.params`."""
    trees = [tree_of(base) for base in cls.__mro__[:-1]]
    return _unpacked(trees, attribute, length)


def unpacked(functions: Sequence[Callable[..., Any]], name: Any, value: Any) -> list[str] | None:
    """The same of a variable: `Wx, Wh = params`. None if it is not a list of different arrays."""
    if not isinstance(value, list | tuple) or len(value) < 2 or not isinstance(name, str):
        return None
    return _unpacked(map(tree_of, functions), name, len(value))


def _unpacked(trees: Iterable[ast.AST | None], name: str, length: int) -> list[str] | None:
    for tree in trees:
        for node in ast.walk(tree) if tree is not None else ():
            if not isinstance(node, ast.Assign):
                continue
            sides = [(node.targets[0], node.value), (node.value, node.targets[0])]
            for one, other in sides:
                called = getattr(one, "attr", getattr(one, "id", None)) == name
                if called and isinstance(other, ast.Tuple | ast.List) and len(other.elts) == length:
                    found = [_names(part, {}) for part in other.elts]
                    if all(isinstance(n, str) and n != "_" for n in found):
                        return [str(part) for part in found]
    return None


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The positional arguments of a function or a bound method."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        return [p for p in inspect.signature(function).parameters.values() if p.kind in kinds]
    except (TypeError, ValueError):
        return []


def string_keys(function: Callable[..., Any], name: str) -> list[str]:
    """The keys under which a function, or one that it calls, looks into a dict of its arguments."""
    found: dict[str, None] = {}
    waiting, seen = [inspect.unwrap(function)], set()
    while waiting:
        current = waiting.pop(0)
        tree = tree_of(current)
        if tree is None or id(current) in seen:
            continue
        seen.add(id(current))
        names_of = getattr(getattr(current, "__func__", current), "__globals__", {})
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
                key = getattr(node.slice, "value", None)
                if node.value.id == name and isinstance(key, str):
                    found[key] = None
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                called = names_of.get(node.func.id)
                passed = [a.id for a in node.args if isinstance(a, ast.Name)]
                if inspect.isfunction(called) and name in passed:
                    waiting.append(called)
    return list(found)
