"""What is said of finished runs: the answer first, and again where it has left the screen; and limits, kind by kind."""

from __future__ import annotations

import io
import json
from functools import partial

import pytest
from rich.console import Console

from tests.report.made_runs import OPEN, UNSEEN, banner, down, fresh, made_run, made_trial, old, syn
from vrbench.cli import console
from vrbench.cli.results import over_limits, show_comparison, show_runs
from vrbench.core.figures.results import Run
from vrbench.core.plan.limits import LimitsTable
from vrbench.report.answer import answer

RUN = made_run(made_trial(fresh(4.0), banner(3.0)))
LONG = made_run(*[made_trial(fresh(4.0), banner(3.0))] * 9)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Show what follows on a terminal of 24 lines, wide enough for any sentence."""
    out = io.StringIO()
    made = partial(Console, file=out, force_terminal=True, color_system=None, width=200, height=24)
    monkeypatch.setattr(console, "TextConsole", made)
    return out


@pytest.mark.parametrize(("run", "times"), [(RUN, 1), (LONG, 2)], ids=["short", "long"])
def test_the_answer_is_on_the_screen_when_all_is_printed(run: Run, times: int, screen: io.StringIO) -> None:
    """It is the first line; where the report is longer than the screen, it is the last one too."""
    show_runs([run], as_json=False)
    lines = [line.strip() for line in screen.getvalue().splitlines() if line.strip()]
    assert lines[0] == answer(run)
    assert lines.count(answer(run)) == times
    assert (lines[-1] == answer(run)) == (times == 2)


def test_a_pipe_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing leaves a file at its top."""
    show_runs([LONG], as_json=False)
    assert " ".join(capsys.readouterr().out.split()).count(answer(LONG)) == 1


def test_two_runs_each_have_their_answer(screen: io.StringIO) -> None:
    """Named by the words that stand over their columns."""
    show_comparison(RUN, LONG, ("before", "after"), as_json=False)
    told = [line.strip() for line in screen.getvalue().splitlines()]
    assert told[:2] == [f"before: {answer(RUN)}", f"after: {answer(LONG)}"]


def test_programs_get_the_answer_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Each run has its own."""
    show_runs([RUN, LONG], as_json=True)
    assert [run["answer"] for run in json.loads(capsys.readouterr().out)["runs"]] == [answer(RUN), answer(LONG)]


@pytest.mark.parametrize(
    ("run", "over"),
    [
        (made_run(made_trial(fresh(4.0), syn(3.0))), ["average of egress, new pings is 4.00 s, the limit 3 s"]),
        (made_run(made_trial(fresh(2.0), old(5.0))), ["average of egress, ongoing ping is 5.00 s, the limit 3 s"]),
        (made_run(made_trial(fresh(OPEN))), ["average of egress, new pings is ≥ 3.90 s, the limit 3 s"]),
        (made_run(made_trial(syn(2.0), banner(9.0))), ["average of ingress, SSH service is 9.00 s, the limit 4 s"]),
        (made_run(made_trial(fresh(down(2.9)), syn(3.9), old(UNSEEN))), []),
        (made_run(), []),
    ],
)
def test_limits_hold_for_each_kind(run: Run, over: list[str]) -> None:
    """The average of none may be above; no mean over unlike kinds hides one that is."""
    assert over_limits(run, LimitsTable(egress=3.0, ingress=4.0)) == over
