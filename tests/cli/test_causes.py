"""Causes held against what the lab really did to its routers: a whole run, its phases, and the truth beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cli.zone import PROFILE, Zone, running_zone
from vrbench.core.model import Cause, CausePhase, Direction
from vrbench.core.results import StreamResult, TrialResult
from vrbench.lab import lifecycle
from vrbench.lab.phases import TruePhase
from vrbench.lab.status import LabOptions
from vrbench.store import load_run

pytestmark = [pytest.mark.lab, pytest.mark.slow]

TRUE_SHARE = 0.95
FOUND_SHARE = 0.8
GRAIN_S = 0.01  # a window is known to an interval
UNSEEN_S = 0.05  # the gateway is asked so often: as much of a phase may pass before it answers, in every stream
FINE = PROFILE.replace("[probes]", '[probes]\ninterval = "10ms"\nbanner_interval = "100ms"\nauth = false\ndns = false')


def run(tmp_path: Path, strategy: str) -> tuple[TrialResult, tuple[TruePhase, ...]]:
    """One trial on a lab of its own, and the true phases in seconds from the request."""
    with running_zone(tmp_path, LabOptions(strategy=strategy, time_scale=0.15)) as zone:
        done = zone.vrbench("run", zone.profile(FINE), "--plain", timeout_s=240)
        told = lifecycle.phases(zone.state)["phases"]
    (trial,) = load_run(only_run(zone)).trials
    assert trial.facts.recovered, done.err
    return trial, tuple(TruePhase(**phase) for phase in told)


def only_run(zone: Zone) -> Path:
    (path,) = (zone.here / "reports").glob("*/")
    return path


def true_spans(
    stream: StreamResult, cause: Cause, zero_ns: int, phases: Sequence[TruePhase]
) -> Iterator[tuple[float, float]]:
    """When that cause truly held on the stream's path, in seconds from the request."""
    egress = stream.stream.direction is Direction.EGRESS
    for p in phases:
        here = p.direction == stream.stream.direction.value and (egress or p.target == stream.stream.target)
        if here and p.cause == cause.value:
            yield (p.start_ns - zero_ns) / 1e9, (p.end_ns - zero_ns) / 1e9


def overlap_s(phase: CausePhase, spans: Sequence[tuple[float, float]], grain_s: float) -> float:
    """How much of a phase lies within the spans, give or take the grain of their ends."""
    return sum(max(0.0, min(phase.end_s, end + grain_s) - max(phase.start_s, start - grain_s)) for start, end in spans)


@dataclass
class Compared:
    """Seconds over all pings, SYN and banners, by cause: claimed, of those truly so, and true within seen windows."""

    claimed: dict[Cause, float] = field(default_factory=lambda: defaultdict(float))
    right: dict[Cause, float] = field(default_factory=lambda: defaultdict(float))
    true: dict[Cause, float] = field(default_factory=lambda: defaultdict(float))

    def __str__(self) -> str:
        words = (
            f"{cause}: {s * 1000:.0f} ms, {self.right[cause] / s:.1%} true"
            for cause, s in self.claimed.items()
            if cause is not Cause.UNATTRIBUTED
        )
        return f"{'; '.join(words)}; unattributed: {self.claimed[Cause.UNATTRIBUTED] * 1000:.0f} ms"


def compared(trial: TrialResult, truth: Sequence[TruePhase], causes: Iterable[Cause]) -> Compared:
    """Every window of the headline streams held against the truth."""
    found = Compared()
    for stream in (s for s in trial.streams if s.stream.counts):
        spans = {c: list(true_spans(stream, c, trial.facts.requested_ns, truth)) for c in causes}
        for window in stream.windows:
            whole = CausePhase(Cause.UNATTRIBUTED, window.start_s, window.start_s + window.estimate_s)
            for cause, listed in spans.items():
                found.true[cause] += min(whole.seconds, overlap_s(whole, listed, 0.0))
            for phase in window.phases:
                found.claimed[phase.cause] += phase.seconds
                found.right[phase.cause] += min(phase.seconds, overlap_s(phase, spans.get(phase.cause, []), GRAIN_S))
    return found


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("serial", (Cause.ROUTER_GONE, Cause.NAT_MISSING, Cause.FIREWALL_MISSING)),
        ("parallel", (Cause.NAT_MISSING, Cause.FIREWALL_MISSING)),
    ],
)
def test_attributed_time_is_true_time(
    tmp_path: Path, strategy: str, expected: tuple[Cause, ...], record_property: Callable[[str, object], None]
) -> None:
    """95 % of each cause's milliseconds lie where that was truly the cause, and most of what was true is found."""
    trial, truth = run(tmp_path, strategy)
    found = compared(trial, truth, expected)
    record_property("causes", str(found))
    print(strategy, found)
    for cause in expected:
        assert found.claimed[cause] > 0, found
        assert found.right[cause] >= TRUE_SHARE * found.claimed[cause], str(found)
        unseen_s = UNSEEN_S * sum(s.stream.counts for s in trial.streams)
        least_s = FOUND_SHARE * found.true[cause] - (unseen_s if found.true[cause] < 1 else 0)
        assert found.claimed[cause] >= least_s, f"{cause} {found.true[cause]:.3f} s: {found}"
