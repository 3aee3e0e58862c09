"""Known outages against windows: simulated paths and probes, true and broken estimators."""

from __future__ import annotations

import io
import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from rich.console import Console

from vrbench.core.calibration import (
    DIRECTIONS,
    NOTHING,
    SHORTEST_S,
    Calibration,
    KnownOutage,
    calibrate,
    draw_series,
)
from vrbench.core.model import Direction, OutageWindow, Outcome, Sample, Stream
from vrbench.core.results import StreamResult
from vrbench.core.windows import Downtime, find_windows
from vrbench.report.calibration import COLUMNS, calibration_report, comparison_rows, verdict

GUESTS = ("vm1", "vm2")
REQUEST_S, REPLY_S, RTT_S = 0.0001, 0.0003, 0.0004  # after its send time a probe crosses the router at these two
Windows = Callable[[Sequence[Sample]], Sequence[OutageWindow]]


def true_windows(samples: Sequence[Sample]) -> Sequence[OutageWindow]:
    """The estimator as it is."""
    return find_windows(samples, rtt_s=RTT_S)


def stream(direction: str = "egress", guest: str = "vm1", interval_s: float = 0.01, flow: str = "fresh") -> Stream:
    """A stream whose name tells its guest."""
    return Stream(f"{direction}/{guest}/{flow}", Direction(direction), "icmp-egress", flow, "203.0.113.1", interval_s)


def outages(lengths: Sequence[float], direction: str = "both", guest: str = "") -> list[KnownOutage]:
    """Outages of these lengths, at random moments, a second or so apart."""
    draw, at, found = random.Random(4), 2.0, []
    for number, length in enumerate(lengths, 1):
        at += 1 + draw.random()
        found.append(KnownOutage(number, direction, guest, False, at, at + length, 0.0002))
        at += length
    return found


def probed(of: Stream, seen: Sequence[KnownOutage], phase: float, skipped: range = range(0)) -> list[Sample]:
    """What a stream samples of the outages that it sees, from -2 s until 3 s after the last."""
    count = int((max((o.end_s for o in seen), default=0.0) + 5) / of.interval_s)
    dues = [-2 + (slot + phase) * of.interval_s for slot in range(count)]
    down: set[int] = set()
    for o in seen:
        down.update(range(bisect_left(dues, o.start_s - REPLY_S), bisect_right(dues, o.end_s - REQUEST_S)))
    return [
        Sample(slot, due, None, Outcome.SKIPPED)
        if slot in skipped
        else Sample(slot, due, due, Outcome.LOST if slot in down else Outcome.REPLIED)
        for slot, due in enumerate(dues)
    ]


def result(of: Stream, samples: Sequence[Sample], windows: Windows = true_windows) -> StreamResult:
    """A stream's figures as analysis makes them."""
    found = tuple(windows(samples))
    return StreamResult("vm1", of, tuple(samples), found, (), Downtime.total(found), 0.0, RTT_S, True)


def calibrated(of: Stream, known: Sequence[KnownOutage], windows: Windows = true_windows) -> Calibration:
    """One stream that sees all of the outages, at ten phases in turn."""
    results = [
        result(replace(of, name=f"{of.name}/{n}"), probed(of, known, (n + 0.5) / 10), windows) for n in range(10)
    ]
    return calibrate(results, known, {r.stream.name: "vm1" for r in results}, 0.0)


DRAW = random.Random(7)
LENGTHS = tuple(math.exp(DRAW.uniform(math.log(SHORTEST_S), math.log(3))) for _ in range(40))


def test_a_true_estimator_is_good() -> None:
    """Bounds hold everywhere, nothing is missed or made up, and the mean error is next to nothing."""
    made = calibrated(stream(), outages(LENGTHS))
    (kind,) = made.kinds
    assert made.good
    assert (kind.outages, kind.seen, kind.held, kind.missed, kind.false) == (400, 400, 400, 0, 0)
    assert abs(made.bias_s) < 0.001
    assert made.worst_s <= 0.01 + RTT_S
    assert "bounds held the truth in 400 of 400; missed 0, false 0" in verdict(made)


def last_down_for_first_up(samples: Sequence[Sample]) -> list[OutageWindow]:
    """Broken: at_most to the last loss instead of the first success."""
    return [replace(w, at_most_s=w.at_most_s - (w.estimate_s - w.at_least_s)) for w in true_windows(samples)]


def first_up_for_last_down(samples: Sequence[Sample]) -> list[OutageWindow]:
    """Broken: at_least to the first success instead of the last loss."""
    return [replace(w, at_least_s=w.estimate_s) for w in true_windows(samples)]


def no_round_trip(samples: Sequence[Sample]) -> list[OutageWindow]:
    """Broken where the path is slow: bounds that don't widen by the round trip."""
    return list(find_windows(samples, rtt_s=0.0))


@pytest.mark.parametrize("broken", [last_down_for_first_up, first_up_for_last_down])
def test_broken_bounds_are_seen(broken: Windows) -> None:
    """An estimator whose one bound is taken from the wrong sample holds the truth no longer."""
    made = calibrated(stream(), outages(LENGTHS), broken)
    assert not made.good
    assert made.held < made.seen


def test_bounds_that_forget_the_round_trip_are_seen() -> None:
    """An outage of exactly k intervals less a little is over-stated by losses on the way back."""
    known = [replace(o, end_s=o.start_s + 0.0999, uncertainty_s=0.0) for o in outages([0.1] * 60)]
    assert calibrated(stream(), known).good
    assert not calibrated(stream(), known, no_round_trip).good


def test_a_biased_estimate_shows() -> None:
    """Losses times interval less one is short by an interval on average."""

    def short(samples: Sequence[Sample]) -> list[OutageWindow]:
        return [replace(w, estimate_s=w.at_least_s) for w in true_windows(samples)]

    assert calibrated(stream(), outages(LENGTHS), short).bias_s == pytest.approx(-0.01, abs=0.001)


def test_unseen_short_outages_balance_the_seen_ones() -> None:
    """At 100 ms, outages of 20 ms are seen one time in five, as 100 ms: no bias, none missed, no bound to hold."""
    made = calibrated(stream("ingress", interval_s=0.1, flow="banner"), outages([0.02] * 100, "ingress"))
    (kind,) = made.kinds
    assert kind.seen == pytest.approx(200, abs=60)
    assert abs(kind.bias_s) < 0.006
    assert (kind.missed, kind.held) == (0, kind.seen)
    assert made.good


def test_an_outage_that_a_stream_stepped_over_is_missed() -> None:
    """Two intervals without a word are a miss."""
    of, known = stream(), outages([0.05])
    made = calibrate([result(of, probed(of, [], 0.5))], known, {of.name: "vm1"}, 0.0)
    assert not made.good
    assert (made.kinds[0].missed, made.kinds[0].seen) == (1, 0)


def test_an_outage_that_a_stream_slept_through_is_unknown() -> None:
    """A blind window over it holds the truth, has no error, and where there is no outage is not false."""
    of, known = stream(), outages([0.05])
    first = int((known[0].start_s + 2) / of.interval_s) - 2
    samples = probed(of, known, 0.5, range(first, first + 10))
    begun = samples[first - 1].due_s
    over = OutageWindow(begun, 0.0, 0.0, samples[first + 10].due_s - begun, 0, 0, 10, False)
    elsewhere = replace(over, start_s=begun - 1)
    made = calibrate([result(of, samples, lambda _: (elsewhere, over))], known, {of.name: "vm1"}, 0.0)
    assert made.good
    assert (made.kinds[0].unknown, made.kinds[0].held, made.kinds[0].worst_s) == (1, 1, 0)
    assert made.comparisons[0].unsent >= 4
    assert "1 unknown (prober held up)" in verdict(made)


@pytest.mark.parametrize(
    ("direction", "guest", "touched"),
    [
        ("egress", "", {"egress/vm1", "egress/vm2"}),
        ("ingress", "", {"ingress/vm1", "ingress/vm2"}),
        ("both", "vm2", {"egress/vm2", "ingress/vm2"}),
        ("ingress", "vm1", {"ingress/vm1"}),
    ],
)
def test_only_touched_streams_may_see_it(direction: str, guest: str, touched: set[str]) -> None:
    """Where every stream goes down, those that the outage did not touch are false, control among them."""
    known = outages([0.5], direction, guest)
    every = [stream(d, g) for d in ("egress", "ingress", "control") for g in GUESTS]
    results = [result(s, probed(s, known, 0.3)) for s in every]
    made = calibrate(results, known, {s.name: s.name.split("/")[1] for s in every}, 0.0)
    assert {c.stream.name.rpartition("/")[0] for c in made.comparisons} == touched
    assert {f.stream.name.rpartition("/")[0] for f in made.false_windows} == {
        s.name.rpartition("/")[0] for s in every
    } - touched
    assert made.held == len(touched)
    assert not made.good


def test_a_window_in_quiet_time_is_false() -> None:
    """One lost probe while nothing was out."""
    of, known = stream(), outages([0.3])
    samples = probed(of, known, 0.5)
    samples[20] = replace(samples[20], outcome=Outcome.LOST)
    made = calibrate([result(of, samples)], known, {of.name: "vm1"}, 0.0)
    assert [f.window.start_s for f in made.false_windows] == [samples[20].due_s]
    assert made.kinds[0].false == 1
    assert not made.good


def test_a_success_within_an_outage_breaks_the_bounds() -> None:
    """Two windows for one outage are summed, and what lies between them is missing."""
    of, known = stream(), outages([1.0])
    samples = probed(of, known, 0.5)
    middle = next(s.slot for s in samples if s.due_s > known[0].start_s + 0.4)
    for slot in range(middle, middle + 5):
        samples[slot] = replace(samples[slot], outcome=Outcome.REPLIED)
    made = calibrate([result(of, samples)], known, {of.name: "vm1"}, 0.0)
    assert [(c.windows, c.held) for c in made.comparisons] == [(2, False)]


def test_a_window_without_end_is_bounded_by_nothing() -> None:
    """A censored window holds any truth above its lower bound, and its CSV cell is empty."""
    of, known = stream(), outages([1.0])
    samples = [s for s in probed(of, known, 0.5) if s.due_s < known[0].start_s + 0.5]
    made = calibrate([result(of, samples)], known, {of.name: "vm1"}, 0.0)
    assert made.held == 1
    (row,) = comparison_rows(made)
    assert tuple(row) == COLUMNS
    assert row["at_most_s"] is None


def test_nothing_compared_is_not_good() -> None:
    """A calibration that saw nothing proves nothing."""
    assert not calibrate([], [], {}, 0.0).good


def test_the_series_follows_from_its_seed() -> None:
    """Same seed, same series; every case equally often; lengths and pauses within their limits, and one quiet time."""
    series = draw_series(60, 30.0, GUESTS, 0.5, 12.0, seed=3)
    assert series == draw_series(60, 30.0, GUESTS, 0.5, 12.0, seed=3)
    assert series != draw_series(60, 30.0, GUESTS, 0.5, 12.0, seed=4)
    real = [i for i in series if i.direction != NOTHING]
    cases = [(i.direction, bool(i.guest)) for i in real]
    assert {cases.count((d, one)) for d in DIRECTIONS for one in (False, True)} == {10}
    assert all(SHORTEST_S <= i.seconds <= 30 and 0.5 <= i.pause_s <= 0.75 for i in real)
    assert sum(i.refuse for i in real) == pytest.approx(20, abs=4)
    assert [i.seconds for i in series if i.direction == NOTHING] == [12.0]
    assert any(a != b for a, b in pairwise(cases))


def test_the_report_fits_80_columns() -> None:
    """The table, what is wrong, and the verdict."""
    known = outages(LENGTHS)
    made = calibrated(stream(), known, last_down_for_first_up)
    out = io.StringIO()
    Console(file=out, width=80, no_color=True, force_terminal=False).print(calibration_report(made))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "egress fresh" in text
    assert "more: see the CSV" in text
    assert "on this machine: bias" in text
