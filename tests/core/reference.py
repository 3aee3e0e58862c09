"""Samples and windows in the plainest way: one object per slot, looked at one by one.

What ``core.log.columns``, ``core.log.samples`` and ``core.figures.windows`` do at C speed has to come to the same,
on any log.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.replacing import replace
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
    records = list(decode_records(log, offset, len(header.streams)))
    for record in records if header.send_widths else _with_widths(records):
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


def _with_widths(records: list[Record]) -> list[Record]:
    """Return the records of a log from before SENT_BY as if it had been there: it was an AMBIGUOUS right after SENT."""
    if any(record.kind is RecordKind.SENT_BY for record in records):
        return records
    told = list(records)
    for i, (sent, after) in enumerate(pairwise(records), 1):
        alike = (sent.kind, sent.stream, sent.slot) == (RecordKind.SENT, after.stream, after.slot)
        if alike and after.kind is RecordKind.AMBIGUOUS and 0 <= after.t_ns - sent.t_ns <= 100_000_000:
            told[i] = replace(after, kind=RecordKind.SENT_BY)
    return told


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
    recent: list[float] = field(default_factory=list)  # round trips in the second before its first down sample
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
    served: bool = False,
    threshold_s: float = math.inf,
) -> tuple[OutageWindow, ...]:
    """All outage windows of one stream's samples, in order of slots; ``rtt_s`` is what a round trip usually takes.

    ``whole`` is False for a log that was cut short: what came after its last sample was not seen. ``grain_s`` is how
    far a send time may be off, ``patience_s`` how long an answer was waited for that had begun to come, ``beyond_s``
    how much of a round trip lies beyond the router.
    """
    slack = _Slack(rtt_s, 2 * grain_s, patience_s, beyond_s, served, threshold_s)
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
                run = _Run(last_up, recent=[s.rtt_s or 0.0 for s in before if s.outcome is Outcome.REPLIED])
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
                    found += [_window(run, slack, samples), *run.blind]
                    run = None
            last_up = sample
        gaps = 0
    if run is not None:
        found += [_window(run, slack, samples), *run.blind]
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
    served: bool = False
    threshold_s: float = math.inf


def _window(run: _Run, slack: _Slack, samples: Sequence[Sample]) -> OutageWindow:
    down = [s for r in run.runs for s in r]
    first, last = _sent(down[0]), _sent(down[-1])
    end = run.ups[0] if run.ups else None
    slowest_s, slower_s = (slack.rtt_s, 0.0) if slack.patience_s else _slowest(run.recent, slack, down[0], samples)
    waits = {"": 0.0, "begun": slack.patience_s, "late": math.inf}
    at_least = sum(
        max(0.0, _sent(r[-1]) - (_sent(r[0]) + r[0].width_s) - waits[stage] - (slowest_s + later) - slack.grains_s)
        for stage, r, later in zip(run.stages, run.runs, [slower_s, *[0.0] * len(run.runs)], strict=False)
    )
    until = last if end is None else up_again_s(samples, end, slack.rtt_s, slack.served)
    seen = [s.outcome.is_down for s in samples if down[0].slot - 1000 <= s.slot < down[0].slot and not s.outcome.is_gap]
    by_chance = down[0] is down[-1] or any(seen[-3:])
    start = first + min(0.0 if by_chance else slack.beyond_s, (until - first) / 2)
    at_most = _between(run.last_up, end, slack)
    return OutageWindow(
        start_s=start,
        at_least_s=at_least,
        estimate_s=min(max(at_least, until - start), at_most),
        at_most_s=at_most,
        lost=sum(s.outcome is Outcome.LOST for s in down),
        refused=sum(s.outcome is Outcome.REFUSED for s in down),
        gaps=run.gaps,
        censored=end is None,
        last_up_s=None if run.last_up is None else _sent(run.last_up),
        first_down_s=first,
    )


def _slowest(recent: Sequence[float], slack: _Slack, first: Sample, samples: Sequence[Sample]) -> tuple[float, float]:
    """How long a round trip took at most of late, and how much longer the next may have, as they differed."""
    slowest_s, quickest_s = max(recent, default=0.0), min(recent, default=0.0)
    before = [s for s in samples if s.slot == first.slot - 1]
    steady_s = 0.1 * (first.due_s - before[0].due_s) if before else 0.0
    slower_s = min(slowest_s - max(slack.rtt_s, quickest_s) - steady_s, slack.threshold_s - slowest_s)
    return max(slack.rtt_s, slowest_s), max(0.0, slower_s)


def up_again_s(samples: Sequence[Sample], first: Sample, usual_s: float, served: bool) -> float:
    """When the first probe was sent that found the path up and had not waited in a queue for it."""
    sent_s, rtt_s = _sent(first), first.rtt_s or 0.0
    after = [s for s in samples if s.slot >= first.slot]
    stop = next((s.slot for s in after if s.outcome.is_down), math.inf)
    ups = [s for s in after if s.slot < stop and s.outcome is Outcome.REPLIED]
    interval_s = samples[1].due_s - samples[0].due_s if len(samples) > 1 else 0.0
    together = [_came_with(first, s, interval_s) for s in ups]
    bunch = ups[: together.index(False)] if False in together else ups
    behind = [s.rtt_s or 0.0 for s in ups[len(bunch) : len(bunch) + 10]]
    if rtt_s <= usual_s + 0.002:
        return sent_s
    last_due_s = 2 * samples[-1].due_s - samples[-2].due_s
    until_s = next((_sent(s) for s in after if s.outcome.is_down), last_due_s)
    looked_at = ups[: len(bunch) + 10]

    def first_sent_s(open_s: float, noise_s: float) -> float:
        later = [_sent(s) for s in looked_at if _sent(s) >= open_s - noise_s]
        return min([*later[:1], open_s + interval_s, until_s])

    quickest_s = min(s.rtt_s or 0.0 for s in looked_at)
    median_s = _median(behind or [s.rtt_s or 0.0 for s in bunch])
    settled_s = usual_s if quickest_s <= usual_s + interval_s else quickest_s
    settled_s = median_s if median_s <= quickest_s + 0.25 * interval_s else settled_s
    late = [s for s in bunch if (s.rtt_s or 0.0) > settled_s + 0.25 * interval_s]
    at_once = [s for s in late if abs(_sent(s) + (s.rtt_s or 0.0) - (sent_s + rtt_s)) <= 0.02 * interval_s]
    if len(late) >= 4 or len(at_once) >= 2:
        return first_sent_s(sent_s + rtt_s - settled_s, 0.001)
    if served or not behind or len(bunch) + len(behind) < 11:
        return sent_s
    ordered, settled_s = sorted(behind), _median(behind)
    noise_s = max(0.001, ordered[len(ordered) * 3 // 4 if len(late) >= 2 else -1] - ordered[0])
    open_s = sent_s + rtt_s - settled_s
    is_late = open_s - sent_s > max(2 * noise_s, 0.05 * interval_s)
    in_turn = open_s <= _sent(ups[len(bunch)]) + noise_s
    return first_sent_s(open_s, noise_s) if is_late and in_turn else sent_s


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _came_with(first: Sample, other: Sample, interval_s: float) -> bool:
    """Whether two answers came together: within a quarter of an interval and 3 % of the time between their sends."""
    apart_s = abs(_sent(other) + (other.rtt_s or 0.0) - (_sent(first) + (first.rtt_s or 0.0)))
    return apart_s <= 0.25 * interval_s + 0.03 * (_sent(other) - _sent(first))


def unseen_s(samples: Sequence[Sample]) -> float:
    """Return the longest time between two answered probes, of which the second was due after the request."""
    ups = [s for s in samples if s.outcome is Outcome.REPLIED]
    return max((_between(a, b, _Slack(0, 0, 0, 0)) for a, b in pairwise(ups) if b.due_s >= 0), default=math.inf)


def _blind(last_up: Sample, end: Sample | None, gaps: int, slack: _Slack) -> OutageWindow:
    start_s, length_s = _sent(last_up), _between(last_up, end, slack)
    return OutageWindow(start_s, 0.0, 0.0, length_s, 0, 0, gaps, censored=end is None, last_up_s=start_s)


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
