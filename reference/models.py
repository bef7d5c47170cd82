"""SimpleRNN and SimpleLSTM on torch.nn: the twins of `scratch/models.py`, line by line."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class SimpleRNN(nn.Module):
    """The twin of `scratch.SimpleRNN`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        every_step: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.every_step = every_step
        self.rnn = nn.RNN(input_size, hidden_size, batch_first=True, dtype=dtype)
        self.fc = nn.Linear(hidden_size, output_size, dtype=dtype)

    def forward(self, x: Any) -> Tensor:
        prediction, _h_n = self.forward_from(x, None)
        return prediction

    def forward_from(self, x: Any, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """The prediction and the last state, from which the next chunk can go on."""
        output, h_n = self.rnn(x, state)  # (N, T, H), (1, N, H)
        return self.fc(output if self.every_step else h_n[-1]), h_n


class SimpleLSTM(nn.Module):
    """The twin of `scratch.SimpleLSTM`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        every_step: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.every_step = every_step
        self.lstm = nn.LSTM(input_size, hidden_size, batch_first=True, dtype=dtype)
        self.fc = nn.Linear(hidden_size, output_size, dtype=dtype)

    def forward(self, x: Any) -> Tensor:
        prediction, _state = self.forward_from(x, None)
        return prediction

    def forward_from(
        self, x: Any, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The prediction and the last state, from which the next chunk can go on."""
        output, (h_n, c_n) = self.lstm(x, state)  # (N, T, H), (1, N, H)
        return self.fc(output if self.every_step else h_n[-1]), (h_n, c_n)
