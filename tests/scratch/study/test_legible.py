"""No label lies on another one or leaves its figure: 2 units and 7 steps, 32 units and 200."""

import numpy as np
import pytest

from scratch.study import (
    AdamWay,
    Shares,
    draw_adam,
    draw_backward,
    draw_flow,
    draw_forward,
    draw_jacobians,
    draw_saturation,
    draw_shares,
    draw_trajectories,
    norms,
)
from tests.scratch.study.records import overlaps, passes


def figures(kind, H, T):
    model, run, back = passes(kind, H, T, D=2)
    weight = getattr(model, kind).weight_hh_l0
    yield draw_forward(run)
    yield draw_backward(back)
    yield draw_trajectories(run.h, weight.data)
    curves = {f"{kind.upper()} {state}": curve for state, curve in norms(back).items()}
    yield draw_flow({"before training": curves, "after training": curves})
    shares = Shares(back, "weight_hh", 0, 1)
    yield draw_shares(shares, {gate: share.sum() for gate, share in shares.items()})
    jacobian = np.where(
        np.tri(T, dtype=bool), 0.7 ** (np.arange(T)[:, None] - np.arange(T)), np.nan
    )
    yield draw_jacobians(jacobian, jacobian)
    rng = np.random.default_rng(0)
    names = "ifgo" if kind == "lstm" else "h"
    yield draw_saturation({name: rng.random((T + 1, 2)) / 2 for name in names})
    g = 1e-6 * rng.standard_normal(T)
    yield draw_adam(AdamWay(g, g.cumsum() / T, (g * g).cumsum() / T, 0.01, 0.9, 0.999, 1e-8))


@pytest.mark.parametrize(("H", "T"), [(2, 7), (32, 200)])
def test_labels_do_not_overlap(H, T):
    for number, figure in enumerate(figures("lstm", H, T)):
        assert overlaps(figure) == ([], []), f"figure {number}"
