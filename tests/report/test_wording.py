"""What is printed of a duration is true of it: no digit that its bounds don't carry, and bounds rounded outward."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrbench.core.figures.windows import Downtime
from vrbench.report.wording import FINEST, decimals, digits_of, figure, spoken, surely, up

NOTHING = Downtime.mean([])


@pytest.mark.parametrize(
    ("d", "figure_", "surely_", "spoken_"),
    [
        (Downtime(14.52, 14.62, 14.71), "14.62 s", "14.52 to 14.71 s", "14.62 s"),
        (Downtime(6.31, 6.62, 6.89), "6.6 s", "6.3 to 6.9 s", "6.6 s"),
        (Downtime(6.36, 6.62, 6.87), "6.6 s", "6.3 to 6.9 s", "6.6 s"),
        (Downtime(2.003, 2.006, 2.009), "2.006 s", "2.003 to 2.009 s", "2.006 s"),
        (Downtime(125.5, 301.3, 346.1), "301 s", "125 to 347 s", "301 s"),
        (Downtime(0.9, 65.8, 1070.4), "66 s", "0 to 1071 s", "about 66 s"),
        (Downtime(0.3, 0.5, 0.7), "0.50 s", "0.30 to 0.70 s", "0.50 s"),
        (Downtime(0.0, 0.0, 0.1012), "< 0.11 s", "under 0.11 s", "less than 0.11 s"),
        (Downtime(0.0, 0.0, 996.4), "< 1000 s", "under 1000 s", "less than 1000 s"),
        (Downtime(3.9, 5.0, math.inf), "≥ 3.90 s", "3.90 s or more", "at least 3.90 s"),
        (Downtime(1975.3, 1980.0, math.inf), "≥ 1975 s", "1975 s or more", "at least 1975 s"),
        (NOTHING, "–", "–", "–"),
    ],
)
def test_forms(d: Downtime, figure_: str, surely_: str, spoken_: str) -> None:
    """Each form that a duration can have: alone, by its bounds, and in a sentence."""
    assert (figure(d), surely(d)) == (figure_, surely_)
    assert spoken(d) == spoken_ or math.isnan(d.estimate_s)


@pytest.mark.parametrize(
    ("value", "words"), [(0.1, "0.1"), (0.1001, "0.11"), (0.0101, "0.011"), (41.2, "42"), (0, "0.001")]
)
def test_what_was_not_seen_is_rounded_up(value: float, words: str) -> None:
    """Never down, never to nothing, and to two digits."""
    assert up(value) == words


def test_digits_of_a_row_are_those_of_its_least_exact_figure() -> None:
    """One that has no upper bound has no say in it."""
    fine, coarse = Downtime(1.0, 1.1, 1.2), Downtime(1.0, 2.0, 3.0)
    assert digits_of([fine, coarse, Downtime(1.0, 2.0, math.inf)]) == decimals(2.0) == 1


durations = st.floats(0.0, 5000.0)


@given(durations, durations, durations)
def test_printed_bounds_hold_what_was_measured(first: float, second: float, third: float) -> None:
    """Whatever the rounding, the bounds that are read are no narrower than those that were found."""
    low, middle, high = sorted((first, second, third))
    printed = [float(n) for n in re.findall(r"[\d.]+", surely(Downtime(low, middle, high)))]
    assert (printed[0] if len(printed) > 1 else 0.0) <= low + 1e-6
    assert printed[-1] >= high - 1e-6 or high <= 0


@given(st.floats(0.002, 5000.0), st.floats(0.0, 1.0))
def test_no_digit_is_finer_than_the_bounds(width: float, share: float) -> None:
    """A decimal is worth a fiftieth of their distance at least, and a fifth at most."""
    shown = figure(Downtime(1.0, 1.0 + share * width, 1.0 + width)).removesuffix(" s").partition(".")[2]
    unit = 10.0 ** -len(shown)
    assert unit >= width / 50.001 or not shown
    assert unit <= width / 4.999 or len(shown) == FINEST


def test_no_figure_is_ever_zero() -> None:
    """One lost probe among hundreds: what its digits would call none is less than its upper bound."""
    rare = Downtime(0.0, 0.0033, 0.12)
    assert (figure(rare), surely(rare), spoken(rare)) == ("< 0.12 s", "under 0.12 s", "less than 0.12 s")
    assert figure(Downtime(0.0, 0.4, 7.0)) == "< 7 s"
