"""Whether a guest that lets us in is ready to probe and be probed: one look, over one connection, in one command."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.text import visible
from vrbench.remote.connection import Remote

ENOUGH_STARTUPS = 100  # connections that sshd must take before it refuses any: below, banner probes may be refused
SESSIONS = 3  # on one connection: the agent, its log as it grows, and one more
HOST_KEY = "hostkey-"
TIMED_OUT = "124"  # what timeout(1) exits with
PENALTIES_SINCE = (9, 8)  # the OpenSSH that has PerSourcePenalties, on by default
LOOK_S = 20.0  # what a look may take beside the waiting, many guests sharing a host

# Sets p to the interpreter itself, not to a wrapper that costs the guest more than the agent does; empty without one.
# Some have no plain python3, and a minimal one lacks what the agent imports. o: what is there that is too old.
FIND_PYTHON = """
o=
for p in python3 /usr/libexec/platform-python python3.6 python3.7 python3.8 python3.9 python3.10 python3.11 \\
  python3.12 python3.13 python3.14 python; do
  p=$("$p" -c '
import sys
if sys.version_info < (3, 6):
    print("old %d.%d" % sys.version_info[:2])
else:
    import array, gc, heapq, json, select, shutil, signal, socket, struct, threading, zipimport
    print(sys.executable)
' 2>/dev/null </dev/null)
  case $p in
    /*) break;;
    old*) o=${{p#old }}; p=;;
    *) p=;;
  esac
done
"""

# Sets k to iputils or busybox and p to what runs that ping, as ``"$c" $a`` does; p is empty without one. By its path: a
# shell of BusyBox may take its own ping for the word.
FIND_PING = """
p=
for w in "$(command -v ping)" "busybox ping"; do
  if [ "$w" = "busybox ping" ]; then c=busybox a=ping; else c=$w a=; fi
  case $("$c" $a -V 2>&1 </dev/null) in
    *iputils*) k=iputils p=$w; break;;
    *BusyBox*) k=busybox p=$w; break;;
  esac
done
"""

# cloud-init has its directory before sshd runs; without one it was not started, and waiting for it would never end.
_LOOK = (
    """
PATH=$PATH:/usr/sbin:/sbin
exec 2>/dev/null
if [ -d /run/cloud-init ] && command -v cloud-init >/dev/null; then
  timeout {wait_s} cloud-init status --wait >/dev/null </dev/null; echo "vrbench cloud-init $?"
fi
s=
if [ "$(id -u)" != 0 ]; then
  w=$(sudo -n true 2>&1) && s="sudo -n" || echo "vrbench sudo $(echo $w)"
fi
"""
    + FIND_PYTHON
    + """
if [ -n "$p" ]; then
  echo "vrbench python $p"
else
  echo "vrbench old $o"
"""
    + FIND_PING
    + """
  [ -n "$p" ] && echo "vrbench ping $p" && $s "$c" $a -c 1 127.0.0.1 </dev/null >/dev/null && echo "vrbench icmp 1"
  p=
fi
$s "${{p:-false}}" -c '
import socket
for kind in socket.SOCK_RAW, socket.SOCK_DGRAM:
    try:
        socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)
        print("vrbench icmp", int(kind))
        break
    except OSError:
        pass
' </dev/null
{{ $s sshd -T </dev/null || sshd -G </dev/null; }} |
  grep -i -e "^maxstartups " -e "^maxsessions " -e "^persourcepenalties " |
  sed "s/^/vrbench /"
for f in $($s sshd -T </dev/null | sed -n "s/^hostkey //p" | sed "s/$/.pub/") /etc/ssh/ssh_host_*_key.pub; do
  read -r k w _ <"$f" && echo "vrbench hostkey-$k $w"
done
sshd -V 2>&1 </dev/null | grep -o "OpenSSH_[0-9]*[.][0-9]*" | head -n 1 | sed "s/^OpenSSH_/vrbench openssh /"
exit 0
"""
)


@dataclass(frozen=True, slots=True)
class Readiness:
    """What stands in the way of a trial (``unfit``, empty for nothing), and what may spoil its figures (``doubts``).

    While ``booting`` the guest may still change either. ``host_keys``: what the guest itself calls its own.
    """

    unfit: str = ""
    doubts: tuple[Caveat, ...] = ()
    booting: bool = False
    host_keys: tuple[str, ...] = ()


def look(remote: Remote, wait_s: float) -> Readiness:
    """Wait for the guest's cloud-init, at most ``wait_s``, then look around. Raises RemoteError."""
    done = remote.run(_LOOK.format(wait_s=max(1, math.ceil(wait_s))), timeout_s=max(1.0, wait_s) + LOOK_S)
    found: dict[str, str] = {}
    host_keys = []
    for line in done.out.decode(errors="replace").splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "vrbench":
            what, _, value = rest.partition(" ")
            found[what.lower()] = value.strip().lower()
            if what.startswith(HOST_KEY):
                host_keys.append(f"{what.removeprefix(HOST_KEY)} {value.strip()}")
    return replace(judge(found), host_keys=tuple(dict.fromkeys(host_keys)))


def judge(found: Mapping[str, str]) -> Readiness:
    """Say what the answers of a look mean."""
    booting = found.get("cloud-init") == TIMED_OUT
    if "python" not in found and "ping" not in found:
        old = f" (only {found['old']})" if found.get("old") else ""
        lacks = f"has no Python 3.6 or later{old}, and no ping of iputils or BusyBox either: choose a template that has"
        return Readiness(lacks, booting=booting)
    if "icmp" not in found:
        sudo = f" (sudo says: {visible(found['sudo'])})" if found.get("sudo") else ""
        cure = "log in as root, allow sudo without a password, or set sysctl net.ipv4.ping_group_range='0 2147483647'"
        return Readiness(f"may not send ICMP{sudo}: {cure}", booting=booting)
    sessions = found.get("maxsessions", "")
    if sessions.isdigit() and int(sessions) < SESSIONS:
        cure = f"set MaxSessions to {SESSIONS} or more there, 10 is usual"
        return Readiness(f"allows only MaxSessions {sessions} on an SSH connection: {cure}", booting=booting)
    return Readiness(doubts=tuple(_doubts(found)), booting=booting)


def _doubts(found: Mapping[str, str]) -> Iterable[Caveat]:
    cloud_init = found.get("cloud-init", "0")
    if cloud_init == TIMED_OUT:
        yield Caveat(CaveatKind.BOOT_DOUBTFUL, "cloud-init had not finished")
    elif cloud_init != "0":
        yield Caveat(CaveatKind.BOOT_DOUBTFUL, "cloud-init reports errors")
    limits = tuple(_limits(found))
    if limits:
        yield Caveat(CaveatKind.SSHD_LIMITS, ", ".join(limits))


def _limits(found: Mapping[str, str]) -> Iterable[str]:
    """Say what of sshd's settings turns banner probes away; where they can't be read, its version's defaults."""
    startups = found.get("maxstartups", "")
    first = startups.partition(":")[0]
    if first.isdigit() and int(first) < ENOUGH_STARTUPS:
        yield f"MaxStartups {startups}"
    version = tuple(int(n) for n in found.get("openssh", "0").split("."))
    if "persourcepenalties" in found:
        if found["persourcepenalties"] != "no":
            yield "PerSourcePenalties is on"
    elif version >= PENALTIES_SINCE and "maxstartups" not in found:
        yield f"OpenSSH {found['openssh']} has PerSourcePenalties on by default, and its settings can't be read"


def noted(readiness: Mapping[str, Readiness]) -> tuple[Caveat, ...]:
    """Return the doubts of all guests, each once, with the guests that it concerns."""
    concerned: dict[Caveat, list[str]] = {}
    for guest, ready in readiness.items():
        for doubt in ready.doubts:
            concerned.setdefault(doubt, []).append(guest)
    return tuple(Caveat(d.kind, f"{', '.join(guests)}: {d.detail}") for d, guests in concerned.items())
