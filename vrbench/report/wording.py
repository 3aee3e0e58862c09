"""Figures in words: a duration as finely as its bounds allow, what it surely is between, and dashes.

Bounds are hard: they are rounded outward, so that what is printed is true of what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vrbench.core.figures.results import Run
from vrbench.core.figures.windows import Downtime

NEVER_BACK = "never back"
FINEST = 3  # decimals; no clock here is worth more
SLACK = 1e-6  # of the last digit: 0.3 is not 0.30000000000000004


def decimals(width_s: float) -> int:
    """Return how many decimals a figure deserves whose bounds are this far apart (seconds)."""
    limits = {0.05: FINEST, 0.5: 2, 5.0: 1}
    return next((digits for limit_s, digits in limits.items() if width_s < limit_s), 0)


def digits_of(downtimes: Sequence[Downtime]) -> int:
    """Return how many decimals all of these deserve, to stand in one row: those of the least exact one."""
    return min((_digits(d) for d in downtimes if not d.open), default=FINEST)


def _digits(d: Downtime) -> int:
    """Return the decimals of one; where it has no upper bound, three digits in all."""
    return decimals(d.at_least_s / 20 if d.open else d.at_most_s - d.at_least_s)


def seconds(value: float | None, digits: int = 2) -> str:
    """Word a duration: "14.62 s", or a dash where there is nothing to say."""
    if value is None or math.isnan(value):
        return "–"
    return "open" if math.isinf(value) else f"{value:.{digits}f} s"


def figure(d: Downtime, digits: int | None = None) -> str:
    """Word a figure alone: "14.62 s"; "≥ 3.90 s" without an upper bound, "< 0.11 s" for one that would read as zero."""
    if math.isnan(d.estimate_s):
        return "–"
    n = _digits(d) if digits is None else digits
    if d.open:
        return f"≥ {_down(d.at_least_s, _digits(d))} s"
    return f"< {up(d.at_most_s)} s" if tiny(d, n) else f"{d.estimate_s:.{n}f} s"


def tiny(d: Downtime, digits: int | None = None) -> bool:
    """Return whether nothing was seen down, or so little that its digits would say none: no figure is ever zero."""
    return not d.open and (d.unseen or round(d.estimate_s, _digits(d) if digits is None else digits) == 0)


def surely(d: Downtime, digits: int | None = None) -> str:
    """Word what a duration surely is: "14.52 to 14.71 s", "3.90 s or more", "under 0.11 s"."""
    if math.isnan(d.estimate_s):
        return "–"
    n = _digits(d) if digits is None else digits
    if d.open:
        return f"{_down(d.at_least_s, _digits(d))} s or more"
    if tiny(d, n):
        return f"under {up(d.at_most_s)} s"
    return f"{_down(d.at_least_s, n)} to {_up(d.at_most_s, n)} s"


def spoken(d: Downtime) -> str:
    """Word a duration for a sentence: "14.62 s", "at least 3.90 s", "less than 0.11 s", "about 66 s"."""
    if d.open:
        return f"at least {_down(d.at_least_s, _digits(d))} s"
    if tiny(d):
        return f"less than {up(d.at_most_s)} s"
    return f"about {figure(d)}" if vague(d) else figure(d)


def vague(d: Downtime) -> bool:
    """Return whether its bounds are as far apart as it is long: then they belong to it in a sentence too."""
    return not d.open and not tiny(d) and d.at_most_s - d.at_least_s >= d.estimate_s


def up(value_s: float) -> str:
    """Word an upper bound of what was not seen: two digits, rounded up."""
    if value_s <= 0:
        return "0.001"
    digits = min(FINEST, 1 - math.floor(math.log10(value_s)))
    return f"{math.ceil(value_s * 10**digits - SLACK) / 10**digits:g}"


def _down(value_s: float, digits: int) -> str:
    return f"{math.floor(value_s * 10**digits + SLACK) / 10**digits:.{digits}f}"


def _up(value_s: float, digits: int) -> str:
    return f"{math.ceil(value_s * 10**digits - SLACK) / 10**digits:.{digits}f}"


def percent(share: float) -> str:
    """Word a share: "95 %"."""
    return f"{share * 100:.0f} %"


def setting(run: Run) -> str:
    """Say where a run was measured, in one line."""
    c = run.context
    return f"{c.environment}: CloudStack {c.cloud_version}, {c.hypervisor}, {c.operation}"
