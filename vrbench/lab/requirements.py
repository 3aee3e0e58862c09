"""What the lab needs of the machine: commands, and a kernel that lets it make namespaces and translate addresses.

Standard library only and no import of ours, so that it runs on a bare Python before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vrbench.private import child_environment

PACKAGES: Mapping[str, str] = {
    "ip": "iproute2",
    "nft": "nftables",
    "sshd": "openssh-server",
    "ssh-keygen": "openssh-client",
    "ping": "iputils-ping",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "dnsmasq": "dnsmasq-base",
    "keepalived": "keepalived",
    "conntrackd": "conntrackd",
}
SEARCH_PATH = ":".join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"))
# What these packages would start on this machine; the lab starts its own, inside.
_UNITS: Mapping[str, tuple[str, ...]] = {
    "openssh-server": ("ssh.service", "ssh.socket"),
    "keepalived": ("keepalived.service",),
    "conntrackd": ("conntrackd.service",),
}
_POLICY = Path("/usr/sbin/policy-rc.d")
_TRY_TIMEOUT_S = 20.0

_OLDEST_KERNEL = (5, 12)  # mount_setattr

# One rule of each kind the lab's routers use: packet filter, both translations, connection tracking.
_RULES = """\
table ip trial {
  chain in { type nat hook prerouting priority dstnat; iifname "eth2" dnat to 10.1.1.2; }
  chain out { type nat hook postrouting priority srcnat; oifname "eth2" snat to 198.51.100.1; }
  chain forward { type filter hook forward priority filter; ct state established,related accept; }
}
"""
# What is tried inside fresh namespaces: command, its input, what a failure means, what to do about it.
_TRIALS = (
    (
        ["ip", "link", "add", "cable0", "type", "veth", "peer", "name", "cable1"],
        "",
        "the kernel refuses virtual cables",
        "load them with modprobe veth",
    ),
    (
        ["ip", "link", "add", "bridge0", "type", "bridge"],
        "",
        "the kernel refuses bridges",
        "load them with modprobe bridge",
    ),
    (
        ["nft", "-f", "-"],
        _RULES,
        "nftables can't translate addresses here",
        "load it with modprobe -a nf_tables nft_chain_nat nft_ct nf_conntrack",
    ),
)


@dataclass(frozen=True, slots=True)
class Missing:
    """Commands this machine lacks, and the Debian packages that bring them."""

    commands: tuple[str, ...]
    packages: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.commands)

    def message(self) -> str:
        """Return what is missing and the exact line that installs it, in one paragraph each."""
        text = f"The embedded lab needs commands that are not here: {', '.join(self.commands)}.\nInstall them with:\n"
        text += f"  {shell_line(self)}\n"
        units = _units(self)
        if units and _has_systemd():
            text += (
                "The mask keeps the packages from starting a server on this machine: the lab starts its own.\n"
                f"To have one later: systemctl unmask {' '.join(units)}\n"
            )
        return text


def find_missing(search_path: str = SEARCH_PATH) -> Missing:
    """Return the commands of PACKAGES that are not on ``search_path``."""
    commands = tuple(command for command in PACKAGES if shutil.which(command, path=search_path) is None)
    return Missing(commands, tuple(dict.fromkeys(PACKAGES[command] for command in commands)))


def shell_line(missing: Missing) -> str:
    """Return the line a person types to install what is missing."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    install = f"{sudo}apt-get update && {sudo}apt-get install -y --no-install-recommends {' '.join(missing.packages)}"
    units = _units(missing)
    if units and _has_systemd():
        return f"{sudo}systemctl mask {' '.join(units)} && {install}"
    return install


def _units(missing: Missing) -> tuple[str, ...]:
    """Return the services that must not start when the packages are installed."""
    return tuple(unit for package in missing.packages for unit in _UNITS.get(package, ()))


def install(missing: Missing) -> list[str]:
    """Install the packages, as root or by sudo; the commands that were run. RuntimeError names the one that failed.

    No server that comes along is started: its units are masked first, and where there is no systemd a policy-rc.d says
    no for as long as the installation lasts.
    """
    if not missing:
        return []
    if shutil.which("apt-get") is None:
        raise RuntimeError(f"there is no apt-get here: install by hand what brings {', '.join(missing.commands)}")
    units = _units(missing)
    done = []
    if units and _has_systemd():
        done.append(_as_root(["systemctl", "mask", *units]))
    policy = bool(units) and not _POLICY.exists()
    if policy:
        done.append(_as_root(["sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >{_POLICY} && chmod 755 {_POLICY}"]))
    try:
        done.append(_as_root(["apt-get", "update"]))
        quiet = ["env", "DEBIAN_FRONTEND=noninteractive"]
        done.append(_as_root([*quiet, "apt-get", "install", "-y", "--no-install-recommends", *missing.packages]))
    finally:
        if policy:
            done.append(_as_root(["rm", "-f", str(_POLICY)]))
    return done


def check_machine() -> list[str]:
    """Return why this machine can't run the lab although it has the commands: one sentence each, with a cure.

    Tries it: the same namespaces as a lab, in them one address translation, gone again when the trial ends.
    """
    user = ["--user", "--map-root-user"] if os.geteuid() != 0 else []
    spaces = ["unshare", *user, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
    refused = _try([*spaces, "true"])
    if refused is not None:
        return [f"the kernel refuses new namespaces ({refused}): {_namespace_cure()}"]
    problems = []
    if _kernel_version() < _OLDEST_KERNEL:
        oldest = ".".join(map(str, _OLDEST_KERNEL))
        problems.append(f"Linux {os.uname().release} can't make a guest's files read-only: use {oldest} or later")
    for command, text, what, cure in _TRIALS:
        refused = _try([*spaces, *command], text)
        if refused is not None:
            problems.append(f"{what} ({refused}): {cure}")
    return problems


def _kernel_version() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(digit for digit in minor if digit.isdigit()))


def _namespace_cure() -> str:
    """Return what to do, by what this machine looks like."""
    if os.geteuid() == 0:
        return (
            "this root lacks CAP_SYS_ADMIN, as in a container; start the container with "
            "--privileged (docker run --privileged …) or run on the host"
        )
    if _reads("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"):
        return "Ubuntu restricts them: run as root (sudo), or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    if _reads("/proc/sys/kernel/unprivileged_userns_clone", "0"):
        return "they are switched off for users: run as root (sudo), or sysctl -w kernel.unprivileged_userns_clone=1"
    if _reads("/proc/sys/user/max_user_namespaces", "0"):
        return "they are limited to none: run as root (sudo), or sysctl -w user.max_user_namespaces=15000"
    return "run as root (sudo); in a container, start it with --privileged"


def _reads(path: str, text: str) -> bool:
    try:
        return Path(path).read_text(encoding="ascii").strip() == text
    except OSError:
        return False


def _try(argv: Sequence[str], text: str = "") -> str | None:
    """Return None when the command succeeds, else the last line it said."""
    try:
        done = subprocess.run(
            argv,
            input=text,
            capture_output=True,
            text=True,
            timeout=_TRY_TIMEOUT_S,
            check=False,
            env=child_environment(PATH=SEARCH_PATH),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    said = done.stderr.strip().splitlines()
    return said[0] if said else f"exit code {done.returncode}"


def _has_systemd() -> bool:
    return Path("/run/systemd/system").is_dir() and shutil.which("systemctl") is not None


def _as_root(argv: Sequence[str]) -> str:
    command = list(argv) if os.geteuid() == 0 else ["sudo", *argv]
    try:
        code = subprocess.call(command, env=child_environment())
    except OSError as error:
        raise RuntimeError(f"{' '.join(command)}: {error}; run it as root") from error
    if code != 0:
        raise RuntimeError(f"{' '.join(command)} failed with exit code {code}")
    return " ".join(command)
