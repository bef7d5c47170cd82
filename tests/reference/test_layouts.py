"""docs/layouts.md: every row of its table, on weights that lie so and are converted by hand."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from reference import compare
from reference.readings import ORDERS, Read, Reading

PAGE = Path(__file__).parents[2] / "docs" / "layouts.md"
T, N, D, H = 4, 2, 3, 5
GATES = "ifgo"


def table():
    """The cells of every row, by the layout's name."""
    rows = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if line[:1] == "|"]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows[2:]}


ROWS = table()


def split(array, order, axis):
    return dict(zip(order, np.split(array, 4, axis), strict=True))


class Foreign:
    """An LSTM that keeps its weights as a row of the table says, and adds them up as it does.

    Differentiated by autograd; forward keeps the graph, as classes with a cache do.
    """

    def __init__(self, name, seed=0):
        self.name, rng = name, np.random.default_rng(seed)
        self.order = ROWS[name][0].replace(" ", "")
        self.forget_bias = float(ROWS[name][5])
        for attribute, shape in self.shapes().items():
            setattr(self, attribute, rng.normal(0, 0.7, shape))

    def shapes(self):
        inputs, _, biases = ROWS[self.name][1:4]
        if "four of" in inputs:
            return {f"{kind}{g}": (H, H + D) if kind == "W" else (H, 1)
                    for g in self.order for kind in "Wb"}  # fmt: skip
        bias = {
            "one of (1, 8H): both": {"B": (1, 8 * H)},
            "two of (4H)": {"b1": 4 * H, "b2": 4 * H},
        }
        shapes = {
            "(4H, D)": {"Wx": (4 * H, D), "Wh": (4 * H, H)},
            "(1, 4H, D)": {"Wx": (1, 4 * H, D), "Wh": (1, 4 * H, H)},
            "(D, 4H)": {"Wx": (D, 4 * H), "Wh": (H, 4 * H)},
            "(D + H, 4H), x first": {"W": (D + H, 4 * H)},
        }[inputs]
        return shapes | bias.get(biases, {"b": 4 * H})

    def z(self, w, x, h):
        """The four pre-activations by gate, as the library computes them."""
        if "Wi" in w:
            hx = torch.cat([h, x], 1)
            return {g: (w[f"W{g}"] @ hx.T + w[f"b{g}"]).T for g in GATES}
        if "W" in w:
            z = torch.cat([x, h], 1) @ w["W"] + w["b"]
        elif w["Wx"].dim() == 3:
            z = x @ w["Wx"][0].T + h @ w["Wh"][0].T + w["B"][0, : 4 * H] + w["B"][0, 4 * H :]
        elif "b1" in w:
            z = x @ w["Wx"].T + h @ w["Wh"].T + w["b1"] + w["b2"]
        else:
            z = x @ w["Wx"] + h @ w["Wh"] + w["b"]
        return dict(zip(self.order, z.chunk(4, 1), strict=True))

    def forward(self, x):
        hard = "0.2 z" in ROWS[self.name][4]
        sigmoid = (lambda z: (0.2 * z + 0.5).clamp(0, 1)) if hard else torch.sigmoid
        self.w = {n: torch.tensor(getattr(self, n), requires_grad=True) for n in self.shapes()}
        self.x = torch.tensor(x, requires_grad=True)
        h = c = torch.zeros(N, H, dtype=self.x.dtype)
        output = []
        for x_t in self.x:
            z = self.z(self.w, x_t, h)
            f = sigmoid(z["f"] + self.forget_bias)
            c = f * c + sigmoid(z["i"]) * torch.tanh(z["g"])
            h = sigmoid(z["o"]) * torch.tanh(c)
            output.append(h)
        self.output = torch.stack(output)
        return self.output.detach().numpy()

    def backward(self, grad_output):
        grads = torch.autograd.grad(
            self.output, [self.x, *self.w.values()], torch.tensor(grad_output)
        )
        for name, grad in zip(self.w, grads[1:], strict=True):
            setattr(self, f"d{name}", grad.numpy())
        return grads[0].numpy()

    def convert(self):
        """Its weights as torch's, by hand: turned, cut into gates, in the order i f g o."""
        two = np.zeros(4 * H)
        if hasattr(self, "Wi"):
            W = {g: getattr(self, f"W{g}") for g in GATES}
            ih, hh = ({g: W[g][:, s] for g in GATES} for s in (slice(H, None), slice(H)))
            b = {g: getattr(self, f"b{g}")[:, 0] for g in GATES}
        elif hasattr(self, "W"):
            ih, hh = split(self.W[:D].T, self.order, 0), split(self.W[D:].T, self.order, 0)
            b = split(self.b, self.order, 0)
            b["f"] = b["f"] + 1  # what TensorFlow 1 adds in the step
        elif hasattr(self, "B"):
            ih, hh = split(self.Wx[0], self.order, 0), split(self.Wh[0], self.order, 0)
            b, two = split(self.B[0, : 4 * H], self.order, 0), self.B[0, 4 * H :]
            two = np.concatenate([split(two, self.order, 0)[g] for g in GATES])
        elif hasattr(self, "b1"):
            ih, hh, b = (split(w, self.order, 0) for w in (self.Wx, self.Wh, self.b1))
            two = self.b2
        else:
            ih, hh, b = (split(w.T, self.order, 0) for w in (self.Wx, self.Wh, self.b))
        arrays = [np.concatenate([part[g] for g in GATES]) for part in (ih, hh, b)]
        return torch_lstm(*arrays, two)


def torch_lstm(weight_ih, weight_hh, bias_ih, bias_hh):
    lstm = torch.nn.LSTM(D, H).double()
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    arrays = (weight_ih, weight_hh, bias_ih, bias_hh)
    lstm.load_state_dict({n: torch.tensor(a) for n, a in zip(names, arrays, strict=True)})
    return lstm


X = np.random.default_rng(1).standard_normal((T, N, D))


def test_the_table_has_the_orders_that_are_tried():
    of_lstm = {order for order in ORDERS if set(order) == set("ifgo")}
    assert {row[0].replace(" ", "") for row in ROWS.values()} == of_lstm


@pytest.mark.parametrize("name", ROWS)
def test_converted_by_hand_a_layout_answers_as_torch_does(name):
    foreign = Foreign(name)
    parity = compare(foreign, foreign.convert(), X)
    if ROWS[name][4] != "exact":
        assert not parity.ok
        (note,) = (note for note in parity.notes if "read so" in note)
        assert re.search(r"equal to 1[4-6] digits .* the hard σ, clip\(0\.2 z \+ 0\.5\)", note)
        assert "order" not in note
        return
    assert parity.ok, str(parity)
    # TensorFlow's b has not the numbers of torch's: 1 is added to some of them.
    found = {row.name for row in parity.rows if row.kind == "gradient"}
    assert found == {"x", *foreign.shapes()} - ({"b"} if foreign.forget_bias else set())


@pytest.mark.parametrize("name", ROWS)
def test_carried_over_without_a_look_the_reading_is_found(name):
    """Turned so that the shapes fit, in the order that they have; no second bias."""
    foreign = Foreign(name)
    right = foreign.convert()
    position = [GATES.index(g) for g in foreign.order]
    state = {n: torch.cat([w.chunk(4)[k] for k in position]) for n, w in right.state_dict().items()}
    if foreign.forget_bias:
        k = foreign.order.index("f")
        state["bias_ih_l0"][k * H : (k + 1) * H] -= 1
    careless = torch.nn.LSTM(D, H).double()
    careless.load_state_dict(state)
    parity = compare(foreign, careless, X)
    order = foreign.order != GATES
    if not order and not foreign.forget_bias and ROWS[name][4] == "exact":
        assert parity.ok
        return
    assert not parity.ok
    (note,) = (note for note in parity.notes if "read so" in note)
    assert (" ".join(foreign.order) in note) is order
    assert ("a forget bias of 1 added" in note) is bool(foreign.forget_bias)
    assert ("hard σ" in note) is (ROWS[name][4] != "exact")
    if order:
        assert ORDERS[foreign.order] in note


READINGS = [
    (Reading(transposed="weight_hh"), "each gate in weight_hh transposed"),
    (Reading(reshaped=True), "reshaped, not transposed"),
    (Reading(bias="bias_ih"), "bias_ih alone"),
    (Reading(bias="none"), "no bias"),
    (Reading(forget_bias=-1), "a forget bias of 1 taken off"),
    (Reading(sigmoid="clip(z / 6 + 0.5)"), "Keras 3"),
    (Reading(tanh_c=False), "without tanh"),
    (Reading("gofi", bias="bias_hh", tanh_c=False), "g o f i, not i f g o; bias_hh alone"),
]


class Reads:
    """A class of a person's own that reads the weights of a torch layer in its way."""

    def __init__(self, layer, reading):
        self.read = Read(layer, reading)

    def forward(self, x):
        with torch.no_grad():
            return self.read(torch.tensor(x))[0].numpy()

    def backward(self, grad_output):
        return np.zeros((*grad_output.shape[:-1], self.read.layer.input_size))


@pytest.mark.parametrize(("reading", "words"), READINGS, ids=lambda v: str(v)[:30])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_a_reading_is_found_in_layers_and_directions(reading, words, options):
    torch.manual_seed(0)
    layer = torch.nn.LSTM(D, H, **options).double()
    x = np.random.default_rng(2).standard_normal((T, N, D)) * 2
    note = compare(Reads(layer, reading), layer, x).notes[-1]
    assert words in note
    assert "equal to 1" in note


LAYERS = [
    torch.nn.LSTM(D, H),
    torch.nn.LSTM(D, H, bias=False),
    torch.nn.LSTM(D, H, 2, bidirectional=True, batch_first=True),
    torch.nn.RNN(D, H),
    torch.nn.RNN(D, H, nonlinearity="relu"),
    torch.nn.RNNCell(D, H),
    torch.nn.LSTMCell(D, H),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("batched", [True, False])
def test_read_as_pytorch_reads_it_a_layer_answers_as_itself(layer, batched):
    layer = layer.double()
    shape = (N, D) if isinstance(layer, torch.nn.RNNCellBase) else (T, N, D)
    x = torch.randn(shape if batched else (shape[0], D)[-len(shape) + 1 :], dtype=torch.float64)

    def leaves(value):
        return [t for v in value for t in leaves(v)] if isinstance(value, tuple) else [value]

    for ours, theirs in zip(leaves(Read(layer, Reading())(x)), leaves(layer(x)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_an_rnn_with_its_square_matrix_turned():
    rnn = torch.nn.RNN(D, H).double()
    for reading, words in (
        (Reading(transposed="weight_hh"), "weight_hh transposed"),
        (Reading(nonlinearity="relu", bias="bias_ih"), "bias_ih alone, not the sum of two; relu"),
    ):
        note = compare(Reads(rnn, reading), rnn, X).notes[-1]
        assert words in note
