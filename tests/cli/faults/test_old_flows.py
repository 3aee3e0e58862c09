"""A router that forwards before its NAT rules are there: what its connection tracking makes of old flows and of new."""

from __future__ import annotations

import math
import subprocess
import time

import pytest

from tests.cli.faults.measured import SHORT, during, trial_of
from tests.cli.zone import MEASURED, Zone
from vrbench.core.caveats import CaveatKind
from vrbench.core.figures.results import TrialResult
from vrbench.core.kinds import ICMP_FRESH, ICMP_PERSISTENT, SSH_SYN
from vrbench.core.model import Cause, Direction
from vrbench.lab import lifecycle
from vrbench.lab.router_history import RouterAction
from vrbench.lab.status import LabError

pytestmark = [pytest.mark.lab, pytest.mark.slow]

LATE_S, GRACE_S, SILENCE_S, FORGOTTEN_S = 2, 2, 4, 2
NEWS_S = 25.0  # what a trial may still take for the outcome of a silence, and to see that it is over
TIMES = f'old_flow_grace = "{GRACE_S}s"\nold_flow_silence = "{SILENCE_S}s"\nauth = false'
PROFILE = SHORT.replace('"12s"', '"60s"').replace("[probes]", f"[probes]\n{TIMES}")
LOAD_S = 0.5  # between the lab's own look at a clock and the moment that it tells of, on a busy machine


def forget_soon(zone: Zone) -> None:
    """Have the routers' tracking forget pings sooner than Linux does, so that a test need not wait for half a minute.

    Each probe sets its entry's time anew, so the next one brings it down.
    """
    for node in lifecycle.status(zone.state).nodes:
        if node.kind == "router":
            words = f"echo {FORGOTTEN_S} > /proc/sys/net/netfilter/nf_conntrack_icmp_timeout"
            subprocess.run(lifecycle.enter(zone.state, node.name, ["sh", "-c", words]), check=True)


def translated_s(zone: Zone, trial: TrialResult) -> tuple[float, float]:
    """When the new router had its NAT rules: before and after they were loaded, in seconds from the request."""
    actions = [RouterAction(**action) for action in lifecycle.phases(zone.state)["deeds"]]
    programmed = [a for a in actions if a.what == "program_router" and a.before_ns > trial.facts.requested_ns]
    bare, whole = programmed[:2]
    assert bare.router == whole.router
    assert (bare.egress, bare.ingress) == (False, {}), "the lab's own account knows of the fault"
    assert (whole.before_ns - bare.after_ns) / 1e9 >= LATE_S
    return tuple((at - trial.facts.requested_ns) / 1e9 for at in (whole.before_ns, whole.after_ns))  # type: ignore[return-value]


def test_an_ongoing_ping_is_stuck_and_proven_while_new_flows_recover(zone: Zone) -> None:
    """Both ways late: new flows wait for the rules, the ping waits for ever, and the trial does not wait for it."""
    lifecycle.fault(zone.state, "rules-late", {"seconds": str(LATE_S)})
    begun = time.monotonic()
    done = during(zone, PROFILE, "waiting at most", lambda: forget_soon(zone))
    assert done.code in MEASURED, done.err
    assert f"2 old flows silent for {SILENCE_S} s, then tried again" in done.err
    trial = trial_of(zone, done)
    before_s, after_s = translated_s(zone, trial)

    old = trial.of(ICMP_PERSISTENT)
    assert [(s.stuck, s.pinned) for s in old] == [(True, True)] * 2, done.err
    assert sorted(trial.facts.given_up) == sorted(s.stream.name for s in old)
    assert trial.facts.recovered
    for stream in old:
        assert [p.cause for p in stream.windows[-1].phases][-1] is Cause.OLD_FLOW_PINNED
        (beside,) = (s for s in trial.of(ICMP_FRESH) if s.node == stream.node)
        assert stream.gap_share < 0.1 + beside.gap_share, "its silence is no gap"
    kinds = {c.kind for c in trial.caveats}
    assert CaveatKind.OLD_FLOW_STUCK in kinds
    assert not kinds & {CaveatKind.NO_RECOVERY_SEEN, CaveatKind.FLOWS_DIFFER}
    watched_s = (trial.facts.observed_ns - trial.facts.requested_ns) / 1e9

    job_s = trial.facts.job_s or 0.0
    for stream in trial.of(ICMP_FRESH):
        back_s = stream.recovered_s
        assert back_s is not None
        assert before_s - stream.stream.interval_s - LOAD_S <= back_s
        assert back_s <= max(after_s, job_s) + LOAD_S + stream.gap_share * (trial.facts.baseline_s + watched_s)
        assert LATE_S <= stream.downtime.at_most_s < math.inf
    assert all(math.isfinite(s.downtime.at_most_s) for s in trial.of(SSH_SYN))
    assert math.isfinite(trial.figures(Direction.EGRESS).downtime.at_most_s)
    assert trial.figures_of(ICMP_PERSISTENT).stuck == 2

    assert watched_s >= after_s + GRACE_S + SILENCE_S
    assert watched_s <= max(after_s, job_s) + 2 + GRACE_S + SILENCE_S + NEWS_S
    fresh = [round(s.downtime.estimate_s, 2) for s in trial.of(ICMP_FRESH)]
    print(f"rules {after_s:.2f} s after the request, new pings down {fresh} s, watched for {watched_s:.1f} s")
    print(f"the run took {time.monotonic() - begun:.1f} s")


def test_rules_late_takes_no_way_that_it_does_not_know(zone: Zone) -> None:
    """It says which there are."""
    with pytest.raises(LabError, match="what must be one of: both, egress, ingress"):
        lifecycle.fault(zone.state, "rules-late", {"what": "source-nat"})
