"""The box as the host's processes know it: started, written down, found again, ended.

The box is one process, ``unshare``, whose only child is the first process of a process namespace of its own: when
either ends, by whatever means, the kernel ends everything inside. ``DIR/lab.json`` says which processes these are, by
number and start time, so that nobody else's process is ever taken for them.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from vrbench.lab.status import LabError
from vrbench.lab.system.processes import children, namespace, process_ids, reap, start_time

RECORD_NAME = "lab.json"
FIRST_FD = 10  # where the box finds its open files: this one and the next
_RECORD_TIMEOUT_S = 10.0
_END_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Box:
    """The lab's processes as the host sees them: number and start time (clock ticks since boot) of each."""

    holder: int
    holder_start: int
    first: int
    first_start: int
    processes: str  # the identity of its process namespace

    def alive(self) -> bool:
        """Return whether its first process runs, and with it everything."""
        return start_time(self.first) == self.first_start


def spawn(argv: list[str], files: Sequence[int], log: int) -> int:
    """Start the box in a session of its own with ``files`` at the agreed numbers; its process number."""
    # Out of the way first: a number that is yet to be duplicated must not be overwritten.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_FD + 50) for fd in (*files, log)]
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, fd, FIRST_FD + index) for index, fd in enumerate(high[:-1])]
    actions += [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, high[-1], 1), (os.POSIX_SPAWN_DUP2, high[-1], 2)]
    try:
        return os.posix_spawn(argv[0], argv, os.environ, file_actions=actions, setsid=True)
    finally:
        for fd in (*high, null):
            os.close(fd)


def record(state: Path, holder: int) -> None:
    """Write down which processes the box is, as soon as they exist; whoever comes later can end it by that."""
    holder_start = start_time(holder) or 0
    write_private(state / RECORD_NAME, json.dumps(asdict(Box(holder, holder_start, 0, 0, ""))))
    deadline = time.monotonic() + _RECORD_TIMEOUT_S
    while start_time(holder) is not None and time.monotonic() < deadline:
        for first in children(holder):
            began, processes = start_time(first), namespace(first, "pid")
            if began is not None and processes not in (None, namespace(holder, "pid")):
                box = Box(holder, holder_start, first, began, processes or "")
                write_private(state / RECORD_NAME, json.dumps(asdict(box)))
                return
        time.sleep(0.002)


def read(state: Path) -> Box | None:
    """Return the box written down in ``state``, running or not, or None; raises LabError when it can't be read."""
    try:
        return Box(**json.loads((state / RECORD_NAME).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise LabError(
            f"{state / RECORD_NAME} is damaged ({error}). End the lab's unshare process by hand, then delete the file"
        ) from error


def end(state: Path, box: Box) -> None:
    """Kill the box's first process, which ends everything (its holder collects it and ends by itself), and wait.

    Raises LabError naming the processes that are still there after a while.
    """
    if box.first:
        _kill(box.first, box.first_start)
    else:
        _kill(box.holder, box.holder_start)
    deadline = time.monotonic() + _END_TIMEOUT_S
    while left := _survivors(box):
        if time.monotonic() > deadline:
            raise LabError(f"the lab in {state} could not be ended: {left} still run. See /proc/PID/status and lab.log")
        time.sleep(0.005)
    reap(box.holder, box.holder_start)  # when it was this very process that started the lab


def _kill(pid: int, began: int) -> None:
    """SIGKILL to that very process: the pidfd is held before the start time is looked at."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if start_time(pid) == began:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
    finally:
        os.close(handle)


def _survivors(box: Box) -> list[int]:
    """Return what still runs of a box: its holder, its first process, anything in its process namespace."""
    known = ((box.holder, box.holder_start), (box.first, box.first_start))
    found = [pid for pid, began in known if pid > 0 and start_time(pid) == began]
    if box.processes:
        inside = (pid for pid in process_ids() if namespace(pid, "pid") == box.processes)
        found += [pid for pid in inside if start_time(pid) is not None]
    return found


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner can read, in one step."""
    fresh = path.with_name(path.name + ".new")
    with open(fresh, "w", encoding="utf-8", opener=private) as file:
        file.write(text)
    fresh.replace(path)


def private(path: str, flags: int) -> int:
    """Return an opener for files that only their owner may read."""
    return os.open(path, flags, 0o600)
