"""A stream that is silent on request: the agent's own clock, and what its log says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.probes.box import Box
from tests.probes.rig import HARNESS, Agent, Logged, read_log, stream, wait_for
from vrbench.core.log.rawlog import Record, RecordKind

pytestmark = pytest.mark.lab
SILENT_S = 0.4


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


def test_a_prober_that_has_ended_says_so(agent: Agent) -> None:
    """Then nothing can be proven, and nobody waits for it."""
    agent.stop()
    assert agent.call("silence", str(agent.config), "1", "icmp-persistent").returncode == 1
