"""vrbench cleanup: remove what a killed run left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vrbench.cli.error_codes import code_and_text
from vrbench.cli.exits import Exit, UsageProblem
from vrbench.cli.options import reports_option
from vrbench.cli.say import say, say_aside
from vrbench.cloud.environment_plan import TAG, name_prefix
from vrbench.core.text import some
from vrbench.store.directory import RunDir, find_run, run_paths
from vrbench.store.files import RunInUse

if TYPE_CHECKING:
    from vrbench.cloud.journal.journal import Journal
    from vrbench.cloud.journal.replay import Damage


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
    codes = [_clean_one(RunDir(path), fatal=not everything) for path in paths]
    if not paths:
        say(f"no runs under {reports}")
    return max(codes, default=Exit.OK)


def _clean_one(store: RunDir, fatal: bool) -> int:
    """Clean one run; what is wrong with it keeps no other from being cleaned. ``fatal``: a run in use is a failure."""
    try:
        with store.owned():
            return _clean(store)
    except RunInUse as error:
        say(str(error), err=True)
        return Exit.FAILED if fatal else Exit.OK
    except Exception as error:  # noqa: BLE001  reported with its code; the other runs still want cleaning
        code, text = code_and_text(error)
        say(f"{store.path.name}: {text}", err=True)
        return code


def _clean(store: RunDir) -> int:
    """End its embedded lab, if it had one, and remove what its journal has pending."""
    from vrbench.cloud.journal.journal import Journal

    name = store.path.name
    had_lab = _end_lab(store)
    if not store.journal.exists():
        store.forget_secrets()
        say(f"{name}: nothing left, as there is no journal: nothing was built, or somebody deleted it")
        return Exit.OK
    with Journal.salvage(store.journal, name) as journal:
        if had_lab:
            # The zone went with its lab, and everything in it.
            for entry in journal.pending():
                journal.destroyed(entry.key)
            return _conclude(store, (), ())
        _tell_damage(store, journal.damage)
        return _conclude(store, _remove(store, journal), journal.damage)


def _tell_damage(store: RunDir, damage: Sequence[Damage]) -> None:
    if damage:
        others = f" (and {some(len(damage) - 1, 'more place')})" if len(damage) > 1 else ""
        say(f"{store.path.name}: its journal is damaged: {store.journal}, {damage[0]}{others}", err=True)
        say("  going by its other lines, and looking for the rest by the names that vrbench gave", err=True)


def _conclude(store: RunDir, left: Sequence[str], damage: Sequence[Damage]) -> int:
    """Say how it ended. After damage that is never that nothing is left: nobody can know."""
    name = store.path.name
    for one in left:
        say(f"{name}: still there: {one}", err=True)
    if left:
        return Exit.FAILED
    if damage:
        say(
            f"{name}: all that was found is removed. Its journal is damaged, so there may be more: look in the cloud "
            f"for names that begin with {name_prefix(name)} and for the tag {TAG}={name}. Then delete {store.journal}: "
            "it is asked about no more",
            err=True,
        )
        return Exit.NOT_VALID
    store.forget_secrets()
    say(f"{name}: nothing left")
    return Exit.OK


def _end_lab(store: RunDir) -> bool:
    """End the run's embedded lab, should it still run; return whether it was measured on one."""
    if not store.in_lab():
        return False
    from vrbench.lab import lifecycle

    lifecycle.down(store.lab)
    shutil.rmtree(store.lab, ignore_errors=True)
    return True


def _remove(store: RunDir, journal: Journal) -> tuple[str, ...]:
    """Remove what is pending; return what could not be removed."""
    if not journal.pending() and not journal.damage:
        return ()
    from vrbench.cloud.api.facade import Cloud
    from vrbench.cloud.api.turned_away import WhenTurnedAway
    from vrbench.cloud.credentials.credentials import find_credentials
    from vrbench.run.cloudstack import CloudStack
    from vrbench.run.removal import remove_pending

    credentials = find_credentials(store.endpoint(), os.environ, "the run")
    for note in credentials.notes:
        say(f"note: {note}", err=True)
    cloud = Cloud(credentials)
    cloud.waiting = WhenTurnedAway(say_aside)
    report = remove_pending(CloudStack(cloud), journal, lambda text: say(f"  {text}", err=True))
    for problem in report.problems:
        say(f"{store.path.name}: {problem}", err=True)
    return report.left
