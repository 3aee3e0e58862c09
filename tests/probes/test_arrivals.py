"""Kernel receive stamps on the monotonic clock, and steps of the wall clock."""

from __future__ import annotations

import socket
import struct

import pytest

from vrbench.probes import engine

START = 1_000_000_000_000


class Clocks:
    """Both clocks of a machine; the wall clock can be stepped."""

    def __init__(self) -> None:
        self.now, self.offset = START, 1_700_000_000_000_000_000

    def stamp(self) -> list[tuple[int, int, bytes]]:
        """Return what the kernel would attach to a packet that arrives now."""
        seconds, nanoseconds = divmod(self.now + self.offset, 1_000_000_000)
        return [(socket.SOL_SOCKET, engine.SO_TIMESTAMPNS, struct.pack("@ll", seconds, nanoseconds))]


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(engine, "monotonic_ns", lambda: made.now)
    monkeypatch.setattr(engine, "wall_ns", lambda: made.now + made.offset)
    return made


def test_a_stamp_becomes_monotonic_time(clocks: Clocks) -> None:
    """A packet that waited in the buffer keeps the time of its arrival."""
    arrivals = engine.Arrivals()
    clocks.now += 10_000_000
    arrived, stamp = clocks.now, clocks.stamp()
    clocks.now += 40_000_000
    arrivals.look()
    assert arrivals.time(stamp) == arrived


@pytest.mark.parametrize("step", [-3600_000_000_000, -5_000_000, 5_000_000, 3600_000_000_000])
@pytest.mark.parametrize("stepped_first", [False, True])
def test_a_stepped_wall_clock_moves_no_arrival(clocks: Clocks, step: int, stepped_first: bool) -> None:
    """Whether the step came before or after the packet, its arrival is right to the looks around it."""
    arrivals = engine.Arrivals()
    clocks.now += 1_000_000
    if stepped_first:
        clocks.offset += step
    arrived, stamp = clocks.now, clocks.stamp()
    if not stepped_first:
        clocks.offset += step
    clocks.now += 2_000_000
    arrivals.look()
    told = arrivals.time(stamp)
    assert told is not None
    assert abs(told - arrived) <= 3_000_000
    clocks.now += 10_000_000
    later, stamp = clocks.now, clocks.stamp()
    clocks.now += 20_000_000
    arrivals.look()
    assert arrivals.time(stamp) == later


def test_without_a_stamp_it_is_now(clocks: Clocks) -> None:
    """A kernel that stamps nothing leaves the time of reading."""
    assert engine.Arrivals().time([]) == clocks.now


def test_a_packet_of_a_stall_keeps_its_stamp(clocks: Clocks) -> None:
    """However late it is found: a prober that was stopped for two seconds knows when its answers came."""
    arrivals = engine.Arrivals()
    clocks.now += 1_000_000
    arrived, stamp = clocks.now, clocks.stamp()
    clocks.now += 2_000_000_000
    arrivals.look()
    assert arrivals.time(stamp) == arrived


@pytest.mark.parametrize("step", [-3600_000_000_000, -1_000_000_000, 1_000_000_000, 3600_000_000_000])
def test_a_stall_and_a_step_leave_no_time_but_a_right_one(clocks: Clocks, step: int) -> None:
    """Where the step is shorter than the stall, either time is possible: then none is told."""
    arrivals = engine.Arrivals()
    clocks.now += 1_000_000_000
    arrived, stamp = clocks.now, clocks.stamp()
    clocks.now += 1_000_000_000
    clocks.offset += step
    arrivals.look()
    assert arrivals.time(stamp) in ((arrived,) if abs(step) > 2_000_000_000 else (arrived, None))


def test_what_a_stall_brought_without_a_stamp_has_no_time(clocks: Clocks) -> None:
    """Found after two seconds without a look, it may have come in time or too late."""
    arrivals = engine.Arrivals()
    clocks.now += 2_000_000_000
    arrivals.look()
    assert arrivals.time([]) is None
