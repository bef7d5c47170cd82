"""The process that runs a stranger's code: `python -m scratch.commands.child FOLDER`.

The folder holds the job, and gets the outcome when there is one, as JSON; `apart.py` reads it. Two
processes: one works, the other watches, which runs none of the stranger's code. The worker has a
limit of time, which the line is told for, and of memory; it has no standard output or input, and it
ends at once: neither a thread, nor an atexit handler, nor `__del__` has a say. When it has ended,
its time is up, or the command that started both is gone, whichever way, the watcher ends it and
what it started. Where there is no fork, on Windows, the worker is alone, and the command kills it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import select
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, TextIO

from ..machinery.writing import replacing
from .apart import BROKEN, GRACE, JOB, LATE, OUTCOME, TRACE, Job
from .checking import check_job

MEMORY = 8 * 2**30  # bytes of addresses, where the system can limit them
LEEWAY = 1.0  # seconds that the worker has to write where it is


def main(folder: str) -> None:
    with open(os.path.join(folder, JOB)) as file:
        job = Job(*json.load(file))
    limit_memory()
    if not hasattr(os, "fork"):
        work(folder, job)
    adopt_orphans()
    worker = os.fork()
    if not worker:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        work(folder, job)
    status = watch(worker, job.timeout + LEEWAY)
    if status is None:
        os.kill(worker, signal.SIGKILL)
    end_the_rest()
    if command_is_gone():
        shutil.rmtree(folder, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)
    code = LATE if status is None else os.waitstatus_to_exitcode(status)
    if code < 0:  # ends as the worker did
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


# The watcher


def command_is_gone(wait: float = 0.0) -> bool:
    """Whether it has closed its end of the pipe, as the system does for it when it is killed."""
    return bool(select.select([0], [], [], wait)[0])


def watch(worker: int, limit: float) -> int | None:
    """The status in which the worker ended; None if it has to be ended."""
    until = time.monotonic() + limit
    while time.monotonic() < until and not command_is_gone(0.01):
        pid, status = os.waitpid(worker, os.WNOHANG)
        if pid:
            return status
    return None


def adopt_orphans() -> None:
    """On Linux, a process whose parent has ended becomes a child of this one."""
    with suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def end_the_rest() -> None:
    """End all children, until their children, which become this process's, have ended as well.

    Elsewhere than on Linux, only what stays in the group of processes can be ended, after this.
    """
    until = time.monotonic() + GRACE / 2
    with suppress(ChildProcessError):  # none is left
        while time.monotonic() < until:
            with suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children") as file:
                for pid in file.read().split():
                    os.kill(int(pid), signal.SIGKILL)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            time.sleep(0.005)


# The worker


def work(folder: str, job: Job) -> NoReturn:
    trace = open(os.path.join(folder, TRACE), "w")  # noqa: SIM115 -- open until the process ends
    faulthandler.enable(trace)
    seconds = min(job.timeout, threading.TIMEOUT_MAX)
    faulthandler.dump_traceback_later(seconds, exit=True, file=trace)
    for name in ("enable", "disable", "dump_traceback_later", "cancel_dump_traceback_later"):
        setattr(faulthandler, name, lambda *_, **__: None)  # nobody else stops or moves the clock
    leave = os._exit
    for name in ("_exit", "kill", "killpg", "execv", "execve"):
        if hasattr(os, name):
            setattr(os, name, traced(getattr(os, name), trace))
    warnings.simplefilter("ignore")
    try:
        encoded = json.dumps(check_job(job)).encode()
        json.loads(encoded)
        with replacing(os.path.join(folder, OUTCOME)) as written:
            written.write(encoded)
    except BaseException:  # their code has replaced what this stands on
        leave(BROKEN)
    leave(0)


def traced(function: Callable[..., Any], trace: TextIO) -> Callable[..., Any]:
    """A function that may end the process: which line calls it is written down before."""

    def call(*args: Any) -> Any:
        with suppress(Exception):  # they may have closed the file
            faulthandler.dump_traceback(trace)
        return function(*args)

    return call


def limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):  # a system that has no such limit
        import resource

        for kind, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
            hard = resource.getrlimit(kind)[1]
            least = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (least, hard))


if __name__ == "__main__":
    main(sys.argv[1])
