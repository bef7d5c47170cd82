"""A layer that computes a table of `recurrences`, for whom no source says what it does."""

import numpy as np

from scratch.gradcheck.diagnose.recurrences import Backward, forward, with_neighbours
from scratch.machinery.module import Module, Parameter

D, H = 3, 4
NAMES = {"W_x": "weight_ih_l0", "W_h": "weight_hh_l0", "b": "bias_ih_l0", "b_h": "bias_hh_l0"}


class Tabled(Module):
    """With `wrong` lines in its backward pass; (T, N, D). Named as in torch.nn."""

    def __init__(self, table, wrong=None, rng=0):
        rng = np.random.default_rng(rng)
        self.table, self.wrong = table, wrong or {}
        rows = len(table.gates) * H
        shapes = {"W_x": (rows, D), "W_h": (rows, H), "b": (rows,), "b_h": (rows,)}
        for name in table.weights:
            setattr(self, NAMES[name], Parameter(rng.normal(0, 0.5, shapes[name])))

    def __call__(self, x, *states):
        steps = self.forward(x, *states)
        return np.stack([step["h"] for step in steps]), *(steps[-1][s] for s in self.table.states)

    def forward(self, x, *states):
        weights = {}
        for name in self.table.weights:
            array = getattr(self, NAMES[name]).data.reshape(len(self.table.gates), H, -1)
            weights[name] = array if "W_" in name else array.mT
        return forward(self.table, weights, x, dict(zip(("h_0", "c_0"), states, strict=False)))

    def backward(self, steps, grad_output, grad_h_n, grad_c_n=None):
        upstream = {"grad_output": grad_output, "grad_h_n": grad_h_n, "grad_c_n": grad_c_n}
        passed = Backward(self.table, with_neighbours(self.table, steps), upstream, self.wrong)
        parts = np.split(passed.weights().sum(axis=0), [D, D + H, D + H + 1], axis=2)
        for name, grad in zip(self.table.weights, parts, strict=False):
            parameter = getattr(self, NAMES[name])
            parameter.add_grad(grad.reshape(parameter.shape))
        return passed.x(), *passed.states.values()


def inputs_of(table, T=4, N=2):
    rng = np.random.default_rng(1)
    return rng.standard_normal((T, N, D)), *rng.standard_normal((len(table.states), N, H))
