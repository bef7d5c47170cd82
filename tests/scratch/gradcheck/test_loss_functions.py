"""One function that returns a loss and its gradients, as small character models have it."""

# ruff: noqa: F821 -- the parameters of the character model are globals that a test makes

import types

import numpy as np
import pytest

from scratch import check_loss
from scratch.gradcheck.code_under_test import NotCheckable

RNG = np.random.default_rng(11)
H, V = 4, 6
SHAPES = {"Wxh": (H, V), "Whh": (H, H), "Why": (V, H), "bh": (H, 1), "by": (V, 1)}


def draw(*shape):
    return 0.5 * RNG.standard_normal(shape)


def weights():
    return {name: draw(*shape) for name, shape in SHAPES.items()}


def wrong(report):
    return sorted(row.name for row in report.rows if not row.ok)


def judged(report):
    return [row.name for row in report.rows if row.problem == ""]


def forward(inputs, targets, hprev, p):
    xs, hs, ps, loss = {}, {-1: np.copy(hprev)}, {}, 0
    for t, (index, target) in enumerate(zip(inputs, targets, strict=True)):
        xs[t] = np.zeros((V, 1))
        xs[t][index] = 1
        hs[t] = np.tanh(p["Wxh"] @ xs[t] + p["Whh"] @ hs[t - 1] + p["bh"])
        e = np.exp(p["Why"] @ hs[t] + p["by"])
        ps[t] = e / e.sum()
        loss += -np.log(ps[t][target, 0])
    return loss, xs, hs, ps


def loss_in_dict(inputs, targets, hprev, params, carried=1.0):
    loss, xs, hs, ps = forward(inputs, targets, hprev, params)
    grads = {f"d{name}": np.zeros_like(array) for name, array in params.items()}
    dnext = np.zeros((H, 1))
    for t in reversed(range(len(inputs))):
        dy = ps[t].copy()
        dy[targets[t]] -= 1
        dz = (params["Why"].T @ dy + dnext) * (1 - hs[t] ** 2)
        for name, grad in (("Wxh", dz @ xs[t].T), ("Whh", dz @ hs[t - 1].T), ("bh", dz),
                           ("Why", dy @ hs[t].T), ("by", dy)):  # fmt: skip
            grads[f"d{name}"] += grad
        dnext = carried * params["Whh"].T @ dz
    return loss, grads, hs[len(inputs) - 1]


def loss_in_globals(inputs, targets, hprev):
    p = {"Wxh": Wxh, "Whh": Whh, "Why": Why, "bh": bh, "by": by}
    loss, grads, h = loss_in_dict(inputs, targets, hprev, p)
    dWxh, dWhh, dWhy, dbh, dby = grads.values()
    for grad in (dWxh, dWhh, dWhy, dbh, dby):
        np.clip(grad, -5, 5, out=grad)
    return loss, dWxh, dWhh, dWhy, dbh, dby, h


@pytest.fixture
def in_globals():
    values = weights()
    globals().update(values)
    yield values
    for name in values:
        assert globals()[name] is values[name], "put back after each pass"
        del globals()[name]


INDICES = [0, 3, 5, 2], [3, 5, 2, 1]


@pytest.mark.parametrize("given", [True, False])
def test_parameters_in_globals(in_globals, given):
    named = {"parameters": globals()} if given else {}
    report = check_loss(loss_in_globals, *INDICES, draw(H, 1), **named)
    assert report.ok, report
    assert judged(report) == list(SHAPES)
    assert [row.name for row in report.rows if row.problem] == ["hprev"]
    assert "dWhh → Whh" in str(report)


def test_parameters_in_a_dict_among_the_arguments():
    report = check_loss(loss_in_dict, *INDICES, draw(H, 1), weights())
    assert report.ok, report
    assert judged(report) == list(SHAPES)
    report = check_loss(loss_in_dict, *INDICES, draw(H, 1), weights(), carried=0.0)
    assert wrong(report) == ["Whh", "Wxh", "bh"]


@pytest.mark.parametrize("kind", [dict, lambda **p: types.SimpleNamespace(**p), list])
def test_parameters_in_a_namespace_apart(kind):
    if kind is list:
        where = list(weights().values())
        get = where.__getitem__
    else:
        where = kind(**weights())
        get = where.__getitem__ if kind is dict else where.__dict__.__getitem__

    def loss(inputs, targets, hprev):
        keys = range(5) if kind is list else SHAPES
        params = {name: get(key) for name, key in zip(SHAPES, keys, strict=True)}
        value, grads, _ = loss_in_dict(inputs, targets, hprev, params)
        return (value, list(grads.values())) if kind is list else (value, grads)

    report = check_loss(loss, *INDICES, draw(H, 1), parameters=where)
    assert report.ok, report
    assert len(judged(report)) == 5


def test_clipping_that_is_reached_makes_a_gradient_wrong(in_globals):
    Why[...] *= 30
    report = check_loss(loss_in_globals, [0, 1] * 20, [1, 0] * 20, draw(H, 1))
    assert set(wrong(report)) & {"Why", "by"}
    assert report.findings[0].name == "clipping", report


def test_integers_alone_a_loss_that_is_a_column_and_a_parameter_of_a_closure():
    W = draw(V, V)
    before = W.copy()

    def loss(i, j):
        e = np.exp(W[:, [i]])
        p = e / e.sum()
        dW = np.zeros_like(W)
        dW[:, [i]] = p
        dW[j, i] -= 1
        return -np.log(p[j]), dW

    report = check_loss(loss, 2, 3)
    assert report.ok, report
    assert judged(report) == ["W"]
    assert loss.__closure__[0].cell_contents is W
    np.testing.assert_array_equal(W, before)


def regression(x, y, U, W, V, b, c):
    hs = [np.zeros(len(b))]
    for row in x:
        hs.append(np.tanh(U @ row + W @ hs[-1] + b))
    off = V @ hs[-1] + c - y
    dh = V.T @ off
    dV, dc = np.outer(off, hs[-1]), off
    dU, dW, db = 0 * U, 0 * W, 0 * b
    for t in reversed(range(len(x))):
        dz = dh * (1 - hs[t + 1] ** 2)
        dU += np.outer(dz, x[t])
        dW += np.outer(dz, hs[t])
        db += dz
        dh = W.T @ dz
    return (dU, dW, dV, db, dc), 0.5 * off @ off


def test_gradients_before_the_loss():
    arguments = draw(5, 3), draw(2), draw(4, 3), draw(4, 4), draw(2, 4), draw(4), draw(2)
    report = check_loss(regression, *arguments)
    assert report.ok, report
    assert judged(report) == ["U", "W", "V", "b", "c"]


def test_what_has_no_loss_is_refused():
    with pytest.raises(NotCheckable, match="expected a loss"):
        check_loss(lambda x: np.tanh(x), draw(3, 4))


def test_what_has_no_gradients_is_a_hole():
    report = check_loss(lambda x: float((x**2).sum()), draw(3))
    assert [finding.name for finding in report.findings] == ["hole"]
    report = check_loss(lambda x, W: (((x @ W) ** 2).sum(), None), draw(3), draw(3, 2))
    assert [finding.name for finding in report.findings] == ["hole"]


def updated(params, x, y):
    off = x @ params["W"] - y
    params["W"] = params["W"] - 0.1 * x.T @ off
    return 0.5 * (off**2).sum(), params


def test_what_shows_no_gradient_of_its_own_is_refused_and_not_wrong():
    arguments = {"W": draw(3, 2)}, draw(5, 3), draw(5, 2)
    with pytest.raises(NotCheckable, match="it changes W itself and shows none"):
        check_loss(updated, *arguments)
    with pytest.raises(NotCheckable, match=r"of shape \(7, 7\), could be the gradient of"):
        check_loss(lambda params, x, y: (updated(params, x, y)[0], np.ones((7, 7))), *arguments)
    report = check_loss(lambda params, x, y: (*fit(params["W"], x, y), params), *arguments)
    assert report.ok, report
    assert judged(report) == ["W"]


def fit(W, x, y):
    off = x @ W - y
    return 0.5 * (off**2).sum(), x.T @ off
