"""A delay line in the data path: loses, delays, reorders and repeats packets by a schedule, and notes what it did.

It stands between each of a router's two cables and the switch that the cable was for, in the lab's outer namespace, and
carries every frame across by packet sockets (offloads travel along in their virtio headers). Only IPv4 is ever touched.

As a process (CABLE_OF_GUESTS CABLE_OUTSIDE LOG) it lays itself in and says ``ready``. A line of
JSON on standard input is the schedule; at its end of file it takes itself out again, and says in JSON how well it kept
time. The log has one record for every frame that tells of a probe, when it came and again when it was sent on: what
comes in and never goes out was lost here or beyond.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
ALL_PROTOCOLS = 0x0003
VNET_HDR = 10
LARGEST = 65_536 + 64
SIDES, WAYS = ("guest", "public"), ("in", "out")  # in: towards the router
RECORD = struct.Struct("<QBBBxII8sIIQ")  # time, stage, place, word; source, target, token or zeros, two numbers, slot
ARRIVED, SENT_ON = 0, 1
ECHO, ECHO_REPLY, SYN, SYN_ACK, RST, BANNER, HELLO, UNREACHABLE, ACK = range(1, 10)
RAW_PORTS = (10_000, 32_001)  # where half-open connections come from; the kernel's own are above
ECHOES = {8: ECHO, 0: ECHO_REPLY}


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens on one ``side`` and ``way`` from ``start_ns`` to ``end_ns``; shares are 0..1, times seconds.

    ``loss`` and ``delay_s`` are ramps through evenly spread values. A frame that is not lost waits for the delay, and
    up to ``jitter_s`` more; ``odd_share`` of all wait for ``odd_s`` instead; ``twice`` of all go out twice. ``hold``:
    all wait until the end. ``ordered``: none overtakes another.
    """

    start_ns: int
    end_ns: int
    side: str
    way: str
    loss: tuple[float, ...] = (0.0,)
    delay_s: tuple[float, ...] = (0.0,)
    jitter_s: float = 0.0
    ordered: bool = False
    odd_share: float = 0.0
    odd_s: float = 0.0
    twice: float = 0.0
    hold: bool = False

    def at(self, now_ns: int, ramp: tuple[float, ...]) -> float:
        """Return where a ramp is now."""
        if len(ramp) == 1:
            return ramp[0]
        place = (now_ns - self.start_ns) / (self.end_ns - self.start_ns) * (len(ramp) - 1)
        i = min(len(ramp) - 2, max(0, int(place)))
        return ramp[i] + (ramp[i + 1] - ramp[i]) * (place - i)


@dataclass(slots=True)
class Lane:
    """One way through one side: where frames come from and go to, and what is to happen to them."""

    place: int
    source: socket.socket
    target: socket.socket
    faults: list[Fault] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    newest_ns: int = 0  # when the last frame that keeps its order is due
    lost: int = 0

    def take(self, faults: list[Fault]) -> None:
        """Take the faults of this lane from a schedule."""
        side, way = SIDES[self.place // 2], WAYS[self.place % 2]
        self.faults = sorted((f for f in faults if (f.side, f.way) == (side, way)), key=lambda f: f.start_ns)
        self.starts = [f.start_ns for f in self.faults]

    def fault(self, now_ns: int, frame: bytes) -> Fault | None:
        """Return what is wrong now, if it concerns this frame."""
        i = bisect_right(self.starts, now_ns) - 1
        if i < 0 or now_ns >= self.faults[i].end_ns or frame[22:24] != b"\x08\x00":
            return None
        return self.faults[i]

    def due(self, now_ns: int, frame: bytes) -> list[int]:
        """Decide when copies of a frame are to be sent on: none when it is lost."""
        fault, draw = self.fault(now_ns, frame), random.random
        if fault is None:
            return [now_ns]
        if draw() < fault.at(now_ns, fault.loss):
            self.lost += 1
            return []
        wait_s = fault.at(now_ns, fault.delay_s) + fault.jitter_s * draw()
        if fault.odd_share and draw() < fault.odd_share:
            wait_s = fault.odd_s
        due = fault.end_ns if fault.hold else now_ns + int(wait_s * 1e9)
        if fault.ordered:
            due = self.newest_ns = max(due, self.newest_ns)
        return [due, due] if fault.twice and draw() < fault.twice else [due]


def word(frame: bytes) -> tuple[int, int, int, bytes, int, int, int] | None:
    """Return what a frame (behind its virtio header) tells of a probe: word, addresses, token, two numbers, slot."""
    if frame[22:24] != b"\x08\x00" or len(frame) < 44:
        return None
    at = 24 + (frame[24] & 15) * 4
    source, target = struct.unpack_from(">II", frame, 36)
    if frame[33] == 1 and len(frame) >= at + 8:
        return _icmp(frame, at, source, target)
    if frame[33] == 6 and len(frame) >= at + 20:
        return _tcp(frame, at, source, target)
    return None


def _icmp(frame: bytes, at: int, source: int, target: int) -> tuple[int, int, int, bytes, int, int, int] | None:
    kind = ECHOES.get(frame[at])
    if kind and len(frame) >= at + 28:
        token, stream, slot = struct.unpack_from(">8sIQ", frame, at + 8)
        return kind, source, target, token, stream, struct.unpack_from(">H", frame, at + 4)[0], slot
    if frame[at] == 3 and len(frame) >= at + 36:
        inner = at + 8 + (frame[at + 8] & 15) * 4
        asked = struct.unpack_from(">I", frame, at + 24)[0]
        first, second = struct.unpack_from(">II", frame, inner)
        return UNREACHABLE, asked, target, bytes([frame[at + 17]] * 8), first, second, frame[at + 1]
    return None


def _tcp(frame: bytes, at: int, source: int, target: int) -> tuple[int, int, int, bytes, int, int, int] | None:
    ports, sequence, acknowledged = struct.unpack_from(">III", frame, at)
    flags, data = frame[at + 13], frame[at + (frame[at + 12] >> 4) * 4 :]
    if flags & 0x12 == 0x02:
        return SYN, source, target, b"", ports, sequence, 0
    if flags & 0x12 == 0x12:
        return SYN_ACK, source, target, b"", ports, (acknowledged - 1) & 0xFFFFFFFF, 0
    if flags & 0x04:
        return RST, source, target, b"", ports, (acknowledged - 1) & 0xFFFFFFFF if flags & 0x10 else sequence, 0
    if data[:4] == b"SSH-":
        return (BANNER if ports >> 16 == 22 else HELLO), source, target, b"", ports, acknowledged, 0
    if flags & 0x17 == 0x10 and RAW_PORTS[0] <= ports & 0xFFFF < RAW_PORTS[1]:
        return ACK, source, target, b"", ports, acknowledged, 0
    return None


def _fault(row: dict[str, Any]) -> Fault:
    """Read a fault of a schedule; ramps are lists there."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return Fault(**values)


class Line:
    """All four lanes, the frames that wait, and the log."""

    def __init__(self, lanes: list[Lane], log: Path) -> None:
        self.lanes, self.path = lanes, log
        self.by_fd = {lane.source.fileno(): lane for lane in lanes}
        self.waiting: list[tuple[int, int, Lane, bytes]] = []
        self.count = self.refused = 0
        self.late_ns = self.stall_ns = 0  # the latest frame, and the longest time without a look
        self.log = bytearray()

    def run(self, commands: int) -> None:
        """Carry frames until standard input ends."""
        looked = time.monotonic_ns()
        while True:
            now = time.monotonic_ns()
            wait_s = min(0.2, max(0.0, (self.waiting[0][0] - now) / 1e9)) if self.waiting else 0.2
            ready, _, _ = select.select([commands, *self.by_fd], [], [], wait_s)
            woken = time.monotonic_ns()
            self.stall_ns = max(self.stall_ns, woken - max(looked, now + int(wait_s * 1e9)))
            for each in ready:
                if each == commands:
                    if not self._command(commands):
                        return
                else:
                    self._carry(self.by_fd[each])
            self._send_due()
            looked = time.monotonic_ns()

    def _command(self, commands: int) -> bool:
        line = b""
        while not line.endswith(b"\n"):
            more = os.read(commands, 1 << 20)
            if not more:
                return False
            line += more
        faults = [_fault(row) for row in json.loads(line)]
        for lane in self.lanes:
            lane.take(faults)
        return True

    def _carry(self, lane: Lane) -> None:
        while True:
            try:
                frame = lane.source.recv(LARGEST)
            except BlockingIOError:
                return
            except OSError:  # the cable is gone: the network was removed
                self.by_fd.pop(lane.source.fileno(), None)
                return
            now = time.monotonic_ns()
            self._note(now, ARRIVED, lane, frame)
            for due in lane.due(now, frame):
                if due <= now:
                    self._send(lane, frame)
                else:
                    self.count += 1
                    heapq.heappush(self.waiting, (due, self.count, lane, frame))

    def _send_due(self) -> None:
        while self.waiting and self.waiting[0][0] <= (now := time.monotonic_ns()):
            due, _, lane, frame = heapq.heappop(self.waiting)
            self.late_ns = max(self.late_ns, now - due)
            self._send(lane, frame)

    def _send(self, lane: Lane, frame: bytes) -> None:
        try:
            lane.target.send(frame)
        except OSError:  # a queue was full, or the cable is gone: lost, and the log shows it
            self.refused += 1
            return
        self._note(time.monotonic_ns(), SENT_ON, lane, frame)

    def _note(self, now: int, stage: int, lane: Lane, frame: bytes) -> None:
        told = word(frame)
        if told is not None:
            what, source, target, token, first, second, slot = told
            self.log += RECORD.pack(now, stage, lane.place, what, source, target, token, first, second, slot)

    def finish(self) -> dict[str, Any]:
        """Write the log; return how well the line kept time."""
        self.path.write_bytes(self.log)
        lost = {f"{SIDES[lane.place // 2]} {WAYS[lane.place % 2]}": lane.lost for lane in self.lanes}
        return {"late_ms": self.late_ns / 1e6, "stall_ms": self.stall_ns / 1e6, "refused": self.refused, "lost": lost}


def packet_socket(interface: str) -> socket.socket:
    """Open a socket that hears all that comes in by an interface, and sends by it."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    opened.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    opened.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    opened.bind((interface, ALL_PROTOCOLS))
    opened.setblocking(False)
    return opened


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def laid_in(cable: str, number: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Put a cable of our own between a router's and its switch; yield sockets towards the router and the switch."""
    switch = json.loads(ip("-json", "link", "show", cable))[0]["master"]
    near, far = f"line{number}a", f"line{number}b"
    ip("link", "add", near, "type", "veth", "peer", "name", far)
    try:
        for name in (near, far):
            ip("link", "set", name, "up")
        ends = packet_socket(cable), packet_socket(near)
        ip("link", "set", cable, "nomaster")
        ip("link", "set", far, "master", switch)
        yield ends
    finally:
        ip("link", "del", near)
        with contextlib.suppress(subprocess.CalledProcessError):  # the router may be gone by now
            ip("link", "set", cable, "master", switch)


def main() -> int:
    guests, public, log = sys.argv[1:]
    with laid_in(guests, 0) as inner, laid_in(public, 1) as outer:
        lanes = []
        for side, (router, switch) in enumerate((inner, outer)):
            lanes += [Lane(2 * side, switch, router), Lane(2 * side + 1, router, switch)]
        line = Line(lanes, Path(log))
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        print("ready", flush=True)
        gc.freeze()
        gc.disable()
        line.run(sys.stdin.fileno())
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    print(json.dumps(line.finish()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
