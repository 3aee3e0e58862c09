"""The plan that a process inside a lab is given: whole, private, and without credentials."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tests.calibrated import CALIBRATED
from tests.run.world import PROFILE, RUN_ID
from vrbench.core.calibrate.injections import Series, draw_series
from vrbench.core.plan.plan import make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.run.plan_file import LabRun, View, plan_path, read_plan, write_plan
from vrbench.store.directory import RunDir
from vrbench.store.files import StoreError

PLAN = make_plan(load_profile(PROFILE + "[lab]\n", "small", ("limits.egress=2s",)), RUN_ID)
SERIES = draw_series(Series(40, 30.0, ("vm1", "vm2"), 0.5, 10.0), 7)


@pytest.fixture
def store(tmp_path: Path) -> RunDir:
    """Make a run's directory."""
    return RunDir.create(tmp_path, RUN_ID, 0)


@pytest.mark.parametrize(
    "run",
    [
        LabRun(PLAN, View.LIVE),
        LabRun(PLAN, View.NONE, SERIES, CALIBRATED),
        LabRun(PLAN, View.PLAIN, ()),
        LabRun(replace(PLAN, profile=replace(PLAN.profile, lab=None)), View.PLAIN),
    ],
    ids=["run", "calibration", "no outage", "no lab"],
)
def test_what_was_written_is_read(store: RunDir, run: LabRun) -> None:
    """Every value, to the last digit: the same plan is carried out."""
    write_plan(store, run)
    assert read_plan(store) == run
    assert stat.S_IMODE(plan_path(store).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "vrbench-plan/0"}, "another version"),
        ({"method_id": "w0/i100ms"}, "another version"),
        ({"view": "sideways"}, "not whole"),
        ({"profile": None}, "not whole"),
        ({"profile": {"name": "small"}}, "not whole"),
    ],
)
def test_another_plan_is_refused(store: RunDir, change: dict[str, object], words: str) -> None:
    """One of another version, or one that is damaged."""
    write_plan(store, LabRun(PLAN, View.LIVE))
    stored = json.loads(plan_path(store).read_text())
    plan_path(store).write_text(json.dumps({**stored, **change}))
    with pytest.raises(StoreError, match=words):
        read_plan(store)


def test_a_plan_that_is_missing_is_named(store: RunDir) -> None:
    """With its path."""
    with pytest.raises(StoreError, match=str(plan_path(store))):
        read_plan(store)
