"""Causes held against what the lab really did to its routers: a whole run, its phases, and the truth beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
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
GRAIN_S = 0.01  # a window is known to an interval
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


def overlap_s(phase: CausePhase, spans: Sequence[tuple[float, float]]) -> float:
    """How much of a phase lies within the spans, give or take the grain of its ends."""
    return sum(max(0.0, min(phase.end_s, end + GRAIN_S) - max(phase.start_s, start - GRAIN_S)) for start, end in spans)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("serial", {Cause.ROUTER_GONE, Cause.NAT_MISSING, Cause.FIREWALL_MISSING}),
        ("parallel", {Cause.NAT_MISSING, Cause.FIREWALL_MISSING}),
    ],
)
def test_attributed_time_is_true_time(
    tmp_path: Path, strategy: str, expected: set[Cause], record_property: Callable[[str, object], None]
) -> None:
    """95 % of each cause's milliseconds, over all pings, SYN and banners, lie where that was truly the cause."""
    trial, phases = run(tmp_path, strategy)
    claimed_s: dict[Cause, float] = defaultdict(float)
    true_s: dict[Cause, float] = defaultdict(float)
    for stream in (s for s in trial.streams if s.stream.counts):
        for phase in (p for w in stream.windows for p in w.phases):
            spans = list(true_spans(stream, phase.cause, trial.facts.requested_ns, phases))
            claimed_s[phase.cause] += phase.seconds
            true_s[phase.cause] += min(phase.seconds, overlap_s(phase, spans))
    shown = {str(c): f"{s * 1000:.0f} ms, {true_s[c] / s:.1%} true" for c, s in claimed_s.items()}
    record_property("causes", shown)
    print(strategy, shown)
    assert expected <= set(claimed_s)
    for cause in expected:
        assert true_s[cause] >= TRUE_SHARE * claimed_s[cause], shown
    missed = claimed_s[Cause.UNATTRIBUTED]
    assert missed <= 0.25 * sum(claimed_s.values()), shown
