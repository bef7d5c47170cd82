"""Edits of whole lines: what is assigned or added, what is handed back, lines too many."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from . import sums, words
from .edits import Change, Edit, is_gradient
from .functions import Part
from .scope import Held, Scope, loops, names


@dataclass(frozen=True)
class Line:
    """A statement, the list it stands in, and the loops around it, outermost first."""

    part: Part
    scope: Scope
    statement: ast.stmt
    holder: ast.AST
    field: str
    index: int
    around: tuple[ast.For | ast.While, ...]

    @property
    def known(self) -> dict[str, Held]:
        return self.scope.at(self.statement.lineno)

    def edit(self, changes: tuple[Change, ...], name: str, cause: str, rank: float) -> Edit:
        return Edit(self.part, changes, (self.statement,), name, cause, rank)

    def replaced(self, text: str, name: str, cause: str, rank: float) -> Edit:
        new = ast.parse(text).body[0]
        return self.edit(((self.holder, self.field, self.index, new),), name, cause, rank)

    def removed(self, name: str, cause: str, rank: float) -> Edit:
        change = (self.holder, self.field, self.index, ast.Pass())
        return Edit(self.part, (change,), (self.statement,), name, cause, rank, how="without")

    def followed(self, text: str, name: str, cause: str, rank: float) -> Edit:
        block = list(getattr(self.holder, self.field))
        block.insert(self.index + 1, ast.copy_location(ast.parse(text).body[0], self.statement))
        change = (self.holder, self.field, None, block)
        statement = (self.statement,)
        return Edit(self.part, (change,), statement, name, cause, rank, how="after", inserted=text)


def lines(part: Part, scope: Scope) -> Iterator[Line]:
    """The statements of a function, those that hold others too."""

    def walk(holder: ast.AST, around: tuple[ast.For | ast.While, ...]) -> Iterator[Line]:
        for field in ("body", "orelse", "finalbody"):
            block = getattr(holder, field, None)
            for k, statement in enumerate(block if isinstance(block, list) else ()):
                if _keeps_going(statement, around):
                    continue
                yield Line(part, scope, statement, holder, field, k, around)
                if not isinstance(statement, ast.ClassDef):
                    loop = isinstance(statement, ast.For | ast.While)
                    yield from walk(statement, (*around, statement) if loop else around)

    return walk(part.tree, ())


def _keeps_going(statement: ast.stmt, around: tuple[ast.For | ast.While, ...]) -> bool:
    """Whether a `while` would run forever without a statement as it is."""
    if not around or not isinstance(around[-1], ast.While):
        return False
    leaves = any(isinstance(node, ast.Break | ast.Return) for node in ast.walk(statement))
    return leaves or bool(set(names(around[-1].test, ast.Load)) & set(names(statement, ast.Store)))


def added_or_assigned(line: Line) -> Iterator[Edit]:
    statement = line.statement
    if isinstance(statement, ast.AugAssign):
        target, value = ast.unparse(statement.target), ast.unparse(statement.value)
        if isinstance(statement.op, ast.Add | ast.Sub):
            op = "-" if isinstance(statement.op, ast.Add) else "+"
            cause = f"the sign is wrong: `{value}` is {'added' if op == '-' else 'subtracted'}"
            yield line.replaced(f"{target} {op}= {value}", "sign", cause, 2.45)
        if isinstance(statement.op, ast.Sub) and isinstance(statement.target, ast.Subscript):
            cause = f"`{value}` is subtracted where the 1 of the one-hot target belongs"
            yield line.replaced(f"{target} -= 1", "target not subtracted", cause, 2)
        cause = f"`{target}` is added up where it should be assigned"
        yield line.replaced(f"{target} = {value}", "added instead of assigned", cause, 2)
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return
    node, value = statement.targets[0], ast.unparse(statement.value)
    if not line.around:
        if isinstance(node, ast.Subscript):
            cause = "what stands there is overwritten, where this should be added to it"
            text = f"{ast.unparse(node)} += {value}"
            yield line.replaced(text, "assigned instead of added", cause, 1.5)
        return
    if isinstance(node, ast.Tuple | ast.List):
        return
    target = ast.unparse(node)
    of = words.base(target.removesuffix(".grad"))
    cause = (f"the gradient {of if of == target else f'of {of}'} is assigned in the loop instead "
             f"of added up: only the part of the step that runs last is left")  # fmt: skip
    name = "assigned instead of added"
    before = [node for node in ast.walk(line.around[-1]) if isinstance(node, ast.stmt)
              and line.around[-1].lineno < node.lineno < statement.lineno]  # fmt: skip
    within = any(target in {*names(node, ast.Store), *names(node, ast.Load)} for node in before)
    if within:
        cause = (f"`{target}` is overwritten where something should be added to it: what the lines "
                 f"above gave it is lost")  # fmt: skip
    elif target in line.scope.carried and is_gradient(target):
        name, begin = words.carry(target)
        cause = f"{begin} overwritten where something should be added to it"
    if target.endswith(".grad"):
        text = f"{target.removesuffix('.grad')}.add_grad({value})"
        yield line.replaced(text, name, cause, 1)
        return
    more: tuple[Change, ...] = ()
    first = line.around[0]
    if isinstance(node, ast.Name) and not within and target not in _stored_before(line, first):
        for field in ("body", "orelse"):
            block = getattr(_holder_of(line.part, first), field, [])
            if first in block:
                k = block.index(first)
                start = ast.parse(f"{target} = 0").body[0]
                more = (
                    (_holder_of(line.part, first), field, None, [*block[:k], start, *block[k:]]),
                )
        cause += f" (and `{target} = 0` before the loop is missing)"
    new = ast.parse(f"{target} += {value}").body[0]
    yield line.edit(((line.holder, line.field, line.index, new), *more), name, cause, 1)


def _stored_before(line: Line, loop: ast.stmt) -> set[str]:
    return {name for node in ast.walk(line.part.tree) if isinstance(node, ast.Assign)
            and node.lineno < loop.lineno for name in names(node, ast.Store)}  # fmt: skip


def _holder_of(part: Part, statement: ast.stmt) -> ast.AST:
    return next(node for node in ast.walk(part.tree)
                if any(statement in getattr(node, f, ()) for f in ("body", "orelse")
                       if isinstance(getattr(node, f, None), list)))  # fmt: skip


def too_many(line: Line) -> Iterator[Edit]:
    statement, text = line.statement, ast.unparse(line.statement)
    first = text.splitlines()[0]
    match statement:
        case ast.If(orelse=[]) | ast.For() | ast.Expr() if clips(statement):
            yield line.removed("clipping", f"the gradients are clipped, {clips(statement)}, before "
                               f"they are returned: where an entry is larger it is no longer the "
                               f"derivative", 0.5)  # fmt: skip
        case ast.If(orelse=[], test=test, body=body) if line.around:
            inner = ast.unparse(body[0]) if len(body) == 1 else "its lines"
            if isinstance(body[0], ast.Break | ast.Continue):
                cause = f"the loop ends early, `{inner}` if {ast.unparse(test)}"
            elif set(names(statement, ast.Store)) & line.scope.carried:
                cause = (f"backpropagation through time is cut: what is carried back is set anew, "
                         f"`{inner}`, where {ast.unparse(test)}{_every(line, test)}")  # fmt: skip
            else:
                cause = f"`{first}` does not belong there"
            yield line.removed("truncated", cause, 1)
        case ast.AugAssign(target=target, value=value):
            cause = f"`{text}` does not belong there: {ast.unparse(target)} is right without it"
            yield line.removed(f"superfluous line {first}", cause, 2.5)
        case ast.Assign(targets=[target], value=value) if line.around:
            if not isinstance(value, ast.Name | ast.Constant | ast.Call | ast.BinOp):
                return
            if _is_zero(value):
                cause = f"`{text}` throws away what is carried back at every step"
                yield line.removed("carry set to zero", cause, 1)
            elif ast.unparse(target).endswith("]"):
                yield line.removed(
                    f"superfluous line {first}", f"`{text}` does not belong there", 3
                )
        case ast.Expr(value=ast.Call()):
            yield line.removed(f"superfluous line {first}", f"`{text}` does not belong there", 3)


def _is_zero(node: ast.expr) -> bool:
    text = ast.unparse(node)
    return text in ("0", "0.0") or "zeros" in text or text.startswith("0 *")


def _every(line: Line, test: ast.expr) -> str:
    """The K of `t % K == 0`."""
    for node in ast.walk(test):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            k = number(line, node.right)
            return f": the gradients are right for sequences cut every K = {k} steps" if k else ""
    return ""


def number(line: Line, node: ast.expr) -> int | None:
    text = ast.unparse(node)
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    held = line.scope.all.get(text)
    return int(held.low) if held is not None and held.whole and not held.shape else None


def clips(statement: ast.stmt) -> str:
    """How a statement, or all in it, limits arrays in place; empty if it does not."""
    inner = [clips(part) for part in getattr(statement, "body", ())]
    if inner:
        return inner[0] if all(inner) else ""
    match getattr(statement, "value", None):
        case ast.Call(func=ast.Attribute(attr="clip"), args=[_, low, high, *_], keywords=[_, *_]):
            return f"to the range from {ast.unparse(low)} to {ast.unparse(high)} in place"
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if (
            "clip" in name.lower() and name != "clip"
        ):
            return f"by `{ast.unparse(statement)}`"
    return ""


def targets(line: Line) -> Iterator[Edit]:
    """A value given to another name: an order of unpacking, a carry never set."""
    statement = line.statement
    if isinstance(statement, ast.Assign):
        nodes = [n for n in ast.walk(statement.targets[0]) if isinstance(n, ast.Tuple | ast.List)]
    elif isinstance(statement, ast.For):
        nodes = [n for n in ast.walk(statement.target) if isinstance(n, ast.Tuple)]
    else:
        return
    known = line.scope.all
    for node in nodes:
        shapes = [known.get(ast.unparse(part)) for part in node.elts]
        for j, one in enumerate(shapes):
            for k, two in enumerate(shapes[j + 1 :], j + 1):
                if one is not None and two is not None and one.shape == two.shape:
                    order = list(node.elts)
                    order[j], order[k] = order[k], order[j]
                    a, b = ast.unparse(node.elts[j]), ast.unparse(node.elts[k])
                    cause = (f"`{a}` and `{b}` are unpacked in another order than they were packed"
                             f": each holds what the other should")  # fmt: skip
                    yield line.edit(((node, "elts", None, order),), "unpacked in another order",
                                    cause, 1.6)  # fmt: skip
    if not isinstance(statement, ast.Assign) or not line.around:
        return
    carried = line.scope.carried
    stored = set(names(line.part.tree, ast.Store))
    for stored_as in (n for n in ast.walk(statement.targets[0]) if isinstance(n, ast.Name)):
        for other in sorted(filter(is_gradient, carried - {stored_as.id})):
            name, begin = words.carry(other)
            again = "stays as it was before the loop" if other in stored else "is never set"
            cause = (
                f"{begin} never updated: the new value goes to `{stored_as.id}`, `{other}` {again}"
            )
            change = (*where(statement, stored_as), ast.Name(other, ast.Store()))
            yield line.edit((change,), name, cause, 0.9 if stored_as.id in carried else 1.1)


def never_carried(line: Line) -> Iterator[Edit]:
    """A carried gradient that the loop never sets, or sets to something else altogether."""
    loop, scope = line.statement, line.scope
    if isinstance(loop, ast.For) and loop in loops(line.part.tree):
        last = Line(line.part, scope, loop.body[-1], loop, "body", len(loop.body) - 1, (loop,))
        for carry in sorted(set(names(loop, ast.Load)) - set(names(loop, ast.Store))):
            name, begin = words.carry(carry)
            carried = is_gradient(carry) and words.is_state(carry)
            for value in _carried(carry, scope.all) if carried else ():
                cause = f"{begin} never set in the loop"
                yield last.followed(f"{carry} = {value}", name, cause, 2)
        for carry in filter(is_gradient, sorted(scope.carried)):
            shape = scope.all[carry].shape if carry in scope.all else ()
            for value, of in scope.all.items():
                if shape and of.is_array and of.shape == shape and not is_gradient(value):
                    text = f"{carry} = {carry} * {value}"
                    cause = (f"`{carry}` is handed to the step before as it is, without "
                             f"{words.gate(value, scope.all)} as a factor")  # fmt: skip
                    yield last.followed(text, f"{words.root(value)} left out", cause, 3.1)
    if isinstance(loop, ast.Assign) and line.around and isinstance(loop.targets[0], ast.Name):
        carry = loop.targets[0].id
        held = line.scope.all.get(carry)
        if carry in scope.carried and is_gradient(carry) and held is not None:
            zero = held.low == held.high == 0
            name, begin = words.carry(carry, arrives=not zero)
            for value in _carried(carry, scope.all):
                cause = f"{begin} {'zero' if zero else 'not what belongs there'}"
                yield line.replaced(f"{carry} = {value}", name, cause, 2 if zero else 3.5)


def _carried(carry: str, known: dict[str, Held]) -> Iterator[str]:
    """What can be handed back: a gradient times a gate, or through a matrix."""
    shape = known[carry].shape if carry in known else ()
    arrays = {text: held for text, held in known.items() if held.is_array}
    for gradient in (text for text in arrays if is_gradient(text) or len(text) == 1):
        for text, held in arrays.items():
            if gradient in (carry, text) or is_gradient(text):
                continue
            if held.shape == shape == arrays[gradient].shape:
                yield f"{gradient} * {text}"
            if len(held.shape) == 2:
                yield from sums.products(gradient, text, shape, arrays)


def scaled(line: Line, factor: float) -> Iterator[Edit]:
    """A line `dy = dy / T` that is missing after this one."""
    statement = line.statement
    target = getattr(statement, "targets", [getattr(statement, "target", None)])[0]
    while isinstance(target, ast.Subscript):
        target = target.value
    if isinstance(statement, ast.Assign | ast.AugAssign) and isinstance(target, ast.Name):
        for op, number, cause, rank in sums.scales(line.scope, factor):
            text = f"{target.id} = {target.id} {op} {number}"
            words_ = cause.format(f"`{target.id}`")
            yield line.followed(text, "mean and sum", words_, rank + 0.1)


def last_step_only(line: Line) -> Iterator[Edit]:
    """`x[-1].T @ delta[-1]` where the sum over the steps belongs."""
    statement = line.statement
    if not isinstance(statement, ast.Assign) or line.around:
        return
    value = ast.unparse(statement.value)
    indexed = [n for n in ast.walk(statement.value) if isinstance(n, ast.Subscript)
               and ast.unparse(n.slice) == "-1"]  # fmt: skip
    if not indexed:
        return
    target, first = ast.unparse(statement.targets[0]), ast.unparse(indexed[0].value)
    cause = (f"the gradient of {words.base(target)} holds only the last step's part: it is not "
             f"summed over the steps")  # fmt: skip
    for step, steps in (("t", f"range(len({first}))"), ("-t", f"range(1, len({first}) + 1)")):
        for count in (first, ast.unparse(indexed[-1].value)):
            each = value.replace("[-1]", f"[{step}]")
            text = f"{target} = sum({each} for t in {steps.replace(first, count)})"
            yield line.replaced(text, "only the last step's part", cause, 1)


def repeated(line: Line) -> Iterator[Edit]:
    """`dE[ids] += d`, which adds once where an index stands twice."""
    match line.statement:
        case ast.AugAssign(target=ast.Subscript() as target, value=value, op=ast.Add()):
            does = "adds only once"
        case ast.Assign(targets=[ast.Subscript() as target], value=value):
            does = "overwrites instead of adding"
        case _:
            return
    array, index = ast.unparse(target.value), ast.unparse(target.slice)
    held = line.scope.all.get(index)
    if held is not None and held.shape and (held.whole or held.holder == "list"):
        text = f"np.add.at({array}, {index}, {ast.unparse(value)})"
        cause = (f"`{ast.unparse(line.statement)}` {does} where the same index stands several "
                 f"times in `{index}`; np.add.at adds every time")  # fmt: skip
        yield line.replaced(text, "repeated indices", cause, 0.9)


def where(root: ast.AST, wanted: ast.AST) -> tuple[ast.AST, str, int | None]:
    for node in ast.walk(root):
        for field, value in ast.iter_fields(node):
            if value is wanted:
                return node, field, None
            if isinstance(value, list) and wanted in value:
                return node, field, value.index(wanted)
    raise LookupError
