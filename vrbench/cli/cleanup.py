"""vrbench cleanup: remove what a killed run left."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from vrbench.cli.exits import Exit, UsageProblem
from vrbench.cli.options import reports_option
from vrbench.store import RunDir, find_run, run_paths


@click.command("cleanup", epilog="Example: vrbench cleanup --all")
@click.argument("run", required=False, metavar="[RUN]")
@click.option("--all", "everything", is_flag=True, help="Every run under --reports.")
@reports_option
def command(run: str | None, everything: bool, reports: Path) -> int:
    """Remove from the cloud what RUN created and has not removed, as its journal says; nothing else is touched.

    Running it again is fine. A run that is still going on is left alone.
    """
    if bool(run) == everything:
        raise UsageProblem("name a run, or say --all")
    paths = run_paths(reports) if everything else [find_run(reports, run or "")]
    codes = [_clean(RunDir(path)) for path in paths]
    if not paths:
        click.echo(f"no runs under {reports}")
    return max(codes, default=Exit.OK)


def _clean(store: RunDir) -> int:
    """One run: its embedded lab, if it had one, and what its journal has pending."""
    from vrbench.cloud.journal import Journal, JournalError

    name = store.path.name
    had_lab = _end_lab(store)
    if not store.journal.exists():
        store.forget_secrets()
        click.echo(f"{name}: nothing was built")
        return Exit.OK
    try:
        with Journal.open(store.journal) as journal:
            pending = journal.pending()
            if had_lab:
                # The zone went with its lab, and everything in it.
                for entry in pending:
                    journal.destroyed(entry.key)
                pending = []
    except JournalError as error:
        click.echo(f"{name}: {error}", err=True)
        return Exit.FAILED
    if pending:
        return _remove(store)
    store.forget_secrets()
    click.echo(f"{name}: nothing left")
    return Exit.OK


def _end_lab(store: RunDir) -> bool:
    """End the run's embedded lab, should it still run; whether the run was measured on one."""
    if not store.in_lab():
        return False
    from vrbench.lab import lifecycle

    lifecycle.down(store.lab)
    shutil.rmtree(store.lab, ignore_errors=True)
    return True


def _remove(store: RunDir) -> int:
    from vrbench.cli.session import remove
    from vrbench.cloud.credentials import default_files, load_credentials
    from vrbench.cloud.facade import Cloud

    files = default_files(os.environ, Path.home(), Path.cwd())
    cloud = Cloud(load_credentials(store.endpoint() or None, os.environ, files))
    left, problems = remove(cloud, store, lambda text: click.echo(f"  {text}", err=True))
    for problem in problems:
        click.echo(f"{store.path.name}: {problem}", err=True)
    if left:
        click.echo(f"{store.path.name}: still there: {', '.join(left)}", err=True)
        return Exit.FAILED
    click.echo(f"{store.path.name}: removed")
    return Exit.OK
