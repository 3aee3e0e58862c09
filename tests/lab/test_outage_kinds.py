"""Injected outages beyond silence: late answers, missing source NAT (with real connection tracking), beats."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import threading
import time
from contextlib import suppress

import pytest

from tests.lab.box import BRIEFLY_S, PATIENCE_S, STATIC, answers, build, in_box, vm, wait_until
from vrbench.lab.packets.namespace_ground import EGRESS_TARGET, NamespaceGround
from vrbench.lab.packets.outage_injector import Order, OutageInjector
from vrbench.lab.packets.reply_delay import whole
from vrbench.lab.system.namespaces import inside, run

pytestmark = pytest.mark.lab

ROUTERS = ("r-1-VM",)


def ping(node: str, target: str, count: int, interval_s: float, wait_s: float) -> subprocess.Popen[str]:
    """Ping as one flow: with a single ICMP id."""
    command = ["ping", "-n", "-D", "-c", str(count), "-i", str(interval_s), "-W", str(wait_s), target]
    return inside(node, lambda: subprocess.Popen(command, stdout=subprocess.PIPE, text=True))


def times_ms(output: str) -> list[float]:
    """Round trips of the answers, in milliseconds."""
    return [float(m) for m in re.findall(r"time=([\d.]+) ms", output)]


ECHO_REPLY, ECHO_REQUEST = 0, 8
WITHOUT_NAT = 2  # of the waits: flows are marked and a little longer, no NAT, NAT until half the hold is over, the rest


class Flow:
    """One flow of echo requests to the outside world, each known by the moment before it was sent."""

    def __init__(self, node: str) -> None:
        self.sent: dict[int, int] = {}  # and the moment after
        self.heard: set[int] = set()
        self._stop = threading.Event()
        self._wire = inside(node, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
        self._wire.connect((EGRESS_TARGET, 0))
        self._wire.settimeout(0.2)
        self._threads = [threading.Thread(target=act) for act in (self._hear, self._send)]

    def __enter__(self) -> Flow:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._wire.close()

    def _send(self) -> None:
        while not self._stop.wait(0.01):
            now = time.monotonic_ns()
            self._wire.send(echo_request(now))
            self.sent[now] = time.monotonic_ns()

    def _hear(self) -> None:
        while not self._stop.is_set():
            with suppress(TimeoutError):
                message = self._wire.recv(256)[20:]
                if message[0] == ECHO_REPLY and len(message) == len(echo_request(0)):
                    self.heard.add(int.from_bytes(message[8:], "big"))


def echo_request(said: int) -> bytes:
    body = said.to_bytes(8, "big")
    words = struct.unpack("!8H", bytes((ECHO_REQUEST, 0, 0, 0, 0x76, 0x62, 0, 1)) + body)
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return struct.pack("!BBHHH", ECHO_REQUEST, 0, checksum, 0x7662, 1) + body


def slept(seconds: float) -> bool:
    time.sleep(seconds)
    return True


def tables() -> str:
    return run(["nsenter", "--net=/run/netns/r-1-VM", "nft", "list", "tables"])


@pytest.mark.parametrize(
    ("direction", "node", "target", "other"),
    [
        ("egress", "vm-2-net", EGRESS_TARGET, ("upstream", STATIC)),
        ("ingress", "upstream", STATIC, ("vm-2-net", EGRESS_TARGET)),
    ],
)
@pytest.mark.parametrize("address", [None, "10.1.1.12"])
def test_late_answers_come_whole_and_late(
    direction: str, node: str, target: str, other: tuple[str, str], address: str | None
) -> None:
    """Every answer of the direction comes, by so much later; the other direction's come at once; nothing is left."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1), vm(2))
        seen: list[float] = []

        def wait(_seconds: float) -> bool:
            process = ping(node, target, 5, 0.05, 30)
            assert answers(*other)
            seen.extend(times_ms(process.communicate(timeout=60)[0]))
            return True

        OutageInjector().inject(Order(ROUTERS, direction, address, "late", (0.1,), delay_s=0.5), wait)
        assert len(seen) == 5
        assert 500 <= min(seen) < 1500, seen  # late by that, and by more only where this machine stood still
        assert answers(node, target)
        assert "outage" not in tables()

    in_box(scene)


def test_late_answers_keep_their_checksum() -> None:
    """A login over a path whose answers are late: TCP takes what was held back."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1), vm(2))
        said: list[str] = []

        def wait(_seconds: float) -> bool:
            command = ["timeout", "60", "bash", "-c", f"exec 3<>/dev/tcp/{STATIC}/22; head -c 7 <&3"]
            done = inside("upstream", lambda: subprocess.run(command, capture_output=True, text=True, check=False))
            said.append(done.stdout)
            return True

        began = time.monotonic()
        OutageInjector().inject(Order(ROUTERS, "ingress", None, "late", (0.1,), delay_s=0.3), wait)
        assert said == ["SSH-2.0"]
        assert time.monotonic() - began > 0.6  # the handshake's answer and the banner

    in_box(scene)


def test_a_flow_that_goes_on_without_nat_stays_dead() -> None:
    """New flows work as soon as source NAT is back; the old one stays bound until connection tracking forgets it."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1))
        steps: list[str] = []

        def wait(_seconds: float) -> bool:
            """See whether a new flow is up, and give the old one time to be seen."""
            patience_s = BRIEFLY_S if len(steps) == WITHOUT_NAT else PATIENCE_S
            up = answers("vm-1-net", EGRESS_TARGET, patience_s)
            steps.append(f"{len(steps)} new flow {'up' if up else 'down'}")
            sent = len(old.sent)
            return wait_until(lambda: len(old.sent) > sent + 10)

        with Flow("vm-1-net") as old:
            assert wait_until(lambda: len(old.heard) > 3)
            done = OutageInjector().inject(Order(ROUTERS, "egress", None, "no-nat", (0.1,), held_s=0.1), wait)
            assert done.bound is not None
            start, freed = done.bound
            late = freed.monotonic_ns + freed.uncertainty_ns
            assert wait_until(lambda: any(at > late for at in old.heard))
        assert steps == [f"{n} new flow {'down' if n == WITHOUT_NAT else 'up'}" for n in range(5)]
        lost = [at for at in old.sent if at > start.monotonic_ns + start.uncertainty_ns and old.sent[at] < late]
        assert len(lost) > 30
        assert not set(lost) & old.heard
        assert "snat to" in run(["nsenter", "--net=/run/netns/r-1-VM", "nft", "list", "ruleset"])
        assert "outage" not in tables()

    in_box(scene)


def test_beats_go_down_and_up() -> None:
    """Three times down within one order: each has its own start and end, about as long as asked."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1))
        beats = (0.02, 0.03, 0.004, 0.03, 0.02)
        done = OutageInjector().inject(Order(ROUTERS, "both", None, "silence", beats), slept)
        lengths = [(end.monotonic_ns - start.monotonic_ns) / 1e9 for start, end in done.pieces]
        assert len(lengths) == 3
        assert all(asked <= true < asked + 0.05 for asked, true in zip(beats[::2], lengths, strict=True))
        assert done.pieces[0][1].monotonic_ns < done.pieces[1][0].monotonic_ns

    in_box(scene)


def test_nothing_more_is_injected_when_the_asker_has_gone() -> None:
    """The beat that is going on ends, and no further one begins; source NAT comes back, too."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1))

        def gone(_seconds: float) -> bool:
            return False

        assert len(OutageInjector().inject(Order(ROUTERS, "both", None, "silence", (1.0, 1.0, 1.0)), gone).pieces) == 1
        OutageInjector().inject(Order(ROUTERS, "egress", None, "no-nat", (1.0,), held_s=1.0), gone)
        assert answers("vm-1-net", EGRESS_TARGET)

    in_box(scene)


@pytest.mark.parametrize("length", [20, 21])
def test_the_checksum_of_a_segment_is_right(length: int) -> None:
    """One's complement over pseudo header and segment is all ones, for even and odd lengths; other packets stay."""
    body = bytes(range(length)) + b"\x05"
    packet = bytes([0x45, *bytes(8), 6, 0, 0, 10, 1, 1, 11, 198, 51, 100, 1]) + body
    made = whole(packet)
    assert made[:36] + made[38:] == packet[:36] + packet[38:]
    summed = made[12:20] + bytes([0, 6, 0, len(body)]) + made[20:] + bytes(len(body) % 2)
    total = sum(int.from_bytes(summed[n : n + 2], "big") for n in range(0, len(summed), 2))
    assert total % 0xFFFF == 0
    other = packet[:9] + b"\x01" + packet[10:]
    assert whole(other) == other
