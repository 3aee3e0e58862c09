"""What people watch: the last minutes of a stream, second by second, and how many streams are up now.

Only for watching, like ``growing_log``, from whose states it is made; the figures come from ``analysis`` afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum

from vrbench.core.log.growing_log import StreamState
from vrbench.core.model import Direction

SECOND_NS = 1_000_000_000
KEPT_S = 128
NEWS_S = 3.0  # news of a stream older than this don't speak of now


class Seen(IntEnum):
    """What was seen of a stretch of time; the higher, the worse."""

    NOTHING_YET = 0  # too young to be judged, or before the first probe
    UP = 1
    NOT_SEEN = 2
    DOWN = 3


class Strip:
    """One stream's recent past. Feed it the stream's states as they come; ask for cells."""

    def __init__(self) -> None:
        self._down: dict[int, bool] = {}  # second -> whether any of it was seen to be down
        self._first: int | None = None
        self._last: StreamState | None = None

    def add(self, state: StreamState) -> None:
        """Take what a state tells that the one before it did not."""
        for begin_ns, end_ns, down in _told(self._last, state):
            self._mark(begin_ns, end_ns, down)
        self._last = state

    def cells(self, now_ns: int, count: int, seconds: int) -> tuple[Seen, ...]:
        """Return the last ``count`` stretches of so many seconds, oldest first; each is as bad as its worst second.

        They begin at whole multiples, so that a cell keeps its meaning while it moves to the left.
        """
        last = now_ns // SECOND_NS // seconds
        return tuple(
            max(self._second(second, now_ns) for second in range(cell * seconds, (cell + 1) * seconds))
            for cell in range(last - count + 1, last + 1)
        )

    def _second(self, second: int, now_ns: int) -> Seen:
        down = self._down.get(second)
        if down is not None:
            return Seen.DOWN if down else Seen.UP
        young = now_ns - (second + 1) * SECOND_NS < NEWS_S * SECOND_NS
        return Seen.NOTHING_YET if young or self._first is None or second < self._first else Seen.NOT_SEEN

    def _mark(self, begin_ns: int, end_ns: int, down: bool) -> None:
        last = end_ns // SECOND_NS
        first = max(begin_ns // SECOND_NS, last - KEPT_S)
        self._first = first if self._first is None else min(first, self._first)
        for second in range(first, last + 1):
            self._down[second] = self._down.get(second, False) or down
        if len(self._down) > 2 * KEPT_S:
            self._down = {s: d for s, d in self._down.items() if s > last - KEPT_S}


def worst(strips: Iterable[Sequence[Seen]]) -> tuple[Seen, ...]:
    """Return strips of one length as one: each cell is the worst of them."""
    return tuple(max(cells) for cells in zip(*strips, strict=True))


def _told(before: StreamState | None, now: StreamState) -> Iterator[tuple[int, int, bool]]:
    """Yield (begin, end, down) of the time between two states.

    When one window lies in between, its end and its length are known. Of several nobody can say here where they lay:
    the whole stretch counts as down.
    """
    if now.up is None or (before is not None and now.judged_ns <= before.judged_ns):
        return
    if before is None or before.up is None:
        yield now.since_ns, now.judged_ns, not now.up
        return
    if (now.up, now.since_ns) == (before.up, before.since_ns):
        yield before.judged_ns, now.judged_ns, not now.up
        return
    yield now.since_ns, now.judged_ns, not now.up
    one = before.up and now.windows - before.windows == 1
    went_down_ns = now.since_ns - (now.down_ns - before.down_ns) if now.up else now.since_ns
    if one:
        yield before.judged_ns, went_down_ns, False
    if not one or now.up:
        yield (went_down_ns if one else before.judged_ns), now.since_ns, True


def is_old(state: StreamState, now_ns: int) -> bool:
    """Return whether the newest judged probe of a stream is too long ago to speak of now."""
    return (now_ns - state.judged_ns) / 1e9 > NEWS_S


def summary_words(states: Sequence[StreamState], now_ns: int) -> str:
    """Word the sums: "egress 18 of 20 up, 2 without news; ingress 0 of 19 up, 1 left out"."""
    words = []
    for direction in (Direction.EGRESS, Direction.INGRESS):
        counted = [s for s in states if s.stream.direction is direction and s.stream.kind.headline]
        here = [s for s in counted if not s.unfit]
        left_out = f", {len(counted) - len(here)} left out" if len(here) < len(counted) else ""
        old = sum(is_old(s, now_ns) for s in here)
        up = sum(bool(s.up) and not is_old(s, now_ns) for s in here)
        if here:
            words.append(f"{direction.value} {up} of {len(here)} up{f', {old} without news' if old else ''}{left_out}")
    return "; ".join(words) or "no stream yet"
