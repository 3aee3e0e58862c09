"""Faults by name: what they refuse, what they do to the API, to jobs and to packets, and that they end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.cli.zone import ROOT, VRBENCH, Zone, running_zone
from tests.lab.replay.serving import Lab, served
from vrbench.cli.exits import Exit
from vrbench.cli.main import _run
from vrbench.lab.faults import KINDS, NUMBERS, FaultError, Faults, LabFault, make, parse
from vrbench.lab.packets.faulty_ground import BOUND_WRONGLY, LEFT_OUT


def test_an_unknown_fault_is_told_the_nearest() -> None:
    """So is an unknown parameter, and a number that is none."""
    with pytest.raises(FaultError, match="packet-loss"):
        make("packet-los", {})
    with pytest.raises(FaultError, match="percent"):
        make("packet-loss", {"percentage": "5"})
    with pytest.raises(FaultError, match="percent must be a number"):
        make("packet-loss", {"percent": "much"})


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("packet-loss", {"percent": "-5"}, "percent must be a number from 0 to 100, not '-5'; the nearest is 0"),
        ("packet-loss", {"percent": "101"}, "the nearest is 100"),
        ("packet-loss", {"percent": "nan"}, "percent must be a number from 0 to 100, not 'nan'$"),
        ("packet-loss", {"percent": "inf"}, "not 'inf'; the nearest is 100"),
        ("packet-loss", {"percent": "9" * 500}, "not '9{40}…'; the nearest is 100"),
        ("packet-loss", {"percent": ""}, "percent must be a number from 0 to 100, not ''$"),
        ("icmp-limit", {"rate": "0"}, "rate must be a whole number from 1 to 1000000, not '0'; the nearest is 1"),
        ("icmp-limit", {"rate": "2.5"}, "not '2.5'; the nearest is 2"),
        ("rules-late", {"seconds": "1e9"}, "seconds must be a number from 0 to 86400, not '1e9'; the nearest is 86400"),
        ("api-error", {"status": "99999999"}, "status must be a whole number from 200 to 599"),
        ("api-reset", {"times": "-1"}, "times must be a whole number from 0 to 1000000, not '-1'; the nearest is 0"),
        ("api-reset", {"done": "perhaps"}, "done must be one of: no, yes"),
        ("rules-missing", {"what": "egres"}, "what must be one of: all, source-nat, egress, firewall, port-forwards"),
    ],
)
def test_an_impossible_value_is_told_the_nearest(name: str, given: dict[str, str], words: str) -> None:
    """By the lab itself, its API and the command line alike: they all make faults here."""
    with pytest.raises(FaultError, match=words):
        make(name, given)


def test_every_number_has_its_limits_and_every_choice_its_meaning() -> None:
    """A default is possible, what looks like a number has limits, and what may be left out is what can be."""
    for name, kind in KINDS.items():
        assert make(name, kind.defaults).params == kind.defaults
        assert {key for key, value in kind.defaults.items() if value.isdigit()} <= set(NUMBERS)
    assert set(KINDS["rules-missing"].choices["what"]) == set(LEFT_OUT)
    assert set(KINDS["rules-late"].choices["what"]) == set(BOUND_WRONGLY)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fault", "packet-loss", "percent=-5"), "the nearest is 0"),
        (("fault", "rules-late", "seconds=nan"), "not 'nan'"),
        (("outage", "--seconds", "nan"), "must be a number from 0.001 to 3600, not 'nan'"),
        (("outage", "--seconds", "-1"), "the nearest is 0.001"),
        (("up", "--time-scale", "inf"), "the nearest is 10"),
        (("up", "--first-subnet", "2.5"), "must be a whole number from 1 to 239, not '2.5'; the nearest is 2"),
    ],
)
def test_the_command_line_refuses_what_can_not_be(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With exit code 64, and before a lab is looked for."""
    monkeypatch.setattr(sys, "argv", ["vrbench", "lab", *arguments])
    assert _run() == Exit.USAGE  # not main, which has this process ignore signals from then on
    assert words in " ".join(capsys.readouterr().err.split())


def test_parameters_come_with_their_defaults() -> None:
    """What is given replaces a default; the rest stays."""
    fault = make("api-error", parse("status=429; times=2"))
    expected = {"command": "", "times": "2", "status": "429", "every": "1", "retry-after": ""}
    assert dict(fault.params) == expected


def test_a_fault_is_used_up() -> None:
    """After as many times as asked for it is off; another command uses none of them."""
    faults = Faults()
    faults.start(make("api-error", {"command": "listZones", "times": "2"}))
    assert faults.take("api-error", "listHosts") is None
    assert [faults.take("api-error", "listZones") is not None for _ in range(3)] == [True, True, False]


def test_each_so_manieth_call_of_a_command_meets_a_fault() -> None:
    """Of every command by itself; and a fault that is switched on anew begins to count anew."""
    faults = Faults()
    for _ in range(2):
        faults.start(make("api-error", {"every": "3", "times": "2"}))
        met = [faults.take("api-error", command) is not None for command in ["listZones", "listHosts"] * 5]
        assert met == [False] * 4 + [True, True] + [False] * 4


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
    return requests.get(f"http://127.0.0.1:{lab.port}/client/api", params={"command": "listZones"}, timeout=60)


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
    """A parameter that the fault does not have, or a number that can't be: 431, with what can."""
    for name, value, words in (
        ("api-delay", "minutes=1", "seconds"),
        ("packet-loss", "percent=101", "the nearest is 100"),
        ("StartCommand", "wait:-1", "the nearest is 0"),
        ("StartCommand", "wait:" + "9" * 200, "the nearest is 86400000"),
    ):
        status, body = lab.root.raw("configureSimulator", {"name": name, "value": value})
        assert status == 431
        assert words in str(body)


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
