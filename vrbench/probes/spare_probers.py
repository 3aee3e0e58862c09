"""Prober processes that wait for their configuration, so that a trial need not wait until an interpreter has started.

Each is for one trial, as ever: none carries anything over into the next.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from vrbench.probes.prober_process import spawn


class SpareProbers:
    """One waiting process for each prober, by its name in ``probes.prober.PROBERS``; they end with this process."""

    def __init__(self) -> None:
        self._waiting: dict[str, subprocess.Popen[bytes]] = {}

    def keep(self, probers: Iterable[str]) -> None:
        """Start what does not wait yet."""
        for prober in probers:
            if prober not in self._waiting:
                self._waiting[prober] = spawn(prober)

    def take(self, prober: str) -> subprocess.Popen[bytes]:
        """Return a process that waits for the configuration of this prober, a new one where none does."""
        process = self._waiting.pop(prober, None)
        return process if process and process.poll() is None else spawn(prober)

    def end(self) -> None:
        """End those that wait."""
        while self._waiting:
            _, process = self._waiting.popitem()
            process.communicate()
