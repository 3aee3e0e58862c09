"""The open loop on a clock of the test's own: when slots are sent, and which are not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.probes.slow import INTERVAL, MS, START, Slow
from vrbench.core.log.rawlog import RecordKind
from vrbench.probes import engine, pacing
from vrbench.probes.auth import Logins
from vrbench.remote.host_keys import HostKeyPins
from vrbench.remote.identity import Identity

Runs = Callable[[Slow, int], Slow]


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Run a prober for some slots of one stream at 10 ms."""

    def run(prober: Slow, slots: int) -> Slow:
        for module in (engine, pacing):
            monkeypatch.setattr(module, "monotonic_ns", lambda: prober.now)
        monkeypatch.setattr(prober.log, "flush", lambda: None)
        prober.log.started_ns = START

        def all_sent() -> bool:
            return prober.now > START + slots * INTERVAL or bool(prober.sent and prober.sent[-1][0] == slots - 1)

        pacing.pace(prober, [(START, INTERVAL)], prober.log, all_sent, lambda: None)
        prober.sent = [(slot, at) for slot, at in prober.sent if slot < slots]  # it asks at its looks
        return prober

    return run


def test_every_slot_is_sent_when_it_is_due(paced: Runs) -> None:
    """Sends that take a tenth of the interval delay none that follows: no drift, no slot missed."""
    prober = paced(Slow(MS // 2, {}), 500)
    assert prober.sent == [(k, k * INTERVAL) for k in range(500)]
    assert {r.kind for r in prober.records} == {RecordKind.WALL}


def test_what_is_too_late_is_not_sent(paced: Runs) -> None:
    """A hold-up of 4.6 intervals costs the slots that it covers; the next has its own time, and no burst comes."""
    prober = paced(Slow(0, {3: 46 * MS}), 12)
    assert prober.sent == [(0, 0), (1, 10 * MS), (2, 20 * MS), (3, 30 * MS), *((k, k * 10 * MS) for k in range(8, 12))]


def test_a_slot_is_sent_late_by_half_an_interval_at_most(paced: Runs) -> None:
    """Late by less it is sent at once, with the time at which it left; the next keeps its own."""
    prober = paced(Slow(0, {3: 44 * MS}), 10)
    assert prober.sent[3:6] == [(3, 30 * MS), (7, 74 * MS), (8, 80 * MS)]


def told(prober: Slow, kind: RecordKind) -> list[tuple[int, int]]:
    """Return the slots and times of what the log says of sends that took long."""
    return [(r.slot, r.t_ns - START) for r in prober.records if r.kind is kind]


@pytest.mark.parametrize("took_ms", [0.9, 1.1, 99, 101])
def test_a_send_that_took_long_is_told_with_the_time_by_which_it_had_left(paced: Runs, took_ms: float) -> None:
    """A slow send is a send time known less exactly, and no gap; but nothing is known of one that stood still."""
    took = round(took_ms * MS)
    prober = paced(Slow(0, {3: took}), 20)
    end = [(3, 30 * MS + took)]
    assert told(prober, RecordKind.SENT_BY) == (end if 1 < took_ms < 100 else [])
    assert told(prober, RecordKind.AMBIGUOUS) == (end if took_ms > 100 else [])


def test_a_machine_on_which_every_send_is_slow_tells_of_every_slot(paced: Runs) -> None:
    """It has no gap for that: each of its probes counts, with a width."""
    prober = paced(Slow(3 * MS, {}), 50)
    assert told(prober, RecordKind.SENT_BY)[:50] == [(k, (10 * k + 3) * MS) for k in range(50)]
    assert told(prober, RecordKind.AMBIGUOUS) == []


def test_a_login_leaves_at_its_time_though_no_thread_gets_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its SYN is on the way, and noted, before the thread starts that does the rest."""
    monkeypatch.setattr(threading.Thread, "start", lambda _: None)
    identity = Identity("root", Path("none"), HostKeyPins(Path("none")))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        log, target = engine.Log(""), f"127.0.0.1:{server.getsockname()[1]}"
        before = engine.monotonic_ns()
        Logins([{"target": target}], log, 800_000_000, identity).send(0, 7)
        after = engine.monotonic_ns()
        [(kind, stream, _, slot, at)] = engine.RECORD.iter_unpack(log.buffer)
        assert (kind, stream, slot) == (engine.SENT, 0, 7)
        assert before <= at <= after
        server.accept()[0].close()
