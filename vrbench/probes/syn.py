"""Half-open TCP probes: one SYN per slot from a raw socket; the harness's own kernel resets what is answered.

Every slot must be a *fresh* flow, in the router's connection tracking and in the guest's listener, yet thousands of
tracked connections must not pile up. So each target has a few source ports of its own, used in turn:

- A port comes round again only after the threshold, so an answer in flight never meets a younger SYN of its flow.
- An answered SYN has been reset by this machine's kernel (the ports are bound, never connected); tracking entries so
  closed are replaced by the next SYN, which is judged by the rules of that moment.
- An unanswered SYN may have left a half-open entry towards an address that is dead by now, or bound to no NAT at all.
  Before its port is used again it is reset by us: the stream recovers when the path does, not when an entry expires.

The slot makes the sequence number, so the acknowledgement (or the packet an ICMP error quotes) names the slot. Where
the RST that closes a handshake is lost, the guest keeps half a connection for up to a minute, and the next SYN of that
port meets it. Within that one's receive window the SYN would be answered by a RST, which nobody could tell from a
refusal. So the numbers of two slots lie further apart than any such window (STRIDE): then RFC 9293 has the guest answer
with a bare acknowledgement of the old handshake. That shows a path that is up and a port that still listens; it counts
as the answer, and this machine's kernel resets what was left. So a RST answers the SYN that it names: it is a refusal.

What answers is logged with its TTL. A guest's answers have all come the same way; what the router says itself is one
hop nearer. IPv4 only.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import struct
from typing import Any, NamedTuple

from vrbench.probes.engine import (
    AMBIGUOUS,
    FAILED,
    REFUSED,
    REPLY,
    SENT,
    SO_TIMESTAMPNS,
    TTL,
    Arrivals,
    CannotProbe,
    Log,
    Prober,
    attach_filter,
    monotonic_ns,
    receive,
)
from vrbench.route import NoWay, way_to

SYN, RST, ACK, SYN_ACK, RST_ACK = 0x02, 0x04, 0x10, 0x12, 0x14
STRIDE = (1 << 17) + 1  # more than a window of 65535 (no scaling is offered), for 16383 slots each way; odd: invertible
_UNSTRIDE = pow(STRIDE, -1, 1 << 32)
REFUSED_RST = 1
MAX_PORTS = 200  # per target: enough for the finest interval, 5 ms, and the longest threshold, just under 1 s
LOWEST_PORT, HIGHEST_PORT = 10_000, 32_000  # below the ephemeral range
_SEGMENT = struct.Struct(">HHIIHHHH")
_MSS_OPTION = struct.pack(">BBH", 2, 4, 1460)  # some filters drop a SYN without options


class Heard(NamedTuple):
    """What an answer is, in the words of the log."""

    kind: int
    detail: int = 0
    ttl: int = 0


class SynProber(Prober):
    """Sends SYNs to ``host:port`` targets; needs CAP_NET_RAW (PermissionError without), CannotProbe for the rest."""

    method = "raw"

    def __init__(self, streams: list[dict[str, Any]], log: Log, threshold_ns: int) -> None:
        self.log = log
        self.arrivals = Arrivals()
        self.segments, self.errors = _raw(socket.IPPROTO_TCP), _raw(socket.IPPROTO_ICMP)
        self.targets = [split_target(stream["target"]) for stream in streams]
        self.sources = [source_towards(host) for host, _ in self.targets]
        self.senders = {source: _sender(source) for source in set(self.sources)}
        pairs = zip(self.sources, self.targets, strict=True)
        self.pseudo = [_words(socket.inet_aton(source) + socket.inet_aton(host)) for source, (host, _) in pairs]
        shortest = min(stream["interval_ns"] for stream in streams)
        self.each = min(threshold_ns // shortest + 2, MAX_PORTS)
        self.ports = reserve_ports(self.each * len(streams))
        self.base = self.ports[0].getsockname()[1]
        self.salt = int.from_bytes(os.urandom(4), "big")
        self.waiting = [-1] * len(self.ports)  # per port: the slot that is not answered yet
        self.asked_ns = [0] * len(self.ports)  # per port: when its last SYN left
        self.last_sent, self.last_heard = [-1] * len(streams), [-1] * len(streams)
        attach_filter(self.segments, _segment_filter(self.base, len(self.ports)))
        attach_filter(self.errors, _error_filter(self.base, len(self.ports)))

    def settled(self) -> bool:
        return self.last_sent == self.last_heard

    def send(self, stream: int, slot: int) -> None:
        index = stream * self.each + slot % self.each
        try:
            if self.waiting[index] >= 0:
                self._transmit(stream, index, self.sequence(self.waiting[index]) + 1 & 0xFFFFFFFF, RST)
            at = monotonic_ns()
            self._transmit(stream, index, self.sequence(slot), SYN)
        except OSError as error:
            self.log.record(FAILED, stream, error.errno or 0, slot, monotonic_ns())
            return
        self.log.record(SENT, stream, 0, slot, at)
        self.waiting[index] = self.last_sent[stream] = slot
        self.asked_ns[index] = at

    def sequence(self, slot: int) -> int:
        """Return the sequence number of a slot's SYN."""
        return self.salt + slot * STRIDE & 0xFFFFFFFF

    def slot(self, sequence: int) -> int:
        """Return the slot that a sequence number stands for; one that was never sent for a number that is not ours."""
        return (sequence - self.salt) * _UNSTRIDE & 0xFFFFFFFF

    def _transmit(self, stream: int, index: int, sequence: int, flag: int) -> None:
        host, port = self.targets[stream]
        options = _MSS_OPTION if flag == SYN else b""
        length = 20 + len(options)
        shape = (length << 10) | flag
        total = self.pseudo[stream] + socket.IPPROTO_TCP + length + self.base + index + port + _words(options)
        total += (sequence >> 16) + (sequence & 0xFFFF) + shape + 0xFFFF
        total = (total & 0xFFFF) + (total >> 16)
        check = ~(total + (total >> 16)) & 0xFFFF
        segment = _SEGMENT.pack(self.base + index, port, sequence, 0, shape, 0xFFFF, check, 0) + options
        self.senders[self.sources[stream]].sendto(segment, (host, 0))

    def drain(self) -> None:
        self.arrivals.look()
        for sock, take in ((self.segments, self._answered), (self.errors, self._unreachable)):
            for packet, ancillary in receive(sock, 0):
                take(packet, (packet[0] & 15) * 4, self.arrivals.time(ancillary))

    def _answered(self, packet: bytes, at: int, t_ns: int | None) -> None:
        source_port, port, _, acknowledged = struct.unpack_from(">HHII", packet, at)
        index, flags = port - self.base, packet[at + 13]
        stream = index // self.each
        # What arrived before the filter was attached is still in the queue: it may be anybody's.
        if not self._ours(index) or (socket.inet_ntoa(packet[12:16]), source_port) != self.targets[stream]:
            return
        slot, ttl = self.slot(acknowledged - 1), packet[8]
        if flags & RST_ACK == RST_ACK:
            self._heard(Heard(REFUSED, REFUSED_RST, ttl), index, slot, t_ns)
        elif flags & SYN_ACK == SYN_ACK:
            self._heard(Heard(REPLY, ttl, ttl), index, slot, t_ns)
        elif flags & (RST | SYN_ACK) == ACK and self._of_a_leftover(index, slot, t_ns):
            self._heard(Heard(REPLY, ttl, ttl), index, self.waiting[index], t_ns)

    def _of_a_leftover(self, index: int, slot: int, t_ns: int | None) -> bool:
        """Return whether a bare acknowledgement of ``slot`` answers the younger SYN that waits on the same port."""
        return slot < self.waiting[index] and (t_ns is None or t_ns >= self.asked_ns[index])

    def _unreachable(self, packet: bytes, at: int, t_ns: int | None) -> None:
        if len(packet) < at + 36:
            return
        port, _, sequence = struct.unpack_from(">HHI", packet, at + 28)
        index = port - self.base
        if self._ours(index) and socket.inet_ntoa(packet[at + 24 : at + 28]) == self.targets[index // self.each][0]:
            error = packet[at] << 8 | packet[at + 1]
            self._heard(Heard(REFUSED, error, packet[8]), index, self.slot(sequence), t_ns)

    def _ours(self, index: int) -> bool:
        return 0 <= index < len(self.ports)

    def _heard(self, heard: Heard, index: int, slot: int, t_ns: int | None) -> None:
        """Log what was heard about a slot on port ``index``, if its probe was ever sent.

        ``t_ns`` None: nobody can say when it came.
        """
        stream = index // self.each
        if slot > self.last_sent[stream] or slot % self.each != index % self.each:
            return
        if t_ns is None:
            heard, t_ns = Heard(AMBIGUOUS), self.arrivals.now
        if heard.kind == REFUSED:
            self.log.record(TTL, stream, heard.ttl, slot, t_ns)
        self.log.record(heard.kind, stream, heard.detail, slot, t_ns)
        self.last_heard[stream] = max(self.last_heard[stream], slot)
        if self.waiting[index] == slot:
            self.waiting[index] = -1


def split_target(target: str) -> tuple[str, int]:
    """Split ``"192.0.2.1:22"`` into address and port. Raises CannotProbe for anything else."""
    host, _, port = target.rpartition(":")
    try:
        return socket.inet_ntoa(socket.inet_pton(socket.AF_INET, host)), int(port)
    except (OSError, ValueError) as error:
        raise CannotProbe(f"target {target!r} is not an IPv4 address and a port, such as 192.0.2.1:22") from error


def source_towards(host: str) -> str:
    """Find the address this machine would send to ``host`` from. Raises CannotProbe when it has no route."""
    try:
        return way_to(host).source
    except NoWay as reason:
        raise CannotProbe(f"no way from here to {host} ({reason}): check the routing table") from None


def reserve_ports(count: int) -> list[socket.socket]:
    """Reserve ``count`` consecutive ports: no application gets them while these sockets live. Raises CannotProbe."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 64:
        raise CannotProbe(f"{count} source ports need as many open files, and {hard} are allowed: raise 'ulimit -Hn'")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count + 64)), hard))
    for _ in range(100 if count < HIGHEST_PORT - LOWEST_PORT else 0):
        base = LOWEST_PORT + int.from_bytes(os.urandom(2), "big") % (HIGHEST_PORT - LOWEST_PORT - count)
        bound = _bind_all(range(base, base + count))
        if bound:
            return bound
    raise CannotProbe(
        f"no {count} consecutive TCP ports are free between {LOWEST_PORT} and {HIGHEST_PORT}: stop what holds them, or "
        "probe fewer addresses or less often"
    )


def _bind_all(ports: range) -> list[socket.socket]:
    bound: list[socket.socket] = []
    for port in ports:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.append(sock)
        try:
            sock.bind(("", port))
        except OSError as error:
            for taken in bound:
                taken.close()
            if error.errno != errno.EADDRINUSE:
                raise
            return []
    return bound


def _raw(protocol: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return sock


def _sender(source: str) -> socket.socket:
    """Open a raw socket that sends from ``source`` (the checksum covers it) and hears nothing."""
    sock = _raw(socket.IPPROTO_TCP)
    attach_filter(sock, [(0x06, 0, 0, 0)])
    sock.bind((source, 0))
    return sock


def _words(data: bytes) -> int:
    return sum(struct.unpack(f">{len(data) // 2}H", data))


def _segment_filter(base: int, count: int) -> list[tuple[int, int, int, int]]:
    return [
        (0xB1, 0, 0, 0),  # x = length of the IP header
        (0x48, 0, 0, 2),  # a = destination port
        (0x35, 0, 2, base),
        (0x25, 1, 0, base + count - 1),
        (0x06, 0, 0, 0xFFFF),  # accept
        (0x06, 0, 0, 0),  # drop
    ]


def _error_filter(base: int, count: int) -> list[tuple[int, int, int, int]]:
    """ICMP unreachable, time exceeded, parameter problem, about a TCP segment (no IP options) from one of our ports."""
    return [
        (0xB1, 0, 0, 0),  # x = length of the IP header
        (0x50, 0, 0, 0),  # a = ICMP type
        (0x15, 2, 0, 3),
        (0x15, 1, 0, 11),
        (0x15, 0, 7, 12),
        (0x48, 0, 0, 16),  # a = TTL and protocol of the quoted packet
        (0x54, 0, 0, 0xFF),
        (0x15, 0, 4, socket.IPPROTO_TCP),
        (0x48, 0, 0, 28),  # a = its source port
        (0x35, 0, 2, base),
        (0x25, 1, 0, base + count - 1),
        (0x06, 0, 0, 0xFFFF),  # accept
        (0x06, 0, 0, 0),  # drop
    ]
