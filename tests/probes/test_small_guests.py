"""Guests without Python: ping stands in for the prober, and what it can't tell exactly widens the bounds."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.probes.box import Box
from tests.probes.cuts import Cut, cut_off
from tests.probes.rig import HARNESS, ROUTER, stream, wait_for
from tests.probes.servers import start_sshd, stop_server
from vrbench.core.figures.windows import Allowance, find_windows
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.samples import NodeLog, read_samples
from vrbench.core.model import Guest, OutageWindow, Outcome
from vrbench.probes.agent_home import AgentHome
from vrbench.probes.guest import GuestAgent
from vrbench.probes.readiness import look
from vrbench.remote.connection import Remote
from vrbench.remote.host_keys import HostKeyPins
from vrbench.remote.identity import Identity
from vrbench.remote.keys import generate_key

pytestmark = pytest.mark.lab
STREAMS = (stream(HARNESS, "persistent", 0.01), stream(HARNESS, "fresh", 0.01))
SEED = 20261124


@pytest.fixture(params=["iputils", "busybox"])
def agent(request: pytest.FixtureRequest, box: Box, tmp_path: Path) -> Iterator[GuestAgent]:
    """Provide an agent for guest0, whose PATH holds BusyBox's commands and, for iputils, that ping."""
    tools = tmp_path / "bin"
    tools.mkdir()
    subprocess.run(["busybox", "--install", "-s", str(tools)], check=True)
    if request.param == "iputils":
        (tools / "ping").unlink()
        (tools / "ping").symlink_to("/usr/bin/ping")
    server = start_sshd(box, "guest0", tmp_path, generate_key(tmp_path / "id"), f"SetEnv PATH={tools}")
    pins = HostKeyPins(tmp_path / "known_hosts")

    def connect() -> Remote:
        return Remote.connect((ROUTER, 2200), Identity("root", tmp_path / "id", pins), timeout_s=2.0)

    with box.inside("harness"):
        home = AgentHome(Guest("vm-1", "id-1", "10.1.1.10", ROUTER, 2200), connect)
        yield GuestAgent(home, tmp_path / "vm-1.raw")
        home.remove()
        home.leave()
    stop_server(box, "guest0", server)


def test_such_a_guest_is_ready(agent: GuestAgent) -> None:
    """Before the trial as well, ping will do."""
    with agent.home.connection() as remote:
        assert look(remote, 5.0).unfit == ""


def judged(agent: GuestAgent) -> NodeLog:
    """Return the log as analysis reads it, times on the harness's clock in seconds."""
    return read_samples(LogFile.read(agent.local_log.read_bytes(), 0), 0.8)


def replies(agent: GuestAgent, index: int) -> int:
    """Return how many probes of a stream have been answered, as far as is known here."""
    if not agent.local_log.exists() or not agent.local_log.stat().st_size:
        return 0
    return sum(s.outcome is Outcome.REPLIED for s in judged(agent).streams[index].samples)


def test_nothing_is_left_behind(agent: GuestAgent) -> None:
    """Even of an agent that was killed: its pings end, its directory goes; its clock and gateway were told right."""
    agent.home.deploy()
    facts, offset = agent.home.facts(), agent.measure_clock()
    assert (facts.python, facts.gateway) == ("", "10.1.1.1")
    assert offset.error_ns >= 5_000_000
    agent.start(STREAMS, max_s=60)
    with agent.home.connection() as remote:
        home = Path(agent.place).parent
        wait_for(lambda: remote.run(f"cat {home}/0.ping").code == 0, "a ping")
        ping = remote.run(f"cat {home}/0.ping").out.decode().strip()
        remote.run(f"kill -9 $(cut -d' ' -f1 {home}/probe.log.pid)")
        assert remote.run(f"kill -0 {ping}").code == 0
        agent.home.remove()
        wait_for(lambda: remote.run(f"kill -0 {ping}").code != 0, "the ping's end")
    assert not home.exists()


@dataclass
class Episode:
    """Outages and windows that overlap, directly or by others."""

    cuts: list[Cut]
    windows: list[OutageWindow]

    def held(self) -> bool:
        """Return whether no length that the outages may have had is outside the windows' bounds."""
        at_least, at_most = sum(w.at_least_s for w in self.windows), sum(w.at_most_s for w in self.windows)
        return at_least <= sum(c.at_most_s for c in self.cuts) and sum(c.at_least_s for c in self.cuts) <= at_most


def episodes(cuts: list[Cut], windows: list[OutageWindow], offset_s: float) -> list[Episode]:
    """Put together what lies within a tenth of a second; ``offset_s`` is the windows' clock minus the cuts'."""
    spans: list[tuple[float, float, Episode]] = [(c.began[0] / 1e9, c.ended[1] / 1e9, Episode([c], [])) for c in cuts]
    for w in windows:
        early = w.start_s - offset_s - (0 if w.blind else w.at_most_s - w.estimate_s)
        spans.append((early, w.start_s - offset_s + w.at_most_s, Episode([], [w])))
    found: list[Episode] = []
    reach = 0.0
    for begun, ended, one in sorted(spans, key=lambda span: span[0]):
        if found and begun < reach + 0.1:
            found[-1].cuts += one.cuts
            found[-1].windows += one.windows
        else:
            found.append(one)
        reach = max(reach, ended)
    return found


@pytest.mark.slow
def test_bounds_hold_real_outages(agent: GuestAgent, gate: Box) -> None:
    """A dozen outages from 0.1 to 2 s at random phases: one window each and the truth within its bounds.

    The seed is fixed, the phases are not.
    """
    agent.home.deploy()
    offset_s = agent.measure_clock().offset_ns / 1e9
    agent.start(STREAMS, max_s=120)
    agent.follow()
    wait_for(lambda: replies(agent, 1) > 3, "answers to both", 20)
    chosen = random.Random(SEED)
    cuts = []
    for seconds in [chosen.uniform(0.1, 0.5) for _ in range(8)] + [chosen.uniform(0.8, 2.0) for _ in range(4)]:
        with cut_off(gate, "add rule ip gate cut meta l4proto icmp drop") as outage:
            time.sleep(seconds)  # the outage itself
        cuts.append(outage)
        end = time.monotonic() + chosen.uniform(0.7, 1.2)
        wait_for(lambda end=end: time.monotonic() >= end, "a time without one")  # type: ignore[misc]
    agent.finish()
    log = judged(agent)
    for found in log.streams:
        windows = list(
            find_windows(found.samples, Allowance(rtt_s=0.001, grain_s=found.grain_s), merge=1, whole=log.ended)
        )
        for episode in episodes(cuts, windows, offset_s):
            unseen = not episode.windows and episode.cuts[0].at_least_s < 2 * found.stream.interval_s
            assert unseen or episode.held(), (found.stream.name, episode)
            assert episode.cuts or all(w.blind for w in episode.windows), f"false: {episode.windows}"
    persistent = find_windows(
        log.streams[0].samples, Allowance(rtt_s=0.001, grain_s=log.streams[0].grain_s), merge=1, whole=log.ended
    )
    assert sum(not w.blind for w in persistent) >= 6, "most are seen as what they are"
