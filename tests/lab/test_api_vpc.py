"""VPCs, tiers and their rules: what may stand together, what is refused, and in which order things go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.replay.serving import Body, Lab, Refused, served
from tests.lab.test_api_versions import tier


@pytest.fixture
def lab() -> Iterator[Lab]:
    with served() as running:
        yield running


def made(lab: Lab) -> tuple[str, Body]:
    """Build an implemented tier; return its id, and its VPC as listed."""
    network = tier(lab)
    return network, lab.user.listed("listVPCs", "vpc")[0]


def test_vpc_has_one_router_for_all_tiers(lab: Lab) -> None:
    """It answers with the tier's gateway address and is found by VPC and by tier."""
    network, vpc = made(lab)
    (router,) = lab.root.listed("listRouters", "router", vpcid=vpc["id"], listall="true")
    assert lab.routers(network)[0]["id"] == router["id"]
    assert router["guestipaddress"] == "10.2.1.1"
    assert lab.root.listed("listRouters", "router", forvpc="false", listall="true") == []


def test_tier_without_an_acl_lets_nothing_in(lab: Lab) -> None:
    """The built-in list that denies everything is its own."""
    network, _ = made(lab)
    assert lab.user.listed("listNetworks", "network", id=network)[0]["aclname"] == "default_deny"
    with pytest.raises(Refused, match="Default ACL cannot be modified"):
        lab.user("createNetworkACL", networkid=network, protocol="tcp", startport=22, endport=22)


def test_tiers_may_not_overlap_or_leave_the_vpc(lab: Lab) -> None:
    """Same addresses twice, and addresses that aren't the VPC's."""
    network, vpc = made(lab)
    offering = lab.user.listed("listNetworks", "network", id=network)[0]["networkofferingid"]
    params = {"name": "u", "displaytext": "u", "zoneid": vpc["zoneid"], "networkofferingid": offering}
    for gateway in ("10.2.1.129", "10.3.1.1"):
        with pytest.raises(Refused) as refused:
            lab.user("createNetwork", vpcid=vpc["id"], gateway=gateway, netmask="255.255.255.128", **params)
        assert refused.value.code == 431
    with pytest.raises(Refused, match="VPC networks only"):
        lab.user("createNetwork", **params)


def test_acl_rules_have_places(lab: Lab) -> None:
    """They are listed newest first; a place is taken once; a list in use stays."""
    network, vpc = made(lab)
    acl = lab.user.result("createNetworkACLList", name="a", vpcid=vpc["id"])["networkacllist"]["id"]
    for number in (2, 1):
        lab.user.result("createNetworkACL", aclid=acl, protocol="tcp", startport=22, endport=22, number=number)
    assert [rule["number"] for rule in lab.user.listed("listNetworkACLs", "networkacl", aclid=acl)] == [1, 2]
    with pytest.raises(Refused, match="already exists"):
        lab.user("createNetworkACL", aclid=acl, protocol="all", number=2)
    lab.user.result("replaceNetworkACLList", aclid=acl, networkid=network)
    assert lab.user.job("deleteNetworkACLList", id=acl)["jobresultcode"] == 530


def test_address_of_a_vpc_goes_where_its_rules_lead(lab: Lab) -> None:
    """To no tier at first, to the rule's tier then, to none again when the rule is gone; and the firewall is no use."""
    network, vpc = made(lab)
    machine = lab.user.listed("listVirtualMachines", "virtualmachine")[0]["id"]
    address = lab.user.result("associateIpAddress", vpcid=vpc["id"])["ipaddress"]["id"]

    def leads_to() -> str | None:
        tier_id: str | None = lab.user.listed("listPublicIpAddresses", "publicipaddress", id=address)[0].get(
            "associatednetworkid"
        )
        return tier_id

    ports = {"protocol": "tcp", "publicport": 22, "privateport": 22, "virtualmachineid": machine}
    assert leads_to() is None
    with pytest.raises(Refused, match="openFirewall"):
        lab.user("createPortForwardingRule", ipaddressid=address, openfirewall="true", **ports)
    with pytest.raises(Refused, match="no networkId is passed in"):
        lab.user("createPortForwardingRule", ipaddressid=address, **ports)
    rule = lab.user.result("createPortForwardingRule", ipaddressid=address, networkid=network, **ports)
    assert leads_to() == network
    with pytest.raises(Refused, match="service Firewall"):
        lab.user("createFirewallRule", ipaddressid=address, protocol="tcp", startport=22, endport=22)
    lab.user.result("deletePortForwardingRule", id=rule["portforwardingrule"]["id"])
    assert leads_to() is None


def test_vpc_goes_after_its_tiers_and_gives_its_addresses_back(lab: Lab) -> None:
    """Refused with a tier in it; gone with the last, and nothing is left."""
    network, vpc = made(lab)
    assert "as its used by 1 networks" in lab.user.job("deleteVPC", id=vpc["id"])["jobresult"]["errortext"]
    machine = lab.user.listed("listVirtualMachines", "virtualmachine")[0]["id"]
    lab.root.result("destroyVirtualMachine", id=machine, expunge="true")
    lab.user.result("deleteNetwork", id=network)
    lab.user.result("deleteVPC", id=vpc["id"])
    assert lab.root.listed("listRouters", "router", listall="true") == []
    assert lab.user.listed("listPublicIpAddresses", "publicipaddress") == []


def test_destroyed_vm_is_recovered_by_who_may(lab: Lab) -> None:
    """An administrator may, a plain user not."""
    _, machines = lab.built(lab.user)
    lab.user.result("destroyVirtualMachine", id=machines[0]["id"])
    with pytest.raises(Refused, match="Admin"):
        lab.user("recoverVirtualMachine", id=machines[0]["id"])
    assert lab.root("recoverVirtualMachine", id=machines[0]["id"])["virtualmachine"]["state"] == "Stopped"
