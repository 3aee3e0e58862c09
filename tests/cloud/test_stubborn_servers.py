"""Removal where the server says yes and does nothing, or can't: what is there is left, named, and never guessed at."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cloud.lab import DEADLINES, PLAN, Lab, is_clean, running_lab, silent
from tests.cloud.server import by_command, fake_cloud, says
from tests.cloud.test_removal import FAST_EXPUNGE_LATE, FailingCloud, built, clean_up, make_network
from vrbench.cloud.api.facade import Answer, Cloud, Job, Param
from vrbench.cloud.errors import JobFailed, refusal
from vrbench.cloud.journal.journal import Journal
from vrbench.cloud.journal.replay import Head
from vrbench.cloud.remove.steps import remove_journaled


class Forgetful(Cloud):
    """A cloud that says yes to some commands and does nothing."""

    ignored: tuple[str, ...] = ()

    def call(self, command: str, /, **params: Param) -> Answer:
        return {"success": "true"} if command in self.ignored else super().call(command, **params)

    def submit(self, command: str, /, **params: Param) -> Job:
        return Job(command, "ignored") if command in self.ignored else super().submit(command, **params)

    def wait(
        self, job: Job, deadline_s: float, poll_s: float = 0.5, after_poll: Callable[[], None] = lambda: None
    ) -> Answer:
        return {} if job.jobid == "ignored" else super().wait(job, deadline_s, poll_s, after_poll)


@pytest.mark.parametrize(
    ("ignored", "left"),
    [
        (("destroyVirtualMachine",), "vm .* it is still Running; run vrbench cleanup [^ ]+ later"),
        (("disassociateIpAddress", "deleteNetwork"), "address .* is still Allocated after its release"),
        (("deleteSSHKeyPair",), "keypair .* it is still listed after its deletion"),
    ],
)
def test_what_the_server_only_says_it_did_is_left(
    lab: Lab, tmp_path: Path, ignored: tuple[str, ...], left: str
) -> None:
    """Each removal is looked at afterwards; the next clean-up finishes it."""
    built(lab, tmp_path / "j", vms=1, public_ips=1)
    cloud = Forgetful(lab.cloud()._credentials)
    cloud.ignored = ignored
    with Journal.open(tmp_path / "j") as journal:
        report = remove_journaled(cloud, journal, silent, replace(DEADLINES, network_s=0.2))
    assert any(re.search(left, line) for line in report.left), report
    assert is_clean(clean_up(lab, tmp_path / "j"))
    assert lab.objects() == []


def test_a_vm_that_was_only_destroyed_is_expunged(tmp_path: Path) -> None:
    """Somebody destroyed it by hand, and the server would keep it for a day."""
    with running_lab(FAST_EXPUNGE_LATE) as slow:
        built(slow, tmp_path / "j", vms=1, public_ips=1)
        (vm,) = slow.rows("listVirtualMachines", "virtualmachine")
        slow.cloud().run("destroyVirtualMachine", id=vm["id"])
        assert is_clean(clean_up(slow, tmp_path / "j"))
        assert slow.objects() == []


@pytest.mark.parametrize("role", ["domadmin", "user"])
def test_a_vm_that_came_about_after_it_was_given_up_is_removed(tmp_path: Path, role: str) -> None:
    """Its deployment hung for longer than anybody waits; without it the network could never be deleted."""
    with running_lab() as zone:
        built(zone, tmp_path / "j", role, vms=2, public_ips=1)
        with Journal.open(tmp_path / "j") as journal:
            journal.destroyed(f"{PLAN.prefix}-vm2")
        report = clean_up(zone, tmp_path / "j", role)
        assert any(f"vm {PLAN.prefix}-vm2" in line for line in report.removed), report
        assert {row["state"] for row in zone.rows("listVirtualMachines", "virtualmachine")} <= {
            "Destroyed",
            "Expunging",
        }


def test_two_networks_of_one_name_are_not_guessed_at(lab: Lab, tmp_path: Path) -> None:
    """No answer told which one is ours: both stay, and the operator is asked."""
    resolved = lab.resolve(PLAN)
    name = f"{PLAN.prefix}-net"
    with lab.journal(tmp_path / "j") as journal:
        journal.intend("network", name, {"name": name, "zone": resolved.zone_id})
    for _ in range(2):
        make_network(lab, lab.cloud(), name, "domadmin")
    before = lab.objects()
    report = clean_up(lab, tmp_path / "j")
    assert any(f"2 objects are called {name}: find out which one is this run's" in line for line in report.left)
    assert lab.objects() == before


def test_a_network_that_no_call_can_remove_is_the_administrators(lab: Lab, tmp_path: Path) -> None:
    """The server says so at once; it is not asked again and again."""
    built(lab, tmp_path / "j", vms=1, public_ips=1)
    cloud = Hopeless(lab.cloud()._credentials)
    with Journal.open(tmp_path / "j") as journal:
        report = remove_journaled(cloud, journal, silent, DEADLINES)
    (network,) = report.left
    assert "no API call can remove it: tell the cloud's administrator" in network
    assert cloud.asked == 1
    assert report.awaited == ()
    assert is_clean(clean_up(lab, tmp_path / "j"))


class Hopeless(Cloud):
    """A cloud that finds a second source-NAT address in the network."""

    asked = 0

    def submit(self, command: str, /, **params: Param) -> Job:
        if command == "deleteNetwork":
            self.asked += 1
            raise JobFailed(command, "j", 530, "Multiple generic source NAT IPs provided for network")
        return super().submit(command, **params)


@pytest.mark.parametrize("fails", ["listPublicIpAddresses", "listSSHKeyPairs"])
def test_what_can_not_be_looked_for_is_left_with_the_reason(lab: Lab, tmp_path: Path, fails: str) -> None:
    """An address or a key without an answer is searched for; while the search fails it may still be there."""
    built(lab, tmp_path / "j", vms=1, public_ips=1)
    with Journal.open(tmp_path / "j") as journal:
        journal.intend("address", "nameless", {"network": "x"})
        journal.intend("keypair", "nameless-key", {"name": "nameless-key"})
        cloud = FailingCloud(lab.cloud()._credentials)
        cloud.fails = fails
        report = remove_journaled(cloud, journal, silent, replace(DEADLINES, network_s=0.2))
    assert any("does not work today" in line for line in report.left), report
    assert is_clean(clean_up(lab, tmp_path / "j"))
    assert lab.objects() == []


def test_a_key_that_can_not_be_deleted_is_left_with_the_servers_words(lab: Lab, tmp_path: Path) -> None:
    """A refusal that does not mean that it is gone."""
    built(lab, tmp_path / "j", vms=1, public_ips=1)
    cloud = Refusing(lab.cloud()._credentials)
    with Journal.open(tmp_path / "j") as journal:
        (line,) = remove_journaled(cloud, journal, silent, DEADLINES).left
    assert "database down" in line


class Refusing(Cloud):
    """A cloud whose server can't delete keys today."""

    def call(self, command: str, /, **params: Param) -> Answer:
        if command == "deleteSSHKeyPair":
            raise refusal(command, self.endpoint, 530, "database down")
        return super().call(command, **params)


def test_an_address_of_no_network_is_not_released(tmp_path: Path) -> None:
    """Ours by account and in no network: somebody may have acquired it anew since we released it."""
    path = tmp_path / "j"
    address = {"id": "a-1", "ipaddress": "203.0.113.9", "state": "Allocated", "account": "me", "domainid": "d"}
    answers = {
        "listCapabilities": says("listCapabilities", {"capability": {"allowuserexpungerecovervm": True}}),
        "listAccounts": says("listAccounts", {"count": 1, "account": [{"name": "me", "domainid": "d"}]}),
        "listPublicIpAddresses": says("listPublicIpAddresses", {"count": 1, "publicipaddress": [address]}),
        "listNetworks": says("listNetworks", {}),
        "listVirtualMachines": says("listVirtualMachines", {}),
    }
    with (
        fake_cloud(by_command(answers)) as fake,
        Journal.create(path, Head("r-1", fake.endpoint, "me", "d")) as journal,
    ):
        journal.intend("network", "net", {"name": "net", "zone": "z"})
        journal.created("net", "n-1")
        journal.intend("address", "ip1", {"network": "n-1"})
        journal.created("ip1", "a-1")
        report = remove_journaled(Cloud(fake.credentials()), journal, silent, DEADLINES)
    (line,) = report.left
    assert "belongs to this account and to no network" in line
    assert "disassociateIpAddress" not in {request.params["command"] for request in fake.requests}
