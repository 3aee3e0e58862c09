"""A run from its plan to its outcome: the order of its phases, and what is removed when one of them ends early."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.run.world import RUN_ID, Rig, failing
from vrbench.cloud.errors import CloudError
from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.facts import Router
from vrbench.core.figures.results import RunState
from vrbench.probes.config import ProbeError
from vrbench.run.errors import CannotReuse, OperationFailed
from vrbench.run.interrupts import REMOVING, STOPPING
from vrbench.run.order import RunOrder
from vrbench.store.directory import RunDir
from vrbench.store.files import StoreError

TRIAL = ["look at routers", "start probers", "request", "stop probers", "look at routers", "leave operation"]
WHOLE = ["preflight", "build", "await guests", *TRIAL, "leave guests", "remove"]
MEASURING = ["preflight", "build", "await guests", "look at routers", "start probers", "request", "stop probers"]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Prepare a run that goes well unless it is told otherwise."""
    return Rig(tmp_path)


def stored(rig: Rig) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((rig.store.path / "run.json").read_text())
    return found


def state(rig: Rig) -> str:
    return str(stored(rig)["state"])


def facts(rig: Rig, number: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((rig.store.path / f"trial-{number:02d}" / "facts.json").read_text())
    return found


def test_phases_come_in_order_and_nothing_is_left(rig: Rig) -> None:
    """From preflight to removal, once each; the key goes last."""
    outcome = rig.run()
    assert rig.steps == WHOLE
    assert outcome == type(outcome)()
    assert rig.pending() == []
    assert not rig.store.key.exists()
    assert state(rig) == RunState.DONE
    assert "worth knowing" in rig.said
    assert "how it was probed" in rig.said


def test_the_state_is_noted_before_each_phase(rig: Rig) -> None:
    """Whoever finds the directory after a crash knows how far the run came, and where."""
    seen: dict[str, str] = {}

    def look(step: str) -> None:
        seen[step] = state(rig)

    for step in ("preflight", "build", "await guests", "request"):
        rig.when(step, partial(look, step))
    rig.run()
    assert seen == {
        "preflight": RunState.PREFLIGHT,
        "build": RunState.BUILDING,
        "await guests": RunState.MEASURING,
        "request": RunState.MEASURING,
    }
    assert stored(rig)["context"] == {
        "environment": "small",
        "cloud_version": "4.20",
        "hypervisor": "KVM",
        "operation": "restart-network-cleanup",
        "lab": False,
    }


def test_a_trial_notes_what_all_trials_share(rig: Rig) -> None:
    """Caveats from before, second routers, what was to be probed, and whether it was a lab."""
    rig.caveats = (Caveat(CaveatKind.SSHD_LIMITS, "vm1"),)
    rig.cloud.shown = (Router("1", "r-1", "Running"), Router("2", "r-2", "Running"))
    rig.silent = ("198.51.100.2",)
    rig.order = replace(rig.order, in_lab=True)
    rig.run()
    noted = facts(rig)
    assert (noted["lab"], noted["interrupted"]) == (True, False)
    assert [c["kind"] for c in noted["doubts"]] == ["sshd-limits"]
    assert [r["name"] for r in noted["routers_before"]] == [r["name"] for r in noted["routers_after"]] == ["r-1", "r-2"]
    assert noted["operation"] == "restart-network-cleanup"
    assert any("198.51.100.2" in said for said in rig.said)
    assert rig.world.rows == {"198.51.100.1:22": "vm1", "198.51.100.2:22": "vm2"}


def test_how_the_cloud_is_asked_is_known_to_every_trial(rig: Rig) -> None:
    """A certificate that nobody checked is no word of the guests': it stands before theirs."""
    rig.cloud.doubts = (Caveat(CaveatKind.TLS_UNCHECKED),)
    rig.caveats = (Caveat(CaveatKind.SSHD_LIMITS, "vm1"),)
    rig.run()
    assert [c["kind"] for c in facts(rig)["doubts"]] == ["tls-unchecked", "sshd-limits"]


def test_trials_follow_each_other_after_a_pause(tmp_path: Path) -> None:
    """On one environment, with the profile's pause between them and none after the last."""
    rig = Rig(tmp_path, "trials.count=3")
    rig.run()
    assert rig.steps == ["preflight", "build", "await guests", *TRIAL, *TRIAL, *TRIAL, "leave guests", "remove"]
    assert rig.said.count("settling") == 2
    assert [facts(rig, n)["number"] for n in (1, 2, 3)] == [1, 2, 3]
    assert facts(rig, 2)["requested_ns"] - facts(rig, 1)["observed_ns"] >= 7e9


def test_the_pause_is_not_longer_for_what_is_collected_meanwhile(tmp_path: Path) -> None:
    """It leaves the network alone for a while, and so does fetching samples; what takes longer than it, replaces it."""
    pauses = []
    for slow_s in (0, 3, 20):
        rig = Rig(tmp_path / str(slow_s), "trials.count=2")
        rig.when("leave operation", partial(rig.world.sleep, slow_s))
        rig.run()
        pauses.append((facts(rig, 2)["requested_ns"] - facts(rig, 1)["observed_ns"]) / 1e9)
    assert pauses[0] == pauses[1] == pauses[2] - 13


@pytest.mark.parametrize("step", MEASURING)
def test_an_interrupt_ends_the_measuring_and_all_is_removed(rig: Rig, step: str) -> None:
    """Whatever it interrupts; nothing further is begun, and the samples and their facts stay."""
    rig.when(step, rig.press)
    outcome = rig.run()
    assert outcome.interrupted
    assert (outcome.error, outcome.left, outcome.problems) == (None, (), ())
    assert rig.said.count(STOPPING) == 1
    assert not rig.store.journal.exists() or rig.pending() == []
    assert ("remove" in rig.steps) == (step != "preflight")
    assert not rig.store.key.exists()
    assert state(rig) == RunState.INTERRUPTED
    requested = step in ("request", "stop probers")
    assert ("stop probers" in rig.steps) == requested
    if requested:
        assert facts(rig)["interrupted"]


def test_an_interrupt_does_not_end_the_removal(rig: Rig) -> None:
    """It is answered; the run is whole, and so it is not called interrupted."""
    rig.when("remove", rig.press)
    outcome = rig.run()
    assert outcome == type(outcome)()
    assert rig.said[-1] == REMOVING
    assert rig.pending() == []
    assert state(rig) == RunState.DONE


def test_a_second_interrupt_ends_the_removal(rig: Rig) -> None:
    """At once; the outcome tells what is left, the key stays for whoever looks at it, and cleanup finds the journal."""

    def press_twice() -> None:
        rig.press()
        rig.press()

    rig.when("remove", press_twice)
    outcome = rig.run()
    assert outcome.interrupted
    assert outcome.problems == ("the removal was interrupted",)
    assert outcome.left == ("vm vm1", "network net")
    assert rig.pending() == ["vm1", "net"]
    assert state(rig) == RunState.INTERRUPTED


def test_a_second_interrupt_while_samples_are_collected_leaves_at_once(rig: Rig) -> None:
    """The removal is not even begun."""
    rig.when("request", rig.press)
    rig.when("stop probers", rig.press)
    outcome = rig.run()
    assert "remove" not in rig.steps
    assert outcome.left == ("vm vm1", "network net")
    assert outcome.problems == ("the removal was interrupted",)


@pytest.mark.parametrize("step", MEASURING)
def test_an_error_ends_the_measuring_and_all_is_removed(rig: Rig, step: str) -> None:
    """It is in the outcome as it was raised."""
    error = ProbeError("no")
    rig.when(step, failing(error))
    outcome = rig.run()
    assert outcome.error is error
    assert (outcome.interrupted, outcome.left, outcome.problems) == (False, (), ())
    assert not rig.store.journal.exists() or rig.pending() == []
    assert not rig.store.key.exists()
    assert state(rig) == RunState.FAILED


def test_whatever_wants_the_process_to_end_ends_the_run_like_ctrl_c(rig: Rig) -> None:
    """What was built goes first."""
    rig.when("build", failing(SystemExit(1)))
    outcome = rig.run()
    assert (outcome.interrupted, outcome.error) == (True, None)
    assert rig.pending() == []


@pytest.mark.parametrize(
    ("error", "words"), [(CloudError("no answer"), "no answer"), (RuntimeError("odd"), "RuntimeError: odd")]
)
def test_a_removal_that_fails_hides_no_error(rig: Rig, error: Exception, words: str) -> None:
    """The first error stays the error; the removal's is a problem beside it, and what is left is told."""
    first = ProbeError("first")
    rig.when("await guests", failing(first))
    rig.when("remove", failing(error))
    outcome = rig.run()
    assert outcome.error is first
    assert outcome.problems == (f"while removing: {words}",)
    assert outcome.left == ("vm vm1", "network net")
    assert rig.store.key.exists()


@pytest.mark.parametrize(("accepts", "awaited"), [(False, ()), (False, ("net",)), (True, ()), (True, ("net",))])
def test_what_stays_is_told(tmp_path: Path, accepts: bool, awaited: tuple[str, ...]) -> None:
    """It is accepted where the profile accepts slow removal, and it only waits for the server."""
    rig = Rig(tmp_path, f"environment.accept_slow_removal={str(accepts).lower()}")
    rig.cloud.stays, rig.cloud.awaited = ("net",), awaited
    outcome = rig.run()
    assert outcome.left == ("net",)
    assert outcome.accepted == (accepts and bool(awaited))
    assert rig.store.key.exists()
    assert state(rig) == RunState.DONE


def test_a_full_disk_hides_no_error(rig: Rig) -> None:
    """That the end can't be noted is a problem beside the first error, and everything is removed."""
    first = ProbeError("first")

    def fail() -> None:
        (rig.store.path / "run.json").unlink()
        (rig.store.path / "run.json").mkdir()
        raise first

    rig.when("request", fail)
    outcome = rig.run()
    assert outcome.error is first
    assert len(outcome.problems) == 1
    assert outcome.problems[0].startswith(f"how the run ended could not be noted: can't write {rig.store.path}")
    assert rig.pending() == []


def test_a_disk_that_is_full_from_the_start_is_the_error(rig: Rig) -> None:
    """Nothing is asked of the cloud then."""
    (rig.store.path / "run.json").mkdir()
    outcome = rig.run()
    assert isinstance(outcome.error, StoreError)
    assert rig.steps == []


def test_an_environment_is_kept_on_request(rig: Rig) -> None:
    """Nothing is removed, the key stays, and it is said how to remove it."""
    rig.order = replace(rig.order, keep=True)
    outcome = rig.run()
    assert outcome == type(outcome)()
    assert "remove" not in rig.steps
    assert rig.pending() == ["vm1", "net"]
    assert rig.store.key.exists()
    assert f"kept; remove it with: vrbench cleanup {rig.store.path}" in rig.said


def test_an_environment_is_kept_when_a_trial_fails(rig: Rig) -> None:
    """It stands, and may be looked at."""
    rig.order = replace(rig.order, keep=True)
    rig.when("request", failing(CloudError("no")))
    rig.run()
    assert "remove" not in rig.steps


def test_half_an_environment_is_not_kept(rig: Rig) -> None:
    """A build that failed left nothing that is worth keeping."""
    rig.order = replace(rig.order, keep=True)
    rig.when("build", failing(CloudError("no room")))
    rig.run()
    assert "remove" in rig.steps
    assert rig.pending() == []


def reusing(kept: Rig, *settings: str) -> Rig:
    """Prepare a second run, on what the first one kept."""
    rig = Rig(kept.store.path.parent / "second", *settings)
    rig.order = RunOrder(rig.plan, rig.store, reuse=RunDir(kept.store.path))
    return rig


@pytest.fixture
def kept(rig: Rig) -> Rig:
    """Carry out a run that keeps its environment."""
    rig.order = replace(rig.order, keep=True)
    rig.run()
    return rig


def test_a_kept_environment_is_measured_again(kept: Rig) -> None:
    """Nothing is built or removed; the VMs are reached with the keys of the run that built them."""
    rig = reusing(kept)
    outcome = rig.run()
    assert outcome == type(outcome)()
    assert rig.steps == ["await guests", *TRIAL, "leave guests"]
    assert rig.guests[0].keys.path == kept.store.path
    assert kept.store.key.exists()
    assert kept.pending() == ["vm1", "net"]
    assert stored(rig)["context"]["cloud_version"] == "4.20"


def test_a_kept_environment_of_another_size_is_refused(kept: Rig) -> None:
    """With both sizes, before anything is done."""
    rig = reusing(kept, "environment.vms=3")
    outcome = rig.run()
    assert isinstance(outcome.error, CannotReuse)
    assert "2 VMs, 2 public addresses" in str(outcome.error)
    assert "3 VMs, 2 public addresses" in str(outcome.error)
    assert rig.steps == []


def test_an_environment_that_was_removed_is_refused(rig: Rig) -> None:
    """Its journal says so."""
    rig.run()
    again = reusing(rig)
    outcome = again.run()
    assert isinstance(outcome.error, CannotReuse)
    assert f"{RUN_ID} has been removed" in str(outcome.error)


def test_a_failed_operation_ends_the_run(tmp_path: Path) -> None:
    """With the cloud's words; the trial is noted whole, and no further one is begun on that network."""
    rig = Rig(tmp_path, "trials.count=2")
    rig.world.job_error = "530 no capacity"
    outcome = rig.run()
    assert isinstance(outcome.error, OperationFailed)
    assert str(outcome.error) == "trial 1: 530 no capacity"
    assert facts(rig)["job_error"] == "530 no capacity"
    assert rig.steps.count("request") == 1
    assert rig.pending() == []


NEVER = (
    "trial 1: the operation's job has not ended, 30 s after its trial. No further trial is made: "
    "see what the cloud says of the job"
)


@pytest.mark.parametrize(
    ("ends_s", "error", "said"),
    [(50.0, "", ""), (50.0, "530 late", "trial 1: 530 late"), (1e9, "", NEVER)],
)
def test_a_job_that_outlasts_its_trial_is_waited_for(rig: Rig, ends_s: float, error: str, said: str) -> None:
    """Nothing is removed under its hands; when it fails after all, or never ends, the run says so."""
    rig.world.job_ends, rig.world.job_error = ends_s, error
    outcome = rig.run()
    assert str(outcome.error or "") == said
    assert not facts(rig)["job_finished"]
    assert "trial 1: waiting for the operation's job" in rig.said
    assert rig.world._elapsed() >= min(ends_s, 60.0)
    assert rig.pending() == []


def test_routers_that_can_not_be_looked_at_are_said(rig: Rig) -> None:
    """The trial is no worse for it."""
    rig.when("look at routers", failing(CloudError("no such right")))
    outcome = rig.run()
    assert outcome.error is None
    assert "could not look at the network's routers: no such right" in rig.said
