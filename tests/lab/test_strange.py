"""Strange values and strange callers: what a real 4.20.2.0 server answered, and the lab's answers beside it.

``strange/changes.json`` has calls that change something, with one strange word each, in the order that they were made:
capitals stand for what was built before. A job shows its state, its code and what it was about.

``strange/answers.json`` has a row per question: role, command, parameters, then the status, the wrapper, the error's
code and CloudStack's own code (0 without an error). Every parameter of a command was asked for empty, as nonsense, with
a number below zero, with an id that nothing has; pages were asked for in ten ways.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.lab.replay.serving import QUICK, Body, Lab, served
from vrbench.lab.api.state.settings import ZoneSettings

CHANGES = Path(__file__).parent / "strange" / "changes.json"
ANSWERS = Path(__file__).parent / "strange" / "answers.json"
BELOW = "a number by which old servers named nothing; the real one looks no further"
DIFFERENT = {
    "root listPublicIpAddresses {'associatednetworkid': '-1'}": BELOW,
    "root listPublicIpAddresses {'vpcid': '-1'}": BELOW,
    "root listServiceOfferings {'domainid': '-1'}": BELOW,
    "user listVirtualMachines {'clusterid': '00000000-0000-4000-8000-000000000000'}": "hidden from users",
}


def test_strange_questions_are_answered_as_a_real_server_does() -> None:
    rows: list[list[Any]] = json.loads(ANSWERS.read_text())
    different = set()
    with served(ZoneSettings(timing=QUICK)) as lab:
        for role, command, params, *wanted in rows:
            if outcome(lab, role, command, params) != wanted:
                different.add(f"{role} {command} {params}")
    assert different == set(DIFFERENT)


ANSWERED_OTHERWISE = {
    "root migrateSystemVm {'virtualmachineid': 'VM'}": "a guest's VM is moved: a bug of the server, which nobody needs",
    "root startVirtualMachine {'id': 'VM', 'hostid': ''}": "this empty id is none, others are bad ids",
}


def test_strange_changes_are_answered_as_by_a_real_server() -> None:
    rows: list[list[Any]] = json.loads(CHANGES.read_text())
    different = set()
    with served(ZoneSettings(timing=QUICK)) as lab:
        things = built(lab)
        for role, command, params, *wanted in rows:
            sent = {name: things.get(value, value) for name, value in params.items()}
            if change(lab, role, command, sent) != wanted:
                different.add(f"{role} {command} {params}")
    assert different == set(ANSWERED_OTHERWISE)


def built(lab: Lab) -> Body:
    """Build what the questions are about; its ids by the words of the recording."""
    ids = lab.built_in()
    offering, zone, service, template = (
        ids[name] for name in ("networkofferingid", "zoneid", "serviceofferingid", "templateid")
    )
    network = lab.root("createNetwork", name="odd", displaytext="odd", networkofferingid=offering, zoneid=zone)
    net = network["network"]["id"]
    vm = lab.root.result(
        "deployVirtualMachine", serviceofferingid=service, templateid=template, zoneid=zone, networkids=net
    )
    address = lab.root.result("associateIpAddress", networkid=net)
    return {
        "ZONE": zone,
        "OFF": offering,
        "TPL": template,
        "SO": service,
        "NET": net,
        "VM": vm["virtualmachine"]["id"],
        "IP": address["ipaddress"]["id"],
    }


def change(lab: Lab, role: str, command: str, params: Body) -> list[Any]:
    """Return what the lab answers, and what came of the job if it made one, in the form of the recording."""
    status, answer = getattr(lab, role).raw(command, params)
    wrapper, body = next(iter(answer.items()))
    if "jobid" in body:
        job = lab.root.finished(body["jobid"])
        return [status, wrapper, "job", job["jobstatus"], job["jobresultcode"], job.get("jobinstancetype")]
    if "errorcode" in body:
        return [status, wrapper, body["errorcode"], body.get("cserrorcode")]
    return [status, wrapper, "ok" if body else "empty"]


def outcome(lab: Lab, role: str, command: str, params: Body) -> list[Any]:
    """Return what the lab answers, in the form of the recording."""
    status, answer = getattr(lab, role).raw(command, params)
    wrapper, body = next(iter(answer.items()))
    return [status, wrapper, body.get("errorcode", 0), body.get("cserrorcode", None if "errorcode" in body else 0)]
