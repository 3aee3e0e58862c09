"""A trial's figures as values: per stream, per direction, whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.facts import Context, TrialFacts
from vrbench.core.figures.windows import Downtime, any_down_s, covered_s
from vrbench.core.kinds import ProbeKind
from vrbench.core.machine_calibration import MachineCalibration
from vrbench.core.model import Direction, OutageWindow, Sample, Stream, Verdict
from vrbench.core.plan.limits import LimitsTable
from vrbench.core.plan.method import Method

MEASURED = (Direction.EGRESS, Direction.INGRESS)


class RunState(StrEnum):
    """How far a run came; stored under these words.

    STARTING: its lab is being started. PREFLIGHT: the cloud is being checked. FAILED and INTERRUPTED are noted once
    the removal is over; a run whose process was killed stays in the state that it had.
    """

    STARTING = "starting"
    PREFLIGHT = "preflight"
    BUILDING = "building"
    MEASURING = "measuring"
    DONE = "done"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class StreamResult(Struct, frozen=True):
    """One stream's figures; ``windows`` are those of the operation, ``baseline_windows`` ended before it.

    ``stuck``: an old flow that never came back while new flows of the same guest did. It says nothing of how long the
    network was down: it is in no average and no union, and no lower bound of an outage. ``aligned``: its clock is
    known beside the harness's; without that its times count from its log's begin, and its windows are nobody's.
    ``pinned``: stuck, and answered again once it had been silent for longer than its router remembers a flow, which
    proves why. ``unfit``: it was down or lossy before the operation already, and nothing is made of it.
    """

    node: str
    stream: Stream
    samples: Sequence[Sample]
    windows: tuple[OutageWindow, ...]
    baseline_windows: tuple[OutageWindow, ...]
    downtime: Downtime
    unavailable_s: float
    rtt_s: float
    seen_up: bool
    gap_share: float = 0.0  # share (0..1) of the slots after the request that are neither up nor down
    stuck: bool = False
    aligned: bool = True
    pinned: bool = False
    unfit: bool = False

    @property
    def measured(self) -> bool:
        """Whether something can be said of it: it was up before the operation, and it is known when that was."""
        return self.seen_up and self.aligned

    @property
    def recovered_s(self) -> float | None:
        """When the last outage ended, in seconds from the request; None without one, infinite when nobody saw it."""
        ends = [math.inf if w.censored else w.start_s + w.estimate_s for w in self.windows if w.censored or not w.blind]
        return max(ends, default=None)

    @property
    def outages(self) -> tuple[OutageWindow, ...]:
        """The windows in which something was seen to be down."""
        return tuple(w for w in self.windows if not w.blind)


class StreamFigures(Struct, frozen=True):
    """Figures over streams of one trial: their mean, the worst of them, and how long at least one was down.

    ``stuck`` and ``unmeasured`` streams are counted, and are in nothing else.
    """

    streams: int
    downtime: Downtime
    worst: Downtime
    any_down: Downtime
    first_recovery_s: float | None
    full_recovery_s: float | None
    windows: int
    unavailable_s: float
    stuck: int = 0
    unmeasured: int = 0


class TrialResult(Struct, frozen=True):
    """All figures of one trial, and what they are worth."""

    facts: TrialFacts
    streams: tuple[StreamResult, ...]
    verdict: Verdict
    caveats: tuple[Caveat, ...]
    punctual_harness: float
    punctual_guests: float
    without_python: tuple[str, ...] = ()  # how guests without Python were probed

    @property
    def averaged(self) -> bool:
        """Whether its figures are part of averages: they are of the operation, and were not slept through."""
        return self.verdict is not Verdict.INVALID and all(c.kind is not CaveatKind.UNSEEN for c in self.caveats)

    def of(self, kind: ProbeKind) -> tuple[StreamResult, ...]:
        """Return the streams of a kind."""
        return tuple(s for s in self.streams if s.stream.kind is kind)

    def headline(self, direction: Direction | None) -> tuple[StreamResult, ...]:
        """Return the streams of all headline kinds of a direction; None: of egress, then of ingress.

        What is stuck, or was unfit, is not among them.
        """
        wanted = MEASURED if direction is None else (direction,)
        listed = (s for d in wanted for s in self.streams if s.stream.direction is d)
        return tuple(s for s in listed if s.stream.kind.headline and not (s.stuck or s.unfit))

    def figures(self, direction: Direction | None) -> StreamFigures:
        """Return the figures of a direction, over kinds that are not alike; None: of egress and ingress together.

        Columns of exports that programs know hold them. People are shown ``figures_of`` each kind.
        """
        return self._figures(self.headline(direction))

    def figures_of(self, kind: ProbeKind) -> StreamFigures:
        """Return the figures of one kind of probe, over the streams of which something can be said."""
        known = [s for s in self.of(kind) if s.measured]
        figures = self._figures([s for s in known if not s.stuck])
        stuck = sum(s.stuck for s in known)
        return replace(figures, stuck=stuck, unmeasured=len(self.of(kind)) - len(known))

    def _figures(self, streams: Sequence[StreamResult]) -> StreamFigures:
        ends = [s.recovered_s for s in streams if s.recovered_s is not None]
        first_ends = [w.start_s + w.estimate_s for s in streams for w in s.outages[:1] if not w.censored]
        full = max(ends, default=None)
        return StreamFigures(
            streams=len(streams),
            downtime=Downtime.mean([s.downtime for s in streams]),
            worst=Downtime.worst([s.downtime for s in streams]),
            any_down=self._any_down(streams),
            first_recovery_s=min(first_ends, default=None),
            full_recovery_s=None if full is None or math.isinf(full) else full,
            windows=sum(len(s.outages) for s in streams),
            unavailable_s=sum(s.unavailable_s for s in streams) / max(1, len(streams)),
        )

    def _any_down(self, streams: Sequence[StreamResult]) -> Downtime:
        """Return how long at least one of the streams was down.

        For at least as long as the worst of them; for at most as long as any of their windows may have been open, with
        the clocks of guests off by their error. Outages that nobody saw are taken to fall together.
        """
        worst = Downtime.worst([s.downtime for s in streams])
        estimate_s = any_down_s(w for s in streams for w in s.windows) if streams else math.nan
        at_most_s = covered_s(self._widest(s, w) for s in streams for w in s.windows)
        return Downtime(worst.at_least_s, estimate_s, max(worst.at_most_s, at_most_s))

    def _widest(self, stream: StreamResult, window: OutageWindow) -> tuple[float, float]:
        """Return from when to when a window may have been open at the very most."""
        clock = self.facts.clocks.get(stream.node)
        error_s = clock.error_ns / 1e9 if clock else 0.0
        begin_s = window.start_s if window.last_up_s is None else window.last_up_s
        return begin_s - error_s, begin_s + window.at_most_s + error_s


class Run(Struct, frozen=True):
    """A run, analysed: what it was, how far it came, and its trials.

    ``unreadable``: a sentence for each trial whose samples can't be analysed. ``calibrated``: how wrong the instrument
    was on the machine that measured, if that had been looked at. ``planned``: how many trials were asked for, 0 where
    that is not known, and the ``limits`` for their averages. ``recorded_under``: the estimator of the vrbench that
    measured, where it was another than the one that analysed.
    """

    run_id: str
    path: str
    context: Context
    method: Method
    state: RunState
    trials: tuple[TrialResult, ...]
    unreadable: tuple[str, ...] = ()
    calibrated: MachineCalibration | None = None
    planned: int = 0
    limits: LimitsTable | None = None
    recorded_under: str = ""

    @property
    def on_time(self) -> float:
        """The share of the harness's probes that left within 2 ms of their time, in the worst trial."""
        return min((t.punctual_harness for t in self.trials), default=1.0)

    def downtimes(self, direction: Direction | None) -> tuple[Downtime, ...]:
        """Return one downtime per trial that counts in averages: what summaries are made of."""
        return tuple(t.figures(direction).downtime for t in self.trials if t.averaged)
