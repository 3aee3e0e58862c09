"""A raw log to columns: per stream, by slot, when it was sent, answered and refused.

A log of a few streams at 10 ms has millions of records within hours, so no step here costs a Python instruction per
record. The log is cut into blocks, the records of each are told apart (``core.records``), and what belongs to one
column is put there in stretches of consecutive slots: that slots are sent in order is made use of, and not needed.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from vrbench.core.lanes import MISSING, NO, YES, little, overlay, table
from vrbench.core.rawlog import LATEST_NS, RECORD, Kind, RawLogError
from vrbench.core.records import IS, SIZE, by_kind, by_stream, times_of

BLOCK = 1 << 15  # records that are told apart at once
MOST_ABSENT = 1 << 26  # slots in a row without a record: a week at 10 ms

_NO_KIND = table(set(range(256)) - set(Kind))
_NO_TIME = table(range(LATEST_NS >> 56, 256))
_UNLIKE = table(range(1, 256))


@dataclass(slots=True)
class Column:
    """Times by slot, as they come; MISSING where there is none. ``keep``: of two, the first stays."""

    keep: bool
    numbers: array[int] = field(default_factory=lambda: array("q"))
    parts: list[array[int]] = field(default_factory=list)  # what follows, not joined yet
    length: int = 0
    whole: bool = True  # nothing is missing in it

    def enter(self, slot: int, times: array[int]) -> None:
        """File times from ``slot`` on. Raises RawLogError where no prober can have been silent for so long."""
        if slot < self.length:
            self._change(slot, times)
            return
        self.reach(slot)
        self.parts.append(times)
        self.length += len(times)

    def reach(self, length: int) -> None:
        """Make it at least that long."""
        absent = length - self.length
        if absent > MOST_ABSENT:
            raise RawLogError(f"slot {length} comes {absent} slots after the one before it: the log is damaged")
        if absent > 0:
            self.whole = False
            self.parts.append(array("q", [MISSING]) * absent)
            self.length = length

    def joined(self) -> array[int]:
        """All of it."""
        self.numbers.frombytes(b"".join(self.parts))
        self.parts.clear()
        return self.numbers

    def _change(self, slot: int, times: array[int]) -> None:
        """Times for slots that came before already."""
        for part in self.parts:
            self.numbers.extend(part)
        self.parts.clear()
        if self.keep:
            there = self.length - slot
            for at, time in enumerate(times[:there], slot):
                if self.numbers[at] == MISSING:
                    self.numbers[at] = time
            self.numbers.extend(times[there:])
        else:
            self.numbers[slot : slot + len(times)] = times
        self.length = len(self.numbers)


@dataclass(slots=True)
class StreamColumns:
    """One stream by slot, times in ns on the log's clock: the last send of a slot counts, and its first answer."""

    sent: Column = field(default_factory=lambda: Column(keep=False))
    replied: Column = field(default_factory=lambda: Column(keep=True))
    refused: Column = field(default_factory=lambda: Column(keep=True))
    ambiguous: set[int] = field(default_factory=set)
    slots: int = 0  # up to the last one that was sent or tried

    def enter(self, kind: Kind, slots: array[int], times: array[int]) -> None:
        """File records of one kind."""
        if kind in (Kind.AMBIGUOUS, Kind.TURNED_AWAY):
            self.ambiguous.update(slots)
        elif kind is Kind.FAILED:
            self.slots = max(self.slots, max(slots) + 1)
        elif kind is Kind.SENT:
            for begin, end in _stretches(slots):
                self.sent.enter(slots[begin], times[begin:end])
            self.slots = max(self.slots, self.sent.length)
        elif kind in (Kind.REPLY, Kind.REFUSED):
            column = self.replied if kind is Kind.REPLY else self.refused
            for begin, end in _stretches(slots):
                column.enter(slots[begin], times[begin:end])

    def level(self, column: Column) -> array[int]:
        """One of the columns, as long as there are slots."""
        column.reach(self.slots)
        numbers = column.joined()
        del numbers[self.slots :]
        return numbers


@dataclass(slots=True)
class LogColumns:
    """A whole log; ``end_ns`` is 0 without END, ``newest_ns`` the time of the latest record."""

    streams: tuple[StreamColumns, ...]
    wall_ns: list[int] = field(default_factory=list)
    turned_away: Counter[tuple[int, int]] = field(default_factory=Counter)  # by stream and Refusal
    end_ns: int = 0
    newest_ns: int = 0

    def enter(self, kind: Kind, records: bytes) -> None:
        """File records of one kind."""
        if kind is Kind.WALL:
            self.wall_ns += times_of(records)
        elif kind is Kind.END:
            self.end_ns = times_of(records)[-1]
        else:
            if kind is Kind.TURNED_AWAY:
                self.turned_away.update((r[1], r[2]) for r in RECORD.iter_unpack(records))
            for index, slots, times in by_stream(records):
                self.streams[index].enter(kind, slots, times)


def read_columns(log: bytes, offset: int, streams: int) -> LogColumns:
    """The records from ``offset`` on, of a log of so many streams, until the first one that can't be one."""
    columns = LogColumns(tuple(StreamColumns() for _ in range(streams)))
    end = offset + _whole(log, offset, streams) * SIZE
    for block in _blocks(log, offset, end):
        for kind, records in by_kind(block):
            columns.enter(kind, records)
    if not columns.end_ns:
        columns.newest_ns = max(map(_newest, _blocks(log, offset, end)), default=0)
    return columns


def _blocks(log: bytes, offset: int, end: int) -> Iterator[bytes]:
    return (log[at : min(end, at + BLOCK * SIZE)] for at in range(offset, end, BLOCK * SIZE))


def _newest(block: bytes) -> int:
    """The latest time of all records but WALL."""
    return max((max(times_of(records)) for kind, records in by_kind(block) if kind is not Kind.WALL), default=0)


def _whole(log: bytes, offset: int, streams: int) -> int:
    """How many records there are before the first that can't be one."""
    count = (len(log) - offset) // SIZE
    end = offset + count * SIZE
    kinds, indexes, tops = log[offset:end:SIZE], log[offset + 1 : end : SIZE], log[offset + SIZE - 1 : end : SIZE]
    bad = [kinds.translate(_NO_KIND), indexes.translate(table(range(streams, 256))), tops.translate(_NO_TIME)]
    bad[2] = overlay(bad[2], kinds.translate(IS[Kind.WALL]), NO) if YES in bad[2] else bad[2]
    found = [at for at in (mask.find(YES) for mask in bad) if at >= 0]
    return min(found, default=count)


def _stretches(slots: array[int]) -> Iterator[tuple[int, int]]:
    """Where ``slots`` goes up one by one, as (begin, end)."""
    begin = 0
    for end in (*_breaks(slots), len(slots)):
        yield begin, end
        begin = end


def _breaks(slots: array[int]) -> Iterator[int]:
    """The places whose slot is not the one before it plus one: lanes of 32 bits, see ``core.lanes``."""
    count = len(slots) - 1
    lanes = int.from_bytes(little(slots), "little")
    followers = int.from_bytes(b"\1\0\0\0" * count, "little")
    unlike = (lanes >> 32) ^ ((lanes & ((1 << 32 * count) - 1)) + followers)
    if not unlike:
        return
    marks = unlike.to_bytes(4 * count + 1, "little").translate(_UNLIKE)
    at = marks.find(YES)
    while 0 <= at < 4 * count:
        yield at // 4 + 1
        at = marks.find(YES, (at | 3) + 1)
