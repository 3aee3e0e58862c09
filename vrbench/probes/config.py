"""What probers are told, and how they fail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrbench.core.model import Stream
from vrbench.core.plan.schedule import phases


class ProbeError(RuntimeError):
    """A prober could not start, died, or left no complete log; says which, why and what to do."""


class SamplesNotKept(ProbeError):
    """What a prober sees can't be written down: it is this machine's disk that failed."""


@dataclass(frozen=True, slots=True)
class PhasedStream:
    """A stream and its own delay before slot 0 (random per trial, below the interval)."""

    stream: Stream
    phase_s: float

    def as_json(self) -> dict[str, Any]:
        """Return the entry of a prober's configuration."""
        return {
            "name": self.stream.name,
            "direction": self.stream.direction.value,
            "probe": self.stream.probe,
            "flow": self.stream.flow,
            "target": self.stream.target,
            "interval_ns": round(self.stream.interval_s * 1e9),
            "phase_ns": round(self.phase_s * 1e9),
        }


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in to guests, with the private key in the file ``key``; host keys seen are in ``known_hosts``."""

    user: str
    key: Path
    known_hosts: Path


def phased(streams: Sequence[Stream], seed: int, within_s: float = math.inf) -> tuple[PhasedStream, ...]:
    """Return the streams with their start phases, all ``within_s``."""
    if not streams:
        return ()
    spread = phases(len(streams), min(within_s, streams[0].interval_s), seed)
    return tuple(PhasedStream(s, p) for s, p in zip(streams, spread, strict=True))


def at_once(streams: Sequence[Stream], seed: int) -> tuple[PhasedStream, ...]:
    """Return the streams with one start phase for all: those of one guest belong to different figures."""
    (phase_s,) = (first.phase_s for first in phased(streams[:1], seed))
    return tuple(PhasedStream(stream, phase_s) for stream in streams)
