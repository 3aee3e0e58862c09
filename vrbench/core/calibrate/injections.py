"""What is injected to calibrate: faults of known length, drawn from a seed, and how they truly were.

A fault goes through *beats*: down, up, down, … seconds. Most have one beat; a BURST has a few outages close behind each
other, FLAPPING goes down and up faster than the finest interval that is probed at.

    SILENCE   packets are dropped
    REFUSAL   they are answered with a reset or an ICMP error
    LATE      every answer is held back until it comes later than the threshold: it must count as lost
    NO_NAT    the router forwards, but its source NAT rule is missing and its connections are forgotten, as after a
              restart that opens forwarding too early. A flow that keeps going meanwhile is bound without translation,
              and stays dead when the rule is back, until connection tracking forgets it (``held_s`` later)
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from vrbench.core.kinds import ICMP_PERSISTENT
from vrbench.core.model import Direction, Stream

SHORTEST_S = 0.02
DIRECTIONS = ("egress", "ingress", "both")
NOTHING = "none"  # an injection of nothing: time in which every window is false
FLAP_S = (0.002, 0.006)  # a beat of flapping
BURST_DOWN_S, BURST_UP_S = (0.02, 0.4), (0.05, 0.3)
HELD_S = (0.3, 0.9)
EGRESS_RECOVERY = 0.5  # of the time that the banners need


class Fault(StrEnum):
    """What goes wrong with the packets that a fault touches."""

    SILENCE = "silence"
    REFUSAL = "refusal"
    LATE = "late"
    NO_NAT = "no-nat"
    FLAPPING = "flapping"
    BURST = "burst"


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault to inject, ``pause_s`` or more after the last one that met any stream of this one; all in seconds.

    ``guest`` is a guest's name, or empty for all traffic. ``beats`` begins and ends with a time down.
    """

    direction: str
    guest: str
    fault: Fault
    beats: tuple[float, ...]
    pause_s: float
    held_s: float = 0.0

    @property
    def seconds(self) -> float:
        """From its beginning to its end."""
        return sum(self.beats) + self.held_s

    def meets(self, other: Injection) -> bool:
        """Return whether some stream sees both."""
        if NOTHING in (self.direction, other.direction) or (self.guest and other.guest and self.guest != other.guest):
            return False
        return "both" in (self.direction, other.direction) or self.direction == other.direction


@dataclass(frozen=True, slots=True)
class Piece:
    """One time down as it truly was, in seconds on the harness's clock from the trial's request.

    ``uncertainty_s`` is how far its length may be off: the uncertainties of its two commits together.
    """

    start_s: float
    end_s: float
    uncertainty_s: float


@dataclass(frozen=True, slots=True)
class KnownOutage:
    """A fault as it truly was: the times down in order, and for NO_NAT how long the persistent flow was bound."""

    number: int
    fault: Fault
    direction: str
    guest: str
    pieces: tuple[Piece, ...]
    bound: Piece | None = None

    @property
    def start_s(self) -> float:
        return self.pieces[0].start_s

    @property
    def end_s(self) -> float:
        return self.pieces[-1].end_s

    @property
    def duration_s(self) -> float:
        """How long it was down in all."""
        return sum(p.end_s - p.start_s for p in self.pieces)

    @property
    def longest_s(self) -> float:
        """The longest time down in one go."""
        return max(p.end_s - p.start_s for p in self.pieces)

    @property
    def span_s(self) -> float:
        """From the first moment down to the last."""
        return self.end_s - self.start_s

    @property
    def uncertainty_s(self) -> float:
        """How far its duration may be off."""
        return sum(p.uncertainty_s for p in self.pieces)

    def touches(self, stream: Stream, guest: str) -> bool:
        """Return whether a stream from or to ``guest`` must see it."""
        if stream.direction is Direction.CONTROL or self.guest not in ("", guest):
            return False
        return self.direction in ("both", stream.direction.value)

    def seen_by(self, stream: Stream) -> KnownOutage:
        """Return the outage as it was for a stream that it touches."""
        if self.bound and stream.kind is ICMP_PERSISTENT:
            return replace(self, pieces=(self.bound,))
        return self


# Every fault in every direction that it has, for all traffic and for one guest; silence, the most common, twice.
CASES = (
    tuple(
        (fault, direction, one)
        for fault in (Fault.SILENCE, Fault.REFUSAL, Fault.SILENCE, Fault.LATE, Fault.FLAPPING, Fault.BURST)
        for direction in DIRECTIONS
        for one in (False, True)
        # Half the cases of the last two: their many windows say much already.
        if fault not in (Fault.FLAPPING, Fault.BURST) or one == (direction == "ingress")
    )
    + ((Fault.NO_NAT, "egress", False),) * 3
)


@dataclass(frozen=True, slots=True)
class Series:
    """What a series is to hold, in seconds: so many outages up to the longest, and a quiet time in the middle."""

    outages: int
    longest_s: float
    guests: Sequence[str]
    recovery_s: float
    clean_s: float
    interval_s: float = 0.01


def draw_series(asked: Series, seed: int) -> tuple[Injection, ...]:
    """Draw the series that ``seed`` stands for.

    Lengths are log-uniform from 20 ms to ``longest_s``, and every case comes equally often.

    Source NAT is missing for three intervals at least: a flow that sends nothing meanwhile is not bound.

    Each comes ``recovery_s`` and up to half as much again after the one before that it meets: its streams have seen the
    network up in between. Those of egress alone need no more than EGRESS_RECOVERY of that: none of their streams is as
    coarse as the banners. What lengths and pauses are drawn makes every phase of the probes as likely as any other. In
    the middle nothing happens for ``clean_s``.
    """
    draw = random.Random(seed)
    turns = [CASES[i % len(CASES)] for i in range(asked.outages)]
    draw.shuffle(turns)
    series = [
        Injection(
            direction,
            draw.choice(asked.guests) if one else "",
            fault,
            _beats(draw, fault, asked.longest_s, 3 * asked.interval_s),
            asked.recovery_s * draw.uniform(1.0, 1.5) * (EGRESS_RECOVERY if direction == "egress" else 1.0),
            draw.uniform(*HELD_S) if fault is Fault.NO_NAT else 0.0,
        )
        for fault, direction, one in turns
    ]
    if asked.clean_s:
        series.insert(asked.outages // 2, Injection(NOTHING, "", Fault.SILENCE, (asked.clean_s,), 0.0))
    return tuple(series)


def _beats(draw: random.Random, fault: Fault, longest_s: float, binding_s: float) -> tuple[float, ...]:
    if fault is Fault.FLAPPING:
        return tuple(draw.uniform(*FLAP_S) for _ in range(2 * draw.randint(6, 14) - 1))
    if fault is Fault.BURST:
        times = 2 * draw.randint(2, 4) - 1
        return tuple(_log_uniform(draw, *(BURST_UP_S if n % 2 else BURST_DOWN_S)) for n in range(times))
    shortest_s = max(SHORTEST_S, binding_s) if fault is Fault.NO_NAT else SHORTEST_S
    return (_log_uniform(draw, shortest_s, longest_s),)


def _log_uniform(draw: random.Random, low: float, high: float) -> float:
    return math.exp(draw.uniform(math.log(low), math.log(high)))
