"""PyTorch's own sample inputs and error inputs for RNN, LSTM and their cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scratch.cells import LSTMCell, RNNCell
from scratch.recurrent import LSTM, RNN
from tests.torch_samples import module_error_inputs, module_inputs, to_numpy
from tests.torch_twin import answers_of, assert_same_pass

MODULES = {"RNNCell": RNNCell, "LSTMCell": LSTMCell, "RNN": RNN, "LSTM": LSTM}
DTYPES = {torch.float32: np.float32, torch.float64: np.float64}


def random_like(value, rng):
    if isinstance(value, tuple):
        return tuple(random_like(entry, rng) for entry in value)
    return rng.standard_normal(value.shape).astype(value.dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", MODULES)
def test_sample_inputs(kind, dtype):
    rng = np.random.default_rng(0)
    samples = module_inputs(getattr(torch.nn, kind), dtype)
    assert samples
    for sample in samples:
        arguments = sample.constructor_input
        module = MODULES[kind](*arguments.args, **arguments.kwargs, dtype=DTYPES[dtype], rng=rng)
        inputs = to_numpy(sample.forward_input.args)
        x, state = inputs if len(inputs) == 2 else (*inputs, None)
        answers = answers_of(module, module.forward(x, state))
        zeros = zeros_like(answers[-1]) if state is None else None
        assert_same_pass(module, x, state, random_like(answers, rng), zeros)


def zeros_like(value):
    if isinstance(value, tuple):
        return tuple(zeros_like(entry) for entry in value)
    return np.zeros_like(value)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", MODULES)
def test_error_inputs(kind, dtype):
    samples = module_error_inputs(getattr(torch.nn, kind), dtype)
    assert samples
    from torch.testing._internal.common_modules import ModuleErrorEnum  # loaded by now

    for sample in samples:
        arguments = sample.module_error_input.constructor_input
        options = dict(arguments.kwargs)
        options.pop("device", None)
        if "dtype" in options:
            options["dtype"] = DTYPES[options["dtype"]]

        def construct(args=arguments.args, options=options):
            return MODULES[kind](*args, **options)

        if sample.error_on is ModuleErrorEnum.CONSTRUCTION_ERROR:
            with pytest.raises(sample.error_type):
                construct()
            continue
        inputs = to_numpy(sample.module_error_input.forward_input.args)
        if "dtype" not in options:  # the cells' samples have that of the run
            options["dtype"] = inputs[0].dtype
        module = construct()
        for call in (module, module.forward):
            with pytest.raises(sample.error_type):
                call(*inputs)
