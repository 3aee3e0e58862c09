"""Whom a trial waits for once its network is back: streams as scripts, no time passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from tests.run.world import SECOND, World
from vrbench.core.facts import TrialFacts
from vrbench.core.kinds import DNS, ICMP_FRESH, ICMP_PERSISTENT, SSH_AUTH, SSH_BANNER, SSH_SYN, ProbeKind
from vrbench.core.log.growing_log import StreamState
from vrbench.core.model import Stream
from vrbench.core.ports import Collected
from vrbench.run.trial import Trial, TrialLimits, run_trial

GRACE_S, SILENCE_S, BACK_S = 20.0, 35.0, 11.0
LIMITS = TrialLimits(
    baseline_s=5, validation_s=3, observe_at_most_s=600, job_timeout_s=30, grace_s=GRACE_S, silence_s=SILENCE_S
)
END = "198.51.100.1:22"
NEVER = 1e9


def stream(kind: ProbeKind) -> Stream:
    target = END if kind in (SSH_SYN, SSH_BANNER, SSH_AUTH) else "203.0.113.1"
    return Stream(kind.key, kind.direction, kind.probe, kind.flow, target, 0.1)


@dataclass
class Zone(World):
    """Streams of one guest that come back at their own moments (s after the request), all but the old flow at once.

    ``pinned``: the old flow is answered again once it has been silent. ``again``: the moments between which the new
    flows are down once more. ``slow``: the guest's news come in turns, 5 s without any and then 3 s with them.
    """

    back_s: dict[ProbeKind, float] = field(default_factory=dict)
    pinned: bool = True
    again: tuple[float, float] = (NEVER, NEVER)
    slow: bool = False
    kinds: tuple[ProbeKind, ...] = (ICMP_FRESH, ICMP_PERSISTENT, SSH_SYN, SSH_BANNER)

    def states(self) -> Sequence[StreamState]:
        return [self._state(kind) for kind in self.kinds]

    def _state(self, kind: ProbeKind) -> StreamState:
        t, back_s = self._elapsed(), self.back_s.get(kind, self.down_to)
        if kind is ICMP_PERSISTENT and self.silences and self.pinned and self.can_be_silent:
            back_s = min(back_s, sum(self.silences[0]))
        if kind is ICMP_FRESH and t >= self.again[0]:
            back_s = self.again[1]
        up = t < self.down_from or t >= back_s
        since_s = -100.0 if t < self.down_from else back_s if up else self.down_from
        since_ns = self.now_ns - round((t - since_s) * SECOND)
        old_s = t % 8 if self.slow and kind in (ICMP_FRESH, DNS) and t >= 0 and t % 8 < 5 else 0.0
        return StreamState("vm1", stream(kind), up, since_ns, self.now_ns - round(old_s * SECOND), 99, 0, 0)

    def stop(self) -> Collected:
        return replace(super().stop(), clocks={})


def watched(zone: Zone) -> tuple[TrialFacts, float]:
    """Run a trial; its facts, and how long after the request it ended."""
    facts = run_trial(Trial(1, LIMITS, zone, zone, zone, zone))
    return facts, (facts.observed_ns - facts.requested_ns) / SECOND


def test_an_old_flow_that_comes_back_within_its_grace_is_waited_for() -> None:
    """It is late, and that is its figure; nothing is given up, and nobody is asked to be silent."""
    zone = Zone(back_s={ICMP_PERSISTENT: BACK_S + GRACE_S - 5})
    facts, took_s = watched(zone)
    assert (facts.recovered, facts.given_up, zone.silences) == (True, (), [])
    assert took_s == pytest.approx(BACK_S + GRACE_S - 5 + 3, abs=0.6)


def test_a_stuck_old_flow_is_proven_and_the_trial_ends() -> None:
    """The grace begins when all else is back; then one silence, and the first answer after it ends the trial."""
    zone = Zone(back_s={ICMP_PERSISTENT: NEVER})
    facts, took_s = watched(zone)
    assert (facts.recovered, facts.given_up) == (True, ("icmp.persistent",))
    ((asked_s, silence_s),) = zone.silences
    assert silence_s == SILENCE_S
    assert asked_s == pytest.approx(BACK_S + GRACE_S, abs=0.6)
    assert took_s == pytest.approx(asked_s + SILENCE_S, abs=0.6)
    said = [p.partition(": ")[2] for p in zone.phases]
    assert said[3:] == [
        "job ended, validating",
        "waiting at most 20 s for icmp.persistent, whose path is back",
        "1 old flow silent for 35 s, then tried again",
        "collecting samples",
    ]


def test_a_flow_that_is_dead_after_the_silence_too_does_not_hold_the_trial_up() -> None:
    """Nothing is proven then, and what may still be on its way from the guest is waited for some seconds."""
    facts, took_s = watched(Zone(back_s={ICMP_PERSISTENT: NEVER}, pinned=False))
    assert facts.given_up == ("icmp.persistent",)
    assert took_s == pytest.approx(BACK_S + GRACE_S + SILENCE_S + 10, abs=0.6)


def test_a_guest_that_can_not_be_silent_is_not_waited_for() -> None:
    """A guest without Python probes by its own ping."""
    facts, took_s = watched(Zone(back_s={ICMP_PERSISTENT: NEVER}, can_be_silent=False))
    assert facts.given_up == ("icmp.persistent",)
    assert took_s == pytest.approx(BACK_S + GRACE_S, abs=0.6)


@pytest.mark.parametrize("service", [SSH_BANNER, SSH_AUTH])
def test_a_service_that_is_slow_without_end_is_given_up_after_the_same_grace(service: ProbeKind) -> None:
    """Its port accepts connections, so its network is back; it can't be proven by silence, and nobody tries."""
    zone = Zone(back_s={service: NEVER}, kinds=(ICMP_FRESH, SSH_SYN, service))
    facts, took_s = watched(zone)
    assert (facts.recovered, facts.given_up, zone.silences) == (True, (service.key,), [])
    assert took_s == pytest.approx(BACK_S + GRACE_S, abs=0.6)


@pytest.mark.parametrize(
    "kinds", [(ICMP_PERSISTENT, SSH_SYN), (ICMP_FRESH, ICMP_PERSISTENT, SSH_SYN, DNS), (ICMP_FRESH, SSH_SYN, DNS)]
)
def test_what_no_other_stream_shows_to_be_back_is_waited_for(kinds: tuple[ProbeKind, ...]) -> None:
    """Without new flows a dead ping may be a dead network; and the resolver is the router's own."""
    zone = Zone(back_s={ICMP_PERSISTENT: NEVER, DNS: NEVER}, kinds=kinds)
    facts, took_s = watched(zone)
    assert (facts.recovered, facts.given_up) == (False, ())
    assert took_s == pytest.approx(LIMITS.observe_at_most_s, abs=0.6)


def test_the_grace_begins_anew_after_a_relapse() -> None:
    """A network that goes down again is none in which an old flow has had its time."""
    zone = Zone(back_s={ICMP_PERSISTENT: NEVER}, again=(BACK_S + 10, BACK_S + 15))
    watched(zone)
    ((asked_s, _),) = zone.silences
    assert asked_s == pytest.approx(BACK_S + 15 + 3 + GRACE_S, abs=0.6)


def test_a_guest_that_sends_no_news_for_a_while_has_not_relapsed() -> None:
    """A slow guest's news come late again and again: a grace that began anew with each such time would never end."""
    kinds = (ICMP_FRESH, ICMP_PERSISTENT, SSH_SYN, DNS)
    facts, took_s = watched(Zone(back_s={ICMP_PERSISTENT: NEVER}, kinds=kinds, slow=True))
    assert (facts.recovered, facts.given_up) == (True, ("icmp.persistent",))
    assert BACK_S + GRACE_S + SILENCE_S <= took_s <= BACK_S + GRACE_S + SILENCE_S + 3 * 8


def test_a_relapse_during_the_silence_is_waited_out() -> None:
    """What was given up stays so; the rest must be back before the trial ends."""
    up_again_s = BACK_S + GRACE_S + SILENCE_S + 30
    facts, took_s = watched(Zone(back_s={ICMP_PERSISTENT: NEVER}, again=(BACK_S + GRACE_S + 5, up_again_s)))
    assert facts.recovered
    assert took_s == pytest.approx(up_again_s + 3, abs=0.6)
