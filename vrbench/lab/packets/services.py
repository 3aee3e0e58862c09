"""What a virtual router serves beside forwarding: dnsmasq, which gives its guests their addresses and answers names.

As CloudStack configures it: every guest has a fixed address by its MAC, the gateway is router and resolver, the
network's own names are answered here and all others by the resolver outside. On a redundant router it runs on the
primary only, started and ended by keepalived's notify script (redundancy.py), which uses the same two lines of shell.

dnsmasq runs in its debugging mode: any other mode gives up its groups, which a user namespace does not allow.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vrbench.lab.ground.port import GroundError
from vrbench.lab.ground.specs import GuestLeg, Host
from vrbench.lab.system.namespaces import inside, run

ROUTER_DIR = Path("/run/vrlab/router")
LEASE = "30d"
_DNS_PORT = 53
_START_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Dnsmasq:
    """The dnsmasq of one node, its files in ``directory``. Text comes from pure functions below; here it is run."""

    node: str
    directory: Path

    @property
    def start_line(self) -> str:
        """The shell line that starts it, in the node's network namespace."""
        d = self.directory
        return f"dnsmasq -d -C {d}/dnsmasq.conf </dev/null >>{d}/dnsmasq.log 2>&1 & echo $! >{d}/dnsmasq.pid"

    @property
    def stop_line(self) -> str:
        """The shell line that ends it, running or not."""
        pid = f"{self.directory}/dnsmasq.pid"
        return f"test -f {pid} && kill -9 $(cat {pid}) 2>/dev/null; rm -f {pid}"

    def configure(self, text: str) -> bool:
        """Write dnsmasq.conf; whether it is another than before (and dnsmasq must be started anew to know)."""
        self.directory.mkdir(parents=True, exist_ok=True)
        file = self.directory / "dnsmasq.conf"
        if file.exists() and file.read_text(encoding="ascii") == text:
            return False
        file.write_text(text, encoding="ascii")
        return True

    def write_hosts(self, hosts: Iterable[Host]) -> bool:
        """Write down the guests it knows; return whether these are others than before."""
        self.directory.mkdir(parents=True, exist_ok=True)
        known = tuple(hosts)
        texts = {
            "dhcp-hosts": "".join(f"{host.mac},{host.ip},{host.name},{LEASE}\n" for host in known),
            "hosts": "".join(f"{host.ip} {host.name}\n" for host in known),
        }
        changed = False
        for name, text in texts.items():
            file = self.directory / name
            if not file.exists() or file.read_text(encoding="utf-8") != text:
                file.write_text(text, encoding="utf-8")
                changed = True
        return changed

    def running(self) -> bool:
        """Return whether it has been started and not ended."""
        return (self.directory / "dnsmasq.pid").exists()

    def start(self) -> None:
        """Start it; returns when it listens."""
        run(["nsenter", f"--net=/run/netns/{self.node}", "sh", "-c", self.start_line])
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not inside(self.node, _anyone_answers_names):
            if time.monotonic() > deadline:
                said = (self.directory / "dnsmasq.log").read_text(encoding="utf-8", errors="replace")
                raise GroundError(f"dnsmasq of {self.node} does not answer; it said:\n{said[-1000:]}")
            time.sleep(0.002)

    def stop(self) -> None:
        """End it at once."""
        run(["sh", "-c", f"{self.stop_line}; :"])

    def reload(self) -> None:
        """Make it read its hosts again."""
        with suppress(FileNotFoundError, ValueError, ProcessLookupError):
            os.kill(int((self.directory / "dnsmasq.pid").read_text(encoding="ascii")), signal.SIGHUP)


def configuration(
    directory: Path, legs: Sequence[GuestLeg], interfaces: Sequence[str], domain: str, resolver: str
) -> str:
    """Return dnsmasq.conf for a router with these legs, which asks ``resolver`` about names outside."""
    lines = ["user=root", "no-resolv", "no-hosts", "except-interface=lo", f"server={resolver}", "dhcp-authoritative"]
    lines += [f"dhcp-leasefile={directory}/leases", f"dhcp-hostsfile={directory}/dhcp-hosts"]
    lines += [f"addn-hosts={directory}/hosts"]
    if domain:
        lines += [f"domain={domain}", f"local=/{domain}/", "expand-hosts"]
    for leg, interface in zip(legs, interfaces, strict=True):
        network = ipaddress.ip_interface(f"{leg.gateway}/{leg.prefix}").network
        lines += [
            f"interface={interface}",
            f"dhcp-range=set:{interface},{network.network_address},static,{network.netmask},{LEASE}",
            f"dhcp-option=tag:{interface},option:router,{leg.gateway}",
            f"dhcp-option=tag:{interface},option:dns-server,{leg.gateway}",
        ]
    return "".join(line + "\n" for line in lines)


def outside_configuration(addresses: Sequence[str], answer: str) -> str:
    """Return dnsmasq.conf for the outside world's resolver: every name there is leads to ``answer``."""
    listen = [f"listen-address={address}" for address in addresses]
    lines = ["user=root", "no-resolv", "no-hosts", "bind-interfaces", *listen, f"address=/#/{answer}"]
    return "".join(line + "\n" for line in lines)


def _anyone_answers_names() -> bool:
    port = f":{_DNS_PORT:04X}"
    with open("/proc/thread-self/net/udp", encoding="ascii") as table:
        return any(line.split()[1].endswith(port) for line in table.readlines()[1:])
