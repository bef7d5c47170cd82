"""From wrong gradients to causes: `Diagnosis(code, truth, claimed, kinks).findings()`.

The files in reading order:

recurrences.py      RNN, LSTM and GRU as tables, a line for each value and each derivative
mistakes.py         the mistakes of a backward pass through time: wrong lines of these tables
weight_layouts.py   every way in which parameters can hold the weights
recognize.py        which of the recurrences a module computes, found by its answers
predictions.py      what the gradients would be if a mistake had been made
causes.py           how one claimed gradient can come from one predicted gradient
other_sizes.py      what a factor means, and a wrong carry, found on inputs of other sizes
diagnosis.py        the fewest mistakes that reproduce every number that was claimed
first_wrong.py      the first quantity inside the two passes that is wrong
"""

from .causes import Context
from .diagnosis import Diagnosis

__all__ = ["Context", "Diagnosis"]
