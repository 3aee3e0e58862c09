"""The outage windows of a trial as rows for people: streams whose windows are alike share one, unseen stretches too."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vrbench.core.figures.results import StreamResult, TrialResult
from vrbench.core.figures.windows import Downtime
from vrbench.core.kinds import KINDS
from vrbench.core.model import OutageWindow

NOT_SEEN = "not seen"


@dataclass(frozen=True, slots=True)
class WindowRow:
    """What ``streams`` streams of one name saw alike; the figures are those of the stream in the middle.

    ``number``: that of the window; None where nothing was seen, for ``stretches`` times: then the bounds are those of
    all such stretches together.
    """

    streams: int
    name: str
    number: int | None
    start_s: float
    down: Downtime
    kind: str
    stretches: int = 1

    @property
    def seen(self) -> bool:
        return self.number is not None

    @property
    def words(self) -> str:
        """Its kind, and of what was not seen how often that happened."""
        return self.kind if self.stretches == 1 else f"{self.kind}, {self.stretches} times"


def window_rows(trial: TrialResult) -> Iterator[WindowRow]:
    """Yield the rows of a trial per flow, in order of time; what was not seen follows what was.

    Sessions have a table of their own, since what cuts one is no outage window of the network; logins are too rare.
    """
    for kind in (kind for kind in KINDS if kind.labels.row):
        streams = [s for s in trial.of(kind) if s.windows and (kind.headline or s.seen_up)]
        name = kind.labels.name
        for number, group in enumerate(_at_the_same_time(streams), 1):
            middle = sorted(group, key=lambda w: w.estimate_s)[len(group) // 2]
            yield WindowRow(len(group), name, number, middle.start_s, Downtime.total([middle]), _kind(middle))
        yield from _unseen(name, [[w for w in s.windows if w.blind] for s in streams])


def longest(rows: Sequence[WindowRow], most: int) -> list[WindowRow]:
    """Return the rows to show where there is room for ``most``: the longest, and all of what was not seen."""
    unseen = sum(not row.seen for row in rows)
    ranked = sorted(rows, key=lambda row: (row.seen, -row.down.settled_s))
    kept = {id(row) for row in ranked[: max(most, unseen)]}
    return [row for row in rows if id(row) in kept]


def _unseen(name: str, streams: Sequence[Sequence[OutageWindow]]) -> Iterator[WindowRow]:
    """Fold the stretches in which nothing was seen into one row: they can be thousands."""
    totals = sorted(((Downtime.total(s), s) for s in streams if s), key=lambda e: e[0].at_most_s)
    if totals:
        down, stretches = totals[len(totals) // 2]
        yield WindowRow(len(totals), name, None, stretches[0].start_s, down, NOT_SEEN, len(stretches))


def _kind(window: OutageWindow) -> str:
    """Return what was seen in a window: silence, refusals, or both."""
    return "silence" if not window.refused else "refusal" if not window.lost else "both"


def _at_the_same_time(streams: Sequence[StreamResult]) -> list[list[OutageWindow]]:
    """Group the outages of several streams by when they were open, in order: at most one of each stream in a group."""
    groups: list[dict[int, OutageWindow]] = []
    outages = ((w, n) for n, s in enumerate(streams) for w in s.outages)
    for window, number in sorted(outages, key=lambda e: e[0].start_s):
        fitting = (g for g in groups if number not in g and any(_both_open(window, w) for w in g.values()))
        group = next(fitting, None)
        if group is None:
            groups.append({number: window})
        else:
            group[number] = window
    return [list(group.values()) for group in groups]


def _both_open(one: OutageWindow, other: OutageWindow) -> bool:
    """Return whether two windows were open at the same time."""
    ends = [w.start_s + (math.inf if w.censored else w.estimate_s) for w in (one, other)]
    return one.start_s <= ends[1] and other.start_s <= ends[0]
