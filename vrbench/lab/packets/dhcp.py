"""A guest's DHCP client (RFC 2131): discover, offer, request, acknowledge; then the address, the route, the resolver.

    dhcp INTERFACE MAC HOSTNAME SECONDS      0 when there is a lease, 1 when nobody gave one in time

It asks for answers by broadcast, so that an ordinary socket hears them before the interface has an address. The lease
is not renewed: it lasts a month, the lab an afternoon.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_CLIENT_PORT, _SERVER_PORT = 68, 67
_COOKIE = b"\x63\x82\x53\x63"
_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_BROADCAST_FLAG = 0x8000
_DISCOVER, _OFFER, _REQUEST, _ACK = 1, 2, 3, 5
_NETMASK, _ROUTER, _RESOLVER, _HOSTNAME, _DOMAIN = 1, 3, 6, 12, 15
_WANTED_IP, _KIND, _SERVER, _WISHES, _END = 50, 53, 54, 55, 255
_RETRY_S = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
RESOLV_CONF = Path("/etc/resolv.conf")


@dataclass(frozen=True, slots=True)
class Lease:
    """What the server granted; router and resolver are empty when it named none."""

    ip: str
    prefix: int
    router: str
    resolver: str
    domain: str


def ask(interface: str, mac: str, hostname: str, within_s: float) -> Lease | None:
    """Return a lease for ``interface``, or None when none was granted in time."""
    deadline = time.monotonic() + within_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        wire.bind(("0.0.0.0", _CLIENT_PORT))
        for attempt in range(1000):
            number = int.from_bytes(os.urandom(4), "big")
            patience = _RETRY_S[min(attempt, len(_RETRY_S) - 1)]
            until = min(time.monotonic() + patience, deadline)
            offer = _exchange(wire, message(_DISCOVER, number, mac, hostname), number, _OFFER, until)
            if offer is not None:
                accepted = message(_REQUEST, number, mac, hostname, {_WANTED_IP: offer[0], _SERVER: offer[1][_SERVER]})
                until = min(time.monotonic() + patience, deadline)
                granted = _exchange(wire, accepted, number, _ACK, until)
                if granted is not None:
                    return _lease(*granted)
            if time.monotonic() > deadline:
                return None
    return None


def message(kind: int, number: int, mac: str, hostname: str, options: dict[int, bytes] | None = None) -> bytes:
    """Return one message of the client."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    none = bytes(4)
    head = _HEADER.pack(1, 1, 6, 0, number, 0, _BROADCAST_FLAG, none, none, none, none, hardware, b"", b"")
    wishes = bytes((_NETMASK, _ROUTER, _RESOLVER, _DOMAIN))
    said = {_KIND: bytes((kind,)), _HOSTNAME: hostname.encode()[:63], _WISHES: wishes, **(options or {})}
    body = b"".join(bytes((code, len(value))) + value for code, value in said.items())
    return (head + _COOKIE + body + bytes((_END,))).ljust(300, b"\0")


def parse(answer: bytes, number: int, kind: int) -> tuple[bytes, dict[int, bytes]] | None:
    """Return the address given and the options, when this is a server's answer of that kind to that number."""
    if len(answer) < _HEADER.size + 4 or answer[_HEADER.size : _HEADER.size + 4] != _COOKIE:
        return None
    head = _HEADER.unpack_from(answer)
    options: dict[int, bytes] = {}
    rest = answer[_HEADER.size + 4 :]
    while len(rest) >= 2 and rest[0] != _END:
        code, length = (0, -1) if rest[0] == 0 else (rest[0], rest[1])
        options[code] = rest[2 : 2 + length]
        rest = rest[2 + length :]
    return (head[8], options) if head[4] == number and options.get(_KIND) == bytes((kind,)) else None


def _exchange(
    wire: socket.socket, said: bytes, number: int, kind: int, until: float
) -> tuple[bytes, dict[int, bytes]] | None:
    """Send a message and return the answer of that kind to it; None when there was none ``until`` then."""
    try:
        wire.sendto(said, ("255.255.255.255", _SERVER_PORT))
        while (left := until - time.monotonic()) > 0:
            wire.settimeout(left)
            found = parse(wire.recv(2048), number, kind)
            if found is not None:
                return found
    except TimeoutError:
        pass
    return None


def _lease(ip: bytes, options: dict[int, bytes]) -> Lease:
    mask = int.from_bytes(options.get(_NETMASK, b"\xff\xff\xff\x00"), "big")
    return Lease(
        ip=socket.inet_ntoa(ip),
        prefix=mask.bit_count(),
        router=_address(options.get(_ROUTER)),
        resolver=_address(options.get(_RESOLVER)),
        domain=options.get(_DOMAIN, b"").rstrip(b"\0").decode("ascii", "replace"),
    )


def _address(option: bytes | None) -> str:
    return socket.inet_ntoa(option[:4]) if option else ""


def apply(interface: str, lease: Lease) -> None:
    """Set address, route and resolver as granted; raises OSError or CalledProcessError when the system refuses."""
    lines = [f"address replace {lease.ip}/{lease.prefix} dev {interface}"]
    if lease.router:
        lines.append(f"route replace default via {lease.router} dev {interface}")
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)
    if lease.resolver and RESOLV_CONF.exists():
        RESOLV_CONF.write_text(resolv_conf(lease.resolver, lease.domain), encoding="ascii")


def resolv_conf(resolver: str, domain: str = "") -> str:
    """Return the text of resolv.conf: one server, two short tries, as a lab's guest should not hang on its router."""
    return (f"search {domain}\n" if domain else "") + f"nameserver {resolver}\n"


def main() -> int:
    """Ask, apply, say so."""
    interface, mac, hostname, seconds = sys.argv[1:]
    lease = ask(interface, mac, hostname, float(seconds))
    if lease is None:
        print(f"dhcp: no lease for {interface} within {seconds} s", file=sys.stderr, flush=True)
        return 1
    apply(interface, lease)
    print(f"dhcp: {interface} has {lease.ip}/{lease.prefix}, router {lease.router}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
