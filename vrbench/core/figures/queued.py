"""First answers that waited: when a path was up again whose first probes had queued for it.

While a sender asks for its gateway's address, it keeps probes. When it has it they leave all at once, and their answers
arrive together: round trips fall by an interval from one to the next, down to what they are from then on. (A router
that stood still and goes on looks the same.) The path was up from the answers' arrival on, less such a round trip, and
the first probe sent after that did not wait. A window ends when that one was sent: as without a queue, where the first
answered probe is the first that was sent to a path that is up. So the estimate is as unbiased as without.

A path that is only slow looks unlike it. Its answers stay late, or come earlier little by little, or as they like: not
together. Several answers together are no chance, nor are two at the same moment. Of fewer, and of a lone late one, that
is said only where all answers behind them take the same, and only of what is late by no more than the probes that
waited: what is late by more was overtaken, which no queue does. Nor is it said of a service, whose first answer may be
slow on its own. Where nobody can tell nothing is lengthened, and at_most holds it all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from vrbench.core.log.outcomes import CODES
from vrbench.core.model import Outcome, Sample

TOGETHER = 0.25  # answers that arrive within so much of an interval arrive together: else they are an interval apart
DRAINING = 0.03  # so much of the time that they waited may it take to send them all
SEVERAL = 4  # so many that waited and arrive together are no chance
AT_ONCE, BOTH = 0.02, 2  # nor are so many that arrive within so much of an interval
QUIET = 10  # so many answers behind fewer must show that late ones are none
NOISE_S = 0.001  # differences of round trips up to this mean nothing
LEAST = 0.05  # of an interval: what is late by less was waiting for itself, not for an outage

_UP = CODES[Outcome.REPLIED]
_DOWN = frozenset(code for outcome, code in CODES.items() if outcome.is_down)


class _Answer(Struct, frozen=True):
    """An answered probe; times in seconds."""

    sent_s: float
    rtt_s: float

    @property
    def arrived_s(self) -> float:
        return self.sent_s + self.rtt_s


class _Recovery(Struct, frozen=True):
    """The answers after an outage: those that arrived together with the first, and those behind them.

    Times in seconds; ``usual_s`` is what a round trip usually takes, and the path may be down from ``until_s`` on.
    """

    bunch: Sequence[_Answer]
    behind: Sequence[_Answer]
    interval_s: float
    usual_s: float
    until_s: float
    several: bool

    @property
    def end_s(self) -> float:
        """When the first probe was sent that did not wait; the first of all where nothing says that any did."""
        first, settled_s = self.bunch[0], self._settled_s
        waited = [a for a in self.bunch if a.rtt_s > settled_s + TOGETHER * self.interval_s]
        at_once = [a for a in waited if abs(a.arrived_s - first.arrived_s) <= AT_ONCE * self.interval_s]
        if len(waited) >= SEVERAL or len(at_once) >= BOTH:
            return self._first_sent_s(first.arrived_s - settled_s, NOISE_S)
        if self.several or not self.behind or len(self.bunch) + len(self.behind) <= QUIET:
            return first.sent_s
        taken = sorted(a.rtt_s for a in self.behind)
        # A lone late answer is chance where any other is late; two that arrive together hardly are.
        slow_s = taken[-1] if len(waited) < 2 else taken[3 * len(taken) // 4]
        settled_s, noise_s = taken[len(taken) // 2], max(NOISE_S, slow_s - taken[0])
        opened_s = first.arrived_s - settled_s
        waited_s = opened_s - first.sent_s
        overtaken = opened_s > self.behind[0].sent_s + noise_s
        if waited_s <= max(2 * noise_s, LEAST * self.interval_s) or overtaken:
            return first.sent_s
        return self._first_sent_s(opened_s, noise_s)

    @property
    def _settled_s(self) -> float:
        """What a round trip takes behind several that waited."""
        quickest_s = min(a.rtt_s for a in (*self.bunch, *self.behind))
        median_s = sorted(a.rtt_s for a in self.behind or self.bunch)[len(self.behind or self.bunch) // 2]
        if median_s <= quickest_s + TOGETHER * self.interval_s:
            return median_s
        return self.usual_s if quickest_s <= self.usual_s + self.interval_s else quickest_s

    def _first_sent_s(self, opened_s: float, noise_s: float) -> float:
        """Return when the first probe was sent to a path that opened then.

        Where none was, it is no later than the next would have been due.
        """
        sent = (a.sent_s for a in (*self.bunch, *self.behind) if a.sent_s >= opened_s - noise_s)
        return min(next(sent, self.until_s), opened_s + self.interval_s, self.until_s)


def up_again_s(
    samples: Sequence[Sample], codes: bytes, first_up: int, usual_s: float, *, several: bool = False
) -> float:
    """Return when the first probe was sent that found the path up and did not wait for it.

    ``first_up`` is the place of the first answered probe, ``usual_s`` what a round trip usually takes. ``several``:
    fewer late answers prove nothing, since they are a service's.
    """
    answers = _answers(samples, codes, first_up)
    first = next(answers)
    if first.rtt_s <= usual_s + 2 * NOISE_S:
        return first.sent_s
    interval_s = samples[1].due_s - samples[0].due_s
    bunch, behind = _parted(first, answers, interval_s)
    return _Recovery(bunch, behind, interval_s, usual_s, _until_s(samples, codes, first_up), several).end_s


def _answers(samples: Sequence[Sample], codes: bytes, begin: int) -> Iterator[_Answer]:
    """Yield the answered probes from a place on, up to the next that is down; what was not seen is passed over."""
    for at in range(begin, len(codes)):
        if codes[at] in _DOWN:
            return
        sample = samples[at]
        if codes[at] == _UP and sample.sent_s is not None:
            yield _Answer(sample.sent_s, sample.rtt_s or 0.0)


def _until_s(samples: Sequence[Sample], codes: bytes, begin: int) -> float:
    """Return when the next probe was sent that is down, or when the one after the last would have been due."""
    for at in range(begin, len(codes)):
        sent_s = samples[at].sent_s if codes[at] in _DOWN else None
        if sent_s is not None:
            return sent_s
    return 2 * samples[-1].due_s - samples[-2].due_s


def _parted(first: _Answer, others: Iterator[_Answer], interval_s: float) -> tuple[list[_Answer], list[_Answer]]:
    """Return the answers that arrived together with the first, and those behind them, as many as are looked at."""
    bunch, behind = [first], list[_Answer]()
    for answer in others:
        within_s = TOGETHER * interval_s + DRAINING * (answer.sent_s - first.sent_s)
        if not behind and abs(answer.arrived_s - first.arrived_s) <= within_s:
            bunch.append(answer)
        else:
            behind.append(answer)
        if len(behind) == QUIET:
            break
    return bunch, behind
