"""Is a backward pass right? And if not: which gradient, which gate, which step, and why.

The files in reading order:

check.py       check_gradients: the way from a module to a report
report.py      the report: a row for each gradient, a finding for each cause
structure.py   answers, inputs and gradients as lists of arrays, and back
code.py     the module under test in float64: what it answers, what its backward pass claims
judges.py      the true gradients: complex step, a torch module, central differences
purity.py   what a pass may not change, add or remember
linearity.py   a gradient is linear in the upstream gradient
diagnose/      from wrong gradients to causes
parts.py       the modules inside a module, each checked on its own
loading.py     a class out of a person's file, and inputs that fit it
command.py     python -m scratch check FILE.py:NAME
"""

from .check import check_gradients
from .report import Finding, GradientReport, Row

__all__ = ["Finding", "GradientReport", "Row", "check_gradients"]
