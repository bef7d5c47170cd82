"""A text of headings, equations and tables, written as plain text, Markdown or LaTeX."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH = 100


@dataclass
class Heading:
    text: str
    level: int = 1


@dataclass
class Paragraph:
    text: str


@dataclass
class Line:
    """The equation with numbers put in, of one unit: `label` `numbers` = `result`."""

    label: str
    numbers: str
    result: str
    beside: str = ""  # another way to the same number


@dataclass
class Formula:
    """`name` = `symbols`, and the lines with its numbers."""

    name: str
    symbols: str
    lines: list[Line] = field(default_factory=list)


Block = Heading | Paragraph | Formula


def plain(blocks: Sequence[Block]) -> str:
    """Plain text within WIDTH columns."""
    lines: list[str] = []
    for before, block in zip([None, *blocks], blocks, strict=False):
        given = (isinstance(b, Formula) and not b.lines for b in (before, block))
        if before is not None and not all(given):
            lines.append("")
        lines += plain_lines(block)
    return "\n".join(lines)


def plain_lines(block: Block) -> list[str]:
    if isinstance(block, Heading):
        return [block.text, ("=" if block.level == 1 else "-") * len(block.text)]
    if isinstance(block, Paragraph):
        return textwrap.wrap(block.text.replace("`", ""), WIDTH)
    label = max((len(line.label) for line in block.lines), default=0)
    texts = [f"{line.numbers} = {line.result}" for line in block.lines]
    width = max(map(len, texts), default=0)
    lines = wrapped(f"  {block.name} = {block.symbols}", "      ")
    for line, text in zip(block.lines, texts, strict=True):
        start = f"    {line.label:<{label}}  " if label else f"  {'':{len(block.name)}} = "
        text = f"{text:<{width}}    {line.beside}" if line.beside else text
        lines += wrapped(start + text, " " * len(start))
    return lines


def wrapped(text: str, indent: str) -> list[str]:
    """Lines broken before + and =, never inside a product; the spaces of the text stay."""
    bound = re.sub(r" ([·−>]) ", "\u00a0\\1\u00a0", text)
    bound = re.sub(r" ([+=]) ", " \\1\u00a0", bound).replace(", ", ",\u00a0")
    start = len(bound) - len(bound.lstrip(" "))
    lines = textwrap.wrap(
        bound[start:],
        WIDTH,
        initial_indent=" " * start,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\u00a0", " ") for line in lines]


def markdown(blocks: Sequence[Block]) -> str:
    """Markdown with formulas between `$$`, as GitHub and Jupyter show them."""
    return "\n".join(map(markdown_block, blocks))


def markdown_block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}\n"
    if isinstance(block, Paragraph):
        return f"{block.text}\n"
    return f"$$\n{aligned(block)}\n$$\n"


PREAMBLE = r"""\documentclass{article}
\usepackage{amsmath}
\usepackage[a4paper, margin=2cm]{geometry}
\setlength{\parindent}{0pt}
\sloppy
\begin{document}
"""


def latex(blocks: Sequence[Block]) -> str:
    """A whole document, for pdflatex."""
    return PREAMBLE + "\n".join(map(latex_block, blocks)) + "\n\\end{document}\n"


def latex_block(block: Block) -> str:
    if isinstance(block, Heading):
        return rf"\{'sub' * (block.level - 1)}section*{{{latex_text(block.text)}}}"
    if isinstance(block, Paragraph):
        return latex_text(block.text) + "\n"
    return f"\\[\n{aligned(block)}\n\\]"


def latex_text(text: str) -> str:
    text = re.sub(r"([_%&#$])", r"\\\1", text)
    return re.sub(r"`([^`]*)`", r"\\texttt{\1}", text)


def aligned(formula: Formula) -> str:
    """The formula and its lines, one below the other."""
    rows = [f"{math(formula.name)} &= {math(formula.symbols)}"]
    for line in formula.lines:
        label = rf"\text{{{line.label}}}\quad" if line.label else ""
        first, *others = terms(line.numbers)
        rows.append(f"{label} &{'' if line.label else '='} {first}")
        rows += [rf"&\quad {part}" for part in others]
        rows[-1] += f" = {math(line.result)}"
        if line.beside:
            words, _, number = line.beside.partition(": ")
            rows[-1] += rf" \qquad \text{{{words}: }} {math(number)}"
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def terms(numbers: str) -> list[str]:
    """A sum in parts of four terms."""
    parts = numbers.split(" + ")
    lines = [" + ".join(parts[k : k + 4]) for k in range(0, len(parts), 4)]
    return [("+ " if k else "") + math(line) for k, line in enumerate(lines)]


SIGNS = {
    **{"·": r"\cdot ", "−": "-", "²": "^2", "½": r"\frac{1}{2} ", "Σ": r"\sum", "σ": r"\sigma "},
    **{"tanh": r"\tanh ", "max": r"\max ", "sum": r"\text{sum}", "∞": r"\infty "},
}
TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9_]*ᵀ?|\d[\d.]*e[+-]\d+|[·−²½Σσ∞]")


def math(text: str) -> str:
    r"""A formula of ours in LaTeX: `W_hi · h_prev` becomes `W_{hi} \cdot h_{t-1}`."""
    return TOKEN.sub(lambda match: sign(match[0]), text)


def sign(token: str) -> str:
    if token in SIGNS:
        return SIGNS[token]
    if token[0].isdigit():
        mantissa, _, exponent = token.partition("e")
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"
    if token.startswith("grad_"):
        of, _, source = token[5:].removesuffix("ᵀ").partition("_from_")
        above = rf"^{{\text{{{source}}}}}" if source else ""
        return rf"\frac{{\partial L}}{{\partial {sign(of)}}}{above}"
    name, _, index = token.removesuffix("ᵀ").partition("_")
    index = "t-1" if index == "prev" else index
    return name + (f"_{{{index}}}" if index else "") + (r"^\top" if token.endswith("ᵀ") else "")
