"""The line at which a forward pass in float64 goes on in float32."""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

STANDARD = sysconfig.get_paths()["stdlib"] + os.sep
NARROW = (np.dtype(np.float16), np.dtype(np.float32))


def narrowing_line(run: Callable[[], Any], foundations: tuple[str, ...]) -> str:
    """The first line of `run` after which a variable holds float32 numbers; "" if none does.

    foundations: parts of the names of files that are not the person's own.
    """
    found: list[str] = []
    lines: dict[int, int] = {}

    def narrow(frame: FrameType) -> bool:
        return any(isinstance(v, np.ndarray | np.generic) and v.dtype in NARROW
                   for v in frame.f_locals.values())  # fmt: skip

    def trace(frame: FrameType, event: str, value: Any) -> Any:
        code = frame.f_code
        if found or any(part in code.co_filename for part in (*foundations, STANDARD)):
            return None
        if event == "call":
            lines[id(frame)] = 0 if narrow(frame) else frame.f_lineno
        elif lines.get(id(frame)):
            returned = event == "return" and getattr(value, "dtype", None) in NARROW
            number = frame.f_lineno if returned else lines[id(frame)]
            if returned or narrow(frame):
                line = linecache.getline(code.co_filename, number).strip()
                found.append(f"line {number}, in {code.co_name}: {line}")
            lines[id(frame)] = frame.f_lineno
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return found[0] if found else ""
