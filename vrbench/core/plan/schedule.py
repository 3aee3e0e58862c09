"""When slots are due (open loop): slot k at start + k * interval, whatever became of earlier ones."""

from __future__ import annotations

import random

MOMENTS = 2  # at least, where streams may share: the mean over two phases is off by half of what one is
APART_S = 0.005  # moments this far apart cost little to wake up for: more often only where over a HANDFUL shares one
HANDFUL = 25  # probes that may leave at one moment: half a millisecond in all


def phases(count: int, interval_s: float, seed: int) -> tuple[float, ...]:
    """Return one start phase per stream, in seconds within [0, interval).

    The streams are spread evenly, so that they don't all send at once, from one random offset per trial, so that the
    trial locks on to nothing periodic in the path (VRRP advertisements, ARP timers). Many streams share phases (at
    least MOMENTS): a prober pays more for waking up than for a probe.
    """
    offset = random.Random(seed).random()
    used = min(count, max(MOMENTS, int(interval_s / APART_S), -(-count // HANDFUL)))
    return tuple(((i % used + offset) / used) % 1 * interval_s for i in range(count))
