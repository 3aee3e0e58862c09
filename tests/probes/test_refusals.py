"""What a RST means to the half-open prober: asked about once more, unless another one confirms it."""

from __future__ import annotations

import pytest

from vrbench.probes.engine import AMBIGUOUS, REFUSED, REPLY
from vrbench.probes.syn import SynProber

pytestmark = pytest.mark.lab


class Heard:
    """A log that keeps (kind, slot) in memory."""

    def __init__(self) -> None:
        self.records: list[tuple[int, int]] = []

    def record(self, kind: int, stream: int, detail: int, slot: int, t_ns: int) -> None:
        self.records.append((kind, slot))


@pytest.fixture
def prober() -> SynProber:
    """Provide one stream towards a closed port of this machine; ten slots are taken as sent."""
    made = SynProber([{"target": "127.0.0.1:9", "interval_ns": 10_000_000}], Heard(), 800_000_000)  # type: ignore[arg-type]
    made.last_sent[0] = 9
    return made


def hear(prober: SynProber, answers: str) -> list[tuple[int, int]]:
    """Take answers in, such as "R3 R4 A3" (a RST for slot 3 …, an acceptance); what was logged."""
    for answer in answers.split():
        slot = int(answer[1:])
        take = prober._refused if answer[0] == "R" else prober._accepted
        take(slot % prober.each, prober.salt + slot & 0xFFFFFFFF, 1)
    assert isinstance(prober.log, Heard)
    return prober.log.records


def test_a_lone_rst_that_the_repeated_probe_contradicts_is_ambiguous(prober: SynProber) -> None:
    """It may have been the end of an older handshake."""
    assert hear(prober, "A2 R3 A3 A4") == [(REPLY, 2), (REFUSED, 3), (AMBIGUOUS, 3), (REPLY, 4)]


def test_a_rst_in_a_row_stays_a_refusal(prober: SynProber) -> None:
    """The repeated probe may be sent, and accepted, after the outage: answers are looked at only now and then."""
    assert hear(prober, "A2 R3 R4 A3 A5") == [(REPLY, 2), (REFUSED, 3), (REFUSED, 4), (REPLY, 5)]
