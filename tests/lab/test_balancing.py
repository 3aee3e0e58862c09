"""Load-balancer rules: by the API, and with packets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.box import FORWARDED, build, in_box, make_key, open_rules, ssh, vm
from tests.lab.replay.serving import QUICK, Body, Client, Lab, Refused, served
from vrbench.lab.api.state.settings import ZoneSettings
from vrbench.lab.ground.specs import LoadBalance
from vrbench.lab.packets.namespace_ground import NamespaceGround

PORTS = {"publicport": 80, "privateport": 8080}


@pytest.fixture
def lab() -> Iterator[Lab]:
    with served(ZoneSettings(timing=QUICK, api_step_s=0.01)) as running:
        yield running


def balanced(lab: Lab, who: Client, **more: object) -> tuple[Body, list[Body]]:
    """Make a rule on an address of a network with two VMs, none of which it has yet."""
    network, machines = lab.built(who, 2)
    address = who.result("associateIpAddress", networkid=network)["ipaddress"]["id"]
    wanted = {"publicipid": address, "name": "web", "algorithm": "roundrobin", **PORTS, **more}
    rule: Body = who.result("createLoadBalancerRule", **wanted)["loadbalancer"]
    return rule, machines


def on_router(lab: Lab) -> list[LoadBalance]:
    return [one for rules in lab.ground.programmed.values() for one in rules.balanced]


def test_rule_from_its_creation_to_its_end(lab: Lab) -> None:
    """Nothing is balanced until VMs are assigned; what is removed, or expunged, gets no more."""
    rule, machines = balanced(lab, lab.user)
    assert (rule["state"], rule["publicport"], rule["privateport"], rule["cidrlist"]) == ("Add", "80", "8080", "")
    assert on_router(lab) == []
    [opening] = lab.user.listed("listFirewallRules", "firewallrule", ipaddressid=rule["publicipid"])
    assert (opening["startport"], opening["endport"]) == (80, 80)
    assert lab.user("listLoadBalancerRuleInstances", id=rule["id"]) == {}
    ids = ",".join(machine["id"] for machine in machines)
    assigned = lab.user.job("assignToLoadBalancerRule", id=rule["id"], virtualmachineids=ids)
    assert (assigned["jobresult"], "jobinstancetype" in assigned) == ({"success": True}, False)
    [shown] = lab.user.listed("listLoadBalancerRules", "loadbalancerrule", virtualmachineid=machines[0]["id"])
    assert shown == rule | {"state": "Active"}
    addresses = tuple(machine["nic"][0]["ipaddress"] for machine in machines)
    assert [(one.public_port, one.guest_port, one.guest_ips) for one in on_router(lab)] == [(80, 8080, addresses)]
    pairs = lab.user.listed("listLoadBalancerRuleInstances", "lbrulevmidip", id=rule["id"], lbvmips="true")
    assert [pair["lbvmipaddresses"] for pair in pairs] == [[address] for address in addresses]
    lab.root.result("destroyVirtualMachine", id=machines[0]["id"], expunge="true")
    assert [one.guest_ips for one in on_router(lab)] == [addresses[1:]]
    lab.user.result("removeFromLoadBalancerRule", id=rule["id"], virtualmachineids=machines[1]["id"])
    assert on_router(lab) == []
    assert lab.user.result("deleteLoadBalancerRule", id=rule["id"]) == {"success": True}
    assert lab.user("listLoadBalancerRules") == {} == lab.user("listFirewallRules")


def test_changed(lab: Lab) -> None:
    rule, machines = balanced(lab, lab.user)
    lab.user.result("assignToLoadBalancerRule", id=rule["id"], virtualmachineids=machines[0]["id"])
    changed = lab.user.result("updateLoadBalancerRule", id=rule["id"], algorithm="source", name="shop")["loadbalancer"]
    assert (changed["algorithm"], changed["name"]) == ("source", "shop")
    assert [one.by_source for one in on_router(lab)] == [True]


def test_what_is_refused(lab: Lab) -> None:
    """At once what is wrong with the rule, in the job what is wrong with a VM."""
    rule, machines = balanced(lab, lab.user)
    fixed = {"publicipid": rule["publicipid"], "name": "x", "algorithm": "roundrobin"}
    for params, code, text in (
        ({**PORTS}, 537, "The range specified, 80-80, conflicts with rule"),
        ({"publicport": 65536, "privateport": 1}, 431, "publicPort is an invalid value: 65536"),
        ({"publicport": 81, "privateport": 1, "algorithm": "dice"}, 431, "Invalid algorithm: dice"),
        ({"publicport": 81}, 431, "Unable to execute API command createloadbalancerrule due to missing parameter priv"),
    ):
        with pytest.raises(Refused) as refused:
            lab.user("createLoadBalancerRule", **fixed | params)
        assert refused.value.code == code
        assert refused.value.text.startswith(text)
    _, [stranger] = lab.built(lab.user, name="other")
    known = {"id": rule["id"], "virtualmachineids": machines[0]["id"]}
    lab.user.result("assignToLoadBalancerRule", **known)
    for wrong in (known, known | {"virtualmachineids": stranger["id"]}):
        assert lab.user.job("assignToLoadBalancerRule", **wrong)["jobresultcode"] == 431
    forwarding = {"ipaddressid": rule["publicipid"], "protocol": "tcp", "virtualmachineid": machines[0]["id"]}
    with pytest.raises(Refused) as refused:
        lab.user("createPortForwardingRule", **forwarding, **PORTS, openfirewall="false")
    assert refused.value.code == 537


def test_connections_go_by_turns() -> None:
    """Four logins through one public port reach both guests, each twice."""

    def scene(zone: NamespaceGround) -> list[str]:
        with tempfile.TemporaryDirectory() as place:
            key = make_key(Path(place))
            guests = (vm(1, key), vm(2, key))
            shared = LoadBalance(FORWARDED, "tcp", 22, 22, tuple(guest.ip for guest in guests))
            build(zone, *guests, rules=replace(open_rules(), port_forwards=(), balanced=(shared,)))
            return [ssh(Path(place), FORWARDED, "hostname").stdout.strip() for _ in range(4)]

    names = in_box(scene)
    assert sorted(names) == ["vm-1-net"] * 2 + ["vm-2-net"] * 2


def test_connections_of_one_source_stay_together() -> None:
    def scene(zone: NamespaceGround) -> list[str]:
        with tempfile.TemporaryDirectory() as place:
            key = make_key(Path(place))
            guests = (vm(1, key), vm(2, key))
            shared = LoadBalance(FORWARDED, "tcp", 22, 22, tuple(guest.ip for guest in guests), by_source=True)
            build(zone, *guests, rules=replace(open_rules(), port_forwards=(), balanced=(shared,)))
            return [ssh(Path(place), FORWARDED, "hostname").stdout.strip() for _ in range(3)]

    names = in_box(scene)
    assert len(set(names)) == 1
    assert names[0].startswith("vm-")
