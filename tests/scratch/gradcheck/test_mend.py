"""A line that makes the gradients right is found, in code whose recurrence no table knows."""

import inspect
import linecache

import numpy as np
import pytest

from scratch import check_functions, check_gradients, check_loss
from scratch.machinery.module import Module, Parameter
from tests.scratch.gradcheck.mendable import (
    ATTENTION,
    CELL_AND_LOOP,
    ENCODER,
    GRU_WITH_HEAD,
    LOSS,
    planted,
)
from tests.scratch.gradcheck.students import JointLSTM, sigmoid

TEXTS = {
    "class": GRU_WITH_HEAD,
    "functions": CELL_AND_LOOP,
    "loss": LOSS,
    "encoder": ENCODER,
    "attention": ATTENTION,
}

# of which text, the line, what stands there instead, the name of the finding, words of its cause
MISTAKES = [
    ("class", "dV += h.T @ dy[t]", "dV = h.T @ dy[t]", "assigned instead of added",
     "of V is assigned"),
    ("class", "dh = dy[t] @ self.V.data.T + dh_next", "dh = dy[t] @ self.V.data.T",
     "missing carry of h", "h is not carried from step to step: `dh_next`"),
    ("class", "z * (1 - z)\n", "sigmoid(z)\n", "local derivative of gate z",
     "the update gate z is wrong: `sigmoid(z)` applies sigmoid again"),
    ("class", "(1 - n ** 2)", "(1 - np.tanh(n) ** 2)", "local derivative of n",
     "tanh is applied again to `n`"),
    ("class", "dr @ Wh[:, 4:8].T", "dr @ Wh[:, 4:8]", "transposed", "not transposed"),
    ("class", "reversed(range(len(steps)))", "reversed(range(1, len(steps)))",
     "first step skipped", "leaves out the first step"),
    ("class", "    r = sigmoid(", "    r[...] = sigmoid(", "record shares one array",
     "every step of the record holds the same array `r`"),
    ("functions", "dh_next, dc_next, dW_t", "dh_next, dc_prev, dW_t", "missing carry of c",
     "the new value goes to `dc_prev`"),
    ("functions", "dc * c_prev * f", "dc * c * f", "c shifted by one step", "`c_prev`, belongs"),
    ("functions", "ds @ V.T + dh_next", "ds @ V.T", "missing carry of h", "`dh_next`"),
    ("functions", "dW = dW + dW_t", "dW = dW_t", "assigned instead of added", "of W is assigned"),
    ("loss", "dWhh += np.dot(draw, hs[t - 1].T)", "dWhh += np.dot(draw, hs[t].T)",
     "hs shifted by one step", "`hs[t - 1]`, belongs"),
    ("loss", "dhnext = np.dot(Whh.T, draw)", "dhnext = np.dot(Whh, draw)", "Whh transposed",
     "`Whh` is not transposed"),
    ("loss", "dhnext = np.dot(Whh.T, draw)", "pass", "missing carry of h", "never set in the loop"),
    ("loss", "dy[targets[t]] -= 1", "pass", "target not subtracted", "the one-hot target"),
    ("loss", "(np.dot(Why.T, dy) + dhnext)", "np.dot(Why.T, dy) + dhnext", "missing parentheses",
     "`(1 - hs[t] ** 2)` multiplies only"),
    ("loss", "(1 - hs[t] ** 2) * ", "1 / (1 - hs[t] ** 2) * ", "division and product",
     "divided by `1 - hs[t] ** 2`"),
    ("class", "(h_prev - n)", "(n - h_prev)", "sign", "`n - h_prev` stands where `h_prev - n`"),
    ("class", "dh * (1 - z) * (1 - n ** 2)", "dh * z * (1 - n ** 2)", "1 - z",
     "`z` stands where `1 - z` belongs"),
    ("class", "dy[t] @ self.V.data.T", "dy[-1] @ self.V.data.T", "dy of another step",
     "`dy[-1]` stands where `dy[t]`"),
    ("functions", "dc * i * (1 - g ** 2)", "dc * i * (1 - g) * g", "local derivative of g",
     "that of a sigmoid, stands where"),
    ("functions", "djoined[:, :H], dc * f,", "djoined[:, :H], dc,", "f left out",
     "the forget gate f is missing as a factor"),
    ("loss", "dy = dy / T", "dy = dy / (2 * T)", "mean and sum",
     "too small by the factor 2: `2 * T` stands where `T` belongs"),
    ("loss", "dy[targets[t]] -= 1", "dy[targets[t]] += 1", "sign",
     "the sign is wrong: `1` is added"),
    ("loss", "dy[targets[t]] -= 1", "dy[targets[t]] -= dy[targets[t]]", "target not subtracted",
     "is subtracted where the 1 of the one-hot target belongs"),
    ("encoder", "back(dout[:, :, 4:][::-1]", "back(dout[:, :, 4:]", "not reversed",
     "steps of `dout[:, :, 4:]` are not reversed"),
    ("encoder", "np.add.at(dE, ids, dx)", "dE[ids] += dx", "repeated indices", "adds only once"),
    ("attention", "(dA - (dA * A).sum(axis=-1, keepdims=True))", "dA", "derivative of softmax",
     "the derivative of softmax is not whole"),
    ("attention", " - norm * (dnorm * norm).mean(axis=-1, keepdims=True)", "",
     "way back through the variance", "the way back through the variance is missing"),
    ("attention", " + dk @ self.K.data.T", "", "missing term dk @ self.K.data.T",
     "the way back through `self.K.data`"),
    ("loss", "range(T)):\n        dy", "range(T)):\n        if t % 2 == 0: dhnext *= 0\n        dy",
     "truncated", "right for sequences cut every K = 2 steps"),
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_right_code_is_right_and_has_no_finding(text):
    module, inputs, _ = planted(text)
    assert check_gradients(module, *inputs).ok


@pytest.mark.parametrize(
    ("of", "line", "instead", "named", "words"), MISTAKES, ids=lambda v: str(v).strip()
)
def test_the_line_is_named_and_what_belongs_there(of, line, instead, named, words):
    module, inputs, number = planted(TEXTS[of], line, instead)
    report = check_gradients(module, *inputs)
    assert not report.ok
    first = report.findings[0]
    assert first.name == named, report
    assert words in first.cause, report
    # A line that is missing belongs after the one before it.
    places = {number - 1, number, number + 1} if instead == "pass" else {number}
    assert int(first.look.split(":")[1]) in places, report


IN_PARTS = GRU_WITH_HEAD.replace(" + dz @ Wh", "\n            dh_next += dz @ Wh", 1)
HEAD_APART = LOSS.replace(
    "draw = (1 - hs[t] ** 2) * (np.dot(Why.T, dy) + dhnext)",
    "dh = np.dot(Why.T, dy)\n        dh = dh + dhnext\n        draw = (1 - hs[t] ** 2) * dh",
)


@pytest.mark.parametrize(
    ("text", "line", "instead", "words"),
    [
        (IN_PARTS, "dh_next += dz", "dh_next = dz", "`dh_next` is overwritten where something"),
        (HEAD_APART, "dh = dh + dhnext", "dh = dhnext", "`dh` is overwritten where something"),
        (LOSS, "np.dot(Whh.T, draw)", "hs[t]", "`dhnext`, the gradient of h that the step after "
         "hands back, is not what belongs there"),
    ],
)  # fmt: skip
def test_what_arrives_in_part_is_not_said_to_be_carried_nowhere(text, line, instead, words):
    module, inputs, _ = planted(text, line, instead)
    first = check_gradients(module, *inputs).findings[0]
    assert words in first.cause
    assert "not carried" not in first.cause


def test_two_mistakes_of_which_one_makes_some_gradients_right():
    text = LOSS.replace("dWhh += np.dot(draw, hs[t - 1].T)", "dWhh += np.dot(draw, hs[t].T)")
    module, inputs, _ = planted(text, "dby += dy", "dby = dy")
    named = {finding.name for finding in check_gradients(module, *inputs).findings}
    assert named == {"hs shifted by one step", "assigned instead of added"}


def test_two_mistakes_that_are_right_only_together():
    text = CELL_AND_LOOP.replace("dc * g * i * (1 - i)", "dc * g * sigmoid(i)")
    module, inputs, _ = planted(text, "dh_next, dc_next, dW_t", "dh_next, dc_prev, dW_t")
    named = {finding.name for finding in check_gradients(module, *inputs).findings}
    assert named == {"missing carry of c", "local derivative of gate i"}


def test_what_is_right_only_by_a_coincidence_of_sizes_is_not_named():
    """There are as many steps as hidden units, and only T is right for fewer steps."""
    module, inputs, _ = planted(
        ENCODER, "(dh, steps, U):", "(dh, steps, U):\n    dh = dh * len(dh)"
    )
    report = check_gradients(module, *inputs)
    assert "dh.shape[2]" not in report.findings[0].look
    assert "on inputs of other sizes too" in report.findings[0].evidence


def test_the_code_is_as_it_was_afterwards():
    module, inputs, _ = planted(CELL_AND_LOOP, "dW = dW + dW_t", "dW = dW_t")
    function = type(module).backward.__globals__["backward"]
    before = function.__code__
    check_gradients(module, *inputs)
    assert function.__code__ is before


def test_what_mends_the_answers_and_not_the_gradients_is_no_mend():
    """tanh left out of forward would make backward right, and the answers others."""
    module, inputs, _ = planted(LOSS, "(1 - hs[t] ** 2) * ", "")
    report = check_gradients(module, *inputs)
    assert "derivative" in report.findings[0].cause, report
    assert "np.tanh(Wxh" not in report.findings[0].look


OF_TABLES = [  # the line, what stands there instead, words of the cause
    ("dzf = df * f * (1 - f)", "dzf = -df * f * (1 - f)", "gate f is multiplied by -1"),
    ("df = dc * c_prev", "df = dc * c", "c_t is used where c_(t−1) belongs"),
    ("dg = dc * i", "dg = dc * f", "computed with f where i belongs"),
    ("dc_next = dc * f", "dc_next = dc", "without the factor f"),
    ("[dzi, dzf, dzg, dzo]", "[dzi, dzf, dzo, dzg]", "in the order i, f, o, g"),
    ("dx[t] = dz @ self.W_x.data", "dx[t] = dz @ -self.W_x.data", "is -1 times"),
    ("dW_h += dz.T @ h_prev", "dW_h += 2 * dz.T @ h_prev", "is 2 times what it should be"),
]


@pytest.mark.parametrize(("line", "instead", "words"), OF_TABLES, ids=lambda text: text)
def test_a_cause_that_a_table_names_has_its_line(line, instead, words):
    text = inspect.getsource(sigmoid) + inspect.getsource(JointLSTM).replace(line, instead)
    assert instead in text
    name = f"<tabled {instead}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace = {"np": np, "Module": Module, "Parameter": Parameter, "__name__": "tabled"}
    exec(compile(text, name, "exec"), namespace)
    x, (h0, c0) = np.ones((4, 2, 3)), np.ones((2, 2, 4))
    first = check_gradients(namespace["JointLSTM"](3, 4, rng=0), x, (h0, c0)).findings[0]
    assert words in first.cause
    number = next(k for k, one in enumerate(text.splitlines(), 1) if instead in one)
    assert first.look.startswith(f"{name}:{number}: ")
    assert line in first.look


def softmax(x):
    e = np.exp(x)
    A = e / e.sum(axis=1, keepdims=True)
    return A, A


def softmax_backward(dA, A):
    return A * A * (dA - (dA * A).sum(axis=1, keepdims=True))


def test_a_factor_whose_sum_is_one_is_said_to_be_a_factor():
    """Its sum over an axis mends, too, and is not what was forgotten."""
    x = np.random.default_rng(0).standard_normal((3, 4))
    first = check_functions(softmax, softmax_backward, x).findings[0]
    assert first.cause.startswith("the factor `A` does not belong there")
    assert not any("summed" in other for other in first.alternatives)


def states_in_one_array(W, U, X, y):
    H = np.zeros((len(X), X.shape[1] + 1, len(U)))
    for t in range(X.shape[1]):
        H[:, t + 1] = np.tanh(X[:, t] @ W + H[:, t] @ U)
    difference = H[:, -1] - y
    dW, dU = np.zeros_like(W), np.zeros_like(U)
    dh = difference / difference.size
    for t in reversed(range(X.shape[1])):
        dz = dh * (1 - H[:, t + 1] ** 2)
        dW += X[:, t].T @ dz
        dU += H[:, t].T @ dz
        dh = dz @ U.T
    return np.mean(difference**2), dW, dU


def test_an_index_is_not_an_expression_that_could_be_multiplied():
    """`:, t + 1` stands as one in the tree; a factor beside it is not Python."""
    N = np.random.default_rng(0).standard_normal
    report = check_loss(states_in_one_array, N((3, 5)), N((5, 5)), N((4, 6, 3)), N((4, 5)))
    (finding,) = report.findings
    assert "a factor 2 is missing" in finding.cause
    assert "difference / difference.size" in finding.look
