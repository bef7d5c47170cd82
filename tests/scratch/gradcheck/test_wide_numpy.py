"""numpy, math and float as the code under test sees them in a pass."""

import math

import numpy as np
import pytest

from scratch.gradcheck.foreign.wide_numpy import (
    own_namespaces,
    replaced,
    replacements,
    wide_numpy,
)

WIDE, COMPLEX = (wide_numpy(np.dtype(kind)) for kind in (float, complex))


@pytest.mark.parametrize(
    "make",
    [
        lambda np: np.zeros((2, 3), dtype="f"),
        lambda np: np.zeros((2, 3), np.float32),
        lambda np: np.empty(2, "float32"),
        lambda np: np.array([1, 2.5], dtype=np.float16),
        lambda np: np.zeros_like(np.ones(3, np.single)),
        lambda np: np.full(2, 0.5),
        lambda np: np.ones(3).astype(np.float32),
        lambda np: np.arange(3, dtype=np.float32),
    ],
)
def test_every_float_is_as_wide_as_asked(make):
    assert make(WIDE).dtype == np.float64
    assert make(COMPLEX).dtype == np.complex128


def test_what_is_no_float_stays():
    for library in (WIDE, COMPLEX):
        assert library.zeros(3, dtype=int).dtype == np.dtype(int)
        assert library.array([1, 2]).dtype == np.dtype(int)
        assert library.zeros(2, bool).dtype == np.dtype(bool)
        assert library.pi == np.pi
        assert library.random is np.random
        assert library.tanh is np.tanh


def test_the_absolute_value_has_a_derivative():
    z = np.array([-2 + 1e-20j, 3 + 1e-20j])
    np.testing.assert_array_equal(COMPLEX.abs(z).imag, [-1e-20, 1e-20])
    assert WIDE.abs is np.abs


def test_names_are_replaced_and_put_back():
    names = {"np": np, "zeros": np.zeros, "math": math, "f": len}
    before = dict(names)
    with replaced(replacements([names], complex)):
        assert names["zeros"](2).dtype == np.complex128
        assert names["np"].zeros(2, names["float"]).dtype == np.complex128
        assert names["math"].exp(1j) == pytest.approx(np.exp(1j))
        assert names["math"].floor(1.5) == 1
        assert names["float"](1j) == 1j
        assert names["float"]("2") == 2.0
        assert isinstance(1.0, names["float"])
        assert names["f"] is len
    assert names == before


def test_of_a_person_is_what_nobody_installed():
    found = own_namespaces([test_of_a_person_is_what_nobody_installed])
    assert globals() in found
    assert vars(np) not in found
    assert vars(math) not in found
