"""What a removal says while it goes on: what is under way, what went, how much is left and what comes next."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from vrbench.cloud.journal.replay import JournalEntry
from vrbench.cloud.tally import rest_of
from vrbench.core.text import about, some

NOUNS = {
    "address": ("address", "addresses"),
    "vm": ("VM", "VMs"),
    "network": ("network", ""),
    "offering": ("network offering", ""),
    "keypair": ("key pair", ""),
}
EVERY_S = 10.0  # an address alone took more than a minute on a real zone
WORTH_A_LINE_S = 2.0  # where many go at once, the last of them stands for all


def counted(entries: Sequence[JournalEntry]) -> str:
    """Return "2 addresses, 2 VMs, network, key pair", in the order in which they are removed; '' for none."""
    counts = Counter(entry.kind for entry in entries)
    return ", ".join(
        some(counts[kind], *nouns) if nouns[1] else nouns[0] for kind, nouns in NOUNS.items() if counts[kind]
    )


class RemovalProgress:
    """Says it in one line at a time; used by several threads. ``pending``: what is still to go."""

    def __init__(
        self,
        say: Callable[[str], None],
        pending: Callable[[], Sequence[JournalEntry]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.say = say
        self._pending = pending
        self._clock = clock
        self._doing = ""
        self._kind, self._total, self._gone = "", 0, 0
        self._since = self._said = clock()
        self._lock = threading.Lock()

    def begin(self, doing: str, kind: str) -> None:
        """Say that all of one kind are being removed now, and what comes next."""
        self._doing, self._since = doing, self._clock()
        self._kind, self._total, self._gone = kind, sum(e.kind == kind for e in self._pending()), 0
        self._tell(doing + self._next())

    def went(self, entry: JournalEntry) -> None:
        """Say that one is gone, and how long that took: "VM 2 of 10 is gone after 12 s (vrb-1a2b3c4d-vm7)".

        Nothing is said so soon after the line before, unless it is the last.
        """
        now = self._clock()
        took_s = now - self._since
        noun, many = NOUNS[entry.kind]
        if entry.kind != self._kind:  # nothing was said of when it began
            self._tell(f"{noun} is gone ({entry.key})")
            return
        with self._lock:
            self._gone += 1
            count = f" {self._gone} of {self._total}" if many else ""
            rest = self._rest(took_s)
            quiet = self._gone < self._total and now - self._said < WORTH_A_LINE_S
        if quiet:
            return
        self._tell(f"{noun}{count} is gone after {about(took_s)}{rest} ({entry.key})")

    def waiting(self) -> None:
        """Say every few seconds that something is still under way; to be called often."""
        with self._lock:
            now = self._clock()
            if now - self._said < EVERY_S or not self._doing:
                return
            self._said = now
        done = f", {self._gone} of {self._total} done" if self._total > 1 else ""
        self.say(f"still {self._doing.partition(',')[0]}{done}, {about(now - self._since)}{self._next()}")

    def _rest(self, taken_s: float) -> str:
        """Say how long the other addresses will take: the router lets go of one at a time."""
        rest = rest_of(self._gone, self._total, taken_s) if self._kind == "address" else ""
        return f", about {rest} left" if rest else ""

    def _next(self) -> str:
        following = counted([e for e in self._pending() if e.kind in _after(self._kind)])
        return f"; next: {following}" if following else ""

    def _tell(self, text: str) -> None:
        with self._lock:
            self._said = self._clock()
        self.say(text)


def _after(kind: str) -> list[str]:
    kinds = list(NOUNS)
    return kinds[kinds.index(kind) + 1 :]
