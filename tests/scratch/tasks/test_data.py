"""The data of the systems, and what becomes of a CSV file."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratch.tasks.data import Series, own_series, sine_waves, windows
from scratch.tasks.systems import SYSTEMS, load_task, with_series


@pytest.fixture
def write(tmp_path):
    """Write text, or bytes, to a file; its path."""

    def write(text):
        path = tmp_path / "series.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    return write


# The four systems


@pytest.mark.parametrize("every_step", [False, True])
def test_sine_waves_are_waves_and_their_targets_are_ahead(every_step):
    task = load_task(SYSTEMS["sine-rnn"], every_step=every_step)
    x = task.inputs[:, :, 0]
    assert x.shape == (1000, 50)
    # 50 steps over 2π: the last value is the first, and x_{t+1} + x_{t−1} = 2 cos(2π/49) x_t.
    np.testing.assert_allclose(x[:, -1], x[:, 0], atol=1e-14)
    between = 2 * np.cos(2 * np.pi / 49) * x[:, 1:-1]
    np.testing.assert_allclose(x[:, 2:] + x[:, :-2], between, atol=1e-14)
    # A start in [0, 1) is on the rising flank: it follows from the first value.
    start = np.arcsin(x[:, 0])
    assert 0 <= start.min() < 0.02
    assert 0.98 < start.max() < 1
    ahead = np.sin(start[:, np.newaxis] + np.linspace(0, 2 * np.pi, 50) + 0.1)[:, :, np.newaxis]
    assert task.targets.shape == ((1000, 50, 1) if every_step else (1000, 1))
    np.testing.assert_allclose(task.targets, ahead if every_step else ahead[:, -1], atol=1e-14)


def test_random_classes():
    task = load_task(SYSTEMS["classes-rnn"], dtype=np.float32)
    assert task.inputs.shape == (16, 7, 10)
    assert task.targets.shape == (16,)
    assert (task.inputs.dtype, task.targets.dtype) == (np.float32, np.int64)
    drawn = {int(c) for s in range(20) for c in load_task(SYSTEMS["classes-rnn"], seed=s).targets}
    assert drawn == {0, 1, 2, 3, 4}
    with pytest.raises(ValueError, match="every_step: expected False"):
        load_task(SYSTEMS["classes-rnn"], every_step=True)


@pytest.mark.parametrize("every_step", [False, True])
def test_airline_passengers(every_step):
    task = load_task(SYSTEMS["airline-lstm"], every_step=every_step)
    held_out = task.held_out
    # 1949-1956 are 96 months; 12 go into the first growth, 12 growths into the first window.
    assert task.inputs.shape == (72, 12, 1)
    assert task.targets.shape == ((72, 12, 1) if every_step else (72, 1))
    assert held_out.inputs.shape == (48, 12, 1)
    assert (held_out.times[0], held_out.times[-1]) == (1957, 1960 + 11 / 12)
    assert round(held_out.rmse(held_out.naive), 1) == 41.9
    assert held_out.rmse(held_out.truth) == 0


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_seed_is_the_same_task_in_every_dtype(name):
    first, again, in_32 = (
        load_task(SYSTEMS[name], seed=3, dtype=dtype)
        for dtype in (np.float64, np.float64, np.float32)
    )
    for attribute in ("inputs", "targets"):
        array = getattr(first, attribute)
        np.testing.assert_array_equal(array, getattr(again, attribute))
        np.testing.assert_array_equal(
            array.astype(getattr(in_32, attribute).dtype), getattr(in_32, attribute)
        )
    weights, weights_32 = first.make_model().state_dict(), in_32.make_model().state_dict()
    for key, array in weights.items():
        np.testing.assert_array_equal(array.astype(np.float32), weights_32[key])
    if name != "airline-lstm":
        assert not np.array_equal(first.inputs, load_task(SYSTEMS[name], seed=4).inputs)


# Windows of a series


@st.composite
def series_and_window(draw):
    lag, window = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    train, held = draw(st.integers(2, 8)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.uniform(1, 100, lag + window + train + held)
    times = np.arange(len(values)) + 0.0
    series = Series(values, times, "m", "row", lag, draw(st.booleans()), "no change")
    return series, window, lag + window + train


@given(series_and_window(), st.booleans())
def test_windows_are_changes_and_lead_back_to_the_values(drawn, every_step):
    series, window, first = drawn
    data = windows(series, window, first, every_step)
    held_out, lag = data.held_out, series.lag
    inputs = np.concatenate([data.inputs, held_out.inputs])
    for n, steps in enumerate(inputs[:, :, 0]):
        for k, z in enumerate(steps):
            before, after = series.values[n + k], series.values[n + k + lag]
            change = np.log(after / before) if series.log else after - before
            # Differences of numbers up to 100 (log: 5), standardized by a deviation that may be
            # a hundredth of them: two digits of 16 go.
            assert abs(held_out.mean + held_out.std * z - change) <= 1e-13 * 100
    # The target of a window is the change that follows: the input of the next window.
    following = inputs[1 : len(data.targets) + 1]
    np.testing.assert_array_equal(data.targets, following if every_step else following[:, -1])
    # The change that each held-out window is asked for, restored, is the truth.
    z = (series.changes()[first - lag :] - held_out.mean) / held_out.std
    answers = np.tile(z[:, np.newaxis, np.newaxis], (1, window, 1)) if every_step else z[:, None]
    np.testing.assert_allclose(held_out.restore(answers), held_out.truth, rtol=1e-11)
    np.testing.assert_array_equal(held_out.truth, series.values[first:])
    np.testing.assert_array_equal(held_out.naive, series.values[first - lag : -lag])
    np.testing.assert_array_equal(held_out.times, series.times[first:])


@given(series_and_window())
def test_the_training_part_knows_nothing_of_what_is_held_out(drawn):
    series, window, first = drawn
    data = windows(series, window, first)
    trained = series.changes()[: first - series.lag]
    assert (data.held_out.mean, data.held_out.std) == (trained.mean(), trained.std())
    series.values[first:] *= 7
    again = windows(series, window, first)
    np.testing.assert_array_equal(data.inputs, again.inputs)
    np.testing.assert_array_equal(data.targets, again.targets)


# A CSV file


def test_own_series_holds_out_the_last_fifth(write):
    values = np.random.default_rng(0).standard_normal(34).cumsum()
    path = write(
        "\ufefflevel, day\n" + "".join(f"{float(v)!r},{i}\n\n" for i, v in enumerate(values))
    )
    data = own_series(path, "level", 3)
    assert (len(data.inputs), len(data.held_out.inputs)) == (24, 6)
    np.testing.assert_array_equal(data.held_out.truth, values[-6:])
    np.testing.assert_array_equal(data.held_out.naive, values[-7:-1])
    np.testing.assert_array_equal(data.held_out.times, np.arange(29, 35))
    assert data.held_out.series.unit == "level"


def test_the_shortest_series_is_six_values_longer_than_the_window(write):
    values = np.random.default_rng(0).standard_normal(9)
    text = "a\n" + "".join(f"{v}\n" for v in values)
    data = own_series(write(text), "a", 3)
    assert (len(data.inputs), len(data.held_out.inputs)) == (4, 1)
    with pytest.raises(ValueError, match=r"at least 10 values in column 'a'.*got 9"):
        own_series(write(text), "a", 4)


RISING = "".join(f"{n}\n" for n in range(20))
TENTHS = "".join(f"{n / 10}\n" for n in range(20))  # changes that differ in their last digits
LARGE = "".join(f"{(-1) ** n}e200\n" for n in range(20))  # their squares overflow
HUGE = "".join(f"{(-1) ** n}e308\n" for n in range(20))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected one column named 'a', got no header"),
        ("b,c\n1,2\n", "expected one column named 'a', got b, c"),
        ("b;c\n1;2\n", "got b, c (utf-8, separated by semicolons)"),
        ("b\tc\n1\t2\n", "got b, c (utf-8, separated by tabs)"),
        ('"b\nb",c\n1,2\n', "got b b, c"),
        ("b" * 9999 + "\n1\n", "got " + "b" * 199 + "…"),
        ("a\n1_00\n", "line 2: expected a number, got '1_00'"),
        ("a\n" + "x" * 9999, "line 2: expected a number, got '" + "x" * 59 + "…'"),
        ('a\n1\n""\n2\n', "column 'a': expected numbers, got 1 missing cell in line 3"),
        ("a,a\n1,2\n", "expected one column named 'a', got a, a"),
        ("b,a\n1,2\n\n3,x\n", "series.csv, line 4: expected a number, got 'x'"),
        ("b,a\n1,2\n3,\n", "got 1 missing cell in line 3: --missing drop"),
        ("b,a\n1,2\n3\n", "line 3: expected at least 2 cells, got 1"),
        ("a\n1\nnan\n", "got 1 missing cell in line 3: --missing drop"),
        ("a\n1\ninf\n", "line 3: expected a number, got 'inf'"),
        ('a\n1\n"2\n', "line 3: expected CSV, unexpected end of data"),
        (b"a\n1\n\xff\n", "line 3: expected a number, got 'ÿ'"),
        ("a,b\n1,2\n3,4,5\n", "line 3: expected 2 cells as in the header, got 3"),
        ("a\n1\n2\n", "expected at least 9 values in column 'a' for windows of 3, got 2"),
        ("a\n" + RISING, "column 'a': expected changes that vary"),
        ("a\n" + TENTHS, "column 'a': expected changes that vary"),
        ("a\n" + HUGE, "column 'a': expected smaller numbers"),
        ("a\n" + LARGE, "with standard deviation inf"),
    ],
)
def test_own_series_says_what_is_wrong_with_a_file(write, text, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 -- the message is compared below
        own_series(write(text), "a", 3)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_device_without_end_is_refused():
    with pytest.raises(OSError, match="expected a file, got a device"):
        own_series("/dev/null", "a", 3)


@pytest.mark.parametrize(("separator", "hint"), [(",", True), (";", False), ("\t", False)])
def test_a_decimal_comma_is_suspected_where_commas_separate(write, separator, hint):
    text = "".join(separator.join(row) + "\n" for row in ("ab", "12", "345", "67"))
    with pytest.raises(ValueError, match="line 3: expected 2 cells as in the header") as raised:
        own_series(write(text), "a", 3)
    assert ("decimal comma" in str(raised.value)) == hint


# What is handed on


@pytest.mark.parametrize("every_step", [False, True])
def test_data_can_be_written_and_their_description_cannot(write, every_step):
    text = "a\n" + "".join(f"{n % 7}\n" for n in range(20))
    data = own_series(write(text), "a", 3, every_step)
    for array in (data.inputs, data.targets, data.held_out.inputs):
        array[...] = 0  # an array of its own, not a view that is read-only
    for part, name in ((data.held_out, "mean"), (data.held_out.series, "lag")):
        with pytest.raises(FrozenInstanceError):
            setattr(part, name, 0)


def test_what_a_model_in_float32_answers_is_restored_in_float64():
    data = load_task(SYSTEMS["airline-lstm"], dtype=np.float32)
    held_out = data.held_out
    answers = np.linspace(-1, 1, 48, dtype=np.float32)[:, np.newaxis]
    restored = held_out.restore(answers)
    assert restored.dtype == np.float64
    np.testing.assert_array_equal(restored, held_out.restore(answers.astype(np.float64)))


def test_a_model_that_is_not_better_than_no_change_loses():
    held_out = load_task(SYSTEMS["airline-lstm"]).held_out
    naive = held_out.rmse(held_out.naive)
    assert held_out.loses(naive * (1 - 1e-9)) == ""
    for rmse in (naive, 50.0, np.inf, np.nan):
        words = held_out.loses(rmse)
        assert words == f'loses against "same as last year": RMSE {rmse:.6g} against {naive:.6g}'
    assert sine_waves(np.random.default_rng(0)).held_out is None


def test_the_names_of_pictures_of_different_series_differ(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    series = [
        *(("sales.csv", "price"), ("sales.csv", "kg/m²"), ("sales.txt", "price")),
        *(("2023/sales.csv", "price"), ("../sales.csv", "price"), ("/data/sales.csv", "price")),
        *(("s.csv", "가" * 99), ("s.csv", "가" * 100)),
    ]
    stems = [with_series(SYSTEMS["airline-lstm"], *s, 12).file_stem for s in series]
    assert stems[0] == "airline-lstm-sales-price"
    assert stems[3] == "airline-lstm-2023-sales-price"
    assert len(set(stems)) == len(series)
    assert all(len(stem.encode()) < 200 and "/" not in stem for stem in stems)
    inside = with_series(SYSTEMS["airline-lstm"], str(tmp_path / "sales.csv"), "price", 12)
    assert inside.file_stem == stems[0]
