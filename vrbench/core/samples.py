"""Raw log to samples: which slot was sent when, and what became of it under a given threshold.

Rules (measurement method, section 2): a probe is REPLIED only if its answer arrived within the threshold (Tmax,
RFC 7680) of its own send time; a refusal counts under the same rule; a slot that was never sent is SKIPPED; a slot
whose answer could still have come when the log ends is UNKNOWN, and so is one whose answers contradict each other.

A stream's samples stay in columns, with outcomes as one byte per slot: whatever looks at all of them does so at C
speed, and a Sample is made only of a slot that is asked for.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import overload

from vrbench.core import lanes
from vrbench.core.columns import StreamColumns, read_columns
from vrbench.core.lanes import NO, YES
from vrbench.core.model import Outcome, Sample, Stream
from vrbench.core.rawlog import StreamHeader, decode_header

CODES = {outcome: code for code, outcome in enumerate(Outcome)}
_OUTCOMES = tuple(Outcome)
_NOT = lanes.table([NO])
_NEAR_NS = 1 << 12  # further from a limit than this, rounding to float seconds changes no answer


@dataclass(frozen=True, slots=True, eq=False)
class Samples(Sequence[Sample]):
    """All slots of one stream, in order, without holes; ``outcomes`` holds a code of CODES per slot.

    ``refused_ns`` is empty where nothing was refused; ``first`` is the number of the first slot, ``zero_ns`` the moment
    from which its ``*_s`` times count.
    """

    outcomes: bytes = b""
    sent_ns: array[int] = field(default_factory=lambda: array("q"))
    replied_ns: array[int] = field(default_factory=lambda: array("q"))
    refused_ns: array[int] = field(default_factory=lambda: array("q"))
    first: int = 0
    start_ns: int = 0
    interval_ns: int = 1
    zero_ns: int = 0

    def __len__(self) -> int:
        return len(self.outcomes)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Samples: ...

    def __getitem__(self, index: int | slice) -> Sample | Samples:
        if isinstance(index, int):
            return self._sample(range(len(self))[index])
        begin, end, step = index.indices(len(self))
        if step != 1:
            raise ValueError("samples are next to each other: a slice of them has no step")
        return replace(
            self,
            outcomes=self.outcomes[begin:end],
            sent_ns=self.sent_ns[begin:end],
            replied_ns=self.replied_ns[begin:end],
            refused_ns=self.refused_ns[begin:end],
            first=self.first + begin,
        )

    def __iter__(self) -> Iterator[Sample]:
        return map(self._sample, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(Sample.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]  # columns can't be hashed, as lists can't

    @property
    def baseline(self) -> int:
        """How many of them were due before the moment zero."""
        due = -((self.start_ns - self.zero_ns) // self.interval_ns) - self.first
        return max(0, min(len(self), due))

    def tally(self, outcome: Outcome) -> int:
        """How many slots came to that."""
        return self.outcomes.count(CODES[outcome])

    @property
    def gap_share(self) -> float:
        """The share (0..1) of them that are neither up nor down; 0.0 of none."""
        return sum(self.tally(outcome) for outcome in Outcome if outcome.is_gap) / len(self) if len(self) else 0.0

    def answer_s(self, share: float) -> float:
        """What at least ``share`` of all answers took no longer than (nearest rank), in seconds; 0.0 without any."""
        taken = array("q")
        for outcome, answered_ns in ((Outcome.REPLIED, self.replied_ns), (Outcome.REFUSED, self.refused_ns)):
            if self.tally(outcome):
                took = lanes.differences(answered_ns, self.sent_ns)
                for begin, end in stretches(self, outcome):
                    taken.extend(took[begin:end])
        return max(0, _ranked(taken, share) - lanes.raised(0)) / 1e9 if taken else 0.0

    def _sample(self, at: int) -> Sample:
        slot, outcome, sent_ns = self.first + at, _OUTCOMES[self.outcomes[at]], self.sent_ns[at]
        due_s = (self.start_ns + slot * self.interval_ns - self.zero_ns) / 1e9
        if outcome is Outcome.SKIPPED:
            return Sample(slot, due_s, None, outcome)
        sent_s = (sent_ns - self.zero_ns) / 1e9
        if outcome is Outcome.REPLIED:
            return Sample(slot, due_s, sent_s, outcome, max(0, self.replied_ns[at] - sent_ns) / 1e9)
        if outcome is Outcome.REFUSED:
            return Sample(slot, due_s, sent_s, outcome, max(0, self.refused_ns[at] - sent_ns) / 1e9)
        return Sample(slot, due_s, sent_s, outcome)


def _ranked(values: array[int], share: float) -> int:
    """The smallest value that at least ``share`` of all are not above (nearest rank), sorting no more than needed."""
    rank = max(0, math.ceil(share * len(values)) - 1)
    some = sorted(values[::64])
    pivot = some[max(0, int((2 * share - 1) * len(some)))] if 0.5 <= share < 1 else some[0]
    below = lanes.not_above(values, pivot - 1)
    if rank < below.count(YES):
        return sorted(values)[rank]
    return sorted(compress(values, below.translate(_NOT)))[rank - len(values)]


@dataclass(frozen=True, slots=True)
class StreamSamples:
    """All slots of one stream, in order, without holes; send times may be off by the grain."""

    stream: Stream
    samples: Samples
    grain_s: float = 0.0


@dataclass(frozen=True, slots=True)
class NodeLog:
    """A whole log, judged: its streams, whether the prober ended in good order, and wall minus monotonic clock."""

    node: str
    started_ns: int
    streams: tuple[StreamSamples, ...]
    ended: bool
    wall_ns: tuple[int, ...]
    method: str = ""
    turned_away: tuple[tuple[str, int, int], ...] = ()  # stream, why (Refusal), how many probes

    @property
    def grain_s(self) -> float:
        """How far a send time of it may be off, at worst; 0 for a prober of our own."""
        return max((s.grain_s for s in self.streams), default=0.0)


def read_log(log: bytes, zero_ns: int, threshold_s: float) -> NodeLog:
    """Judge a raw log. ``zero_ns`` is the moment, on the log's own clock, from which ``*_s`` times count.

    Raises RawLogError when the header can't be read, or a slot's number can't be one.
    """
    header, offset = decode_header(log)
    columns = read_columns(log, offset, len(header.streams))
    # A prober stops sending some time before it writes END, to wait for the last answers: the last send is the end.
    end_ns = columns.end_ns or max(header.started_ns, columns.newest_ns)
    threshold_ns = round(threshold_s * 1e9)
    judged = tuple(
        StreamSamples(h.stream, _judge(h, c, end_ns, zero_ns, threshold_ns), h.grain_ns / 1e9)
        for h, c in zip(header.streams, columns.streams, strict=True)
    )
    turned_away = tuple((judged[i].stream.name, why, count) for (i, why), count in sorted(columns.turned_away.items()))
    wall_ns = tuple(columns.wall_ns)
    return NodeLog(header.node, header.started_ns, judged, bool(columns.end_ns), wall_ns, header.method, turned_away)


def _judge(header: StreamHeader, columns: StreamColumns, end_ns: int, zero_ns: int, threshold_ns: int) -> Samples:
    sent, replied = columns.level(columns.sent), columns.level(columns.replied)
    refused = columns.level(columns.refused) if columns.refused.length else array("q")
    codes = bytearray()
    for at in range(0, columns.slots, lanes.AT_ONCE):
        here = slice(at, at + lanes.AT_ONCE)
        up = lanes.within(replied[here], sent[here], threshold_ns)
        if NO not in up and (columns.sent.whole or YES not in lanes.missing(sent[here])):
            codes += bytes([CODES[Outcome.REPLIED]]) * len(up)
        else:
            codes += _outcomes(sent[here], up, refused[here], end_ns, threshold_ns)
    for slot in columns.ambiguous:
        if slot < columns.slots and codes[slot] != CODES[Outcome.SKIPPED]:
            codes[slot] = CODES[Outcome.UNKNOWN]
    return Samples(bytes(codes), sent, replied, refused, 0, header.start_ns, header.interval_ns, zero_ns)


def _outcomes(sent: array[int], up: bytes, refused: array[int], end_ns: int, threshold_ns: int) -> bytes:
    """A code for every slot, REPLIED where ``up`` says so: each rule overrules those before it."""
    codes = bytes([CODES[Outcome.UNKNOWN]]) * len(sent)
    codes = lanes.overlay(codes, lanes.not_above(sent, end_ns - threshold_ns), CODES[Outcome.LOST])
    if refused:
        codes = lanes.overlay(codes, lanes.within(refused, sent, threshold_ns), CODES[Outcome.REFUSED])
    codes = lanes.overlay(codes, up, CODES[Outcome.REPLIED])
    return lanes.overlay(codes, lanes.missing(sent), CODES[Outcome.SKIPPED])


def codes_of(samples: Sequence[Sample]) -> bytes:
    """The outcomes of samples as codes of CODES, one byte per slot."""
    return samples.outcomes if isinstance(samples, Samples) else bytes(CODES[s.outcome] for s in samples)


def stretches(samples: Sequence[Sample], outcome: Outcome) -> Iterator[tuple[int, int]]:
    """Where samples of that outcome are next to each other, as places (begin, end)."""
    return (run.span() for run in re.finditer(b"%c+" % CODES[outcome], codes_of(samples), re.DOTALL))


def punctual_share(streams: Iterable[StreamSamples], within_s: float) -> float:
    """The share (0..1) of slots sent within ``within_s`` of plan; skipped slots count as late. 1.0 without slots."""
    slots = late = 0
    for stream in streams:
        slots += len(stream.samples)
        late += _late(stream.samples, within_s)
    return 1 - late / slots if slots else 1.0


def _late(samples: Samples, within_s: float) -> int:
    """How many were sent later than that, or never; only those within microseconds of the limit are looked at."""
    start_ns = samples.start_ns + samples.first * samples.interval_ns + round(within_s * 1e9)
    if not -lanes.LIMIT < start_ns < start_ns + (len(samples) + lanes.AT_ONCE) * samples.interval_ns < lanes.LIMIT:
        return sum(_is_late(s, within_s) for s in samples)
    surely_not = lanes.on_line(samples.sent_ns, start_ns - _NEAR_NS, samples.interval_ns)
    if NO not in surely_not:
        return 0
    perhaps_not = lanes.on_line(samples.sent_ns, start_ns + _NEAR_NS, samples.interval_ns)
    near = lanes.overlay(perhaps_not, surely_not, NO)
    return perhaps_not.count(NO) + sum(_is_late(samples[at], within_s) for at in lanes.places(near))


def _is_late(sample: Sample, within_s: float) -> bool:
    return sample.sent_s is None or sample.sent_s - sample.due_s > within_s
