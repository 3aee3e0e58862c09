"""vrbench demo: the main job on the embedded lab, once per way of replacing a router, both side by side."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vrbench.cli.options import json_option, reports_option
from vrbench.cli.say import say
from vrbench.core.text import listed, some

if TYPE_CHECKING:
    from vrbench.cli.measure import Finished
    from vrbench.cli.side_by_side import Side
    from vrbench.cli.side_screen import SideScreen
    from vrbench.core.figures.results import Run

PROFILES = ("lab-serial", "lab-parallel")
WORDS = ("serial", "parallel")
DIFFER = ("run", "where")  # the lines of a plan that are not the same for both
ON_TIME = 0.999  # of the probes: above that nothing is said of it
ALIKE = ("builds", "opens", "operation", "trials", "takes", "removes")


@click.command("demo", epilog="Example: vrbench demo --trials 6")
@click.option("--trials", type=click.IntRange(1), default=3, show_default=True, help="Trials of each.")
@click.option("--install-missing", is_flag=True, help="Install missing system packages (root or sudo).")
@json_option
@click.option("--plain", is_flag=True, help="Lines instead of the live view.")
@reports_option
def command(trials: int, install_missing: bool, as_json: bool, plain: bool, reports: Path) -> int:
    """Measure a router restart on the embedded lab, old way and new, and compare.

    Builds an isolated network with 10 VMs and 10 public addresses in a CloudStack zone in a box, restarts it with
    cleanup, measures the outage, and removes all. It does so as CloudStack did up to 4.10 (serial). Beside that, in a
    second zone, it does so as CloudStack does since 4.11.1 (parallel). Real packets, accelerated boot times. Nothing
    leaves this machine.
    """
    from vrbench.cli.lab_ready import make_ready
    from vrbench.cli.side_by_side import carry_out

    make_ready(install_missing, "vrbench demo --install-missing")
    begun, sides = time.monotonic(), [_side(*each, trials, reports) for each in zip(WORDS, PROFILES, strict=True)]
    _tell_plans(sides)
    screen, live = _screen(plain or as_json)
    table = _Table(sides, screen, as_json, begun)
    with screen.live() if live else nullcontext():
        carry_out(sides, screen, table.take)
    return table.conclude()


def _side(word: str, profile: str, trials: int, reports: Path) -> Side:
    from vrbench.cli.profiles import open_profile
    from vrbench.cli.side_by_side import Side
    from vrbench.core.plan.plan import make_plan
    from vrbench.store.directory import new_run_id

    plan = make_plan(open_profile(profile, (f"trials.count={trials}",)), new_run_id(datetime.now(UTC), profile))
    return Side(word, profile, plan, reports)


def _tell_plans(sides: list[Side]) -> None:
    """Say what will happen, once where it is the same for both."""
    for side in sides:
        told = dict(side.plan.lines)
        say(f"{side.word:10} {'; '.join(told[what] for what in DIFFER)}", err=True)
    told = dict(sides[0].plan.lines)
    for what in ALIKE:
        say(f"{what:10} {told[what]}", err=True)


def _screen(plain: bool) -> tuple[SideScreen, bool]:
    """Return the screen, and whether it can draw a view on this terminal."""
    from vrbench.cli.console import TextConsole
    from vrbench.cli.side_screen import SideScreen

    console = TextConsole(stderr=True)
    return SideScreen(console, WORDS), not plain and console.can_draw


@dataclass
class _Table:
    """What the demo is for: shown as soon as all is measured; then what was built is removed."""

    sides: list[Side]
    screen: SideScreen
    as_json: bool
    begun: float
    _runs: dict[str, Run] = field(default_factory=dict)

    def take(self, side: Side) -> None:
        """Analyse a run that has been measured; show both when it was the last."""
        from vrbench.cli.results import show_comparison
        from vrbench.store.loading import load_run

        self._runs[side.word] = load_run(side.store.path)
        if len(self._runs) < len(self.sides):
            return
        self.screen.settle()
        before, after = (self._runs[word] for word in WORDS)
        show_comparison(before, after, WORDS, self.as_json)
        self.screen.paragraph(shortness([before, after], len(os.sched_getaffinity(0))))
        csv = side.reports / f"demo-{before.run_id.partition('-')[0]}.csv"
        _write_csv([before, after], csv)
        say(f"table after {time.monotonic() - self.begun:.0f} s; CSV: {csv}", err=True)

    def conclude(self) -> int:
        """Say how the runs ended, and where they lie; return the exit code."""
        from vrbench.cli.measure import conclude

        finished = [self._finished(side) for side in self.sides]
        codes = [conclude(done) for done in finished]
        for done in finished:
            say(f"run directory    {done.store.path}   (vrbench analyze {done.store.path})", err=True)
        say(f"demo took {time.monotonic() - self.begun:.0f} s", err=True)
        return max(codes)

    def _finished(self, side: Side) -> Finished:
        from vrbench.cli.measure import Finished, read_back

        assert side.ending is not None
        if side.word in self._runs:
            return Finished(side.plan, side.store, self._runs[side.word], side.ending)
        return read_back(side.plan, side.store, side.ending)


def shortness(runs: Sequence[Run], processors: int) -> str:
    """Say what it cost to measure both at once, as it was measured; empty where all but a few probes left in time."""
    late = [(word, run) for word, run in zip(WORDS, runs, strict=True) if run.on_time < ON_TIME]
    if not late:
        return ""
    shares = listed([f"{math.floor(run.on_time * 1000) / 10:.1f} % ({word})" for word, run in late])
    return (
        f"Both labs ran at once on {some(processors, 'processor')}: in the worst trial {shares} of this machine's "
        "probes left within 2 ms of their time. The bounds allow for the others. For finer figures, measure one way "
        f"alone:\n  vrbench run {PROFILES[0]}"
    )


def _write_csv(runs: list[Run], path: Path) -> None:
    from vrbench.private import new_file
    from vrbench.report.export_files import write_table
    from vrbench.report.export_rows import rows

    with open(path, "w", encoding="utf-8", newline="", opener=new_file) as file:  # others may write among the reports
        write_table("trials", rows("trials", runs), "csv", file)
