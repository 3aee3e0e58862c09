"""Teardown on the lab: from any point of any build, everything of ours goes and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

import pytest

from tests.cloud.lab import DEADLINES, FAST, PLAN, Lab, is_clean, planned, running_lab, silent
from tests.cloud.server import by_command, fake_cloud, refuses, says
from vrbench.cloud.environment import build
from vrbench.cloud.errors import CloudError, JobFailed, refusal
from vrbench.cloud.facade import Answer, Cloud, Job, Param
from vrbench.cloud.journal import Head, Journal
from vrbench.cloud.preflight import preflight
from vrbench.cloud.removal import TeardownReport
from vrbench.cloud.teardown import teardown

RECORDS = 30  # a build of one VM and one address writes fewer records and makes fewer calls than this


class Killed(BaseException):
    """Stands for kill -9: from here on the process does nothing any more."""


@dataclass
class Death:
    """Comes before step number ``at``; every later step of any thread dies as well."""

    at: int
    steps: int = 0
    dead: bool = False
    _lock: Lock = field(default_factory=Lock)

    def step(self) -> None:
        with self._lock:
            self.steps += 1
            if self.dead or self.steps > self.at:
                self.dead = True
                raise Killed


class MortalJournal(Journal):
    """A journal whose process dies before or after some record."""

    death: Death

    def _write(self, record: object) -> None:
        self.death.step()
        super()._write(record)  # type: ignore[arg-type]
        self.death.step()


class MortalCloud(Cloud):
    """A cloud whose caller dies after some answer was sent and before it was heard."""

    death: Death

    def call(self, command: str, /, **params: Param) -> Answer:
        if self.death.dead:
            raise Killed
        answer = super().call(command, **params)
        self.death.step()
        return answer


def build_until_death(lab: Lab, path: Path, death: Death, plan: object = PLAN) -> bool:
    """Return whether death came before the build was done."""
    resolved = lab.resolve(PLAN)
    lab.journal(path).close()
    journal = MortalJournal.open(path)
    assert isinstance(journal, MortalJournal)
    cloud = lab.cloud()
    mortal = MortalCloud(cloud._credentials)
    journal.death = mortal.death = death
    try:
        build(mortal, plan, resolved, journal, silent)  # type: ignore[arg-type]
    except Killed:
        return True
    finally:
        journal.close()
    return False


def clean_up(lab: Lab, path: Path, role: str = "domadmin") -> TeardownReport:
    with Journal.open(path) as journal:
        return teardown(lab.cloud(role), journal, silent, DEADLINES)


def built(lab: Lab, path: Path, role: str = "domadmin", **changes: object) -> None:
    plan = planned(**changes)
    with lab.journal(path, role) as journal:
        build(lab.cloud(role), plan, lab.resolve(plan, role), journal, silent)


def test_a_whole_environment_goes(lab: Lab, tmp_path: Path) -> None:
    """After a run nothing is left in the zone, and the journal says so."""
    built(lab, tmp_path / "j", vms=3, public_ips=3)
    report = clean_up(lab, tmp_path / "j")
    assert is_clean(report), report
    assert len(report.removed) == 1 + 1 + 3 + 3
    assert lab.objects() == []
    with Journal.open(tmp_path / "j") as journal:
        assert journal.pending() == []


@pytest.mark.slow
def test_killed_at_any_step_teardown_removes_everything(tmp_path: Path) -> None:
    """Before and after every journal record, and after every answer that was not heard."""
    plan = planned(vms=2, public_ips=2)
    with running_lab(FAST) as lab:
        at = 0
        while build_until_death(lab, tmp_path / str(at), Death(at), plan):
            report = clean_up(lab, tmp_path / str(at))
            assert is_clean(report), (at, report)
            assert lab.objects() == [], at
            at += 1
        assert at > RECORDS
        assert is_clean(clean_up(lab, tmp_path / str(at)))
        assert lab.objects() == []


@pytest.mark.slow
def test_a_teardown_killed_at_any_step_is_taken_up_again(tmp_path: Path) -> None:
    """The second one finishes what the first began."""
    with running_lab(FAST) as lab:
        for at in range(0, 60, 3):
            path = tmp_path / str(at)
            built(lab, path, vms=1, public_ips=1)
            killed = _teardown_until_death(lab, path, Death(at))
            report = clean_up(lab, path)
            assert is_clean(report), (at, report)
            assert lab.objects() == [], at
            if not killed:
                return
    raise AssertionError("no teardown got to its end")


def _teardown_until_death(lab: Lab, path: Path, death: Death) -> bool:
    mortal = MortalCloud(lab.cloud()._credentials)
    journal = MortalJournal.open(path)
    assert isinstance(journal, MortalJournal)
    mortal.death = journal.death = death
    try:
        teardown(mortal, journal, silent, DEADLINES)
    except Killed:
        return True
    finally:
        journal.close()
    return False


def test_twice_is_once(lab: Lab, tmp_path: Path) -> None:
    """A second teardown finds nothing to do, and does nothing."""
    built(lab, tmp_path / "j")
    clean_up(lab, tmp_path / "j")
    assert clean_up(lab, tmp_path / "j") == TeardownReport((), (), ())


def test_what_somebody_removed_by_hand_counts_as_gone(lab: Lab, tmp_path: Path) -> None:
    """A VM expunged, an address released and the key deleted by others: the rest goes, without complaint."""
    built(lab, tmp_path / "j")
    cloud = lab.cloud()
    vm = lab.rows("listVirtualMachines", "virtualmachine")[0]
    address = next(row for row in lab.addresses() if not row["issourcenat"])
    cloud.run("destroyVirtualMachine", id=vm["id"], expunge=True)
    cloud.run("disassociateIpAddress", id=address["id"])
    cloud.call("deleteSSHKeyPair", name=f"{PLAN.prefix}-key")
    report = clean_up(lab, tmp_path / "j")
    assert is_clean(report), report
    assert lab.objects() == []


def make_network(lab: Lab, cloud: Cloud, name: str, role: str) -> str:
    """Make another network of somebody's, implemented by a VM."""
    resolved = lab.resolve(PLAN, role)
    network = cloud.call(
        "createNetwork",
        name=name,
        displaytext=name,
        networkofferingid=resolved.network_offering_id,
        zoneid=resolved.zone_id,
    )["network"]["id"]
    cloud.run(
        "deployVirtualMachine",
        name=f"{name}-vm",
        serviceofferingid=resolved.service_offering_id,
        templateid=resolved.template_id,
        zoneid=resolved.zone_id,
        networkids=network,
    )
    return str(network)


@pytest.mark.parametrize("role", ["user", "domadmin"])
def test_an_address_that_got_another_owner_is_left_alone(lab: Lab, tmp_path: Path, role: str) -> None:
    """Released by hand and acquired by a stranger, or for another network of ours: the same id, not ours to release."""
    built(lab, tmp_path / "j")
    theirs = make_network(lab, lab.cloud(role), "theirs", role)
    ours = next(row for row in lab.addresses() if not row["issourcenat"] and row["associatednetworkid"] != theirs)
    lab.cloud().run("disassociateIpAddress", id=ours["id"])
    stranger = lab.cloud(role)
    taken = stranger.run("associateIpAddress", networkid=theirs)["ipaddress"]
    assert taken["id"] == ours["id"], "the lab hands out the lowest free address, with the id it always had"
    before = [name for name in lab.objects() if "theirs" in name]
    report = clean_up(lab, tmp_path / "j")
    assert is_clean(report), report
    now = {row["id"]: row for row in lab.addresses()}
    assert now[taken["id"]]["associatednetworkid"] == theirs
    assert [name for name in lab.objects() if "theirs" in name] == before
    assert not any(PLAN.prefix in name for name in lab.objects())


def test_things_of_the_same_prefix_that_are_not_in_the_journal_stay(lab: Lab, tmp_path: Path) -> None:
    """Names are no evidence: only what the journal knows is removed."""
    built(lab, tmp_path / "j", vms=1, public_ips=1)
    cloud = lab.cloud()
    make_network(lab, cloud, f"{PLAN.prefix}-other", "domadmin")
    cloud.call("registerSSHKeyPair", name=f"{PLAN.prefix}-key2", publickey=PLAN.public_key)
    assert is_clean(clean_up(lab, tmp_path / "j"))
    left = lab.objects()
    assert any(f"{PLAN.prefix}-other" in name for name in left)
    assert any(f"{PLAN.prefix}-key2" in name for name in left)
    assert len(lab.rows("listVirtualMachines", "virtualmachine")) == 1


def test_a_user_who_may_not_expunge_leaves_only_the_network_and_can_finish_later(tmp_path: Path) -> None:
    """VMs are destroyed, not attempted to be expunged; the network goes once the server has expunged them."""
    with running_lab(FAST_EXPUNGE_LATE) as lab:
        built(lab, tmp_path / "j", role="user")
        report = clean_up(lab, tmp_path / "j", "user")
        (left,) = report.left
        assert report.problems == ()
        assert report.awaited == report.left
        assert "network" in left
        assert "24 h" in left
        assert {row["state"] for row in lab.rows("listVirtualMachines", "virtualmachine")} <= {"Destroyed", "Expunging"}
        assert not [row for row in lab.addresses() if not row["issourcenat"]]
        _until_expunged(lab)
        assert is_clean(clean_up(lab, tmp_path / "j", "user"))
        assert lab.objects() == []


FAST_EXPUNGE_LATE = type(FAST)(timing=FAST.timing, api_step_s=FAST.api_step_s, expunge_delay_s=3.0)


def _until_expunged(lab: Lab) -> None:
    import time

    until = time.monotonic() + 20
    while lab.rows("listVirtualMachines", "virtualmachine"):
        assert time.monotonic() < until, "the lab expunges what was destroyed"
        time.sleep(0.05)


def test_another_account_may_not_use_the_journal(lab: Lab, tmp_path: Path) -> None:
    """It neither sees our objects nor owns our addresses: it must not call them gone."""
    built(lab, tmp_path / "j")
    before = lab.objects()
    with pytest.raises(CloudError, match="belongs to account 'domadmin'"):
        clean_up(lab, tmp_path / "j", "user")
    assert lab.objects() == before


def test_another_endpoint_may_not_use_the_journal(lab: Lab, tmp_path: Path) -> None:
    """The journal says where its objects live."""
    built(lab, tmp_path / "j", vms=1, public_ips=1)
    with running_lab(FAST) as other, pytest.raises(CloudError, match="use the same endpoint"):
        clean_up(other, tmp_path / "j")


class FailingCloud(Cloud):
    """A cloud in which one command never works."""

    fails = ""

    def call(self, command: str, /, **params: Param) -> Answer:
        if command == self.fails:
            raise CloudError(f"{command}: does not work today", command=command)
        return super().call(command, **params)


@pytest.mark.parametrize(
    ("command", "kind"),
    [("disassociateIpAddress", "address"), ("destroyVirtualMachine", "vm"), ("deleteSSHKeyPair", "keypair")],
)
def test_one_failure_hides_no_other_and_stops_nothing(lab: Lab, tmp_path: Path, command: str, kind: str) -> None:
    """The rest is removed, what is left is named with the reason, and the next clean-up finishes."""
    built(lab, tmp_path / "j")
    cloud = FailingCloud(lab.cloud()._credentials)
    cloud.fails = command
    deadlines = type(DEADLINES)(job_s=10, network_s=0.5, settle_s=0.2, poll_s=0.05)
    with Journal.open(tmp_path / "j") as journal:
        report = teardown(cloud, journal, silent, deadlines)
    named = [line for line in report.left if line.startswith(f"{kind} ") and "does not work today" in line]
    assert bool(named) is (kind != "address"), report  # addresses go with their network
    assert is_clean(clean_up(lab, tmp_path / "j"))
    assert lab.objects() == []


def test_a_journal_that_cannot_be_written_does_not_stop_the_removal(lab: Lab, tmp_path: Path) -> None:
    """Disk full during teardown: everything goes, and the report says what could not be noted."""
    built(lab, tmp_path / "j", vms=1, public_ips=1)
    with Journal.open(tmp_path / "j") as journal:
        journal._write = _full  # type: ignore[method-assign,assignment]
        report = teardown(lab.cloud(), journal, silent, DEADLINES)
    assert lab.objects() == []
    assert report.left == ()
    assert any("full" in problem for problem in report.problems)
    assert is_clean(clean_up(lab, tmp_path / "j"))


def _full(_: object) -> None:
    from vrbench.cloud.journal import JournalError

    raise JournalError("the disk is full")


def test_preflight_builds_nothing(lab: Lab) -> None:
    """It only asks."""
    preflight(lab.cloud(), PLAN)
    assert lab.objects() == []


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
        (("destroyVirtualMachine",), "vm .* it is still Running; run the clean-up again later"),
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
        report = teardown(cloud, journal, silent, replace(DEADLINES, network_s=0.2))
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
        report = teardown(cloud, journal, silent, DEADLINES)
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
        report = teardown(cloud, journal, silent, replace(DEADLINES, network_s=0.2))
    assert any("does not work today" in line for line in report.left), report
    assert is_clean(clean_up(lab, tmp_path / "j"))
    assert lab.objects() == []


def test_a_key_that_can_not_be_deleted_is_left_with_the_servers_words(lab: Lab, tmp_path: Path) -> None:
    """A refusal that does not mean that it is gone."""
    built(lab, tmp_path / "j", vms=1, public_ips=1)
    cloud = Refusing(lab.cloud()._credentials)
    with Journal.open(tmp_path / "j") as journal:
        (line,) = teardown(cloud, journal, silent, DEADLINES).left
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
    address = {"id": "a-1", "ipaddress": "203.0.113.9", "account": "me", "domainid": "d"}
    answers = {
        "listCapabilities": says("listCapabilities", {"capability": {"allowuserexpungerecovervm": True}}),
        "listAccounts": says("listAccounts", {"count": 1, "account": [{"name": "me", "domainid": "d"}]}),
        "listPublicIpAddresses": says("listPublicIpAddresses", {"count": 1, "publicipaddress": [address]}),
        "listNetworks": refuses("listNetworks", 431, "Unable to execute: entity does not exist"),
    }
    with fake_cloud(by_command(answers)) as fake, Journal.create(path, Head("r", fake.endpoint, "me", "d")) as journal:
        journal.intend("network", "net", {"name": "net", "zone": "z"})
        journal.created("net", "n-1")
        journal.intend("address", "ip1", {"network": "n-1"})
        journal.created("ip1", "a-1")
        report = teardown(Cloud(fake.credentials()), journal, silent, DEADLINES)
    (line,) = report.left
    assert "belongs to this account and to no network" in line
    assert "disassociateIpAddress" not in {request.params["command"] for request in fake.requests}
