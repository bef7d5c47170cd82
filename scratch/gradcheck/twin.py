"""A torch module as the judge. It is handed in by the caller; nothing here imports torch."""

from __future__ import annotations

import copy
import sys
from typing import Any

import numpy as np

from ..module import Array
from ..packing import PackedSequence
from . import structure
from .subject import Subject


class TorchTwin:
    """A torch module of the same weights, differentiated by autograd."""

    name = "torch"
    tolerance = 1e-10

    def __init__(self, subject: Subject, twin: Any) -> None:
        torch = sys.modules.get("torch")
        if torch is None or not isinstance(twin, torch.nn.Module):
            raise TypeError(f"twin: expected a torch.nn.Module, got {type(twin).__name__}")
        self.subject, self.torch = subject, torch
        self.twin = copy.deepcopy(twin).double()
        named = dict(self.twin.named_parameters())
        for name, array in subject.parameters.items():
            theirs = named.get(name)
            if theirs is None or tuple(theirs.shape) != array.shape:
                raise ValueError(f"twin: expected a parameter {name} of shape {array.shape}")
            if not np.allclose(theirs.detach().numpy(), array.data, rtol=1e-6, atol=1e-7):
                raise ValueError(f"twin: expected the same weights; {name} differs")
            theirs.data = torch.from_numpy(array.data.copy())
        self.tensors: list[Any] = []
        self.inputs = tuple(self._tensor(value) for value in subject.inputs)
        self.answers = self._leaves(self.twin(*self.inputs))
        theirs = np.concatenate([a.detach().numpy().reshape(-1) for a in self.answers])
        ours = structure.flat(subject.answers)
        if theirs.shape != ours.shape:
            raise ValueError("twin: expected answers of the same shapes")
        self.difference = float(np.abs(theirs - ours).max() / np.abs(theirs).max())
        checked = dict(zip(subject.checked_inputs, self.tensors, strict=False))
        self.variables = checked | {name: named[name] for name in subject.parameters}

    def jacobian(self, upstream: Array | None) -> dict[str, Array]:
        """(entries, answers), or (entries, 1) for the gradient of Σ upstream · answers."""
        rows = np.eye(sum(a.numel() for a in self.answers)) if upstream is None else upstream[None]
        ends = np.cumsum([a.numel() for a in self.answers])[:-1]
        columns: dict[str, list[Array]] = {name: [] for name in self.variables}
        for row in rows:
            parts = np.split(row, ends)
            grads = self.torch.autograd.grad(
                self.answers,
                list(self.variables.values()),
                [self.torch.from_numpy(p.copy()).reshape(a.shape) for p, a in zip(
                    parts, self.answers, strict=True)],
                retain_graph=True,
                allow_unused=True,
            )  # fmt: skip
            for (name, variable), grad in zip(self.variables.items(), grads, strict=True):
                zero = np.zeros(variable.numel())
                columns[name].append(zero if grad is None else grad.numpy().reshape(-1))
        return {name: np.stack(parts, axis=1) for name, parts in columns.items()}

    def _tensor(self, value: Any) -> Any:
        if isinstance(value, PackedSequence):
            return self.torch.nn.utils.rnn.PackedSequence(
                *(None if part is None else self._tensor(part) for part in value)
            )
        if isinstance(value, tuple | list):
            return tuple(self._tensor(part) for part in value)
        if not isinstance(value, np.ndarray):
            return value
        tensor = self.torch.from_numpy(value.copy())
        if np.issubdtype(value.dtype, np.inexact):
            self.tensors.append(tensor.requires_grad_())
        return tensor

    def _leaves(self, value: Any) -> list[Any]:
        if isinstance(value, self.torch.nn.utils.rnn.PackedSequence):
            return [value.data]
        if isinstance(value, tuple | list):
            return [leaf for part in value for leaf in self._leaves(part)]
        return [value]
