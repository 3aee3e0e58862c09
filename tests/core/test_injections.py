"""The series that a seed stands for."""

from __future__ import annotations

from itertools import pairwise

import pytest

from vrbench.core.calibrate.injections import CASES, NOTHING, SHORTEST_S, Fault, Injection, Series, draw_series

GUESTS = ("vm1", "vm2")


def test_the_series_follows_from_its_seed() -> None:
    """Same seed, same series; every case equally often; lengths and pauses within their limits, and one quiet time."""
    count = 2 * len(CASES)
    series = draw_series(Series(count, 30.0, GUESTS, 0.5, 12.0), 3)
    assert series == draw_series(Series(count, 30.0, GUESTS, 0.5, 12.0), 3)
    assert series != draw_series(Series(count, 30.0, GUESTS, 0.5, 12.0), 4)
    real = [i for i in series if i.direction != NOTHING]
    cases = [(i.fault, i.direction, bool(i.guest)) for i in real]
    assert sorted(cases) == sorted(2 * CASES)
    assert {f for f, _, _ in cases} == set(Fault)
    assert all(0.5 <= i.pause_s <= 0.75 for i in real if i.direction != "egress")
    assert all(0.25 <= i.pause_s <= 0.375 for i in real if i.direction == "egress")
    assert all(SHORTEST_S <= i.seconds <= 30.9 for i in real if i.fault is not Fault.FLAPPING)
    assert all(max(i.beats) < 0.01 and len(i.beats) % 2 for i in real if i.fault is Fault.FLAPPING)
    assert all(bool(i.held_s) == (i.fault is Fault.NO_NAT) for i in real)
    assert [i.seconds for i in series if i.direction == NOTHING] == [12.0]
    assert any(a != b for a, b in pairwise(cases))
    assert draw_series(Series(0, 30.0, GUESTS, 0.5, 0.0), 3) == ()


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (("egress", ""), ("ingress", ""), False),
        (("egress", "vm1"), ("egress", ""), True),
        (("egress", "vm1"), ("egress", "vm2"), False),
        (("both", "vm1"), ("ingress", "vm1"), True),
        (("both", "vm1"), ("both", "vm2"), False),
        (("both", ""), (NOTHING, ""), False),
    ],
)
def test_those_that_share_a_stream_meet(one: tuple[str, str], other: tuple[str, str], meet: bool) -> None:
    """The same direction, and the same guest or everybody."""
    a, b = (Injection(direction, guest, Fault.SILENCE, (0.1,), 0.0) for direction, guest in (one, other))
    assert (a.meets(b), b.meets(a)) == (meet, meet)
