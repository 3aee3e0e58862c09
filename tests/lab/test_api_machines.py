"""VMs in every state under every command that changes it: what is done, refused, or quietly left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.replay.serving import QUICK, Body, Client, Lab, Refused, served
from vrbench.lab.api.state.settings import ZoneSettings


@pytest.fixture
def lab() -> Iterator[Lab]:
    with served(ZoneSettings(timing=QUICK, api_step_s=0.01)) as running:
        yield running


def states(lab: Lab, machine: str) -> list[str]:
    return [row["state"] for row in lab.root.listed("listVirtualMachines", "virtualmachine", id=machine)]


def failed(who: Client, command: str, machine: str, **more: str) -> tuple[int, str]:
    job = who.job(command, id=machine, **more)
    assert (job["jobstatus"], job["jobinstancetype"], job["jobinstanceid"]) == (2, "VirtualMachine", machine)
    return job["jobresultcode"], job["jobresult"]["errortext"]


def after(who: Client, command: str, machine: str, **more: str) -> str:
    """Return the state in a job's result."""
    state: str = who.result(command, id=machine, **more)["virtualmachine"]["state"]
    return state


def test_running(lab: Lab) -> None:
    """A second start is refused; a reboot and a forced stop work."""
    _, [machine] = lab.built(lab.user)
    name, uuid = machine["displayname"], machine["id"]
    already = f"The virtual machine {uuid} ({name}) is already running"
    assert failed(lab.user, "startVirtualMachine", uuid) == (431, already)
    assert failed(lab.domadmin, "expungeVirtualMachine", uuid)[0] == 530
    assert after(lab.user, "rebootVirtualMachine", uuid) == "Running"
    assert after(lab.user, "stopVirtualMachine", uuid, forced="true") == "Stopped"


def test_stopped(lab: Lab) -> None:
    """A second stop is no error, a reboot is; a start works."""
    _, [machine] = lab.built(lab.user)
    uuid = machine["id"]
    assert [after(lab.user, "stopVirtualMachine", uuid) for _ in range(2)] == ["Stopped", "Stopped"]
    not_running = f"The VM {uuid} ({machine['displayname']}) is not running, unable to reboot it"
    assert failed(lab.user, "rebootVirtualMachine", uuid) == (431, not_running)
    assert after(lab.user, "startVirtualMachine", uuid) == "Running"


def test_destroyed(lab: Lab) -> None:
    """Starting, stopping and destroying it again change nothing and are no errors."""
    _, [machine] = lab.built(lab.user)
    uuid = machine["id"]
    for command in ("destroyVirtualMachine", "destroyVirtualMachine", "stopVirtualMachine", "startVirtualMachine"):
        assert after(lab.user, command, uuid) == "Destroyed"
    assert failed(lab.user, "rebootVirtualMachine", uuid)[0] == 431
    assert lab.user.listed("listVirtualMachines", "virtualmachine", id=uuid) == []
    assert lab.domadmin.result("expungeVirtualMachine", id=uuid) == {"success": True}
    gone = "Unable to find a virtual machine with specified vmId"
    with pytest.raises(Refused, match=gone) as refused:
        lab.user("startVirtualMachine", id=uuid)
    assert refused.value.code == 431


def test_expunging_is_the_administrators(lab: Lab) -> None:
    """A user's job fails: of a VM that is not destroyed for that reason, of one that is for the right."""
    _, [machine] = lab.built(lab.user)
    uuid = machine["id"]
    undestroyed = "Please destroy vm with specified vmId before expunge"
    assert failed(lab.user, "expungeVirtualMachine", uuid) == (530, undestroyed)
    assert failed(lab.user, "destroyVirtualMachine", uuid, expunge="true")[0] == 530
    assert states(lab, uuid) == ["Running"]
    lab.user.result("destroyVirtualMachine", id=uuid)
    code, text = failed(lab.user, "expungeVirtualMachine", uuid)
    assert (code, text[:42]) == (530, "Expunging a vm can only be done by an Admi")
    assert states(lab, uuid) == ["Destroyed"]


def recovered(who: Client, machine: str) -> Body:
    body: Body = who("recoverVirtualMachine", id=machine)["virtualmachine"]
    return body


def test_recovered(lab: Lab) -> None:
    """By an administrator, at once and within the limits; what is not destroyed stays as it is."""
    _, [machine] = lab.built(lab.user)
    uuid = machine["id"]
    assert recovered(lab.domadmin, uuid)["state"] == "Running"
    lab.user.result("destroyVirtualMachine", id=uuid)
    with pytest.raises(Refused, match="Recovering a vm can only be done by an Admin") as refused:
        recovered(lab.user, uuid)
    assert refused.value.code == 531
    limit = {"resourcetype": 0, "account": "tenant", "domainid": machine["domainid"]}
    lab.root("updateResourceLimit", max=0, **limit)
    with pytest.raises(Refused, match="user_vm") as refused:
        recovered(lab.domadmin, uuid)
    assert refused.value.code == 535
    lab.root("updateResourceLimit", max=20, **limit)
    assert recovered(lab.domadmin, uuid)["state"] == "Stopped"
    assert after(lab.user, "startVirtualMachine", uuid) == "Running"


@pytest.mark.parametrize("command", ["start", "stop", "reboot", "destroy", "expunge", "recover"])
def test_somebody_elses(lab: Lab, command: str) -> None:
    """Refused at once, whatever the state."""
    _, [machine] = lab.built(lab.domadmin)
    with pytest.raises(Refused) as refused:
        lab.user(f"{command}VirtualMachine", id=machine["id"])
    assert refused.value.code == 531
