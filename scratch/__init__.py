"""An RNN and an LSTM in NumPy, with every backward pass written by hand.

The names in reading order: one time step, the layers that carry it through time, the head and the
losses, the optimizer, sequences of several lengths, what they are all made of, the models, and the
check of a backward pass.
"""

from .machinery import interrupt  # isort: skip

if interrupt.command():
    interrupt.end_at_once()
    interrupt.search_here_last()

from typing import TYPE_CHECKING, Any

from .cells import LSTMCell, RNNCell
from .linear import Linear
from .losses import CrossEntropyLoss, MSELoss
from .machinery.module import Module, Parameter
from .machinery.packing import PackedSequence, pack_padded_sequence, pad_packed_sequence
from .models import SimpleLSTM, SimpleRNN
from .optim import Adam, clip_grad_norm_
from .recurrent import LSTM, RNN

if TYPE_CHECKING:
    from .gradcheck import GradientReport, check_functions, check_gradients, check_loss

__all__ = [  # noqa: RUF022 -- in reading order
    "RNNCell",
    "LSTMCell",
    "RNN",
    "LSTM",
    "Linear",
    "MSELoss",
    "CrossEntropyLoss",
    "Adam",
    "clip_grad_norm_",
    "PackedSequence",
    "pack_padded_sequence",
    "pad_packed_sequence",
    "Parameter",
    "Module",
    "SimpleRNN",
    "SimpleLSTM",
    "check_gradients",
    "check_functions",
    "check_loss",
    "GradientReport",
]
CHECKER = ("check_gradients", "check_functions", "check_loss", "GradientReport")


def __getattr__(name: str) -> Any:
    """The checker is loaded when it is asked for: it takes as long as all the rest."""
    if name in CHECKER:
        from . import gradcheck

        return getattr(gradcheck, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
