"""A torch module as the judge of a gradient: `check_gradients(..., twin=judge(module))`."""

from __future__ import annotations

import copy

import numpy as np
import torch

from scratch.gradcheck.code_under_test import CodeUnderTest
from scratch.gradcheck.diagnose.recognize import recognize
from scratch.gradcheck.report import error
from scratch.machinery import nests
from scratch.machinery.module import Array

from .apart import explain
from .readings import readable
from .sides import as_tensors, floats_in


def judge(module: torch.nn.Module) -> Judge:
    """The judge for `check_gradients`: a module with the same parameters by name.

    Raises TypeError if it is not a torch.nn.Module. The check raises ValueError for a module with
    other parameters or other answers than the module under test.
    """
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module: expected a torch.nn.Module, got {type(module).__name__}")
    return Judge(module)


SAME = 1e-9  # relative: two sums taken in another order, in float64


class Judge:
    """A torch module, differentiated by autograd."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module

    def differences(self, code: CodeUnderTest) -> tuple[str, str] | None:
        """That the answers are not the torch module's, by how much, and why; None where they are.

        Why: which reading of the weights makes them equal, or where the two part.
        """
        tried = _Pass(code, self.module)
        if tried.difference <= SAME:
            return None
        why = explain(code.module, tried.twin, code.inputs)
        known = None if readable(self.module) else recognize(code)
        if known is not None:
            why.append(f"Yours computes {known.table.name}{known.order}.")
        return (
            f"the answers are not those of the torch module: off by {tried.difference:.2g}, "
            f"relative to its largest",
            " ".join(why) or "both were run on the same inputs, with the same weights",
        )

    def jacobian(self, code: CodeUnderTest, upstream: Array | None) -> dict[str, Array]:
        """(entries, answers), or (entries, 1) for the gradient of Σ upstream · answers."""
        tried = _Pass(code, self.module)
        if tried.difference > SAME:
            raise ValueError(
                f"twin: expected the same answers, they differ by {tried.difference:.1e}"
            )
        return tried.jacobian(upstream)


class _Pass:
    """The answers of a float64 copy of a torch module to a code's inputs."""

    def __init__(self, code: CodeUnderTest, module: torch.nn.Module) -> None:
        self.twin = copy.deepcopy(module).double()
        named = dict(self.twin.named_parameters())
        for name, array in code.parameters.items():
            theirs = named.get(name)
            if theirs is None or tuple(theirs.shape) != array.shape:
                raise ValueError(f"twin: expected a parameter {name} of shape {array.shape}")
            if not np.allclose(theirs.detach().numpy(), array.data, rtol=1e-6, atol=1e-7):
                raise ValueError(f"twin: expected the same weights; {name} differs")
            theirs.data = torch.from_numpy(array.data.copy())
        self.inputs = as_tensors(code.inputs, None)
        tensors = floats_in(self.inputs)
        self.answers = nests.flatten(self.twin(*self.inputs))
        answers = np.concatenate([a.detach().numpy().reshape(-1) for a in self.answers])
        ours = nests.vector(code.answers)
        if answers.shape != ours.shape:
            raise ValueError("twin: expected answers of the same shapes")
        self.difference = error(ours, answers)
        checked = dict(zip(code.checked_inputs, tensors, strict=False))
        self.variables = checked | {name: named[name] for name in code.parameters}

    def jacobian(self, upstream: Array | None) -> dict[str, Array]:
        rows = np.eye(sum(a.numel() for a in self.answers)) if upstream is None else upstream[None]
        ends = np.cumsum([a.numel() for a in self.answers])[:-1]
        columns: dict[str, list[Array]] = {name: [] for name in self.variables}
        for row in rows:
            parts = np.split(row, ends)
            grads = torch.autograd.grad(
                self.answers,
                list(self.variables.values()),
                [torch.from_numpy(p.copy()).reshape(a.shape) for p, a in zip(
                    parts, self.answers, strict=True)],
                retain_graph=True,
                allow_unused=True,
            )  # fmt: skip
            for (name, variable), grad in zip(self.variables.items(), grads, strict=True):
                zero = np.zeros(variable.numel())
                columns[name].append(zero if grad is None else grad.numpy().reshape(-1))
        return {name: np.stack(parts, axis=1) for name, parts in columns.items()}
