"""What a baseline says before anything is restarted: drawn losses, and the words that each must give."""

from __future__ import annotations

import errno
import random
import re
from collections.abc import Callable, Iterable, Sequence

import pytest

from vrbench.core.findings import FindingState
from vrbench.core.judge.baseline import Baseline, judge_baseline
from vrbench.core.judge.loss import LossShape, loss_of
from vrbench.core.kinds import (
    CONTROL,
    DNS,
    GATEWAY,
    ICMP_FRESH,
    ICMP_PERSISTENT,
    SSH_AUTH,
    SSH_BANNER,
    SSH_SYN,
    TCP_SESSION,
    ProbeKind,
)
from vrbench.core.log.history import Fate, Probed, ProbeHistory
from vrbench.core.log.rawlog import Refusal
from vrbench.core.model import HARNESS, Stream

SECONDS = 15.0
MS = 1_000_000
OUTSIDE = "203.0.113.1"

Lose = Callable[[int, int], tuple[Fate, int]]  # number of the probe, when it is sent (ms) -> what becomes of it


def answered(_slot: int, _at_ms: int) -> tuple[Fate, int]:
    """All is well."""
    return Fate.ANSWERED, 0


def silent(_slot: int, _at_ms: int) -> tuple[Fate, int]:
    """Nobody answers."""
    return Fate.SILENT, 0


def always(fate: Fate, reason: int) -> Lose:
    """Each probe ends alike."""
    return lambda _slot, _at_ms: (fate, reason)


def by_chance(share: float, seed: int = 1) -> Lose:
    """Each probe is lost for itself."""
    drawn = random.Random(seed)
    return lambda _slot, _at_ms: (Fate.SILENT, 0) if drawn.random() < share else (Fate.ANSWERED, 0)


def down(*spans_ms: tuple[int, int]) -> Lose:
    """Lost between two moments."""
    return lambda _slot, at: (Fate.SILENT, 0) if any(a <= at < b for a, b in spans_ms) else (Fate.ANSWERED, 0)


class Bucket:
    """A token bucket that all streams share: probes must come in the order in which they are sent."""

    def __init__(self, per_s: float, burst: float = 5.0) -> None:
        self.per_s, self.burst, self.tokens, self.at_ms = per_s, burst, burst, 0

    def __call__(self, _slot: int, at_ms: int) -> tuple[Fate, int]:
        """Take a token, if there is one."""
        self.tokens = min(self.burst, self.tokens + (at_ms - self.at_ms) * self.per_s / 1000)
        self.at_ms = at_ms
        if self.tokens < 1:
            return Fate.SILENT, 0
        self.tokens -= 1
        return Fate.ANSWERED, 0


class Counted:
    """A policer that lets so many through in each second, and then none."""

    def __init__(self, per_s: int) -> None:
        self.per_s, self.second, self.passed = per_s, -1, 0

    def __call__(self, _slot: int, at_ms: int) -> tuple[Fate, int]:
        """Let it through, unless this second has had its share."""
        if at_ms // 1000 != self.second:
            self.second, self.passed = at_ms // 1000, 0
        self.passed += 1
        return (Fate.ANSWERED, 0) if self.passed <= self.per_s else (Fate.SILENT, 0)


def stream(kind: ProbeKind, place: str, every_ms: int = 100) -> Stream:
    """Return a stream of that kind."""
    target = OUTSIDE if kind in (ICMP_FRESH, ICMP_PERSISTENT) else f"{place}:22" if kind.direction == "ingress" else "x"
    return Stream(kind.stream_name(place), kind.direction, kind.probe, kind.flow, target, every_ms / 1000)


def histories(
    streams: Iterable[tuple[str, Stream, Lose]], seconds: float = SECONDS, jitter_ms: int = 0
) -> list[ProbeHistory]:
    """Send all streams' probes in order of time, each stream with a phase of its own."""
    listed = list(streams)
    drawn = random.Random(7)
    due = sorted(
        (slot * round(s.interval_s * 1000) + 3 * i + drawn.randint(0, jitter_ms), slot, i)
        for i, (_, s, _) in enumerate(listed)
        for slot in range(round(seconds / s.interval_s))
    )
    probes: list[list[Probed]] = [[] for _ in listed]
    for at_ms, slot, i in due:
        probes[i].append(Probed(at_ms * MS, *listed[i][2](slot, at_ms)))
    return [
        ProbeHistory(node, s, tuple(sorted(p, key=lambda x: x.at_ns)))
        for (node, s, _), p in zip(listed, probes, strict=True)
    ]


def egress(
    vms: int, lose: Lose, kinds: Sequence[ProbeKind] = (ICMP_FRESH, ICMP_PERSISTENT)
) -> list[tuple[str, Stream, Lose]]:
    """Let guests ping outside."""
    return [(f"vm{n}", stream(kind, f"vm{n}"), lose) for n in range(1, vms + 1) for kind in kinds]


def ingress(vms: int, lose: Lose, kind: ProbeKind = SSH_SYN) -> list[tuple[str, Stream, Lose]]:
    """Let the harness probe as many public ends."""
    every_ms = 250 if kind is SSH_BANNER else 100
    return [(HARNESS, stream(kind, f"198.51.100.{n}", every_ms), lose) for n in range(1, vms + 1)]


def control(lose: Lose) -> list[tuple[str, Stream, Lose]]:
    """Let the harness ping the control target."""
    return [(HARNESS, Stream("control/harness", CONTROL.direction, "control", "fresh", "198.51.100.2", 0.1), lose)]


def judged(*streams: Iterable[tuple[str, Stream, Lose]], seconds: float = SECONDS, jitter_ms: int = 0) -> Baseline:
    """Judge what these streams saw."""
    listed = [one for some in streams for one in some]
    return judge_baseline(histories(listed, seconds, jitter_ms), seconds, frozenset())


def words(baseline: Baseline) -> str:
    """All that is said."""
    return " | ".join(f"{f.state}: {f.found} -> {f.cure}" for f in baseline.findings)


FINE = (egress(2, answered), ingress(2, answered))


def test_a_baseline_without_loss_says_nothing() -> None:
    """It goes on, nothing is left out, and nothing is tolerated."""
    assert judged(*FINE, control(answered)) == Baseline()


@pytest.mark.parametrize("vms", [2, 10, 40])
@pytest.mark.parametrize("limit", [Bucket, Counted])
def test_a_limit_is_told_with_its_rate_and_the_keys(vms: int, limit: type) -> None:
    """Twenty pings a second come through, however many VMs share them."""
    baseline = judged(egress(vms, limit(20)), ingress(vms, answered), jitter_ms=5)
    (bad,) = baseline.bad
    assert f"{vms * 20} pings to {OUTSIDE} a second are sent by {vms * 2} streams of {vms} VMs" in bad.found
    assert re.search(r"About 2[01] a second are answered", bad.found)
    assert "that is a limit" in bad.found if vms > 2 or limit is Counted else "a limit always meets" in bad.found
    assert "probes.interval=" in bad.cure
    assert "environment.vms" in bad.cure
    assert "probes.egress_target" in bad.cure
    assert baseline.conclusive


def test_the_interval_that_is_advised_stays_below_the_limit() -> None:
    """40 a second are sent, 20 come through: with four streams every 250 ms, 16 are sent."""
    (bad,) = judged(egress(2, Bucket(20)), ingress(2, answered), jitter_ms=5).bad
    assert "probes.interval=250ms (now 100ms), probes.icmp_persistent=false" in bad.cure


def test_a_limit_that_always_meets_the_same_streams_is_one() -> None:
    """Streams that send in turns may share a bucket so that one of each VM gets all of it."""
    streams = [*egress(2, answered, (ICMP_FRESH,)), *egress(2, silent, (ICMP_PERSISTENT,))]
    baseline = judged(streams, ingress(2, answered))
    assert "that is a limit" in words(baseline)
    assert baseline.conclusive


def test_what_one_vm_alone_lacks_is_no_limit() -> None:
    """Its streams are named, and it may only be late: a first answer may still come."""
    streams = [(n, s, silent if n == "vm2" else answered) for n, s, _ in egress(2, answered)]
    baseline = judged(streams, ingress(2, answered))
    assert "lost per stream: nearly all of icmp-egress/vm2/fresh, icmp-egress/vm2/persistent" in words(baseline)
    assert not baseline.conclusive


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_random_loss_is_called_random(share: float) -> None:
    """A bad link: no rate would help, and none is advised."""
    baseline = judged(egress(3, by_chance(share)), ingress(3, answered))
    (bad,) = baseline.bad
    assert "of all streams are lost at random" in bad.found
    assert "probes.interval" not in bad.cure
    assert baseline.conclusive


def test_a_path_that_fails_now_and_then_is_told_with_its_period() -> None:
    """All at once, for half a second in every two."""
    spans = tuple((n * 2000 + 500, n * 2000 + 1000) for n in range(8))
    baseline = judged(egress(3, down(*spans)), ingress(3, answered))
    assert "Most is lost at once, in 8 stretches of up to 0.5 s, every 2.0 s" in words(baseline)


@pytest.mark.parametrize(("share", "stops"), [(0.04, False), (0.3, True)])
def test_a_little_loss_is_measured_on_and_much_is_not(share: float, stops: bool) -> None:
    """What a stream lost before is tolerated; above a tenth nothing is restarted."""
    baseline = judged(egress(2, by_chance(share)), ingress(2, answered))
    assert bool(baseline.bad) is stops
    assert bool(baseline.marked.tolerated) is not stops
    assert bool(baseline.marked.unfit) is stops


def test_what_is_lost_by_chance_is_known_from_all_streams_of_a_kind() -> None:
    """One lost probe of one stream: any other may lose one next. Ingress, which lost none, tolerates none."""
    one: Lose = lambda slot, at_ms: (silent if slot == 40 else answered)(slot, at_ms)  # noqa: E731
    streams = [*egress(1, one, (ICMP_FRESH,)), *[s for s in egress(9, answered, (ICMP_FRESH,)) if s[0] != "vm1"]]
    marked = judged(streams, ingress(2, answered), control(answered)).marked
    assert marked.tolerated == {f"icmp-egress/vm{n}/fresh": 1 for n in range(1, 10)}


def test_one_long_loss_is_no_usual_one() -> None:
    """A stream that once failed for a second may be measured, but an outage of a second is one."""
    marked = judged(egress(2, down((5000, 6000))), ingress(2, answered)).marked
    assert set(marked.tolerated.values()) == {5}


def test_one_dead_stream_of_ten_is_left_out_and_one_of_nine_stops() -> None:
    """A tenth may lack, as a tenth may sleep through an outage; more, and the figure is not the network's."""
    for vms, stops in ((10, False), (9, True)):
        streams = [(n, s, silent if s.target.startswith("198.51.100.1:") else f) for n, s, f in ingress(vms, answered)]
        baseline = judged(egress(vms, answered), streams)
        assert bool(baseline.bad) is stops
        assert baseline.marked.unfit == {"ssh-ingress/198.51.100.1/syn"}
        assert ("The figures are of the other 9" in words(baseline)) is not stops


def test_a_loss_that_is_over_is_waited_for() -> None:
    """A switch that blinked early in the baseline is no reason to throw a build away: what follows is looked at."""
    baseline = judged(egress(2, down((0, 4000))), ingress(2, answered))
    assert baseline.bad
    assert not baseline.conclusive


def test_news_of_a_slow_guest_count_although_they_are_old() -> None:
    """Each stream is judged by the last seconds that are known of it."""
    listed = histories([*egress(2, answered), *ingress(2, answered)])
    late = [h if h.node != "vm2" else ProbeHistory(h.node, h.stream, h.probes[:20]) for h in listed]
    assert judge_baseline(late, 5.0, frozenset()) == Baseline()


def test_late_answers_are_no_silence() -> None:
    """A target a second away: what helps is a longer threshold, no other rate."""
    listed = histories([*egress(1, silent), *egress(1, by_chance(0.95), (ICMP_FRESH,)), *ingress(2, answered)])
    late = [
        ProbeHistory(h.node, h.stream, h.probes, tuple(p.at_ns for p in h.probes if p.fate is Fate.SILENT))
        for h in listed
    ]
    baseline = judge_baseline(late, SECONDS, frozenset())
    assert "were answered later than probes.threshold allows" in words(baseline)
    assert "probes.threshold" in baseline.bad[0].cure


@pytest.mark.parametrize(
    ("lose", "said"),
    [
        (silent, "no egress probe is answered"),
        (always(Fate.REFUSED, 0x030D), "150 were refused (administratively prohibited)"),
        (always(Fate.REFUSED, 0x0301), "were refused (host unreachable)"),
        (always(Fate.NOT_SENT, errno.EPERM), "could not be sent (EPERM)"),
        (always(Fate.NOT_SENT, errno.ENETUNREACH), "could not be sent (ENETUNREACH)"),
        (always(Fate.NOT_SENT, errno.ENOBUFS), "could not be sent (ENOBUFS)"),
    ],
)
def test_pings_that_never_come_back_are_told_with_their_reason(lose: Lose, said: str) -> None:
    """A firewall that drops the guests' pings, one that says so, a guest without a route."""
    baseline = judged(egress(1, lose, (ICMP_FRESH,)), ingress(1, answered))
    assert said in words(baseline)
    assert "Probes.egress_target" not in words(baseline)
    assert not baseline.here


def test_a_gateway_that_answers_shows_where_pings_are_lost() -> None:
    """Then it is not the VMs' own firewall."""
    gateway = [("vm1", stream(GATEWAY, "vm1"), answered)]
    assert "The VMs' gateway answers" in words(judged(egress(1, silent), ingress(1, answered), gateway))


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENETUNREACH, errno.ENOBUFS])
def test_a_machine_that_cant_send_is_told_from_a_cloud_that_fails(number: int) -> None:
    """It is this machine's packet filter, route or queue, and it is soon known."""
    baseline = judged(egress(2, answered), ingress(2, always(Fate.NOT_SENT, number)))
    assert baseline.here
    assert baseline.conclusive
    assert f"{errno.errorcode[number]} on this machine" in baseline.bad[0].cure


@pytest.mark.parametrize(
    ("reason", "said"), [(Refusal.STARTUPS, "MaxStartups"), (Refusal.PENALTY, "PerSourcePenalties")]
)
def test_sshds_own_limits_are_named(reason: Refusal, said: str) -> None:
    """Turned away is neither up nor down: a stream that nearly always is can't tell an outage."""
    turned = ingress(2, lambda slot, _: (Fate.ANSWERED, 0) if slot % 3 == 0 else (Fate.TURNED_AWAY, reason), SSH_BANNER)
    baseline = judged(egress(2, answered), ingress(2, answered), turned)
    assert f"were turned away by sshd ({said})" in words(baseline)
    assert "banner_interval" in baseline.bad[0].cure


def test_a_limit_of_new_connections_names_their_keys() -> None:
    """Ten SYNs a second and no more."""
    baseline = judged(egress(4, answered), ingress(4, Bucket(10)), jitter_ms=5)
    assert "40 half-open TCP connections to 4 public addresses a second" in words(baseline)
    assert "that is a limit" in words(baseline)
    assert "environment.public_ips" in baseline.bad[0].cure
    assert "probes.syn=false" in baseline.bad[0].cure


def test_a_banner_that_never_comes_is_named() -> None:
    """TCP is up, and something hangs up before the banner."""
    banners = ingress(2, always(Fate.REFUSED, Refusal.CLOSED), SSH_BANNER)
    assert "were refused (closed before a banner)" in words(judged(egress(2, answered), ingress(2, answered), banners))


def test_connections_that_anybody_accepts_stop_the_run() -> None:
    """A SYN proxy is up for ever: its half-open connections can't tell an outage."""
    listed = histories([*egress(2, answered), *ingress(2, answered)])
    baseline = judge_baseline(listed, SECONDS, frozenset({"198.51.100.1:22", "198.51.100.2:22"}))
    assert "a port where nobody listens is answered as well" in words(baseline)
    assert "probes.syn=false" in baseline.bad[0].cure
    assert baseline.conclusive


@pytest.mark.parametrize("lose", [silent, by_chance(0.4), always(Fate.NOT_SENT, errno.EPERM), Bucket(5)])
def test_a_control_that_does_not_answer_is_none_and_stops_nothing(lose: Lose) -> None:
    """The run goes on, and it is said what that means."""
    baseline = judged(*FINE, control(lose))
    assert not baseline.bad
    assert "no control: 198.51.100.2" in words(baseline)
    assert "voids no trial" in words(baseline)
    assert baseline.marked.unfit == {"control/harness"}


def test_why_a_control_could_not_be_sent_is_said() -> None:
    """By the word of its errno."""
    assert "150 could not be sent (EPERM)" in words(judged(*FINE, control(always(Fate.NOT_SENT, errno.EPERM))))


def test_a_login_that_has_not_ended_yet_is_not_said_to_be_unanswered() -> None:
    """Logins come every 10 s and take their time: in a short baseline none may be judged."""
    begun = ProbeHistory(HARNESS, stream(SSH_AUTH, "vm1", 10_000))
    baseline = judge_baseline([*histories([s for group in FINE for s in group]), begun], SECONDS, frozenset())
    assert baseline.findings == ()
    assert baseline.marked.unfit == frozenset()


@pytest.mark.parametrize("kind", [DNS, TCP_SESSION])
def test_what_is_beside_the_figures_stops_nothing(kind: ProbeKind) -> None:
    """A router without DNS, a session that could not be opened."""
    baseline = judged(*FINE, [("vm1", stream(kind, "vm1"), silent)])
    assert not baseline.bad
    assert "not measured, since nothing answers before the operation" in words(baseline)
    assert all(f.state is FindingState.WARN for f in baseline.findings)


@pytest.mark.parametrize(
    ("lose", "shape"),
    [
        (Bucket(7), LossShape.LIMIT),
        (Counted(20), LossShape.LIMIT),
        (by_chance(0.5), LossShape.RANDOM),
        (silent, LossShape.NONE),
        (down((1000, 2000), (5000, 6000)), LossShape.STRETCHES),
    ],
)
def test_shapes(lose: Lose, shape: LossShape) -> None:
    """A limit varies less than chance, a path that fails now and then more."""
    assert loss_of(histories(egress(2, lose), jitter_ms=5)).shape is shape


def test_chance_is_seldom_taken_for_a_limit() -> None:
    """Of 200 baselines of 15 s with random loss, not one in fifty may be called a limit."""
    shapes = [loss_of(histories(egress(2, by_chance(0.5, seed)))).shape for seed in range(200)]
    assert shapes.count(LossShape.LIMIT) <= 4


def test_a_login_that_has_not_ended_yet_is_not_called_silent() -> None:
    """They come every ten seconds and take long: none may have been judged by the end of a baseline, or it was slow."""
    login = stream(SSH_AUTH, "198.51.100.1", 10_000)
    slow = (Probed(0, Fate.SILENT), Probed(10_000 * MS, Fate.SILENT))  # two were too slow; the answers are on their way
    begun, late = ProbeHistory(HARNESS, login), ProbeHistory(HARNESS, login, slow[:1], (900 * MS,))
    for history in (begun, late, ProbeHistory(HARNESS, login, slow)):
        listed = [*histories([*egress(2, answered), *ingress(2, answered)]), history]
        assert judge_baseline(listed, SECONDS, frozenset()) == Baseline()


def test_what_is_silent_is_told_from_what_is_often_lost() -> None:
    """Each is named with its own reason."""
    often: Lose = lambda slot, at_ms: (answered if slot % 2 else silent)(slot, at_ms)  # noqa: E731
    beside = [("vm1", stream(DNS, "vm1", 500), often), (HARNESS, stream(TCP_SESSION, "vm2"), silent)]
    said = words(judged(*FINE, beside))
    assert "since nothing answers before the operation: tcp-ingress/vm2/established" in said
    assert "since more than a tenth is lost before the operation: dns/vm1" in said


def test_names_that_are_often_lost_are_named_and_left_out() -> None:
    """A resolver that limits questions would hold a trial open."""
    every_other: Lose = lambda slot, at_ms: (answered if slot % 2 else silent)(slot, at_ms)  # noqa: E731
    baseline = judged(*FINE, [("vm1", stream(DNS, "vm1", 500), every_other)])
    assert "not measured, since more than a tenth is lost before the operation: dns/vm1" in words(baseline)
    assert baseline.marked.unfit == {"dns/vm1"}
    assert not baseline.bad
