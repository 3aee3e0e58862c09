"""vrbench run, interrupted: by Ctrl-C, by a hangup, by whoever stops reading; nothing is left in the zone."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.cli.zone import Zone, only_run, table
from vrbench.run.interrupts import ONE_PRESS_S

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    "moment", ["deploying", "waiting for SSH", "trial 1: baseline", "trial 1: operating", "trial 1: collecting"]
)
def test_ctrl_c_tears_down(zone: Zone, moment: str) -> None:
    """One Ctrl-C at any moment ends the run, removes everything, and keeps what was measured."""
    process = zone.start("run", zone.profile(), "--plain")
    assert process.stderr is not None
    for line in process.stderr:
        if moment in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert process.returncode == 2, err
    assert zone.left() == []
    assert not list((zone.here / "reports").glob("*/key"))


def test_cleanup_leaves_a_running_run_alone(zone: Zone) -> None:
    """While a run measures, cleanup touches nothing of it: by name it fails, with --all it goes on to others."""
    process = zone.start("run", zone.profile(), "--plain")
    assert process.stderr is not None
    for line in process.stderr:
        if "trial 1: baseline" in line:
            break
    (run,) = (zone.here / "reports").glob("*/")
    everything, named = zone.vrbench("cleanup", "--all"), zone.vrbench("cleanup", run.name)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert (everything.code, named.code) == (0, 3)
    assert "still going on" in everything.err
    assert zone.left() == []


def test_whoever_stops_reading_stops_nothing_else(zone: Zone) -> None:
    """A closed pipe (| head) or a terminal that is gone must not keep the network from being removed."""
    process = zone.start("run", zone.profile(), "--plain")
    assert process.stderr is not None
    assert process.stdout is not None
    for line in process.stderr:
        if "trial 1: baseline" in line:
            break
    process.stderr.close()
    process.stdout.close()
    process.wait(60)
    assert zone.left() == []
    assert json.loads((only_run(zone) / "run.json").read_text())["state"] == "done"


def test_a_hangup_tears_down(zone: Zone) -> None:
    """The terminal is closed in the middle: everything is removed."""
    process = zone.start("run", zone.profile(), "--plain")
    assert process.stderr is not None
    for line in process.stderr:
        if "trial 1: baseline" in line:
            break
    process.stderr.close()
    process.send_signal(signal.SIGHUP)
    process.wait(60)
    assert zone.left() == []


def test_an_interrupted_trial_keeps_its_samples_readable(zone: Zone) -> None:
    """What was seen until Ctrl-C can be analysed: as the samples of an interrupted trial, worth no average."""
    process = zone.start("run", zone.profile(), "--plain")
    assert process.stderr is not None
    for line in process.stderr:
        if "validating" in line:
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=60)
    (trial,) = table(zone, only_run(zone), "trials")
    assert trial["verdict"] == "invalid"
    assert "interrupted" in trial["caveats"]


def test_a_second_ctrl_c_leaves_and_cleanup_removes(zone: Zone) -> None:
    """The second Ctrl-C leaves at once with exit code 3 and says how to remove what is left."""
    process = zone.start("run", zone.profile(), "--plain")
    assert process.stderr is not None
    for line in process.stderr:
        if "trial 1: baseline" in line:
            process.send_signal(signal.SIGINT)
        if "removing" in line:
            break
    time.sleep(ONE_PRESS_S)  # a hand that presses twice, not a result that is waited for
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "vrbench cleanup" in err
    done = zone.vrbench("cleanup", "--all")
    assert done.code == 0, done.err
    assert zone.left() == []
