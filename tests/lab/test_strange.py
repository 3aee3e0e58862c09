"""Strange values and strange callers: what a real 4.20.2.0 server answered, and the lab's answers beside it.

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


def outcome(lab: Lab, role: str, command: str, params: Body) -> list[Any]:
    """Return what the lab answers, in the form of the recording."""
    status, answer = getattr(lab, role).raw(command, params)
    wrapper, body = next(iter(answer.items()))
    return [status, wrapper, body.get("errorcode", 0), body.get("cserrorcode", None if "errorcode" in body else 0)]
