"""Injected outages: what is dropped, and whether the times told hold the outage that packets saw."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from tests.lab.box import BRIEFLY_S, FORWARDED, PATIENCE_S, STATIC, answers, build, in_box, outage, vm, wait_until
from vrbench.lab.packets.namespace_ground import EGRESS_TARGET, NamespaceGround
from vrbench.lab.system.namespaces import inside, run

pytestmark = pytest.mark.lab

_PINGS = (
    ("egress 1", "vm-1-net", EGRESS_TARGET),
    ("egress 2", "vm-2-net", EGRESS_TARGET),
    ("ingress 1", "upstream", FORWARDED),  # answered by the router itself
    ("ingress 2", "upstream", STATIC),  # answered by the VM
)


@pytest.mark.parametrize(
    ("direction", "address", "silent"),
    [
        ("egress", None, {"egress 1", "egress 2"}),
        ("ingress", None, {"ingress 1", "ingress 2"}),
        ("both", None, {"egress 1", "egress 2", "ingress 1", "ingress 2"}),
        ("egress", "10.1.1.12", {"egress 2"}),
        ("ingress", "10.1.1.12", {"ingress 2"}),
        ("both", "10.1.1.12", {"egress 2", "ingress 2"}),
    ],
)
def test_an_outage_silences_its_direction_only(direction: str, address: str | None, silent: set[str]) -> None:
    """Flows opened the other way, and other VMs', go on; afterwards everything does, and no rule is left."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1), vm(2))
        heard: set[str] = set()

        def look() -> None:
            for name, node, target in _PINGS:
                if answers(node, target, BRIEFLY_S if name in silent else PATIENCE_S):
                    heard.add(name)

        outage(zone, direction, address, look)
        assert {name for name, _, _ in _PINGS} - heard == silent
        assert all(answers(node, target) for _, node, target in _PINGS)
        assert "outage" not in run(["nsenter", "--net=/run/netns/r-1-VM", "nft", "list", "tables"])

    in_box(scene)


def test_an_outage_ends_even_when_waiting_for_its_end_fails() -> None:
    """The rule does not outlive whoever asked for it."""

    def interrupted() -> None:
        raise InterruptedError

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1))
        with pytest.raises(InterruptedError):
            outage(zone, "both", None, interrupted)
        assert answers("vm-1-net", EGRESS_TARGET)

    in_box(scene)


def test_the_true_times_hold_what_packets_saw() -> None:
    """Datagrams every millisecond: none sent between start and end arrives, none sent outside is missing."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1))
        with Stream("vm-1-net") as stream:
            assert wait_until(lambda: len(stream.arrived) > 100)
            unanswered = len(stream.sent) + 300
            start, end = outage(zone, "egress", None, lambda: wait_until(lambda: len(stream.sent) > unanswered))
            assert wait_until(lambda: stream.last_arrived > end.monotonic_ns)
        inner = (start.monotonic_ns + start.uncertainty_ns, end.monotonic_ns - end.uncertainty_ns)
        outer = (start.monotonic_ns - start.uncertainty_ns, end.monotonic_ns + end.uncertainty_ns)
        assert inner[1] - inner[0] > (outer[1] - outer[0]) / 2, "the times are known too badly to hold anything"
        assert not [at for at in stream.arrived if inner[0] <= at and stream.sent[at] <= inner[1]]
        missing = stream.sent.keys() - stream.arrived
        assert len(missing) > 100
        assert not [at for at in missing if stream.sent[at] < outer[0] or outer[1] < at]

    in_box(scene)


class Stream:
    """Datagrams from a node to the outside world every millisecond, each known by the moment before it was sent."""

    def __init__(self, node: str) -> None:
        self.sent: dict[int, int] = {}  # and the moment after
        self.arrived: set[int] = set()
        self.last_arrived = 0
        self._stop = threading.Event()
        self._server = inside("upstream", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._server.bind((EGRESS_TARGET, 7))
        self._server.settimeout(0.5)
        self._client = inside(node, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._threads = [threading.Thread(target=act) for act in (self._receive, self._send)]

    def __enter__(self) -> Stream:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        while not self._stop.is_set():
            now = time.monotonic_ns()
            self._client.sendto(str(now).encode(), (EGRESS_TARGET, 7))
            self.sent[now] = time.monotonic_ns()
            time.sleep(0.001)

    def _receive(self) -> None:
        while True:
            try:
                self.last_arrived = int(self._server.recv(64))
                self.arrived.add(self.last_arrived)
            except TimeoutError:
                if self._stop.is_set():
                    return
