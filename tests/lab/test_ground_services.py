"""What a router serves: addresses by DHCP, names by DNS; gone with the router, back when it is programmed."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.box import BRIEFLY_S, PATIENCE_S, answers, build, call, in_box, open_rules, vm, wait_until
from vrbench.lab.ground.port import GroundError
from vrbench.lab.ground.specs import Host, RuleSet, VmSpec
from vrbench.lab.packets.dhcp import message, parse
from vrbench.lab.packets.namespace_ground import EGRESS_TARGET, NamespaceGround
from vrbench.lab.system.namespaces import inside, run

pytestmark = pytest.mark.lab


def leased(number: int) -> VmSpec:
    return replace(vm(number), leased=True)


def served(*vms: VmSpec) -> RuleSet:
    """Return the usual rules, and these VMs known to DHCP and DNS."""
    hosts = tuple(Host(each.name, each.ip, each.mac) for each in vms)
    return replace(open_rules(), hosts=hosts, domain="cs2.example")


def resolve(node: str, name: str, within_s: float = PATIENCE_S, server: str = "10.1.1.1") -> str | None:
    """Return the address that the router gives for a name: empty when it says there is none, None in silence."""
    labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
    query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)

    def ask() -> str | None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            wire.settimeout(within_s)
            wire.connect((server, 53))
            wire.send(query)
            try:
                answer = wire.recv(512)
            except (TimeoutError, ConnectionRefusedError):
                return None
        return socket.inet_ntoa(answer[-4:]) if struct.unpack_from("!H", answer, 6)[0] else ""

    return inside(node, ask)


def addresses(node: str) -> str:
    return run(["ip", "-n", node, "-4", "-br", "address", "show", "dev", "eth0"])


def test_a_guest_gets_its_address_and_resolver_by_dhcp() -> None:
    """Address, default route and resolv.conf as the router grants them, by the time its SSH server listens."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, rules=served(leased(1)))
        zone.add_vm(leased(1))
        assert "10.1.1.11/24" in addresses("vm-1-net")
        assert answers("vm-1-net", EGRESS_TARGET)
        pid = Path("/run/vrlab/vm/vm-1-net/pid").read_text()
        seen = run(["nsenter", f"--target={pid}", "--mount", "cat", "/etc/resolv.conf"])
        assert seen == "search cs2.example\nnameserver 10.1.1.1\n"

    in_box(scene)


def test_a_guest_without_an_answer_boots_and_asks_on() -> None:
    """Nobody knows it: it comes up without an address; as soon as the router does, it has one."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, rules=RuleSet())
        zone.add_vm(leased(1))
        assert "10.1.1.11" not in addresses("vm-1-net")
        zone.program_router("r-1-VM", served(leased(1)))
        assert wait_until(lambda: "10.1.1.11/24" in addresses("vm-1-net"))

    in_box(scene)


def test_a_lost_lease_is_asked_for_again() -> None:
    """Without its address the guest reaches nothing; renewed, it is back; renewed without a router is an error."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, rules=served(leased(1)))
        zone.add_vm(leased(1))
        zone.drop_lease("vm-1-net")
        assert not answers("vm-1-net", EGRESS_TARGET, BRIEFLY_S)
        zone.renew_lease("vm-1-net")
        assert answers("vm-1-net", EGRESS_TARGET)
        zone.stop_router("r-1-VM")
        with pytest.raises(GroundError, match="no lease"):
            zone.renew_lease("vm-1-net")

    in_box(scene)


def test_names_are_known_inside_and_asked_for_outside() -> None:
    """The network's hosts with domain and without; a name of the domain that nobody has; the outside world's names."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1), rules=served(vm(1), vm(2)))
        assert resolve("vm-1-net", "vm-2-net") == "10.1.1.12"
        assert resolve("vm-1-net", "vm-2-net.cs2.example") == "10.1.1.12"
        assert resolve("vm-1-net", "nobody.cs2.example") == ""
        assert resolve("vm-1-net", "www.example.com") == EGRESS_TARGET
        zone.program_router("r-1-VM", served(vm(1), vm(2), vm(3)))
        assert wait_until(lambda: resolve("vm-1-net", "vm-3-net", 1.0) == "10.1.1.13")

    in_box(scene)


def test_names_go_with_the_router_and_come_back_when_it_is_programmed() -> None:
    """Silence while it is off and while it is not programmed yet."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1), rules=served(vm(1)))
        zone.stop_router("r-1-VM")
        assert resolve("vm-1-net", "vm-1-net", 0.3) is None
        zone.start_router("r-1-VM")
        assert resolve("vm-1-net", "vm-1-net", 0.3) is None
        zone.program_router("r-1-VM", served(vm(1)))
        assert resolve("vm-1-net", "vm-1-net") == "10.1.1.11"

    in_box(scene)


def test_services_restart_in_place() -> None:
    """Another process serves afterwards, and packets went on: the guest's neighbour entry is the same."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1), rules=served(vm(1)))
        before = Path("/run/vrlab/router/r-1-VM/dnsmasq.pid").read_text()
        zone.restart_services("r-1-VM")
        assert Path("/run/vrlab/router/r-1-VM/dnsmasq.pid").read_text() != before
        assert resolve("vm-1-net", "vm-1-net") == "10.1.1.11"
        assert answers("vm-1-net", EGRESS_TARGET)

    in_box(scene)


def test_a_router_that_stops_leaves_no_process() -> None:
    """Its dnsmasq ends with it, and so does whatever else runs in its network."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, rules=served(vm(1)))
        pids = run(["ip", "netns", "pids", "r-1-VM"]).split()
        assert pids
        zone.stop_router("r-1-VM")
        assert wait_until(lambda: not any(alive(pid) for pid in pids))

    in_box(scene)


def alive(pid: str) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_neighbours_age_as_in_a_fresh_linux() -> None:
    """Whatever this machine is set to: half a minute reachable, a second between repeats, five before asking."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1))
        names = ("base_reachable_time_ms", "retrans_time_ms", "delay_first_probe_time", "gc_stale_time")
        shown = call("vm-1-net", "sysctl", "-n", *(f"net.ipv4.neigh.eth0.{name}" for name in names)).stdout.split()
        assert shown == ["30000", "1000", "5", "60"]

    in_box(scene)


def test_only_a_servers_answer_to_this_question_counts() -> None:
    """Another number, a client's own message or noise is no offer."""
    question = message(1, 77, "02:00:00:00:00:01", "vm")
    assert parse(question, 77, 1) is not None
    assert parse(question, 78, 1) is None
    assert parse(question, 77, 2) is None
    assert parse(b"\0" * 300, 0, 1) is None
    assert parse(b"", 77, 1) is None
