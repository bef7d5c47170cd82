"""The models of `scratch` on torch.nn, and how far the two are apart."""

from . import models
from .judge import judge
from .parity import Parity, compare
from .twin import from_torch, twin

__all__ = ["Parity", "compare", "from_torch", "judge", "models", "twin"]
