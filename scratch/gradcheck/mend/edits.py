"""Small edits of an expression, those that people need, and what each means in words.

A rule looks at one node and yields other texts for it. What a rule may put in another's place has
the same shape there, as far as that is known; whether an edit mends anything is found by running it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from . import words
from .functions import Part
from .scope import CARRIED, Held, Scope, Shape, is_atom, loops, shape_of

Change = tuple[ast.AST, str, int | None, Any]  # the node, its field, the place in it, the new value


@dataclass(frozen=True)
class Edit:
    """A change of one line, or the same change of several.

    `rank` is small for what is likely; edits of one `tag` are the same slip in several places.
    """

    part: Part
    changes: tuple[Change, ...]
    statements: tuple[ast.stmt, ...]
    name: str
    cause: str
    rank: float
    tag: str = ""
    how: str = "as"  # the line reads "as" the new one, is "without" it, or has a new one "after" it
    inserted: str = ""

    def __post_init__(self) -> None:
        for holder, _, _, value in self.changes:
            if isinstance(value, ast.AST):
                ast.copy_location(value, self.statements[0])
            for node in value if isinstance(value, list) else [value]:
                ast.fix_missing_locations(node)

    def apply(self) -> list[Any]:
        """Change the tree; returns what `undo` needs."""
        before = []
        for holder, field, index, value in self.changes:
            if index is None:
                before.append(getattr(holder, field))
                setattr(holder, field, value)
            else:
                before.append(getattr(holder, field)[index])
                getattr(holder, field)[index] = value
        return before

    def undo(self, before: list[Any]) -> None:
        changed = list(zip(self.changes, before, strict=True))
        for (holder, field, index, _), value in reversed(changed):
            if index is None:
                setattr(holder, field, value)
            else:
                getattr(holder, field)[index] = value


@dataclass(frozen=True)
class Spot:
    """An expression, where it hangs in the tree, and what is known there."""

    part: Part
    scope: Scope
    statement: ast.stmt
    holder: ast.AST
    field: str
    index: int | None
    node: ast.expr

    @cached_property
    def text(self) -> str:
        return ast.unparse(self.node)

    @cached_property
    def known(self) -> dict[str, Held]:
        return self.scope.at(self.statement.lineno)

    @cached_property
    def shape(self) -> Shape | None:
        return shape_of(self.node, self.known)

    def edit(self, text: str, name: str, cause: str, rank: float, tag: str = "") -> Edit:
        new = ast.parse(text, mode="eval").body
        change = (self.holder, self.field, self.index, new)
        return Edit(self.part, (change,), (self.statement,), name, cause, rank, tag)

    def below(self) -> Iterator[Spot]:
        """The expressions inside."""
        for field, value in ast.iter_fields(self.node):
            parts = value if isinstance(value, list) else [value]
            for k, part in enumerate(parts):
                holder: ast.AST = self.node
                if isinstance(part, ast.keyword | ast.comprehension):
                    holder, field_, index, part = (
                        (part, "value", None, part.value)
                        if isinstance(part, ast.keyword)
                        else (part, "iter", None, part.iter)
                    )
                else:
                    field_, index = field, k if isinstance(value, list) else None
                if isinstance(part, ast.expr):
                    yield Spot(self.part, self.scope, self.statement, holder, field_, index, part)


def of(spot: Spot) -> Iterator[Edit]:
    """Every edit of one expression, that of what stands inside left to its own."""
    for rule in RULES:
        yield from rule(spot)


def together(edits: list[Edit]) -> Iterator[Edit]:
    """The same slip everywhere in a line, and in several lines."""
    groups: dict[tuple[Part, str], list[Edit]] = {}
    for edit in edits:
        if edit.tag:
            groups.setdefault((edit.part, edit.tag), []).append(edit)
    for group in groups.values():
        lines: dict[ast.stmt, list[Edit]] = {}
        for edit in group:
            lines.setdefault(edit.statements[0], []).append(edit)
        several = [_joined(part) for part in lines.values()]
        yield from (edit for edit in several if len(edit.changes) > 1)
        if len(several) > 1:
            yield _joined(several)


def _joined(edits: list[Edit]) -> Edit:
    changes = tuple(change for edit in edits for change in edit.changes)
    lines = tuple(dict.fromkeys(line for edit in edits for line in edit.statements))
    return replace(edits[0], changes=changes, statements=lines, rank=edits[0].rank + 0.3)


# Atoms


def shifts(spot: Spot) -> Iterator[Edit]:
    """`hs[t]` ↔ `hs[t − 1]`, and `hs[−1]` at t = 0."""
    node = spot.node
    if not isinstance(node, ast.Subscript):
        return
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    for k, index in enumerate(inner):
        name, offset = _index(index)
        if name not in spot.scope.counters:
            continue
        for other in (offset - 1, offset + 1):
            text = name if not other else f"{name} {'+' if other > 0 else '-'} {abs(other)}"
            parts = [ast.unparse(part) for part in inner]
            parts[k] = text
            new = f"{ast.unparse(node.value)}[{', '.join(parts)}]"
            of = words.root(ast.unparse(node.value))
            which = "after the step" if other < offset else "before the step"
            where = "before it" if other < offset else "after it"
            cause = (f"shifted by one step: `{spot.text}`, {of} {which}, is used where the one "
                     f"{where}, `{new}`, belongs")  # fmt: skip
            yield spot.edit(new, f"{of} shifted by one step", cause, 1, f"shift {of} {other}")
        if offset < 0:
            cause = (f"at {name} = 0, `{spot.text}` is the last one, not the one before the first: "
                     f"the index {name} - 1 = -1 wraps round")  # fmt: skip
            starts = [text for text, held in spot.known.items()
                      if held.is_array and spot.shape == held.shape and text.isidentifier()
                      and ("0" in text or "init" in text or "start" in text)]  # fmt: skip
            for start in [*starts, f"0 * {spot.text}"]:
                new = f"({spot.text} if {name} else {start})"
                yield spot.edit(new, "index wraps round at the first step", cause, 1)


def _index(node: ast.expr) -> tuple[str, int]:
    match node:
        case ast.Name(id=name):
            return name, 0
        case ast.BinOp(left=ast.Name(id=name), op=ast.Add(), right=ast.Constant(value=int(n))):
            return name, n
        case ast.BinOp(left=ast.Name(id=name), op=ast.Sub(), right=ast.Constant(value=int(n))):
            return name, -n
    return "", 0


def others(spot: Spot) -> Iterator[Edit]:
    """Another variable of the same shape."""
    if not is_atom(spot.node) or (held := spot.known.get(spot.text)) is None:
        return
    for text, other in spot.known.items():
        fits = other.shape == held.shape and other.whole == held.whole
        if fits and text != spot.text and (held.shape or isinstance(spot.node, ast.Name)):
            yield spot.edit(text, *_instead(spot, text), f"{spot.text} → {text}")
    if not isinstance(spot.node, ast.Name):
        return
    for text, other in _slices(spot, spot.known):
        if other.shape == held.shape and held.is_array and text not in spot.known:
            yield spot.edit(text, *_instead(spot, text), f"{spot.text} → {text}")


def _instead(spot: Spot, new: str) -> tuple[str, str, float]:
    """Name, cause and rank of one variable in another's place."""
    old = spot.text
    if new in spot.scope.carried:
        name, begin = words.carry(new)
        rank = 0.6 if new in spot.scope.unread and is_gradient(old) else 1.6
        if isinstance(spot.statement, ast.AugAssign) and ast.unparse(spot.statement.target) == old:
            rank = 0.3  # dc += dc
        return name, f"{begin} not used: `{old}` stands where it belongs", rank
    if words.base(old) == words.base(new) and not is_gradient(old):
        before = bool(words.BEFORE.search(new))
        which, where = ("after", "before it") if before else ("before", "after it")
        cause = (f"shifted by one step: `{old}`, the one {which} the step, is used where the one "
                 f"{where}, `{new}`, belongs")  # fmt: skip
        return f"{words.base(old)} shifted by one step", cause, 1.5
    cause = f"`{old}` stands where `{new}` belongs"
    if not is_gradient(old) and words.gate(new, spot.known) != f"`{new}`":
        cause += f", {words.gate(new, spot.known)}"
    return f"{words.root(old)} in place of {words.root(new)}", cause, 2.5


GRADIENT = re.compile(r"(d|da|grad.*|delta.*|carr.*|err.*|from_.*|back.*)$")


def is_gradient(atom: str) -> bool:
    """Whether a name looks like that of a gradient."""
    name = words.root(atom)
    return bool(words.PREFIX.match(name) or GRADIENT.match(name))


def _slices(spot: Spot, known: dict[str, Held]) -> Iterator[tuple[str, Held]]:
    """Steps of the arrays of whole sequences: `dhs[t]`, `dhs[:, t]`, and those before."""
    for name in spot.scope.counters:
        if name not in known or known[name].shape:
            continue
        for text, held in known.items():
            if text.isidentifier() and held.is_array and len(held.shape) == 3:
                for axis in range(3):
                    shape = (*held.shape[:axis], *held.shape[axis + 1 :])
                    for step in (name, f"{name} - 1"):
                        index = ", ".join([*[":"] * axis, step])
                        yield f"{text}[{index}]", replace(held, shape=shape)


# Local derivatives


def forms(value: str, held: Held | None, *, plain: bool = True) -> Iterator[tuple[str, str]]:
    """What can be made of an activated value, and its words; for none known, all."""
    if plain:
        yield value, "the value itself"
    if held is None or held.is_gate:
        yield f"{value} * (1 - {value})", "the derivative of a sigmoid at its value"
        yield f"(1 - {value})", "what a gate leaves"
    if held is None or (held.is_array and max(abs(held.low), abs(held.high)) <= 1):
        yield f"(1 - {value} ** 2)", "the derivative of tanh at its value"


def derivatives(spot: Spot) -> Iterator[Edit]:
    """Another derivative of the same value."""
    node = spot.node
    value, old = _derived(node)
    if not value:
        return
    held = spot.known.get(value)
    gate = words.gate(value, spot.known)
    name = f"local derivative of {f'gate {words.root(value)}' if 'gate' in gate else value}"
    for new, meaning in forms(value, held, plain=old != "value"):
        if new.strip("()").replace(" ", "") == spot.text.replace(" ", ""):
            continue
        if isinstance(node, ast.Call):
            function = ast.unparse(node.func).removeprefix("np.")
            if new == value:
                cause = f"{function} is applied again to `{value}`, where the value belongs"
            else:
                cause = (f"the derivative of {gate} is wrong: `{spot.text}` applies {function} "
                         f"again, to the value `{value}`, in place of its derivative `{new}`, "
                         f"{meaning}")  # fmt: skip
            yield spot.edit(new, name, cause, 0.8, f"{function} of a value: {meaning}")
        else:
            cause = f"the derivative of {gate} is wrong: `{spot.text}` stands where `{new}` belongs"
            yield spot.edit(new, name, cause, 2, f"{old} for {meaning}")


def _derived(node: ast.expr) -> tuple[str, str]:
    """The value of which a node looks like a derivative, and which form it has."""
    match node:
        case ast.Call(args=[value, *_]) if is_atom(value):
            return ast.unparse(value), "call"
        case ast.Call(args=[ast.Call(args=[value]) as inner]) if is_atom(value):
            return ast.unparse(inner), "call"
        case ast.BinOp(left=ast.Constant(value=1), op=ast.Sub() | ast.Add(), right=right):
            match right:
                case ast.BinOp(left=value, op=ast.Pow()) | ast.BinOp(left=value, op=ast.Mult()):
                    return ast.unparse(value), "1 - v²"
            return ast.unparse(right), "1 - v"
        case ast.BinOp(op=ast.Pow(), left=ast.BinOp(left=ast.Constant(value=1), right=value)):
            return ast.unparse(value), "(1 - v)²"
    return "", ""


def inside_out(spot: Spot) -> Iterator[Edit]:
    """tanh(c) for c and back; a call left out."""
    node = spot.node
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        inner = node.args[0]
        function = ast.unparse(node.func)
        if not isinstance(inner, ast.Tuple | ast.List) and "." not in function.removeprefix("np."):
            text = ast.unparse(inner)
            word = function.removeprefix("np.")
            cause = f"{word} is applied to `{text}` where `{text}` itself belongs"
            yield spot.edit(f"({text})", f"{word} too many", cause, 1.5, f"without {word}")
    held = spot.known.get(spot.text)
    if held is not None and held.is_array and is_atom(node) and not is_gradient(spot.text):
        if max(abs(held.low), abs(held.high)) >= 0.2:
            cause = f"`{spot.text}` stands where tanh of it belongs"
            yield spot.edit(f"np.tanh({spot.text})", "tanh left out", cause, 2, "with tanh")


# Products and sums


def factors(node: ast.expr) -> list[ast.expr]:
    """The factors of a product from left to right."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return [*factors(node.left), node.right]
    return [node]


def superfluous(spot: Spot) -> Iterator[Edit]:
    """An operand that does not belong; a wrong operator."""
    node = spot.node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        text = ast.unparse(node.operand)
        yield spot.edit(f"({text})", "sign", f"the sign of `{text}` is wrong", 2.5)
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
            parts = [ast.unparse(_bracketed(factor)) for factor in factors(product)]
            plain = ast.unparse(_bracketed(first))
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
                tail = " * ".join(ast.unparse(_bracketed(factor)) for factor in parts_[1:])
                sign = "+" if isinstance(op, ast.Add) else "-"
                a, b = ast.unparse(one), ast.unparse(_bracketed(two))
                for new, only in ((f"{a} {sign} {b} * {tail}", b), (f"({a}) * {tail} {sign} {b}", a)):
                    cause = f"parentheses too many: `{tail}` multiplies only `{only}`"
                    yield spot.edit(new, "parentheses", cause, 2)


def _bracketed(node: ast.expr) -> ast.expr:
    """A sum in parentheses, as a factor needs it: unparse writes none around a tree's root."""
    if isinstance(node, ast.BinOp | ast.UnaryOp | ast.IfExp | ast.Compare):
        return ast.Name(f"({ast.unparse(node)})", ast.Load())
    return node


def _is_derivative(parts: list[str]) -> bool:
    """v · (1 − v) or 1 − v²"""
    if len(parts) == 2:
        return parts[1] == f"(1 - {parts[0]})" or parts[0] == f"(1 - {parts[1]})"
    return bool(re.fullmatch(r"\(1(\.0)? - (.+) (\*\* 2|\* \2)\)", parts[0]))


def missing_factor(spot: Spot) -> Iterator[Edit]:
    """A gate or a local derivative that a term lacks."""
    holder = spot.holder
    inside = isinstance(holder, ast.BinOp) and isinstance(holder.op, ast.Mult | ast.Pow | ast.Div)
    if spot.shape is None or not spot.shape or inside or spot.node in getattr(holder, "ops", ()):
        return
    text = ast.unparse(_bracketed(spot.node) if not _is_product(spot.node) else spot.node)
    for value, held in spot.known.items():
        if not held.is_array or not _spreads(held.shape, spot.shape) or is_gradient(value):
            continue
        gate = words.gate(value, spot.known)
        for form, meaning in forms(value, held):
            if form == value:
                name, cause = f"{words.root(value)} left out", f"the factor {gate} is missing"
            elif "derivative" in meaning:
                of = f"gate {words.root(value)}" if "gate" in gate else value
                name = f"local derivative of {of}"
                cause = f"the derivative of {gate}, `{form}`, is missing"
            else:
                name, cause = f"1 - {words.root(value)} left out", f"the factor `{form}` is missing"
            cause = f"{cause} in `{spot.text}`"
            beside = _beside(spot)
            if form in beside:
                name = "missing parentheses"
                cause = (f"parentheses are missing: the derivative `{form}` multiplies only "
                         f"`{beside}`, not `{spot.text}`")  # fmt: skip
            yield spot.edit(f"{text} * {form}", name, cause, 3)


def _beside(spot: Spot) -> str:
    """The other side of a sum."""
    match spot.holder:
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            return ast.unparse(right if spot.node is left else left)
    return ""


def differences(spot: Spot) -> Iterator[Edit]:
    """`n − h` where only `n` stands."""
    inside = isinstance(spot.holder, ast.BinOp) and isinstance(spot.holder.op, ast.Mult)
    held = spot.known.get(spot.text)
    if not inside or held is None or not held.is_array or is_gradient(spot.text):
        return
    for other, value in spot.known.items():
        if value.shape == held.shape and value.is_array and other != spot.text and not (
                is_gradient(other)):  # fmt: skip
            new = f"({spot.text} - {other})"
            cause = f"`{spot.text}` stands where the difference `{new[1:-1]}` belongs"
            yield spot.edit(new, f"missing term {other}", cause, 3)


def _is_product(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div)


def _spreads(shape: Shape, over: Shape) -> bool:
    return shape == over or (len(shape) == 1 and shape == over[-1:] and len(over) > 1)


def missing_term(spot: Spot) -> Iterator[Edit]:
    """A gradient that should be added: one carried back, one of the answers, one through a gate."""
    if spot.shape is None or not spot.shape:
        return
    inner = isinstance(spot.holder, ast.BinOp) and isinstance(spot.holder.op, ast.Add | ast.Sub)
    held_here = spot.known
    carried = spot.scope.carried
    arguments = {a.arg for a in spot.part.tree.args.args}
    gradients = {text: held for text, held in [*held_here.items(), *_slices(spot, held_here)]
                 if held.shape == spot.shape and held.is_array
                 and (is_gradient(text) or text in carried)}  # fmt: skip
    if inner:
        return
    text = spot.text
    for term in gradients:
        if term in text:
            continue
        if term in carried:
            name, begin = words.carry(term)
            cause, rank = f"{begin} not added", 1.0
        elif term.partition("[")[0] in arguments and "[" in term:
            of = term.partition("[")[0]
            name = "gradient of the answers ignored"
            cause = (f"`{text}` replaces what should be added to it, `{term}`: the gradients `{of}` "
                     f"of the answers at the other steps are ignored")  # fmt: skip
            rank = 2.0
        else:
            name, cause, rank = f"missing term {term}", f"the term `{term}` is missing", 3.0
        yield spot.edit(f"{text} + {term}", name, cause, rank)
    statement = spot.statement
    whole = getattr(statement, "value", None) is spot.node or isinstance(spot.holder, ast.Tuple)
    if whole and _hands_back(spot):
        yield from _through_a_gate(spot, list(gradients))


def _hands_back(spot: Spot) -> bool:
    """Whether a line sets what is carried from step to step, as far as its names tell."""
    if not loops(spot.part.tree) or isinstance(spot.statement, ast.Return):
        return True
    stored = ast.unparse(spot.statement).partition("=")[0]
    return bool(CARRIED.search(stored) or spot.scope.carried & set(re.findall(r"\w+", stored)))


def _through_a_gate(spot: Spot, gradients: list[str]) -> Iterator[Edit]:
    """`dh * (1 − z)`, a way back that passes a gate; `di * p_i + df * p_f`, those of peepholes."""
    pairs = []
    for value, held in [*spot.known.items(), *_rows(spot.known)]:
        if not held.is_array or not _spreads(held.shape, spot.shape or ()) or is_gradient(value):
            continue
        gate = words.gate(value, spot.known)
        for gradient in gradients:
            if len(held.shape) == 1 and root_letter(gradient) == root_letter(value):
                pairs.append((gradient, value))
            for form in (value, f"(1 - {value})") if held.is_gate else (value,):
                term = f"{gradient} * {form}"
                if term not in spot.text:
                    cause = f"the way back through {gate} is missing: `{term}` is not added"
                    yield spot.edit(f"{spot.text} + {term}", f"missing term {term}", cause, 3.5)
    for k, (d, p) in enumerate(pairs):
        for e, q in pairs[k + 1 :]:
            terms = f"{d} * {p} + {e} * {q}"
            cause = (f"the way back from the gates to the cell state through the peepholes {p} and "
                     f"{q} is missing: `{terms}` is not added")  # fmt: skip
            yield spot.edit(f"{spot.text} + {terms}", "missing peephole terms", cause, 3.2)


def _rows(known: dict[str, Held]) -> Iterator[tuple[str, Held]]:
    """The rows of arrays of few: peepholes kept in one array."""
    for text, held in known.items():
        if text.isidentifier() and held.is_array and len(held.shape) == 2 and held.shape[0] <= 3:
            for k in range(held.shape[0]):
                if f"{text}[{k}]" not in known:
                    yield f"{text}[{k}]", replace(held, shape=held.shape[1:])


def root_letter(atom: str) -> str:
    return words.root(atom)[-1:]


# Matrices, axes, choices


def transposes(spot: Spot) -> Iterator[Edit]:
    """`.T` added or taken away, the order of a product."""
    node = spot.node
    match node:
        case ast.BinOp(left=left, op=ast.MatMult(), right=right):
            pattern = "{} @ {}"
        case ast.Call(func=ast.Attribute(attr="dot" | "matmul"), args=[left, right]):
            pattern = ast.unparse(node.func) + "({}, {})"
        case ast.Call(func=ast.Attribute(value=left, attr="dot"), args=[right]):
            pattern = "{}.dot({})"
        case _:
            return
    a, b = (ast.unparse(_bracketed(side)) for side in (left, right))
    ta, tb = _transposed(a), _transposed(b)
    for one, two, what in ((ta, b, a), (a, tb, b), (ta, tb, "both")):
        turned = f"`{what}` is {'' if what.endswith('.T') else 'not '}transposed"
        cause = f"{turned}, and the other way it is right" if what != "both" else (
            "both matrices are the wrong way round")  # fmt: skip
        new = pattern.format(one, two)
        name = what.removesuffix(".T")
        name = f"{words.root(name)} transposed" if name.replace(".", "").isidentifier() else (
            "transposed")  # fmt: skip
        yield spot.edit(new, name, cause, 1.5)
    for one, two in ((b, a), (tb, ta), (b, ta), (tb, a)):
        cause = f"the product `{spot.text}` is the wrong way round"
        yield spot.edit(pattern.format(one, two), "transposed product", cause, 1.8)
    yield spot.edit(f"({spot.text}).T", "transposed", f"`{spot.text}` is transposed", 2)


def _transposed(text: str) -> str:
    return text.removesuffix(".T") if text.endswith(".T") else f"{text}.T"


def axes(spot: Spot) -> Iterator[Edit]:
    """A sum over another axis, a mean for a sum, a sum over the batch left out."""
    node = spot.node
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        attr, text = node.func.attr, spot.text
        if attr in ("sum", "mean"):
            other = "mean" if attr == "sum" else "sum"
            new = ast.unparse(node.func.value) + "." + other + text[len(ast.unparse(node.func)) :]
            yield spot.edit(new, f"{attr} in place of {other}", f"a {attr} is taken where a {other} "
                            f"belongs: a factor of the number of entries", 1.5)  # fmt: skip
        for keyword in node.keywords:
            if keyword.arg == "axis" and isinstance(keyword.value, ast.Constant):
                for axis in {0, 1, -1} - {keyword.value.value}:
                    new = text.replace(f"axis={keyword.value.value}", f"axis={axis}")
                    cause = f"summed over axis {keyword.value.value} in place of axis {axis}"
                    yield spot.edit(new, "sum over another axis", cause, 2)
    shape = spot.shape
    if shape and len(shape) == 2 and (is_atom(node) or _is_product(node)):
        text = ast.unparse(_bracketed(node))
        for new in (f"{text}.sum(axis=0)", f"{text}.sum(axis=0, keepdims=True)",
                    f"{text}.sum(axis=1, keepdims=True)"):  # fmt: skip
            yield spot.edit(new, "not summed over the batch",
                            f"`{spot.text}` is not summed over the batch", 2)  # fmt: skip
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        text = ast.unparse(node.value)
        cause = f"`{spot.text}` is the part of one sample alone, not summed over the batch"
        yield spot.edit(f"{text}.sum(axis=0)", "not summed over the batch", cause, 1.8)


def choices(spot: Spot) -> Iterator[Edit]:
    """The other branch of `a if b else c`; a number cut off; a wrong end of an array."""
    node = spot.node
    match node:
        case ast.IfExp(body=body, test=test, orelse=orelse):
            for keep, drop in ((body, orelse), (orelse, body)):
                new, old = ast.unparse(keep), ast.unparse(drop)
                name, cause = f"condition {ast.unparse(test)}", f"`{old}` stands where `{new}` belongs"
                if isinstance(drop, ast.Constant) and new in spot.scope.carried:
                    name, begin = words.carry(new)
                    cause = f"{begin} not added"
                yield spot.edit(f"({new})", name, cause, 2)
        case ast.Call(func=ast.Attribute(attr="clip"), args=[value, *_]):
            low_high = ", ".join(ast.unparse(bound) for bound in node.args[1:3])
            cause = f"the gradient is clipped to the range from {low_high.replace(', ', ' to ')}"
            yield spot.edit(f"({ast.unparse(value)})", "clipping", cause, 1)
        case ast.Subscript(value=value, slice=ast.Slice(lower=None, upper=None, step=step)) if step:
            cause = f"`{spot.text}` reverses the order of the steps"
            yield spot.edit(ast.unparse(value), "reversed", cause, 2)
        case ast.Call(func=ast.Attribute(attr="stack" | "array" | "concatenate"), args=[ast.Name(id=name), *_]):
            new = spot.text.replace(f"({name}", f"({name}[::-1]", 1)
            cause = f"the steps of `{name}` are in reversed order"
            yield spot.edit(new, "reversed", cause, 2)


def slices(spot: Spot) -> Iterator[Edit]:
    """The other end of `z[:, :H]`, another width."""
    node = spot.node
    if not isinstance(node, ast.Slice) or (node.lower is None) == (node.upper is None):
        return
    end = node.lower or node.upper
    assert end is not None
    text = ast.unparse(end)
    of, old = ast.unparse(spot.statement), spot.text
    new = f":{text}" if node.upper is None else f"{text}:"
    cause = f"the part `{old}` is taken where the part `{new}` belongs"
    widths = [t for t, held in spot.known.items() if held.whole and not held.shape and t != text]
    plain = text.lstrip("-")
    for bound in [new, f":{plain}", f"{plain}:", *(old.replace(text, width) for width in widths)]:
        if bound != old:
            lower, _, upper = bound.partition(":")
            slice_ = ast.Slice(
                ast.parse(lower, mode="eval").body if lower else None,
                ast.parse(upper, mode="eval").body if upper else None,
            )
            change = (spot.holder, spot.field, spot.index, slice_)
            words_ = cause if bound == new else f"`{old}` is taken where `{bound}` belongs"
            yield Edit(spot.part, (change,), (spot.statement,), "another slice", words_, 2)
    del of


def swapped(spot: Spot) -> Iterator[Edit]:
    """Two neighbours of a list in the other order: gates joined, arguments, values returned."""
    node = spot.node
    field = "args" if isinstance(node, ast.Call) else "elts"
    parts = getattr(node, field, [])
    if not isinstance(node, ast.Call | ast.Tuple | ast.List) or len(parts) < 2:
        return
    shapes = [shape_of(part, spot.known) for part in parts]
    for j in range(len(parts)):
        for k in range(j + 1, len(parts)):
            if None in (shapes[j], shapes[k]) or shapes[j] == shapes[k]:
                order = list(parts)
                order[j], order[k] = order[k], order[j]
                a, b = ast.unparse(parts[j]), ast.unparse(parts[k])
                cause = f"`{a}` and `{b}` stand in each other's place: the order is another one"
                yield Edit(spot.part, ((node, field, None, order),), (spot.statement,),
                           "another order", cause, 2)  # fmt: skip


RULES = (shifts, others, derivatives, inside_out, superfluous, parentheses, missing_factor,
         missing_term, differences, transposes, axes, choices, slices, swapped)  # fmt: skip

__all__ = ["RULES", "Edit", "Iterable", "Spot", "of", "together"]
