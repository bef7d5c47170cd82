"""The pages of the documentation, taken apart: blocks, formulas, links; and how output is compared.

What a page may hold:

    ```python       runs, all blocks of a page in order and with the same names; with a first line
                    `# scratch/FILE.py` it is a quotation of that file and does not run
    ```text         right below a ```python block: what that block prints
    ```console      a line `$ COMMAND` runs, the lines below it are what it prints
    ```bash         each line runs, its output is not shown

`<!-- slow -->` above a block of commands: they run under the Hypothesis profile `thorough`; in the
everyday run their arguments are read and nothing more. `<!-- not compared -->` above a block of
output: it varies, and the text around it says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
QUOTED = re.compile(r"# ((?:scratch|reference)/[\w/]+\.py)\n")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the number of its first line, the comment above."""

    language: str
    text: str
    line: int
    comment: str
    follows: bool  # nothing but empty lines between it and the block before

    @property
    def quotes(self) -> str | None:
        """The file that the block quotes."""
        match = QUOTED.match(self.text)
        return match[1] if match and self.language == "python" else None


def blocks(page: Path) -> list[Block]:
    text, found, end = page.read_text(), [], 0
    for match in FENCE.finditer(text):
        between = text[end : match.start()]
        comment = re.search(r"<!-- ([^>]*) -->\s*$", between)
        line = text.count("\n", 0, match.start()) + 2
        said = comment[1] if comment else ""
        found.append(Block(match[1], match[2], line, said, bool(found) and not between.strip()))
        end = match.end()
    return found


def prose(page: Path) -> str:
    """The page without its blocks, which keep their lines."""
    return FENCE.sub(lambda match: "\n" * match[0].count("\n"), page.read_text())


# Output. A number with a decimal point or an exponent may differ by one unit of the last digit
# that the page shows; integers, words and their order are exact, white space is not. `...` stands
# for any text within a line and, alone on a line, for any lines.

INEXACT = r"(?<![\w.])[-−]?\d+(?:\.\d+(?:e[-−+]?\d+)?|e[-−+]?\d+)(?!\w|\.\d)"
PART = re.compile(rf"(\.\.\.|{INEXACT})")
NUMBER = r"([-−+]?\d+(?:\.\d*)?(?:e[-−+]?\d+)?)"


def line_agrees(shown: str, printed: str) -> bool:
    pattern, numbers = "", []
    for k, part in enumerate(PART.split(shown.strip())):
        if k % 2 == 0:
            words = [re.escape(word) for word in re.split(r"\s+", part)]
            pattern += r"\s+".join(words)
        elif part == "...":
            pattern += ".*?"
        else:
            pattern += NUMBER
            numbers.append(part)
    # A sign that rounding took away or brought in: "[ 0.1" and "[-0.1".
    match = re.fullmatch(pattern.replace(r"\s+([", r"\s*(["), printed.strip())
    if not match:
        return False
    return all(
        abs(value(a) - value(b)) <= 1.001 * last_place(a)
        for a, b in zip(numbers, match.groups(), strict=True)
    )


def value(number: str) -> float:
    return float(number.replace("−", "-"))


def last_place(number: str) -> float:
    """0.01 of 1.25, 1e-7 of 3e-7."""
    mantissa, _, exponent = number.replace("−", "-").partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def disagreement(shown: str, printed: str) -> str | None:
    """The first line of `shown` that was not printed; None where the two agree."""
    left = printed.rstrip("\n").splitlines() if printed.strip() else []
    anywhere = False
    for line in shown.rstrip("\n").splitlines():
        if line.strip() == "...":
            anywhere = True
            continue
        while anywhere and left and not line_agrees(line, left[0]):
            del left[0]
        if not left or not line_agrees(line, left[0]):
            return f"shown: {line!r}, printed: {left[0] if left else 'nothing more'!r}"
        del left[0]
        anywhere = False
    return f"not shown: {left[0]!r}" if left and not anywhere else None
