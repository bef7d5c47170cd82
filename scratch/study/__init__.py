"""What happened inside a pass: the page to play with, and what `python -m scratch explain` prints.

from scratch import study

study.page(lstm, x, grad_output, "lstm.html")
"""

from .page import page

__all__ = ["page"]
