"""What ping printed in a guest without Python, turned into a raw sample log (vrbench-raw/1) as it comes.

The text is that of ``probes/ping_agent.sh``: every line stamped with /proc/uptime when it was read, in hundredths of a
second. Those stamps are the only clock: ping's own timestamps are wall clock, which may be stepped. How late a line was
read shows beside ping's pace or its timestamps (a step of them looks like lateness that stays, and is let pass): one
read later than ``LATE`` says that its probe was answered, and nothing about when. Its slot stays a gap.

Ping says when an answer came and how long it took, so when that probe was sent; of a lost one only iputils says when
(``no answer yet for 7``: number 8 is about to be sent), else see ``pingtimes``. Slots are given by time: where ping did
not send, there is none.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct, field

from vrbench.core.log.pingtimes import PRECISE_NS, send_times
from vrbench.core.log.rawlog import RECORD, LogHeader, RecordKind, StreamHeader, encode_header
from vrbench.core.model import Stream

TICK = 10_000_000  # /proc/uptime counts hundredths of a second
LATE = 15_000_000  # a tick and a little: read later than this, a line says nothing about when
GRAIN_NS, LONE_GRAIN_NS = LATE + PRECISE_NS, 20_000_000  # how far a send time may be off: of one ping, of one each
SECOND = 1_000_000_000
SETTLE = SECOND  # answers that take longer are none, so after this a probe's fate is known
LONE_WAIT = SECOND  # ``-W 1``: how long a ping of one probe waits
COUNTS_FROM_ONE = "iputils"
PAST = 2 * SECOND  # lines this much older are no measure for a line's lateness

_ANSWER = re.compile(r"(?:icmp_)?seq=(\d+) ttl=\d+ time=([\d.]+) ms(?! \(DUP)")
_SILENCE = re.compile(r"no answer yet for icmp_seq=(\d+)")
_REFUSAL = re.compile(r"From \S+ icmp_seq=(\d+) (.+)")
_SENT = re.compile(r"(\d+) packets transmitted")
_WALL = re.compile(r"\[(\d+)\.(\d{6})\]")
_REASONS = {
    "Destination Net Unreachable": 0x0300,
    "Destination Host Unreachable": 0x0301,
    "Destination Port Unreachable": 0x0303,
    "Destination Net Prohibited": 0x0309,
    "Destination Host Prohibited": 0x030A,
    "Packet filtered": 0x030D,
    "Time to live exceeded": 0x0B00,
}


class PingStream(Struct, frozen=True):
    """A stream that ping probes every ``asked_ns``, never faster; ``period_ns`` is what it makes of that."""

    stream: Stream
    asked_ns: int
    period_ns: int

    @property
    def grain_ns(self) -> int:
        return LONE_GRAIN_NS if self.stream.kind.new_flows else GRAIN_NS


class PingSetup(Struct, frozen=True):
    """What the header says: the guest, how it is probed (``iputils-20ms-new-500ms``), its streams by index."""

    node: str
    method: str
    streams: tuple[PingStream, ...]


class PingLog:
    """Feed it the text as it comes; it returns what is to be appended to the raw log."""

    def __init__(self, setup: PingSetup) -> None:
        self._setup = setup
        self._rest = b""
        self._tracks: list[_Ping | _Lone] = []

    def feed(self, text: bytes) -> bytes:
        """Take more text, in order; return records (the first time with the header before them)."""
        *lines, self._rest = (self._rest + text).split(b"\n")
        return b"".join(part for line in lines for part in self._line(line.decode(errors="replace")))

    def _line(self, line: str) -> Iterator[bytes]:
        stamp, _, rest = line.partition(" ")
        who, _, words = rest.partition(" ")
        try:
            up_ns = round(float(stamp) * 100) * TICK
        except ValueError:
            return
        if who == "begin":
            yield self._begin(up_ns)
        for index, track in enumerate(self._tracks):
            if who == str(index):
                yield from (_pack(index, fact) for fact in track.hear(up_ns, words))
            yield from (_pack(index, fact) for fact in track.settle(up_ns, over=who == "end"))
        if who == "end":
            yield RECORD.pack(RecordKind.END, 0, 0, 0, up_ns)

    def _begin(self, up_ns: int) -> bytes:
        first = 1 if self._setup.method.startswith(COUNTS_FROM_ONE) else 0
        self._tracks = [
            _Lone(s, _Slots(up_ns, s.period_ns))
            if s.stream.kind.new_flows
            else _Ping(s, _Slots(up_ns, s.period_ns), first)
            for s in self._setup.streams
        ]
        return header_line(self._setup, up_ns)


def header_line(setup: PingSetup, started_ns: int) -> bytes:
    """Return the raw log's first line."""
    streams = tuple(StreamHeader(s.stream, started_ns, s.period_ns, s.grain_ns) for s in setup.streams)
    return encode_header(LogHeader(setup.node, started_ns, streams, setup.method))


class _Fact(Struct, frozen=True):
    """A record but for its stream."""

    kind: RecordKind
    detail: int
    slot: int
    t_ns: int


def _pack(stream: int, fact: _Fact) -> bytes:
    return RECORD.pack(fact.kind, stream, fact.detail, fact.slot, fact.t_ns)


class _Slots(Struct):
    """Gives slots by time, each once, in order."""

    start_ns: int
    period_ns: int
    last: int = -1

    def next(self, sent_ns: int) -> int:
        self.last = max(self.last + 1, round((sent_ns - self.start_ns) / self.period_ns))
        return self.last


class _Line(Struct, frozen=True):
    """A line about a probe: when it was read, and that by another clock (wall, or ping's pace)."""

    up_ns: int
    lag_ns: int  # the one minus the other: constant but for how late the line was read
    number: int
    rtt_ns: int = 0
    reason: int = 0
    wall_ns: int = 0
    doubtful: bool = False


class _Ping(Struct):
    """A persistent stream: one ping after another (there is only one unless an error ends it)."""

    setup: PingStream
    slots: _Slots
    first: int  # the number of ping's first probe
    lines: list[_Line] = field(default_factory=list)  # in order; what a line's lateness is measured by
    answers: dict[int, _Line] = field(default_factory=dict)  # not settled yet
    silences: dict[int, _Line] = field(default_factory=dict)  # by the number about to be sent
    refusals: dict[int, _Line] = field(default_factory=dict)
    last: tuple[int, int] | None = None  # number and send time of the last one known
    late: set[int] = field(default_factory=set)  # answered since, nobody knows when
    transmitted: tuple[int, int] | None = None  # what ping said in its last words, and when
    stepped: bool = False  # ping has noticed a step of the wall clock: its next round trip may be wrong
    wall_s: int = 0

    def hear(self, up_ns: int, words: str) -> Iterator[_Fact]:
        """Take one line of ping's; return what it settles when a new ping begins."""
        if words == "new":
            yield from self._over(up_ns)
            self.last = (self.first - 1, up_ns - self.setup.asked_ns)
        elif sent := _SENT.match(words):
            self.transmitted = (int(sent[1]), up_ns)
        elif "time of day goes back" in words:
            self.stepped = True
        elif match := _ANSWER.search(words):
            line = self._read(up_ns, words, int(match[1]), rtt_ns=round(float(match[2]) * 1e6))
            self.answers.setdefault(line.number, line)
            self.stepped = False
        elif match := _SILENCE.search(words):
            line = self._read(up_ns, words, int(match[1]) + 1)
            self.silences[line.number] = line
        elif match := _REFUSAL.search(words):
            line = self._read(up_ns, words, int(match[1]), reason=_REASONS.get(match[2].strip(), 0x0300))
            self.refusals.setdefault(line.number, line)

    def _read(self, up_ns: int, words: str, number: int, rtt_ns: int = 0, reason: int = 0) -> _Line:
        stamp = _WALL.match(words)
        wall_ns = int(stamp[1]) * 1_000_000_000 + int(stamp[2]) * 1000 if stamp else 0
        lag_ns = up_ns - (wall_ns or number * self.setup.period_ns + rtt_ns)
        line = _Line(up_ns, lag_ns, number, rtt_ns, reason, wall_ns, self.stepped)
        self.lines.append(line)
        return line

    def settle(self, now_ns: int, over: bool) -> Iterator[_Fact]:
        """Return what is known for certain by now; all that will ever be known once it is ``over``."""
        while self.answers:
            number = min(self.answers)
            if not over and self.answers[number].up_ns > now_ns - SETTLE:
                return
            yield from self._answered(self.answers.pop(number))
        if over:
            yield from self._over(now_ns)

    def _over(self, now_ns: int) -> Iterator[_Fact]:
        """Settle all at this ping's end, and what it told of unanswered probes at its end."""
        while self.answers:
            yield from self._answered(self.answers.pop(min(self.answers)))
        count, ended_ns = self.transmitted or (0, now_ns)
        told = max((*self.silences, count + self.first - 1))
        if self.last is not None and told > self.last[0]:
            yield from self._lost(*self.last, told + 1, ended_ns)
        for kept in (self.lines, self.silences, self.refusals, self.late):
            kept.clear()
        self.last = self.transmitted = None

    def _answered(self, line: _Line) -> Iterator[_Fact]:
        if self.last is None or line.number <= self.last[0]:
            return  # so late that those after it are settled: lost
        sent_ns = line.up_ns - line.rtt_ns
        if line.doubtful or self._was_late(line) or sent_ns < self._earliest(line.number):
            self.late.add(line.number)
            return
        yield from self._lost(*self.last, line.number, sent_ns)
        slot = self.slots.next(sent_ns)
        yield _Fact(RecordKind.SENT, 0, slot, sent_ns)
        yield _Fact(RecordKind.REPLY, 0, slot, sent_ns + line.rtt_ns)
        if line.wall_ns and line.up_ns // SECOND > self.wall_s:
            self.wall_s = line.up_ns // SECOND
            yield _Fact(
                RecordKind.WALL, 0, max(0, line.up_ns - self.slots.start_ns) // SECOND, line.wall_ns - line.up_ns
            )
        self._know(line.number, sent_ns)

    def _know(self, number: int, sent_ns: int) -> None:
        """Take this probe for the last one known: forget what went before."""
        self.last = (number, sent_ns)
        for passed in [n for n in (*self.silences, *self.refusals) if n <= number]:
            self.silences.pop(passed, None)
            self.refusals.pop(passed, None)
        self.late.clear()
        del self.lines[: bisect.bisect_left(self.lines, sent_ns - PAST, key=_read_at)]

    def _earliest(self, number: int) -> int:
        """Return when a probe can have left at the earliest: ping is never faster than asked."""
        assert self.last is not None
        return self.last[1] + (number - self.last[0]) * self.setup.asked_ns - LATE

    def _was_late(self, line: _Line) -> bool:
        """Read later than the lines before it and than the lines after it."""
        low, here, high = (
            bisect.bisect_left(self.lines, line.up_ns + moved, key=_read_at) for moved in (-PAST, TICK, SETTLE)
        )
        before = min((o.lag_ns for o in self.lines[low:here]), default=line.lag_ns)
        after = min((o.lag_ns for o in self.lines[here:high]), default=line.lag_ns)
        return line.lag_ns - max(before, after) > LATE

    def _lost(self, first: int, first_ns: int, end: int, end_ns: int) -> Iterator[_Fact]:
        """Yield SENT (and REFUSED) of the probes between two known ones, without those that were answered late."""
        known = {n: line.up_ns for n, line in self.silences.items() if first < n < end and not self._was_late(line)}
        for number, sent_ns, certain in send_times((first, first_ns), (end, end_ns), known, self.setup.asked_ns):
            if number in self.late:
                continue
            slot = self.slots.next(sent_ns)
            if not certain:
                continue
            yield _Fact(RecordKind.SENT, 0, slot, sent_ns)
            if number in self.refusals:
                refusal = self.refusals[number]
                yield _Fact(RecordKind.REFUSED, refusal.reason, slot, max(sent_ns, refusal.up_ns))


def _read_at(line: _Line) -> int:
    return line.up_ns


class _Lone(Struct):
    """A fresh stream: one ping per probe, each between two stamps."""

    setup: PingStream
    slots: _Slots
    waiting: list[tuple[int, tuple[_Fact, ...]]] = field(default_factory=list)  # by when they began

    def hear(self, up_ns: int, words: str) -> Iterator[_Fact]:
        """Take ``one STARTED CODE (what ping said)``; nothing is settled by it yet."""
        mark, begun, code, said = (*words.split(" ", 3), "")[:4]
        if mark == "one" and begun:
            entry = (round(float(begun) * 100) * TICK, tuple(self._facts(up_ns, begun, code, said)))
            bisect.insort(self.waiting, entry, key=lambda e: e[0])
        return iter(())

    def _facts(self, up_ns: int, begun: str, code: str, said: str) -> Iterable[_Fact]:
        """Return the records of one probe, slots still to be given; none when nobody can say when it was sent."""
        begun_ns = round(float(begun) * 100) * TICK
        answer, refusal = _ANSWER.search(said), _REFUSAL.search(said)
        if answer:
            took_ns = round(float(answer[2]) * 1e6)
        elif refusal:
            took_ns = 0
        elif _SENT.search(said):
            took_ns = LONE_WAIT
        else:
            return [_Fact(RecordKind.FAILED, int(code), 0, begun_ns)]
        latest_ns = up_ns + TICK - took_ns
        if not refusal and not 0 <= latest_ns - begun_ns <= 2 * self.setup.grain_ns:
            return []
        sent_ns = begun_ns if refusal else (begun_ns + latest_ns) // 2
        facts = [_Fact(RecordKind.SENT, 0, 0, sent_ns)]
        if answer:
            facts.append(_Fact(RecordKind.REPLY, 0, 0, sent_ns + took_ns))
        elif refusal:
            reason = next((n for words, n in _REASONS.items() if words in refusal[2]), 0x0300)
            facts.append(_Fact(RecordKind.REFUSED, reason, 0, max(sent_ns, up_ns)))
        return facts

    def settle(self, now_ns: int, over: bool) -> Iterator[_Fact]:
        """Return the probes that began long enough ago for all before them to have ended."""
        while self.waiting and (over or self.waiting[0][0] <= now_ns - LONE_WAIT - SETTLE // 2):
            if facts := self.waiting.pop(0)[1]:
                slot = self.slots.next(facts[0].t_ns)
                yield from (_Fact(f.kind, f.detail, slot, f.t_ns) for f in facts)


def interval_steps(asked_s: float) -> Sequence[float]:
    """Return the intervals (s) to try with ping, finest first: some pings take no fraction, some users no short one."""
    finest = max(asked_s, 0.02)
    return (finest, *(step for step in (0.1, 0.2, 1.0) if step > finest))
