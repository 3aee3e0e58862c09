"""vrbench doctor: what it looks at, what it says of it, and that it changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.calibrated import CALIBRATED
from tests.cli.zone import ROOT, Done, Zone, running_zone, vrbench_command
from vrbench.cli import doctor, doctor_cloud, doctor_machine
from vrbench.cloud.api.clock import ClockReading
from vrbench.core.findings import Finding, FindingState, exit_code
from vrbench.run import machine_calibrations as calibrations


def run(here: Path, *arguments: str, **environ: str) -> Done:
    """vrbench doctor outside any lab, with a state directory and a home of the test's own."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("CLOUDSTACK_")}
    ours = {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(here / "state"), "HOME": str(here), "COLUMNS": "80"}
    command = [*vrbench_command(), "doctor", *arguments]
    done = subprocess.run(
        command, cwd=here, env={**clean, **ours, **environ}, capture_output=True, text=True, timeout=240, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def states(done: Done) -> dict[str, str]:
    return {c["name"]: c["state"] for c in done.json["checks"]}


def test_a_machine_is_checked_without_a_profile(tmp_path: Path) -> None:
    """One line each, within 80 columns, without colour when piped; nothing is written anywhere."""
    done = run(tmp_path, "--no-calibrate")
    assert done.code == 0, done.out
    assert {"python", "raw sockets", "priority", "load", "disk", "lab"} <= {
        line[5:20].strip() for line in done.out.splitlines()
    }
    assert "not calibrated on this machine: vrbench calibrate --quick" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    assert "\x1b" not in done.out
    assert list(tmp_path.iterdir()) == []


def test_a_stored_verdict_counts_while_it_is_fresh(tmp_path: Path) -> None:
    """A good one of today is shown; one that was not good is bad, with exit code 2."""
    environ = {"XDG_STATE_HOME": str(tmp_path / "state")}
    today = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    kept = replace(CALIBRATED, machine=calibrations.machine_key(), calibrated_utc=today)
    calibrations.save_calibration(kept, environ)
    good = run(tmp_path, "--json")
    assert (good.code, states(good)["calibration"]) == (0, "ok")
    calibrations.save_calibration(replace(kept, good=False), environ)
    bad = run(tmp_path, "--json")
    assert (bad.code, states(bad)["calibration"]) == (2, "bad")
    assert not doctor.is_fresh(replace(kept, calibrated_utc="2020-01-01T00:00:00Z"), datetime.now(UTC))
    assert not doctor.is_fresh(kept, datetime.now(UTC) - timedelta(days=1))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nosuch",), "'nosuch' is no shipped profile, and no file here has that name"),
        (("isolated", "--set", "trials.count=0", "--set", "probes.intervall=1"), "did you mean interval?"),
        (("isolated",), "no CloudStack endpoint, key, secret found"),
    ],
)
def test_what_is_wrong_with_the_profile_is_said(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    """Every problem at once, and exit code 64."""
    done = run(tmp_path, *arguments, "--no-calibrate", "--json")
    assert done.code == 64
    assert words in done.out


def test_an_endpoint_that_nobody_answers_at(tmp_path: Path) -> None:
    """Exit code 3, the address, and no secret."""
    keys = {
        "CLOUDSTACK_ENDPOINT": "http://127.0.0.1:9/client/api",
        "CLOUDSTACK_KEY": "kk",
        "CLOUDSTACK_SECRET": "5ecret",
    }
    target = ("--set", "probes.egress_target=127.0.0.1")
    done = run(tmp_path, "isolated", *target, "--no-calibrate", **keys)
    assert done.code == 3
    assert "no answer from http://127.0.0.1:9/client/api" in " ".join(done.out.split())
    assert "127.0.0.1 can't be reached by anybody else" in done.out
    assert "5ecret" not in done.out + done.err


@pytest.fixture(scope="module")
def zone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zone]:
    """Start a lab to stand before, as an operator stands before a cloud."""
    with running_zone(tmp_path_factory.mktemp("doctor")) as made:
        made.environ["XDG_STATE_HOME"] = str(made.here / "state")
        yield made


@pytest.mark.lab
def test_a_cloud_is_checked_and_left_as_it_is(zone: Zone) -> None:
    """Credentials, clock, version, account, zone, offerings and targets; nothing is built, no secret is shown."""
    before = zone.left()
    done = zone.vrbench("doctor", zone.profile(), "--no-calibrate", "--json")
    assert done.code == 0, done.out
    seen = states(done)
    assert {n for n, s in seen.items() if s == "ok"} >= {
        "profile", "credentials", "clock", "endpoint", "account", "zone", "network", "VMs", "addresses", "removal",
        "egress target", "control target", "disk",
    }  # fmt: skip
    assert zone.left() == before
    assert zone.status.callers["root"].secretkey not in done.out + done.err
    assert zone.status.callers["root"].apikey not in done.out + done.err


@pytest.mark.lab
def test_every_refusal_of_the_cloud_is_listed(zone: Zone) -> None:
    """Names that are not there, each with the nearest; exit code 3."""
    wrong = ("--set", "cloud.zone=nowhere", "--set", "cloud.template=nothing")
    done = zone.vrbench("doctor", zone.profile(), *wrong, "--no-calibrate", "--json")
    assert done.code == 3
    bad = [c["found"] for c in done.json["checks"] if c["state"] == "bad"]
    assert any("zone 'nowhere' not found" in words for words in bad)


@pytest.mark.lab
def test_wrong_keys_and_a_silent_target_are_told(zone: Zone) -> None:
    """Exit code 3 and what to check; an address that does not answer is a warning."""
    ini = zone.here / "wrong.ini"
    ini.write_text(f"[cloudstack]\nendpoint = {zone.status.endpoint}\nkey = wrong\nsecret = 5ecret\n")
    zone.environ["CLOUDSTACK_CONFIG"] = str(ini)
    try:
        silent = ("--set", "probes.control_target=198.51.100.77")
        done = zone.vrbench("doctor", zone.profile(), *silent, "--no-calibrate", "--json")
    finally:
        del zone.environ["CLOUDSTACK_CONFIG"]
    assert done.code == 3
    seen = states(done)
    assert (seen["credentials"], seen["endpoint"], seen["control target"]) == ("ok", "bad", "warn")
    assert "5ecret" not in done.out


@pytest.mark.lab
@pytest.mark.slow
def test_it_calibrates_when_nobody_did(tmp_path: Path) -> None:
    """Within a minute and a bit; its verdict is kept, and counts the next time."""
    first = run(tmp_path, "--json")
    assert states(first)["calibration"] in ("ok", "bad")
    assert list((tmp_path / "state" / "vrbench").glob("calibration-*.json"))
    again = run(tmp_path, "--json", "--no-calibrate")
    assert states(again)["calibration"] == states(first)["calibration"]


@pytest.mark.parametrize(
    ("clock", "state", "words"),
    [
        (ClockReading(0.4, 0.5), "ok", "as the server's"),
        (ClockReading(4.0, 5.0), "ok", "as the server's"),
        (ClockReading(-12.0, 0.6), "ok", "12 s behind"),
        (ClockReading(-45.0, 0.6), "warn", "45 s behind"),
        (ClockReading(700.0, 0.6), "bad", "700 s ahead"),
        (None, "warn", "no date"),
    ],
    ids=str,
)
def test_the_clock_is_held_against_the_servers(clock: ClockReading | None, state: str, words: str) -> None:
    """Half of what a request may be old is bad, half a minute is worth knowing."""
    (found,) = doctor_cloud.check_clock(clock, answered=True)
    assert found.state == state
    assert words in found.found


def test_without_an_answer_nothing_is_said_of_the_clock() -> None:
    """That nobody answers is said already."""
    assert list(doctor_cloud.check_clock(None, answered=False)) == []


def test_a_busy_machine_is_worth_knowing() -> None:
    """More work than cores."""
    assert doctor_machine.check_load(0.5, 2).state is FindingState.OK
    assert doctor_machine.check_load(2.5, 2).state is FindingState.WARN


def test_a_full_disk_is_bad_only_for_what_is_planned(tmp_path: Path) -> None:
    """Without a plan it is a warning; a place that does not exist yet is judged by what it will lie in."""
    place = tmp_path / "not" / "there"
    assert doctor_machine.check_disk(place, 1 << 60).state is FindingState.BAD
    assert doctor_machine.check_disk(place, 1).state is FindingState.OK


def test_the_exit_code_is_that_of_the_first_bad_one() -> None:
    """Warnings don't count."""
    checks = [
        Finding("a", FindingState.WARN, "", code=64),
        Finding("b", FindingState.BAD, "", code=3),
        Finding("c", FindingState.BAD, "", code=2),
    ]
    assert exit_code(checks) == 3
    assert exit_code(checks[:1]) == 0


@pytest.mark.parametrize("width", [40, 80, 100])
def test_a_line_fits_its_terminal(width: int) -> None:
    """Long findings and cures go on below, at the same place."""
    check = Finding("control target", FindingState.BAD, "word " * 40, "do " * 40, 3)
    lines = doctor.line(check, width).splitlines()
    assert max(map(len, lines)) <= width
    assert all(each.startswith(" " * 20) for each in lines[1:])
    assert "→ do" in "\n".join(lines)


def test_json_is_json(tmp_path: Path) -> None:
    """Nothing but one object on stdout."""
    shown = json.loads(run(tmp_path, "lab-parallel", "--no-calibrate", "--json").out)
    assert shown["exit_code"] == 0
    assert all(set(c) == {"name", "state", "found", "cure"} for c in shown["checks"])
