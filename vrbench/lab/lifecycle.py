"""A lab from outside: up, status, outage, down, and how a command gets in. Standard library only.

The box is one process, ``unshare``, whose only child is the first process of a process namespace of its own: when
either ends, by whatever means, the kernel ends everything inside. ``DIR/lab.json`` says which process it is, by number
and start time, so that nobody else's process is ever taken for it.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from vrbench.lab import control
from vrbench.lab.processes import children, namespace, process_ids, python_command, start_time
from vrbench.lab.status import LabError, LabOptions, LabStatus, Outage

_RECORD = "lab.json"
_LOG = "lab.log"
_CLIENT_FILE = "cloudstack.ini"
_STATUS_TIMEOUT_S = 10.0
_DOWN_TIMEOUT_S = 15.0
_FIRST_FD = 10  # where the box finds its open files: this one and the next


@dataclass(frozen=True, slots=True)
class _Box:
    """The lab's processes as the host sees them: number and start time (clock ticks since boot) of each."""

    holder: int
    holder_start: int
    first: int
    first_start: int
    processes: str  # the identity of its process namespace

    def alive(self) -> bool:
        return start_time(self.first) == self.first_start


def up(state: Path, options: LabOptions, lifeline: bool = False) -> LabStatus:
    """Start a lab in ``state`` and wait until its API answers; with ``lifeline`` it ends when this process does.

    Raises LabError when one runs there already or when it does not come up; then nothing is left but its log.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    state.chmod(0o700)
    with _locked(state):
        box = _read_box(state)
        if box is not None and box.alive():
            raise LabError(f"a lab runs in {state} already (process {box.first}): use it, or end it with lab down")
        _clear(state)
        try:
            status = _start(state, options, lifeline)
        except BaseException:
            _end(state)
            raise
        _write_private(state / _CLIENT_FILE, _client_file(status))
        return status


def status(state: Path) -> LabStatus:
    """What the lab in ``state`` is now; LabError when none runs there."""
    box = _running_box(state)
    answer = control.ask(state, {"ask": "status"}, _STATUS_TIMEOUT_S)
    return LabStatus.from_json({**answer, "pid": box.holder})


def outage(state: Path, seconds: float, direction: str = "both", target: str = "") -> Outage:
    """Drop traffic (egress, ingress, both) of one VM or of all for a time; when it is over, its true start and end."""
    _running_box(state)
    question = {"ask": "outage", "seconds": seconds, "direction": direction, "target": target}
    return Outage.from_json(control.ask(state, question, seconds + _STATUS_TIMEOUT_S))


def enter(state: Path, node: str, argv: Sequence[str]) -> list[str]:
    """The command that runs ``argv`` inside ``node``: same terminal, signals, exit code and working directory.

    The process lives in the box's process namespace, so it ends with the lab at the latest.
    """
    box = _running_box(state)
    return python_command("vrbench.lab.enter", str(box.first), str(box.first_start), node, *argv)


def exec_(state: Path, node: str, argv: Sequence[str]) -> int:
    """Run ``argv`` inside ``node`` and return its exit code (128 + signal when one ended it)."""
    code = subprocess.call(enter(state, node, argv))
    return code if code >= 0 else 128 - code


def down(state: Path) -> None:
    """End the lab in ``state``, whatever condition it is in; LabError if something of it survives."""
    if not state.is_dir():
        return
    with _locked(state):
        _end(state)


def _start(state: Path, options: LabOptions, lifeline: bool) -> LabStatus:
    rootless = os.geteuid() != 0
    with ExitStack() as stack:
        api = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        commands = stack.enter_context(control.listen(state))
        ready, say_ready = os.pipe()
        listen = stack.enter_context(os.fdopen(ready, "rb"))
        files = [api.fileno(), commands.fileno(), say_ready]
        if lifeline:
            parent = os.pidfd_open(os.getpid())
            stack.callback(os.close, parent)
            files.append(parent)
        log = stack.enter_context((state / _LOG).open("wb"))
        try:
            holder = _spawn(_box_command(options, rootless, lifeline), files, log.fileno())
        finally:
            os.close(say_ready)
        _record(state, holder)
        line = _read_line(listen.fileno(), options.ready_s)
    if not line.endswith(b"\n"):
        what = (
            f"was not ready within {options.ready_s:g} s"
            if start_time(holder) is not None
            else "ended before it was ready"
        )
        raise LabError(f"the lab in {state} {what}.\n{_log_tail(state)}")
    return LabStatus.from_json({**json.loads(line), "pid": holder})


def _box_command(options: LabOptions, rootless: bool, lifeline: bool) -> list[str]:
    unshare = shutil.which("unshare", path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin")
    if unshare is None:
        raise LabError("the command unshare is missing: install the package util-linux")
    order = {
        "options": options.to_json(),
        "rootless": rootless,
        "api": _FIRST_FD,
        "control": _FIRST_FD + 1,
        "ready": _FIRST_FD + 2,
        "lifeline": _FIRST_FD + 3 if lifeline else None,
    }
    user = ["--user", "--map-root-user"] if rootless else []
    spaces = ["--net", "--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return [unshare, *user, *spaces, *python_command("vrbench.lab.supervisor", json.dumps(order), site=True)]


def _spawn(argv: list[str], files: Sequence[int], log: int) -> int:
    """Start the box in a session of its own with ``files`` at the agreed numbers; its process number."""
    # Out of the way first: a number that is yet to be duplicated must not be overwritten.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FD + 50) for fd in (*files, log)]
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, fd, _FIRST_FD + index) for index, fd in enumerate(high[:-1])]
    actions += [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, high[-1], 1), (os.POSIX_SPAWN_DUP2, high[-1], 2)]
    try:
        return os.posix_spawn(argv[0], argv, os.environ, file_actions=actions, setsid=True)
    finally:
        for fd in (*high, null):
            os.close(fd)


def _record(state: Path, holder: int) -> None:
    """Write down which processes the box is, as soon as they exist; whoever comes later can end it by that."""
    holder_start = start_time(holder) or 0
    _write_private(state / _RECORD, json.dumps(asdict(_Box(holder, holder_start, 0, 0, ""))))
    deadline = time.monotonic() + _STATUS_TIMEOUT_S
    while start_time(holder) is not None and time.monotonic() < deadline:
        for first in children(holder):
            began, processes = start_time(first), namespace(first, "pid")
            if began is not None and processes not in (None, namespace(holder, "pid")):
                box = _Box(holder, holder_start, first, began, processes or "")
                _write_private(state / _RECORD, json.dumps(asdict(box)))
                return
        time.sleep(0.002)


def _read_line(fd: int, timeout_s: float) -> bytes:
    """Bytes up to the first line's end; less when the writer ended or the time is over."""
    deadline = time.monotonic() + timeout_s
    text = b""
    while not text.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            break
        part = os.read(fd, 65536)
        if not part:
            break
        text += part
    return text


def _running_box(state: Path) -> _Box:
    box = _read_box(state)
    if box is None or not box.alive():
        raise LabError(f"no lab runs in {state}: start one with lab up --state {state}")
    return box


def _read_box(state: Path) -> _Box | None:
    try:
        return _Box(**json.loads((state / _RECORD).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise LabError(
            f"{state / _RECORD} is damaged ({error}): end the lab's unshare process, delete the file"
        ) from error


def _end(state: Path) -> None:
    """Kill the box's first process, which ends everything; its holder collects it and ends by itself."""
    box = _read_box(state)
    if box is not None:
        if box.first:
            _kill(box.first, box.first_start)
        else:
            _kill(box.holder, box.holder_start)
        _wait_until_gone(state, box)
    _clear(state)


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


def _wait_until_gone(state: Path, box: _Box) -> None:
    deadline = time.monotonic() + _DOWN_TIMEOUT_S
    while left := _survivors(box):
        if time.monotonic() > deadline:
            raise LabError(f"processes of the lab in {state} do not end: {left}; see /proc/PID/status and lab.log")
        time.sleep(0.005)
    with suppress(ChildProcessError):
        os.waitpid(box.holder, 0)  # when it was this very process that started the lab


def _survivors(box: _Box) -> list[int]:
    """What still runs of a box: its holder, its first process, anything in its process namespace."""
    known = ((box.holder, box.holder_start), (box.first, box.first_start))
    found = [pid for pid, began in known if pid > 0 and start_time(pid) == began]
    if box.processes:
        inside = (pid for pid in process_ids() if namespace(pid, "pid") == box.processes)
        found += [pid for pid in inside if start_time(pid) is not None]
    return found


def _clear(state: Path) -> None:
    for name in (_RECORD, _CLIENT_FILE, control.SOCKET_NAME):
        (state / name).unlink(missing_ok=True)


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    """One up or down at a time in a state directory."""
    with (state / "lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _log_tail(state: Path) -> str:
    lines = (state / _LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([f"The end of {state / _LOG}:", *lines[-15:]])


def _write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner can read, in one step."""
    fresh = path.with_name(path.name + ".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def _client_file(status: LabStatus) -> str:
    root = status.callers["root"]
    return (
        "[cloudstack]\n"
        f"endpoint = {status.endpoint}\nkey = {root.apikey}\nsecret = {root.secretkey}\ntimeout = 60\nmethod = post\n"
    )
