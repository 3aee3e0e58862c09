"""Connection tracking of one node, asked over netlink (ctnetlink): what a rebooted router has forgotten."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from types import TracebackType

from vrbench.lab.ground.port import GroundError
from vrbench.lab.system.namespaces import inside

NETLINK_NETFILTER = 12
_CT = 1 << 8  # NFNL_SUBSYS_CTNETLINK
_GET, _DELETE = _CT | 1, _CT | 2
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_TUPLE_ORIG, _MARK, _MARK_MASK = 1, 8, 21
_NESTED = 0x8000
_TIMEOUT_S = 5.0


class ConnectionTable:
    """An open netlink conversation with the connection tracking of one node."""

    def __init__(self, netns: str) -> None:
        # The socket belongs to the namespace of the thread that opens it.
        self._socket = inside(netns, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER))
        self._socket.settimeout(_TIMEOUT_S)

    def __enter__(self) -> ConnectionTable:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def marked(self, mark: int) -> list[bytes]:
        """Return the connections with this mark, as ``forget`` wants them; raises GroundError when refused."""
        wanted = attribute(_MARK, struct.pack(">I", mark)) + attribute(_MARK_MASK, b"\xff" * 4)
        found = []
        for attributes in self._ask(_GET, _REQUEST | _DUMP, wanted):
            held = dict(each_attribute(attributes))
            if held.get(_MARK) == struct.pack(">I", mark):
                found.append(held[_TUPLE_ORIG])
        return found

    def forget(self, connections: Sequence[bytes]) -> None:
        """Delete connections; one that is gone already is no error. GroundError when the kernel refuses."""
        for connection in connections:
            list(self._ask(_DELETE, _REQUEST | _ACK, attribute(_TUPLE_ORIG | _NESTED, connection)))

    def _ask(self, kind: int, flags: int, attributes: bytes) -> Iterator[bytes]:
        """Yield the attributes of every message of the answer, up to its end."""
        try:
            self._socket.send(message(kind, flags, attributes, family=socket.AF_INET))
            while True:
                for answered, body in each_message(self._socket.recv(1 << 17)):
                    if answered == _DONE:
                        return
                    if answered == _ERROR:
                        _check(body)
                        return
                    yield body[4:]
        except OSError as error:
            raise GroundError(f"connection tracking does not answer: {error}") from error


def _check(body: bytes) -> None:
    (code,) = struct.unpack_from("=i", body)
    if code not in (0, -errno.ENOENT):
        raise GroundError(f"connection tracking refused: {os.strerror(-code)}")


def each_message(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, what follows the first header) of every netlink message."""
    at = 0
    while at + 16 <= len(datagram):
        length, kind = struct.unpack_from("=IH", datagram, at)
        yield kind, datagram[at + 16 : at + length]
        at += max(16, length + -length % 4)


def each_attribute(attributes: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, value) of every netlink attribute."""
    at = 0
    while at + 4 <= len(attributes):
        length, kind = struct.unpack_from("=HH", attributes, at)
        yield kind & 0x3FFF, attributes[at + 4 : at + length]
        at += max(4, length + -length % 4)


def message(kind: int, flags: int, attributes: bytes, group: int = 0, family: int = 0) -> bytes:
    """Return a netfilter netlink message: both headers and the attributes."""
    headers = struct.pack("=IHHIIBBH", 20 + len(attributes), kind, flags, 1, 0, family, 0, socket.htons(group))
    return headers + attributes


def attribute(kind: int, value: bytes) -> bytes:
    """Return one netlink attribute, padded to four bytes."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
