"""A CSV file as spreadsheets write it: from its bytes to a header and rows of cells.

Encoding and separator are found from the file. Dates, numbers and missing cells are `column.py`'s.
"""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from dataclasses import dataclass, replace

from ..machinery.printable import short

GUESSED = ("cp949", "cp1252")  # nothing in the file proves these encodings
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # how .xlsx and .ods, and .xls begin
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


@dataclass(frozen=True)
class Table:
    """name: the file's, for messages. rows: the number of the line and the cells, stripped."""

    name: str
    encoding: str
    separator: str
    header: list[str]
    rows: list[tuple[int, list[str]]]

    def cells(self, column: str) -> list[str]:
        """The cells of one column. Raises ValueError where there is no such column, or two."""
        wanted = normal(column)
        if self.header.count(wanted) != 1:
            found = short(", ".join(self.header), 200) or "no header"
            guessed = "; --encoding names another" if self.encoding in GUESSED else ""
            raise ValueError(
                f"{self.name}: expected one column named {short(column)!r}, got {found} "
                f"({self.how}{guessed})"
            )
        place = self.header.index(wanted)
        for line, row in self.rows:
            if place >= len(row):
                raise ValueError(
                    f"{self.name}, line {line}: expected at least {place + 1} cells, got {len(row)}"
                )
        return [row[place] for _, row in self.rows]

    def select(self, numbers: list[int]) -> Table:
        """The same with the rows of these numbers, counted from 0."""
        return replace(self, rows=[self.rows[number] for number in numbers])

    @property
    def how(self) -> str:
        """How the file was read, in words."""
        separated = f", separated by {SEPARATORS[self.separator]}" if len(self.header) > 1 else ""
        return f"{self.encoding}{separated}"


def read_table(content: bytes, column: str, name: str, encoding: str | None = None) -> Table:
    """The table in which `column` is looked for. Raises ValueError if it is not CSV text.

    Lines that are empty or all spaces are skipped, but in a file of one column they are missing
    cells; at the end of the file, rows of empty cells are left out, too.
    """
    if content.startswith(WORKBOOKS):
        raise ValueError(f"{name}: expected CSV, got a workbook: save the sheet as CSV")
    text, encoding = decode(content, name, encoding)
    text = text.removeprefix("\ufeff")
    if text[:4].lower() == "sep=":  # Excel's own mark of the separator
        text = "\n" + text.partition("\n")[2]  # lines keep their numbers
    tables, errors = [], []
    for separator in SEPARATORS:
        try:
            tables.append(Table(name, encoding, separator, *split(text, separator)))
        except csv.Error as error:
            errors.append(ValueError(f"{name}, {error}"))

    def fit(table: Table) -> tuple[bool, int, int]:
        whole = sum(len(row) == len(table.header) for _, row in table.rows)
        return table.header.count(normal(column)) == 1, whole, len(table.header)

    best = max(tables, key=fit, default=None)
    if best is None or (errors and not fit(best)[0] and len(best.header) < 2):
        raise errors[0]
    for line, row in best.rows:
        if any(row[len(best.header) :]):
            comma = "a decimal comma needs quotes or another separator"
            hint = f" ({comma})" if best.separator == "," else ""
            raise ValueError(
                f"{name}, line {line}: expected {len(best.header)} cells as in the header, got "
                f"{len(row)}{hint}"
            )
    return best


def split(text: str, separator: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header and the rows under it. Raises csv.Error, naming the line."""
    lines = io.StringIO(text, newline=None)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise csv.Error(f"line {reader.line_num}: expected CSV, {error}") from None
    while rows and not any(rows[-1][1]):
        del rows[-1]
    header: list[str] = []
    while rows and not any(header):
        header = [normal(cell) for cell in rows.pop(0)[1]]
    if len(header) == 1:
        return header, [(line, row or [""]) for line, row in rows]
    return header, [(line, row) for line, row in rows if len(row) > 1 or any(row)]


def decode(content: bytes, name: str, encoding: str | None = None) -> tuple[str, str]:
    """The text, and the name of its encoding: the one given, or the likely one."""
    likely = likely_encoding(content)
    try:
        return content.decode(encoding or likely), encoding or likely
    except LookupError:
        raise ValueError(
            f"--encoding {encoding}: expected an encoding that Python knows, such as utf-8, "
            f"utf-16, cp949 or cp1252"
        ) from None
    except UnicodeDecodeError as error:
        byte = f"byte {error.object[error.start]:#x} at {error.start}"
    except UnicodeError as error:  # UTF-16 without its mark
        byte = str(error)
    if encoding is None:
        raise ValueError(
            f"{name}: expected text in utf-8, utf-16, cp949 or cp1252, got {byte}: name its "
            f"encoding in --encoding"
        )
    raise ValueError(f"{name}: expected {encoding} text, got {byte}: try --encoding {likely}")


def likely_encoding(content: bytes) -> str:
    """utf-8 and utf-16 by their marks and rules; else cp949 where it gives Korean, else cp1252."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in content[:1000]:  # every other byte of a digit or a Latin letter
        low_first = content[1:1000:2].count(0) > content[:1000:2].count(0)
        return "utf-16-le" if low_first else "utf-16-be"
    if is_text(content, "utf-8"):
        return "utf-8"
    if is_text(content, "cp949"):
        letters = [letter for letter in content.decode("cp949") if not letter.isascii()]
        # cp1252's "°C" and "Größe" are letters of cp949, too, but none that Korean is written with:
        # its 2350 common syllables take two bytes in EUC-KR, the others eight.
        hangul = (letter for letter in letters if "가" <= letter <= "힣")
        common = sum(len(letter.encode("euc_kr")) == 2 for letter in hangul)
        if 2 * common > len(letters):
            return "cp949"
    return "cp1252"


def is_text(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def normal(text: str) -> str:
    """One form of letters that can be written in two ways, as é and Hangul can."""
    return unicodedata.normalize("NFC", text)
