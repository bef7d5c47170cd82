"""One time step of an RNN and of an LSTM, forward and backward. Read this file first.

    z = W [x; h_prev; 1]                                the affine product      `Step`
    h = tanh(z)                                         an RNN                  `RNNStep`
    o, i, f = σ(z),  g = tanh(z),                       an LSTM                 `LSTMStep`
    c = f ⊙ c_prev + i ⊙ g,  h = o ⊙ tanh(c)

Forward, a step takes the affine product and then `activate`s it: from z to h, or to h and c.
Backward, it goes the other way: `chain` leads the gradient of h and c back to z, and the affine
product leads it on to x, to h_prev and to W.

What `chain` multiplies by are the local derivatives of the step, ∂h/∂z and its like. They follow
from the values of the step alone, so `local_derivatives` takes them for many steps at once, before
any gradient has come back.

`RNNCell` and `LSTMCell` are one such step with parameters. A layer is many, one after another
(`bptt.py`). Inside, arrays are time first and samples last: `h` is (T, H, N), and `h[t]`, (H, N),
is h at step t with a sample in every column; a cell has T = 1. What a record shows is (N, H).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from .machinery.arrays import CellParameters, Products, Weights, memory_of_one_step, products
from .machinery.checks import check_nonlinearity, check_size
from .machinery.inputs import check_cell_gradients, check_cell_inputs
from .machinery.module import Array, Module, Parameter, Seed, uniform_parameter, without_warnings
from .machinery.records import CellBackwardRecord, CellRecord

State = Sequence[Array]  # [h] of an RNN, [h, c] of an LSTM, each (H, N)


class Step:
    """The arrays of T steps with the same N samples, and how one of them is taken, either way.

    What all kinds share is the affine product z = W [x; h_prev; 1], with W = [W_ih | W_hh | b_ih +
    b_hh]: input, state and biases meet in one matrix product. Step t leaves its h where step t + 1
    finds it as h_prev: h[t] is h before step t, h[t + 1] after it.

    T: the number of steps. state: h and c before the first of them, (H, N) each; they are copied.
    empty: makes the arrays, like `np.empty`.
    """

    gate_order: ClassVar[Sequence[int]] = (0,)  # gate k of W is gate gate_order[k] of a parameter
    negated: ClassVar[int] = 0  # the forward pass takes its first so many gates as −z
    # The arrays that only some kinds have, and their rows in units of H. All are made alike,
    # (T + 1, rows, N), though only c needs the one step more.
    own: ClassVar[Mapping[str, int]] = {}

    z: Array  # of an LSTM, (T + 1, 4H, N); of an RNN, (T, H, N), all steps in one place
    c: Array  # of an LSTM, (T + 1, H, N), as h
    gates: Array  # the same z, (4, T + 1, H, N)
    activate: Callable[..., None]
    chain: Callable[..., tuple[Array, ...]]
    local_derivatives: Callable[..., Local]

    def __init__(self, weights: Weights, T: int, state: State, empty: Callable[..., Array]) -> None:
        # R: the size of h, which is H, or P with a projection
        D, R, H = weights.input_size, weights.state_size, weights.hidden_size
        h_0, *c_0 = state
        N, dtype = h_0.shape[1], h_0.dtype
        self.weights = weights
        inputs = empty((T + 1, weights.matrix.shape[1], N), dtype)  # [x; h_prev; 1]
        inputs[:, D + R :] = 1  # no row where there are no biases
        self.inputs, self.x, self.h = inputs[:T], inputs[:T, :D], inputs[:, D : D + R]
        self.h[0] = h_0
        if "z" not in self.own:  # only an LSTM keeps z
            self.z = memory_of_one_step((T, H, N), dtype)
        for name, rows in self.own.items():
            setattr(self, name, empty((T + 1, rows * H, N), dtype))
        self.states = [self.h]  # or h and c
        if c_0:
            self.c[0] = c_0[0]
            self.states.append(self.c)
            self.gates = self.z.reshape(T + 1, 4, H, N).swapaxes(0, 1)
            self.o, self.i, self.f, self.g = self.gates  # after `activate`; until then z_o, ...

    def forward(self, t: int, x: Array) -> None:
        """Step t, with x, (D, N), from h[t] and c[t] to h[t + 1] and c[t + 1]."""
        # z = W [x; h_prev; 1]  (2.1)
        self.x[t] = x
        np.dot(self.weights.matrix, self.inputs[t], out=self.z[t])
        self.activate(t)

    def backward(self, j: int, local: Local, grad_h: Array, *grad_c: Array) -> tuple[Array, ...]:
        """The gradients of the state before a step, given those of the state after it.

        j: which step of `local` it is; its gradient of z is left in local.grad_z[j]. grad_c is
        overwritten.
        """
        grad_c_prev = self.chain(j, local, grad_h, *grad_c)
        # z = W [x; h_prev; 1]:      ∂z/∂h_prev = W_hh, with no sign flipped: grad_z is the
        #                            gradient of z, not of −z  (2.5)
        return np.dot(self.weights.hh_transposed, local.grad_z[j]), *grad_c_prev

    def affine_backward(
        self, steps: slice, grad_z: Array, grad_h: Array | None
    ) -> tuple[Array, Products]:
        """What no step waits for, of several at once, from the gradients of their z.

        The gradients of x, (steps, D, N), and the pair of arrays whose product, summed over steps
        and samples, is the gradient of W: of W as the parameters have it, with no sign flipped.
        grad_h: for an LSTM with a projection, whose gradient is the product of a second pair.
        """
        # z = W [x; h_prev; 1]:      ∂z/∂x = W_ih  (2.5)   ∂z/∂W = [x; h_prev; 1]ᵀ  (2.6)
        grad_x = np.matmul(self.weights.ih_transposed, grad_z)
        return grad_x, [(grad_z, self.inputs[steps])]


@dataclass
class Local:
    """The local derivatives of some steps; what a kind of step does not have is None.

    grad_z starts as ∂h/∂z, (steps, H, N), or, of an LSTM, as ∂h/∂z_o, ∂c/∂z_i, ∂c/∂z_f and ∂c/∂z_g,
    (steps, 4H, N). `chain` multiplies step j by the gradient from above, in place; from then on
    grad_z[j] is the gradient of z.
    """

    grad_z: Array
    dh_dz_o: Any = None  # (steps, H, N), a part of grad_z
    dc_dz_ifg: Any = None  # (steps, 3, H, N), the rest of it
    dh_dc: Any = None  # (steps, H, N)
    dc_dc_prev: Any = None  # (steps, H, N); the gates held fixed
    factors: State = ()  # ∂h/∂o, ∂c/∂i, ∂c/∂f and ∂c/∂g, (steps, H, N) each
    grad_h: Any = None  # with a projection, a place for the gradients of h, (steps, P, N)


class RNNStep(Step):
    """h = tanh(W_ih x + b_ih + W_hh h_prev + b_hh)  (Elman 1990; the form of torch.nn.RNN)."""

    def activate(self, t: int) -> None:
        """From z to h."""
        # h = tanh(z)  (2.2)
        np.tanh(self.z[t], out=self.h[t + 1])

    def local_derivatives(self, steps: slice) -> Local:
        """∂h/∂z, (steps, H, N)."""
        # h = tanh(z):               ∂h/∂z = 1 − tanh²(z) = 1 − h²  (2.3)
        dh_dz = self.h[1:][steps].copy()
        dh_dz *= dh_dz
        return Local(np.subtract(1, dh_dz, out=dh_dz))

    def chain(self, j: int, local: Local, grad_h: Array) -> tuple[()]:
        """From the gradient of h, (H, N), to that of z, which is left in local.grad_z[j]."""
        # grad_z = grad_h ⊙ ∂h/∂z  (2.4)
        grad_z = local.grad_z[j]
        grad_z *= grad_h
        return ()

    def named_arrays(self) -> dict[str, Array]:
        """What a record shows, (T, features, N) each."""
        return {"x": self.x, "h_prev": self.h[:-1], "h": self.h[1:]}

    def named_gradients(self, grad_h: Array, grad_z: Array) -> dict[str, Array]:
        """What a record of the backward pass shows."""
        return {"grad_h": grad_h, "grad_z": grad_z}


class ReLUStep(RNNStep):
    """h = max(0, W_ih x + b_ih + W_hh h_prev + b_hh)."""

    def activate(self, t: int) -> None:
        # h = max(0, z)
        np.maximum(self.z[t], 0, out=self.h[t + 1])

    def local_derivatives(self, steps: slice) -> Local:
        # ∂h/∂z = 0 where h ≤ 0, else 1: as in PyTorch, 0 at the kink and 1 for NaN
        h = self.h[1:][steps]
        return Local(np.where(h <= 0, 0, 1).astype(h.dtype))

    def chain(self, j: int, local: Local, grad_h: Array) -> tuple[()]:
        # grad_z = grad_h ⊙ ∂h/∂z; a closed ReLU lets nothing through, not even ∞ · 0 = NaN
        grad_z = local.grad_z[j]
        np.multiply(grad_z, grad_h, out=grad_z, where=grad_z != 0)
        return ()


RNN_STEPS: dict[str, type[RNNStep]] = {"tanh": RNNStep, "relu": ReLUStep}


class LSTMStep(Step):
    """o, i, f = σ(z), g = tanh(z), c = f ⊙ c_prev + i ⊙ g, h = o ⊙ tanh(c).

    Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000; the form of
    torch.nn.LSTM. Parameters hold the gates as i, f, g, o. Inside they are o, i, f, g: the three σ
    lie side by side for the forward pass, and the three that act on c for the backward pass.
    """

    gate_order = (3, 0, 1, 2)
    negated = 3  # o, i, f: their product with W is −z
    own = {"z": 4, "c": 1, "tanh_c": 1}  # noqa: RUF012 -- never changed
    tanh_c: Array  # kept: a tanh costs more than the memory of its result

    def activate(self, t: int, h: Array | None = None) -> None:
        """From z and c[t] to h[t + 1] and c[t + 1]. z becomes o, i, f, g in place.

        h: where h is written, if it is not h[t + 1].
        """
        h = self.h[t + 1] if h is None else h
        sigmoids, o, i, f, g = self.gates[:3, t], self.o[t], self.i[t], self.f[t], self.g[t]
        c_prev, c, tanh_c = self.c[t], self.c[t + 1], self.tanh_c[t]
        # o, i, f = σ(z) = 1 / (1 + e⁻ᶻ), which is 0 for e⁻ᶻ = ∞  (5.1)
        np.exp(sigmoids, out=sigmoids)  # W holds the rows of o, i, f negated, so that this is e⁻ᶻ
        sigmoids += 1
        np.reciprocal(sigmoids, out=sigmoids)
        # g = tanh(z)  (5.2)
        np.tanh(g, out=g)
        # c = f ⊙ c_prev + i ⊙ g  (5.3)
        np.multiply(f, c_prev, out=c)
        i_g = np.multiply(i, g, out=tanh_c)  # a place that is free until tanh(c) is written there
        c += i_g
        # h = o ⊙ tanh(c)  (5.4)
        np.tanh(c, out=tanh_c)
        np.multiply(o, tanh_c, out=h)

    def local_derivatives(self, steps: slice) -> Local:
        """∂h/∂c, ∂c/∂c_prev, and ∂h/∂z_o, ∂c/∂z_i, ∂c/∂z_f, ∂c/∂z_g, of z itself, not of −z."""
        tanh_c, c_prev = self.tanh_c[steps], self.c[steps]
        gates, grad_z = self.gates[:, steps], np.empty_like(self.z[steps])
        # (4, steps, H, N): the derivatives of the gates, and then in their place those of h and c
        d_gates = dz = grad_z.reshape(gates.swapaxes(0, 1).shape).swapaxes(0, 1)
        if tanh_c[0].size < 1024:  # NumPy is faster with a small gate of all steps in one piece
            gates, d_gates = gates.copy(), np.empty(gates.shape, gates.dtype)
        sigmoids, (o, i, f, g) = gates[:3], gates
        # h = o ⊙ tanh(c):           ∂h/∂c = o (1 − tanh²(c))  (5.5)
        dh_dc = tanh_c * tanh_c
        np.subtract(1, dh_dc, out=dh_dc)
        dh_dc *= o
        # o, i, f = σ(z):            ∂σ/∂z = σ (1 − σ)  (5.6)
        d_sigmoids, d_g = d_gates[:3], d_gates[3]
        np.subtract(1, sigmoids, out=d_sigmoids)
        d_sigmoids *= sigmoids
        # g = tanh(z):               ∂g/∂z = 1 − g²  (5.6)
        np.multiply(g, g, out=d_g)
        np.subtract(1, d_g, out=d_g)
        # h = o ⊙ tanh(c):           ∂h/∂o = tanh(c)  (5.7)
        # c = f ⊙ c_prev + i ⊙ g:    ∂c/∂i = g   ∂c/∂f = c_prev   ∂c/∂g = i   ∂c/∂c_prev = f
        factors = tanh_c, g, c_prev, i
        # ∂h/∂z_o = ∂h/∂o ∂o/∂z_o,   ∂c/∂z_i = ∂c/∂i ∂i/∂z_i,   and so for f and g
        for gate, factor in enumerate(factors):
            np.multiply(factor, d_gates[gate], out=dz[gate])
        return Local(grad_z, dz[0], dz[1:].swapaxes(0, 1), dh_dc, f, factors)

    def chain(self, j: int, local: Local, grad_h: Array, grad_c: Array) -> tuple[Array]:
        """From the gradients of h and c, (H, N), to those of z and c_prev.

        Leaves the gradient of z in local.grad_z[j]. Overwrites grad_c, the gradient of c, with that
        of c_prev, and returns it.
        """
        # c goes on to step t+1 and into h: grad_c comes in as the part from step t+1.
        #                             grad_c = grad_c + grad_h ⊙ ∂h/∂c  (5.8)
        grad_c += grad_h * local.dh_dc[j]
        # z_o acts on h:              grad_z_o = grad_h ⊙ ∂h/∂z_o  (5.9)
        grad_z_o = local.dh_dz_o[j]  # a place in grad_z, as yet with the local derivative
        grad_z_o *= grad_h
        # z_i, z_f, z_g act on c:     grad_z_i = grad_c ⊙ ∂c/∂z_i, and so for f and g  (5.10)
        grad_z_ifg = local.dc_dz_ifg[j]
        grad_z_ifg *= grad_c
        # c_prev acts on c:           grad_c_prev = grad_c ⊙ ∂c/∂c_prev = grad_c ⊙ f  (5.11)
        grad_c *= local.dc_dc_prev[j]
        return (grad_c,)

    def named_arrays(self) -> dict[str, Array]:
        o, i, f, g = self.gates[:, :-1]
        return {
            **{"x": self.x, "h_prev": self.h[:-1], "c_prev": self.c[:-1]},
            **{"i": i, "f": f, "g": g, "o": o},
            **{"c": self.c[1:], "tanh_c": self.tanh_c[:-1], "h": self.h[1:]},
        }

    def named_gradients(self, grad_h: Array, grad_z: Array, from_next: Array) -> dict[str, Array]:
        """The same; from_next: the part of the gradient of c that comes from step t+1."""
        local = self.local_derivatives(slice(len(grad_h)))
        from_h = grad_h * local.dh_dc
        grad_c = from_next + from_h
        dh_do, dc_di, dc_df, dc_dg = local.factors
        z_o, z_i, z_f, z_g = grad_z.reshape(len(grad_h), 4, *grad_h.shape[1:]).swapaxes(0, 1)
        return {
            **{"grad_h": grad_h, "grad_c": grad_c},
            **{"grad_c_from_h": from_h, "grad_c_from_next": from_next},
            **{"grad_i": grad_c * dc_di, "grad_f": grad_c * dc_df, "grad_g": grad_c * dc_dg},
            **{"grad_o": grad_h * dh_do},
            **{"grad_z_i": z_i, "grad_z_f": z_f, "grad_z_g": z_g, "grad_z_o": z_o},
        }


class ProjectedLSTMStep(LSTMStep):
    """h = W_hr m, with m = o ⊙ tanh(c) what an LSTM without projection calls h.

    Sak, Senior and Beaufays 2014; the form of torch.nn.LSTM. m is (T, H, N), h and h_prev are
    (T, P, N).
    """

    own = {**LSTMStep.own, "m": 1}  # noqa: RUF012 -- never changed
    m: Array

    def activate(self, t: int, h: Array | None = None) -> None:
        super().activate(t, self.m[t])
        # h = W_hr m
        np.dot(self.weights.projection, self.m[t], out=self.h[t + 1])

    def local_derivatives(self, steps: slice) -> Local:
        """Those of m and c, and a place for the gradients of h, which that of W_hr needs."""
        local = super().local_derivatives(steps)
        local.grad_h = np.empty_like(self.h[1:][steps])
        return local

    def chain(self, j: int, local: Local, grad_h: Array, grad_c: Array) -> tuple[Array]:
        local.grad_h[j] = grad_h
        # h = W_hr m:                ∂h/∂m = W_hr
        grad_m = self.weights.projection.T @ grad_h
        return super().chain(j, local, grad_m, grad_c)

    def affine_backward(
        self, steps: slice, grad_z: Array, grad_h: Array | None
    ) -> tuple[Array, Products]:
        grad_x, pairs = super().affine_backward(steps, grad_z, grad_h)
        # h = W_hr m:                ∂h/∂W_hr = mᵀ
        assert grad_h is not None
        return grad_x, [*pairs, (grad_h, self.m[steps])]

    def named_arrays(self) -> dict[str, Array]:
        arrays = super().named_arrays()
        return {**arrays, "m": self.m[:-1], "h": arrays.pop("h")}

    def named_gradients(self, grad_h: Array, grad_z: Array, from_next: Array) -> dict[str, Array]:
        grad_m = self.weights.projection.T @ grad_h
        gradients = super().named_gradients(grad_m, grad_z, from_next)
        return gradients | {"grad_m": grad_m, "grad_h": grad_h}


class Cell(Module):
    """What RNNCell and LSTMCell share: the parameters, and one step with them."""

    states: ClassVar[tuple[str, ...]]  # what is handed from step to step
    gates: ClassVar[int]  # rows of a parameter, in units of H
    kind: Any  # whose equations it has: RNNStep, ReLUStep or LSTMStep
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None = None
    bias_hh: Parameter | None = None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        check_size("input_size", input_size)
        check_size("hidden_size", hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        bound = 1 / np.sqrt(hidden_size) if hidden_size else 0.0
        generator = np.random.default_rng(rng)
        rows = self.gates * hidden_size
        for name, shape in cell_shapes(rows, input_size, hidden_size, bool(bias)).items():
            setattr(self, name, uniform_parameter(shape, bound, dtype, generator))

    def __call__(self, x: Array, state: Any = None) -> Any:
        """The new state: h of an RNNCell, (h, c) of an LSTMCell."""
        step = self.forward(x, state)
        arrays = [getattr(step, name).T.copy() for name in self.states]
        return self._turned(step.batched, arrays)

    @without_warnings
    def forward(self, x: Array, state: Any = None) -> Any:
        """The same step with all that it computed.

        x: (N, input_size) or (input_size,). state: h, or (h, c), each (N, hidden_size) or
        (hidden_size,); zeros if it is None.
        Raises TypeError if x or a state is not an array, or the state of an LSTMCell not a pair;
        ValueError unless x is 1-D or 2-D; RuntimeError for another size or dtype.
        """
        states = check_cell_inputs(self, x, state)
        weights = Weights(CellParameters.of(self), self.kind.gate_order, self.kind.negated)
        batched = x.ndim == 2
        x, *states = (np.atleast_2d(array).T for array in (x, *states))  # (D, N), (H, N)
        step = self.kind(weights, 1, states, np.empty)
        step.forward(0, x)
        return CellRecord(step, batched)

    def backward(self, record: Any, grad_state: Any) -> tuple[Array, Any]:
        """The gradients of x and of the state before, given that of the state after.

        grad_state: in the structure of the state, None for zeros. The gradients of the parameters
        are added to their `.grad`, with the weights that `forward` used.
        Raises TypeError if the record is not one or a gradient not an array, RuntimeError for
        another shape or a record of other parameters, ValueError for another dtype.
        """
        back = self.backward_record(record, grad_state)
        return back.grad_x, back.grad_state_prev

    @without_warnings
    def backward_record(self, record: Any, grad_state: Any) -> CellBackwardRecord:
        """`backward` with all that it computed: `.grad_x`, `.grad_h`, ..."""
        given = check_cell_gradients(self, record, CellRecord, grad_state)
        (step,) = record.steps
        above = [np.atleast_2d(grad).T[np.newaxis].copy() for grad in given]  # (1, H, N)
        only = slice(0, 1)
        local = step.local_derivatives(only)
        # In copies: the gradient of c is changed in place.
        grad_prev = step.backward(0, local, *(grad[0].copy() for grad in above))
        (grad_x,), pairs = step.affine_backward(only, local.grad_z, local.grad_h)
        for parameter, grad in step.weights.by_parameter(*products([pairs])):
            parameter.add_grad(grad)
        turned = [self._turned(record.batched, arrays) for arrays in ([grad_x], grad_prev)]
        return CellBackwardRecord(record, above, local.grad_z, *turned)

    @staticmethod
    def _turned(batched: bool, arrays: State) -> Any:
        """(H, N) → (N, H), or (H,) without a batch; one array alone, or a pair."""
        turned = tuple(array.T if batched else array[:, 0] for array in arrays)
        return turned if len(turned) > 1 else turned[0]

    def extra_repr(self) -> str:
        bias = "" if self.bias is True else f", bias={self.bias}"
        return f"{self.input_size}, {self.hidden_size}{bias}"


class RNNCell(Cell):
    """h = tanh(W_ih x + b_ih + W_hh h_prev + b_hh) (Elman 1990), or with ReLU.

    Parameters weight_ih (H, input_size), weight_hh (H, H) and, unless `bias` is false, bias_ih and
    bias_hh (H,), H = hidden_size; drawn uniformly within ±1/√H. `nonlinearity` is "tanh" or "relu",
    `dtype` a float or complex type, `rng` a seed or a `numpy.random.Generator`.

        step = cell.forward(x, h_prev)                       # x, h_prev, h: (N, ...)
        grad_x, grad_h_prev = cell.backward(step, grad_h)

    Raises TypeError for sizes that are not integers, RuntimeError for negative ones and for a dtype
    of integers, and RuntimeError at the call for another nonlinearity. Like
    https://docs.pytorch.org/docs/2.13/generated/torch.nn.RNNCell.html.
    """

    states = ("h",)
    gates = 1

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
        super().__init__(input_size, hidden_size, bias, dtype=dtype, rng=rng)

    @property
    def kind(self) -> type[RNNStep]:
        check_nonlinearity(self.nonlinearity, RuntimeError)
        return RNN_STEPS[self.nonlinearity]

    def extra_repr(self) -> str:
        relu = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + relu


class LSTMCell(Cell):
    """i, f, o = σ(…), g = tanh(…), c = f ⊙ c_prev + i ⊙ g, h = o ⊙ tanh(c).

    Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000. Parameters weight_ih
    (4H, input_size), weight_hh (4H, H) and, unless `bias` is false, bias_ih and bias_hh (4H,),
    H = hidden_size, the gates in the order i, f, g, o; drawn uniformly within ±1/√H. `dtype` is a
    float or complex type, `rng` a seed or a `numpy.random.Generator`.

        step = cell.forward(x, (h_prev, c_prev))  # x, h_prev, c_prev, i, f, g, o, c, tanh_c, h
        grad_x, (grad_h_prev, grad_c_prev) = cell.backward(step, (grad_h, grad_c))

    Raises TypeError for sizes that are not integers, RuntimeError for negative ones and for a dtype
    of integers. Like https://docs.pytorch.org/docs/2.13/generated/torch.nn.LSTMCell.html.
    """

    states = ("h", "c")
    gates = 4
    kind = LSTMStep


def cell_shapes(
    rows: int, input_size: int, state_size: int, bias: bool
) -> dict[str, tuple[int, ...]]:
    """The parameters of a cell and their shapes; `rows` is H for each gate."""
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (rows, input_size),
        "weight_hh": (rows, state_size),
    }
    return shapes | ({"bias_ih": (rows,), "bias_hh": (rows,)} if bias else {})
