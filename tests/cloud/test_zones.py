"""Clouds of several zones: which is meant, which are told apart, and what an edge zone or a disabled one takes."""

from __future__ import annotations

import pytest

from tests.cloud.lab import Lab, planned
from vrbench.cloud.api.facade import Answer, Cloud, Param
from vrbench.cloud.check.preflight import Resolved, preflight
from vrbench.cloud.check.survey import Survey
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.cloud.errors import PreflightError
from vrbench.core.findings import FindingState

FIRST = "Sandbox-simulator"


class Zones(Cloud):
    """A cloud that shows more zones, and offerings of both kinds of storage."""

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials)
        self.more: tuple[Answer, ...] = ()
        self.changed: Answer = {}

    def list(self, command: str, name: str, /, **params: Param) -> list[Answer]:
        rows = super().list(command, name, **params)
        if command == "listZones":
            return [*({**row, **self.changed} for row in rows), *self.more]
        if command == "listServiceOfferings":
            return [*rows, *({**row, "id": f"{row['id']}-local", "storagetype": "local", "memory": 64} for row in rows)]
        return rows


@pytest.fixture
def zones(lab: Lab) -> Zones:
    return seen_by(lab, "domadmin")


def seen_by(lab: Lab, role: str) -> Zones:
    caller = lab.server.callers()[role]
    return Zones(Credentials(lab.endpoint, caller.apikey, caller.secretkey))


def zone(name: str, **more: object) -> Answer:
    return {"id": f"id-of-{name.strip()}", "name": name, "networktype": "Advanced", **more}


def resolved(cloud: Cloud, **plan: object) -> Resolved:
    return preflight(cloud, planned(**plan))[0]


def refused(cloud: Cloud, **plan: object) -> str:
    with pytest.raises(PreflightError) as caught:
        preflight(cloud, planned(**plan))
    return "\n".join(finding.sentence for finding in caught.value.findings)


def test_a_zone_must_be_named_where_there_are_several(zones: Zones) -> None:
    """By its name or its id, exactly: two may differ in one sign."""
    zones.more = (zone("Sandbox-Simulator"), zone(f"{FIRST} "))
    assert "there are 3: Sandbox-Simulator, Sandbox-simulator, Sandbox-simulator " in refused(zones)
    found = resolved(zones, zone=FIRST)
    assert resolved(zones, zone=found.zone_id) == found
    assert found.zone == FIRST
    assert f"nearest: {FIRST}" in refused(zones, zone="sandbox_simulator")


def test_zones_of_one_name_are_told_by_their_ids(zones: Zones) -> None:
    """As init does it."""
    zones.more = (zone(FIRST),)
    assert "is the name of 2 things; give one of their ids" in refused(zones, zone=FIRST)
    offers = Survey(zones).zones().offers
    assert {offer.value for offer in offers} == {f"id-of-{FIRST}", *(o.value for o in offers if FIRST in o.told)}


@pytest.mark.parametrize(("role", "state"), [("domadmin", FindingState.BAD), ("root", FindingState.WARN)])
def test_a_disabled_zone_takes_root_alone(lab: Lab, role: str, state: FindingState) -> None:
    """A server refuses everybody else at the first creating call."""
    cloud = seen_by(lab, role)
    cloud.changed = {"allocationstate": "Disabled"}
    try:
        findings = list(preflight(cloud, planned())[1])
    except PreflightError as error:
        findings = list(error.findings)
    assert [(f.state, "is disabled" in f.found) for f in findings if f.name == "zone"] == [(state, True)]


@pytest.mark.parametrize(
    ("changed", "size"),
    [
        ({"localstorageenabled": True}, "64"),
        ({"localstorageenabled": False}, "512"),
        ({"localstorageenabled": True, "type": "Edge"}, "64"),
    ],
)
def test_vms_get_a_size_whose_disks_have_a_place_in_the_zone(zones: Zones, changed: Answer, size: str) -> None:
    """Where hosts' own disks may not be used, such a VM would find no storage; in an edge zone it is all there is."""
    zones.changed = changed
    offered = Survey(zones).service_offerings({**zones.list("listZones", "zone")[0]}).offers
    assert offered[0].told.endswith(f"{size} MB")
