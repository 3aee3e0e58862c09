"""This machine's way to an IPv4 address, as its kernel tells; no packet leaves."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass

_IP_MTU = 14  # Linux; not named by the socket module
_ANY_PORT = 9
_WHY = {
    errno.ENETUNREACH: "no route",
    errno.EHOSTUNREACH: "an unreachable route",
    errno.EACCES: "a prohibiting route, or a firewall",
    errno.EPERM: "a firewall of this machine",
    errno.EINVAL: "a blackhole route",
}


class NoWay(Exception):
    """This machine can't send to an address; the text says why."""


@dataclass(frozen=True, slots=True)
class Way:
    """From which address this machine sends, and how long a packet may be (bytes)."""

    source: str
    mtu: int


def way_to(address: str) -> Way:
    """Return this machine's way to an address. Raises NoWay."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((address, _ANY_PORT))
            return Way(str(sock.getsockname()[0]), sock.getsockopt(socket.IPPROTO_IP, _IP_MTU))
        except OSError as error:
            raise NoWay(_WHY.get(error.errno or 0) or os.strerror(error.errno or 0)) from None


def has_ipv4() -> bool:
    """Return whether this machine has any way out by IPv4: every address brings a route along."""
    rows = _table("/proc/net/route")
    return not rows or any(fields[0] not in ("lo", "*") for fields in rows[1:])


def has_ipv6() -> bool:
    """Return whether this machine has an IPv6 address that others can reach."""
    beyond = (fields for fields in _table("/proc/net/if_inet6") if fields[-1] != "lo")
    return any(not fields[0].startswith("fe8") for fields in beyond)


def _table(path: str) -> list[list[str]]:
    try:
        with open(path) as file:
            return [line.split() for line in file]
    except OSError:
        return []  # a kernel without that protocol
