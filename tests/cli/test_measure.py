"""A run inside a lab, seen from outside: it is entered with a plan on disk, and its ending is read from there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.embedded.test_process import STATUS
from tests.run.world import PROFILE, RUN_ID
from vrbench.cli.ending import Ending, write_ending
from vrbench.cli.exits import Exit
from vrbench.cli.measure import INSIDE, Finished, conclude, measure_lab_run
from vrbench.core.figures.results import RunState
from vrbench.core.plan.plan import make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.core.plan.tables import LabTable
from vrbench.embedded import lab_run
from vrbench.embedded.process import NotStarted
from vrbench.lab.status import LabStatus
from vrbench.run.plan_file import LabRun, View, plan_path, read_plan
from vrbench.store.directory import RunDir

RUN = LabRun(make_plan(load_profile(PROFILE + "[lab]\n", "small", ()), RUN_ID), View.NONE)
Inside = Callable[[RunDir, Sequence[str]], int]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Inside], Finished]:
    """Return what carries out a run whose process inside is a function."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(inside: Inside) -> Finished:
        def run_in_lab(
            lab: LabTable, state: Path, command: Callable[[LabStatus], Sequence[str]], timeout_s: float | None
        ) -> int:
            assert lab == RUN.plan.profile.lab
            assert timeout_s is None
            state.mkdir()
            return inside(RunDir(state.parent), command(STATUS))

        monkeypatch.setattr(lab_run, "run_in_lab", run_in_lab)
        return measure_lab_run(RUN, tmp_path / "reports")

    return run


def test_the_process_inside_finds_its_plan(measured: Callable[[Inside], Finished]) -> None:
    """By the directory alone; who logs in is what the lab says, and the run is noted before the lab is there."""

    def inside(store: RunDir, command: Sequence[str]) -> int:
        assert list(command) == [*INSIDE, str(store.path)]
        assert read_plan(store).plan.profile.cloud.ssh_user == STATUS.ssh_user
        noted = json.loads((store.path / "run.json").read_text())
        assert (noted["state"], noted["context"]["operation"]) == (RunState.STARTING, "restart-network-cleanup")
        assert "secret" not in plan_path(store).read_text()
        store.key.write_text("secret")
        write_ending(store, Ending())
        return 0

    finished = measured(inside)
    assert finished.ending == Ending()
    assert not finished.store.key.exists()
    assert not finished.store.lab.exists()
    assert finished.code == Exit.NOT_VALID, "no trial is in it"


def test_what_went_wrong_inside_is_told_outside(
    measured: Callable[[Inside], Finished], capsys: pytest.CaptureFixture[str]
) -> None:
    """With its exit code, which outweighs that of the figures."""

    def inside(store: RunDir, _command: Sequence[str]) -> int:
        write_ending(store, Ending(Exit.FAILED, "no room in the zone"))
        return Exit.FAILED

    assert conclude(measured(inside)) == Exit.FAILED
    assert "vrbench: no room in the zone" in capsys.readouterr().err


def test_a_process_that_was_killed_is_told(measured: Callable[[Inside], Finished]) -> None:
    """It left no ending."""
    finished = measured(lambda _store, _command: -9)
    assert (finished.code, finished.ending.clean) == (Exit.FAILED, False)


def test_a_signal_before_the_start_is_an_interrupt(measured: Callable[[Inside], Finished]) -> None:
    """Nothing was built, so nothing is left."""

    def inside(_store: RunDir, _command: Sequence[str]) -> int:
        raise NotStarted

    finished = measured(inside)
    assert (finished.code, finished.ending.interrupted) == (Exit.NOT_VALID, True)
    assert not finished.store.lab.exists()


def test_a_run_that_can_not_be_read_back_is_told(
    measured: Callable[[Inside], Finished], capsys: pytest.CaptureFixture[str]
) -> None:
    """It counts as a run without trials."""

    def inside(store: RunDir, _command: Sequence[str]) -> int:
        (store.path / "run.json").write_text("half")
        write_ending(store, Ending())
        return 0

    finished = measured(inside)
    assert finished.run.state is RunState.FAILED
    assert conclude(finished) == Exit.NOT_VALID
    assert "run.json" in capsys.readouterr().err
