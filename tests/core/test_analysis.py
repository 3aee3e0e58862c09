"""From raw logs to verdicts: each caveat appears when its cause does, and only then."""

import math
from dataclasses import replace

import pytest

from tests.core.logs import MS, START, end, header, line, stream
from vrbench.core.analysis import analyze_trial
from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.facts import NodeClock, Router, TrialFacts
from vrbench.core.figures.results import TrialResult
from vrbench.core.judge.verdict import reasons
from vrbench.core.model import Direction, Verdict
from vrbench.core.plan.method import Method

METHOD = Method(0.1, 0.25, 0.8, 1, 15.0, 10.0)
FACTS = TrialFacts(number=1, requested_utc="2026-11-24T12:00:00.000Z", requested_ns=START + 1000 * MS, baseline_s=15.0)
UP = "R" * 40
OUT = "R" * 15 + "L" * 10 + "R" * 15  # down from 0.5 s to 1.5 s after the request


def log(node: str, *lines: tuple[str, Direction, str, str]) -> bytes:
    """One node's log: (name, direction, flow, outcomes) per stream."""
    streams = [stream(name, direction, flow) for name, direction, flow, _ in lines]
    body = b"".join(line(outcomes, index) for index, (_, _, _, outcomes) in enumerate(lines))
    return header(*streams, node=node) + body + end(len(lines[0][3]))


def trial(
    facts: TrialFacts = FACTS, fresh: str = OUT, persistent: str = OUT, syn: str = OUT, control: str = UP
) -> list[object]:
    """Return a trial with one guest and one endpoint."""
    guest = log(
        "vm1", ("e/fresh", Direction.EGRESS, "fresh", fresh), ("e/old", Direction.EGRESS, "persistent", persistent)
    )
    harness = log("harness", ("i/syn", Direction.INGRESS, "syn", syn), ("c", Direction.CONTROL, "fresh", control))
    result = analyze_trial(facts, [guest, harness], METHOD)
    return [result, result.verdict, {c.kind for c in result.caveats}]


def test_a_plain_trial_is_valid_without_caveat() -> None:
    """One clean window per stream: valid, nothing to add, and the figures are those of the window.

    What the guest pings is beyond the router, by a round trip of 1 ms.
    """
    guest = log("vm1", ("e", Direction.EGRESS, "fresh", OUT), ("c", Direction.CONTROL, "fresh", UP))
    harness = log("harness", ("i", Direction.INGRESS, "syn", OUT), ("h", Direction.CONTROL, "fresh", UP))
    result = analyze_trial(FACTS, [guest, harness], METHOD)
    assert (result.verdict, result.caveats) == (Verdict.VALID, ())
    egress = result.figures(Direction.EGRESS)
    assert egress.downtime.estimate_s == pytest.approx(0.999)
    assert result.figures(Direction.INGRESS).downtime.estimate_s == pytest.approx(1.0)
    assert (egress.downtime.at_least_s, egress.downtime.at_most_s) == pytest.approx((0.899, 1.101))
    assert egress.full_recovery_s == pytest.approx(1.5)


OLD, NEW = (Router(str(n), f"r-{n}-VM", "Running", software="4.20.2.0", scripts="c0ffee") for n in (1, 2))


def routers(operation: str, before: Router, after: Router) -> dict[str, object]:
    """Return the facts of an operation with the one router of the network before it, and the one after."""
    return {"operation": operation, "routers_before": (before,), "routers_after": (after,)}


@pytest.mark.parametrize(
    ("change", "kind", "verdict"),
    [
        ({"job_error": "530 no"}, CaveatKind.JOB_FAILED, Verdict.INVALID),
        ({"job_finished": False}, CaveatKind.JOB_UNFINISHED, Verdict.UNKNOWN),
        ({"agents_lost": ("vm1",)}, CaveatKind.AGENT_LOST, Verdict.UNKNOWN),
        ({"guests_rebooted": ("vm1",)}, CaveatKind.GUEST_REBOOTED, Verdict.INVALID),
        ({"probers_failed": ("syn",)}, CaveatKind.PROBER_FAILED, Verdict.UNKNOWN),
        ({"interrupted": True, "clocks": {"vm1": NodeClock(0, 0)}}, CaveatKind.INTERRUPTED, Verdict.INVALID),
        ({"recovered": False}, CaveatKind.NO_RECOVERY_SEEN, Verdict.UNKNOWN),
        ({"expected_streams": (("vm2", stream("gone")),)}, CaveatKind.NO_SAMPLES, Verdict.UNKNOWN),
        ({"observed_ns": START + 9000 * MS}, CaveatKind.NO_RECOVERY_SEEN, Verdict.UNKNOWN),
        ({"clocks": {"vm1": NodeClock(0, 60 * MS)}}, CaveatKind.CLOCKS_UNALIGNED, Verdict.VALID),
        ({"gateways": {"vm1": ("02:00:00:00:00:01", "02:00:00:00:00:02")}}, CaveatKind.TWO_ROUTERS, Verdict.UNKNOWN),
        ({"competing_routers": ("r-1-VM", "r-2-VM")}, CaveatKind.TWO_ROUTERS, Verdict.UNKNOWN),
        ({"routers_after": (OLD, NEW)}, CaveatKind.TWO_ROUTERS, Verdict.UNKNOWN),
        (routers("restart-network-cleanup", OLD, OLD), CaveatKind.NOTHING_DONE, Verdict.INVALID),
        (routers("live-patch", OLD, OLD), CaveatKind.PATCH_UNPROVEN, Verdict.VALID),
    ],
)
def test_facts_become_caveats(change: dict[str, object], kind: CaveatKind, verdict: Verdict) -> None:
    """What went wrong beside the samples is said, nothing else is, and it weighs as it should."""
    _, found, kinds = trial(replace(FACTS, **change))  # type: ignore[arg-type]  # names are checked by replace
    assert kinds == {kind}
    assert found is verdict


@pytest.mark.parametrize(
    "change",
    [
        routers("restart-network-cleanup", OLD, NEW),
        routers("restart-network", OLD, OLD),
        routers("live-patch", OLD, replace(OLD, scripts="facade")),
        routers("live-patch", replace(OLD, software=""), OLD),
        routers("an operation of a later version", OLD, OLD),
        {"routers_after": (replace(OLD, redundant=True, redundant_state="PRIMARY"), replace(NEW, redundant=True))},
        {"routers_after": (OLD, replace(NEW, state="Stopping"))},
    ],
)
def test_routers_in_order_are_no_caveat(change: dict[str, object]) -> None:
    """Those that were replaced, patched or left as the operation does; a pair; one that is on its way out."""
    assert trial(replace(FACTS, **change))[2] == set()  # type: ignore[arg-type]  # names are checked by replace


def test_a_pair_has_one_primary() -> None:
    """Two of them serve side by side, whatever the release calls them."""
    both = tuple(replace(r, redundant=True, redundant_state=s) for r, s in ((OLD, "MASTER"), (NEW, "PRIMARY")))
    assert trial(replace(FACTS, routers_after=both))[2] == {CaveatKind.TWO_ROUTERS}


@pytest.mark.parametrize(
    ("streams", "expected", "verdict"),
    [
        (
            {"fresh": "R" * 15 + "L" * 25},
            {CaveatKind.NO_RECOVERY_SEEN, CaveatKind.FLOWS_DIFFER, CaveatKind.PATH_ASYMMETRIC},
            Verdict.UNKNOWN,
        ),
        (
            {"fresh": "L" * 40},
            {CaveatKind.NO_SAMPLES, CaveatKind.FLOWS_DIFFER, CaveatKind.PATH_ASYMMETRIC},
            Verdict.UNKNOWN,
        ),
        ({"syn": "RRLL" + OUT[4:]}, {CaveatKind.BASELINE_LOSSY}, Verdict.VALID),
        ({"syn": "L" + OUT[1:]}, {CaveatKind.BASELINE_LOSSY}, Verdict.VALID),
        ({"syn": "RRRRR" + "L" * 20 + UP[25:]}, {CaveatKind.DOWN_AT_REQUEST}, Verdict.UNKNOWN),
        (
            {"fresh": UP[:15] + "f" * 25},
            {
                CaveatKind.NOT_SENT,
                CaveatKind.NO_RECOVERY_SEEN,
                CaveatKind.FLOWS_DIFFER,
                CaveatKind.PATH_ASYMMETRIC,
                CaveatKind.SLOTS_SKIPPED,
                CaveatKind.UNSEEN,
            },
            Verdict.UNKNOWN,
        ),
        (
            {"persistent": "R" * 15 + "L" * 25, "fresh": UP},
            {CaveatKind.FLOWS_DIFFER, CaveatKind.NO_RECOVERY_SEEN, CaveatKind.PATH_ASYMMETRIC},
            Verdict.UNKNOWN,
        ),
        ({"control": OUT}, {CaveatKind.CONTROL_DOWN}, Verdict.INVALID),
        ({"control": "RRLL" + UP[4:]}, {CaveatKind.CONTROL_LOSSY}, Verdict.VALID),
        ({"syn": OUT[:30] + "LL" + OUT[32:]}, {CaveatKind.RELAPSED}, Verdict.VALID),
        ({"persistent": "R" * 15 + "L" * 24 + "R"}, {CaveatKind.FLOWS_DIFFER}, Verdict.VALID),
        ({"syn": OUT[:25] + "L" * 11 + "RRRR"}, {CaveatKind.PATH_ASYMMETRIC}, Verdict.VALID),
        (
            {"fresh": UP, "persistent": UP, "syn": OUT[:25] + "LLLLL" + OUT[30:]},
            {CaveatKind.PATH_ASYMMETRIC},
            Verdict.VALID,
        ),
        ({"fresh": OUT[:26] + "s" + OUT[27:]}, {CaveatKind.SLOTS_SKIPPED}, Verdict.VALID),
        (
            {"fresh": OUT[:10] + "s" * 20 + OUT[30:]},
            {
                CaveatKind.SLOTS_SKIPPED,
                CaveatKind.FLOWS_DIFFER,
                CaveatKind.PATH_ASYMMETRIC,
                CaveatKind.PROBER_STALLED,
                CaveatKind.UNSEEN,
            },
            Verdict.UNKNOWN,
        ),
    ],
)
def test_samples_become_caveats(streams: dict[str, str], expected: set[CaveatKind], verdict: Verdict) -> None:
    """What the samples show is said, nothing else is, and it weighs as it should."""
    _, found, kinds = trial(**streams)  # type: ignore[arg-type]  # keys are stream names
    assert kinds == expected
    assert found is verdict


def test_directions_that_recover_within_what_can_be_told_are_symmetric() -> None:
    """A threshold and two intervals apart says nothing yet; what is said names both directions."""
    _, _, kinds = trial(syn=OUT[:25] + "L" * 9 + "R" * 6)
    assert CaveatKind.PATH_ASYMMETRIC not in kinds  # type: ignore[operator]
    result, _, _ = trial(syn="R" * 15 + "L" * 25)
    (said,) = [c.detail for c in result.caveats if c.kind is CaveatKind.PATH_ASYMMETRIC]  # type: ignore[attr-defined]
    assert said == "egress after 1.5 s, ingress not seen to"


@pytest.mark.parametrize(("asked_s", "details"), [(0.09, []), (0.05, ["vm1 fresh and persistent every 100ms"])])
def test_a_guest_that_probes_less_often_than_asked_is_named(asked_s: float, details: list[str]) -> None:
    """The method's id says what was asked for; what a weak guest made of it stands beside the figures."""
    guest = log("vm1", ("e", Direction.EGRESS, "fresh", OUT), ("p", Direction.EGRESS, "persistent", OUT))
    result = analyze_trial(FACTS, [guest], replace(METHOD, interval_s=asked_s))
    assert [c.detail for c in result.caveats if c.kind is CaveatKind.PROBED_LESS_OFTEN] == details


def test_one_answer_for_a_gateway_is_no_second_router() -> None:
    """A router that answers from one address, or one that no guest could ask, raises no doubt."""
    _, _, kinds = trial(replace(FACTS, gateways={"vm1": ("02:00:00:00:00:01",), "vm2": ()}))
    assert CaveatKind.TWO_ROUTERS not in kinds  # type: ignore[operator]


def test_flapping_faster_than_the_interval_is_said_with_bounds_that_hold() -> None:
    """Losses and answers by turns: how many windows within how long, and the total from what is proven to the whole."""
    result, _, kinds = trial(syn="R" * 15 + "LRLLRRLRL" + "R" * 16)
    assert CaveatKind.FLAPPING in kinds  # type: ignore[operator]
    (said,) = [c.detail for c in result.caveats if c.kind is CaveatKind.FLAPPING]  # type: ignore[attr-defined]
    assert said == "i/syn: 4 windows of 1 or 2 probes within 0.900 s, down between 0.099 and 1.001 s in all"


@pytest.mark.parametrize(
    "syn",
    [
        "RRLRLRLR" + "R" * 32,  # before the operation: its own caveat
        "RRLR" + "R" * 11 + "LRLRLRL" + "R" * 18,  # a path that lost before loses afterwards
        "R" * 15 + "LRLRR" + "R" * 20,  # two of them
        "R" * 15 + "LRRRLRRRLRRRL" + "R" * 12,  # far apart: a lossy path
        "R" * 15 + "LLLRLLLRLLLRR" + "R" * 12,  # windows that the interval can tell
    ],
)
def test_what_is_no_flapping_is_not_called_so(syn: str) -> None:
    """Loss before the operation, chance, and windows that are long enough or far apart."""
    assert CaveatKind.FLAPPING not in trial(syn=syn)[2]  # type: ignore[operator]


def test_a_guests_clock_is_aligned_for_the_timeline_only() -> None:
    """An offset of an hour moves no duration."""
    hour = 3600 * 1000 * MS
    guest = log("vm1", ("e", Direction.EGRESS, "fresh", OUT))
    facts = replace(FACTS, requested_ns=FACTS.requested_ns + hour, clocks={"vm1": NodeClock(-hour, 0)})
    window = analyze_trial(facts, [guest], METHOD).streams[0].windows[0]
    assert [window.start_s, window.estimate_s] == pytest.approx([0.501, 0.999])


def test_a_drifting_clock_keeps_both_measurements_inside_its_error() -> None:
    """The offset used for a whole trial covers what was measured before and after it."""
    whole = NodeClock(100, 10).drifting_to(NodeClock(150, 20))
    assert whole == NodeClock(130, 40)


def test_a_log_cut_short_is_not_an_uptime() -> None:
    """A guest whose log ends where the router went has no loss in it: its downtime has no upper bound, and is not 0."""
    guest = header(stream("e"), node="vm1") + line("R" * 15)
    result = analyze_trial(FACTS, [guest], METHOD)
    assert result.verdict is Verdict.UNKNOWN
    figures = result.figures(Direction.EGRESS)
    assert math.isinf(figures.downtime.at_most_s)
    assert math.isinf(figures.downtime.settled_s)


def test_a_direction_that_was_not_measured_has_no_figure() -> None:
    """Without any ingress log there is no ingress downtime, least of all zero."""
    guest = log("vm1", ("e", Direction.EGRESS, "fresh", OUT))
    figures = analyze_trial(FACTS, [guest], METHOD).figures(Direction.INGRESS)
    assert math.isnan(figures.downtime.estimate_s)
    assert math.isinf(figures.downtime.at_most_s)


def test_a_blind_stretch_widens_the_bounds_of_its_stream() -> None:
    """A prober that was stopped for a second saw no outage, and can't say that there was none."""
    guest = log("vm1", ("e", Direction.EGRESS, "fresh", UP[:15] + "s" * 3 + UP[18:]))
    downtime = analyze_trial(FACTS, [guest], METHOD).figures(Direction.EGRESS).downtime
    assert (downtime.at_least_s, downtime.estimate_s) == (0.0, 0.0)
    assert downtime.at_most_s == pytest.approx(0.401)


def test_zeros_at_the_end_of_a_log_are_not_records() -> None:
    """A tail of zeros, as a power cut leaves it, cuts the log short and breaks nothing."""
    guest = header(stream("e"), node="vm1") + line(UP) + bytes(64)
    result = analyze_trial(FACTS, [guest], METHOD)
    assert len(result.streams[0].samples) == len(UP)
    assert result.verdict is Verdict.UNKNOWN


def test_reasons_are_what_makes_a_trial_other_than_valid() -> None:
    """Remarks that stand beside a verdict are not given as its reasons; where only a share decided, all are."""
    lost, lab = Caveat(CaveatKind.AGENT_LOST, "vm1"), Caveat(CaveatKind.LAB)
    assert reasons((lost, lab)) == (lost,)
    assert reasons((lab,)) == (lab,)


SLEPT = "R" * 12 + "s" * 20 + "R" * 8  # not probed from 0.2 s to 2.2 s


def unseen_of(*logs: bytes) -> tuple[TrialResult, str]:
    """Return a trial of these logs, and what it says of what nobody saw."""
    result = analyze_trial(FACTS, logs, METHOD)
    return result, "; ".join(c.detail for c in result.caveats if c.kind is CaveatKind.UNSEEN)


def guest(name: str, outcomes: str) -> bytes:
    return log(name, (f"{name}/fresh", Direction.EGRESS, "fresh", outcomes))


def ends(*outcomes: str) -> bytes:
    lines = ((f"i{k}", Direction.INGRESS, "syn", line) for k, line in enumerate(outcomes))
    return log("harness", *lines, ("c", Direction.CONTROL, "fresh", UP))


def test_an_outage_that_a_direction_slept_through_is_no_outage_of_zero() -> None:
    """The harness was stopped while guests saw an outage: unknown, in no average, and no direction recovered first."""
    result, said = unseen_of(guest("vm1", OUT), ends(SLEPT, SLEPT))
    assert result.verdict is Verdict.UNKNOWN
    assert said == "ingress: 2 of 2 streams slept through an outage that others saw"
    assert not result.averaged
    assert CaveatKind.PATH_ASYMMETRIC not in {c.kind for c in result.caveats}


def test_a_direction_that_nobody_looked_at_for_long_says_nothing() -> None:
    """Everybody was stopped: nobody saw an outage, and nobody saw that there was none."""
    result, said = unseen_of(guest("vm1", SLEPT), guest("vm2", SLEPT), ends(UP))
    assert (result.verdict, result.averaged) == (Verdict.UNKNOWN, False)
    assert said == "egress: no stream was probed from 0.10 to 2.20 s"


@pytest.mark.parametrize(
    ("outcomes", "syn"),
    [
        ((UP, SLEPT), (UP,)),  # one of two that were up: the other saw that nothing happened
        ((OUT, OUT), (OUT, "R" * 17 + "sss" + "R" * 20)),  # a moment of a long outage, which was of others only
        ((OUT,) * 10 + (SLEPT,), (OUT,)),  # one of eleven
        (("R" * 15 + "L" * 5 + "s" * 15 + "R" * 5,), (OUT,)),  # it saw the outage begin: its bounds hold it
    ],
)
def test_what_was_slept_through_without_harm(outcomes: tuple[str, ...], syn: tuple[str, ...]) -> None:
    """The figures hold what was to be measured, if with wider bounds."""
    guests = [guest(f"vm{n}", o) for n, o in enumerate(outcomes)]
    assert unseen_of(*guests, ends(*syn))[1] == ""


def test_guests_do_not_control_the_harness() -> None:
    """Guests that ping each other tell nothing of the path from the harness."""
    beside = log("vm1", ("e", Direction.EGRESS, "fresh", OUT), ("c", Direction.CONTROL, "fresh", UP))
    alone = log("harness", ("i", Direction.INGRESS, "syn", OUT))
    assert CaveatKind.NO_CONTROL in {c.kind for c in analyze_trial(FACTS, [beside, alone], METHOD).caveats}


def test_windows_of_a_clock_that_nobody_compared_are_nobodys() -> None:
    """Interrupted, a trial knows no guest's clock: what guests saw is in no figure, and at no wrong moment."""
    ahead = replace(FACTS, requested_ns=FACTS.requested_ns + 8_075_000 * MS, interrupted=True)
    logs = [log("vm1", ("e", Direction.EGRESS, "fresh", OUT)), log("harness", ("i", Direction.INGRESS, "syn", UP))]
    result = analyze_trial(ahead, logs, METHOD)
    (guests,) = (s for s in result.streams if s.node == "vm1")
    assert (guests.aligned, guests.measured, guests.windows) == (False, False, ())
    assert math.isnan(result.figures_of(guests.stream.kind).downtime.estimate_s)
    assert 0 <= guests.samples[0].due_s <= guests.samples[-1].due_s < 10
    assert [w.start_s > 0 for w in guests.baseline_windows] == [True]
    kinds = {c.kind for c in result.caveats}
    assert CaveatKind.CLOCKS_UNKNOWN in kinds
    assert kinds.isdisjoint({CaveatKind.BASELINE_LOSSY, CaveatKind.NO_RECOVERY_SEEN})


def test_a_trial_that_was_interrupted_waited_for_no_recovery() -> None:
    """That a stream was down when it ended is no doubt of its own; what to do about it would be wrong advice."""
    still_down = replace(FACTS, interrupted=True, clocks={"vm1": NodeClock(0, 0)})
    result = analyze_trial(still_down, [log("vm1", ("e", Direction.EGRESS, "fresh", UP[:15] + "L" * 25))], METHOD)
    assert CaveatKind.NO_RECOVERY_SEEN not in {c.kind for c in result.caveats}
