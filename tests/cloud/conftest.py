"""One lab zone per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cloud.lab import Lab, running_lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_lab() as running:
        yield running
