"""A zone per module for runs, an own one where a test breaks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.zone import Zone, running_zone


@pytest.fixture(scope="module")
def shared_zone(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Zone]:
    """One lab for a whole file; every test leaves it empty."""
    request.getfixturevalue("lab_possible")
    with running_zone(tmp_path_factory.mktemp("zone")) as zone:
        yield zone


@pytest.fixture
def zone(shared_zone: Zone, tmp_path: Path) -> Zone:
    """Lend the shared lab, with a directory of the test's own."""
    return Zone(shared_zone.state, tmp_path, shared_zone.status)
