"""One router of two: keepalived decides which is primary, conntrackd keeps the other informed of its connections.

On the guest network keepalived advertises once a second (VRRP 2, authenticated, protocol 51). A backup that has heard
nothing for three seconds and its skew (256 - priority, in 256ths of a second) becomes primary: it takes the gateways'
addresses, announces them, and its notify script does the rest as CloudStack's does: public links up, default route,
public addresses announced, the connections that conntrackd knows committed to the kernel, dnsmasq started. (It is told
by a pipe: what keepalived starts itself gives up its groups, which a user namespace does not allow.) Whoever is not
primary has its public links down, although its public addresses stand ready on them, the same as its peer's.
These timers are the protocol's own: the lab's time scale does not touch them.

``nopreempt``: a router that comes back finds a primary and stays backup. One that hears no advertisements although
there are some (``deaf``) becomes primary beside the other: the split brain. One whose keepalived ends in good order
(``release``) says so with a last advertisement of priority 0, and its peer takes over after the skew alone.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vrbench.lab.ground.port import GroundError, RedundancyState
from vrbench.lab.ground.specs import GuestLeg, Vrrp
from vrbench.lab.system.namespaces import run
from vrbench.lab.system.processes import python_command, start_time

ADVERTISEMENT_S = 1
VIRTUAL_ROUTER = 51
_SYNC_GROUP = "225.0.0.50"  # and port 3780, on the first guest network
_VRRP_GROUP = "224.0.0.18"
_DAEMON_TIMEOUT_S = 30.0
_SYNC_TIMEOUT_S = 3.0
_STATES: dict[str, RedundancyState] = {"PRIMARY": "PRIMARY", "BACKUP": "BACKUP", "FAULT": "FAULT"}
_ACTIVE = re.compile(r"cache (internal|external):\s+current active connections:\s+(\d+)")

_KEEPALIVED = """\
global_defs {{
  router_id {node}
  vrrp_notify_fifo {directory}/notify.fifo
}}
vrrp_instance inside_network {{
  state BACKUP
  interface {interface}
  virtual_router_id {virtual_router}
  nopreempt
  priority {priority}
  advert_int {advertisement}
  authentication {{
    auth_type AH
    auth_pass WORD
  }}
  virtual_ipaddress {{
{addresses}
  }}
}}
"""

_CONNTRACKD = """\
Sync {{
  Mode FTFW {{
    DisableExternalCache Off
    CommitTimeout 1800
    PurgeTimeout 5
  }}
  Multicast {{
    IPv4_address {group}
    Group 3780
    IPv4_interface {own_ip}
    Interface {interface}
    Checksum on
  }}
}}
General {{
  HashSize 32768
  HashLimit 131072
  LogFile {directory}/conntrackd.log
  Syslog off
  LockFile {directory}/conntrackd.lock
  UNIX {{
    Path {directory}/conntrackd.ctl
  }}
  NetlinkBufferSize 2097152
  NetlinkBufferSizeMaxGrowth 8388608
  Filter From Userspace {{
    Protocol Accept {{
      TCP
      UDP
      ICMP
    }}
    Address Ignore {{
{ignored}
    }}
  }}
}}
"""

_HEAR_ALL = "table ip deaf\ndelete table ip deaf\n"
_HEAR_NO_PEER = """\
table ip deaf {
  chain in {
    type filter hook input priority -300;
    ip protocol { 51, 112 } drop
  }
}
"""

# Reads what keepalived says, one transition at a time: INSTANCE "inside_network" MASTER|BACKUP|FAULT|STOP PRIORITY.
# (It says more, such as that a primary has met a lesser one; that changes nothing here.)
_NOTIFY = """\
#!/bin/sh
cd {directory} || exit 1
exec 0<>notify.fifo >>notify.log 2>&1
tell() {{ echo "$1" >state.new && mv state.new state; }}
commit() {{ conntrackd -C conntrackd.conf -c; conntrackd -C conntrackd.conf -f; }}
links() {{ ip -batch primary.ip; {announce} & }}
retire() {{ ip -batch backup.ip; {stop_dns}; }}
while read -r _ _ became _; do
  echo "$(date +%s.%N) $became"
  case "$became" in
  MASTER)
    {take_over}
    conntrackd -C conntrackd.conf -R; conntrackd -C conntrackd.conf -B
    {stop_dns}; {start_dns}
    tell PRIMARY ;;
  BACKUP)
    retire
    conntrackd -C conntrackd.conf -t; conntrackd -C conntrackd.conf -n
    tell BACKUP ;;
  STOP) retire; tell BACKUP ;;
  FAULT) retire; tell FAULT ;;
  esac
done
"""


@dataclass(frozen=True, slots=True)
class Redundancy:
    """keepalived and conntrackd of one router, their files in ``directory``."""

    node: str
    directory: Path

    def write(self, texts: dict[str, str]) -> bool:
        """Write the files, by name; return whether keepalived's own has changed."""
        self.directory.mkdir(parents=True, exist_ok=True)
        known = self.directory / "keepalived.conf"
        changed = known.exists() and known.read_text(encoding="ascii") != texts["keepalived.conf"]
        for name, text in texts.items():
            file = self.directory / (name + ".new")
            file.write_text(text, encoding="ascii")
            file.replace(self.directory / name)
        return changed

    def running(self) -> bool:
        """Return whether keepalived runs."""
        return self._keepalived() is not None

    def start(self) -> None:
        """Start conntrackd, who does what keepalived says, and keepalived: the router takes its place as backup."""
        d = self.directory
        if not (d / "notify.fifo").exists():
            self._enter(f"conntrackd -C {d}/conntrackd.conf -d")
            os.mkfifo(d / "notify.fifo", 0o600)
            self._enter(f"sh {d}/notify.sh &")
        pids = f"-p {d}/keepalived.pid -r {d}/vrrp.pid"
        self._enter(f"keepalived -n -l -D --vrrp -f {d}/keepalived.conf {pids} </dev/null >>{d}/keepalived.log 2>&1 &")

    def reload(self) -> None:
        """Make keepalived read its configuration again."""
        if (pid := self._keepalived()) is not None:
            os.kill(pid, signal.SIGHUP)

    def release(self) -> None:
        """End keepalived in good order, conntrackd stays; returns when its peer has been told and all is done."""
        pid = self._keepalived()
        if pid is None:
            return
        began = start_time(pid)
        os.kill(pid, signal.SIGTERM)
        self._until(lambda: start_time(pid) != began and self.state() != "PRIMARY", "does not end")

    def deafen(self, deaf: bool) -> None:
        """Let no advertisement in, or all again."""
        script = _HEAR_ALL + (_HEAR_NO_PEER if deaf else "")
        run(["nsenter", f"--net=/run/netns/{self.node}", "nft", "-f", "-"], script)

    def state(self) -> RedundancyState:
        """Return the state as the notify script wrote it when its last transition was done."""
        with suppress(FileNotFoundError):
            said = (self.directory / "state").read_text(encoding="ascii").strip()
            return _STATES.get(said, "UNKNOWN")
        return "UNKNOWN"

    def connections(self, cache: str) -> int:
        """Return how many connections conntrackd knows: its own ("internal"), or its peer's ("external")."""
        said = run(["nsenter", f"--net=/run/netns/{self.node}", "conntrackd", "-C", str(self._conntrackd), "-s"])
        return int(dict(_ACTIVE.findall(said)).get(cache, "0"))

    def synchronise(self, peer: Redundancy) -> None:
        """Ask for all connections; returns when there are as many here as the peer had, or no more come.

        Waits until keepalived has taken its place: before that it would not hear its peer's last advertisement.
        """
        self._until(lambda: self.state() != "UNKNOWN", "takes no place")
        wanted, seen, since = peer.connections("internal"), -1, time.monotonic()
        self._enter(f"conntrackd -C {self._conntrackd} -n")
        while (count := self.connections("external")) < wanted and time.monotonic() - since < _SYNC_TIMEOUT_S:
            if count != seen:
                seen, since = count, time.monotonic()
            time.sleep(0.02)

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + _DAEMON_TIMEOUT_S
        while not condition():
            if time.monotonic() > deadline:
                raise GroundError(f"keepalived of {self.node} {otherwise}; see {self.directory}/keepalived.log")
            time.sleep(0.005)

    @property
    def _conntrackd(self) -> Path:
        return self.directory / "conntrackd.conf"

    def _keepalived(self) -> int | None:
        with suppress(FileNotFoundError, ValueError):
            pid = int((self.directory / "keepalived.pid").read_text(encoding="ascii"))
            return pid if start_time(pid) is not None else None
        return None

    def _enter(self, line: str) -> None:
        run(["nsenter", f"--net=/run/netns/{self.node}", "sh", "-c", line])


def keepalived_conf(node: str, directory: Path, vrrp: Vrrp, legs: Sequence[GuestLeg], interfaces: Sequence[str]) -> str:
    """Return keepalived.conf: one instance on the first guest network, the gateways of all as its addresses."""
    addresses = [f"    {leg.gateway}/{leg.prefix} dev {name}" for leg, name in zip(legs, interfaces, strict=True)]
    return _KEEPALIVED.format(
        node=node,
        interface=interfaces[0],
        virtual_router=VIRTUAL_ROUTER,
        priority=vrrp.priority,
        advertisement=ADVERTISEMENT_S,
        addresses="\n".join(addresses),
        directory=directory,
    )


def conntrackd_conf(directory: Path, legs: Sequence[GuestLeg], interfaces: Sequence[str]) -> str:
    """Return conntrackd.conf: all connections but the routers' own, shared over the first guest network."""
    ignored = ("127.0.0.1", _SYNC_GROUP, _VRRP_GROUP, *(leg.own_ip for leg in legs))
    return _CONNTRACKD.format(
        group=_SYNC_GROUP,
        own_ip=legs[0].own_ip,
        interface=interfaces[0],
        directory=directory,
        ignored="\n".join(f"      IPv4_address {ip}" for ip in ignored),
    )


def notify_script(directory: Path, vrrp: Vrrp, start_dns: str, stop_dns: str) -> str:
    """Return notify.sh in CloudStack's order or, with ``commit_first``, in that which loses no connection."""
    return _NOTIFY.format(
        directory=directory,
        announce=shlex.join(python_command("vrbench.lab.packets.arp", f"{directory}/announce")),
        take_over="commit; links" if vrrp.commit_first else "links; commit",
        start_dns=start_dns,
        stop_dns=stop_dns,
    )
