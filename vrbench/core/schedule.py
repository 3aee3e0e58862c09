"""When slots are due (open loop): slot k at start + k * interval, whatever became of earlier ones."""

from __future__ import annotations

import random


def phases(count: int, interval_s: float, seed: int) -> tuple[float, ...]:
    """One start phase per stream, in seconds within [0, interval).

    The streams are spread evenly, so that they don't all send at once, from one random offset per trial, so that the
    trial locks on to nothing periodic in the path (VRRP advertisements, ARP timers).
    """
    offset = random.Random(seed).random()
    return tuple(((i + offset) / count) % 1 * interval_s for i in range(count))
