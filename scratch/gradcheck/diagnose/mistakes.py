"""The mistakes of a backward pass through time: each is a wrong line of a recurrence's table.

Drawn from public course code and issue trackers. Which states a returned gradient of the initial
state comes from is part of a missing carry, as it depends on where in the code it was forgotten.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ...machinery.module import Array
from .recurrences import Activation, Line, Recurrence, line, through


@dataclass(frozen=True)
class Mistake:
    """`lines`: the wrong lines, by the value that they compute. See `recurrences.Backward`."""

    name: str
    cause: str
    look: str
    lines: dict[str, Line] = field(default_factory=dict)
    alone: bool = False  # too unlikely to be tried together with another mistake

    def fits_with(self, other: Mistake) -> bool:
        return not set(self.lines) & set(other.lines) and self.name != other.name


def wrong(**lines: Callable[..., Any]) -> dict[str, Line]:
    return {name: line(function) for name, function in lines.items()}


def mistakes_of(table: Recurrence, answers: tuple[str, ...]) -> list[Mistake]:
    """Those that are possible in a recurrence that answers with any of output, cs, h_n, c_n."""
    return [
        *_upstream(answers),
        *_loop(),
        *_carry(table),
        *_previous_states(table),
        *_derivatives(table),
        *_weights(table),
        *(_gates(table) if len(table.gates) > 1 else ()),
        *(_product(table) if "grad_z" in table.backward else ()),
        *(_cell_state(table) if table.name == "LSTM" else ()),
        *(_update(table) if "u" in table.gates else ()),
    ]


# What goes in


def _upstream(answers: tuple[str, ...]) -> Iterator[Mistake]:
    last = tuple(answer for answer in answers if answer.endswith("_n"))
    if answers == last:  # a cell
        for answer in last:
            state, lines = answer[0], taken_for(np.zeros_like, (answer,))
            look = f"the line of grad_{state}: the gradient that was given belongs into it"
            words = f"the gradient of the new {state} is ignored"
            yield Mistake(f"gradient of {state} ignored", words, look, lines)
    else:
        look = "where the backward loop starts: the last state's gradient is what it hands to the "
        for which in _sets(last)[::-1]:
            words = f"the gradient of {' and '.join(which)} is ignored"
            lines = taken_for(np.zeros_like, which)
            yield Mistake("gradient of the final state ignored", words, look + "last step", lines)
        words = "the gradient of the output is ignored at every step"
        look = "where grad_h of a step is put together: grad_output[t] belongs into it"
        lines = taken_for(np.zeros_like, ("output",))
        yield Mistake("gradient of the output ignored", words, look, lines)
        words = "only the last step's gradient of the output is used"
        look = "the backward loop: every step has a gradient of its own output, grad_output[t]"
        lines = taken_for(_only_last, ("output",))
        yield Mistake("only the last step's output", words, look, lines)
    yield from taken_for_ones(answers)


def taken_for(function: Callable[..., Any], answers: Iterable[str]) -> dict[str, Line]:
    return {f"grad_{answer}": Line(function, (f"grad_{answer}",)) for answer in answers}


AS_GIVEN = "where backward takes in the gradients of the answers: they must be used as given"


def taken_for_ones(answers: tuple[str, ...]) -> Iterator[Mistake]:
    for which in _sets(answers)[::-1]:
        words = f"the gradient of {' and '.join(which)} is taken for all ones"
        yield Mistake("upstream of ones", words, AS_GIVEN, taken_for(np.ones_like, which))


def of_unknown(answers: dict[str, Array]) -> Iterator[Mistake]:
    """Those of a module whose recurrence is not known: upstream gradients not used as given."""
    names = tuple(answers)
    last = tuple(name for name in names if name.endswith("_n"))
    for which in [*((n,) for n in names if len(names) > 1), *([last] if last else [])]:
        name = "the final state" if set(which) <= set(last) else which[0]
        words = f"the gradient of {' and '.join(which)} is ignored"
        lines = taken_for(np.zeros_like, which)
        yield Mistake(f"gradient of {name} ignored", words, AS_GIVEN, lines)
    yield from taken_for_ones(names)
    first = names[0]
    for axis, size in enumerate(answers[first].shape[:-1]):
        if size > 1:
            words = f"only the last entry along axis {axis} of the gradient of {first} is used"
            lines = taken_for(partial(_only_last, axis=axis), (first,))
            yield Mistake(f"only the last step's {first}", words, AS_GIVEN, lines)


def _only_last(grad: Array, axis: int = 0) -> Array:
    kept: Array = np.zeros_like(grad)
    kept.swapaxes(0, axis)[-1] = grad.swapaxes(0, axis)[-1]
    return kept


# From step to step


def _loop() -> Iterator[Mistake]:
    look = "the range of the backward loop: it has the steps of the forward loop"
    yield Mistake("first step skipped", "the loop over time leaves out step 0", look,
                  wrong(steps=lambda T: range(1, T)))  # fmt: skip
    yield Mistake("last step skipped", "the loop over time leaves out the last step", look,
                  wrong(steps=lambda T: range(T - 1)))  # fmt: skip


def _sets(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Each alone, then all of them."""
    return [*((name,) for name in names), *([names] if len(names) > 1 else [])]


CARRIED = {  # in the place of grad_h_next
    "nothing": "nothing is handed back, not even the last state's gradient",
    "grad_{}_n_once": "each step hands nothing to the step before it",
    "grad_{}_n": "every step gets the last state's gradient in place of what the step after it "
    "hands back",
}
RETURNED = (None, np.zeros_like, np.asarray)  # in the place of grad_h_0, made of grad_h_n


def _carry(table: Recurrence) -> Iterator[Mistake]:
    for states, (instead, words), initial in itertools.product(
        _sets(table.states), CARRIED.items(), RETURNED
    ):
        names = " and ".join(states)
        lines = {}
        for s in states:
            right = table.backward[f"grad_{s}"]
            lines[f"grad_{s}"] = right.with_(instead.format(s), f"grad_{s}_next")
            if initial is not None:
                lines[f"grad_{s}_0"] = Line(initial, (f"grad_{s}_n",))
        yield Mistake(
            f"missing carry of {names}",
            f"the gradient of {names} is not carried from step to step: {words}",
            f"the end of the loop over time: grad_{states[0]}_prev of step t is what step t−1 adds "
            f"to its own grad_{states[0]}",
            lines,
            alone=initial is not None,
        )


WORDS = {
    "grad_W_h": "the gradient of the recurrent weights",
    "grad_f": "the gradient of the forget gate",
    "tanh_c": "tanh(c)",
}


def _previous_states(table: Recurrence) -> Iterator[Mistake]:
    """Another state in the lines that read the one before the step."""
    readers = [(state, name) for state in table.states for name, line in table.backward.items()
               if f"{state}_prev" in line.reads]  # fmt: skip
    for states in _sets(table.states):
        mine = [(state, name) for state, name in readers if state in states]
        where = " and ".join(WORDS.get(name, name) for _, name in mine)

        def joined(form: str, states: tuple[str, ...] = states) -> str:
            return " and ".join(form.format(state) for state in states)

        def reading(instead: str, mine: list[tuple[str, str]] = mine) -> dict[str, Line]:
            return {name: table.backward[name].with_(instead.format(state), f"{state}_prev")
                    for state, name in mine}  # fmt: skip

        for instead, used in (("{}", "{}_t"), ("{}_prev_before", "{}_(t−2)")):
            words = f"{joined(used)} is used where {joined('{}_(t−1)')} belongs, in {where}"
            look = f"the index of {joined('{}')} in {where}"
            yield Mistake(f"{joined('{}')} shifted by one step", words, look, reading(instead))
        zero = {f"grad_{s}_0": Line(np.zeros_like, (f"grad_{s}_n",)) for s in states}
        for returned in ({}, zero):
            yield Mistake(
                "initial state ignored",
                f"{joined('{}_0')} is taken for zero in {where}",
                "the first step of the loop: the state before it is the one that was given",
                reading("{}_prev_or_zero") | returned,
            )


# Within a step


def _derivatives(table: Recurrence) -> Iterator[Mistake]:
    """What stands in the place of an activation's derivative, in one gate or in several alike."""
    kinds = table.activations
    several = [tuple(gate for gate in kinds if kinds[gate].symbol == symbol)
               for symbol in dict.fromkeys(kind.symbol for kind in kinds.values())]  # fmt: skip
    sets = [(gate,) for gate in kinds] + [g for g in (*several, table.gates) if len(g) > 1]
    for gates in dict.fromkeys(sets):
        what = f"gate {gates[0]}" if len(gates) == 1 else f"the gates {', '.join(gates)}"
        what = what if len(kinds) > 1 else gates[0]
        lines = {f"grad_z_{gate}": kinds[gate] for gate in gates}
        yield from _derivative(table, what, lines)
        before = "{}_prev" if gates == table.states else "{}_before"
        shifted = {f"grad_z_{gate}": table.backward[f"grad_z_{gate}"].with_(
            before.format(gate), gate) for gate in gates}  # fmt: skip
        yield _local(what, "the derivative is taken at the step before", shifted, alone=True)
    for inner, (kind, grad) in table.inner.items():
        yield from _derivative(table, WORDS[inner], {grad: kind})


def _derivative(table: Recurrence, what: str, kinds: dict[str, Activation]) -> Iterator[Mistake]:
    for words in next(iter(kinds.values())).wrong:
        if all(words in kind.wrong for kind in kinds.values()):
            lines = {name: Line(through(kind.wrong[words]), table.backward[name].reads)
                     for name, kind in kinds.items()}  # fmt: skip
            yield _local(what, words, lines, alone="ReLU" in words)


def _local(what: str, words: str, lines: dict[str, Line], alone: bool = False) -> Mistake:
    look = f"the line that takes the gradient of {what} through its activation"
    name = f"local derivative of {what}"
    return Mistake(name, f"{name}: {words}", look, lines, alone)


def _weights(table: Recurrence) -> Iterator[Mistake]:
    words = "the recurrent weights are transposed where the gradient of h is handed back"
    readers = {name: line for name, line in table.backward.items() if "W_h" in line.reads}
    lines = {name: _transposing("W_h", line) for name, line in readers.items()}
    yield Mistake("W_hh transposed", words, "the product of grad_z and W_hh", lines)


def _transposing(weight: str, right: Line) -> Line:
    place = right.reads.index(weight)
    return Line(lambda *read: right.compute(*read[:place], read[place].mT, *read[place + 1 :]),
                right.reads)  # fmt: skip


def _gates(table: Recurrence) -> Iterator[Mistake]:
    for gate in table.gates:
        for factor, word in ((-1.0, "the wrong sign"), (2.0, "twice"), (0.5, "half"), (0.0, "0")):
            yield Mistake(
                f"factor {factor:g} on gate {gate}",
                f"the gradient of gate {gate} is multiplied by {factor:g}: {word}",
                f"the line that computes the gradient of gate {gate}",
                {f"grad_z_{gate}": _times(factor, table.backward[f"grad_z_{gate}"])},
                alone=factor in (0.5, 0.0),
            )


def _product(table: Recurrence) -> Iterator[Mistake]:
    """Where one product serves all gates: their order, and one that is left out on the way back."""
    gates, right = table.gates, table.backward["grad_z"]
    for order in list(itertools.permutations(range(len(gates))))[1:]:
        yield Mistake(
            "gates in another order",
            f"the gradients of the gates are in the order {', '.join(gates[k] for k in order)} "
            f"where the forward pass has {', '.join(gates)}",
            "where the gates' gradients are put side by side",
            {"grad_z": Line(right.compute, tuple(right.reads[k] for k in order))},
            alone=sum(k != place for place, k in enumerate(order)) > 2,
        )
    for k, gate in enumerate(gates if len(gates) > 1 else ()):
        others = [other for other in range(len(gates)) if other != k]
        for places in (("h",), ("x",), ("h", "x")):
            names = {"h": "grad_h_prev", "x": "grad_x"}
            words = (
                f"the gradient of {' and '.join(places)} lacks what comes back through gate {gate}"
            )
            yield Mistake(
                f"gate {gate} left out of grad_{' and grad_'.join(places)}",
                words,
                f"the sum over the gates that makes the gradient of {' and '.join(places)}",
                {names[at]: _of_gates(others, table.backward[names[at]]) for at in places},
            )


def _times(factor: float, right: Line) -> Line:
    return Line(lambda *values: factor * right.compute(*values), right.reads)


def _of_gates(kept: list[int], right: Line) -> Line:
    return Line(lambda grad_z, W: right.compute(grad_z[kept], W[kept]), right.reads)


def _update(table: Recurrence) -> Iterator[Mistake]:
    lines = {name: table.backward[name] for name in ("grad_n", "grad_h_kept")}
    where = ("the gradient of n", "the gradient of h that goes past the gates to h_(t−1)")
    for name, other, words in zip(lines, reversed(lines), where, strict=True):
        yield Mistake("u and 1 − u changed about", f"u and 1 − u are changed about in {words}",
                      table.look(name), {name: lines[other]})  # fmt: skip


def _cell_state(table: Recurrence) -> Iterator[Mistake]:
    back = table.backward
    for name, instead, belongs in (
        ("grad_o", "c", "tanh_c"), ("grad_i", "i", "g"), ("grad_i", "c_prev", "g"),
        ("grad_g", "g", "i"), ("grad_g", "f", "i"), ("grad_f", "g", "c_prev"),
    ):  # fmt: skip
        words = f"{name} is computed with {instead} where {WORDS.get(belongs, belongs)} belongs"
        lines = {name: back[name].with_(instead, belongs)}
        yield Mistake(f"{name} from {instead}", words, table.look(name), lines)
    carry, look = back["grad_c_prev"], table.look("grad_c_prev")
    for gate in ("i", "o"):
        words = f"the gradient of c is handed back with {gate}, not f"
        lines = {"grad_c_prev": carry.with_(gate, "f")}
        yield Mistake(f"{gate} in place of f in the carry", words, look, lines)
    for instead, which in (("f_after", "f_(t+1)"), ("f_before", "f_(t−1)")):
        words = f"the gradient of c_(t−1) is computed with {which}"
        lines = {"grad_c_prev": carry.with_(instead, "f")}
        look_at = "the index of f in the line of grad_c_prev"
        yield Mistake("f shifted by one step", words, look_at, lines)
    for name, words, lines in (
        ("f left out of the carry", "the gradient of c is handed back without the factor f",
         wrong(grad_c_prev=lambda grad_c: grad_c)),
        ("carry of c halved", "the gradient of c is handed back at half its size",
         wrong(grad_c=lambda grad_cs, grad_c_next, grad_c_from_h, last:
               grad_cs + grad_c_next * (1 if last else 0.5) + grad_c_from_h)),
        ("no path from h to c", "the gradient of h does not reach c",
         wrong(grad_tanh_c=lambda grad_h: 0 * grad_h)),
        ("o left out of grad_c", "o is left out on the way from h to c",
         wrong(grad_tanh_c=lambda grad_h: grad_h)),
        ("local derivative of tanh(c)",
         "local derivative of tanh(c): 1 − h² stands where 1 − tanh²(c) belongs",
         {"grad_c_from_h": back["grad_c_from_h"].with_("h", "tanh_c")}),
    ):  # fmt: skip
        yield Mistake(name, words, table.look(*lines), lines)
