"""What the main path needs of the world, as narrow ports; adapters live in other rooms, wired in ``run``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vrbench.core.facts import NodeClock
from vrbench.core.log.growing_log import StreamState
from vrbench.core.log.history import Marked, ProbeHistory


@dataclass(frozen=True, slots=True)
class JobState:
    """A job as last seen: done or not, and the cloud's own words when it failed."""

    done: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class Collected:
    """What observation ended with. ``clocks`` are keyed by node; ``gateways``: who answered for each one's gateway."""

    clocks: Mapping[str, NodeClock]
    agents_lost: tuple[str, ...]
    guests_rebooted: tuple[str, ...]
    probers_failed: tuple[str, ...]
    gateways: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Clock(Protocol):
    """Time as a parameter."""

    def monotonic_ns(self) -> int: ...

    def utc(self) -> str:
        """Return the time of day, ISO 8601 with milliseconds and Z."""

    def sleep(self, seconds: float) -> None: ...


class Observation(Protocol):
    """Probers at work, in the harness and in the guests."""

    def start(self) -> None:
        """Return all probers running and writing; raises when one can't start."""

    def histories(self) -> Sequence[ProbeHistory]:
        """Return what became of every probe so far, per stream; none once the operation was requested."""

    def always_up(self) -> frozenset[str]:
        """Return the public ends where connections say nothing: something accepts them at any port."""

    def mark(self, marked: Marked) -> None:
        """Note that the operation is about to be requested: count windows from here, by what the baseline said."""

    def states(self) -> Sequence[StreamState]:
        """Return every stream now, times on the harness's clock."""

    def failed(self) -> Sequence[str]:
        """Return the harness's own probers that have died."""

    def silence(self, streams: Sequence[StreamState], seconds: float) -> frozenset[str]:
        """Have streams be silent for so long, then go on; return the names of those that will."""

    def stop(self) -> Collected:
        """End all probers and fetch what guests have written."""


class Operation(Protocol):
    """What is asked of the cloud."""

    def request(self, again: Callable[[], None] = ...) -> None:
        """Ask for it. ``again`` is called just before it is asked for once more, as the cloud had turned it away."""

    def poll(self) -> JobState: ...


class Screen(Protocol):
    """Where progress is shown."""

    def phase(self, name: str, following: str) -> None:
        """Show that a phase begins, and what comes next."""

    def watch(self, states: Sequence[StreamState], now_ns: int, job: str) -> None:
        """Show the state of things; called a few times a second."""

    def note(self, text: str) -> None:
        """Show one line worth keeping."""


class RunScreen(Screen, Protocol):
    """Where the progress of a whole run is shown."""

    def label(self, rows: Mapping[str, str]) -> None:
        """Say which row a public end ("address:port") belongs to, once that is known."""

    def doing(self, text: str) -> None:
        """Say what a long phase is at."""
