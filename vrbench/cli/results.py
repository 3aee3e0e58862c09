"""How finished runs are printed, and what exit code they deserve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import click

from vrbench.cli.exits import Exit
from vrbench.core.figures.results import Run
from vrbench.core.figures.windows import Downtime
from vrbench.core.model import Direction, Verdict
from vrbench.core.plan.tables import LimitsTable


def show_runs(runs: Sequence[Run], as_json: bool) -> None:
    """Print runs on stdout: tables for people, or one JSON object for programs."""
    if as_json:
        click.echo(json.dumps(as_object(runs), indent=1, allow_nan=False))
        return
    from vrbench.cli.console import PatientConsole
    from vrbench.report.tables import run_report

    console = PatientConsole()
    for run in runs:
        console.print(run_report(run))


def show_comparison(before: Run, after: Run, words: tuple[str, str], as_json: bool) -> None:
    """Print two runs side by side on stdout: the table operators know, then what stands behind it."""
    if as_json:
        click.echo(json.dumps(as_object([before, after]), indent=1, allow_nan=False))
        return
    from vrbench.cli.console import PatientConsole
    from vrbench.report.caveats import caveat_lines
    from vrbench.report.tables import flows_table, quality_lines, reduction_table

    console = PatientConsole()
    for word, run in zip(words, (before, after), strict=True):
        console.print(f"\n[bold]{word}[/]")
        console.print(flows_table(run))
    console.print(reduction_table(before, after, words))
    console.print(quality_lines([before, after]))
    console.print(caveat_lines([before, after]))


def as_object(runs: Sequence[Run]) -> dict[str, object]:
    """Return runs as plain values for JSON: where they lie, rows of four tables, and every caveat in full."""
    from vrbench.report.caveats import caveat_rows
    from vrbench.report.export_rows import rows

    tables = {table: list(rows(table, runs)) for table in ("summary", "trials", "windows", "sessions")}
    return {"runs": [_run_object(run) for run in runs], **tables, "caveats": list(caveat_rows(runs))}


def _run_object(run: Run) -> dict[str, object]:
    """Return where a run lies, how far it came, and how wrong the instrument was there (null: not calibrated)."""
    calibrated = asdict(run.calibrated) if run.calibrated else None
    return {"run_id": run.run_id, "path": run.path, "state": run.state, "calibrated": calibrated}


def exit_code(run: Run, limits: LimitsTable | None, planned: int) -> Exit:
    """Return 0, 1 or 2: invalid or missing trials outweigh a limit, since no figure can be held against it."""
    if len(run.trials) < planned or any(t.verdict is not Verdict.VALID for t in run.trials):
        return Exit.NOT_VALID
    return Exit.OVER_LIMIT if limits and over_limits(run, limits) else Exit.OK


def over_limits(run: Run, limits: LimitsTable) -> list[str]:
    """Return one sentence for each limit of the profile that the run's average is above."""
    found = []
    for direction, limit in ((Direction.EGRESS, limits.egress), (Direction.INGRESS, limits.ingress)):
        downtimes = run.downtimes(direction)
        if limit is None or not downtimes:
            continue
        average = Downtime.mean(downtimes).estimate_s
        if average > limit:
            found.append(f"average {direction} downtime {average:.2f} s is over the limit of {limit:g} s")
    return found
