"""Every restart strategy with real packets: asked for through the API, seen from a guest and from outside."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from tests.lab.alive import Prober, Session, advertisements, build_site, outside_listener, served_on
from tests.lab.box import BRIEFLY_S, answers, call, in_box, wait_until
from tests.lab.replay.serving import QUICK
from vrbench.lab.packets.namespace_ground import EGRESS_TARGET, NamespaceGround
from vrbench.lab.timing import Timing

pytestmark = pytest.mark.lab

GIVEN_UP_S = 2.0  # no router that falls silent is given up sooner
FAILOVER_S = 3.6  # three advertisements missed, and the skew of priority 100
STALL_S = 2.0  # so long a busy machine may stand still, and a gap be that much longer
PROGRAM_S = 0.5 + STALL_S  # so that no prober that stands still misses all of it
SLOWLY = replace(QUICK, router_program_s=PROGRAM_S)


@dataclass(frozen=True)
class Restart:
    """Longest gaps in seconds, whether a guest's session lived on, routers, and who took leave as primary."""

    egress: float
    ingress: float
    alive: bool
    before: list[str]
    after: list[str]
    released: list[str]


def restart(strategy: str, params: dict[str, str] | None = None, timing: Timing = QUICK) -> Restart:
    """Restart a network, and see what a guest and the outside world see of it."""

    def scene(zone: NamespaceGround) -> Restart:
        with served_on(zone, strategy=strategy, timing=timing) as lab, outside_listener() as outside:
            site = build_site(lab)
            before = site.routers()
            session = Session(site.node)
            with advertisements(site.node) as heard:
                with Prober(site.node, outside) as egress, Prober("upstream", (site.public_ip, 22)) as ingress:
                    site.restart(**(params or {"cleanup": "true"}))
                released = [router for router, priority in heard() if priority == 0]
            gaps = (egress.longest_gap_s(), ingress.longest_gap_s())
            return Restart(*gaps, session.alive(), before, site.routers(), released)

    return in_box(scene)


def test_serial_is_down_until_the_new_router_is_programmed() -> None:
    """While it boots and until its rules are in, one by one: egress first, the forwarding last; another router then."""
    seen = restart("serial", timing=replace(QUICK, router_boot_s=PROGRAM_S, router_rule_s=0.1))
    assert seen.egress > PROGRAM_S + 0.1
    assert seen.ingress > PROGRAM_S + 0.5
    assert not set(seen.before) & set(seen.after)
    assert len(seen.after) == 1


def test_parallel_is_down_from_the_announcement_to_the_rules() -> None:
    """As long as the new router stands on the wire without rules, although the old one forwards."""
    seen = restart("parallel", timing=SLOWLY)
    assert PROGRAM_S < seen.egress < PROGRAM_S + 2.0 + STALL_S
    assert PROGRAM_S < seen.ingress < PROGRAM_S + 2.0 + STALL_S
    assert not set(seen.before) & set(seen.after)


def test_advanced_parallel_is_down_for_a_moment() -> None:
    """However long the rules take, the handover at the switch does not."""
    seen = restart("advanced-parallel", timing=SLOWLY)
    assert seen.egress < 0.4 + STALL_S < PROGRAM_S
    assert seen.ingress < 0.4 + STALL_S
    assert not set(seen.before) & set(seen.after)


def test_negotiated_is_down_for_a_moment_and_sessions_live_on() -> None:
    """The old router says that it goes, and is not waited for; a guest's connection goes on through the new one."""
    seen = restart("negotiated")
    assert seen.released
    assert seen.egress < GIVEN_UP_S + STALL_S
    assert seen.ingress < GIVEN_UP_S + STALL_S
    assert seen.alive
    assert not set(seen.before) & set(seen.after)


def test_redundant_is_down_for_the_failover_and_sessions_live_on() -> None:
    """Three missed advertisements; both routers are new."""
    seen = restart("redundant")
    assert FAILOVER_S / 2 < seen.egress < FAILOVER_S + 2 * STALL_S
    assert FAILOVER_S / 2 < seen.ingress < FAILOVER_S + 2 * STALL_S
    assert seen.alive
    assert len(seen.before) == len(seen.after) == 2
    assert not set(seen.before) & set(seen.after)


@pytest.mark.parametrize("params", [{"cleanup": "false", "livepatch": "true"}, {"cleanup": "false"}])
def test_in_place_nobody_notices(params: dict[str, str]) -> None:
    """Live patch, and a restart without cleanup: the same router, no gap, the session lives."""
    seen = restart("parallel", params, replace(SLOWLY, router_patch_s=PROGRAM_S))
    assert seen.egress < 0.3 + STALL_S < PROGRAM_S
    assert seen.ingress < 0.3 + STALL_S
    assert seen.alive
    assert seen.before == seen.after


def test_router_commands_do_what_they_say() -> None:
    """Stopped or destroyed, nobody gets out; started, rebooted, or restarted without cleanup, the network is back."""

    def scene(zone: NamespaceGround) -> None:
        with served_on(zone) as lab:
            site = build_site(lab)
            [router] = lab.routers(site.network)
            lab.root.result("rebootRouter", id=router["id"])
            assert wait_until(lambda: answers(site.node, EGRESS_TARGET, BRIEFLY_S))
            lab.root.result("stopRouter", id=router["id"])
            assert not answers(site.node, EGRESS_TARGET, BRIEFLY_S)
            lab.root.result("startRouter", id=router["id"])
            assert wait_until(lambda: answers(site.node, EGRESS_TARGET, BRIEFLY_S))
            lab.root.result("destroyRouter", id=router["id"])
            assert not answers(site.node, EGRESS_TARGET, BRIEFLY_S)
            site.restart(cleanup="false")
            assert site.routers() != [router["name"]]
            assert wait_until(lambda: answers(site.node, EGRESS_TARGET, BRIEFLY_S))

    in_box(scene)


def test_a_redundant_network_beside_a_plain_one() -> None:
    """makeredundant gives this network two routers, whatever the lab's strategy; keepalived says who is primary."""

    def scene(zone: NamespaceGround) -> None:
        with served_on(zone, router_check_s=0.1) as lab:
            site = build_site(lab)
            site.restart(cleanup="true", makeredundant="true")

            def states() -> list[str]:
                return sorted(router["redundantstate"] for router in lab.routers(site.network))

            assert wait_until(lambda: states() == ["BACKUP", "PRIMARY"])
            assert all(router["isredundantrouter"] for router in lab.routers(site.network))
            assert answers(site.node, EGRESS_TARGET)
            other, [vm] = lab.built(lab.root, name="plain")
            assert len(lab.routers(other)) == 1
            leased = call(vm["name"], "ip", "-4", "-br", "address", "show", "eth0").stdout
            assert vm["nic"][0]["ipaddress"] in leased

    in_box(scene)
