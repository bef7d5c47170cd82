"""A name in a picture whose letters the usual font lacks: in a font that has them, or spelled."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator


def readable(name: str) -> tuple[str, list[str]]:
    """The name and the font families to draw it with.

    Where no font on this machine has all its letters, those that the usual one lacks are spelled
    in Latin letters: Hangul and kana as they are called in Unicode, others by number, U+65E5.
    """
    from matplotlib import font_manager, rcParams

    usual = list(rcParams["font.family"])
    found = font_manager.findfont(font_manager.FontProperties(family=usual))
    lacking = set(name) - letters_of(str(found)) - {"\n"}
    if not lacking:
        return name, usual
    for family, path in installed_fonts():
        if lacking <= letters_of(path):
            return name, [*usual, family]
    return spelled(name, lacking), usual


def installed_fonts() -> Iterator[tuple[str, str]]:
    """Family and path of every font, upright and regular ones first."""
    from matplotlib.font_manager import fontManager

    def is_odd(font: object) -> bool:
        return (getattr(font, "style", ""), getattr(font, "weight", 0)) != ("normal", 400)

    for font in sorted(fontManager.ttflist, key=is_odd):
        if not font.name.startswith("Last Resort"):  # a box for every letter
            yield font.name, str(font.fname)


def letters_of(path: str) -> set[str]:
    from matplotlib.font_manager import get_font

    try:
        return {chr(code) for code in get_font(path).get_charmap()}
    except (OSError, RuntimeError):  # a damaged font file
        return set()


def spelled(name: str, lacking: set[str]) -> str:
    """`lacking` letters by their names: 가격 (원) becomes ga-gyeog (weon)."""
    text, before = "", ""
    for letter in name:
        if letter in lacking:
            text += "-" if before in lacking else ""
            script, _, sound = unicodedata.name(letter, "").rpartition(" ")
            sounds = script.startswith(("HANGUL SYLLABLE", "HIRAGANA", "KATAKANA"))
            text += sound.lower() if sounds else f"U+{ord(letter):04X}"
        else:
            text += letter
        before = letter
    return text
