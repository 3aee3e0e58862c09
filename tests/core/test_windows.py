"""Properties of windows and totals over generated outages: the truth lies inside the bounds, always."""

import itertools
import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from vrbench.core.model import OutageWindow, Outcome, Sample
from vrbench.core.windows import Downtime, find_windows, unavailable_s, union

LETTERS = {"R": Outcome.REPLIED, "L": Outcome.LOST, "F": Outcome.REFUSED, "s": Outcome.SKIPPED, "u": Outcome.UNKNOWN}


def line(letters: str, interval: float = 1.0) -> list[Sample]:
    """Samples ``interval`` apart."""
    return [Sample(k, k * interval, None if c == "s" else k * interval, LETTERS[c]) for k, c in enumerate(letters)]


def probe(begin: float, end: float, interval: float, phase: float, out_s: float, back_s: float) -> list[Sample]:
    """What an open-loop prober sees of a path that is down from ``begin`` to ``end``, one-way delays given."""
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
    found = find_windows(probe(begin, begin + length, interval, phase * interval, out_s, back_s), rtt_s=out_s + back_s)
    if not found:
        assert length < interval + 1e-9, "an outage longer than an interval can't be missed"
        return
    total = Downtime.total(found)
    assert total.at_least_s - 1e-9 <= length <= total.at_most_s + 1e-9
    # An outage shorter than the round trip can be met once on the way out and again on the way back.
    if length > out_s + back_s:
        assert len(found) == 1
        assert abs(total.estimate_s - length) <= interval + out_s + back_s + 1e-9


def test_estimate_is_unbiased_over_phases() -> None:
    """Averaged over random phases the estimate's error is far below an interval."""
    rng = random.Random(7)
    errors = []
    for _ in range(2000):
        length, phase = rng.uniform(0.3, 3), rng.random() * 0.1
        (window,) = find_windows(probe(2.0, 2.0 + length, 0.1, phase, 0.0, 0.0))
        errors.append(window.estimate_s - length)
    assert abs(sum(errors) / len(errors)) < 0.004
    assert max(abs(e) for e in errors) <= 0.1 + 1e-9


@given(st.text("RLFsu", max_size=60))
def test_windows_never_overlap_and_bounds_are_ordered(letters: str) -> None:
    """Windows come in order, do not overlap, and at_least <= estimate <= at_most."""
    found = find_windows(line(letters))
    for earlier, later in itertools.pairwise(found):
        assert earlier.start_s + earlier.estimate_s <= later.start_s
    for w in found:
        assert 0 <= w.at_least_s <= w.estimate_s <= w.at_most_s


@given(st.text("RL", min_size=3, max_size=40), st.integers(0, 39))
def test_dropping_a_sample_only_widens_bounds(letters: str, where: int) -> None:
    """Replacing a sample by a gap never claims more: the total's lower bound shrinks or the upper one grows."""
    where %= len(letters)
    whole = find_windows(line(letters))
    dropped = find_windows(line(letters[:where] + "s" + letters[where + 1 :]))
    before, after = Downtime.total(whole), Downtime.total(dropped)
    lost_window = len(dropped) < len(whole)
    joined = letters[where] == "R" and lost_window
    if joined:
        assert after.at_most_s >= before.at_least_s
    else:
        assert after.at_least_s <= before.at_least_s + 1e-9


def test_union_counts_shared_time_once() -> None:
    """Two streams down at the same time are one outage of any stream."""
    a = OutageWindow(1.0, 1.0, 2.0, 3.0, 2, 0, 0, False)
    b = OutageWindow(2.0, 1.0, 2.0, 3.0, 2, 0, 0, False)
    both = union([a, b])
    assert (both.at_least_s, both.estimate_s, both.at_most_s) == (2.0, 3.0, 4.0)


def test_union_with_an_open_window_is_unbounded() -> None:
    """A censored window leaves the union without an upper bound."""
    assert math.isinf(union([OutageWindow(1.0, 1.0, 1.0, math.inf, 2, 0, 0, True)]).at_most_s)


def test_ten_interval_rule() -> None:
    """Nine lost intervals are no unavailability; ten are, until ten successes in a row, which don't count."""
    assert unavailable_s(line("R" * 5 + "L" * 9 + "R" * 20), 1.0) == 0
    assert unavailable_s(line("R" * 5 + "L" * 10 + "R" * 20), 1.0) == 10
    assert unavailable_s(line("L" * 12 + "R" * 9 + "L" * 3 + "R" * 10), 1.0) == 24
    assert unavailable_s(line("L" * 6 + "ss" + "L" * 4 + "R" * 10), 1.0) == 10
