"""compare: every output and gradient, on any module and option; a mistake shows where it is."""

import re
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import scratch
from reference import Parity, compare
from reference.parity import rows
from tests.strategies import SEEDS, cells, layers

FLOAT64 = st.just(np.float64)
F64 = {"dtype": np.float64, "rng": 0}
rng = np.random.default_rng(0)
X = rng.standard_normal((5, 3, 4))
STATE = rng.standard_normal((1, 3, 6)), rng.standard_normal((1, 3, 6))


def names(parity, kind):
    return [row.name for row in parity.rows if row.kind == kind]


@given(layers(dtypes=FLOAT64), SEEDS)
def test_layers_with_any_options(case, seed):
    parity = compare(case.module, case.x, case.state, seed=seed)
    assert parity.ok, str(parity)
    states = ["h", "c"] if case.two_states else ["h"]
    assert names(parity, "output") == ["output", *(f"{s}_n" for s in states)]
    inputs = ["x", *(f"{s}_0" for s in states)]
    parameters = [name for name, _ in case.module.named_parameters()]
    assert sorted(names(parity, "gradient")) == sorted(inputs + parameters)


@given(cells(dtypes=FLOAT64), SEEDS)
def test_cells_with_any_options(case, seed):
    parity = compare(case.module, case.x, case.state, seed=seed)
    assert parity.ok, str(parity)
    states = ["h", "c"] if case.two_states else ["h"]
    assert names(parity, "output") == states
    inputs = ["x", *(f"{s}_prev" for s in states)]
    assert names(parity, "gradient")[: len(inputs)] == inputs


LOGITS = rng.standard_normal((6, 5))
INDICES = np.array([0, 4, 2, -100, 1, 3])
PROBABILITIES = rng.dirichlet(np.ones(5), 6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (scratch.Linear(4, 2, rng=0), [X]),
        (scratch.Linear(4, 2, bias=False, rng=0), [X[0, 0]]),
        (scratch.SimpleRNN(4, 6, 2, rng=0), [X]),
        (scratch.SimpleLSTM(4, 6, 2, rng=0, every_step=True), [X]),
        *((scratch.MSELoss(r), [LOGITS, LOGITS[::-1]]) for r in ("none", "mean", "sum")),
        (scratch.CrossEntropyLoss(), [LOGITS, INDICES]),
        (scratch.CrossEntropyLoss(reduction="none"), [LOGITS, INDICES]),
        (scratch.CrossEntropyLoss(np.arange(1.0, 6), 2, "sum", 0.1), [LOGITS, INDICES % 5]),
        (scratch.CrossEntropyLoss(), [LOGITS, PROBABILITIES]),
    ],
    ids=repr,
)
def test_linear_models_and_losses(module, inputs, dtype):
    inputs = [x if x.dtype == np.int64 else x.astype(dtype) for x in inputs]
    parity = compare(module.astype(dtype), *inputs)
    assert parity.ok, str(parity)
    assert {row.tolerance for row in parity.rows} == {1e-12 if dtype == np.float64 else 1e-5}


def test_the_initial_state_has_a_gradient_whether_given_or_not():
    lstm = scratch.LSTM(4, 6, **F64)
    for state in ([], [None], [STATE], [list(STATE)]):
        parity = compare(lstm, X, *state)
        assert parity.ok
        assert names(parity, "gradient")[:3] == ["x", "h_0", "c_0"]


# A mistake shows at its name and its place


def planted(change):
    """An LSTM whose backward pass calls `change` with the gradient of x and those of the state."""

    class Planted(scratch.LSTM):
        def backward(self, *arguments):
            grad_x, grad_state = super().backward(*arguments)
            return change(self, grad_x, grad_state) or (grad_x, grad_state)

    return Planted(4, 6, **F64)


def in_parameter(name, index, factor):
    def change(module, grad_x, grad_state):
        getattr(module, name).grad[index] *= factor

    return change


def in_x(module, grad_x, grad_state):
    grad_x[4, 2, 3] += 1e-6


def in_c_0(module, grad_x, grad_state):
    grad_state[1][0, 2, 5] = np.nan


@pytest.mark.parametrize(
    ("change", "name", "index"),
    [
        (in_parameter("weight_ih_l0", (23, 3), 1.001), "weight_ih_l0", (23, 3)),
        (in_parameter("weight_hh_l0", (7, 2), -1), "weight_hh_l0", (7, 2)),
        (in_parameter("bias_hh_l0", (0,), 1 + 1e-8), "bias_hh_l0", (0,)),
        (in_x, "x", (4, 2, 3)),
        (in_c_0, "c_0", (0, 2, 5)),
    ],
)
def test_a_mistake_in_backward_shows_at_its_name_and_index(change, name, index):
    parity = compare(planted(change), X, STATE)
    assert not parity.ok
    (bad,) = (row for row in parity.rows if not row.ok)
    assert (bad.kind, bad.name, bad.index) == ("gradient", name, index)
    assert bad == parity.worst("gradient")
    assert bad.scratch != bad.torch
    (line,) = (line for line in str(parity).splitlines() if f"gradient of {name} " in line)
    assert line.endswith("differs")
    assert str(index) in line


def test_numbers_of_a_row():
    parity = compare(planted(in_x), X, STATE)
    row = parity.worst("gradient")
    assert row.shape == X.shape
    assert row.difference == pytest.approx(1e-6, rel=1e-6)
    assert row.scratch - row.torch == pytest.approx(1e-6, rel=1e-6)


def test_a_mistake_in_forward_shows_in_the_outputs():
    class Planted(scratch.Linear):
        def __call__(self, x):
            output = super().__call__(x)
            output[1, 0] += 1e-9
            return output

    parity = compare(Planted(4, 2, **F64), X[0])
    row, expected = parity.worst("output"), scratch.Linear(4, 2, **F64)(X[0])
    assert row.index == (1, 0)
    assert not row.ok
    assert row.relative == pytest.approx(1e-9 / np.abs(expected).max(), rel=1e-5)
    assert parity.worst("gradient").ok


def missing(module, grad_x, grad_state):
    module.bias_ih_l0.grad = None


def transposed(module, grad_x, grad_state):
    return grad_x.transpose(1, 0, 2), grad_state


def demoted(module, grad_x, grad_state):
    return grad_x.astype(np.float32), grad_state


@pytest.mark.parametrize(
    ("change", "name", "problem"),
    [
        (missing, "bias_ih_l0", "no gradient"),
        (transposed, "x", "shape (3, 5, 4)"),
        (demoted, "x", "dtype float32"),
    ],
)
def test_what_cannot_be_subtracted_is_named(change, name, problem):
    parity = compare(planted(change), X, STATE)
    (bad,) = (row for row in parity.rows if not row.ok)
    assert (bad.name, bad.problem, bad.relative) == (name, problem, np.inf)
    assert problem in str(parity)


def test_infinite_and_nan_on_both_sides_are_equal():
    parity = compare(scratch.MSELoss("none"), np.array([np.inf, 1.0]), np.array([0.0, np.nan]))
    assert parity.worst("output").difference == 0
    assert parity.worst("output").nan == 1
    assert "All 2 tensors agree" not in str(parity)
    assert "2 of 2 tensors hold NaN in the same places on both sides, where nothing can be" in str(
        parity
    )


def test_infinite_on_one_side_differs_without_a_warning():
    class Planted(scratch.Linear):
        def __call__(self, x):
            return np.full_like(super().__call__(x), np.inf)

    linear = scratch.Linear(4, 2, **F64)
    linear.bias.data[0] = -np.inf
    planted = Planted(4, 2, **F64)
    planted.load_state_dict(linear.state_dict())
    row = compare(planted, X[0]).worst("output")
    assert (row.difference, row.relative, row.ok) == (np.inf, np.inf, False)


# How the numbers of a row are taken


def row(ours, theirs):
    (found,) = rows("output", [("y", np.array(ours), torch.tensor(theirs, dtype=torch.float64))])
    return found


def test_a_difference_is_relative_to_torchs_largest_number():
    assert row([3.0, 1.0], [1.0, 1.0]).relative == 2
    assert row([1e-6 + 1e-15], [1e-6]).relative == pytest.approx(1e-9, rel=1e-3)
    assert row([0.0, -8.0], [4.0, -4.0]).difference == 4


def test_any_number_where_torch_has_only_zeros_differs():
    assert row([0.0, 1e-300], [0.0, 0.0]).relative == np.inf
    assert not row([0.0, 1e-300], [0.0, 0.0]).ok
    assert row([0.0, 0.0], [0.0, 0.0]).ok


def test_the_tolerance_itself_is_allowed():
    equal = replace(row([1.0], [1.0]), relative=1e-12)
    assert equal.ok
    assert not replace(equal, relative=1.01e-12).ok


def test_results_are_frozen():
    parity = compare(scratch.Linear(4, 2, **F64), X[0])
    with pytest.raises(FrozenInstanceError):
        parity.rows = ()
    with pytest.raises(FrozenInstanceError):
        parity.rows[0].relative = 0


# What compare does not do


def test_the_module_stays_as_it_is():
    module = scratch.LSTM(4, 6, num_layers=2, dropout=1.0, **F64)
    module.weight_ih_l0.grad = before = np.ones_like(module.weight_ih_l0.data)
    state = module._rng.bit_generator.state
    assert compare(module, X).ok
    assert module.weight_ih_l0.grad is before
    assert before.all()
    assert module.weight_hh_l0.grad is None
    assert module._rng.bit_generator.state == state


def test_the_seed_draws_the_gradients_of_the_answers():
    lstm = scratch.LSTM(4, 6, **F64)
    assert compare(lstm, X, seed=3) == compare(lstm, X, seed=3)
    first, second = (compare(lstm, X, seed=seed).rows for seed in (0, 1))
    at_x = [rows[3].torch for rows in (first, second)]
    assert at_x[0] != at_x[1]


def test_masks_that_differ_are_refused():
    layer = scratch.LSTM(4, 6, num_layers=2, dropout=0.5, **F64)
    with pytest.raises(ValueError, match=r"LSTM: dropout=0\.5.*eval\(\)"):
        compare(layer, X)
    assert compare(layer.eval(), X).ok
    with pytest.warns(UserWarning, match="dropout"):
        alone = scratch.LSTM(4, 6, dropout=0.5, **F64)
    assert compare(alone, X).ok  # dropout is between layers
    model = scratch.SimpleLSTM(4, 6, 1, **F64)
    model.lstm = layer.train()
    with pytest.raises(ValueError, match=r"lstm: dropout=0\.5"):
        compare(model, X)


def test_inputs_are_refused_in_the_words_of_scratch():
    with pytest.raises(ValueError, match="LSTM: x: expected dtype float64"):
        compare(scratch.LSTM(4, 6, **F64), X.astype(np.float32))
    with pytest.raises(ValueError, match="float32 or float64, got complex128"):
        compare(scratch.Linear(4, 6, dtype=np.complex128), X.astype(np.complex128))
    with pytest.raises(TypeError, match="Module has no twin"):
        compare(scratch.Module(), X)


def test_the_table():
    parity = compare(scratch.SimpleRNN(4, 6, 2, **F64), X)
    assert isinstance(parity, Parity)
    title, header, *lines, summary = str(parity).splitlines()
    assert title == "SimpleRNN, float64"
    assert header.split() == [
        *("shape", "largest", "difference", "relative", "at", "scratch", "torch")
    ]
    assert len(lines) == len(parity.rows) == 8
    assert summary == "All 8 tensors agree: relative difference at most 1e-12."
    places = {line.index("(") for line in lines}
    assert places == {header.index("shape")}
    assert re.match(r"  gradient of rnn\.weight_hh_l0 +\(6, 6\) ", lines[3])


def test_a_notebook_shows_a_table():
    lstm = scratch.LSTM(2, 3, rng=0)
    shown = compare(lstm, np.ones((4, 1, 2), np.float32))._repr_html_()
    assert shown.count("<tr>") == 1 + len(compare(lstm, np.ones((4, 1, 2), np.float32)).rows)
    assert "weight_hh_l0" in shown
    assert "agree" in shown
