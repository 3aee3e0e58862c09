"""A run's headline: one kind of stream at a time, each with its mean over VMs, its worst VM and any VM down.

Kinds that are not alike are never averaged: an ongoing ping says something else than new pings do, and a path something
else than the service behind it. What is stuck or was not measured is counted, and in no average.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from msgspec import Struct

from vrbench.core.figures.results import Run, StreamFigures, TrialResult
from vrbench.core.figures.windows import Downtime
from vrbench.core.kinds import ROWS, ProbeKind


class Measure(StrEnum):
    """What is said of the streams of one kind in one trial."""

    MEAN = "mean"
    WORST = "worst VM"
    ANY_DOWN = "any VM down"

    def of(self, figures: StreamFigures) -> Downtime:
        """Return this measure of a trial's figures."""
        return {Measure.MEAN: figures.downtime, Measure.WORST: figures.worst, Measure.ANY_DOWN: figures.any_down}[self]


class OverTrials(Struct, frozen=True):
    """One measure over the trials in which it was measured; of none of them nothing is known."""

    downtimes: tuple[Downtime, ...]

    @property
    def average(self) -> Downtime:
        """The mean over trials."""
        return Downtime.mean(self.downtimes)

    @property
    def lowest(self) -> Downtime:
        """The trial with the shortest one; trials whose end nobody saw are the longest."""
        return self._ranked(0, 0)

    @property
    def median(self) -> Downtime:
        """The trial in the middle, or the mean of the two there."""
        n = len(self.downtimes)
        return self._ranked((n - 1) // 2, n // 2)

    @property
    def highest(self) -> Downtime:
        """The trial with the longest one."""
        return self._ranked(-1, -1)

    @property
    def open(self) -> int:
        """In how many trials nobody saw its end."""
        return sum(d.open for d in self.downtimes)

    def _ranked(self, first: int, last: int) -> Downtime:
        ranked = sorted(self.downtimes, key=lambda d: (d.settled_s, d.at_least_s))
        return Downtime.mean([ranked[first], ranked[last]] if ranked else [])


class KindOverTrials(Struct, frozen=True):
    """One kind of stream over the trials that count: ``streams`` in the one that had most, ``watched`` in all together.

    Of those watched, ``stuck`` never came back, ``unmeasured`` were not up before or were not seen.
    """

    kind: ProbeKind
    streams: int
    watched: int
    stuck: int
    unmeasured: int
    measures: dict[Measure, OverTrials]

    @property
    def mean(self) -> OverTrials:
        """The mean over VMs: the first of its measures."""
        return self.measures[Measure.MEAN]

    @property
    def trials(self) -> int:
        """In how many trials it was measured."""
        return len(self.mean.downtimes)


class Headline(Struct, frozen=True):
    """What a run comes to: how many trials count, of how many; and each kind that was probed, in the order of rows."""

    counted: int
    trials: int
    kinds: tuple[KindOverTrials, ...]


def headline(run: Run) -> Headline:
    """Return a run's headline; without a trial that counts it has no kinds."""
    counted = [t for t in run.trials if t.averaged]
    trials = max(run.planned, len(run.trials) + len(run.unreadable))
    return Headline(len(counted), trials, tuple(_over_trials(counted)))


def _over_trials(trials: Sequence[TrialResult]) -> Iterator[KindOverTrials]:
    for kind in ROWS:
        each = [t.figures_of(kind) for t in trials if t.of(kind)]
        if not each:
            continue
        measured = [f for f in each if f.streams]
        yield KindOverTrials(
            kind,
            streams=max(f.streams + f.stuck for f in each),
            watched=sum(f.streams + f.stuck + f.unmeasured for f in each),
            stuck=sum(f.stuck for f in each),
            unmeasured=sum(f.unmeasured for f in each),
            measures={m: OverTrials(tuple(m.of(f) for f in measured)) for m in Measure},
        )
