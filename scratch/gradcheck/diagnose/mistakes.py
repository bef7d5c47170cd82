"""The mistakes of a backward pass through time: each a cause in words and a setting of `equations`.

Drawn from public course code and issue trackers. Which states a returned gradient of the initial
state comes from is part of a missing carry, as it depends on where in the code it was forgotten.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from .equations import GATES, slopes_of


@dataclass(frozen=True)
class Mistake:
    """`settings` go to `equations.backward`; `upstream` changes what it gets."""

    name: str
    cause: str
    look: str
    settings: dict[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()  # answers whose gradient is taken for zero
    ones: tuple[str, ...] = ()  # answers whose gradient is taken for all ones
    only_last: bool = False  # of the output's gradient, only the last step's is used
    alone: bool = False  # too unlikely to be tried together with another mistake
    returned: dict[str, str] = field(default_factory=dict)  # h_0, c_0 → "zero" or "last state's"

    def fits_with(self, other: Mistake) -> bool:
        return not (
            set(self.settings) & set(other.settings)
            or {*self.ignored, *self.ones} & {*other.ignored, *other.ones}
            or set(self.returned) & set(other.returned)
            or self.name == other.name
        )


def every(kind: str, roles: tuple[str, ...]) -> list[Mistake]:
    """The mistakes possible in a recurrence of this kind that answers with `roles`."""
    found = [
        *_upstream(roles),
        *_loop(),
        *_carry(kind),
        *_states(kind),
        *_slopes(kind),
        *_gates(kind),
    ]
    return found + (_cell_state() if kind == "LSTM" else [])


def _upstream(roles: tuple[str, ...]) -> list[Mistake]:
    found = []
    last = tuple(role for role in roles if role.endswith("_n"))
    if len(roles) > len(last):
        sets = [last, *((role,) for role in last if len(last) > 1)]
        found = [
            Mistake(
                "gradient of the final state ignored",
                f"the gradient of {' and '.join(ignored)} is ignored",
                "where the backward loop starts: the last state's gradient is what it hands to the "
                "last step",
                ignored=ignored,
            )
            for ignored in sets
            if ignored
        ]
        found += [
            Mistake(
                "gradient of the output ignored",
                "the gradient of the output is ignored at every step",
                "where grad_h of a step is put together: grad_output[t] belongs into it",
                ignored=("output",),
            ),
            Mistake(
                "only the last step's output",
                "only the last step's gradient of the output is used",
                "the backward loop: every step has a gradient of its own output, grad_output[t]",
                only_last=True,
            ),
        ]
    else:
        found = [
            Mistake(
                f"gradient of {role[0]} ignored",
                f"the gradient of the new {role[0]} is ignored",
                f"the line that computes grad_{role[0]}: the gradient that was given belongs into "
                f"it",
                ignored=(role,),
            )
            for role in last
        ]
    for ones in sorted({roles, *((role,) for role in roles)}, key=len, reverse=True):
        found.append(
            Mistake(
                "upstream of ones",
                f"the gradient of {' and '.join(ones)} is taken for all ones",
                "where backward takes in the gradients of the answers: they must be used as given",
                ones=ones,
            )
        )
    return found


def _carry(kind: str) -> list[Mistake]:
    states = ["h", "c"] if kind == "LSTM" else ["h"]
    sets = [(state,) for state in states] + ([("h", "c")] if kind == "LSTM" else [])
    how = {
        "never": "nothing is handed back, not even the last state's gradient",
        "only the last state's": "each step hands nothing to the step before it",
        "the last state's at every step": "every step gets the last state's gradient in place of "
        "what the step after it hands back",
    }
    found = []
    for which, (instead, what), returned in itertools.product(
        sets, how.items(), ("its own", "zero", "last state's")
    ):
        name = f"missing carry of {' and '.join(which)}"
        found.append(
            Mistake(
                name,
                f"the gradient of {' and '.join(which)} is not carried from step to step: {what}",
                f"the end of the loop over time: grad_{which[0]}_prev of step t is what step t−1 "
                f"adds to its own grad_{which[0]}",
                {f"carry {state}": instead for state in which},
                returned={}
                if returned == "its own"
                else {f"{state}_0": returned for state in which},
                alone=returned != "its own",
            )
        )
    return found


def _loop() -> list[Mistake]:
    return [
        Mistake(
            f"{which} step skipped",
            f"the loop over time leaves out {step}",
            "the range of the backward loop: it has the steps of the forward loop",
            {"skipped step": which},
        )
        for which, step in (("first", "step 0"), ("last", "the last step"))
    ]


def _states(kind: str) -> list[Mistake]:
    lstm = kind == "LSTM"
    meets = {"h": "the gradient of the recurrent weights", "c": "the gradient of the forget gate"}
    found = []
    sets: list[tuple[str, ...]] = [("h",), ("c",), ("h", "c")] if lstm else [("h",)]
    for which in sets:
        states = " and ".join(which)
        where = " and ".join(meets[state] for state in which)
        found += [
            Mistake(
                f"{states} shifted by one step",
                f"{' and '.join(f'{s}_t' for s in which)} is used where "
                f"{' and '.join(f'{s}_(t−1)' for s in which)} belongs, in {where}",
                f"the index of {states} in {where}",
                {f"{state}_prev": "one step late" for state in which},
            ),
            Mistake(
                f"{states} shifted by one step",
                f"{' and '.join(f'{s}_(t−2)' for s in which)} is used where "
                f"{' and '.join(f'{s}_(t−1)' for s in which)} belongs, in {where}",
                f"the index of {states} in {where}",
                {f"{state}_prev": "one step early" for state in which},
            ),
        ]
        found += [
            Mistake(
                "initial state ignored",
                f"{' and '.join(f'{s}_0' for s in which)} is taken for zero in {where}",
                "the first step of the loop: the state before it is the one that was given",
                {f"{state}_prev": "zero at first" for state in which},
                returned=returned,
            )
            for returned in ({}, {f"{state}_0": "zero" for state in which})
        ]
    return found


def _slopes(kind: str) -> list[Mistake]:
    words = {
        "value": "the activation's value stands where its derivative belongs",
        "one": "the activation's derivative is left out",
        "of the value": "the derivative is taken at the activation's value, not at its argument",
        "z(1 − z)": "a(1 − a) is computed with the argument z in place of the value a = σ(z)",
        "1 − z²": "1 − a² is computed with the argument z in place of the value a = tanh(z)",
        "of tanh": "the derivative of tanh is used for an activation that is not tanh",
        "of σ": "the derivative of σ is used for an activation that is not σ",
        "of ReLU": "the derivative of ReLU is used for an activation that is not ReLU",
        "1 − a": "1 − a stands where the derivative belongs",
        "of the step before": "the derivative is taken at the step before",
        "1 − h²": "1 − h² stands where 1 − tanh²(c) belongs",
    }
    sets: list[tuple[str, ...]] = [(gate,) for gate in GATES[kind]]
    if kind == "LSTM":
        sets += [("i", "f", "o"), ("i", "f", "g", "o"), ("c",)]
    found = []
    for gates in sets:
        known = [set(slopes_of(kind, gate)) - {"right"} for gate in gates]
        written = set.intersection(*known)
        written |= {"1 − h²"} if gates == ("c",) else {"of the step before"}
        what = "tanh(c)" if gates == ("c",) else (
            "h" if kind != "LSTM" else
            f"gate {gates[0]}" if len(gates) == 1 else f"the gates {', '.join(gates)}"
        )  # fmt: skip
        found += [
            Mistake(
                f"local derivative of {what}",
                f"local derivative of {what}: {words[instead]}",
                f"the line that takes the gradient of {what} through its activation",
                {f"slope of {gate}": instead for gate in gates},
                alone=instead in ("of the step before", "of ReLU"),
            )
            for instead in words
            if instead in written
        ]
    return found


def _gates(kind: str) -> list[Mistake]:
    gates = GATES[kind]
    found = [
        Mistake(
            "W_hh transposed",
            "the recurrent weights are transposed where the gradient of h is handed back",
            "the product of grad_z and W_hh",
            {"W_h transposed": True},
        )
    ]
    if len(gates) == 1:
        return found
    for order in list(itertools.permutations(range(len(gates))))[1:]:
        found.append(
            Mistake(
                "gates in another order",
                f"the gradients of the gates are in the order {', '.join(gates[k] for k in order)} "
                f"where the forward pass has {', '.join(gates)}",
                "where the gates' gradients are put side by side",
                {"order of grad_z": order},
                alone=sum(k != place for place, k in enumerate(order)) > 2,
            )
        )
    for k, gate in enumerate(gates):
        for factor, word in ((-1.0, "the wrong sign"), (2.0, "twice"), (0.5, "half"), (0.0, "0")):
            found.append(
                Mistake(
                    f"factor {factor:g} on gate {gate}",
                    f"the gradient of gate {gate} is multiplied by {factor:g}: {word}",
                    f"the line that computes the gradient of gate {gate}",
                    {f"factor of {gate}": factor},
                    alone=factor in (0.5, 0.0),
                )
            )
        for places in (("h",), ("x",), ("h", "x")):
            found.append(
                Mistake(
                    f"gate {gate} left out of grad_{' and grad_'.join(places)}",
                    f"the gradient of {' and '.join(places)} lacks what comes back through gate "
                    f"{gate}",
                    f"the sum over the gates that makes the gradient of {' and '.join(places)}",
                    {f"left out of {place}": (k,) for place in places},
                )
            )
    return found


def _cell_state() -> list[Mistake]:
    def swapped(name: str, cause: str, look: str, **settings: Any) -> Mistake:
        return Mistake(name, cause, look, settings)

    return [
        swapped("grad_o from c", "grad_o is computed with c where tanh(c) belongs",
                "the line of grad_o: h = o ⊙ tanh(c)", grad_o="c"),
        Mistake("no path from h to c", "the gradient of h does not reach c",
                "the line of grad_c: h = o ⊙ tanh(c) depends on c", {"no grad_c from h": True}),
        Mistake("o left out of grad_c", "o is left out on the way from h to c",
                "the line of grad_c: h = o ⊙ tanh(c)", {"h without o": True}),
        swapped("grad_i from i", "grad_i is computed with i where g belongs",
                "the line of grad_i: c = f ⊙ c_prev + i ⊙ g", grad_i="i"),
        swapped("grad_i from c_prev", "grad_i is computed with c_prev where g belongs",
                "the line of grad_i: c = f ⊙ c_prev + i ⊙ g", grad_i="c_prev"),
        swapped("grad_g from g", "grad_g is computed with g where i belongs",
                "the line of grad_g: c = f ⊙ c_prev + i ⊙ g", grad_g="g"),
        swapped("grad_g from f", "grad_g is computed with f where i belongs",
                "the line of grad_g: c = f ⊙ c_prev + i ⊙ g", grad_g="f"),
        swapped("grad_f from g", "grad_f is computed with g where c_prev belongs",
                "the line of grad_f: c = f ⊙ c_prev + i ⊙ g", grad_f="g"),
        swapped("f left out of the carry", "the gradient of c is handed back without the factor f",
                "the line of grad_c_prev: c = f ⊙ c_prev + i ⊙ g", forget="one"),
        swapped("f shifted by one step", "the gradient of c_(t−1) is computed with f_(t+1)",
                "the index of f in the line of grad_c_prev", forget="one step late"),
        swapped("f shifted by one step", "the gradient of c_(t−1) is computed with f_(t−1)",
                "the index of f in the line of grad_c_prev", forget="one step early"),
        swapped("i in place of f in the carry", "the gradient of c is handed back with i, not f",
                "the line of grad_c_prev: c = f ⊙ c_prev + i ⊙ g", forget="i"),
        swapped("o in place of f in the carry", "the gradient of c is handed back with o, not f",
                "the line of grad_c_prev: c = f ⊙ c_prev + i ⊙ g", forget="o"),
        Mistake("carry of c halved", "the gradient of c is handed back at half its size",
                "the line of grad_c_prev", {"carry c": "half"}),
    ]  # fmt: skip
