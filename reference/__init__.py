"""The models of `scratch` on torch.nn, and how far the two are apart."""

import sys
from importlib.util import find_spec

from scratch.machinery import interrupt  # before torch, which takes long to import

if interrupt.command() and find_spec("torch") is None:
    print("python -m reference: expected PyTorch: pip install 'torch>=2.13,<2.14'", file=sys.stderr)
    sys.exit(2)

from . import models
from .comparing import compare
from .judge import judge
from .parity import Parity
from .state import from_state_dict
from .twin import from_torch, twin

__all__ = ["Parity", "compare", "from_state_dict", "from_torch", "judge", "models", "twin"]
