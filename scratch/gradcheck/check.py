"""check_gradients: a module's backward pass against the derivatives of its forward pass."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..machinery.module import Array, Module
from . import holes, judges, linearity, purity
from .code_under_test import Claims, CodeUnderTest, ModuleRaised, NotCheckable
from .diagnose import Context, Diagnosis
from .foreign import Foreign, obeys_the_one_rule
from .mend import Mending
from .report import NOT_CLAIMED, Finding, GradientReport, Row, row_of

MOST_AGAIN = 16  # × entries: up to here a tensor that differs is judged again, entry by entry
LONGEST = 10.0  # seconds that this, or the first judging of code with sizes of its own, may take


def check_gradients(
    module: Any,
    *inputs: Any,
    twin: judges.Twin | None = None,
    judge: str | None = None,
    entries: int = 4096,
    seed: int = 0,
) -> GradientReport:
    """Whether `module.backward` computes the gradients of `module(*inputs)`; if not, why.

    module: anything that obeys `answers = module(*inputs)`, `record = module.forward(*inputs)`,
        `grads = module.backward(record, *grad_answers)` and has `parameters()`; or an object that
        keeps its cache in itself, with parameters and gradients in the lists `params` and `grads`,
        in dicts, or in attributes W beside dW. It is copied and checked in float64; neither it nor
        the inputs are changed.
    inputs: arrays of floats, states, packed sequences; integers are passed on. A state that a
        module of the first kind takes and that is not given is drawn at random.
    twin: `reference.judge(torch_module)` of a module with the same parameters by name. It is run,
        and a module whose answers are not those of its twin is not right.
    judge: "complex", "torch" or "central"; None is the strongest one that works, in this order.
    entries: a tensor of more entries is judged in 10 random directions, others entry by entry.
    seed: of the upstream gradient, the directions and the states that are not given.

    Raises `NotCheckable`, a ValueError, when no judge works or the answers are not float64; what
    the module itself raises is passed on. Beyond
    https://docs.pytorch.org/docs/2.13/generated/torch.autograd.gradcheck.gradcheck.html.
    """
    if judge not in (None, "complex", "torch", "central"):
        raise ValueError(f"judge: expected 'complex', 'torch', 'central' or None, got {judge!r}")
    if twin is not None:
        judges.check_twin(twin)
    try:
        if not obeys_the_one_rule(module) and not isinstance(module, Foreign):
            foreign = Foreign.of_object(module, inputs)
            module, inputs = foreign, foreign.inputs
        return check(module, *inputs, twin=twin, judge=judge, entries=entries, seed=seed)
    except ModuleRaised as error:
        finding = holes.raised(error)
        if finding is None:
            raise error.raised from None
        name = getattr(module, "title", type(module).__name__)
        return GradientReport(name, "none", 0.0, (), (finding,))


def check(
    module: Module,
    *inputs: Any,
    twin: judges.Twin | None,
    judge: str | None,
    entries: int,
    seed: int,
) -> GradientReport:
    """`check_gradients`, but what the module raises is a `ModuleRaised`."""
    name = getattr(module, "title", type(module).__name__)
    code = CodeUnderTest(module, inputs, seed)
    apart = None if twin is None else twin.differences(code)
    others = () if apart is None else (another_forward_pass(*apart),)
    same = ("the answers are those of the twin",) if twin is not None and apart is None else ()
    unjudged = partial(GradientReport, name, "none", 0.0, notes=same)
    if not code.repeatable:
        return unjudged((), (purity.random_forward(code), *others))
    try:
        claims = code.claims()
    except ModuleRaised as error:
        raised = holes.raised(error)
        if raised is None:
            raise
        return unjudged((), (*others, raised))
    if holes.is_one(code, claims):
        return unjudged(no_rows(code), (*others, holes.nothing_came(code)))
    impure = purity.findings(code, claims)
    found = linearity.linear(code, claims) if finite(claims) else []
    clipped = any(finding.name == "clipping" for finding in found)
    claimed = linearity.claims_when_small(code) if clipped else claims
    with Progress(name) as progress:
        if code.lenient:
            entries = affordable(code, entries)
        start = time.monotonic()
        twin = twin if apart is None or judge == "torch" else None  # it judges another function
        truth, central = judges.verdict(code, judge, twin, entries, progress)
        each = (time.monotonic() - start) / max(sum(map(len, truth.jacobian.values())), 1)
        rows, kinks = judge_rows(code, claims, truth, central)
        largest = max((truth.size(row.name) for row in rows if not row.ok), default=0)
        again = each * sum(array.size for array in code.values.values() if array.size <= largest)
        if entries < largest <= MOST_AGAIN * entries and again < LONGEST:
            truth, central = judges.verdict(code, judge, twin, largest, progress)
            rows, kinks = judge_rows(code, claims, truth, central)
        if not all(row.ok for row in rows):
            diagnosis = Diagnosis(code, truth, claimed, kinks)
            rows = with_gates(rows, claims, truth, diagnosis.context)
            # What changes what it is given has no fixed numbers that a pair could reproduce.
            changes = any("changes" in finding.name for finding in impure)
            causes = diagnosis.findings(pairs=not changes, progress=progress)
            if any(is_vague(finding, diagnosis) for finding in causes):
                causes = Mending(code, truth, claims, kinks).findings() or causes
            elif len(causes) == 1:
                causes = [Mending(code, truth, claims, kinks).with_line(causes[0])]
            found += [c for c in causes if c.name not in {finding.name for finding in found}]
            found += [
                _in_directions(r, truth) for r in rows if not r.ok and r.name in truth.directions
            ]
    if found:
        inner = partial(check, twin=None, judge=None, entries=entries, seed=seed)
        found = of_parts(code, inner, found)
    rows += tuple(Row(name, array.shape, True, "", problem=NOT_CLAIMED)
                  for name, array in code.unclaimed.items())  # fmt: skip
    notes = tuple(_notes(code, truth, rows))
    remarks: list[Finding] = []
    if code.lenient:
        remarks, impure = [*holes.missing(code), *impure], []
        if all(row.ok for row in rows):
            remarks, found = [*remarks, *found], []
    found = [*others, *without_doubles([*impure, *found])]
    return GradientReport(
        name, truth.judge, truth.tolerance, rows, tuple(found), notes, tuple(remarks)
    )


def another_forward_pass(cause: str, why: str) -> Finding:
    return Finding(
        "answers differ from the twin's",
        cause,
        why,
        "the forward pass, or how it reads its weights",
    )


def affordable(code: CodeUnderTest, entries: int) -> int:
    """Up to how many entries a tensor is judged entry by entry, so that it takes no minutes."""
    times = []
    for _ in range(3):  # of which the fastest counts: others may have had to wait
        start = time.monotonic()
        code.call()
        times.append(time.monotonic() - start)
    each, total = min(times), 0
    for size in sorted(array.size for array in code.values.values() if array.size <= entries):
        total += size
        if total * each > LONGEST:
            return size - 1
    return entries


def finite(claims: Claims) -> bool:
    return all(grad is None or np.isfinite(grad).all() for grad in claims.values())


def no_rows(code: CodeUnderTest) -> tuple[Row, ...]:
    return tuple(Row(name, array.shape, False, "", problem="None")
                 for name, array in code.values.items())  # fmt: skip


def judge_rows(
    code: CodeUnderTest, claims: Claims, truth: judges.Truth, central: judges.CentralDifferences
) -> tuple[tuple[Row, ...], dict[str, Array]]:
    """The table, and for each tensor that differs which entries are at a kink."""
    rows, kinks = [], {}
    for name in code.values:
        claimed = claims[name]
        row = judge_row(name, claimed, truth)
        if not row.ok and row.where is not None:
            kinks[name] = find_kinks(name, claimed, truth, central)
            row = judge_row(name, claimed, truth, kinks[name])
        rows.append(row)
    return tuple(rows), {name: mask for name, mask in kinks.items() if mask.any()}


def judge_row(name: str, claimed: Any, truth: judges.Truth, kinks: Array | None = None) -> Row:
    shape = truth.shapes[name]
    in_directions = name in truth.directions
    judged = f"in {len(truth.directions[name])} directions" if in_directions else "each entry"
    if claimed is None:
        return Row(name, shape, False, judged, problem="None")
    if claimed.shape != shape:
        return Row(name, shape, False, judged, problem=f"has shape {claimed.shape}")
    true = truth.gradient(name)
    if not in_directions:
        return row_of(name, claimed, true, truth.tolerance, truth.floor, judged=judged, kinks=kinks)
    products = np.tensordot(truth.directions[name], claimed, claimed.ndim)
    floor = truth.floor * np.sqrt(claimed.size)
    row = row_of(name, products, true, truth.tolerance, floor, judged=judged)
    return replace(row, shape=shape, where=None, claimed=None, true=None)


def find_kinks(
    name: str, claimed: Array, truth: judges.Truth, central: judges.CentralDifferences
) -> Array:
    """Which of the entries that differ are at a kink of the forward pass."""
    true = truth.gradient(name)
    kinks: Array = np.zeros(true.shape, bool)
    allowed = truth.tolerance * np.abs(true).max(initial=0) + truth.floor
    off = ~(np.abs(claimed - true) <= allowed)
    with np.errstate(all="ignore"):
        # A kink in one of them is a kink along nearly every direction that moves them all.
        if central.at_kink(name, off * np.random.default_rng(0).standard_normal(off.shape)):
            for entry in np.flatnonzero(off):
                kinks.flat[entry] = central.at_kink(name, int(entry))
    return kinks


def with_gates(
    rows: tuple[Row, ...], claims: Claims, truth: judges.Truth, context: Context
) -> tuple[Row, ...]:
    """The rows, those of wrong parameters with a row for each gate's part."""

    def parts_of(row: Row) -> tuple[Row, ...]:
        gates = context.gates.get(row.name)
        if row.ok or row.where is None or gates is None or not np.ptp(gates):
            return ()
        true, claimed = truth.gradient(row.name), claims[row.name]
        floor = truth.floor + truth.tolerance * float(np.abs(true).max())

        def part(k: int, gate: str) -> Row:
            mine = np.where(gates == k, claimed, 0), np.where(gates == k, true, 0)
            return row_of(f"gate {gate}", *mine, truth.tolerance, floor)

        return tuple(part(k, gate) for k, gate in enumerate(context.gate_names))

    return tuple(replace(row, gates=parts_of(row)) for row in rows)


def is_vague(finding: Finding, diagnosis: Diagnosis) -> bool:
    """Whether a finding says that something is wrong, and not what.

    A factor or zeros in several gradients come from one line above them, in a loss or a head.
    """
    if finding.name in ("unknown", "wrong carry"):
        return True
    several = len(finding.tensors) > 1
    of_all = finding.name.startswith("gradient zero") and several
    of_all |= finding.name.startswith("factor") and (several or diagnosis.code.lenient)
    return of_all and diagnosis.known is None


def _in_directions(row: Row, truth: judges.Truth) -> Finding:
    return Finding(
        "wrong in random directions",
        f"the gradient of {row.name} is wrong; no cause was tested",
        f"its products with {len(truth.directions[row.name])} random directions are not the "
        f"derivatives in these directions",
        f"its entries: check_gradients(..., entries={truth.size(row.name)}) judges each",
        (row.name,),
    )


def without_doubles(found: list[Finding]) -> list[Finding]:
    """What names a cause before what says that something is wrong; and nothing twice."""
    names = {finding.name for finding in found}
    if "upstream of ones" in names:
        found = [finding for finding in found if finding.name != "upstream ignored"]
    clipped = {n for finding in found if finding.name == "clipping" for n in finding.tensors}
    sums = ("assigned instead of added between passes", "second backward differs")
    found = [f for f in found if f.name not in sums or not set(f.tensors) <= clipped]
    rank = {"unknown": 3, "second backward differs": 2, "upstream ignored": 1}
    causes = [finding for finding in found if "changes" in finding.name]
    others = [finding for finding in found if "changes" not in finding.name]
    return causes + sorted(others, key=lambda finding: rank.get(finding.name, 0))


def _notes(code: CodeUnderTest, truth: judges.Truth, rows: tuple[Row, ...]) -> Iterator[str]:
    if truth.why:
        yield f"{truth.judge} is the judge, as there is {truth.why}"
    if code.random:
        yield "a pass draws random numbers; its generators were set back before every pass"
    yield from getattr(code.original, "notes", ())
    if any(p.dtype != np.float64 for p in code.original.parameters()):
        yield "checked in float64, in a copy of the module"
    kinks = sum(row.kinks for row in rows)
    if kinks:
        yield f"{kinks} entries are at a kink, where there is no derivative, and were not judged"
    arrays = code.plain_arrays()
    if arrays:
        words = "is an array and no Parameter: its gradient is"
        if len(arrays) > 1:
            words = "are arrays and no Parameters: their gradients are"
        yield f"{', '.join(arrays)} {words} not checked"
    unchecked = [n for n in code.input_names if n not in code.checked_inputs]
    if unchecked and code.claimed is None:
        yield f"no gradient is expected of {', '.join(unchecked)}"


def parts(code: CodeUnderTest) -> dict[str, tuple[Module, tuple[Any, ...]]]:
    """The modules directly below, by name, and what their `forward` got in one forward pass."""
    found: dict[str, tuple[Module, tuple[Any, ...]]] = {}
    children = {k: v for k, v in vars(code.module).items() if isinstance(v, Module)}

    def recorded(name: str, child: Module) -> Callable[..., Any]:
        forward = child.forward

        def record(*inputs: Any, **named: Any) -> Any:
            if not named:
                found.setdefault(name, (child, inputs))
            return forward(*inputs, **named)

        return record

    for name, child in children.items():
        vars(child)["forward"] = recorded(name, child)
    try:
        code.forward()
    finally:
        for child in children.values():
            del vars(child)["forward"]
    return found


def of_parts(
    code: CodeUnderTest, check: Callable[..., GradientReport], found: list[Finding]
) -> list[Finding]:
    """`found`, with what is wrong in the parts where the whole could not be explained."""
    inner: list[Finding] = []
    for name, (child, inputs) in parts(code).items():
        given = inputs[: next((k for k, v in enumerate(inputs) if v is None), len(inputs))]
        try:
            report = check(child, *given)
        except (NotCheckable, ModuleRaised):
            continue
        if not report.rows:  # its backward pass raised, perhaps for want of an argument
            continue
        inner += [replace(f, cause=f"in {name}, checked on its own: {f.cause}",
                          tensors=tuple(f"{name}.{t}" for t in f.tensors))
                  for f in report.findings]  # fmt: skip
    named = {finding.name for finding in inner}
    vague = {"unknown", "wrong carry"} if inner else set()
    return inner + [finding for finding in found if finding.name not in vague | named]


class Progress:
    """A line on the terminal for a check longer than two seconds; nothing where there is none."""

    def __init__(self, name: str) -> None:
        self.name, self.start, self.shown = name, time.monotonic(), False

    def __enter__(self) -> Progress:
        return self

    def __call__(self, done: int, total: int, what: str = "derivatives") -> None:
        if done % 16 == 0 and sys.stderr.isatty() and time.monotonic() - self.start > 2:
            self.shown = True
            print(f"\r{self.name}: {done} of {total} {what}\033[K", end="", file=sys.stderr)

    def __exit__(self, *_: object) -> None:
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
