"""The series that a seed stands for."""

from __future__ import annotations

from itertools import pairwise

from vrbench.core.injections import CASES, NOTHING, SHORTEST_S, Fault, draw_series

GUESTS = ("vm1", "vm2")


def test_the_series_follows_from_its_seed() -> None:
    """Same seed, same series; every case equally often; lengths and pauses within their limits, and one quiet time."""
    count = 2 * len(CASES)
    series = draw_series(count, 30.0, GUESTS, 0.5, 12.0, seed=3)
    assert series == draw_series(count, 30.0, GUESTS, 0.5, 12.0, seed=3)
    assert series != draw_series(count, 30.0, GUESTS, 0.5, 12.0, seed=4)
    real = [i for i in series if i.direction != NOTHING]
    cases = [(i.fault, i.direction, bool(i.guest)) for i in real]
    assert sorted(cases) == sorted(2 * CASES)
    assert {f for f, _, _ in cases} == set(Fault)
    assert all(0.5 <= i.pause_s <= 0.75 for i in real)
    assert all(SHORTEST_S <= i.seconds <= 30.9 for i in real if i.fault is not Fault.FLAPPING)
    assert all(max(i.beats) < 0.01 and len(i.beats) % 2 for i in real if i.fault is Fault.FLAPPING)
    assert all(bool(i.held_s) == (i.fault is Fault.NO_NAT) for i in real)
    assert [i.seconds for i in series if i.direction == NOTHING] == [12.0]
    assert any(a != b for a, b in pairwise(cases))
    assert draw_series(0, 30.0, GUESTS, 0.5, 0.0, seed=3) == ()
