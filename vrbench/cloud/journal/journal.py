"""What this run made in the cloud, on disk before it is made: the only thing that a removal goes by.

One JSON object per line (``lines``), each forced to disk before the call it announces: a head (whose run, which
endpoint and account), then ``intended`` → ``created`` (with the id) → ``destroyed``. A line cut short by a crash is
dropped when the file is opened again: its call was either not made yet, or its object is found by its unique name. Any
other line that can't be believed is damage: then the file opens only to be salvaged.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from vrbench.cloud.environment_plan import name_prefix
from vrbench.cloud.journal.lines import FORMAT, OF_A_PROJECT, sealed, unsealed
from vrbench.cloud.journal.replay import (
    Damage,
    Head,
    JournalEntry,
    Replay,
    UnknownFormat,
    kind_of,
    noted_owner,
    replay,
)
from vrbench.core.model import CALLER


class JournalError(RuntimeError):
    """The journal can't be written or read; says which file and what to do."""


class DamagedJournal(JournalError):
    """A line of the journal can't be believed; ``Journal.salvage`` opens it all the same."""

    def __init__(self, path: Path, damage: Damage) -> None:
        super().__init__(
            f"{path}, {damage}. Put an undamaged copy in its place, or run vrbench cleanup on its run: that goes by "
            "the other lines, and looks for the rest by name"
        )


@dataclass
class Journal:
    """An open journal; safe to write to from several threads. Use as a context manager, or close it."""

    path: Path
    head: Head
    _fd: int = field(repr=False)
    _known: Replay = field(default_factory=Replay, repr=False)
    _lines: int = field(default=0, repr=False)  # how many the file has
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def create(cls, path: Path, head: Head) -> Journal:
        """Start a journal; the file must not exist yet. Raises JournalError."""
        fd = _open(path, os.O_CREAT | os.O_EXCL)
        journal = cls(path, head, fd)
        try:
            journal._write(_opening(head))
        except JournalError:
            journal.close()
            path.unlink()  # nothing was made yet; an empty journal would only be in the way
            raise
        _sync_directory(path.parent)
        return journal

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Go on with an existing journal; a torn last line is cut off. Raises JournalError, also when it is in use."""
        return cls._opened(path, "")

    @classmethod
    def salvage(cls, path: Path, run_id: str) -> Journal:
        """Open a journal also where lines are damaged, see ``damage``; what they may have said stays pending.

        A head that can't be believed gives no account and no endpoint. Raises JournalError.
        """
        return cls._opened(path, run_id)

    @classmethod
    def _opened(cls, path: Path, salvaged_for: str) -> Journal:
        fd = _open(path, 0)
        try:
            lines = _whole_lines(fd)
            known = _replay(path, lines)
            if known.damage and not salvaged_for:
                raise DamagedJournal(path, known.damage[0])
        except JournalError:
            os.close(fd)
            raise
        if known.damage:
            known.doubt()
        return cls(path, known.head or Head(salvaged_for, "", "", ""), fd, known, len(lines))

    @property
    def damage(self) -> tuple[Damage, ...]:
        """The lines that can't be believed; there are none unless the journal was salvaged."""
        return tuple(self._known.damage)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; whoever writes later is told so, even if its number has become another file's."""
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def intend(self, kind: str, key: str, params: Mapping[str, str]) -> None:
        """Note that ``key`` is about to be made; it is on disk when this returns. Raises JournalError."""
        entry = JournalEntry(key, kind, MappingProxyType(dict(params)), None, datetime.now(UTC))
        with self._lock:
            if key in self._known.entries:
                raise JournalError(
                    f"{self.path}: {key} is in the journal already, so it is not made twice; please report this"
                )
            self._append("intended", key, entry.intended_at, kind=kind, params=dict(params))
            self._known.entries[key] = self._known.intended[key] = entry

    def created(self, key: str, object_id: str) -> None:
        """Note that the server named the object; finished or not, failed or not, it must be removed."""
        with self._lock:
            self._append("created", key, datetime.now(UTC), id=object_id)
            self._known.created(key, object_id)

    def destroyed(self, key: str) -> None:
        """Note that the object is gone, or never came to be."""
        with self._lock:
            self._append("destroyed", key, datetime.now(UTC))
            self._known.entries.pop(key, None)

    def pending(self) -> list[JournalEntry]:
        """Return what is not known to be gone, newest first."""
        with self._lock:
            return list(reversed(self._known.entries.values()))

    def intended(self, kind: str) -> dict[str, JournalEntry]:
        """Return all of one kind that was ever to be made, by key; gone or not."""
        with self._lock:
            return {key: entry for key, entry in self._known.intended.items() if entry.kind == kind}

    def suspect(self, entry: JournalEntry) -> None:
        """Take something as pending that a damaged journal may have lost; unless it is known."""
        with self._lock:
            if entry.key not in self._known.intended:
                self._known.entries[entry.key] = self._known.intended[entry.key] = entry
                self._known.ids |= {entry.id} if entry.id else set()

    def belongs_to(self, endpoint: str, account: str, domain_id: str) -> None:
        """Say whose the journal is, where its head can't be believed: whose its other lines name, else the caller's."""
        with self._lock:
            told = [noted for entry in self._known.intended.values() if (noted := noted_owner(entry)) is not None]
        named = told[0] if told else CALLER
        self.head = Head(
            self.head.run_id, endpoint, named.account or account, named.domain_id or domain_id, named.project_id
        )

    def prefix(self) -> str:
        """Return what the names begin with that this run gave: as they are noted, or as its id has it."""
        with self._lock:
            noted = [key.rpartition("-")[0] for key in self._known.intended if kind_of(key)]
        return noted[0] if noted else name_prefix(self.head.run_id)

    def ids(self) -> frozenset[str]:
        """Return the ids of everything that was ever noted here."""
        with self._lock:
            return frozenset(self._known.ids)

    def _append(self, event: str, key: str, at: datetime, **more: object) -> None:
        self._write({"event": event, "key": key, **more, "at": at.isoformat()})

    def _write(self, record: Mapping[str, object]) -> None:
        if self._fd < 0:
            raise JournalError(
                f"{self.path}: closed already; what was to be noted came too late and may have to be removed by hand"
            )
        line = sealed(record, self._lines + 1) if self._known.summed else unsealed(record)
        end = os.lseek(self._fd, 0, os.SEEK_END)
        try:
            _write_whole(self._fd, line)
        except OSError as error:
            os.ftruncate(self._fd, end)  # a half line must not swallow the next one
            raise JournalError(
                f"{self.path}: can't be written: {error.strerror}; free some space, then try again"
            ) from error
        self._lines += 1


def _opening(head: Head) -> dict[str, object]:
    """Return the first record; a project is only named where there is one, with the format that tells of it."""
    about = {name: value for name, value in asdict(head).items() if value or name != "project_id"}
    written = OF_A_PROJECT if head.project_id else FORMAT
    return {"event": "opened", "format": written, **about, "at": datetime.now(UTC).isoformat()}


def _write_whole(fd: int, line: bytes) -> None:
    written = os.write(fd, line)
    if written != len(line):
        raise OSError(28, "no space left on device")
    os.fsync(fd)


def _open(path: Path, flags: int) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | flags, 0o600)
    except FileExistsError:
        raise JournalError(
            f"{path}: there is a journal already, and what it lists may still exist: run vrbench cleanup on its run"
        ) from None
    except OSError as error:
        raise JournalError(
            f"{path}: can't be opened: {error.strerror}; check that it is there, and use sudo if it is not yours"
        ) from error
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise JournalError(f"{path}: in use by a vrbench that is still running; let it end first") from None
    return fd


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _whole_lines(fd: int) -> list[bytes]:
    content = _read_all(fd)
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        os.ftruncate(fd, whole)
    return content[:whole].split(b"\n")[:-1]


def _read_all(fd: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    parts = []
    while part := os.read(fd, 1 << 16):
        parts.append(part)
    return b"".join(parts)


def _replay(path: Path, lines: list[bytes]) -> Replay:
    try:
        return replay(lines)
    except UnknownFormat as error:
        raise JournalError(f"{path}: {error}; use the version of vrbench that wrote it, or a newer one") from None
