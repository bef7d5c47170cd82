"""What the module under test raises, and what the check itself refuses."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from ..machinery.printable import short

MOST_LETTERS = 500  # of an exception's words

# Parts of the names of files that are not a person's own
NOT_OWN = (os.path.dirname(os.path.dirname(__file__)) + os.sep, "site-packages")


class NotCheckable(ValueError):
    """The check cannot be made; the message says why."""


def words(error: BaseException) -> str:
    """The exception's own words in one printable line, if it has any that can be had."""
    try:
        return short(str(error), MOST_LETTERS)
    except BaseException:  # theirs, whatever it is
        return "(its __str__ fails)"


def named(error: BaseException) -> str:
    """`ValueError: its words`, in one line."""
    return f"{short(type(error).__name__)}: {words(error)}".removesuffix(": ")


class ModuleRaised(Exception):
    """The module under test raised an exception, `raised`; the checker's own pass through."""

    def __init__(self, raised: Exception, doing: str = "the call") -> None:
        super().__init__(named(raised))
        self.raised, self.doing = raised, doing

    @property
    def line(self) -> str:
        """The last line of the module's own code, as "line 12, in backward: dx = ..."."""
        frames = traceback.extract_tb(self.raised.__traceback__)
        own = [f for f in frames if not any(part in f.filename for part in NOT_OWN)]
        if not own:
            return "no line of its own"
        return f"line {own[-1].lineno}, in {own[-1].name}: {own[-1].line}"


@contextmanager
def asked(doing: str = "the call") -> Iterator[None]:
    """Around every call of the module under test."""
    try:
        yield
    except (ModuleRaised, NotCheckable):
        raise
    except Exception as error:
        raise ModuleRaised(error, doing) from error
