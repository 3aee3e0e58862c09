"""Known outages beside what was measured of them: how wrong the instrument is, from values alone.

A series of outages is drawn from a seed; each is injected, and its true start and end noted with their uncertainty.
Afterwards every stream's windows are matched with the outages that it must have seen, by time. What is left over is
false: a window at another time, or in a stream that the outage did not touch (another direction, another guest).

An outage that a stream did not see counts as measured with 0 s: one of 20 ms is seen by one in five of the streams
that probe every 100 ms, as 100 ms, and the mean error of such a stream is still none. It is *missed* when it lasted
two intervals or more, since open-loop probes can't all have stepped over it. A stretch in which the prober itself was
held up is reported as blind, with what it may hide: an outage in it was neither seen nor missed, and its error is none.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from vrbench.core.model import Direction, OutageWindow, Stream
from vrbench.core.results import StreamResult
from vrbench.core.windows import Downtime

SHORTEST_S = 0.02
DIRECTIONS = ("egress", "ingress", "both")
NOTHING = "none"  # an injection of nothing: time in which every window is false
ALIGNMENT_S = 0.001  # two clocks of one machine are read this far apart at most, beside their measured error


@dataclass(frozen=True, slots=True)
class Injection:
    """One outage to inject, after a pause of ``pause_s``; in silence, or with ``refuse`` by resets and ICMP errors.

    ``guest`` is a guest's name, or empty for all traffic.
    """

    direction: str
    guest: str
    refuse: bool
    seconds: float
    pause_s: float


@dataclass(frozen=True, slots=True)
class KnownOutage:
    """An outage as it truly was, in seconds on the harness's clock from the trial's request.

    ``uncertainty_s`` is how far its duration may be off: the uncertainties of its two commits together.
    """

    number: int
    direction: str
    guest: str
    refuse: bool
    start_s: float
    end_s: float
    uncertainty_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    def touches(self, stream: Stream, guest: str) -> bool:
        """Whether a stream from or to ``guest`` must see it."""
        if stream.direction is Direction.CONTROL or self.guest not in ("", guest):
            return False
        return self.direction in ("both", stream.direction.value)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One known outage beside what one stream measured of it; nothing seen is measured as 0 s in 0 windows.

    ``blind`` of the ``windows`` hold no lost probe: stretches in which the stream says that it could not see.
    """

    outage: KnownOutage
    stream: Stream
    windows: int
    blind: int
    measured: Downtime
    unsent: int  # slots within the outage that were never sent

    @property
    def kind(self) -> str:
        return kind_of(self.stream)

    @property
    def error_s(self) -> float:
        """Measured minus true."""
        return self.measured.estimate_s - self.outage.duration_s

    @property
    def unknown(self) -> bool:
        """Whether all that the stream says of it is that it could not see."""
        return 0 < self.windows == self.blind

    @property
    def held(self) -> bool:
        """Whether the bounds hold the truth, as far as the truth itself is known; False when nothing was seen."""
        true, slack = self.outage.duration_s, self.outage.uncertainty_s
        return bool(self.windows) and self.measured.at_least_s - slack <= true <= self.measured.at_most_s + slack

    @property
    def missed(self) -> bool:
        """Not seen although it lasted two intervals or more."""
        return not self.windows and self.outage.duration_s >= 2 * self.stream.interval_s


@dataclass(frozen=True, slots=True)
class FalseWindow:
    """A window that no outage explains."""

    stream: Stream
    window: OutageWindow

    @property
    def kind(self) -> str:
        return kind_of(self.stream)


@dataclass(frozen=True, slots=True)
class KindFigures:
    """All streams of one kind together. Times in seconds; ``clean_s`` is stream time without any outage.

    ``seen`` are the outages of which a stream says something, so has bounds that hold or not; of ``unknown`` ones it
    says that it could not see. The errors are those of all others.
    """

    kind: str
    interval_s: float
    outages: int
    seen: int
    unknown: int
    held: int
    bias_s: float
    worst_s: float
    missed: int
    false: int
    clean_s: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Every comparison of one series, every false window, and the figures per kind of stream."""

    comparisons: tuple[Comparison, ...]
    false_windows: tuple[FalseWindow, ...]
    kinds: tuple[KindFigures, ...]

    @property
    def seen(self) -> int:
        return sum(k.seen for k in self.kinds)

    @property
    def held(self) -> int:
        return sum(k.held for k in self.kinds)

    @property
    def good(self) -> bool:
        """Bounds held everywhere, nothing of two intervals or more was missed, and no window was false."""
        return self.seen == self.held > 0 and not any(k.missed or k.false for k in self.kinds)

    @property
    def worst_uncertainty_s(self) -> float:
        """The largest uncertainty of a true duration."""
        return max((c.outage.uncertainty_s for c in self.comparisons), default=0.0)

    @property
    def fine(self) -> tuple[Comparison, ...]:
        """What the streams saw that probe the network itself; banners are coarser, and as slow as sshd."""
        return tuple(c for c in self.comparisons if c.stream.flow != "banner" and not c.unknown)

    @property
    def bias_s(self) -> float:
        """Mean error of the fine streams."""
        return _mean(c.error_s for c in self.fine)

    @property
    def worst_s(self) -> float:
        """Largest error of the fine streams, either way."""
        return max((abs(c.error_s) for c in self.fine), default=0.0)

    @property
    def interval_s(self) -> float:
        """Interval of the fine streams."""
        return max((c.stream.interval_s for c in self.fine), default=0.0)


def kind_of(stream: Stream) -> str:
    """Streams of one kind share a row: "egress fresh", "ingress banner", "control"."""
    if stream.direction is Direction.CONTROL:
        return stream.direction.value
    return f"{stream.direction.value} {stream.flow}"


def draw_series(
    outages: int, longest_s: float, guests: Sequence[str], recovery_s: float, clean_s: float, seed: int
) -> tuple[Injection, ...]:
    """The series that ``seed`` stands for: lengths log-uniform from 20 ms to ``longest_s``, every case equally often.

    A case is a direction, for all traffic or for one of ``guests``, in silence or refusing (one in three). Each outage
    comes ``recovery_s`` and up to half as much again after the one before, so at any phase of the probes. In the middle
    nothing happens for ``clean_s``.
    """
    draw = random.Random(seed)
    cases = [(d, one, refuse) for refuse in (False, True, False) for d in DIRECTIONS for one in (False, True)]
    turns = [cases[i % len(cases)] for i in range(outages)]
    draw.shuffle(turns)
    series = [
        Injection(
            direction,
            draw.choice(guests) if one else "",
            refuse,
            math.exp(draw.uniform(math.log(SHORTEST_S), math.log(longest_s))),
            recovery_s * draw.uniform(1.0, 1.5),
        )
        for direction, one, refuse in turns
    ]
    series.insert(outages // 2, Injection(NOTHING, "", False, clean_s, 0.0))
    return tuple(series)


def calibrate(
    streams: Sequence[StreamResult], outages: Sequence[KnownOutage], guests: Mapping[str, str], clock_error_s: float
) -> Calibration:
    """Match and count. ``guests`` gives the guest of each stream by its name; control streams need none."""
    comparisons: list[Comparison] = []
    false: list[FalseWindow] = []
    clean: dict[str, float] = {}
    for result in streams:
        due = [o for o in outages if o.touches(result.stream, guests.get(result.stream.name, ""))]
        compared, left = match(result, due, clock_error_s + ALIGNMENT_S)
        comparisons += compared
        false += [FalseWindow(result.stream, w) for w in left]
        kind = kind_of(result.stream)
        clean[kind] = clean.get(kind, 0.0) + _clean_s(result, due)
    kinds = [_figures(k, s, comparisons, false) for k, s in clean.items()]
    return Calibration(tuple(comparisons), tuple(false), tuple(sorted(kinds, key=lambda k: _rank(k.kind))))


def match(
    result: StreamResult, outages: Sequence[KnownOutage], alignment_s: float
) -> tuple[list[Comparison], list[OutageWindow]]:
    """Each outage with the sum of the windows that it explains, and the windows that none explains."""
    explained: dict[int, list[OutageWindow]] = {o.number: [] for o in outages}
    left = []
    for window in (*result.baseline_windows, *result.windows):
        begin, end = window.start_s - alignment_s, window.start_s + _length_s(window) + alignment_s
        near = [o for o in outages if begin <= o.end_s and o.start_s <= end]
        if near:
            longest = max(near, key=lambda o: min(end, o.end_s) - max(begin, o.start_s))
            explained[longest.number].append(window)
        elif not _is_blind(window):
            left.append(window)
    gaps = [s.due_s for s in result.samples if s.sent_s is None]
    return [_compare(o, result.stream, explained[o.number], gaps) for o in outages], left


def _compare(outage: KnownOutage, stream: Stream, windows: Sequence[OutageWindow], gaps: Sequence[float]) -> Comparison:
    blind = sum(map(_is_blind, windows))
    unsent = bisect_right(gaps, outage.end_s) - bisect_left(gaps, outage.start_s)
    return Comparison(outage, stream, len(windows), blind, Downtime.total(windows), unsent)


def _is_blind(window: OutageWindow) -> bool:
    return not (window.lost or window.refused)


def _length_s(window: OutageWindow) -> float:
    """How far a window reaches from its start: by its estimate, or where it saw nothing by what it may hide."""
    return window.at_most_s if _is_blind(window) else window.estimate_s


def _clean_s(result: StreamResult, outages: Iterable[KnownOutage]) -> float:
    if not result.samples:
        return 0.0
    return result.samples[-1].due_s - result.samples[0].due_s - sum(o.duration_s for o in outages)


def _figures(kind: str, clean_s: float, comparisons: Iterable[Comparison], false: Iterable[FalseWindow]) -> KindFigures:
    mine = [c for c in comparisons if c.kind == kind]
    errors = [c.error_s for c in mine if not c.unknown]
    return KindFigures(
        kind=kind,
        interval_s=min((c.stream.interval_s for c in mine), default=0.0),
        outages=len(mine),
        seen=sum(c.windows > 0 for c in mine),
        unknown=sum(c.unknown for c in mine),
        held=sum(c.held for c in mine),
        bias_s=_mean(errors),
        worst_s=max(map(abs, errors), default=0.0),
        missed=sum(c.missed for c in mine),
        false=sum(f.kind == kind for f in false),
        clean_s=clean_s,
    )


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return fmean(listed) if listed else 0.0


def _rank(kind: str) -> tuple[int, str]:
    order = ("egress fresh", "egress persistent", "ingress syn", "ingress banner")
    return (order.index(kind) if kind in order else len(order), kind)


def wrong_ones(calibration: Calibration) -> Iterator[Comparison]:
    """The comparisons that make it bad: bounds that don't hold the truth, outages that were missed."""
    return (c for c in calibration.comparisons if c.missed or (c.windows and not c.held))
