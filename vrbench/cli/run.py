"""vrbench run: build, restart, measure, report, remove."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vrbench.cli.exits import Exit, UsageProblem
from vrbench.cli.machine import make_ready
from vrbench.cli.options import json_option, reports_option
from vrbench.cli.profiles import open_profile
from vrbench.core.facts import Context
from vrbench.core.plan.plan import Plan, make_plan
from vrbench.store.directory import RunDir, find_run, new_run_id

if TYPE_CHECKING:
    from vrbench.cli.session import Ended

BYTES_PER_PROBE = 48  # two records of 16 bytes, and a third for banners


@click.command("run", epilog="Example: vrbench run lab-parallel --trials 6 --set probes.interval=10ms")
@click.argument("profile", metavar="PROFILE")
@click.option("--trials", type=click.IntRange(1), help="How many trials, instead of the profile's number.")
@click.option("--set", "settings", multiple=True, metavar="TABLE.KEY=VALUE", help="Override a key of the profile.")
@click.option("--keep", is_flag=True, help="Leave the environment standing (vrbench cleanup removes it).")
@click.option("--reuse", metavar="RUN", help="Measure the environment that RUN kept, build none.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would happen, and stop.")
@json_option
@click.option("--plain", is_flag=True, help="Lines instead of the live view.")
@reports_option
@click.option("--run-id", hidden=True)
@click.option("--no-tables", is_flag=True, hidden=True, help="For demo, which shows its own.")
@click.option("--inside", type=click.Path(path_type=Path), hidden=True, help="State of the lab we run in.")
def command(
    profile: str,
    trials: int | None,
    settings: tuple[str, ...],
    keep: bool,
    reuse: str | None,
    plan_only: bool,
    as_json: bool,
    plain: bool,
    reports: Path,
    run_id: str | None,
    no_tables: bool,
    inside: Path | None,
) -> int:
    """Build a network, restart its router, measure the outage, report, remove all.

    PROFILE is a TOML file or the name of a shipped profile (vrbench profiles). Ctrl-C once ends the run and removes
    what was built; twice leaves at once, and vrbench cleanup removes it from the journal.
    """
    if trials is not None:
        settings += (f"trials.count={trials}",)
    loaded = open_profile(profile, settings)
    run_id = run_id or new_run_id(datetime.now(UTC), loaded.name)
    plan = make_plan(loaded, run_id)
    if plan_only:
        show_plan(plan, as_json)
        return Exit.OK
    if loaded.lab and not inside:
        if keep or reuse:
            raise UsageProblem("--keep and --reuse need a cloud that stays: for that, start a lab with vrbench lab up")
        make_ready(install_missing=False)
        return boxed(plan, reports, [*sys.argv[1:], "--run-id", run_id])
    show = "none" if no_tables else "json" if as_json else "tables"
    return measure(plan, reports, inside, show=show, plain=plain, keep=keep, reuse=reuse)


def show_plan(plan: Plan, as_json: bool) -> None:
    """Print the plan on stdout: lines for people, or one JSON object with every value resolved (times in seconds)."""
    if not as_json:
        for what, how in plan.lines:
            click.echo(f"{what:10} {how}")
        return
    lines = [how if not what else f"{what}: {how}" for what, how in plan.lines]
    shown = {
        "run_id": plan.run_id,
        "method": plan.method.id,
        "probes_per_s": plan.probes_per_s,
        "costs": [asdict(cost) for cost in plan.costs],
        "profile": asdict(plan.profile),
        "lines": lines,
    }
    click.echo(json.dumps(shown, indent=1, allow_nan=False))


def boxed(plan: Plan, reports: Path, arguments: list[str]) -> int:
    """The same command again, inside a lab of its own that ends with it."""
    from vrbench.cli.box import run_boxed

    profile = plan.profile
    assert profile.lab is not None
    store = RunDir.create(reports, plan.run_id, bytes_needed(plan))
    context = Context(profile.name, "unknown", "unknown", profile.operation.kind, lab=True)
    with store.owned():
        store.write_run("starting", context, plan.method, asdict(profile))
        try:
            return run_boxed(profile.lab, store.lab, arguments)
        finally:
            shutil.rmtree(store.lab, ignore_errors=True)
            store.forget_secrets()


def measure(
    plan: Plan, reports: Path, inside: Path | None, *, show: str, plain: bool, keep: bool, reuse: str | None
) -> int:
    """Carry the plan out here and print what came of it; returns the exit code."""
    from vrbench.cli.results import show_runs
    from vrbench.cli.screen import make_screen
    from vrbench.cli.session import Session
    from vrbench.cli.signals import Signals
    from vrbench.cloud.credentials import default_files, load_credentials

    environ = {} if inside else dict(os.environ)
    files = [inside / "cloudstack.ini"] if inside else default_files(environ, Path.home(), Path.cwd())
    credentials = load_credentials(plan.profile.cloud.endpoint or None, environ, files)
    kept = RunDir(find_run(reports, reuse)) if reuse else None
    store = RunDir.create(reports, plan.run_id, bytes_needed(plan))
    screen = make_screen(plain or show == "json")
    for what, how in plan.lines:
        screen.note(f"{what:10} {otherwise(what, keep, reuse) or how}")
    screen.note(f"{'endpoint':10} {credentials.endpoint} ({credentials.source})")
    with ExitStack() as held:
        if not inside:  # else the process around the lab holds it
            held.enter_context(store.owned())
        if kept:
            held.enter_context(kept.owned())
        signals = held.enter_context(Signals(screen.note))
        held.enter_context(screen)
        ended = Session(plan, store, credentials, screen, bool(inside), keep, kept).carry_out(signals)
    if show != "none":
        show_runs([ended.run], as_json=show == "json")
    return conclude(plan, store, ended)


def otherwise(what: str, keep: bool, reuse: str | None) -> str:
    """How a line of the plan reads with --keep or --reuse; '' as ever."""
    if reuse and what in ("builds", "opens"):
        return f"nothing: measures what {reuse} kept"
    if what == "removes" and (keep or reuse):
        return "nothing" if reuse else "nothing, unless the build fails"
    return ""


def conclude(plan: Plan, store: RunDir, ended: Ended) -> int:
    """Say what went wrong and where things lie; returns the exit code."""
    from vrbench.cli.blame import describe
    from vrbench.cli.results import exit_code, over_limits

    code = int(exit_code(ended.run, plan.profile.limits, plan.profile.trials.count))
    for sentence in over_limits(ended.run, plan.profile.limits):
        click.echo(f"over the limit: {sentence}", err=True)
    if ended.error:
        code, text = describe(ended.error)
        click.echo(f"vrbench: {text}", err=True)
    if ended.interrupted:
        click.echo("interrupted; what was measured is kept", err=True)
    for problem in ended.problems:
        click.echo(f"while removing: {problem}", err=True)
    if ended.left:
        code = code if ended.accepted else Exit.FAILED
        click.echo(f"still in the cloud: {', '.join(ended.left)}", err=True)
        click.echo(f"remove it with: vrbench cleanup {store.path}", err=True)
    if ended.run.trials:
        click.echo(f"figures: vrbench export {store.path} --table trials", err=True)
    else:
        click.echo(f"run directory: {store.path}", err=True)
    return code


def bytes_needed(plan: Plan) -> int:
    """What the run's samples may take on disk when every trial is as long as it may be expected to be."""
    t = plan.profile.trials
    seconds = t.count * (t.baseline + t.validation + 300)
    return int(plan.probes_per_s * seconds * BYTES_PER_PROBE) + 5_000_000
