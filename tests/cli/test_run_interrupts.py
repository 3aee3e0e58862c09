"""vrbench run, interrupted by Ctrl-C: nothing is left in the zone, and what was measured is kept."""

from __future__ import annotations

import signal

import pytest

from tests.cli.zone import Zone, hear, only_run, table

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    "moment", ["deploying", "waiting for SSH", "trial 1: baseline", "trial 1: operating", "trial 1: collecting"]
)
def test_ctrl_c_tears_down(zone: Zone, moment: str) -> None:
    """One Ctrl-C at any moment ends the run, removes everything, and keeps what was measured."""
    process = zone.start("run", zone.profile(), "--plain")
    hear(process, moment)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=150)
    assert "Traceback" not in err
    assert process.returncode == 2, err
    assert zone.left() == []
    assert not list((zone.here / "reports").glob("*/key"))


def test_an_interrupted_trial_keeps_its_samples_readable(zone: Zone) -> None:
    """What was seen until Ctrl-C can be analysed: as the samples of an interrupted trial, worth no average."""
    process = zone.start("run", zone.profile(), "--plain")
    hear(process, "validating")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=150)
    (trial,) = table(zone, only_run(zone), "trials")
    assert trial["verdict"] == "invalid"
    assert "interrupted" in trial["caveats"]
