"""Exit codes (design contract), and the errors that the command line itself raises."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class Exit(IntEnum):
    """The exit codes, each with its meaning for people."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Build a member whose value is its code."""
        made = int.__new__(cls, code)
        made._value_ = code
        made.meaning = meaning
        return made

    OK = 0, "measured, every trial valid"
    OVER_LIMIT = 1, "measured, over a limit of the profile"
    NOT_VALID = (
        2,
        "a trial is invalid, unknown or missing (interrupted, or the samples could not be kept); a journal is damaged",
    )
    FAILED = 3, "the cloud, a guest or the lab failed; the journal is kept"
    USAGE = 64, "bad usage, profile or credentials"
    BUG = 70, "a bug in vrbench"


class UsageProblem(Exception):
    """The command can't be carried out as asked; the text says what is wrong and what to do."""
