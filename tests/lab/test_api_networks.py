"""Networks, VPCs, their ACLs and tags: what createNetwork and its like refuse, and what becomes of what they take."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.replay.serving import Body, Lab, served

BAD = (431, 4350)
DENIED = (531, 4365)
MALFORMED = (431, 9999)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with served() as lab:
        yield lab


def offering(lab: Lab, name: str) -> str:
    found = next(row["id"] for row in lab.root.listed("listNetworkOfferings", "networkoffering") if row["name"] == name)
    return str(found)


def network(lab: Lab, **more: object) -> Body:
    """Parameters of createNetwork."""
    built_in = lab.built_in()
    chosen = {key: built_in[key] for key in ("networkofferingid", "zoneid")}
    return {"name": "n", **chosen, **more}


def vpc(lab: Lab, **more: object) -> Body:
    """Parameters of createVPC."""
    plan = lab.root.listed("listVPCOfferings", "vpcoffering", name="Default VPC offering")[0]["id"]
    return {"name": "v", "cidr": "10.2.0.0/16", "vpcofferingid": plan, "zoneid": lab.built_in()["zoneid"], **more}


def tier(lab: Lab, vpc_id: str, third: int = 1, **more: object) -> Body:
    """Parameters of createNetwork for 10.2.N.0/24 of a VPC."""
    plan = offering(lab, "DefaultIsolatedNetworkOfferingForVpcNetworks")
    where = {"gateway": f"10.2.{third}.1", "netmask": "255.255.255.0"}
    return network(lab, networkofferingid=plan, vpcid=vpc_id, **where) | more


@pytest.mark.parametrize(
    "wrong",
    [
        {"gateway": "10.7.7.1", "netmask": "255.0.255.0"},
        {"gateway": "10.7.7.0", "netmask": "255.255.255.0"},
        {"gateway": "10.7.7.255", "netmask": "255.255.255.0"},
        {"gateway": "10.7.0.1", "netmask": "255.255.0.0"},
        {"gateway": "203.0.113.1", "netmask": "255.255.255.0"},
        {"gateway": "gateway", "netmask": "255.255.255.0"},
        {"startip": "10.7.7.10"},
        {"acltype": "Domain"},
        {"acltype": "Mine"},
        {"subdomainaccess": "true"},
        {"ip6gateway": "fd00::1", "ip6cidr": "fd00::/64"},
        {"dns1": "resolver"},
        {"networkdomain": "-bad-.example"},
    ],
)
def test_wrong_networks(lab: Lab, wrong: Body) -> None:
    assert lab.user.refused("createNetwork", **network(lab, **wrong)) == BAD
    assert lab.user.listed("listNetworks", "network") == []


def test_gateway_alone_says_nothing(lab: Lab) -> None:
    """Without a netmask the network gets the zone's CIDR."""
    made = lab.user("createNetwork", **network(lab, gateway="10.7.7.1"))["network"]
    assert made["cidr"] == "10.1.1.0/24"


def test_what_only_root_may_say(lab: Lab) -> None:
    """A VLAN is refused for this offering, where it is read at all."""
    assert lab.root.refused("createNetwork", **network(lab, vlan="900")) == BAD
    assert lab.user("createNetwork", **network(lab, vlan="900", displaynetwork="false"))["network"]["name"] == "n"
    assert lab.root("createNetwork", **network(lab, displaynetwork="false"))["network"]["displaynetwork"] is False
    assert lab.root("listNetworks", displaynetwork="true", listall="true")["count"] == 1


def test_network_with_its_own_resolvers_and_address(lab: Lab) -> None:
    """They show, and the address is its source NAT; one that is taken leaves the network without."""
    [free, *_] = lab.user.listed("listPublicIpAddresses", "publicipaddress", state="Free")
    wanted = {"dns1": "192.0.2.1", "dns2": "192.0.2.2", "sourcenatipaddress": free["ipaddress"]}
    made = lab.user("createNetwork", **network(lab, **wanted, externalid="x"))["network"]
    assert (made["dns1"], made["dns2"], made["externalid"]) == ("192.0.2.1", "192.0.2.2", "x")
    lab.user.finished(lab.deploy(lab.user, made["id"], "a")["jobid"])
    [router] = lab.routers(made["id"])
    assert router["publicip"] == free["ipaddress"]
    assert lab.user.refused("createNetwork", **network(lab, sourcenatipaddress=free["ipaddress"])) == (533, 4320)
    assert lab.user("listNetworks")["count"] == 2


def test_limit_of_networks(lab: Lab) -> None:
    lab.root("updateResourceLimit", resourcetype=6, max=0, **lab.tenant())
    assert lab.user.refused("createNetwork", **network(lab)) == (535, 4370)


def test_networks_are_filtered(lab: Lab) -> None:
    """By what they all are, and by what none is."""
    lab.user("createNetwork", **network(lab))
    same = {"acltype": "account", "traffictype": "guest", "type": "isolated", "canusefordeploy": "true"}
    assert lab.user("listNetworks", **same, supportedservices="SourceNat,Dns", networkfilter="all")["count"] == 1
    for none in (
        {"traffictype": "Public"},
        {"specifyipranges": "true"},
        {"networkfilter": "shared"},
        {"forvpc": "true"},
    ):
        assert lab.user("listNetworks", **none) == {}
    assert lab.user.refused("listNetworks", networkfilter="mine") == BAD
    assert lab.user.refused("listNetworks", supportedservices="Coffee") == BAD


def test_zones_own_networks(lab: Lab) -> None:
    """Root sees them with issystem, others don't."""
    rows = lab.root.listed("listNetworks", "network", issystem="true")
    assert [row["traffictype"] for row in rows] == ["Public", "Management", "Control", "Storage"]
    [public] = lab.root.listed("listNetworks", "network", issystem="true", traffictype="Public")
    lab.user.result("associateIpAddress", networkid=lab.user("createNetwork", **network(lab))["network"]["id"])
    assert lab.user.listed("listPublicIpAddresses", "publicipaddress")[0]["networkid"] == public["id"]
    assert lab.user("listNetworks", issystem="true")["count"] == 1
    assert lab.root.refused("listNetworks", issystem="true", **lab.tenant()) == BAD


def test_update_that_routers_must_know(lab: Lab) -> None:
    """A name is only a name; for a domain or another source-NAT address the network gets a new router."""
    made, _ = lab.built(lab.user)
    address = lab.user.result("associateIpAddress", networkid=made)["ipaddress"]["ipaddress"]
    [before] = lab.routers(made)
    assert lab.user.result("updateNetwork", id=made, name="m", displaytext="d")["network"]["name"] == "m"
    assert [row["name"] for row in lab.routers(made)] == [before["name"]]
    lab.user.result("updateNetwork", id=made, sourcenatipaddress=address)
    [after] = lab.routers(made)
    assert (after["publicip"], after["name"] != before["name"]) == (address, True)
    lab.user.result("updateNetwork", id=made, networkdomain="example.org")
    [last] = lab.routers(made)
    assert (last["networkdomain"], last["name"] != after["name"]) == ("example.org", True)


def test_update_to_another_offering(lab: Lab) -> None:
    """Only to one of the same kind; the job says so."""
    made = lab.user("createNetwork", **network(lab))["network"]["id"]
    of_vpcs = offering(lab, "DefaultIsolatedNetworkOfferingForVpcNetworks")
    assert lab.user.job("updateNetwork", id=made, networkofferingid=of_vpcs)["jobresultcode"] == 431
    other = offering(lab, "DefaultNetworkOfferingforKubernetesService")
    changed = lab.user.result("updateNetwork", id=made, networkofferingid=other)["network"]
    assert changed["networkofferingid"] == other


@pytest.mark.parametrize("cidr", ["", "10.2.0.0", "203.0.113.0/24"])
def test_wrong_vpcs(lab: Lab, cidr: str) -> None:
    assert lab.user.refused("createVPC", **vpc(lab, cidr=cidr)) == BAD
    assert lab.user.refused("createVPC", **vpc(lab, sourcenatipaddress="192.0.2.1")) == (530, 4250)
    assert lab.user("listVPCs") == {}


def test_vpc_is_enabled_at_once(lab: Lab) -> None:
    """With a router or, when it isn't to be started, without; and it is found by parts of its name."""
    made = lab.user.result("createVPC", **vpc(lab, start="false", name="my-first"))["vpc"]
    assert (made["state"], lab.root("listRouters", vpcid=made["id"], listall="true")) == ("Enabled", {})
    assert lab.user("listVPCs", name="first", supportedservices="NetworkACL")["count"] == 1
    assert lab.user("listVPCs", name="second") == {}
    assert lab.domadmin("listVPCs") == {}
    assert lab.domadmin("listVPCs", listall="true")["count"] == 1
    assert lab.user.job("updateVPC", id=made["id"])["jobresultcode"] == 530
    assert lab.user.result("updateVPC", id=made["id"], name="w")["vpc"]["name"] == "w"


def test_vpc_moves_to_another_address(lab: Lab) -> None:
    made = lab.user.result("createVPC", **vpc(lab))["vpc"]["id"]
    address = lab.user.result("associateIpAddress", vpcid=made)["ipaddress"]["ipaddress"]
    lab.user.result("updateVPC", id=made, sourcenatipaddress=address)
    [router] = lab.root.listed("listRouters", "router", vpcid=made, listall="true")
    assert router["publicip"] == address


def test_wrong_tiers(lab: Lab) -> None:
    """Outside the VPC's CIDR, across another tier, of another domain, without addresses, of another kind."""
    made = lab.user.result("createVPC", **vpc(lab))["vpc"]["id"]
    first = lab.user("createNetwork", **tier(lab, made))["network"]
    wrong: list[Body] = [
        {"gateway": "10.3.1.1"},
        {"gateway": "10.2.1.129", "netmask": "255.255.255.128"},
        {"gateway": ""},
        {"networkdomain": "other.example"},
        {"dns1": "192.0.2.1"},
        {"networkofferingid": lab.built_in()["networkofferingid"]},
    ]
    for change in wrong:
        third = {} if "gateway" in change else {"gateway": "10.2.2.1"}
        assert lab.user.refused("createNetwork", **tier(lab, made) | third | change) == BAD, change
    assert lab.user.refused("createNetwork", **tier(lab, made) | {"vpcid": ""}) == MALFORMED
    assert lab.domadmin.refused("createNetwork", **tier(lab, first["id"], 2)) == MALFORMED
    assert [row["name"] for row in lab.user.listed("listNetworks", "network")] == ["n"]


def test_rules_of_an_acl(lab: Lab) -> None:
    """What is wrong with one is said before it is made; what may be deleted is looked at in the job."""
    made = lab.user.result("createVPC", **vpc(lab))["vpc"]["id"]
    acl = lab.user.result("createNetworkACLList", name="a", vpcid=made)["networkacllist"]["id"]
    rule = {"aclid": acl, "protocol": "tcp", "startport": 22}
    bad: list[Body] = [
        {"startport": 0},
        {"endport": 21},
        {"protocol": "all"},
        {"protocol": "gre"},
        {"protocol": "256", "startport": ""},
        {"protocol": "icmp"},
        {"protocol": "icmp", "startport": "", "icmptype": 256},
        {"number": 0},
        {"action": "maybe"},
        {"traffictype": "sideways"},
    ]
    for change in bad:
        assert lab.user.refused("createNetworkACL", **rule | change) == BAD, change
    assert lab.user.refused("createNetworkACL", **rule, cidrlist="x") == MALFORMED
    assert lab.user.refused("createNetworkACL", protocol="tcp") == BAD
    assert lab.user.result("createNetworkACL", aclid=acl, protocol="50")["networkacl"]["protocol"] == "50"
    newest = lab.user.result("createNetworkACL", **rule)["networkacl"]
    assert (newest["number"], newest["cidrlist"]) == (2, "0.0.0.0/0,::/0")
    assert lab.user.listed("listNetworkACLs", "networkacl", aclid=acl)[0]["id"] == newest["id"]
    assert lab.user.refused("createNetworkACL", **rule, number=2) == BAD
    lab.user.result("deleteNetworkACL", id=newest["id"])
    assert lab.user.refused("deleteNetworkACL", id=newest["id"]) == MALFORMED


def test_acls_of_others_and_of_everybody(lab: Lab) -> None:
    """The built-in ones nobody may change; root may make more of their kind."""
    made = lab.user.result("createVPC", **vpc(lab))["vpc"]["id"]
    network_id = lab.user("createNetwork", **tier(lab, made))["network"]["id"]
    lists = lab.user.listed("listNetworkACLLists", "networkacllist")
    assert [row["name"] for row in lists] == ["default_allow", "default_deny"]
    allow = lists[0]["id"]
    assert lab.user.refused("createNetworkACL", aclid=allow, protocol="tcp") == BAD
    assert lab.user.refused("createNetworkACL", networkid=network_id, protocol="tcp") == BAD
    assert lab.user.job("deleteNetworkACLList", id=allow)["jobresultcode"] == 431
    [rule, _] = lab.user.listed("listNetworkACLs", "networkacl", aclid=allow)
    assert lab.user.job("deleteNetworkACL", id=rule["id"])["jobresultcode"] == 431
    assert lab.user.refused("createNetworkACLList", name="mine") == DENIED
    everybodys = lab.root.result("createNetworkACLList", name="all")["networkacllist"]["id"]
    assert lab.user.refused("createNetworkACL", aclid=everybodys, protocol="tcp") == DENIED
    lab.user.result("replaceNetworkACLList", aclid=everybodys, networkid=network_id)
    assert lab.user.job("deleteNetworkACLList", id=everybodys)["jobresultcode"] == 530
    assert lab.user.job("replaceNetworkACLList", aclid=allow)["jobresultcode"] == 431
    isolated = lab.user("createNetwork", **network(lab))["network"]["id"]
    assert lab.user.job("replaceNetworkACLList", aclid=allow, networkid=isolated)["jobresultcode"] == 431


def test_tags_of_a_vpc_and_its_lists(lab: Lab) -> None:
    """All of a call's tags or none; keys and values in any case; a VPC's tags go with it."""
    made = lab.user.result("createVPC", **vpc(lab))["vpc"]["id"]
    acl = lab.user.result("createNetworkACLList", name="a", vpcid=made)["networkacllist"]["id"]
    rule = lab.user.result("createNetworkACL", aclid=acl, protocol="all")["networkacl"]["id"]
    for kind, resource in (("Vpc", made), ("NetworkACLList", acl), ("NetworkACL", rule)):
        tag = {"tags[0].key": "k", "tags[0].value": "v", "resourcetype": kind, "resourceids": resource}
        lab.user.result("createTags", **tag)
    more = {"tags[0].key": "new", "tags[0].value": "v", "tags[1].key": "K", "tags[1].value": "v"}
    named = {"resourcetype": "Vpc", "resourceids": made}
    assert lab.user.job("createTags", **named, **more)["jobresultcode"] == 530
    assert lab.user("listTags", resourceid=made)["count"] == 1
    assert lab.user("listVPCs", **{"tags[0].key": "k", "tags[0].value": "v"})["count"] == 1
    assert lab.user.job("createTags", **named, **{"tags[0].key": "empty", "tags[0].value": ""})["jobresultcode"] == 431
    assert lab.user.job("deleteTags", **named, **{"tags[0].key": "none"})["jobresultcode"] == 530
    lab.user.result("deleteTags", **named, **{"tags[0].key": "K", "tags[0].value": "V"})
    other = lab.domadmin("createNetwork", **network(lab))["network"]["id"]
    foreign = {"resourcetype": "Network", "resourceids": other, "tags[0].key": "k", "tags[0].value": "v"}
    assert lab.user.job("createTags", **foreign)["jobresultcode"] == 530
