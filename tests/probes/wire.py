"""A long cable between two interfaces, for a kernel without netem; and checksums by software, which it needs.

Run inside a namespace: ``wire.py carry SECONDS A B`` or ``wire.py checksum INTERFACE...``.
"""

from __future__ import annotations

import array
import fcntl
import heapq
import select
import socket
import struct
import sys
import time

ETH_P_ALL, PACKET_OUTGOING, SIOCETHTOOL, ETHTOOL_STXCSUM = 3, 4, 0x8946, 0x17


def carry(delay_s: float, names: list[str]) -> None:
    """Copy every frame from one interface to the other, ``delay_s`` later, for ever."""
    ends = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) for _ in names]
    for end, name in zip(ends, names, strict=True):
        end.bind((name, 0))
    queue: list[tuple[float, int, bytes, int]] = []
    count = 0
    while True:
        pause = max(0.0, queue[0][0] - time.monotonic()) if queue else 1.0
        for end in select.select(ends, [], [], pause)[0]:
            frame, address = end.recvfrom(4096)
            if address[2] != PACKET_OUTGOING:
                count += 1
                heapq.heappush(queue, (time.monotonic() + delay_s, count, frame, 1 - ends.index(end)))
        while queue and queue[0][0] <= time.monotonic():
            _, _, frame, to = heapq.heappop(queue)
            ends[to].send(frame)


def checksum_by_software(names: list[str]) -> None:
    """Let the kernel finish checksums before a frame leaves: a raw copy of an unfinished one is dropped."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for name in names:
            value = array.array("B", struct.pack("II", ETHTOOL_STXCSUM, 0))
            fcntl.ioctl(sock, SIOCETHTOOL, struct.pack("16sP8x", name.encode(), value.buffer_info()[0]))


if __name__ == "__main__":
    if sys.argv[1] == "carry":
        carry(float(sys.argv[2]), sys.argv[3:])
    else:
        checksum_by_software(sys.argv[2:])
