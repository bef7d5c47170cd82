"""From wrong gradients to causes: `Diagnosis(code, truth, claimed, kinks).findings()`.

The files in explanation order:

diagnosis.py   the fewest mistakes that reproduce every number that was claimed
causes.py      how one claimed gradient can come from one predicted gradient
sizes.py       what a factor is: 2, one half, or a size such as the batch
lengths.py     right for one time step and wrong from two on
predictions.py      what the gradients would be under a mistake
equations.py   an RNN and an LSTM with a place for every mistake
mistakes.py    the mistakes of a backward pass through time, in words and as settings
anatomy.py     which equations a module computes, found by its answers
layouts.py     every way in which parameters can hold the weights
forms.py       the gates of a module's parameters, and other inputs of the same form
trace.py       the first quantity inside the two passes that is wrong
"""

from .causes import Context
from .diagnosis import Diagnosis

__all__ = ["Context", "Diagnosis"]
