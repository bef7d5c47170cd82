"""A table as HTML: read back by a parser, it is the table that went in. And those of records."""

import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from scratch import LSTM, LSTMCell, SimpleLSTM, SimpleRNN, pack_padded_sequence
from scratch.machinery.html import html_table


class Read(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.rows, self.styles, self.open = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.styles.append(dict(attributes)["style"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open[-1:] in (["td"], ["th"]):
            self.rows[-1][-1] += text
        elif self.open[-1:] == ["caption"]:
            self.caption = text


def test_cells_come_back_as_they_were():
    rows = [("a < b & c", 1.5, None), ("</td><script>", "−2e−5", "(3, 4)")]
    read = Read(html_table(["name", "difference", "where"], rows, caption="x & y", marked=[1]))
    assert read.caption == "x & y"
    assert read.rows == [
        ["name", "difference", "where"],
        ["a < b & c", "1.5", ""],
        ["</td><script>", "−2e−5", "(3, 4)"],
    ]
    assert ["right" in style for style in read.styles[3:]] == [False, True, False] * 2
    assert ["bold" in style for style in read.styles[3:]] == [False] * 3 + [True] * 3


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="rows: expected 2 cells, got 1 in row 1"):
        html_table(["a", "b"], [(1, 2), (3,)])


RECORDS = {
    "layer": lambda: LSTM(2, 3, 2, dropout=0.5, bidirectional=True, dtype=np.float64, rng=0),
    "cell": lambda: LSTMCell(2, 3, dtype=np.float64, rng=0),
    "RNN model": lambda: SimpleRNN(2, 3, 2, dtype=np.float64, rng=0),
    "LSTM model": lambda: SimpleLSTM(2, 3, 2, dtype=np.float64, rng=0),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", RECORDS)
def test_a_record_shows_every_array_by_the_expression_that_leads_to_it(name, packed):
    """Shapes and ranges are those of what the expression in the first column gives."""
    module, x = RECORDS[name](), np.random.default_rng(0).standard_normal((5, 2, 2))
    x = x[0] if name == "cell" else x
    if packed and name == "layer":
        x = pack_padded_sequence(x, [3, 5], enforce_sorted=False)
    record = module.forward(x)
    grad = record.output if "model" in name else None
    for shown in (record, module.backward_record(record, grad)):
        text = shown._repr_html_()
        assert f"<caption>{type(shown).__name__}</caption>" in text
        cells = [html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", text)]
        lines = [cells[k : k + 4] for k in range(0, len(cells), 4)]
        paths = [line[0] for line in lines]
        for path, shape, low, high in lines:
            array = eval(f"shown.{path}", {"shown": shown})
            assert shape == f"{array.dtype} {array.shape}"
            assert (low, high) == (f"{array.min():.4g}", f"{array.max():.4g}")
        for end in {
            "layer": ("h_n", 'runs["l1_reverse"].f') if shown is record else ("grad_x", ".grad_c"),
            "cell": ("c", "f") if shown is record else ("grad_x", "grad_state_prev[1]"),
            "RNN model": (
                ("fc.output", 'rnn.runs["l0"].h') if shown is record else ("rnn.grad_h_0",)
            ),
            "LSTM model": (
                ("fc.output", 'lstm.runs["l0"].c') if shown is record else ("lstm.grad_c_0",)
            ),
        }[name]:
            assert any(end in path for path in paths), end


def test_complex_numbers_show_their_absolute_values_and_an_empty_array_nothing():
    record = LSTM(1, 2, dtype=np.complex128, rng=0).forward(np.full((1, 1, 1), 3 + 4j))
    assert ">5<" in record.runs["l0"]._repr_html_()
    empty = LSTM(1, 2, rng=0).forward(np.zeros((1, 0, 1), np.float32))
    assert '(1, 0, 2)</td><td style="text-align: left"></td>' in empty._repr_html_()
