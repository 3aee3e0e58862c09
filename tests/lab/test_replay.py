"""Whole exchanges with a real 4.20.2.0 server, replayed against the lab: how many of its answers agree.

The recordings are in ``tests/lab/recorded``; the README there says what happens in each.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.lab.replay.recorded import RECORDED, Replay
from tests.lab.replay.serving import QUICK, served
from vrbench.lab.api.state.settings import ZoneSettings

SEEN = replace(QUICK, router_place_s=0.15)  # long enough for a new router to be seen before it starts
SETTINGS = ZoneSettings(timing=SEEN, expunge_delay_s=0.6, stats_interval_s=2.0, simulated_scale=0.02)
IN_ORDER = (
    "discovery", "build", "restart", "router-operations", "redundant", "errors", "restart-failures-redundant",
    "teardown-plain-user", "restart-failures", "capacity", "vpc", "build-concurrent-race", "build-concurrent",
    "race-cleanup",
)  # fmt: skip
BACKUP_BY_CHANCE = "the recorded server had polled one router before the other was up, and took it for the backup"
KEYS = "signed with a key or secret that is not in the recording"
EXPIRED = "signed to expire at a time that has passed since"
EXCEPTIONS = {
    "projects": ((r"listZones .*resourcedetails", "this server's zone had been given a setting of its own"),),
    "redundant": ((r"routers while .*7ac5c69c", BACKUP_BY_CHANCE),),
    "errors": (
        (r"user listZones \{\}: status 200 for 401", KEYS),
        (r"user listZones \{\}: status 200 for 401", KEYS),
        (r"user listZones .*'expires': '2026-11-22", EXPIRED),
    ),
}


@pytest.mark.slow
def test_all_recordings_agree() -> None:
    """Every recorded exchange, in the order in which they were made, with the faults and delays that were set.

    Whatever differs is named above with its reason.
    """
    with served(SETTINGS) as lab:
        replay = Replay({"root": lab.root, "domadmin": lab.domadmin, "user": lab.user}, lab.clock)
        for name in IN_ORDER:
            before = len(replay.differences)
            replay.run(RECORDED / f"{name}.json")
            _only_expected(name, replay.differences[before:])
    assert replay.compared > 700


def _only_expected(name: str, differences: list[str]) -> None:
    left = list(differences)
    for pattern, _reason in EXCEPTIONS.get(name, ()):
        found = next((line for line in left if re.search(pattern, line)), None)
        if found is not None:
            left.remove(found)
    assert left == [], f"{name}: {left}"


@pytest.mark.parametrize("names", [("build", "restart", "router-operations"), ("vpc",), ("projects",)])
def test_recordings_agree_alone(names: tuple[str, ...]) -> None:
    """What a recording builds on is in it, or in the few before it."""
    with served(SETTINGS) as lab:
        replay = Replay({"root": lab.root, "domadmin": lab.domadmin, "user": lab.user}, lab.clock)
        for name in names:
            before = len(replay.differences)
            replay.run(RECORDED / f"{name}.json")
            _only_expected(name, replay.differences[before:])
    assert replay.compared > 50
