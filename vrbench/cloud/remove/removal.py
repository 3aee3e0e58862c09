"""One removal under way: what is still to go, why it has not gone yet, and how the cloud is asked.

Looks are repeated for some seconds. What changes something is asked for once; where its answer is lost, looks tell
whether it came about.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from vrbench.cloud.api.calls import SETTLE_S
from vrbench.cloud.api.facade import Answer, Cloud
from vrbench.cloud.api.patience import FOR_S, look_again
from vrbench.cloud.errors import CloudError, CloudUnreachable
from vrbench.cloud.journal.journal import Journal, JournalError
from vrbench.cloud.journal.replay import JournalEntry
from vrbench.cloud.remove.progress import NOUNS, RemovalProgress
from vrbench.parallel import CancelToken


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a removal waits, in seconds.

    ``settle_s``: how long a call of the build whose answer nobody saw may still take effect. ``lost_s``: the same for a
    call of this removal. ``read_s``: for how long a look that fails is repeated. ``round_s``: before what is left is
    tried once more.
    """

    job_s: float = 600.0
    network_s: float = 300.0
    settle_s: float = SETTLE_S
    poll_s: float = 0.5
    read_s: float = FOR_S
    lost_s: float = SETTLE_S
    round_s: float = 5.0


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
    """The state of one removal; used by several threads. ``networks``: the ids by which our network is known."""

    cloud: Cloud
    journal: Journal
    say: Callable[[str], None]
    deadlines: Deadlines
    may_expunge: bool
    stop: CancelToken = field(default_factory=CancelToken)
    networks: set[str] = field(default_factory=set)
    strays: list[str] = field(default_factory=list)
    _removed: list[str] = field(default_factory=list)
    _reasons: dict[str, str] = field(default_factory=dict)
    _problems: list[str] = field(default_factory=list)
    _gone: set[str] = field(default_factory=set)
    _final: set[str] = field(default_factory=set)
    _awaiting: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.progress = RemovalProgress(self.say, lambda: self.pending(*NOUNS))
        self.network_until = time.monotonic() + self.deadlines.network_s
        for entry in self.pending("network", "vm", "address"):
            own = entry.id if entry.kind == "network" else entry.params.get("network")
            self.networks |= {own} if own else set()

    @property
    def again(self) -> str:
        """What to do about what stays."""
        return f"run vrbench cleanup {self.journal.head.run_id}"

    # -- what is to go

    def pending(self, *kinds: str) -> list[JournalEntry]:
        """Return what is still to go, newest first; of all kinds if none is named."""
        return [e for e in self.journal.pending() if e.key not in self._gone and (not kinds or e.kind in kinds)]

    def gone(self, entry: JournalEntry, note: str = "") -> None:
        """Note that the object is gone. A journal that can't be written must not keep the others from going."""
        with self._lock:
            self._gone.add(entry.key)
            self._removed.append(f"{entry.kind} {entry.key}{note}")
        self._write(lambda: self.journal.destroyed(entry.key))
        self.progress.went(entry)

    def never_was(self, entry: JournalEntry) -> None:
        """Note that nothing came of the intent, or that it went with what it hung on: nothing to report."""
        with self._lock:
            self._gone.add(entry.key)
        self._write(lambda: self.journal.destroyed(entry.key))

    def is_there_after_all(self, entry: JournalEntry, object_id: str) -> None:
        """Take it as pending again, with the id that a look has shown."""
        with self._lock:
            self._gone.discard(entry.key)
        self._write(lambda: self.journal.created(entry.key, object_id))

    def stays(self, entry: JournalEntry, reason: str, *, awaiting_expunge: bool = False) -> None:
        """Note why the object is still there, where another try at once would change nothing."""
        with self._lock:
            self._reasons[entry.key] = reason
            self._final.add(entry.key)
            if awaiting_expunge:
                self._awaiting.add(entry.key)

    def attempt(self, entry: JournalEntry, remove: Callable[[JournalEntry], None]) -> None:
        """Carry out one removal; its failure is kept as the reason and keeps none of the others from being tried."""
        try:
            remove(entry)
        except CloudError as error:
            self.failed(entry, error)

    def failed(self, entry: JournalEntry, error: CloudError) -> None:
        """Keep a failure as the reason why the object is still there, for now."""
        with self._lock:
            self._reasons[entry.key] = str(error)

    def worth_another_round(self) -> bool:
        """Return whether something is left for a reason that may have passed; then all that is left is tried again."""
        with self._lock:
            final, self._final = self._final, set()
        return any(entry.key not in final for entry in self.pending(*NOUNS))

    def identified(self, entry: JournalEntry, object_id: str) -> JournalEntry:
        """Return the entry with the id that a search found, and journal it."""
        if entry.id == object_id:
            return entry
        self._write(lambda: self.journal.created(entry.key, object_id))
        return replace(entry, id=object_id)

    # -- how the cloud is asked

    def rows(self, command: str, name: str, /, **params: str) -> list[Answer]:
        """Return all rows of a list; a look that fails is repeated for some seconds."""
        read = partial(self.cloud.list, command, name, **params)
        return look_again(read, self.deadlines.read_s, self.deadlines.poll_s, lambda _: self._check())

    def ask(self, act: Callable[[], object], done: Callable[[], bool]) -> CloudError | None:
        """Have the cloud do something, once; return why it is not done. ``done`` looks, where the answer was lost."""
        try:
            act()
            return None
        except CloudError as error:
            failure = error
        lost = isinstance(failure, CloudUnreachable) and failure.may_have_run
        until = time.monotonic() + (self.deadlines.lost_s if lost else 0.0)
        while not done():
            if time.monotonic() >= until:
                return failure
            self.pause()
        return None

    def job(self, command: str, **params: str | bool) -> Answer:
        """Submit and wait for a job of this removal."""
        job = self.cloud.submit(command, **params)
        return self.cloud.wait(job, self.deadlines.job_s, self.deadlines.poll_s, self._check)

    def pause(self, seconds: float = 0.0) -> None:
        """Wait a moment before the next look; say that things are still under way."""
        self._check()
        self.stop.sleep(seconds or self.deadlines.poll_s)

    def settled_at(self, entries: list[JournalEntry]) -> float:
        """Return when none of the entries can be under way any more, on the monotonic clock."""
        newest = max(entry.intended_at for entry in entries)
        age_s = max(0.0, (datetime.now(UTC) - newest).total_seconds())  # a stepped clock must not cut the wait short
        return time.monotonic() + self.deadlines.settle_s - age_s

    def _check(self) -> None:
        self.stop.check()
        self.progress.waiting()

    # -- how it ended

    def note(self, problem: str) -> None:
        """Keep something that went wrong on the way."""
        with self._lock:
            self._problems.append(problem)

    def report(self) -> RemovalReport:
        still = self.pending(*NOUNS)  # rules go with what they hang on
        left = {e.key: f"{e.kind} {e.key}{f' ({e.id})' if e.id else ''}: {self._reason(e)}" for e in still}
        awaited = [line for key, line in left.items() if key in self._awaiting]
        standing = (*left.values(), *self.strays)
        return RemovalReport(tuple(self._removed), standing, tuple(self._problems), tuple(awaited))

    def _reason(self, entry: JournalEntry) -> str:
        return self._reasons.get(entry.key, "it goes with the network that it belongs to")

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except JournalError as error:
            self.note(str(error))
