"""The estimator on paths with a known truth: answers come late, are lost, queue, overtake each other, or all of it.

What is asserted holds for any log, or for a truth that the simulated path knows and the estimator does not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core import reference
from tests.core.path import Fault, Outage, Path
from tests.replacing import replace
from vrbench.core.figures.results import StreamResult
from vrbench.core.figures.windows import Allowance, Downtime, any_down_s, find_windows
from vrbench.core.log.rawlog import RecordKind
from vrbench.core.log.samples import Samples
from vrbench.core.model import OutageWindow

EPSILON = 1e-9


def outages(draw: random.Random, interval_s: float, until_s: float, queues: bool) -> Iterator[Outage]:
    """Yield outages that a prober can't miss, a second or more apart."""
    begin_s = 0.5 + draw.random()
    while begin_s < until_s and draw.random() < 0.8:
        queued_s = draw.choice((0.0, draw.random() * interval_s, draw.random())) if queues else 0.0
        seconds = queued_s + 4 * interval_s + draw.choice((0.0, draw.random() * 0.1, draw.random() * 3))
        yield Outage(begin_s, begin_s + seconds, queued_s, draw.choice((3, 100)))
        begin_s += seconds + 1.0 + draw.random() * 2


def faults(draw: random.Random, until_s: float) -> Iterator[Fault]:
    """Yield any faults, at any time."""
    for _ in range(draw.randrange(4)):
        begin_s = draw.random() * until_s
        yield Fault(
            begin_s,
            begin_s + 0.05 + draw.random() * 4,
            loss_out=draw.choice((0.0, draw.random() * 0.5)),
            loss_back=draw.choice((0.0, draw.random() * 0.5)),
            delay_s=draw.choice(((0.0, 0.0), (0.3, 0.3), (0.0, 1.5), (1.5, 0.0), (0.75, 0.75))),
            jitter_s=draw.choice((0.0, 0.002, 0.02, draw.random())),
            overtaking=draw.choice((0.0, 0.1, 0.5)),
            doubled=draw.choice((0.0, 0.3)),
        )


def mixture(draw: random.Random) -> Path:
    """Return a path on which anything may happen, probed by anybody."""
    interval_s = draw.choice((0.01, 0.1))
    seconds = 5.0 if interval_s < 0.1 else 12.0
    stall_s = draw.random() * seconds
    return Path(
        seconds,
        interval_s,
        tuple(outages(draw, interval_s, seconds - 2, queues=True)),
        tuple(faults(draw, seconds)),
        far_s=draw.choice((0.0006, 0.02, 0.2)),
        skipped=draw.choice((0.0, 0.01, 0.4)),
        stalls=draw.choice(((), ((stall_s, stall_s + draw.random()),))),
        slow=draw.choice((0.0, 0.5)),
        width_s=draw.choice((0.004, 0.2)),
    )


def windows_of(result: StreamResult) -> list[OutageWindow]:
    """Return all of a stream's windows, in order."""
    return sorted((*result.baseline_windows, *result.windows), key=lambda w: w.start_s)


def covered_s(result: StreamResult) -> float:
    """Return how much time a stream's slots cover."""
    return len(result.samples) * result.stream.interval_s


@settings(max_examples=200, deadline=None)
@given(st.integers(0), st.integers(1, 3))
def test_no_time_is_counted_twice(seed: int, merge: int) -> None:
    """Whatever the path does: windows don't overlap, sums fit into the time, bounds are in order."""
    draw = random.Random(seed)
    results = [mixture(draw).measured(draw.randrange(1 << 30), merge) for _ in range(2)]
    for result in results:
        seen = [w for w in windows_of(result) if not w.blind]
        for earlier, later in pairwise(seen):
            assert earlier.start_s + earlier.estimate_s <= (later.first_down_s or 0.0) + EPSILON
        assert sum(w.estimate_s for w in seen) <= covered_s(result) + EPSILON
        for d in (result.downtime, *(Downtime.total([w]) for w in seen)):
            assert 0 <= d.at_least_s <= d.estimate_s + EPSILON <= d.at_most_s + 2 * EPSILON
        if result.downtime.at_most_s < float("inf"):
            assert result.downtime.at_most_s <= covered_s(result) + 1.0  # the last answer may be late
    mean_s = fmean(r.downtime.estimate_s for r in results)
    assert mean_s <= any_down_s(w for r in results for w in r.windows) + EPSILON


@settings(max_examples=60, deadline=None)
@given(st.integers(0), st.integers(1, 3))
def test_the_plain_way_comes_to_the_same(seed: int, merge: int) -> None:
    """On such logs too, in which answers come late and together, the estimator and its plain twin agree."""
    draw = random.Random(seed)
    samples = mixture(draw).measured(draw.randrange(1 << 30)).samples
    assert isinstance(samples, Samples)
    rtt_s = samples[: samples.baseline].answer_s(0.99)
    plain = reference.find_windows(tuple(samples), merge, rtt_s, beyond_s=rtt_s / 2)
    assert find_windows(samples, Allowance(rtt_s, rtt_s / 2), merge) == plain
    assert samples.unseen_s == pytest.approx(reference.unseen_s(tuple(samples)))


@settings(max_examples=250, deadline=None)
@given(st.integers(0))
def test_the_truth_lies_inside_the_bounds(seed: int) -> None:
    """Outages on a path as slow, jittery and overtaking as it always is, seen by a prober with gaps and slow sends."""
    draw = random.Random(seed)
    interval_s = draw.choice((0.01, 0.1))
    seconds = 6.0 if interval_s < 0.1 else 12.0
    always = Fault(
        -4.0,
        seconds + 4,
        delay_s=draw.choice(((0.0, 0.0), (0.1, 0.1))),
        jitter_s=draw.choice((0.0, 0.003, 0.05, 0.4)),
        overtaking=draw.choice((0.0, 0.2)),
        doubled=draw.choice((0.0, 0.2)),
    )
    path = Path(
        seconds,
        interval_s,
        tuple(outages(draw, interval_s, seconds - 2, queues=True)),
        (always,),
        far_s=draw.choice((0.0006, 0.02, 0.2)),
        skipped=draw.choice((0.0, 0.01, 0.2)),
        slow=draw.choice((0.0, 0.5)),
        width_s=draw.choice((0.004, 0.2)),
    )
    downtime = path.measured(draw.randrange(1 << 30)).downtime
    truth_s = sum(o.seconds for o in path.outages)
    assert downtime.at_least_s - EPSILON <= truth_s <= downtime.at_most_s + EPSILON


@settings(max_examples=150, deadline=None)
@given(st.integers(0))
def test_an_outage_of_a_path_that_also_loses_and_delays_is_within_the_upper_bound(seed: int) -> None:
    """Loss and delay only add to what is down, so at_most holds the outages in any mixture."""
    draw = random.Random(seed)
    path = mixture(draw)
    downtime = path.measured(draw.randrange(1 << 30)).downtime
    assert sum(o.seconds for o in path.outages) <= downtime.at_most_s + EPSILON


@settings(max_examples=150, deadline=None)
@given(st.integers(0))
def test_at_least_claims_nothing_that_neither_an_outage_nor_a_fault_explains(seed: int) -> None:
    """In any mixture: no more than the outages, and an interval for each probe that was down without one."""
    draw = random.Random(seed)
    path = mixture(draw)
    begun = {o.begin_s for o in path.outages}
    path = replace(path, faults=tuple(f for f in path.faults if not any(0 < b - f.begin_s < 2 for b in begun)))
    result = path.measured(draw.randrange(1 << 30))
    down = [s.sent_s for s in result.samples if s.outcome.is_down and s.sent_s is not None]
    others = [t for t in down if not any(o.begin_s <= t < o.end_s for o in path.outages)]
    truth_s = sum(o.seconds for o in path.outages)
    assert result.downtime.at_least_s <= truth_s + len(others) * path.interval_s + EPSILON


@settings(max_examples=150, deadline=None)
@given(st.integers(0))
def test_what_was_not_seen_has_a_bound(seed: int) -> None:
    """An outage too short to be seen, or whose probes all waited for its end, is no longer than the bound says."""
    draw = random.Random(seed)
    interval_s = draw.choice((0.01, 0.1))
    if draw.random() < 0.5:
        seconds = draw.random() * interval_s
        outage = Outage(1.0, 1.0 + seconds)
    else:
        seconds = draw.random() * 0.7
        outage = Outage(1.0, 1.0 + seconds, queued_s=seconds + 0.001)
    path = Path(3, interval_s, (outage,), skipped=draw.choice((0.0, 0.3)), slow=draw.choice((0.0, 0.5)), width_s=0.02)
    downtime = path.measured(draw.randrange(1 << 30)).downtime
    assert seconds <= downtime.at_most_s + EPSILON
    if downtime.unseen and not path.skipped:
        assert downtime.at_most_s <= max(seconds, interval_s) + interval_s + 0.03


def test_a_stream_of_answers_only_has_the_longest_time_between_two_as_its_bound() -> None:
    """Nothing seen is "less than", in a mean as well; nothing measured has no bound."""
    downtime = Path(3, 0.1).measured(1).downtime
    assert (downtime.at_least_s, downtime.estimate_s, downtime.unseen) == (0.0, 0.0, True)
    assert 0.1 < downtime.at_most_s < 0.11
    seen = Downtime(0.5, 0.6, 0.7)
    assert Downtime.mean([downtime, seen]) == Downtime(0.25, 0.3, (downtime.at_most_s + 0.7) / 2)
    assert not Downtime.mean([downtime, seen]).unseen
    assert not Downtime.mean([]).unseen
    assert Path(3, 0.1, skipped=1.0).measured(1).downtime.at_most_s == float("inf")


def mean_s(path: Path, runs: int) -> float:
    """Return the mean estimate of a path, over random phases."""
    return fmean(path.measured(seed).downtime.estimate_s for seed in range(runs))


@dataclass(frozen=True)
class Alternating(Path):
    """For a second every other probe is 750 ms late, and the others are lost."""

    def answers(
        self, slot: int, left_s: float, gone_s: float, draw: random.Random
    ) -> Iterator[tuple[RecordKind, int, float]]:
        if not 1 <= left_s < 2:
            yield from super().answers(slot, left_s, gone_s, draw)
        elif slot % 2:
            yield RecordKind.REPLY, slot, left_s + 0.75


RISE_S = 2.5 / 2 / (1 - 0.8 / 1.5)  # a delay that rises to 1.5 s in this time, and falls, is over 0.8 s for 2.5 s
LATE = {
    "every other probe late or lost": (Alternating(3), 0.5),
    "slow, with some loss": (Path(12, faults=(Fault(1, 11, loss_out=0.05, delay_s=(0.4, 0.4)),)), 0.5),
    "slow after an outage": (Path(6, outages=(Outage(1, 2),), faults=(Fault(2, 5, delay_s=(0.3, 0.3)),)), 1.0),
    "slower than the threshold for a while": (
        Path(9, faults=(Fault(1, 1 + RISE_S, delay_s=(0, 1.5)), Fault(1 + RISE_S, 1 + 2 * RISE_S, delay_s=(1.5, 0)))),
        2.5,
    ),
}


@pytest.mark.parametrize("name", LATE)
def test_a_path_that_is_slow_is_not_down_for_longer(name: str) -> None:
    """Answers that stay late, or come earlier little by little, lengthen no window; bounds hold."""
    path, right_s = LATE[name]
    results = [path.measured(seed).downtime for seed in range(8)]
    assert fmean(d.estimate_s for d in results) == pytest.approx(right_s, rel=0.1 if "loss" in name else 0.01)
    assert all(d.at_least_s <= right_s <= d.at_most_s for d in results)


@pytest.mark.parametrize("interval_s", [0.01, 0.1])
@pytest.mark.parametrize("queued_s", [0.0, 0.06, 0.25, 0.7])
def test_a_queue_for_the_gateways_address_lengthens_a_window_to_its_end(interval_s: float, queued_s: float) -> None:
    """Probes that waited were sent to a path that was down: no error is above an interval, and the mean is right."""
    draw, errors = random.Random(5), []
    for seed in range(150):
        outage = Outage(1, 2.5 + draw.random() * 0.1, queued_s)
        downtime = Path(5, interval_s, (outage,)).measured(seed).downtime
        errors.append(downtime.estimate_s - outage.seconds)
        assert downtime.at_least_s <= outage.seconds <= downtime.at_most_s
    assert max(map(abs, errors)) <= interval_s + 0.001
    assert abs(fmean(errors)) < interval_s / 8


@pytest.mark.parametrize("loss", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("jitter_s", [0.0, 0.005, 0.05, 0.3])
@pytest.mark.parametrize("far_s", [0.0006, 0.005])
def test_random_loss_comes_to_its_share_of_the_time(loss: float, jitter_s: float, far_s: float) -> None:
    """However jittery the path, and though its answers come from beyond the router: within 10 % of what is expected."""
    fault = Fault(1, 31, loss_out=loss / 2, loss_back=loss / 2, jitter_s=jitter_s)
    expected_s = 30 * (1 - (1 - loss / 2) ** 2)
    assert mean_s(Path(32, faults=(fault,), far_s=far_s), runs=3) == pytest.approx(expected_s, rel=0.1)


def test_a_banner_that_was_being_served_does_not_lengthen_its_window() -> None:
    """What was under way when the outage began is lost too, though it was sent a service time before."""
    draw, errors = random.Random(9), []
    for seed in range(400):
        outage = Outage(1, 2.5 + draw.random() * 0.25)
        path = Path(5, 0.25, (outage,), service_s=(0.02, 0.026), flow="banner")
        errors.append(path.measured(seed).downtime.estimate_s - outage.seconds)
    assert abs(fmean(errors)) < 0.012  # the standard error is 5 ms, and the bias was 23 ms


def test_a_send_that_took_long_widens_its_own_bounds_only() -> None:
    """With slow sends no sample is a gap: windows keep their number and estimate, and bounds widen by the widths."""
    outage = Outage(1, 2)
    quick, slow = (
        [Path(4, 0.1, (outage,), slow=share, width_s=0.03).measured(seed) for seed in range(40)] for share in (0.0, 1.0)
    )
    assert {len(r.windows) for r in slow} == {1}
    assert all(r.gap_share == 0 for r in slow)
    width_s = fmean(b.downtime.at_most_s - b.downtime.at_least_s for b in slow) - fmean(
        b.downtime.at_most_s - b.downtime.at_least_s for b in quick
    )
    assert 0.01 < width_s < 0.09
    assert all(r.downtime.at_least_s <= outage.seconds <= r.downtime.at_most_s for r in slow)
