"""Whether a guest keeps up with its interval, and what it falls back to: on a clock of the test's own."""

from __future__ import annotations

from itertools import cycle

import pytest

from tests.probes.slow import INTERVAL, MS, Slow
from vrbench.probes import engine, pacing, rehearsal


class Weak(Slow):
    """Every send takes what stands next in ``costs_ms``, again and again."""

    def __init__(self, log: engine.Log, costs_ms: tuple[float, ...], now: int) -> None:
        super().__init__(0, {})
        self.log, self.now, self.takes = log, now, cycle(costs_ms)

    def send(self, stream: int, slot: int) -> None:
        self.log.record(engine.SENT, stream, 0, slot, self.now)
        self.cost = round(next(self.takes) * MS)
        super().send(stream, slot)


def held(monkeypatch: pytest.MonkeyPatch, streams: int, *costs_ms: float, interval_ns: int = INTERVAL) -> int:
    """Return at which multiple of the interval a guest with such sends can probe so many streams."""
    tried: list[Weak] = []

    def now() -> int:
        return tried[-1].now if tried else INTERVAL

    def weak(log: engine.Log) -> Weak:
        tried.append(Weak(log, costs_ms, now()))
        return tried[-1]

    for module in (engine, pacing, rehearsal):
        monkeypatch.setattr(module, "monotonic_ns", now)
    monkeypatch.setattr(rehearsal, "take_priority", lambda: "")
    asked = [{"interval_ns": interval_ns, "phase_ns": 0} for _ in range(streams)]
    return rehearsal.holding(asked, weak)


def test_a_machine_that_keeps_up_sends_as_often_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow sends alone are no reason, as long as they fit."""
    assert held(monkeypatch, 1, 0.1) == 1
    assert held(monkeypatch, 2, 4.0) == 1
    assert held(monkeypatch, 3, 0.0, interval_ns=1000 * MS) == 1


def test_a_machine_that_misses_slots_falls_back_to_an_interval_that_it_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the first multiple that holds: what it then says is whole."""
    assert held(monkeypatch, 1, 16.0) == 2
    assert held(monkeypatch, 4, 10.0) == 10, "at 50 ms the fourth would leave later than half an interval"
    assert held(monkeypatch, 1, 1000.0) == 50, "there is no slower one"


def test_a_hiccup_is_no_weakness(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the slots may be missed: one long send in a hundred is no reason to send less often."""
    assert held(monkeypatch, 1, *[0.1] * 3, 30.0, *[0.1] * 96) == 1
    assert held(monkeypatch, 1, *[0.1] * 3, 30.0) > 1
