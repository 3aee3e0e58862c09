"""The agent over SSH through the router that is cut meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.probes.box import Box
from tests.probes.rig import HARNESS, ROUTER, read_log, stream, wait_for
from tests.probes.servers import start_sshd, stop_server
from vrbench.core.log.rawlog import RecordKind
from vrbench.core.model import Guest
from vrbench.probes.agent_home import AgentHome
from vrbench.probes.config import ProbeError
from vrbench.probes.guest import CLOCK_EXCHANGES, GuestAgent
from vrbench.remote.connection import Remote
from vrbench.remote.host_keys import HostKeyPins
from vrbench.remote.identity import Identity
from vrbench.remote.keys import generate_key

pytestmark = pytest.mark.lab
STREAMS = (stream(HARNESS, "persistent", 0.05), stream(HARNESS, "fresh", 0.05))


@pytest.fixture
def agent(box: Box, tmp_path: Path) -> Iterator[GuestAgent]:
    """Provide a deployed agent in guest0; the test's thread stands in the harness's network."""
    server = start_sshd(box, "guest0", tmp_path, generate_key(tmp_path / "id"))
    pins = HostKeyPins(tmp_path / "known_hosts")

    def connect() -> Remote:
        return Remote.connect((ROUTER, 2200), Identity("root", tmp_path / "id", pins), timeout_s=2.0)

    with box.inside("harness"):
        home = AgentHome(Guest("vm-1", "id-1", "10.1.1.10", ROUTER, 2200), connect)
        home.deploy()
        yield GuestAgent(home, tmp_path / "vm-1.raw")
        home.remove()
        home.leave()
    stop_server(box, "guest0", server)


def size(agent: GuestAgent) -> int:
    return agent.local_log.stat().st_size if agent.local_log.exists() else 0


def test_a_run_is_deployed_followed_collected_and_removed(agent: GuestAgent) -> None:
    """The whole life of an agent; what stands in the guest ends with it."""
    home = Path(agent.home.path)
    assert agent.home.facts().gateway == "10.1.1.1"
    agent.start(STREAMS, max_s=30)
    agent.follow()
    wait_for(lambda: size(agent) > 1000, "samples")
    agent.finish()
    logged = read_log(agent.local_log)
    assert logged.header.node == "vm-1"
    assert logged.records[-1].kind is RecordKind.END
    assert logged.unanswered(0) == logged.unanswered(1) == []
    assert agent.local_log.read_bytes() == Path(agent.place).read_bytes()
    agent.clear()
    assert sorted(path.name for path in home.iterdir()) == ["agent.pyz", "talk.pid"]
    agent.clear()
    agent.home.remove()
    assert not home.exists()
    agent.home.remove()


def test_the_clock_offset_holds_the_truth(agent: GuestAgent) -> None:
    """Guest and harness share this machine's monotonic clock: the offset is 0 within its error."""
    begun = time.monotonic_ns()
    offset = agent.measure_clock()
    took_ns = time.monotonic_ns() - begun
    assert abs(offset.offset_ns) <= offset.error_ns
    assert offset.error_ns <= took_ns / CLOCK_EXCHANGES / 2 + 1, "the fastest exchange is no slower than their mean"


@pytest.mark.parametrize("verdict", ["reject with tcp reset", "drop"])
def test_following_survives_a_cut(agent: GuestAgent, gate: Box, verdict: str) -> None:
    """Whether its connection is reset or starved, the follower resumes at the very byte."""
    agent.start(STREAMS, max_s=60)
    agent.follow()
    wait_for(lambda: size(agent) > 1000, "samples")
    gate.run("router", "nft", f"add rule ip gate cut meta l4proto tcp {verdict}")
    had, end = Path(agent.place).stat().st_size, time.monotonic() + 3.5
    wait_for(lambda: time.monotonic() > end, "the end of the first connection")
    assert size(agent) <= had, "nothing arrives of what was written after the cut"
    gate.run("router", "nft", "flush chain ip gate cut")
    wait_for(lambda: size(agent) > had + 2000, "contact again")
    agent.finish()
    logged = read_log(agent.local_log)
    assert agent.local_log.read_bytes() == Path(agent.place).read_bytes()
    assert logged.unanswered(0) == [], "only TCP was cut: the probes knew nothing of it"
    sent = logged.slots(RecordKind.SENT)
    assert sent == sorted(set(sent)), "none twice, and in order; a busy machine may leave some out"


def test_finishing_waits_for_the_path(agent: GuestAgent, gate: Box) -> None:
    """finish during an outage gives up at its deadline, keeps what arrived, and succeeds when called again later."""
    agent.start(STREAMS, max_s=60)
    agent.follow()
    wait_for(lambda: size(agent) > 1000, "samples")
    gate.run("router", "nft", "add rule ip gate cut drop")
    with pytest.raises(ProbeError, match=r"vm-1.*end early"):
        agent.finish(deadline_s=3.0)
    kept = size(agent)
    assert kept > 1000
    gate.run("router", "nft", "flush chain ip gate cut")
    agent.finish()
    assert read_log(agent.local_log).records[-1].kind is RecordKind.END


def test_an_agent_that_died_is_told_at_once(agent: GuestAgent) -> None:
    """Its log has no end and never will: finish says so without waiting for the deadline, and keeps what there was."""
    agent.start(STREAMS, max_s=60)
    pid = int(Path(f"{agent.place}.pid").read_text().split()[0])
    agent.follow()
    wait_for(lambda: size(agent) > 1000, "samples")
    with agent.home.connection() as remote:
        remote.run(f"kill -9 {pid}")
    began = time.monotonic()
    with pytest.raises(ProbeError, match="the agent died"):
        agent.finish()
    assert time.monotonic() - began < 28, "the deadline is 30 s"
    assert agent.local_log.read_bytes() == Path(agent.place).read_bytes()


def test_an_agent_that_can_not_start_says_why(agent: GuestAgent) -> None:
    """The guest's own words reach the harness, with the guest's name; a log that is there is never written over."""
    (Path(agent.home.path) / "probe-1.log").touch()
    with pytest.raises(ProbeError, match=r"vm-1 can't probe: .*File exists"):
        agent.start(STREAMS, max_s=5)


def test_one_connection_and_one_process_serve_one_trial_after_the_other(box: Box, agent: GuestAgent) -> None:
    """Each trial has a log of its own; what was not cleared stays, whatever came after it."""
    logins = established(box)
    agent.start(STREAMS, max_s=60)
    agent.follow()
    wait_for(lambda: size(agent) > 1000, "samples")
    agent.finish()
    following = GuestAgent(agent.home, agent.local_log.with_name("vm-1-next.raw"))
    following.start(STREAMS, max_s=60)
    following.follow()
    wait_for(lambda: size(following) > 1000, "samples of the next trial")
    following.finish()
    following.clear()
    assert established(box) == logins == 1
    assert agent.local_log.read_bytes() == Path(agent.place).read_bytes()
    assert read_log(following.local_log).header.started_ns > read_log(agent.local_log).records[-1].t_ns


def established(box: Box) -> int:
    """Count the connections to guest0's sshd."""
    return len(box.run("guest0", "ss", "-Htn", "state", "established", "sport", "=", ":22").splitlines())
