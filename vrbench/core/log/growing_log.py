"""The live view of a raw log that is still being written: which stream is up or down now, and for how long.

Only for watching and for deciding when everything has recovered; the figures come from ``analysis`` afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from vrbench.core.log.history import NOTHING_MARKED, Fate, Marked, Probed, ProbeHistory
from vrbench.core.log.rawlog import RECORD, LogHeader, Record, RecordKind, decode_header, decode_records
from vrbench.core.model import Stream


class StreamState(Struct, frozen=True):
    """One stream now. Times are ns on the log's own clock; ``up`` is None before the first judged probe.

    ``since_ns`` is the send time of the first probe of the present state, ``judged_ns`` that of the newest judged one,
    ``probes`` how many the present state has lasted, ``down_ns`` the closed windows so far. ``asked_ns`` is the send
    time of the oldest probe of which nobody knows yet what became of it, 0 where there is none. ``unfit``: its baseline
    was too lossy to tell an outage.
    """

    node: str
    stream: Stream
    up: bool | None
    since_ns: int
    judged_ns: int
    probes: int
    windows: int
    down_ns: int
    asked_ns: int = 0
    unfit: bool = False


_SILENT = (Fate.SILENT, 0)


class _Track(Struct):
    """One stream while it is being followed.

    ``history`` is kept until the operation is requested. From then on so many losses in a row as ``tolerated`` says are
    like the baseline, and change nothing; ``run`` counts them.
    """

    pending: dict[int, int] = field(default_factory=dict)  # slot -> sent_ns, not judged yet, in order of slots
    answers: dict[int, tuple[Fate, int]] = field(default_factory=dict)  # for slots behind one that is still open
    history: list[Probed] | None = field(default_factory=list)
    late_ns: list[int] = field(default_factory=list)
    tolerated: int = 0
    unfit: bool = False
    run: int = 0
    run_ns: int = 0
    up: bool | None = None
    since_ns: int = 0
    judged_ns: int = 0
    probes: int = 0
    windows: int = 0
    down_ns: int = 0

    def state(self, node: str, stream: Stream) -> StreamState:
        asked_ns = next(iter(self.pending.values()), 0)
        judged = (self.up, self.since_ns, self.judged_ns, self.probes, self.windows, self.down_ns)
        return StreamState(node, stream, *judged, asked_ns, self.unfit)

    def note(self, sent_ns: int, fate: Fate, reason: int) -> None:
        if self.history is not None:
            self.history.append(Probed(sent_ns, fate, reason))

    def judge(self, sent_ns: int, up: bool) -> None:
        self.judged_ns = max(self.judged_ns, sent_ns)
        self.run = 0 if up else self.run + 1
        self.run_ns = sent_ns if self.run == 1 else self.run_ns
        if self.up and 0 < self.run <= self.tolerated:
            self.probes += 1
            return
        if up is not self.up:
            if self.up is False:
                self.down_ns += sent_ns - self.since_ns
            self.windows += not up
            self.up, self.since_ns, self.probes = up, sent_ns if up else self.run_ns, max(0, self.run - 1)
        self.probes += 1


class GrowingLog:
    """Feed it the log's bytes as they come; ask for the states."""

    def __init__(self, threshold_ns: int) -> None:
        self._threshold_ns = threshold_ns
        self._rest = b""
        self._header: LogHeader | None = None
        self._tracks: list[_Track] = []
        self._newest_ns = 0
        self.ended = False

    def feed(self, chunk: bytes) -> None:
        """Take more bytes, in order. Raises RawLogError when the header can't be read."""
        self._rest += chunk
        if self._header is None:
            if b"\n" not in self._rest:
                return
            self._header, offset = decode_header(self._rest)
            self._rest = self._rest[offset:]
            self._tracks = [_Track() for _ in self._header.streams]
        whole = len(self._rest) // RECORD.size * RECORD.size
        self._take(decode_records(self._rest[:whole], 0, len(self._tracks)))
        self._rest = self._rest[whole:]

    def mark(self, marked: Marked = NOTHING_MARKED) -> None:
        """Count windows and down time from now on, by what the baseline said (the operation is about to be requested).

        What became of single probes is no longer kept.
        """
        for track, header in zip(self._tracks, self._header.streams if self._header else (), strict=True):
            track.windows = track.down_ns = 0
            track.history = None
            track.tolerated = marked.tolerated.get(header.stream.name, 0)
            track.unfit = header.stream.name in marked.unfit

    def histories(self) -> tuple[ProbeHistory, ...]:
        """Return what became of each probe that is judged by now, per stream; nothing once the baseline is over."""
        if self._header is None:
            return ()
        for track in self._tracks:
            self._settle(track)
        return tuple(
            ProbeHistory(self._header.node, h.stream, tuple(t.history or ()), tuple(t.late_ns))
            for h, t in zip(self._header.streams, self._tracks, strict=True)
        )

    def states(self) -> tuple[StreamState, ...]:
        """Return all streams, judged as far as the newest record allows."""
        if self._header is None:
            return ()
        for track in self._tracks:
            self._settle(track)
        return tuple(
            t.state(self._header.node, h.stream) for h, t in zip(self._header.streams, self._tracks, strict=True)
        )

    def _take(self, records: Iterable[Record]) -> None:
        for r in records:
            if r.kind is RecordKind.WALL:
                continue
            self._newest_ns = max(self._newest_ns, r.t_ns)
            if r.kind is RecordKind.END:
                self.ended = True
            elif r.kind is RecordKind.SENT:
                self._tracks[r.stream].pending[r.slot] = r.t_ns
            elif r.kind is RecordKind.SENT_BY and r.slot in self._tracks[r.stream].pending:
                self._tracks[r.stream].pending[r.slot] = r.t_ns  # what came in time after this was in time
            elif r.kind in (RecordKind.REPLY, RecordKind.REFUSED):
                self._answer(self._tracks[r.stream], r)
            elif r.kind is RecordKind.FAILED:
                self._tracks[r.stream].note(r.t_ns, Fate.NOT_SENT, r.detail)
            elif r.kind in (RecordKind.AMBIGUOUS, RecordKind.TURNED_AWAY):
                self._void(self._tracks[r.stream], r)

    def _void(self, track: _Track, record: Record) -> None:
        """Take a slot for neither up nor down: as if it had never been sent."""
        sent_ns = track.pending.pop(record.slot, None)
        track.answers.pop(record.slot, None)
        if sent_ns is not None and record.kind is RecordKind.TURNED_AWAY:
            track.note(sent_ns, Fate.TURNED_AWAY, record.detail)

    def _answer(self, track: _Track, record: Record) -> None:
        sent_ns = track.pending.get(record.slot)
        in_time = sent_ns is not None and record.t_ns - sent_ns <= self._threshold_ns
        if not in_time and record.kind is RecordKind.REPLY and track.history is not None:
            track.late_ns.append(record.t_ns)
        if sent_ns is not None:
            said = (Fate.ANSWERED, 0) if record.kind is RecordKind.REPLY else (Fate.REFUSED, record.detail)
            track.answers.setdefault(record.slot, said if in_time else _SILENT)

    def _settle(self, track: _Track) -> None:
        """Judge slots in their order: one without an answer holds up those behind it until its time is over."""
        while track.pending:
            slot, sent_ns = next(iter(track.pending.items()))
            expired = self.ended or sent_ns + self._threshold_ns < self._newest_ns
            if slot not in track.answers and not expired:
                return
            del track.pending[slot]
            fate, reason = track.answers.pop(slot, _SILENT)
            track.note(sent_ns, fate, reason)
            track.judge(sent_ns, fate is Fate.ANSWERED)
