"""A path whose round trip is longer than the interval: several probes are under way at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.probes import wire
from tests.probes.box import Box
from tests.probes.rig import HARNESS, ROUTER, Agent, Logged, read_log, stream, wait_for
from tests.probes.servers import start_sshd, stop_server
from vrbench.core.log.rawlog import RecordKind
from vrbench.probes.prober_process import ProberConfig, start_prober

pytestmark = pytest.mark.lab
ONE_WAY_S = 0.03
_FAR = """
ip netns add far; ip netns add wire
ip link add eth0 netns far type veth peer name wa netns wire
ip link add wb netns wire type veth peer name gfar netns router
ip -n wire link set wa up promisc on; ip -n wire link set wb up promisc on
ip -n far link set lo up; ip -n far addr add 10.1.1.50/24 dev eth0; ip -n far link set eth0 up
ip -n far route add default via 10.1.1.1
ip -n router link set gfar master br0 up
ip netns exec router nft add rule ip nat forwards tcp dport 2250 dnat to 10.1.1.50:22
"""


@pytest.fixture(scope="module")
def far(box: Box, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Provide the box with one more guest, ``far``, with an sshd, 30 ms away from its router."""
    box.sh(None, _FAR)
    for node, interface in (("far", "eth0"), ("harness", "h0")):
        box.run(node, sys.executable, wire.__file__, "checksum", interface)
    cable = box.spawn("wire", sys.executable, wire.__file__, "carry", str(ONE_WAY_S), "wa", "wb")
    server = start_sshd(box, "far", tmp_path_factory.mktemp("far"))
    box.run("router", "ping", "-c", "1", "-w", "10", "10.1.1.50")
    yield box
    stop_server(box, "far", server)
    box.kill(cable)


def assert_each_has_its_own_answer(logged: Logged, index: int) -> None:
    assert logged.unanswered(index) == []
    sent = logged.sent_ns(index)
    trips = [r.t_ns - sent[r.slot] for r in logged.records if r.kind is RecordKind.REPLY and r.stream == index]
    assert min(trips) >= 2 * ONE_WAY_S * 1e9


def test_syn_probes_under_way_do_not_disturb_each_other(far: Box, tmp_path: Path) -> None:
    """SYNs every 10 ms over 60 ms: each gets its own answer, through tracking that saw several at once."""
    with far.inside("harness"):
        log, target = tmp_path / "log", f"{ROUTER}:2250"
        prober = start_prober(ProberConfig("syn", "harness", log, (stream(target, "syn", 0.01, "ssh"),)))
    # Longer than one round through the source ports.
    wait_for(lambda: len(read_log(log).slots(RecordKind.REPLY)) > 150, "answers")
    prober.stop()
    assert_each_has_its_own_answer(read_log(log), 0)


def test_echoes_under_way_do_not_disturb_each_other(far: Box, tmp_path: Path) -> None:
    """The same for ICMP from the guest, fresh and persistent."""
    agent = Agent(far, tmp_path, guest="far")
    agent.configure(stream(HARNESS, "persistent"), stream(HARNESS, "fresh"))
    agent.start()
    wait_for(agent.seconds(0.5), "samples")
    logged = agent.stop()
    for index in (0, 1):
        assert_each_has_its_own_answer(logged, index)
