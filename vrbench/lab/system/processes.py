"""Processes by what the kernel says of them: children, start times, namespaces; and how this package runs itself."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

SOURCE_ROOT = Path(__file__).resolve().parents[3]  # what this package is imported from

# Isolated from the caller's directory and environment, which must not decide what the lab imports.
_BOOTSTRAP = (
    "import runpy, sys; sys.path.append(sys.argv.pop(1)); name = sys.argv.pop(1); "
    "runpy.run_module(name, run_name='__main__', alter_sys=True)"
)


def python_command(module: str, *arguments: str, site: bool = False) -> list[str]:
    """Return the command that runs ``module`` of this package in a fresh interpreter.

    ``site`` lets it import other packages.
    """
    flags = ["-I"] if site else ["-I", "-S"]
    return [sys.executable, *flags, "-c", _BOOTSTRAP, str(SOURCE_ROOT), module, *arguments]


def _stat_fields(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on, or None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when there is none or it is only a zombie."""
    fields = _stat_fields(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def arguments(pid: int) -> list[str]:
    """Return a process's command line; empty when there is none."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def reap(pid: int, started: int) -> None:
    """Collect a process that has ended, if it is a child of this one and the very one that started then."""
    fields = _stat_fields(pid)
    if fields is not None and fields[0] == "Z" and int(fields[19]) == started:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def process_ids() -> list[int]:
    """Return all process ids in sight."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children(pid: int) -> list[int]:
    """Return the process ids of a process's living children."""
    found = []
    for candidate in process_ids():
        fields = _stat_fields(candidate)
        if fields is not None and fields[1] == str(pid) and fields[0] not in "ZX":
            found.append(candidate)
    return found


def namespace(pid: int, kind: str) -> str | None:
    """Return the identity of a process's namespace ("pid:[4026531836]"), or None when it can't be seen."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return None


def kill_where(kind: str, inode: int) -> None:
    """SIGKILL to every process in sight that lives in the namespace of that number."""
    identity = f"{kind}:[{inode}]"
    for pid in process_ids():
        if pid != os.getpid() and namespace(pid, kind) == identity:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
