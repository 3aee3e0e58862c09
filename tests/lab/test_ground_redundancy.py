"""Two routers with real keepalived and conntrackd: who is primary, failover, handover, split brain, sessions."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.lab.alive import Session, advertisements
from tests.lab.box import BRIEFLY_S, SOURCE_NAT, STATIC, answers, call, in_box, open_rules, router, vm, wait_until
from vrbench.lab.ground.specs import Host, RouterSpec, RuleSet, Vrrp
from vrbench.lab.packets.namespace_ground import EGRESS_TARGET, NamespaceGround

pytestmark = pytest.mark.lab

FAILOVER_S = 3.6  # three advertisements missed, and the skew of priority 100


def one_of_two(number: int, vrrp: Vrrp | None = None) -> RouterSpec:
    spec = router(f"r-{number}-VM", mac=f"02:00:00:00:01:0{number}")
    return replace(spec, own_guest_ip=f"10.1.1.{200 + number}", vrrp=vrrp or Vrrp())


def rules() -> RuleSet:
    return replace(open_rules(), hosts=(Host("vm-1-net", "10.1.1.11", "02:00:00:00:02:01"),))


def add_router(zone: NamespaceGround, spec: RouterSpec) -> None:
    zone.place_router(spec)
    zone.start_router(spec.name)
    zone.program_router(spec.name, rules())


def becomes(zone: NamespaceGround, name: str, state: str) -> bool:
    return wait_until(lambda: zone.redundancy_state(name) == state)


def states(zone: NamespaceGround) -> list[str]:
    return [zone.redundancy_state(name) for name in ("r-1-VM", "r-2-VM")]


def build_pair(zone: NamespaceGround, vrrp: Vrrp | None = None) -> None:
    """r-1 primary, r-2 backup, vm-1 behind them."""
    zone.add_network("net")
    add_router(zone, one_of_two(1, vrrp))
    assert becomes(zone, "r-1-VM", "PRIMARY")
    add_router(zone, one_of_two(2, vrrp))
    assert becomes(zone, "r-2-VM", "BACKUP")
    zone.add_vm(vm(1))
    zone.add_vm(vm(2))


def test_one_becomes_primary_and_the_other_waits() -> None:
    """The gateway's address is the primary's alone; the backup's public side is down; both directions work."""

    def scene(zone: NamespaceGround) -> None:
        build_pair(zone)
        assert "10.1.1.1/" in call("r-1-VM", "ip", "-4", "-br", "address", "show", "eth0").stdout
        assert "10.1.1.1/" not in call("r-2-VM", "ip", "-4", "-br", "address", "show", "eth0").stdout
        assert "DOWN" in call("r-2-VM", "ip", "-br", "link", "show", "eth2").stdout
        assert answers("vm-1-net", EGRESS_TARGET)
        assert answers("upstream", STATIC)

    in_box(scene)


def test_the_backup_takes_over_when_the_primary_dies_and_sessions_live_on() -> None:
    """After three missed advertisements, with all it was told as backup; the connection goes on."""

    def scene(zone: NamespaceGround) -> None:
        build_pair(zone)
        session = Session("vm-1-net")
        for name in ("r-1-VM", "r-2-VM"):
            zone.program_router(name, replace(rules(), public_ips=(SOURCE_NAT, STATIC)))
        zone.synchronise("r-2-VM")
        start = time.monotonic()
        zone.stop_router("r-1-VM")
        assert not answers("vm-1-net", EGRESS_TARGET, BRIEFLY_S)
        assert becomes(zone, "r-2-VM", "PRIMARY")
        assert time.monotonic() - start > 2.0  # it did wait for advertisements
        assert answers("vm-1-net", EGRESS_TARGET)
        assert answers("upstream", STATIC)
        assert session.alive()

    in_box(scene)


def test_a_released_primary_hands_over_at_once() -> None:
    """Its last advertisement has priority 0: the peer does not wait for three to be missed; sessions go on."""

    def scene(zone: NamespaceGround) -> None:
        build_pair(zone, Vrrp(priority=254, commit_first=True))
        session = Session("vm-1-net")
        zone.synchronise("r-2-VM")
        with advertisements("vm-1-net") as heard:
            zone.set_redundancy("r-1-VM", "released")
            assert becomes(zone, "r-2-VM", "PRIMARY")
            assert ("10.1.1.201", 0) in heard()
        assert zone.redundancy_state("r-1-VM") == "BACKUP"
        assert session.alive()
        assert answers("vm-1-net", EGRESS_TARGET)
        assert answers("upstream", STATIC)

    in_box(scene)


def test_split_brain_and_its_end() -> None:
    """A backup that hears nobody becomes primary beside the primary; when it hears again, one gives way."""

    def scene(zone: NamespaceGround) -> None:
        build_pair(zone)
        zone.set_redundancy("r-2-VM", "deaf")
        assert becomes(zone, "r-2-VM", "PRIMARY")
        assert zone.redundancy_state("r-1-VM") == "PRIMARY"
        zone.set_redundancy("r-2-VM", "normal")
        assert wait_until(lambda: sorted(states(zone)) == ["BACKUP", "PRIMARY"])
        assert wait_until(lambda: answers("vm-1-net", EGRESS_TARGET, BRIEFLY_S))

    in_box(scene)


def test_both_backup_and_its_end() -> None:
    """Released both, nobody has the gateway's address; made normal, one takes it again."""

    def scene(zone: NamespaceGround) -> None:
        build_pair(zone)
        for name in ("r-2-VM", "r-1-VM"):
            zone.set_redundancy(name, "released")
        assert states(zone) == ["BACKUP", "BACKUP"]
        assert not answers("vm-1-net", "10.1.1.1", BRIEFLY_S)
        zone.set_redundancy("r-2-VM", "normal")
        assert becomes(zone, "r-2-VM", "PRIMARY")
        assert answers("vm-1-net", EGRESS_TARGET)

    in_box(scene)
