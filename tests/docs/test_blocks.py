"""Every block of the README and of the chapters runs and prints what is shown below it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap

import pytest

import reference.__main__
import scratch.__main__
from scratch.commands import options
from tests.docs.pages import PAGES, ROOT, Block, blocks, disagreement, name
from tests.strategies import thorough

MAINS = {"scratch": scratch.__main__.main, "reference": reference.__main__.main}
INSTALLS = ("python3 -m venv", ".venv/bin/pip", "pip install", ".venv/bin/python -m pytest")
LANGUAGES = {"python", "text", "console", "bash", ""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that looks like the repository, for commands to run in and to write into."""
    folder = tmp_path_factory.mktemp("repository")
    for part in ("docs", "scratch", "reference"):
        (folder / part).symlink_to(ROOT / part)
    # What the pages call a file of the reader's own.
    prices = "".join(f"{100 + (k * k) % 17}\n" for k in range(80))
    (folder / "sales.csv").write_text("price\n" + prices)
    lstm = blocks(ROOT / "docs" / "gradcheck.md")[0].text
    (folder / "my_lstm.py").write_text(lstm)
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "source": lstm}
    (folder / "homework.ipynb").write_text(json.dumps({"cells": [cell], "nbformat": 4}))
    (folder / "handed_in").mkdir()
    (folder / "handed_in" / "anna.py").write_text(lstm)
    for file in (ROOT / "tests" / "docs" / "own").glob("*.py"):
        shutil.copy(file, folder)
    return folder


@pytest.fixture(scope="module")
def done():
    """What the commands printed, by command: pages that show the same command share a run."""
    return {}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_run_in_order_and_print_what_is_shown(page, folder, done, monkeypatch):
    monkeypatch.chdir(folder)
    names: dict[str, object] = {"__name__": "__main__"}
    found = blocks(page)
    for block, after in zip(found, [*found, None][1:], strict=True):
        if block.language == "python" and not block.quotes:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
            shown = after.text if after and after.language == "text" and after.follows else ""
            if after is None or after.comment != "not compared":
                wrong = disagreement(shown, printed.getvalue())
                assert wrong is None, f"{name(page)}, the block at line {block.line}: {wrong}"
        for command, shown in commands(block):
            if block.comment == "slow" and not thorough():
                only_read(command, monkeypatch)
                continue
            if command not in done:
                done[command] = run(command)
            status, output = done[command]
            assert status == (1 if "WRONG" in output else 0), f"{name(page)}: {command}"
            if shown is not None and block.comment != "not compared":
                wrong = disagreement(shown, output)
                assert wrong is None, f"{name(page)}: {command}: {wrong}"


def commands(block: Block) -> list[tuple[str, str | None]]:
    """The commands of a block, and what is shown of their output; None where nothing is."""
    if block.language == "bash":
        lines = [re.sub(r"\s+# .*", "", line) for line in block.text.splitlines()]
        return [(command, None) for line in lines for command in line.split(" && ")]
    if block.language != "console":
        return []
    first, *parts = ("\n" + block.text).split("\n$ ")
    assert not first.strip(), f"output without a command: {first}"
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def run(command: str) -> tuple[int, str]:
    """Exit status and standard output. What installs something is left to whoever installs it."""
    if command.startswith(INSTALLS):
        return 0, ""
    python, *arguments = shlex.split(command)
    assert python in ("python", ".venv/bin/python"), command
    if arguments[0] != "-m":
        path = {**os.environ, "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, env=path, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.returncode, ended.stdout
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = MAINS[arguments[1]](arguments[2:])
    return status, printed.getvalue()


def only_read(command: str, monkeypatch) -> None:
    """Have the command's own parser read the arguments."""
    if command.startswith(INSTALLS):
        return
    _python, _m, package, *arguments = shlex.split(command)
    with monkeypatch.context() as patch:
        patch.setattr(options, "run", lambda parser, argv: parser.parse_args(argv) and 0)
        MAINS[package](arguments)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_of_a_kind_that_is_checked(page):
    found = blocks(page)
    for block, before in zip(found, [None, *found], strict=False):
        assert block.language in LANGUAGES, f"{name(page)}, line {block.line}"
        if block.language == "text" and block.comment != "not compared":
            shows = block.follows and before.language == "python" and not before.quotes
            assert shows, f"{name(page)}, line {block.line}: the output of no block"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_quotations_stand_in_their_files(page):
    for block in blocks(page):
        if block.quotes is None:
            continue
        source = textwrap.dedent((ROOT / block.quotes).read_text())
        for part in block.text.partition("\n")[2].split("...\n"):
            assert as_lines(part) in as_lines(source), f"{name(page)}, line {block.line}"


def as_lines(text: str) -> str:
    """The lines of code without indentation and comments, joined."""
    lines = [re.sub(r"(^|\s+)# .*", "", line).strip() for line in text.splitlines()]
    return "\n".join(["", *(line for line in lines if line), ""])


def test_numbers_are_compared_to_the_digits_that_are_shown():
    assert disagreement("loss 0.531\n", "loss 0.5312\n") is None
    assert disagreement("loss 0.531\n", "loss 0.5325\n")
    assert disagreement("step 49\n", "step 50\n")
    assert disagreement("3.2e-12\n", "3.28e-12\n") is None
    assert disagreement("3.2e-12\n", "3.2e-11\n")
    assert disagreement("took ... seconds\n...\nend 1.0\n", "took 3 seconds\na\nb\nend 1\n") is None
    assert disagreement("a\n", "a\nb\n")
    assert disagreement("a\nb\n", "a\n")
    assert disagreement("[ 0.1 -0.2]\n", "[0.1  -0.2]\n") is None
