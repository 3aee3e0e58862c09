"""What is checked before a run: findings as values, and what they mean for going on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class FindingState(StrEnum):
    """WARN: a run goes on, and its figures say so or cost more than they need; BAD: it would fail or mean nothing."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found, and what to do about it; ``code`` is the exit code it stands for if bad."""

    name: str
    state: FindingState
    found: str
    cure: str = ""
    code: int = 0


def exit_code(checks: Iterable[Finding]) -> int:
    """Return 0 when nothing is bad, else the code of the first that is."""
    return next((c.code for c in checks if c.state is FindingState.BAD), 0)
