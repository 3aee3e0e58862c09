"""What probers are told, and how they fail."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrbench.core.model import Stream


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
