"""vrbench demo: the main job on the embedded lab, once per way of replacing a router, then side by side."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vrbench.cli.exits import Exit
from vrbench.cli.options import json_option, reports_option
from vrbench.core.text import some

if TYPE_CHECKING:
    from vrbench.cli.measure import Finished
    from vrbench.core.figures.results import Run

PROFILES = ("lab-serial", "lab-parallel")
WORDS = ("serial", "parallel")


@click.command("demo", epilog="Example: vrbench demo --trials 6")
@click.option("--trials", type=click.IntRange(1), default=3, show_default=True, help="Trials of each.")
@click.option("--install-missing", is_flag=True, help="Install missing system packages (root or sudo).")
@json_option
@click.option("--plain", is_flag=True, help="Lines instead of the live view.")
@reports_option
def command(trials: int, install_missing: bool, as_json: bool, plain: bool, reports: Path) -> int:
    """Measure a router restart on the embedded lab, old way and new, and compare.

    Builds an isolated network with 10 VMs and 10 public addresses in a CloudStack zone in a box, restarts it with
    cleanup, measures the outage, and removes all. It does so as CloudStack did up to 4.10 (serial), then as it does
    since 4.11.1 (parallel). Real packets, accelerated boot times. Nothing leaves this machine.
    """
    from vrbench.cli.lab_ready import make_ready

    make_ready(install_missing, "vrbench demo --install-missing")
    begun, finished = time.monotonic(), []
    for number, name in enumerate(PROFILES, 1):
        click.echo(f"[{number}/{len(PROFILES)}] {name}: {some(trials, 'trial')} on a lab of its own", err=True)
        done, code = _measure(name, trials, plain or as_json, reports)
        if code >= Exit.FAILED or done.ending.interrupted:
            return code
        finished.append(done)
    _conclude(finished, reports, as_json)
    click.echo(f"demo took {time.monotonic() - begun:.0f} s", err=True)
    return max(done.code for done in finished)


def _measure(name: str, trials: int, plain: bool, reports: Path) -> tuple[Finished, int]:
    """Carry out one of the shipped profiles; return what came of it, and its exit code."""
    from vrbench.cli.choices import Choices
    from vrbench.cli.measure import conclude, measure_in_lab
    from vrbench.cli.profiles import open_profile
    from vrbench.core.plan.plan import make_plan
    from vrbench.store.directory import new_run_id

    plan = make_plan(open_profile(name, (f"trials.count={trials}",)), new_run_id(datetime.now(UTC), name))
    done = measure_in_lab(plan, reports, Choices(plain))
    return done, conclude(done)


def _conclude(finished: list[Finished], reports: Path, as_json: bool) -> None:
    """Show both side by side in one table, and say where everything lies."""
    from vrbench.cli.results import show_comparison

    runs = [done.run for done in finished]
    csv = reports / f"demo-{runs[0].run_id.partition('-')[0]}.csv"
    _write_csv(runs, csv)
    show_comparison(runs[0], runs[1], WORDS, as_json)
    click.echo(f"CSV              {csv}", err=True)
    for done in finished:
        click.echo(f"run directory    {done.store.path}   (vrbench analyze {done.store.path})", err=True)


def _write_csv(runs: list[Run], path: Path) -> None:
    from vrbench.report.export_files import write_table
    from vrbench.report.export_rows import rows

    write_table("trials", rows("trials", runs), "csv", path)
