"""Mend a line, see the gradients become right: causes by a way that knows no recurrence.

The files in reading order:

functions.py   the person's own functions that ran: their source as a tree, their code swapped
scope.py       what their variables hold, line by line, and which are handed from step to step
words.py       the field's words for these variables
edits.py       small edits of an expression, and what each means
lines.py       edits of whole lines and loops
search.py      which edits are run, and whether they make the gradients right
findings.py    what is said of the line
"""

from .search import Mending

__all__ = ["Mending"]
