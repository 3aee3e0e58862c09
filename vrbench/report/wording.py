"""Figures in words: seconds, a downtime with its bounds, how many decimals it deserves, and dashes."""

from __future__ import annotations

import math

from vrbench.core.figures.results import Run
from vrbench.core.figures.windows import Downtime


def decimals(width_s: float) -> int:
    """Return how many decimals a figure with bounds this far apart (seconds) deserves."""
    if width_s < 0.05:
        return 3
    return 2 if width_s < 0.5 else 1


def seconds(value: float | None, digits: int = 2) -> str:
    """Word a duration: "14.62 s", or a dash where there is nothing to say."""
    if value is None or math.isnan(value):
        return "–"
    return "open" if math.isinf(value) else f"{value:.{digits}f} s"


def bounded(d: Downtime) -> str:
    """Word a figure with what it is between: "14.62 s (14.52–14.71)"."""
    if math.isnan(d.estimate_s):
        return "not measured"
    if math.isinf(d.at_most_s):
        return f"≥ {d.at_least_s:.1f} s, open"
    n = decimals(d.at_most_s - d.at_least_s)
    return f"{d.estimate_s:.{n}f} s ({d.at_least_s:.{n}f}–{d.at_most_s:.{n}f})"


def percent(share: float | None) -> str:
    """Word a share: "95 %", or a dash."""
    return "–" if share is None else f"{share * 100:.0f} %"


def setting(run: Run) -> str:
    """Say where a run was measured, in one line."""
    c = run.context
    return f"{c.environment}: CloudStack {c.cloud_version}, {c.hypervisor}, {c.operation}"
