"""Causes held against the truth: how many of the milliseconds that were claimed lie where that truly was the cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from vrbench.core.figures.results import StreamResult, TrialResult
from vrbench.core.model import Cause, CausePhase, Direction
from vrbench.lab.router_history import TruePhase

GRAIN_S = 0.01  # a window is known to an interval
BANNER_S = 0.1  # the same for banners
TRUE_SHARE = 0.95
Span = tuple[float, float]  # seconds from the request
Truth = Callable[[StreamResult, Cause], Iterable[Span]]  # when a cause truly held on a stream's path


def fine(profile: str) -> str:
    """Return the profile with every probe as often as this comparison needs."""
    often = f'interval = "{GRAIN_S * 1000:.0f}ms"\nbanner_interval = "{BANNER_S * 1000:.0f}ms"'
    return profile.replace("[probes]", f"[probes]\n{often}\nauth = false\ndns = false")


def by_phases(trial: TrialResult, phases: Sequence[TruePhase]) -> Truth:
    """Return the truth that the lab's phases tell of a trial on it."""
    zero_ns = trial.facts.requested_ns

    def spans(result: StreamResult, cause: Cause) -> Iterable[Span]:
        stream = result.stream
        for p in phases:
            here = p.direction == stream.direction.value
            if here and p.cause == cause.value and (p.target == stream.target or stream.direction is Direction.EGRESS):
                yield (p.start_ns - zero_ns) / 1e9, (p.end_ns - zero_ns) / 1e9

    return spans


def overlap_s(span: Span, spans: Iterable[Span], grain_s: float = 0.0) -> float:
    """How much of a span lies within the others, give or take the grain of their ends."""
    start_s, end_s = span
    return min(end_s - start_s, sum(max(0.0, min(end_s, e + grain_s) - max(start_s, s - grain_s)) for s, e in spans))


@dataclass
class Compared:
    """Seconds over the streams by cause: claimed, of those truly so, and true within windows that were seen."""

    claimed: dict[Cause, float] = field(default_factory=lambda: defaultdict(float))
    right: dict[Cause, float] = field(default_factory=lambda: defaultdict(float))
    true: dict[Cause, float] = field(default_factory=lambda: defaultdict(float))

    def __str__(self) -> str:
        words = (
            f"{cause}: {s * 1000:.0f} ms, {self.right[cause] / s:.1%} true, {self.true[cause] * 1000:.0f} ms to find"
            for cause, s in self.claimed.items()
            if s and cause is not Cause.UNATTRIBUTED
        )
        return f"{'; '.join(words)}; unattributed: {self.claimed[Cause.UNATTRIBUTED] * 1000:.0f} ms"

    def check_true(self, cause: Cause) -> None:
        """Check that it was claimed, and that nearly all that was claimed is true."""
        assert self.claimed[cause] > 0, f"{cause}: {self}"
        assert self.right[cause] >= TRUE_SHARE * self.claimed[cause], f"{cause}: {self}"


def compared(streams: Iterable[StreamResult], truth: Truth, causes: Iterable[Cause]) -> Compared:
    """Every window of the streams held against the truth; ends count as right within the finest interval."""
    found, causes = Compared(), tuple(causes)
    for stream in streams:
        spans = {c: list(truth(stream, c)) for c in causes}
        for window in stream.windows:
            whole = (window.start_s, window.start_s + window.estimate_s)
            for cause, listed in spans.items():
                found.true[cause] += overlap_s(whole, listed)
            for phase in window.phases:
                _count(found, phase, spans.get(phase.cause, []))
    return found


def _count(found: Compared, phase: CausePhase, spans: Sequence[Span]) -> None:
    found.claimed[phase.cause] += phase.seconds
    found.right[phase.cause] += overlap_s((phase.start_s, phase.end_s), spans, GRAIN_S)
