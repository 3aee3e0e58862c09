"""Known outages beside what was measured of them: how wrong the instrument is, from values alone.

A series of faults (``core.calibrate.injections``) is injected, and the true start and end of each time down noted with
their uncertainty. Afterwards every stream's windows are matched with the outages that it must have seen, by time. What
is left over is false: a window at another time, or in a stream that the outage did not touch (another direction,
another guest).

*Truth per stream.* Late answers: a slot whose answer crosses the router while answers are held back is answered after
the threshold, so it must be LOST; the outage lasts as long as answers are held back. Missing source NAT: new flows are
down until the rule is back; the persistent flow is bound without translation, and down until connection tracking has
forgotten it. Only what pings from inside is touched.

*What a stream resolves.* Two outages are apart in a stream that has a success between them; else they are one
comparison, whose truth is the time down in both. Where the network flaps faster than the interval that happens all the
time, and then the bounds say less: ``at_most`` still holds all time down, but ``at_least`` rests on the estimator's
assumption (between two lost probes next to each other the path was down), so it is held against the time from the first
moment down to the last. How often it claims more than was down is counted (``over``). The estimate stays unbiased: each
probe samples whether the path is down at its moment.

*Banners* measure a service, and how fast the guest's sshd is nobody injected. A window of theirs is *slow* when all its
banners came in the end, or half-open connections to the same port were answered meanwhile, or it outlasts its outage by
more than two intervals, or begins with a banner which was asked for longer than a usual round trip before the outage
and was still being served: it says something of sshd, and nothing of the instrument, so it is counted for itself.

An outage that a stream did not see counts as measured with 0 s: one of 20 ms is seen by one in five of the streams
that probe every 100 ms, as 100 ms, and the mean error of such a stream is still none. It is *missed* when it lasted
two intervals or more, since open-loop probes can't all have stepped over it. A stretch in which the prober itself was
held up is reported as blind, with what it may hide: an outage in it was neither seen nor missed, and its error is none.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vrbench.core.calibrate.injections import Fault, KnownOutage
from vrbench.core.calibrate.measurement import (
    FalseWindow,
    Figures,
    Judgement,
    OutageMeasurement,
    figures,
    mean,
)
from vrbench.core.figures.results import StreamResult
from vrbench.core.figures.windows import Downtime
from vrbench.core.kinds import CONTROL, HEADLINE, SSH_SYN, ProbeKind
from vrbench.core.log.outcomes import Stage, parts
from vrbench.core.model import OutageWindow, Outcome, Stream

ALIGNMENT_S = 0.001  # two clocks of one machine are read this far apart at most, beside their measured error
EDGE_INTERVALS = 2.5  # a slot within this of an edge decides which one the estimate is taken from
COMPARED = (*HEADLINE, CONTROL)  # the kinds whose truth is known


@dataclass(frozen=True, slots=True)
class KindFigures:
    """All streams of one kind together; ``clean_s`` is stream time without any outage. Flapping is not among them."""

    kind: str
    interval_s: float
    figures: Figures
    false: int
    slow_windows: int
    clean_s: float
    service: bool  # it measures a service, as slow as that is


@dataclass(frozen=True, slots=True)
class FaultFigures:
    """One fault as the streams of one layer saw it: those that probe the network at the interval, or banners."""

    fault: Fault
    banner: bool
    figures: Figures


@dataclass(frozen=True, slots=True)
class Calibration:
    """Every comparison of one series, every false window, and the figures per kind of stream and per fault."""

    comparisons: tuple[OutageMeasurement, ...]
    false_windows: tuple[FalseWindow, ...]
    kinds: tuple[KindFigures, ...]
    faults: tuple[FaultFigures, ...]

    @property
    def total(self) -> Figures:
        """Everything together."""
        return figures(self.comparisons)

    @property
    def steady(self) -> Figures:
        """All but flapping, of which at_least may claim too much (see above)."""
        return figures(c for c in self.comparisons if c.of_its_own)

    @property
    def flapped(self) -> Figures:
        """Flapping alone."""
        return figures(c for c in self.comparisons if not c.of_its_own)

    @property
    def false(self) -> int:
        return sum(w.judgement is Judgement.FALSE for w in self.false_windows)

    @property
    def slow(self) -> int:
        """Outages and windows that tell of a slow sshd."""
        return self.total.slow + sum(w.judgement is Judgement.SLOW for w in self.false_windows)

    @property
    def good(self) -> bool:
        """Bounds held everywhere, no error exceeds an interval, nothing was missed or false; and there was a look."""
        total = self.total
        looked = total.judged or (not self.comparisons and any(k.clean_s > 0 for k in self.kinds))
        return bool(looked) and total.seen == total.held and not (total.missed or self.false or self.off)

    @property
    def off(self) -> int:
        """How many errors are larger than probing explains."""
        return sum(c.error_is_large for c in self.comparisons)

    @property
    def worst_uncertainty_s(self) -> float:
        """The largest uncertainty of a true duration that an error was taken from."""
        return max((c.outage.uncertainty_s for c in self.fine), default=0.0)

    @property
    def fine(self) -> tuple[OutageMeasurement, ...]:
        """What says how wrong the instrument is."""
        return tuple(c for c in self.comparisons if c.fine)

    @property
    def bias_s(self) -> float:
        """Mean error of the fine comparisons; 0.0 without any."""
        return mean(c.error_s for c in self.fine)

    @property
    def worst_s(self) -> float:
        """Largest error of the fine comparisons, either way; 0.0 without any."""
        return max((abs(c.error_s) for c in self.fine), default=0.0)

    @property
    def interval_s(self) -> float:
        """Interval of the fine streams."""
        return max((k.interval_s for k in self.kinds if not k.service), default=0.0)


def calibrate(
    streams: Sequence[StreamResult], outages: Sequence[KnownOutage], guests: Mapping[str, str], clock_error_s: float
) -> Calibration:
    """Match and count. ``guests`` gives the guest of each stream by its name; control streams need none.

    Streams whose truth the injections don't tell (they retransmit, or don't cross the router) are left out.
    """
    comparisons: list[OutageMeasurement] = []
    false: list[FalseWindow] = []
    clean: dict[ProbeKind, float] = {}
    intervals: dict[ProbeKind, float] = {}
    for result in (r for r in streams if r.stream.kind in COMPARED):
        stream, guest = result.stream, guests.get(result.stream.name, "")
        due = [o.seen_by(stream) for o in outages if o.touches(stream, guest)]
        compared, left = match(result, resolve(result, due), clock_error_s + ALIGNMENT_S)
        comparisons += compared
        false += [FalseWindow(stream, w, _judge_false(streams, result, w)) for w in left]
        kind = stream.kind
        clean[kind] = clean.get(kind, 0.0) + _clean_s(result, due)
        intervals[kind] = min(intervals.get(kind, stream.interval_s), stream.interval_s)
    kinds = [
        _kind_figures(k, intervals[k], s, comparisons, false)
        for k, s in sorted(clean.items(), key=lambda e: COMPARED.index(e[0]))
    ]
    return Calibration(
        tuple(comparisons),
        tuple(false),
        tuple(kinds),
        tuple(_fault_figures(comparisons)),
    )


def _judge_false(streams: Iterable[StreamResult], result: StreamResult, window: OutageWindow) -> Judgement:
    """Judge a window that no outage explains: SLOW where it shows a slow service on a path that was up."""
    if not result.stream.kind.is_service:
        return Judgement.FALSE
    slow = came_late(result, window) or _answered(streams, result.stream, window)
    return Judgement.SLOW if slow else Judgement.FALSE


def came_late(result: StreamResult, window: OutageWindow) -> bool:
    """Return whether every answer that was missed in time came later all the same, on a connection that stood."""
    half_s = result.stream.interval_s / 2
    due = [s.due_s for s in result.samples]
    begin, end = (bisect_left(due, at - half_s) for at in (window.failed_s, window.start_s + window.estimate_s))
    return not window.refused and all(
        stage is Stage.LATE or all(s.outcome is not Outcome.LOST for s in result.samples[first:last])
        for stage, first, last in parts(result.samples, begin, end)
    )


def _answered(streams: Iterable[StreamResult], banner: Stream, window: OutageWindow) -> bool:
    """Return whether half-open connections to the banner's port were answered all the while."""
    begin, end = window.start_s, window.start_s + window.estimate_s
    witnesses = [s for s in streams if s.stream.kind is SSH_SYN and s.stream.target == banner.target]
    down = (w for s in witnesses for w in (*s.baseline_windows, *s.windows))
    return bool(witnesses) and not any(w.start_s <= end and begin <= w.start_s + _length_s(w) for w in down)


def resolve(result: StreamResult, outages: Sequence[KnownOutage]) -> list[KnownOutage]:
    """Cut the outages where the stream has a success between two times down; join them where it has none."""
    replied = [s.sent_s for s in result.samples if s.outcome is Outcome.REPLIED and s.sent_s is not None]
    found: list[KnownOutage] = []
    for outage in outages:
        for piece in outage.pieces:
            here = replace(outage, pieces=(piece,))
            if found and not bisect_right(replied, piece.start_s) > bisect_left(replied, found[-1].end_s):
                found[-1] = replace(found[-1], pieces=(*found[-1].pieces, piece))
            else:
                found.append(here)
    return found


def match(
    result: StreamResult, outages: Sequence[KnownOutage], alignment_s: float
) -> tuple[list[OutageMeasurement], list[OutageWindow]]:
    """Return each outage with the sum of the windows that it explains, and the windows that none explains."""
    explained: dict[int, list[OutageWindow]] = {n: [] for n in range(len(outages))}
    left = []
    for window in (*result.baseline_windows, *result.windows):
        begin, end = window.start_s - alignment_s, window.start_s + _length_s(window) + alignment_s
        near = [n for n, o in enumerate(outages) if begin <= o.end_s and o.start_s <= end]
        if near:
            longest = max(near, key=lambda n: min(end, outages[n].end_s) - max(begin, outages[n].start_s))
            explained[longest].append(window)
        elif not window.blind:
            left.append(window)
    sends = _Sends.of(result)
    return [_compare(o, result, explained[n], sends) for n, o in enumerate(outages)], left


@dataclass(frozen=True, slots=True)
class _Sends:
    """When a stream's slots were due that were never sent, and between which two moments each of the others left."""

    unsent: Sequence[float]
    after: Sequence[float]
    before: Sequence[float]

    @classmethod
    def of(cls, result: StreamResult) -> _Sends:
        sent = [(s.sent_s, s.sent_s + s.width_s) for s in result.samples if s.sent_s is not None]
        unsent = [s.due_s for s in result.samples if s.sent_s is None]
        return cls(unsent, [after for after, _ in sent], [before for _, before in sent])

    def apart_s(self, moment_s: float, about_s: float) -> float:
        """Return the longest time about a moment for which no probe left."""
        first = max(0, bisect_left(self.after, moment_s - about_s) - 1)
        last = bisect_right(self.after, moment_s + about_s)
        pairs = zip(self.after[first:last], self.before[first + 1 : last + 1], strict=False)
        return max((before - after for after, before in pairs), default=0.0)


def _compare(
    outage: KnownOutage, result: StreamResult, windows: Sequence[OutageWindow], sends: _Sends
) -> OutageMeasurement:
    """Compare an outage with the windows that it explains."""
    about_s, moments = EDGE_INTERVALS * result.stream.interval_s, (outage.start_s, outage.end_s)
    edges = {at for moment in moments for at in _within(sends.unsent, moment - about_s, moment + about_s)}
    seen = [w for w in windows if not w.blind]
    return OutageMeasurement(
        outage,
        result.stream,
        len(windows),
        len(windows) - len(seen),
        Downtime.total(windows),
        unsent=len(_within(sends.unsent, outage.start_s, outage.end_s)),
        start_s=min((w.start_s for w in windows), default=None),
        after_s=max(0.0, max((w.start_s + w.estimate_s - outage.end_s for w in seen), default=0.0)),
        before_s=max(0.0, max((outage.start_s - w.failed_s - result.rtt_s for w in seen), default=0.0)),
        edge_gaps=len(edges),
        apart_s=max(sends.apart_s(moment, about_s) for moment in moments),
    )


def _within(times: Sequence[float], low: float, high: float) -> Sequence[float]:
    """Return the part of ordered times that lies between two moments."""
    return times[bisect_left(times, low) : bisect_right(times, high)]


def _length_s(window: OutageWindow) -> float:
    """Return how far a window reaches from its start: by its estimate, or where it saw nothing by what it may hide."""
    return window.at_most_s if window.blind else window.estimate_s


def _clean_s(result: StreamResult, outages: Iterable[KnownOutage]) -> float:
    """Return for how long a stream was watched without an outage; its samples may end early."""
    if not result.samples:
        return 0.0
    first, last = result.samples[0].due_s, result.samples[-1].due_s
    pieces = (piece for outage in outages for piece in outage.pieces)
    return last - first - sum(max(0.0, min(p.end_s, last) - max(p.start_s, first)) for p in pieces)


def _kind_figures(
    kind: ProbeKind,
    interval_s: float,
    clean_s: float,
    comparisons: Iterable[OutageMeasurement],
    false: Iterable[FalseWindow],
) -> KindFigures:
    mine = figures(c for c in comparisons if c.stream.kind is kind and c.of_its_own)
    ours = [f.judgement for f in false if f.stream.kind is kind]
    made_up, slow = ours.count(Judgement.FALSE), ours.count(Judgement.SLOW)
    return KindFigures(kind.labels.name, interval_s, mine, made_up, slow, clean_s, kind.is_service)


def _fault_figures(comparisons: Sequence[OutageMeasurement]) -> Iterator[FaultFigures]:
    for fault in Fault:
        for banner in (False, True):
            mine = [c for c in comparisons if c.outage.fault is fault and c.stream.kind.is_service is banner]
            if mine:
                yield FaultFigures(fault, banner, figures(mine))
