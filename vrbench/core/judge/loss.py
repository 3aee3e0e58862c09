"""How probes of several streams were lost before anything was restarted: what share, in which shape, and why.

A limit (a token bucket, a policer) lets a steady number through, whatever is sent: the number answered in each stretch
of time varies far less than if each probe had been lost by chance, which is a binomial's variance. A path that fails
now and then varies far more.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from itertools import pairwise

from msgspec import Struct

from vrbench.core.log.history import Fate, ProbeHistory

FINE_S, COARSE_S = 0.25, 1.0
FEWEST = 5  # stretches: fewer don't show how much they vary
STEADY = 0.5  # of a binomial's variance
HUNDREDTH = 2.33  # standard deviations of a normal distribution, below which one of a hundred lies
BURSTY = 4.0
LARGELY = 0.9  # a stream that is answered or lost to this share is one or the other
REGULAR = 0.2  # stretches begin at regular times if what lies between varies by no more than this share


class LossShape(Enum):
    """How the lost ones lie among those answered."""

    NONE = auto()  # nothing was answered
    LIMIT = auto()
    DIVIDED = auto()  # the same streams are answered all the time, the others never
    STRETCHES = auto()  # most are lost at once, now and then
    RANDOM = auto()
    UNKNOWN = auto()  # too little was seen


class Loss(Struct, frozen=True):
    """What became of the probes of a group of streams. ``stretches``: from when to when nearly all was lost, in s."""

    streams: int
    nodes: int
    sent_per_s: float
    answered_per_s: float
    share: float  # of the probes that were answered
    late: int
    lost: int
    shape: LossShape
    reasons: tuple[tuple[Fate, int, int], ...]  # fate, reason as the log says, how many
    stretches: tuple[tuple[float, float], ...] = ()
    split: bool = False  # a node has streams that are mostly answered, and others that are not

    @property
    def every_s(self) -> float:
        """How far the stretches lie apart, where that is regular; else 0."""
        apart = [later - earlier for (earlier, _), (later, _) in pairwise(self.stretches)]
        if len(apart) < 2 or statistics.pstdev(apart) > REGULAR * statistics.fmean(apart):
            return 0.0
        return statistics.fmean(apart)


def loss_of(group: Sequence[ProbeHistory]) -> Loss:
    """Sum up what became of the probes of these streams."""
    probes = [p for h in group for p in h.probes]
    fates = Counter((p.fate, p.reason) for p in probes)
    answered = sum(h.answered for h in group)
    shape, stretches = _shape(group)
    told = ((fate, reason, n) for (fate, reason), n in fates.most_common() if fate is not Fate.ANSWERED)
    return Loss(
        streams=len(group),
        nodes=len({h.node for h in group}),
        sent_per_s=sum(len(h.probes) / _seconds(h) for h in group),
        answered_per_s=sum(h.answered / _seconds(h) for h in group),
        share=answered / max(1, len(probes)),
        late=sum(len(h.late_ns) for h in group),
        lost=len(probes) - answered,
        shape=shape,
        reasons=tuple(told),
        stretches=stretches,
        split=_split(group),
    )


def _seconds(history: ProbeHistory) -> float:
    """Return for how long a stream was probed."""
    probes = history.probes
    return (probes[-1].at_ns - probes[0].at_ns) / 1e9 + history.stream.interval_s if probes else 1.0


def _split(group: Sequence[ProbeHistory]) -> bool:
    alive, dead = ({h.node for h in group if (h.answered * 2 > len(h.probes)) is up} for up in (True, False))
    return bool(alive & dead)


def _shape(group: Sequence[ProbeHistory]) -> tuple[LossShape, tuple[tuple[float, float], ...]]:
    shares = [h.answered / len(h.probes) for h in group if h.probes]
    if not any(shares):
        return LossShape.NONE, ()
    if len(shares) > 1 and all(s >= LARGELY or s <= 1 - LARGELY for s in shares) and min(shares) < LARGELY:
        return LossShape.DIVIDED, ()
    partly = [h for h in group if h.probes and h.answered]
    fine, coarse = _bins(partly, FINE_S), _bins(partly, COARSE_S)
    if _is_steady(fine) or _is_steady(coarse):
        return LossShape.LIMIT, ()
    if len(fine) < 2 * FEWEST:
        return LossShape.UNKNOWN, ()
    if _spread(fine) > BURSTY:
        return LossShape.STRETCHES, tuple(_stretches(fine))
    return LossShape.RANDOM, ()


Bins = list[tuple[int, int]]  # sent, answered


def _bins(group: Sequence[ProbeHistory], seconds: float) -> Bins:
    """Count what was sent and answered in each whole stretch of the time that all of them were probed."""
    begin_ns, end_ns = max(h.probes[0].at_ns for h in group), min(h.probes[-1].at_ns for h in group)
    step_ns = round(seconds * 1e9)
    count = max(0, end_ns - begin_ns) // step_ns
    sent, answered = [0] * count, [0] * count
    for probe in (p for h in group for p in h.probes):
        at = (probe.at_ns - begin_ns) // step_ns
        if 0 <= at < count:
            sent[at] += 1
            answered[at] += probe.fate is Fate.ANSWERED
    return list(zip(sent, answered, strict=True))


def _spread(bins: Bins) -> float:
    """Return the variance of the numbers answered, as a share of what it is where each is lost by chance."""
    sent, answered = sum(s for s, _ in bins), sum(a for _, a in bins)
    by_chance = sent / len(bins) * (answered / sent) * (1 - answered / sent) if sent else 0.0
    return statistics.variance(a for _, a in bins) / by_chance if by_chance else 1.0


def _is_steady(bins: Bins) -> bool:
    """Return whether the numbers answered vary so little that chance does so in one case of a hundred at most.

    The variance of so many is distributed as chi-squared, whose quantile Wilson and Hilferty (1931) come close to.
    """
    if len(bins) < FEWEST:
        return False
    part = 2 / (9 * (len(bins) - 1))
    return _spread(bins) < min(STEADY, (1 - part - HUNDREDTH * math.sqrt(part)) ** 3)


def _stretches(bins: Bins) -> Iterator[tuple[float, float]]:
    """Yield from when to when most of what was sent was lost."""
    begin: int | None = None
    for at, (sent, answered) in enumerate([*bins, (0, 0)]):
        lost = sent > 0 and answered < sent / 2
        if lost and begin is None:
            begin = at
        elif not lost and begin is not None:
            yield begin * FINE_S, at * FINE_S
            begin = None
