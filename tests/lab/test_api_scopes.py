"""Whose things a list call shows, in what order and in which pages; what an id may be of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.replay.serving import Body, Client, Lab, Refused, served


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Every caller has a network of its own, with an address and a rule on it."""
    with served() as lab:
        for who in (lab.root, lab.domadmin, lab.user):
            network = lab.network(who, f"net-{who.caller.account}")["id"]
            address = who.result("associateIpAddress", networkid=network)["ipaddress"]["id"]
            who.result("createFirewallRule", ipaddressid=address, protocol="icmp")
        yield lab


@pytest.fixture
def ids(lab: Lab) -> Body:
    """Return the two domains' ids by name."""
    return {row["name"]: row["id"] for row in lab.root.listed("listDomains", "domain")}


def networks(who: Client, **params: object) -> list[str]:
    return [row["name"] for row in who.listed("listNetworks", "network", **params)]


def owners(who: Client, **params: object) -> list[str]:
    """Whose addresses are shown."""
    return [row["account"] for row in who.listed("listPublicIpAddresses", "publicipaddress", **params)]


def test_domain_shows_what_lies_in_it(lab: Lab, ids: Body) -> None:
    """Only what is in the domain itself, with isrecursive what is below it as well; a user sees its own."""
    assert owners(lab.root, domainid=ids["ops"]) == ["domadmin", "tenant"]
    at_top = ["system", "system", "admin"]  # the system VMs' come first
    assert owners(lab.root, domainid=ids["ROOT"]) == at_top
    assert owners(lab.root, domainid=ids["ROOT"], isrecursive="true") == [*at_top, "domadmin", "tenant"]
    assert owners(lab.user, domainid=ids["ops"]) == ["tenant"]


def test_account_is_looked_for_in_its_domain(lab: Lab, ids: Body) -> None:
    """Without a domain in the caller's; 431 where there is none of that name, 531 for one that isn't the caller's."""
    assert owners(lab.root, account="tenant", domainid=ids["ops"]) == ["tenant"]
    assert owners(lab.domadmin, account="tenant") == ["tenant"]
    assert lab.root.refused("listPublicIpAddresses", account="tenant") == (431, 4350)
    assert lab.user.refused("listPublicIpAddresses", account="domadmin", domainid=ids["ops"]) == (531, 4365)


def test_foreign_domain_is_refused(lab: Lab, ids: Body) -> None:
    """A domain that isn't the caller's, nor below it, shows nothing."""
    assert lab.domadmin.refused("listPublicIpAddresses", domainid=ids["ROOT"]) == (531, 4365)
    assert lab.user.refused("listNetworks", domainid=ids["ROOT"]) == (531, 4365)


def test_networks_are_the_domains(lab: Lab, ids: Body) -> None:
    """Administrators see their domain without asking, what is below it with listall; an account needs its domain."""
    assert networks(lab.root) == ["net-admin"]
    assert networks(lab.root, listall="true") == ["net-tenant", "net-domadmin", "net-admin"]
    assert networks(lab.root, account="tenant") == ["net-admin"]
    assert networks(lab.root, account="tenant", domainid=ids["ops"]) == ["net-tenant"]
    assert networks(lab.domadmin) == ["net-tenant", "net-domadmin"]
    assert networks(lab.user, listall="true") == ["net-tenant"]


def test_no_projects(lab: Lab) -> None:
    """projectid=-1 asks for what belongs to projects: nothing, unless everything is asked for as well."""
    assert owners(lab.user, projectid="-1") == []
    assert owners(lab.user, projectid="-1", listall="true") == ["tenant"]
    assert networks(lab.user, projectid="-1", listall="true") == []


def test_owner_is_named_with_its_domain(lab: Lab, ids: Body) -> None:
    """Whoever creates for another names account and domain; a user may only name itself."""
    built_in = lab.built_in()
    create = {"name": "for", "networkofferingid": built_in["networkofferingid"], "zoneid": built_in["zoneid"]}
    assert lab.root.refused("createNetwork", **create, account="tenant") == (431, 4350)
    assert lab.root.refused("createNetwork", **create, account="nobody", domainid=ids["ops"]) == (431, 4350)
    assert lab.user.refused("createNetwork", **create, account="domadmin", domainid=ids["ops"]) == (531, 4365)
    made = lab.domadmin("createNetwork", **create, account="tenant", domainid=ids["ops"])["network"]
    assert made["account"] == "tenant"
    lab.user.result("deleteNetwork", id=made["id"])


def test_count_alone(lab: Lab) -> None:
    """retrieveonlyresourcecount leaves the list out."""
    assert lab.user("listNetworks", retrieveonlyresourcecount="true") == {"count": 1}
    assert lab.user("listPublicIpAddresses", retrieveonlyresourcecount="true") == {"count": 1}


def test_unpaged(lab: Lab) -> None:
    """A page size of -1 is no page size, and goes with no page; none at all lists all."""
    assert len(lab.user.listed("listNetworkOfferings", "networkoffering", pagesize=-1)) > 3
    assert len(lab.user.listed("listNetworkOfferings", "networkoffering", page=1, pagesize=0)) > 3
    assert lab.user.refused("listNetworkOfferings", page=1, pagesize=-1) == (431, 4350)


@pytest.mark.parametrize(
    ("command", "param"),
    [
        ("listVirtualMachines", "id"),
        ("listVirtualMachines", "networkid"),
        ("listNetworks", "zoneid"),
        ("listFirewallRules", "ipaddressid"),
        ("listPublicIpAddresses", "vpcid"),
        ("listZones", "id"),
    ],
)
def test_id_of_something_else_is_unknown(lab: Lab, command: str, param: str) -> None:
    """An id that exists, but not of what the parameter is for, is refused like one that never existed."""
    host = lab.root.listed("listHosts", "host")[0]["id"]
    assert lab.user.refused(command, **{param: host}) == (431, 9999)


def test_ids_that_nothing_lists_are_known(lab: Lab) -> None:
    """The physical network's and the public network's, as other answers give them."""
    address = lab.user.listed("listPublicIpAddresses", "publicipaddress")[0]
    assert networks(lab.user, physicalnetworkid=address["physicalnetworkid"]) == ["net-tenant"]
    assert owners(lab.user, networkid=address["networkid"]) == ["tenant"]


def test_deleted_rule_is_unknown(lab: Lab) -> None:
    """The server keeps no row of a deleted rule: its id never existed."""
    address = lab.user.listed("listPublicIpAddresses", "publicipaddress")[0]["id"]
    rule = lab.user.result("createFirewallRule", ipaddressid=address, protocol="tcp", startport=1)["firewallrule"]
    lab.user.result("deleteFirewallRule", id=rule["id"])
    assert lab.user.refused("deleteFirewallRule", id=rule["id"]) == (431, 9999)


def test_number_that_is_none(lab: Lab) -> None:
    """Whatever the command does with it."""
    assert lab.user.refused("listEvents", page="one", pagesize=1) == (431, 9999)
    with pytest.raises(Refused):
        lab.user("listEvents", duration="long")


def test_limits_of_a_domain(ids: Body) -> None:
    """They hold for all its accounts together; nobody limits its own domain."""
    with served() as lab:
        networks_of_ops = {"resourcetype": 6, "domainid": ids["ops"]}
        assert lab.root("updateResourceLimit", **networks_of_ops, max=1)["resourcelimit"]["max"] == 1
        [limit] = lab.domadmin.listed("listResourceLimits", "resourcelimit", **networks_of_ops)
        assert (limit["max"], limit["resourcetypename"], "account" in limit) == (1, "network", False)
        lab.network(lab.user)
        built_in = lab.built_in()
        create = {"name": "two", "networkofferingid": built_in["networkofferingid"], "zoneid": built_in["zoneid"]}
        assert lab.domadmin.refused("createNetwork", **create) == (535, 4370)
        assert lab.domadmin.refused("updateResourceLimit", **networks_of_ops, max=9) == (531, 4365)


def test_wrong_limits(lab: Lab) -> None:
    """No such type, less than none, and root may have everything."""
    tenant = lab.tenant()
    assert lab.user.refused("listResourceLimits", resourcetype=99) == (431, 4350)
    assert lab.root.refused("updateResourceLimit", resourcetype=99, **tenant) == (431, 4350)
    assert lab.root.refused("updateResourceLimit", resourcetype=0, max=-2, **tenant) == (431, 4350)
    assert lab.root.refused("updateResourceLimit", resourcetype=0, max=5) == (431, 4350)


def test_offerings_by_what_they_do(lab: Lab) -> None:
    """By flags both ways, and by services that there are."""
    names = {row["name"] for row in lab.user.listed("listNetworkOfferings", "networkoffering", specifyvlan="true")}
    assert names == {"DefaultIsolatedNetworkOffering"}
    without = lab.user.listed("listNetworkOfferings", "networkoffering", sourcenatsupported="false")
    assert {row["name"] for row in without} == names
    assert lab.user.refused("listNetworkOfferings", supportedservices="Coffee") == (431, 4350)


def test_zones_by_ids(lab: Lab) -> None:
    [zone] = lab.user.listed("listZones", "zone")
    assert lab.user("listZones", ids=zone["id"])["count"] == 1
    assert lab.user("listZones", ids="00000000-0000-0000-0000-000000000000") == {}


@pytest.mark.parametrize(
    "wrong",
    [{"guestiptype": "Round"}, {"traffictype": "Heavy"}, {"serviceproviderlist[0].service": "Dns"}],
)
def test_wrong_offerings(lab: Lab, wrong: Body) -> None:
    named = {"name": "o", "displaytext": "o", "guestiptype": "Isolated", "traffictype": "GUEST"}
    assert lab.root.refused("createNetworkOffering", **named | wrong) == (431, 4350)


def test_bug_is_an_answer(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody thought of is the server's internal error, and no lost connection."""

    def broken(*_: object) -> None:
        raise KeyError("nobody thought of this")

    monkeypatch.setattr("vrbench.lab.api.catalog.commands.select", broken)
    assert lab.user.refused("listZones") == (530, 9999)
    monkeypatch.undo()
    assert lab.user("listZones")["count"] == 1
