"""Names in pictures: in a font that has their letters, or spelled; never in boxes."""

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager, rcParams
from matplotlib.figure import Figure

from reference.letters import letters_of, readable


@pytest.fixture
def only_matplotlib_s_fonts(monkeypatch):
    """As on a machine without others."""
    own = [font for font in font_manager.fontManager.ttflist if "mpl-data" in str(font.fname)]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)


@pytest.fixture
def korean_font(tmp_path, only_matplotlib_s_fonts):
    """A font of two Korean letters, which are triangles."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((500, 900))
    pen.lineTo((900, 0))
    pen.closePath()
    glyph, names = pen.glyph(), [".notdef", "ga", "gyeog"]
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap({ord("가"): "ga", ord("격"): "gyeog"})
    font.setupGlyf(dict.fromkeys(names, glyph))
    font.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    font.setupHorizontalHeader(ascent=900, descent=-100)
    font.setupNameTable({"familyName": "Two Letters", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    path = tmp_path / "two.ttf"
    font.save(path)
    font_manager.fontManager.addfont(path)
    return "Two Letters"


def test_a_font_that_has_the_letters_is_found_and_draws_them(korean_font, tmp_path):
    text, families = readable("가격 (b)")
    assert (text, families) == ("가격 (b)", [*rcParams["font.family"], korean_font])
    figure = Figure()
    figure.suptitle(text, fontfamily=families)
    figure.savefig(tmp_path / "x.png")  # a glyph that is missing is a warning, and so an error
    assert readable("가나")[0] == "ga-na"  # no font has both


@pytest.mark.usefixtures("only_matplotlib_s_fonts")
def test_without_a_font_a_name_is_spelled():
    for name, spelled in (
        ("level é σ", "level é σ"),
        ("가격 (원)", "ga-gyeog (weon)"),
        ("ねだん a", "ne-da-n a"),
        ("日本 $^$", "U+65E5-U+672C $^$"),
    ):
        assert readable(name) == (spelled, rcParams["font.family"])


def test_a_damaged_font_has_no_letters(tmp_path):
    path = tmp_path / "broken.ttf"
    path.write_bytes(b"no font")
    assert letters_of(str(path)) == set()
