"""What vrbench needs of this machine, looked at one by one. Nothing is changed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from vrbench.cli.exits import Exit
from vrbench.core.findings import Finding, FindingState

LIBRARIES = ("click", "cs", "icmplib", "pandas", "paramiko", "PyYAML", "rich")
OLDEST_PYTHON = (3, 11)
LITTLE_BYTES = 1_000_000_000


def check_machine(lab_needed: bool, probing: Iterable[Finding], reports: Path, needed_bytes: int) -> Iterator[Finding]:
    """Check what needs no cloud. ``lab_needed``: the profile can't do without; ``probing``: what probes would meet."""
    yield check_python()
    yield from probing
    yield check_priority()
    yield check_load(os.getloadavg()[0], os.cpu_count() or 1)
    yield check_disk(reports, needed_bytes)
    yield check_lab(lab_needed)


def check_python() -> Finding:
    """Check the interpreter and the libraries that the package asks for."""
    version = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        return Finding("python", FindingState.BAD, version, "use Python 3.11 or later", Exit.USAGE)
    found, missing = [], []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        cure = "install vrbench with its libraries: pip install ."
        return Finding("python", FindingState.BAD, f"{version}; missing: {', '.join(missing)}", cure, Exit.USAGE)
    return Finding("python", FindingState.OK, f"{version}; {', '.join(found)}")


def check_raw_sockets() -> Finding:
    """Say whether raw sockets may be opened, where no plan tells what they are for."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP).close()
    except PermissionError:
        cure = "run vrbench with sudo (the run then belongs to root), or: setcap cap_net_raw+ep on Python's executable"
        found = "this user may not open them; SYN probes need them (from 100 ms on, full TCP connects replace them)"
        return Finding("raw sockets", FindingState.WARN, found, cure)
    return Finding("raw sockets", FindingState.OK, "may be opened (SYN probes)")


def check_priority() -> Finding:
    """Say whether a prober gets to send on time on a busy machine; tried in a thread of its own."""
    granted: list[bool] = []
    trial = threading.Thread(target=lambda: granted.append(_may_have_priority()))
    trial.start()
    trial.join()
    if granted == [True]:
        return Finding("priority", FindingState.OK, "probers get real-time priority")
    cure = "run as root, or raise rtprio in /etc/security/limits.conf; without it slots may be skipped under load"
    return Finding("priority", FindingState.WARN, "probers don't get real-time priority", cure)


def _may_have_priority() -> bool:
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        return False
    return True


def check_load(load: float, cores: int) -> Finding:
    """Look at the load: other work takes the cores that probes are sent by."""
    found = f"load {load:.1f} on {cores} core{'s' if cores > 1 else ''}"
    if load > cores:
        return Finding("load", FindingState.WARN, found, "wait until the machine is quiet, or use another one")
    return Finding("load", FindingState.OK, found)


def check_disk(reports: Path, needed_bytes: int) -> Finding:
    """Look for room for the samples, where the reports will lie."""
    place = next(p for p in (reports.absolute(), *reports.absolute().parents) if p.exists())
    free, needed = shutil.disk_usage(place).free, needed_bytes or LITTLE_BYTES
    found = f"{free / 1e9:.1f} GB free for {reports}"
    if not os.access(place, os.W_OK):
        return Finding(
            "disk", FindingState.BAD, f"{place} can't be written to", "choose another --reports DIR", Exit.USAGE
        )
    if free < needed:
        found += f"; a run may write {needed / 1e9:.1f} GB" if needed_bytes else ""
        state = FindingState.BAD if needed_bytes else FindingState.WARN
        return Finding("disk", state, found, "free some, or choose another --reports DIR", Exit.NOT_VALID)
    return Finding("disk", FindingState.OK, found)


def check_lab(needed: bool) -> Finding:
    """Say whether the embedded lab can run: profiles with a [lab] table, the demo and calibrating need it."""
    from vrbench.lab import requirements

    state = FindingState.BAD if needed else FindingState.WARN
    lacking = requirements.find_missing()
    if lacking:
        found = f"commands missing: {', '.join(lacking.commands)}"
        return Finding("lab", state, found, requirements.shell_line(lacking), Exit.USAGE)
    reasons = requirements.check_machine()
    if reasons:
        found, _, cure = reasons[0].partition(": ")
        return Finding("lab", state, found, cure, Exit.USAGE)
    return Finding("lab", FindingState.OK, "this machine can run it (namespaces, nftables, sshd)")
