"""Every restart strategy with real packets: asked for through the API, seen from a guest and from outside."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.lab.alive import Prober, Session, build_site, outside_listener, served_on
from tests.lab.box import answers, call, in_box, wait_until
from tests.lab.replay.serving import QUICK
from vrbench.lab.packets.namespace_ground import EGRESS_TARGET, NamespaceGround

pytestmark = pytest.mark.lab

GIVEN_UP_S = 2.0  # no router that falls silent is given up sooner
FAILOVER_S = 3.6  # three advertisements missed, and the skew of priority 100
STALL_S = 2.0  # so long a busy machine may stand still, and a gap be that much longer


def gaps_of_a_restart(
    strategy: str, params: dict[str, str] | None = None, program_s: float = 0.5
) -> tuple[float, float, bool, list[str], list[str]]:
    """Longest gaps egress and ingress in seconds, whether a guest's session lived on, routers before and after."""

    def scene(zone: NamespaceGround) -> tuple[float, float, bool, list[str], list[str]]:
        timing = replace(QUICK, router_program_s=program_s)
        with served_on(zone, strategy=strategy, timing=timing) as lab, outside_listener() as outside:
            site = build_site(lab)
            before = site.routers()
            session = Session(site.node)
            with Prober(site.node, outside) as egress, Prober("upstream", (site.public_ip, 22)) as ingress:
                site.restart(**(params or {"cleanup": "true"}))
            alive = session.alive(5.0)
            return egress.longest_gap_s(), ingress.longest_gap_s(), alive, before, site.routers()

    return in_box(scene)


def test_serial_is_down_until_the_new_router_is_programmed() -> None:
    """Both directions for longer than the programming takes; another router afterwards."""
    egress, ingress, _, before, after = gaps_of_a_restart("serial")
    assert egress > 0.4
    assert ingress > 0.5
    assert not set(before) & set(after)
    assert len(after) == 1


def test_parallel_is_down_from_the_announcement_to_the_rules() -> None:
    """As long as the new router stands on the wire without rules, although the old one forwards."""
    egress, ingress, _, before, after = gaps_of_a_restart("parallel")
    assert 0.4 < egress < 2.5 + STALL_S
    assert 0.4 < ingress < 2.5 + STALL_S
    assert not set(before) & set(after)


def test_advanced_parallel_is_down_for_a_moment() -> None:
    """However long the rules take, the handover at the switch does not."""
    egress, ingress, _, before, after = gaps_of_a_restart("advanced-parallel", program_s=0.5 + STALL_S)
    assert egress < 0.4 + STALL_S
    assert ingress < 0.4 + STALL_S
    assert not set(before) & set(after)


def test_negotiated_is_down_for_a_moment_and_sessions_live_on() -> None:
    """The connection of a guest goes on through the new router."""
    egress, ingress, alive, before, after = gaps_of_a_restart("negotiated")
    assert egress < GIVEN_UP_S
    assert ingress < GIVEN_UP_S
    assert alive
    assert not set(before) & set(after)


def test_redundant_is_down_for_the_failover_and_sessions_live_on() -> None:
    """Three missed advertisements; both routers are new."""
    egress, ingress, alive, before, after = gaps_of_a_restart("redundant")
    assert FAILOVER_S / 2 < egress < FAILOVER_S + 2 * STALL_S
    assert FAILOVER_S / 2 < ingress < FAILOVER_S + 2 * STALL_S
    assert alive
    assert len(before) == len(after) == 2
    assert not set(before) & set(after)


@pytest.mark.parametrize("params", [{"cleanup": "false", "livepatch": "true"}, {"cleanup": "false"}])
def test_in_place_nobody_notices(params: dict[str, str]) -> None:
    """Live patch, and a restart without cleanup: the same router, no gap, the session lives."""
    egress, ingress, alive, before, after = gaps_of_a_restart("parallel", params)
    assert egress < 0.3
    assert ingress < 0.3
    assert alive
    assert before == after


def test_router_commands_do_what_they_say() -> None:
    """Stopped or destroyed, nobody gets out; started, rebooted, or restarted without cleanup, the network is back."""

    def scene(zone: NamespaceGround) -> None:
        with served_on(zone) as lab:
            site = build_site(lab)
            [router] = lab.routers(site.network)
            lab.root.result("rebootRouter", id=router["id"])
            assert wait_until(lambda: answers(site.node, EGRESS_TARGET))
            lab.root.result("stopRouter", id=router["id"])
            assert not answers(site.node, EGRESS_TARGET)
            lab.root.result("startRouter", id=router["id"])
            assert wait_until(lambda: answers(site.node, EGRESS_TARGET))
            lab.root.result("destroyRouter", id=router["id"])
            assert not answers(site.node, EGRESS_TARGET)
            site.restart(cleanup="false")
            assert site.routers() != [router["name"]]
            assert wait_until(lambda: answers(site.node, EGRESS_TARGET))

    in_box(scene)


def test_a_redundant_network_beside_a_plain_one() -> None:
    """makeredundant gives this network two routers, whatever the lab's strategy; keepalived says who is primary."""

    def scene(zone: NamespaceGround) -> None:
        with served_on(zone, router_check_s=0.1) as lab:
            site = build_site(lab)
            site.restart(cleanup="true", makeredundant="true")

            def states() -> list[str]:
                return sorted(router["redundantstate"] for router in lab.routers(site.network))

            assert wait_until(lambda: states() == ["BACKUP", "PRIMARY"], within_s=10)
            assert all(router["isredundantrouter"] for router in lab.routers(site.network))
            assert answers(site.node, EGRESS_TARGET)
            other, [vm] = lab.built(lab.root, name="plain")
            assert len(lab.routers(other)) == 1
            leased = call(vm["name"], "ip", "-4", "-br", "address", "show", "eth0").stdout
            assert vm["nic"][0]["ipaddress"] in leased

    in_box(scene)
