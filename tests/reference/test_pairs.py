"""compare of two modules: torch's is itself run, mine may be any class; and why they differ."""

import numpy as np
import pytest
import torch
from torch import nn

import scratch
from reference import compare, from_state_dict, from_torch
from tests.reference.own_classes import STATE, D, H, N, Stateful, X, lstm


class Doubled(nn.LSTM):
    def forward(self, x, state=None):
        output, state = super().forward(x, state)
        return 2 * output, state


def hooked(module):
    module.register_forward_hook(lambda module, inputs, answers: (answers[0] + 0.3, answers[1]))
    return module


# The two wrong answers


@pytest.mark.parametrize("theirs", [Doubled(D, H).double(), hooked(lstm())], ids=["class", "hook"])
def test_a_forward_that_is_another_is_run_and_not_taken_for_the_class_it_derives_from(theirs):
    with pytest.raises(TypeError):
        from_torch(theirs)
    with pytest.raises(TypeError):
        compare(theirs, X)
    parity = compare(from_state_dict(theirs.state_dict()), theirs, X)
    bad = [row.name for row in parity.rows if row.kind == "output" and not row.ok]
    assert bad == ["output"]
    expected = theirs(torch.from_numpy(X))[0]
    assert parity.rows[0].torch == expected[parity.rows[0].index].item()


def test_the_module_itself_is_run():
    theirs, seen = lstm(), []
    ours = from_torch(theirs)
    theirs.register_forward_hook(lambda *_: seen.append("run"))
    assert compare(ours, theirs, X).ok
    assert seen


def test_what_is_said_of_hooks_and_of_other_classes():
    plain = lstm()
    note = compare(from_torch(plain), hooked(lstm()), X).notes[-1]
    assert note.startswith("Without its hooks")
    theirs = Doubled(D, H).double()
    assert compare(from_state_dict(theirs.state_dict()), theirs, X).notes == (
        "They part at step 0.",
    )


MODULES = [
    (lstm(num_layers=2, bidirectional=True, batch_first=True), [X]),
    (lstm(proj_size=2), [X]),
    (lstm(), [X, STATE]),
    (lstm(), [X[:, 0]]),
    (nn.RNN(D, H, nonlinearity="relu").double(), [X, STATE[0]]),
    (nn.LSTMCell(D, H).double(), [X[0]]),
    (nn.RNNCell(D, H).double(), [X[0, 0], STATE[0][0, 0]]),
    (nn.Linear(D, H).double(), [X]),
    (nn.MSELoss(), [X, X[::-1].copy()]),
    (nn.CrossEntropyLoss(), [X[0], np.array([0, 2])]),
]


@pytest.mark.parametrize(("module", "inputs"), MODULES, ids=lambda v: type(v).__name__)
def test_a_torch_module_beside_its_twin(module, inputs):
    alone, beside = compare(module, *inputs), compare(from_torch(module), module, *inputs)
    assert alone.ok, str(alone)
    assert alone.rows == beside.rows
    assert compare(module, from_torch(module), *inputs).rows == beside.rows


def test_tensors_and_packed_sequences_of_torch_are_taken():
    theirs = lstm()
    x = torch.tensor(X, requires_grad=True)
    assert (
        compare(theirs, x, tuple(map(torch.tensor, STATE))).rows == compare(theirs, X, STATE).rows
    )
    packed = nn.utils.rnn.pack_padded_sequence(x, [2, 5], enforce_sorted=False)
    for parity in (compare(theirs, packed), compare(from_torch(theirs), packed)):
        assert parity.ok, str(parity)
        assert parity.rows[0].shape == (7, H)
    with pytest.raises(TypeError, match=r"bfloat16: convert it with \.float\(\)"):
        compare(theirs, x.bfloat16())


def test_gradients_buffers_and_modes_stay():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.fc = nn.BatchNorm1d(D), nn.Linear(D, H)

        def forward(self, x):
            return self.fc(self.norm(x))

    net = Net().double()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    parity = compare(scratch.Linear(D, H, dtype=np.float64, rng=0), net, X[0])
    assert not parity.ok
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_are_compared_where_the_caller_has_none(mode):
    lstm = torch.nn.LSTM(2, 3)
    with mode():
        parity = compare(lstm, torch.ones(4, 1, 2))
    assert parity.ok, str(parity)
    assert "weight_hh_l0" in str(parity)


def test_parameters_that_are_one_are_named():
    lstm = torch.nn.LSTM(2, 2)
    lstm.weight_hh_l0 = lstm.weight_ih_l0
    parity = compare(lstm, torch.randn(4, 1, 2))
    assert not parity.ok
    assert "weight_ih_l0 and weight_hh_l0 are one parameter, whose gradient is the sum" in str(
        parity
    )


def test_random_numbers_on_torchs_side_are_refused():
    net = nn.Sequential(nn.Dropout(0.5), nn.Linear(D, H)).double()
    mine = from_torch(net[1])
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match=r"draws random numbers.*\.eval\(\)"):
        compare(mine, net, X)
    assert torch.equal(torch.get_rng_state(), state)
    assert compare(mine, net.eval(), X).rows[0].ok


def test_frozen_parameters_are_named():
    theirs = lstm()
    theirs.bias_hh_l0.requires_grad_(False)
    parity = compare(theirs, X)
    assert parity.ok
    assert parity.notes == ("Not compared, as requires_grad is False: bias_hh_l0.",)


# Classes of a person's own


class Mine:
    """An LSTM with one matrix a gate on [h; x], in any of the forms that classes have."""

    def __init__(self, theirs):
        W = np.hstack([theirs.weight_hh_l0.detach(), theirs.weight_ih_l0.detach()])
        self.W = dict(zip("ifgo", np.split(W, 4), strict=True))  # (H, H + D)
        bias = (theirs.bias_ih_l0 + theirs.bias_hh_l0).detach().numpy()
        self.b = dict(zip("ifgo", np.split(bias, 4), strict=True))
        self.slip = {}

    def forward(self, x, h, c):
        steps = []
        for x_t in x:
            hx = np.hstack([h, x_t])
            z = {n: hx @ self.W[n].T + self.b[n] for n in "ifgo"}
            s = {n: np.tanh(z[n]) if n == "g" else 1 / (1 + np.exp(-z[n])) for n in "ifgo"}
            s |= {n: change(s[n]) for n, change in self.slip.items() if n in "ifgo"}
            c = s["f"] * c + s["i"] * s["g"]
            h = s["o"] * self.slip.get("h", np.tanh)(c)
            steps.append(s | {"c": c, "h": h})
        return steps

    def __call__(self, x, h, c):
        steps = self.forward(x, h, c)
        return np.stack([s["h"] for s in steps]), (steps[-1]["h"], steps[-1]["c"])

    def backward(self, steps, grad_output, grad_state):
        return grad_output[..., :1].repeat(D, 2), None


def outputs(parity):
    return {row.name: row.ok for row in parity.rows if row.kind == "output"}


def test_a_class_with_its_own_form_of_the_state():
    theirs = lstm()
    for state in ([], [STATE], [*STATE], [(STATE[0][0], STATE[1][0])]):
        parity = compare(Mine(theirs), theirs, X, *state)
        assert outputs(parity) == {"output": True, "h_n": True, "c_n": True}
        assert not any("read so" in note or "part" in note for note in parity.notes)


@pytest.mark.parametrize(
    ("slip", "words"),
    [
        ({"g": np.tanh}, "at step 0, first in g: of torch's values at that step, forward's record "
         "holds i, f, o, and not g, c, h."),
        ({"f": np.sqrt}, "first in f"),
        ({"o": np.sqrt, "g": np.sqrt}, "first in g"),
        ({"h": np.sin}, "at step 0, first in h"),
    ],
)  # fmt: skip
def test_where_they_part(slip, words):
    theirs = lstm()
    mine = Mine(theirs)
    mine.slip = slip
    with np.errstate(invalid="ignore"):
        note = compare(mine, theirs, X, STATE).notes[-1]
    assert note.startswith("No other reading of the weights makes them equal. They part")
    assert words in note


@pytest.mark.parametrize("batch_first", [False, True])
def test_the_step_at_which_they_part(batch_first):
    class Late(scratch.LSTM):
        def __call__(self, x, state=None):
            output, state = super().__call__(x, state)
            late = output.swapaxes(0, 1) if batch_first else output
            late[3:] += 0.1
            return output, state

    theirs = lstm(batch_first=batch_first)
    mine = Late(D, H, batch_first=batch_first, dtype=np.float64)
    mine.load_state_dict(from_torch(theirs).state_dict())
    x = X.swapaxes(0, 1).copy() if batch_first else X
    assert "They part at step 3." in compare(mine, theirs, x).notes[-1]


def test_a_record_that_holds_all_values_says_nothing_of_where_they_part():
    class Scaled(Mine):
        def __call__(self, x, h, c):
            output, state = super().__call__(x, h, c)
            return 1.5 * output, state

    theirs = lstm()
    note = compare(Scaled(theirs), theirs, X, STATE).notes[-1]
    assert note.endswith("equal. They part at step 0.")


def test_weights_that_were_not_carried_over_are_named():
    mine = scratch.LSTM(D, H, dtype=np.float64, rng=0)
    notes = compare(mine, lstm(), X).notes
    assert notes[0].startswith("The weights themselves differ: weight_ih_l0 by")
    assert "bias_hh_l0" in notes[0]


def test_answers_that_mine_does_not_give_are_named():
    class OutputOnly(Mine):
        def __call__(self, x, h, c):
            return super().__call__(x, h, c)[0]

        def backward(self, steps, grad_output):
            return None

    theirs = lstm()
    parity = compare(OutputOnly(theirs), theirs, X)
    assert outputs(parity) == {"output": True}
    assert "Not compared, as mine does not answer with it: h_n, c_n." in parity.notes
    assert parity.rows[1].problem == "no gradient"


def test_two_dtypes_are_compared_to_the_digits_of_the_coarser():
    theirs = nn.LSTM(D, H)
    mine = from_torch(theirs).astype(np.float64)
    parity = compare(mine, theirs, X)
    assert parity.ok, str(parity)
    assert 1e-9 < parity.worst("output").relative < 1e-5
    assert "float32 and float64" in parity.notes[0]
    wrong = nn.LSTM(D, H)
    wrong.load_state_dict({n: torch.cat([w.chunk(4)[k] for k in (0, 3, 1, 2)])
                           for n, w in theirs.state_dict().items()})  # fmt: skip
    assert "i o f g (ONNX)" in compare(mine, wrong, X).notes[-1]


def test_a_container_of_torch_with_a_layer_inside():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.LSTM(D, H, batch_first=True), nn.Linear(H, 2)

        def forward(self, x):
            return self.head(self.body(x)[1][0][-1])

    net = Net().double()
    x = X.swapaxes(0, 1).copy()
    mine = scratch.SimpleLSTM(D, H, 2, dtype=np.float64, rng=0)
    mine.lstm, mine.fc = from_torch(net.body), from_torch(net.head)
    parity = compare(mine, net, x)
    assert parity.ok, str(parity)
    assert len(parity.rows) == 2 + 6  # the weights have other names, and are found by their numbers
    with torch.no_grad():
        for weight in net.body.parameters():
            weight.copy_(torch.cat([weight.chunk(4)[k] for k in (0, 2, 1, 3)]))
    assert "i g f o (TensorFlow 1)" in compare(mine, net, x).notes[-1]


def in_order(layer, order):
    """The same layer with its gates in another order."""
    other = lstm(bidirectional=layer.bidirectional, proj_size=layer.proj_size)
    other.load_state_dict(
        {name: weight if "hr" in name else torch.cat([weight.chunk(4)["ifgo".index(gate)]
                                                      for gate in order])
         for name, weight in layer.state_dict().items()}
    )  # fmt: skip
    return other


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("options", [{"proj_size": 2}, {"bidirectional": True}])
def test_the_reading_of_packed_sequences_and_of_a_projection(options, batched):
    theirs = lstm(**options)
    mine = from_torch(theirs)
    x = torch.tensor(X)
    packed = nn.utils.rnn.pack_padded_sequence(x, [2, 5], enforce_sorted=False)
    note = compare(mine, in_order(theirs, "iofg"), x if batched else packed).notes[-1]
    assert "i o f g (ONNX)" in note, note


def test_the_step_of_a_packed_sequence_at_which_they_part():
    class Late(scratch.LSTM):
        def __call__(self, x, state=None):
            output, state = super().__call__(x, state)
            rows = output.batch_sizes[:3].sum()
            return output._replace(data=output.data + (np.arange(len(x.data)) >= rows)[:, None]), (
                state
            )

    theirs = lstm()
    mine = Late(D, H, dtype=np.float64)
    mine.load_state_dict(from_torch(theirs).state_dict())
    packed = nn.utils.rnn.pack_padded_sequence(torch.tensor(X), [2, 5], enforce_sorted=False)
    assert compare(mine, theirs, packed).notes[-1].endswith("They part at step 3.")


# Rounding, and what is refused


def test_float32_with_large_weights_is_followed_by_float64():
    big = scratch.LSTM(D, H, 2, rng=0)
    for parameter in big.parameters():
        parameter.data *= 200
    x = (5 * np.random.default_rng(0).standard_normal((50, N, D))).astype(np.float32)
    parity = compare(big, x)
    assert not parity.ok
    assert parity.notes[0].startswith("In float64, all 14 agree to ")
    assert parity.notes[0].endswith("the difference is rounding.")
    assert "apart and torch up to" in parity.notes[1]


def test_a_mistake_in_float32_is_no_rounding():
    class Planted(scratch.Linear):
        def __call__(self, x):
            return super().__call__(x) * x.dtype.type(1.01)

    parity = compare(Planted(D, H, rng=0), X[0].astype(np.float32))
    assert parity.notes == ("In float64, 1 of 4 differ as well, by up to 1.0e-02: it is not "
                            "rounding alone.",)  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([lstm(), lstm(), X], "got two of torch"),
        ([scratch.LSTM(D, H), scratch.LSTM(D, H), X], "two modules without torch"),
        ([lstm()], "the inputs behind the modules"),
        ([Stateful(nn.Linear(D, H)), X], r"compare\(mine, torch_module, x\)"),
        ([3, lstm(), X], "mine: expected an object with forward and backward, got int 3"),
        ([scratch.LSTM, X], "module: expected a module of scratch or torch"),
        ([np.tanh, lstm(), X], "mine: expected an object with forward and backward"),
    ],
)
def test_what_cannot_be_compared(arguments, words):
    with pytest.raises(TypeError, match=words):
        compare(*arguments)
