"""Run a command inside a lab's node, as if it had been typed there: same terminal, signals, exit code, directory.

    enter FIRST START NODE COMMAND…      (the lab's first process, its start time; see lifecycle.enter)

A process namespace can only be joined by a new process, so this one stays behind as the command's stand-in. Like a
shell it gives the command a process group of its own and, if it holds the terminal, hands it over: what the terminal
sends reaches the command alone, what is sent to the stand-in is passed on, once; a stop stops both.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path

from vrbench.lab.system import syscalls
from vrbench.lab.system.processes import start_time

_CANNOT_ENTER = 70
_NOT_FOUND = 127
_PASSED_ON = frozenset(
    {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH}
)
_JOB_CONTROL = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_KINDS = {
    "user": syscalls.CLONE_NEWUSER,
    "mnt": syscalls.CLONE_NEWNS,
    "uts": syscalls.CLONE_NEWUTS,
    "ipc": syscalls.CLONE_NEWIPC,
    "net": syscalls.CLONE_NEWNET,
    "pid": syscalls.CLONE_NEWPID,
}


def main() -> int:
    """Enter, run, imitate the end."""
    first, began, node, *argv = sys.argv[1:]
    here = _current_folder()
    try:
        _enter_node(int(first), int(began), node)
    except (OSError, LookupError) as error:
        print(f"vrbench lab: cannot enter {node}: {error}", file=sys.stderr)
        return _CANNOT_ENTER
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON | {signal.SIGCHLD})
    terminal = _foreground_terminal(os.getpgrp())  # the child can't tell: its namespace does not know this group
    child = os.fork()
    if child == 0:
        _become(argv, here, terminal)
    if terminal is not None:
        os.close(terminal)
    with suppress(OSError):
        os.setpgid(child, child)
    return _stand_in(child)


def _current_folder() -> str:
    """Return where the command is to start; the root where that folder is gone."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "/"


def _enter_node(first: int, began: int, node: str) -> None:
    """Join the box, then the node: a VM's own namespaces, or the network namespace of that name."""
    if start_time(first) != began:
        raise LookupError("the lab has ended")
    if not _NODE_NAME.fullmatch(node):
        raise LookupError(f"{node!r} is no node's name")
    _join(f"/proc/{first}/ns", ["mnt", "pid"] if os.geteuid() == 0 else ["user", "mnt", "pid"])
    pid_file = Path("/run/vrlab/vm") / node / "pid"
    if pid_file.exists():
        _join(f"/proc/{pid_file.read_text(encoding='ascii')}/ns", ["uts", "ipc", "net", "pid", "mnt"])
        return
    place = f"/run/netns/{node}"
    if not os.path.exists(place):
        raise LookupError(f"no such node; there are: {', '.join(sorted(os.listdir('/run/netns')))}")
    with open(place, "rb") as file:
        syscalls.setns(file.fileno(), syscalls.CLONE_NEWNET)


def _join(directory: str, kinds: list[str]) -> None:
    """Join namespaces, all opened before the first is entered: from there the paths may mean something else."""
    opened = [(os.open(f"{directory}/{kind}", os.O_RDONLY), _KINDS[kind]) for kind in kinds]
    for fd, kind in opened:
        syscalls.setns(fd, kind)
        os.close(fd)


def _foreground_terminal(group: int) -> int | None:
    """Return the controlling terminal, if ``group`` is in its foreground."""
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    if os.tcgetpgrp(fd) == group:
        return fd
    os.close(fd)
    return None


def _become(argv: list[str], here: str, terminal: int | None) -> None:
    """Become the command, in the child: own group, terminal, directory."""
    syscalls.die_with_parent(signal.SIGTERM)
    os.setpgid(0, 0)
    if terminal is not None:
        _give(terminal, os.getpid())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON | {signal.SIGCHLD})
    with suppress(OSError):
        os.chdir(here)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        print(f"vrbench lab: {argv[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(_NOT_FOUND)


def _give(terminal: int, group: int) -> None:
    """Make ``group`` the terminal's foreground, and let go of the terminal.

    A process in the background that does so would be stopped, hence the mask.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    with suppress(OSError):
        os.tcsetpgrp(terminal, group)
    os.close(terminal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTTOU})


def _stand_in(child: int) -> int:
    """Pass signals on until the child has ended, then end the same way."""
    while True:
        number = signal.sigwait(_PASSED_ON | {signal.SIGCHLD})
        if number != signal.SIGCHLD:
            with suppress(ProcessLookupError):
                os.kill(child, number)
            continue
        pid, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
        if pid == 0:
            continue
        if not os.WIFSTOPPED(status):
            _take_terminal(child)
            return _end_like(status)
        if os.WSTOPSIG(status) in _JOB_CONTROL:  # a SIGSTOP was meant for the command alone
            _stop_along(child)


def _stop_along(child: int) -> None:
    """Stop our job as the terminal stopped the command's, with whoever waits for it; when woken, wake the command."""
    _take_terminal(child)
    os.killpg(os.getpgrp(), signal.SIGTSTP)
    terminal = _foreground_terminal(os.getpgrp())
    if terminal is not None:
        _give(terminal, child)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGCONT)


def _take_terminal(child: int) -> None:
    terminal = _foreground_terminal(child)
    if terminal is not None:
        _give(terminal, os.getpgrp())


def _end_like(status: int) -> int:
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    number = os.WTERMSIG(status)
    signal.signal(number, signal.SIG_DFL) if number not in (signal.SIGKILL, signal.SIGSTOP) else None
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    return 128 + number


if __name__ == "__main__":
    sys.exit(main())
