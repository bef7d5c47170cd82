"""Products and sums: a term or a factor too many or too few, parentheses, signs, a scale."""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import replace

from . import words
from .edits import Edit, Spot, bracketed, factors, is_gradient, is_product, spreads, steps_of
from .scope import CARRIED, Held, Scope, Shape, is_atom, loops, of_two


def superfluous(spot: Spot) -> Iterator[Edit]:
    """An operand that does not belong; a wrong operator."""
    node = spot.node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        text = ast.unparse(node.operand)
        yield spot.edit(f"({text})", "sign", f"the sign of `{text}` is wrong", 1.85)
    elif spot.holder is spot.statement and isinstance(node, ast.BinOp | ast.Call):
        yield spot.edit(f"-({spot.text})", "sign", f"the sign of `{spot.text}` is wrong", 2.4)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and is_product(
            spot.holder):  # fmt: skip
        for number in {2 * node.value, node.value / 2} - {1}:
            cause = f"the factor {spot.text} stands where {number:g} belongs"
            yield spot.edit(f"{number:g}", f"factor {number:g}", cause, 2.3)
    if not isinstance(node, ast.BinOp):
        return
    left, right = ast.unparse(node.left), ast.unparse(node.right)
    match node.op:
        case ast.Mult() | ast.Div():
            for keep, drop in ((left, right), (right, left)):
                if isinstance(node.op, ast.Mult) or keep == left:
                    what = "factor" if isinstance(node.op, ast.Mult) else "division by"
                    cause = f"the {what} `{drop}` does not belong there"
                    yield spot.edit(f"({keep})", f"superfluous {what} {drop}", cause, 2.5)
            op, is_, belongs = ("*", "divided by", "multiplied by")
            if isinstance(node.op, ast.Mult):
                op, is_, belongs = ("/", "multiplied by", "divided by")
            cause = f"`{left}` is {is_} `{right}` where it should be {belongs} it"
            yield spot.edit(f"({left}) {op} ({right})", "division and product", cause, 2)
        case ast.Add() | ast.Sub():
            other = "-" if isinstance(node.op, ast.Add) else "+"
            cause = f"the sign of `{right}` is wrong"
            yield spot.edit(f"({left}) {other} ({right})", f"sign of {right}", cause, 2.2)
            if other == "+":
                new = f"{right} - {ast.unparse(bracketed(node.left))}"
                cause = f"the sign is wrong: `{spot.text}` stands where `{new}` belongs"
                rank = 2.6 if isinstance(node.left, ast.Constant) else 1.9
                yield spot.edit(f"({new})", "sign", cause, rank)
            for keep, drop in ((left, right), (right, left)):
                cause = f"the term `{drop}` does not belong there"
                yield spot.edit(f"({keep})", f"superfluous term {drop}", cause, 2.5)
        case ast.Pow():
            yield spot.edit(f"({left})", "power", f"`{left}` should not be raised to a power", 2.6)


def parentheses(spot: Spot) -> Iterator[Edit]:
    """a + b · d ↔ (a + b) · d"""
    node = spot.node
    if not isinstance(node, ast.BinOp):
        return
    if isinstance(node.op, ast.Add | ast.Sub):
        sign = "+" if isinstance(node.op, ast.Add) else "-"
        for first, product in ((node.left, node.right), (node.right, node.left)):
            parts = [ast.unparse(bracketed(factor)) for factor in factors(product)]
            plain = ast.unparse(bracketed(first))
            for k in range(1, len(parts)):
                head, tail = " * ".join(parts[:k]), " * ".join(parts[k:])
                order = (plain, head) if first is node.left else (head, plain)
                new = f"({f' {sign} '.join(order)}) * {tail}"
                cause = (f"parentheses are missing: the derivative `{tail}` multiplies only "
                         f"`{head}`, not `{plain}`, which comes from the other way")  # fmt: skip
                tag = "derivative out of a sum" if _is_derivative(parts[k:]) else ""
                yield spot.edit(new, "missing parentheses", cause, 2, tag)
    if isinstance(node.op, ast.Mult):
        parts_ = factors(node)
        match parts_[0]:
            case ast.BinOp(left=one, op=ast.Add() | ast.Sub() as op, right=two):
                tail = " * ".join(ast.unparse(bracketed(factor)) for factor in parts_[1:])
                sign = "+" if isinstance(op, ast.Add) else "-"
                a, b = ast.unparse(one), ast.unparse(bracketed(two))
                for new, only in (
                    (f"{a} {sign} {b} * {tail}", b),
                    (f"({a}) * {tail} {sign} {b}", a),
                ):
                    cause = f"parentheses too many: `{tail}` multiplies only `{only}`"
                    yield spot.edit(new, "parentheses", cause, 2)


def crossed(spot: Spot) -> Iterator[Edit]:
    """a · p + b · q for a · q + b · p"""
    terms = _terms(spot.node)
    if len(terms) < 2 or _is_term(spot):
        return
    for j, k in itertools.combinations(range(len(terms)), 2):
        match terms[j], terms[k]:
            case ast.BinOp(left=a, right=p, op=op), ast.BinOp(left=b, right=q, op=too) if type(
                op
            ) is type(too) and ast.dump(p) != ast.dump(q):
                new = list(terms)
                new[j], new[k] = ast.BinOp(a, op, q), ast.BinOp(b, op, p)
                one, two = ast.unparse(p), ast.unparse(q)
                cause = f"`{one}` and `{two}` stand in each other's place"
                text = " + ".join(map(ast.unparse, new))
                yield spot.edit(f"({text})", f"{one} and {two} exchanged", cause, 2.2)


def _terms(node: ast.expr) -> list[ast.expr]:
    """The terms of a sum from left to right."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_terms(node.left), node.right]
    return [node]


def _is_term(spot: Spot) -> bool:
    return isinstance(spot.holder, ast.BinOp) and isinstance(spot.holder.op, ast.Add)


def _is_derivative(parts: list[str]) -> bool:
    """v · (1 − v) or 1 − v²"""
    if len(parts) == 2:
        return parts[1] == f"(1 - {parts[0]})" or parts[0] == f"(1 - {parts[1]})"
    return bool(re.fullmatch(r"\(1(\.0)? - (.+) (\*\* 2|\* \2)\)", parts[0]))


def differences(spot: Spot) -> Iterator[Edit]:
    """`n − h` where only `n` stands; `1 − z` where `z` does."""
    held = spot.known.get(spot.text)
    match spot.holder:
        case ast.BinOp(left=ast.Constant(value=1), op=ast.Sub()):
            pass
        case _ if held is not None and held.is_gate:
            cause = f"`{spot.text}` stands where `1 - {spot.text}` belongs"
            yield spot.edit(f"(1 - {spot.text})", f"1 - {words.root(spot.text)}", cause, 2)
    if not is_product(spot.holder) or held is None or not held.is_array or is_gradient(spot.text):
        return
    for other, value in spot.known.items():
        if value.shape == held.shape and value.is_array and other != spot.text and not (
                is_gradient(other)):  # fmt: skip
            new = f"({spot.text} - {other})"
            cause = f"`{spot.text}` stands where the difference `{new[1:-1]}` belongs"
            yield spot.edit(new, f"missing term {other}", cause, 3)


def missing_term(spot: Spot) -> Iterator[Edit]:
    """A gradient that should be added: one carried back, one of the answers, one through a gate."""
    if spot.shape is None or not spot.shape:
        return
    inner = isinstance(spot.holder, ast.BinOp) and isinstance(spot.holder.op, ast.Add | ast.Sub)
    held_here = spot.known
    carried = spot.scope.carried
    arguments = {a.arg for a in spot.part.tree.args.args}
    gradients = {text: held for text, held in [*held_here.items(), *steps_of(spot, held_here)]
                 if held.shape == spot.shape and held.is_array
                 and (is_gradient(text) or text in carried)}  # fmt: skip
    if inner:
        return
    text, statement_value = spot.text, getattr(spot.statement, "value", None)
    for term in gradients:
        if term in text:
            continue
        if term in carried:
            name, begin = words.carry(term, arrives=term not in spot.scope.unread)
            whole = term in spot.scope.unread and statement_value is spot.node
            cause, rank = f"{begin} not added", 0.7 if whole else 1.0
        elif term.partition("[")[0] in arguments and "[" in term:
            of = term.partition("[")[0]
            name = "gradient of the answers ignored"
            cause = (f"`{text}` replaces what should be added to it, `{term}`: the gradients "
                     f"`{of}` of the answers at the other steps are ignored")  # fmt: skip
            rank = 2.0
        else:
            name, cause, rank = f"missing term {term}", f"the term `{term}` is missing", 3.0
        yield spot.edit(f"{text} + {term}", name, cause, rank)
    whole = statement_value is spot.node or isinstance(spot.holder, ast.Tuple)
    if whole:
        yield from _through_a_matrix(spot)
    if whole and _hands_back(spot):
        yield from _through_a_gate(spot, list(gradients))


def _through_a_matrix(spot: Spot) -> Iterator[Edit]:
    """`dK @ Wk.T`, of a gradient and a matrix that the line does not have."""
    arrays = {text: held for text, held in spot.known.items()
              if held.is_array and text not in spot.text}  # fmt: skip
    for matrix, held in arrays.items():
        if len(held.shape) != 2 or is_gradient(matrix):
            continue
        for gradient in filter(is_gradient, arrays):
            for term in products(gradient, matrix, spot.shape, arrays):
                cause = f"the term `{term}` is missing, the way back through `{matrix}`"
                yield spot.edit(f"{spot.text} + {term}", f"missing term {term}", cause, 3.3)


def products(
    gradient: str, matrix: str, shape: Shape | None, known: dict[str, Held]
) -> Iterator[str]:
    """The products of a gradient with a matrix, either way round, that have a shape."""
    g, m = known[gradient].shape, known[matrix].shape
    for text, one, two in (
        (f"{gradient} @ {matrix}", g, m), (f"{gradient} @ {matrix}.T", g, m[::-1]),
        (f"{matrix} @ {gradient}", m, g), (f"{matrix}.T @ {gradient}", m[::-1], g),
    ):  # fmt: skip
        if of_two(one, ast.MatMult(), two) == shape:
            yield text


def normalized(spot: Spot) -> Iterator[Edit]:
    """The derivative of softmax, and of what is normalized by mean and variance, made whole."""
    text, shape = spot.text, spot.shape
    if not shape or len(shape) < 2 or not is_atom(spot.node) or not is_gradient(text):
        return
    if not spot.part.normalizes:
        return
    for axis in (-1, 0) if len(shape) == 2 else (-1,):
        if shape[axis] == 1:
            continue
        over = f"(axis={axis}, keepdims=True)"
        new = f"({text} - {text}.mean{over})"
        cause = f"`{text}` stands where `{new}` belongs: the way back through the mean is missing"
        yield spot.edit(new, "way back through the mean", cause, 2.6)
        for value, held in spot.known.items():
            if held.shape != shape or not held.is_array or is_gradient(value):
                continue
            if held.low >= 0 and held.high <= 1:
                new = f"({text} - ({text} * {value}).sum{over})"
                cause = (f"the derivative of softmax is not whole: `{text}` stands where `{new}` "
                         f"belongs")  # fmt: skip
                yield spot.edit(new, "derivative of softmax", cause, 2)
            else:
                new = f"({text} - {value} * ({text} * {value}).mean{over})"
                cause = (f"the way back through the variance is missing: `{text}` stands where "
                         f"`{new}` belongs")  # fmt: skip
                yield spot.edit(new, "way back through the variance", cause, 2.7)


def _hands_back(spot: Spot) -> bool:
    """Whether a line sets what is carried from step to step, as far as its names tell."""
    if not loops(spot.part.tree) or isinstance(spot.statement, ast.Return):
        return True
    stored = ast.unparse(spot.statement).partition("=")[0]
    if words.is_state(stored.strip("+ ")) and is_gradient(stored):
        return True
    return bool(CARRIED.search(stored) or spot.scope.carried & set(re.findall(r"\w+", stored)))


def _through_a_gate(spot: Spot, gradients: list[str]) -> Iterator[Edit]:
    """`dh * (1 − z)`, a way back that passes a gate; `di * p_i + df * p_f`, those of peepholes."""
    peepholes = []
    for value, held in [*spot.known.items(), *_rows(spot.known)]:
        if not held.is_array or not spreads(held.shape, spot.shape or ()) or is_gradient(value):
            continue
        gate = words.gate(value, spot.known)
        for gradient in gradients:
            few = held.shape != spot.shape
            if few and words.root(gradient)[-1:] == words.root(value)[-1:]:
                peepholes.append((gradient, value))
            for form in (value, f"(1 - {value})") if held.is_gate else (value,):
                term = f"{gradient} * {form}"
                if term not in spot.text:
                    cause = f"the way back through {gate} is missing: `{term}` is not added"
                    rank = 3.1 if few else 3.5 if words.is_state(gradient) else 3.3
                    yield spot.edit(f"{spot.text} + {term}", f"missing term {term}", cause, rank)
    for (d, p), (e, q) in itertools.combinations(peepholes[:8], 2):
        terms = f"{d} * {p} + {e} * {q}"
        cause = (
            f"the way back from the gates to the cell state through the peepholes {p} and {q} "
            f"is missing: `{terms}` is not added"
        )
        yield spot.edit(f"{spot.text} + {terms}", "missing peephole terms", cause, 3.2)


def _rows(known: dict[str, Held]) -> Iterator[tuple[str, Held]]:
    """The rows of arrays of few: peepholes kept in one array."""
    for text, held in known.items():
        few = text.isidentifier() and len(held.shape) == 2 and held.shape[0] <= 3
        if few and held.is_array and any(other.startswith(f"{text}[") for other in known):
            for k in range(held.shape[0]):
                if f"{text}[{k}]" not in known:
                    yield f"{text}[{k}]", replace(held, shape=held.shape[1:])


def scaled(spot: Spot, factor: float) -> Iterator[Edit]:
    """A division or product by a number of entries that takes `factor` away."""
    text = ast.unparse(bracketed(spot.node))
    for op, number, cause, rank in scales(spot.scope, factor):
        words_ = cause.format(f"`{spot.text}`")
        yield spot.edit(f"{text} {op} {number}", "mean and sum", words_, rank)
    for simple, new in ((2, f"0.5 * {text}"), (0.5, f"2 * {text}"), (-1, f"-{text}")):
        if abs(factor - simple) < 1e-7:
            word = "the sign is wrong" if factor < 0 else f"a factor {1 / simple:g} is missing"
            rank = 1.9 if factor < 0 else 1.6  # a minus that stands there goes first
            yield spot.edit(new, f"factor {simple:g}", f"{word} in `{spot.text}`", rank)


def rescaled(spot: Spot, factor: float) -> Iterator[Edit]:
    """A number that is divided by, or a factor, to which another belongs or in which one is."""
    holder, statement = spot.holder, spot.statement
    divides = isinstance(getattr(statement, "op", None), ast.Div | ast.Mult)
    match spot.node:
        case (
            ast.BinOp(left=rest, op=ast.Mult(), right=ast.Constant(value=int() | float() as times))
            | ast.BinOp(
                left=ast.Constant(value=int() | float() as times), op=ast.Mult(), right=rest
            )
        ) if abs(times - factor) < 1e-7 * abs(times):
            cause = f"{_much(factor)}, by which `{ast.unparse(rest)}` is multiplied"
            yield spot.edit(f"({ast.unparse(rest)})", f"factor {times:g}", cause, 1.05)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            held = spot.known.get(ast.unparse(right))
            if held is not None and not held.shape and abs(held.low * factor - 1) < 1e-7:
                by = ast.unparse(right)
                cause = f"{_much(factor)}: `{ast.unparse(left)}` is divided by `{by}`"
                yield spot.edit(f"({ast.unparse(left)})", "mean and sum", cause, 1.05)
    if spot.shape != () and "len(" not in spot.text[:4]:
        return
    if is_product(holder) or (holder is statement and divides):
        for _, number, cause, _ in scales(spot.scope, factor):
            new = f"{spot.text} * {number}"
            much = cause.partition(":")[0]
            cause = f"{much}: `{spot.text}` stands where `{new}` belongs"
            yield spot.edit(f"({new})", "mean and sum", cause, 1.1)
    if isinstance(spot.node, ast.BinOp) and isinstance(spot.node.op, ast.Mult):
        for keep in (spot.node.left, spot.node.right):
            new = ast.unparse(keep)
            cause = f"{_much(factor)}: `{spot.text}` stands where `{new}` belongs"
            yield spot.edit(f"({new})", "mean and sum", cause, 1.1)


def _much(factor: float) -> str:
    size, by = ("large", factor) if factor > 1 else ("small", 1 / factor)
    return f"the gradients are too {size} by the factor {by:g}"


def scales(scope: Scope, factor: float) -> Iterator[tuple[str, str, str, float]]:
    """Operator, number, words and rank: T and N before sizes of arrays; two at most."""
    numbers: dict[str, tuple[float, float]] = {}  # their values and ranks
    for text, held in scope.all.items():
        if not held.shape and held.low == held.high and text not in scope.counters:
            numbers[text] = held.low, 1.4
            numbers[f"np.sqrt({text})"] = math.sqrt(abs(held.low)), 1.65
        if held.is_array and text.isidentifier():
            numbers[f"{text}.size"] = math.prod(held.shape), 1.5
            for k, size in enumerate(held.shape):
                numbers[f"{text}.shape[{k}]"] = size, 1.55
                numbers[f"np.sqrt({text}.shape[{k}])"] = math.sqrt(size), 1.66
        if held.shape and held.whole and text.isidentifier():
            numbers[f"len({text})"] = held.shape[0], 1.45
    alone = [(text, n) for text, (n, rank) in numbers.items() if rank == 1.4]
    for (one, n), (two, m) in itertools.combinations(alone, 2):
        numbers[f"({one} * {two})"] = n * m, 1.42
    found = [(rank, number, op) for number, (value, rank) in numbers.items()
             for op, way in (("/", factor), ("*", 1 / factor))
             if value > 0 and value != 1 and abs(way - value) < 1e-7 * value]  # fmt: skip
    for rank, number, op in sorted(found, key=lambda one: (one[0], len(one[1])))[:2]:
        missing, one, other = ("division by", "a mean", "sum")
        if op == "*":
            missing, one, other = ("product with", "a sum", "mean")
        cause = f"{_much(factor)}: the {missing} `{number}` is missing in {{}}"
        if "sqrt" not in number:
            cause += f", as where the loss is {one} and they are those of the {other}"
        yield op, number, cause, rank
