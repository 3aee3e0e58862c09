"""The outage windows of a trial as rows for people: streams whose windows are alike share one, unseen stretches too."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from vrbench.core.figures.results import StreamResult, TrialResult
from vrbench.core.figures.windows import Downtime
from vrbench.core.kinds import KINDS, ROWS, ProbeKind
from vrbench.core.model import OutageWindow
from vrbench.report.wording import up


class WindowRow(Struct, frozen=True):
    """What ``streams`` streams of one kind saw alike, with the figures of the stream in the middle."""

    streams: int
    name: str
    number: int
    start_s: float
    down: Downtime
    kind: str


class Unseen(Struct, frozen=True):
    """The stretches of a trial in which nothing was seen: how long each was, by kind; infinite without an end."""

    stretches: dict[str, list[float]]

    @property
    def words(self) -> str:
        """How many there are and how long: "2,910 stretches not seen, 41 s together, longest 0.4 s: …"."""
        lengths = [s for listed in self.stretches.values() for s in listed]
        ended = [s for s in lengths if math.isfinite(s)]
        count = "1 stretch" if len(lengths) == 1 else f"{len(lengths):,} stretches"
        known = f", {up(sum(ended))} s together, longest {up(max(ended))} s" if len(ended) > 1 else ""
        known = known or (f", under {up(ended[0])} s" if ended else "")
        rest = f", {len(lengths) - len(ended)} until the end" if len(lengths) > len(ended) else ""
        kinds = "; ".join(f"{name} {len(listed):,}" for name, listed in self.stretches.items())
        return f"{count} not seen{known}{rest} ({kinds})"


def window_rows(trial: TrialResult) -> Iterator[WindowRow]:
    """Yield the outages of a trial kind by kind, in order of time.

    Sessions have a table of their own, since what cuts one is no outage window of the network; logins are too rare.
    """
    for kind, streams in _shown(trial):
        for number, group in enumerate(_at_the_same_time(streams), 1):
            middle = sorted(group, key=lambda w: w.estimate_s)[len(group) // 2]
            down = Downtime.total([middle])
            yield WindowRow(len(group), kind.labels.row, number, middle.start_s, down, _kind(middle))


def longest(rows: Sequence[WindowRow], most: int) -> list[WindowRow]:
    """Return the longest rows where there is room for ``most``, in the order that they had."""
    kept = {id(row) for row in sorted(rows, key=lambda row: -row.down.settled_s)[:most]}
    return [row for row in rows if id(row) in kept]


def unseen(trial: TrialResult) -> Unseen | None:
    """Sum up the stretches in which nothing was seen: they can be thousands; None where there are none."""
    found = {
        kind.labels.row: [w.at_most_s for s in streams for w in s.windows if w.blind] for kind, streams in _shown(trial)
    }
    return Unseen({name: lengths for name, lengths in found.items() if lengths}) if any(found.values()) else None


def _shown(trial: TrialResult) -> Iterator[tuple[ProbeKind, list[StreamResult]]]:
    for kind in (*ROWS, *(k for k in KINDS if k.labels.row and not k.headline)):
        yield kind, [s for s in trial.of(kind) if s.windows and (kind.headline or s.seen_up)]


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
