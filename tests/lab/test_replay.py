"""Whole exchanges with a real 4.20.2.0 server, replayed against the lab: how many of its answers agree.

The recordings and the replayer lie beside the checkout; without them these tests are skipped, and fail in CI.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.lab.replay.serving import QUICK, served
from vrbench.lab.api.settings import PUBLIC, ZoneSettings

SHARED = Path(__file__).parents[3] / "shared"
RECORDED = SHARED / "api" / "recorded-4.20.2"
REPLAY = SHARED / "tools" / "replay.py"
SUMMARY = re.compile(r"(\d+) of (\d+) exchanges agree")
SETTINGS = ZoneSettings(timing=QUICK, expunge_delay_s=0.6, stats_interval_s=2.0)


@pytest.fixture(autouse=True)
def _recordings() -> None:
    """The recordings, or no test."""
    if REPLAY.exists() and RECORDED.is_dir():
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have the recorded exchanges in {RECORDED}", pytrace=False)
    pytest.skip(f"no recorded exchanges in {RECORDED}")


def replay(tmp_path: Path, settings: ZoneSettings, *names: str) -> list[str]:
    """Replay recordings in this order on a fresh lab; one line for each exchange that differs."""
    with served(settings) as lab:
        callers = {name: asdict(getattr(lab, name).caller) for name in ("root", "domadmin", "user")}
        keys = tmp_path / "callers.json"
        keys.touch(mode=0o600)
        keys.write_text(json.dumps(callers))
        endpoint = f"http://127.0.0.1:{lab.port}/client/api"
        files = [str(RECORDED / f"{name}.json") for name in names]
        command = [sys.executable, str(REPLAY), endpoint, str(keys), *files]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    summary = SUMMARY.match(lines[-1])
    assert summary is not None, done.stdout
    assert int(summary[2]) - int(summary[1]) == len(lines) - 1
    return lines[:-1]


def test_main_path_and_errors_agree(tmp_path: Path) -> None:
    """Discovery, build, restart and errors agree but for four exchanges, which no endpoint could answer alike.

    Two were signed with keys that are not in the recording, one expired at a time that has passed since, and the
    recorded account had one more address by then, from a recording that is not replayed here.
    """
    differing = replay(tmp_path, SETTINGS, "discovery", "build", "restart", "errors")
    assert len(differing) <= 4, differing
    assert {line.split()[1] for line in differing} <= {"listZones", "associateIpAddress"}, differing


def test_capacity_agrees(tmp_path: Path) -> None:
    """A pool of ten addresses runs dry where the recorded one did."""
    small = replace(SETTINGS, public_last=PUBLIC[19])
    assert replay(tmp_path, small, "build", "restart", "capacity") == []


def test_router_operations_agree(tmp_path: Path) -> None:
    """Reboot, stop, start, destroy, and what routers refuse."""
    assert replay(tmp_path, SETTINGS, "build", "restart", "router-operations") == []


def test_race_agrees(tmp_path: Path) -> None:
    """Several source-NAT addresses, failing deploys, a network that nobody can remove.

    Two lists differ in networks that other recordings left; two exchanges because the recorded requests went out side
    by side, and these one by one.
    """
    names = ("build-concurrent-race", "race-cleanup", "build-concurrent")
    differing = replay(tmp_path, replace(SETTINGS, api_step_s=0.2), *names)
    assert len(differing) <= 4, differing


def test_teardown_by_a_plain_user_agrees(tmp_path: Path) -> None:
    """All but two exchanges, which speak of a redundant network that an earlier recording left."""
    differing = replay(tmp_path, SETTINGS, "build", "restart", "errors", "teardown-plain-user")
    assert len(differing) <= 4 + 2, differing
