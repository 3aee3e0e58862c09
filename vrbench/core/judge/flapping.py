"""Streams that went down and up faster than their interval can tell: single windows are chance, the total has bounds.

Answers and losses that take turns slot by slot are samples of something quicker. Between two answered slots next to
each other it may have been down unseen, so the sum of the windows' own bounds does not hold the truth: in all it was
down for at least what the windows prove, and at most from the last success before the first window to the first after
the last one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from vrbench.core.figures.results import StreamResult
from vrbench.core.model import OutageWindow
from vrbench.core.text import some

SHORT_SLOTS = 2  # a window of so many probes at most, and so many answers at most between two of them
TURNS = 3  # so many short windows close behind each other are a pattern, fewer are chance


class Flapping(Struct, frozen=True):
    """Short windows close behind each other: how many, from first loss to recovery, and their total's bounds."""

    windows: int
    within_s: float
    at_least_s: float
    at_most_s: float

    def __str__(self) -> str:
        total = f"between {self.at_least_s:.3f} and {self.at_most_s:.3f} s in all"
        return f"{some(self.windows, 'window')} of 1 or 2 probes within {self.within_s:.3f} s, down {total}"


def flapping(result: StreamResult) -> tuple[Flapping, ...]:
    """Return every stretch in which the stream flapped; none where it lost probes before already: that has a caveat."""
    if any(not w.blind for w in result.baseline_windows):
        return ()
    interval_s = result.stream.interval_s
    return tuple(_told(group) for group in _groups(result.outages, interval_s) if len(group) >= TURNS)


def _groups(windows: Sequence[OutageWindow], interval_s: float) -> Iterator[list[OutageWindow]]:
    group: list[OutageWindow] = []
    for window in windows:
        if window.censored or window.gaps or window.lost + window.refused > SHORT_SLOTS:
            yield group
            group = []
            continue
        if group and window.start_s - _end_s(group[-1]) > (SHORT_SLOTS + 0.5) * interval_s:
            yield group
            group = []
        group.append(window)
    yield group


def _end_s(window: OutageWindow) -> float:
    return window.start_s + window.estimate_s


def _told(group: Sequence[OutageWindow]) -> Flapping:
    first, last = group[0], group[-1]
    unbounded = any(math.isinf(w.at_most_s) for w in group)
    return Flapping(
        len(group),
        _end_s(last) - first.start_s,
        sum(w.at_least_s for w in group),
        math.inf if unbounded else (last.last_up_s or 0.0) + last.at_most_s - (first.last_up_s or 0.0),
    )
