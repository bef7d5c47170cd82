"""The pictures: what they hold, and that nothing lies over the data."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import scratch
from reference import compare, figures

N = np.arange(1.0, 13)
TRUTH, OURS, THEIRS = np.sin(N), np.sin(N) + 0.1, np.sin(N) + 0.2
SCORES = np.random.default_rng(0).standard_normal((12, 4))


def curves(**more):
    return figures.draw_curves(N, TRUTH, OURS, THEIRS, "month", "passengers", **more)


def held_out(count, **more):
    """The picture of a held-out series of this length; the baseline is truth − 1."""
    n = np.arange(1.0, count + 1)
    x = more.get("x", n)
    truth = np.sin(n)
    sides = (truth, truth + 0.1, truth + 0.2, truth - 1)
    return figures.draw_held_out(x, *sides, "month", "passengers", "same as last year")


DAYS = np.datetime64("2024-01-01") + np.arange(20_000)


def parity():
    return compare(
        scratch.LSTM(2, 3, dtype=np.float64, rng=0),
        np.random.default_rng(0).standard_normal((4, 2, 2)),
    )


def drawn(kind):
    """A picture of each kind, with its odd cases."""
    waves = [np.tile(side, (3, 1)) for side in (TRUTH, OURS, THEIRS)]
    return {
        "curves": lambda: curves(naive=TRUTH - 1, naive_label="same as last year"),
        "20 held out": lambda: held_out(20, x=DAYS[:20].astype("datetime64[us]")),
        "20,000 held out": lambda: held_out(20_000, x=DAYS),
        "one held out": lambda: held_out(1, x=DAYS[:1]),
        "one held-out row": lambda: held_out(1),
        "wave ends": lambda: figures.draw_wave_ends(
            np.array([1, 6, 12]), waves[0], 0.8, *(side[:, -1] for side in waves)
        ),
        "waves": lambda: figures.draw_waves(np.array([1, 6, 12]), *waves, "wave"),
        "classes": lambda: figures.draw_classes(SCORES.argmin(1), SCORES, SCORES),
        "losses": lambda: figures.draw_losses(N[::-1] ** 4, N[::-1] ** 4 + 1e-9, "loss"),
        "one epoch": lambda: figures.draw_losses([1.0], [1.0], "loss"),
        "equal losses": lambda: figures.draw_losses([2.0, 1.0], [2.0, 1.0], "loss"),
        "infinite losses": lambda: figures.draw_losses([1, np.inf], [1, np.nan], "loss"),
        "parity": lambda: figures.draw_parity(parity()),
    }[kind]()


KINDS = (
    *("curves", "20 held out", "20,000 held out", "one held out", "one held-out row"),
    *("waves", "wave ends", "classes", "losses", "one epoch", "equal losses", "infinite losses"),
    "parity",
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("error")
def test_every_axis_has_a_name_and_the_legend_covers_no_data(kind):
    figure = drawn(kind)
    assert isinstance(figure, Figure)
    figures.add_title(figure, "sine-rnn, float64, epochs 100\nthe model loses by $1")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    (legend,) = (legend for legend in legends if legend is not None)
    box = legend.get_window_extent(renderer)
    inside = figure.bbox.padded(1)
    (title,) = (text for text in figure.texts if text.get_text().startswith("sine-rnn"))
    assert not title.get_window_extent(renderer).overlaps(box)
    assert inside.x0 <= box.x0 < box.x1 <= inside.x1
    assert inside.y0 <= box.y0 < box.y1 <= inside.y1
    for axes in figure.axes:
        assert not box.overlaps(axes.get_window_extent(renderer).padded(-1))
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            extent = label.get_window_extent(renderer)
            assert not label.get_visible() or not extent.width or not extent.overlaps(box)
    lowest = figure.axes[-1]
    assert lowest.get_xlabel()
    assert any(axes.get_ylabel() for axes in figure.axes) or kind == "parity"


def lines_of(figure, axes=0):
    return {line.get_label(): line for line in figure.axes[axes].get_lines()}


def test_both_sides_over_the_truth_shape_for_shape():
    lines = lines_of(curves())
    for label, values in (("truth", TRUTH), ("scratch", OURS), ("torch", THEIRS)):
        np.testing.assert_array_equal(lines[label].get_xydata(), np.column_stack([N, values]))


def pixels_of(figure):
    """(height, width, 3), from 0 to 1."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3] / 255.0


@pytest.mark.parametrize("count", [1, 2, 20, 200, 20_000])
def test_truth_baseline_and_both_sides_are_seen_at_every_length(count):
    """Also a model that predicts nearly what the baseline does."""
    n = np.arange(1.0, count + 1)
    truth = np.sin(n) * 3
    sides = (truth, truth - 0.9, truth - 0.9, truth - 1)
    figure = figures.draw_held_out(n, *sides, "row", "level", "same as the row before")
    figure.axes[0].get_legend().remove()  # it has all colours
    pixels = pixels_of(figure)
    for look in (figures.TRUTH, figures.NAIVE, figures.SCRATCH, figures.TORCH):
        off = np.abs(pixels - to_rgb(look["color"])).max(2)
        assert (off < 0.1).sum() > 50, look["color"]


def test_of_many_values_the_last_are_shown_and_the_errors_of_all():
    figure = held_out(20_000, x=DAYS)
    above, below = figure.axes
    np.testing.assert_array_equal(lines_of(figure)["torch"].get_xdata(), DAYS[-200:])
    assert above.get_xlabel() == "month, the last 200 of 20000"
    assert below.get_ylabel() == "RMSE of each 100"
    for line, error in zip(below.get_lines(), (1, 0.1, 0.2), strict=True):
        np.testing.assert_allclose(line.get_ydata(), np.full(200, error), rtol=1e-10)
        np.testing.assert_array_equal(line.get_xdata(), DAYS[::100])


def test_few_errors_are_shown_one_by_one():
    errors = {side: np.array([3.0, -4.0, 0.0]) for side in ("naive", "scratch", "torch")}
    (axes,) = figures.draw_errors(N[:3], errors, "row").axes
    assert [line.get_ydata().tolist() for line in axes.get_lines()] == [[3, 4, 0]] * 3


def test_dates_are_written_as_dates():
    figure = held_out(50, x=DAYS[:50])
    FigureCanvasAgg(figure).draw()
    axis = figure.axes[1].xaxis
    assert axis.get_major_formatter().get_offset() == "2024-Feb"
    figure = held_out(1, x=DAYS[:1])
    FigureCanvasAgg(figure).draw()
    assert [t.get_text() for t in figure.axes[1].get_xticklabels()] == ["2024-01-01"]


def test_the_end_of_a_wave_stands_where_it_comes():
    figure = drawn("wave ends")
    lines = lines_of(figure, 1)
    np.testing.assert_array_equal(lines["truth"].get_xdata(), [*range(1, 13), 12.8])
    assert lines["scratch"].get_xydata().tolist() == [[12.8, OURS[-1]]]
    assert figure.axes[1].get_title() == "sequence 6, off by 0.1"


def test_a_panel_for_each_wave():
    figure = drawn("waves")
    assert [axes.get_title() for axes in figure.axes] == [f"sequence {k}" for k in (1, 6, 12)]
    for k in range(3):
        np.testing.assert_array_equal(lines_of(figure, k)["torch"].get_ydata(), THEIRS)


def test_classes_are_the_likeliest():
    lines = lines_of(drawn("classes"))
    for side in ("scratch", "torch"):
        np.testing.assert_array_equal(lines[f"likeliest for {side}"].get_ydata(), SCORES.argmax(1))


def test_a_side_looks_the_same_everywhere():
    for side in ("scratch", "torch"):
        looks = {
            (line.get_color(), line.get_linestyle(), line.get_linewidth())
            for kind in ("curves", "waves", "losses")
            for line in [lines_of(drawn(kind))[side]]
        }
        assert len(looks) == 1


def test_exact_zeros_lie_at_the_end_of_the_logarithmic_axis():
    figure = figures.draw_losses([3.0, 2.0, 1.0], [3.0, 2.0 + 1e-6, 1.0], "loss")
    below = figure.axes[1]
    assert below.get_yscale() == "log"
    lines = lines_of(figure, 1)
    np.testing.assert_allclose(lines["difference"].get_xydata(), [[2, 1e-6]], rtol=1e-6)
    np.testing.assert_array_equal(lines["exactly 0"].get_xdata(), [1, 3])
    assert set(lines["exactly 0"].get_ydata()) == {below.get_ylim()[0]}


def test_a_dot_for_every_tensor_and_a_line_at_the_tolerance():
    result = parity()
    figure = figures.draw_parity(result)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        row.label for row in result.rows
    ]
    lines = lines_of(figure)
    assert lines["tolerance, 1e-12"].get_xdata() == [1e-12, 1e-12]
    shown = {
        int(y): x for label in lines for x, y in lines[label].get_xydata() if "tol" not in label
    }
    for place, row in enumerate(result.rows):
        assert shown[place] == (row.relative or axes.get_xlim()[0])
    assert axes.get_xlim()[1] > 1e-12


def test_axes_of_the_caller_are_drawn_into():
    figure = Figure()
    axes = figure.subplots(3, 1)
    assert curves(axes=axes[0]) is figure
    assert figures.draw_classes(SCORES.argmin(1), SCORES, SCORES, axes=axes[1]) is figure
    assert figures.draw_parity(parity(), axes=axes[2]) is figure
    assert all(part.get_lines() for part in axes)
