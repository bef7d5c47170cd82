"""What a pass costs, in products, calls and bytes: counted, not timed."""

from __future__ import annotations

import gc
import math
import tracemalloc

import numpy as np
import pytest

from scratch import LSTM, RNN, Linear
from scratch.bptt import COLUMNS

LAYERS = pytest.mark.parametrize("layer_class", [RNN, LSTM])
MAKERS = ("empty", "empty_like", "zeros", "zeros_like", "frombuffer", "ascontiguousarray", "array")


class Count:
    """What NumPy was asked to do: calls, matrix products, and numbers that went into them."""

    def __init__(self):
        self.calls = self.products = self.multiplications = self.exponentials = self.new_arrays = 0


class Counted(np.ndarray):
    """An array that counts every ufunc and function of NumPy it takes part in."""

    count = Count()

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **kwargs):
        count = Counted.count
        count.calls += 1
        plain = [np.asarray(array) for array in inputs]
        if out:
            kwargs["out"] = tuple(np.asarray(array) for array in out)
        result = getattr(ufunc, method)(*plain, **kwargs)
        count.new_arrays += not out
        count.products += ufunc is np.matmul
        if ufunc is np.matmul:
            count.multiplications += np.size(result) * plain[0].shape[-1]  # of a stack, all
        if ufunc in (np.tanh, np.exp):
            count.exponentials += plain[0].size
        return out[0] if out else np.asarray(result).view(Counted)

    def __array_function__(self, function, types, args, kwargs):
        count = Counted.count
        count.calls += 1
        result = super().__array_function__(function, types, args, kwargs)
        assert function not in (np.einsum, np.tensordot, np.inner, np.vdot), function
        if function is np.dot:
            count.products += 1
            count.multiplications += args[0].size * args[1].shape[-1]
            count.new_arrays += "out" not in kwargs
        return result.view(Counted) if type(result) is np.ndarray else result


@pytest.fixture
def counted(monkeypatch):
    """Make every new array one that counts; returns a function that counts one pass."""
    for name in MAKERS:
        make = getattr(np, name)
        monkeypatch.setattr(
            np, name, lambda *args, make=make, **kwargs: make(*args, **kwargs).view(Counted)
        )

    def count(run):
        Counted.count = Count()
        result = run()
        return Counted.count, result

    return count


def make(layer_class, size, **options):
    """A layer without a past, x, and a gradient for its output."""
    T, N, D, H = size
    rng = np.random.default_rng(0)
    layer = layer_class(D, H, **options, dtype=np.float64, rng=rng)
    width = H * (2 if layer.bidirectional else 1)
    return layer, rng.standard_normal((T, N, D)), rng.standard_normal((T, N, width))


def gates(layer_class):
    return 4 if layer_class is LSTM else 1


# Arithmetic


@LAYERS
@pytest.mark.parametrize(("T", "N"), [(1, 3), (7, 3), (9, 600)])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bidirectional": True}])
def test_one_product_per_step_forward_and_no_arithmetic_is_done_twice(
    layer_class, T, N, options, counted
):
    D, H = 5, 4
    layer, x, grad = make(layer_class, (T, N, D, H), **options)
    rows = gates(layer_class) * H
    inputs = [  # of each run: the columns of W_ih and W_hh
        parameter.shape[1] + H
        for name, parameter in layer.named_parameters()
        if name.startswith("weight_ih")
    ]
    forward, trace = counted(lambda: layer.forward(x))
    assert forward.products == T * len(inputs)
    assert forward.multiplications == sum(T * N * rows * (m + 1) for m in inputs)  # 1: the biases
    assert forward.exponentials == T * N * len(inputs) * (5 if layer_class is LSTM else 1) * H

    backward, _ = counted(lambda: layer.backward(trace, grad))
    steps_together = math.ceil(COLUMNS / N)
    # of each step, the gradient of h_prev; of steps together, those of x and of W
    assert backward.products == len(inputs) * (T + 2 * math.ceil(T / steps_together))
    assert backward.multiplications == sum(T * N * rows * (2 * m + 1) for m in inputs)
    assert backward.exponentials == 0


@LAYERS
@pytest.mark.parametrize("N", [1, 16])
def test_calls_of_numpy_grow_in_proportion_to_the_steps(layer_class, N, counted):
    counts = {}
    for T in (100, 1000):
        layer, x, grad = make(layer_class, (T, N, 2, 3))
        counts[T], _ = counted(lambda: layer.backward(layer.forward(x), grad))  # noqa: B023
    assert counts[1000].calls <= 10 * counts[100].calls
    assert counts[1000].new_arrays <= 10.1 * counts[100].new_arrays  # whole stretches of steps
    assert counts[1000].multiplications == 10 * counts[100].multiplications


@LAYERS
def test_the_weights_of_a_hundred_small_steps_take_few_products(layer_class, counted):
    layer, x, grad = make(layer_class, (100, 1, 2, 3))
    backward, _ = counted(lambda: layer.backward(layer.forward(x), grad))
    assert backward.products <= 100 + 100 + 2  # forward, the gradients of h and x, the weights'


@LAYERS
def test_a_step_is_computed_in_place(layer_class, counted):
    T = 50
    layer, x, _grad = make(layer_class, (T, 3, 2, 4))
    forward, _ = counted(lambda: layer.forward(x))
    assert forward.new_arrays < 10


# Memory

WORD = 8  # bytes of a float64
SIZE = T, N, D, H = 40, 64, 8, 64
VIEWS = 300  # bytes of the Python objects of one step that show where it is in a larger array


def traced(run):
    """The bytes that are left after `run`, beside its result those at the peak, and its result."""
    gc.collect()
    tracemalloc.start()
    try:
        result = run()
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return left, peak, result


@LAYERS
def test_a_record_is_within_its_bound_and_a_copy_of_the_input(layer_class):
    layer, x, _grad = make(layer_class, SIZE)
    left, peak, _trace = traced(lambda: layer.forward(x))
    # Of a column, an RNN keeps [x; h_prev; 1] and h, 2H + D + 1 numbers, an LSTM 6H more: the
    # gates, c and tanh(c). The rest of the bound is for Python's objects.
    numbers = (9 if layer_class is LSTM else 3) * T * N * H + x.size
    assert left <= numbers * WORD
    assert peak <= numbers * WORD


@LAYERS
def test_a_second_pass_takes_no_new_memory(layer_class):
    layer, x, _grad = make(layer_class, (T, N, D, 2 * H))
    layer.forward(x)
    _left, peak, _ = traced(lambda: layer.forward(x))
    assert peak < T * N * 2 * H * WORD  # less than one of the arrays of the record


@LAYERS
def test_the_memory_of_many_records_is_not_kept_for_one(layer_class):
    layer, x, _grad = make(layer_class, (T, N, D, 2 * H))

    def drop_many():
        records = [layer.forward(x) for _ in range(8)]
        del records
        layer.forward(x)

    one, _peak, trace = traced(lambda: layer.forward(x))
    del trace
    left, _peak, _ = traced(drop_many)
    assert left <= 1.1 * one  # not 8; what is left over is small beside a record


@LAYERS
def test_a_small_layer_keeps_nothing_of_its_last_record(layer_class):
    """The allocator has such memory at hand; a model of many small layers holds none."""
    layer, x, _grad = make(layer_class, (20, 4, 2, 16))
    output = layer.forward(x).output
    left, _peak, _ = traced(lambda: layer.forward(x) and None)
    assert left < output.nbytes


@LAYERS
@pytest.mark.parametrize("steps", [T, 4 * T])
def test_a_call_without_a_record_takes_its_output_and_one_step(layer_class, steps):
    layer, x, _grad = make(layer_class, (steps, N, D, H))
    weights = sum(parameter.data.nbytes for parameter in layer.parameters())
    _left, peak, (output, _state) = traced(lambda: layer(x))
    # The gates, [x; h_prev; 1], c twice, tanh(c), and the states before and after, (N, H) each.
    step = (gates(layer_class) + 8) * N * H * WORD + N * (D + 1) * WORD
    assert peak <= output.nbytes + step + 2 * weights + VIEWS * steps


@LAYERS
def test_the_backward_pass_takes_no_memory_that_grows_but_the_gradient_of_x(layer_class):
    extra = {}
    for steps in (T, 4 * T):
        layer, x, grad = make(layer_class, (steps, N, D, H))
        trace = layer.forward(x)
        _left, peak, (grad_x, _) = traced(lambda: layer.backward(trace, grad))  # noqa: B023
        extra[steps] = peak - grad_x.nbytes
    assert extra[4 * T] <= extra[T] + VIEWS * 3 * T


# Layouts


@LAYERS
def test_backward_multiplies_by_a_contiguous_matrix(layer_class):
    layer, x, _grad = make(layer_class, SIZE)
    weights = layer.forward(x).runs["l0"].steps[0].weights
    assert weights.hh_transposed.flags.c_contiguous
    assert weights.ih_transposed.flags.c_contiguous


def test_a_linear_layer_reads_the_output_of_a_record_as_it_lies():
    """Bringing it into rows first takes ten times as long as the product."""
    layer, x, _grad = make(LSTM, SIZE)
    hs, linear = layer.forward(x).output, Linear(H, 1, dtype=np.float64)
    assert not hs.flags.c_contiguous
    for forward, kept in ((linear, 0), (linear.forward, hs.nbytes)):
        _left, peak, _ = traced(lambda: forward(hs))  # noqa: B023
        assert peak <= kept + hs.nbytes / 2, "a copy of the input, beside that of the record"
    record, grad = linear.forward(hs), np.ones((T, N, 1))
    _left, peak, _ = traced(lambda: linear.backward(record, grad))
    assert peak <= 1.5 * hs.nbytes, "a copy of the input, beside its gradient"
