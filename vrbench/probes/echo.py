"""ICMP echo on the engine: raw sockets where they are allowed, else datagram ones. Standard library, Python >= 3.6.

A persistent stream keeps one ICMP id for its whole life, a fresh one has a new id for every probe. Replies are known
by their payload (a random token of this process, the stream and the slot), so ids need not be unique for matching.
They are kept apart all the same: on one host a shared id would share a flow, and guests behind one router that take
the same ids make its NAT choose others, where two choices at the same moment cost a packet (the kernel counts it as
insert_failed): a false loss every few minutes. So each guest has a lane, its own share of the ids. IPv4 only.
"""

# Runs in guests on Python 3.6 as well: what pyupgrade would rewrite does not exist there.
# ruff: noqa: UP006, UP035, UP045

import array
import collections
import errno
import os
import select
import socket
import struct
from typing import Any, Dict, List, Optional, Tuple

from vrbench.probes.engine import (
    AMBIGUOUS,
    IP_RECVERR,
    REFUSED,
    REPLY,
    SO_TIMESTAMPNS,
    Arrivals,
    CannotProbe,
    Log,
    Packet,
    Prober,
    attach_filter,
    icmp_error,
    monotonic_ns,
    receive,
)

FRESH_IDS = 0xF000
FRESH_CYCLE_S = 35.0  # a router's tracking forgets an ICMP flow after 30 s: sooner used again, its id is of an old flow


def fresh_cycle_s(streams: List[Dict[str, Any]], lanes: int) -> float:
    """Return after how many seconds the ids of a fresh stream come round at the earliest; infinite without one."""
    rates = collections.defaultdict(float)  # type: Dict[str, float]
    for stream in streams:
        if stream["flow"] == "fresh":
            rates[stream["target"]] += 1e9 / stream["interval_ns"]
    return FRESH_IDS // lanes / max(rates.values()) if rates else float("inf")


SO_RCVBUFFORCE = 33  # Linux; not named by the socket module
MOST_UNREAD = 128
PACKET_ROOM = 4608  # what an answer takes in a socket's buffer at worst, where the driver gives each a page

PACKET = struct.Struct(">BBHHH8sIQ36x")  # type, code, checksum, id, sequence; token, stream, slot
pack_packet, unpack_body = PACKET.pack, struct.Struct(">8sIQ").unpack_from


class Echo(Prober):
    """ICMP echo: what its raw and its datagram form share. 56 bytes of payload, as ping sends."""

    tick_ns = 250_000_000

    def __init__(self, streams: List[Dict[str, Any]], log: Log) -> None:
        self.streams, self.log = streams, log
        self.token = os.urandom(8)
        self.arrivals = Arrivals()
        self.fresh = [stream["flow"] == "fresh" for stream in streams]
        self.last_sent = [-1] * len(streams)
        self.last_heard = [-1] * len(streams)
        self.addresses = [(stream["target"], 0) for stream in streams]
        blanks = [pack_packet(8, 0, 0, 0, 0, self.token, i, 0) for i in range(len(streams))]
        self.sums = [sum(struct.unpack(">32H", blank)) for blank in blanks]

    def settled(self) -> bool:
        return self.last_sent == self.last_heard

    def packet(self, stream: int, slot: int, identity: int) -> bytes:
        sequence = slot & 0xFFFF
        check = -(self.sums[stream] + identity + 2 * sequence + (slot >> 16)) % 0xFFFF
        return pack_packet(8, 0, check, identity, sequence, self.token, stream, slot)

    def heard(self, kind: int, stream: int, detail: int, slot: int, t_ns: Optional[int]) -> None:
        """Log what was heard of a slot, and at what time; None: nobody can say when it came."""
        if t_ns is None:
            kind, t_ns = AMBIGUOUS, self.arrivals.now
        self.log.record(kind, stream, detail, slot, t_ns)
        if slot > self.last_heard[stream]:
            self.last_heard[stream] = slot

    def echoed(self, message: bytes, at: int, t_ns: Optional[int]) -> None:
        """Log the reply whose payload begins ``at`` that byte of ``message`` if it answers one of our probes."""
        if len(message) >= at + 20:
            token, stream, slot = unpack_body(message, at)
            if token == self.token:
                self.heard(REPLY, stream, 0, slot, t_ns)

    def slot_of(self, stream: int, sequence: int) -> Optional[int]:
        """Return the latest slot sent on ``stream`` whose sequence number is ``sequence``; None when none has it.

        This machine answers what it refuses to send with an error of its own: of a probe that never left.
        """
        slot = int(self.last_sent[stream] - ((self.last_sent[stream] - sequence) & 0xFFFF))
        return slot if slot >= 0 else None

    def log_sent(self, stream: int, slot: int, at: int, code: int) -> None:
        super().log_sent(stream, slot, at, code)
        if not code:
            self.last_sent[stream] = slot


def _room(sock: socket.socket) -> int:
    """Ask for room for arrivals; returns how much there is, in bytes as the kernel counts them."""
    for option in (SO_RCVBUFFORCE, socket.SO_RCVBUF):
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, MOST_UNREAD * PACKET_ROOM)
        except OSError:
            continue
        break
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


class FreshIds:
    """The fresh ids towards one target, used in turn, and whose each one was last."""

    def __init__(self, ids: range) -> None:
        self.ids = ids
        self.owners = array.array("q", [-1]) * len(ids)  # stream << 32 | slot
        self.turn = int.from_bytes(os.urandom(2), "big") % len(ids)

    def take(self, stream: int, slot: int) -> int:
        """Take the next id, from now on this slot's."""
        turn = self.turn = (self.turn + 1) % len(self.owners)
        self.owners[turn] = stream << 32 | slot
        return self.ids[turn]


class RawEcho(Echo):
    """On one raw socket: a persistent stream keeps its id, a fresh one takes its next id for every probe.

    Towards each target the fresh ids come round after FRESH_IDS / lanes probes (all streams to one target take turns).
    """

    method = "raw"
    PERSISTENT_IDS = 0x1000  # the ids above the fresh ones; both are shared out among the lanes

    def __init__(self, streams: List[Dict[str, Any]], log: Log, lane: Tuple[int, int]) -> None:
        super().__init__(streams, log)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        attach_filter(self.sock, self._filter())
        self.fire = self.sock.sendto
        self.most_unread = min(MOST_UNREAD, _room(self.sock) // PACKET_ROOM)
        number, lanes = lane
        share = self.PERSISTENT_IDS // lanes
        kept = range(FRESH_IDS + number * share, FRESH_IDS + (number + 1) * share)
        self.kept = {i: self._reserve(kept) for i, fresh in enumerate(self.fresh) if not fresh}
        self.fresh_ids = range(number * (FRESH_IDS // lanes), (number + 1) * (FRESH_IDS // lanes))
        targets = {stream["target"] for stream in streams if stream["flow"] == "fresh"}
        self.recent = {target: FreshIds(self.fresh_ids) for target in targets}
        self.turns = [self.recent[stream["target"]] if stream["flow"] == "fresh" else None for stream in streams]
        self.cycle_s = fresh_cycle_s(streams, lanes)

    def remarks(self) -> Dict[str, Any]:
        return {"fresh_cycle_s": round(self.cycle_s, 1)} if self.cycle_s < FRESH_CYCLE_S else {}

    def _filter(self) -> List[Tuple[int, int, int, int]]:
        """Accept our own echo replies, and errors (types 3, 11, 12) about anybody's ICMP; drop all else."""
        first, second = struct.unpack(">II", self.token)
        return [
            (0xB1, 0, 0, 0),  # x = length of the IP header
            (0x50, 0, 0, 0),  # a = ICMP type
            (0x15, 0, 4, 0),  # echo reply? else look for errors
            (0x40, 0, 0, 8),  # a = first half of the token
            (0x15, 0, 8, first),
            (0x40, 0, 0, 12),
            (0x15, 5, 6, second),
            (0x15, 2, 0, 3),  # unreachable
            (0x15, 1, 0, 11),  # time exceeded
            (0x15, 0, 3, 12),  # parameter problem
            (0x50, 0, 0, 17),  # a = protocol of the packet the error is about
            (0x15, 0, 1, socket.IPPROTO_ICMP),
            (0x06, 0, 0, 0xFFFF),  # accept
            (0x06, 0, 0, 0),  # drop
        ]

    @staticmethod
    def _reserve(ids: range) -> Tuple[int, socket.socket]:
        """Reserve one of ``ids`` that no other prober in this network namespace has, and the lock that keeps it."""
        first = int.from_bytes(os.urandom(2), "big") % len(ids)
        for i in range(len(ids)):
            identity = ids[(first + i) % len(ids)]
            lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                lock.bind(f"\0vrbench-icmp-id-{identity}")
            except OSError:
                lock.close()
            else:
                return identity, lock
        raise CannotProbe(f"all ICMP ids from {ids[0]} to {ids[-1]} are held by probers on this machine: stop some")

    def made(self, stream: int, slot: int) -> Packet:
        fresh = self.turns[stream]
        identity = fresh.take(stream, slot) if fresh else self.kept[stream][0]
        return self.packet(stream, slot, identity), self.addresses[stream]

    def drain(self) -> None:
        self.arrivals.look()
        time, echoed = self.arrivals.time, self.echoed
        for packet, ancillary in receive(self.sock, 0):
            at = (packet[0] & 15) * 4
            if packet[at] == 0:
                echoed(packet, at + 8, time(ancillary))
            else:
                self._refused(packet[at:], time(ancillary))

    def _refused(self, message: bytes, t_ns: Optional[int]) -> None:
        """Log the ICMP error ``message`` if the packet it quotes is one of our probes."""
        inner = 8 + (message[8] & 15) * 4 if len(message) > 8 else 0
        if len(message) < inner + 8 or message[inner] != 8:
            return
        identity, sequence = struct.unpack_from(">HH", message, inner + 4)
        found = self._origin(socket.inet_ntoa(message[24:28]), identity, sequence)
        if found:
            self.heard(REFUSED, found[0], message[0] << 8 | message[1], found[1], t_ns)

    def _origin(self, target: str, identity: int, sequence: int) -> Optional[Tuple[int, int]]:
        """Stream and slot of our probe to ``target`` with this id and sequence number; None when it is not ours."""
        if identity in self.fresh_ids:
            recent = self.recent.get(target)
            owner = recent.owners[identity - self.fresh_ids[0]] if recent else -1
            return (owner >> 32, owner & 0xFFFFFFFF) if owner >= 0 and owner & 0xFFFF == sequence else None
        for stream, (kept, _) in self.kept.items():
            if kept == identity and self.streams[stream]["target"] == target:
                slot = self.slot_of(stream, sequence)
                return None if slot is None else (stream, slot)
        return None


class DatagramEcho(Echo):
    """Without the right to raw sockets: the kernel gives each socket its id, so a fresh flow is a new socket."""

    method = "datagram"
    KEEP_NS = 2_000_000_000  # how long a fresh socket stays open for its answer

    def __init__(self, streams: List[Dict[str, Any]], log: Log) -> None:
        super().__init__(streams, log)
        self.poller = select.epoll()
        self.by_fd = {}  # type: Dict[int, Tuple[socket.socket, int, Optional[int]]]
        self.kept = [self._open(i, None) for i in range(len(streams))]
        self.rings = [collections.deque() for _ in streams]  # type: List[collections.deque[socket.socket]]
        self.limits = [max(8, min(256, self.KEEP_NS // stream["interval_ns"])) for stream in streams]

    def _open(self, stream: int, slot: Optional[int]) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        self.poller.register(sock.fileno(), select.EPOLLIN)
        self.by_fd[sock.fileno()] = (sock, stream, slot)
        return sock

    def send(self, stream: int, slot: int) -> None:
        sock = self._fresh(stream, slot) if self.fresh[stream] else self.kept[stream]
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # an earlier probe's error would fail this send
        at, code = monotonic_ns(), 0
        try:
            sock.sendto(self.packet(stream, slot, 0), self.addresses[stream])
        except OSError as error:
            code = error.errno or errno.EIO
        self.log_sent(stream, slot, at, code)

    def _fresh(self, stream: int, slot: int) -> socket.socket:
        ring = self.rings[stream]
        if len(ring) >= self.limits[stream]:
            oldest = ring.popleft()
            del self.by_fd[oldest.fileno()]
            oldest.close()
        ring.append(self._open(stream, slot))
        return ring[-1]

    def drain(self) -> None:
        self.arrivals.look()
        for fd, events in self.poller.poll(0):
            sock, stream, slot = self.by_fd[fd]
            if events & select.EPOLLERR:
                self._errors(sock, stream, slot)
            for message, ancillary in receive(sock, 0):
                self.echoed(message, 8, self.arrivals.time(ancillary))

    def _errors(self, sock: socket.socket, stream: int, slot: Optional[int]) -> None:
        for probe, ancillary in receive(sock, socket.MSG_ERRQUEUE):
            refusal = icmp_error(ancillary)
            if refusal and len(probe) >= 8:
                found = self.slot_of(stream, struct.unpack_from(">H", probe, 6)[0]) if slot is None else slot
                if found is not None:
                    self.heard(REFUSED, stream, refusal, found, self.arrivals.time(ancillary))


def open_echo(streams: List[Dict[str, Any]], log: Log, lane: Tuple[int, int] = (0, 1)) -> Echo:
    """Open the raw form where it is allowed, else the datagram form; ``lane`` is (number, of how many).

    Raises CannotProbe.
    """
    try:
        return RawEcho(streams, log, lane)
    except PermissionError:
        pass
    try:
        return DatagramEcho(streams, log)
    except PermissionError as error:
        raise CannotProbe(
            "may not send ICMP: run as root, or set sysctl net.ipv4.ping_group_range='0 2147483647'"
        ) from error
