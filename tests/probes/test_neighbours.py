"""Neighbour entries as the guest's kernel tells of them: real interfaces, real ARP."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.probes.box import Box
from tests.probes.rig import Agent, Logged, read_log, stream, wait_for
from tests.probes.test_agent import INTERPRETERS
from vrbench.core.log.rawlog import RecordKind
from vrbench.probes import arp_responders, neighbours

ROUTER, NEW_MAC = "10.1.1.1", "02:00:00:00:99:01"
FAILED, RESOLVED = 0x20, 0x02 | 0x04 | 0x08 | 0x10  # reachable, stale, delay, probe


def macs(logged: Logged) -> list[str]:
    """Return the addresses at which the gateway was believed to be, in turn."""
    found = [f"{r.detail << 32 | r.slot:012x}" for r in logged.records if r.kind is RecordKind.NEIGHBOUR_MAC]
    return [mac for i, mac in enumerate(found) if i == 0 or found[i - 1] != mac]


def states(logged: Logged) -> list[int]:
    return [r.detail for r in logged.records if r.kind is RecordKind.NEIGHBOUR]


def move(box: Box, mac: str) -> None:
    """Give the router another address on the guests' side, and tell them."""
    box.sh("router", f"ip link set br0 address {mac}; arping -q -c1 -w1 -A -I br0 {ROUTER}")


@pytest.mark.lab
@pytest.mark.parametrize("python", INTERPRETERS)
def test_a_new_gateway_is_seen_when_it_announces_itself(box: Box, tmp_path: Path, python: str) -> None:
    """The log begins with the entry as it is, and has the new address before two more probes have left."""
    agent = Agent(box, tmp_path, run_by=(python,))
    agent.configure(stream("gateway"))
    box.run("guest0", "ping", "-c1", "-W2", ROUTER)
    before = box.run("router", "cat", "/sys/class/net/br0/address").strip()
    agent.start()
    wait_for(lambda: macs(read_log(agent.log)) == [before.replace(":", "")], "the first entry")
    first = time.monotonic_ns()
    move(box, NEW_MAC)
    last = time.monotonic_ns()
    wait_for(lambda: len(macs(read_log(agent.log))) == 2, "the new entry")
    logged = agent.stop()
    move(box, before)
    assert macs(logged)[1] == NEW_MAC.replace(":", "")
    (changed,) = [r.t_ns for r in logged.records if f"{r.detail << 32 | r.slot:012x}" == macs(logged)[1]][:1]
    assert first < changed
    assert len([at for at in logged.sent_ns().values() if last < at < changed]) <= 2
    assert logged.header.streams[0].stream.target == ROUTER
    assert all(r.slot == 0x0A010101 for r in logged.records if r.kind is RecordKind.NEIGHBOUR)


@pytest.mark.lab
def test_a_gateway_that_nobody_answers_for_fails(box: Box, tmp_path: Path) -> None:
    """Once the router is off the wire and the entry forgotten, the log says so."""
    agent = Agent(box, tmp_path)
    agent.configure(stream("gateway"))
    agent.start()
    wait_for(lambda: any(s & RESOLVED for s in states(read_log(agent.log))), "an entry")
    box.sh("router", "sysctl -qw net.ipv4.conf.all.arp_ignore=1; ip link set g0 nomaster")
    box.sh("guest0", f"ip neigh del {ROUTER} dev eth0")
    wait_for(lambda: bool(states(read_log(agent.log))[-1] & FAILED), "failure")
    box.sh("router", "ip link set g0 master br0")
    wait_for(lambda: bool(states(read_log(agent.log))[-1] & RESOLVED), "recovery")
    agent.stop()


@pytest.mark.lab
def test_everybody_who_answers_for_the_gateway_is_found(box: Box) -> None:
    """One address for one router, two for two; the guest's own entry stays as it is when it is just confirmed."""

    def claimed() -> list[str]:
        with box.inside("guest0"):
            return arp_responders.claimants(*neighbours.default_route())

    mac = box.run("router", "cat", "/sys/class/net/br0/address").strip()
    assert claimed() == [mac]
    second = f"ip link set eth0 address {NEW_MAC} up; ip address add {ROUTER}/24 dev eth0"
    # A bridge takes the lowest address of its ports: by chance one of these would change the first router's.
    port = "ip -n router link add s0 address fe:ff:ff:ff:ff:fe type veth peer name eth0 netns second"
    box.sh(None, f"ip netns add second; {port}")
    try:
        box.sh("router", "ip link set s0 master br0 up")
        box.sh("second", second)
        wait_for(lambda: claimed() == sorted([mac, NEW_MAC]), "both")
    finally:
        box.sh(None, "ip netns del second")


def test_without_a_gateway_nobody_is_asked() -> None:
    """No route, no question."""
    assert arp_responders.claimants("", "") == []


def test_without_a_gateway_its_stream_is_not_probed() -> None:
    """A stream to the gateway is left out where there is none; the others stay."""
    streams = [{"target": "gateway"}, {"target": "192.0.2.1"}]
    assert neighbours.resolved(streams, "") == [{"target": "192.0.2.1"}]
    assert neighbours.resolved(streams, "10.1.1.1") == [{"target": "10.1.1.1"}, {"target": "192.0.2.1"}]


def test_messages_that_are_no_neighbour_entries_are_passed_over() -> None:
    """Cut short, empty, of another kind or family: nothing is found, nothing raised."""
    done = neighbours._MESSAGE.pack(20, 3, 2, 1, 0) + b"\0" * 4
    ipv6 = neighbours._MESSAGE.pack(28, 28, 0, 1, 0) + neighbours._ENTRY.pack(10, 0, 0, 2, 2, 0, 1)
    for messages in (b"", b"\0" * 40, done, ipv6, done[:10]):
        assert list(neighbours.entries(messages)) == []


def test_reading_this_machines_own_table_works() -> None:
    """Netlink answers without any right; what is not watched is not kept."""
    watched = neighbours.Neighbours(["192.0.2.255"])
    assert sys.platform == "linux"
    assert not watched.heard
