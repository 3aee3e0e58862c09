"""Summaries against values known from tables."""

import math

import pytest

from vrbench.core.figures.stats import median_interval, summarize


def test_no_interval_below_six_values() -> None:
    """Five values can't give a 95 % interval of the median; six give their range."""
    assert median_interval([1, 2, 3, 4, 5]) is None
    assert median_interval([6, 1, 2, 3, 4, 5]) == (1, 6)


@pytest.mark.parametrize(("n", "rank"), [(6, 1), (8, 1), (9, 2), (12, 3), (15, 4), (20, 6), (25, 8)])
def test_interval_ranks_match_the_published_table(n: int, rank: int) -> None:
    """Ranks of the sign-test interval of the median at 95 % (Conover, table of the binomial)."""
    assert median_interval(list(range(1, n + 1))) == (rank, n + 1 - rank)


def test_summary_of_known_values() -> None:
    """Average, lowest, median, highest and the sample standard deviation."""
    s = summarize([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert (s.trials, s.average_s, s.lowest_s, s.median_s, s.highest_s) == (8, 5.0, 2.0, 4.5, 9.0)
    assert s.stdev_s == pytest.approx(2.13809, abs=1e-5)


def test_summary_of_nothing_is_empty_not_zero() -> None:
    """Without trials there is no figure."""
    s = summarize([])
    assert s.trials == 0
    assert s.average_s is None


def test_a_trial_without_an_end_spoils_averages_but_not_order() -> None:
    """One open trial of three: lowest and median stand, average, highest and deviation don't."""
    s = summarize([3.0, math.inf, 1.0])
    assert (s.lowest_s, s.median_s) == (1.0, 3.0)
    assert (s.average_s, s.highest_s, s.stdev_s) == (None, None, None)
