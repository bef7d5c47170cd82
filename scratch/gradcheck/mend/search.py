"""Which small edit of the person's own code makes the gradients right: each is run and judged.

First every expression is moved a little, to see which gradients depend on it: an edit that mends
must reach all that are wrong. Then the edits of these expressions run, the likely ones first.
"""

from __future__ import annotations

import ast
import contextlib
import io
import math
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from ...machinery import nests
from ...machinery.module import Array
from ..code_under_test import Claims, CodeUnderTest
from ..foreign import Foreign
from ..judges import Truth, verdict
from ..report import Finding, error
from . import edits, lines, rules, sums, words
from .edits import Edit, Spot
from .findings import finding, place
from .functions import Part, that_ran
from .scope import Scope, look_at, names
from .sites import Site, assigned, own, parted

SECONDS = 5.0  # of processor time, for everything: what is found does not depend on what else runs
BRIEFLY = 0.4  # for the line of a cause that is known
AFTER = 0.2  # for others that do as well, once one is found
ENOUGH = 1.2  # for a single edit, where one is known that makes some gradients right
LEAST = 0.1  # share of the wrong entries that an edit must mend to be a step
MOST_LIKELY = 32  # edits that are tried in pairs
MOST = 3  # mistakes at once


@dataclass
class Judgement:
    """Which entries of each gradient are wrong, and how far off the worst is."""

    off: dict[str, Array]
    worst: float

    @property
    def wrong(self) -> dict[str, int]:
        return {name: int(off.sum()) for name, off in self.off.items()}

    @property
    def right(self) -> bool:
        return not any(off.any() for off in self.off.values())

    @property
    def tensors(self) -> set[str]:
        return {name for name, off in self.off.items() if off.any()}


class Mending:
    """The search, for a code whose claims are wrong in the gradients `names`."""

    def __init__(
        self, code: CodeUnderTest, truth: Truth, claims: Claims, kinks: dict[str, Array]
    ) -> None:
        self.code, self.truth, self.kinks = code, truth, kinks
        self.names = [name for name in code.values if claims[name] is not None]
        self.claims = claims
        self.data = [parameter.data for parameter in code.parameters.values()]
        self.start, self.seconds = time.thread_time(), SECONDS
        self.runs = 0

    @property
    def late(self) -> bool:
        return time.thread_time() - self.start > self.seconds

    def judge(
        self, claims: Claims, upstream: Array | None = None, truth: Truth | None = None
    ) -> Judgement:
        where, worst, truth = {}, 0.0, truth or self.truth
        for name in self.names:
            claimed = claims.get(name)
            true = truth.gradient(name, upstream)
            shape = truth.shapes[name]
            if claimed is None or np.shape(claimed) != shape:
                where[name], worst = np.ones(shape, bool), math.inf
                continue
            floor = truth.floor
            if name in truth.directions:
                claimed = np.tensordot(truth.directions[name], claimed, claimed.ndim)
                floor *= math.sqrt(math.prod(shape))
            allowed = truth.tolerance * np.abs(true).max(initial=0) + floor
            off = ~(np.abs(claimed - true) <= allowed)
            if name in self.kinks:
                off &= ~self.kinks[name]
            where[name] = np.full(shape, off.any()) if name in truth.directions else off
            worst = max(worst, error(np.where(off, claimed, true), true) if off.any() else
                        error(claimed, true) if np.any(true) else 0.0)  # fmt: skip
        return Judgement(where, worst)

    def run(self, edit: Edit, upstream: Array | None = None) -> Claims | None:
        """What the code claims with an edit; None where it ends in an exception."""
        with self.edited(edit) as works:
            return self.claimed(upstream) if works else None

    def claimed(self, upstream: Array | None = None) -> Claims | None:
        self.runs += 1
        try:
            claims = self.code.claims(upstream)
        except Exception:
            return None
        return claims if self._as_given() else None

    @contextmanager
    def edited(self, edit: Edit) -> Iterator[bool]:
        """While the person's functions run the edited code; yields whether they can."""
        try:
            before = edit.apply()
        except SyntaxError:
            yield False
            return
        compiled = edit.part.compiled()
        try:
            if compiled is not None:
                edit.part.run(compiled)
            yield compiled is not None
        finally:
            edit.undo(before)
            edit.part.run(self.running[edit.part])
            if not self._as_given():
                for parameter, data in zip(self.code.parameters.values(), self.data, strict=True):
                    parameter.data = data

    def _as_given(self) -> bool:
        """Whether the parameters are still those that were given, not what an edit put there."""
        return all(parameter.data is data for parameter, data in zip(
            self.code.parameters.values(), self.data, strict=True))  # fmt: skip

    # The search

    @contextmanager
    def looking(self) -> Iterator[dict[Part, Scope]]:
        """While edits run: the person's functions that ran, and what was seen in them."""
        guarded, self.code.guarded = self.code.guarded, True
        quiet = contextlib.redirect_stdout(io.StringIO())
        with warnings.catch_warnings(), np.errstate(all="ignore"), quiet:
            warnings.simplefilter("ignore")
            self.parts = that_ran(self.code.forward, self.code.claims)
            self.running = {part: part.code for part in self.parts}
            try:
                yield look_at(self.parts, self.code.claims)
            finally:
                self.code.guarded = guarded
                for part in self.parts:
                    part.run(part.code)

    def findings(self) -> list[Finding]:
        """The mistakes, each with the line that mends it; none where no edits mend everything."""
        with self.looking() as scopes:
            return self._findings(scopes)

    def with_line(self, cause: Finding) -> Finding:
        """A known cause; `look` is the line and how it should read where one edit mends all.

        What the cause says is where to look first: the lines that name the gate or the tensor, and
        in them the edits of that kind.
        """
        nearby = Nearby(f"{cause.name} {cause.cause}")
        self.seconds = BRIEFLY
        with self.looking() as scopes:
            for edit in self.nearest(scopes, nearby):
                if self.late:
                    break
                if self._mends(edit):
                    return replace(cause, look=place(edit))
        return cause

    def nearest(self, scopes: dict[Part, Scope], nearby: Nearby) -> Iterator[Edit]:
        """Edits of the kind that was named, those of the lines that were named first; then others.

        Those of the forward pass, where it is apart, are left out.
        """
        now, others = self.judge(self.claims), []
        apart = any(not part.in_forward for part in scopes)
        here = {part: scope for part, scope in scopes.items() if not (apart and part.in_forward)}
        for far in range(3):
            found = self.candidates(here, now, partial(nearby.is_far, far))
            found.sort(key=lambda edit: -nearby.alike(edit))
            yield from (edit for edit in found if nearby.alike(edit))
            others += [edit for edit in found if not nearby.alike(edit)]
        yield from others

    def _findings(self, scopes: dict[Part, Scope]) -> list[Finding]:
        made: list[tuple[Edit, list[Edit]]] = []
        done: list[tuple[Edit, list[object]]] = []
        first = now = self.judge(self.claims)
        texts: list[Finding] = []
        try:
            while now.tensors and len(made) < MOST and not self.late:
                mends, steps, pair = self.search(scopes, now)
                if pair:
                    made += [(self._keep_first(pair, done), []), (pair[1], [])]
                    now = Judgement({}, self._worst(pair[1]))
                elif mends:
                    made.append((mends[0], mends[1:]))
                    now = Judgement({}, self._worst(mends[0]))
                elif steps:
                    made.append((steps[0], []))
                    now = self._keep(steps[0], done)
                else:
                    break
        finally:
            for edit, before in reversed(done):
                edit.undo(before)
        if not now.tensors:
            texts = [finding(edit, rivals, made, first.tensors, len(self.names), now.worst,
                             bool(self.smaller)) for edit, rivals in made]  # fmt: skip
        return texts

    def _keep(self, edit: Edit, done: list[tuple[Edit, list[object]]]) -> Judgement:
        """Go on with an edit in place."""
        done.append((edit, edit.apply()))
        compiled = edit.part.compiled()
        assert compiled is not None
        self.running[edit.part] = compiled
        edit.part.run(compiled)
        self.claims = self.claimed() or self.claims
        return self.judge(self.claims)

    def _keep_first(self, pair: tuple[Edit, Edit], done: list[tuple[Edit, list[object]]]) -> Edit:
        self._keep(pair[0], done)
        return pair[0]

    def _worst(self, edit: Edit) -> float:
        claims = self.run(edit)
        return self.judge(claims).worst if claims is not None else math.inf

    def search(
        self, scopes: dict[Part, Scope], now: Judgement
    ) -> tuple[list[Edit], list[Edit], tuple[Edit, Edit] | None]:
        """The edits that mend everything, and where none does, those that mend most, or a pair."""
        mends: list[Edit] = []
        steps: list[tuple[float, Edit]] = []
        until, start = math.inf, time.thread_time()
        candidates = self.candidates(scopes, now)
        first = sum(edit.rank < 1 for edit in candidates)
        for k, edit in enumerate(candidates):
            if k == first and not mends:
                likely = [edit for edit in candidates if edit.likely or edit.rank < 1]
                pair = self.pair(likely[:MOST_LIKELY])
                if pair is not None:
                    return [], [], pair
            waited = (
                time.thread_time() - start > ENOUGH
                and max((gained for gained, _ in steps), default=0.0) >= 1
            )
            if self.late or time.thread_time() > until or (waited and not mends):
                break
            if mends and edit.rank > mends[0].rank + 1:
                break
            claims = self.run(edit)
            if claims is None:
                continue
            after = self.judge(claims)
            if after.right and self.holds(edit):
                mends.append(edit)
                until = min(until, time.thread_time() + AFTER)
            elif not after.right and edit.name == "clipping" and self.changes(claims):
                if self.keeps_answers(edit):
                    return [], [edit], None
            elif not after.right and (gained := gain(now, after)) and self.keeps_answers(edit):
                steps.append((gained, edit))
        steps.sort(key=lambda step: (-step[0], step[1].rank))
        return mends, [edit for _, edit in steps], None

    def changes(self, claims: Claims) -> bool:
        return any(not _same(claims.get(name), self.claims[name]) for name in self.names)

    def pair(self, likely: list[Edit]) -> tuple[Edit, Edit] | None:
        """Two of the likeliest edits that mend everything together."""
        likely = [edit for edit in likely if not self.late and self.keeps_answers(edit)]
        for k, one in enumerate(likely):
            try:
                before = one.apply()
            except SyntaxError:
                continue
            compiled, kept = one.part.compiled(), self.running[one.part]
            if compiled is not None:
                self.running[one.part] = compiled
                one.part.run(compiled)
            try:
                for two in likely[k + 1 :]:
                    if self.late:
                        return None
                    if two.statements != one.statements and self._mends(two):
                        return one, two
            finally:
                one.undo(before)
                self.running[one.part] = kept
                one.part.run(kept)
        return None

    def _mends(self, edit: Edit) -> bool:
        claims = self.run(edit)
        return claims is not None and self.judge(claims).right and self.holds(edit)

    def holds(self, edit: Edit) -> bool:
        """Whether the answers are the same with an edit, and other upstream gradients fit too."""
        if not self.keeps_answers(edit):
            return False
        if self.truth.reduced or self.truth.upstream.size == 1:
            return self.holds_smaller(edit)
        other = np.random.default_rng(7).standard_normal(self.truth.upstream.size)
        claims = self.run(edit, other)
        return claims is not None and self.judge(claims, other).right and self.holds_smaller(edit)

    def holds_smaller(self, edit: Edit) -> bool:
        """Whether it mends on inputs of other sizes too, as far as they can be had."""
        with self.edited(edit):
            for code, truth in self.smaller:
                try:
                    if not self.judge(code.claims(), truth=truth).right:
                        return False
                except Exception:
                    return False
        return True

    @cached_property
    def smaller(self) -> list[tuple[CodeUnderTest, Truth]]:
        """The code on inputs of fewer samples and fewer steps, and what is true there."""
        found = []
        module: Any = self.code.original
        given: dict[Any, Any] = dict(enumerate(self.code.inputs))
        if isinstance(module, Foreign):
            given = module.arguments.values
        for values in shortened(given) if not self.kinks else ():
            with contextlib.suppress(Exception):
                other, inputs = module, (*values.values(),)
                if isinstance(module, Foreign):
                    other = module.with_arguments(values)
                    inputs = other.inputs
                code = CodeUnderTest(other, inputs, 1)
                truth, _ = verdict(code, entries=1)
                if set(self.names) <= set(truth.shapes) and code.claims():
                    found.append((code, truth))
        return found

    def keeps_answers(self, edit: Edit) -> bool:
        with self.edited(edit) as works:
            return works and self._answers_stay()

    def _answers_stay(self) -> bool:
        try:
            answers = nests.vector(self.code.call())
        except Exception:
            return False
        here = nests.vector(self.code.answers)
        close = 1e-12 * np.abs(here).max(initial=1e-300)
        return answers.shape == here.shape and bool((np.abs(answers - here) <= close).all())

    # What is tried

    def candidates(
        self,
        scopes: dict[Part, Scope],
        now: Judgement,
        among: Callable[[ast.stmt], bool] = lambda _: True,
    ) -> list[Edit]:
        """All edits of the statements `among` all, the likely ones first."""
        factor = self._factor(now)
        scopes = {part: scope.afresh() for part, scope in scopes.items()}
        found: list[Edit] = []
        # Where the passes are two functions, what forward keeps is more often right.
        apart = any(not part.in_forward for part in scopes)
        wrong = np.concatenate([np.ravel(now.off[name]) for name in self.names])
        for part, scope in scopes.items():
            of_lines = [line for line in lines.lines(part, scope) if among(line.statement)]
            for line in of_lines:
                found += rules.of_line(line)
                if factor is not None:
                    found += lines.scaled(line, factor)
            for site in self.sites(part, scope, of_lines, apart):
                away = site.away(wrong)
                if away is None or site.answers_change:
                    continue
                away += 0.4 * (apart and part.in_forward)
                for spot in (site.spot,) if site.spot.stores else own(site.spot):
                    of_spot = list(rules.of_expression(spot))
                    if factor is not None and not site.spot.stores:
                        of_spot += sums.rescaled(spot, factor)
                        of_spot += sums.scaled(spot, factor) if spot is site.spot else ()
                    found += [replace(edit, rank=edit.rank + away, likely=edit.rank < 1)
                              for edit in of_spot]  # fmt: skip
        found += list(edits.together(found))
        return sorted(found, key=lambda edit: edit.rank)

    def _factor(self, now: Judgement) -> float | None:
        """The number by which wrong gradients are too large, if it is one for all that have one."""
        factors = []
        for name in now.tensors:
            claimed, true = self.claims[name], self.truth.gradient(name)
            if claimed is not None and claimed.shape == true.shape and np.any(true):
                factor = float((claimed * true).sum() / (true * true).sum())
                if factor and error(claimed, factor * true) < 1e-5:
                    factors.append(factor)
        return factors[0] if factors and np.ptp(factors) < 1e-6 * abs(factors[0]) else None

    def sites(
        self, part: Part, scope: Scope, of_lines: list[lines.Line], apart: bool
    ) -> Iterator[Site]:
        for line in of_lines:
            statement = line.statement
            fields = {
                ast.Assign: "value",
                ast.AugAssign: "value",
                ast.AnnAssign: "value",
                ast.Return: "value",
                ast.Expr: "value",
                ast.For: "iter",
            }
            name = fields.get(type(statement))
            value = getattr(statement, name, None) if name else None
            if name and isinstance(value, ast.expr) and not isinstance(value, ast.Constant):
                root = Spot(part, scope, statement, statement, name, None, value)
                for spot in parted(root):
                    if not self.late:
                        yield self.moved(spot)
            if apart and part.in_forward:
                continue
            for target in assigned(part, scope, statement):
                yield Site(target)
                if isinstance(target.node, ast.Subscript):
                    index = replace(target, holder=target.node, field="slice", index=None,
                                    node=target.node.slice)  # fmt: skip
                    yield from map(Site, parted(index))

    def moved(self, spot: Spot) -> Site:
        """A site, with what changes when its value is another."""
        one = ast.BinOp(spot.node, ast.Mult(), ast.Constant(1.1))
        two = ast.BinOp(one, ast.Add(), ast.Constant(0.01))
        change = (spot.holder, spot.field, spot.index, two)
        edit = Edit(spot.part, (change,), (spot.statement,), "", "", 0)
        held, shapes = spot.known.get(spot.text), self.truth.shapes
        if held is not None and (held.whole or held.holder):
            return Site(spot)
        claims = self.run(edit)
        if claims is None:
            return Site(spot)
        reaches = np.concatenate([
            np.ravel(np.not_equal(new, old))
            if new is not None and np.shape(new) == np.shape(old) == shapes[name]
            else np.ones(math.prod(shapes[name]), bool)
            for name in self.names for new, old in [(claims.get(name), self.claims[name])]
        ])  # fmt: skip
        changes = spot.part.in_forward and bool(reaches.any()) and not self.keeps_answers(edit)
        return Site(spot, reaches, changes)


def shortened(given: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
    """Arguments with one entry less along an axis of the first array, and of all that share it."""
    shapes = {name: np.shape(value) for name, value in given.items()
              if isinstance(value, np.ndarray) or (isinstance(value, list) and value
                                                   and isinstance(value[0], int))}  # fmt: skip
    first: tuple[int, ...] = next((shape for shape in shapes.values() if shape), ())
    for axis in range(min(3, len(first))):
        begin = first[: axis + 1]
        if begin[-1] > 2:
            shorter = {name: np.asarray(given[name]).take(range(begin[-1] - 1), axis)
                       for name, shape in shapes.items() if shape[: axis + 1] == begin}  # fmt: skip
            yield given | {name: value if isinstance(given[name], np.ndarray) else value.tolist()
                           for name, value in shorter.items()}  # fmt: skip


def gain(now: Judgement, after: Judgement) -> float:
    """The gradients that become right, and the share of wrong entries; 0 where one gets worse."""
    if any(after.wrong[name] > now.wrong[name] for name in now.wrong):
        return 0.0
    share = 1 - sum(after.wrong.values()) / sum(now.wrong.values())
    return len(now.tensors - after.tensors) + (share if share > LEAST else 0.0)


class Nearby:
    """What is near what was said of a mistake: its kind of edit, the lines of its variables."""

    def __init__(self, said: str) -> None:
        self.said = set(re.findall(r"[^\W_]+", said))
        self.said |= {letter for letter, gate in words.GATES.items() if gate in said}

    def alike(self, edit: Edit) -> int:
        """How many words of its kind the name of an edit has in common with it."""
        name = set(edit.name.split()) - {"of", "gate", "in", "the"}
        kind = {word for word in name if len(word) > 1}  # the others are variables
        return len(kind & self.said) + ("place" in name and name - self.said == {"place"})

    def is_far(self, far: int, statement: ast.stmt) -> bool:
        return self.far(statement) == far

    def far(self, statement: ast.stmt) -> int:
        """0 for a line that assigns what was named, `dzf` for gate f; 1 where it is read; or 2."""
        for far, context in enumerate((ast.Store, ast.Load)):
            for name in names(statement, context):
                if {name, words.base(name), name[-1]} & self.said:
                    return far
        return 2


def _same(one: object, two: object) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(two))
