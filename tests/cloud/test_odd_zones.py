"""Zones that the lab is not: what preflight makes of answers that real servers give, one odd answer at a time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud.lab import planned
from tests.cloud.server import KEY, Behaviour, by_command, fake_cloud, refuses, says
from tests.cloud.test_preflight import offering, problems
from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.check.preflight import preflight
from vrbench.cloud.errors import PreflightError

PLAN = planned(service_offering="S", template="T")
DENIED = 432, "The given command does not exist or it is not available for user"

FREE = {"id": "i", "ipaddress": "192.0.2.1", "state": "Free"}
MINE = {"name": "a", "domainid": "d", "roletype": "User"}


def rows(command: str, name: str, *found: dict[str, Any]) -> Behaviour:
    """Return a list command's answer."""
    return says(command, {"count": len(found), name: list(found)})


def named(name: str) -> dict[str, Any]:
    """Return a network of ours by this name."""
    return {"id": "n", "name": name, "state": "Implemented", "domainid": "d", "account": "mine"}


CLOSED = {"id": "z", "name": "z", "networktype": "Advanced", "allocationstate": "Disabled"}
FOR_XEN = {"id": "t", "name": "T", "isready": True, "hypervisor": "XenServer"}
GOOD: dict[str, Behaviour] = {
    "listCapabilities": says(
        "listCapabilities", {"capability": {"cloudstackversion": "4.20.1", "allowuserexpungerecovervm": True}}
    ),
    "listAccounts": rows("listAccounts", "account", MINE),
    "listZones": rows("listZones", "zone", {"id": "z", "name": "z", "networktype": "Advanced"}),
    "listNetworkOfferings": rows("listNetworkOfferings", "networkoffering", offering()),
    "listServiceOfferings": rows("listServiceOfferings", "serviceoffering", {"id": "s", "name": "S", "memory": 512}),
    "listTemplates": rows("listTemplates", "template", {"id": "t", "name": "T", "isready": True}),
    "listPublicIpAddresses": says("listPublicIpAddresses", {"count": 50, "publicipaddress": [FREE]}),
    "listHypervisors": rows("listHypervisors", "hypervisor", {"name": "KVM"}, {"name": "VMware"}),
    "listRouters": says("listRouters", {}),
    "listNetworks": says("listNetworks", {}),
    "listApis": rows("listApis", "api", {"name": "restartNetwork", "params": []}),
}


def test_a_plain_zone_has_no_problem() -> None:
    """What the other tests change one answer of; the hypervisors of a zone are named where the template names none."""
    with fake_cloud(by_command(GOOD)) as fake:
        resolved, notes = preflight(Cloud(fake.credentials()), PLAN)
    assert [finding.name for finding in notes] == ["source"]
    assert (resolved.zone_id, resolved.template_id, resolved.hypervisor) == ("z", "t", "KVM/VMware")


@pytest.mark.parametrize(
    ("command", "answer", "words"),
    [
        ("listAccounts", rows("listAccounts", "account", MINE, MINE), "can't tell which account"),
        ("listAccounts", refuses("listAccounts", *DENIED), "listAccounts: "),
        ("listZones", rows("listZones", "zone", CLOSED), "zone 'z' is disabled: only the root administrator may build"),
        (
            "listTemplates",
            rows("listTemplates", "template", FOR_XEN),
            "is for XenServer, and the zone's hosts run KVM and",
        ),
        (
            "listZones",
            rows("listZones", "zone", {"id": "z", "name": "flat", "networktype": "Basic"}),
            "zone 'flat' is a basic zone or uses security groups",
        ),
        ("listNetworkOfferings", says("listNetworkOfferings", {}), "gives networks with one router"),
        (
            "listServiceOfferings",
            rows("listServiceOfferings", "serviceoffering", {"id": "s", "name": "S", "iscustomized": True}),
            "service offering 'S' leaves CPU and memory open",
        ),
        (
            "listTemplates",
            rows("listTemplates", "template", {"id": "t", "name": "T", "isready": False, "status": "5% downloaded"}),
            "template 'T' is not ready in this zone (5% downloaded)",
        ),
    ],
)
def test_one_odd_answer_is_one_problem(command: str, answer: Behaviour, words: str) -> None:
    """It is named with what to do, and causes no others."""
    with fake_cloud(by_command({**GOOD, command: answer})) as fake:
        found = problems(Cloud(fake.credentials()), PLAN)
    (problem,) = found
    assert words in problem


def test_zones_that_are_not_shown_are_told_with_the_servers_words() -> None:
    """Without a zone no template is looked for, and no addresses are counted."""
    with fake_cloud(by_command({**GOOD, "listZones": refuses("listZones", 530, "database down")})) as fake:
        first, second = problems(Cloud(fake.credentials()), PLAN)
    assert "database down" in first
    assert "no zone is named in the profile" in second
    assert "listTemplates" not in {request.params["command"] for request in fake.requests}


@pytest.mark.parametrize(
    ("command", "answer", "words"),
    [
        ("listCapabilities", says("listCapabilities", {"capability": {"cloudstackversion": "5.1"}}), "CloudStack 5.1"),
        ("listPublicIpAddresses", refuses("listPublicIpAddresses", *DENIED), "can't be counted here"),
        ("listPublicIpAddresses", says("listPublicIpAddresses", {}), "shown no free public addresses"),
        (
            "listNetworks",
            rows("listNetworks", "network", named("vrb-00000001-net")),
            "1 network of other runs: vrb-00000001",
        ),
        ("listNetworks", refuses("listNetworks", 530, "internal"), "other runs can't be looked for: listNetworks"),
        ("listHypervisors", refuses("listHypervisors", 530, "internal"), "hypervisors of the zone can't be listed"),
        ("listRouters", refuses("listRouters", *DENIED), "may not list routers"),
        ("listRouters", refuses("listRouters", 530, "internal"), "routers can't be listed"),
    ],
)
def test_what_hinders_nothing_is_a_note(command: str, answer: Behaviour, words: str) -> None:
    """The operator is told, and the run goes on."""
    with fake_cloud(by_command({**GOOD, command: answer})) as fake:
        _, notes = preflight(Cloud(fake.credentials()), PLAN, accept_unexpunged=True)
    assert any(words in note.found for note in notes), notes


def test_an_unknown_hypervisor_is_none() -> None:
    """Neither the template nor the zone tells it: the context of the run says so."""
    with fake_cloud(by_command({**GOOD, "listHypervisors": refuses("listHypervisors", *DENIED)})) as fake:
        assert preflight(Cloud(fake.credentials()), PLAN)[0].hypervisor == "unknown"


def test_an_administrators_account_is_told_by_its_key() -> None:
    """Administrators are shown all accounts: theirs is the one that has this key."""
    accounts = rows("listAccounts", "account", MINE, {**MINE, "name": "mine", "user": [{"apikey": KEY}]})
    with fake_cloud(by_command({**GOOD, "listAccounts": accounts})) as fake:
        assert preflight(Cloud(fake.credentials()), PLAN)[0].account == "mine"


def test_the_root_administrator_may_build_in_a_disabled_zone() -> None:
    """So that a zone can be tried before it is opened; the note says that nobody else may."""
    root = {**MINE, "roletype": "Admin", "accounttype": 1}
    answers = {"listZones": rows("listZones", "zone", CLOSED), "listAccounts": rows("listAccounts", "account", root)}
    with fake_cloud(by_command({**GOOD, **answers})) as fake:
        _, found = preflight(Cloud(fake.credentials()), PLAN)
    assert [(one.name, one.state) for one in found] == [("zone", "warn"), ("source", "ok")]


def test_networks_of_others_that_are_only_called_alike_are_nobodys_run() -> None:
    """A name of ours has eight digits after its first word."""
    answers = {"listNetworks": rows("listNetworks", "network", named("vrb-test"), named("my-vrb-00000001-net"))}
    with fake_cloud(by_command({**GOOD, **answers})) as fake:
        _, found = preflight(Cloud(fake.credentials()), PLAN)
    assert [one.name for one in found] == ["source"]


def test_a_check_makes_few_calls_and_changes_nothing() -> None:
    """Each is a look, and each is made once."""
    with fake_cloud(by_command(GOOD)) as fake:
        preflight(Cloud(fake.credentials()), PLAN)
    commands = [request.params["command"] for request in fake.requests]
    assert all(command.startswith("list") for command in commands)
    assert len(commands) <= 14


def capacity(kind: int, total: int, used: int) -> dict[str, Any]:
    return {"type": kind, "zoneid": "z", "capacitytotal": total, "capacityused": used}


SIZED = {"id": "s", "name": "S", "memory": 512, "cpunumber": 1, "cpuspeed": 500}
ROOM = [capacity(0, 8 << 30, 6 << 30), capacity(1, 4000, 1000), {"type": 4}]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (rows("listCapacity", "capacity", *ROOM), ""),
        (rows("listCapacity", "capacity", capacity(0, 8 << 30, (8 << 30) - (600 << 20))), "600 MiB of memory left"),
        (
            rows("listCapacity", "capacity", capacity(1, 4000, 3500)),
            "500 MHz of CPU left, and the plan's VMs take 1000",
        ),
        (
            rows("listCapacity", "capacity", capacity(1, 4000, 5000)),
            "0 MHz of CPU left",
        ),  # more is promised than is there
        (refuses("listCapacity", *DENIED), ""),
        (says("listCapacity", {}), ""),
    ],
)
def test_the_root_administrator_is_told_of_full_hosts(answer: Behaviour, words: str) -> None:
    """Two VMs of 512 MB and 500 MHz: with less in the whole zone they can't both be deployed."""
    root = rows("listAccounts", "account", {**MINE, "accounttype": 1})
    service = rows("listServiceOfferings", "serviceoffering", SIZED)
    zone = {**GOOD, "listAccounts": root, "listServiceOfferings": service, "listCapacity": answer}
    told = ""
    with fake_cloud(by_command(zone)) as fake:
        try:
            preflight(Cloud(fake.credentials()), PLAN)
        except PreflightError as error:
            told = str(error)
    assert words in told
    assert bool(told) is bool(words)


def test_full_hosts_that_can_not_be_looked_at_are_a_note() -> None:
    """The run goes on."""
    root = rows("listAccounts", "account", {**MINE, "accounttype": 1})
    with fake_cloud(
        by_command({**GOOD, "listAccounts": root, "listCapacity": refuses("listCapacity", 530, "x")})
    ) as fake:
        _, found = preflight(Cloud(fake.credentials()), PLAN)
    assert [(one.name, one.state) for one in found] == [("capacity", "warn"), ("source", "ok")]
