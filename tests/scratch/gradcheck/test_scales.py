"""A gradient is judged relative to its own size, however small the answers are."""

from __future__ import annotations

import numpy as np
import pytest

from scratch import Module, Parameter, check_gradients


class Scaled(Module):
    """h = scale · tanh(x Wᵀ), whose gradients are `factor` times the right ones."""

    def __init__(self, scale: float, factor: float) -> None:
        self.W = Parameter(np.random.default_rng(0).standard_normal((5, 4)))
        self.scale, self.factor = scale, factor

    def __call__(self, x):
        return self.scale * np.tanh(x @ self.W.data.T)

    def forward(self, x):
        return x, np.tanh(x @ self.W.data.T)

    def backward(self, record, grad):
        x, h = record
        grad_z = self.factor * self.scale * grad * (1 - h * h)
        self.W.add_grad(grad_z.T @ x)
        return grad_z @ self.W.data


@pytest.mark.parametrize("factor", [1.0, 2.0, 0.0, -1.0])
@pytest.mark.parametrize("scale", [1e10, 1.0, 1e-12, 1e-14, 1e-20])
def test_only_the_right_gradient_is_right(scale, factor):
    x = np.random.default_rng(1).standard_normal((3, 4))
    assert check_gradients(Scaled(scale, factor), x).ok == (factor == 1)


def test_a_notebook_shows_the_report_as_a_table():
    report = check_gradients(Scaled(1.0, 2.0), np.random.default_rng(1).standard_normal((3, 4)))
    shown = report._repr_html_()
    assert shown.count("<tr>") == 3  # the heads, x and W
    assert shown.count("font-weight: bold") >= 2 * 9
    assert report.findings[0].cause.split()[0] in shown
