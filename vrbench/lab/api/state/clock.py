"""The zone's time: what its records are stamped with, and how long its machines take."""

from __future__ import annotations

import time
from threading import Event


class ZoneClock:
    """The machine's own time. All records and machines go by it, so that another clock can hold the zone as it is."""

    def now(self) -> float:
        """Return the seconds since 1970."""
        return time.time()

    def wait(self, end: Event, seconds: float) -> bool:
        """Let so much time pass, or less if ``end`` is set meanwhile; return whether it is set."""
        return end.wait(seconds) if seconds > 0 else end.is_set()
