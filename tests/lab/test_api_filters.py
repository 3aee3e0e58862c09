"""What list calls leave out by their filters: VMs, routers, events and jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.replay.serving import Body, Lab, served

BAD = (431, 4350)
MALFORMED = (431, 9999)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Serve a lab in which the user has a network with two VMs, and another without any."""
    with served() as lab:
        lab.built(lab.user, 2)
        lab.network(lab.user, "other")
        yield lab


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Body:
    """Return the first VM as root sees it."""
    return lab.root.listed("listVirtualMachines", "virtualmachine", listall="true")[0]


@pytest.fixture(scope="module")
def router(lab: Lab) -> Body:
    return lab.root.listed("listRouters", "router", listall="true")[0]


def test_vms_by_what_they_are(lab: Lab, machine: Body) -> None:
    """A piece of the name is enough; the rest must be the same, in any case."""
    where = lab.root.listed("listHosts", "host", id=machine["hostid"])[0]
    same = {
        "name": "VM0",
        "state": "running",
        "hypervisor": "simulator",
        "haenable": "false",
        "forvirtualnetwork": "true",
        "userid": machine["userid"],
        "hostid": where["id"],
        "podid": where["podid"],
        "clusterid": where["clusterid"],
        "listall": "true",
    }
    found = lab.root.listed("listVirtualMachines", "virtualmachine", **same)
    assert [row["id"] for row in found] == [machine["id"]]


@pytest.mark.parametrize("wanted", [{"name": "vm9"}, {"hypervisor": "KVM"}, {"haenable": "true"}, {"state": "Stopped"}])
def test_no_such_vms(lab: Lab, wanted: Body) -> None:
    assert lab.user("listVirtualMachines", **wanted) == {}


def test_vms_by_ids(lab: Lab, machine: Body) -> None:
    """By one id or by several, not both."""
    assert lab.user("listVirtualMachines", ids=machine["id"])["count"] == 1
    assert lab.user.refused("listVirtualMachines", ids=machine["id"], id=machine["id"]) == BAD
    other = lab.user.listed("listNetworks", "network", keyword="other")[0]["id"]
    assert lab.user("listVirtualMachines", networkid=other) == {}


def test_details_of_vms(lab: Lab) -> None:
    """Only the groups asked for are shown; lists are then empty."""
    row = lab.user.listed("listVirtualMachines", "virtualmachine", details="servoff,nics")[0]
    assert (row["cpunumber"], len(row["nic"])) == (1, 1)
    assert "templateid" not in row
    bare = lab.user.listed("listVirtualMachines", "virtualmachine", details="min")[0]
    assert (bare["nic"], "serviceofferingid" in bare) == ([], False)
    assert lab.user.refused("listVirtualMachines", details="everything") == BAD


def test_routers_by_what_they_are(lab: Lab, router: Body) -> None:
    """By place, version and words of their networks' names."""
    zone, network = router["zoneid"], router["guestnetworkname"]
    same = {"zoneid": zone, "podid": router["podid"], "version": router["version"][:3], "healthchecksfailed": "false"}
    assert lab.root("listRouters", listall="true", keyword=network, **same)["count"] == 1
    for none in ({"version": "9"}, {"healthchecksfailed": "true"}, {"keyword": "nothing"}, {"forvpc": "true"}):
        assert lab.root("listRouters", listall="true", **none) == {}


def test_events_of_a_time(lab: Lab, machine: Body) -> None:
    """A date alone is a whole day; what is no date is refused."""
    day = machine["created"][:10]
    all_of_it = lab.user("listEvents", type="VM.CREATE")["count"]
    assert lab.user("listEvents", type="VM.CREATE", startdate=day)["count"] == all_of_it
    assert lab.user("listEvents", type="vm.create", enddate="2001-01-01") == {}
    assert lab.user("listEvents", startdate="2099-01-01 00:00:00") == {}
    assert lab.user("listEvents", archived="true") == {}
    assert lab.user.refused("listEvents", startdate="yesterday") == MALFORMED
    assert lab.user.refused("listAsyncJobs", startdate="yesterday") == MALFORMED


def test_events_of_a_thing(lab: Lab, machine: Body) -> None:
    """Its kind must be said as well."""
    assert lab.user.refused("listEvents", resourceid=machine["id"]) == BAD
    assert lab.user("listEvents", resourceid=machine["id"], resourcetype="VirtualMachine")["count"] > 1
