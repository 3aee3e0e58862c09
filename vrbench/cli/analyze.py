"""vrbench analyze: every figure of stored runs, computed anew from their raw samples."""

from __future__ import annotations

from pathlib import Path

import click

from vrbench.cli.options import json_option, reports_option
from vrbench.cli.say import say


@click.command("analyze", epilog="Example: vrbench analyze 20261124T131500Z-1a2b-lab-parallel")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@json_option
@reports_option
def command(runs: tuple[str, ...], as_json: bool, reports: Path) -> int:
    """Recompute and show windows, trials and summary (RUN: directory, id, or the beginning of an id).

    The same samples under the same rules give the same tables; a run cut short shows the trials it completed.
    """
    from vrbench.cli.results import exit_code, over_limits, show_runs
    from vrbench.store.directory import find_run
    from vrbench.store.loading import load_run

    loaded = [load_run(find_run(reports, name)) for name in runs]
    show_runs(loaded, as_json)
    for run in loaded:
        for sentence in over_limits(run, run.limits) if run.limits else ():
            say(f"over the limit: {sentence}", err=True)
    return max(exit_code(run, run.limits, max(run.planned, len(run.trials) + len(run.unreadable))) for run in loaded)
