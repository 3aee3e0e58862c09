"""Tables as they are read: each kind by itself, nothing broken or crowded, no figure of what nobody measured."""

from __future__ import annotations

import io
import re
from itertools import pairwise

import pytest
from rich.console import Console, RenderableType

from tests.replacing import replace
from tests.report.made_runs import OPEN, UNSEEN, banner, down, fresh, made_run, made_trial, old, stuck, syn
from tests.report.runs import OUT, fixed_run, guest, harness, trial
from vrbench.core.figures.results import Run, StreamResult
from vrbench.core.figures.windows import Downtime
from vrbench.core.kinds import ICMP_PERSISTENT
from vrbench.report.headline_table import headline_table, reduction_table
from vrbench.report.layout import Broken
from vrbench.report.tables import run_report

LONG = Downtime(1975.3, 1980.0, 2100.0)
ENDLESS = Downtime(1975.3, 1980.0, float("inf"))
MANY = made_run(*[made_trial(fresh(LONG, 4.0), old(ENDLESS, LONG), syn(LONG, OPEN), banner(LONG, 1.0))] * 3)


def lines(what: RenderableType, width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, no_color=True, force_terminal=False).print(what)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def cells(what: RenderableType) -> list[list[str]]:
    """Return the cells of each line; two spaces or more are between them."""
    return [re.split(r"\s{2,}", line.strip()) for line in lines(what, 120)]


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("run", [fixed_run(), MANY], ids=["fixed", "long"])
def test_a_report_fits_and_is_parted_by_single_lines(run: Run, width: int) -> None:
    """No line is wider than the terminal, no figure is broken, and no two empty lines follow each other."""
    shown = lines(run_report(run), width)
    assert max(map(len, shown)) <= width
    assert "" in shown
    assert ("", "") not in pairwise(shown)
    assert not [line for line in shown if re.fullmatch(r"\s*(s|more|down|VM)( +(s|more|down|VM))*", line)]


def test_a_line_of_space_stands_before_each_trial() -> None:
    """Also where the one before ends with a note."""
    gappy = "R" * 17 + "sss" + OUT[20:36] + "ss" + OUT[38:]
    result = trial(1, [guest("vm1", gappy, gappy), guest("vm2", OUT, OUT), harness(OUT, OUT)])
    second = replace(result, facts=replace(result.facts, number=2))
    shown = lines(run_report(replace(fixed_run(), trials=(result, second))))
    at = next(n for n, line in enumerate(shown) if line.startswith("Trial 2: "))
    assert shown[at - 1] == ""
    assert "not seen" in " ".join(shown[at - 3 : at - 1])


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_methods_id_is_broken_between_its_words(width: int) -> None:
    """Behind a slash or a plus, never within a word; nothing of it is lost."""
    method = "w5/i100ms/b250ms/d500ms/a10s/t800ms/m1/v10s/icmp.fresh+icmp.persistent+ssh.syn+ssh.banner+tcp.session"
    shown = lines(Broken("method", method), width)
    assert "".join(line.strip() for line in shown) == f"method {method}"
    assert all(line[-1] in "/+" for line in shown[:-1])
    assert max(map(len, shown)) <= width


def test_every_vm_is_in_one_of_three_rows() -> None:
    """Where there are several: the mean, the worst and any of them; below each other, kind by kind."""
    shown = cells(headline_table(made_run(made_trial(fresh(2.0, 4.0), banner(UNSEEN, UNSEEN)))))
    assert shown[3:9] == [
        ["egress,", "mean", "3.00 s", "2.90 to 3.10 s"],
        ["new pings", "worst VM", "4.00 s", "3.90 to 4.10 s"],
        ["any VM down", "4.00 s", "3.90 to 4.10 s"],
        ["ingress,", "mean", "< 0.11 s", "under 0.11 s"],
        ["SSH service", "worst VM", "< 0.11 s", "under 0.11 s"],
        ["any VM down", "< 0.11 s", "under 0.11 s"],
    ]


def test_one_vm_is_one_row() -> None:
    """It is the mean, the worst and any; several trials have a lowest, a median and a highest."""
    shown = cells(headline_table(made_run(*(made_trial(fresh(s)) for s in (1.0, 2.0, 6.0)))))
    assert shown[0] == ["Downtime over 3 trials, 1 VM"]
    assert shown[1] == ["stream", "average", "surely", "lowest", "median", "highest"]
    assert shown[3] == ["egress, new pings", "3.00 s", "2.90 to 3.10 s", "1.00 s", "2.00 s", "6.00 s"]


@pytest.mark.parametrize(
    ("streams", "title"),
    [
        ((fresh(1.0, 1.0), banner(1.0, 1.0)), "Downtime in one trial, 2 VMs"),
        ((fresh(1.0, 1.0), banner(1.0, 1.0, 1.0)), "Downtime in one trial, 2 VMs, 3 public ends"),
        ((banner(1.0),), "Downtime in one trial, 1 public end"),
        ((), "Downtime in one trial"),
    ],
)
def test_the_title_says_of_how_many(streams: tuple[list[StreamResult], ...], title: str) -> None:
    """A VM may have several public ends, or none."""
    assert lines(headline_table(made_run(made_trial(*streams))))[0].strip() == title


def test_digits_are_those_that_the_bounds_carry() -> None:
    """Of lowest, median and highest too: 6.6 s between 6.3 and 6.9 s has no 6.62."""
    shown = cells(headline_table(made_run(*(made_trial(fresh(down(s, 0.58))) for s in (6.58, 6.62, 6.66)))))
    assert shown[3] == ["egress, new pings", "6.6 s", "6.3 to 7.0 s", "6.6 s", "6.6 s", "6.7 s"]


def test_a_trial_without_an_end_is_open_where_it_ranks() -> None:
    """The average has a lower bound alone."""
    shown = cells(headline_table(made_run(made_trial(fresh(1.0)), made_trial(fresh(OPEN)))))
    assert shown[3] == ["egress, new pings", "≥ 2.40 s", "2.40 s or more", "1.00 s", "open", "open"]


def test_pings_that_never_came_back_have_a_row_of_their_own() -> None:
    """Beside several VMs or one; the other rows are of those that did."""
    several = made_run(made_trial([*old(4.0, 4.0), stuck(ICMP_PERSISTENT)], fresh(4.0, 4.0, 4.0)))
    assert ["never back", "1 of 3"] in cells(headline_table(several))
    assert ["ongoing ping", "worst VM", "4.00 s", "3.90 to 4.10 s"] in cells(headline_table(several))
    one = cells(headline_table(made_run(made_trial([stuck(ICMP_PERSISTENT)], fresh(4.0)))))
    assert one[3:5] == [
        ["egress, ongoing ping", "never back", "1 of 1"],
        ["egress, new pings", "4.00 s", "3.90 to 4.10 s"],
    ]
    both = cells(headline_table(made_run(made_trial([stuck(ICMP_PERSISTENT, n) for n in (1, 2)], fresh(4.0, 4.0)))))
    assert both[3:5] == [["egress,", "never back", "2 of 2"], ["ongoing ping"]]
    compared = cells(reduction_table(made_run(made_trial(old(9.0), banner(9.0))), several, ("old", "new")))
    assert ["never back", "–", "1 of 3"] in compared


def test_what_could_not_be_measured_is_said() -> None:
    """Of how many, below the table; its rows are of the others."""
    mute = replace(fresh(1.0)[0], seen_up=False)
    told = " ".join(lines(headline_table(made_run(made_trial([mute, *fresh(4.0)])))))
    assert "egress, new pings: 1 of 2 could not be measured, see the caveats" in told


@pytest.mark.parametrize(
    ("before", "after", "less"),
    [(10.0, 1.0, "90 %"), (10.0, UNSEEN, "> 98 %"), (UNSEEN, 1.0, "–"), (OPEN, 1.0, "–"), (1.0, 2.0, "-100 %")],
)
def test_the_reduction(before: float | Downtime, after: float | Downtime, less: str) -> None:
    """Where nothing was seen afterwards, it is more than what that allows; without an end it is unknown."""
    was, now = (made_run(made_trial(old(f), banner(f))) for f in (before, after))
    rows = [row for row in cells(reduction_table(was, now, ("old", "new"))) if "average" in row]
    assert [row[-1] for row in rows] == [less, less]
    assert [row[0] for row in rows] == ["egress, ongoing ping", "ingress, SSH service"]
