"""Connection tracking of one node, asked over netlink (ctnetlink): what a rebooted router has forgotten."""

from __future__ import annotations

import errno
import os
import socket
import struct
from types import TracebackType

from vrbench.lab.ground import GroundError
from vrbench.lab.namespaces import inside

NETLINK_NETFILTER = 12
_DELETE = 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
_REQUEST_ACK = 0x1 | 0x4
_CTA_MARK, _CTA_MARK_MASK = 8, 21
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

    def forget(self, mark: int) -> None:
        """Delete every connection with this mark; GroundError when the kernel refuses."""
        attributes = attribute(_CTA_MARK, struct.pack(">I", mark)) + attribute(_CTA_MARK_MASK, b"\xff" * 4)
        try:
            self._socket.send(message(_DELETE, _REQUEST_ACK, attributes))
            answer = self._socket.recv(4096)
        except OSError as error:
            raise GroundError(f"connection tracking does not answer: {error}") from error
        (code,) = struct.unpack_from("=i", answer, 16)
        if code not in (0, -errno.ENOENT):
            raise GroundError(f"connection tracking refused to forget: {os.strerror(-code)}")


def message(kind: int, flags: int, attributes: bytes, group: int = 0) -> bytes:
    """A netfilter netlink message: both headers and the attributes."""
    return struct.pack("=IHHIIBBH", 20 + len(attributes), kind, flags, 1, 0, 0, 0, socket.htons(group)) + attributes


def attribute(kind: int, value: bytes) -> bytes:
    """One netlink attribute, padded to four bytes."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
