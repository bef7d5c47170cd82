"""Adam and clip_grad_norm_ against PyTorch: runs of 20 steps, saved runs, norms, refusals."""

import copy
import io
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scratch.machinery.module import Parameter
from scratch.optim import Adam, clip_grad_norm_
from tests.parity import TOLERANCE, assert_parity, assert_same_refusal
from tests.torch_samples import optimizer_error_inputs, optimizer_inputs

SEEDS = st.integers(0, 2**32 - 1)
# Steps that are no larger than the parameters, and a v that is no single square: a run that divides
# by almost nothing, or whose weight decay overshoots, doubles its rounding errors at every step.
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "lr": st.sampled_from([0, 1e-3, 0.1]),
        "betas": st.sampled_from([(0.0, 0.0), (0.9, 0.99), (0.5, 0.5), [0.0, 0.9]]),
        "eps": st.sampled_from([1e-8, 1e-3, 1.0]),
        "weight_decay": st.sampled_from([0, 0.01, 0.1]),
        "amsgrad": st.booleans(),
        "maximize": st.booleans(),
        "decoupled_weight_decay": st.booleans(),
    },
)
SHAPES = st.lists(st.lists(st.integers(0, 4), max_size=3).map(tuple), min_size=1, max_size=4)
FLOATS = st.sampled_from([np.float32, np.float64])


def both_sides(rng, shapes, dtypes):
    ours = [
        Parameter(np.asarray(rng.standard_normal(shape), dtype))
        for shape, dtype in zip(shapes, dtypes, strict=True)
    ]
    theirs = [torch.nn.Parameter(torch.tensor(parameter.data)) for parameter in ours]
    return ours, theirs


def set_gradients(rng, ours, theirs, share_of_none=0.0):
    for our, their in zip(ours, theirs, strict=True):
        our.grad = their.grad = None
        if rng.random() >= share_of_none:
            our.grad = np.asarray(rng.standard_normal(our.shape), our.dtype)
            our.grad[rng.random(our.shape) < 0.1] = 0
            their.grad = torch.tensor(our.grad)


def assert_same_parameters(name, ours, theirs, summands=None):
    for i, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        own = None if summands is None else summands[i]
        assert_parity(f"{name}, parameter {i}", our.data, their, summands=own)


class Travelled:
    """Σ|summands| of every entry: where it started, and every step since, however it went."""

    def __init__(self, tensors):
        self.places = [t.detach().numpy().copy() for t in tensors]
        self.summands = [np.abs(place) for place in self.places]

    def move(self, tensors):
        for i, tensor in enumerate(tensors):
            place = tensor.detach().numpy().copy()
            self.summands[i] = self.summands[i] + np.abs(place - self.places[i])
            self.places[i] = place


@pytest.mark.parametrize(("weight_decay", "decoupled"), [(0, False), (0.1, False), (0.1, True)])
@settings(max_examples=settings.default.max_examples // 2)  # of 20 steps each
@given(SEEDS, SHAPES, OPTIONS, st.data())
def test_adam_over_20_steps(weight_decay, decoupled, seed, shapes, options, data):
    """With gradients that are None now and then, and parameters of both dtypes side by side."""
    options |= {"weight_decay": weight_decay, "decoupled_weight_decay": decoupled}
    rng = np.random.default_rng(seed)
    dtypes = [data.draw(FLOATS) for _ in shapes]
    share_of_none = data.draw(st.sampled_from([0.0, 0.3]))
    ours, theirs = both_sides(rng, shapes, dtypes)
    adam, torchs = Adam(ours, **options), torch.optim.Adam(theirs, **options)
    travelled, moments = Travelled(theirs), [np.zeros(shape) for shape in shapes]
    beta, decay = options.get("betas", (0.9,))[0], weight_decay
    for step in range(20):
        set_gradients(rng, ours, theirs, share_of_none)
        for i, (their, place) in enumerate(zip(theirs, travelled.places, strict=True)):
            if their.grad is not None:
                size = np.abs(their.grad.numpy()) + decay * np.abs(place)
                moments[i] = beta * moments[i] + (1 - beta) * size
        grads = [None if p.grad is None else p.grad.copy() for p in ours]
        adam.step()
        torchs.step()
        travelled.move(theirs)
        assert_same_parameters(f"step {step}", ours, theirs, travelled.summands)
        for parameter, grad in zip(ours, grads, strict=True):
            np.testing.assert_array_equal(parameter.grad, grad, err_msg="step changed a gradient")
    assert_same_state(adam, torchs, moments)


@pytest.mark.parametrize("decoupled", [False, True])
def test_weight_decay_over_three_steps(decoupled):
    ours, theirs = both_sides(np.random.default_rng(0), [(3, 2)], [np.float64])
    options = {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": decoupled}
    adam, torchs = Adam(ours, **options), torch.optim.Adam(theirs, **options)
    for step in range(3):
        set_gradients(np.random.default_rng(step), ours, theirs)
        adam.step()
        torchs.step()
        assert_same_parameters(f"step {step}", ours, theirs)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("without", [0, 1, 2])
def test_one_of_three_parameters_has_no_gradient_for_a_while(without, large):
    rng = np.random.default_rng(0)
    ours, theirs = both_sides(rng, [(2,), (100, 100) if large else (3,), (4,)], [np.float64] * 3)
    adam, torchs = Adam(ours, amsgrad=True), torch.optim.Adam(theirs, amsgrad=True)
    for step in range(6):
        set_gradients(rng, ours, theirs)
        if step in (1, 2, 4):
            ours[without].grad = theirs[without].grad = None
        adam.step()
        torchs.step()
        assert_same_parameters(f"step {step}", ours, theirs)
    assert [int(adam.state_dict()[f"{i}.step"]) for i in range(3)] == [
        3 if i == without else 6 for i in range(3)
    ]


def test_small_parameters_share_their_calls(monkeypatch):
    parameters = [Parameter(np.ones((2, 3))) for _ in range(6)] + [Parameter(np.ones(20_000))]
    for parameter in parameters:
        parameter.grad = np.ones(parameter.shape)
    roots, sqrt = [], np.sqrt
    monkeypatch.setattr(np, "sqrt", lambda a: roots.append(a.size) or sqrt(a))
    Adam(parameters).step()
    assert roots == [36, 20_000]


def assert_same_state(adam, torchs, moments_of):
    """`moments_of` has Σ|summands| of each exp_avg, whose gradients cancel; a square does not.

    Ours is named "0.exp_avg" where PyTorch's is ["state"][0]["exp_avg"].
    """
    ours, theirs = adam.state_dict(), torchs.state_dict()
    moments = {name: array for name, array in ours.items() if "." in name}
    expected = {f"{i}.{k}": v for i, entry in theirs["state"].items() for k, v in entry.items()}
    assert moments.keys() == expected.keys()
    for name, array in moments.items():
        if name.endswith("step"):
            assert array == expected[name].item()
        else:
            index, part = name.split(".")
            summands = moments_of[int(index)] if part == "exp_avg" else None
            assert_parity(name, array, expected[name], summands=summands)
    for name in ours.keys() - moments.keys() - {"parameters"}:
        np.testing.assert_array_equal(ours[name], theirs["param_groups"][0][name], err_msg=name)


@settings(deadline=None)
@given(SEEDS, OPTIONS)
def test_a_saved_run_goes_on_exactly(seed, options):
    rng = np.random.default_rng(seed)
    shapes, dtypes = [(2, 3), (3,), (1,)], [np.float32, np.float32, np.float64]
    ours, theirs = both_sides(rng, shapes, dtypes)
    adam = Adam(ours, **options)
    for _ in range(5):
        set_gradients(rng, ours, theirs, 0.5)
        adam.step()
    file = io.BytesIO()
    np.savez(file, **adam.state_dict())
    file.seek(0)
    copies = [Parameter(parameter.data.copy()) for parameter in ours]
    resumed = Adam(copies, lr=77.0, amsgrad=not options.get("amsgrad"))
    for parameter in copies:
        parameter.grad = np.ones_like(parameter.data)  # a step that is forgotten
    resumed.step()
    for parameter, kept in zip(copies, ours, strict=True):
        parameter.data[...] = kept.data
    resumed.load_state_dict(np.load(file, allow_pickle=False))
    for _ in range(5):
        set_gradients(rng, ours, theirs, 0.5)
        for parameter, original in zip(copies, ours, strict=True):
            parameter.grad = None if original.grad is None else original.grad.copy()
        adam.step()
        resumed.step()
        for parameter, original in zip(copies, ours, strict=True):
            np.testing.assert_array_equal(parameter.data, original.data)
    assert resumed.state_dict().keys() == adam.state_dict().keys()


def test_a_deep_copy_goes_on_by_itself():
    adam = stepped(amsgrad=True)
    (ours, theirs) = adam, copy.deepcopy(adam)
    for _ in range(3):
        ours.step()
        theirs.step()
    state = theirs.state_dict()
    for name, array in ours.state_dict().items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)
    for mine, other in zip(ours._parameters, theirs._parameters, strict=True):
        assert mine is not other
        np.testing.assert_array_equal(mine.data, other.data)


def test_a_saved_state_is_a_copy():
    parameter = Parameter(np.ones(2))
    parameter.grad = np.ones(2)
    adam = Adam([parameter])
    adam.step()
    state = adam.state_dict()
    kept = copy.deepcopy(state)
    adam.step()
    for name, array in state.items():
        np.testing.assert_array_equal(array, kept[name], err_msg=name)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_parameters(dtype):
    rng = np.random.default_rng(0)
    ours = [
        Parameter((rng.standard_normal(s) + 1j * rng.standard_normal(s)).astype(dtype))
        for s in [(2, 3), (4,)]
    ]
    theirs = [torch.nn.Parameter(torch.tensor(p.data)) for p in ours]
    options = {"weight_decay": 0.1, "amsgrad": True, "lr": 0.1}
    adam, torchs = Adam(ours, **options), torch.optim.Adam(theirs, **options)
    travelled = Travelled(theirs)
    for step in range(20):
        for our, their in zip(ours, theirs, strict=True):
            our.grad = (rng.standard_normal(our.shape) * (1 + 2j)).astype(dtype)
            their.grad = torch.tensor(our.grad)
        adam.step()
        torchs.step()
        travelled.move(theirs)
        for our, their, summands in zip(ours, theirs, travelled.summands, strict=True):
            for part in ("real", "imag"):
                values = getattr(our.data, part), getattr(their.detach().numpy(), part)
                assert_parity(f"step {step}, {part}", *values, summands=summands)


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e200, 0.0])
@pytest.mark.parametrize("eps", [1e-8, 0.0])
def test_adam_of_infinite_nan_and_zero_gradients(value, eps):
    ours, theirs = both_sides(np.random.default_rng(0), [(2,)], [np.float64])
    ours[0].grad, theirs[0].grad = np.full(2, value), torch.full((2,), value, dtype=torch.float64)
    Adam(ours, eps=eps).step()
    torch.optim.Adam(theirs, eps=eps).step()
    assert_same_parameters("step", ours, theirs)


def test_arrays_that_do_not_lie_row_by_row():
    ours, theirs = both_sides(np.random.default_rng(0), [(3, 4)], [np.float64])
    ours[0].data = np.asfortranarray(ours[0].data)
    data = ours[0].data
    ours[0].grad = np.arange(24.0).reshape(4, 6)[:, ::2].T
    theirs[0].grad = torch.tensor(ours[0].grad.copy())
    Adam(ours, weight_decay=0.1).step()
    torch.optim.Adam(theirs, weight_decay=0.1).step()
    assert_same_parameters("step", ours, theirs)
    assert ours[0].data is data


def test_a_schedule_assigns_to_lr():
    ours, theirs = both_sides(np.random.default_rng(0), [(3,)], [np.float64])
    adam, torchs = Adam(ours), torch.optim.Adam(theirs)
    for lr in (0.1, 0.01, 0.0, np.float64(0.2)):
        adam.lr = torchs.param_groups[0]["lr"] = lr
        set_gradients(np.random.default_rng(1), ours, theirs)
        adam.step()
        torchs.step()
        assert_same_parameters(f"lr {lr}", ours, theirs)


def test_zero_grad():
    ours, theirs = both_sides(np.random.default_rng(0), [(3,), (2,)], [np.float64] * 2)
    set_gradients(np.random.default_rng(1), ours, theirs)
    ours[1].grad = None
    grad = ours[0].grad
    Adam(ours).zero_grad(set_to_none=False)
    assert ours[0].grad is grad
    assert not grad.any()
    assert ours[1].grad is None
    Adam(ours).zero_grad()
    assert ours[0].grad is None


def test_step_calls_a_closure_and_returns_what_it_returns():
    parameter = Parameter(np.ones(2))

    def closure():
        parameter.grad = np.ones(2)
        return "loss"

    assert Adam([parameter]).step(closure) == "loss"
    assert (parameter.data < 1).all()
    assert Adam([parameter]).step() is None
    assert_same_refusal(
        lambda: Adam([parameter]).step(3),
        lambda: torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]).step(3),
    )


def test_a_parameter_that_comes_twice_is_taken_once():
    rng = np.random.default_rng(0)
    ours, theirs = both_sides(rng, [(3,), (2,)], [np.float64] * 2)
    with pytest.warns(UserWarning, match="comes twice"):
        adam = Adam([ours[0], ours[1], ours[0]])
    torchs = torch.optim.Adam(theirs)
    for _ in range(3):
        set_gradients(rng, ours, theirs)
        adam.step()
        torchs.step()
        assert_same_parameters("step", ours, theirs)


def test_parameters_with_names():
    parameter = Parameter(np.ones(2))
    parameter.grad = np.ones(2)
    Adam([("weight", parameter)]).step()
    assert (parameter.data < 1).all()


# Refusals of Adam

NAN = math.nan


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": -1}, ["lr", "at least 0", "-1"]),
        ({"lr": NAN}, ["lr", "at least 0", "nan"]),
        ({"lr": "a"}, ["lr", "number", "'a'"]),
        ({"lr": None}, ["lr", "number", "None"]),
        ({"lr": 1j}, ["lr", "number", "1j"]),
        ({"eps": -1e-8}, ["eps", "at least 0", "-1e-08"]),
        ({"eps": NAN}, ["eps", "at least 0", "nan"]),
        ({"eps": "a"}, ["eps", "number", "'a'"]),
        ({"weight_decay": -1}, ["weight_decay", "at least 0", "-1"]),
        ({"weight_decay": None}, ["weight_decay", "number", "None"]),
        ({"betas": (1.0, 0.0)}, ["betas[0]", "below 1.0", "1.0"]),
        ({"betas": (0.9, 1.0)}, ["betas[1]", "below 1.0", "1.0"]),
        ({"betas": (-0.1, 0.9)}, ["betas[0]", "from 0.0", "-0.1"]),
        ({"betas": (NAN, 0.9)}, ["betas[0]", "from 0.0", "nan"]),
        ({"betas": ("a", 0.9)}, ["betas[0]", "float", "'a'"]),
        ({"betas": 0.9}, ["betas", "two floats", "0.9"]),
        ({"betas": None}, ["betas", "two floats", "None"]),
    ],
)
def test_adam_refuses_options(options, words):
    assert_same_refusal(
        lambda: Adam([Parameter(np.ones(2))], **options),
        lambda: torch.optim.Adam([torch.nn.Parameter(torch.ones(2))], **options),
        *words,
    )


@pytest.mark.parametrize(
    ("betas", "error", "words"),
    [
        ((0, 0.9), TypeError, r"betas\[0\]: expected a float .*, got int 0"),
        ((0.9, True), TypeError, r"betas\[1\]: expected a float .*, got bool True"),
        ((np.float32(0.9), 0.9), TypeError, r"betas\[0\]: expected a float .*, got float32"),
        ((0.9,), ValueError, "betas: expected two floats, got 1"),
        ((0.9, 0.99, 0.999), ValueError, "betas: expected two floats, got 3"),
    ],
)
def test_adam_refuses_betas_that_are_not_two_floats(betas, error, words):
    with pytest.raises(error, match=words):
        Adam([Parameter(np.ones(2))], betas=betas)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (lambda parameter: parameter, ["params", "iterable", "Parameter"]),
        (lambda parameter: [], ["params", "at least one", "empty"]),
        (lambda parameter: iter([]), ["params", "at least one", "empty"]),
        (lambda parameter: None, ["params", "iterable", "None"]),
        (lambda parameter: 3, ["params", "iterable", "3"]),
        (lambda parameter: [3], ["params", "Parameters", "3"]),
        (lambda parameter: [parameter, None], ["params", "Parameters", "None"]),
        (lambda parameter: [np.ones(2)], ["params", "Parameters", "(2,)"]),
        (lambda parameter: {"weight": parameter}, ["params", "Parameters", "'weight'"]),
        (lambda parameter: [[parameter]], ["params", "Parameters", "list"]),
        (lambda parameter: [("weight", 3)], ["params", "Parameters", "3"]),
        (lambda parameter: [("weight", parameter), parameter], ["params", "name", "mixture"]),
    ],
)
def test_adam_refuses_parameters(params, words):
    assert_same_refusal(
        lambda: Adam(params(Parameter(np.ones(2)))),
        lambda: torch.optim.Adam(params(torch.nn.Parameter(torch.ones(2)))),
        *words,
    )


@pytest.mark.parametrize("grad", [np.ones(3), np.ones(2, int), np.ones((2, 1))])
def test_a_good_gradient_beside_a_bad_one_of_another_dtype_changes_nothing(grad):
    parameters = [Parameter(np.ones(2, np.float32)), Parameter(np.ones(2))]
    adam = Adam(parameters)  # before there are gradients: their coming alone changes its groups
    parameters[0].grad, parameters[1].grad = np.ones(2, np.float32), grad
    with pytest.raises(RuntimeError, match=r"Parameter\.grad: expected shape \(2,\)"):
        adam.step()
    assert (parameters[0].data == 1).all()
    assert "0.step" not in adam.state_dict()


@pytest.mark.parametrize("grad", [np.ones(3), np.ones(2, np.float32), np.ones((1, 2))])
def test_a_gradient_that_does_not_fit_is_refused_before_anything_is_changed(grad):
    parameters = [Parameter(np.ones(2)), Parameter(np.ones(2))]
    parameters[0].grad, parameters[1].grad = np.ones(2), grad
    adam = Adam(parameters)
    with pytest.raises(
        RuntimeError, match=r"Parameter\.grad: expected shape \(2,\) and dtype float64"
    ):
        adam.step()
    assert (parameters[0].data == 1).all()
    assert "0.step" not in adam.state_dict()


def test_a_gradient_that_is_no_array_is_refused_before_anything_is_changed():
    parameters = [Parameter(np.ones(2)), Parameter(np.ones(2))]
    parameters[0].grad, parameters[1].grad = np.ones(2), [1.0, 1.0]
    with pytest.raises(TypeError, match=r"Parameter\.grad: expected a NumPy array, got list"):
        Adam(parameters).step()
    assert (parameters[0].data == 1).all()


def test_options_that_pytorch_takes_for_true_are_saved_and_loaded():
    adam = stepped(amsgrad=1, weight_decay=0, lr=1)
    other = stepped()
    other.load_state_dict(adam.state_dict())
    assert (other.amsgrad, other.weight_decay, other.lr) == (True, 0.0, 1.0)


def fresh(parameters):
    return Adam([Parameter(np.ones(2)) for _ in range(parameters)])


def test_a_loaded_state_has_a_pair_of_betas():
    adam = stepped()
    adam.load_state_dict(stepped(betas=(0.5, 0.6)).state_dict())
    assert adam.betas == (0.5, 0.6)
    assert repr(adam) == (
        "Adam(2 parameters, lr=0.001, betas=(0.5, 0.6), eps=1e-08, weight_decay=0.0, "
        "amsgrad=False, maximize=False, decoupled_weight_decay=False)"
    )


def test_a_state_is_loaded_whole_where_numpy_raises():
    """A number that float32 does not have is rounded to zero, as everywhere."""
    adam = stepped(lr=0.5)
    state = adam.state_dict() | {"0.exp_avg": np.full((2, 3), 1e-60)}
    with np.errstate(all="raise"):
        adam.load_state_dict(state | {"lr": np.array(0.25)})
        adam.step()
    assert adam.lr == 0.25
    assert (adam.state_dict()["1.step"], adam.state_dict()["0.exp_avg"].dtype) == (2, np.float32)


def test_the_saved_maximum_is_nan_after_a_gradient_that_is_nan():
    ours, theirs = both_sides(np.random.default_rng(0), [(2,)], [np.float64])
    adam, torchs = Adam(ours, amsgrad=True), torch.optim.Adam(theirs, amsgrad=True)
    for value in (np.nan, 1.0):
        ours[0].grad, theirs[0].grad = np.array([value, 1]), torch.tensor([value, 1]).double()
        adam.step()
        torchs.step()
    expected = torchs.state_dict()["state"][0]["max_exp_avg_sq"].numpy()
    assert_parity("max_exp_avg_sq", adam.state_dict()["0.max_exp_avg_sq"], expected)
    assert np.isnan(expected[0])


def stepped(**options):
    parameters = [Parameter(np.ones((2, 3), np.float32)), Parameter(np.ones(4))]
    for parameter in parameters:
        parameter.grad = np.ones_like(parameter.data)
    adam = Adam(parameters, **options)
    adam.step()
    return adam


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s: [1], TypeError, ["state_dict", "dict", "list"]),
        (lambda s: {}, KeyError, ["missing", "'lr'", "'parameters'"]),
        (lambda s: s | {"parameters": np.array(3)}, ValueError, ["2 parameters", "3"]),
        (lambda s: s | {"2.step": np.array(3)}, KeyError, ["unexpected", "2.step"]),
        (lambda s: {k: v for k, v in s.items() if k != "1.step"}, KeyError, ["missing", "1.step"]),
        (lambda s: s | {"amsgrad": np.array(True)}, KeyError, ["missing", "0.max_exp_avg_sq"]),
        (
            lambda s: s | {"0.exp_avg": np.ones(5), "1.exp_avg": np.ones((4, 1))},
            ValueError,
            ["0.exp_avg", "(2, 3)", "(5,)", "1.exp_avg", "(4, 1)"],
        ),
        (lambda s: s | {"0.exp_avg": np.ones((2, 3), complex)}, ValueError, ["complex128"]),
        (lambda s: s | {"0.step": np.array(1.5)}, ValueError, ["0.step", "int64"]),
        (lambda s: s | {"0.step": np.array(-1)}, ValueError, ["0.step", "at least 1", "-1"]),
        (lambda s: s | {"1.step": np.array(0)}, ValueError, ["1.step", "at least 1", "0"]),
        (lambda s: s | {"maximize": np.array(0.7)}, ValueError, ["maximize", "bool", "float64"]),
        (lambda s: s | {"amsgrad": np.zeros(2, bool)}, ValueError, ["amsgrad", "(2,)"]),
        (lambda s: s | {"parameters": np.array([2, 2])}, ValueError, ["2 parameters", "[2 2]"]),
        (lambda s: s | {"betas": np.ones(3)}, ValueError, ["betas", "(2,)", "(3,)"]),
        (lambda s: s | {"lr": np.array(-1.0)}, ValueError, ["lr", "at least 0", "-1"]),
        (lambda s: s | {"lr": np.array("fast")}, ValueError, ["lr", "float64"]),
        (lambda s: s | {"weight_decay": np.array(-1.0)}, ValueError, ["weight_decay", "-1"]),
        (lambda s: s | {1: np.ones(1), "x": np.ones(1)}, KeyError, ["unexpected", "1", "'x'"]),
        (lambda s: fresh(3).state_dict(), ValueError, ["2 parameters", "3"]),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change, error, words):
    adam = stepped()
    before = copy.deepcopy(adam.state_dict())
    with pytest.raises(error) as raised:
        adam.load_state_dict(change(stepped(lr=0.5).state_dict()))
    for word in words:
        assert word in str(raised.value)
    after = adam.state_dict()
    assert after.keys() == before.keys()
    for name, array in after.items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


# PyTorch's own samples


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pytorchs_sample_inputs(dtype):
    rng = np.random.default_rng(0)
    for sample in optimizer_inputs(torch.optim.Adam, dtype):
        numpy_dtype = str(dtype).removeprefix("torch.")
        ours, theirs = both_sides(rng, [(2, 3), (3,), (1,)], [numpy_dtype] * 3)
        adam, torchs = Adam(ours, **sample.kwargs), torch.optim.Adam(theirs, **sample.kwargs)
        for step in range(20):
            set_gradients(rng, ours, theirs)
            adam.step()
            torchs.step()
            assert_same_parameters(f"{sample.desc}, step {step}", ours, theirs)


def to_ours(value, known):
    """`value` with every torch parameter in it replaced, the same one by the same one."""
    if isinstance(value, torch.nn.Parameter):
        return known.setdefault(id(value), Parameter(value.detach().numpy()))
    if isinstance(value, list | tuple):
        return type(value)(to_ours(entry, known) for entry in value)
    return value


def test_pytorchs_error_inputs():
    run = 0
    for error in optimizer_error_inputs(torch.optim.Adam, torch.float64):
        params, options = error.optimizer_error_input.params, error.optimizer_error_input.kwargs
        groups = isinstance(params, list) and any(isinstance(entry, dict) for entry in params)
        tensors = [options.get("lr"), *options.get("betas", ())]
        if groups or "foreach" in options or any(isinstance(v, torch.Tensor) for v in tensors):
            continue  # left out, see docs/differences.md
        params = [Parameter(np.ones(2))] if params is None else to_ours(params, {})
        if error.error_type is UserWarning:
            with pytest.warns(UserWarning, match="comes twice"):
                Adam(params, **options)
        else:
            with pytest.raises(error.error_type):
                Adam(params, **options)
        run += 1
    assert run == 5


# clip_grad_norm_

NORMS = [2.0, 1.0, math.inf, -math.inf, 0, 0.5, 3, -1, -2, "inf", "2", True]


def assert_same_clipping(grads, dtypes, max_norm, norm_type=2.0, **options):
    ours, theirs = [], []
    for grad, dtype in zip(grads, dtypes, strict=True):
        ours.append(Parameter(np.zeros(np.shape(grad) if grad is not None else 1, dtype)))
        theirs.append(torch.nn.Parameter(torch.tensor(ours[-1].data)))
        if grad is not None:
            ours[-1].grad = np.array(grad, dtype)
            theirs[-1].grad = torch.tensor(ours[-1].grad)
    arrays = [parameter.grad for parameter in ours]
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type, **options)
    norm = clip_grad_norm_(ours, max_norm, norm_type, **options)
    assert isinstance(norm, np.generic)
    # The shortest of the gradients' dtypes leaves its rounding in the norm and so in all of them.
    allowed = TOLERANCE | {np.dtype(np.float16): 2 * float(np.finfo(np.float16).eps)}
    own = [d for d, grad in zip(dtypes, grads, strict=True) if grad is not None]
    tolerance = max((allowed[np.finfo(d).dtype] for d in own), default=0)
    assert_parity("norm", norm, expected, tolerance)
    for i, (our, their, array) in enumerate(zip(ours, theirs, arrays, strict=True)):
        assert our.grad is array, "clipped in place"
        if array is not None:
            assert_parity(f"gradient {i}", our.grad, their.grad, tolerance)


@settings(deadline=None)
@given(
    SEEDS, SHAPES, st.sampled_from(NORMS), st.sampled_from([0, 0.1, 1, 1e9, math.inf]), st.data()
)
def test_clipping(seed, shapes, norm_type, max_norm, data):
    rng = np.random.default_rng(seed)
    dtypes = [data.draw(FLOATS) for _ in shapes]
    p = float(norm_type)
    grads = [rng.standard_normal(shape) for shape in shapes]
    if p < 0 or p == math.inf:  # an empty gradient has no such norm
        grads = [grad if grad.size else np.ones(1) for grad in grads]
    grads = [grad if data.draw(st.booleans()) else None for grad in grads]
    assert_same_clipping(grads, dtypes, max_norm, norm_type)


@pytest.mark.parametrize("norm_type", [*NORMS, math.nan])
def test_clipping_of_infinite_nan_huge_and_zero_gradients(norm_type):
    max_norms = [1.0, 0.0, -1.0, math.nan, "1"]
    grads = [
        [np.nan],
        [np.inf],
        [-np.inf],
        [np.inf, np.nan],
        [0.0],
        [1e30, 1e30],
        [1e-30],
        [0.0, 3.0],
    ]
    for grad, max_norm, dtype in itertools.product(grads, max_norms, [np.float32, np.float64]):
        assert_same_clipping([grad, [2.0, 3.0]], [dtype] * 2, max_norm, norm_type)


@pytest.mark.parametrize("norm_type", NORMS)
@pytest.mark.parametrize(
    ("grad", "dtype"),
    [
        ([300.0, -300.0, 200.0], np.float16),
        ([0.25] * 5000, np.float16),
        ([60_000.0], np.float16),
        ([1e25], np.float32),
        ([1e25, 1.0], np.float32),
        ([1e-30], np.float32),
        ([1e200], np.float64),
        ([-1e-200], np.float64),
    ],
)
def test_clipping_of_gradients_whose_powers_do_not_fit_their_dtype(grad, dtype, norm_type):
    assert_same_clipping([grad], [dtype], 1.0, norm_type)


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        (np.broadcast_to(3.0, (2,)), RuntimeError, "expected an array that can be changed"),
        (np.array([3, 4]), RuntimeError, "expected floating point .*, got .*int64"),
        ([3.0, 4.0], TypeError, "expected a NumPy array, got list"),
        (np.ma.masked_array([3.0, 4.0]), TypeError, "expected a plain .*, got a MaskedArray"),
    ],
)
def test_clipping_that_is_refused_changes_nothing(bad, error, words):
    first, second = Parameter(np.ones(2)), Parameter(np.ones(2))
    first.grad, second.grad = np.array([3.0, 4.0]), bad
    with pytest.raises(error, match=rf"Parameter\.grad: {words}"):
        clip_grad_norm_([first, second], 1.0)
    np.testing.assert_array_equal(first.grad, [3, 4])


def test_clipping_where_numpy_raises():
    parameters = [Parameter(np.ones(2)) for _ in range(3)]
    for parameter, value in zip(parameters, (np.inf, 1e-320, 1.0), strict=True):
        parameter.grad = np.full(2, value)
    with np.errstate(all="raise"):
        assert clip_grad_norm_(parameters, 1.0) == np.inf
    assert [parameter.grad[0] for parameter in parameters[1:]] == [0, 0]


def test_clipping_one_parameter_complex_ones_and_one_twice():
    parameter, theirs = Parameter(np.zeros(2)), torch.nn.Parameter(torch.zeros(2).double())
    for wrap in (lambda p: p, lambda p: [p, p], lambda p: iter([p]), lambda p: {p: "key"}):
        parameter.grad, theirs.grad = np.array([3.0, 4.0]), torch.tensor([3.0, 4.0]).double()
        expected = torch.nn.utils.clip_grad_norm_(wrap(theirs), 1.0)
        assert_parity("norm", clip_grad_norm_(wrap(parameter), 1.0), expected)
        assert_parity("gradient", parameter.grad, theirs.grad)
    parameter = Parameter(np.zeros(2, complex))
    parameter.grad = np.array([3 + 4j, 0])
    assert clip_grad_norm_(parameter, 1.0) == 5
    for infinite in (complex(np.inf, 0), complex(1, np.inf), complex(np.inf, np.nan)):
        assert_same_clipping([[infinite, 1]], [np.complex128], 1.0)
    assert_parity("gradient", parameter.grad.imag, np.array([0.8, 0]), 1e-6)


def test_clipping_nothing():
    for parameters in ([], iter([]), [Parameter(np.ones(2))]):
        norm = clip_grad_norm_(parameters, 1.0)
        assert (norm, norm.dtype) == (0, np.float32)
    with pytest.warns(UserWarning, match="empty generator"):
        clip_grad_norm_((p for p in []), 1.0)


def test_clipping_refusals():
    def both(*words, grad=(1.0,), parameters=None, **options):
        our, their = Parameter(np.zeros(len(grad))), torch.nn.Parameter(torch.zeros(len(grad)))
        our.grad, their.grad = np.array(grad), torch.tensor(grad)
        options = {"max_norm": 1.0} | options
        assert_same_refusal(
            lambda: clip_grad_norm_(parameters or [our], **options),
            lambda: torch.nn.utils.clip_grad_norm_(parameters or [their], **options),
            *words,
        )
        np.testing.assert_array_equal(our.grad, grad)

    for name in ("max_norm", "norm_type"):
        both(name, "number", "'a'", **{name: "a"})
        both(name, "number", "None", **{name: None})
        both(name, "number", "1j", **{name: 1j})
    for value in (math.inf, math.nan):
        both("finite", "2.0", str(value), grad=(value, 1.0), error_if_nonfinite=True)
    for norm_type in (math.inf, -math.inf, -1):
        both("norm_type", "empty", str(float(norm_type)), grad=(), norm_type=norm_type)
    for bad, got in [(3, "int 3"), ([3], "int 3"), ([np.ones(2)], r"an array of shape \(2,\)")]:
        with pytest.raises(TypeError, match=rf"parameters: expected Parameters, got {got}"):
            clip_grad_norm_(bad, 1.0)


def test_a_step_that_cannot_be_taken_changes_nothing():
    first, second = Parameter(np.ones(2)), Parameter(np.ones(2))
    second.data.flags.writeable = False
    optimizer = Adam([first, second])
    for parameter in (first, second):
        parameter.grad = np.ones(2)
    with pytest.raises(
        RuntimeError, match=r"Parameter.data: expected an array that can be changed"
    ):
        optimizer.step()
    second.data = np.ones(2)
    for name, value, error in [
        ("betas", (0.9, "x"), TypeError),
        ("betas", (0.9, 1.0), ValueError),
        ("betas", (1.0, 0.999), ValueError),
        ("eps", math.nan, ValueError),
    ]:
        good = getattr(optimizer, name)
        setattr(optimizer, name, value)
        with pytest.raises(error, match=name):
            optimizer.step()
        setattr(optimizer, name, good)
    np.testing.assert_array_equal(first.data, 1)
    assert "0.step" not in optimizer.state_dict()
