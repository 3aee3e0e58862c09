"""What is checked before a run: findings as values, and what they mean for going on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from vrbench.core.text import some


class FindingState(StrEnum):
    """WARN: a run goes on, and its figures say so or cost more than they need; BAD: it would fail or mean nothing."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


class Blame(IntEnum):
    """What a bad finding is about, by the exit code that it ends with."""

    ROOM = 2  # nowhere to keep samples, or no calibration to trust them by
    CLOUD = 3
    OURS = 64  # the profile, or this machine


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found, and what to do about it; ``code`` is the exit code it stands for if bad."""

    name: str
    state: FindingState
    found: str
    cure: str = ""
    code: int = 0

    @property
    def sentence(self) -> str:
        """What was found and what to do about it, as one line."""
        return f"{self.found}: {self.cure}" if self.cure else self.found


@dataclass
class Findings:
    """What checks turn up as they go; ``problems`` keep a run from beginning, ``notes`` should be known."""

    all: list[Finding] = field(default_factory=list)

    def bad(self, name: str, found: str, cure: str = "", code: Blame = Blame.CLOUD) -> None:
        self.all.append(Finding(name, FindingState.BAD, found, cure, code))

    def warn(self, name: str, found: str, cure: str = "") -> None:
        self.all.append(Finding(name, FindingState.WARN, found, cure))

    def ok(self, name: str, found: str) -> None:
        self.all.append(Finding(name, FindingState.OK, found))

    @property
    def problems(self) -> tuple[Finding, ...]:
        return in_state(self.all, FindingState.BAD)

    @property
    def notes(self) -> tuple[Finding, ...]:
        return in_state(self.all, FindingState.WARN)


class Foreseen(Exception):
    """A run was not begun, for what was found before; nothing was built. ``findings`` has every reason."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        listed = "\n".join(f"  - {finding.sentence}" for finding in self.findings)
        super().__init__(f"{some(len(self.findings), 'problem')}, nothing was built:\n{listed}")


def in_state(checks: Iterable[Finding], state: FindingState) -> tuple[Finding, ...]:
    """Return the findings of one state, in their order."""
    return tuple(check for check in checks if check.state is state)


def exit_code(checks: Iterable[Finding]) -> int:
    """Return 0 when nothing is bad, else the code of the first that is."""
    return next((c.code for c in checks if c.state is FindingState.BAD), 0)
