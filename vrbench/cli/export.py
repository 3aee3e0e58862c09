"""vrbench export: the tables of stored runs, for spreadsheets and programs."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vrbench.cli.exits import Exit
from vrbench.cli.options import reports_option
from vrbench.cli.say import say
from vrbench.cli.streams import for_programs

if TYPE_CHECKING:
    from vrbench.core.figures.results import Run

# As in ``export_rows.COLUMNS``, which takes long to load.
TABLES = ("samples", "windows", "causes", "sessions", "routers", "failures", "trials", "summary", "headline")


@click.command("export", epilog="Example: vrbench export 20261124T13 --table trials --format csv > capacity-review.csv")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--table",
    type=click.Choice(TABLES),
    default="summary",
    help="Which table.",
)
@click.option("--format", "format_", type=click.Choice(["csv", "parquet", "json"]), default="csv", help="As what.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file; otherwise stdout.")
@reports_option
def command(runs: tuple[str, ...], table: str, format_: str, output: Path | None, reports: Path) -> int:
    """Write a table of one or more runs (RUN: directory, id, or the beginning of an id).

    Times are seconds since the operation was requested, or ISO 8601 UTC; an empty cell was not measured or has no
    bound. Text that a spreadsheet would run as a formula is defused with an apostrophe. Trials that can't be read are
    left out and named; the exit code then is 2.
    """
    from vrbench.report.export_files import write_samples, write_table
    from vrbench.report.export_rows import failure_rows, rows
    from vrbench.report.sample_blocks import sample_blocks
    from vrbench.store.directory import find_run
    from vrbench.store.loading import load_failures, load_method, load_run

    paths, wrong = [find_run(reports, name) for name in runs], list[str]()
    target = output or for_programs()

    def load(path: Path) -> Run:
        run = load_run(path)
        wrong.extend(run.unreadable)
        return run

    if table == "samples":
        write_samples(sample_blocks(map(load, paths)), format_, target)
    elif table == "failures":
        counted = (failure_rows(p.name, load_method(p).id, load_failures(p, wrong.append)) for p in paths)
        write_table(table, chain.from_iterable(counted), format_, target)
    else:
        write_table(table, rows(table, map(load, paths)), format_, target)
    for words in wrong:
        say(f"left out: {words}", err=True)
    return Exit.NOT_VALID if wrong else Exit.OK
