"""What doctor says of pings at the plan's rate: pure, and once for true on this machine."""

from __future__ import annotations

import errno

import pytest

from vrbench.cli.doctor_targets import egress_per_s, judge_rate
from vrbench.core.findings import FindingState
from vrbench.core.plan.plan import Plan, make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.probes.rate_check import MOST_PER_S, Answered, answers_at

PROFILE = '[environment]\nvms = 2\n[probes]\negress_target = "203.0.113.1"\n'


def plan(*settings: str) -> Plan:
    """Resolve a profile of two VMs."""
    return make_plan(load_profile(PROFILE, "test", settings), "run")


@pytest.mark.parametrize(
    ("settings", "per_s"),
    [
        ((), 40.0),
        (("probes.icmp_persistent=false",), 20.0),
        (("probes.interval=250ms",), 16.0),
    ],
)
def test_the_rate_is_that_of_all_vms_together(settings: tuple[str, ...], per_s: float) -> None:
    """Both kinds of ping go to the one target."""
    assert egress_per_s(plan(*settings)) == per_s


@pytest.mark.parametrize(
    ("seen", "planned", "state", "said"),
    [
        (Answered(40, 40, 40), 40, FindingState.OK, "answers 40 of 40 pings from here at 40 a second, the plan's rate"),
        (Answered(40, 40, 38), 40, FindingState.OK, "38 of 40"),
        (Answered(40, 40, 20), 40, FindingState.WARN, "about 20 a second: it may limit them"),
        (Answered(400, 400, 400), 4000, FindingState.OK, "at 400 a second, of 4000 planned"),
        (Answered(40, 40, 0, (errno.EPERM,) * 40), 40, FindingState.WARN, "40 could not be sent (EPERM)"),
    ],
)
def test_what_came_of_pings_is_worded(seen: Answered, planned: float, state: FindingState, said: str) -> None:
    """A limit is a warning: VMs go another way, and the baseline decides."""
    finding = judge_rate("203.0.113.1", seen, planned)
    assert finding.state is state
    assert said in finding.found
    assert ("probes.interval" in finding.cure) is (state is FindingState.WARN and not seen.errors)


def test_this_machine_answers_itself_at_any_rate_and_no_more_is_sent_than_is_allowed() -> None:
    """However much a plan asks for."""
    seen = answers_at("127.0.0.1", 100_000, 0.8, 0.2)
    assert seen.per_s == MOST_PER_S
    assert 0 < seen.sent <= 0.2 * MOST_PER_S + 110  # a round of a quarter of a second may go beyond the end
    assert not seen.errors
