"""What repeats is said once: caveats of several trials, and stretches in which nothing was seen."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from tests.report.runs import OUT, UP, fixed_run, guest, harness, trial
from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.figures.results import Run
from vrbench.core.figures.windows import Downtime
from vrbench.core.model import Verdict
from vrbench.report.caveats import caveat_lines, caveat_rows, fold_caveats
from vrbench.report.tables import flows_table, headline_table
from vrbench.report.windows import NOT_SEEN, WindowRow, longest, window_rows

LOSSY, LAB = CaveatKind.BASELINE_LOSSY, CaveatKind.LAB


def run_with(*caveats: tuple[Caveat, ...], name: str = "cloud") -> Run:
    """Make a run whose trials carry those caveats."""
    run = fixed_run()
    trials = tuple(
        replace(run.trials[0], facts=replace(run.trials[0].facts, number=number), caveats=carried)
        for number, carried in enumerate(caveats, 1)
    )
    return replace(run, run_id=name, context=replace(run.context, environment=name), trials=trials)


def lines(*runs: Run) -> list[str]:
    return [folded.line for folded in fold_caveats(runs)]


@pytest.mark.parametrize(
    ("carrying", "of", "where"),
    [
        ([1], 1, ""),
        ([2], 3, "trial 2 of 3: "),
        ([1, 2], 2, "both trials: "),
        ([1, 2, 3], 3, "all 3 trials: "),
        ([1, 2, 4], 6, "trials 1, 2 and 4 of 6: "),
        ([1, 2, 3, 4], 6, "4 of 6 trials: "),
    ],
)
def test_a_caveat_of_several_trials_stands_once(carrying: list[int], of: int, where: str) -> None:
    """With the trials that carry it, or their number where they are many."""
    run = run_with(*((Caveat(LAB),) if n in carrying else () for n in range(1, of + 1)))
    assert lines(run) == [f"{where}{LAB.happened}"]


def test_details_that_are_alike_stand_once() -> None:
    """Without saying of which trials: of all that were named."""
    run = run_with((Caveat(LOSSY, "vm1"),), (), (Caveat(LOSSY, "vm1"),))
    assert lines(run) == [f"trials 1 and 3 of 3: {LOSSY.happened} (vm1)"]


def test_details_that_differ_name_their_trials() -> None:
    """Three of them; how many more there are is said, and where they stand."""
    run = run_with(*((Caveat(LOSSY, f"vm{n}"),) for n in range(1, 6)))
    assert lines(run) == [
        f"all 5 trials: {LOSSY.happened} (trial 1: vm1; trial 2: vm2; trial 3: vm3; and 2 more, see --json)"
    ]
    assert [row["detail"] for row in caveat_rows([run])] == ["vm1", "vm2", "vm3", "vm4", "vm5"]


def test_trials_of_two_runs_are_told_apart() -> None:
    """By the name of what was measured."""
    old, new = run_with((Caveat(LAB),), (), name="old"), run_with((Caveat(LAB),), name="new")
    assert lines(old, new) == [f"old trial 1 of 2, new trial 1: {LAB.happened}"]
    assert lines(run_with((Caveat(LAB),), name="old"), new) == [f"both trials: {LAB.happened}"]


def test_the_worst_stands_first_and_says_what_it_does() -> None:
    """An invalid trial is why one reads on."""
    run = run_with((Caveat(CaveatKind.FLAPPING), Caveat(CaveatKind.INTERRUPTED, "vm1")))
    out = io.StringIO()
    Console(file=out, width=200).print(caveat_lines([run]))
    told = [line.strip() for line in out.getvalue().splitlines() if line.strip()]
    assert told[0] == "Caveats"
    assert told[1].startswith("! the trial was interrupted (vm1)")
    assert told[2].startswith("It makes the trial invalid: ")
    assert told[3] == f"! {CaveatKind.FLAPPING.happened}"


def test_nothing_to_say_is_nothing() -> None:
    """No heading without caveats."""
    out = io.StringIO()
    Console(file=out, width=80).print(caveat_lines([run_with(())]))
    assert out.getvalue().strip() == ""


GAPPY = "R" * 17 + "sss" + OUT[20:36] + "ss" + OUT[38:]


def test_unseen_stretches_are_one_row_behind_what_was_seen() -> None:
    """Their number stands in place of one, and their bounds are added up; outages are numbered by themselves."""
    rows = list(window_rows(trial(1, [guest("vm1", GAPPY, UP), guest("vm2", OUT, UP), harness(UP, UP)])))
    assert [(r.streams, r.name, r.number, r.words) for r in rows] == [
        (2, "egress fresh", 1, "silence"),
        (1, "egress fresh", None, "not seen"),
    ]
    twice = GAPPY[:45] + "ss" + GAPPY[47:]
    rows = list(window_rows(trial(1, [guest("vm1", twice, twice), guest("vm2", OUT, UP), harness(UP, UP)])))
    assert [r.words for r in rows if not r.seen] == ["not seen, 2 times", "not seen, 2 times"]
    stretches = [w for s in trial(1, [guest("vm1", twice, UP)]).streams for w in s.windows if w.blind]
    assert rows[1].down == Downtime.total(stretches)


def test_the_longest_are_kept_in_their_order() -> None:
    """Where there is no room for all: those that an operator asks about, and whatever was not seen."""

    def row(name: str, seconds: float, kind: str = "silence") -> WindowRow:
        number = None if kind == NOT_SEEN else 1
        return WindowRow(1, name, number, 0.0, Downtime(seconds, seconds, seconds), kind)

    rows = [row("a", 1), row("b", 3), row("c", 0, NOT_SEEN), row("d", 2)]
    assert [r.name for r in longest(rows, 3)] == ["b", "c", "d"]
    assert [r.name for r in longest(rows, 9)] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("invalid", "title"),
    [
        ((), "Downtime over 2 trials"),
        ((2,), "Downtime over 1 of 2 trials"),
        ((1, 2), "Downtime: no trial counts, see the caveats"),
    ],
)
def test_the_headline_says_how_many_trials_it_is_made_of(invalid: tuple[int, ...], title: str) -> None:
    """A trial that is left out is not passed over in silence."""
    run = fixed_run()
    trials = [replace(t, verdict=Verdict.INVALID) if t.facts.number in invalid else t for t in run.trials]
    out = io.StringIO()
    Console(file=out, width=80).print(headline_table(replace(run, trials=tuple(trials))))
    assert title in [line.strip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("verdict", "title"),
    [
        (Verdict.VALID, "By flow and layer, average over trials"),
        (Verdict.INVALID, "By flow and layer: no trial counts, see the caveats"),
    ],
)
def test_flows_of_a_run_without_a_trial_that_counts_say_so(verdict: Verdict, title: str) -> None:
    """A column of dashes explains nothing."""
    run = fixed_run()
    out = io.StringIO()
    trials = tuple(replace(t, verdict=verdict) for t in run.trials)
    Console(file=out, width=80).print(flows_table(replace(run, trials=trials)))
    assert title in [line.strip() for line in out.getvalue().splitlines()]
