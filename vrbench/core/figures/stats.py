"""Summaries over trials. Standard library only; each formula has its source in the docstring."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from msgspec import Struct


class Summary(Struct, frozen=True):
    """Figures over the trials of one run; None where there are too few trials to say it, or no bound."""

    trials: int
    average_s: float | None
    lowest_s: float | None
    median_s: float | None
    highest_s: float | None
    stdev_s: float | None
    ci95_low_s: float | None
    ci95_high_s: float | None


def summarize(values: Sequence[float]) -> Summary:
    """Return average, lowest, median, highest, sample deviation and a 95 % interval of the median, in the unit given.

    An infinite value stands for a trial whose end nobody saw (right-censored): order statistics below it still hold,
    averages don't.
    """
    if not values:
        return Summary(0, None, None, None, None, None, None, None)
    low, high = median_interval(values) or (None, None)
    bounded = all(map(math.isfinite, values))
    return Summary(
        trials=len(values),
        average_s=statistics.fmean(values) if bounded else None,
        lowest_s=_finite(min(values)),
        median_s=_finite(statistics.median(values)),
        highest_s=_finite(max(values)),
        stdev_s=statistics.stdev(values) if bounded and len(values) > 1 else None,
        ci95_low_s=_finite(low),
        ci95_high_s=_finite(high),
    )


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Return a distribution-free confidence interval of the median from order statistics, or None for n < 6.

    The r-th smallest and r-th largest of n values hold the median with probability 1 - 2 P(B <= r - 1), B binomial
    (n, 1/2); the largest r that keeps ``confidence`` is taken (Conover, Practical Nonparametric Statistics, 3.2).
    Five values reach 93.75 % at most, so six are the fewest for 95 %.
    """
    ordered, n = sorted(values), len(values)
    best, tail = 0, 0.0
    for r in range(1, n // 2 + 1):
        tail += math.comb(n, r - 1) / 2**n
        if 1 - 2 * tail >= confidence:
            best = r
    return (ordered[best - 1], ordered[n - best]) if best else None
