"""The judges agree, the strongest one is used, and what cannot be judged is refused or said."""

import random

import numpy as np
import pytest
import torch

import reference
from reference import judge as torch_judge
from scratch import LSTM, RNN, Linear, Module, MSELoss, Parameter, RNNCell, check_gradients
from scratch.gradcheck import purity
from scratch.gradcheck.code_under_test import CodeUnderTest, ModuleRaised, NotCheckable
from scratch.gradcheck.diagnose.recurrences import RECURRENCES
from scratch.gradcheck.report import row_of
from tests.scratch.gradcheck.students import JointLSTM, sigmoid
from tests.scratch.gradcheck.tabled import Tabled, inputs_of
from tests.scratch.gradcheck.zoo import CellSign, LinearTransposed, LossWithoutTwo, make

RNG = np.random.default_rng(7)


class Elementwise(Module):
    """y = f(w x), with the derivative df."""

    def __init__(self, f, df, size=4, dtype=np.float64):
        self.w = Parameter(np.linspace(0.5, 1.5, size).astype(dtype))
        self.f, self.df = f, df

    def __call__(self, x):
        return self.f(x * self.w.data)

    def forward(self, x):
        return x, self(x)

    def backward(self, record, grad):
        x, _ = record
        grad_z = grad * self.df(x * self.w.data)
        self.w.add_grad((grad_z * x).sum(axis=0))
        return grad_z * self.w.data


class GRU(torch.nn.GRU):
    """With the states (N, H)."""

    def forward(self, x, h_0):
        output, h_n = super().forward(x, h_0[None])
        return output, h_n[0]


def beside_torch(table):
    ours, (x, h_0) = Tabled(table), inputs_of(table)
    theirs = GRU(ours.weight_ih_l0.shape[1], h_0.shape[-1]).double()
    state = {name: torch.from_numpy(p.data) for name, p in ours.named_parameters()}
    theirs.load_state_dict({"bias_hh_l0": torch.zeros_like(theirs.bias_hh_l0), **state})
    return check_gradients(ours, x, h_0, twin=torch_judge(theirs))


def test_the_table_of_a_gru_is_torchs():
    (table,) = (table for table in RECURRENCES if table.torch == "GRU")
    assert beside_torch(table).ok


def test_a_gru_of_another_form_is_named_beside_torchs():
    table = next(table for table in RECURRENCES if table.name.startswith("GRU with W_h (r"))
    report = beside_torch(table)
    assert not report.ok
    evidence = report.findings[0].evidence
    assert "Yours computes GRU with W_h (r ⊙ h_prev) in place of" in evidence
    assert "with the gates in the order r, u, n (PyTorch, cuDNN)." in evidence


def real_buffer(z):
    buffer = np.empty(z.shape)
    buffer[...] = z**2
    return buffer


def branch(z):
    return z**2 if abs(z).sum() > 0 and not np.iscomplexobj(z) else z**3


def naive_sigmoid(z):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-z))


def float32_inside(z):
    return (z**2).astype(np.float32).astype(np.float64)


class Aliased(Linear):
    """The call reads the arrays under another name than the parameters', one as a part of it."""

    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        self.arrays = {"W": self.weight.data[1:], "b": self.bias.data}

    def __call__(self, x):
        return x @ self.arrays["W"].T + self.arrays["b"][1:]

    def forward(self, x):
        return x, self(x)

    def backward(self, record, grad):
        x, _ = record
        nothing = np.zeros((len(x), 1))
        grad = np.concatenate([nothing, grad], axis=1)
        self.weight.add_grad(grad.T @ x)
        self.bias.add_grad(grad.sum(axis=0))
        return grad @ self.weight.data


@pytest.mark.parametrize("judge", ["complex", "central"])
def test_arrays_that_are_one_stay_one(judge):
    module = Aliased(4, 3, dtype=np.float32, rng=0)
    report = check_gradients(module, RNG.standard_normal((5, 4)), judge=judge)
    assert report.ok, report
    assert [row.name for row in report.rows] == ["x", "weight", "bias"]


def test_the_judges_agree():
    module, inputs = make(JointLSTM, np.random.default_rng(0))
    for judge in ("complex", "central"):
        report = check_gradients(module, *inputs, judge=judge)
        assert report.ok, report
        assert report.judge.startswith(judge)


@pytest.mark.parametrize("layer", [LSTM, RNN])
def test_a_torch_module_judges(layer):
    ours = layer(4, 3, dtype=np.float64, rng=0)
    theirs = getattr(torch.nn, layer.__name__)(4, 3, dtype=torch.float64)
    theirs.load_state_dict({name: torch.tensor(a) for name, a in ours.state_dict().items()})
    x = RNG.standard_normal((5, 2, 4))
    report = check_gradients(ours, x, twin=torch_judge(theirs), judge="torch")
    assert report.ok, report
    assert report.judge == "torch"
    theirs.weight_hh_l0.data[0, 0] += 1
    with pytest.raises(ValueError, match="weight_hh_l0 differs"):
        check_gradients(ours, x, twin=torch_judge(theirs), judge="torch")
    with pytest.raises(TypeError, match=r"twin: expected reference\.judge\(module\)"):
        check_gradients(ours, x, twin=theirs, judge="torch")
    with pytest.raises(TypeError, match=r"module: expected a torch\.nn\.Module, got"):
        torch_judge(ours)


def test_a_torch_module_that_answers_otherwise_is_refused():
    ours = RNN(4, 3, dtype=np.float64, rng=0)
    theirs = reference.twin(ours)
    theirs.nonlinearity, theirs.mode = "relu", "RNN_RELU"
    with pytest.raises(ValueError, match="twin: expected the same answers"):
        check_gradients(
            ours, RNG.standard_normal((5, 2, 4)), twin=torch_judge(theirs), judge="torch"
        )


class OtherOrder(LSTM):
    """Reads the rows of its weights as the gates i, o, f, g."""

    def read(self):
        inner = LSTM(self.input_size, self.hidden_size, dtype=self.weight_ih_l0.dtype)
        for name, parameter in self.named_parameters():
            i, o, f, g = np.split(parameter.data, 4)
            getattr(inner, name).data = np.concatenate([i, f, g, o])
        return inner

    def __call__(self, x, state=None):
        return self.read()(x, state)

    def forward(self, x, state=None):
        inner = self.read()
        return inner, inner.forward(x, state)

    def backward(self, record, *grads):
        inner, record = record
        inner.zero_grad()
        grad_inputs = inner.backward(record, *grads)
        for name, parameter in self.named_parameters():
            i, f, g, o = np.split(getattr(inner, name).grad, 4)
            parameter.add_grad(np.concatenate([i, o, f, g]))
        return grad_inputs


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (RNN(4, 3, dtype=np.float64, rng=0), {"nonlinearity": "relu", "mode": "RNN_RELU"}, ""),
        (OtherOrder(4, 3, dtype=np.float64, rng=0), {}, "gates in the order i o f g"),
    ],
    ids=["relu", "order"],
)
def test_a_twin_is_run_whoever_judges(ours, theirs, words):
    """Right gradients of another function than the twin's are not right."""
    module = getattr(torch.nn, type(ours).__mro__[words != ""].__name__)(4, 3, dtype=torch.float64)
    module.load_state_dict({name: torch.tensor(a) for name, a in ours.state_dict().items()})
    for name, value in theirs.items():
        setattr(module, name, value)
    report = check_gradients(ours, RNG.standard_normal((5, 2, 4)), twin=torch_judge(module))
    assert report.judge == "complex step"
    assert all(row.ok for row in report.rows), report
    assert not report.ok
    assert report.findings[0].name == "answers differ from the twin's"
    assert words in report.findings[0].evidence


class RandomLinear(Linear):
    def __call__(self, x):
        return super().__call__(x) * (1 + random.random())


class Unwritten(Linear):
    def backward(self, record, grad): ...


class Raising(Linear):
    def backward(self, record, grad):
        raise IndexError("pop from empty list")


@pytest.mark.parametrize("cls", [RandomLinear, Unwritten, Raising])
def test_a_twin_is_run_where_no_gradient_can_be_judged(cls):
    ours, theirs = cls(4, 3, dtype=np.float64, rng=0), torch.nn.Linear(4, 3, dtype=torch.float64)
    theirs.load_state_dict({name: torch.tensor(a) for name, a in ours.state_dict().items()})
    x = RNG.standard_normal((5, 4))
    names = [f.name for f in check_gradients(ours, x, twin=torch_judge(theirs)).findings]
    assert len(names) == 1 + (cls is RandomLinear)
    assert ("answers differ from the twin's" in names) == (cls is RandomLinear)
    doubled = torch.nn.Sequential(theirs, torch.nn.Linear(3, 3, dtype=torch.float64))
    doubled.register_parameter("weight", theirs.weight)
    doubled.register_parameter("bias", theirs.bias)
    names = [f.name for f in check_gradients(ours, x, twin=torch_judge(doubled)).findings]
    assert "answers differ from the twin's" in names


@pytest.mark.parametrize("judge", ["central", "torch"])
def test_a_weaker_judge_catches_mistakes_too(judge):
    module = LinearTransposed(4, 4, dtype=np.float64, rng=1)
    theirs = torch.nn.Linear(4, 4, dtype=torch.float64)
    theirs.load_state_dict({name: torch.tensor(a) for name, a in module.state_dict().items()})
    report = check_gradients(
        module, RNG.standard_normal((3, 4)), twin=torch_judge(theirs), judge=judge
    )
    assert report.findings[0].name == "transposed", report
    assert report.judge == {"central": "central differences"}.get(judge, judge)


@pytest.mark.parametrize(
    ("f", "df", "why"),
    [
        (real_buffer, lambda z: 2 * z, "real dtype"),
        (lambda z: np.real(z) ** 2, lambda z: 2 * z, "real"),
        (lambda z: abs(z) ** 2, lambda z: 2 * z, "real"),
        (branch, lambda z: 2 * z, "differently"),
        (lambda z: np.conj(z) * 2, lambda z: 2 + 0 * z, "central differences"),
    ],
)
def test_where_complex_numbers_fail_central_differences_judge(f, df, why):
    x = RNG.standard_normal((3, 4))
    report = check_gradients(Elementwise(f, df), x)
    assert report.ok, report
    assert report.judge == "central differences"
    assert why in report.notes[0]
    assert not check_gradients(Elementwise(f, lambda z: df(z) * 1.001), x).ok


def test_a_sigmoid_that_overflows():
    x = np.array([[-900.0, 900.0, 0.3, -0.2]])
    module = Elementwise(naive_sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z)))
    with np.errstate(over="ignore"):
        report = check_gradients(module, x)
    assert report.ok, report


@pytest.mark.parametrize("judge", ["complex", "central"])
def test_an_entry_at_a_kink_is_not_an_error(judge):
    x = np.array([[0.0, 1.0, -2.0, 0.5]])
    right = Elementwise(lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0))
    if judge == "complex":
        report = check_gradients(right, x)
    else:
        report = check_gradients(right, x, judge="central")
    assert report.ok, report
    assert [row.kinks for row in report.rows] == [1, 0]
    assert "kink" in str(report)
    wrong = Elementwise(lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > -9))
    report = check_gradients(wrong, x)
    assert not report.ok
    assert report.rows[0].where == (0, 2)


class Square(Module):
    """y = x², with a backward pass that is wrong at every x but one half."""

    def parameters(self):
        return iter(())

    def __call__(self, x):
        return x * x

    def forward(self, x):
        return x

    def backward(self, record, grad):
        return grad


class LossOffByOne(MSELoss):
    def backward(self, record, grad):
        return super().backward(record, grad) + 1


@pytest.mark.parametrize("judge", ["complex", "central"])
@pytest.mark.parametrize(
    ("module", "inputs"),
    [(Square(), [np.zeros(3)]), (LossOffByOne(), [np.arange(3.0), np.arange(3.0)]),
     (LossOffByOne(), [1e3 + np.arange(3.0), 1e3 + np.arange(3.0)])],
)  # fmt: skip
def test_a_stationary_point_is_no_kink(module, inputs, judge):
    report = check_gradients(module, *inputs, judge=judge)
    assert not report.ok
    assert [row.kinks for row in report.rows] == [0]
    assert abs(report.rows[0].true) < 1e-9 < abs(report.rows[0].claimed)
    assert not any("factor" in finding.name for finding in report.findings)


def test_where_all_is_at_a_kink_no_numbers_are_shown():
    right = Elementwise(lambda z: np.maximum(z, 0), lambda z: 1.0 * (z >= 0))
    x, _ = check_gradients(right, np.zeros((2, 4))).rows
    assert (x.ok, x.kinks, x.where, x.claimed, x.true) == (True, 8, None, None, None)
    row = row_of("x", np.array([5.0, 1]), np.array([2.0, 1]), 0, 0, kinks=np.array([True, False]))
    assert (row.ok, row.kinks, row.claimed, row.true) == (True, 1, 1, 1), "not those of the kink"


class Unfinished(Square):
    """Changes what it is given, and may end in an exception before it is done."""

    broken = False

    def __call__(self, x):
        x += 1
        if self.broken:
            raise ZeroDivisionError
        return x * x


def test_what_a_pass_changes_is_put_back_after_an_exception():
    subject = CodeUnderTest(Unfinished(), (np.arange(3.0),), 0)
    subject.module.broken = True
    with pytest.raises(ModuleRaised, match="ZeroDivisionError"):
        subject.call()
    np.testing.assert_array_equal(subject.inputs[0], np.arange(3.0))
    found = purity.findings(subject, subject.claims())
    assert any("raises ZeroDivisionError" in finding.name for finding in found)
    np.testing.assert_array_equal(subject.inputs[0], np.arange(3.0))
    assert subject.guarded


def test_relu_at_rest():
    cell = RNNCell(3, 4, nonlinearity="relu", dtype=np.float64, rng=0)
    for parameter in cell.parameters():
        parameter.data[...] = 0
    report = check_gradients(cell, RNG.standard_normal((2, 3)))
    assert report.ok, report
    assert any(row.kinks for row in report.rows)


def test_float32_parameters_are_checked_in_float64():
    report = check_gradients(Linear(3, 2, rng=0), RNG.standard_normal((4, 3)).astype(np.float32))
    assert report.ok
    assert report.tolerance == 1e-10
    assert any("float64" in note for note in report.notes)


def test_answers_in_float32_are_refused_with_the_reason():
    module = Elementwise(lambda z: z.astype(np.float32), lambda z: 1 + 0 * z)
    with pytest.raises(NotCheckable, match=r"expected float64.*got float32"):
        check_gradients(module, RNG.standard_normal((3, 4)))


def test_float32_inside_is_refused_with_the_reason():
    x = RNG.standard_normal((3, 4))
    with pytest.raises(NotCheckable, match=r"float32 inside.*real dtype"):
        check_gradients(Elementwise(float32_inside, lambda z: 2 * z), x)


def test_a_large_tensor_is_judged_in_directions_and_still_caught():
    x = RNG.standard_normal((2, 30))
    right = check_gradients(Linear(30, 20, dtype=np.float64, rng=0), x, entries=100)
    assert right.ok
    assert [row.judged for row in right.rows] == ["each entry", "in 10 directions", "each entry"]
    wrong = Elementwise(np.tanh, lambda z: 1 - np.tanh(z), size=30)
    report = check_gradients(wrong, x, entries=40)  # x has 60 entries
    assert not report.ok
    assert report.rows[0].judged == "each entry", "what differs is judged again, entry by entry"
    report = check_gradients(wrong, x, entries=1)
    assert report.rows[0].judged == "in 10 directions"
    assert "entries=60" in report.findings[0].look


def test_a_state_that_is_not_given_is_drawn():
    report = check_gradients(CellSign(3, 2, dtype=np.float64, rng=0), RNG.standard_normal((2, 3)))
    assert [row.name for row in report.rows][:3] == ["x", "h_prev", "c_prev"]


def test_the_upstream_gradient_is_not_what_the_caller_draws_from_the_same_seed():
    x = np.random.default_rng(0).standard_normal((4, 5))
    report = check_gradients(LinearTransposed(5, 5, dtype=np.float64, rng=0), x)
    assert report.findings[0].name == "transposed", report


def test_module_and_inputs_are_left_as_they_were():
    module, inputs = make(JointLSTM, np.random.default_rng(0))
    before = [p.data.copy() for p in module.parameters()], inputs[0].copy()
    check_gradients(module, *inputs)
    assert all(p.grad is None for p in module.parameters())
    for parameter, kept in zip(module.parameters(), before[0], strict=True):
        np.testing.assert_array_equal(parameter.data, kept)
    np.testing.assert_array_equal(inputs[0], before[1])


def test_the_report_is_the_message_of_an_assertion():
    x, y = RNG.standard_normal((2, 3, 4))
    report = check_gradients(LossWithoutTwo(), x, y)
    with pytest.raises(AssertionError, match="WRONG: 1 of 1 gradient"):
        assert report.ok, report


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((MSELoss(), np.array([1, 2]), np.array([1, 2])), ValueError, "floating point array"),
        ((object(), np.ones(3)), ValueError, "expected __call__, forward, backward"),
    ],
)
def test_what_cannot_be_checked_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        check_gradients(*arguments)


def test_an_unknown_judge_is_refused():
    with pytest.raises(ValueError, match="judge: expected 'complex'"):
        check_gradients(MSELoss(), np.ones(2), np.ones(2), judge="me")
    with pytest.raises(ValueError, match=r"needs reference\.judge\(module\)"):
        check_gradients(MSELoss(), np.ones(2), np.ones(2), judge="torch")


def test_what_is_no_twin_is_refused_whichever_judge_works():
    with pytest.raises(TypeError, match=r"twin: expected reference\.judge\(module\).*got str"):
        check_gradients(MSELoss(), np.ones(2), np.ones(2), twin="what")
