"""The box as the host's processes know it: started, written down, found again, ended.

The box is one process, ``unshare``, whose only child is the first process of a process namespace of its own: when
either ends, by whatever means, the kernel ends everything inside. ``DIR/lab.json`` says which processes these are, by
number and start time, so that nobody else's process is ever taken for them.
Without that file the holder is found by what it runs, and by the log that it writes to.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vrbench.lab.status import LabError
from vrbench.lab.system.processes import arguments, children, namespace, process_ids, reap, start_time
from vrbench.private import child_environment, new_file

RECORD_NAME = "lab.json"
LOG_NAME = "lab.log"
SUPERVISOR = "vrbench.lab.supervisor"
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
        # Its machines are machines of their own: what is ignored here (nohup) is not ignored there.
        defaults = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE]
        return os.posix_spawn(argv[0], argv, child_environment(), file_actions=actions, setsid=True, setsigdef=defaults)
    finally:
        for fd in (*high, null):
            os.close(fd)


def record(state: Path, holder: int) -> None:
    """Write down which processes the box is, as soon as they exist; whoever comes later can end it by that."""
    box = Box(holder, start_time(holder) or 0, 0, 0, "")
    write_private(state / RECORD_NAME, json.dumps(asdict(box)))
    deadline = time.monotonic() + _RECORD_TIMEOUT_S
    while start_time(holder) is not None and time.monotonic() < deadline:
        whole = _with_first(box)
        if whole.first:
            write_private(state / RECORD_NAME, json.dumps(asdict(whole)))
            return
        time.sleep(0.002)


def _with_first(box: Box) -> Box:
    """Return the box with its first process, if that is there yet."""
    for first in children(box.holder):
        began, processes = start_time(first), namespace(first, "pid")
        if began is not None and processes not in (None, namespace(box.holder, "pid")):
            return replace(box, first=first, first_start=began, processes=processes or "")
    return box


def read(state: Path) -> Box | None:
    """Return the box written down in ``state``, running or not; None where there is no such file, or a damaged one."""
    try:
        return Box(**json.loads((state / RECORD_NAME).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def find(state: Path) -> Box | None:
    """Return the box that stands for ``state`` though it is not written down there (any more).

    Its holder is this user's process that runs the lab and says what it says to the log in ``state``. The kernel knows
    that file's path, also when it was deleted, and the folder with it.
    """
    log = os.path.join(os.path.realpath(state), LOG_NAME)
    for pid in process_ids():
        with suppress(OSError):
            mine = os.stat(f"/proc/{pid}").st_uid == os.geteuid()
            if mine and os.readlink(f"/proc/{pid}/fd/1") in (log, f"{log} (deleted)") and _is_holder(pid):
                return _with_first(Box(pid, start_time(pid) or 0, 0, 0, ""))
    return None


def _is_holder(pid: int) -> bool:
    argv = arguments(pid)
    return SUPERVISOR in argv and os.path.basename(argv[0]) == "unshare"


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
    with open(fresh, "w", encoding="utf-8", opener=new_file) as file:
        file.write(text)
    fresh.replace(path)
