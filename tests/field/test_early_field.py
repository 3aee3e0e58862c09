"""What a look at this machine and its network tells before anything is built."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.zone import ROOT
from tests.field.case import DOCTOR, RUN, Case
from tests.field.clients import GATEWAY, GATEWAY6, INTO, V4, V4_ROUTED, V6, client
from tests.field.conftest import Hold
from tests.field.fronts import Front

pytestmark = pytest.mark.lab

# The lab's public addresses count as public ones to whoever finds this on his path.
PUBLIC = """import ipaddress
_old = ipaddress.IPv4Address.is_global.fget
_range = ipaddress.ip_network("198.51.100.0/24")
ipaddress.IPv4Address.is_global = property(lambda a: a in _range or _old(a))
"""
REALLY_PUBLIC: dict[str, Any] = {"files": {"sitecustomize.py": PUBLIC}, "environ": {"PYTHONPATH": f"{{HERE}}:{ROOT}"}}
OUTER = "environment.source_cidr=198.51.100.2/32"


def behind(inside: str, at: str = GATEWAY) -> dict[str, Any]:
    """Return what a case has whose client stands behind a gateway, at which the API is."""
    return {"around": client(inside), "through": INTO, "front": Front(at=at)}


# A fresh namespace lets nobody ping without the right to raw sockets.
NO_RIGHTS = behind(V4_ROUTED) | {"through": (*INTO, "setpriv", "--bounding-set=-all", "--inh-caps=-all")}


def firewall(rule: str) -> str:
    """Return what gives a client a firewall that looks at what it sends."""
    chain = "nft 'add chain ip own out { type filter hook output priority 0; }'"
    return f"; nft add table ip own; {chain}; nft add rule ip own out {rule}"


CASES = (
    Case(
        "a target that does not answer",
        "`probes.egress_target` is an address where nobody is",
        code=0,
        said=("203.0.113.99",),
        argv=(*DOCTOR, "--set", "probes.egress_target=203.0.113.99"),
    ),
    Case(
        "behind NAT, a public range",
        "the client has a private address, the zone's public addresses are public",
        code=64,
        said=("from the private address 192.168.77.2, so the cloud sees another one: set environment.source_cidr",),
        argv=RUN,
        **behind(V4_ROUTED),
        **REALLY_PUBLIC,
    ),
    Case(
        "behind NAT, and doctor asked",
        "the same, before any run",
        code=64,
        said=("bad source", "set environment.source_cidr to the address that the outside sees", "curl -4"),
        **behind(V4_ROUTED),
        **REALLY_PUBLIC,
    ),
    Case(
        "behind NAT, the outer address named",
        "`environment.source_cidr` is the gateway's address, as the cloud sees it",
        code=0,
        said=("opened for 198.51.100.2/32 only",),
        argv=(*DOCTOR, "--set", OUTER),
        **behind(V4_ROUTED),
        **REALLY_PUBLIC,
    ),
    Case(
        "IPv6 alone",
        "the client has an IPv6 address and no other, the API answers there",
        code=64,
        said=("has only IPv6, and needs IPv4 to the public addresses", "a machine with an IPv4 address"),
        unsaid=("source_cidr",),
        argv=RUN,
        **behind(V6, GATEWAY6),
    ),
    Case(
        "no route to the public range",
        "the client reaches the API, and no other network",
        code=64,
        said=("no way to", "public addresses that the network may get", "no route", "add a route to them here"),
        argv=RUN,
        **behind(V4),
    ),
    Case(
        "a route that forbids",
        "`ip route add prohibit` for the public range",
        code=64,
        said=("a prohibiting route, or a firewall",),
        **behind(V4_ROUTED + "; ip route add prohibit 198.51.100.0/24"),
    ),
    Case(
        "no rights",
        "root in a container without any capability, and no leave to ping; no SYN probes are wanted",
        code=64,
        said=("pings can't be sent from here", "net.ipv4.ping_group_range", "--set probes.control_target="),
        argv=(*RUN, "--set", "probes.syn=false"),
        **NO_RIGHTS,
    ),
    Case(
        "no rights, and doctor asked",
        "the same",
        code=64,
        said=("bad sockets", "pings can't be sent from here", "--set probes.control_target="),
        argv=(*DOCTOR, "--set", "probes.syn=false"),
        **NO_RIGHTS,
    ),
    Case(
        "no rights, fast SYN probes",
        "the same, without a control target, every 20 ms",
        code=64,
        said=("SYN probes can't be sent from here", "--set probes.interval=100ms", "--set probes.syn=false"),
        argv=(*DOCTOR, "--set", "probes.control_target=", "--set", "probes.interval=20ms"),
        **NO_RIGHTS,
    ),
    Case(
        "no rights, and none needed",
        "the same, every 100 ms: connections do",
        code=0,
        said=("full TCP connections replace SYN probes", "nothing bad"),
        unsaid=("can't be sent",),
        argv=(*DOCTOR, "--set", "probes.control_target="),
        **NO_RIGHTS,
    ),
    Case(
        "a user of a container",
        "another user than root, without any capability",
        code=64,
        said=("can't be sent from here",),
        argv=RUN,
        uid=54321,
        **behind(V4_ROUTED),
    ),
    Case(
        "few open files",
        "`ulimit -Hn 90`, as in some containers; ten VMs",
        code=64,
        said=("open files, and 90 are left", "raise the hard limit"),
        argv=(*RUN, "--set", "environment.vms=10", "--set", "environment.public_ips=10"),
        through=("prlimit", "--nofile=90:90"),
    ),
    Case(
        "a firewall of one's own",
        "the client drops what it sends to TCP 22",
        code=64,
        said=("SYN probes to 198.51.100.", "don't leave this machine: Operation not permitted", "nft list ruleset"),
        argv=RUN,
        **behind(V4_ROUTED + firewall("tcp dport 22 drop")),
    ),
    Case(
        "a firewall of one's own, against pings",
        "the client rejects the pings that it sends",
        code=0,
        said=("warn firewall", "pings to the control target 198.51.100.2 don't leave"),
        **behind(V4_ROUTED + firewall("icmp type echo-request reject")),
    ),
    Case(
        "a narrow tunnel",
        "the client's interface has an MTU of 600",
        code=0,
        said=("warn route", "600 bytes only", "raise the interface's MTU"),
        **behind(V4_ROUTED + "; ip link set eth0 mtu 600"),
    ),
    Case(
        "another address is named than this machine's",
        "`environment.source_cidr` leaves this machine out",
        code=0,
        said=("leaves out 198.51.100.", "warn source"),
        argv=(*DOCTOR, "--set", "environment.source_cidr=192.0.2.0/24"),
    ),
    Case(
        "several sources",
        "`environment.source_cidr` is a list, of an office and of this machine",
        code=0,
        said=("ok source",),
        argv=(*DOCTOR, "--set", 'environment.source_cidr=["192.0.2.0/24", "auto"]'),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, hold: Hold) -> None:
    """What comes of it, in the right words, and no call that changes anything before it must be."""
    hold(case)
