"""Guests whose sends are slow: what they say is less exact, not less; and what they can't do they say before."""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.probes.box import Box
from tests.probes.cuts import cut_off
from tests.probes.rig import HARNESS, Agent, stream, wait_for
from vrbench.core.figures.windows import Allowance, find_windows
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.samples import read_samples
from vrbench.core.model import Outcome
from vrbench.probes.prober_process import how_probed

pytestmark = pytest.mark.lab

# Runs the agent on a machine whose sends take so long; the packet leaves in the middle.
_SLOW = """
import runpy, socket, sys, time

quick, half = socket.socket.sendto, float(sys.argv[1]) / 2

def slow(self, *arguments):
    time.sleep(half)
    sent = quick(self, *arguments)
    time.sleep(half)
    return sent

socket.socket.sendto = slow
del sys.argv[:2]  # what is left is the agent and its arguments
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def weak(box: Box, home: Path, send_s: float) -> Agent:
    """Return an agent whose sends take so long."""
    (home / "slow.py").write_text(_SLOW)
    return Agent(box, home, run_by=(sys.executable, str(home / "slow.py"), str(send_s)))


def test_slow_sends_are_samples_with_a_width(gate: Box, tmp_path: Path) -> None:
    """Every answered probe counts, and the windows' bounds hold the outage."""
    agent = weak(gate, tmp_path, 0.004)
    agent.configure(stream(HARNESS, "persistent", 0.05), stream(HARNESS, "fresh", 0.05))
    agent.start()
    wait_for(agent.seconds(0.5), "samples")
    with cut_off(gate) as outage:
        time.sleep(0.6)  # the outage itself
    wait_for(agent.seconds(0.5), "samples")
    agent.stop()
    for judged in read_samples(LogFile.read(agent.log.read_bytes(), 0), 0.3).streams:
        samples = judged.samples
        assert samples.tally(Outcome.UNKNOWN) <= 0.1 * len(samples), "slow is not unknown"
        assert min(samples.width_ns[samples.where(Outcome.REPLIED)]) >= 2_000_000
        windows = find_windows(samples, Allowance(rtt_s=0.001), merge=1, whole=True)
        assert sum(w.at_least_s for w in windows) <= outage.at_most_s
        assert outage.at_least_s <= sum(w.at_most_s for w in windows)
        assert any(not w.blind for w in windows)


def test_a_guest_that_cannot_keep_up_states_a_slower_interval(box: Box, tmp_path: Path) -> None:
    """It finds that out before it probes, and then keeps its slots, instead of leaving out every other one."""
    agent = weak(box, tmp_path, 0.012)
    agent.configure(stream(HARNESS, "fresh"))
    agent.start()
    wait_for(agent.seconds(0.5), "samples")
    logged = agent.stop()
    every_ms = logged.header.streams[0].interval_ns // 1_000_000
    assert every_ms >= 20
    assert how_probed(agent.log) == (
        f"guest0 can't send every 10 ms: it sends every {every_ms} ms, and its bounds are wider",
    )
    steps = [after - before for before, after in pairwise(sorted(logged.sent_ns()))]
    assert steps.count(1) > 0.8 * len(steps), "it leaves out no more than any busy machine"
