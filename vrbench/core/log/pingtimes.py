"""When ping sent the probes of which it told nothing: somewhere between two that it did tell of.

Ping waits its interval after each send, and longer on a busy machine. Of n intervals that took ``slack`` longer than n
times the interval nobody knows where the time was lost; spread evenly it gives the likeliest times, and so the best
estimate of an outage. The time proven to be down must not rely on it: the first of these probes may have been sent
later, the last one sooner, by ``slack`` together. So every other probe in the outer parts of the stretch, half of
``slack`` long each, is left out: between a down sample and a gap nothing is proven (see ``windows``).

Where more than half of the time was lost, ping was stopped, or had no processor: it says nothing of that stretch, and
all of its probes are left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

PRECISE_NS = 5_000_000  # less than this is part of the grain
FEW = 4  # so few probes can't be left out: they are put where they prove least

Known = tuple[int, int]  # a probe's number and when it was sent (ns)


def send_times(start: Known, end: Known, known: dict[int, int], asked_ns: int) -> Iterator[tuple[int, int, bool]]:
    """Return (number, ns, whether to tell of it) for each probe between two, in order; ``known`` gives some of them.

    ``asked_ns`` is the interval that ping was asked for: it never sends faster.
    """
    anchors = sorted({start[0]: start[1], end[0]: end[1], **known}.items())
    at_ns = start[1]
    for before, after in itertools.pairwise(anchors):
        for number, ns, certain in _between(before, after, asked_ns, middle_ns=(start[1] + end[1]) // 2):
            at_ns = min(max(at_ns, ns), end[1])
            yield number, at_ns, certain
        if after[0] != end[0]:
            at_ns = min(max(at_ns, after[1]), end[1])
            yield after[0], at_ns, True


def _between(before: Known, after: Known, asked_ns: int, middle_ns: int) -> Iterator[tuple[int, int, bool]]:
    count, elapsed_ns = after[0] - before[0], after[1] - before[1]
    each_ns = elapsed_ns / count
    outer_ns = (elapsed_ns - count * asked_ns) / 2
    for number in range(before[0] + 1, after[0]):
        ns = before[1] + round((number - before[0]) * each_ns)
        if outer_ns < PRECISE_NS:
            yield number, ns, True
        elif 2 * outer_ns > elapsed_ns / 2:
            yield number, ns, False
        elif count <= FEW:
            earliest = min(before[1] + (number - before[0]) * asked_ns, after[1])
            latest = max(after[1] - (after[0] - number) * asked_ns, before[1])
            yield number, sorted((earliest, middle_ns, latest))[1], True
        else:
            inwards = min(number - before[0], after[0] - number) - 1  # probes between this one and the stretch's end
            yield number, ns, inwards % 2 == 0 or (inwards - 1) * each_ns >= outer_ns
