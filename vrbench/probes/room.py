"""How much this machine still has of what probing takes: open files, processes, local ports, memory."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True)
class Room:
    """What is left to this user here; what can't be told counts as unlimited."""

    files: int
    processes: int
    ports: int
    memory_mb: int


def look_around() -> Room:
    """Return what this machine has left."""
    groups = list(_groups())
    return Room(
        files=_limit(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        processes=min(_processes_left(), *(_left(group, "pids.max", "pids.current") for group in groups), UNLIMITED),
        ports=_ports(),
        memory_mb=min(_available_mb(), *(_left(group, "memory.max", "memory.current") >> 20 for group in groups)),
    )


def allow_files(count: int) -> None:
    """Let this process and its children open so many files at once, as far as they may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _limit(soft) < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, _limit(hard)), hard))


def _limit(value: int) -> int:
    return UNLIMITED if value == resource.RLIM_INFINITY else value


def _processes_left() -> int:
    """Return how many threads this user may still start; root may start any number."""
    limit = _limit(resource.getrlimit(resource.RLIMIT_NPROC)[0])
    if os.geteuid() == 0 or limit == UNLIMITED:
        return UNLIMITED
    return limit - sum(_threads(path) for path in PROC.glob("[0-9]*"))


def _threads(process: Path) -> int:
    try:
        return len(list((process / "task").iterdir())) if process.stat().st_uid == os.geteuid() else 0
    except OSError:
        return 0  # it has ended


def _ports() -> int:
    try:
        low, high = map(int, (PROC / "sys/net/ipv4/ip_local_port_range").read_text().split())
    except (OSError, ValueError):
        return UNLIMITED
    return high - low + 1


def _available_mb() -> int:
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) >> 10
    except (OSError, ValueError, StopIteration):
        return UNLIMITED


def _groups() -> Iterator[Path]:
    """Yield the control groups (version 2) that this process is in, from its own to the outermost."""
    yield CGROUPS  # a container sees its own as the outermost
    try:
        lines = (PROC / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        if line.startswith("0::/"):
            group = CGROUPS / line.removeprefix("0::/")
            yield from (place for place in (group, *group.parents) if CGROUPS in place.parents)


def _left(group: Path, most: str, current: str) -> int:
    """Return what a control group has left of something."""
    try:
        return int((group / most).read_text()) - int((group / current).read_text())
    except (OSError, ValueError):  # no limit here: "max", or no such file
        return UNLIMITED
