"""Whole columns of numbers compared at C speed, with nothing but Python's own big integers.

A column is an ``array('q')`` of nanoseconds. Some thousand of its numbers side by side make one big integer, a lane of
64 bits each, and one subtraction subtracts them all. A lane must not borrow from its neighbour: numbers are from 0 to
MISSING, and each difference is taken from a bit above them, which is then the answer: still set where nothing was
borrowed, so where the number subtracted was not the larger one. That costs a tenth of a loop over the column, and
less than half of ``map``.

Results are masks, one byte per number: YES or NO.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache

LIMIT = 1 << 61  # numbers are below this: 73 years in nanoseconds
MISSING = 1 << 62  # stands in a column for a number that is not there: later than any
YES, NO = 0xFF, 0x00
AT_ONCE = 2048  # 16 KiB of numbers stay in the cache
_GUARD = 1 << 63
_BIAS = 1 << 62


def table(yes: Iterable[int]) -> bytes:
    """For ``bytes.translate``: YES for these values, NO for all others."""
    chosen = set(yes)
    return bytes(YES if value in chosen else NO for value in range(256))


_NOT_BORROWED = table(range(0x80, 0x100))
_IS_MISSING = table([MISSING >> 56])


@cache
def _ones() -> int:
    return int.from_bytes((1).to_bytes(8, "little") * AT_ONCE, "little")


@lru_cache(maxsize=16)
def _every(number: int) -> int:
    """That number in each lane."""
    return number * _ones()


@cache
def _ramp() -> int:
    return int.from_bytes(little(array("q", range(AT_ONCE))), "little")


def within(later: array[int], earlier: array[int], limit: int) -> bytes:
    """Where ``later - earlier <= limit``; nothing is known where both are missing."""
    base = _every(max(-LIMIT, min(limit, LIMIT)) + _GUARD)
    return _masked(len(later), lambda at: base + _lanes(earlier, at) - _lanes(later, at))


def not_above(column: array[int], limit: int) -> bytes:
    """Where a number is ``limit`` or less; here numbers may be anything from 0 on that an array holds."""
    base = _every(max(-1, min(limit, _GUARD - 1)) + _GUARD)
    return _masked(len(column), lambda at: base - _lanes(column, at))


def on_line(column: array[int], start: int, step: int) -> bytes:
    """Where number k is ``start + k * step`` or less; the whole line must lie between -LIMIT and LIMIT."""
    ones, rise = _ones(), step * _ramp()
    return _masked(len(column), lambda at: (start + at * step + _GUARD) * ones + rise - _lanes(column, at))


def differences(later: array[int], earlier: array[int]) -> array[int]:
    """``later - earlier``, raised by ``raised(0)`` so that all fit; nothing is known where one is missing."""
    base, found = _every(_BIAS), array("q")
    for at in range(0, len(later), AT_ONCE):
        count = min(AT_ONCE, len(later) - at)
        lanes = base + _lanes(later, at) - _lanes(earlier, at)
        found.frombytes(lanes.to_bytes(8 * AT_ONCE, "little")[: 8 * count])
    if sys.byteorder == "big":
        found.byteswap()
    return found


def raised(difference: int) -> int:
    """What ``differences`` holds for a difference."""
    return difference + _BIAS


def missing(column: array[int]) -> bytes:
    """Where there is no number."""
    return little(column)[7::8].translate(_IS_MISSING)


def overlay(codes: bytes | bytearray, mask: bytes, code: int) -> bytes:
    """``codes`` with ``code`` wherever ``mask`` says YES."""
    below, chosen = int.from_bytes(codes, "little"), int.from_bytes(mask, "little")
    above = int.from_bytes(bytes([code]) * len(codes), "little")
    return (below ^ ((below ^ above) & chosen)).to_bytes(len(codes), "little")


def places(mask: bytes) -> Iterator[int]:
    """Where it says YES."""
    at = mask.find(YES)
    while at >= 0:
        yield at
        at = mask.find(YES, at + 1)


def _lanes(column: array[int], at: int) -> int:
    return int.from_bytes(little(column[at : at + AT_ONCE]), "little")


def little(column: array[int]) -> bytes:
    """A column's numbers as bytes, little endian."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()


def _masked(length: int, lanes: Callable[[int], int]) -> bytes:
    """The guard bits of all lanes as a mask; lanes past the end are cut off."""
    tops = [lanes(at).to_bytes(8 * AT_ONCE, "little")[7::8] for at in range(0, length, AT_ONCE)]
    return b"".join(tops)[:length].translate(_NOT_BORROWED)
