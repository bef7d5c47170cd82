"""Ctrl-C ends `python -m scratch` and `python -m reference` in one line, also in their imports."""

from __future__ import annotations

import os
import signal
import sys


def command() -> str | None:
    """`scratch` or `reference` while `python -m` imports it as a command; None for a library."""
    if sys.argv[:1] != ["-m"]:  # what Python puts there until the module itself runs
        return None
    name = sys.orig_argv[-len(sys.argv)].removeprefix("-m")
    return name if name in ("scratch", "reference") else None


def end(*_: object) -> None:
    """The handler while there is nothing to save: a line, and exit status 130."""
    os.write(2, b"interrupted\n")
    os._exit(130)


def end_at_once() -> None:
    signal.signal(signal.SIGINT, end)


def search_here_last() -> None:
    """The folder that a command is started in is searched last: a json.py there hides no other."""
    if not sys.flags.safe_path:
        sys.path.append(sys.path.pop(0))


def raise_again() -> bool:
    """Ctrl-C is a KeyboardInterrupt again. Returns whether it was not."""
    guarded = signal.getsignal(signal.SIGINT) is end
    if guarded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return guarded
