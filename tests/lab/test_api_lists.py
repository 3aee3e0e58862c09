"""Lists that a tenant's tools ask for in passing: empty ones, the zone's facilities, root volumes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.replay.serving import QUICK, Lab, Refused, served
from vrbench.lab.api.catalog.empty_lists import KINDS
from vrbench.lab.api.server.dispatch import WRAPPERS
from vrbench.lab.api.state.settings import ZoneSettings

OF_ADMINISTRATORS = {
    "Capacity", "DedicatedClusters", "DedicatedHosts", "DedicatedPods", "DedicatedZones", "InternalLoadBalancerVMs",
    "HostTags", "PortableIpRanges", "SecondaryStagingStores", "StorageTags", "StorageNetworkIpRange", "UsageRecords",
}  # fmt: skip
NEEDED = {
    "UsageRecords": {"startdate": "2026-01-01", "enddate": "2026-01-02"},
    "ResourceDetails": {"resourcetype": "uservm"},
}
NOBODYS = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with served(ZoneSettings(timing=QUICK, api_step_s=0.01)) as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_kind(lab: Lab, kind: str) -> None:
    """An object without even a count, for whoever may ask."""
    command = f"list{kind}"
    wrapper = WRAPPERS.get(command.lower(), f"{command.lower()}response")
    assert lab.root.raw(command, {"listall": "true", **NEEDED.get(kind, {})}) == (200, {wrapper: {}})
    status, answer = lab.user.raw(command, NEEDED.get(kind, {}))
    wanted = (432, "errorresponse") if kind in OF_ADMINISTRATORS else (200, wrapper)
    assert (status, next(iter(answer))) == wanted


def test_parameters_of_empty_lists_are_checked(lab: Lab) -> None:
    """An id that nothing has is refused, in a list of nothing too; so are pages without a size."""
    for params, code in (({"id": NOBODYS}, 431), ({"page": 1}, 431)):
        with pytest.raises(Refused) as refused:
            lab.user("listSnapshots", **params)
        assert refused.value.code == code
    with pytest.raises(Refused) as refused:
        lab.user("listLoadBalancerRules", networkid=NOBODYS)
    assert "Invalid parameter networkid" in refused.value.text


@pytest.mark.parametrize(
    ("command", "name", "count", "of_the_zone"),
    [
        ("listStoragePools", "storagepool", 2, True),
        ("listImageStores", "imagestore", 1, True),
        ("listPhysicalNetworks", "physicalnetwork", 1, True),
        ("listSupportedNetworkServices", "networkservice", 9, False),
        ("listNetworkServiceProviders", "networkserviceprovider", 2, False),
    ],
)
def test_infrastructure_is_the_root_administrators(
    lab: Lab, command: str, name: str, count: int, of_the_zone: bool
) -> None:
    rows = lab.root.listed(command, name)
    assert len(rows) == count
    assert {lab.domadmin.raw(command, {})[0], lab.user.raw(command, {})[0]} == {432}
    site = lab.root.listed("listZones", "zone")[0]
    assert {row.get("zoneid") for row in rows} == {site["id"] if of_the_zone else None}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("listStoragePools", "storagepool"),
        ("listImageStores", "imagestore"),
        ("listPhysicalNetworks", "physicalnetwork"),
    ],
)
def test_infrastructure_is_found_by_its_id(lab: Lab, command: str, name: str) -> None:
    rows = lab.root.listed(command, name)
    assert lab.root.listed(command, name, id=rows[0]["id"]) == rows[:1]


def test_kinds_of_traffic_and_domains_below(lab: Lab) -> None:
    """Of the one physical network, which must be named; of the caller's domain, unless another is."""
    physical = lab.root.listed("listPhysicalNetworks", "physicalnetwork")[0]["id"]
    kinds = lab.root.listed("listTrafficTypes", "traffictype", physicalnetworkid=physical)
    assert {row["traffictype"] for row in kinds} == {"Guest", "Management", "Public", "Storage"}
    with pytest.raises(Refused, match="missing parameter physicalnetworkid"):
        lab.root("listTrafficTypes")
    below = lab.root.listed("listDomainChildren", "domain")
    assert [row["name"] for row in below] == ["ops"]
    assert lab.domadmin("listDomainChildren") == {} == lab.root("listDomainChildren", id=below[0]["id"])
    assert lab.user.raw("listDomainChildren", {})[0] == 432


def test_what_everybody_may_look_at(lab: Lab) -> None:
    """A security group per account, the region, kinds of systems and of affinity; quota is off."""
    [group] = lab.user.listed("listSecurityGroups", "securitygroup")
    assert (group["name"], group["account"], group["ingressrule"]) == ("default", "tenant", [])
    assert lab.user.listed("listSecurityGroups", "securitygroup", id=group["id"]) == [group]
    assert len(lab.root.listed("listSecurityGroups", "securitygroup", listall="true")) > 2
    assert [row["id"] for row in lab.user.listed("listRegions", "region")] == [1]
    assert {row["name"] for row in lab.user.listed("listOsCategories", "oscategory")} == {"Debian", "CentOS"}
    assert {"type": "host anti-affinity"} in lab.user.listed("listAffinityGroupTypes", "affinityGroupType")
    assert {"name": "NETWORK.RESTART"} in lab.user.listed("listEventTypes", "eventtype")
    elements = lab.domadmin.listed("listVirtualRouterElements", "virtualrouterelement", enabled="true")
    providers = lab.root.listed("listNetworkServiceProviders", "networkserviceprovider")
    assert {row["nspid"] for row in elements} == {row["id"] for row in providers}
    assert lab.user("quotaIsEnabled") == {"isenabled": {"isenabled": False}}


def test_root_volumes(lab: Lab) -> None:
    """One per VM; its owner doesn't see where it lies, and it goes with the VM."""
    network, [machine] = lab.built(lab.user, name="disks")
    lab.deploy(lab.user, network, "never", startvm="false")
    [first, second] = lab.user.listed("listVolumes", "volume")
    assert [first["state"], second["state"]] == ["Ready", "Allocated"]
    assert (first["virtualmachineid"], first["vmname"], first["type"]) == (machine["id"], machine["name"], "ROOT")
    assert "storage" not in first
    [shown] = lab.root.listed("listVolumes", "volume", id=first["id"])
    pools = {row["id"]: row["name"] for row in lab.root.listed("listStoragePools", "storagepool")}
    assert pools[shown["storageid"]] == shown["storage"]
    assert lab.root.listed("listVolumes", "volume", storageid=shown["storageid"], listall="true") == [shown]
    there = lab.root.listed("listVirtualMachines", "virtualmachine", storageid=shown["storageid"], listall="true")
    assert [row["id"] for row in there] == [machine["id"]]
    lab.root.result("destroyVirtualMachine", id=machine["id"], expunge="true")
    assert [row["id"] for row in lab.user.listed("listVolumes", "volume")] == [second["id"]]
    assert lab.user("listVolumes", virtualmachineid=machine["id"]) == {}
