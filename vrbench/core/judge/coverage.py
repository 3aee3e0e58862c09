"""Outages that lie, or may lie, where nobody looked: what a stopped prober says of them is nothing, and not zero."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vrbench.core.figures.results import MEASURED, StreamResult
from vrbench.core.model import Direction

TOLERATED = 0.10  # share of a direction's streams that may have slept through an outage
LONG_S = 1.0  # where a whole direction was not looked at for so long, nobody knows whether it was up

Span = tuple[float, float]


def unseen(streams: Sequence[StreamResult]) -> Iterator[str]:
    """Return the directions whose figures don't hold what was to be measured, each with the reason."""
    counted = [s for s in streams if s.stream.kind.headline and s.seen_up and not s.stuck]
    outages = [(w.start_s, w.start_s + w.estimate_s) for s in counted for w in s.outages]
    for direction in MEASURED:
        mine = [s for s in counted if s.stream.direction is direction]
        slept = [s for s in mine if _slept(s, outages)]
        if len(slept) > TOLERATED * len(mine):
            yield f"{direction.value}: {len(slept)} of {len(mine)} streams slept through an outage that others saw"
        elif mine and not any(s.outages for s in mine) and (long := _in_common(mine)):
            yield f"{direction.value}: no stream was probed from {long[0]:.2f} to {long[1]:.2f} s"


def slept_through(streams: Sequence[StreamResult], direction: Direction) -> bool:
    """Return whether nobody saw when a direction recovered: no stream saw an outage, and one was blind."""
    mine = [s for s in streams if s.stream.kind.headline and s.stream.direction is direction]
    return not any(s.outages for s in mine) and any(_blind(s) for s in mine)


def _slept(stream: StreamResult, outages: Sequence[Span]) -> bool:
    """Return whether it saw no outage, and was blind for half or more of one that others saw."""
    if stream.outages:
        return False
    return any(
        min(blind_end, end) - max(blind_start, start) >= max(end - start, 1e-9) / 2
        for blind_start, blind_end in _blind(stream)
        for start, end in outages
    )


def _blind(stream: StreamResult) -> list[Span]:
    """Return where nothing of it was seen, from one answer to the next."""
    return [(w.start_s, w.start_s + w.at_most_s) for w in stream.windows if w.blind]


def _in_common(streams: Sequence[StreamResult]) -> Span | None:
    """Return the first long stretch in which all of them were blind."""
    common = _blind(streams[0])
    for stream in streams[1:]:
        both = ((max(a, c), min(b, d)) for a, b in common for c, d in _blind(stream))
        common = [span for span in both if span[1] - span[0] >= LONG_S]
    return next((span for span in sorted(common) if span[1] - span[0] >= LONG_S), None)
