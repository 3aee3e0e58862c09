"""A raw log to columns: per stream, by slot, when it was sent, answered and refused.

A log of a few streams at 10 ms has millions of records within hours, so no step here costs a Python instruction per
record. The log is cut into blocks; a block's records are sorted by kind and by stream, and what belongs to one column
is put there in stretches of consecutive slots. Three things that probers do are made use of, and none is needed:
answers are logged in batches (so are sends), streams are sent in turn, and slots are sent in order.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, compress
from operator import itemgetter

from vrbench.core.lanes import MISSING, NO, YES, little, overlay
from vrbench.core.rawlog import LATEST_NS, RECORD, Kind, RawLogError

SIZE = RECORD.size
BLOCK = 1 << 15  # records that are sorted at once
BATCH = 8  # fewer records of a kind in a row than this, on average, are picked one by one
MOST_ABSENT = 1 << 26  # slots in a row without a record: a week at 10 ms
TURNS = 4  # streams that were sent in turn at least so often are told apart by their place alone


def _table(yes: bytes) -> bytes:
    return bytes(YES if value in yes else NO for value in range(256))


_IS = tuple(_table(bytes([value])) for value in range(256))
_NO_KIND = _table(bytes(set(range(256)) - set(Kind)))
_NO_TIME = _table(bytes(range(LATEST_NS >> 56, 256)))
_UNLIKE = _table(bytes(range(1, 256)))
_MANY = struct.Struct(f"{SIZE}s" * 256)
_RUN = re.compile(bytes([YES, ord("+")]))
_KNOWN = (Kind.SENT, Kind.REPLY, Kind.REFUSED, Kind.FAILED, Kind.AMBIGUOUS, Kind.TURNED_AWAY)


@dataclass(slots=True)
class StreamColumns:
    """One stream by slot; ns on the log's clock, MISSING where there is none. All columns are ``slots`` long."""

    sent: array[int] = field(default_factory=lambda: array("q"))
    replied: array[int] = field(default_factory=lambda: array("q"))
    refused: array[int] = field(default_factory=lambda: array("q"))
    ambiguous: set[int] = field(default_factory=set)
    slots: int = 0  # up to the last one that was sent or tried

    def level(self) -> None:
        """Bring all columns to their length."""
        for column in (self.sent, self.replied, self.refused):
            del column[self.slots :]
            _reach(column, self.slots)


@dataclass(slots=True)
class LogColumns:
    """A whole log; ``end_ns`` is 0 without END, ``newest_ns`` the time of the latest record."""

    streams: tuple[StreamColumns, ...]
    wall_ns: list[int] = field(default_factory=list)
    turned_away: Counter[tuple[int, int]] = field(default_factory=Counter)  # by stream and Refusal
    end_ns: int = 0
    newest_ns: int = 0


def read_columns(log: bytes, offset: int, streams: int) -> LogColumns:
    """The records from ``offset`` on, of a log of so many streams, until the first one that can't be one."""
    columns = LogColumns(tuple(StreamColumns() for _ in range(streams)))
    end = offset + _whole(log, offset, streams) * SIZE
    for block in _blocks(log, offset, end):
        for kind, records in _by_kind(block):
            _file(columns, kind, records)
    for stream in columns.streams:
        stream.level()
    if not columns.end_ns:
        columns.newest_ns = max(map(_newest, _blocks(log, offset, end)), default=0)
    return columns


def _blocks(log: bytes, offset: int, end: int) -> Iterator[bytes]:
    return (log[at : min(end, at + BLOCK * SIZE)] for at in range(offset, end, BLOCK * SIZE))


def _whole(log: bytes, offset: int, streams: int) -> int:
    """How many records there are before the first that can't be one."""
    count = (len(log) - offset) // SIZE
    end = offset + count * SIZE
    kinds, indexes, tops = log[offset:end:SIZE], log[offset + 1 : end : SIZE], log[offset + SIZE - 1 : end : SIZE]
    bad = [kinds.translate(_NO_KIND), indexes.translate(_table(bytes(range(streams, 256)))), tops.translate(_NO_TIME)]
    bad[2] = overlay(bad[2], kinds.translate(_IS[Kind.WALL]), NO) if YES in bad[2] else bad[2]
    found = [at for at in (mask.find(YES) for mask in bad) if at >= 0]
    return min(found, default=count)


def _newest(block: bytes) -> int:
    """The latest time of all records but WALL."""
    return max((max(_times(records)) for kind, records in _by_kind(block) if kind is not Kind.WALL), default=0)


def _file(columns: LogColumns, kind: Kind, records: bytes) -> None:
    """Put a block's records of one kind where they belong."""
    if kind is Kind.WALL:
        columns.wall_ns += _times(records)
    elif kind is Kind.END:
        columns.end_ns = _times(records)[-1]
    elif kind in _KNOWN:
        if kind is Kind.TURNED_AWAY:
            columns.turned_away.update((r[1], r[2]) for r in RECORD.iter_unpack(records))
        for index, slots, times in _by_stream(records):
            _enter(columns.streams[index], kind, slots, times)


def _enter(stream: StreamColumns, kind: Kind, slots: array[int], times: array[int]) -> None:
    """File records of one stream and kind; the last send counts, and the first answer."""
    if kind in (Kind.AMBIGUOUS, Kind.TURNED_AWAY):
        stream.ambiguous.update(slots)
        return
    if kind in (Kind.SENT, Kind.FAILED):
        stream.slots = max(stream.slots, max(slots) + 1)
    if kind is Kind.FAILED:
        return
    column = {Kind.SENT: stream.sent, Kind.REPLY: stream.replied, Kind.REFUSED: stream.refused}[kind]
    place = _place_last if kind is Kind.SENT else _place_first
    for begin, end in _stretches(slots):
        place(column, slots[begin], times[begin:end])


def _reach(column: array[int], length: int) -> None:
    """Make a column at least that long. Raises RawLogError where no prober can have been silent for so long."""
    absent = length - len(column)
    if absent > MOST_ABSENT:
        raise RawLogError(f"slot {length} comes {absent} slots after the one before it: the log is damaged")
    if absent > 0:
        column.extend(array("q", [MISSING]) * absent)


def _place_last(column: array[int], slot: int, times: array[int]) -> None:
    """Enter times from ``slot`` on, whatever was there."""
    _reach(column, slot)
    column[slot : slot + len(times)] = times


def _place_first(column: array[int], slot: int, times: array[int]) -> None:
    """Enter times from ``slot`` on where nothing is yet."""
    _reach(column, slot)
    there = len(column) - slot
    for at, time in enumerate(times[:there], slot):
        if column[at] == MISSING:
            column[at] = time
    column.extend(times[there:])


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


def _by_kind(block: bytes) -> Iterator[tuple[Kind, bytes]]:
    """A block's records of each kind, in their order."""
    kinds = block[::SIZE]
    for kind in sorted(set(kinds)):
        yield Kind(kind), _pick(block, kinds.translate(_IS[kind]))


def _pick(records: bytes, mask: bytes) -> bytes:
    """The records that ``mask`` says YES to."""
    if NO not in mask:
        return records
    if mask.count(bytes([NO, YES])) * BATCH > len(mask):
        return b"".join(compress(_listed(records), mask))
    return b"".join(records[m.start() * SIZE : m.end() * SIZE] for m in _RUN.finditer(mask))


def _by_stream(records: bytes) -> Iterator[tuple[int, array[int], array[int]]]:
    """(stream, slots, times) of records, in their order for each stream, not all at once."""
    for begin, end, turns in _turns(records[1::SIZE]):
        part = records[begin * SIZE : end * SIZE]
        indexes = part[1 : turns * SIZE : SIZE]
        if turns and len(set(indexes)) == turns:
            slots, times = _slots(part), _times(part)
            for first, index in enumerate(indexes):
                yield index, slots[first::turns], times[first::turns]
        else:
            yield from _sorted(part)


def _sorted(records: bytes) -> Iterator[tuple[int, array[int], array[int]]]:
    listed = _listed(records)
    listed.sort(key=itemgetter(1))
    ordered = b"".join(listed)
    indexes, slots, times, begin = ordered[1::SIZE], _slots(ordered), _times(ordered), 0
    while begin < len(indexes):
        end = bisect_right(indexes, indexes[begin], begin)
        yield indexes[begin], slots[begin:end], times[begin:end]
        begin = end


def _turns(indexes: bytes) -> Iterator[tuple[int, int, int]]:
    """(begin, end, n): parts in which n streams take turns, and n = 0 for what lies between such parts."""
    count, done, at = _usual_turns(indexes), 0, -1
    if count:
        marks = _repeats(indexes, count)
        at = marks.find(bytes([NO]) * (TURNS * count))
    while at >= 0:
        if at > done:
            yield done, at, 0
        stop = marks.find(YES, at)
        done = (len(marks) if stop < 0 else stop) + count
        yield at, done, count
        at = marks.find(bytes([NO]) * (TURNS * count), done)
    if done < len(indexes):
        yield done, len(indexes), 0


def _usual_turns(indexes: bytes) -> int:
    """How far apart a stream comes again, most often; 0 when none does."""
    step = max(1, len(indexes) // 8)
    found = (indexes.find(indexes[at : at + 1], at + 1) - at for at in range(0, len(indexes), step))
    usual = Counter(distance for distance in found if distance > 0).most_common(1)
    return usual[0][0] if usual else 0


def _repeats(indexes: bytes, distance: int) -> bytes:
    """NO where the stream is the same as ``distance`` later, YES where it is another."""
    whole, count = int.from_bytes(indexes, "little"), len(indexes) - distance
    unlike = (whole >> 8 * distance) ^ (whole & ((1 << 8 * count) - 1))
    return unlike.to_bytes(count, "little").translate(_UNLIKE)


def _listed(records: bytes) -> list[bytes]:
    """One object per record, made many at a time."""
    short = -len(records) % _MANY.size
    return list(chain.from_iterable(_MANY.iter_unpack(records + bytes(short))))[: len(records) // SIZE]


def _times(records: bytes) -> array[int]:
    """The times of records."""
    return _numbers("q", records)[1::2]


def _slots(records: bytes) -> array[int]:
    """The slots of records."""
    return _numbers("I", records)[1::4]


def _numbers(typecode: str, records: bytes) -> array[int]:
    numbers = array(typecode, records)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
