"""A raw log as numpy columns: its records, and when each slot of each stream was sent, answered and refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vrbench.core.log.rawlog import LATEST_NS, RECORD, LogHeader, RawLogError, RecordKind, StreamHeader

RECORDS = np.dtype([("kind", "u1"), ("stream", "u1"), ("detail", "<u2"), ("slot", "<u4"), ("t_ns", "<i8")])
MISSING = 1 << 62  # stands in a column for a time that is not there: later than any, and differences fit 64 bits
STALLED_NS = 100_000_000  # a send that took longer tells of a prober that stood still
FEW_ABSENT = 1000  # slots without a record, beside as many as there are records: more are looked at
EARLY_NS = 60_000_000_000  # no prober is ahead of its schedule
MOST_ABSENT = 1 << 26  # slots in a row without a record: a week at 10 ms

Records = NDArray[np.void]
Times = NDArray[np.int64]

_KNOWN = np.isin(np.arange(256), list(RecordKind))


class LogColumns(Struct, frozen=True):
    """A whole log. Columns hold the slots of all streams, one stream after another, up to each one's last try.

    Times are ns on the log's clock, MISSING where there is none. ``width_ns``: how much later than ``sent`` the probe
    may have left. ``begun``: a connection stood. ``spans`` are the streams' places (begin, end) in the columns;
    ``end_ns`` is 0 without END, ``newest_ns`` the time of the latest record; ``turned_away`` counts by stream and
    Refusal, ``not_sent`` by stream and errno.
    """

    spans: tuple[tuple[int, int], ...]
    sent: Times
    replied: Times
    refused: Times
    ambiguous: NDArray[np.bool_]
    begun: NDArray[np.bool_]
    wall_ns: tuple[int, ...]
    turned_away: Counter[tuple[int, int]]
    not_sent: Counter[tuple[int, int]]
    end_ns: int
    newest_ns: int
    width_ns: Times


def read_records(log: bytes, offset: int, header: LogHeader) -> Records:
    """Return the records that ``rawlog.decode_records`` yields, as one array; without a copy but of older logs."""
    records = np.frombuffer(log, RECORDS, (len(log) - offset) // RECORD.size, offset)
    possible = _KNOWN[records["kind"]] & (records["stream"] < len(header.streams))
    possible &= (records["t_ns"].view("<u8") < LATEST_NS) | (records["kind"] == RecordKind.WALL)
    told = records if possible.all() else records[: possible.argmin()]
    return told if header.send_widths else _with_widths(told)


def _with_widths(records: Records) -> Records:
    """Return the records of a log from before SENT_BY as if it had been there.

    A send that took long was called AMBIGUOUS then, by the clock right after it: the record next to the slot's SENT. So
    was an answer whose time nobody knows; that comes later, unless a step of the wall clock met the first one.
    """
    held = np.flatnonzero(records["kind"] == RecordKind.AMBIGUOUS)
    held = held[held > 0]
    if not len(held) or (records["kind"] == RecordKind.SENT_BY).any():
        return records
    sent, after = records[held - 1], records[held]
    same = (sent["kind"] == RecordKind.SENT) & (sent["stream"] == after["stream"]) & (sent["slot"] == after["slot"])
    same &= (after["t_ns"] >= sent["t_ns"]) & (after["t_ns"] - sent["t_ns"] <= STALLED_NS)
    if not same.any():
        return records
    told = records.copy()
    told["kind"][held[same]] = RecordKind.SENT_BY
    return told


def read_columns(records: Records, streams: Sequence[StreamHeader]) -> LogColumns:
    """Sort the records of some streams by slot: of several sends the last counts, of several answers the first.

    Raises RawLogError for a slot at which no prober can have arrived.
    """
    tried, ends = pick(records, RecordKind.SENT, RecordKind.FAILED), pick(records, RecordKind.END)
    lengths = _lengths(tried, streams)
    stops = np.cumsum(lengths)
    slots = _Slots(stops - lengths, lengths, int(lengths.sum()))
    sent = slots.column(pick(tried, RecordKind.SENT))
    return LogColumns(
        spans=tuple(zip(slots.begins.tolist(), stops.tolist(), strict=True)),
        sent=sent,
        replied=slots.column(pick(records, RecordKind.REPLY)[::-1]),
        refused=slots.column(pick(records, RecordKind.REFUSED)[::-1]),
        ambiguous=slots.marks(pick(records, RecordKind.AMBIGUOUS, RecordKind.TURNED_AWAY)),
        begun=slots.marks(pick(records, RecordKind.CONNECTED)),
        wall_ns=tuple(pick(records, RecordKind.WALL)["t_ns"].tolist()),
        turned_away=_reasons(pick(records, RecordKind.TURNED_AWAY)),
        not_sent=_reasons(pick(tried, RecordKind.FAILED)),
        end_ns=int(ends["t_ns"][-1]) if len(ends) else 0,
        newest_ns=int(records["t_ns"].max(initial=0, where=records["kind"] != RecordKind.WALL)),
        width_ns=_widths(slots, sent, pick(records, RecordKind.SENT_BY)),
    )


def _reasons(records: Records) -> Counter[tuple[int, int]]:
    """Count records by stream and detail."""
    return Counter(zip(records["stream"].tolist(), records["detail"].tolist(), strict=True))


def _widths(slots: _Slots, sent: Times, sent_by: Records) -> Times:
    """Return how much later than ``sent`` each probe may have left; nearly all logs say of none that it may."""
    if not len(sent_by):
        return np.zeros(slots.count, np.int64)
    left_by = slots.column(sent_by)
    return np.where((left_by == MISSING) | (sent == MISSING), 0, np.maximum(left_by - sent, 0))


def pick(records: Records, *kinds: RecordKind) -> Records:
    """Return the records of some kinds, in their order."""
    here = records["kind"]
    chosen = here == kinds[0]
    for kind in kinds[1:]:
        chosen |= here == kind
    return records if chosen.all() else records.take(np.flatnonzero(chosen))


def last_ns(records: Records) -> int:
    """Return the time of the last record that has one of the log's own clock; 0 without any."""
    timed = records["t_ns"][records["kind"] != RecordKind.WALL]
    return int(timed[-1]) if len(timed) else 0


def _lengths(tried: Records, streams: Sequence[StreamHeader]) -> Times:
    """Return how many slots each stream has, up to the last that was tried."""
    slots, lengths = tried["slot"].astype(np.int64), np.zeros(len(streams), np.int64)
    np.maximum.at(lengths, tried["stream"], slots + 1)
    holds = np.bincount(tried["stream"], minlength=len(streams))
    for stream in np.flatnonzero(lengths > 2 * holds + FEW_ABSENT).tolist():
        here = tried["stream"] == stream
        _check_due(streams[stream], slots[here], tried["t_ns"][here])
        reached = np.maximum.accumulate(slots[here])
        leaps = np.diff(reached, prepend=-1)
        _check(int(reached[leaps.argmax()]), int(leaps.max()) - 1)
    return lengths


def _check_due(stream: StreamHeader, slots: Times, t_ns: Times) -> None:
    """Refuse slots that were due long after they were tried: one wrong bit of a number would make millions of gaps."""
    early_ns = stream.start_ns + slots * float(stream.interval_ns) - t_ns
    if early_ns.max() > EARLY_NS:
        slot, early_s = slots[early_ns.argmax()], early_ns.max() / 1e9
        raise RawLogError(
            f"slot {slot} of {stream.stream.name} was tried {early_s:.0f} s too early: the log is damaged"
        )


def _check(slot: int, absent: int) -> None:
    if absent > MOST_ABSENT:
        raise RawLogError(f"slot {slot} comes {absent} slots after the one before it: the log is damaged")


class _Slots(Struct, frozen=True):
    """Where each stream begins in a column of ``count`` slots, and how many slots it has."""

    begins: Times
    lengths: Times
    count: int

    def column(self, records: Records) -> Times:
        """Return the records' times by slot; of several for one slot the last record counts."""
        column = np.full(self.count, MISSING)
        places, known = self.places(records)
        column[places] = records["t_ns"][known]  # numpy assigns in order: the last stays
        return column

    def marks(self, records: Records) -> NDArray[np.bool_]:
        """Return which slots have one of the records."""
        marked = np.zeros(self.count, np.bool_)
        marked[self.places(records)[0]] = True
        return marked

    def places(self, records: Records) -> tuple[Times, NDArray[np.bool_] | slice]:
        """Return the places of records in a column, and which of them have one: those of slots that were tried."""
        streams, slots = records["stream"], records["slot"].astype(np.int64)
        beyond = slots - self.lengths[streams]
        places = self.begins[streams] + slots
        if not len(records) or beyond.max() < 0:
            return places, slice(None)
        _check(int(slots[beyond.argmax()]), int(beyond.max()))
        return places[beyond < 0], beyond < 0
