"""Raw log to samples: which slot was sent when, and what became of it under a given threshold.

Rules (measurement method, section 2): a probe is REPLIED only if its answer arrived within the threshold (Tmax,
RFC 7680) of its own send time; a refusal counts under the same rule; a slot that was never sent is SKIPPED; a slot
whose answer could still have come when the log ends is UNKNOWN, and so is one whose answers contradict each other.
Where a send took long, the latest moment at which the probe may have left is its send time for these rules: only what
certainly came too late is LOST.

A stream's samples stay in columns, with outcomes as one byte per slot: whatever looks at all of them does so with
numpy, and a Sample is made only of a slot that is asked for.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import overload

import numpy as np
from numpy.typing import NDArray

from vrbench.core.log.columns import MISSING, LogColumns, Times, pick, read_columns
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.outcomes import CODES, Coded, Stage
from vrbench.core.log.rawlog import LATEST_NS, RecordKind, StreamHeader
from vrbench.core.model import Outcome, Sample, Stream

_OUTCOMES = tuple(Outcome)
_FITS = 1 << 62  # sums of two numbers below this fit 64 bits

Seconds = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Samples(Coded):
    """All slots of one stream, in order, without holes; ``outcomes`` holds a code of CODES per slot.

    ``rtt_ns`` says something only of REPLIED and REFUSED; a probe left between ``sent_ns`` and ``width_ns`` later (0 of
    nearly all; empty: of all). ``first`` is the number of the first slot, ``zero_ns`` the moment from which its ``*_s``
    times count.
    """

    outcomes: bytes = b""
    sent_ns: Times = field(default_factory=lambda: np.zeros(0, np.int64))
    rtt_ns: Times = field(default_factory=lambda: np.zeros(0, np.int64))
    first: int = 0
    start_ns: int = 0
    interval_ns: int = 1
    zero_ns: int = 0
    stages: bytes = b""  # a Stage per slot; empty where all are NOTHING
    width_ns: Times = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.outcomes)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Samples: ...

    def __getitem__(self, index: int | slice) -> Sample | Samples:
        if isinstance(index, int):
            at = range(len(self))[index]
            width_ns = int(self.width_ns[at]) if len(self.width_ns) else 0
            return self._sample(at, self.outcomes[at], int(self.sent_ns[at]), int(self.rtt_ns[at]), width_ns)
        begin, end, step = index.indices(len(self))
        if step != 1:
            raise ValueError("samples are next to each other: a slice of them has no step")
        here = slice(begin, end)
        return replace(
            self,
            outcomes=self.outcomes[here],
            sent_ns=self.sent_ns[here],
            rtt_ns=self.rtt_ns[here],
            first=self.first + begin,
            stages=self.stages[here],
            width_ns=self.width_ns[here],
        )

    def __iter__(self) -> Iterator[Sample]:
        widths = self.width_ns.tolist() or repeat(0)
        return map(self._sample, range(len(self)), self.outcomes, self.sent_ns.tolist(), self.rtt_ns.tolist(), widths)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # columns can't be hashed, as lists can't

    @property
    def baseline(self) -> int:
        """How many of them were due before the moment zero."""
        due = -((self.start_ns - self.zero_ns) // self.interval_ns) - self.first
        return max(0, min(len(self), due))

    def tally(self, outcome: Outcome) -> int:
        """Return how many slots came to that."""
        return self.outcomes.count(CODES[outcome])

    @property
    def gap_share(self) -> float:
        """The share (0..1) of them that are neither up nor down; 0.0 of none."""
        return sum(self.tally(outcome) for outcome in Outcome if outcome.is_gap) / len(self) if len(self) else 0.0

    def answer_s(self, share: float) -> float:
        """Return what at least ``share`` of all answers took no longer than (nearest rank), in seconds.

        0.0 without any.
        """
        taken = self.rtt_ns[self.where(Outcome.REPLIED) | self.where(Outcome.REFUSED)]
        rank = max(0, math.ceil(share * len(taken)) - 1)
        return int(np.partition(taken, rank)[rank]) / 1e9 if len(taken) else 0.0

    @property
    def unseen_s(self) -> float:
        """How long an outage may have lasted, since the moment zero, that fell between two answered probes.

        From the sending of the one to the arrival of the next one's answer; infinite where there are no two.
        """
        up = np.flatnonzero(self.where(Outcome.REPLIED))
        up = up[max(0, int(np.searchsorted(up, self.baseline)) - 1) :]
        if len(up) < 2:
            return math.inf
        sent_ns = self.sent_ns[up]
        arrived_ns = sent_ns + self.rtt_ns[up]
        return int((arrived_ns[1:] - sent_ns[:-1]).max()) / 1e9

    def where(self, outcome: Outcome) -> NDArray[np.bool_]:
        """Return which slots came to that."""
        codes: NDArray[np.uint8] = np.frombuffer(self.outcomes, np.uint8)
        return np.equal(codes, CODES[outcome])

    @property
    def due_s(self) -> Seconds:
        """When each slot was due."""
        slots = range(self.first, self.first + len(self))
        if slots.stop * self.interval_ns < _FITS:
            return _seconds(np.arange(slots.start, slots.stop) * self.interval_ns, self.zero_ns - self.start_ns)
        return np.array([(self.start_ns + slot * self.interval_ns - self.zero_ns) / 1e9 for slot in slots])

    @property
    def sent_s(self) -> Seconds:
        """When each slot was sent; NaN where it never was."""
        return np.where(self.where(Outcome.SKIPPED), np.nan, _seconds(self.sent_ns, self.zero_ns))

    @property
    def rtt_s(self) -> Seconds:
        """How long each answer took, refusals included; NaN where there is none."""
        answered = self.where(Outcome.REPLIED) | self.where(Outcome.REFUSED)
        return np.where(answered, self.rtt_ns / 1e9, np.nan)

    def _sample(self, at: int, code: int, sent_ns: int, rtt_ns: int, width_ns: int) -> Sample:
        slot, outcome = self.first + at, _OUTCOMES[code]
        due_s = (self.start_ns + slot * self.interval_ns - self.zero_ns) / 1e9
        if outcome is Outcome.SKIPPED:
            return Sample(slot, due_s, None, outcome)
        answered = outcome in (Outcome.REPLIED, Outcome.REFUSED)
        rtt_s = rtt_ns / 1e9 if answered else None
        return Sample(slot, due_s, (sent_ns - self.zero_ns) / 1e9, outcome, rtt_s, width_ns / 1e9)


def _seconds(ns: Times, zero_ns: int) -> Seconds:
    """Return moments in seconds from another, each rounded once, as Python rounds."""
    if abs(zero_ns) < _FITS:
        return (ns - zero_ns) / 1e9
    return np.array([(t_ns - zero_ns) / 1e9 for t_ns in ns.tolist()])


@dataclass(frozen=True, slots=True)
class StreamSamples:
    """All slots of one stream, in order, without holes; send times may be off by the grain.

    Where its prober was asked to be silent, ``samples`` end there, and ``afterwards`` are those sent after the silence.
    """

    stream: Stream
    samples: Samples
    grain_s: float = 0.0
    afterwards: Samples | None = None  # None: it was never asked to be silent

    def with_silence(self, first: int, after: int | None) -> StreamSamples:
        """Return it with a silence on request from slot ``first`` until before ``after``; None: it did not end."""
        end = len(self.samples) if after is None else max(first, after)
        return replace(self, samples=self.samples[:first], afterwards=self.samples[end:])


@dataclass(frozen=True, slots=True)
class NodeLog:
    """A whole log, judged: its streams, whether the prober ended in good order, and wall minus monotonic clock."""

    node: str
    started_ns: int
    streams: tuple[StreamSamples, ...]
    ended: bool
    wall_ns: tuple[int, ...]
    method: str = ""
    turned_away: tuple[tuple[str, int, int], ...] = ()  # stream, why (Refusal), how many probes
    not_sent: tuple[tuple[str, int, int], ...] = ()  # stream, errno, how many probes

    @property
    def grain_s(self) -> float:
        """How far a send time of it may be off, at worst; 0 for a prober of our own."""
        return max((s.grain_s for s in self.streams), default=0.0)


def read_samples(log: LogFile, threshold_s: float) -> NodeLog:
    """Judge the slots of a log. Raises RawLogError when a slot's number can't be one."""
    header, zero_ns = log.header, log.zero_ns
    columns = read_columns(log.records, header.streams)
    # A prober stops sending some time before it writes END, to wait for the last answers: the last send is the end.
    end_ns = columns.end_ns or max(header.started_ns, columns.newest_ns)
    codes, rtt_ns = _judge(columns, end_ns, min(round(threshold_s * 1e9), LATEST_NS))
    stages = _stages(columns, codes)

    def samples(of: StreamHeader, begin: int, end: int) -> Samples:
        here = slice(begin, end)
        columns_of = (codes[here].tobytes(), columns.sent[here], rtt_ns[here])
        reached = stages[here].tobytes() if stages[here].any() else b""
        return Samples(*columns_of, 0, of.start_ns, of.interval_ns, zero_ns, reached, columns.width_ns[here])

    silent = dict(_silences(log))
    judged = tuple(
        StreamSamples(h.stream, samples(h, *span), h.grain_ns / 1e9)
        for h, span in zip(header.streams, columns.spans, strict=True)
    )
    judged = tuple(s.with_silence(*silent[i]) if i in silent else s for i, s in enumerate(judged))
    ended, names = bool(columns.end_ns), [s.stream.name for s in judged]
    turned_away, not_sent = (
        tuple((names[i], why, count) for (i, why), count in sorted(counted.items()))
        for counted in (columns.turned_away, columns.not_sent)
    )
    return NodeLog(header.node, header.started_ns, judged, ended, columns.wall_ns, header.method, turned_away, not_sent)


def _silences(log: LogFile) -> Iterator[tuple[int, tuple[int, int | None]]]:
    """Yield the first silence on request of a stream that has one: (stream, (its first slot, the first after it))."""
    begun: dict[int, int] = {}
    ended: dict[int, int] = {}
    for kind, stream, _, slot, _ in pick(log.records, RecordKind.PAUSED, RecordKind.RESUMED).tolist():
        (begun if kind == RecordKind.PAUSED else ended).setdefault(stream, slot)
    yield from ((stream, (slot, ended.get(stream))) for stream, slot in begun.items())


def _judge(columns: LogColumns, end_ns: int, threshold_ns: int) -> tuple[NDArray[np.uint8], Times]:
    """Return the outcome of each slot as a code, and how long its answer took."""
    replied_in, refused_in = columns.replied - columns.sent, columns.refused - columns.sent
    allowed_ns = threshold_ns + columns.width_ns
    rules = {  # the first that holds decides
        Outcome.SKIPPED: columns.sent == MISSING,
        Outcome.UNKNOWN: columns.ambiguous,
        Outcome.REPLIED: replied_in <= allowed_ns,
        Outcome.REFUSED: refused_in <= allowed_ns,
        Outcome.LOST: columns.sent <= end_ns - allowed_ns,
    }
    codes = np.select([*rules.values()], [np.uint8(CODES[o]) for o in rules], np.uint8(CODES[Outcome.UNKNOWN]))
    took = np.where(codes == CODES[Outcome.REFUSED], refused_in, replied_in)
    return codes, np.maximum(took, 0)


def _stages(columns: LogColumns, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return how far the answer to each slot that was LOST came."""
    begun = columns.begun & (codes == CODES[Outcome.LOST])
    reached = np.where(columns.replied == MISSING, np.uint8(Stage.BEGUN), np.uint8(Stage.LATE))
    return np.where(begun, reached, np.uint8(Stage.NOTHING))


def punctual_share(streams: Iterable[StreamSamples], within_s: float) -> float:
    """Return the share (0..1) of slots sent within ``within_s`` of plan.

    Skipped slots count as late. 1.0 without slots.
    """
    slots = punctual = 0
    for samples in (s.samples for s in streams):
        slots += len(samples)
        punctual += int(np.count_nonzero(samples.sent_s - samples.due_s <= within_s))
    return 1 - (slots - punctual) / slots if slots else 1.0
