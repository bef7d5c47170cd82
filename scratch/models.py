"""SimpleRNN and SimpleLSTM: a recurrent layer and a Linear head, batch first.

`reference/models.py` is the same on torch.nn: the two files read line by line, down to
`backward`, which PyTorch derives and this file spells out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .linear import Linear, LinearRecord
from .machinery.checks import check_bool
from .machinery.html import record_html
from .machinery.module import Array, Module, Seed, check_grads, check_record
from .recurrent import LSTM, RNN, LayerBackwardRecord, LayerRecord


class SimpleRNNRecord(NamedTuple):
    """What `SimpleRNN.forward` computed: the records of its parts."""

    rnn: LayerRecord
    fc: LinearRecord

    def _repr_html_(self) -> str:
        return record_html(self)

    @property
    def output(self) -> Array:
        return self.fc.output

    @property
    def state(self) -> Array:
        """The last state h_n, (1, N, H)."""
        return self.rnn.h_n


class SimpleRNNBackwardRecord(NamedTuple):
    """What came back through a `SimpleRNN`: the record of its RNN."""

    rnn: LayerBackwardRecord

    def _repr_html_(self) -> str:
        return record_html(self)

    @property
    def grad_x(self) -> Array:
        return np.asarray(self.rnn.grad_x)


class SimpleRNN(Module):
    """An RNN whose output goes through a Linear layer: the last step's, or that of every step.

    Parameters `rnn.*`, of an RNN(input_size, hidden_size), and `fc.*`, of a Linear, drawn in this
    order by `rng`, a seed or a `numpy.random.Generator`, in `dtype`, a float or complex type.

        prediction = model(x)       # (N, T, input_size) → (N, output_size)
                                    #                    or (N, T, output_size) if every_step
        record = model.forward(x)   # .output, .rnn, .fc
        grad_x = model.backward(record, grad_prediction)

    Raises what `RNN` and `Linear` raise, and TypeError when `every_step` is not True or False.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        every_step: bool = False,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        check_bool("every_step", every_step)
        rng = np.random.default_rng(rng)
        self.every_step = every_step
        self.rnn = RNN(input_size, hidden_size, batch_first=True, dtype=dtype, rng=rng)
        self.fc = Linear(hidden_size, output_size, dtype=dtype, rng=rng)

    def __call__(self, x: Any) -> Array:
        output, h_n = self.rnn(x)  # (N, T, H), (1, N, H)
        return self.fc(output if self.every_step else h_n[-1])

    def forward(self, x: Any) -> SimpleRNNRecord:
        return self.forward_from(x, None)

    def forward_from(self, x: Any, state: Array | None) -> SimpleRNNRecord:
        """`forward` that goes on from `state`, the `.state` of a record; None is zeros.

        The state is a constant here: no gradient flows back to where it came from.
        """
        rnn = self.rnn.forward(x, state)
        fc = self.fc.forward(rnn.output if self.every_step else rnn.h_n[-1])
        return SimpleRNNRecord(rnn, fc)

    def backward(self, record: SimpleRNNRecord, grad_output: Array | None) -> Any:
        """Add to the gradients of the parameters; return the gradient of x. None is zero."""
        grads = self._backward_fc(record, grad_output)
        grad_x, _grad_h_0 = self.rnn.backward(record.rnn, *grads)
        return grad_x

    def backward_record(
        self, record: SimpleRNNRecord, grad_output: Array | None
    ) -> SimpleRNNBackwardRecord:
        """`backward` with what came back to every step: `.grad_x`, `.rnn.runs["l0"]`."""
        grads = self._backward_fc(record, grad_output)
        return SimpleRNNBackwardRecord(self.rnn.backward_record(record.rnn, *grads))

    def _backward_fc(self, record: SimpleRNNRecord, grad_output: Array | None) -> tuple[Any, Any]:
        """The gradients of the RNN's output and last state."""
        check_record(record, SimpleRNNRecord)
        # the RNN checks its own, too, but only after fc has added to its own
        check_grads(record.rnn.runs["l0"].steps[0].weights.parameters)
        grad = self.fc.backward(record.fc, grad_output)
        return (grad, None) if self.every_step else (None, grad[np.newaxis])


class SimpleLSTMRecord(NamedTuple):
    """What `SimpleLSTM.forward` computed: the records of its parts."""

    lstm: LayerRecord
    fc: LinearRecord

    def _repr_html_(self) -> str:
        return record_html(self)

    @property
    def output(self) -> Array:
        return self.fc.output

    @property
    def state(self) -> tuple[Array, Any]:
        """The last state (h_n, c_n), each (1, N, H)."""
        return self.lstm.h_n, self.lstm.c_n


class SimpleLSTMBackwardRecord(NamedTuple):
    """What came back through a `SimpleLSTM`: the record of its LSTM."""

    lstm: LayerBackwardRecord

    def _repr_html_(self) -> str:
        return record_html(self)

    @property
    def grad_x(self) -> Array:
        return np.asarray(self.lstm.grad_x)


class SimpleLSTM(Module):
    """An LSTM whose output goes through a Linear layer; otherwise as `SimpleRNN`.

    Parameters `lstm.*`, of an LSTM(input_size, hidden_size), and `fc.*`, of a Linear of output_size
    rows, drawn by `rng` in `dtype`.

    Raises what `LSTM` and `Linear` raise, and TypeError when `every_step` is not True or False.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        every_step: bool = False,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        check_bool("every_step", every_step)
        rng = np.random.default_rng(rng)
        self.every_step = every_step
        self.lstm = LSTM(input_size, hidden_size, batch_first=True, dtype=dtype, rng=rng)
        self.fc = Linear(hidden_size, output_size, dtype=dtype, rng=rng)

    def __call__(self, x: Any) -> Array:
        output, (h_n, _c_n) = self.lstm(x)  # (N, T, H), (1, N, H)
        return self.fc(output if self.every_step else h_n[-1])

    def forward(self, x: Any) -> SimpleLSTMRecord:
        return self.forward_from(x, None)

    def forward_from(self, x: Any, state: tuple[Array, Array] | None) -> SimpleLSTMRecord:
        """As `SimpleRNN.forward_from`."""
        lstm = self.lstm.forward(x, state)
        fc = self.fc.forward(lstm.output if self.every_step else lstm.h_n[-1])
        return SimpleLSTMRecord(lstm, fc)

    def backward(self, record: SimpleLSTMRecord, grad_output: Array | None) -> Any:
        """Add to the gradients of the parameters; return the gradient of x. None is zero."""
        grads = self._backward_fc(record, grad_output)
        grad_x, _grad_state_0 = self.lstm.backward(record.lstm, *grads)
        return grad_x

    def backward_record(
        self, record: SimpleLSTMRecord, grad_output: Array | None
    ) -> SimpleLSTMBackwardRecord:
        """`backward` with what came back to every step: `.grad_x`, `.lstm.runs["l0"]`."""
        grads = self._backward_fc(record, grad_output)
        return SimpleLSTMBackwardRecord(self.lstm.backward_record(record.lstm, *grads))

    def _backward_fc(self, record: SimpleLSTMRecord, grad_output: Array | None) -> tuple[Any, Any]:
        """The gradients of the LSTM's output and last state."""
        check_record(record, SimpleLSTMRecord)
        # the LSTM checks its own, too, but only after fc has added to its own
        check_grads(record.lstm.runs["l0"].steps[0].weights.parameters)
        grad = self.fc.backward(record.fc, grad_output)
        return (grad, None) if self.every_step else (None, (grad[np.newaxis], None))
