"""A lab of each module's own, whose network is kept and measured anew under each fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.faults.measured import keep, repair
from tests.cli.zone import Zone, running_zone
from vrbench.lab import lifecycle
from vrbench.lab.status import LabOptions


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Zone]:
    """Start a lab with a network that a first run builds and keeps."""
    request.getfixturevalue("lab_possible")
    with running_zone(tmp_path_factory.mktemp("faults"), LabOptions(time_scale=0.05)) as zone:
        keep(zone)
        yield zone


@pytest.fixture
def zone(kept: Zone) -> Iterator[Zone]:
    """Lend the kept network, and put right what a test left wrong."""
    yield kept
    lifecycle.fault(kept.state, "", on=False)
    repair(kept)
