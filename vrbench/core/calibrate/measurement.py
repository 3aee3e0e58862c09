"""One known outage beside what one stream measured of it, and the figures of many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

from vrbench.core.calibrate.injections import Fault, KnownOutage
from vrbench.core.figures.windows import Downtime
from vrbench.core.model import OutageWindow, Stream

ERROR_SLACK_S = 0.001  # beside an interval, how far off a clean edge may be: a send may be held up so long
VAGUE_S = 0.001  # a truth known less well than this says nothing about errors; bounds are held against it all the same


class Judgement(StrEnum):
    """What became of a known outage in one stream, or of a window that no outage explains.

    The first that fits holds, in this order; the words are those of the CSV's column ``result``.
    """

    MISSED = "missed"  # not seen although it lasted two intervals or more
    UNSEEN = "unseen"  # not seen, and too short for the stream to see it every time
    SLOW = "slow"  # a banner was still being served when it began, or failed when the path was back: sshd's
    NOT_HELD = "not held"  # the bounds do not hold the truth
    OVER = "over"  # they hold it, but at_least claims more than was down: it flapped
    OFF = "off"  # they hold it, but the error is larger than probing at this interval explains
    UNKNOWN = "unknown"  # they hold it, and all that the stream says is that it could not see
    HELD = "held"  # they hold it
    FALSE = "false"  # a window without an outage

    @property
    def is_seen(self) -> bool:
        """Whether the stream said something that can be held against the truth."""
        return self is Judgement.NOT_HELD or self.holds

    @property
    def holds(self) -> bool:
        """Whether its bounds hold the truth."""
        return self in (Judgement.OVER, Judgement.OFF, Judgement.UNKNOWN, Judgement.HELD)


@dataclass(frozen=True, slots=True)
class OutageMeasurement:
    """One known outage beside what one stream measured of it; nothing seen is measured as 0 s in 0 windows.

    ``blind`` of the ``windows`` hold no lost probe: stretches in which the stream says that it could not see.
    """

    outage: KnownOutage
    stream: Stream
    windows: int
    blind: int
    measured: Downtime
    unsent: int  # slots within the outage that were never sent
    after_s: float = 0.0  # how long after the outage's end its last window ended
    start_s: float | None = None  # when its first window began
    before_s: float = 0.0  # how long before its start its first window began, beyond a usual round trip
    edge_gaps: int = 0  # slots about its start or end that were never sent: the estimate is of another slot then
    apart_s: float = 0.0  # the longest time about its start or end for which no probe left: more where one left late

    @property
    def kind(self) -> str:
        return self.stream.kind.labels.name

    @property
    def judgement(self) -> Judgement:
        """What became of the outage in this stream."""
        if not self.windows:
            long = self.outage.longest_s >= 2 * self.stream.interval_s
            return Judgement.MISSED if long else Judgement.UNSEEN
        if self._served_slowly:
            return Judgement.SLOW
        if not self._bounds_hold:
            return Judgement.NOT_HELD
        if self.claims_too_much:
            return Judgement.OVER
        return Judgement.OFF if self.error_is_large else Judgement.UNKNOWN if self.only_blind else Judgement.HELD

    @property
    def wrong(self) -> bool:
        """Whether it makes a calibration bad: missed, with bounds that don't hold the truth, or too large an error."""
        return self.judgement in (Judgement.MISSED, Judgement.NOT_HELD) or self.error_is_large

    @property
    def error_s(self) -> float:
        """Measured minus true."""
        return self.measured.estimate_s - self.outage.duration_s

    @property
    def error_is_large(self) -> bool:
        """Whether its error means something, and is larger than probing at this interval explains."""
        limit_s = max(self.stream.interval_s, self.apart_s) + ERROR_SLACK_S + self.outage.uncertainty_s
        return self.fine and abs(self.error_s) > limit_s

    @property
    def fine(self) -> bool:
        """Whether its error says how wrong the instrument is: of one time down, probed on the network itself.

        Banners are coarser, and as slow as sshd.
        """
        return not self.stream.kind.is_service and self.of_its_own and self.has_error

    @property
    def has_error(self) -> bool:
        """Whether it has an error that means something: flapping only in the mean of many."""
        return not (self.only_blind or self.vague or self._served_slowly or self.edge_gaps) and (
            self.resolved or not self.of_its_own
        )

    @property
    def claims_too_much(self) -> bool:
        """Whether at_least is more than was down: possible only where the estimator's assumption does not hold."""
        return self.measured.at_least_s - self.outage.uncertainty_s > self.outage.duration_s

    @property
    def only_blind(self) -> bool:
        """Whether all that the stream says of it is that it could not see."""
        return 0 < self.windows == self.blind

    @property
    def resolved(self) -> bool:
        """Whether it is one time down, with a success of the stream on either side."""
        return len(self.outage.pieces) == 1

    @property
    def vague(self) -> bool:
        """Whether the truth itself is known too badly to tell an error: this machine was busy when it was injected."""
        return self.outage.uncertainty_s > VAGUE_S * len(self.outage.pieces)

    @property
    def of_its_own(self) -> bool:
        """Whether the fault is longer than any interval: flapping is judged for itself."""
        return self.outage.fault is not Fault.FLAPPING

    @property
    def _served_slowly(self) -> bool:
        """Whether a banner was still being served when the outage began, or failed when the path was back."""
        return self.stream.kind.is_service and (self.after_s > 2 * self.stream.interval_s or self.before_s > 0)

    @property
    def _bounds_hold(self) -> bool:
        """Whether the bounds hold the truth, as far as the truth itself is known.

        An outage that went up in between, where no probe saw it, is held by at_least when that is within its whole
        span.
        """
        slack = self.outage.uncertainty_s
        low, high = self.measured.at_least_s - slack, self.measured.at_most_s + slack
        return low <= self.outage.span_s and self.outage.duration_s <= high


@dataclass(frozen=True, slots=True)
class FalseWindow:
    """A window that no outage explains; the judgement is FALSE, or SLOW when it is sshd's."""

    stream: Stream
    window: OutageWindow
    judgement: Judgement = Judgement.FALSE

    @property
    def kind(self) -> str:
        return self.stream.kind.labels.name


@dataclass(frozen=True, slots=True)
class Figures:
    """Many comparisons together. Times in seconds.

    ``seen`` are the outages of which a stream says something, so has bounds that hold or not; of ``unknown`` ones it
    says that it could not see; of ``vague`` ones the truth is not known well; ``slow`` ones are not judged; ``gapped``
    ones begin or end where the prober was held up, and have bounds only. ``judged`` ones have an error that means
    something: bias and worst are theirs. ``over``: at_least claims more than was down.
    """

    outages: int
    seen: int
    unknown: int
    vague: int
    slow: int
    gapped: int
    judged: int
    held: int
    over: int
    bias_s: float
    worst_s: float
    missed: int


def figures(comparisons: Iterable[OutageMeasurement]) -> Figures:
    """Count them, and their errors."""
    mine = list(comparisons)
    judged = [c.judgement for c in mine]
    errors = [c.error_s for c in mine if c.has_error]
    return Figures(
        outages=len(mine),
        seen=sum(j.is_seen for j in judged),
        unknown=sum(c.only_blind for c in mine),
        vague=sum(c.vague for c in mine),
        slow=judged.count(Judgement.SLOW),
        gapped=sum(c.edge_gaps > 0 for c in mine),
        judged=len(errors),
        held=sum(j.holds for j in judged),
        over=sum(c.claims_too_much for c, j in zip(mine, judged, strict=True) if j.is_seen),
        bias_s=mean(errors),
        worst_s=max(map(abs, errors), default=0.0),
        missed=judged.count(Judgement.MISSED),
    )


def mean(values: Iterable[float]) -> float:
    """Return the mean; 0 of nothing."""
    listed = list(values)
    return fmean(listed) if listed else 0.0
