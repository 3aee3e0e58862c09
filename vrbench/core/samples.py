"""Raw log to samples: which slot was sent when, and what became of it under a given threshold.

Rules (measurement method, section 2): a probe is REPLIED only if its answer arrived within the threshold (Tmax,
RFC 7680) of its own send time; a refusal counts under the same rule; a slot that was never sent is SKIPPED; a slot
whose answer could still have come when the log ends is UNKNOWN, and so is one whose answers contradict each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from vrbench.core.model import Outcome, Sample, Stream
from vrbench.core.rawlog import Kind, Record, StreamHeader, decode_header, decode_records


@dataclass(frozen=True, slots=True)
class StreamSamples:
    """All slots of one stream, in order, without holes; send times may be off by the grain."""

    stream: Stream
    samples: tuple[Sample, ...]
    grain_s: float = 0.0


@dataclass(slots=True)
class _Slots:
    """What the log says of one stream, by slot; all ns."""

    sent: dict[int, int] = field(default_factory=dict)
    replied: dict[int, int] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    ambiguous: set[int] = field(default_factory=set)
    last: int = -1  # the last slot that was sent or tried


@dataclass(frozen=True, slots=True)
class NodeLog:
    """A whole log, judged: its streams, whether the prober ended in good order, and wall minus monotonic clock."""

    node: str
    started_ns: int
    streams: tuple[StreamSamples, ...]
    ended: bool
    wall_ns: tuple[int, ...]
    method: str = ""

    @property
    def grain_s(self) -> float:
        """How far a send time of it may be off, at worst; 0 for a prober of our own."""
        return max((s.grain_s for s in self.streams), default=0.0)


def read_log(log: bytes, zero_ns: int, threshold_s: float) -> NodeLog:
    """Judge a raw log. ``zero_ns`` is the moment, on the log's own clock, from which ``*_s`` times count.

    Raises RawLogError when the header can't be read.
    """
    header, offset = decode_header(log)
    slots: dict[int, _Slots] = defaultdict(_Slots)
    wall, end_ns, last_ns = [], 0, header.started_ns
    for record in decode_records(log, offset, len(header.streams)):
        if record.kind is Kind.WALL:
            wall.append(record.t_ns)
            continue
        last_ns = max(last_ns, record.t_ns)
        if record.kind is Kind.END:
            end_ns = record.t_ns
        else:
            _note(slots[record.stream], record)
    judged = tuple(
        _judge(h, slots[i], end_ns or last_ns, zero_ns, round(threshold_s * 1e9)) for i, h in enumerate(header.streams)
    )
    return NodeLog(header.node, header.started_ns, judged, bool(end_ns), tuple(wall), header.method)


def _note(slots: _Slots, record: Record) -> None:
    """File one record under its slot; the first answer counts, duplicates don't."""
    if record.kind in (Kind.SENT, Kind.FAILED):
        slots.last = max(slots.last, record.slot)
    if record.kind is Kind.SENT:
        slots.sent[record.slot] = record.t_ns
    elif record.kind is Kind.REPLY:
        slots.replied.setdefault(record.slot, record.t_ns)
    elif record.kind is Kind.REFUSED:
        slots.refused.setdefault(record.slot, record.t_ns)
    elif record.kind is Kind.AMBIGUOUS:
        slots.ambiguous.add(record.slot)


def _judge(header: StreamHeader, slots: _Slots, end_ns: int, zero_ns: int, threshold_ns: int) -> StreamSamples:
    # A prober stops sending some time before it writes END, to wait for the last answers: the last send is the end.
    samples = tuple(_sample(header, slots, slot, end_ns, zero_ns, threshold_ns) for slot in range(slots.last + 1))
    return StreamSamples(header.stream, samples, header.grain_ns / 1e9)


def _sample(header: StreamHeader, slots: _Slots, slot: int, end_ns: int, zero_ns: int, threshold_ns: int) -> Sample:
    due_s = (header.start_ns + slot * header.interval_ns - zero_ns) / 1e9
    sent_ns = slots.sent.get(slot)
    if sent_ns is None:
        return Sample(slot, due_s, None, Outcome.SKIPPED)
    sent_s = (sent_ns - zero_ns) / 1e9
    if slot in slots.ambiguous:
        return Sample(slot, due_s, sent_s, Outcome.UNKNOWN)
    for answers, outcome in ((slots.replied, Outcome.REPLIED), (slots.refused, Outcome.REFUSED)):
        answered_ns = answers.get(slot)
        if answered_ns is not None and answered_ns - sent_ns <= threshold_ns:
            return Sample(slot, due_s, sent_s, outcome, max(0, answered_ns - sent_ns) / 1e9)
    pending = sent_ns + threshold_ns > end_ns
    return Sample(slot, due_s, sent_s, Outcome.UNKNOWN if pending else Outcome.LOST)


def punctual_share(streams: Iterable[StreamSamples], within_s: float) -> float:
    """The share (0..1) of slots sent within ``within_s`` of plan; skipped slots count as late. 1.0 without slots."""
    slots = late = 0
    for stream in streams:
        for s in stream.samples:
            slots += 1
            late += s.sent_s is None or s.sent_s - s.due_s > within_s
    return 1 - late / slots if slots else 1.0
