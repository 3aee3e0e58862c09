"""What repeats is said once: caveats of several trials, and stretches in which nothing was seen."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from tests.replacing import replace
from tests.report.runs import OUT, UP, fixed_run, guest, harness, trial
from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.figures.results import Run
from vrbench.core.figures.windows import Downtime
from vrbench.core.model import Verdict
from vrbench.report.caveats import caveat_lines, caveat_rows, fold_caveats
from vrbench.report.headline_table import headline_table
from vrbench.report.windows import Unseen, WindowRow, longest, unseen, window_rows

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
    assert caveat_lines([run_with(())]) is None


GAPPY = "R" * 17 + "sss" + OUT[20:36] + "ss" + OUT[38:]


def test_unseen_stretches_are_one_line_and_no_row() -> None:
    """However many there are: how many of which kind, and how long together and at most; rows are outages alone."""
    twice = GAPPY[:45] + "ss" + GAPPY[47:]
    result = trial(1, [guest("vm1", twice, twice), guest("vm2", OUT, UP), harness(UP, UP)])
    assert [(r.streams, r.name) for r in window_rows(result)] == [(1, "egress, ongoing ping"), (2, "egress, new pings")]
    found = unseen(result)
    assert found is not None
    assert {name: len(lengths) for name, lengths in found.stretches.items()} == {
        "egress, ongoing ping": 2,
        "egress, new pings": 2,
    }


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ([0.3], "1 stretch not seen, under 0.3 s (egress, new pings 1)"),
        (
            [0.01] * 2908 + [0.4, 11.4],
            "2,910 stretches not seen, 41 s together, longest 12 s (egress, new pings 2,910)",
        ),
        ([0.3, math.inf], "2 stretches not seen, under 0.3 s, 1 until the end (egress, new pings 2)"),
        ([math.inf], "1 stretch not seen, 1 until the end (egress, new pings 1)"),
    ],
)
def test_unseen_stretches_in_words(lengths: list[float], words: str) -> None:
    """How many, how long together and at most; one that never ended is counted, and has no length."""
    assert Unseen({"egress, new pings": lengths}).words == words


def test_a_trial_that_was_seen_throughout_says_nothing_of_it() -> None:
    """No line without a stretch."""
    assert unseen(trial(1, [guest("vm1", OUT, OUT), harness(OUT, OUT)])) is None


def test_the_longest_are_kept_in_their_order() -> None:
    """Where there is no room for all: those that an operator asks about."""
    rows = [WindowRow(1, name, 1, 0.0, Downtime(s, s, s), "silence") for name, s in (("a", 1), ("b", 3), ("d", 2))]
    assert [r.name for r in longest(rows, 2)] == ["b", "d"]
    assert [r.name for r in longest(rows, 9)] == ["a", "b", "d"]


@pytest.mark.parametrize(
    ("invalid", "title"),
    [
        ((), "Downtime over 2 trials, 2 VMs"),
        ((2,), "Downtime over 1 of 2 trials, 2 VMs"),
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
