"""Is a backward pass right? And if not: which gradient, which gate, which step, and why."""

from .check import check_gradients
from .report import Finding, GradientReport, Row

__all__ = ["Finding", "GradientReport", "Row", "check_gradients"]
