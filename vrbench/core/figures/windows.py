"""Samples to outage windows with bounds.

A window is a maximal run of down samples of one stream (a loss period, RFC 3357); gaps inside it do not split it, and
fewer than ``merge`` successes between two runs do not either. Let u be the last up sample before it, f its first and l
its last down sample, v the first up sample after it; x is also the time that x was sent. Then

    at_least = the sum of (last - first) over its runs of down samples next to each other
    at_most  = arrival of v's answer - u
    estimate = v - (f + beyond), where v did not wait for the path (``queued`` says how that is told)

Why these hold. u crossed the router twice after it was sent, and v's answer crossed it before it arrived: the outage
lies between the two moments. (v's own arrival counts, not its send time: a probe that waited in the sender's queue for
the gateway's address is answered late, and was sent while the path was still down. For the estimate, the first that did
not wait takes the place of v.) A probe can be lost on its way back, one round trip after it was sent: each run's part
of at_least shrinks by the round trip, not below 0; by the usual one, or by the slowest of the second before, since a
path may slow down before it fails. Where round trips of that second differ, the next may be slower still: at_least
shrinks once more in its first run, by as much as they differ beyond the usual and a tenth of an interval, but not to
more than the threshold, since what takes longer is down by definition. Where send times are known only to a grain,
either end may be off by it: both bounds widen by twice the grain. Where a send took long, the probe left at any moment
of it: at_most counts from the first moment of u's, at_least from the last of f's. Time covered by gaps or by successes
proves nothing, so it is no part of at_least. One assumption is made: between two down samples next to each other the
path was down.

No time counts twice. A window ends before the next down sample was sent, so estimates don't overlap. Upper bounds may,
where answers are slow: in a total the time that two of them share counts once.

A probe of a service (an SSH banner) is lost as well when the service is slow, and where its connection stood the path
was up. So such samples are no part of a run in which none stood; what came late proves nothing at all; and of a run in
which nothing came though the connections stood, at_least counts what is longer than answers are waited for: a service
that was merely slow, and then cut off, can look like one that was away for so long.

A probe that had passed the router, and whose answer found it gone, is lost although it was sent before the outage
began. So the outage begins later than f by what a usual round trip takes ``beyond`` the router: nearly all of it where
a guest pings a target far away or a service takes its time, next to nothing where the harness asks a guest for a
connection. (Where only the way out fails, nothing is lost on its way back, and the estimate is too short by as much.)
A shorter outage than that loses probes twice, on their way out and on their way back: no more than half of a window is
taken off it. And nothing is where a single probe is down, or one of the last three before: that may be packets lost by
chance. On a path that loses some of its packets, the estimates come to the share that is lost.

The estimate of an outage that begins at a random phase is off by the difference of two phases, each uniform over one
interval: unbiased, triangular, sd = interval / sqrt(6).

What was not seen adds nothing to the estimate, but widens its upper bound: two or more gaps in a row between two
successes could hide an outage as long as the distance between them. Such a stretch is a *blind* window: at_least =
estimate = 0, at_most as above. A window (or a stretch) without v is censored and has no upper bound; one without u has
none either. Where nothing was seen down at all, an outage may still have fitted between two answered probes: from the
sending of the one to the arrival of the next one's answer. The longest such time is the stream's upper bound.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from itertools import takewhile

from msgspec import Struct, field
from msgspec.structs import replace

from vrbench.core.figures.queued import up_again_s
from vrbench.core.log.outcomes import CODES, Stage, codes_of, parts
from vrbench.core.model import OutageWindow, Outcome, Sample

BLIND_GAPS = 2  # so many gaps in a row can hide an outage of two intervals
SLOWING_S = 1.0  # how long before an outage answers tell how slow the path had become
CALM = 3  # so many samples before an outage must be successes, else it may be packets lost by chance
BACK = 1000  # so many samples back those are looked for, past gaps
STEADY = 0.1  # of an interval: round trips that differ by less don't foretell slower ones

_UP = bytes([CODES[Outcome.REPLIED]])
_DOWNS = bytes(code for outcome, code in CODES.items() if outcome.is_down)
_GAPS = bytes(code for outcome, code in CODES.items() if outcome.is_gap)
_ALIKE = re.compile(b"(?P<up>%b+)|(?P<down>[%b]+)|(?P<gap>[%b]+)" % (_UP, _DOWNS, _GAPS))


class _Run(Struct):
    """A window being read: the last success before it, its down samples in runs (begin, end), what has come since."""

    last_up: int | None
    downs: list[tuple[int, int]] = field(default_factory=list)
    gaps: int = 0
    ups: int = 0  # successes since the last down sample
    first_up: int = 0
    blind: list[OutageWindow] = field(default_factory=list)  # between those successes


class Allowance(Struct, frozen=True):
    """What the bounds of one stream's windows allow for, in seconds.

    ``rtt_s``: what a round trip usually takes, ``beyond_s`` how much of that lies beyond the router. ``grain_s``: how
    far a send time may be off. ``patience_s``: how long an answer was waited for once the connection stood.
    ``served``: a service answers, and may be slow on its own. ``threshold_s``: what takes longer is lost.
    """

    rtt_s: float = 0.0
    beyond_s: float = 0.0
    grain_s: float = 0.0
    patience_s: float = 0.0
    served: bool = False
    threshold_s: float = math.inf


NOTHING_ALLOWED = Allowance()


def find_windows(
    samples: Sequence[Sample], allowance: Allowance = NOTHING_ALLOWED, merge: int = 1, whole: bool = True
) -> tuple[OutageWindow, ...]:
    """Find all outage windows of one stream's samples, in order of slots.

    ``merge`` successes end a window. ``whole`` is False for a log that was cut short: what came after its last sample
    was not seen.
    """
    bounds = _Bounds(samples, codes_of(samples), allowance)
    found: list[OutageWindow] = []
    last_up: int | None = None
    run: _Run | None = None
    gaps = 0
    for alike in _ALIKE.finditer(bounds.codes):
        begin, end = alike.span()
        if alike.lastgroup == "gap":
            gaps = end - begin
            continue
        if alike.lastgroup == "down":
            if run is None:
                run = _Run(last_up)
            elif not run.ups:
                run.gaps += gaps
            run.downs.append((begin, end))
            run.ups = 0
            run.blind.clear()
        else:
            if gaps >= BLIND_GAPS and last_up is not None and (run is None or run.ups):
                (found if run is None else run.blind).append(bounds.blind(last_up, begin, gaps))
            if run is not None:
                run.first_up = run.first_up if run.ups else begin
                run.ups += end - begin
                if run.ups >= merge:
                    found += [bounds.window(run), *run.blind]
                    run = None
            last_up = end - 1
        gaps = 0
    if run is not None:
        found += [bounds.window(run), *run.blind]
    if last_up is not None and (run is None or run.ups) and (gaps >= BLIND_GAPS or not whole):
        found.append(bounds.blind(last_up, None, gaps))
    return tuple(found)


class _Bounds(Struct, frozen=True):
    """Samples by their place, and what their bounds allow for."""

    samples: Sequence[Sample]
    codes: bytes
    allowance: Allowance

    @property
    def grains_s(self) -> float:
        """How far the distance of two send times may be off."""
        return 2 * self.allowance.grain_s

    def window(self, run: _Run) -> OutageWindow:
        """Return the window of a run that has ended, or never will."""
        first, last = self._sent(run.downs[0][0]), self._sent(run.downs[-1][1] - 1)
        end = run.first_up if run.ups else None
        slowest_s, slower_s = self._slowest(run.downs[0][0])
        at_least = sum(
            self._proven(*part, slowest_s + (slower_s if part[1] == run.downs[0][0] else 0.0))
            for down in run.downs
            for part in parts(self.samples, *down)
        )
        until = last if end is None else self._up_again_s(end)
        start = first + min(self._under_way(run), (until - first) / 2)
        at_most = self._between(run.last_up, end)
        return OutageWindow(
            start_s=start,
            at_least_s=at_least,
            estimate_s=min(max(at_least, until - start), at_most),
            at_most_s=at_most,
            lost=sum(self.codes.count(CODES[Outcome.LOST], *down) for down in run.downs),
            refused=sum(self.codes.count(CODES[Outcome.REFUSED], *down) for down in run.downs),
            gaps=run.gaps,
            censored=end is None,
            last_up_s=None if run.last_up is None else self._sent(run.last_up),
            first_down_s=first,
        )

    def blind(self, last_up: int, end: int | None, gaps: int) -> OutageWindow:
        """Return a stretch between two successes, or after the last, in which nothing was seen."""
        length = self._between(last_up, end)
        start = self._sent(last_up)
        return OutageWindow(start, 0.0, 0.0, length, 0, 0, gaps, censored=end is None, last_up_s=start)

    def _under_way(self, run: _Run) -> float:
        """Return how long before its outage the first down sample of a run was sent: that was on its way back."""
        begin, end = run.downs[0][0], run.downs[-1][1]
        before = self.codes[max(0, begin - BACK) : begin].translate(None, _GAPS)[-CALM:]
        alone = end - begin == 1
        return 0.0 if alone or before.strip(_UP) else self.allowance.beyond_s

    def _proven(self, stage: Stage, begin: int, end: int, rtt_s: float) -> float:
        """Return how long the path was down at least, by down samples next to each other that came equally far."""
        waited_s = {Stage.NOTHING: 0.0, Stage.BEGUN: self.allowance.patience_s, Stage.LATE: math.inf}[stage]
        began = self._sent(begin) + self.samples[begin].width_s
        return max(0.0, self._sent(end - 1) - began - waited_s - rtt_s - self.grains_s)

    def _up_again_s(self, first_up: int) -> float:
        """Return when the first probe was sent that did not wait for the path, from the first answered one on."""
        usual_s, served = self.allowance.rtt_s, self.allowance.served
        return up_again_s(self.samples, self.codes, first_up, usual_s, several=served)

    def _slowest(self, begin: int) -> tuple[float, float]:
        """Return how long a round trip took at most when a window began, and how much longer the next may have.

        Its first probes may have been lost on their way back. How long a service takes says nothing of the path.
        """
        if self.allowance.patience_s:
            return self.allowance.rtt_s, 0.0
        usual_s, since_s = self.allowance.rtt_s, self.samples[begin].due_s - SLOWING_S
        latest = takewhile(lambda at: self.samples[at].due_s >= since_s, range(begin - 1, -1, -1))
        taken = [self._rtt(at) for at in latest if self.codes[at] == CODES[Outcome.REPLIED]]
        slowest_s, quickest_s = max(taken, default=0.0), min(taken, default=0.0)
        steady_s = STEADY * (self.samples[begin].due_s - self.samples[begin - 1].due_s) if begin else 0.0
        slower_s = min(slowest_s - max(usual_s, quickest_s) - steady_s, self.allowance.threshold_s - slowest_s)
        return max(usual_s, slowest_s), max(0.0, slower_s)

    def _between(self, last_up: int | None, end: int | None) -> float:
        """Return the time from one success being sent to the next one's answer.

        Infinite where one of them is missing.
        """
        if last_up is None or end is None:
            return math.inf
        return self._sent(end) + self._rtt(end) - self._sent(last_up) + self.grains_s

    def _rtt(self, at: int) -> float:
        return self.samples[at].rtt_s or 0.0

    def _sent(self, at: int) -> float:
        """Return a sample's send time; one that was never sent is neither up nor down."""
        sample = self.samples[at]
        if sample.sent_s is None:
            raise ValueError(f"slot {sample.slot} is {sample.outcome} but was never sent")
        return sample.sent_s


class Downtime(Struct, frozen=True):
    """A duration with bounds, all in seconds: at_least <= estimate <= at_most (infinite when censored)."""

    at_least_s: float
    estimate_s: float
    at_most_s: float

    @property
    def settled_s(self) -> float:
        """The estimate, or infinity where nobody saw the end: then it is a lower bound, and no average can hold it."""
        return math.inf if self.open else self.estimate_s

    @property
    def open(self) -> bool:
        """Whether nobody saw its end."""
        return math.isinf(self.at_most_s)

    @property
    def unseen(self) -> bool:
        """Whether nothing was seen to be down: what there may have been was no longer than ``at_most_s``."""
        return self.estimate_s == 0 and not self.open

    @classmethod
    def total(cls, windows: Iterable[OutageWindow]) -> Downtime:
        """Return the sum over windows of one stream; time that the upper bounds of two of them share counts once."""
        listed = list(windows)
        return cls(
            sum(w.at_least_s for w in listed),
            sum(w.estimate_s for w in listed),
            sum(w.at_most_s for w in listed) - _shared_s(listed),
        )

    @classmethod
    def of(cls, windows: Sequence[OutageWindow], longest_s: float) -> Downtime:
        """Return a stream's downtime; ``longest_s`` is what an outage that nobody saw lasted at most."""
        total = cls.total(windows)
        seen = any(not w.blind for w in windows)
        return total if seen else replace(total, at_most_s=max(total.at_most_s, longest_s))

    @classmethod
    def mean(cls, downtimes: Sequence[Downtime]) -> Downtime:
        """Return the mean, bound by bound; of nothing it is not measured: no estimate, no upper bound."""
        if not downtimes:
            return cls(0.0, math.nan, math.inf)
        n = len(downtimes)
        return cls(
            sum(d.at_least_s for d in downtimes) / n,
            sum(d.estimate_s for d in downtimes) / n,
            sum(d.at_most_s for d in downtimes) / n,
        )

    @classmethod
    def worst(cls, downtimes: Sequence[Downtime]) -> Downtime:
        """Return the longest, bound by bound: where one has no upper bound, there is none. Of nothing: see ``mean``."""
        if not downtimes:
            return cls.mean([])
        return cls(
            max(d.at_least_s for d in downtimes),
            max(d.settled_s for d in downtimes),
            max(d.at_most_s for d in downtimes),
        )


def any_down_s(windows: Iterable[OutageWindow]) -> float:
    """Return how long at least one of the windows was open, by their estimates; infinite when one has no end.

    Windows of different clocks must have been aligned before.
    """
    spans = [(w.start_s, math.inf if w.censored else w.start_s + w.estimate_s) for w in windows]
    return covered_s(spans)


def _shared_s(windows: Iterable[OutageWindow]) -> float:
    """Return how much of the windows' upper bounds lies in another's as well."""
    bounded = [w for w in windows if w.last_up_s is not None and math.isfinite(w.at_most_s)]
    shared, reach = 0.0, -math.inf
    for begin, end in sorted((w.last_up_s or 0.0, (w.last_up_s or 0.0) + w.at_most_s) for w in bounded):
        shared += max(0.0, min(reach, end) - begin)
        reach = max(reach, end)
    return shared


def covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    total, reach = 0.0, -math.inf
    for start, end in sorted(spans):
        if end > reach:
            total += end - max(start, reach)
            reach = end
    return total
