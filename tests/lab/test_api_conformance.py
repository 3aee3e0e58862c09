"""Every answer of the lab against what real servers of the same release list and always give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.lab.conformance.reference import RELEASES, always, fields, params, reference, rows_of
from tests.lab.replay.serving import QUICK, Body, Client, Lab, served
from vrbench.lab.api.state.settings import ZoneSettings

JOB_RESULT = "queryAsyncJobResult"
ON_JOBS = {"jobid", "jobstatus"}  # of every answer, although older servers list them for jobs only
LISTS = (
    "listZones", "listHypervisors", "listCapabilities", "listAccounts", "listDomains", "listNetworkOfferings",
    "listServiceOfferings", "listVPCOfferings", "listNetworks", "listVirtualMachines", "listPublicIpAddresses",
    "listFirewallRules", "listEgressFirewallRules", "listPortForwardingRules", "listRouters", "listVPCs",
    "listNetworkACLLists", "listTags", "listEvents", "listSSHKeyPairs", "listResourceLimits", "listUsers",
    "listAsyncJobs", "listVlanIpRanges", "listConfigurations", "listHosts", "listSystemVms", "listApis", "listPods",
    "listClusters", "listDiskOfferings",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What a caller of one role was told."""

    role: str
    command: str
    status: int
    body: Body


@dataclass(frozen=True)
class Noting(Client):
    """A client that keeps what it was answered."""

    role: str
    heard: list[Answer]

    def raw(self, command: str, params: Mapping[str, object], method: str = "GET") -> tuple[int, Body]:
        status, body = super().raw(command, params, method)
        self.heard.append(Answer(self.role, command, status, body))
        return status, body


@contextmanager
def noting(release: str) -> Iterator[tuple[Lab, list[Answer]]]:
    """Serve one release, with clients that note all answers in one list."""
    heard: list[Answer] = []
    settings = ZoneSettings(timing=QUICK, api_step_s=0.01, server_version=release, router_check_s=0.1)
    with served(settings) as lab:
        root, domadmin, user = (
            Noting(lab.port, getattr(lab, role).caller, role, heard) for role in ("root", "domadmin", "user")
        )
        yield replace(lab, root=root, domadmin=domadmin, user=user), heard


def exercise(lab: Lab) -> None:
    """Build an isolated network with all that vrbench builds and a VPC with a tier; restart and look at both."""
    for who in (lab.domadmin, lab.root):
        _isolated(lab, who)
    _vpc(lab, lab.root)
    for who in (lab.root, lab.domadmin, lab.user):
        for command in LISTS:
            _tolerantly(who, command)
        _tolerantly(who, "listTemplates", templatefilter="executable")


def _tolerantly(who: Client, command: str, **more: str) -> None:
    """Ask; a role that may not, or a release that doesn't have the command, is no matter here."""
    status, _ = who.raw(command, {"listall": "true", **more})
    assert status in (200, 401, 432), command


def _isolated(lab: Lab, who: Client) -> None:
    who("createSSHKeyPair", name="key")
    network, machines = lab.built(who, 2, name=f"net-{who.caller.account}")
    address, other = (who.result("associateIpAddress", networkid=network)["ipaddress"]["id"] for _ in range(2))
    who.result("createFirewallRule", ipaddressid=address, protocol="tcp", startport=22, endport=22)
    who.result("createFirewallRule", ipaddressid=address, protocol="icmp")
    target = machines[0]["id"]
    forward = {"publicport": 22, "privateport": 22, "protocol": "tcp", "openfirewall": "false"}
    who.result("createPortForwardingRule", ipaddressid=address, virtualmachineid=target, **forward)
    who.result("createEgressFirewallRule", networkid=network, protocol="all")
    who("enableStaticNat", ipaddressid=other, virtualmachineid=machines[1]["id"])
    tag = {"resourceids": network, "resourcetype": "Network", "tags[0].key": "k", "tags[0].value": "v"}
    who.result("createTags", **tag)
    who.result("restartNetwork", id=network, cleanup="true", makeredundant="true")
    who.result("stopVirtualMachine", id=target)
    who.result("destroyVirtualMachine", id=target)


def _vpc(lab: Lab, who: Client) -> None:
    ids = lab.built_in()
    plans = {row["name"]: row["id"] for row in who.listed("listVPCOfferings", "vpcoffering")}
    create = {"name": "v", "displaytext": "v", "cidr": "10.2.0.0/16", "zoneid": ids["zoneid"]}
    vpc = who.result("createVPC", vpcofferingid=plans["Default VPC offering"], **create)["vpc"]["id"]
    acl = who.result("createNetworkACLList", name="acl", vpcid=vpc)["networkacllist"]["id"]
    who.result("createNetworkACL", aclid=acl, protocol="tcp", startport=22, endport=22, action="allow")
    tier = who("createNetwork", name="t", displaytext="t", vpcid=vpc, aclid=acl, **_tier(lab))["network"]["id"]
    who.finished(lab.deploy(who, tier, "tiervm")["jobid"])
    who.result("associateIpAddress", vpcid=vpc)
    who.result("restartVPC", id=vpc, cleanup="true")


def _tier(lab: Lab) -> Body:
    offerings = lab.root.listed("listNetworkOfferings", "networkoffering")
    chosen = next(o["id"] for o in offerings if o["name"] == "DefaultIsolatedNetworkOfferingForVpcNetworks")
    where = {"networkofferingid": chosen, "zoneid": lab.built_in()["zoneid"]}
    return where | {"gateway": "10.2.1.1", "netmask": "255.255.255.0"}


def too_many(heard: list[Answer], release: str) -> list[str]:
    """Fields that a server of the release doesn't have."""
    started: dict[str, str] = {}
    found = []
    for answer in heard:
        command, body = answer.command, answer.body
        inner: Any = next(iter(body.values()))
        if command != JOB_RESULT and "jobid" in inner:
            started[inner["jobid"]] = command
        if command == JOB_RESULT and "jobstatus" in inner:
            found += [f"{command}.{name}" for name in inner.keys() - fields(command, release) - ON_JOBS]
            command, body = started.get(inner["jobid"], command), {"": inner.get("jobresult") or {}}
        if command in reference():
            found += [
                f"{command}.{name}" for row in rows_of(body) for name in row.keys() - fields(command, release) - ON_JOBS
            ]
    return sorted(set(found))


@pytest.mark.parametrize("release", RELEASES)
def test_answers_have_no_field_that_the_release_lacks(release: str) -> None:
    """Whoever calls, whatever is listed, created or the result of a job."""
    with noting(release) as (lab, heard):
        exercise(lab)
    listed = [answer for answer in heard if answer.command in reference()]
    assert len({answer.command for answer in listed}) > 30
    assert too_many(listed, release) == []


def test_answers_have_every_field_that_is_always_there() -> None:
    """What no recorded row of a 4.20.2 server was without, no row of the lab is without."""
    with noting("4.20.2") as (lab, heard):
        exercise(lab)
    missing = {
        f"{answer.role} {answer.command}.{name}"
        for answer in heard
        for row in rows_of(answer.body)
        if "vpcid" not in row or answer.role == "user"  # only plain users were recorded with VPCs
        for name in always().get(answer.command, {}).get(answer.role, set()) - row.keys()
    }
    assert len(always()) > 40
    assert missing == set()


@pytest.mark.parametrize("release", RELEASES)
def test_list_of_commands_is_that_of_the_release(release: str) -> None:
    """listApis names the release's commands, their parameters and types, and which run as jobs."""
    with noting(release) as (lab, _):
        listed = {row["name"]: row for row in lab.root.listed("listApis", "api", listall="true")}
    assert len(listed.keys() & reference().keys()) > 70
    for command in reference():
        wanted = params(command, release)
        if wanted is None or command not in listed:
            continue
        shown = {p["name"]: p["type"] + ("!" if p["required"] else "") for p in listed[command]["params"]}
        assert shown == wanted, command
        assert listed[command]["isasync"] == (release in reference()[command]["async"]), command
        assert {f["name"] for f in listed[command]["response"]} == fields(command, release), command
