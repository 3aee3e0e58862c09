"""How often this machine can send, tried before probing begins. Standard library, Python >= 3.6.

A guest that can't keep up with its interval would leave out slots at random, and what it says of an outage would be
worth less than the probes of a slower guest that keeps its time. So it sends for a moment, to nobody's account. If it
misses many slots, it tries a multiple of the interval, and so on. The log's header states the interval that held. It is
never changed while probing: what slows down then may be the operation that is measured.
"""

# Runs in guests on Python 3.6 as well: what pyupgrade would rewrite does not exist there.
# ruff: noqa: UP006, UP035

from typing import Any, Callable, Dict, List

from vrbench.probes.engine import RECORD, SENT, Log, Prober, monotonic_ns, take_priority
from vrbench.probes.pacing import pace

EVERY = (1, 2, 5, 10, 20, 50)
SLOWEST_NS = 500_000_000  # any machine can send so often
TOLERATED = 0.1  # share of the slots that may be missed
FEW = 5  # slots of each stream that suffice where no more are
LONG_NS = 2_000_000_000  # how long is tried where more are


class Draft(Log):
    """A log that is never written: of the slots of streams with these intervals, as far as one of them has come."""

    def __init__(self, intervals: List[int]) -> None:
        super().__init__("")
        self.intervals = intervals
        self.slots = self.missed = 0

    def flush(self) -> None:
        sent = {(stream, slot) for kind, stream, _, slot, _ in RECORD.iter_unpack(self.buffer) if kind == SENT}
        reached_ns = max((slot * self.intervals[stream] for stream, slot in sent), default=0)
        self.slots = sum(reached_ns // interval + 1 for interval in self.intervals)
        self.missed = self.slots - len(sent)


def holding(streams: List[Dict[str, Any]], open_prober: Callable[[Log], Prober]) -> int:
    """Return the multiple of their intervals at which this machine can send ``streams``; raises CannotProbe."""
    finest_ns = min([stream["interval_ns"] for stream in streams] or [SLOWEST_NS])
    take_priority()
    for every in EVERY:
        if every * finest_ns >= SLOWEST_NS or _holds(streams, open_prober, every):
            break
    return every


def _holds(streams: List[Dict[str, Any]], open_prober: Callable[[Log], Prober], every: int) -> bool:
    draft = Draft([stream["interval_ns"] * every for stream in streams])
    draft.started_ns = begun = monotonic_ns()

    def enough() -> bool:
        kept = draft.slots >= FEW * len(streams) and draft.missed <= TOLERATED * draft.slots
        return kept or monotonic_ns() - begun > LONG_NS

    schedule = [(begun + stream["phase_ns"], stream["interval_ns"] * every) for stream in streams]
    pace(open_prober(draft), schedule, draft, enough, lambda: None)
    return draft.missed <= TOLERATED * draft.slots
