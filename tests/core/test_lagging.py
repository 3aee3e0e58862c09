"""What stayed away although its path was back: figures, causes and caveats of logs made by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.core.causes import BEFORE, METHOD, REQUESTED, Log
from tests.core.causes import guest as guest_log
from tests.core.causes import harness as harness_log
from tests.core.logs import MS, START, record
from vrbench.core.analysis import analyze_trial
from vrbench.core.caveats import CaveatKind
from vrbench.core.facts import NodeClock, TrialFacts
from vrbench.core.figures.results import StreamResult, TrialResult
from vrbench.core.figures.sessions import SessionState, sessions
from vrbench.core.kinds import ICMP_FRESH, ICMP_PERSISTENT, SSH_BANNER, TCP_SESSION
from vrbench.core.log.rawlog import RecordKind
from vrbench.core.model import Cause, Direction, Verdict

SLOTS, GRACE_S = 200, 8.0  # of 100 ms: one second before the request, 19 after
STUCK_METHOD = replace(METHOD, old_flow_grace_s=GRACE_S, validation_s=2.0, baseline_s=15.0)
UP, BACK = "R" * SLOTS, "R" * 20 + "L" * 20 + "R" * 160  # down for 2 s, one second after the request
DEAD = "R" * 20 + "L" * 180
OLD, BANNER = "icmp-egress/vm1/203.0.113.1/persistent", "ssh-ingress/harness/198.51.100.11:22/banner"
INVALIDATING = (CaveatKind.NO_RECOVERY_SEEN, CaveatKind.SERVICE_GIVEN_UP)


def encoded(log: Log, paused: int = 0, resumed: int = 0) -> bytes:
    """Return a log of SLOTS slots; its second stream is silent on request from a slot to another."""
    log.after = 0
    body = log.encoded()[:-16]
    for kind, slot in ((RecordKind.PAUSED, paused), (RecordKind.RESUMED, resumed)):
        body += record(kind, BEFORE + slot, START + (BEFORE + slot) * 100 * MS, 1) if slot else b""
    return body + record(RecordKind.END, 0, START + (BEFORE + SLOTS) * 100 * MS + 1000 * MS)


def trial(guest: bytes, harness: Log, *given_up: str, recovered: bool = True) -> TrialResult:
    facts = TrialFacts(
        number=1,
        requested_utc="2026-11-24T12:00:00.000Z",
        requested_ns=REQUESTED,
        baseline_s=15.0,
        clocks={"vm1": NodeClock(0, 1000)},
        recovered=recovered,
        given_up=given_up,
        observed_ns=REQUESTED + (SLOTS - 10) * 100 * MS,
    )
    return analyze_trial(facts, [guest, encoded(harness)], STUCK_METHOD)


def guest(fresh: str, persistent: str) -> Log:
    return guest_log("vm1", fresh, persistent=persistent, gateway=UP, control=UP)


def harness(syn: str = BACK, banner: str = "", session: str = "") -> Log:
    log = harness_log(syn, banner=banner, control=UP)
    return log.add(Direction.INGRESS, "tcp-ingress", "established", "198.51.100.11:22", session) if session else log


def old(result: TrialResult) -> StreamResult:
    (found,) = result.of(ICMP_PERSISTENT)
    return found


def kinds(result: TrialResult) -> set[CaveatKind]:
    return {c.kind for c in result.caveats}


def test_a_flow_that_never_came_back_is_in_no_figure() -> None:
    """New flows say how long the network was down; the dead one would have said that it is down without end."""
    result = trial(encoded(guest(BACK, DEAD)), harness())
    assert (old(result).stuck, old(result).pinned) == (True, False)
    egress = result.figures(Direction.EGRESS)
    assert egress.downtime.estimate_s == pytest.approx(2.0, abs=0.01)
    assert math.isfinite(egress.downtime.at_most_s)
    assert egress.any_down.estimate_s == pytest.approx(2.0, abs=0.01)
    assert result.figures_of(ICMP_PERSISTENT).stuck == 1
    assert result.figures_of(ICMP_FRESH).stuck == 0
    assert result.verdict is Verdict.VALID
    assert not kinds(result) & {*INVALIDATING, CaveatKind.FLOWS_DIFFER}
    (said,) = [c.detail for c in result.caveats if c.kind is CaveatKind.OLD_FLOW_STUCK]
    assert said == f"{OLD}, why is not proven"
    assert {p.cause for p in old(result).windows[-1].phases} >= {Cause.OLD_FLOW_CUT}
    assert Cause.OLD_FLOW_PINNED not in {p.cause for p in old(result).windows[-1].phases}


def test_one_that_is_answered_after_a_silence_was_pinned() -> None:
    """The cause is proven; what was answered then ends no window, and the silence is no gap."""
    result = trial(encoded(guest(BACK, DEAD[:120] + "s" * 70 + "R" * 10), 120, 190), harness(), OLD)
    assert (old(result).stuck, old(result).pinned) == (True, True)
    (window,) = old(result).windows
    assert window.censored
    assert [p.cause for p in window.phases][-1] is Cause.OLD_FLOW_PINNED
    assert old(result).gap_share == 0
    assert CaveatKind.SLOTS_SKIPPED not in kinds(result)
    assert result.punctual_guests == 1.0
    (said,) = [c.detail for c in result.caveats if c.kind is CaveatKind.OLD_FLOW_STUCK]
    assert said == f"{OLD}, answered once it had been silent"
    assert result.verdict is Verdict.VALID


@pytest.mark.parametrize("after", ["L" * 10, ""])
def test_one_that_is_dead_after_the_silence_too_is_stuck_and_no_more_is_claimed(after: str) -> None:
    """Why it is dead nobody knows then; nor where the trial ended before it was tried again."""
    log = guest(BACK, DEAD[:120] + "s" * 70 + after)
    result = trial(encoded(log, 120, 190 if after else 0), harness(), OLD)
    assert (old(result).stuck, old(result).pinned) == (True, False)
    assert [p.cause for p in old(result).windows[-1].phases][-1] is Cause.OLD_FLOW_CUT


def test_one_that_came_back_in_time_is_not_stuck() -> None:
    """Late is a figure like any other."""
    late = "R" * 20 + "L" * 60 + "R" * 120
    result = trial(encoded(guest(BACK, late)), harness())
    assert not old(result).stuck
    assert result.figures_of(ICMP_PERSISTENT).downtime.estimate_s == pytest.approx(6.0, abs=0.01)
    assert CaveatKind.FLOWS_DIFFER in kinds(result)


def test_one_that_was_answered_before_its_silence_had_come_back() -> None:
    """It did so between the harness's last look and the agent's silence."""
    result = trial(encoded(guest(BACK, DEAD[:110] + "R" * 10 + "s" * 70 + "R" * 10), 120, 190), harness(), OLD)
    assert (old(result).stuck, old(result).pinned) == (False, False)
    assert math.isfinite(result.figures_of(ICMP_PERSISTENT).downtime.at_most_s)


@pytest.mark.parametrize(
    "fresh",
    [
        DEAD,  # the network itself is down
        "R" * 20 + "L" * 150 + "R" * 30,  # and so it was until just now
        "R" * 20 + "L" * 20 + "R" * 100 + "L" * 60,  # or is again
        "",
    ],
)
def test_a_flow_is_not_called_stuck_where_new_ones_don_t_pass(fresh: str) -> None:
    """Then it may be the network, and its outage is open."""
    result = trial(encoded(guest(fresh, DEAD)), harness(), recovered=False)
    assert not old(result).stuck
    assert math.isinf(result.figures(Direction.EGRESS).downtime.at_most_s)
    assert CaveatKind.NO_RECOVERY_SEEN in kinds(result)


def test_a_trial_that_gave_a_flow_up_waited_long_enough() -> None:
    """Its grace is its own affair: the facts say that it was over."""
    back_late = "R" * 20 + "L" * 150 + "R" * 30
    result = trial(encoded(guest(back_late, DEAD)), harness(), OLD)
    assert old(result).stuck


def test_of_a_run_from_before_there_was_a_grace_the_network_alone_is_judged() -> None:
    """It waited until its time was up, for the dead flow alone: that is no lack of recovery."""
    result = trial(encoded(guest(BACK, DEAD)), harness(), recovered=False)
    assert old(result).stuck
    assert not kinds(result) & set(INVALIDATING)
    relapsing = trial(encoded(guest(BACK, DEAD)), harness(syn="R" * 195 + "L" * 4 + "R"), recovered=False)
    assert CaveatKind.NO_RECOVERY_SEEN in kinds(relapsing)


def test_a_service_that_was_given_up_is_said_to_be_slow_and_not_the_network() -> None:
    """Its own figure is open; that of TCP is whole."""
    result = trial(encoded(guest(BACK, BACK)), harness(banner=DEAD), BANNER)
    assert CaveatKind.SERVICE_GIVEN_UP in kinds(result)
    assert CaveatKind.NO_RECOVERY_SEEN not in kinds(result)
    assert math.isinf(result.figures_of(SSH_BANNER).downtime.at_most_s)
    (banner,) = result.of(SSH_BANNER)
    assert [p.cause for p in banner.windows[-1].phases][-1] is Cause.SERVICE_SLOW
    assert result.verdict is Verdict.UNKNOWN


def test_a_service_that_kept_an_earlier_run_waiting_is_found_by_its_relapses() -> None:
    """Up and down in turns, it never was up for the validation time, and nobody noted who was waited for."""
    flapping = "R" * 20 + "LLLLLRRRRR" * 18
    result = trial(encoded(guest(BACK, BACK)), harness(banner=flapping), recovered=False)
    assert CaveatKind.SERVICE_GIVEN_UP in kinds(result)
    assert CaveatKind.NO_RECOVERY_SEEN not in kinds(result)


@pytest.mark.parametrize(
    ("silent", "stuck"),
    [
        ("L" * 180, True),  # silent for 2 s when the port came back: it would have tried by 2 s later
        ("L" * 178 + "RR", False),
        ("L" * 60 + "F" * 120, False),  # it was reset, and is not silent
    ],
)
def test_a_session_that_hangs_is_stuck_when_it_would_have_tried_by_then(silent: str, stuck: bool) -> None:
    """It stays stalled, and what is said of it says more."""
    result = trial(encoded(guest(BACK, BACK)), harness(session="R" * 20 + silent))
    (session,) = sessions(result)
    assert session.stuck is stuck
    assert (session.state is SessionState.STALLED) is ("F" not in silent)
    assert bool(result.of(TCP_SESSION)[0].stuck) is stuck
    assert (CaveatKind.OLD_FLOW_STUCK in kinds(result)) is stuck


def test_a_session_may_be_silent_for_as_long_again_as_the_port_was() -> None:
    """That is TCP's own waiting, not a flow that is stuck."""
    slow = "R" * 20 + "L" * 80 + "R" * 100
    result = trial(encoded(guest(BACK, BACK)), harness(syn=slow, session=DEAD))
    assert not sessions(result)[0].stuck
