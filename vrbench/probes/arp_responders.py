"""Who answers for an address on this machine's own network: all of them, which a neighbour entry never tells.

An entry holds one MAC address, and while its owner goes on answering the kernel's questions (they are sent to it alone)
nobody hears of a second machine that claims the same address. So everybody is asked, by an ARP probe (RFC 5227): it
names no sender's address and so changes no table on its way. It bears a MAC address of its own: answers to the guest's
would move its entry to the other router, and cut the connection over which this is asked.
Standard library, Python >= 3.6.
"""

# Runs in guests on Python 3.6 as well: what pyupgrade would rewrite does not exist there.
# ruff: noqa: UP006, UP031, UP035, UP041

import socket
import struct
import time
from typing import List

ANSWERS_S = 0.2  # how long answers to one question are waited for
QUESTIONS = 3

ASKER = b"\x02vrb?!"  # nobody's own: an answer to it is not the kernel's, and leaves the machine's entry alone

_ARP = 0x0806
_SOL_PACKET, _ADD_MEMBERSHIP = 263, 1  # hear what is sent to another MAC address, for as long as the socket lives
_FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_REQUEST, _REPLY = 1, 2


def claimants(interface: str, address: str) -> List[str]:
    """Return the MAC addresses that answer for an IPv4 address, sorted; none where there is no right to ask."""
    if not address:
        return []
    try:
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ARP))
    except PermissionError:
        return []
    with wire:
        wire.bind((interface, _ARP))
        wire.setsockopt(
            _SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("=iHH8s", socket.if_nametoindex(interface), 1, 0, b"")
        )
        found = set()
        for _ in range(QUESTIONS):
            wire.send(question(ASKER, address))
            found.update(_answers(wire, socket.inet_aton(address)))
    return sorted(found)


def question(own: bytes, address: str) -> bytes:
    """Build a probe for an address, to everybody, from the MAC address ``own``."""
    to_all, nobody, wanted = b"\xff" * 6, bytes(4), socket.inet_aton(address)
    return _FRAME.pack(to_all, own, _ARP, 1, 0x0800, 6, 4, _REQUEST, own, nobody, bytes(6), wanted)


def _answers(wire: socket.socket, wanted: bytes) -> List[str]:
    found, end = [], time.monotonic() + ANSWERS_S
    while time.monotonic() < end:
        wire.settimeout(max(0.001, end - time.monotonic()))
        try:
            frame = wire.recv(128)
        except socket.timeout:
            break
        if len(frame) < _FRAME.size:
            continue
        fields = _FRAME.unpack_from(frame)
        if fields[7] == _REPLY and fields[9] == wanted:
            found.append(":".join("%02x" % byte for byte in fields[8]))
    return found
