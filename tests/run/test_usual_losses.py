"""A trial on a network that loses single probes now and then, as any does: by the live view of real logs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from tests.core.logs import MS, START, header, record, stream
from tests.run.world import SECOND, World
from vrbench.core.log.growing_log import GrowingLog, StreamState
from vrbench.core.log.history import Marked, ProbeHistory
from vrbench.core.log.rawlog import RecordKind
from vrbench.core.model import Direction
from vrbench.run.trial import Trial, TrialLimits, run_trial

LIMITS = TrialLimits(baseline_s=15, validation_s=10, observe_at_most_s=300, job_timeout_s=30, grace_s=10, silence_s=15)
STREAMS = 40
SLOT_NS = 100 * MS


@dataclass
class Crowd(World):
    """Forty streams, ten probes a second each, of which a ``share`` is lost by chance, and all in the outage."""

    share: float = 0.0
    slot: int = 0
    log: GrowingLog = field(default_factory=lambda: GrowingLog(SECOND // 2))
    drawn: random.Random = field(default_factory=lambda: random.Random(5))

    def __post_init__(self) -> None:
        listed = [stream(f"e{n}") for n in range(STREAMS - 2)]
        self.log.feed(header(*listed, *(stream(f"i{n}", Direction.INGRESS, "syn") for n in range(2))))
        self.now_ns = START

    def sleep(self, seconds: float) -> None:
        """Probe until then."""
        super().sleep(seconds)
        while (due_ns := START + self.slot * SLOT_NS) < self.now_ns:
            lost = 1.0 if self.down_from <= self._elapsed() < self.down_to else self.share
            self.log.feed(b"".join(self._probe(index, due_ns, lost) for index in range(STREAMS)))
            self.slot += 1

    def _probe(self, index: int, due_ns: int, lost: float) -> bytes:
        sent = record(RecordKind.SENT, self.slot, due_ns, index)
        answered = self.drawn.random() >= lost
        return sent + record(RecordKind.REPLY, self.slot, due_ns + MS, index) * answered

    def states(self) -> Sequence[StreamState]:
        return self.log.states()

    def histories(self) -> Sequence[ProbeHistory]:
        return self.log.histories()

    def mark(self, marked: Marked) -> None:
        super().mark(marked)
        self.log.mark(marked)


@pytest.mark.parametrize("share", [0.002, 0.02])
def test_losses_by_chance_hold_no_trial_open(share: float) -> None:
    """In any ten seconds some stream loses a probe: that is usual. Baseline and validation last about as they must."""
    world = Crowd(share=share)
    facts = run_trial(Trial(1, LIMITS, world, world, world, world))
    assert facts.recovered
    assert facts.requested_ns - START <= 20 * SECOND
    assert facts.observed_ns - facts.requested_ns <= 45 * SECOND


def test_an_outage_is_waited_out_where_losses_are_usual() -> None:
    """It lasts longer than what is usual, however much is lost beside it."""
    world = Crowd(share=0.02, down_to=60.0)
    facts = run_trial(Trial(1, LIMITS, world, world, world, world))
    assert facts.recovered
    assert facts.observed_ns - facts.requested_ns >= 70 * SECOND
