"""The ground under real packets: address translation, firewalls, router replacement, nodes kept apart."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.lab.box import (
    BRIEFLY_S,
    FORWARDED,
    PATIENCE_S,
    SOURCE_NAT,
    STATIC,
    answers,
    build,
    call,
    connects,
    in_box,
    make_key,
    open_rules,
    router,
    ssh,
    vm,
    wait_until,
)
from vrbench.lab.ground.port import GroundError
from vrbench.lab.ground.specs import FirewallRule, PortForward, PublicLeg, RuleSet
from vrbench.lab.packets.arp import gratuitous_arp
from vrbench.lab.packets.namespace_ground import CONTROL_TARGET, EGRESS_TARGET, NamespaceGround
from vrbench.lab.system.namespaces import inside, ip_batch, run

pytestmark = pytest.mark.lab


def seen_from(node: str) -> str:
    """Return the address that the outside world sees when ``node`` sends a datagram to it."""
    server = inside("upstream", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with server:
        server.bind((EGRESS_TARGET, 7))
        server.settimeout(PATIENCE_S)

        def send() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"x", (EGRESS_TARGET, 7))

        inside(node, send)
        return str(server.recvfrom(16)[1][0])


def test_a_new_router_forwards_nothing_until_programmed() -> None:
    """Started, a router answers for its guest-side address only; programmed, it lets guests out."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1), rules=RuleSet())
        assert answers("vm-1-net", "10.1.1.1")
        assert not answers("vm-1-net", EGRESS_TARGET, BRIEFLY_S)
        assert not answers("upstream", SOURCE_NAT, BRIEFLY_S)
        zone.program_router("r-1-VM", open_rules())
        assert answers("vm-1-net", EGRESS_TARGET)

    in_box(scene)


def test_egress_stays_closed_until_a_rule_opens_it() -> None:
    """Source NAT alone lets nobody out; a rule for one destination opens that one; a default-allow network is open."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1), rules=RuleSet((SOURCE_NAT,), SOURCE_NAT))
        assert not answers("vm-1-net", EGRESS_TARGET, BRIEFLY_S)
        one = FirewallRule(None, "icmp", ("10.1.1.0/24",), (f"{EGRESS_TARGET}/32",), icmp_type=8, icmp_code=0)
        zone.program_router("r-1-VM", RuleSet((SOURCE_NAT,), SOURCE_NAT, egress=(one,)))
        assert answers("vm-1-net", EGRESS_TARGET)
        assert not answers("vm-1-net", CONTROL_TARGET, BRIEFLY_S)
        zone.program_router("r-1-VM", RuleSet((SOURCE_NAT,), SOURCE_NAT, egress=(one,), egress_allowed_by_default=True))
        assert answers("vm-1-net", CONTROL_TARGET)
        assert not answers("vm-1-net", EGRESS_TARGET, BRIEFLY_S)

    in_box(scene)


def test_ssh_comes_in_where_a_rule_opens_it_and_nowhere_else(tmp_path: Path) -> None:
    """Port forwarding and static NAT lead to the right VM; without its firewall rule the address is silent."""
    key = make_key(tmp_path)

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1, key), vm(2, key))
        assert ssh(tmp_path, FORWARDED, "hostname").stdout == "vm-1-net\n"
        assert ssh(tmp_path, STATIC, "hostname").stdout == "vm-2-net\n"
        rules = open_rules()
        closed = RuleSet(rules.public_ips, rules.source_nat, rules.static_nat, rules.port_forwards)
        zone.program_router("r-1-VM", closed)
        for address in (FORWARDED, STATIC):
            assert not connects("upstream", address, 22, BRIEFLY_S)

    in_box(scene)


def test_the_firewall_looks_at_source_and_port() -> None:
    """A rule for the harness's address lets only that address in, and only to its ports."""

    def scene(zone: NamespaceGround) -> None:
        only = (FirewallRule(FORWARDED, "tcp", ("198.51.100.1/32",), ports=(22, 22)),)
        forward = PortForward(FORWARDED, "tcp", (22, 23), "10.1.1.11", (22, 23))
        build(zone, vm(1), rules=RuleSet((SOURCE_NAT, FORWARDED), SOURCE_NAT, port_forwards=(forward,), firewall=only))
        assert connects("upstream", FORWARDED, 22)
        assert not connects("neighbour", FORWARDED, 22, BRIEFLY_S)
        assert not connects("upstream", FORWARDED, 23, BRIEFLY_S)

    in_box(scene)


def test_a_shifted_port_range_leads_to_the_matching_port() -> None:
    """Public ports 2020-2022 forwarded to 20-22: only 2022 reaches sshd, the others are refused by the guest."""

    def scene(zone: NamespaceGround) -> None:
        shifted = PortForward(FORWARDED, "tcp", (2020, 2022), "10.1.1.11", (20, 22))
        rule = FirewallRule(FORWARDED, "tcp", ports=(2020, 2022))
        build(zone, vm(1), rules=RuleSet((FORWARDED,), SOURCE_NAT, port_forwards=(shifted,), firewall=(rule,)))
        assert connects("upstream", FORWARDED, 2022)
        with pytest.raises(ConnectionRefusedError):
            connects("upstream", FORWARDED, 2020)

    in_box(scene)


def test_who_answers_a_ping_to_a_public_address() -> None:
    """The router itself for a port-forwarded address (TTL 64), the VM for a static one (63), nobody when closed."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1), vm(2))
        assert "ttl=64" in call("upstream", "ping", "-c1", f"-W{PATIENCE_S}", FORWARDED).stdout
        assert "ttl=63" in call("upstream", "ping", "-c1", f"-W{PATIENCE_S}", STATIC).stdout
        assert not answers("upstream", SOURCE_NAT, BRIEFLY_S)

    in_box(scene)


def test_each_guest_leaves_by_its_own_address() -> None:
    """A VM with static NAT shows its own public address outside, the others the source-NAT address."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1), vm(2))
        assert seen_from("vm-1-net") == SOURCE_NAT
        assert seen_from("vm-2-net") == STATIC

    in_box(scene)


def test_two_networks_of_the_same_addresses_never_meet() -> None:
    """10.1.1.11 exists twice; each guest pings its own neighbour, and its absent ones stay absent."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1))
        zone.add_network("other")
        for number in (1, 2):
            zone.add_vm(vm(number, network="other"))
        assert answers("vm-1-other", "10.1.1.12")
        assert not answers("vm-1-net", "10.1.1.12", BRIEFLY_S)

    in_box(scene)


def test_a_second_router_of_the_same_addresses_takes_over() -> None:
    """Placed and started beside the first, with its public MAC; when the first stops, traffic goes by the second."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1))
        assert answers("vm-1-net", EGRESS_TARGET)
        zone.place_router(router("r-2-VM", mac="02:00:00:00:01:02"))
        assert answers("vm-1-net", EGRESS_TARGET)
        zone.start_router("r-2-VM")
        zone.program_router("r-2-VM", open_rules())
        zone.stop_router("r-1-VM")
        zone.announce_router("r-2-VM")
        assert answers("vm-1-net", EGRESS_TARGET)
        assert "02:00:00:00:01:02" in call("vm-1-net", "ip", "neigh", "show", "10.1.1.1").stdout
        zone.remove_router("r-1-VM")
        assert [node.name for node in zone.nodes() if node.kind == "router"] == ["r-2-VM"]

    in_box(scene)


def test_a_stopped_router_starts_again_with_nothing_remembered() -> None:
    """After a power cycle it is closed, as new; programmed again it works as before."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1))
        zone.stop_router("r-1-VM")
        assert not answers("vm-1-net", EGRESS_TARGET, BRIEFLY_S)
        zone.start_router("r-1-VM")
        assert not answers("vm-1-net", EGRESS_TARGET, BRIEFLY_S)
        zone.program_router("r-1-VM", open_rules())
        assert answers("vm-1-net", EGRESS_TARGET)
        zone.stop_router("r-1-VM")
        zone.stop_router("r-1-VM")

    in_box(scene)


def test_connection_tracking_dies_with_its_router_while_guests_live_on() -> None:
    """No guest's copy of the mount table keeps a removed router's namespace: its far cable end vanishes with it."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1))
        ip_batch(["link add canary type veth peer name perch netns r-1-VM"])
        zone.remove_router("r-1-VM")
        assert wait_until(lambda: "canary" not in {name for _, name in socket.if_nameindex()})

    in_box(scene)


def test_the_gratuitous_arp_updates_a_neighbour_at_once() -> None:
    """A router announces a new address as it is programmed; whoever knew an old MAC for it learns the new one."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, rules=RuleSet((SOURCE_NAT,), SOURCE_NAT))
        stale = f"neigh add {FORWARDED} lladdr 06:00:00:00:00:99 dev eth0 nud stale"
        ip_batch([stale], netns="neighbour")
        zone.program_router("r-1-VM", open_rules())
        assert wait_until(lambda: "06:00:00:00:00:01" in run(["ip", "-n", "neighbour", "neigh", "show", FORWARDED]))

    in_box(scene)


def test_the_announcement_is_an_arp_request_for_oneself() -> None:
    """Broadcast, sender and target address the same, as arping -U sends it."""
    frame = gratuitous_arp("02:00:00:00:00:01", "10.1.1.1")
    header = "ffffffffffff 020000000001 0806 0001 0800 06 04 0001"
    assert frame == bytes.fromhex(f"{header} 020000000001 0a010101 ffffffffffff 0a010101")


def test_what_does_not_exist_or_exists_already_is_named() -> None:
    """Errors say which node; removing what isn't there is no error."""

    def scene(zone: NamespaceGround) -> None:
        build(zone)
        strangers = [replace(vm(9), name=name) for name in ("upstream", "a/b")]
        refused: tuple[tuple[str, Callable[[], None]], ...] = (
            ("r-9-VM", partial(zone.start_router, "r-9-VM")),
            ("vm-9", partial(zone.start_vm, "vm-9")),
            ("r-1-VM", partial(zone.place_router, router())),
            ("upstream", partial(zone.add_vm, strangers[0])),
            ("a/b", partial(zone.add_vm, strangers[1])),
            ("nowhere", partial(zone.add_vm, vm(1, network="nowhere"))),
        )
        for name, act in refused:
            with pytest.raises(GroundError, match=name):
                act()
        for gone in (zone.remove_router, zone.stop_router, zone.remove_vm, zone.stop_vm, zone.remove_network):
            gone("nothing")

    in_box(scene)


def second_side(number: int) -> PublicLeg:
    """Return a router's interface in the second public subnet, its MAC its own."""
    return PublicLeg("192.0.2.9", 24, "192.0.2.1", f"06:00:00:00:02:0{number}")


def test_a_second_public_subnet_has_an_interface_and_a_way_out_of_its_own() -> None:
    """A static address there is reached from outside, its VM leaves by it through that subnet's gateway; the others
    leave as ever; a new router's MAC there is new, and one gratuitous ARP tells of it."""

    def scene(zone: NamespaceGround) -> None:
        far = "192.0.2.10"
        usual = open_rules()
        rules = replace(
            usual,
            public_ips=(*usual.public_ips, far),
            static_nat=((far, "10.1.1.12"),),
            firewall=(*usual.firewall, FirewallRule(far, "icmp"), FirewallRule(far, "tcp", ports=(22, 22))),
        )
        build(zone, vm(1), vm(2), rules=RuleSet())
        zone.remove_router("r-1-VM")
        for number in (2, 3):
            spec = router(f"r-{number}-VM", mac=f"02:00:00:00:01:0{number}")
            zone.place_router(replace(spec, more_public=(second_side(number),)))
            zone.start_router(f"r-{number}-VM")
            zone.program_router(f"r-{number}-VM", rules)
            if number == 3:
                zone.remove_router("r-2-VM")
                zone.announce_router("r-3-VM")
            assert wait_until(lambda: answers("upstream", far, BRIEFLY_S))
            assert connects("upstream", far, 22)
            assert seen_from("vm-2-net") == far
            assert seen_from("vm-1-net") == SOURCE_NAT
            known = run(["ip", "-n", "upstream", "neigh", "show", far, "dev", "eth1"])
            assert f"06:00:00:00:02:0{number}" in known

    in_box(scene)
