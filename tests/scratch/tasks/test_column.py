"""A column of a CSV file: read as it was meant, or refused with one line that says what to do."""

import csv
import io
from datetime import date, datetime, timedelta
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratch.tasks.column import Reading, read_column
from scratch.tasks.table import decode


def read(text, column="a", **reading):
    content = text if isinstance(text, bytes) else text.encode()
    return read_column(content, column, "x.csv", Reading(**reading))


# What spreadsheets write: separators, decimal marks, encodings, dates and gaps


FORMS = {
    "%Y-%m-%d": "{0:%Y-%m-%d}",
    "%d.%m.%Y": "{0:%d.%m.%Y}",
    "%m/%d/%Y": "{0.month}/{0.day}/{0.year}",
    "korean": "{0.year}. {0.month}. {0.day}.",
    "%Y%m%d": "{0:%Y%m%d}",
    "with a time": "{0:%d/%m/%Y} 06:30",
    "short": "{0:%d-%b-%y}",
    "in halves of a day": "{0:%m/%d/%y} 6:30:00 AM",
    "in Korean halves": "{0:%Y-%m-%d} 오전 6:30:00",
}
GAPS = ("", "NA", "NaN", "#N/A")
MATRIX = [
    (number, *case)
    for number, case in enumerate(
        product(",;\t", ".,", ("utf-8", "utf-8-sig", "utf-16", "cp949", "cp1252"))
    )
]


@pytest.mark.parametrize(("number", "separator", "decimal", "encoding"), MATRIX)
def test_a_file_of_a_spreadsheet(number, separator, decimal, encoding):
    form = list(FORMS)[number % len(FORMS)]
    clock = (6, 30) if "6:30" in FORMS[form] else ()
    first = datetime(2023, 12, 20, *clock)
    dates = [first + timedelta(days) for days in range(40)]
    values = 1000 + np.random.default_rng(number).standard_normal(40).cumsum().round(2)
    names = ("Tag", "Größe [°C]") if encoding == "cp1252" else ("날짜", "가격 (원)")
    cells = [f"{value:.2f}".replace(".", decimal) for value in values]
    gaps = (5, 6, 30) if number % 2 else ()
    for place in gaps:
        cells[place] = GAPS[(number + place) % len(GAPS)]
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator)
    shown = (FORMS[form].format(day) for day in dates)
    writer.writerows([names, *zip(shown, cells, strict=True)])
    content = file.getvalue().encode(encoding)

    expected, kept = values.copy(), np.ones(40, bool)
    missing = None
    if gaps:
        with pytest.raises(ValueError, match="3 missing cells in lines 7, 8, 32: --missing drop"):
            read(content, names[1])
        missing = ("drop", "interpolate")[number // 2 % 2]
        kept[list(gaps)] = missing == "interpolate"
        expected[5:7] = values[4] + (values[7] - values[4]) * np.array([1, 2]) / 3
        expected[30] = (values[29] + values[31]) / 2
    column = read(content, names[1], missing=missing)
    # Interpolated values are a few roundings of numbers near 1000 away.
    np.testing.assert_allclose(column.values, expected[kept], rtol=1e-14)
    np.testing.assert_array_equal(column.times, np.array(dates, "datetime64[us]")[kept])
    assert column.time_name == names[0]
    assert ("decimal comma" in column.how) == (decimal == ",")
    assert {",": "commas", ";": "semicolons", "\t": "tabs"}[separator] in column.how
    assert column.how.startswith("utf-8," if "utf-8" in encoding else f"{encoding},")
    assert f"dates in '{names[0]}' from 2023-12-20 to 2024-01-28" in column.how
    assert ("missing" in column.how) == bool(gaps)


def test_a_decimal_comma_that_also_separates_columns():
    """One column: no column is separated. Two: the cells cannot be told apart."""
    text = "price\n20,13\n21,5\n19\n"
    np.testing.assert_array_equal(read(text, "price").values, [20.13, 21.5, 19])
    with pytest.raises(ValueError, match=r"line 2: expected 2 cells as in the header, got 3 \(a d"):
        read("day,price\n1,20,13\n2,21,50\n", "price")


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1,234.5", "-1,234,567", "12"], [1234.5, -1234567, 12]),
        (["1.234,5", "-1.234.567", "12"], [1234.5, -1234567, 12]),
        (["1 234,5", "1\u202f234\u202f567", "−2"], [1234.5, 1234567, -2]),
        (["1'234.5", "1’234"], [1234.5, 1234]),
        (["0.125", "1.375"], [0.125, 1.375]),
        (["0,125", "1,375"], [0.125, 1.375]),
        (["1e-3", "2E5", ".5", "+4."], [0.001, 2e5, 0.5, 4]),
        (["1.250", "2.375"], [1.25, 2.375]),  # three decimals, as programs write them
    ],
)
def test_decimals_and_groups_of_three(cells, values):
    text = "b\ta\n" + "".join(f"x\t{cell}\n" for cell in cells)
    np.testing.assert_array_equal(read(text).values, values)


def test_what_may_be_thousands_or_decimals_is_asked_for():
    for text in (
        'a\n"1,234"\n',
        "a\n1,234\n2,345\n",
        "a\tb\n1,234\t0\n",
        "a;b\n1.234;0\n2.345;0\n",
    ):
        with pytest.raises(ValueError, match=r"with --decimal \. and 1?\.?234 with --decimal ,"):
            read(text)
    assert read("a;b\n1.234;0\n2.345;0\n", decimal=",").values.tolist() == [1234, 2345]
    assert read("a;b\n1.234;0\n2.345;0\n", decimal=".").values.tolist() == [1.234, 2.345]
    # Between commas a decimal comma would have needed quotes anyhow: these are groups.
    assert read('b,a\n0,"1,234"\n').values.tolist() == [1234]
    with pytest.raises(ValueError, match="line 2: expected a number with a decimal point"):
        read("a;b\n1,5;0\n", decimal=".")


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20),
    st.lists(st.text("ab ,;\"'\n", min_size=1).map(str.strip), min_size=1, unique=True),
    st.data(),
)
def test_what_csv_writes_is_read(numbers, header, data):
    column = header[data.draw(st.integers(0, len(header) - 1))]
    file = io.StringIO()
    csv.writer(file).writerows([header, *([str(n)] * len(header) for n in numbers)])
    if column and not all(name == "" for name in header):
        np.testing.assert_array_equal(
            read(file.getvalue(), column, decimal=".").values, np.array(numbers)
        )


def test_excel_s_own_line_and_what_it_leaves_at_the_end():
    column = read("sep=;\r\na;b\r\n1,5;x\r\n2,5;y\r\n;\r\n;\r\n")
    assert column.values.tolist() == [1.5, 2.5]
    assert read("a\r1\r2\r").values.tolist() == [1, 2]
    with pytest.raises(ValueError, match="line 4: expected a number, got 'x'"):
        read("sep=;\r\na;b\r\n1,5;x\r\nx;y\r\n")


def test_a_last_date_may_be_missing_where_another_column_has_it():
    text = "begin,end,a\n2024-01-01,2024-01-02,1\n2024-01-02,2024-01-03,2\n2024-01-03,,3\n"
    assert read(text).how.endswith("dates in 'begin' from 2024-01-01 to 2024-01-03")


def test_a_workbook_is_told_from_csv():
    for begin in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1"):
        with pytest.raises(ValueError, match="expected CSV, got a workbook: save the sheet as CSV"):
            read_column(begin + bytes(50), "a", "x")


def test_lines_without_a_cell_are_skipped_and_rows_of_empty_cells_are_not():
    text = "\n  \na,b\n1,2\n \t\n\n3,4\n   "
    np.testing.assert_array_equal(read(text, "b").values, [2, 4])
    with pytest.raises(ValueError, match="1 missing cell in line 3"):
        read("a,b\n1,2\n,\n3,4\n", "b")
    # In one column, an empty line is how a spreadsheet writes an empty cell.
    with pytest.raises(ValueError, match="1 missing cell in line 3"):
        read("a\n1\n\n3\n\n\n")
    with pytest.raises(ValueError, match="line 5: expected a number, got 'x'"):
        read("\n \na\n1\nx\n")


def test_a_name_in_either_form_of_its_letters():
    assert read("가격,b\n1,2\n", "\u1100\u1161\u1100\u1167\u11a8").values.tolist() == [1]


# Encodings


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("가격\n1\n", "cp949"),
        ("기온 ℃\n1\n", "cp949"),
        ("Temp °C\n1\n", "cp1252"),  # two letters of cp949 each, but rare ones
        ("Größe,Prénom\n1\n", "cp1252"),
        ("preis €\n1\n", "cp1252"),
        ("ÄÖ Größe Größe\n1\n", "cp1252"),  # one common letter, and two that Korean has not
        ("a\n1\n", "utf-16-le"),
        ("a\n1\n", "utf-16-be"),
    ],
)
def test_an_encoding_is_found(text, encoding):
    assert decode(text.encode(encoding), "x.csv") == (text, encoding)


def test_an_encoding_that_is_named():
    content = "가격\n1\n".encode("johab")
    assert read(content, "가격", encoding="johab").values.tolist() == [1]
    with pytest.raises(ValueError, match=r"one column named '가격', got ˆa‰b \(cp1252; --encoding"):
        read(content, "가격")
    with pytest.raises(ValueError, match="got byte 0xb0 at 0: try --encoding cp949"):
        read("가격\n1\n".encode("cp949"), "가격", encoding="utf-8")
    for name in ("nix", "hex"):
        with pytest.raises(ValueError, match="expected an encoding that Python knows, such"):
            read("a\n1\n", encoding=name)
    with pytest.raises(ValueError, match="got byte 0x81 at 2: name its encoding in --"):
        read(b"a\n\x81\n")


# Missing cells


def test_missing_cells_at_the_ends_have_one_neighbour_only():
    text = "day,a\n2024-01-01,\n2024-01-02,1\n2024-01-03,null\n2024-01-06,5\n2024-01-07,n/a\n"
    column = read(text, missing="interpolate")
    assert column.values.tolist() == [1, 2, 5]  # at a quarter of the time from 1 to 5
    assert "1 of 3 missing cells interpolated, 2 at the ends left out" in column.how
    column = read(text, missing="drop")
    assert (column.values.tolist(), len(column.times)) == ([1, 5], 2)
    with pytest.raises(ValueError, match="7 missing cells in lines 2, 3, 4, 5, 6, …: --"):
        read("b,a\n" + "1,\n" * 7, missing="drop")


# Times


def test_the_latest_first_is_turned_round():
    column = read("day,a\n2024-01-03,3\n2024-01-02,\n2024-01-01,1\n", missing="interpolate")
    assert column.values.tolist() == [1, 2, 3]
    assert column.times[0] == np.datetime64("2024-01-01")
    assert "turned round" in column.how


def test_a_time_column_of_one_s_choice():
    text = "year,a,from,to\n1949,1,2024-01-01,2024-02-01\n1950,2,2024-03-01,2024-04-01\n"
    column = read(text)
    assert (column.times.tolist(), column.time_name) == ([1, 2], "row")
    assert "dates in 'from', 'to' not used, expected one such column or --time" in column.how
    assert read(text, time="to").times[0] == np.datetime64("2024-02-01")
    assert read(text, time="year").times.tolist() == [1949, 1950]


def test_a_day_that_may_be_a_month():
    text = "day,a\n01/02/2024,1\n01/03/2024,2\n"
    assert "dates in 'day' not used, to be read in two ways" in read(text).how
    with pytest.raises(ValueError, match="'%d/%m/%Y' or --time-format '%m/%d/%Y'"):
        read(text, time="day")
    column = read(text, time="day", time_format="%d/%m/%Y")
    assert column.times[1].astype(date) == datetime(2024, 3, 1)
    # Of two readings, one may not be an axis of time.
    assert read("day,a\n01/02/2024,1\n02/02/2024,2\n03/01/2024,2\n").time_name == "day"


def test_times_from_everywhere():
    column = read("t,a\n2024-10-27T02:30:00+02:00,1\n2024-10-27T02:00:00+01:00,2\n")
    assert column.times.tolist() == [datetime(2024, 10, 27, 0, 30), datetime(2024, 10, 27, 1, 0)]
    column = read("t,a\n31x12x2024,1\n01x01x2025,2\n", time="t", time_format="%dx%mx%Y")
    assert column.times[1] == np.datetime64("2025-01-01")
    assert "(1 of them twice)" in read("t,a\n2024-01,1\n2024-02,2\n2024-02,3\n").how


@pytest.mark.parametrize(
    ("text", "reading", "message"),
    [
        ("t,a\n2024-01-01,1\nsoon,2\n", {"time": "t"}, "line 3: expected a date in ISO 8601, or"),
        ("t,a\n1949,1\nsoon,2\n", {"time": "t"}, "line 2: expected a date"),
        (
            "t,a\n2024-01-01,1\n",
            {"time": "t", "time_format": "%d.%m.%Y"},
            "line 2: expected a date of the form %d.%m.%Y, got '2024-01-01'",
        ),
        ("t,a\n3,1\n3,1\n2,1\n4,2\n", {"time": "t"}, "line 5: expected times that rise or fall"),
        ("t,a\n3,1\n3,1\n", {"time": "t"}, "line 3: expected times that rise or fall"),
        ("t,a\n3,1\n", {"time": "u"}, "expected one column named 'u', got t, a"),
        ("t,a\n3,1\n", {"time_format": "%Y"}, "--time-format: expected --time with it"),
        (
            "t,a\n2024-01-01,1\n2024-01-02,2\nTotal,3\n",
            {},
            "line 4: expected a date in 't', as in the lines before, got 'Total': take out a line",
        ),
    ],
)
def test_times_that_are_refused(text, reading, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 -- the message is compared below
        read(text, **reading)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
