"""Samples to outage windows with bounds.

A window is a maximal run of down samples of one stream (a loss period, RFC 3357); gaps inside it do not split it, and
fewer than ``merge`` successes between two runs do not either. Let u be the last up sample before it, f its first and l
its last down sample, v the first up sample after it; x is also the time that x was sent. Then

    at_least = the sum of (last - first) over its runs of down samples next to each other
    at_most  = arrival of v's answer - u
    estimate = v - f, and later by as much as v's answer came later than usual

Why these hold. u crossed the router twice after it was sent, and v's answer crossed it before it arrived: the outage
lies between the two moments. (v's own arrival counts, not its send time: a probe that waited in the sender's queue
for the gateway's address is answered late, and was sent while the path was still down.) A probe can be lost on its way
back, one round trip after it was sent: each run's part of at_least shrinks by the round trip, not below 0. Where send
times are known only to a grain, either end may be off by it: both bounds widen by twice the grain. Time covered by gaps
or by successes proves nothing, so it is no part of at_least. One assumption is made: between two down samples
next to each other the path was down.

The estimate of an outage that begins at a random phase is off by the difference of two phases, each uniform over one
interval: unbiased, triangular, sd = interval / sqrt(6).

What was not seen is never zero: two or more gaps in a row between two successes could hide an outage as long as the
distance between them. Such a stretch is a *blind* window: at_least = estimate = 0, at_most as above. A window (or a
stretch) without v is censored and has no upper bound; one without u has none either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vrbench.core.model import OutageWindow, Outcome, Sample

ESTIMATOR = "w2"  # changes whenever the same samples would give other figures; part of every method id
BLIND_GAPS = 2  # so many gaps in a row can hide an outage of two intervals


@dataclass(slots=True)
class _Run:
    """A window being read: what stands before it, its down samples in runs, and what has come since."""

    last_up: Sample | None
    runs: list[list[Sample]] = field(default_factory=list)
    gaps: int = 0
    ups: list[Sample] = field(default_factory=list)  # successes seen since the last down sample
    broken: bool = True  # the next down sample begins a run of its own

    def add(self, sample: Sample) -> None:
        """One more down sample."""
        if self.broken:
            self.runs.append([])
        self.runs[-1].append(sample)
        self.ups.clear()
        self.broken = False


def find_windows(
    samples: Iterable[Sample], merge: int = 1, rtt_s: float = 0.0, whole: bool = True, grain_s: float = 0.0
) -> tuple[OutageWindow, ...]:
    """All outage windows of one stream's samples, in order of slots; ``rtt_s`` is what a round trip usually takes.

    ``whole`` is False for a log that was cut short: what came after its last sample was not seen. ``grain_s`` is how
    far a send time may be off.
    """
    slack = _Slack(rtt_s, 2 * grain_s)
    found: list[OutageWindow] = []
    last_up: Sample | None = None
    run: _Run | None = None
    gaps = 0
    for sample in samples:
        if sample.outcome.is_gap:
            gaps += 1
            if run is not None:
                run.broken = True
            continue
        if sample.outcome.is_down:
            if run is None:
                run = _Run(last_up)
            elif not run.ups:
                run.gaps += gaps
            run.add(sample)
        else:
            if run is not None:
                run.ups.append(sample)
                run.broken = True
                if len(run.ups) >= merge:
                    found.append(_window(run, slack))
                    run = None
            elif gaps >= BLIND_GAPS and last_up is not None:
                found.append(_blind(last_up, sample, gaps, slack))
            last_up = sample
        gaps = 0
    if run is not None:
        found.append(_window(run, slack))
    elif last_up is not None and (gaps >= BLIND_GAPS or not whole):
        found.append(_blind(last_up, None, gaps, slack))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Slack:
    """What bounds have to allow for: the usual round trip, and how far two send times may be off together."""

    rtt_s: float
    grains_s: float


def _window(run: _Run, slack: _Slack) -> OutageWindow:
    down = [s for r in run.runs for s in r]
    first, last = _sent(down[0]), _sent(down[-1])
    end = run.ups[0] if run.ups else None
    later = 0.0 if end is None else max(0.0, (end.rtt_s or 0.0) - slack.rtt_s)
    at_least = sum(max(0.0, _sent(r[-1]) - _sent(r[0]) - slack.rtt_s - slack.grains_s) for r in run.runs)
    return OutageWindow(
        start_s=first,
        at_least_s=at_least,
        estimate_s=max(at_least, (last if end is None else _sent(end) + later) - first),
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
    """A sample's send time; one that was never sent is neither up nor down."""
    if sample.sent_s is None:
        raise ValueError(f"slot {sample.slot} is {sample.outcome} but was never sent")
    return sample.sent_s


@dataclass(frozen=True, slots=True)
class Downtime:
    """A duration with bounds, all in seconds: at_least <= estimate <= at_most (infinite when censored)."""

    at_least_s: float
    estimate_s: float
    at_most_s: float

    @property
    def settled_s(self) -> float:
        """The estimate, or infinity where nobody saw the end: then it is a lower bound, and no average can hold it."""
        return math.inf if math.isinf(self.at_most_s) else self.estimate_s

    @classmethod
    def total(cls, windows: Iterable[OutageWindow]) -> Downtime:
        """The sum over windows; bounds add up."""
        listed = list(windows)
        return cls(
            sum(w.at_least_s for w in listed), sum(w.estimate_s for w in listed), sum(w.at_most_s for w in listed)
        )

    @classmethod
    def mean(cls, downtimes: Sequence[Downtime]) -> Downtime:
        """The mean, bound by bound; of nothing it is not measured: no estimate, no upper bound."""
        if not downtimes:
            return cls(0.0, math.nan, math.inf)
        n = len(downtimes)
        return cls(
            sum(d.at_least_s for d in downtimes) / n,
            sum(d.estimate_s for d in downtimes) / n,
            sum(d.at_most_s for d in downtimes) / n,
        )


def any_down_s(windows: Iterable[OutageWindow]) -> float:
    """How long at least one of the windows was open, by their estimates; infinite when one has no end.

    Windows of different clocks must have been aligned before.
    """
    spans = [(w.start_s, math.inf if w.censored else w.start_s + w.estimate_s) for w in windows]
    return _covered(spans)


def _covered(spans: list[tuple[float, float]]) -> float:
    """The length of the union of intervals."""
    total, reach = 0.0, -math.inf
    for start, end in sorted(spans):
        if end > reach:
            total += end - max(start, reach)
            reach = end
    return total


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
    return unavailable * interval_s
