"""Samples to outage windows with bounds.

A window is a maximal run of down samples of one stream (a loss period, RFC 3357); gaps inside it do not split it, and
fewer than ``merge`` successes between two runs do not either. Let f and l be the send times of its first and last down
sample, u that of the last up sample before it and v that of the first up sample after it. Then

    at_least = l - f        estimate = v - f        at_most = v - u

A probe crosses the router twice within one round trip after its send time, so both bounds widen by the path's round
trip: at_least - rtt (not below 0), at_most + rtt. The estimate of an outage that begins at a random phase is off by
the difference of two phases, each uniform over one interval: unbiased, triangular, sd = interval / sqrt(6). Gaps at the
edges move u and v outward and so widen at_most by themselves. A window without u or v is censored: at_most is infinite.
The bounds hold under one assumption: between two down samples next to each other the path was down.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vrbench.core.model import OutageWindow, Outcome, Sample

ESTIMATOR = "w1"  # changes whenever the same samples would give other figures; part of every method id


@dataclass(slots=True)
class _Run:
    """A window being read: samples down so far, and what stands around them."""

    last_up: float | None
    down: list[Sample] = field(default_factory=list)
    gaps: int = 0
    ups: list[float] = field(default_factory=list)  # send times of successes seen since the last down sample


def find_windows(samples: Iterable[Sample], merge: int = 1, rtt_s: float = 0.0) -> tuple[OutageWindow, ...]:
    """All outage windows of one stream's samples, which must be in order of their slots."""
    found: list[OutageWindow] = []
    last_up: float | None = None
    run: _Run | None = None
    pending_gaps = 0
    for sample in samples:
        if sample.outcome.is_down:
            if run is None:
                run = _Run(last_up)
            elif not run.ups:
                run.gaps += pending_gaps
            run.down.append(sample)
            run.ups.clear()
        elif sample.outcome is Outcome.REPLIED and sample.sent_s is not None:
            last_up = sample.sent_s
            if run is not None:
                run.ups.append(last_up)
                if len(run.ups) >= merge:
                    found.append(_window(run, rtt_s))
                    run = None
        pending_gaps = pending_gaps + 1 if sample.outcome.is_gap else 0
    if run is not None:
        found.append(_window(run, rtt_s))
    return tuple(found)


def _window(run: _Run, rtt_s: float) -> OutageWindow:
    first, last = _sent(run.down[0]), _sent(run.down[-1])
    first_up = run.ups[0] if run.ups else None
    estimate = (first_up if first_up is not None else last) - first
    at_most = math.inf if run.last_up is None or first_up is None else first_up - run.last_up + rtt_s
    return OutageWindow(
        start_s=first,
        at_least_s=max(0.0, last - first - rtt_s),
        estimate_s=estimate,
        at_most_s=at_most,
        lost=sum(s.outcome is Outcome.LOST for s in run.down),
        refused=sum(s.outcome is Outcome.REFUSED for s in run.down),
        gaps=run.gaps,
        censored=math.isinf(at_most),
    )


def _sent(sample: Sample) -> float:
    """A down sample's send time; one that was never sent can't be down."""
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
        """The mean, bound by bound; of nothing it is 0."""
        n = max(1, len(downtimes))
        return cls(
            sum(d.at_least_s for d in downtimes) / n,
            sum(d.estimate_s for d in downtimes) / n,
            sum(d.at_most_s for d in downtimes) / n,
        )


def union(windows: Iterable[OutageWindow]) -> Downtime:
    """How long at least one of the windows was open.

    The lower bound joins the spans from first to last down sample, the upper bound the spans from the up sample before
    to the up sample after. Windows of different clocks must have been aligned before.
    """
    inner, likely, outer = [], [], []
    for w in windows:
        inner.append((w.start_s, w.start_s + w.at_least_s))
        likely.append((w.start_s, w.start_s + w.estimate_s))
        before = 0.0 if math.isinf(w.at_most_s) else max(0.0, w.at_most_s - w.estimate_s)
        outer.append((w.start_s - before, math.inf if math.isinf(w.at_most_s) else w.start_s + w.estimate_s))
    return Downtime(_covered(inner), _covered(likely), _covered(outer))


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
