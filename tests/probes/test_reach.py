"""Who answers a ping."""

from __future__ import annotations

import time

import pytest

from tests.probes.box import Box
from tests.probes.rig import ROUTER
from vrbench.probes.ping_check import reach

pytestmark = pytest.mark.lab


def test_those_who_answer_are_told_from_those_who_do_not(box: Box) -> None:
    """Order is kept, and the deadline ends the waiting for the silent."""
    began = time.monotonic()
    with box.inside("harness"):
        reached = reach(["198.51.100.77", ROUTER, "198.51.100.2"], deadline_s=3.0)
    assert reached.up == (ROUTER, "198.51.100.2")
    assert reached.down == ("198.51.100.77",)
    assert time.monotonic() - began < 30


def test_when_all_answer_it_is_quick(box: Box) -> None:
    """Nothing is waited for once everyone has answered."""
    began = time.monotonic()
    with box.inside("harness"):
        assert reach([ROUTER], deadline_s=60.0).down == ()
    assert time.monotonic() - began < 30, "it was waited for the deadline"
