"""Is a backward pass right? And if not: which gradient, which gate, which step, and why.

The files in reading order:

check.py             check_gradients: the way from a module to a report
functions.py         check_functions, check_loss: a pair of functions, a loss with its gradients
report.py            the report: a row for each gradient, a finding for each cause
signature.py         what goes in and comes out: which is a state, and what each is called
foreign/             code of other conventions, as a module that obeys the one rule
code_under_test.py   a module in float64: its forward pass as a function, what backward claims
narrowing.py         the line at which a pass goes on in float32
judges.py            the true gradients: complex step, a torch module, central differences
purity.py            what a pass may not change, add or remember
linearity.py         a gradient is linear in the upstream gradient
raised.py            what the code raises, with its line
holes.py             a backward pass that raises, or that is not written yet
diagnose/            from wrong gradients to causes
mend/                the line that makes them right, where no cause is known
"""

from .check import check_gradients
from .functions import check_functions, check_loss
from .report import Finding, GradientReport, Row

__all__ = [
    "Finding",
    "GradientReport",
    "Row",
    "check_functions",
    "check_gradients",
    "check_loss",
]
