"""The verdict of a calibration: kept for this user and machine, and carried by later runs."""

from __future__ import annotations

import json
import stat
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.calibrated import CALIBRATED
from vrbench.core.facts import Context
from vrbench.core.figures.results import RunState
from vrbench.core.machine_calibration import MachineCalibration
from vrbench.core.plan.method import Method
from vrbench.run import machine_calibrations as calibrations
from vrbench.store.directory import RunDir
from vrbench.store.loading import load_run


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Make a state directory of the test's own."""
    return {"XDG_STATE_HOME": str(tmp_path / "state")}


def kept() -> MachineCalibration:
    return replace(CALIBRATED, machine=calibrations.machine_key())


def test_a_verdict_is_kept_for_its_user_only(environ: dict[str, str]) -> None:
    """What was saved is loaded; the file is readable by its owner alone."""
    assert calibrations.load_calibration(environ) is None
    path = calibrations.save_calibration(kept(), environ)
    assert calibrations.load_calibration(environ) == kept()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_another_kernel_or_estimator_is_another_instrument(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its verdict does not count here."""
    calibrations.save_calibration(kept(), environ)
    monkeypatch.setattr(calibrations, "ESTIMATOR", "w0")
    assert calibrations.load_calibration(environ) is None


@pytest.mark.parametrize("text", ["", "[]", '{"machine": 1}', "\udcff"])
def test_what_can_not_be_read_is_no_verdict(environ: dict[str, str], text: str) -> None:
    """A damaged file, or one of a version that kept other figures."""
    path = calibrations.save_calibration(kept(), environ)
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert calibrations.load_calibration(environ) is None


def test_a_run_carries_it(tmp_path: Path) -> None:
    """A stored run has its machine's verdict; one from before there were any, or from another version, has none."""
    store = RunDir.create(tmp_path, "20261124T170000Z-1a2b3c4d-x", 0)
    method = Method(0.1, 0.25, 0.8, 1, 15.0, 10.0)
    store.write_run(RunState.DONE, Context("x", "4.20", "KVM", "restart-network", lab=False), method, {}, CALIBRATED)
    assert load_run(store.path).calibrated == CALIBRATED
    header = json.loads((store.path / "run.json").read_text())
    for other in (None, {**asdict(CALIBRATED), "more": 1}):
        (store.path / "run.json").write_text(json.dumps({**header, "calibrated": other}))
        assert load_run(store.path).calibrated is None
    del header["calibrated"]
    (store.path / "run.json").write_text(json.dumps(header))
    assert load_run(store.path).calibrated is None


@pytest.mark.parametrize("moment", ["", "yesterday", "2026-11-24T12:00:00", "9999-12-31T23:59:59Z"])
def test_a_verdict_of_no_known_moment_counts_for_nothing(environ: dict[str, str], moment: str) -> None:
    """Nobody can tell how old it is; and a check of this machine goes on."""
    path = calibrations.save_calibration(kept(), environ)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"calibrated_utc": moment}))
    assert calibrations.load_calibration(environ) is None


def test_a_user_without_a_home_has_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one of a container that is in no list of users."""
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert calibrations.load_calibration({}) is None
