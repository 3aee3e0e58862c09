"""One removal under way: what is still to go, why it has not gone yet, and how a nameless intent is looked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from vrbench.cloud.errors import CloudError, CloudRefused
from vrbench.cloud.facade import Answer, Cloud
from vrbench.cloud.journal import Journal, JournalEntry, JournalError
from vrbench.parallel import CancelToken


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a removal waits, in seconds. ``settle_s``: how long a call without an answer may still take effect.

    A call may hang for the facade's 60 s before it is given up, and be carried out a little later.
    """

    job_s: float = 600.0
    network_s: float = 300.0
    settle_s: float = 75.0
    poll_s: float = 0.5


@dataclass(frozen=True, slots=True)
class RemovalReport:
    """What went, what is still there and why, and what else went wrong on the way; one line each.

    ``awaited``: those of ``left`` that go by the same removal once the server has expunged what was destroyed.
    """

    removed: tuple[str, ...]
    left: tuple[str, ...]
    problems: tuple[str, ...]
    awaited: tuple[str, ...] = ()


@dataclass
class Removal:
    """The state of one removal; used by several threads."""

    cloud: Cloud
    journal: Journal
    progress: Callable[[str], None]
    deadlines: Deadlines
    may_expunge: bool
    stop: CancelToken = field(default_factory=CancelToken)
    _removed: list[str] = field(default_factory=list)
    _reasons: dict[str, str] = field(default_factory=dict)
    _problems: list[str] = field(default_factory=list)
    _gone: set[str] = field(default_factory=set)
    _awaiting: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def again(self) -> str:
        """What to do about what stays."""
        return f"run vrbench cleanup {self.journal.head.run_id}"

    def pending(self, *kinds: str) -> list[JournalEntry]:
        """Return what is still to go, newest first; of all kinds if none is named."""
        return [e for e in self.journal.pending() if e.key not in self._gone and (not kinds or e.kind in kinds)]

    def gone(self, entry: JournalEntry, note: str = "") -> None:
        """Note that the object is gone. A journal that can't be written must not keep the others from going."""
        with self._lock:
            self._gone.add(entry.key)
            self._removed.append(f"{entry.kind} {entry.key}{note}")
        self._write(lambda: self.journal.destroyed(entry.key))

    def never_was(self, entry: JournalEntry) -> None:
        """Note that nothing came of the intent, or that it went with what it hung on: nothing to report."""
        with self._lock:
            self._gone.add(entry.key)
        self._write(lambda: self.journal.destroyed(entry.key))

    def stays(self, entry: JournalEntry, reason: str, *, awaiting_expunge: bool = False) -> None:
        """Note why the object is still there; a later success makes it void."""
        with self._lock:
            self._reasons[entry.key] = reason
            if awaiting_expunge:
                self._awaiting.add(entry.key)

    def attempt(self, entry: JournalEntry, remove: Callable[[JournalEntry], None]) -> None:
        """Carry out one removal; its failure is kept as the reason and keeps none of the others from being tried."""
        try:
            remove(entry)
        except CloudError as error:
            self.stays(entry, str(error))

    def run(self, command: str, **params: str | bool) -> Answer:
        """Submit and wait for a job of this removal."""
        job = self.cloud.submit(command, **params)
        return self.cloud.wait(job, self.deadlines.job_s, self.deadlines.poll_s, self.stop.check)

    def identified(self, entry: JournalEntry, object_id: str) -> JournalEntry:
        """Return the entry with the id that a search found, and journal it."""
        self._write(lambda: self.journal.created(entry.key, object_id))
        return replace(entry, id=object_id)

    def find(self, entry: JournalEntry, look: Callable[[], list[str]]) -> JournalEntry | None:
        """Return the entry with its id, looked for where the journal has none; None when nothing came of the intent."""
        if entry.id:
            return entry
        ids = self.look_for([entry], look)
        if len(ids) > 1:
            raise CloudError(
                f"{len(ids)} objects are called {entry.key}: find out which one is this run's, and remove it by hand"
            )
        return self.identified(entry, ids[0]) if ids else None

    def look_for(self, entries: list[JournalEntry], look: Callable[[], list[str]]) -> list[str]:
        """Look until all ``entries`` can be told apart, or are too old for a call under way to take effect any more."""
        newest = max(entry.intended_at for entry in entries)
        age_s = max(0.0, (datetime.now(UTC) - newest).total_seconds())  # a stepped clock must not cut the wait short
        until = time.monotonic() + self.deadlines.settle_s - age_s
        while True:
            ids = look()
            if len(ids) >= len(entries) or time.monotonic() >= until:
                return ids
            time.sleep(self.deadlines.poll_s)

    def report(self) -> RemovalReport:
        still = self.pending("network", "vm", "address", "keypair")  # rules go with what they hang on
        left = {e.key: f"{e.kind} {e.key}{f' ({e.id})' if e.id else ''}: {self._reason(e)}" for e in still}
        awaited = [line for key, line in left.items() if key in self._awaiting]
        return RemovalReport(tuple(self._removed), tuple(left.values()), tuple(self._problems), tuple(awaited))

    def _reason(self, entry: JournalEntry) -> str:
        return self._reasons.get(entry.key, "it goes with the network that it belongs to")

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except JournalError as error:
            with self._lock:
                self._problems.append(str(error))


def listed(cloud: Cloud, command: str, name: str, object_id: str) -> Answer | None:
    """Return the object's row; None when it is gone: an unknown id is refused, a deleted one gives an empty list."""
    try:
        rows = cloud.list(command, name, id=object_id)
    except CloudRefused as refused:
        if refused.means_gone:
            return None
        raise
    return next((row for row in rows if row.get("id") == object_id), None)
