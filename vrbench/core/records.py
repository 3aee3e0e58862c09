"""The records of a raw log told apart by kind and by stream, without a Python instruction per record.

Two things that probers do are made use of, and neither is needed: sends and answers are logged in batches, and streams
are sent in turn. What comes in turn is told apart by its place; all else is sorted.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from itertools import chain, compress
from operator import itemgetter

from vrbench.core.lanes import NO, YES, table
from vrbench.core.rawlog import RECORD, Kind

SIZE = RECORD.size
BATCH = 8  # fewer records of a kind in a row than this, on average, are picked one by one
SOME = 2048  # records by which that is judged
TURNS = 16  # streams that were sent in turn at least so often are told apart by their place alone

IS = tuple(table([value]) for value in range(256))
_UNLIKE = table(range(1, 256))
_MANY = struct.Struct(f"{SIZE}s" * 256)
_RUN = re.compile(bytes([YES, ord("+")]))


def by_kind(block: bytes) -> Iterator[tuple[Kind, bytes]]:
    """A block's records of each kind, in their order."""
    kinds = block[::SIZE]
    for kind in Kind:
        if kind in kinds:
            yield kind, _pick(block, kinds.translate(IS[kind]))


def _pick(records: bytes, mask: bytes) -> bytes:
    """The records that ``mask`` says YES to."""
    if NO not in mask:
        return records
    if mask[:SOME].count(bytes([NO, YES])) * BATCH > min(SOME, len(mask)):
        return b"".join(compress(_listed(records), mask))
    return b"".join([records[begin * SIZE : end * SIZE] for begin, end in map(re.Match.span, _RUN.finditer(mask))])


def by_stream(records: bytes) -> Iterator[tuple[int, array[int], array[int]]]:
    """(stream, slots, times) of records, in their order for each stream, not all at once."""
    for begin, end, turns in _turns(records[1::SIZE]):
        part = records[begin * SIZE : end * SIZE]
        indexes = part[1 : turns * SIZE : SIZE]
        if turns and len(set(indexes)) == turns:
            slots, times = slots_of(part), times_of(part)
            for first, index in enumerate(indexes):
                yield index, slots[first::turns], times[first::turns]
        else:
            yield from _sorted(part)


def _sorted(records: bytes) -> Iterator[tuple[int, array[int], array[int]]]:
    listed = _listed(records)
    listed.sort(key=itemgetter(1))
    ordered = b"".join(listed)
    indexes, slots, times, begin = ordered[1::SIZE], slots_of(ordered), times_of(ordered), 0
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


def times_of(records: bytes) -> array[int]:
    """The times of records."""
    return _numbers("q", records)[1::2]


def slots_of(records: bytes) -> array[int]:
    """The slots of records."""
    return _numbers("I", records)[1::4]


def _numbers(typecode: str, records: bytes) -> array[int]:
    numbers = array(typecode, records)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
