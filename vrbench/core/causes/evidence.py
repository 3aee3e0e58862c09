"""What raw logs say beside outcomes: neighbour entries over time, and for what reason probes were refused."""

from __future__ import annotations

import math
import socket
import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from enum import Enum, auto
from itertools import pairwise

from msgspec import Struct, field

from vrbench.core.log.answers import Slots, answered_slots, replies_by_stream, usual_ttl
from vrbench.core.log.columns import Records, pick
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.rawlog import LogHeader, RecordKind

RESOLVED = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80  # NUD: reachable, stale, delay, probe, noarp, permanent
ASKING = 0x01 | 0x20  # NUD: incomplete, failed: nobody has answered for the address
ANSWERED = 0x02  # NUD: reachable; what was only heard (an announcement) is stale at first
UNREACHABLE = frozenset((0x0300, 0x0301))  # ICMP: no way to that network, nobody answers for that host's address
_DETAIL = 0xFFFF
ASKS_EVERY_S = 1.0  # RetransTimer of RFC 4861, Linux's retrans_time: a router may be there so long before it is asked


class NeighbourEntry(Struct, frozen=True):
    """A neighbour entry as it was from ``at_s`` on; ``mac`` is 0 while there is none, ``state`` a kernel's NUD_*."""

    at_s: float
    mac: int
    state: int

    @property
    def resolved(self) -> bool:
        return bool(self.mac and self.state & RESOLVED)


class Move(Struct, frozen=True):
    """A neighbour entry got another MAC address; ``announced``: while the old one was still believed in.

    An announcement replaces an address that is still believed in; a machine asks when it believes in none any more.
    """

    at_s: float
    announced: bool


class Asking(Struct, frozen=True):
    """A time in which an address was asked for: from ``start_s`` until an entry had it, which may be never."""

    start_s: float
    end_s: float
    heard: bool  # whether it was heard at its end, from whoever came, and not answered

    def in_vain(self, t_s: float) -> bool:
        """Return whether nobody was there at a moment within; since when someone was, nobody knows."""
        return self.heard or t_s < self.end_s - ASKS_EVERY_S


class History(Struct, frozen=True):
    """One address's neighbour entries in order of time."""

    entries: tuple[NeighbourEntry, ...] = ()

    def at(self, t_s: float) -> NeighbourEntry | None:
        """Return the entry at a time; None before the first was seen."""
        i = bisect_right(self.entries, t_s, key=lambda e: e.at_s)
        return self.entries[i - 1] if i else None

    def mac_at(self, t_s: float) -> int:
        """Return the last address that was known at a time, though it may be asked for again by then; 0 without one."""
        known = (
            e.mac for e in reversed(self.entries[: bisect_right(self.entries, t_s, key=lambda e: e.at_s)]) if e.mac
        )
        return next(known, 0)

    def asking(self, t_s: float) -> Asking | None:
        """Return the time around a moment in which the address was asked for; None when it is not asked for then."""
        i = bisect_right(self.entries, t_s, key=lambda e: e.at_s)
        if not i or not self.entries[i - 1].state & ASKING:
            return None
        start = next((k + 1 for k in reversed(range(i)) if not self.entries[k].state & ASKING), 0)
        answer = next((e for e in self.entries[i:] if not e.state & ASKING), None)
        end_s, heard = (answer.at_s, not answer.state & ANSWERED) if answer else (math.inf, False)
        return Asking(self.entries[start].at_s, end_s, heard)

    def askings(self) -> Iterator[tuple[float, float]]:
        """Return every time in which the address was asked for."""
        for entry, after in pairwise((*self.entries, NeighbourEntry(math.inf, 0, 0))):
            if entry.state & ASKING:
                yield entry.at_s, after.at_s

    def changes(self) -> Iterator[float]:
        """Return every moment at which an entry changed, or an ``Asking`` stops being known to be in vain."""
        for before, entry in pairwise((NeighbourEntry(-math.inf, 0, 0), *self.entries)):
            if before.state & ASKING and entry.state & ANSWERED:
                yield entry.at_s - ASKS_EVERY_S
            yield entry.at_s

    def moves(self) -> tuple[Move, ...]:
        """Return every change from one MAC address to another, in order of time."""
        found, mac, asked = [], 0, False
        for entry in self.entries:
            asked = asked or not entry.resolved
            if entry.resolved:
                if mac and entry.mac != mac:
                    found.append(Move(entry.at_s, not asked))
                mac, asked = entry.mac, False
        return tuple(found)


class Speaker(Enum):
    """Who refused: what has passed as many routers as the answers of a guest is the guest's."""

    GUEST = auto()
    ROUTER = auto()
    UNKNOWN = auto()


class Refusals(Struct, frozen=True):
    """A stream's refused slots as runs of the same reason: (from, until, what) in order of time.

    ``what`` is the detail of their records, and above its 16 bits the TTL with which they came, 0 where nobody saw it.
    ``usual_ttl`` is that of the stream's answers, 0 likewise.
    """

    runs: tuple[tuple[float, float, int], ...] = ()
    usual_ttl: int = 0

    def at(self, t_s: float) -> int:
        """Return the reason at a time; 0 where the probe of that time was not refused."""
        return self._what(t_s) & _DETAIL

    def by(self, t_s: float) -> Speaker:
        """Return who refused at a time."""
        ttl = self._what(t_s) >> _DETAIL.bit_length()
        if not (ttl and self.usual_ttl):
            return Speaker.UNKNOWN
        return Speaker.GUEST if ttl == self.usual_ttl else Speaker.ROUTER

    def _what(self, t_s: float) -> int:
        i = bisect_right(self.runs, t_s, key=lambda run: run[0])
        return self.runs[i - 1][2] if i and t_s < self.runs[i - 1][1] else 0

    def cuts_within(self, start_s: float, end_s: float) -> Iterator[float]:
        """Return the moments between two at which the reason changes."""
        first = bisect_right(self.runs, start_s, key=lambda run: run[1])
        for begun, ended, _ in self.runs[first : bisect_right(self.runs, end_s, key=lambda run: run[0])]:
            yield from (t for t in (begun, ended) if start_s < t < end_s)


class Evidence(Struct, frozen=True):
    """One log's evidence: neighbour histories by address, refusals and slots with an answer by stream name.

    Answers are all that came, however late, and refusals; but for errors that say that nobody was there to answer.
    """

    node: str
    neighbours: dict[str, History]
    refusals: dict[str, Refusals]
    answered: dict[str, Slots] = field(default_factory=dict)


def read_evidence(log: LogFile) -> Evidence:
    """Read a log's evidence."""
    header, zero_ns = log.header, log.zero_ns
    entries: dict[str, list[NeighbourEntry]] = defaultdict(list)
    refused: dict[int, dict[int, int]] = defaultdict(dict)
    macs: dict[int, int] = {}  # by the time of the record that told it
    ttls: dict[tuple[int, int], int] = {}  # by stream and slot, until their refusal comes
    for kind, stream, detail, slot, t_ns in _telling(log.records):
        if kind == RecordKind.NEIGHBOUR_MAC:
            macs = {t_ns: detail << 32 | slot}
        elif kind == RecordKind.NEIGHBOUR:
            address = socket.inet_ntoa(struct.pack(">I", slot))
            entries[address].append(NeighbourEntry((t_ns - zero_ns) / 1e9, macs.pop(t_ns, 0), detail))
        elif kind == RecordKind.TTL:
            ttls = {(stream, slot): detail}
        else:
            refused[stream].setdefault(slot, ttls.pop((stream, slot), 0) << _DETAIL.bit_length() | detail)
    refusals, answered = {}, {}
    replies = replies_by_stream(log.records, len(header.streams))
    for i, told in enumerate(header.streams):
        spoken = (slot for slot, what in refused[i].items() if what & _DETAIL not in UNREACHABLE)
        answered[told.stream.name] = answered_slots(replies[i], spoken)
        if refused[i]:
            refusals[told.stream.name] = Refusals(_runs(header, i, refused[i], zero_ns), usual_ttl(replies[i]))
    return Evidence(header.node, {a: History(tuple(e)) for a, e in entries.items()}, refusals, answered)


def _telling(records: Records) -> Iterator[tuple[int, int, int, int, int]]:
    """Return the few records that are evidence, among millions of others: (kind, stream, detail, slot, t_ns)."""
    kinds = (RecordKind.REFUSED, RecordKind.TTL, RecordKind.NEIGHBOUR_MAC, RecordKind.NEIGHBOUR)
    yield from pick(records, *kinds).tolist()


def _runs(
    header: LogHeader, stream: int, refused: dict[int, int], zero_ns: int
) -> tuple[tuple[float, float, int], ...]:
    schedule = header.streams[stream]
    runs: list[list[int]] = []
    for slot, detail in sorted(refused.items()):
        if runs and runs[-1][1] == slot and runs[-1][2] == detail:
            runs[-1][1] = slot + 1
        else:
            runs.append([slot, slot + 1, detail])

    def due_s(slot: int) -> float:
        return (schedule.start_ns + slot * schedule.interval_ns - zero_ns) / 1e9

    return tuple((due_s(first), due_s(end), detail) for first, end, detail in runs)
