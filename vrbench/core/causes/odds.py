"""What chance can do: whether losses alone explain that probes next to each other had no answer.

Of probes that are lost at random nobody can tell which come next. Where ``lost`` of ``of`` probes around a stretch were
lost, the chance that the stretch's n were lost too is the product of (lost + i) / (of + i) for i = 1 … n: all orders of
the same losses are equally likely. Nothing is assumed of the rate but that it does not change meanwhile. As rates do
change, it is asked on both sides of a stretch, near and far, and the worst counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from vrbench.core.log.answers import Probes

SILENT_ODDS = 1e-6  # a stretch without answers is no chance below this
CONTRAST_ODDS = 1e-2  # nor do two kinds of probe meet the same losses in one stretch below that
LATE_ODDS = 1e-3  # and answers of a service are not late by their path's losses below that
NEAR, FAR = 20, 80  # so many probes on a side of a stretch tell of the losses around it
LEAST = 4  # fewer losses in a row are never proven, however clean it is around them
MOST_LOST = 0.25  # where more than this is lost around it, silence proves nothing: what asks for addresses is lost too
OUTAGES = 2  # so many other stretches, as long or longer, are outages of their own; more are the path's weather


def chance(n: int, lost: int, of: int) -> float:
    """Return the chance that n probes are lost where ``lost`` of ``of`` like them were."""
    ways = (math.lgamma(of + 1), -math.lgamma(lost + 1), math.lgamma(lost + n + 1), -math.lgamma(of + n + 1))
    return math.exp(sum(ways))


def silent(probes: Probes, start_s: float, end_s: float) -> bool:
    """Return whether nothing answered in a stretch, not even late, and chance does not explain it."""
    if probes.any_late(start_s, end_s):
        return False
    # What answers a probe at the very end of a stretch may have waited for an address until then: the longest counts.
    n, run = max(probes.silences(start_s, end_s), default=(0, 0))
    return n >= LEAST and _odds(probes.runs, n, run) <= SILENT_ODDS


def _odds(runs: list[int], n: int, run: int) -> float:
    """Return the chance of n losses next to each other in a run, by the worst of what is around it."""
    before = _around(runs, n, range(run - 1, -1, -1))
    after = _around(runs, n, range(run + 1, len(runs) - 1))
    lossy = [part for side in (before, after) for part in (side[:NEAR], side) if any(part)]
    if any(sum(part) > MOST_LOST * len(part) for part in lossy):
        return 1.0
    return max(chance(n, sum(part), len(part)) for part in (before + after, *lossy))


def _around(runs: list[int], n: int, order: Iterable[int]) -> list[bool]:
    """Return which of the next probes on one side were lost; outages of their own are left out."""
    found: list[bool] = []
    outages = 0
    for run in order:
        length = runs[run + 1] - runs[run]
        if run % 2 and length >= n and outages < OUTAGES:
            outages += 1
            continue
        found += [run % 2 == 1] * min(length, FAR - len(found))
        if len(found) >= FAR:
            break
    return found
