"""What an operation needs of server and account, told before anything is built."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.cloud.lab import PLAN, QUICK, Lab, running_lab
from tests.cloud.server import by_command, fake_cloud, refuses, says
from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.check.operation_needs import unmet_needs
from vrbench.cloud.errors import PreflightError
from vrbench.core.plan.networks import ISOLATED
from vrbench.core.plan.operations import OPERATIONS

EVERYBODY = ("restart-network-cleanup", "restart-network")
ALLOWED = {  # by version and role
    ("4.11.2", "root"): {*OPERATIONS} - {"live-patch"},
    ("4.15.1", "domadmin"): {*OPERATIONS} - {"live-patch"},
    ("4.15.1", "user"): {*EVERYBODY},
    ("4.18.0", "user"): {*EVERYBODY, "live-patch"},
    ("4.20.2", "domadmin"): {*OPERATIONS},
    ("4.20.2", "root"): {*OPERATIONS},
}


def kind_for(operation: str) -> str:
    """Return a kind of network that an operation can be done to."""
    return OPERATIONS[operation].networks[0]


@pytest.mark.parametrize(("version", "role"), ALLOWED)
def test_who_may_ask_for_what(version: str, role: str) -> None:
    """By the server's own list of what each role may call, and with which parameters."""
    with running_lab(replace(QUICK, server_version=version)) as lab:
        found = {name: unmet_needs(lab.cloud(role), name, kind_for(name)) for name in OPERATIONS}
    assert {name for name, (problems, _) in found.items() if not problems} == ALLOWED[version, role]
    assert not any(notes for _, notes in found.values())


def test_what_is_refused_says_why(lab: Lab) -> None:
    """The call that the account lacks; what lacks in the server's call, and since when servers have it."""
    with pytest.raises(PreflightError, match="'reboot-router' can't be asked for here: this account may not use listR"):
        lab.resolve(replace(PLAN, operation="reboot-router"), "user")
    old = says("listApis", {"count": 1, "api": [{"name": "restartNetwork", "params": [{"name": "cleanup"}]}]})
    with fake_cloud(by_command({"listApis": old})) as fake:
        (problem,), _ = unmet_needs(Cloud(fake.credentials()), "live-patch", ISOLATED)
    assert "this server's restartNetwork has no livepatch; it came with CloudStack 4.17" in problem


def test_a_failover_needs_a_pair(lab: Lab) -> None:
    """Told by the profile alone."""
    with pytest.raises(
        PreflightError, match=r"'failover' needs environment\.network = 'redundant'; the profile has 'is"
    ):
        lab.resolve(replace(PLAN, operation="failover"), "root")


def test_a_server_that_does_not_say_is_believed_to_allow_it() -> None:
    """A role may lack listApis itself; that is a note, and no reason to stop."""
    with fake_cloud(by_command({"listApis": refuses("listApis", 432, "The API [listApis] does not exist")})) as fake:
        problems, (note,) = unmet_needs(Cloud(fake.credentials()), "reboot-router", ISOLATED)
    assert not problems
    assert note.startswith("whether reboot-router is allowed here can't be told: listApis")
