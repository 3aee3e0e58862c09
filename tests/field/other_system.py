"""Runs vrbench as if on another system: ``other_system.py darwin|win32 [-- ARGS]...``; what is not there is taken away.

Libraries of others are loaded before that: they know these systems, and would look for parts that are not here.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from types import ModuleType

LACKING: dict[ModuleType, tuple[str, ...]] = {
    time: ("CLOCK_BOOTTIME",),
    os: (
        "sched_setscheduler",
        "sched_getaffinity",
        "sched_setaffinity",
        "setns",
        "unshare",
        "memfd_create",
        "pidfd_open",
    ),
    socket: ("AF_PACKET", "AF_NETLINK", "SO_BINDTODEVICE", "MSG_ERRQUEUE"),
    select: ("epoll",),
}
LACKING_ON_WINDOWS: dict[ModuleType, tuple[str, ...]] = {
    time: ("clock_gettime", "clock_gettime_ns", "CLOCK_MONOTONIC", "CLOCK_REALTIME", "CLOCK_MONOTONIC_RAW"),
    os: (
        "getuid",
        "geteuid",
        "getgid",
        "fork",
        "getloadavg",
        "uname",
        "O_NOFOLLOW",
        "O_CLOEXEC",
        "O_DIRECTORY",
        "setsid",
    ),
    signal: ("SIGHUP", "SIGKILL", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGQUIT", "pthread_sigmask", "alarm"),
    select: ("poll",),
}
NO_MODULES_ON_WINDOWS = ("fcntl", "grp", "pwd", "resource", "termios")


def pretend(system: str) -> None:
    """Take away what this system lacks, and say its name."""
    import click
    import cs
    import msgspec
    import pandas
    import paramiko
    import rich.console
    import rich.live
    import rich.table

    _loaded = (click, cs, msgspec, pandas, paramiko, rich)
    kinds = [LACKING] if system == "darwin" else [LACKING, LACKING_ON_WINDOWS]
    for module, names in ((module, names) for lacking in kinds for module, names in lacking.items()):
        for name in filter(module.__dict__.__contains__, names):
            delattr(module, name)
    if system != "darwin":
        sys.modules.update(dict.fromkeys(NO_MODULES_ON_WINDOWS))  # type: ignore[arg-type]
    sys.platform = system


if __name__ == "__main__":
    pretend(sys.argv[1])
    from vrbench.cli.main import _run

    lines = " ".join(sys.argv[2:]).split("-- ")[1:]
    for line in (line.rpartition("-m vrbench ")[2].split() for line in lines):
        sys.argv = ["vrbench", *line]
        print(f"{line[0]}: exit {_run()}", file=sys.stderr, flush=True)
