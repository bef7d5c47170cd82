"""Is a backward pass right? And if not: which gradient, which gate, which step, and why.

The files in reading order:

check.py             check_gradients: the way from a module to a report
report.py            the report: a row for each gradient, a finding for each cause
signature.py         what goes in and comes out: which is a state, and what each is called
code_under_test.py   a module in float64: its forward pass as a function, what backward claims
judges.py            the true gradients: complex step, a torch module, central differences
purity.py            what a pass may not change, add or remember
linearity.py         a gradient is linear in the upstream gradient
diagnose/            from wrong gradients to causes
mend/                the line that makes them right, where no cause is known
"""

from .check import check_gradients
from .report import Finding, GradientReport, Row

__all__ = ["Finding", "GradientReport", "Row", "check_gradients"]
