"""A raw log of a trial under way, as it grows on this machine: what its streams are like now."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from vrbench.core.log.growing_log import GrowingLog, StreamState
from vrbench.core.log.history import ProbeHistory
from vrbench.core.log.rawlog import RawLogError


@dataclass
class FollowedLog:
    """A raw log that grows, and its live view; ``offset_ns`` is its clock minus the harness's."""

    path: Path
    live: GrowingLog
    offset_ns: int = 0
    read: int = 0
    unreadable: bool = False

    def states(self) -> Iterator[StreamState]:
        """Return the log's streams now, times moved to the harness's clock."""
        if not self.unreadable:
            self._read_on()
        for s in self.live.states():
            since_ns, judged_ns = s.since_ns - self.offset_ns, s.judged_ns - self.offset_ns
            asked_ns = s.asked_ns - self.offset_ns if s.asked_ns else 0
            moved = replace(s, since_ns=since_ns, judged_ns=judged_ns, asked_ns=asked_ns)
            yield moved

    def histories(self) -> Iterator[ProbeHistory]:
        """Return what became of each probe of its streams, times moved to the harness's clock."""
        if not self.unreadable:
            self._read_on()
        for history in self.live.histories():
            yield history.moved(self.offset_ns)

    def _read_on(self) -> None:
        with contextlib.suppress(FileNotFoundError), self.path.open("rb") as file:
            file.seek(self.read)
            chunk = file.read()
            self.read += len(chunk)
            try:
                self.live.feed(chunk)
            except RawLogError:
                self.unreadable = True  # its streams are not seen any more; analysis says what is wrong
