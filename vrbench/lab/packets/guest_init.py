"""Runs inside a new guest as its first process: hides the host's files, honours the user data, becomes init.

Everything of the host stays visible but read-only, /etc apart (see guest_etc.py); what a machine writes to (/run, /tmp,
/var/tmp, /etc/ssh, the home directory, /dev) is the guest's own. The capabilities that would undo this (mounting, raw
devices, modules, the clock) are dropped for good. The final init is a shell: a megabyte, and it reaps.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vrbench.lab.packets import dhcp
from vrbench.lab.packets.guest_etc import GUEST_ETC, OWN_FILES, OWN_FOLDERS
from vrbench.lab.system import syscalls
from vrbench.lab.system.processes import SOURCE_ROOT, python_command
from vrbench.lab.system.syscalls import MS_BIND, MS_MOVE, MS_NODEV, MS_NOSUID, MS_REC

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_WRITABLE = ("/proc", "/dev", "/dev/shm", "/dev/pts", "/run", "/run/home", "/tmp", "/var/tmp", "/etc/ssh")
_RESOLV_CONF = "/etc/resolv.conf"  # written by the DHCP client
_FIRST_LEASE_S = 1.0
_LATE_LEASE_S = 86_400.0
# chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_admin, net_raw,
# sys_chroot (sshd), sys_ptrace, sys_nice (a prober's priority), audit_write: what a root login needs within its own
# namespaces.
_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 12, 13, 18, 19, 23, 29})


def main() -> None:
    """Set up the guest whose directory is the only argument, then become its init."""
    directory = Path(sys.argv[1])
    boot = json.loads((directory / "boot.json").read_text(encoding="utf-8"))
    os.umask(0o022)
    socket.sethostname(boot["hostname"])
    first_boot = not (directory / "booted").exists()
    (directory / "booted").touch()
    _mount_all(directory, [*map(Path, boot["interpreters"]), SOURCE_ROOT])
    subprocess.run(["/bin/sh", "-c", boot["setup"]], check=False)
    if first_boot:
        _write_files(boot["files"])
    script = base64.b64decode(boot["script"]) if first_boot else b""
    for name in boot["ignored"] if first_boot else ():
        print(f"user data not honoured: {name}", flush=True)
    if not boot["rootless"]:
        syscalls.drop_capabilities(_CAPABILITIES)
    os.chdir("/")
    late = _lease(boot["mac"], boot["hostname"]) if boot["mac"] else []
    os.execv("/bin/sh", ["/bin/sh", "-c", "\n".join([*late, _init_script(boot["sshd"], script, boot["rootless"])])])


def _lease(mac: str, hostname: str) -> list[str]:
    """Get an address by DHCP; when nobody answers, the shell line that goes on asking while the guest boots without."""
    lease = dhcp.ask("eth0", mac, hostname, _FIRST_LEASE_S)
    if lease is not None:
        dhcp.apply("eth0", lease)
        return []
    print("no lease yet: asking on", flush=True)
    return [f"{shlex.join(python_command('vrbench.lab.packets.dhcp', 'eth0', mac, hostname, str(_LATE_LEASE_S)))} &"]


def _mount_all(directory: Path, needed: Sequence[Path]) -> None:
    """Build each private tree aside, move it over the host's, then let nothing but these be written to."""
    _build_run(directory)
    _build_dev(directory / "dev")
    _build_etc(directory)
    for place, hidden in (("tmp", Path("/tmp")), ("vartmp", Path("/var/tmp"))):
        _build_tmp(directory / place, hidden, needed)
    _build_proc()
    for place, target in (("tmp", "/tmp"), ("vartmp", "/var/tmp"), ("dev", "/dev"), ("run", "/run")):
        syscalls.mount(str(directory / place), target, flags=MS_MOVE)
    syscalls.set_read_only("/", True, recursive=True)
    for target in (*_WRITABLE, _RESOLV_CONF):
        syscalls.set_read_only(target, False)


def _tmpfs(target: Path, mode: str) -> None:
    syscalls.mount("tmpfs", str(target), "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode},size=256m")


def _build_run(directory: Path) -> None:
    _tmpfs(directory / "run", "755")
    for name in ("sshd", "home"):
        (directory / "run" / name).mkdir()
    syscalls.mount(str(directory / "home"), str(directory / "run" / "home"), flags=MS_BIND)


def _build_etc(directory: Path) -> None:
    """Mount the /etc that guests share in place of this machine's, and what is this guest's own over it."""
    syscalls.mount(str(GUEST_ETC), "/etc", flags=MS_BIND | MS_REC)
    for name in OWN_FILES:
        syscalls.mount(str(directory / "etc" / name), f"/etc/{name}", flags=MS_BIND)
    for name in OWN_FOLDERS:
        syscalls.mount(str(directory / name), f"/etc/{name}", flags=MS_BIND)


def _build_tmp(place: Path, hidden: Path, needed: Sequence[Path]) -> None:
    """Mount a private directory in place of ``hidden``. What the guest needs of it (an interpreter) stays visible."""
    _tmpfs(place, "1777")
    for directory in needed:
        if directory.is_relative_to(hidden):
            kept = place / directory.relative_to(hidden)
            kept.mkdir(parents=True, exist_ok=True)
            syscalls.mount(str(directory), str(kept), flags=MS_BIND)


def _build_dev(dev: Path) -> None:
    syscalls.mount("tmpfs", str(dev), "tmpfs", MS_NOSUID, "mode=755")
    for name in _DEVICES:
        (dev / name).touch()
        syscalls.mount(f"/dev/{name}", str(dev / name), flags=MS_BIND)
    for name in ("shm", "pts"):
        (dev / name).mkdir()
    _tmpfs(dev / "shm", "1777")
    syscalls.mount("devpts", str(dev / "pts"), "devpts", MS_NOSUID, "newinstance,ptmxmode=0666,mode=620")
    for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0")):
        (dev / name).symlink_to(target)
    for name, number in (("stdout", 1), ("stderr", 2)):
        (dev / name).symlink_to(f"/proc/self/fd/{number}")


def _build_proc() -> None:
    """Mount the guest's own /proc; the machine's settings and its emergency keys stay out of its reach."""
    syscalls.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV)
    for name in ("sys", "sysrq-trigger"):
        if os.path.exists(f"/proc/{name}"):
            syscalls.mount(f"/proc/{name}", f"/proc/{name}", flags=MS_BIND | MS_REC)


def _write_files(files: list[dict[str, Any]]) -> None:
    """Write cloud-init's write_files. One that can't be written is told to the console, and the boot goes on."""
    for entry in files:
        path = Path(entry["path"])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab" if entry["append"] else "wb") as file:
                file.write(base64.b64decode(entry["content"]))
            path.chmod(entry["mode"])
        except OSError as error:
            print(f"write_files: {error}", flush=True)


def _init_script(sshd: str, script: bytes, rootless: bool) -> str:
    """Start sshd, run the user data beside it, then wait for ever (which reaps what is left behind).

    A configuration that sshd refuses ends the guest at once, so that nobody waits for it.
    """
    # Without -r every connection loads sshd anew: 7 ms of a processor for a banner instead of 1, which a zone of ten
    # guests on one machine takes from its probers. Later OpenSSH accepts the option, and goes without.
    server = [sshd, "-D", "-e", "-r", "-f", "/etc/ssh/sshd_config"]
    if rootless:
        # OpenSSH's privilege separation needs users that a one-user namespace lacks; as nobody special it does without.
        server = ["unshare", "--user", "--map-user=1000", "--map-group=1000", *server]
    check = [sshd, "-t", "-f", "/etc/ssh/sshd_config"]
    lines = [f"{shlex.join(check)} || exit 1", f"{shlex.join(server)} &"]
    if script:
        file = Path("/run/user-data")
        file.write_bytes(script)
        file.chmod(0o700)
        lines.append(f"HOME=/run/home {shlex.quote(str(file))} >/run/user-data.log 2>&1 &")
    return "\n".join([*lines, "sleep infinity &", "while :; do wait; done"])


if __name__ == "__main__":
    main()
