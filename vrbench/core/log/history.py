"""What became of single probes, one after another: by it a baseline is judged before anything is restarted.

Only a trial under way asks for it; the figures come from ``analysis`` afterwards.
"""

from __future__ import annotations

from bisect import bisect_left
from enum import IntEnum
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from vrbench.core.model import Stream


class Fate(IntEnum):
    """What became of one probe. NOT_SENT: this machine or guest refused to send it; TURNED_AWAY: by sshd's limits."""

    ANSWERED = 1
    SILENT = 2
    REFUSED = 3
    NOT_SENT = 4
    TURNED_AWAY = 5


class Probed(Struct, frozen=True):
    """One probe: when it was sent, what became of it, and why (as the raw log's ``detail`` says; 0: nothing told)."""

    at_ns: int
    fate: Fate
    reason: int = 0


class ProbeHistory(Struct, frozen=True):
    """All judged probes of one stream, in order; ``late_ns``: when answers came that were too late to count."""

    node: str
    stream: Stream
    probes: tuple[Probed, ...] = ()
    late_ns: tuple[int, ...] = ()

    def latest(self, seconds: float) -> ProbeHistory:
        """Return the last seconds of what is known of it: news of a slow guest may be old."""
        begin_ns = (self.probes[-1].at_ns if self.probes else 0) - round(seconds * 1e9)
        probes = self.probes[bisect_left(self.probes, begin_ns, key=lambda probe: probe.at_ns) :]
        return replace(self, probes=probes, late_ns=tuple(t for t in self.late_ns if t >= begin_ns))

    def thirds(self) -> tuple[ProbeHistory, ...]:
        """Return its probes in three parts of equal number."""
        cuts = [len(self.probes) * n // 3 for n in range(4)]
        return tuple(replace(self, probes=self.probes[a:b]) for a, b in pairwise(cuts))

    def moved(self, offset_ns: int) -> ProbeHistory:
        """Return it on a clock that is this much behind."""
        if not offset_ns:
            return self
        probes = tuple(replace(p, at_ns=p.at_ns - offset_ns) for p in self.probes)
        return replace(self, probes=probes, late_ns=tuple(t - offset_ns for t in self.late_ns))

    @property
    def answered(self) -> int:
        """How many probes were answered in time."""
        return self.count(Fate.ANSWERED)

    def count(self, fate: Fate) -> int:
        """Return how many probes came to that."""
        return [probe.fate for probe in self.probes].count(fate)

    @property
    def longest_loss(self) -> int:
        """How many probes next to each other were lost or refused, at most."""
        if self.answered == len(self.probes):
            return 0
        longest = run = 0
        for probe in self.probes:
            run = run + 1 if probe.fate in (Fate.SILENT, Fate.REFUSED) else 0
            longest = max(longest, run)
        return longest


class Marked(Struct, frozen=True):
    """What the baseline said of streams, by their names, as the live view goes by from the request on.

    ``tolerated``: how many probes in a row streams like it lost before already; so many more are no outage. ``unfit``:
    streams that can't tell an outage.
    """

    tolerated: dict[str, int] = {}
    unfit: frozenset[str] = frozenset()


NOTHING_MARKED = Marked()
