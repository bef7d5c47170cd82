"""Code as people write it, as a module that obeys the one rule: `Foreign`.

The files in reading order:

foreign.py      Foreign: one run of the code, and from then on forward and backward as of a module
names.py        what people call a gradient; the names in a `return` statement
plan.py         what each argument of a backward pass gets
matching.py     which gradient is whose
objects.py      where an object keeps parameters and gradients
structures.py   arrays in dicts, lists and tuples
copies.py       objects and globals as they were, for every pass
wide_numpy.py   float64 and complex buffers in the place of float32 and real ones
"""

from .foreign import Foreign
from .objects import obeys_the_one_rule

__all__ = ["Foreign", "obeys_the_one_rule"]
