"""The instrument watches itself: stopped or starved it sees gaps, never an outage and never a path that was up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.probes.box import Box, routed_box
from tests.probes.cuts import Cut
from tests.probes.rig import ROUTER, read_log, stream, wait_for
from tests.probes.servers import stop_server
from tests.probes.trials import Trial, check_truth, measured, stopped, tally
from vrbench.core.caveats import CaveatKind
from vrbench.core.figures.results import StreamResult, TrialResult
from vrbench.core.log.rawlog import RecordKind
from vrbench.core.model import Outcome, Verdict
from vrbench.probes.prober_process import ProberConfig, start_prober

pytestmark = pytest.mark.lab
STOP_S = 1.5  # longer than the threshold and than the second after which the kernel repeats a SYN


@pytest.fixture(scope="module")
def box(_lab_machine: None) -> Iterator[Box]:
    made = routed_box(guests=2)
    yield made
    made.close()


def of_nodes(result: TrialResult, harness: bool) -> list[StreamResult]:
    """Return the node's streams that are probed often enough to be blind within a second."""
    found = [s for s in result.streams if (s.node == "harness") is harness and s.stream.interval_s <= 0.1]
    assert found
    return found


def kinds(result: TrialResult) -> set[CaveatKind]:
    return {c.kind for c in result.caveats}


@pytest.mark.parametrize("who", ["harness", "guests"])
def test_stopped_probers_see_neither_up_nor_down(under_way: Trial, who: str) -> None:
    """SIGSTOP for 1.5 s: their streams are blind for that long, the others see a path that was up all the time."""
    with stopped(under_way.harness_pids() if who == "harness" else under_way.agent_pids()):
        under_way.spend(STOP_S)
    under_way.spend(0.5)
    result = under_way.end()
    assert [w for s in result.streams for w in s.outages] == []
    assert CaveatKind.SLOTS_SKIPPED in kinds(result)
    for s in of_nodes(result, harness=who == "harness"):
        assert max((w.at_most_s for w in s.windows), default=0) >= STOP_S, (s.stream.name, s.windows)
        assert s.downtime.at_least_s == s.downtime.estimate_s == 0
        assert tally(s, Outcome.SKIPPED) >= 0.9 * STOP_S / s.stream.interval_s
    for s in of_nodes(result, harness=who != "harness"):
        assert tally(s, Outcome.REPLIED) >= 0.8 * len(s.samples)


@pytest.mark.parametrize(("who", "direction"), [("harness", "ingress"), ("guests", "egress")])
def test_an_outage_that_one_side_slept_through_is_no_outage_of_zero(under_way: Trial, who: str, direction: str) -> None:
    """Its probers stood still all the while, the others saw it: nobody can say how long it was down for this side."""
    with stopped(under_way.harness_pids() if who == "harness" else under_way.agent_pids()):
        under_way.spend(0.3)
        with under_way.cut():
            under_way.spend(0.4)
        under_way.spend(0.3)
    under_way.spend(0.5)
    result = under_way.end()
    check_truth(result, under_way.cuts)
    assert [s.stream.direction.value for s in measured(result) if s.outages]
    assert [s.stream.name for s in measured(result) if s.outages and s.stream.direction.value == direction] == []
    (unseen,) = [c for c in result.caveats if c.kind is CaveatKind.UNSEEN]
    assert unseen.detail.startswith(direction)
    assert not result.averaged
    # In this box guests reach each other through the router: with them looking, that is a control which was down.
    assert result.verdict is (Verdict.UNKNOWN if who == "guests" else Verdict.INVALID)


# (when the outage begins and ends, when the probers are stopped and go on), seconds
SCENES = ((0.5, 1.2, 0.2, 1.7), (0.6, 1.6, 0.2, 1.2), (0.2, 1.2, 0.7, 1.8), (0.2, 2.2, 0.6, 1.7))


def play(under_way: Trial, scene: tuple[float, float, float, float]) -> Cut:
    """Cut and mend the path, stop all probers and let them go on, at the moments of the scene."""
    cut, stop = ExitStack(), ExitStack()
    pids = under_way.harness_pids() + under_way.agent_pids()
    steps = {
        scene[0]: lambda: cut.enter_context(under_way.cut()),
        scene[1]: cut.close,
        scene[2]: lambda: stop.enter_context(stopped(pids)),
        scene[3]: stop.close,
    }
    done = 0.0
    for at, step in sorted(steps.items()):
        under_way.spend(at - done)
        step()
        done = at
    return under_way.cuts[-1]


def test_an_outage_that_nobody_looked_at_stays_within_its_bounds(under_way: Trial) -> None:
    """A stop of all probers within an outage, around it, over its begin or its end: the bounds hold the true length."""
    for scene in SCENES:
        play(under_way, scene)
        under_way.spend(1.2)
    result = under_way.end()
    check_truth(result, under_way.cuts)
    for s in measured(result):
        unseen = tally(s, Outcome.SKIPPED) * s.stream.interval_s
        assert unseen >= 0.8 * sum(go_on - stop for _, _, stop, go_on in SCENES), (s.stream.name, unseen)


_HOG = "end = __import__('time').monotonic() + 3.0\nwhile __import__('time').monotonic() < end: pass"
# Of what has a processor for 30 ms of every 40, nothing of an ordinary priority is on time at 10 ms. (Ordinary hogs
# starve nobody for sure: where sessions share a processor as groups, a prober gets as much as all the hogs together.)
_STARVING = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
end = time.monotonic() + 3.0
while time.monotonic() < end:
    until = time.monotonic() + 0.03
    while time.monotonic() < until:
        pass
    time.sleep(0.01)
"""


def hogs(starving: bool) -> list[subprocess.Popen[bytes]]:
    """Start two ordinary hogs per processor, for 3 s; or one on each that nothing ordinary gets past."""
    processors = sorted(os.sched_getaffinity(0))
    if starving:
        return [subprocess.Popen([sys.executable, "-c", _STARVING, str(number)]) for number in processors]
    return [subprocess.Popen([sys.executable, "-c", _HOG]) for _ in 2 * processors]


@pytest.mark.parametrize("starving", [False, True], ids=["round-robin", "starved"])
def test_cpu_hogs_make_no_outage(under_way: Trial, starving: bool) -> None:
    """Probes leave late or not at all, no window is false, and the shares on time say so."""
    if starving:
        for thread in (
            int(task.name)
            for pid in under_way.harness_pids() + under_way.agent_pids()
            for task in Path(f"/proc/{pid}/task").iterdir()
        ):
            os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
    running = hogs(starving)
    under_way.spend(1.5)
    with under_way.cut():
        under_way.spend(0.5)
    for hog in running:
        assert hog.wait() == 0
    under_way.spend(0.5)
    result = under_way.end()
    # Starved with the probers, a guest's sshd is down for longer than the network: then banners must hide nothing.
    banners = [s for s in measured(result) if s.stream.flow == "banner"] if starving else []
    check_truth(result, under_way.cuts, [s for s in measured(result) if s not in banners])
    assert bool(banners) is starving
    assert all(s.downtime.at_most_s >= under_way.cuts[0].at_least_s for s in banners)
    shares = (result.punctual_harness, result.punctual_guests)
    assert all(0 < share <= 1 for share in shares)
    if starving:
        assert min(shares) < 0.9, "nobody was starved: the test is too weak for this machine"
        assert CaveatKind.SLOTS_SKIPPED in kinds(result)


_SLOW_SSHD = """
import socket, sys, threading
def greet(connection):
    threading.Event().wait(0.3)
    connection.sendall(b"SSH-2.0-slow\\r\\n")
server = socket.create_server(("0.0.0.0", 22), backlog=128)
while True:
    threading.Thread(target=greet, args=server.accept()[:1], daemon=True).start()
"""


@pytest.mark.usefixtures("_lab_machine")
def test_connections_that_were_open_during_a_stop_prove_nothing(tmp_path: Path) -> None:
    """Banners that came while the prober was stopped are found later than the threshold, and are no losses."""
    box = routed_box(guests=1)
    server = box.spawn("guest0", sys.executable, "-c", _SLOW_SSHD)
    wait_for(lambda: ":22 " in box.run("guest0", "ss", "-Hltn"), "the slow server")
    with box.inside("harness"):
        streams = (stream(f"{ROUTER}:2200", "banner", 0.05, "ssh"),)
        prober = start_prober(ProberConfig("banner", "harness", tmp_path / "log", streams))
    wait_for(lambda: len(read_log(tmp_path / "log").slots(RecordKind.REPLY)) > 3, "answers")
    with stopped([prober.pid]):
        time.sleep(STOP_S)  # the very thing under test, not a wait for a result
    wait_for(lambda: read_log(tmp_path / "log").records[-1].kind is RecordKind.REPLY, "answers again")
    prober.stop()
    stop_server(box, "guest0", server)
    box.close()
    logged = read_log(tmp_path / "log")
    unsure = logged.slots(RecordKind.AMBIGUOUS)
    assert len(unsure) >= 4, "about six were waiting for their banner"
    threshold_ns = 800_000_000
    sent, replied = logged.sent_ns(), {r.slot: r.t_ns for r in logged.records if r.kind is RecordKind.REPLY}
    late = [slot for slot, at in sent.items() if slot not in unsure and replied.get(slot, 1 << 62) - at > threshold_ns]
    assert late == []
