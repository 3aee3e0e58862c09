"""Questions to the resolver that the router offers its guests, on the engine. Standard library, Python >= 3.6.

Whom to ask is found out in the guest, once, before probing begins: the default gateway where resolv.conf names it, else
what resolv.conf names (a resolver on this very machine would answer from memory through any outage, so the one behind
systemd's is taken), else the gateway unasked for. What is asked is this machine's own name, which the router itself
knows from its DHCP leases: what is measured is the router's service, not the zone's name servers behind it.

Each question is a flow of its own (a new source port), as those of any program are. An answer counts when it is well
formed, bears the question's id and says that the name exists or not (NOERROR, NXDOMAIN). Any other code (SERVFAIL,
REFUSED: a resolver that runs but can't serve yet) is a refusal, and so is an ICMP error.
"""

# Runs in guests on Python 3.6 as well: what pyupgrade would rewrite does not exist there.
# ruff: noqa: UP006, UP035, UP045

import collections
import errno
import os
import select
import socket
import struct
from typing import Any, Dict, Iterator, List, Optional, Tuple

from vrbench.probes.engine import (
    AMBIGUOUS,
    FAILED,
    IP_RECVERR,
    REFUSED,
    REPLY,
    SENT,
    SO_TIMESTAMPNS,
    Arrivals,
    Log,
    Packet,
    Prober,
    icmp_error,
    monotonic_ns,
    receive,
)

RESOLVER = "resolver"  # the target that stands for the router's resolver, which only the guest knows
REFUSED_DNS = 0x0100  # | rcode
PORT = 53
WAIT_NS = 2_000_000_000  # how long a question's socket stays open for its answer
ASK_S = 0.5  # how long a resolver is waited for before probing begins
ROUNDS = 2
LISTS = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")
_HEADER = struct.Struct(">HHHHHH")
_RECURSE, _IS_ANSWER, _OK = 0x0100, 0x8000, (0, 3)


def question(identity: int, name: str) -> bytes:
    """Build a query for the IPv4 address of ``name``."""
    labels = [label[:63] for label in name.encode("ascii", "ignore").split(b".") if label]
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return _HEADER.pack(identity, _RECURSE, 1, 0, 0, 0) + encoded + struct.pack(">HH", 1, 1)


def code_of(answer: bytes, asked: bytes) -> Optional[int]:
    """Return the answer's code (rcode); None for what is no well-formed answer to the question ``asked``."""
    if len(answer) < _HEADER.size or answer[:2] != asked[:2]:
        return None
    flags, questions = _HEADER.unpack_from(answer)[1:3]
    body = asked[_HEADER.size :]
    repeated = answer[_HEADER.size : _HEADER.size + len(body)]
    # Some that refuse leave the question out.
    if not flags & _IS_ANSWER or (questions and repeated.lower() != body.lower()):
        return None
    return int(flags & 15)


def nameservers(paths: Tuple[str, ...] = LISTS) -> List[str]:
    """Return the IPv4 name servers that this machine was given, without those on itself."""
    for path in paths:
        try:
            with open(path) as file:
                words = [line.split() for line in file]
        except OSError:
            continue
        named = [w[1] for w in words if len(w) > 1 and w[0] == "nameserver" and w[1].count(".") == 3]
        named = [address for address in named if not address.startswith("127.")]
        if named:
            return named
    return []


def candidates(named: List[str], gateway: str) -> List[str]:
    """Whom to try, the router first."""
    if gateway in named or not gateway:
        return sorted(named, key=lambda address: address != gateway)
    return [*named, gateway]


def find_resolver(addresses: List[str], names: List[str]) -> Optional[Tuple[str, str]]:
    """Find the first of ``addresses`` that serves, and the name it knows best; None when none does."""
    for _ in range(ROUNDS):
        for address in addresses:
            for name in names:
                code = ask(address, name)
                if code in _OK:
                    return address, name
                if code is None:
                    break
    return None


def ask(address: str, name: str) -> Optional[int]:
    """Return the code of one answer; None without any, or after an ICMP error."""
    asked = question(int.from_bytes(os.urandom(2), "big"), name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((address, PORT))
            sock.send(asked)
            if not select.select([sock], [], [], ASK_S)[0]:
                return None
            return code_of(sock.recv(4096), asked)
        except OSError:
            return None


def settle(streams: List[Dict[str, Any]], gateway: str) -> Tuple[List[Dict[str, Any]], Dict[str, str]]:
    """Give the streams that ask last the resolver that is there, or drop them; also return the log's words on it."""
    others = [stream for stream in streams if stream["target"] != RESOLVER]
    if len(others) == len(streams):
        return streams, {}
    addresses = candidates(nameservers(), gateway)
    found = find_resolver(addresses, [socket.gethostname(), "localhost"])
    if found is None:
        return others, {"no_resolver": ", ".join(addresses) or "no address"}
    asking = [dict(stream, target=found[0]) for stream in streams if stream["target"] == RESOLVER]
    return [*others, *asking], {"resolver": found[0], "name": found[1]}


class DnsProber(Prober):
    """Asks ``name`` on the streams from index ``first`` on."""

    def __init__(self, streams: List[Dict[str, Any]], log: Log, name: str, first: int) -> None:
        self.streams, self.log, self.name, self.first = streams, log, name, first
        self.arrivals = Arrivals()
        self.open = collections.deque()  # type: collections.deque[Tuple[int, int, int, socket.socket, bytes]]

    def settled(self) -> bool:
        return not self.open

    def send(self, stream: int, slot: int) -> None:
        asked = question(int.from_bytes(os.urandom(2), "big"), self.name)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        at = monotonic_ns()
        try:
            sock.connect((self.streams[stream - self.first]["target"], PORT))
            sock.send(asked)
        except OSError as error:
            self.log.record(FAILED, stream, error.errno or errno.EIO, slot, at)
            sock.close()
            return
        self.log.record(SENT, stream, 0, slot, at)
        self.open.append((at, stream, slot, sock, asked))

    def drain(self) -> None:
        self.arrivals.look()
        for _ in range(len(self.open)):
            waiting = self.open.popleft()
            at, stream, slot, sock, asked = waiting
            heard = next(self._heard(sock, asked), None)
            if heard:
                kind, detail, t_ns = heard
                self.log.record(AMBIGUOUS if t_ns is None else kind, stream, detail, slot, t_ns or self.arrivals.now)
            if heard or self.arrivals.now - at > WAIT_NS:
                sock.close()
            else:
                self.open.append(waiting)

    def _heard(self, sock: socket.socket, asked: bytes) -> Iterator[Tuple[int, int, Optional[int]]]:
        """Yield (kind, detail, time or None where nobody can say) of every answer or ICMP error that is there."""
        for _, ancillary in receive(sock, socket.MSG_ERRQUEUE):
            refusal = icmp_error(ancillary)
            if refusal:
                yield REFUSED, refusal, self.arrivals.time(ancillary)
        for answer, ancillary in receive(sock, 0):
            code = code_of(answer, asked)
            if code is not None:
                kind, detail = (REPLY, 0) if code in _OK else (REFUSED, REFUSED_DNS | code)
                yield kind, detail, self.arrivals.time(ancillary)


class CombinedProber(Prober):
    """Two probers as one: ``first`` has the streams up to index ``count``, ``second`` those from there on."""

    def __init__(self, first: Prober, second: Prober, count: int) -> None:
        self.first, self.second, self.count = first, second, count
        self.log, self.method = first.log, first.method
        self.tick_ns, self.most_unread = first.tick_ns, first.most_unread
        self.fire = first.fire

    def made(self, stream: int, slot: int) -> Optional[Packet]:
        return self.first.made(stream, slot) if stream < self.count else None

    def log_sent(self, stream: int, slot: int, at: int, code: int) -> None:
        self.first.log_sent(stream, slot, at, code)

    def send(self, stream: int, slot: int) -> None:
        (self.first if stream < self.count else self.second).send(stream, slot)

    def drain(self) -> None:
        self.first.drain()
        self.second.drain()

    def settled(self) -> bool:
        return self.first.settled() and self.second.settled()

    def remarks(self) -> Dict[str, Any]:
        return self.first.remarks()
