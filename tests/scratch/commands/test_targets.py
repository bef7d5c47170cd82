"""What a target is, made and called: by expressions, and by guesses where there are none."""

import numpy as np
import pytest

from scratch.commands.expressions import Expressions
from scratch.commands.one_rule import Sizes
from scratch.commands.options import UsageError
from scratch.commands.targets import check_target
from scratch.gradcheck.raised import NotCheckable
from tests.scratch.gradcheck import students, test_functions, test_layers

SIZES = Sizes(4, 5, 4, 3)


def check(namespace, names, make=None, call=None):
    """The report on names of a module or a dict."""
    values = namespace if isinstance(namespace, dict) else vars(namespace)
    return check_target(values, names.split(","), make, call, SIZES)[0]


# Expressions


def test_arrays_to_draw_and_names_of_the_file():
    own = Expressions({"H": 4, "double": lambda array: 2 * array})
    assert own.value("--make", "0.5 * N(2, H)").shape == (2, 4)
    called, args, named = own.call("--call", "double(I(3, 5), *[N(2)], key=[N(1) for t in 'ab'])")
    assert called(3) == 6
    assert args[0].dtype.kind == "i"
    assert set(args[0]) <= {0, 1, 2}
    assert [args[1].shape, *(array.shape for array in named["key"])] == [(2,), (1,), (1,)]


def test_among_drawn_integers_one_comes_twice_along_every_axis():
    drawn = Expressions({}).value("--call", "I(1000, 3, 4)")
    assert drawn[0, 0] == drawn[-1, 0] == drawn[0, -1]
    assert len(np.unique(drawn)) > 2


def test_no_name_of_the_file_is_hidden():
    own = Expressions({"N": 7, "I": lambda: "mine"})
    assert own.value("--make", "N(N, 2)").shape == (7, 2), "its N cannot be called"
    assert own.value("--make", "I()") == "mine"


@pytest.mark.parametrize("text", ["f(", "3", "f"])
def test_what_is_no_call_is_told(text):
    with pytest.raises(UsageError, match="--call: expected"):
        Expressions({"f": len}).call("--call", text)


# With an example call


def test_functions_objects_and_methods_as_they_are_called():
    call = "elman_forward(N(2, 4, 3), N(2, 5), N(3, 5), N(5, 5), N(5))"
    assert check(test_functions, "elman_forward,elman_backward", call=call).ok
    report = check(
        test_layers, "Lists", "Lists(N(3, 4), N(4, 4), N(4))", "layer.forward(N(2, 5, 3))"
    )
    assert report.ok, report
    assert report.subject == "Lists"
    report = check(test_layers, "Classifier", "Classifier(False)", "layer.loss(N(5, 3), I(4, 5))")
    assert [row.name for row in report.rows if not row.ok] == ["W", "b"]
    layer = {"mine": test_layers.Attributes()}
    assert check(layer, "mine", call="mine.forward(N(2, 3), N(2, 4))").ok


class Named:
    """forward_pass beside backward_pass; cost beside gradient."""

    def __init__(self):
        self.params = {"W": np.ones((3, 2))}

    def forward_pass(self, x):
        self.x = x
        return x @ self.params["W"]

    def backward_pass(self, dout):
        self.dparams = {"W": self.x.T @ dout}
        return dout @ self.params["W"].T

    def cost(self, x, y):
        return 0.5 * ((self.forward_pass(x) - y) ** 2).sum()

    def gradient(self, x, y):
        return {"dW": x.T @ (self.forward_pass(x) - y)}


@pytest.mark.parametrize(
    "call", ["layer.forward_pass(N(5, 3))", "layer.cost(N(5, 3), N(5, 2))", None]
)
def test_methods_of_other_names(call):
    report = check({"Named": Named}, "Named", call=call)
    assert report.ok, report
    assert "W" in [row.name for row in report.rows if not row.problem]


# Without one


@pytest.mark.parametrize(
    ("module", "names", "shown"),
    [
        (test_functions, "elman_forward,elman_backward", "(N(3, 6, 4), N(3, 5), N(4, 5), N(5, 5)"),
        (test_functions, "columns_forward,columns_backward", "(N(4, 3, 6), N(5, 3), dict(W"),
        (test_functions, "lists_forward,lists_backward", "([N(4, 1) for t in range(6)], N(5, 1)"),
        (test_layers, "Lists", "layer.forward(N(3, 6, 4))"),
        (test_layers, "regression", ""),
    ],
)
def test_sizes_are_found(module, names, shown):
    if names == "regression":
        from tests.scratch.gradcheck import test_loss_functions as module
    report = check(module, names)
    assert report.ok, report
    assert shown in report.notes[-1]


def softmax_loss(x, y):
    """Right for (N, classes) alone."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(x))
    dx = p.copy()
    dx[rows, y] -= 1
    return -np.log(p[rows, y]).mean(), dx / len(x)


def normalized(x, gamma, beta):
    std = np.sqrt(x.var(axis=0) + 0.1)
    xhat = (x - x.mean(axis=0)) / std
    return gamma * xhat + beta, (xhat, gamma, std)


def normalized_backward(dout, cache):
    xhat, gamma, std = cache
    d = dout * gamma
    dx = (d - d.mean(axis=0) - xhat * (d * xhat).mean(axis=0)) / std
    return dx, (dout * xhat).sum(axis=0), dout.sum(axis=0)


def decayed(W, X, y, reg):
    off = X @ W - y[:, None]
    return (off**2).sum() + reg * (W**2).sum(), 2 * X.T @ off + 2 * reg * W


@pytest.mark.parametrize("names", ["softmax_loss", "normalized,normalized_backward", "decayed"])
def test_what_has_no_loop_and_no_state_is_called_with_two_axes(names):
    report = check(globals(), names)
    assert report.ok, report
    assert "N(3, 4)" in report.notes[-1]


class Scores:
    """loss(X) are scores, loss(X, y) the loss and gradients."""

    def __init__(self, D=3, C=4):
        self.W = np.ones((D, C))

    def loss(self, X, y=None):
        if y is None:
            return X @ self.W
        loss, dscores = softmax_loss(X @ self.W, y)
        return loss, {"W": X.T @ dscores}


def test_a_target_that_may_be_left_out_is_given_to_a_loss():
    assert check({"Scores": Scores}, "Scores").ok


class OfOne:
    """A forecast of a series."""

    def __init__(self, n_in=1, n_out=2):
        self.W = np.ones((n_in, n_out))

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dout):
        self.dW = self.x.T @ dout
        return dout @ self.W.T


def test_an_example_call_has_the_sizes_that_the_class_has_by_default():
    assert check({"OfOne": OfOne}, "OfOne", call="layer.forward(N(5, 1))").ok


def test_where_it_runs_what_is_missing_is_said_and_not_that_no_sizes_were_found():
    with pytest.raises(UsageError, match="expected a loss among what it returns"):
        check({"f": lambda x, W: x @ W}, "f")


def test_a_module_that_obeys_the_one_rule_is_made_and_tried_as_before():
    assert check(students, "JointLSTM").ok


def test_where_no_sizes_are_found_a_call_to_complete_is_shown():
    def forward(scene, camera):
        return scene["mesh"] + camera.position, None

    with pytest.raises(UsageError, match=r"--call 'forward\(scene=N\(...\), camera=N\(...\)\)'"):
        check({"f": forward, "b": lambda dout, cache: dout}, "f,b")
    with pytest.raises(UsageError, match=r"--make 'Odd\(..., ..., ..., ...\)'"):
        check({"Odd": Odd}, "Odd")


class Odd:
    def __init__(self, table, chair, lamp, sofa):
        pass


class Regressor:
    """forward(x), and backward(y), which starts from the loss."""

    def __init__(self, off=1.0):
        self.W, self.off = np.ones((4, 2)), off

    def forward(self, x):
        self.x, self.out = x, np.tanh(x @ self.W)
        return self.out

    def loss(self, x, y):
        return np.mean((self.forward(x) - y) ** 2)

    def backward(self, y):
        dz = 2 * (self.out - y) / y.size * (1 - self.out**2)
        self.dW = self.off * self.x.T @ dz


@pytest.mark.parametrize("call", [None, "layer.loss(N(3, 4), N(3, 2))"])
def test_a_backward_pass_that_takes_the_target(call):
    report = check({"Regressor": Regressor}, "Regressor", "Regressor()", call)
    assert report.ok, report
    assert [row.name for row in report.rows if not row.problem] == ["W"]
    assert not check({"Regressor": Regressor}, "Regressor", "Regressor(2.0)", call).ok


def test_a_backward_pass_that_takes_the_target_starts_from_no_upstream_gradient():
    with pytest.raises(NotCheckable, match="backward takes y, a target"):
        check({"Regressor": Regressor}, "Regressor", "Regressor()", "layer.forward(N(3, 4))")
