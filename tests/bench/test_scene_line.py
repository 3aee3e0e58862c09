"""The delay line decides as its schedule says, and reads what a frame tells of a probe."""

import socket
import struct
from types import SimpleNamespace
from typing import cast

import pytest

from tests.bench.scene_line import ECHO, SYN, VNET_HDR, Fault, Lane, word

S = 1_000_000_000
IPV4 = bytes(VNET_HDR + 12) + b"\x08\x00"


def packet(protocol: int, payload: bytes) -> bytes:
    """Build a frame from 192.0.2.1 to 192.0.2.2, behind an empty virtio header."""
    header = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, 0xC0000201, 0xC0000202)
    return IPV4 + header + payload


def lane(fault: Fault) -> Lane:
    """Build the lane that a fault is about."""
    nowhere = cast(socket.socket, SimpleNamespace())
    made = Lane(0, nowhere, nowhere)
    made.take([fault])
    return made


@pytest.mark.parametrize(
    ("fault", "at_s", "due_s"),
    [
        (Fault(0, 10 * S, "guest", "in", delay_s=(0.0, 1.0, 0.0)), 2.5, [3.0]),
        (Fault(0, 10 * S, "guest", "in", hold=True), 2.5, [10.0]),
        (Fault(0, 10 * S, "guest", "in", twice=1.0), 2.5, [2.5, 2.5]),
        (Fault(0, 10 * S, "guest", "in", loss=(1.0,)), 2.5, []),
        (Fault(0, 10 * S, "guest", "in", loss=(1.0,)), 10.0, [10.0]),  # it is over
        (Fault(0, 10 * S, "guest", "out", loss=(1.0,)), 2.5, [2.5]),  # the other way
        (Fault(0, 10 * S, "guest", "in", odd_share=1.0, odd_s=0.5), 2.5, [3.0]),
    ],
)
def test_a_frame_is_due_when_its_fault_says(fault: Fault, at_s: float, due_s: list[float]) -> None:
    assert lane(fault).due(round(at_s * S), packet(17, bytes(8))) == [round(due * S) for due in due_s]


def test_none_overtakes_another_where_order_is_kept() -> None:
    falling = lane(Fault(0, S, "guest", "in", delay_s=(2.0, 0.0), ordered=True))
    first, second = (falling.due(at, packet(17, bytes(8))) for at in (0, S // 2))
    assert first == second == [2 * S]


def test_arp_is_left_alone() -> None:
    frame = bytes(VNET_HDR + 12) + b"\x08\x06" + bytes(28)
    assert lane(Fault(0, S, "guest", "in", loss=(1.0,))).due(0, frame) == [0]


def test_probes_are_read_from_frames() -> None:
    ping = struct.pack(">BBHHH8sIQ", 8, 0, 0, 0xF001, 7, b"12345678", 3, 7) + bytes(36)
    syn = struct.pack(">IIIBBHHH", 10_000 << 16 | 22, 77, 0, 0x50, 0x02, 0xFFFF, 0, 0)
    assert word(packet(1, ping)) == (ECHO, 0xC0000201, 0xC0000202, b"12345678", 3, 0xF001, 7)
    assert word(packet(6, syn)) == (SYN, 0xC0000201, 0xC0000202, b"", 10_000 << 16 | 22, 77, 0)
    assert word(packet(17, bytes(8))) is None
