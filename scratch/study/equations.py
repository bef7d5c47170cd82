"""The equations of one unit at one step, forward and backward, as text to put numbers into.

`{f} · {c_prev} + {i} · {g}`: a name in braces is a value of the record, of the unit in question.
`{W_hi h_prev}` is the unit's row of a matrix times a whole vector, `{W_hiᵀ grad_z_i}` its column.
The worked example, the card of a unit and the page put their numbers into these same lines.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import SupportsFloat

LSTM_GATES = "ifgo"  # as the rows of weight_ih lie: W_ii, W_if, W_ig, W_io
NAME = re.compile(r"\{([^}]*)\}")


@dataclass(frozen=True)
class Equation:
    """`name` = `formula`. Of unit j where the value called `name` has a j."""

    name: str
    formula: str

    @property
    def symbols(self) -> str:
        """The right-hand side in symbols: `f · c_prev + i · g`."""
        return NAME.sub(r"\1", self.formula)

    def numbers(self, text: Callable[[str], str]) -> str:
        """The right-hand side with numbers put in: `0.5 · (-0.2) + 0.6 · 0.1`.

        text: the number of a name. A negative one gets parentheses, but for where it comes first
            or has some already.
        """

        def put_in(match: re.Match[str]) -> str:
            number, start, formula = text(match[1]), match.start(), match.string
            before, after = formula[:start][-1:], formula[match.end() :][:1]
            open_ = start > 0 and not (before == "(" and after == ")")
            return f"({number})" if number.startswith("-") and (open_ or after == "²") else number

        return NAME.sub(put_in, self.formula)


def split_product(name: str) -> tuple[str, bool, str] | None:
    """Of `W_hiᵀ grad_z_i` the matrix, whether transposed, and the vector; None of another name."""
    matrix, space, vector = name.partition(" ")
    return (matrix.removesuffix("ᵀ"), matrix.endswith("ᵀ"), vector) if space else None


Equations = tuple[list[Equation], list[Equation]]  # forward, backward, in the order of the pass


def rnn_equations(relu: bool, bias: bool) -> Equations:
    forward = [affine("z", "ih", "hh", bias)]
    if relu:
        forward.append(Equation("h", "max(0, {z})"))
        through = Equation("grad_z", "{grad_h} · [{h} > 0]")
    else:
        forward.append(Equation("h", "tanh({z})"))
        through = Equation("grad_z", "{grad_h} · (1 − {h}²)")
    backward = [
        Equation("grad_h", "{grad_h_from_output} + {grad_h_from_next}"),
        through,
        Equation("grad_h_prev", "{W_hhᵀ grad_z}"),
        Equation("grad_x", "{W_ihᵀ grad_z}"),
    ]
    return forward, backward


def lstm_equations(projected: bool, bias: bool) -> Equations:
    h = "m" if projected else "h"  # what is o · tanh(c)
    forward = [affine(f"z_{gate}", f"i{gate}", f"h{gate}", bias) for gate in LSTM_GATES]
    forward += [
        Equation("i", "σ({z_i})"),
        Equation("f", "σ({z_f})"),
        Equation("g", "tanh({z_g})"),
        Equation("o", "σ({z_o})"),
        Equation("c", "{f} · {c_prev} + {i} · {g}"),
        Equation(h, "{o} · tanh({c})"),
    ]
    backward = [Equation("grad_h", "{grad_h_from_output} + {grad_h_from_next}")]
    if projected:
        forward.append(Equation("h", "{W_hr m}"))
        backward.append(Equation("grad_m", "{W_hrᵀ grad_h}"))
    backward += [
        Equation("grad_o", f"{{grad_{h}}} · tanh({{c}})"),
        Equation("grad_c_from_h", f"{{grad_{h}}} · {{o}} · (1 − tanh²({{c}}))"),
        Equation("grad_c", "{grad_c_from_h} + {grad_c_from_next}"),
        Equation("grad_i", "{grad_c} · {g}"),
        Equation("grad_f", "{grad_c} · {c_prev}"),
        Equation("grad_g", "{grad_c} · {i}"),
        Equation("grad_c_prev", "{grad_c} · {f}"),
        Equation("grad_z_i", "{grad_i} · {i} · (1 − {i})"),
        Equation("grad_z_f", "{grad_f} · {f} · (1 − {f})"),
        Equation("grad_z_g", "{grad_g} · (1 − {g}²)"),
        Equation("grad_z_o", "{grad_o} · {o} · (1 − {o})"),
        Equation("grad_h_prev", sum_of("{{W_h{0}ᵀ grad_z_{0}}}")),
        Equation("grad_x", sum_of("{{W_i{0}ᵀ grad_z_{0}}}")),
    ]
    return forward, backward


def affine(name: str, ih: str, hh: str, bias: bool) -> Equation:
    if bias:
        return Equation(name, f"{{W_{ih} x}} + {{b_{ih}}} + {{W_{hh} h_prev}} + {{b_{hh}}}")
    return Equation(name, f"{{W_{ih} x}} + {{W_{hh} h_prev}}")


def sum_of(term: str) -> str:
    return " + ".join(term.format(gate) for gate in LSTM_GATES)


FOUR_DIGITS = Context(prec=4, rounding=ROUND_HALF_UP)


def number_text(value: SupportsFloat) -> str:
    """At most four significant digits: `0.6105`, `-12.3`, `1.234e-10`, `0`.

    A number halfway between two goes away from zero, as in JavaScript: the page shows the same.
    """
    number = float(value)
    if not math.isfinite(number):
        return {math.inf: "inf", -math.inf: "-inf"}.get(number, "nan")
    if number == 0:
        return "0"
    rounded = FOUR_DIGITS.create_decimal(Decimal(number))
    exponent = rounded.adjusted()
    if not -4 <= exponent <= 3:
        return f"{rounded:.3e}"
    text = f"{rounded:.{3 - exponent}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def counted(number: int, noun: str) -> str:
    """1 step, 2 steps."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    """Σ a b, added from the first to the last."""
    total = 0.0
    for left, right in zip(a, b, strict=True):
        total += left * right
    return total
