"""A table as HTML: read back by a parser, it is the table that went in."""

from html.parser import HTMLParser

import pytest

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
