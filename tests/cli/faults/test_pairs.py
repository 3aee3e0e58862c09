"""Faults of redundant routers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.faults.measured import QUIET, keep, measure_during
from tests.cli.zone import Zone, running_zone
from vrbench.lab import lifecycle
from vrbench.lab.status import LabOptions

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Zone]:
    """Start a lab whose network has two routers."""
    request.getfixturevalue("lab_possible")
    with running_zone(tmp_path_factory.mktemp("pair"), LabOptions(strategy="redundant", time_scale=0.05)) as zone:
        keep(zone)
        yield zone


def test_a_pair_of_which_both_are_backup(pair: Zone) -> None:
    """Nobody forwards: both directions go down, stay down, and the trial is UNKNOWN."""
    seen = measure_during(pair, QUIET, "both-backup")
    lifecycle.fault(pair.state, "", on=False)
    assert seen.trial["verdict"] == "unknown"
    assert "no-recovery-seen" in seen.caveats
    assert seen.down("ssh-ingress", "syn") > 3


def test_a_pair_of_which_both_are_primary(pair: Zone) -> None:
    """Both answer for the same addresses: what is measured is what the tenant sees, and the job is no witness.

    The backup that hears nobody any more becomes primary after three to four seconds: the trial must last longer.
    """
    seen = measure_during(pair, QUIET.replace('validation = "2s"', 'validation = "8s"'), "split-brain")
    lifecycle.fault(pair.state, "", on=False)
    assert (seen.done.code, seen.trial["verdict"]) == (2, "unknown"), seen.done.err
    assert "two-routers" in seen.caveats
    assert "job-failed" not in seen.caveats
