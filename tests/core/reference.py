"""Samples and windows in the plainest way: one object per slot, looked at one by one.

What ``core.log.columns``, ``core.log.samples`` and ``core.figures.windows`` do at C speed has to come to the same,
on any log.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vrbench.core.log.rawlog import Record, RecordKind, StreamHeader, decode_header, decode_records
from vrbench.core.model import OutageWindow, Outcome, Sample

BLIND_GAPS = 2
SLOWING_S = 1.0


@dataclass(slots=True)
class _Slots:
    """What the log says of one stream, by slot; all ns."""

    sent: dict[int, int] = field(default_factory=dict)
    sent_by: dict[int, int] = field(default_factory=dict)
    replied: dict[int, int] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    ambiguous: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)
    last: int = -1  # the last slot that was sent or tried
    paused: int | None = None  # the first slot of a silence on request: figures end there


@dataclass(frozen=True, slots=True)
class Log:
    """The samples of each stream, in order without holes; whether the log has an END; wall minus monotonic clock.

    ``stages`` are as many words as samples: how far the answer to a lost probe came.
    """

    streams: tuple[tuple[Sample, ...], ...]
    stages: tuple[tuple[str, ...], ...]
    ended: bool
    wall_ns: tuple[int, ...]


def read_log(log: bytes, zero_ns: int, threshold_s: float) -> Log:
    """Judge a raw log. ``zero_ns`` is the moment, on the log's own clock, from which ``*_s`` times count.

    Raises RawLogError when the header can't be read.
    """
    header, offset = decode_header(log)
    slots: dict[int, _Slots] = defaultdict(_Slots)
    wall, end_ns, last_ns = [], 0, header.started_ns
    for record in decode_records(log, offset, len(header.streams)):
        if record.kind is RecordKind.WALL:
            wall.append(record.t_ns)
            continue
        last_ns = max(last_ns, record.t_ns)
        if record.kind is RecordKind.END:
            end_ns = record.t_ns
        else:
            _note(slots[record.stream], record)
    judged = tuple(
        _judge(h, slots[i], end_ns or last_ns, zero_ns, round(threshold_s * 1e9)) for i, h in enumerate(header.streams)
    )
    stages = tuple(tuple(_stage(slots[i], s) for s in samples) for i, samples in enumerate(judged))
    return Log(judged, stages, bool(end_ns), tuple(wall))


def _stage(slots: _Slots, sample: Sample) -> str:
    if sample.outcome is not Outcome.LOST or sample.slot not in slots.begun:
        return ""
    return "late" if sample.slot in slots.replied else "begun"


def _note(slots: _Slots, record: Record) -> None:
    """File one record under its slot; the first answer counts, duplicates don't."""
    if record.kind in (RecordKind.SENT, RecordKind.FAILED):
        slots.last = max(slots.last, record.slot)
    if record.kind is RecordKind.SENT:
        slots.sent[record.slot] = record.t_ns
    elif record.kind is RecordKind.SENT_BY:
        slots.sent_by[record.slot] = record.t_ns
    elif record.kind is RecordKind.REPLY:
        slots.replied.setdefault(record.slot, record.t_ns)
    elif record.kind is RecordKind.REFUSED:
        slots.refused.setdefault(record.slot, record.t_ns)
    elif record.kind in (RecordKind.AMBIGUOUS, RecordKind.TURNED_AWAY):
        slots.ambiguous.add(record.slot)
    elif record.kind is RecordKind.CONNECTED:
        slots.begun.add(record.slot)
    elif record.kind is RecordKind.PAUSED and slots.paused is None:
        slots.paused = record.slot


def _judge(header: StreamHeader, slots: _Slots, end_ns: int, zero_ns: int, threshold_ns: int) -> tuple[Sample, ...]:
    # A prober stops sending some time before it writes END, to wait for the last answers: the last send is the end.
    stop = slots.last + 1 if slots.paused is None else min(slots.paused, slots.last + 1)
    return tuple(_sample(header, slots, slot, end_ns, zero_ns, threshold_ns) for slot in range(stop))


def _sample(header: StreamHeader, slots: _Slots, slot: int, end_ns: int, zero_ns: int, threshold_ns: int) -> Sample:
    due_s = (header.start_ns + slot * header.interval_ns - zero_ns) / 1e9
    sent_ns = slots.sent.get(slot)
    if sent_ns is None:
        return Sample(slot, due_s, None, Outcome.SKIPPED)
    sent_s = (sent_ns - zero_ns) / 1e9
    width_ns = max(0, slots.sent_by.get(slot, sent_ns) - sent_ns)
    if slot in slots.ambiguous:
        return Sample(slot, due_s, sent_s, Outcome.UNKNOWN, width_s=width_ns / 1e9)
    latest_ns = sent_ns + width_ns + threshold_ns
    for answers, outcome in ((slots.replied, Outcome.REPLIED), (slots.refused, Outcome.REFUSED)):
        answered_ns = answers.get(slot)
        if answered_ns is not None and answered_ns <= latest_ns:
            return Sample(slot, due_s, sent_s, outcome, max(0, answered_ns - sent_ns) / 1e9, width_ns / 1e9)
    outcome = Outcome.UNKNOWN if latest_ns > end_ns else Outcome.LOST
    return Sample(slot, due_s, sent_s, outcome, width_s=width_ns / 1e9)


def punctual_share(streams: Iterable[Sequence[Sample]], within_s: float) -> float:
    """Return the share of slots sent within ``within_s`` of plan; skipped ones count as late."""
    slots = late = 0
    for samples in streams:
        for s in samples:
            slots += 1
            late += s.sent_s is None or s.sent_s - s.due_s > within_s
    return 1 - late / slots if slots else 1.0


def usual_rtt_s(samples: Sequence[Sample]) -> float:
    """Return what 99 % of the answers before the request took no longer than."""
    ordered = sorted(s.rtt_s for s in samples if s.rtt_s is not None and s.due_s < 0)
    return ordered[max(0, math.ceil(0.99 * len(ordered)) - 1)] if ordered else 0.0


def gap_share(samples: Sequence[Sample]) -> float:
    """Return the share of slots after the request that are neither up nor down."""
    gaps = [s.outcome.is_gap for s in samples if s.due_s >= 0]
    return sum(gaps) / len(gaps) if gaps else 0.0


@dataclass(slots=True)
class _Run:
    """A window being read: what stands before it, its down samples in runs, and what has come since."""

    last_up: Sample | None
    runs: list[list[Sample]] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)  # of each run
    gaps: int = 0
    ups: list[Sample] = field(default_factory=list)  # successes seen since the last down sample
    blind: list[OutageWindow] = field(default_factory=list)  # between those
    slowest_s: float = 0.0  # of the answers in the second before its first down sample
    broken: bool = True  # the next down sample begins a run of its own

    def add(self, sample: Sample, stage: str) -> None:
        """One more down sample."""
        if self.broken or self.stages[-1] != stage:
            self.runs.append([])
            self.stages.append(stage)
        self.runs[-1].append(sample)
        self.ups.clear()
        self.blind.clear()
        self.broken = False


def find_windows(
    samples: Sequence[Sample],
    merge: int = 1,
    rtt_s: float = 0.0,
    whole: bool = True,
    grain_s: float = 0.0,
    patience_s: float = 0.0,
    beyond_s: float = 0.0,
    stages: Sequence[str] = (),
) -> tuple[OutageWindow, ...]:
    """All outage windows of one stream's samples, in order of slots; ``rtt_s`` is what a round trip usually takes.

    ``whole`` is False for a log that was cut short: what came after its last sample was not seen. ``grain_s`` is how
    far a send time may be off, ``patience_s`` how long an answer was waited for that had begun to come, ``beyond_s``
    how much of a round trip lies beyond the router.
    """
    slack = _Slack(rtt_s, 2 * grain_s, patience_s, beyond_s)
    found: list[OutageWindow] = []
    last_up: Sample | None = None
    run: _Run | None = None
    gaps = 0
    for sample, stage in zip(samples, stages or [""] * len(samples), strict=True):
        if sample.outcome.is_gap:
            gaps += 1
            if run is not None:
                run.broken = True
            continue
        if sample.outcome.is_down:
            if run is None:
                before = [s for s in samples if sample.due_s - SLOWING_S <= s.due_s < sample.due_s]
                slowest_s = max((s.rtt_s or 0.0 for s in before if s.outcome is Outcome.REPLIED), default=0.0)
                run = _Run(last_up, slowest_s=slowest_s)
            elif not run.ups:
                run.gaps += gaps
            run.add(sample, stage)
        else:
            if gaps >= BLIND_GAPS and last_up is not None and (run is None or run.ups):
                (found if run is None else run.blind).append(_blind(last_up, sample, gaps, slack))
            if run is not None:
                run.ups.append(sample)
                run.broken = True
                if len(run.ups) >= merge:
                    found += [_window(run, slack), *run.blind]
                    run = None
            last_up = sample
        gaps = 0
    if run is not None:
        found += [_window(run, slack), *run.blind]
    if last_up is not None and (run is None or run.ups) and (gaps >= BLIND_GAPS or not whole):
        found.append(_blind(last_up, None, gaps, slack))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Slack:
    """What bounds have to allow for: the usual round trip, and how far two send times may be off together."""

    rtt_s: float
    grains_s: float
    patience_s: float
    beyond_s: float


def _window(run: _Run, slack: _Slack) -> OutageWindow:
    down = [s for r in run.runs for s in r]
    first, last = _sent(down[0]), _sent(down[-1])
    end = run.ups[0] if run.ups else None
    later = 0.0 if end is None else max(0.0, (end.rtt_s or 0.0) - slack.rtt_s)
    rtt_s = slack.rtt_s if slack.patience_s else max(slack.rtt_s, run.slowest_s)
    waits = {"": 0.0, "begun": slack.patience_s, "late": math.inf}
    at_least = sum(
        max(0.0, _sent(r[-1]) - _sent(r[0]) - waits[stage] - rtt_s - slack.grains_s)
        for stage, r in zip(run.stages, run.runs, strict=True)
    )
    until = last if end is None else _sent(end) + later
    start = min(first + slack.beyond_s, until)
    return OutageWindow(
        start_s=start,
        at_least_s=at_least,
        estimate_s=max(at_least, until - start),
        at_most_s=_between(run.last_up, end, slack),
        lost=sum(s.outcome is Outcome.LOST for s in down),
        refused=sum(s.outcome is Outcome.REFUSED for s in down),
        gaps=run.gaps,
        censored=end is None,
    )


def _blind(last_up: Sample, end: Sample | None, gaps: int, slack: _Slack) -> OutageWindow:
    return OutageWindow(_sent(last_up), 0.0, 0.0, _between(last_up, end, slack), 0, 0, gaps, censored=end is None)


def _between(last_up: Sample | None, end: Sample | None, slack: _Slack) -> float:
    """From one success being sent to the next one's answer; infinite where one of them is missing."""
    if last_up is None or end is None:
        return math.inf
    return _sent(end) + (end.rtt_s or 0.0) - _sent(last_up) + slack.grains_s


def _sent(sample: Sample) -> float:
    """Return a sample's send time; one that was never sent is neither up nor down."""
    if sample.sent_s is None:
        raise ValueError(f"slot {sample.slot} is {sample.outcome} but was never sent")
    return sample.sent_s


def unavailable_s(samples: Sequence[Sample], interval_s: float, run: int = 10) -> float:
    """Unavailable time by the ten-interval rule (ITU-T Y.1563 and MEF 10 style).

    Unavailability begins with the first of ``run`` consecutive down intervals and ends before the first of ``run``
    consecutive up ones. Gaps count as neither: they don't break a run and don't lengthen it.
    """
    known = [s.outcome.is_down for s in samples if not s.outcome.is_gap]
    unavailable, streak, down = 0, 0, False
    for is_down in known:
        unavailable += down
        streak = streak + 1 if is_down != down else 0
        if streak == run:
            unavailable += run if is_down else -run
            down, streak = is_down, 0
    # Fewer successes than end it, but nothing after them.
    return (unavailable - streak if down else unavailable) * interval_s
