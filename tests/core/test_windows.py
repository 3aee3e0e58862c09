"""Properties of windows and totals over generated outages: the truth lies inside the bounds, always."""

import itertools
import math
import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.replacing import replace
from vrbench.core.figures.unavailable import unavailable_s
from vrbench.core.figures.windows import BLIND_GAPS, Allowance, Downtime, any_down_s, find_windows
from vrbench.core.model import OutageWindow, Outcome, Sample

LETTERS = {"R": Outcome.REPLIED, "L": Outcome.LOST, "F": Outcome.REFUSED, "s": Outcome.SKIPPED, "u": Outcome.UNKNOWN}


def line(letters: str, interval: float = 1.0) -> list[Sample]:
    """Return samples ``interval`` apart."""
    return [Sample(k, k * interval, None if c == "s" else k * interval, LETTERS[c]) for k, c in enumerate(letters)]


def probe(begin: float, end: float, interval: float, phase: float, out_s: float, back_s: float) -> list[Sample]:
    """Return what an open-loop prober sees of a path that is down from ``begin`` to ``end``, one-way delays given."""
    samples = []
    for k in range(int((end + 3) / interval) + 5):
        sent = phase + k * interval
        crossings = (sent + out_s, sent + out_s + back_s)
        lost = any(begin <= t < end for t in crossings)
        samples.append(
            Sample(k, sent, sent, Outcome.LOST if lost else Outcome.REPLIED, None if lost else out_s + back_s)
        )
    return samples


@settings(max_examples=400, deadline=None)
@given(st.floats(0.02, 5), st.floats(0.005, 0.5), st.floats(0, 1), st.floats(0, 0.1), st.floats(0, 0.1), st.integers(0))
def test_truth_lies_inside_the_bounds(
    length: float, interval: float, phase: float, out_s: float, back_s: float, seed: int
) -> None:
    """A continuous outage of known length lies between at_least and at_most of what is found of it."""
    begin = 2 + random.Random(seed).random()
    found = find_windows(
        probe(begin, begin + length, interval, phase * interval, out_s, back_s), Allowance(rtt_s=out_s + back_s)
    )
    if not found:
        assert length < interval + 1e-9, "an outage longer than an interval can't be missed"
        return
    total = Downtime.total(found)
    assert total.at_least_s - 1e-9 <= length <= total.at_most_s + 1e-9
    # An outage shorter than the round trip can be met once on the way out and again on the way back.
    if length > out_s + back_s:
        assert len(found) == 1
        assert abs(total.estimate_s - length) <= interval + out_s + back_s + 1e-9


@pytest.mark.parametrize(
    ("out_s", "back_s"),
    [(0.0, 0.0), (0.0, 0.2), (0.2, 0.0), (0.05, 0.25)],
    ids=["near", "far target", "far prober", "both far"],
)
def test_estimate_is_unbiased_over_phases(out_s: float, back_s: float) -> None:
    """Averaged over random phases the estimate's error is far below an interval, and the end where it was.

    Wherever the target is: ``back_s`` is from the router to it and back to the router.
    """
    rng = random.Random(7)
    errors, ends = [], []
    for _ in range(2000):
        length, phase = rng.uniform(0.5, 3), rng.random() * 0.1
        seen = probe(2.0, 2.0 + length, 0.1, phase, out_s, back_s)
        (window,) = find_windows(seen, Allowance(rtt_s=out_s + back_s, beyond_s=back_s))
        errors.append(window.estimate_s - length)
        ends.append(window.start_s + window.estimate_s - (2.0 + length - out_s))
    assert abs(sum(errors) / len(errors)) < 0.004
    assert max(abs(e) for e in errors) <= 0.1 + 1e-9
    assert 0 <= min(ends) <= max(ends) <= 0.1 + 1e-9


def test_a_path_that_slows_down_before_it_fails_proves_less() -> None:
    """What was on its way when the path failed had been sent up to a round trip before: as slow as the latest was."""
    samples = line("RRRRRLLLLLRRR", 0.1)
    samples[4] = replace(samples[4], rtt_s=0.15)
    (slow,), (quick,) = (
        find_windows(samples, Allowance(rtt_s=0.01)),
        find_windows(line("RRRRRLLLLLRRR", 0.1), Allowance(rtt_s=0.01)),
    )
    # One of 150 ms among others of none: the next may be slower still.
    assert (quick.at_least_s, slow.at_least_s) == pytest.approx((0.39, 0.12))
    steady = [replace(s, rtt_s=0.15) if s.outcome is Outcome.REPLIED else s for s in samples]
    (slowed,) = find_windows(steady, Allowance(rtt_s=0.01))
    assert slowed.at_least_s == pytest.approx(0.25)
    long_ago = [samples[4], *(replace(s, slot=s.slot + 20, due_s=s.due_s + 2, sent_s=s.due_s + 2) for s in samples)]
    long_ago[5] = replace(long_ago[5], rtt_s=0.0)
    (later,) = find_windows(long_ago, Allowance(rtt_s=0.01))
    assert later.at_least_s == pytest.approx(0.39)


@pytest.mark.parametrize("merge", [1, 2, 3])
def test_what_nobody_saw_after_a_window_is_reported_however_many_answers_end_one(merge: int) -> None:
    """Answers with a blind stretch between them end a window; the stretch may hide an outage all the same."""
    window, blind = find_windows(line("RRRLLLRssssssssRRRR"), merge=merge)
    assert (window.start_s, window.estimate_s, blind.blind, blind.at_most_s) == (3, 3, True, 9)
    _, open_end = find_windows(line("RRRLLLRsssss"), merge=merge)
    assert (open_end.blind, open_end.censored) == (True, True)
    _, cut_short = find_windows(line("RRRLLLR"), merge=merge, whole=False)
    assert (cut_short.blind, cut_short.censored) == (True, True)


def test_a_window_that_goes_on_after_a_blind_stretch_holds_it() -> None:
    """Two answers end a window, one does not: what was not seen between two losses is part of it."""
    (window,) = find_windows(line("RRRLLRsssRLLRRR"), merge=3)
    assert (window.start_s, window.estimate_s, window.at_most_s) == (3, 9, 10)


@given(st.text("RLFsu", max_size=60))
def test_windows_never_overlap_and_bounds_are_ordered(letters: str) -> None:
    """Windows come in order, do not overlap, and at_least <= estimate <= at_most."""
    found = find_windows(line(letters))
    for earlier, later in itertools.pairwise(found):
        assert earlier.start_s + earlier.estimate_s <= later.start_s
    for w in found:
        assert 0 <= w.at_least_s <= w.estimate_s <= w.at_most_s


@given(st.text("RL", min_size=3, max_size=40), st.integers(0, 39))
def test_dropping_a_sample_never_claims_more(letters: str, where: int) -> None:
    """Replacing a sample by a gap never raises the proven lower bound."""
    where %= len(letters)
    before = Downtime.total(find_windows(line(letters)))
    after = Downtime.total(find_windows(line(letters[:where] + "s" + letters[where + 1 :])))
    assert after.at_least_s <= before.at_least_s + 1e-9


def test_time_shared_by_streams_counts_once() -> None:
    """Two streams down at the same time are one outage of any stream."""
    a = OutageWindow(1.0, 1.0, 2.0, 3.0, 2, 0, 0, False)
    b = OutageWindow(2.0, 1.0, 2.0, 3.0, 2, 0, 0, False)
    assert any_down_s([a, b]) == 3.0


def test_any_down_with_an_open_window_is_unbounded() -> None:
    """A censored window leaves the union without an end."""
    assert math.isinf(any_down_s([OutageWindow(1.0, 1.0, 1.0, math.inf, 2, 0, 0, True)]))


@settings(max_examples=300, deadline=None)
@given(st.floats(0.3, 40), st.floats(0.005, 0.3), st.floats(0, 1), st.floats(0, 0.79))
def test_truth_holds_when_the_sender_queues(length: float, interval: float, phase: float, queued: float) -> None:
    """Probes that wait in the sender for the gateway's address are answered late, in time: the bounds still hold."""
    assume(length - queued > interval)  # else no probe need be lost
    begin, end = 2.0, 2.0 + length
    samples = []
    for k in range(int((end + 2) / interval)):
        sent = (k + phase) * interval
        if begin <= sent < end - queued:
            samples.append(Sample(k, sent, sent, Outcome.LOST))
        else:
            rtt = end - sent if begin <= sent < end else 0.0
            samples.append(Sample(k, sent, sent, Outcome.REPLIED, rtt))
    total = Downtime.total(find_windows(samples, Allowance(rtt_s=0.0)))
    assert total.at_most_s > 0
    assert total.at_least_s - 1e-9 <= length <= total.at_most_s + 1e-9


@given(st.text("RL", min_size=6, max_size=40), st.integers(0, 39), st.integers(2, 10))
def test_truth_holds_over_gaps(letters: str, where: int, count: int) -> None:
    """Whatever stood where nobody looked, the total lies between the bounds of what is left."""
    letters = f"R{letters}"  # up before it is blinded: else nothing has an upper bound
    where = 1 + where % (len(letters) - 2)
    count = min(count, len(letters) - where)
    blinded = letters[:where] + "s" * count + letters[where + count :]
    truth = Downtime.total(find_windows(line(letters)))
    seen = Downtime.total(find_windows(line(blinded)))
    assert count >= BLIND_GAPS
    assert seen.at_least_s <= truth.at_most_s
    assert seen.at_most_s >= truth.at_least_s


def test_ten_interval_rule() -> None:
    """Nine lost intervals are no unavailability; ten are, until ten successes in a row, which don't count."""
    assert unavailable_s(line("R" * 5 + "L" * 9 + "R" * 20), 1.0) == 0
    assert unavailable_s(line("R" * 5 + "L" * 10 + "R" * 20), 1.0) == 10
    assert unavailable_s(line("R" * 5 + "L" * 10 + "R" * 4), 1.0) == 10
    assert unavailable_s(line("R" * 5 + "L" * 10 + "R" * 4 + "L" + "RR"), 1.0) == 15
    assert unavailable_s(line("L" * 12 + "R" * 9 + "L" * 3 + "R" * 10), 1.0) == 24
    assert unavailable_s(line("L" * 6 + "ss" + "L" * 4 + "R" * 10), 1.0) == 10
