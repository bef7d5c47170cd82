"""One time step of an RNN and of an LSTM, forward and backward.

Read `RNNStep.forward` and `.backward`, then `LSTMStep`: every equation stands above the line that
computes it, and again, with its derivative, above the line that differentiates it. `RNNCell` and
`LSTMCell` below are those steps with parameters; a layer is the same steps carried through time
(`bptt.py`).

Inside a step, samples lie along the last axis: a state is (H, N), the gates together are (4H, N).
Each gate is then one contiguous block, `W @ ...` reads as in the equations, and all gates are one
matrix product. What a step shows (`step.h`, `step.i`, ...) are the (N, H) views of these arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import DTypeLike

from .machinery.checks import check_grad_states, check_size
from .machinery.inputs import cell_state
from .machinery.memory import Memory, columns
from .machinery.module import (
    Array,
    Module,
    Parameter,
    Seed,
    check_record,
    uniform_parameter,
    without_warnings,
)
from .machinery.step import Step
from .machinery.weights import CellParameters, GradWeights, Weights


class RNNStep(Step):
    """h = tanh(W_ih x + b_ih + W_hh h_prev + b_hh)  (Elman 1990; the form of torch.nn.RNN)."""

    def forward(self, weights: Weights, x: Array, h_prev: Array) -> tuple[Array]:
        self._x[...], self._h_prev[...] = x, h_prev
        # z = W [x; h_prev; 1]
        z = np.matmul(weights.matrix, self._inputs, out=self._h)
        # h = φ(z)
        self.activate(z)  # in place: z becomes h
        return (self._h,)

    def backward(
        self, weights: Weights, grad_weights: GradWeights, grad_h: Array
    ) -> tuple[Array, Array]:
        # h = φ(z):                  ∂h/∂z = φ′(z)
        grad_z = self.grad_of_activation(grad_h, self._h)
        # z = W [x; h_prev; 1]:      ∂z/∂W = [x; h_prev; 1]ᵀ   ∂z/∂[x; h_prev; 1] = Wᵀ
        grad_weights.add(grad_z, self._inputs)
        return weights.split(weights.transposed @ grad_z)

    @staticmethod
    def activate(z: Array) -> None:
        # φ(z) = tanh(z)
        np.tanh(z, out=z)

    @staticmethod
    def grad_of_activation(grad_h: Array, h: Array) -> Array:
        # φ′(z) = 1 − tanh²(z) = 1 − h²
        grad_z: Array = grad_h * (1 - h * h)
        return grad_z


class ReLUStep(RNNStep):
    """h = max(0, W_ih x + b_ih + W_hh h_prev + b_hh)."""

    @staticmethod
    def activate(z: Array) -> None:
        # φ(z) = max(0, z)
        np.maximum(z, 0, out=z)

    @staticmethod
    def grad_of_activation(grad_h: Array, h: Array) -> Array:
        # φ′(z) = 0 where h ≤ 0, else 1: as in PyTorch, 0 at the kink and 1 for NaN
        grad_z: Array = np.where(h <= 0, grad_h.dtype.type(0), grad_h)
        return grad_z


RNN_STEPS: dict[str, type[RNNStep]] = {"tanh": RNNStep, "relu": ReLUStep}


class LSTMStep(Step):
    """i, f, o = σ(…), g = tanh(…), c = f ⊙ c_prev + i ⊙ g, h = o ⊙ tanh(c).

    Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000; the form of
    torch.nn.LSTM.
    """

    names: ClassVar[tuple[str, ...]] = (
        *("x", "h_prev", "c_prev", "i", "f", "g", "o", "c", "tanh_c", "h"),
    )
    # Parameters hold the gates as i, f, g, o. Inside, the three σ lie side by side: i, f, o, g.
    gate_order = (0, 1, 3, 2)  # its own inverse

    _z: Array  # (4H, N)     before and, in place, after σ and tanh: i, f, o, g
    _i: Array  # (H, N)      its rows by gate
    _f: Array
    _o: Array
    _g: Array
    _ifo: Array  # (3H, N)   the three σ
    _c_prev: Array  # (H, N)
    _c: Array  # (H, N)
    _tanh_c: Array  # (H, N) kept: a tanh costs more than the memory of its result

    def forward(
        self, weights: Weights, x: Array, h_prev: Array, c_prev: Array
    ) -> tuple[Array, Array]:
        self._x[...], self._h_prev[...], self._c_prev = x, h_prev, c_prev
        i, f, o, g, ifo = self._i, self._f, self._o, self._g, self._ifo
        z, c, tanh_c, h = self._z, self._c, self._tanh_c, self._h

        # z = W [x; h_prev; 1]
        np.matmul(weights.matrix, self._inputs, out=z)
        # i, f, o = σ(z) = 1 / (1 + e⁻ᶻ), which is 0 for e⁻ᶻ = ∞
        np.negative(ifo, out=ifo)
        np.exp(ifo, out=ifo)
        ifo += 1
        np.reciprocal(ifo, out=ifo)
        # g = tanh(z)
        np.tanh(g, out=g)
        # c = f ⊙ c_prev + i ⊙ g
        np.multiply(f, c_prev, out=c)
        c += i * g
        # h = o ⊙ tanh(c)
        np.tanh(c, out=tanh_c)
        np.multiply(o, tanh_c, out=h)
        return h, c

    def backward(
        self, weights: Weights, grad_weights: GradWeights, grad_h: Array, grad_c: Array
    ) -> tuple[Array, Array, Array]:
        i, f, o, g, ifo = self._i, self._f, self._o, self._g, self._ifo
        c_prev, tanh_c = self._c_prev, self._tanh_c
        grad_z = np.empty_like(self._z)
        grad_i, grad_f, grad_o, grad_g, grad_ifo = gates(grad_z)

        # h = o ⊙ tanh(c):           ∂h/∂o = tanh(c)   ∂h/∂c = o (1 − tanh²(c))
        np.multiply(grad_h, tanh_c, out=grad_o)
        grad_c = grad_c + grad_h * o * (1 - tanh_c * tanh_c)
        # c = f ⊙ c_prev + i ⊙ g:    ∂c/∂f = c_prev   ∂c/∂c_prev = f   ∂c/∂i = g   ∂c/∂g = i
        np.multiply(grad_c, c_prev, out=grad_f)
        np.multiply(grad_c, g, out=grad_i)
        np.multiply(grad_c, i, out=grad_g)
        grad_c_prev = grad_c * f
        # i, f, o = σ(z):            ∂σ/∂z = σ (1 − σ)
        grad_ifo *= ifo * (1 - ifo)
        # g = tanh(z):               ∂g/∂z = 1 − g²
        grad_g *= 1 - g * g
        # z = W [x; h_prev; 1]:      ∂z/∂W = [x; h_prev; 1]ᵀ   ∂z/∂[x; h_prev; 1] = Wᵀ
        grad_weights.add(grad_z, self._inputs)
        grad_x, grad_h_prev = weights.split(weights.transposed @ grad_z)
        return grad_x, grad_h_prev, grad_c_prev

    @classmethod
    def allocate(
        cls, weights: Weights, hs: Sequence[Array], memory: Memory | None
    ) -> Iterator[Self]:
        H = weights.hidden_size
        sizes = [h.shape[1] for h in hs]
        zs, cs, tanh_cs = (columns(memory, m, sizes, weights.dtype) for m in (4 * H, H, H))
        steps = super().allocate(weights, hs, memory)
        for step, z, c, tanh_c in zip(steps, zs, cs, tanh_cs, strict=True):
            step._z, step._c, step._tanh_c = z, c, tanh_c
            step._i, step._f, step._o, step._g, step._ifo = gates(z)
            yield step


def gates(z: Array) -> tuple[Array, ...]:
    """Views of the rows of i, f, o and g, (H, N) each, and of i, f and o together."""
    H = len(z) // 4
    return z[:H], z[H : 2 * H], z[2 * H : 3 * H], z[3 * H :], z[: 3 * H]


class Cell(Module):
    """What RNNCell and LSTMCell share: the parameters, and one step with them."""

    states: ClassVar[tuple[str, ...]]  # what is handed from step to step
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None = None
    bias_hh: Parameter | None = None

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, dtype: DTypeLike, rng: Seed
    ) -> None:
        check_size("input_size", input_size)
        check_size("hidden_size", hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = len(self._kind.gate_order) * hidden_size
        bound = 1 / np.sqrt(hidden_size) if hidden_size else 0.0
        generator = np.random.default_rng(rng)
        for name, shape in cell_shapes(rows, input_size, hidden_size, bool(bias)).items():
            setattr(self, name, uniform_parameter(shape, bound, dtype, generator))

    @property
    def _kind(self) -> type[Any]:
        raise TypeError(f"{type(self).__name__} has no equations")

    def __call__(self, x: Array, state: Any = None) -> Any:
        """The new state: h of an RNNCell, (h, c) of an LSTMCell."""
        step = self.forward(x, state)
        return self._samples_first(step, [getattr(step, f"_{name}") for name in self.states])

    @without_warnings
    def forward(self, x: Array, state: Any = None) -> Any:
        """The same step with all that it computed.

        x: (N, input_size) or (input_size,). state: h, or (h, c), each (N, hidden_size) or
        (hidden_size,); zeros if it is None.
        Raises TypeError for what is no array, ValueError for an array that has neither one nor two
        dimensions, RuntimeError for another size or dtype; for a tuple that is no pair (h, c)
        RuntimeError, or IndexError for half of one beside unbatched x.
        """
        state = cell_state(self, x, state)
        weights = Weights(CellParameters.of(self), self._kind.gate_order)
        batched = x.ndim == 2
        x, *state = (
            np.array(array, ndmin=2).T for array in (x, *state)
        )  # copies: the record keeps c
        h = np.empty((self.hidden_size, x.shape[1]), x.dtype)
        (step,) = self._kind.allocate(weights, [h], None)
        step.weights, step.batched = weights, batched
        step.forward(weights, x, *state)
        return step

    @without_warnings
    def backward(self, step: Any, grad_state: Any) -> tuple[Array, Any]:
        """The gradients of x and of the state before, given that of the state after.

        Adds to the gradients of the parameters, with the weights that `forward` used.
        Raises TypeError for what is no array, RuntimeError for another shape or for a step
        of other parameters, ValueError for another dtype.
        """
        name = type(self).__name__
        check_record(step, self._kind, f"{name}: step")
        if step.weights.parameters != CellParameters.of(self):
            raise RuntimeError(
                f"{name}: step: expected one computed with the current parameters, got another"
            )
        shape = step.h.shape if step.batched else step.h.shape[1:]
        names = [f"{name}: grad_{state}" for state in self.states]
        grads = check_grad_states(names, grad_state, [shape] * len(names), step.h.dtype)
        grad_weights = GradWeights(step.weights)
        turned = [np.atleast_2d(grad).T for grad in grads]
        grad_x, *grad_prev = step.backward(step.weights, grad_weights, *turned)
        grad_weights.finish()
        return self._samples_first(step, [grad_x]), self._samples_first(step, grad_prev)

    @staticmethod
    def _samples_first(step: Any, arrays: list[Array]) -> Any:
        """(H, N) → (N, H), or (H,) if the step was not batched; one array alone, or a pair."""
        turned = tuple(array.T if step.batched else array[:, 0] for array in arrays)
        return turned if len(turned) > 1 else turned[0]

    def extra_repr(self) -> str:
        bias = "" if self.bias is True else f", bias={self.bias}"
        return f"{self.input_size}, {self.hidden_size}{bias}"


class RNNCell(Cell):
    """h = tanh(W_ih x + b_ih + W_hh h_prev + b_hh), or with ReLU; as `torch.nn.RNNCell`.

    weight_ih: (H, input_size), weight_hh: (H, H), bias_ih and bias_hh: (H,), H = hidden_size,
    drawn uniformly within ±1/√H by `rng`, a seed or a generator.

        step = cell.forward(x, h_prev)                       # x, h_prev, h: (N, ...)
        grad_x, grad_h_prev = cell.backward(step, grad_h)

    Raises RuntimeError at the call for a nonlinearity other than "tanh" and "relu".
    """

    states = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, dtype, rng)

    @property
    def _kind(self) -> type[RNNStep]:
        return RNN_STEPS.get(str(self.nonlinearity), RNNStep)

    def forward(self, x: Array, state: Any = None) -> Any:
        if self.nonlinearity not in list(RNN_STEPS):
            raise RuntimeError(
                f"RNNCell: nonlinearity: expected 'tanh' or 'relu', got {self.nonlinearity!r}"
            )
        return super().forward(x, state)

    def extra_repr(self) -> str:
        relu = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + relu


class LSTMCell(Cell):
    """i, f, o = σ(…), g = tanh(…), c = f ⊙ c_prev + i ⊙ g, h = o ⊙ tanh(c); `torch.nn.LSTMCell`.

    weight_ih: (4H, input_size), weight_hh: (4H, H), bias_ih and bias_hh: (4H,), H = hidden_size,
    the gates in the order i, f, g, o; drawn uniformly within ±1/√H by `rng`, a seed or a generator.

        step = cell.forward(x, (h_prev, c_prev))  # x, h_prev, c_prev, i, f, g, o, c, tanh_c, h
        grad_x, (grad_h_prev, grad_c_prev) = cell.backward(step, (grad_h, grad_c))
    """

    states = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, dtype, rng)

    @property
    def _kind(self) -> type[LSTMStep]:
        return LSTMStep


def cell_shapes(
    rows: int, input_size: int, state_size: int, bias: bool
) -> dict[str, tuple[int, ...]]:
    """The parameters of a cell and their shapes; `rows` is H for each gate."""
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (rows, input_size),
        "weight_hh": (rows, state_size),
    }
    return shapes | ({"bias_ih": (rows,), "bias_hh": (rows,)} if bias else {})
