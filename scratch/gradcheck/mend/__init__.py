"""Mend a line, see the gradients become right: causes by a way that knows no recurrence.

The files in reading order:

functions.py     the person's own functions that ran: their source as a tree, their code swapped
scope.py         what their variables hold, line by line, and which are handed from step to step
words.py         the field's words for these variables
edits.py         an edit, and a place where there can be one
variables.py     one variable for another: another step of it, another order
derivatives.py   local derivatives
sums.py          products and sums
matrices.py      transposes, axes, branches
lines.py         what a line assigns or adds, what it hands back
loops.py         bounds of loops, loops that are cut
record.py        what forward keeps; the target of a loss
rules.py         all of these together
sites.py         the expressions that are edited, with the gradients that depend on each
search.py        which edits are run, and whether they make the gradients right
findings.py      what is said of the line
"""

from .search import Mending

__all__ = ["Mending"]
