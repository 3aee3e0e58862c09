"""What a removal says while it goes on: what is under way, what went, how much is left and what comes next."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from vrbench.cloud.journal_replay import JournalEntry
from vrbench.cloud.tally import rest_of
from vrbench.core.text import about, listed, some

NOUNS = {
    "address": ("public address", "public addresses"),
    "vm": ("VM", "VMs"),
    "network": ("network", "networks"),
    "keypair": ("key pair", "key pairs"),
}
EVERY_S = 10.0  # an address alone took more than a minute on a real zone


def counted(entries: Sequence[JournalEntry]) -> str:
    """Return "2 public addresses, 2 VMs and 1 network", in the order in which they are removed; '' for none."""
    counts = Counter(entry.kind for entry in entries)
    return listed([some(counts[kind], *nouns) for kind, nouns in NOUNS.items() if counts[kind]]) if counts else ""


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
        following = counted([e for e in self._pending() if e.kind in _after(kind)])
        self._tell(f"{doing}; next: {following}" if following else doing)

    def went(self, entry: JournalEntry) -> None:
        """Say that one is gone, how long that took, and what is left."""
        left = counted(self._pending())
        took_s = self._clock() - self._since
        rest = self._rest(entry, took_s)
        self._tell(f"{NOUNS[entry.kind][0]} {entry.key} is gone after {about(took_s)}; {rest}left: {left or 'nothing'}")

    def _rest(self, entry: JournalEntry, taken_s: float) -> str:
        """Say how long the other addresses will take: the router lets go of one at a time."""
        if entry.kind != self._kind or self._kind != "address":
            return ""
        with self._lock:
            self._gone += 1
            rest = rest_of(self._gone, self._total, taken_s)
        return f"others: about {rest}; " if rest else ""

    def waiting(self) -> None:
        """Say every few seconds that something is still under way; to be called often."""
        with self._lock:
            now = self._clock()
            if now - self._said < EVERY_S or not self._doing:
                return
            self._said = now
        self.say(f"still {self._doing}, {about(now - self._since)}; left: {counted(self._pending())}")

    def _tell(self, text: str) -> None:
        with self._lock:
            self._said = self._clock()
        self.say(text)


def _after(kind: str) -> list[str]:
    kinds = list(NOUNS)
    return kinds[kinds.index(kind) + 1 :]
