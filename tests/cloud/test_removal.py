"""Removal on the lab: from any point of any build, everything of ours goes and nothing else."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

import pytest

from tests.cloud.lab import DEADLINES, FAST, PLAN, Lab, is_clean, planned, running_lab, silent
from vrbench.cloud.api.facade import Answer, Cloud, Param
from vrbench.cloud.build.environment import build
from vrbench.cloud.build.traces import TRACES
from vrbench.cloud.check.preflight import preflight
from vrbench.cloud.errors import CloudError
from vrbench.cloud.journal.journal import Journal
from vrbench.cloud.remove.removal import RemovalReport
from vrbench.cloud.remove.steps import remove_journaled

LABS = 4  # at once: a build and its removal mostly wait
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


def clean_up(lab: Lab, path: Path, role: str = "domadmin") -> RemovalReport:
    with Journal.open(path) as journal:
        return remove_journaled(lab.cloud(role), journal, silent, DEADLINES)


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
    with ThreadPoolExecutor(LABS) as labs:
        deaths = sum(labs.map(lambda first: _deaths(tmp_path, first), range(LABS)))
    assert deaths > RECORDS


def _deaths(here: Path, first: int) -> int:
    """Kill a build before every step from the ``first`` on, with as many between as there are labs; return how often.

    The last build is not killed, and removed as well.
    """
    plan = planned(vms=2, public_ips=2)
    with running_lab(FAST) as lab:
        for count in itertools.count():
            at = first + LABS * count
            killed = build_until_death(lab, here / str(at), Death(at), plan)
            report = clean_up(lab, here / str(at))
            assert is_clean(report), (at, report)
            assert lab.objects() == [], at
            if not killed:
                return count
    raise AssertionError("nothing ends this")


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
    raise AssertionError("no removal got to its end")


def _teardown_until_death(lab: Lab, path: Path, death: Death) -> bool:
    mortal = MortalCloud(lab.cloud()._credentials)
    journal = MortalJournal.open(path)
    assert isinstance(journal, MortalJournal)
    mortal.death = journal.death = death
    try:
        remove_journaled(mortal, journal, silent, DEADLINES)
    except Killed:
        return True
    finally:
        journal.close()
    return False


def test_twice_is_once(lab: Lab, tmp_path: Path) -> None:
    """A second removal finds nothing to do, and does nothing."""
    built(lab, tmp_path / "j")
    clean_up(lab, tmp_path / "j")
    assert clean_up(lab, tmp_path / "j") == RemovalReport((), (), ())


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


class Unfiltered(Cloud):
    """A server that knows a network no more, and then shows all addresses of the account, as real ones do."""

    def call(self, command: str, /, **params: Param) -> Answer:
        params.pop("associatednetworkid", None)
        return super().call(command, **params)


def test_addresses_of_other_networks_are_not_taken_for_lost_ones(lab: Lab, tmp_path: Path) -> None:
    """Neither by a removal whose network is gone, nor by a build that got no answer."""
    cloud = lab.cloud()
    other = make_network(lab, cloud, "theirs", "domadmin")
    cloud.run("associateIpAddress", networkid=other)
    chosen, name = lab.resolve(PLAN), f"{PLAN.prefix}-net"
    offering, zone = chosen.network_offering_id, chosen.zone_id
    made = cloud.call("createNetwork", name=name, displaytext=name, networkofferingid=offering, zoneid=zone)
    gone = made["network"]["id"]
    cloud.run("deleteNetwork", id=gone)
    before, unfiltered = lab.objects(), Unfiltered(cloud._credentials)
    with lab.journal(tmp_path / "j") as journal:
        journal.intend("network", name, {"name": name, "zone": zone})
        journal.created(name, gone)
        journal.intend("address", f"{PLAN.prefix}-ip1", {"network": gone})
        report = remove_journaled(unfiltered, journal, silent, DEADLINES)
        assert is_clean(report), report
        assert journal.ids() == {gone}
    assert lab.objects() == before
    trace = TRACES["associateIpAddress"]
    assert trace.rows(unfiltered, {"networkid": gone}, ()) == []
    assert len(trace.rows(unfiltered, {"networkid": other}, ())) == 1


def test_things_of_the_same_prefix_that_are_not_in_the_journal_stay(lab: Lab, tmp_path: Path) -> None:
    """Names are no evidence: only what the journal knows is removed."""
    built(lab, tmp_path / "j", vms=1, public_ips=1)
    cloud = lab.cloud()
    make_network(lab, cloud, f"{PLAN.prefix}-other", "domadmin")
    cloud.call("registerSSHKeyPair", name=f"{PLAN.prefix}-key2", publickey="ssh-ed25519 another")
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
    deadlines = replace(DEADLINES, network_s=0.5)
    with Journal.open(tmp_path / "j") as journal:
        report = remove_journaled(cloud, journal, silent, deadlines)
    named = [line for line in report.left if line.startswith(f"{kind} ") and "does not work today" in line]
    assert bool(named) is (kind != "address"), report  # addresses go with their network
    assert is_clean(clean_up(lab, tmp_path / "j"))
    assert lab.objects() == []


def test_a_journal_that_cannot_be_written_does_not_stop_the_removal(lab: Lab, tmp_path: Path) -> None:
    """Disk full during a removal: everything goes, and the report says what could not be noted."""
    built(lab, tmp_path / "j", vms=1, public_ips=1)
    with Journal.open(tmp_path / "j") as journal:
        journal._write = _full  # type: ignore[method-assign,assignment]
        report = remove_journaled(lab.cloud(), journal, silent, DEADLINES)
    assert lab.objects() == []
    assert report.left == ()
    assert any("full" in problem for problem in report.problems)
    assert is_clean(clean_up(lab, tmp_path / "j"))


def _full(_: object) -> None:
    from vrbench.cloud.journal.journal import JournalError

    raise JournalError("the disk is full")


def test_preflight_builds_nothing(lab: Lab) -> None:
    """It only asks."""
    preflight(lab.cloud(), PLAN)
    assert lab.objects() == []
