"""What this run made in the cloud, on disk before it is made: the only thing that a removal goes by.

One JSON object per line, each forced to disk before the call it announces: a head (whose run, which endpoint and
account), then ``intended`` → ``created`` (with the id) → ``destroyed``. A line cut short by a crash is dropped when
the file is opened again: its call was either not made yet, or its object is found by its unique name.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

FORMAT = "vrbench-journal/1"


class JournalError(RuntimeError):
    """The journal can't be written or read; says which file and what to do."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where the journal's objects live: the first record. Holds no secret."""

    run_id: str
    endpoint: str
    account: str
    domain_id: str


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One object that was to be made and is not known to be gone; ``id`` is None while no answer was seen."""

    key: str
    kind: str
    params: Mapping[str, str]
    id: str | None
    intended_at: datetime


@dataclass
class Journal:
    """An open journal; safe to write to from several threads. Use as a context manager, or close it."""

    path: Path
    head: Head
    _fd: int = field(repr=False)
    _entries: dict[str, JournalEntry] = field(default_factory=dict, repr=False)
    _intended: dict[str, JournalEntry] = field(
        default_factory=dict, repr=False
    )  # an answer may come after we gave up on it
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def create(cls, path: Path, head: Head) -> Journal:
        """Start a journal; the file must not exist yet. Raises JournalError."""
        fd = _open(path, os.O_CREAT | os.O_EXCL)
        journal = cls(path, head, fd)
        try:
            journal._write({"event": "opened", "format": FORMAT, **asdict(head), "at": datetime.now(UTC).isoformat()})
        except JournalError:
            journal.close()
            path.unlink()  # nothing was made yet; an empty journal would only be in the way
            raise
        _sync_directory(path.parent)
        return journal

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Go on with an existing journal; a torn last line is cut off. Raises JournalError, also when it is in use."""
        fd = _open(path, 0)
        try:
            head, entries, intended = _replay(path, _whole_lines(fd))
        except JournalError:
            os.close(fd)
            raise
        return cls(path, head, fd, entries, intended)

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
            if key in self._entries:
                raise JournalError(
                    f"{self.path}: {key} is in the journal already, so it is not made twice; please report this"
                )
            self._append("intended", key, entry.intended_at, kind=kind, params=dict(params))
            self._entries[key] = self._intended[key] = entry

    def created(self, key: str, object_id: str) -> None:
        """Note that the server named the object; finished or not, failed or not, it must be removed."""
        with self._lock:
            self._append("created", key, datetime.now(UTC), id=object_id)
            self._entries[key] = replace(self._intended[key], id=object_id)

    def destroyed(self, key: str) -> None:
        """Note that the object is gone, or never came to be."""
        with self._lock:
            self._append("destroyed", key, datetime.now(UTC))
            self._entries.pop(key, None)

    def pending(self) -> list[JournalEntry]:
        """Return what is not known to be gone, newest first."""
        with self._lock:
            return list(reversed(self._entries.values()))

    def _append(self, event: str, key: str, at: datetime, **more: object) -> None:
        self._write({"event": event, "key": key, **more, "at": at.isoformat()})

    def _write(self, record: Mapping[str, object]) -> None:
        if self._fd < 0:
            raise JournalError(
                f"{self.path}: closed already; what was to be noted came too late and may have to be removed by hand"
            )
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        end = os.lseek(self._fd, 0, os.SEEK_END)
        try:
            _write_whole(self._fd, line)
        except OSError as error:
            os.ftruncate(self._fd, end)  # a half line must not swallow the next one
            raise JournalError(
                f"{self.path}: can't be written: {error.strerror}; free some space, then try again"
            ) from error


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
    return content[:whole].splitlines()


def _read_all(fd: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    parts = []
    while part := os.read(fd, 1 << 16):
        parts.append(part)
    return b"".join(parts)


def _replay(path: Path, lines: list[bytes]) -> tuple[Head, dict[str, JournalEntry], dict[str, JournalEntry]]:
    """Read the head, what is pending, and everything that was ever intended."""
    try:
        first = json.loads(lines[0])
        if first["format"] != FORMAT:
            raise JournalError(f"{path}: format {first['format']!r}; this version reads {FORMAT!r}")
        head = Head(first["run_id"], first["endpoint"], first["account"], first["domain_id"])
    except (IndexError, KeyError, TypeError, ValueError):
        raise JournalError(
            f"{path}: the first line does not say whose journal it is; if the file is empty, nothing was built"
        ) from None
    entries: dict[str, JournalEntry] = {}
    intended: dict[str, JournalEntry] = {}
    for number, line in enumerate(lines[1:], start=2):
        try:
            _apply(entries, intended, json.loads(line))
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(
                f"{path}, line {number}: not a record ({error!r}); undo what changed the file, then clean up again"
            ) from None
    return head, entries, intended


def _apply(entries: dict[str, JournalEntry], intended: dict[str, JournalEntry], record: Mapping[str, str]) -> None:
    key = record["key"]
    if record["event"] == "intended":
        params = record["params"]
        if not isinstance(params, dict):
            raise TypeError("params must be an object")
        at = datetime.fromisoformat(record["at"])
        entries[key] = intended[key] = JournalEntry(key, record["kind"], MappingProxyType(params), None, at)
    elif record["event"] == "created":
        entries[key] = replace(intended[key], id=record["id"])  # also when we had given up on it: it is there after all
    else:
        entries.pop(key, None)
