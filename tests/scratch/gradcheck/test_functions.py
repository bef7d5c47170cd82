"""A pair of functions with a cache, as courses have them: what goes where, and what is said."""

# ruff: noqa: C408 -- students write dict()

import random

import numpy as np
import pytest

from scratch import check_functions
from scratch.gradcheck import check
from scratch.gradcheck.code_under_test import NotCheckable
from scratch.gradcheck.foreign import names

RNG = np.random.default_rng(7)


def draw(*shape):
    return 0.5 * RNG.standard_normal(shape)


def wrong(report):
    return sorted(row.name for row in report.rows if not row.ok)


def unclaimed(report):
    return [row.name for row in report.rows if row.problem == "not claimed"]


# Batch first, one tuple for the cache


def elman_forward(x, h0, Wx, Wh, b):
    hs = np.zeros((x.shape[0], x.shape[1] + 1, len(b)))
    hs[:, 0] = h0
    for t in range(x.shape[1]):
        hs[:, t + 1] = np.tanh(x[:, t] @ Wx + hs[:, t] @ Wh + b)
    return hs[:, 1:], (x, hs, Wx, Wh)


def elman_backward(dhs, cache):
    x, hs, Wx, Wh = cache
    dx, dWx, dWh = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh)
    db, dh = np.zeros(len(Wh)), np.zeros_like(hs[:, 0])
    for t in reversed(range(x.shape[1])):
        dz = (dhs[:, t] + dh) * (1 - hs[:, t + 1] ** 2)
        dx[:, t] = dz @ Wx.T
        dWx += x[:, t].T @ dz
        dWh += hs[:, t].T @ dz
        db += dz.sum(axis=0)
        dh = dz @ Wh.T
    return dx, dh, dWx, dWh, db


def elman_arguments(N=2, T=4):
    return draw(N, T, 3), draw(N, 5), draw(3, 5), draw(5, 5), draw(5)


def test_right_functions_and_which_gradient_is_whose():
    report = check_functions(elman_forward, elman_backward, *elman_arguments())
    assert report.ok, report
    assert report.judge == "complex step", "also through buffers that numpy makes real"
    assert "dx → x, dh → h0, dWx → Wx, dWh → Wh, db → b" in str(report)
    assert str(report).startswith("elman_forward, elman_backward: right: 5 gradients\n")
    assert check_functions(elman_forward, elman_backward, *elman_arguments(N=1, T=1)).ok


def test_a_mistake_in_functions_is_named_as_in_a_class():
    def backward(dhs, cache):
        x, hs, Wx, Wh = cache
        return (
            elman_backward(dhs, (x, np.roll(hs, -1, axis=1), Wx, Wh))[:3]
            + elman_backward(dhs, cache)[3:]
        )

    def not_carried(dhs, cache):
        x, hs, Wx, Wh = cache
        steps = [
            elman_backward(dhs[:, t : t + 1], (x[:, t : t + 1], hs[:, t : t + 2], Wx, Wh))
            for t in range(x.shape[1])
        ]
        dx = np.concatenate([step[0] for step in steps], axis=1)
        return dx, steps[0][1], *(sum(step[k] for step in steps) for k in (2, 3, 4))

    report = check_functions(elman_forward, not_carried, *elman_arguments())
    assert wrong(report) == ["Wh", "Wx", "b", "h0", "x"]
    assert report.findings[0].name == "missing carry of h", report
    assert wrong(check_functions(elman_forward, backward, *elman_arguments())) == [
        "Wx", "h0", "x",
    ]  # fmt: skip


# Columns, parameters and gradients in dicts, a prediction beside the states


def columns_forward(x, a0, parameters):
    a, states, predictions, cache = a0, [], [], []
    for t in range(x.shape[2]):
        before, a = a, step(x[:, :, t], a, parameters)
        cache.append((x[:, :, t], before, a))
        y = np.exp(parameters["Wya"] @ a)
        states.append(a)
        predictions.append(y / y.sum(axis=0))
    return np.stack(states, axis=2), np.stack(predictions, axis=2), (cache, parameters)


def step(xt, a, parameters):
    return np.tanh(parameters["Wax"] @ xt + parameters["Waa"] @ a + parameters["ba"])


def columns_backward(da, caches):
    cache, parameters = caches
    grads = {f"d{name}": 0 * parameters[name] for name in ("Wax", "Waa", "ba")}
    dx, da_prev = [], 0
    for t in reversed(range(len(cache))):
        xt, before, a = cache[t]
        dz = (da[:, :, t] + da_prev) * (1 - a**2)
        grads["dWax"] += dz @ xt.T
        grads["dWaa"] += dz @ before.T
        grads["dba"] += dz.sum(axis=1, keepdims=True)
        dx.insert(0, parameters["Wax"].T @ dz)
        da_prev = parameters["Waa"].T @ dz
    return {**grads, "dx": np.stack(dx, axis=2), "da0": da_prev}


def columns_arguments():
    weights = dict(Wax=draw(4, 3), Waa=draw(4, 4), Wya=draw(2, 4), ba=draw(4, 1))
    return draw(3, 5, 6), draw(4, 5), weights


def test_a_prediction_beside_the_states_gets_no_gradient():
    arguments = columns_arguments()
    before = {name: array.copy() for name, array in arguments[2].items()}
    report = check_functions(columns_forward, columns_backward, *arguments)
    assert report.ok, report
    assert [row.name for row in report.rows] == ["x", "a0", "Wax", "Waa", "ba"]
    assert "none comes from" in str(report)
    for name, array in arguments[2].items():
        np.testing.assert_array_equal(array, before[name])


def test_what_is_ignored_is_not_judged():
    def backward(da, caches):
        return columns_backward(da, caches) | {"dx": 0}

    arguments = columns_arguments()
    assert not check_functions(columns_forward, backward, *arguments).ok
    report = check_functions(columns_forward, backward, *arguments, ignore=("x",))
    assert report.ok, report
    assert "x" not in [row.name for row in report.rows]


# Lists with an array for each step


def lists_forward(words, start, U, W, V):
    states, outputs = [start], []
    for word in words:
        states.append(np.tanh(U @ word + W @ states[-1]))
        outputs.append(V @ states[-1])
    return outputs, (words, states, U, W, V)


def lists_backward(douts, cache):
    words, states, U, W, V = cache
    dU, dW, dV, carry = 0 * U, 0 * W, 0 * V, 0
    for t in reversed(range(len(words))):
        dV += np.outer(douts[t], states[t + 1])
        dz = (V.T @ douts[t] + carry) * (1 - states[t + 1] ** 2)
        dU += np.outer(dz, words[t])
        dW += np.outer(dz, states[t])
        carry = W.T @ dz
    return None, dU, dW, dV


@pytest.mark.parametrize("column", [(), (1,)])
def test_lists_of_columns_and_of_vectors(column):
    words = [draw(3, *column) for _ in range(4)]
    arguments = words, draw(5, *column), draw(5, 3), draw(5, 5), draw(2, 5)
    report = check_functions(lists_forward, lists_backward, *arguments)
    assert report.ok, report
    assert unclaimed(report) == ["words", "start"], "None for x is no mistake"

    def last_only(douts, cache):
        return lists_backward([0 * d for d in douts[:-1]] + douts[-1:], cache)

    assert wrong(check_functions(lists_forward, last_only, *arguments)) == ["U", "V", "W"]


# A state that is a tuple, other arguments, other things returned


def pair_forward(x, state, *, scale, steps=2):
    h, c = state
    for _ in range(steps):
        c = c + scale * np.tanh(x)
        h = h * c
    return h, (h, c), {"x": x, "state": state, "scale": scale, "steps": steps}


def pair_backward(dh, dstate, cache):
    (h, c), x, scale = cache["state"], cache["x"], cache["scale"]
    one = scale * np.tanh(x)  # h becomes h (c + one) (c + 2 one), and c becomes c + 2 one
    dh, dc = dh + dstate[0], dstate[1]
    done = 2 * dc + dh * h * (3 * c + 4 * one)
    dc_0 = dc + dh * h * (2 * c + 3 * one)
    dh_0 = dh * (c + one) * (c + 2 * one)
    return {"x_grad": scale * (1 - np.tanh(x) ** 2) * done, "state": (dh_0, dc_0)}


def test_states_in_tuples_and_numbers_that_have_no_gradient():
    state = draw(3), draw(3)
    report = check_functions(pair_forward, pair_backward, draw(3), state, scale=0.5)
    assert report.ok, report
    assert [row.name for row in report.rows] == ["x", "h", "c"]


def loss_forward(x, target, W):
    out = x @ W
    return ((out - target) ** 2).mean(), (x, out - target)


def loss_backward(cache):
    x, off = cache
    return x.T @ (2 * off / off.size)


def test_a_loss_takes_no_upstream_gradient():
    report = check_functions(loss_forward, loss_backward, draw(4, 3), draw(4, 2), draw(3, 2))
    assert [row.name for row in report.rows if row.problem == ""] == ["W"]
    assert report.ok, report


def turned_backward(dout, cache):
    x, W, mask = cache
    return mask * (dout @ W.T), dout.T @ (mask * x), dout.sum(axis=0)


def masked_forward(x, W, b):
    mask = np.array([[float(random.random() < 0.7) for _ in row] for row in x])
    return (mask * x) @ W + b, (x, W, mask)


def test_random_numbers_repeat_and_a_gradient_without_a_name_may_have_a_wrong_shape():
    report = check_functions(masked_forward, turned_backward, draw(4, 3), draw(3, 2), draw(2))
    assert wrong(report) == ["W"]
    assert report.findings[0].name == "transposed", report


def test_what_is_left_on_both_sides_is_a_gradient_of_a_wrong_shape():
    def forward(x, weights):
        return x @ weights[0], (x, weights[0])

    def backward(dout, cache):
        x, W = cache
        dx = dout @ W.T
        gW = dout.T @ x
        return dx, (gW,)

    assert wrong(check_functions(forward, backward, draw(4, 3), (draw(3, 2),))) == ["weights[0]"]


def test_defaults_are_parameters_too():
    weights = {"W": draw(3, 2)}

    def forward(x, p=weights):
        return x @ p["W"], x

    def backward(dout, x, p=weights):
        return {"dx": dout @ p["W"].T, "dW": 2 * x.T @ dout}

    report = check_functions(forward, backward, draw(4, 3))
    assert wrong(report) == ["W"]
    assert forward.__defaults__ == (weights,)


def test_code_with_large_arrays_of_its_own_is_judged_in_directions(monkeypatch):
    monkeypatch.setattr(check, "LONGEST", 0.0)
    report = check_functions(elman_forward, elman_backward, *elman_arguments())
    assert report.ok, report
    assert {row.judged for row in report.rows} == {"in 10 directions"}
    assert not check_functions(
        elman_forward, lambda dhs, cache: elman_backward(2 * dhs, cache), *elman_arguments()
    ).ok


# What it changes or remembers is no wrong gradient


def test_what_is_changed_is_a_remark():
    def backward(dhs, cache):
        dhs *= 1
        result = elman_backward(dhs, cache)
        cache[1][...] = 0
        return result

    report = check_functions(elman_forward, backward, *elman_arguments())
    assert report.ok
    assert report.verdict.startswith("right: 5 gradients; but backward changes the record")
    assert {remark.name for remark in report.remarks} >= {"second backward differs"}


def test_a_second_backward_that_raises_is_a_remark_with_its_line():
    def forward(x, W):
        return x @ W, [(x, W)]

    def backward(dout, cache):
        x, W = cache.pop()
        return dout @ W.T, x.T @ dout

    report = check_functions(forward, backward, draw(2, 3), draw(3, 4))
    assert report.ok
    raised = [remark for remark in report.remarks if "raises IndexError" in remark.name]
    assert "x, W = cache.pop()" in raised[0].evidence


# Holes, exceptions


def unwritten(dout, cache):
    raise NotImplementedError


def nothing(dout, cache):
    dx, dW = None, None
    return dx, dW


def dots(dout, cache):
    x = cache[0]
    return ... * dout, x.T @ dout


def raises(dout, cache):
    x, W = cache
    return dout @ W, x.T @ dout


@pytest.mark.parametrize(
    ("backward", "name", "line"),
    [(unwritten, "hole", "raise NotImplementedError"), (nothing, "hole", ""),
     (dots, "hole", "return ... * dout"), (raises, "backward raises ValueError", "dout @ W,")],
)  # fmt: skip
def test_a_hole_and_an_exception_are_findings(backward, name, line):
    def forward(x, W):
        return x @ W, (x, W)

    report = check_functions(forward, backward, draw(2, 3), draw(3, 4))
    assert not report.ok
    assert [finding.name for finding in report.findings] == [name]
    assert line in str(report)


def test_an_exception_of_forward_is_the_callers():
    x, h0, Wx, Wh, b = elman_arguments()
    with pytest.raises(ValueError, match="matmul"):
        check_functions(elman_forward, elman_backward, x, h0, Wx.T, Wh, b)
    with pytest.raises(NotCheckable, match="missing a required argument: 'h0'"):
        check_functions(elman_forward, elman_backward, draw(2, 4, 3))


# float32


def narrow_forward(x, W):
    out = np.empty((len(x), W.shape[1]), dtype="f")
    out[:] = np.tanh(x @ W)
    return out, (x.astype(np.float32), W, out)


def narrow_backward(dout, cache):
    x, W, out = cache
    dz = np.zeros_like(out, dtype=np.float32)
    dz[...] = dout * (1 - out**2)
    return dz @ W.T, x.T @ dz


def test_buffers_of_float32_are_widened():
    report = check_functions(narrow_forward, narrow_backward, draw(3, 4), draw(4, 2))
    assert report.ok, report
    assert narrow_forward(draw(3, 4), draw(4, 2))[0].dtype == np.float32, "numpy is put back"


def cast_forward(x, W):
    z = (x @ W).astype("float32")
    return np.tanh(z), (x, W)


def cast_backward(dout, cache):
    x, W = cache
    dz = dout * (1 - np.tanh(x @ W) ** 2)
    return dz @ W.T, x.T @ dz


def test_the_line_that_narrows_is_named():
    with pytest.raises(NotCheckable, match=r'z = \(x @ W\).astype\("float32"\)'):
        check_functions(cast_forward, cast_backward, draw(3, 4), draw(4, 2))


# Names


@pytest.mark.parametrize(
    ("gradients", "targets"),
    [
        ("dWf dL_dWi d_Wo grad_Wc bf_grad bi_diff bo_d dLdbc", "Wf Wi Wo Wc bf bi bo bc"),
        ("dxt dprev_h dprev_c", "xt prev_h prev_c"),
        ("dx da0 dhprev dcnext", "xs a0 hprev c_prev"),
        ("dx dh0 dW_xh dWhh", "X h_init Wxh W_hh"),
        ("gW gb dinputs", "W b x"),
    ],
)
def test_the_names_of_gradients(gradients, targets):
    found = names.match(gradients.split(), targets.split())
    assert found == dict(zip(gradients.split(), targets.split(), strict=True))


def test_what_is_no_gradient_is_matched_with_nothing():
    assert names.match(["h", "loss", "hs", "cache"], ["h", "x", "W"]) == {}


def dot_forward(x, W, U):
    return x.dot(W).dot(U), (x, W, U)


def dot_backward(dout, cache):
    x, W, U = cache
    return dout.dot(U.T).dot(W.T), x.T.dot(dout.dot(U.T)), x.dot(W).T.dot(dout)


def test_a_method_of_an_array_names_no_gradient():
    """dout.dot(U.T) is no gradient of U: what is returned goes by order."""
    rng = np.random.default_rng(0)
    arguments = [rng.standard_normal(shape) for shape in ((5, 2), (2, 3), (3, 4))]
    report = check_functions(dot_forward, dot_backward, *arguments)
    assert report.ok, report
    assert [row.name for row in report.rows if row.judged] == ["x", "W", "U"]
