"""Exit codes (design contract), and the errors that the command line itself raises."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """0 measured, all valid; 1 measured, over a limit or worse than the baseline; 2 a trial is invalid or unknown;
    3 the cloud or a guest failed (journal kept); 64 bad usage or profile; 70 a bug."""

    OK = 0
    OVER_LIMIT = 1
    NOT_VALID = 2
    FAILED = 3
    USAGE = 64
    BUG = 70


class UsageProblem(Exception):
    """The command can't be carried out as asked; the text says what is wrong and what to do."""


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM arrived; like KeyboardInterrupt it passes every ``except Exception``."""


class OperationFailed(Exception):
    """The cloud reported that the measured operation failed: more trials on that network would say nothing."""
