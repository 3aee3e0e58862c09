"""A stream that is silent on request: the agent's own clock, and what its log says of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.probes.box import Box
from tests.probes.rig import HARNESS, Agent, Logged, read_log, stream, wait_for
from vrbench.core.log.rawlog import RECORD, Record, RecordKind
from vrbench.probes import silence
from vrbench.probes.engine import Log, Prober

SILENT_S = 0.4


class Idle(Prober):
    """Sends nothing."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def send(self, stream: int, slot: int) -> None:
        """Nothing leaves."""

    def drain(self) -> None:
        """Nothing comes."""

    def settled(self) -> bool:
        return True


@pytest.fixture
def handled() -> Iterator[None]:
    """Put the signal's handler back."""
    handler = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, handler)


def test_what_is_asked_is_left_out_and_noted(tmp_path: Path, handled: None) -> None:
    """By name, from the next slot on, for the time; a name that nobody has asks for nothing."""
    del handled
    log = Log(str(tmp_path / "log"))
    prober = Idle(log)
    silence.Silence(prober, [{"name": "old"}, {"name": "new"}], log)

    def ask(*names: str) -> None:
        silence.ask(log.path, os.getpid(), 35.0, list(names))
        for source in log.sources:
            source(log)

    def left_out(slots: range) -> list[tuple[int, int]]:
        """Return what is left out of slots every 15 s."""
        return [(stream, k) for k in slots for stream in (0, 1) if prober.left_out(stream, k, k * 15_000_000_000)]

    ask("nobody's")
    assert left_out(range(6, 8)) == []
    ask("old")
    assert left_out(range(8, 13)) == [(0, 8), (0, 9), (0, 10)]
    noted = [(kind, stream, slot) for kind, stream, _, slot, _ in RECORD.iter_unpack(log.buffer)]
    assert noted == [(RecordKind.PAUSED, 0, 8), (RecordKind.RESUMED, 0, 11)]


def silences(logged: Logged) -> list[Record]:
    return [r for r in logged.records if r.kind in (RecordKind.PAUSED, RecordKind.RESUMED)]


@pytest.fixture
def agent(box: Box, tmp_path: Path) -> Agent:
    """Provide an agent that probes an old flow and new ones."""
    made = Agent(box, tmp_path)
    made.configure(stream(HARNESS, "persistent"), stream(HARNESS, "fresh"))
    made.start()
    wait_for(made.seconds(0.2), "samples")
    return made


@pytest.mark.lab
def test_a_stream_is_silent_for_as_long_as_asked_and_goes_on(agent: Agent) -> None:
    """It notes the slots that it leaves out, all of them, and nothing of the other stream is left out."""
    assert agent.call("silence", str(agent.config), str(SILENT_S), "icmp-persistent").returncode == 0
    wait_for(lambda: len(silences(read_log(agent.log))) == 2, "the end of the silence")
    wait_for(agent.seconds(0.2), "samples")
    logged = agent.stop()
    paused, resumed = silences(logged)
    assert (paused.kind, resumed.kind) == (RecordKind.PAUSED, RecordKind.RESUMED)
    assert (paused.stream, resumed.stream) == (0, 0)
    sent = logged.sent_ns(0)
    assert not [slot for slot in sent if paused.slot <= slot < resumed.slot]
    assert sent[resumed.slot] - max(t for slot, t in sent.items() if slot < paused.slot) >= SILENT_S * 1e9
    assert max(sent) > resumed.slot
    assert logged.unanswered(0) == logged.unanswered(1) == []
    between = [slot for slot, t in logged.sent_ns(1).items() if paused.t_ns < t < resumed.t_ns]
    assert len(between) > 5, "new flows are probed meanwhile"


@pytest.mark.lab
def test_a_prober_that_has_ended_says_so(agent: Agent) -> None:
    """Then nothing can be proven, and nobody waits for it."""
    agent.stop()
    assert agent.call("silence", str(agent.config), "1", "icmp-persistent").returncode == 1
