"""The equations that are shown are true, and their numbers are those of the records."""

import math
import re
import resource
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser

from scratch import LSTM, RNN, LSTMCell, RNNCell, SimpleLSTM, SimpleRNN, pack_padded_sequence
from scratch.__main__ import main
from scratch.study import document
from scratch.study.equations import Equation, number_text
from scratch.study.explain import Example, card, gradient_blocks, worked_example, written_out
from scratch.study.sequence import follow
from scratch.tasks.systems import EVERY_SYSTEM, load_task

ROOT = Path(__file__).parents[3]
T, N, D, H, P = 5, 3, 2, 6, 4

LAYERS = {
    "rnn": lambda: RNN(D, H, dtype=np.float64, rng=0),
    "relu": lambda: RNN(D, H, nonlinearity="relu", dtype=np.float64, rng=0),
    "rnn without bias": lambda: RNN(D, H, bias=False, dtype=np.float64, rng=0),
    "lstm": lambda: LSTM(D, H, dtype=np.float64, rng=0),
    "float32": lambda: LSTM(D, H, rng=0),
    "lstm without bias": lambda: LSTM(D, H, bias=False, dtype=np.float64, rng=0),
    "projection": lambda: LSTM(D, H, proj_size=P, dtype=np.float64, rng=0),
    "deep": lambda: LSTM(D, H, 2, dropout=0.5, bidirectional=True, dtype=np.float64, rng=0),
    "deep rnn": lambda: RNN(D, H, 2, bidirectional=True, dtype=np.float64, rng=0),
}


def arguments(layer, batch=(N,)):
    """x, grad_output and the states, all random."""
    rng = np.random.default_rng(1)
    dtype = layer.weight_ih_l0.dtype

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    runs = layer.num_layers * (2 if layer.bidirectional else 1)
    width = layer.proj_size or H
    shapes = [(runs, *batch, width), (runs, *batch, H)][: len(layer.states)]
    states = [tuple(draw(*s) for s in shapes) for _ in range(2)]
    state, grad_state = states if len(shapes) > 1 else (states[0][0], states[1][0])
    x, output = draw(T, *batch, D), draw(T, *batch, width * (2 if layer.bidirectional else 1))
    return x, output, {"state": state, "grad_state": grad_state}


def evaluate(run, equation, t, unit):
    """The right-hand side with all digits, as Python reads it."""

    def exact(name):
        if " " not in name:
            return f"({run.number(name, t, unit)!r})"
        pairs = zip(*run.factors(name, t, unit), strict=True)
        return f"({' + '.join(f'({a!r}) * ({b!r})' for a, b in pairs)})"

    code = re.sub(r"\{([^}]*)\}", lambda match: exact(match[1]), equation.formula)
    signs = {"tanh²": "tanh_squared", "²": "**2", "σ": "sigma", "·": "*", "−": "-"}
    for sign, python in (signs | {"[": "(", "]": ")"}).items():  # [h > 0] is 1 or 0
        code = code.replace(sign, python)
    functions = {
        **{"tanh": math.tanh, "tanh_squared": lambda c: math.tanh(c) ** 2, "max": max},
        "sigma": lambda z: 1 / (1 + math.exp(-z)),
    }
    return float(eval(code, functions))


@pytest.mark.parametrize("name", LAYERS)
def test_every_equation_gives_the_number_of_the_record(name):
    layer = LAYERS[name]()
    x, grad_output, states = arguments(layer)
    tolerance = 1e-5 if layer.weight_ih_l0.dtype == np.float32 else 1e-12
    for run in follow(layer, x, grad_output, **states, sample=1).values():
        assert {e.name for e in run.forward} >= {"h"}
        assert {e.name for e in run.backward} >= {"grad_h", "grad_h_prev", "grad_x"}
        for equation in run.forward + run.backward:
            shown = run.values[equation.name]
            value = [
                [evaluate(run, equation, t, j) for j in range(shown.shape[1])] for t in range(T)
            ]
            assert np.abs(np.array(value) - shown).max() <= tolerance * np.abs(shown).max(), (
                equation
            )


@pytest.mark.parametrize("name", LAYERS)
def test_the_values_are_those_of_the_records_and_the_module_stays_as_it_is(name):
    layer = LAYERS[name]()
    x, grad_output, states = arguments(layer)
    layer.weight_hh_l0.add_grad(np.ones_like(layer.weight_hh_l0.data))
    before = {key: parameter.grad for key, parameter in layer.named_parameters()}
    runs = follow(layer, x, grad_output, **states, sample=2)
    for key, parameter in layer.named_parameters():
        assert parameter.grad is before[key]
    layer.zero_grad()
    record = layer.forward(x, states["state"])
    back = layer.backward_record(record, grad_output, states["grad_state"])
    assert list(runs) == list(record.runs)
    for suffix, run in runs.items():
        for side in (record.runs[suffix], back.runs[suffix]):
            for quantity in side.names:
                np.testing.assert_array_equal(
                    run.values[quantity], getattr(side, quantity)[:, 2], err_msg=quantity
                )
        for weight in run.weights.values():
            rows = slice(weight.first_row, weight.first_row + len(weight.data))
            parameter = getattr(layer, weight.parameter)
            np.testing.assert_array_equal(weight.data, parameter.data[rows])
            np.testing.assert_array_equal(weight.grad, parameter.grad[rows])
    places = [k for k, suffix in enumerate(runs) if suffix.startswith("l0")]
    np.testing.assert_allclose(
        sum(runs[list(runs)[k]].values["grad_x"] for k in places),
        back.grad_x[:, 2],
        rtol=1e-4 if layer.weight_ih_l0.dtype == np.float32 else 1e-10,
        atol=1e-7 if layer.weight_ih_l0.dtype == np.float32 else 1e-14,
    )
    for k, run in enumerate(runs.values()):
        first = run.order[0]
        for state in layer.states:
            grad_0 = getattr(back, f"grad_{state}_0")[k, 2]
            np.testing.assert_array_equal(run.values[f"grad_{state}_prev"][first], grad_0)


@pytest.mark.parametrize("name", ["lstm", "projection", "deep", "deep rnn"])
def test_the_contributions_are_those_of_the_record_and_add_up_to_grad(name):
    layer = LAYERS[name]().eval()
    x, grad_output, states = arguments(layer, batch=(1,))
    runs = follow(layer, x, grad_output, **states)
    record = layer.forward(x, states["state"])
    back = layer.backward_record(record, grad_output, states["grad_state"])
    for suffix, run in runs.items():
        for key, weight in run.weights.items():
            rows = slice(weight.first_row, weight.first_row + len(weight.data))
            kind = weight.parameter.removesuffix(f"_{suffix}")
            recorded = back.runs[suffix].contributions(kind)[:, rows]
            shares = run.contributions(key)
            np.testing.assert_allclose(shares, recorded, rtol=1e-12, atol=0)
            scale = np.abs(shares).sum(0).max()
            assert np.abs(shares.sum(0) - weight.grad).max() <= 1e-14 * scale


@pytest.mark.parametrize("unsorted", [False, True])
@pytest.mark.parametrize("name", ["deep rnn", "lstm"])
def test_a_packed_sequence_is_followed_as_if_it_were_alone(name, unsorted):
    layer = LAYERS[name]()
    lengths = [2, 5, 3] if unsorted else [5, 3, 2]
    x, grad_output, states = arguments(layer)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=not unsorted)
    grad = pack_padded_sequence(grad_output, lengths, enforce_sorted=not unsorted)

    def own(state, k):
        return tuple(a[:, k] for a in state) if isinstance(state, tuple) else state[:, k]

    for k, length in enumerate(lengths):
        among_others = follow(layer, packed, grad, **states, sample=k)
        alone = {key: own(state, k) for key, state in states.items()}
        runs = follow(layer, x[:length, k], grad_output[:length, k], **alone)
        for suffix, run in among_others.items():
            assert (run.batch, run.steps) == (3, length)
            for quantity, values in run.values.items():
                np.testing.assert_allclose(
                    values, runs[suffix].values[quantity], rtol=1e-9, atol=1e-14, err_msg=quantity
                )


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("model_class", [SimpleRNN, SimpleLSTM])
def test_a_model_is_followed_through_its_layer(model_class, every_step):
    model = model_class(D, H, 2, every_step=every_step, dtype=np.float64, rng=0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, T, D))
    record = model.forward(x)
    grad_output = rng.standard_normal(record.output.shape)
    back = model.backward_record(record, grad_output)
    part = "lstm" if model_class is SimpleLSTM else "rnn"
    (run,) = follow(model, x, grad_output, sample=1).values()
    np.testing.assert_array_equal(run.values["h"], getattr(record, part).runs["l0"].h[:, 1])
    np.testing.assert_array_equal(run.values["grad_h"], getattr(back, part).runs["l0"].grad_h[:, 1])


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("name", ["lstm", "rnn", "relu", "rnn without bias"])
def test_a_cell_is_followed_as_a_layer_of_one_step(name, batched):
    layer = LAYERS[name]()
    if isinstance(layer, LSTM):
        cell = LSTMCell(D, H, dtype=np.float64, rng=1)
    else:
        cell = RNNCell(D, H, layer.bias, layer.nonlinearity, dtype=np.float64, rng=1)
    rng = np.random.default_rng(0)
    shape = (N,) if batched else ()
    x = rng.standard_normal((*shape, D))
    pairs = [tuple(rng.standard_normal((*shape, H)) for _ in cell.states) for _ in range(2)]
    state, grad_state = pairs if len(cell.states) > 1 else (pairs[0][0], pairs[1][0])
    sample = 2 if batched else 0
    (run,) = follow(cell, x, grad_state, state=state, sample=sample).values()
    assert all(parameter.grad is None for parameter in cell.parameters())
    step = cell.forward(x, state)
    back = cell.backward_record(step, grad_state)
    for record in (step, back):
        for quantity in record.names:
            np.testing.assert_array_equal(
                run.values[quantity], getattr(record, quantity)[[sample]], err_msg=quantity
            )
    grads_prev = [back.grad_x, *(back.grad_state_prev if len(pairs[0]) > 1 else
                                 [back.grad_state_prev])]  # fmt: skip
    for quantity, grad in zip(["x", "h_prev", "c_prev"], grads_prev, strict=False):
        found = run.values[f"grad_{quantity}"]
        np.testing.assert_allclose(found, np.atleast_2d(grad)[[sample]], rtol=1e-12, atol=1e-15)
    for weight in run.weights.values():
        rows = slice(weight.first_row, weight.first_row + len(weight.data))
        grad = getattr(cell, weight.parameter).grad[rows]
        np.testing.assert_allclose(weight.grad, grad, rtol=1e-12, atol=1e-15)


def test_refusals():
    layer, x = LAYERS["lstm"](), np.zeros((T, N, D))
    grad_output = np.zeros((T, N, H))
    with pytest.raises(IndexError, match="sample: expected a sequence from 0 to 2, got 3"):
        follow(layer, x, grad_output, sample=3)
    with pytest.raises(ValueError, match="module: expected real numbers"):
        follow(layer.astype(np.complex128), x + 0j, grad_output)
    with pytest.raises(TypeError, match="module: expected an RNN"):
        follow(object(), x, grad_output)
    with pytest.raises(TypeError, match="state, grad_state: expected None"):
        follow(SimpleLSTM(D, H, 1), x, grad_output, state=np.zeros(1))
    cell = LSTMCell(D, H, dtype=np.float64)
    with pytest.raises(TypeError, match="grad_state: expected None, as a cell"):
        follow(cell, x[0], None, grad_state=np.zeros((N, H)))
    with pytest.raises(RuntimeError, match="LSTMCell: x: expected"):
        follow(cell, x[0, :, :1], None)
    (run,) = follow(layer, x, grad_output).values()
    with pytest.raises(IndexError, match="t: expected a number from 0 to 4, got 5"):
        card(run, T, 0)
    with pytest.raises(IndexError, match="unit: expected a number from 0 to 5, got -1"):
        card(run, 0, -1)


# Numbers as text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *[(0.0, "0"), (-0.0, "0"), (1.0, "1"), (0.61054, "0.6105"), (-12.3, "-12.3")],
        *[(9999.4, "9999"), (9999.6, "1.000e+4"), (0.0001, "0.0001"), (0.00009999, "9.999e-5")],
        *[(2.0625, "2.063"), (-2.0625, "-2.063"), (1e-300, "1.000e-300"), (120.0, "120")],
        *[(math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "nan")],
    ],
)
def test_number_text(number, text):
    assert number_text(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_text_is_the_number_to_four_digits(number):
    """In Decimal, half a unit of the fourth digit, since a float may overflow when rounded up."""
    shown, exact = Decimal(number_text(number)), Decimal(number)
    assert abs(shown - exact) <= Decimal("0.0005") * abs(exact)


def test_negative_numbers_stand_in_parentheses_where_they_must():
    texts = {"a": "-1", "b": "2", "W x": "(-1)·2"}
    for formula, expected in [
        ("{a} · {b}", "-1 · 2"),
        ("{b} · {a}", "2 · (-1)"),
        ("{a}²", "(-1)²"),
        ("{b} · tanh({a})", "2 · tanh(-1)"),
        ("{b} · (1 − {a})", "2 · (1 − (-1))"),
        ("{b} + {W x}", "2 + (-1)·2"),
        ("{a}", "-1"),
    ]:
        assert Equation("y", formula).numbers(texts.__getitem__) == expected


# The worked example and the card


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
@pytest.mark.parametrize(("hidden_size", "steps", "seed"), [(2, 2, 0), (1, 1, 1), (3, 4, 2)])
def test_the_worked_example_shows_every_equation_of_every_step(kind, hidden_size, steps, seed):
    text = document.plain(worked_example(kind, hidden_size, steps, seed))
    assert max(map(len, text.splitlines())) <= 100
    flat = " ".join(text.split())
    run = Example.draw(kind, hidden_size, steps, seed).run()
    for equation in run.forward + run.backward:
        assert flat.count(f"{equation.name} = {equation.symbols}") == steps
        for t in range(steps):
            for j in range(run.values[equation.name].shape[1]):
                numbers = equation.numbers(
                    lambda n, t=t, j=j: written_out(run, n, t, j, alone=False)
                )
                result = number_text(run.values[equation.name][t, j])
                assert f"[{j}] {numbers} = {result}" in flat


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
@pytest.mark.parametrize("seed", range(3))
def test_the_gradients_agree_with_the_complex_step(kind, seed):
    example = Example.draw(kind, 2, 3, seed)
    run = example.run()
    for weight in run.weights.values():
        exact = example.complex_step(weight.parameter)[weight.first_row :][: len(weight.data)]
        assert np.abs(exact - weight.grad).max() <= 1e-14
    text = document.plain(gradient_blocks(example, run))
    assert float(re.search(r"between the two is (\S+)\.$", text)[1]) <= 1e-14
    weight = next(iter(run.weights.values()))
    weight.grad[0] += 1  # a wrong gradient is seen
    text = document.plain(gradient_blocks(example, run))
    assert float(re.search(r"between the two is (\S+)\.$", text)[1]) == 1


def test_each_gradient_is_written_as_the_sum_of_its_steps():
    example = Example.draw("lstm", 2, 3, 0)
    run = example.run()
    text = " ".join(document.plain(gradient_blocks(example, run)).split())
    for name, weight in run.weights.items():
        for place in np.ndindex(weight.data.shape):
            shares = [number_text(v) for v in run.contributions(name)[(slice(None), *place)][::-1]]
            rest = [f"({v})" if v.startswith("-") else v for v in shares[1:]]
            grad = number_text(weight.grad[place])
            line = f"{' + '.join([shares[0], *rest])} = {grad} complex step: {grad}"
            assert f"[{', '.join(map(str, place))}] {line}" in text


@pytest.mark.parametrize(("kind", "hidden_size"), [("rnn", 2), ("lstm", 1)])
def test_every_formula_of_markdown_and_latex_is_one(kind, hidden_size):
    blocks = worked_example(kind, hidden_size, steps=1)
    parse = MathTextParser("path").parse
    formulas = [block for block in blocks if isinstance(block, document.Formula)]
    for formula in formulas:
        rows = document.aligned(formula).splitlines()
        assert (rows[0], rows[-1]) == (r"\begin{aligned}", r"\end{aligned}")
        for row in rows[1:-1]:
            parse(f"${row.removesuffix(chr(92) * 2).replace('&', '')}$")
    assert all(b.text.isascii() for b in blocks if b not in formulas)  # what pdflatex knows
    assert document.markdown(blocks).count("$$\n\\begin{aligned}") == len(formulas)
    assert document.latex(blocks).count("\\[\n\\begin{aligned}") == len(formulas)
    assert document.math("grad_h_from_next · o") == (
        r"\frac{\partial L}{\partial h}^{\text{next}} \cdot  o"
    )
    assert document.math("W_hiᵀ grad_z_i − 1.5e-7 · h_prev²") == (
        r"W_{hi}^\top \frac{\partial L}{\partial z_{i}} - 1.5 \cdot 10^{-7} \cdot  h_{t-1}^2"
    )


# The command


def explain(capsys, *arguments):
    assert main(["explain", *arguments]) == 0
    return capsys.readouterr().out


def test_the_command_writes_a_worked_example(capsys):
    assert explain(capsys, "lstm", "--steps", "1", "--seed", "3").rstrip("\n") == document.plain(
        worked_example("lstm", 2, 1, 3)
    )
    assert explain(capsys, "rnn", "--markdown").startswith("# An RNN")
    assert explain(capsys, "rnn", "--latex").startswith(r"\documentclass")


@pytest.mark.parametrize("system", ["classes-rnn", "airline-lstm", "adding-lstm"])
def test_the_card_of_a_trained_system_is_that_of_its_record(capsys, tmp_path, system):
    """Of the size that the weights have."""
    file = str(tmp_path / "weights.npz")
    assert main(["train", system, "--epochs", "1", "--hidden-size", "9", "--save", file]) == 0
    capsys.readouterr()
    place = ["--load", file, "--sequence", "3", "--step", "4", "--unit", "7"]
    text = explain(capsys, system, *place)
    assert max(map(len, text.splitlines())) <= 100
    task = load_task(replace(EVERY_SYSTEM[system], hidden_size=9))
    model = task.make_model()
    model.load_state_dict(dict(np.load(file)))
    record = model.forward(task.inputs[3:4])
    loss = task.system.criterion.forward(record.output, task.targets[3:4])
    back = model.backward_record(record, task.system.criterion.backward(loss))
    part = "lstm" if "lstm" in system else "rnn"
    runs = getattr(record, part).runs["l0"], getattr(back, part).runs["l0"]
    results = dict(re.findall(r"^  (\w+) = [^\n]*(?:\n +[^\n]+)*? = (\S+)$", text, re.M))
    for run in runs:
        for name in set(run.names) & set(results):
            assert results[name] == number_text(getattr(run, name)[4, 0, 7]), name
    assert {"h", "grad_h"} <= set(results)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lstm", "--unit", "1"], "--unit: expected a system with it: sine-rnn,"),
        (["lstm", "--every-step"], "--every-step: expected a system with it: sine-rnn,"),
        (["sine-rnn", "--steps", "3"], "--steps: expected rnn or lstm with it"),
        (["classes-rnn", "--unit", "20"], "--unit: expected a number from 0 to 19, got 20"),
        (["classes-rnn", "--step", "7"], "--step: expected a number from 0 to 6, got 7"),
        (["classes-rnn", "--sequence", "16"], "--sequence: expected a number from 0 to 15, got 16"),
        (["classes-rnn", "--every-step"], "--every-step: classes-rnn answers once per sequence"),
        (["rnn", "--markdown", "--latex"], "expected --markdown or --latex, got both"),
        (["classes-rnn", "--load", "nowhere.npz"], "--load nowhere.npz: No such file"),
    ],
)
def test_the_command_refuses_in_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        main(["explain", *arguments])
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert error.startswith(f"python -m scratch: {message}")
    assert error.count("\n") == 1


def test_the_command_takes_less_than_a_second():
    """Of processor time, imports included: other load on the machine does not count."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "scratch", "explain", "lstm"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
