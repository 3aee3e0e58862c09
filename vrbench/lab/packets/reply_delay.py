"""Late answers: what a router's packet filter logs is held back for a while and then sent on.

The rule that logs a packet drops it too, so what is logged and what is held back are the same packets. It stands behind
all address translation, so that the copy bears its final addresses; the copy is sent by a raw socket, whose mark keeps
it from being logged again, and past connection tracking, which would take it for a connection of the router's own.

(A queueing discipline that delays is not part of every kernel; the packet filter is needed anyway.)
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType

from vrbench.lab.packets.conntrack import NETLINK_NETFILTER, attribute, each_attribute, each_message, message
from vrbench.lab.system.namespaces import inside

MARK = 0x76726C61
GROUP = 7662
_SO_MARK = 36
_CONFIG = 4 << 8 | 1  # NFNL_SUBSYS_ULOG, NFULNL_MSG_CONFIG
_REQUEST = 0x1
_CFG_CMD, _CFG_MODE, _CFG_QTHRESH = 1, 2, 5
_BIND, _COPY_PACKET = 1, 2
_PAYLOAD = 9
_BUFFER = 1 << 22
_STEP_S = 0.05


class Delayer:
    """Sends on what one node's packet filter logs to ``GROUP``, ``delay_s`` later.

    Leaving the block waits until all that was held back is sent.
    """

    def __init__(self, netns: str, delay_s: float) -> None:
        self._delay_s = delay_s
        self._log = inside(netns, _open_log)
        self._wire = inside(netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
        self._wire.setsockopt(socket.SOL_SOCKET, _SO_MARK, MARK)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="late answers", daemon=True)

    def __enter__(self) -> Delayer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closing.set()
        self._thread.join()
        self._log.close()
        self._wire.close()

    def _work(self) -> None:
        held: deque[tuple[float, bytes]] = deque()
        while held or not self._closing.is_set():
            wait_s = held[0][0] - time.monotonic() if held else _STEP_S
            if select.select([self._log], [], [], max(0.0, min(_STEP_S, wait_s)))[0]:
                due = time.monotonic() + self._delay_s
                held.extend((due, packet) for packet in logged(self._log.recv(65536)))
            while held and held[0][0] <= time.monotonic():
                self._send(held.popleft()[1])

    def _send(self, packet: bytes) -> None:
        try:
            self._wire.sendto(whole(packet), (socket.inet_ntoa(packet[16:20]), 0))
        except OSError as error:
            print(f"a late answer could not be sent: {error}", flush=True)  # its sender may have gone meanwhile


def _open_log() -> socket.socket:
    log = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    log.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    for settings in (
        attribute(_CFG_CMD, struct.pack("B", _BIND)),
        # Whole packets, each told at once: by default a hundred are waited for, or a second.
        attribute(_CFG_MODE, struct.pack(">IBB", 0xFFFF, _COPY_PACKET, 0))
        + attribute(_CFG_QTHRESH, struct.pack(">I", 1)),
    ):
        log.send(message(_CONFIG, _REQUEST, settings, GROUP))
    return log


def logged(datagram: bytes) -> Iterator[bytes]:
    """Yield the IP packets in what the kernel sent."""
    for _, body in each_message(datagram):
        yield from (value for kind, value in each_attribute(body[4:]) if kind == _PAYLOAD)


def whole(packet: bytes) -> bytes:
    """Return the packet with its TCP checksum, which the kernel leaves to hardware that virtual cables lack."""
    header = (packet[0] & 0xF) * 4
    if packet[9] != socket.IPPROTO_TCP:
        return packet
    segment = bytearray(packet[header:])
    segment[16:18] = b"\0\0"
    pseudo = packet[12:20] + struct.pack(">HH", socket.IPPROTO_TCP, len(segment))
    segment[16:18] = struct.pack(">H", _checksum(pseudo + segment))
    return packet[:header] + bytes(segment)


def _checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
