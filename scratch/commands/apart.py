"""Each check in a process of its own, and whatever comes back as a status and a text."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from ..gradcheck.report import MISSING
from ..machinery.printable import short
from . import notebooks
from .options import UsageError

JOB, OUTCOME, TRACE = "job.json", "outcome.json", "trace.txt"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LONGEST = 2000  # letters of a line that says why there is no report
GRACE = 10.0  # seconds for a process to start, and to end itself before it is killed
BROKEN, LATE = 70, 71  # the status of a process that could not tell its outcome, or in no time
RIGHT, WRONG, NOT_CHECKED = 0, 1, 2


class Job(NamedTuple):
    """What one process checks."""

    path: str
    names: Sequence[str]
    make: str | None
    call: str | None
    like: str | None
    sizes: Sequence[int]
    timeout: float  # seconds

    @property
    def target(self) -> str:
        return f"{self.path}:{','.join(self.names)}"

    def expression_names(self) -> set[str]:
        """The names in --make and --call."""
        trees = [ast.parse(text, mode="eval") for text in (self.make, self.call) if text]
        return {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}


class Outcome(NamedTuple):
    """What came back: a status, the report or one line, and the report's numbers."""

    job: Job
    status: int
    text: str
    found: dict[str, Any] | None = None  # of a report
    absent: bool = False  # the file has no such name

    @property
    def verdict(self) -> str:
        if self.absent:
            return "no such name"
        if self.status == RIGHT and self.missing:
            return "incomplete"
        return {RIGHT: "right", WRONG: "WRONG", NOT_CHECKED: "not checked"}[self.status]

    @property
    def cause(self) -> str:
        """The first cause of what is wrong, what is missing, or why it was not checked."""
        if self.found is None:
            return self.text
        wrong = [row["name"] for row in self.found["rows"] if not row["ok"]]
        like = self.found["like"] or {"ok": True}
        causes = [finding["cause"] for finding in self.found["findings"]]
        causes += [f"the gradient of {' and '.join(wrong)}"] if wrong else []
        causes += [f"compared with {like['kind']}: {like['forward']}"] if not like["ok"] else []
        return next(iter(causes if self.status == WRONG else self.missing), "")

    @property
    def missing(self) -> list[str]:
        """What is said of parameters for which no gradient came."""
        remarks = self.found.get("remarks", []) if self.found else []
        return [remark["cause"] for remark in remarks if remark["name"].startswith(MISSING)]


def judge(job: Job, written: Any, otherwise: str) -> Outcome:
    """The one place that judges what came back. Only a complete report is right or wrong."""
    match written:
        case {"text": str(text), "found": {"ok": True, "rows": [_, *_]} as found}:
            like = found["like"] or {"ok": True}
            return Outcome(job, RIGHT if like["ok"] is True else WRONG, text, found)
        case {"text": str(text), "found": {"ok": False} as found}:
            return Outcome(job, WRONG, text, found)
        case {"absent": str(text)}:
            return Outcome(job, NOT_CHECKED, short(text, LONGEST), absent=True)
        case {"refused": str(text)}:
            return Outcome(job, NOT_CHECKED, short(text, LONGEST))
    return Outcome(job, NOT_CHECKED, short(otherwise, LONGEST) or "there was nothing to check")


class Child:
    """The process of one job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.folder = tempfile.mkdtemp()
        with open(os.path.join(self.folder, JOB), "w") as file:
            json.dump(job, file)
        path = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")]))
        # The arrays are small: threads of BLAS only cost time. A plot opens no window.
        more = {"PYTHONPATH": path, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            # -P: no json.py in the folder that the command was started in hides Python's.
            [sys.executable, "-P", "-m", "scratch.commands.child", self.folder],
            stdin=subprocess.PIPE,  # closed when this process ends, in whatever way
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | more,
            start_new_session=True,  # Ctrl-C is for the command, which ends what it started
        )
        self.latest = time.monotonic() + job.timeout + GRACE

    def ended(self) -> bool:
        return self.process.poll() is not None or time.monotonic() > self.latest

    def close(self) -> None:
        """End the process and those that it started, and remove what it wrote."""
        with suppress(subprocess.TimeoutExpired):
            self.process.communicate(timeout=GRACE)  # closes the pipe, at which it ends them itself
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def outcome(self) -> Outcome:
        written = self._written()
        return judge(self.job, written, self._why_nothing() if written is None else "")

    def _written(self) -> Any:
        with suppress(OSError, ValueError), open(os.path.join(self.folder, OUTCOME)) as file:
            return json.load(file)
        return None

    def _why_nothing(self) -> str:
        """How a process ended that left no outcome, and in which of the person's lines."""
        trace = ""
        with suppress(OSError), open(os.path.join(self.folder, TRACE), errors="replace") as file:
            trace = file.read()
        status = self.process.poll()
        if status in (None, LATE) or "Timeout (" in trace:
            return f"did not end within {self.job.timeout:g} s (--timeout){self._line(trace)}"
        if status < 0:
            name = signal.Signals(-status).name if -status in set(signal.Signals) else -status
            return f"ended in the signal {name}{self._line(trace)}"
        if status == BROKEN:
            return "it replaces something that the check itself stands on"
        return (
            f"ended the process, with status {status}, before the check was done{self._line(trace)}"
        )

    def _line(self, trace: str) -> str:
        """The innermost line of the person's file; the main thread stands last."""
        own = os.path.abspath(self.job.path).encode("ascii", "backslashreplace").decode()
        for thread in reversed(trace.split("\n\n")):
            for file, line, function in re.findall(r'File "(.*)", line (\d+) in (.*)', thread):
                if file == own:
                    with suppress(UsageError):
                        return notebooks.read(self.job.path).line(int(line), function)
        return ""


def run(jobs: Sequence[Job]) -> Iterator[Outcome]:
    """The outcome of each, as they end; as many processes at a time as there are processors."""
    waiting = list(reversed(jobs))
    running: list[Child] = []
    try:
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                running.append(Child(waiting.pop()))
            for child in [child for child in running if child.ended()]:
                running.remove(child)
                try:
                    outcome = child.outcome()
                finally:
                    child.close()
                yield outcome
            time.sleep(0.01)
    finally:
        for child in running:
            child.close()
