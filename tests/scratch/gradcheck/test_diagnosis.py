"""What the causes rest on: tables that are the cells', recurrences recognized, facts measured."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratch import (
    LSTM,
    RNN,
    CrossEntropyLoss,
    LSTMCell,
    Module,
    Parameter,
    RNNCell,
    SimpleLSTM,
    check_gradients,
)
from scratch.gradcheck import check
from scratch.gradcheck.code_under_test import CodeUnderTest
from scratch.gradcheck.diagnose import first_wrong
from scratch.gradcheck.diagnose.predictions import Simulation
from scratch.gradcheck.diagnose.recognize import recognize
from scratch.gradcheck.diagnose.recurrences import LSTM as LSTM_TABLE
from tests.parity import assert_parity
from tests.scratch.gradcheck import students
from tests.scratch.gradcheck.students import GatewiseLSTM, JointLSTM, StudentLSTMCell, StudentRNN
from tests.scratch.gradcheck.zoo import LayerSwapsGates, make, plant

SIZE = st.integers(1, 4)


def subject_of(cls, seed=0):
    module, inputs = make(cls, np.random.default_rng(seed))
    return CodeUnderTest(module, inputs, 0)


@given(
    SIZE,
    SIZE,
    SIZE,
    SIZE,
    st.booleans(),
    st.integers(0, 2**32 - 1),
    st.sampled_from([RNN, LSTM, RNNCell, LSTMCell, "relu"]),
)
def test_the_equations_without_a_mistake_are_those_of_the_cells(D, H, T, N, bias, seed, kind):
    rng = np.random.default_rng(seed)
    options = {"bias": bias, "dtype": np.float64, "rng": rng}
    layer = kind in (RNN, LSTM, "relu")
    module = RNN(D, H, nonlinearity="relu", **options) if kind == "relu" else kind(D, H, **options)
    subject = CodeUnderTest(module, (rng.standard_normal((T, N, D) if layer else (N, D)),), 0)
    found = recognize(subject)
    assert found is not None
    prediction = Simulation(subject, found).prediction()
    claims = subject.claims()
    for name, claimed in claims.items():
        assert_parity(name, prediction.grads[name], claimed)


@pytest.mark.parametrize("cls", [JointLSTM, StudentRNN, StudentLSTMCell])
def test_every_mistake_can_be_made_and_changes_a_gradient(cls):
    subject = subject_of(cls)
    simulation = Simulation(subject, recognize(subject))
    right = simulation.prediction().grads
    mistakes = simulation.mistakes()
    assert {"missing carry of h", "W_hh transposed"} <= {mistake.name for mistake in mistakes}
    T = len(simulation.steps)
    for mistake in mistakes:
        grads = simulation.prediction(mistake).grads
        changed = [name for name in grads.names if not np.allclose(grads[name], right[name])]
        # One step has none before it, and hands its gradients to none.
        assert changed or T == 1, mistake


@pytest.mark.parametrize("cls", [JointLSTM, StudentRNN])
def test_the_parts_of_the_samples_add_up(cls):
    subject = subject_of(cls)
    prediction = Simulation(subject, recognize(subject)).prediction()
    for name in subject.parameters:
        samples, steps = prediction.samples[name], prediction.steps[name]
        assert len(samples) == 3
        assert_parity(name, samples.sum(axis=0), prediction.grads[name])
        assert_parity(name, steps.sum(axis=0), prediction.grads[name])


def test_what_follows_from_what_is_in_the_table():
    forward, backward = LSTM_TABLE.quantities
    assert forward == ["i", "f", "g", "o", "c", "h"]
    assert backward[0] == "grad_h"
    assert LSTM_TABLE.sources("grad_c", backward) == {"grad_h"}
    assert LSTM_TABLE.sources("grad_z_f", backward) == {"grad_f"}
    assert LSTM_TABLE.sources("h", forward) == {"o", "c"}
    assert LSTM_TABLE.look("grad_tanh_c") == "the line of grad_c: h = o ⊙ tanh(c)"


@pytest.mark.parametrize(
    ("cls", "order", "x_axes"),
    [
        (JointLSTM, (0, 1, 2, 3), "tnd"),
        (GatewiseLSTM, (1, 0, 2, 3), "ntd"),  # forget gate first
        (StudentRNN, (0,), "tnd"),
        (StudentLSTMCell, (0, 1, 2, 3), "nd"),
    ],
)
def test_the_way_a_module_keeps_its_weights_is_found(cls, order, x_axes):
    found = recognize(subject_of(cls))
    gates = [found.layout.gate_places(name) for name in found.layout.places]
    assert tuple(dict.fromkeys(int(g) for gate in gates for g in gate.flat)) == order
    assert found.axes["x"] == x_axes


def test_another_forward_pass_is_no_lstm():
    other = plant(JointLSTM, ("h = o * np.tanh(c)", "h = o * c"))
    assert recognize(subject_of(other)).table.name == "LSTM with h = o ⊙ c"
    other = plant(JointLSTM, ("h = o * np.tanh(c)", "h = o * np.sin(c)"))
    assert recognize(subject_of(other)) is None


def test_what_fits_nothing_is_said_to_fit_nothing_and_where_it_is():
    line = "self.W_h.add_grad(dW_h)"
    wrong = plant(JointLSTM, (line, f"dW_h[H:2 * H] *= np.arange(1, 6)[:, None]; {line}"))
    module, inputs = make(wrong, np.random.default_rng(0))
    (finding,) = check_gradients(module, *inputs).findings
    assert finding.name == "unknown"
    assert "fits none of the causes tested" in finding.cause
    assert "in gate f" in finding.evidence
    assert "Tested: the mistakes of a recurrence alone and in pairs, zero" in finding.evidence
    wrong = plant(JointLSTM, (line, f"x[0] = 1; dW_h[0] *= np.arange(1, 6); {line}"))
    module, inputs = make(wrong, np.random.default_rng(0))
    finding = check_gradients(module, *inputs).findings[-1]
    assert "backward changes" in str(check_gradients(module, *inputs))
    assert "Tested: the mistakes of a recurrence alone, zero" in finding.evidence, "no pairs"
    wrong = plant(JointLSTM, ("dx[t] = dz @ self.W_x.data",
                              "dx[t] = dz @ self.W_x.data * (1 + (t == 2) * x[t])"))  # fmt: skip
    module, inputs = make(wrong, np.random.default_rng(0))
    (finding,) = check_gradients(module, *inputs).findings
    assert finding.tensors == ("x",)
    assert "at step 2" in finding.evidence


def test_a_missing_carry_is_right_for_one_step_and_wrong_from_two():
    wrong = plant(JointLSTM, ("dh_next = dz @ self.W_h.data",
                              "dh_next = dz @ self.W_h.data * (t == 0)"))  # fmt: skip
    module, inputs = make(wrong, np.random.default_rng(0))
    (finding,) = check_gradients(module, *inputs).findings
    assert finding.name == "missing carry of h"
    assert "e-16 for T = 1" in finding.evidence


class Stacked(Module):
    """Two layers, whose equations the checker does not know as a whole."""

    def __init__(self, cls, rng):
        self.lower, self.upper = cls(4, 3, rng), cls(3, 2, rng)

    def __call__(self, x):
        return self.forward(x)[-1]["output"]

    def forward(self, x):
        N = x.shape[1]
        lower = self.lower.forward(x, tuple(np.zeros((2, N, 3))))
        return lower, self.upper.forward(lower["output"], tuple(np.zeros((2, N, 2))))

    def backward(self, record, grad):
        lower, upper = record
        N = grad.shape[1]
        grad, _ = self.upper.backward(upper, grad, tuple(np.zeros((2, N, 2))))
        return self.lower.backward(lower, grad, tuple(np.zeros((2, N, 3))))[0]


def test_a_wrong_carry_is_seen_where_the_equations_are_not_known(monkeypatch):
    x = np.random.default_rng(0).standard_normal((4, 3, 4))
    right = Stacked(JointLSTM, 0)
    assert check_gradients(right, x).ok
    wrong = plant(
        JointLSTM,
        ("dc_next = dc * f", "pass"),
    )
    monkeypatch.setattr(check, "of_parts", lambda subject, check, found: found)
    report = check_gradients(Stacked(wrong, 0), x)
    finding = report.findings[0]
    assert finding.name == "wrong carry", report
    # A transposed matrix would do the same: this does not say that nothing is carried.
    assert "is missing or wrong (along axis 0 of the input)" in finding.cause


def test_the_part_of_a_model_that_is_wrong_is_named():
    model = SimpleLSTM(3, 4, 2, rng=0)
    model.lstm.__class__ = LayerSwapsGates
    report = check_gradients(model, np.random.default_rng(0).standard_normal((2, 4, 3)))
    finding = report.findings[0]
    assert finding.name == "gates in another order", report
    assert finding.cause.startswith("in lstm, checked on its own:")
    assert finding.tensors == ("lstm.bias_hh_l0",)
    wrong = Stacked(plant(JointLSTM, ("dc_next = dc * f", "pass")), 0)
    report = check_gradients(wrong, np.random.default_rng(0).standard_normal((4, 3, 4)))
    assert {finding.name for finding in report.findings} == {"missing carry of c"}


def test_two_readings_of_a_factor_are_told_apart():
    """With two samples, 2 and the batch size are one number."""
    for instead, named in (("2 * db", "factor 2"), ("N * db", "factor the batch size N")):
        wrong = plant(JointLSTM, ("self.b_h.add_grad(db)", f"self.b_h.add_grad({instead})"))
        module = wrong(4, 5, 0)
        rng = np.random.default_rng(0)
        inputs = rng.standard_normal((3, 2, 4)), tuple(rng.standard_normal((2, 2, 5)))
        (finding,) = check_gradients(module, *inputs).findings
        assert finding.name == named, finding


@pytest.mark.parametrize("cls", [JointLSTM, GatewiseLSTM, StudentRNN, StudentLSTMCell])
def test_every_value_inside_right_code_agrees(cls):
    subject = subject_of(cls)
    found = recognize(subject)
    assert first_wrong.compare_backward(subject, found).first_wrong is None
    assert first_wrong.best_guess(subject, (found.table,)).first_wrong is None


@pytest.mark.parametrize(
    ("line", "instead", "right", "wrong"),
    [
        ("dc = dc_next + dh * o", "dc = dc_next + dh * f", "grad_h", "grad_c"),
        ("df = dc * c_prev", "df = dc * c", "grad_c", "grad_f"),
        ("dzg = dg * (1 - g**2)", "dzg = dg * (1 - g)", "grad_g", "grad_z_g"),
        ("dc_next = dc * f", "dc_next = dc * i", "grad_c", "grad_c_prev"),
        ("dc_next = dc * f", "dc_next = dc * f * (np.arange(5) > 0)", "grad_c", "grad_c_prev"),
    ],
)
def test_the_first_wrong_value_is_named(line, instead, right, wrong, tmp_path):
    source = inspect.getsource(students).replace(line, instead)
    path = tmp_path / "mine.py"
    namespace = {"__name__": "mine"}
    exec(compile(source, str(path), "exec"), namespace)
    module, inputs = make(namespace["JointLSTM"], np.random.default_rng(0))
    subject = CodeUnderTest(module, inputs, 0)
    found = first_wrong.compare_backward(subject, recognize(subject))
    assert (found.last_right.quantity, found.first_wrong.quantity) == (right, wrong)
    assert found.first_wrong.step == 3, "the last step is the first that backward computes"
    lines = source.splitlines()
    assert found.last_right.variable in lines[found.last_right.line - 1]


@pytest.mark.parametrize("gate", ["i", "f", "g", "o"])
def test_the_gate_that_differs_is_named_and_no_other(gate, tmp_path):
    """Read with two gates changed about, three of four are right, too."""
    right = "i, f, g, o = sigmoid(zi), sigmoid(zf), np.tanh(zg), sigmoid(zo)"
    source = inspect.getsource(students)
    assert right in source
    source = source.replace(right, right.replace(f"z{gate})", f"z{gate} + 1)"))
    path, namespace = tmp_path / "mine.py", {"__name__": "mine"}
    exec(compile(source, str(path), "exec"), namespace)
    module, inputs = make(namespace["JointLSTM"], np.random.default_rng(0))
    found = first_wrong.best_guess(CodeUnderTest(module, inputs, 0), (LSTM_TABLE,))
    assert (found.first_wrong.quantity, found.first_wrong.step) == (gate, 0)
    assert found.instead.variable == gate
    assert f"{gate} of step 0 is wrong: {gate}, line {found.instead.line}, stands in" in str(found)


class Scaled(Module):
    """x Wᵀ + b, of which only b is a Parameter, and its gradient scaled."""

    def __init__(self, scale):
        self.W, self.b, self.scale = np.eye(2, 3), Parameter(np.ones(2)), scale

    def __call__(self, x):
        return x @ self.W.T + self.b.data

    def forward(self, x):
        return x

    def backward(self, x, grad_output):
        self.b.add_grad(self.scale * grad_output.sum(axis=0))
        return grad_output @ self.W


def test_an_array_that_is_no_parameter_is_named():
    report = check_gradients(Scaled(1.0), np.ones((4, 3)))
    assert report.ok, report
    assert "W is an array and no Parameter: its gradient is not checked" in str(report)


def test_nan_is_one_finding():
    report = check_gradients(Scaled(np.nan), np.ones((4, 3)))
    assert [finding.name for finding in report.findings] == ["not finite"], report


def test_a_factor_next_to_one_is_told_from_one():
    report = check_gradients(Scaled(1 + 1e-8), np.ones((4, 3)))
    assert "b is 1 + 1e-08 times what it should be" in str(report), report


class Remembering(Scaled):
    """It keeps its last input, which is no parameter that was forgotten."""

    def forward(self, x):
        self.x = x
        return x


def test_what_a_pass_leaves_in_the_module_is_not_named():
    module = Remembering(1.0)
    module.forward(np.ones((4, 3)))
    report = check_gradients(module, np.ones((4, 3)))
    assert "W is an array and no Parameter" in str(report)
    assert "x is" not in str(report)
    weighted = CrossEntropyLoss(np.ones(3, np.float32))
    assert "Parameter" not in str(check_gradients(weighted, np.ones((4, 3)), np.zeros(4, int)))


class Remembers(JointLSTM):
    """Goes on from the state in which the last call ended."""

    last = 0.0

    def __call__(self, x, state):
        output, (h, c) = super().__call__(x, (state[0] + self.last, state[1]))
        self.last = h
        return output, (h, c)


def test_a_module_that_remembers_is_not_called_random():
    _, inputs = make(JointLSTM, np.random.default_rng(0))
    report = check_gradients(Remembers(4, 5, rng=0), *inputs)
    assert [finding.name for finding in report.findings] == ["call remembers a call"], report


class Draws(RNN):
    """Draws a number that it does not use."""

    def forward(self, x, state=None, **named):
        np.random.random()  # noqa: NPY002
        return super().forward(x, state, **named)


def test_a_number_that_is_not_used_makes_no_pass_random():
    report = check_gradients(
        Draws(2, 3, rng=0), np.random.default_rng(0).standard_normal((4, 2, 2))
    )
    assert report.ok, report
    assert "a pass draws random numbers; its generators were set back before every pass" in (
        report.notes
    )


class Nothing(StudentRNN):
    def backward(self, record, grad_output, grad_h):
        return None, super().backward(record, grad_output, grad_h)[1]


def test_nothing_is_said_of_entries_where_nothing_came():
    _, inputs = make(StudentRNN, np.random.default_rng(0))
    (finding,) = check_gradients(Nothing(4, 5, rng=0), *inputs).findings
    assert finding.name == "gradient missing"
    assert finding.evidence == "after a forward and a backward pass, there was none"


class NothingAndNotCarried(StudentRNN):
    def backward(self, record, grad_output, grad_h):
        x, hs = record
        parts = [super(NothingAndNotCarried, self).backward(
            (x[t : t + 1], hs[t : t + 2]), grad_output[t : t + 1],
            grad_h if t == len(x) - 1 else 0 * grad_h) for t in range(len(x))]  # fmt: skip
        return None, parts[0][1]


def test_no_error_is_measured_where_nothing_came():
    _, inputs = make(StudentRNN, np.random.default_rng(0))
    found = check_gradients(NothingAndNotCarried(4, 5, rng=0), *inputs).findings
    assert [finding.name for finding in found] == ["missing carry of h", "gradient missing"]
    assert "inf" not in found[0].evidence
    assert "for T = 1" not in found[0].evidence


class Assigns(StudentRNN):
    def backward(self, record, grad_output, grad_h):
        grads = super().backward(record, grad_output, grad_h)
        self.b.grad = np.zeros_like(self.b.data)
        return grads


def test_what_comes_as_zeros_is_not_said_to_be_computed_nowhere():
    _, inputs = make(StudentRNN, np.random.default_rng(0))
    zero = check_gradients(Assigns(4, 5, rng=0), *inputs).findings[-1]
    assert (zero.name, zero.tensors) == ("gradient zero", ("b",))
    assert ": self.b.grad = " in zero.look


class WithPrediction(StudentRNN):
    """The output, and what it says of it: two answers, of which none is a state."""

    def __call__(self, x, h0):
        output, h_n = super().__call__(x, h0)
        return output, 2 * h_n[:, :2]

    def backward(self, record, grad_output, grad_prediction):
        grad_h = np.zeros_like(record[1][0])
        grad_h[:, :2] = 2 * grad_prediction
        return super().backward(record, np.ones_like(grad_output), grad_h)


def test_a_prediction_is_no_state_because_there_are_two_answers():
    _, inputs = make(StudentRNN, np.random.default_rng(0))
    module = WithPrediction(4, 5, rng=0)
    assert CodeUnderTest(module, inputs, 0).answer_names == ["answer[0]", "answer[1]"]
    (finding,) = check_gradients(module, *inputs).findings
    assert finding.cause == "the gradient of answer[0] is taken for all ones"
    layer = CodeUnderTest(StudentRNN(4, 5, rng=0), inputs, 0)
    assert layer.answer_names == ["output", "h_n"]
