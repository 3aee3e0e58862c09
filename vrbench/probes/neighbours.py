"""Neighbour entries (ARP) over time: at which MAC address this machine believes an address to be, and how sure it is.

The kernel tells of every change over a netlink socket, to whoever asks and without any right. A thread of its own waits
for that and does nothing else, so that a change has the time at which it happened and costs nothing while none does;
what it heard goes into the prober's raw log with the prober's next write. Nothing is sent on the wire: a question asked
there would refresh the very entry that is watched. Standard library, Python >= 3.6.
"""

# Runs in guests on Python 3.6 as well: what pyupgrade would rewrite does not exist there.
# ruff: noqa: UP006, UP035, UP045

import collections
import contextlib
import errno
import socket
import struct
import threading
from typing import Any, Dict, Iterator, List, Optional, Tuple

from vrbench.probes.engine import NEIGHBOUR, NEIGHBOUR_MAC, Log, monotonic_ns, take_priority

GATEWAY = "gateway"  # the target that stands for the default gateway, which only the guest knows

_RTMGRP_NEIGH = 4
_NEW, _DELETED, _GET = 28, 29, 30  # RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH
_ADDRESS, _MAC = 1, 2  # NDA_DST, NDA_LLADDR
_MESSAGE = struct.Struct("=IHHII")
_ENTRY = struct.Struct("=BBHiHBB")
_ATTRIBUTE = struct.Struct("=HH")

Entry = Tuple[int, int, Optional[int]]  # IPv4 address, NUD_* state (0: no entry any more), MAC address


def default_gateway() -> str:
    """Return the address of this machine's default gateway; empty without one."""
    return default_route()[1]


def default_route() -> Tuple[str, str]:
    """Return the interface and the address of this machine's default gateway; both empty without one."""
    with open("/proc/net/route") as routes:
        for fields in map(str.split, routes):
            if fields[1] == "00000000" and fields[2] not in ("00000000", "Gateway"):
                return fields[0], socket.inet_ntoa(struct.pack("=I", int(fields[2], 16)))
    return "", ""


def resolved(streams: List[Dict[str, Any]], gateway: str) -> List[Dict[str, Any]]:
    """Put ``gateway`` in the place of the word; without one, leave out the streams that need it."""
    named = [dict(s, target=gateway) if s["target"] == GATEWAY else s for s in streams]
    return [s for s in named if s["target"]]


def entries(messages: bytes) -> Iterator[Entry]:
    """Return the IPv4 neighbour entries that netlink ``messages`` tell of."""
    at = 0
    while at + _MESSAGE.size <= len(messages):
        length, kind = _MESSAGE.unpack_from(messages, at)[:2]
        if length < _MESSAGE.size:
            return
        if kind in (_NEW, _DELETED):
            found = _entry(messages[at + _MESSAGE.size : at + length], kind == _DELETED)
            if found:
                yield found
        at += (length + 3) & ~3


def _entry(body: bytes, deleted: bool) -> Optional[Entry]:
    family, _, _, _, state, _, _ = _ENTRY.unpack_from(body)
    attributes, at = {}, _ENTRY.size
    while at + _ATTRIBUTE.size <= len(body):
        length, name = _ATTRIBUTE.unpack_from(body, at)
        attributes[name] = body[at + _ATTRIBUTE.size : at + length]
        at += max(_ATTRIBUTE.size, (length + 3) & ~3)
    address, mac = attributes.get(_ADDRESS, b""), attributes.get(_MAC, b"")
    if family != socket.AF_INET or len(address) != 4:
        return None
    known = int.from_bytes(mac, "big") if len(mac) == 6 and not deleted else None
    return int.from_bytes(address, "big"), 0 if deleted else state, known


class Neighbours:
    """The entries of some addresses, from now on; ``drain`` is a source of a ``Log``. OSError without netlink."""

    def __init__(self, addresses: List[str]) -> None:
        self.watched = {int.from_bytes(socket.inet_aton(address), "big") for address in addresses}
        self.heard = collections.deque()  # type: collections.deque[Tuple[int, Entry]]
        self.last = {}  # type: Dict[int, Entry]
        self.netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.netlink.bind((0, _RTMGRP_NEIGH))
        self._ask()
        threading.Thread(target=self._listen, daemon=True).start()

    def drain(self, log: Log) -> None:
        """Write what was heard since the last time."""
        while self.heard:
            t_ns, (address, state, mac) = self.heard.popleft()
            if mac is not None:
                log.record(NEIGHBOUR_MAC, 0, mac >> 32, mac & 0xFFFFFFFF, t_ns)
            log.record(NEIGHBOUR, 0, state, address, t_ns)

    def _ask(self) -> None:
        """Ask for all entries as they are."""
        body = _ENTRY.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0)
        self.netlink.send(_MESSAGE.pack(_MESSAGE.size + len(body), _GET, _DUMP, 1, 0) + body)

    def _listen(self) -> None:
        take_priority()  # a thread has its own: late hearing would be wrong times
        while True:
            try:
                messages = self.netlink.recv(1 << 16)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    return
                self._ask()  # more happened than fitted: what is true now counts
                continue
            self._note(monotonic_ns(), messages)

    def _note(self, t_ns: int, messages: bytes) -> None:
        for entry in entries(messages):
            if entry[0] in self.watched and self.last.get(entry[0]) != entry:
                self.last[entry[0]] = entry
                self.heard.append((t_ns, entry))


def watch(log: Log, addresses: List[str]) -> None:
    """Have ``log`` tell of the neighbour entries of ``addresses``, where the kernel tells of them."""
    if not addresses:
        return
    with contextlib.suppress(OSError):  # no netlink here: the log has no such records, causes are told without them
        log.sources.append(Neighbours(addresses).drain)
