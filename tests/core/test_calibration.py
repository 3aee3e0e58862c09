"""Known outages against windows: simulated paths and probes, true and broken estimators."""

from __future__ import annotations

import io
import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from rich.console import Console

from tests.replacing import replace
from vrbench.core.calibrate.calibration import Calibration, calibrate
from vrbench.core.calibrate.injections import SHORTEST_S, Fault, KnownOutage, Piece
from vrbench.core.calibrate.measurement import Judgement, OutageMeasurement
from vrbench.core.figures.results import StreamResult
from vrbench.core.figures.windows import Allowance, Downtime, find_windows
from vrbench.core.kinds import KINDS
from vrbench.core.log.outcomes import CODES, Stage
from vrbench.core.log.samples import Samples
from vrbench.core.model import Direction, OutageWindow, Outcome, Sample, Stream
from vrbench.report.calibration_table import COLUMNS, calibration_report, comparison_rows, summary_line

GUESTS = ("vm1", "vm2")
REQUEST_S, REPLY_S, RTT_S = 0.0001, 0.0003, 0.0004  # after its send time a probe crosses the router at these two
Windows = Callable[[Sequence[Sample]], Sequence[OutageWindow]]


def true_windows(samples: Sequence[Sample]) -> Sequence[OutageWindow]:
    """Return the estimator as it is."""
    return find_windows(samples, Allowance(rtt_s=RTT_S))


def stream(direction: str = "egress", guest: str = "vm1", interval_s: float = 0.01, flow: str = "fresh") -> Stream:
    """Return a stream whose name tells its guest."""
    probe = next((k.probe for k in KINDS if (k.direction, k.flow) == (direction, flow)), "")
    return Stream(f"{direction}/{guest}/{flow}", Direction(direction), probe, flow, "203.0.113.1", interval_s)


def outage(*pieces: tuple[float, float], number: int = 1, fault: Fault = Fault.BURST) -> KnownOutage:
    """Return times down, known to 0.2 ms."""
    return KnownOutage(number, fault, "both", "", tuple(Piece(start, end, 0.0002) for start, end in pieces))


def outages(lengths: Sequence[float], direction: str = "both", guest: str = "") -> list[KnownOutage]:
    """Outages of these lengths, at random moments, a second or so apart."""
    draw, at, found = random.Random(4), 2.0, []
    for number, length in enumerate(lengths, 1):
        at += 1 + draw.random()
        made = outage((at, at + length), number=number, fault=Fault.SILENCE)
        found.append(replace(made, direction=direction, guest=guest))
        at += length
    return found


def flapping(times: int, seed: int) -> KnownOutage:
    """Down and up again so many times, each for 2 to 6 ms."""
    draw, at, pieces = random.Random(seed), 2.0 + seed, []
    for _ in range(times):
        down, up = draw.uniform(0.002, 0.006), draw.uniform(0.002, 0.006)
        pieces.append((at, at + down))
        at += down + up
    return outage(*pieces, number=seed + 1, fault=Fault.FLAPPING)


def probed(of: Stream, seen: Sequence[KnownOutage], phase: float, skipped: range = range(0)) -> list[Sample]:
    """Return what a stream samples of the outages that it sees, from -2 s until 3 s after the last."""
    count = int((max((o.end_s for o in seen), default=0.0) + 5) / of.interval_s)
    dues = [-2 + (slot + phase) * of.interval_s for slot in range(count)]
    down: set[int] = set()
    for p in (p for o in seen for p in o.seen_by(of).pieces):
        down.update(range(bisect_left(dues, p.start_s - REPLY_S), bisect_right(dues, p.end_s - REQUEST_S)))
    return [
        Sample(slot, due, None, Outcome.SKIPPED)
        if slot in skipped
        else Sample(slot, due, due, Outcome.LOST if slot in down else Outcome.REPLIED)
        for slot, due in enumerate(dues)
    ]


def result(of: Stream, samples: Sequence[Sample], windows: Windows = true_windows) -> StreamResult:
    """Return a stream's figures as analysis makes them."""
    found = tuple(windows(samples))
    return StreamResult("vm1", of, samples, found, (), Downtime.total(found), 0.0, RTT_S, True)


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
    assert (kind.figures.outages, kind.figures.seen, kind.figures.held) == (400, 400, 400)
    assert (kind.figures.missed, kind.figures.over, kind.false) == (0, 0, 0)
    assert abs(made.bias_s) < 0.001
    assert made.worst_s <= 0.01 + RTT_S
    assert "bounds held the truth in 400 of 400; missed 0, false 0" in summary_line(made)


def last_down_for_first_up(samples: Sequence[Sample]) -> list[OutageWindow]:
    """Broken: at_most to the last loss instead of the first success."""
    return [replace(w, at_most_s=w.at_most_s - (w.estimate_s - w.at_least_s)) for w in true_windows(samples)]


def first_up_for_last_down(samples: Sequence[Sample]) -> list[OutageWindow]:
    """Broken: at_least to the first success instead of the last loss."""
    return [replace(w, at_least_s=w.estimate_s) for w in true_windows(samples)]


def no_round_trip(samples: Sequence[Sample]) -> list[OutageWindow]:
    """Broken where the path is slow: bounds that don't widen by the round trip."""
    return list(find_windows(samples, Allowance(rtt_s=0.0)))


@pytest.mark.parametrize("broken", [last_down_for_first_up, first_up_for_last_down])
def test_broken_bounds_are_seen(broken: Windows) -> None:
    """An estimator whose one bound is taken from the wrong sample holds the truth no longer."""
    made = calibrated(stream(), outages(LENGTHS), broken)
    assert not made.good
    assert made.total.held < made.total.seen


def test_bounds_that_forget_the_round_trip_are_seen() -> None:
    """An outage of exactly k intervals less a little is over-stated by losses on the way back."""
    known = [replace(o, pieces=(Piece(o.start_s, o.start_s + 0.0999, 0.0),)) for o in outages([0.1] * 60)]
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
    figures = made.kinds[0].figures
    assert figures.seen == pytest.approx(200, abs=60)
    assert abs(figures.bias_s) < 0.006
    assert (figures.missed, figures.held) == (0, figures.seen)
    assert made.good


def test_an_outage_that_a_stream_stepped_over_is_missed() -> None:
    """Two intervals without a word are a miss."""
    of, known = stream(), outages([0.05])
    made = calibrate([result(of, probed(of, [], 0.5))], known, {of.name: "vm1"}, 0.0)
    assert not made.good
    assert (made.total.missed, made.total.seen) == (1, 0)


def test_an_outage_that_a_stream_slept_through_is_unknown() -> None:
    """A blind window over it holds the truth, has no error, and where there is no outage is not false."""
    of, known = stream(), outages([0.05])
    first = int((known[0].start_s + 2) / of.interval_s) - 2
    samples = probed(of, known, 0.5, range(first, first + 10))
    begun = samples[first - 1].due_s
    over = OutageWindow(begun, 0.0, 0.0, samples[first + 10].due_s - begun, 0, 0, 10, False)
    elsewhere = replace(over, start_s=begun - 1)
    made = calibrate([result(of, samples, lambda _: (elsewhere, over))], known, {of.name: "vm1"}, 0.0)
    assert made.false == 0
    assert (made.total.unknown, made.total.held, made.total.worst_s) == (1, 1, 0)
    assert made.comparisons[0].unsent >= 4
    assert "1 unknown (prober held up)" in summary_line(made)


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
    every = [
        stream(d, g, flow=f) for d, f in (("egress", "fresh"), ("ingress", "syn"), ("control", "fresh")) for g in GUESTS
    ]
    results = [result(s, probed(s, known, 0.3)) for s in every]
    made = calibrate(results, known, {s.name: s.name.split("/")[1] for s in every}, 0.0)
    assert {c.stream.name.rpartition("/")[0] for c in made.comparisons} == touched
    assert {f.stream.name.rpartition("/")[0] for f in made.false_windows} == {
        s.name.rpartition("/")[0] for s in every
    } - touched
    assert made.total.held == len(touched)
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


def bursts(interval_s: float) -> Calibration:
    """Three times down close behind each other, probed at an interval."""
    return calibrated(stream(interval_s=interval_s), [outage((2.0, 2.15), (2.25, 2.31), (2.40, 2.70))])


def test_times_down_close_to_each_other_are_compared_one_by_one() -> None:
    """A stream that has a success in between tells them apart; each has bounds and an error of its own."""
    made = bursts(0.01)
    assert [len(c.outage.pieces) for c in made.comparisons] == [1] * 30
    assert made.good
    assert made.worst_s <= 0.011


def test_times_down_that_a_stream_can_not_tell_apart_are_one() -> None:
    """Where no success lies between, at_most holds all time down, at_least the whole span, and there is no error."""
    made = bursts(0.2)
    joined = [c for c in made.comparisons if not c.resolved]
    assert joined
    assert made.good
    assert Judgement.OVER in {c.judgement for c in joined}
    assert made.total.over == sum(c.claims_too_much for c in joined)
    assert made.worst_s <= 0.2 + RTT_S


def test_flapping_is_held_by_what_bounds_can_mean_there() -> None:
    """at_most holds all time down, at_least is within the span, and the estimate is unbiased over many."""
    made = calibrated(stream(), [flapping(12, n) for n in range(60)])
    (fault,) = made.faults
    assert fault.fault is Fault.FLAPPING
    assert made.good
    assert (made.steady.seen, made.flapped.over) == (0, made.total.over)
    assert f"({made.flapped.over} of {made.flapped.seen} that flapped claimed too much)" in summary_line(made)
    assert [row["result"] for row in comparison_rows(made)].count("over") == made.total.over > 0
    assert fault.figures.held == fault.figures.seen > 1000
    assert fault.figures.over > 0
    assert abs(fault.figures.bias_s) < 0.0006  # a probe is lost from the request's crossing to the answer's, 0.2 ms
    assert made.kinds[0].figures.outages == 0
    assert made.fine == ()


def test_a_lower_bound_beyond_the_flapping_is_seen() -> None:
    """An estimator that claims more than from the first moment down to the last breaks even that bound."""

    def more(samples: Sequence[Sample]) -> list[OutageWindow]:
        return [replace(w, at_least_s=w.at_most_s) for w in true_windows(samples)]

    assert not calibrated(stream(), [flapping(12, 1)], more).good


def test_an_upper_bound_below_the_time_down_is_seen_when_flapping() -> None:
    """An estimator that forgets its upper bound breaks."""

    def less(samples: Sequence[Sample]) -> list[OutageWindow]:
        return [replace(w, at_least_s=0.0, estimate_s=0.0, at_most_s=0.0) for w in true_windows(samples)]

    assert not calibrated(stream(), [flapping(12, 1)], less).good


def test_a_flow_bound_without_nat_is_down_for_longer() -> None:
    """New flows are held against the rule's return, the persistent one against when it was forgotten."""
    known = [replace(outage((2.0, 2.5), fault=Fault.NO_NAT), direction="egress", bound=Piece(2.0, 3.2, 0.0002))]
    fresh = calibrated(stream(), known)
    persistent = calibrated(stream(flow="persistent"), known)
    assert {c.outage.duration_s for c in fresh.comparisons} == {0.5}
    assert [c.outage.duration_s for c in persistent.comparisons] == [pytest.approx(1.2)] * 10
    assert fresh.good
    assert persistent.good


def test_streams_whose_truth_is_not_known_are_left_out() -> None:
    """An established connection retransmits: an injected outage does not tell how long it must be down."""
    of = stream("ingress", flow="established")
    assert calibrate([result(of, probed(of, [], 0.5))], outages([0.5]), {of.name: "vm1"}, 0.0).kinds == ()


def test_a_clean_stretch_is_good_by_itself() -> None:
    """Without any outage there is nothing to hold, but something to look at; one window there is false."""
    of = stream()
    samples = probed(of, [], 0.5)
    quiet = calibrate([result(of, samples)], [], {}, 0.0)
    assert quiet.good
    assert "0 false windows" in summary_line(quiet)
    samples[20] = replace(samples[20], outcome=Outcome.LOST)
    assert not calibrate([result(of, samples)], [], {}, 0.0).good


def test_what_was_not_watched_is_not_clean() -> None:
    """A stream whose samples end early was clean until then, but for the outages that it was watched in."""
    of, known = stream(), outages([0.5, 0.5])
    samples = [s for s in probed(of, known, 0.5) if s.due_s < known[0].end_s + 0.2]
    (kind,) = calibrate([result(of, samples)], known, {of.name: "vm1"}, 0.0).kinds
    watched_s = samples[-1].due_s - samples[0].due_s
    assert kind.clean_s == pytest.approx(watched_s - 0.5)


def test_a_probe_answered_during_an_outage_is_not_taken_for_its_end() -> None:
    """Two windows for one outage are summed, and what lies between them is missing from the bounds."""
    of, known = stream(), outages([1.0])
    samples = probed(of, known, 0.5)
    middle = next(s.slot for s in samples if s.due_s > known[0].start_s + 0.4)
    for slot in range(middle, middle + 5):
        samples[slot] = replace(samples[slot], outcome=Outcome.REPLIED)
    made = calibrate([result(of, samples)], known, {of.name: "vm1"}, 0.0)
    assert [(c.windows, c.judgement) for c in made.comparisons] == [(2, Judgement.NOT_HELD)]


def banner_and_syn(fails: range, syn_fails: range = range(0)) -> Calibration:
    """Return banners every 100 ms that fail in slots, and half-open connections to their port; one outage of 0.5 s."""
    known = outages([0.5], "ingress")
    streams = [
        replace(stream("ingress", "vm1", i, flow), target="198.51.100.9:22")
        for i, flow in ((0.1, "banner"), (0.01, "syn"))
    ]
    results = []
    for of, slots in zip(streams, (fails, syn_fails), strict=True):
        samples = probed(of, known, 0.5)
        for slot in slots:
            samples[slot] = replace(samples[slot], outcome=Outcome.LOST)
        results.append(result(of, samples))
    return calibrate(results, known, {s.name: "vm1" for s in streams}, 0.0)


def test_an_answer_that_came_only_after_a_second_outage_ends_the_first() -> None:
    """The probe between them was sent in time, and its banner held up by the second: each has a window of its own."""
    banner = stream("ingress", interval_s=0.1, flow="banner")
    known = [outage((2.0, 2.257)), outage((2.357, 2.679), number=2)]
    samples = [
        replace(s, rtt_s=0.43) if s.due_s == pytest.approx(2.34) else replace(s, rtt_s=0.02)
        for s in probed(banner, known, 0.4)
    ]
    found = calibrate([result(banner, samples)], known, {banner.name: "vm1"}, 0.0)
    assert [c.windows for c in found.comparisons] == [1, 1]
    assert (found.total.missed, found.total.held) == (0, 2)


def test_a_slow_sshd_is_no_error_of_the_instrument() -> None:
    """A banner that fails while its port answers is slow, not false; one that goes on failing after an outage, too."""
    quiet = banner_and_syn(range(5, 8))
    assert (quiet.false, quiet.slow, quiet.good) == (0, 1, True)
    end = int((outages([0.5])[0].end_s + 2) * 10)
    after = banner_and_syn(range(end, end + 8))
    assert (after.total.slow, after.good) == (1, True)
    assert "1 banner slow (sshd)" in summary_line(after)


def test_a_banner_that_was_being_served_is_sshds_matter() -> None:
    """Asked for more than a usual round trip before the outage, and lost with it."""
    first = int((outages([0.5])[0].start_s + 2) * 10)
    served = banner_and_syn(range(first - 1, first))
    assert (served.total.slow, served.good) == (1, True)


@pytest.mark.parametrize(("stages", "false", "slow"), [((Stage.LATE,) * 2, 0, 1), ((Stage.LATE, Stage.BEGUN), 1, 0)])
def test_banners_that_came_late_are_no_false_window(stages: tuple[Stage, ...], false: int, slow: int) -> None:
    """The path was up, even where nobody probed it at the time; one that never came is another matter."""
    banner, count = stream("ingress", interval_s=0.1, flow="banner"), 40
    outcomes, reached = bytearray(count), bytearray(count)
    for place, stage in enumerate(stages, 20):
        outcomes[place], reached[place] = CODES[Outcome.LOST], stage
    due_ns = np.arange(count, dtype=np.int64) * 100_000_000
    samples = Samples(
        bytes(outcomes), due_ns, np.full(count, 1_000_000, np.int64), interval_ns=100_000_000, stages=bytes(reached)
    )
    made = calibrate([result(banner, samples)], [], {banner.name: "vm1"}, 0.0)
    assert (made.false, made.slow, made.good) == (false, slow, not false)


def test_refused_banners_are_false_not_slow() -> None:
    """Somebody answered no: nothing of that came late."""
    banner = stream("ingress", interval_s=0.1, flow="banner")
    samples = [
        replace(s, outcome=Outcome.REFUSED) if 20 <= n < 22 else s for n, s in enumerate(probed(banner, [], 0.5))
    ]
    made = calibrate([result(banner, samples)], [], {banner.name: "vm1"}, 0.0)
    assert (made.false, made.slow, made.good) == (1, 0, False)


def test_an_edge_without_probes_has_bounds_but_no_error() -> None:
    """Slots that were not sent where an outage ends: the estimate is later, and the bounds say so."""
    of, known = stream(), outages([0.3])
    end = int((known[0].end_s + 2) / of.interval_s)
    made = calibrate([result(of, probed(of, known, 0.5, range(end, end + 3)))], known, {of.name: "vm1"}, 0.0)
    assert made.total.seen == 1
    assert (made.total.gapped, made.total.held, made.total.judged) == (1, 1, 0)
    assert made.comparisons[0].error_s > 0.011


@pytest.mark.parametrize(("late_s", "width_s"), [(0.003, 0.0), (0.0, 0.003)])
def test_a_probe_that_left_late_explains_an_error_of_as_much(late_s: float, width_s: float) -> None:
    """Where a busy machine sent the first probe after an outage late, or within a width, the limit is that far off."""
    of, known = stream(), [outage((2.0, 2.3), fault=Fault.SILENCE)]
    samples = probed(of, known, 0.98)
    first = next(s for s in samples if s.due_s > 2.3)
    samples[first.slot] = replace(first, sent_s=first.due_s + late_s, width_s=width_s)

    def by_the_late_end(samples: Sequence[Sample]) -> Sequence[OutageWindow]:
        return [replace(w, estimate_s=w.estimate_s + width_s) for w in true_windows(samples)]

    made = calibrate([result(of, samples, by_the_late_end)], known, {of.name: "vm1"}, 0.0)
    assert made.comparisons[0].error_s == pytest.approx(0.013, abs=1e-6)
    assert (made.off, made.good) == (0, True), summary_line(made)
    on_time = calibrate([result(of, probed(of, known, 0.98))], known, {of.name: "vm1"}, 0.0)
    assert on_time.comparisons[0].apart_s == pytest.approx(0.01)


def test_what_could_not_be_judged_is_not_good() -> None:
    """Bounds that held say nothing of errors: a calibration all of whose edges were not seen has none."""
    of, known = stream(), outages([0.3])
    end = int((known[0].end_s + 2) / of.interval_s)
    made = calibrate([result(of, probed(of, known, 0.5, range(end, end + 3)))], known, {of.name: "vm1"}, 0.0)
    assert (made.total.held, made.total.seen, made.good) == (1, 1, False)
    assert "no error that means something; bounds held the truth in 1 of 1" in summary_line(made)


def test_an_error_beyond_an_interval_is_not_good() -> None:
    """Though the bounds hold: they are wide where an estimate is far off."""
    of, known = stream(), outages([0.3])

    def far_off(samples: Sequence[Sample]) -> Sequence[OutageWindow]:
        return [replace(w, estimate_s=w.estimate_s + 0.4, at_most_s=w.at_most_s + 2) for w in true_windows(samples)]

    made = calibrate([result(of, probed(of, known, 0.5), far_off)], known, {of.name: "vm1"}, 0.0)
    assert (made.total.held, made.total.seen, made.off, made.good) == (1, 1, 1, False)
    assert "1 of them larger than probing explains" in summary_line(made)
    assert [row["result"] for row in comparison_rows(made)] == ["off"]


def test_a_banner_that_fails_with_its_port_is_false() -> None:
    """Then it is not sshd's slowness."""
    made = banner_and_syn(range(5, 8), range(60, 62))
    assert made.false == 2
    assert not made.good


def test_a_window_without_end_is_bounded_by_nothing() -> None:
    """A censored window holds any truth above its lower bound, and its CSV cell is empty."""
    of, known = stream(), outages([1.0])
    samples = [s for s in probed(of, known, 0.5) if s.due_s < known[0].start_s + 0.5]
    made = calibrate([result(of, samples)], known, {of.name: "vm1"}, 0.0)
    assert made.total.held == 1
    (row,) = comparison_rows(made)
    assert tuple(row) == COLUMNS
    assert row["at_most_s"] is None


def test_nothing_compared_is_not_good() -> None:
    """A calibration that saw nothing proves nothing."""
    assert not calibrate([], [], {}, 0.0).good


def test_the_report_fits_80_columns() -> None:
    """The table, what is wrong, and the summary."""
    known = outages(LENGTHS)
    made = calibrated(stream(), known, last_down_for_first_up)
    out = io.StringIO()
    Console(file=out, width=80, no_color=True, force_terminal=False).print(calibration_report(made))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "egress fresh" in text
    assert "By fault" in text
    assert "more: see the CSV" in text
    assert "on this machine: bias" in text


def judged(length_s: float, windows: int, at_least_s: float, estimate_s: float, at_most_s: float) -> OutageMeasurement:
    """One time down, beside what a stream that probes every 10 ms measured of it."""
    found = Downtime(at_least_s, estimate_s, at_most_s)
    return OutageMeasurement(outage((2.0, 2.0 + length_s)), stream(), windows, 0, found, unsent=0)


HELD = judged(0.5, 1, 0.49, 0.5, 0.51)
BANNER = stream("ingress", interval_s=0.1, flow="banner")
FLAPPED = outage((2.0, 2.2), (2.3, 2.5), fault=Fault.FLAPPING)


@pytest.mark.parametrize(
    ("measured", "word", "wrong"),
    [
        (HELD, "held", False),
        (judged(0.5, 0, 0, 0, 0), "missed", True),
        (judged(0.005, 0, 0, 0, 0), "unseen", False),
        (judged(0.015, 0, 0, 0, 0), "unseen", True),  # a slot in every interval: its error is too large all the same
        (judged(0.5, 1, 0.49, 0.49, 0.495), "not held", True),
        (judged(0.5, 1, 0.51, 0.51, 0.52), "not held", True),
        (judged(0.5, 1, 0.4, 0.6, 0.7), "off", True),
        (replace(HELD, outage=FLAPPED), "over", False),
        (replace(HELD, blind=1), "unknown", False),
        (replace(judged(0.5, 1, 0.0, 0.0, 0.4), blind=1), "not held", True),
        (replace(HELD, stream=BANNER, after_s=0.3), "slow", False),
        (replace(judged(0.5, 1, 0.9, 0.9, 0.9), stream=BANNER, before_s=0.1), "slow", False),
        (replace(HELD, after_s=0.3, before_s=0.1), "held", False),  # no service that could have been slow
    ],
)
def test_what_became_of_an_outage_is_one_word(measured: OutageMeasurement, word: str, wrong: bool) -> None:
    """The first that fits: what was not seen, sshd's, bounds, what they claim, the error, what could not be seen."""
    assert (measured.judgement, measured.wrong) == (word, wrong)
