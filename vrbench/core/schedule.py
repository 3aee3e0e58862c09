"""When slots are due (open loop): slot k at start + k * interval, whatever became of earlier ones."""

from __future__ import annotations

import random

MOMENTS = 5  # the mean over as many phases is off by less than half of what one is
HANDFUL = 10  # probes that leave at one moment, a tenth of a millisecond in all


def phases(count: int, interval_s: float, seed: int) -> tuple[float, ...]:
    """One start phase per stream, in seconds within [0, interval).

    The streams are spread evenly, so that they don't all send at once, from one random offset per trial, so that the
    trial locks on to nothing periodic in the path (VRRP advertisements, ARP timers). Many streams share MOMENTS phases
    (more, where over a HANDFUL would share one): a prober pays more for waking up than for a probe.
    """
    offset = random.Random(seed).random()
    moments = min(count, max(MOMENTS, -(-count // HANDFUL)))
    return tuple(((i % moments + offset) / moments) % 1 * interval_s for i in range(count))
