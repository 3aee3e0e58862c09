"""A path with a known truth: what an open-loop prober logs of it, packet by packet, whatever the estimator thinks.

A probe leaves the sender, crosses the router, turns round at its target, crosses the router again, and is back. The
router is a gate that is shut during outages. Probes sent late in an outage may wait in the sender until it is over, as
they do for the gateway's address. Between outages the path loses, delays, overtakes and doubles packets as asked.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from vrbench.core.analysis import analyze_trial
from vrbench.core.facts import TrialFacts
from vrbench.core.figures.results import StreamResult
from vrbench.core.log.rawlog import RECORD, LogHeader, RecordKind, StreamHeader, encode_header
from vrbench.core.model import Direction, Stream
from vrbench.core.plan.method import Method

ZERO_NS = 1_000_000_000_000  # the request, on the prober's clock
BASELINE_S = 3.0
THRESHOLD_S = 0.8


@dataclass(frozen=True)
class Outage:
    """The gate is shut; probes of the last ``queued_s`` wait for its end, the newest ``room`` of them."""

    begin_s: float
    end_s: float
    queued_s: float = 0.0
    room: int = 100

    @property
    def seconds(self) -> float:
        return self.end_s - self.begin_s


@dataclass(frozen=True)
class Fault:
    """What the path does to probes sent between two moments.

    Loss is a share each way. The delay goes from one value to another, jitter is added to it, and a share of probes
    overtakes: those have neither.
    """

    begin_s: float
    end_s: float
    loss_out: float = 0.0
    loss_back: float = 0.0
    delay_s: tuple[float, float] = (0.0, 0.0)
    jitter_s: float = 0.0
    overtaking: float = 0.0
    doubled: float = 0.0

    def delays(self, sent_s: float, draw: random.Random) -> float:
        """Return how much later a probe arrives."""
        if draw.random() < self.overtaking:
            return 0.0
        share = (sent_s - self.begin_s) / (self.end_s - self.begin_s)
        return self.delay_s[0] + share * (self.delay_s[1] - self.delay_s[0]) + draw.random() * self.jitter_s


@dataclass(frozen=True)
class Path:
    """A path, and the prober on it, from ``BASELINE_S`` before the request to ``seconds`` after it.

    ``skipped`` is the share of slots that are never sent, ``slow`` that of sends which take up to ``width_s``.
    ``service_s`` is what the answer takes at its target.
    """

    seconds: float
    interval_s: float = 0.01
    outages: tuple[Outage, ...] = ()
    faults: tuple[Fault, ...] = ()
    out_s: float = 0.0002
    far_s: float = 0.0006
    service_s: tuple[float, float] = (0.0, 0.0)
    skipped: float = 0.0
    stalls: tuple[tuple[float, float], ...] = ()
    slow: float = 0.0
    width_s: float = 0.0
    flow: str = "fresh"

    def facts(self, draw: random.Random) -> Iterator[tuple[RecordKind, int, float]]:
        """Yield what the prober notes: a record's kind, slot and time."""
        phase_s = draw.random() * self.interval_s
        queue: dict[Outage, list[tuple[int, float]]] = {outage: [] for outage in self.outages}
        for slot in range(int((BASELINE_S + self.seconds) / self.interval_s)):
            sent_s = slot * self.interval_s - BASELINE_S + phase_s + draw.random() * min(0.0003, self.interval_s / 10)
            if draw.random() < self.skipped or any(begin <= sent_s < end for begin, end in self.stalls):
                continue
            yield RecordKind.SENT, slot, sent_s
            left_s = sent_s
            if draw.random() < self.slow:
                width_s = draw.random() * self.width_s
                left_s += draw.random() * width_s
                yield RecordKind.SENT_BY, slot, sent_s + width_s
            waits = next((o for o in self.outages if o.end_s - o.queued_s <= left_s < o.end_s), None)
            if waits is not None:
                queue[waits].append((slot, left_s))
            else:
                yield from self.answers(slot, left_s, left_s, draw)
        for outage, waiting in queue.items():
            for place, (slot, left_s) in enumerate(waiting[-outage.room :]):
                yield from self.answers(slot, left_s, outage.end_s + place * 0.00002, draw)

    def answers(
        self, slot: int, left_s: float, gone_s: float, draw: random.Random
    ) -> Iterator[tuple[RecordKind, int, float]]:
        """Yield the answers to a probe that left at ``left_s``, and the sender's queue at ``gone_s``."""
        there_s, later_s, doubled = gone_s + self.out_s, draw.uniform(*self.service_s), False
        back_s = there_s + self.far_s + later_s
        for fault in (f for f in self.faults if f.begin_s <= left_s < f.end_s):
            if draw.random() < fault.loss_out or draw.random() < fault.loss_back:
                return
            back_s += fault.delays(left_s, draw)
            doubled |= draw.random() < fault.doubled
        if any(o.begin_s <= crossing < o.end_s for o in self.outages for crossing in (there_s, back_s)):
            return
        arrived_s = back_s + draw.random() * 0.0002
        yield RecordKind.REPLY, slot, arrived_s
        if doubled:
            yield RecordKind.REPLY, slot, arrived_s + draw.random()

    def log(self, seed: int) -> bytes:
        """Return the raw log of one stream of pings."""
        start_ns = ZERO_NS - round(BASELINE_S * 1e9)
        probe = {"banner": ("ssh-ingress", Direction.INGRESS)}.get(self.flow, ("icmp-egress", Direction.EGRESS))
        stream = Stream("s", probe[1], probe[0], self.flow, "203.0.113.1", self.interval_s)
        header = LogHeader("vm1", start_ns, (StreamHeader(stream, start_ns, round(self.interval_s * 1e9)),))
        noted = sorted(self.facts(random.Random(seed)), key=lambda fact: fact[2])
        body = b"".join(RECORD.pack(kind, 0, 0, slot, ZERO_NS + round(at_s * 1e9)) for kind, slot, at_s in noted)
        end_ns = ZERO_NS + round((self.seconds + 2) * 1e9)
        return encode_header(header) + body + RECORD.pack(RecordKind.END, 0, 0, 0, end_ns)

    def measured(self, seed: int, merge: int = 1) -> StreamResult:
        """Return what analysis makes of it."""
        facts = TrialFacts(1, "2026-11-24T12:00:00.000Z", ZERO_NS, baseline_s=BASELINE_S)
        method = Method(self.interval_s, self.interval_s, THRESHOLD_S, merge, BASELINE_S, 1.0)
        (result,) = analyze_trial(facts, [self.log(seed)], method).streams
        return result
