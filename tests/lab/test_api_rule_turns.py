"""A slow router: what a rule costs, and which calls wait for those before them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.lab.no_ground import NoGround
from tests.lab.replay.serving import QUICK, Body, Lab, Refused, served
from tests.lab.test_api_reprogram import vpc_on
from vrbench.lab.api.routers.rule_turns import await_turn
from vrbench.lab.api.state.settings import ZoneSettings
from vrbench.lab.api.state.zone import Stopping

COST_S = 0.15


@pytest.fixture
def slow() -> Iterator[Lab]:
    with served(ZoneSettings(timing=QUICK, api_step_s=0.01, rule_cost_s=COST_S)) as lab:
        yield lab


@pytest.fixture
def site(slow: Lab) -> Body:
    """Provide a network with a VM and two addresses."""
    network, (machine,) = slow.built(slow.user)
    first, second = (
        slow.user.result("associateIpAddress", networkid=network)["ipaddress"]["id"] for _ in range(2)
    )  # an address alone costs the router nothing
    return {"network": network, "vm": machine["id"], "first": first, "second": second}


def opened(lab: Lab, address: str, port: int) -> Body:
    return lab.user("createFirewallRule", ipaddressid=address, protocol="tcp", startport=port, endport=port)


def active(lab: Lab) -> int:
    return sum(rule["state"] == "Active" for rule in lab.user.listed("listFirewallRules", "firewallrule"))


def took(call: Callable[[], object]) -> float:
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


def test_a_submission_is_answered_once_the_rules_before_it_are_on_the_router(slow: Lab, site: Body) -> None:
    """Four at once: each is answered a rule's time after the one before it, which is Active by then."""
    begun = time.monotonic()

    def send(port: int) -> tuple[float, int]:
        opened(slow, site["first"], port)
        return time.monotonic() - begun, active(slow)

    with ThreadPoolExecutor(4) as pool:
        answered = sorted(pool.map(send, range(1, 5)))
    assert [after_s >= place * COST_S for place, (after_s, _) in enumerate(answered)] == [True] * 4
    assert [on_router >= place for place, (_, on_router) in enumerate(answered)] == [True] * 4


def test_a_job_takes_as_long_as_its_rule(slow: Lab, site: Body) -> None:
    """Alone it waits for nobody, and is not done before the router is."""
    forward = {"ipaddressid": site["first"], "protocol": "tcp", "publicport": 22, "privateport": 22}
    calls: list[Callable[[], object]] = [
        lambda: slow.user.result("createFirewallRule", ipaddressid=site["first"], protocol="tcp"),
        lambda: slow.user.result("createEgressFirewallRule", networkid=site["network"], protocol="all"),
        lambda: slow.user.result(
            "createPortForwardingRule", **forward, virtualmachineid=site["vm"], openfirewall="false"
        ),
        lambda: slow.user(
            "enableStaticNat", ipaddressid=site["second"], virtualmachineid=site["vm"], networkid=site["network"]
        ),
    ]
    assert [took(call) >= COST_S for call in calls] == [True] * len(calls)
    (rule,) = slow.user.listed("listFirewallRules", "firewallrule")
    assert took(lambda: slow.user.result("deleteFirewallRule", id=rule["id"])) >= COST_S


def test_releasing_an_address_takes_as_long_as_its_rules(slow: Lab, site: Body) -> None:
    """Three rules on it are three times the time of one; the next release waits for it."""
    for port in (1, 2, 3):
        opened(slow, site["first"], port)
    begun = time.monotonic()
    released = slow.user("disassociateIpAddress", id=site["first"])["jobid"]
    slow.user("disassociateIpAddress", id=site["second"])
    assert time.monotonic() - begun >= 3 * COST_S
    assert slow.user.finished(released)["jobstatus"] == 1


def test_a_rule_whose_address_goes_while_it_waits_is_refused(slow: Lab, site: Body) -> None:
    """It was asked for in time, but nothing of it must stay on an address of nobody."""
    opened(slow, site["first"], 1)
    release = slow.user("disassociateIpAddress", id=site["first"])["jobid"]
    with pytest.raises(Refused, match="Unable to find ip address"):
        opened(slow, site["first"], 2)
    assert slow.user.finished(release)["jobstatus"] == 1
    assert slow.user.listed("listFirewallRules", "firewallrule") == []


def test_other_networks_dont_wait() -> None:
    """Each router has a queue of its own; where there is no router yet, nobody waits."""
    zone, first = vpc_on(NoGround())
    _, second = vpc_on(NoGround())
    zone.settings = replace(zone.settings, rule_cost_s=60.0)
    assert [await_turn(zone, first).seconds for _ in range(2)] == [0.0, 0.0]
    first.implement_tried = second.implement_tried = True
    taken = [await_turn(zone, home) for home in (first, second)]
    assert [turn.over.is_set() for turn in taken] == [False, False]


def test_a_turn_that_fails_is_the_next_ones() -> None:
    """Refused after its turn came, a call must not hold up all others for ever."""
    zone, home = vpc_on(NoGround())
    zone.settings, home.implement_tried = replace(zone.settings, rule_cost_s=60.0), True
    with pytest.raises(Refused), await_turn(zone, home).kept():
        raise Refused(431, {})
    waiting = await_turn(zone, home)
    zone.stopping.set()
    with pytest.raises(Stopping):
        await_turn(zone, home)
    assert not waiting.over.is_set()
