"""vrbench run beside its surroundings: a clean-up meanwhile, readers and terminals that go, a second Ctrl-C."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.cli.zone import MEASURED, Zone, hear, only_run, wait_for
from vrbench.lab.system.processes import children, process_ids
from vrbench.run.interrupts import ONE_PRESS_S

pytestmark = pytest.mark.lab
OURS = ("vrbench.probes.prober", "agent.pyz")


def test_cleanup_leaves_a_running_run_alone(zone: Zone) -> None:
    """While a run measures, cleanup touches nothing of it: by name it fails, with --all it goes on to others."""
    process = zone.start("run", zone.profile(), "--plain")
    hear(process, "trial 1: baseline")
    (run,) = (zone.here / "reports").glob("*/")
    everything, named = zone.vrbench("cleanup", "--all"), zone.vrbench("cleanup", run.name)
    _, err = process.communicate(timeout=150)
    assert process.returncode in MEASURED, err
    assert (everything.code, named.code) == (0, 3)
    assert "still going on" in everything.err
    assert zone.left() == []


def test_no_other_process_is_told_the_key(zone: Zone) -> None:
    """Given in the environment, it is in that of the command alone: not in its probers', nor in any guest's."""
    root = zone.status.callers["root"]
    zone.environ.update(CLOUDSTACK_CONFIG="", CLOUDSTACK_ENDPOINT=zone.status.endpoint, CLOUDSTACK_KEY=root.apikey)
    zone.environ["CLOUDSTACK_SECRET"] = root.secretkey
    process = zone.start("run", zone.profile(), "--plain")
    hear(process, "trial 1: baseline")
    looks: list[list[tuple[int, str, str]]] = []

    def all_work() -> bool:
        """Look at everybody; whoever has just been started shows what its starter was told, for a moment."""
        looks.append([(pid, *told(pid)) for pid in process_ids()])
        working = all(any(what in command for _, command, _ in looks[-1]) for what in OURS)
        return working and all(knowing(looks[-1], secret) == given for secret in secrets)

    secrets = (root.apikey, root.secretkey)
    given = [process.pid, *children(process.pid)]  # who stands in for it outside the lab, and itself
    wait_for("all of our processes, and the key told to those it was given to alone", all_work)
    for secret in secrets:
        assert not [command for look in looks for _, command, _ in look if secret in command]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=150)
    assert zone.left() == []


def knowing(look: list[tuple[int, str, str]], secret: str) -> list[int]:
    return [pid for pid, _, environ in look if secret in environ]


def told(pid: int) -> tuple[str, str]:
    """Return the arguments and the environment of a process; nothing of one that has just ended."""
    try:
        process = Path(f"/proc/{pid}")
        return (process / "cmdline").read_text(errors="replace"), (process / "environ").read_text(errors="replace")
    except OSError:
        return "", ""


def test_whoever_stops_reading_stops_nothing_else(zone: Zone) -> None:
    """A closed pipe (| head) or a terminal that is gone must not keep the network from being removed."""
    process = zone.start("run", zone.profile(), "--plain")
    assert process.stderr is not None
    assert process.stdout is not None
    hear(process, "trial 1: baseline")
    process.stderr.close()
    process.stdout.close()
    process.wait(150)
    assert zone.left() == []
    assert json.loads((only_run(zone) / "run.json").read_text())["state"] == "done"


def test_a_hangup_tears_down(zone: Zone) -> None:
    """The terminal is closed in the middle: everything is removed."""
    process = zone.start("run", zone.profile(), "--plain")
    assert process.stderr is not None
    hear(process, "trial 1: baseline")
    process.stderr.close()
    process.send_signal(signal.SIGHUP)
    process.wait(150)
    assert zone.left() == []


def test_a_second_ctrl_c_leaves_and_cleanup_removes(zone: Zone) -> None:
    """The second Ctrl-C leaves at once with exit code 3 and says how to remove what is left."""
    process = zone.start("run", zone.profile(), "--plain")
    hear(process, "trial 1: baseline")
    process.send_signal(signal.SIGINT)
    hear(process, "removing")
    time.sleep(ONE_PRESS_S)  # a hand that presses twice, not a result that is waited for
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=150)
    assert process.returncode == 3, err
    assert "vrbench cleanup" in err
    done = zone.vrbench("cleanup", "--all")
    assert done.code == 0, done.err
    assert zone.left() == []
