"""MSELoss and CrossEntropyLoss against torch.nn: values, gradients, refusals."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scratch.losses import CrossEntropyLoss, MSELoss, MSELossRecord
from scratch.machinery.rows import by_sample, by_scores
from tests.parity import assert_parity, assert_same_refusal
from tests.torch_samples import module_error_inputs, module_inputs, to_numpy

FLOATS = st.sampled_from([np.float32, np.float64])
SEEDS = st.integers(0, 2**32 - 1)
REDUCTIONS = st.sampled_from(["none", "mean", "sum"])
SIZES = st.lists(st.integers(0, 4), max_size=3)

REFUSED_REDUCTIONS = ["average", None, 1]


def summands_of(record, grad_loss):
    """Σ|summands| of each entry of a cross-entropy's value, and of its gradient.

    Where the softmax p of the target is nearly 1, log Σ_c exp z_c − z and p − target are small
    differences of numbers near 1, and have an error of the last digit of 1 on both sides. A sample
    is a sum over its own classes, and no other's.
    """
    if isinstance(record, MSELossRecord) or not np.isfinite(record.value).all():
        return None, None
    log_p = np.abs(by_sample(record.log_softmax))
    samples, classes, w = record.samples, record.classes, np.abs(record.weight)
    losses, grads = np.zeros(len(log_p)), np.zeros(log_p.shape)
    with np.errstate(all="ignore"):
        share = 1 / np.abs(np.float64(record.total)) if record.reduction == "mean" else 1
        losses[samples] = (w * np.maximum(1, log_p[samples, classes])).sum(1, keepdims=True)
        counted = np.broadcast_to(w, np.broadcast_shapes(samples.shape, classes.shape))
        grads[samples[:, 0]] = 2 * counted.sum(1, keepdims=True)  # p Σ w + w
    losses, grads = (by_scores(array, record.log_softmax) for array in (losses, grads))
    axis = min(record.log_softmax.ndim - 1, 1)
    grads = grads * np.expand_dims(np.abs(grad_loss) * share * np.ones(losses.shape), axis)
    return losses if record.reduction == "none" else losses.sum() * share, grads


def assert_same_loss(ours, theirs, prediction, target, grad_loss):
    """Value and gradient of both sides, which `backward` computes without changing anything."""
    prediction_torch = torch.tensor(prediction, requires_grad=True)
    expected = theirs(prediction_torch, torch.tensor(target))
    record = ours.forward(prediction, target)
    summands = summands_of(record, grad_loss)
    assert_parity("value", record.value, expected, summands=summands[0])
    assert_parity("call", ours(prediction, target), expected, summands=summands[0])
    assert isinstance(record.value, np.generic if expected.ndim == 0 else np.ndarray)

    expected.backward(torch.tensor(grad_loss))
    before = [np.array(entry) for entry in (*record, prediction, target, grad_loss)]
    grad = ours.backward(record, grad_loss)
    assert isinstance(grad, np.ndarray)
    assert_parity("grad_prediction", grad, prediction_torch.grad, summands=summands[1])
    for i, array in enumerate((*record, prediction, target, grad_loss)):
        np.testing.assert_array_equal(array, before[i], err_msg="backward changed its arguments")


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("loss", [MSELoss, CrossEntropyLoss])
def test_backward_takes_the_reduction_that_forward_used(loss, reduction):
    prediction, target = np.random.default_rng(0).random((2, 4, 3))
    criterion = loss(reduction=reduction)
    record = criterion.forward(prediction, target)
    expected = criterion.backward(record)
    criterion.reduction = "mean" if reduction != "mean" else "sum"
    np.testing.assert_array_equal(criterion.backward(record), expected)


def upstream(rng, reduction, shape, dtype):
    return rng.standard_normal(shape if reduction == "none" else ()).astype(dtype)


# MSELoss


@settings(deadline=None)
@given(SEEDS, FLOATS, REDUCTIONS, SIZES)
def test_mse_parity(seed, dtype, reduction, shape):
    rng = np.random.default_rng(seed)
    prediction, target = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    prediction, target = np.asarray(prediction), np.asarray(target)
    assert_same_loss(
        MSELoss(reduction),
        torch.nn.MSELoss(reduction=reduction),
        prediction,
        target,
        np.asarray(upstream(rng, reduction, shape, dtype)),
    )


def test_mse_of_a_large_float32_array():
    rng = np.random.default_rng(0)
    prediction, target = rng.standard_normal((2, 1000, 50, 1)).astype(np.float32)
    grad_loss = np.asarray(1, np.float32)
    for reduction in ("mean", "sum"):
        theirs = torch.nn.MSELoss(reduction=reduction)
        assert_same_loss(MSELoss(reduction), theirs, prediction, target, grad_loss)


@pytest.mark.parametrize("values", [[np.inf, 1.0], [np.nan, 1.0], [-np.inf, np.nan], [1e200, 1.0]])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_mse_of_infinite_and_nan_predictions(values, reduction):
    theirs = torch.nn.MSELoss(reduction=reduction)
    grad_loss = np.ones(2 if reduction == "none" else ())
    assert_same_loss(MSELoss(reduction), theirs, np.array(values), np.zeros(2), grad_loss)


HALF = 2 * float(np.finfo(np.float16).eps)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("scale", [1, 300])
def test_mse_in_float16(scale, reduction):
    """Of 90,000 numbers, more than float16 can count; the square of 300 does not fit it."""
    prediction = (scale * np.random.default_rng(0).standard_normal((300, 300))).astype(np.float16)
    target = np.zeros_like(prediction)
    x = torch.tensor(prediction, requires_grad=True)
    expected = torch.nn.MSELoss(reduction=reduction)(x, torch.tensor(target))
    expected.sum().backward()
    loss = MSELoss(reduction)
    record = loss.forward(prediction, target)
    assert_parity("value", record.value, expected, HALF)
    assert_parity("grad_prediction", loss.backward(record), x.grad, HALF)


def test_cross_entropy_of_more_float16_scores_than_float16_can_count():
    """PyTorch's mean is 0 there."""
    scores = np.random.default_rng(0).standard_normal((90_000, 3)).astype(np.float16)
    target, loss = np.zeros(90_000, int), CrossEntropyLoss()
    half, single = (loss.forward(z, target) for z in (scores, scores.astype(np.float32)))
    assert_parity("value", half.value, np.float16(single.value), HALF)
    grads = loss.backward(half, 1000), loss.backward(single, 1000).astype(np.float16)
    assert_parity("grad_prediction", *grads, HALF)


def test_infinite_numbers_give_no_warning():
    """Tested where NumPy raises: pytest makes its warnings errors only outside of `np.errstate`."""
    infinite, target = np.array([[np.inf, -np.inf, np.nan]]), np.array([1])
    large = np.array([[1e300, -1e300, 1e-320]])
    with np.errstate(all="raise"):
        for prediction, upstream_gradient in itertools.product((infinite, large), (np.inf, 1e300)):
            for loss, truth in ((MSELoss(), 0 * large), (CrossEntropyLoss(), target)):
                loss(prediction, truth)
                loss.backward(loss.forward(prediction, truth), upstream_gradient)


def test_mse_of_complex_numbers():
    prediction, target = np.random.default_rng(0).standard_normal((2, 3)) + 1j
    assert MSELoss()(prediction, target) == MSELoss()(prediction - target, np.zeros(3))
    with pytest.raises(ValueError, match=r"target: expected .* complex128, got complex64"):
        MSELoss()(prediction, target.astype(np.complex64))


def test_a_loss_shows_its_options():
    assert repr(MSELoss()) == "MSELoss(reduction='mean')"
    defaults = "weight=None, ignore_index=-100, reduction='mean', label_smoothing=0.0"
    assert repr(CrossEntropyLoss()) == f"CrossEntropyLoss({defaults})"
    options = "weight=[1.0, 2.0], ignore_index=1, reduction='sum', label_smoothing=0.5"
    loss = CrossEntropyLoss(np.array([1.0, 2.0]), 1, "sum", 0.5)
    assert repr(loss) == f"CrossEntropyLoss({options})"


def test_a_record_shows_its_shapes():
    prediction = np.zeros((2, 3))
    record = MSELoss().forward(prediction, prediction)
    assert repr(record) == "MSELossRecord(value 0.0, difference (2, 3))"
    record = CrossEntropyLoss(reduction="sum").forward(prediction, np.array([0, 1]))
    assert repr(record) == f"CrossEntropyRecord(value {2 * np.log(3)}, log_softmax (2, 3))"


@pytest.mark.parametrize("shapes", [[(2, 1), (2,)], [(2, 3), (2, 4)], [(), (1,)], [(3,), (1, 3)]])
def test_mse_broadcasts_nothing(shapes):
    prediction, target = (np.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match="target: expected the prediction's shape") as raised:
        MSELoss()(prediction, target)
    assert str(shapes[0]) in str(raised.value)
    assert str(shapes[1]) in str(raised.value)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.complex128])
def test_mse_promotes_nothing(dtype):
    with pytest.raises(ValueError, match=r"target: expected .* float64, got " + dtype.__name__):
        MSELoss()(np.zeros(2), np.zeros(2, dtype))


def test_mse_refusals():
    def both(prediction, target, *words, reduction="mean"):
        assert_same_refusal(
            lambda: MSELoss(reduction)(to_numpy(prediction), to_numpy(target)),
            lambda: torch.nn.MSELoss(reduction=reduction)(prediction, target),
            *words,
        )

    for reduction in REFUSED_REDUCTIONS:
        words = "reduction", "mean", str(reduction)
        both(torch.zeros(2), torch.zeros(2), *words, reduction=reduction)
    for dtype in (np.int64, np.bool_):
        with pytest.raises(ValueError, match=rf"prediction: expected floating .*{dtype.__name__}"):
            MSELoss()(np.zeros(2, dtype), np.zeros(2, dtype))
    with pytest.raises(TypeError, match="prediction: expected a NumPy array, got list"):
        MSELoss()([1.0], np.zeros(1))
    with pytest.raises(TypeError, match="target: expected a NumPy array, got float"):
        MSELoss()(np.zeros(1), 1.0)


# CrossEntropyLoss


@st.composite
def cross_entropies(draw):
    """Options, prediction and target of a loss, and a gradient of its value."""
    rng, dtype = np.random.default_rng(draw(SEEDS)), draw(FLOATS)
    classes = draw(st.integers(1, 5))
    shape = draw(st.one_of(st.just(()), st.lists(st.integers(0, 4), min_size=1).map(tuple)))
    shape = shape[:4]
    prediction = 3 * rng.standard_normal((*shape[:1], classes, *shape[1:])).astype(dtype)
    options = {
        "reduction": draw(REDUCTIONS),
        "label_smoothing": draw(st.sampled_from([0.0, 0.0, 0.1, 1.0, -0.5])),
    }
    if draw(st.booleans()):
        options["weight"] = rng.uniform(0.1, 2, classes).astype(dtype)
    if draw(st.booleans()):
        target = np.asarray(rng.integers(0, classes, shape))
        if draw(st.booleans()):
            options["ignore_index"] = draw(st.sampled_from([-1, -100, 0, classes - 1]))
            target = np.where(rng.random(shape) < 0.4, options["ignore_index"], target)
        if len(shape) == 1 and "weight" not in options and target.min(initial=0) >= 0:
            target = target.astype(draw(st.sampled_from([np.int64, np.uint8])))
    else:
        target = rng.random(prediction.shape)
        target = (target / target.sum(len(shape[:1]), keepdims=True)).astype(dtype)
    return (
        options,
        prediction,
        target,
        np.asarray(upstream(rng, options["reduction"], shape, dtype)),
    )


@settings(deadline=None)
@given(cross_entropies())
def test_cross_entropy_parity(case):
    options, prediction, target, grad_loss = case
    theirs = torch.nn.CrossEntropyLoss(
        **{k: torch.tensor(v) if k == "weight" else v for k, v in options.items()}
    )
    assert_same_loss(CrossEntropyLoss(**options), theirs, prediction, target, grad_loss)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(
    "scores",
    [
        [[0.0, 1.0, 2.0], [3.0, 1.0, 0.0]],
        [[0.0, -np.inf, 1.0], [1.0, 2.0, 3.0]],
        [[-np.inf, 0.0, 1.0], [1.0, 2.0, 3.0]],
        [[np.inf, 0.0, 1.0], [1.0, 2.0, 3.0]],
        [[-np.inf] * 3, [1.0, 2.0, 3.0]],
        [[np.nan, 0.0, 1.0], [1000.0, -1000.0, 0.0]],
        [[-1000.0, -1001.0, -1002.0], [1001.0, 1000.0, 1002.0]],
    ],
)
def test_cross_entropy_where_something_is_infinite_ignored_or_zero(scores, reduction):
    targets = [[0, 0], [0, 2], [-100, 1], [-100, -100]]
    weights = [None, [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]
    grad_loss = np.ones(2 if reduction == "none" else ())
    for target, weight, smoothing in itertools.product(targets, weights, [0.0, 0.2]):
        options = {"reduction": reduction, "label_smoothing": smoothing}
        ours = CrossEntropyLoss(None if weight is None else np.array(weight), **options)
        theirs = torch.nn.CrossEntropyLoss(
            None if weight is None else torch.tensor(weight, dtype=torch.float64), **options
        )
        assert_same_loss(ours, theirs, np.array(scores), np.array(target), grad_loss)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_the_weight_of_a_class_that_no_target_has_does_not_count(value, reduction):
    """1/bincount is infinite there."""
    prediction, target = np.random.default_rng(0).standard_normal((3, 3)), np.array([0, 1, 1])
    weight = np.array([1.0, 0.5, value])
    theirs = torch.nn.CrossEntropyLoss(torch.tensor(weight), reduction=reduction)
    grad_loss = np.asarray(np.ones(3 if reduction == "none" else ()))
    ours = CrossEntropyLoss(weight, reduction=reduction)
    assert_same_loss(ours, theirs, prediction, target, grad_loss)
    assert np.isfinite(ours(prediction, target)).all()


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_an_infinite_gradient_of_the_loss(value, reduction):
    prediction, target = np.random.default_rng(0).standard_normal((3, 3)), np.array([0, 2, -100])
    grad_loss = np.asarray(np.full(3 if reduction == "none" else (), value))
    theirs, x = torch.nn.CrossEntropyLoss(reduction=reduction), torch.tensor(prediction)
    x.requires_grad = True
    theirs(x, torch.tensor(target)).backward(torch.tensor(grad_loss))
    loss = CrossEntropyLoss(reduction=reduction)
    grad = loss.backward(loss.forward(prediction, target), grad_loss)
    np.testing.assert_array_equal(grad, x.grad)


@pytest.mark.parametrize("weight", [None, [0.5, 1.0, 2.0]])
def test_targets_of_uint8_are_those_of_int64(weight):
    prediction, target = np.random.default_rng(0).standard_normal((3, 3)), np.array([2, 0, 1])
    weight = None if weight is None else np.array(weight)
    for smoothing in (0.0, 0.1):
        loss = CrossEntropyLoss(weight, label_smoothing=smoothing)
        records = [loss.forward(prediction, target.astype(dtype)) for dtype in ("int64", "uint8")]
        assert records[0].value == records[1].value
        np.testing.assert_array_equal(*map(loss.backward, records))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2), (2, 3, 0), (2, 0), (0,)])
def test_cross_entropy_of_nothing(shape, reduction):
    rest = shape[:1] + shape[2:] if len(shape) > 1 else ()
    grad_loss = np.ones(rest if reduction == "none" else ())
    targets = [np.zeros(shape)]
    if shape not in [(2, 0), (0,)]:
        targets.append(np.zeros(rest, np.int64))
    for target in targets:
        theirs = torch.nn.CrossEntropyLoss(reduction=reduction)
        assert_same_loss(
            CrossEntropyLoss(reduction=reduction), theirs, np.zeros(shape), target, grad_loss
        )


def test_one_sample_without_a_batch_may_have_its_index_in_an_array_of_one():
    prediction, target = np.array([0.3, -1.0, 2.0]), np.array([1])
    expected = torch.nn.CrossEntropyLoss()(torch.tensor(prediction), torch.tensor(target))
    loss = CrossEntropyLoss()
    assert_parity("value", loss(prediction, target), expected)
    grad, expected = (loss.backward(loss.forward(prediction, t)) for t in (target, target[0, ...]))
    assert_parity("grad_prediction", grad, expected)


def test_the_loss_has_the_dtype_of_the_prediction():
    prediction, target = np.zeros((2, 3), np.float32), np.full((2, 3), 1 / 3)
    record = CrossEntropyLoss(np.ones(3)).forward(prediction, target)
    assert record.value.dtype == np.float32
    assert CrossEntropyLoss().backward(record).dtype == np.float32


# The derivative by a complex step: exact to rounding, and without PyTorch


def assert_gradient_by_complex_step(loss, prediction, target, grad_loss):
    record = loss.forward(prediction, target)
    grad = loss.backward(record, grad_loss)
    z, step, estimate = prediction + 0j, 1e-100, np.empty(prediction.shape)
    loss = loss.astype(np.complex128)
    for index in np.ndindex(z.shape):
        z[index] += 1j * step
        estimate[index] = (grad_loss * loss(z, target)).sum().imag / step
        z[index] = prediction[index]
    _, summands = summands_of(record, grad_loss)
    assert_parity("grad_prediction", grad, estimate, summands=summands)


@settings(deadline=None)
@given(SEEDS, REDUCTIONS)
def test_mse_gradient_by_a_complex_step(seed, reduction):
    rng = np.random.default_rng(seed)
    prediction, target = rng.standard_normal((2, 3, 2))
    grad_loss = np.asarray(upstream(rng, reduction, (3, 2), float))
    assert_gradient_by_complex_step(MSELoss(reduction), prediction, target, grad_loss)


@settings(deadline=None)
@given(cross_entropies())
def test_cross_entropy_gradient_by_a_complex_step(case):
    options, prediction, target, grad_loss = case
    prediction, grad_loss = prediction.astype(float), grad_loss.astype(float)
    loss = CrossEntropyLoss(**options).astype(np.float64)
    if np.isnan(loss(prediction, target)).any():
        return  # the mean over nothing
    assert_gradient_by_complex_step(loss, prediction, target, grad_loss)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_a_loss_of_another_dtype_takes_predictions_of_it(dtype):
    loss = CrossEntropyLoss(np.array([1.0, 2.0])).astype(dtype)
    assert loss(np.eye(2, dtype=dtype), np.array([0, 1])).dtype == dtype


def test_the_gradient_of_a_complex_loss_may_be_complex():
    prediction = np.random.default_rng(0).standard_normal((2, 3)) + 0j
    for loss, target in (MSELoss(), 0 * prediction), (CrossEntropyLoss(), np.array([0, 2])):
        record = loss.forward(prediction, target)
        expected = 1j * loss.backward(record)
        np.testing.assert_array_equal(loss.backward(record, 1j), expected)


# The gradient of the value


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_grad_loss_defaults_to_one_and_none_means_zero(reduction):
    prediction = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    for loss, target in (
        (MSELoss(reduction), np.zeros_like(prediction)),
        (CrossEntropyLoss(reduction=reduction), np.arange(4) % 3),
    ):
        record = loss.forward(prediction, target)
        ones = np.ones_like(record.value)
        assert_parity("default", loss.backward(record), loss.backward(record, np.asarray(ones)))
        zeros = np.zeros_like(prediction)
        assert_parity("None", loss.backward(record, None), zeros)
        assert_parity("2", loss.backward(record, 2), 2 * loss.backward(record))
        for shape in [(5,), (1, 1)]:
            with pytest.raises(RuntimeError, match="grad_loss: expected shape"):
                loss.backward(record, np.zeros(shape, np.float32))
        with pytest.raises(
            ValueError, match=r"grad_loss: expected .* dtype float32, got .* float64"
        ):
            loss.backward(record, np.ones(np.shape(ones)))
        with pytest.raises(TypeError, match="grad_loss"):
            loss.backward(record, "1")


# Refusals


def indices(*shape, dtype=torch.int64):
    return torch.zeros(shape, dtype=dtype)


Z = torch.zeros
CE_REFUSALS = [
    # shapes
    ({}, Z(2, 3), indices(3), ["target", "(2,)", "(3,)", "batch size"]),
    ({}, Z(2, 3), indices(2, 1), ["target", "(2,)", "(2, 1)"]),
    ({}, Z(2, 3), indices(3, 1), ["target", "(2,)", "(3, 1)", "batch size"]),
    ({}, Z(2, 3), indices(), ["target", "(2,)", "()"]),
    ({}, Z(3), indices(1, 1), ["target", "()", "(1, 1)"]),
    ({}, Z(2, 3, 4), indices(2, 5), ["target", "(2, 4)", "(2, 5)"]),
    ({}, Z(2, 3, 4), indices(2), ["target", "(2, 4)", "(2,)"]),
    ({}, Z(1, 3, 1), indices(1), ["target", "(1, 1)", "(1,)"]),
    ({}, Z(1, 3, 4), indices(1), ["target", "(1, 4)", "(1,)"]),
    ({}, Z(2, 3, 4), indices(3, 4), ["target", "(2, 4)", "(3, 4)", "batch size"]),
    ({}, Z(2, 3, 4), indices(2, 4, 1), ["target", "(2, 4)", "(2, 4, 1)"]),
    ({}, Z(2, 3, 4, 5), indices(2, 4, 6), ["target", "(2, 4, 5)", "(2, 4, 6)"]),
    ({}, Z(2, 3), Z(3), ["target", "(2, 3)", "(3,)", "batch size"]),
    # dtypes
    ({}, Z(2, 3), indices(2, 3), ["target", "float", "int64"]),
    ({}, Z(2, 3), indices(2, dtype=torch.int32), ["target", "int64 or uint8", "int32"]),
    ({}, Z(2, 3, 4), indices(2, 4, dtype=torch.uint8), ["target", "int64, got uint8"]),
    ({}, Z(2, 3), indices(2, dtype=torch.bool), ["target", "int64", "bool"]),
    ({}, Z(2, 3), indices(2, dtype=torch.float32), ["target", "int64", "float32"]),
    ({}, Z(2, 3), indices(2, 3, dtype=torch.complex64), ["target", "float", "complex64"]),
    ({}, [1.0], indices(1), ["prediction", "array", "list"]),
    ({}, Z(2, 3), [1, 2], ["target", "array", "list"]),
    # values
    ({}, Z(2, 3), indices(2) + 3, ["target", "0 to 2", "3"]),
    ({}, Z(2, 3), torch.tensor([0, 3]), ["target", "0 to 2", "3"]),
    ({}, Z(3, 3), torch.tensor([2, -100, -1]), ["target", "0 to 2", "-1"]),
    ({}, Z(2, 3), indices(2) - 1, ["target", "0 to 2", "-1"]),
    ({"label_smoothing": 0.1}, Z(2, 3), indices(2) + 7, ["target", "0 to 2", "7"]),
    ({}, Z(2, 0), indices(2), ["target", "0"]),
    # options
    ({"weight": Z(2)}, Z(2, 3), indices(2), ["weight", "(3,)", "(2,)"]),
    ({"weight": Z(3, 1)}, Z(2, 3), indices(2), ["weight", "(3,)", "(3, 1)"]),
    ({"weight": Z(2)}, Z(2, 3), Z(2, 3), ["weight", "(3,)", "(2,)"]),
    ({"weight": Z(2)}, Z(3), indices(), ["weight", "(3,)", "(2,)"]),
    ({"weight": Z(3).double()}, Z(2, 3), indices(2), ["weight", "float32", "float64"]),
    ({"weight": [1.0, 1.0, 1.0]}, Z(2, 3), indices(2), ["weight", "array", "list"]),
    ({"label_smoothing": 1.1}, Z(2, 3), indices(2), ["label_smoothing", "1.0", "1.1"]),
    ({"label_smoothing": 1.1}, Z(2, 3), Z(2, 3), ["label_smoothing", "1.0", "1.1"]),
    ({"label_smoothing": "a"}, Z(2, 3), indices(2), ["label_smoothing", "number", "'a'"]),
    ({"label_smoothing": None}, Z(2, 3), indices(2), ["label_smoothing", "number", "None"]),
    ({"ignore_index": 1}, Z(2, 3), Z(2, 3), ["ignore_index", "probabilities", "1"]),
    ({"ignore_index": 0}, Z(2, 3), Z(2, 3), ["ignore_index", "probabilities", "0"]),
    ({"ignore_index": 1.5}, Z(2, 3), indices(2), ["ignore_index", "integer", "1.5"]),
    ({"ignore_index": None}, Z(2, 3), indices(2), ["ignore_index", "integer", "None"]),
    ({"ignore_index": True}, Z(2, 3), indices(2), ["ignore_index", "integer", "True"]),
    *(
        ({"reduction": reduction}, Z(2, 3), indices(2), ["reduction", "mean", str(reduction)])
        for reduction in REFUSED_REDUCTIONS
    ),
]


@pytest.mark.parametrize(("options", "prediction", "target", "words"), CE_REFUSALS)
def test_cross_entropy_refusals(options, prediction, target, words):
    assert_same_refusal(
        lambda: CrossEntropyLoss(**to_numpy(options))(to_numpy(prediction), to_numpy(target)),
        lambda: torch.nn.CrossEntropyLoss(**options)(prediction, target),
        *words,
    )
    in_constructor = []
    for loss, arguments in (
        (CrossEntropyLoss, to_numpy(options)),
        (torch.nn.CrossEntropyLoss, options),
    ):
        try:
            loss(**arguments)
            in_constructor.append(False)
        except Exception:
            in_constructor.append(True)
    assert in_constructor[0] == in_constructor[1], "constructor or call"


@pytest.mark.parametrize(
    ("prediction", "target", "words"),
    [
        (np.zeros(3), np.zeros(2, int), r"target: expected shape \(\) .*, got \(2,\)"),
        (np.zeros(()), np.zeros(()), r"prediction: expected shape \(C,\).*, got \(\)"),
        (np.zeros(()), np.zeros(2, int), r"prediction: expected shape \(C,\).*, got \(\)"),
        (np.zeros((2, 3), int), np.zeros(2, int), "prediction: expected floating .*, got int64"),
        (np.zeros((2, 3), int), np.zeros((2, 3)), "prediction: expected floating .*, got int64"),
    ],
)
def test_cross_entropy_refuses_what_torch_refuses_with_other_types(prediction, target, words):
    with pytest.raises(RuntimeError, match=words):
        CrossEntropyLoss()(prediction, target)


@pytest.mark.parametrize("option", [1, True, np.float32(0.5)])
def test_label_smoothing_may_be_any_number(option):
    prediction, target = np.eye(2, 3), np.array([0, 2])
    expected = torch.nn.CrossEntropyLoss(label_smoothing=option)(
        torch.tensor(prediction), torch.tensor(target)
    )
    assert_parity("value", CrossEntropyLoss(label_smoothing=option)(prediction, target), expected)


# PyTorch's own samples


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(MSELoss, torch.nn.MSELoss), (CrossEntropyLoss, torch.nn.CrossEntropyLoss)],
)
def test_pytorchs_sample_inputs(ours, theirs, dtype):
    rng = np.random.default_rng(0)
    for sample in module_inputs(theirs, dtype):
        options = sample.constructor_input.kwargs
        prediction, target = sample.forward_input.args
        loss = theirs(**options)
        shape = tuple(loss(prediction, target).shape)
        grad_loss = np.asarray(rng.standard_normal(shape), str(dtype).removeprefix("torch."))
        assert_same_loss(
            ours(**to_numpy(options)), loss, to_numpy(prediction), to_numpy(target), grad_loss
        )


def test_pytorchs_error_inputs():
    for error in module_error_inputs(torch.nn.CrossEntropyLoss, torch.float64):
        sample = error.module_error_input
        loss = CrossEntropyLoss(**to_numpy(sample.constructor_input.kwargs))
        with pytest.raises(error.error_type):
            loss(*to_numpy(sample.forward_input.args))
