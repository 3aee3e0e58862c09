"""vrbench demo: the main job on the embedded lab, once per way of replacing a router, then side by side."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vrbench.cli.exits import Exit
from vrbench.cli.options import json_option, reports_option
from vrbench.core.words import some

if TYPE_CHECKING:
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
    from vrbench.cli.machine import make_ready
    from vrbench.cli.profiles import open_profile
    from vrbench.cli.run import boxed
    from vrbench.core.plan.plan import make_plan
    from vrbench.store.directory import new_run_id, state_of

    make_ready(install_missing)
    begun, run_ids, worst = time.monotonic(), [], int(Exit.OK)
    for number, name in enumerate(PROFILES, 1):
        settings = (f"trials.count={trials}",)
        run_id = new_run_id(datetime.now(UTC), name)
        click.echo(f"[{number}/{len(PROFILES)}] {name}: {some(trials, 'trial')} on a lab of its own", err=True)
        plan = make_plan(open_profile(name, settings), run_id)
        arguments = ["run", name, "--set", settings[0], "--reports", str(reports), "--run-id", run_id, "--no-tables"]
        code = boxed(plan, reports, [*arguments, "--plain"] if plain or as_json else arguments)
        worst = max(worst, code)
        if code >= Exit.FAILED or state_of(reports / run_id) == "interrupted":
            return code
        run_ids.append(run_id)
    _conclude(reports, run_ids, as_json)
    click.echo(f"demo took {time.monotonic() - begun:.0f} s", err=True)
    return worst


def _conclude(reports: Path, run_ids: list[str], as_json: bool) -> None:
    """One table side by side, and where everything lies."""
    from vrbench.cli.results import show_comparison
    from vrbench.store.loading import load_run

    runs = [load_run(reports / run_id) for run_id in run_ids]
    csv = reports / f"demo-{run_ids[0].partition('-')[0]}.csv"
    _write_csv(runs, csv)
    show_comparison(runs[0], runs[1], WORDS, as_json)
    click.echo(f"CSV              {csv}", err=True)
    for run_id in run_ids:
        click.echo(f"run directory    {reports / run_id}   (vrbench analyze {reports / run_id})", err=True)


def _write_csv(runs: list[Run], path: Path) -> None:
    from vrbench.report.frames import write_table
    from vrbench.report.rows import rows

    write_table("trials", rows("trials", runs), "csv", path)
