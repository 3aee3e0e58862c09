"""Figures over VMs and over trials: the mean, the worst and any of them, bound by bound; what is in none of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.replacing import replace
from tests.report.made_runs import OPEN, UNSEEN, down, fresh, made_run, made_trial, old, stuck, syn
from vrbench.core.facts import NodeClock
from vrbench.core.figures.headline import Measure, headline
from vrbench.core.figures.results import StreamFigures, StreamResult
from vrbench.core.figures.windows import Downtime, covered_s
from vrbench.core.kinds import HEADLINE, ICMP_FRESH, ICMP_PERSISTENT, ROWS
from vrbench.core.model import OutageWindow, Verdict

moments = st.integers(0, 400).map(lambda n: n / 20)
slack = st.integers(0, 10).map(lambda n: n / 100)


@st.composite
def seen(draw: st.DrawFn) -> tuple[tuple[float, float], StreamResult]:
    """Draw when a path was down, and what a stream of probes saw of it."""
    begin, end = sorted((draw(moments), draw(moments)))
    end += 0.3
    last_up, first, last, up = begin - draw(slack), begin + draw(slack), end - draw(slack), end + draw(slack)
    window = OutageWindow(first, last - first, up - first, up - last_up, 3, 0, 0, censored=False, last_up_s=last_up)
    (stream,) = fresh(Downtime.total([window]))
    return (begin, end), replace(stream, windows=(window,))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine draws slowly
@given(st.lists(seen(), min_size=1, max_size=5))
def test_the_mean_is_no_more_than_the_worst_nor_that_than_any(
    drawn: list[tuple[tuple[float, float], StreamResult]],
) -> None:
    """Bound by bound; and the time in which a path was truly down lies within the bounds of any down."""
    figures = made_trial([stream for _, stream in drawn]).figures_of(ICMP_FRESH)
    for less, more in ((figures.downtime, figures.worst), (figures.worst, figures.any_down)):
        assert less.at_least_s <= more.at_least_s + 1e-9
        assert less.estimate_s <= more.estimate_s + 1e-9
        assert less.at_most_s <= more.at_most_s + 1e-9
    true_s = covered_s(span for span, _ in drawn)
    assert figures.any_down.at_least_s - 1e-9 <= true_s <= figures.any_down.at_most_s + 1e-9


def test_any_down_allows_for_the_error_of_clocks() -> None:
    """Outages of two guests may lie further apart than their clocks say."""
    trial = made_trial(fresh(1.0, 1.0))
    loose = replace(trial, facts=replace(trial.facts, clocks={f"vm{n}": NodeClock(0, 50_000_000) for n in (1, 2)}))
    exact, wide = (t.figures_of(ICMP_FRESH).any_down for t in (trial, loose))
    assert wide.at_most_s == pytest.approx(exact.at_most_s + 0.1)


def test_one_vm_of_ten_is_seen() -> None:
    """Its twenty seconds are two in the mean, and twenty in the worst and in any down."""
    figures = made_trial(fresh(20.0, *[UNSEEN] * 9)).figures_of(ICMP_FRESH)
    assert figures.downtime.estimate_s == 2.0
    assert (figures.worst.estimate_s, figures.any_down.estimate_s) == (20.0, 20.0)


def test_what_nobody_saw_down_has_an_upper_bound() -> None:
    """In the mean, in the worst and in any down: zero is never known."""
    figures = made_trial(fresh(UNSEEN, Downtime(0, 0, 0.3))).figures_of(ICMP_FRESH)
    assert all(d.unseen for d in (figures.downtime, figures.worst, figures.any_down))
    assert figures.downtime.at_most_s == pytest.approx((UNSEEN.at_most_s + 0.3) / 2)
    assert figures.worst.at_most_s == figures.any_down.at_most_s == 0.3


def test_a_stuck_flow_is_counted_and_in_nothing_else() -> None:
    """Neither of its kind nor of its direction; without it both are as they would have been."""
    beside, without = made_trial([*old(4.0), stuck(ICMP_PERSISTENT)], fresh(4.0)), made_trial(old(4.0), fresh(4.0))
    assert replace(beside.figures_of(ICMP_PERSISTENT), stuck=0) == without.figures_of(ICMP_PERSISTENT)
    assert beside.figures_of(ICMP_PERSISTENT).stuck == 1
    assert beside.figures(None) == without.figures(None)


def test_what_was_never_up_is_counted_and_in_nothing_else() -> None:
    """One VM of which nothing can be said takes nothing from the other."""
    mute = replace(fresh(1.0)[0], seen_up=False)
    figures = made_trial([mute, *fresh(4.0)]).figures_of(ICMP_FRESH)
    assert (figures.streams, figures.unmeasured, figures.downtime) == (1, 1, down(4.0))


def test_nothing_measured_is_not_zero() -> None:
    """No estimate and no upper bound, whatever the measure."""
    figures: StreamFigures = made_trial([]).figures_of(ICMP_FRESH)
    for measure in Measure:
        d = measure.of(figures)
        assert math.isnan(d.estimate_s)
        assert d.open


def test_over_trials() -> None:
    """Average bound by bound; lowest, median and highest are of the trials in order, those without an end last."""
    run = made_run(*(made_trial(fresh(f)) for f in (3.0, 1.0, OPEN, 2.0)))
    (kind,) = headline(run).kinds
    assert [d.estimate_s for d in (kind.mean.lowest, kind.mean.median)] == [1.0, 2.5]
    assert kind.mean.highest.open
    assert kind.mean.average.open
    assert (kind.trials, kind.mean.open) == (4, 1)


def test_a_kind_that_a_trial_did_not_measure_is_left_out_there() -> None:
    """Its average is over the others, and how many there were is known."""
    mute = [replace(s, seen_up=False) for s in fresh(1.0)]
    (kind,) = headline(made_run(made_trial(mute), made_trial(fresh(4.0)))).kinds
    assert (kind.trials, kind.watched, kind.unmeasured, kind.mean.average) == (1, 2, 1, down(4.0))


def test_only_trials_that_count_are_in_it() -> None:
    """How many those are, of how many there were to be, is part of it."""
    bad = made_trial(fresh(9.0), verdict=Verdict.INVALID, caveats=("job-failed",))
    of_run = headline(made_run(made_trial(fresh(4.0), syn(3.0)), bad, planned=6))
    assert (of_run.counted, of_run.trials) == (1, 6)
    assert [k.mean.average for k in of_run.kinds] == [down(4.0), down(3.0)]


def test_rows_are_the_headline_kinds_with_the_ongoing_flow_first() -> None:
    """No kind is forgotten; out before in, and what was measured in 2018 before what is new."""
    assert {*ROWS} == {*HEADLINE}
    assert [k.labels.row for k in ROWS] == [
        "egress, ongoing ping",
        "egress, new pings",
        "ingress, TCP",
        "ingress, SSH service",
    ]
