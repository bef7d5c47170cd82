"""The field's words for a person's variables."""

from __future__ import annotations

import re
from functools import cache

from .scope import Held

GATES = {
    "i": "the input gate",
    "f": "the forget gate",
    "o": "the output gate",
    "z": "the update gate",
    "u": "the update gate",
    "r": "the reset gate",
}
PREFIX = re.compile(r"^(d_?L?_?d_?|d_?|grad_|g_|delta_|pre_)(?=[A-Za-z])")
SUFFIX = re.compile(r"_?(next|prevt?|previous|t|new|old|last|now)?_?\d*$")
BEFORE = re.compile(r"prev|before|old|last", re.IGNORECASE)
CELL = re.compile(r"^(c|cs|cell|cells|memory|ct|c_new)$", re.IGNORECASE)
HIDDEN = re.compile(r"^(h|hs|a|s|state|states|hidden|ht|prev|carry)$", re.IGNORECASE)


@cache
def root(atom: str) -> str:
    """The word of an atom that says most: the name, the attribute, the key."""
    keys = re.findall(r"\[['\"](\w+)['\"]\]", atom)
    if keys:
        return str(keys[-1])
    name = atom.removesuffix(".data").partition("[")[0]
    return name.rpartition(".")[2]


@cache
def base(atom: str) -> str:
    """`dc_next`, `c_prev`, `grad_c` → `c`"""
    name = root(atom)
    shorter = PREFIX.sub("", name)
    return SUFFIX.sub("", shorter) or shorter or name


def gate(atom: str, known: dict[str, Held]) -> str:
    """`the input gate I`, if a variable of this name holds what a gate can; else the atom."""
    letter = base(atom)
    word = GATES.get(letter.lower().removesuffix("s") or letter)
    for text, held in known.items():
        if base(text) == letter and not PREFIX.match(root(text)) and held.is_gate and word:
            return f"{word} {root(text)}"
    return f"`{atom}`"


def state(atom: str) -> str:
    """The state that a gradient is of: h, c, or the name itself."""
    name = base(atom)
    if CELL.match(name):
        return "c"
    if HIDDEN.match(name) or re.match(r"^d_?(h|a|s)_?(next|prev|t|total)?$", root(atom)):
        return "h"
    return "the state" if name in ("d", "carry", "back", "right", "from_right") else name


def is_state(atom: str) -> bool:
    """Whether a gradient is that of a state, as far as its name tells."""
    return state(atom) in ("h", "c", "the state") or bool(re.search("next|carr|prev", root(atom)))


def carry(atom: str, arrives: bool = False) -> tuple[str, str]:
    """The name of the finding and its words for a carried gradient that does not arrive.

    arrives: it does in other lines, or in part.
    """
    of = state(atom)
    if arrives:
        handed = f"`{atom}`, the gradient of {of} that the step after hands back, is"
        return f"missing carry of {of}", handed
    return (
        f"missing carry of {of}",
        f"the gradient of {of} is not carried from step to step: `{atom}`, what the step after "
        f"hands back, is",
    )
