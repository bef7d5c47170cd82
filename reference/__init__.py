"""The models of `scratch` on torch.nn, and how far the two are apart."""

from . import models
from .comparing import compare
from .judge import judge
from .parity import Parity
from .state import from_state_dict
from .twin import from_torch, twin

__all__ = ["Parity", "compare", "from_state_dict", "from_torch", "judge", "models", "twin"]
