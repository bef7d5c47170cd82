"""Classic mistakes, each one line of a right backward pass replaced, and the cause to be named.

They are those of public course code and issue trackers: the carry that is never assigned, the
derivative of the wrong quantity, `=` where `+=` belongs.
"""

from __future__ import annotations

import inspect
from typing import NamedTuple

import numpy as np

from scratch import LSTM, RNN, CrossEntropyLoss, Linear, LSTMCell, MSELoss, RNNCell
from tests.scratch.gradcheck import students
from tests.scratch.gradcheck.students import GatewiseLSTM, JointLSTM, StudentLSTMCell, StudentRNN


class Mistake(NamedTuple):
    of: type
    line: str
    instead: str
    named: str  # how the report begins: the name of its first finding


JOINT = [
    Mistake(JointLSTM, "dc_next = dc * f", "pass", "missing carry of c"),
    Mistake(JointLSTM, "dc = dc_next + dh", "dc = dh", "missing carry of c"),
    Mistake(JointLSTM, "dc_next = dc * f", "dc_next = 0 * dc", "missing carry of c"),
    Mistake(JointLSTM, "dh = grad_output[t] + dh_next", "dh = grad_output[t]",
            "missing carry of h"),
    Mistake(JointLSTM, "dh_next = dz @ self.W_h.data", "dh_last = dz @ self.W_h.data",
            "missing carry of h"),
    Mistake(JointLSTM, "dh_next = dz @ self.W_h.data",
            "dh_next, dc_next = 0 * dh_next, 0 * dc_next", "missing carry of h and c"),
    Mistake(JointLSTM, "dh_next, dc_next = grad_state", "dh_next, dc_next = np.zeros((2, N, H))",
            "gradient of the final state ignored"),
    Mistake(JointLSTM, "dh_next, dc_next = grad_state",
            "dh_next, dc_next = grad_state[0], np.zeros((N, H))",
            "gradient of the final state ignored"),
    Mistake(JointLSTM, "dh = grad_output[t] + dh_next",
            "dh = dh_next + (grad_output[t] if t == T - 1 else 0)",
            "only the last step's output"),
    Mistake(JointLSTM, "dz = np.concatenate([dzi, dzf, dzg, dzo], axis=-1)",
            "dz = np.concatenate([dzi, dzf, dzo, dzg], axis=-1)", "gates in another order"),
    Mistake(JointLSTM, "self.W_h.add_grad(dW_h)",
            "self.W_h.add_grad(np.concatenate([dW_h[H:2 * H], dW_h[:H], dW_h[2 * H:]]))",
            "gates in another order"),
    Mistake(JointLSTM, "dzi = di * i * (1 - i)", "dzi = di * i", "local derivative of gate i"),
    Mistake(JointLSTM, "dzf = df * f * (1 - f)", "dzf = df * zf * (1 - zf)",
            "local derivative of gate f"),
    Mistake(JointLSTM, "dzo = do * o * (1 - o)",
            "dzo = do * sigmoid(o) * (1 - sigmoid(o))", "local derivative of gate o"),
    Mistake(JointLSTM, "dzo = do * o * (1 - o)", "dzo = do * (1 - o**2)",
            "local derivative of gate o"),
    Mistake(JointLSTM, "dzg = dg * (1 - g**2)", "dzg = dg * g * (1 - g)",
            "local derivative of gate g"),
    Mistake(JointLSTM, "dzg = dg * (1 - g**2)", "dzg = dg * (1 - zg**2)",
            "local derivative of gate g"),
    Mistake(JointLSTM, "dzf = df * f * (1 - f)", "dzf = df", "local derivative of gate f"),
    Mistake(JointLSTM, "(1 - tanh_c**2)", "(1 - c**2)", "local derivative of tanh(c)"),
    Mistake(JointLSTM, "dh * o * (1 - tanh_c**2)", "dh * o", "local derivative of tanh(c)"),
    Mistake(JointLSTM, "dh * o * (1 - tanh_c**2)", "dh * (1 - tanh_c**2)", "o left out of grad_c"),
    Mistake(JointLSTM, "do = dh * tanh_c", "do = dh * c", "grad_o from c"),
    Mistake(JointLSTM, "di = dc * g", "di = dc * i", "grad_i from i"),
    Mistake(JointLSTM, "dc_next = dc * f", "dc_next = dc", "f left out of the carry"),
    Mistake(JointLSTM, "df = dc * c_prev", "df = dc * c", "c shifted by one step"),
    Mistake(JointLSTM, "dW_h += dz.T @ h_prev", "dW_h += dz.T @ h", "h shifted by one step"),
    Mistake(JointLSTM, "dW_h += dz.T @ h_prev",
            "dW_h += dz.T @ (h_prev if t else 0 * h_prev)", "initial state ignored"),
    Mistake(JointLSTM, "df = dc * c_prev", "df = dc * (c_prev if t else 0)",
            "initial state ignored"),
    Mistake(JointLSTM, "dW_x += dz.T @ x[t]", "dW_x = dz.T @ x[t]", "assigned instead of added"),
    Mistake(JointLSTM, "db += dz.sum(axis=0)", "db = dz.sum(axis=0)", "assigned instead of added"),
    Mistake(JointLSTM, "self.b_h.add_grad(db)", "pass", "gradient missing"),
    Mistake(JointLSTM, "self.b_h.add_grad(db)", "self.b_h.add_grad(2 * db)", "factor 2"),
    Mistake(JointLSTM, "self.b_h.add_grad(db)", "self.b_x.add_grad(db)", "factor 2"),
    Mistake(JointLSTM, "self.b_h.add_grad(db)",
            "self.b_h.add_grad(np.concatenate([db[H:2 * H], db[H:]]))",
            "gate f's gradient used for gate i"),
    Mistake(JointLSTM, "self.W_x.add_grad(dW_x)", "self.W_x.grad = dW_x",
            "assigned instead of added between passes"),
    Mistake(JointLSTM, "self.W_x.add_grad(dW_x)", "self.W_x.add_grad(-dW_x)", "factor −1"),
    Mistake(JointLSTM, "self.W_x.add_grad(dW_x)", "self.W_x.add_grad(dW_x / T)",
            "factor 1/the number of steps T"),
    Mistake(JointLSTM, "db += dz.sum(axis=0)", "db += dz.mean(axis=0)",
            "factor 1/the batch size N"),
    Mistake(JointLSTM, "return dx, (dh_next, dc_next)", "return dx, None", "gradient missing"),
    Mistake(JointLSTM, "return dx, (dh_next, dc_next)", "return dx, (0 * dh_next, dc_next)",
            "gradient zero"),
    Mistake(JointLSTM, "return dx, (dh_next, dc_next)",
            "return dx.swapaxes(0, 1), (dh_next, dc_next)", "wrong shape"),
    Mistake(JointLSTM, "dh = grad_output[t] + dh_next",
            "dh = np.clip(grad_output[t] + dh_next, -1, 1)", "clipping"),
    Mistake(JointLSTM, "self.W_h.add_grad(dW_h)", "self.W_h.add_grad(np.clip(dW_h, -5, 5))",
            "clipping"),
    Mistake(JointLSTM, "dx = np.zeros_like(x)",
            "dx = np.zeros_like(x); grad_output = np.ones_like(grad_output)", "upstream of ones"),
    Mistake(JointLSTM, "dh = grad_output[t] + dh_next",
            "dh = grad_output[t] = grad_output[t] + dh_next",
            "backward changes the upstream gradient"),
    Mistake(JointLSTM, "dc = dc_next + dh", "i *= 0.5; dc = dc_next + dh",
            "backward changes the record"),
    Mistake(JointLSTM, "z = x[t] @", "x[t] *= 0.9; z = x[t] @", "the call changes inputs"),
    Mistake(JointLSTM, "h = o * np.tanh(c)",
            "h = o * np.tanh(c) + 0.1 * np.random.default_rng().normal()", "random forward"),
    Mistake(JointLSTM, 'return cache["output"], (cache', 'return 2 * cache["output"], (cache',
            "call and forward differ"),
    Mistake(JointLSTM, "hs, cs, gates, zs = [h], [c], [], []",
            "self.gates = gates = getattr(self, 'gates', []); gates.clear(); "
            "hs, cs, zs = [h], [c], []", "module remembers a pass"),
    Mistake(JointLSTM, "dx[t] = dz @", "dx[T - 1 - t] = dz @", "reversed"),
    Mistake(JointLSTM, "dx = np.zeros_like(x)", "dx = np.zeros_like(x, dtype=np.float32)",
            "float32 inside"),
    Mistake(JointLSTM, "dx[t] = dz @ self.W_x.data",
            "dx[t] = dz[:, :3 * H] @ self.W_x.data[:3 * H]", "gate o left out of grad_x"),
    Mistake(JointLSTM, "for t in reversed(range(T)):", "for t in reversed(range(1, T)):",
            "first step skipped"),
]  # fmt: skip

GATEWISE = [
    Mistake(GatewiseLSTM, "dc_next = f * dc", "pass", "missing carry of c"),
    Mistake(GatewiseLSTM, "dh_next = dhx[:, :H]", "pass", "missing carry of h"),
    Mistake(GatewiseLSTM, "di = dc * g * i * (1 - i)", "di = dc * g * i",
            "local derivative of gate i"),
    Mistake(GatewiseLSTM, "self.b_f.add_grad(df", "self.b_f.add_grad(di",
            "gate i's gradient used for gate f"),
    Mistake(GatewiseLSTM, "self.W_o.add_grad(do", "self.W_o.add_grad(-do", "factor −1"),
    Mistake(GatewiseLSTM, " + dg @ self.W_c.data", "", "gate g left out of grad_h and grad_x"),
    Mistake(GatewiseLSTM, "self.b_i.add_grad(di.sum(axis=0))", "self.b_i.grad = di.sum(axis=0)",
            "assigned instead of added between passes"),
    Mistake(GatewiseLSTM, "self.b_o.add_grad(do.sum(axis=0))", "self.b_o.add_grad(do[0])",
            "not summed over the batch"),
    Mistake(GatewiseLSTM, "np.stack(grad_x[::-1], axis=1)", "np.stack(grad_x, axis=1)", "reversed"),
    Mistake(GatewiseLSTM, "dh_next, dc_next = grad_h, grad_c",
            "dh_next, dc_next = np.zeros_like(grad_h), np.zeros_like(grad_c)",
            "gradient of the final state ignored"),
    Mistake(GatewiseLSTM, "df = dc * c_prev", "df = dc * c", "c shifted by one step"),
]  # fmt: skip

PLAIN = [
    Mistake(StudentRNN, "dh = grad_output[t] + grad_h", "dh = grad_output[t]",
            "missing carry of h"),
    Mistake(StudentRNN, "(1 - hs[t + 1] ** 2)", "(1 - hs[t] ** 2)",
            "local derivative of h"),
    Mistake(StudentRNN, "(1 - hs[t + 1] ** 2)", "(1 - np.tanh(hs[t + 1]) ** 2)",
            "local derivative of h"),
    Mistake(StudentRNN, "hs[t].T @ dz", "hs[t + 1].T @ dz", "h shifted by one step"),
    Mistake(StudentRNN, "grad_h = dz @ self.W_hh.data.T", "grad_h = dz @ self.W_hh.data",
            "W_hh transposed"),
    Mistake(StudentRNN, "db = db + dz", "db = dz", "assigned instead of added"),
    Mistake(StudentRNN, "self.W_hh.add_grad(dW_hh)", "self.W_hh.add_grad(dW_hh.T)", "transposed"),
    Mistake(StudentRNN, "self.W_xh.add_grad(dW_xh)", "self.W_xh.add_grad(dW_xh.T)", "transposed"),
    Mistake(StudentRNN, "keepdims=True", "keepdims=False", "wrong shape"),
    Mistake(StudentRNN, "dz.sum(axis=0, keepdims=True)", "dz", "wrong shape"),
    Mistake(StudentRNN, "hs.append(np.tanh(", "hs.append(np.maximum(0, ", "local derivative of h"),
    Mistake(StudentRNN, "self.b.add_grad(db)", "self.b.grad += db", "None not handled"),
]  # fmt: skip

CELL = [
    Mistake(StudentLSTMCell, "grad_c + grad_h * o", "grad_h * o", "gradient of c ignored"),
    Mistake(StudentLSTMCell, "grad_z @ self.weight_hh.data, grad_c * f",
            "grad_z @ self.weight_hh.data, grad_c", "f left out of the carry"),
    Mistake(StudentLSTMCell, "grad_o * o * (1 - o)", "grad_o * o", "local derivative of gate o"),
    Mistake(StudentLSTMCell, "self.bias_hh.add_grad(grad_z.sum(axis=0))",
            "self.bias_hh.add_grad(grad_z.mean(axis=0))", "factor 1/the batch size N"),
    Mistake(StudentLSTMCell, "grad_c * g, grad_c * c_prev", "grad_c * g, grad_c * c",
            "c shifted by one step"),
]  # fmt: skip

ZOO = [*JOINT, *GATEWISE, *PLAIN, *CELL]


# Mistakes in subclasses of this package's own modules.


class LinearTransposed(Linear):
    def backward(self, record, grad_output):
        grad = super().backward(record, grad_output)
        self.weight.grad = self.weight.grad.T
        return grad


class LinearAssigned(Linear):
    def backward(self, record, grad_output):
        self.weight.grad = None
        return super().backward(record, grad_output)


class LinearWithoutBias(Linear):
    def backward(self, record, grad_output):
        kept = self.bias.grad
        grad = super().backward(record, grad_output)
        self.bias.grad = kept
        return grad


class LossWithoutMean(MSELoss):
    def backward(self, record, grad_loss=1):
        return super().backward(record, grad_loss) * record.difference.size


class LossWithoutTwo(MSELoss):
    def backward(self, record, grad_loss=1):
        return super().backward(record, grad_loss) / 2


class LossOverBatch(CrossEntropyLoss):
    def backward(self, record, grad_loss=1):
        return super().backward(record, grad_loss) / len(record.log_softmax)


class LossIgnoresUpstream(MSELoss):
    def backward(self, record, grad_loss=1):
        return super().backward(record)


class CellOfOnes(RNNCell):
    def backward(self, step, grad_state):
        return super().backward(step, np.ones_like(grad_state))


class CellSign(LSTMCell):
    def backward(self, step, grad_state):
        grad_x, grad_prev = super().backward(step, grad_state)
        return -grad_x, grad_prev


class LayerWithoutLastState(LSTM):
    def backward(self, trace, grad_output=None, grad_state=None):
        return super().backward(trace, grad_output)


class LayerWithoutOutput(RNN):
    def backward(self, trace, grad_output=None, grad_state=None):
        return super().backward(trace, None, grad_state)


class LayerSwapsGates(LSTM):
    def backward(self, trace, grad_output=None, grad_state=None):
        grads = super().backward(trace, grad_output, grad_state)
        i, f, g, o = np.split(self.bias_hh_l0.grad, 4)
        self.bias_hh_l0.grad = np.concatenate([f, i, g, o])
        return grads


class LayerClips(RNN):
    def backward(self, trace, grad_output=None, grad_state=None):
        grads = super().backward(trace, grad_output, grad_state)
        for parameter in self.parameters():
            np.clip(parameter.grad, -0.5, 0.5, out=parameter.grad)
        return grads


def subclasses() -> list[tuple[object, tuple, str]]:
    """A module, its inputs, and the name of the first finding."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 3, 5))  # (T, N, D)
    y = rng.standard_normal((4, 3, 5))
    double = {"dtype": np.float64, "rng": 1}
    return [
        (LinearTransposed(5, 2, **double), (x,), "transposed"),
        (LinearTransposed(5, 5, **double), (x,), "transposed"),
        (LinearAssigned(5, 2, **double), (x,), "assigned instead of added between passes"),
        (LinearWithoutBias(5, 2, **double), (x,), "gradient missing"),
        (LossWithoutMean(), (x, y), "factor the number of entries of prediction"),
        (LossWithoutTwo(), (x, y), "factor 1/2"),
        (LossOverBatch(), (x[:, 0], np.array([0, 1, 2, 3])),
         "factor 1/the size of prediction along axis 0"),
        (LossIgnoresUpstream(), (x, y), "upstream of ones"),
        (CellOfOnes(5, 4, **double), (x[0],), "upstream of ones"),
        (CellSign(5, 4, **double), (x[0],), "factor −1"),
        (LayerWithoutLastState(5, 4, **double), (x,), "gradient of the final state ignored"),
        (LayerWithoutLastState(5, 4, 2, bidirectional=True, **double), (x,),
         "gradient of the final state ignored"),
        (LayerWithoutOutput(5, 4, **double), (x,), "gradient of the output ignored"),
        (LayerSwapsGates(5, 4, **double), (x,), "gates in another order"),
        (LayerSwapsGates(5, 4, 2, **double), (x,), "gates in another order"),
        (LayerClips(5, 4, **double), (x,), "clipping"),
    ]  # fmt: skip


def plant(of: type, *changes: tuple[str, str]) -> type:
    """The class with lines of its source replaced."""
    source = inspect.getsource(of)
    for line, instead in changes:
        assert line in source, f"{of.__name__} has no {line!r}"
        source = source.replace(line, instead)
    namespace = dict(vars(students))
    exec(source, namespace)
    return namespace[of.__name__]


def make(of: type, rng: np.random.Generator):
    """A module with D = 4, H = 5, and inputs with T = 4, N = 3."""
    module = of(4, 5, rng)
    if issubclass(of, StudentLSTMCell) or of.__name__ == "StudentLSTMCell":
        return module, (rng.standard_normal((3, 4)), tuple(rng.standard_normal((2, 3, 5))))
    h, c = rng.standard_normal((2, 3, 5))
    if of.__name__ == "JointLSTM":
        return module, (rng.standard_normal((4, 3, 4)), (h, c))
    if of.__name__ == "GatewiseLSTM":
        return module, (rng.standard_normal((3, 4, 4)), h, c)
    return module, (rng.standard_normal((4, 3, 4)), h)
