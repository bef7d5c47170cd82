"""A file is never lost by writing it: the new one is written beside it and then takes its place.

Nor is one read that has no end.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def replacing(path: str) -> Iterator[IO[bytes]]:
    """A file to write that takes the place of `path` when it is complete; till then the old stays.

    A device or a pipe is written as it is. Raises OSError.
    """
    if not is_regular(path):
        with open(path, "wb") as device:
            yield device
        return
    file = open_beside(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            shutil.copymode(path, file.name)
        os.replace(file.name, os.path.realpath(path))
    except BaseException:
        with suppress(OSError):
            os.remove(file.name)
        raise


def is_regular(path: str) -> bool:
    return os.path.isfile(path) or not os.path.exists(path)


def open_beside(path: str) -> IO[bytes]:
    """A file of another name in the folder of `path`, or of what it links to."""
    folder = os.path.dirname(os.path.realpath(path))
    try:
        return open(os.path.join(folder, f".{os.getpid()}.part"), "wb")
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None  # the name that was asked for


def try_to_write(path: str) -> None:
    """Raises OSError where `replacing(path)` would; changes nothing."""
    with suppress(FileNotFoundError):
        os.stat(path)  # refuses a name that is too long, and links in a circle
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise PermissionError("no permission to write there")
    if is_regular(path):
        file = open_beside(path)
        file.close()
        os.remove(file.name)


def read_whole(path: str) -> bytes:
    """The bytes of a file. Raises OSError, also for a device: /dev/zero never ends."""
    file = Path(path)
    if file.is_char_device() or file.is_block_device():
        raise OSError(errno.EINVAL, "expected a file, got a device", path)
    return file.read_bytes()
