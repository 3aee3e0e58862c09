"""Which probes of a stream somebody answered, in whatever time: columns in which silence is told from lateness."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vrbench.core.log.columns import Records, pick
from vrbench.core.log.outcomes import CODES, Stage
from vrbench.core.log.rawlog import RecordKind
from vrbench.core.log.samples import Samples, Seconds
from vrbench.core.model import Outcome, Sample

Slots = NDArray[np.int64]
Flags = NDArray[np.bool_]
_JUDGED = [CODES[outcome] for outcome in (Outcome.REPLIED, Outcome.LOST, Outcome.REFUSED)]


class Probes(Struct, frozen=True, dict=True):
    """One stream's probes that were sent and judged, in order of time: when each was sent, and whether it was answered.

    An answer is whatever came back, however late; a refusal is one as well. ``late``: it came after the threshold.
    ``failed``: it did not come in time, or was a refusal; ``stood``: its connection did.
    """

    sent_s: Seconds
    answered: Flags
    late: Flags
    failed: Flags
    stood: Flags
    rtt_s: Seconds  # NaN where there was no answer in time

    def within(self, start_s: float, end_s: float) -> slice:
        """Return the places of the probes that were sent between two moments."""
        return slice(*np.searchsorted(self.sent_s, (start_s, end_s)).tolist())

    def counts(self, start_s: float, end_s: float) -> tuple[int, int]:
        """Return how many of the probes of a stretch were never answered, and how many there were."""
        here = self.answered[self.within(start_s, end_s)]
        return len(here) - int(np.count_nonzero(here)), len(here)

    def failures(self, start_s: float, end_s: float) -> tuple[int, int]:
        """Return how many probes of a stretch failed, and of how many of these the connection stood."""
        here = self.within(start_s, end_s)
        return int(np.count_nonzero(self.failed[here])), int(np.count_nonzero(self.failed[here] & self.stood[here]))

    def any_late(self, start_s: float, end_s: float) -> bool:
        """Return whether a probe of a stretch was answered after the threshold."""
        return bool(np.any(self.late[self.within(start_s, end_s)]))

    def cuts(self, start_s: float, end_s: float) -> Iterator[float]:
        """Return the moments in a stretch between which probes are answered late, or are not."""
        here = self.within(start_s, end_s)
        yield from self.sent_s[here][np.flatnonzero(np.diff(self.late[here].astype(np.int8))) + 1].tolist()

    def slowest_s(self, start_s: float, end_s: float) -> float:
        """Return by how much the slowest answer of a stretch took longer than half of all answers do."""
        took_s = self.rtt_s[self.within(start_s, end_s)]
        known = took_s[~np.isnan(took_s)]
        return float(known.max() - np.nanmedian(self.rtt_s)) if len(known) else 0.0

    @cached_property
    def runs(self) -> list[int]:
        """Where runs of the same begin, and the end of the last; those with an odd number were not answered."""
        changes = (np.flatnonzero(np.diff(self.answered.astype(np.int8))) + 1).tolist()
        first = [] if not len(self.answered) or self.answered[0] else [0]
        return [0, *first, *changes, len(self.answered)]

    def silences(self, start_s: float, end_s: float) -> Iterator[tuple[int, int]]:
        """Return the runs without an answer that reach into a stretch: how many of its probes each has, its number."""
        here, runs = self.within(start_s, end_s), self.runs
        for i in range(max(0, bisect_left(runs, here.start) - 1), len(runs) - 1):
            if runs[i] >= here.stop:
                return
            if i % 2 and runs[i + 1] > here.start:
                yield min(runs[i + 1], here.stop) - max(runs[i], here.start), i


_NONE, _NO = np.zeros(0), np.zeros(0, np.bool_)
NO_PROBES = Probes(_NONE, _NO, _NO, _NO, _NO, _NONE)


def probes_of(samples: Sequence[Sample], answers: Slots, askings: Iterable[tuple[float, float]] = ()) -> Probes:
    """Return a stream's probes; ``answers`` are the slots that were answered, in time or not.

    ``askings`` are the times in which the sender asked for the address of its next hop. What it sent then waited within
    it, and left when somebody answered: that shows nothing of the time before, and counts as not answered.
    """
    if not isinstance(samples, Samples) or not len(samples):
        return NO_PROBES
    codes, sent_s = np.frombuffer(samples.outcomes, np.uint8), samples.sent_s
    judged, failed = np.isin(codes, _JUDGED), codes != CODES[Outcome.REPLIED]
    waited = np.zeros(len(codes), np.bool_)
    for start_s, end_s in askings:
        waited |= (sent_s >= start_s) & (sent_s < end_s)
    answered = np.isin(np.arange(samples.first, samples.first + len(codes)), answers) & ~waited
    late = answered & (codes == CODES[Outcome.LOST])
    stood = np.frombuffer(samples.stages or bytes(len(codes)), np.uint8) != Stage.NOTHING
    answered, late, failed, stood = (column[judged] for column in (answered, late, failed, stood))
    return Probes(sent_s[judged], answered, late, failed, stood, samples.rtt_s[judged])


def replies_by_stream(records: Records, streams: int) -> list[Records]:
    """Return the replies to each stream of a log, in order."""
    replies = pick(records, RecordKind.REPLY)
    order = np.argsort(replies["stream"], kind="stable")
    bounds = np.searchsorted(replies["stream"][order], np.arange(streams + 1))
    return [replies.take(order[begin:end]) for begin, end in pairwise(bounds.tolist())]


def answered_slots(replies: Records, refused: Iterable[int]) -> Slots:
    """Return the slots of one stream's replies, and those that were ``refused``."""
    return np.concatenate((replies["slot"].astype(np.int64), np.array(list(refused), np.int64)))


def usual_ttl(replies: Records) -> int:
    """Return the TTL that most of a stream's replies came with; 0 where none tells."""
    ttls = np.bincount(replies["detail"], minlength=2)
    return int(ttls[1:].argmax()) + 1 if ttls[1:].any() else 0
