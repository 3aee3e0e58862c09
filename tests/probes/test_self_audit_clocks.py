"""Wall clocks that are stepped during a trial, in the guests and on the harness: no figure changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.probes.box import Box, routed_box
from tests.probes.trials import check_truth, measured, reachable, trial
from tests.probes.wallclock import WallClock
from tests.replacing import replace
from vrbench.core.caveats import CaveatKind
from vrbench.core.log.rawlog import RECORD, RecordKind, decode_header
from vrbench.probes.observation import SshGuests

pytestmark = pytest.mark.lab
HOUR_S = 3600


@pytest.fixture
def clocks(tmp_path: Path) -> tuple[WallClock, WallClock]:
    """Provide the clocks of the harness's probers and of the guests' agents."""
    return WallClock.make(tmp_path / "harness"), WallClock.make(tmp_path / "guests")


@pytest.fixture
def box(_lab_machine: None) -> Iterator[Box]:
    made = routed_box(guests=2)
    yield made
    made.close()


@pytest.fixture
def ssh_guests(
    box: Box, clocks: tuple[WallClock, WallClock], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SshGuests]:
    with reachable(box, tmp_path, clocks[1].setting) as made:
        for name, value in clocks[0].environ.items():
            monkeypatch.setenv(name, value)
        yield made


def wall_ns(log: bytes) -> list[int]:
    """Wall minus monotonic clock, as a log noted it over time."""
    _, offset = decode_header(log)
    return [r[4] for r in RECORD.iter_unpack(log[offset:]) if r[0] == RecordKind.WALL]


def unstepped(log: bytes) -> bytes:
    """Return the same log of a prober whose wall clock nobody stepped."""
    _, offset = decode_header(log)
    first = wall_ns(log)[0]
    records = [(*r[:4], first) if r[0] == RecordKind.WALL else r for r in RECORD.iter_unpack(log[offset:])]
    return log[:offset] + b"".join(RECORD.pack(*r) for r in records)


def test_a_step_of_an_hour_changes_no_figure(
    ssh_guests: SshGuests, box: Box, clocks: tuple[WallClock, WallClock], tmp_path: Path
) -> None:
    """In the middle of an outage the harness's clock is stepped one way and the guests' the other, and later back."""
    with trial(ssh_guests, box, tmp_path / "trial") as begun:
        with begun.cut():
            begun.spend(0.5)
            for clock, sign in zip(clocks, (1, -1), strict=True):
                clock.step(sign * HOUR_S)
            begun.spend(1.0)
        begun.spend(0.8)
        for clock in clocks:
            clock.step(0)
        begun.spend(1.2)
        result = begun.end()
        logs = begun.logs()
        same = begun.analyze([unstepped(log) for log in logs])
    for log in logs:
        stepped = [round((w - wall_ns(log)[0]) / 1e9) for w in wall_ns(log)]
        assert HOUR_S in map(abs, stepped), "the clock of this prober was not stepped"
        assert stepped[-1] == 0
    (caveat,) = (c for c in result.caveats if c.kind is CaveatKind.CLOCK_STEPPED)
    assert caveat.detail == "harness, vrb-1-vm1, vrb-1-vm2"
    assert replace(result, caveats=()) == replace(same, caveats=()), "a figure hangs on the wall clock"
    check_truth(result, begun.cuts)
    for s in measured(result):
        assert s.samples[-1].rtt_s is None or s.samples[-1].rtt_s < HOUR_S / 2
