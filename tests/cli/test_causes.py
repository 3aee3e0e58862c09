"""Causes held against what the lab really did to its routers: a whole run, its phases, and the truth beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.attribution import by_phases, compared, fine
from tests.cli.zone import PROFILE, only_run, running_zone
from vrbench.core.figures.results import TrialResult
from vrbench.core.model import Cause
from vrbench.lab import lifecycle
from vrbench.lab.router_history import TruePhase
from vrbench.lab.status import LabOptions
from vrbench.store.loading import load_run

pytestmark = [pytest.mark.lab, pytest.mark.alone]

FOUND_SHARE = 0.8
UNSEEN_S = 0.05  # the gateway is asked so often: as much of a phase may pass before it answers, in every stream


def run(tmp_path: Path, strategy: str) -> tuple[TrialResult, tuple[TruePhase, ...]]:
    """One trial on a lab of its own, and the true phases."""
    with running_zone(tmp_path, LabOptions(strategy=strategy, time_scale=0.15)) as zone:
        done = zone.vrbench("run", zone.profile(fine(PROFILE)), "--plain", timeout_s=240)
        told = lifecycle.phases(zone.state)["phases"]
    (trial,) = load_run(only_run(zone)).trials
    assert trial.facts.recovered, done.err
    return trial, tuple(TruePhase(**phase) for phase in told)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        # For 0.1 s its guests wait for NAT, too: at this scale of time that is too short to be proven.
        ("serial", (Cause.ROUTER_GONE, Cause.FIREWALL_MISSING)),
        ("parallel", (Cause.NAT_MISSING, Cause.FIREWALL_MISSING)),
    ],
)
def test_attributed_time_is_true_time(
    tmp_path: Path, strategy: str, expected: tuple[Cause, ...], record_property: Callable[[str, object], None]
) -> None:
    """95 % of each cause's milliseconds lie where that was truly the cause, and most of what was true is found."""
    trial, phases = run(tmp_path, strategy)
    figures = [s for s in trial.streams if s.stream.kind.headline]
    found = compared(figures, by_phases(trial, phases), expected)
    record_property("causes", str(found))
    print(strategy, found)
    for cause in expected:
        found.check_true(cause)
        least_s = FOUND_SHARE * found.true[cause] - UNSEEN_S * len(figures)
        assert found.claimed[cause] >= least_s, f"{cause} {found.true[cause]:.3f} s: {found}"
