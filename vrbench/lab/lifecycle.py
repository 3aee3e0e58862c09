"""A lab from outside: up, status, outage, down, and how a command gets in. Standard library only."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from vrbench.lab import box, control
from vrbench.lab.status import OUTAGE_S, ImpossibleLab, LabError, LabOptions, LabStatus, Outage
from vrbench.lab.strategies import STRATEGIES
from vrbench.lab.system.processes import python_command
from vrbench.private import check_folder, make_folder, new_file

_LOCK = "lock"
_CLIENT_FILE = "cloudstack.ini"
_STATUS_TIMEOUT_S = 10.0
_FAULT_TIMEOUT_S = 60.0  # a guest may have to boot


class Found(Enum):
    """What there was when a lab was to be ended."""

    RECORDED = "a lab, as written down in its directory"
    LOST = "a lab that was written down nowhere"
    NOTHING = "a lab's directory, and no lab any more"
    NO_LAB = "no lab's directory"


def up(state: Path, options: LabOptions, lifeline: bool = False) -> LabStatus:
    """Start a lab in ``state`` and wait until its API answers; with ``lifeline`` it ends when this process does.

    Raises LabError when it is asked for the impossible, when one runs there already, or when it does not come up; then
    nothing is left but its log.
    """
    if options.strategy not in STRATEGIES:
        there_are = ", ".join(sorted(STRATEGIES))
        raise ImpossibleLab(f"the lab has no restart strategy {options.strategy!r}: it has {there_are}")
    options.check()
    with _usable(state):
        _claim(state)
    with _usable(state), _locked(state):
        known = _known(state)
        if known is not None and known.alive():
            raise LabError(
                f"a lab runs in {state} already (process {known.first}): "
                f"use it, or end it with vrbench lab down --state {state}"
            )
        _clear(state)
        try:
            status = _start(state, options, lifeline)
        except BaseException:
            _end(state)
            raise
        box.write_private(state / _CLIENT_FILE, _client_file(status))
        return status


def status(state: Path) -> LabStatus:
    """Return what the lab in ``state`` is now; LabError when none runs there."""
    holder = _running(state).holder
    answer = control.ask(state, {"ask": "status"}, _STATUS_TIMEOUT_S)
    return LabStatus.from_json({**answer, "pid": holder})


def outage(state: Path, seconds: float, direction: str = "both", target: str = "") -> Outage:
    """Drop traffic (egress, ingress, both) of one VM or of all for a time; when it is over, its true start and end."""
    if wrong := OUTAGE_S.refuse(seconds):
        raise ImpossibleLab(f"an outage's seconds must be {wrong}")
    _running(state)
    question = {"ask": "outage", "seconds": seconds, "direction": direction, "target": target}
    return Outage.from_json(control.ask(state, question, seconds + _STATUS_TIMEOUT_S))


def fault(state: Path, name: str, params: Mapping[str, str] | None = None, on: bool = True) -> dict[str, Any]:
    """Switch a fault of ``lab/faults.py`` on or off (off without a name: all); the faults that are on then."""
    _running(state)
    question = {"ask": "fault", "name": name, "params": dict(params or {}), "on": on}
    answer: dict[str, Any] = control.ask(state, question, _FAULT_TIMEOUT_S)["on"]
    return answer


def faults(state: Path) -> dict[str, Any]:
    """Return the faults that are on, by name, with their parameters."""
    _running(state)
    answer: dict[str, Any] = control.ask(state, {"ask": "faults"}, _STATUS_TIMEOUT_S)["on"]
    return answer


def phases(state: Path) -> dict[str, Any]:
    """Return what was done to the routers and what did not work meanwhile, as ``router_history`` tells it."""
    _running(state)
    return control.ask(state, {"ask": "phases"}, _STATUS_TIMEOUT_S)


def calls(state: Path, after: int = 0) -> list[dict[str, Any]]:
    """Return the calls of all clients that could have changed something, but for the first ``after`` of them.

    Each has its ``command`` and the ``status`` of its answer, 0 where the connection was reset.
    """
    _running(state)
    answer: list[dict[str, Any]] = control.ask(state, {"ask": "calls", "after": after}, _STATUS_TIMEOUT_S)["calls"]
    return answer


def enter(state: Path, node: str, argv: Sequence[str]) -> list[str]:
    """Return the command that runs ``argv`` inside ``node``: same terminal, signals, exit code and working directory.

    The process lives in the box's process namespace, so it ends with the lab at the latest.
    """
    known = _running(state)
    return python_command("vrbench.lab.enter", str(known.first), str(known.first_start), node, *argv)


def exec_(state: Path, node: str, argv: Sequence[str]) -> int:
    """Run ``argv`` inside ``node`` and return its exit code (128 + signal when one ended it).

    It gets all of this environment: it is the user's own command, not one of ours.
    """
    code = subprocess.call(enter(state, node, argv))
    return code if code >= 0 else 128 - code


def down(state: Path) -> Found:
    """End the lab in ``state``, whatever condition it is in; return what there was. LabError if some of it survives."""
    with _usable(state):
        if _is_there(state) and (state / _LOCK).exists():
            with _locked(state):
                return _end(state)
        lost = box.find(state)
        if lost is None:
            return Found.NO_LAB
        box.end(state, lost)
        return Found.LOST


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
        log = stack.enter_context(open(state / box.LOG_NAME, "wb", opener=new_file))
        try:
            holder = box.spawn(_box_command(options, rootless, lifeline), files, log.fileno())
        finally:
            os.close(say_ready)
        box.record(state, holder)
        until = time.monotonic() + options.ready_s
        line = _read_line(listen.fileno(), options.ready_s)
    if not line.endswith(b"\n"):
        late = time.monotonic() >= until  # its last process may outlive the closed pipe for a moment
        what = f"was not ready within {options.ready_s:g} s" if late else "ended before it was ready"
        raise LabError(f"the lab in {state} {what}.\n{_log_tail(state)}")
    return LabStatus.from_json({**json.loads(line), "pid": holder})


def _box_command(options: LabOptions, rootless: bool, lifeline: bool) -> list[str]:
    unshare = shutil.which("unshare", path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin")
    if unshare is None:
        raise LabError("the command unshare is missing: install the package util-linux")
    order = {
        "options": options.to_json(),
        "rootless": rootless,
        "api": box.FIRST_FD,
        "control": box.FIRST_FD + 1,
        "ready": box.FIRST_FD + 2,
        "lifeline": box.FIRST_FD + 3 if lifeline else None,
    }
    user = ["--user", "--map-root-user"] if rootless else []
    spaces = ["--net", "--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return [unshare, *user, *spaces, *python_command(box.SUPERVISOR, json.dumps(order), site=True)]


def _read_line(fd: int, timeout_s: float) -> bytes:
    """Return bytes up to the first line's end; less when the writer ended or the time is over."""
    deadline = time.monotonic() + timeout_s
    text = b""
    poller = select.poll()  # of any descriptor: select itself knows a thousand
    poller.register(fd, select.POLLIN)
    while not text.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(1000 * left):
            break
        part = os.read(fd, 65536)
        if not part:
            break
        text += part
    return text


def _running(state: Path) -> box.Box:
    with _usable(state):
        known = _known(state) if _is_there(state) else None
    if known is None or not known.alive():
        raise LabError(f"no lab runs in {state}: start one with vrbench lab up --state {state}")
    return known


def _known(state: Path) -> box.Box | None:
    """Return the box that stands for ``state``: as written down there or, without that, as its processes tell."""
    return box.read(state) or box.find(state)


def _end(state: Path) -> Found:
    written = box.read(state)
    known = written or box.find(state)
    if known is not None:
        box.end(state, known)
    _clear(state)
    return Found.RECORDED if written else Found.LOST if known else Found.NOTHING


def _clear(state: Path) -> None:
    for name in (box.RECORD_NAME, _CLIENT_FILE, control.SOCKET_NAME):
        (state / name).unlink(missing_ok=True)


@contextmanager
def _usable(state: Path) -> Iterator[None]:
    """Turn the machine's objections (no permission, no space, not a directory) into the lab's own error."""
    try:
        yield
    except OSError as error:
        why = f"{error.filename}: {error.strerror}" if error.filename else error
        raise LabError(f"the lab's directory {state} can't be used: {why}; name another one with --state") from error


def _is_there(state: Path) -> bool:
    """Return whether the directory exists. Raises NotPrivate: what others could have written is not obeyed."""
    try:
        check_folder(state)
    except FileNotFoundError:
        return False
    return True


def _claim(state: Path) -> None:
    """Make the directory, or take one that is empty or a lab's already; only its owner may look into it."""
    make_folder(state)
    if not (state / _LOCK).exists() and any(state.iterdir()):
        raise LabError(f"{state} holds files that are no lab's: give the lab a directory of its own")
    state.chmod(0o700)


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    """Allow one up or down at a time in a state directory."""
    lock = os.open(state / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _log_tail(state: Path) -> str:
    log = state / box.LOG_NAME
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([f"The end of {log}:", *lines[-15:]])


def _client_file(status: LabStatus) -> str:
    root = status.callers["root"]
    return (
        "[cloudstack]\n"
        f"endpoint = {status.endpoint}\nkey = {root.apikey}\nsecret = {root.secretkey}\ntimeout = 60\nmethod = post\n"
    )
