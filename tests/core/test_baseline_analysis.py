"""What the baseline found, in the analysis of the trial: what is left out, what is tolerated, which control is none."""

from dataclasses import replace

import pytest

from tests.core.test_analysis import FACTS, METHOD, OUT, UP, log
from vrbench.core.analysis import analyze_trial
from vrbench.core.caveats import CaveatKind
from vrbench.core.facts import TrialFacts
from vrbench.core.figures.results import TrialResult
from vrbench.core.model import Direction, Verdict

DEAD = "L" * 40  # never answered, before the request or after it


def test_a_control_that_was_never_up_is_no_control() -> None:
    """By what the baseline said; runs of versions that did not judge it keep their verdict."""
    known = replace(FACTS, unfit=("control/harness",))
    for facts, verdict, kind in (
        (FACTS, Verdict.INVALID, CaveatKind.CONTROL_DOWN),
        (known, Verdict.VALID, CaveatKind.NO_CONTROL),
    ):
        found = with_control(facts, DEAD)
        assert found.verdict is verdict
        assert kind in {c.kind for c in found.caveats}


def test_a_control_that_dies_later_voids_the_trial_as_ever() -> None:
    """It was fit before."""
    assert with_control(FACTS, OUT).verdict is Verdict.INVALID


def with_control(facts: TrialFacts, seen: str) -> TrialResult:
    """Analyse a trial whose harness has a control target that is seen so."""
    guest = log("vm1", ("e", Direction.EGRESS, "fresh", OUT))
    harness = log(
        "harness", ("i", Direction.INGRESS, "syn", OUT), ("control/harness", Direction.CONTROL, "fresh", seen)
    )
    return analyze_trial(facts, [guest, harness], METHOD)


def test_what_the_baseline_left_out_is_in_no_figure() -> None:
    """One dead stream: it is counted as not measured, and the trial stays valid."""
    guest = log("vm1", ("e", Direction.EGRESS, "fresh", OUT), ("dead", Direction.EGRESS, "fresh", DEAD))
    ingress = log("harness", ("i", Direction.INGRESS, "syn", OUT), ("c", Direction.CONTROL, "fresh", UP))
    old, new = (analyze_trial(facts, [guest, ingress], METHOD) for facts in (FACTS, replace(FACTS, unfit=("dead",))))
    assert (old.verdict, new.verdict) == (Verdict.UNKNOWN, Verdict.VALID)
    assert CaveatKind.LEFT_OUT in {c.kind for c in new.caveats}
    assert new.figures(Direction.EGRESS).downtime.estimate_s == pytest.approx(old.streams[0].downtime.estimate_s)
    assert new.figures_of(old.streams[0].stream.kind).unmeasured == 1


@pytest.mark.parametrize("seen", ["RRRRRRRRRR" + "L" + OUT[11:], OUT[:-1] + "L"])
def test_a_loss_like_those_of_the_baseline_decides_nothing(seen: str) -> None:
    """At the request, and as the last thing that is seen: single losses were there before."""
    guest = log("vm1", ("e", Direction.EGRESS, "fresh", seen))
    ingress = log("harness", ("i", Direction.INGRESS, "syn", OUT), ("c", Direction.CONTROL, "fresh", UP))
    decisive = {CaveatKind.DOWN_AT_REQUEST, CaveatKind.NO_RECOVERY_SEEN}
    for facts, decides in ((FACTS, True), (replace(FACTS, tolerated={"e": 1}), False)):
        result = analyze_trial(facts, [guest, ingress], METHOD)
        assert bool(decisive & {c.kind for c in result.caveats}) is decides


def test_how_much_was_lost_before_is_said_where_the_baseline_was_judged() -> None:
    """One of ten probes: so much of what follows may be no outage. Runs of earlier versions name the stream alone."""
    guest = log("vm1", ("e", Direction.EGRESS, "fresh", "RRRL" + OUT[4:]))
    ingress = log("harness", ("i", Direction.INGRESS, "syn", OUT), ("c", Direction.CONTROL, "fresh", UP))
    for facts, detail in ((FACTS, "e"), (replace(FACTS, tolerated={"e": 1}), "e 10.0 %")):
        found = analyze_trial(facts, [guest, ingress], METHOD).caveats
        assert [c.detail for c in found if c.kind is CaveatKind.BASELINE_LOSSY] == [detail]
