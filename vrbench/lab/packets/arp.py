"""Gratuitous ARP: how a router tells its neighbours where its addresses are.

    arp FILE      announce each line's INTERFACE MAC ADDRESS once, from the network namespace this runs in

Keepalived's notify script runs it; elsewhere ``send`` is called within the router's namespace.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_ETH_P_ARP = 0x0806
_ARP_REQUEST = 1
_BROADCAST = b"\xff" * 6

Announcement = tuple[str, str, str]  # interface, MAC, address


def gratuitous_arp(mac: str, ip: str) -> bytes:
    """Return the Ethernet frame that tells every neighbour that ``ip`` is at ``mac`` (an ARP request for itself)."""
    sender = bytes.fromhex(mac.replace(":", ""))
    address = socket.inet_aton(ip)
    header = struct.pack("!6s6sHHHBBH", _BROADCAST, sender, _ETH_P_ARP, 1, 0x0800, 6, 4, _ARP_REQUEST)
    return header + sender + address + _BROADCAST + address


def send(announcements: Iterable[Announcement]) -> None:
    """Send one frame each; nobody hears from an interface that is down."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        for interface, mac, ip in announcements:
            with suppress(OSError):
                wire.sendto(gratuitous_arp(mac, ip), (interface, _ETH_P_ARP))


def text(announcements: Iterable[Announcement]) -> str:
    """Return the file that ``main`` reads."""
    return "".join(" ".join(one) + "\n" for one in announcements)


def main() -> None:
    """Announce what the file named on the command line says."""
    lines = Path(sys.argv[1]).read_text(encoding="ascii").splitlines()
    send((interface, mac, ip) for interface, mac, ip in map(str.split, lines))


if __name__ == "__main__":
    main()
