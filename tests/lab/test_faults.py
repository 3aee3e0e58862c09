"""Faults by name: what they refuse, what they do to the API, to jobs and to packets, and that they end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.cli.zone import ROOT, VRBENCH, Zone, running_zone
from tests.lab.replay.serving import Lab, served
from vrbench.lab.faults import KINDS, FaultError, Faults, LabFault, make, parse


def test_an_unknown_fault_is_told_the_nearest() -> None:
    """So is an unknown parameter, and a number that is none."""
    with pytest.raises(FaultError, match="packet-loss"):
        make("packet-los", {})
    with pytest.raises(FaultError, match="percent"):
        make("packet-loss", {"percentage": "5"})
    with pytest.raises(FaultError, match="percent must be a number"):
        make("packet-loss", {"percent": "much"})


def test_parameters_come_with_their_defaults() -> None:
    """What is given replaces a default; the rest stays."""
    fault = make("api-error", parse("status=429; times=2"))
    assert dict(fault.params) == {"command": "", "times": "2", "status": "429"}


def test_a_fault_is_used_up() -> None:
    """After as many times as asked for it is off; another command uses none of them."""
    faults = Faults()
    faults.start(make("api-error", {"command": "listZones", "times": "2"}))
    assert faults.take("api-error", "listHosts") is None
    assert [faults.take("api-error", "listZones") is not None for _ in range(3)] == [True, True, False]


def test_what_cannot_be_done_is_not_on() -> None:
    """An act that refuses leaves the fault off."""
    faults = Faults()

    def refuse(_fault: LabFault, _on: bool) -> None:
        raise FaultError("not here")

    faults.act = refuse
    with pytest.raises(FaultError, match="not here"):
        faults.start(make("packet-loss", {}))
    assert faults.now() == ()


@pytest.fixture
def lab() -> Iterator[Lab]:
    with served() as running:
        yield running


def configure(lab: Lab, name: str, value: str) -> int:
    """Switch a fault on as one would on CloudStack's simulator; its number."""
    return int(lab.root("configureSimulator", name=name, value=value)["null"]["id"])


def get(lab: Lab) -> requests.Response:
    return requests.get(f"http://127.0.0.1:{lab.port}/client/api", params={"command": "listZones"}, timeout=5)


def test_the_api_itself_can_fail(lab: Lab) -> None:
    """By status, as a page, late, or with no answer at all; and is whole again when the fault is cleared."""
    for status, kind in ((401, "xml"), (429, "xml"), (530, "xml"), (503, "html")):
        configure(lab, "api-error", f"status={status};command=listZones;times=1")
        answer = get(lab)
        assert (answer.status_code, kind in answer.headers["Content-Type"]) == (status, True)
    configure(lab, "api-html", "status=200;times=1")
    assert get(lab).text.startswith("<html>")
    number = configure(lab, "api-reset", "on")
    with pytest.raises(requests.ConnectionError):
        get(lab)
    lab.root("cleanupSimulatorMock", id=number)
    configure(lab, "api-delay", "seconds=0.3;times=1")
    begun = time.monotonic()
    lab.root("listZones")
    assert time.monotonic() - begun >= 0.3
    assert lab.root("listZones")["count"] == 1


def test_the_api_refuses_a_fault_that_is_none(lab: Lab) -> None:
    """A parameter that the fault does not have: 431, with what it has."""
    status, body = lab.root.raw("configureSimulator", {"name": "api-delay", "value": "minutes=1"})
    assert status == 431
    assert "seconds" in str(body)


@pytest.mark.lab
def test_every_fault_can_be_listed_switched_on_and_off(tmp_path: Path, lab_possible: None) -> None:
    """By command, on a lab without networks: what needs a VM or a pair says so, the rest goes on and off."""
    del lab_possible
    with running_zone(tmp_path) as zone:
        listed = fault(zone)
        for name in KINDS:
            assert name in listed[1]
            code, out = fault(zone, name)
            needs = name in ("split-brain", "both-backup") or "vm" in KINDS[name].defaults
            assert (code, f"on now: {name}" in out) == ((3, False) if needs else (0, True)), name
            fault(zone, name, "--clear")
        assert fault(zone, "packet-los")[0] == 64
        assert "on now" not in fault(zone, "--clear")[1]


def fault(zone: Zone, *arguments: str) -> tuple[int, str]:
    """Run the command as a person types it, outside the lab; return its exit code and output."""
    command = [*VRBENCH, "lab", "fault", "--state", str(zone.state), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout
