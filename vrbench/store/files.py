"""Files that are replaced whole or not at all, and what is raised when that fails."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from vrbench.plain_files import read_plain

if sys.platform != "win32":
    import pwd

MOST_JSON = 100_000_000  # bytes; a trial's facts take 300 for each stream
MEMORY = 4 << 30 if sys.platform == "win32" else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class StoreError(RuntimeError):
    """A run directory can't be written or read; says which, why and what to do."""


class NoSuchRun(StoreError):
    """There is no run of that name, or more than one."""


class RunInUse(StoreError):
    """Another process works on this run right now."""


class NotYours(StoreError):
    """The run belongs to another user."""


def failure(doing: str, path: Path, error: OSError, cure: str = "") -> StoreError:
    """Return what to raise where a file can't be read or written; of another user's, whose it is."""
    uid = _owner(path)
    if sys.platform == "win32" or not isinstance(error, PermissionError) or uid == os.geteuid():
        return StoreError(f"can't {doing} {path}: {error.strerror}{cure}")
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"user {uid}"
    return NotYours(f"can't {doing} {path}: it belongs to {name}. Use sudo, or run vrbench as {name}")


def _owner(path: Path) -> int:
    """Return whose a file is, or the nearest directory above it that can be looked at."""
    for place in (path, *path.absolute().parents):
        with suppress(OSError):
            return place.stat().st_uid
    return 0


def replace_text(path: Path, text: str, mode: int = 0o666) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of it. Raises StoreError.

    ``mode``: its permissions, less the umask. Meanwhile it has a name of its own: two processes may replace one file.
    """
    unfinished = path.with_name(f"{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        with open(unfinished, "x", encoding="utf-8", opener=partial(os.open, mode=mode)) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):  # the first error is the one to tell
            unfinished.unlink(missing_ok=True)
        raise failure("write", path, error, "; free some space, then run again") from error


def replace_json(path: Path, value: object, mode: int = 0o666) -> None:
    """Write a value as JSON, whole or not at all. Raises StoreError."""
    replace_text(path, json.dumps(value, indent=1), mode)


def read_bytes(path: Path, most: int = MEMORY) -> bytes:
    """Read a file of a run; one that is larger than this machine's memory can't be analysed here. Raises StoreError."""
    try:
        return read_plain(path, most)
    except OSError as error:
        raise failure("read", path, error) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds a JSON object. Raises StoreError."""
    try:
        stored = json.loads(read_bytes(path, MOST_JSON))
    except RecursionError:
        raise StoreError(f"{path} is nested too deep to be vrbench's; the run it belongs to can't be read") from None
    except ValueError as error:
        raise StoreError(f"{path} is not JSON ({error}); the run it belongs to can't be read") from error
    if not isinstance(stored, dict):
        raise StoreError(f"{path} does not hold a JSON object; the run it belongs to can't be read")
    return stored
