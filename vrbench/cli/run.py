"""vrbench run: build, restart, measure, report, remove."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from vrbench.cli.choices import Choices
from vrbench.cli.exits import Exit, UsageProblem
from vrbench.cli.lab_ready import make_ready
from vrbench.cli.options import json_option, reports_option
from vrbench.cli.profiles import open_profile
from vrbench.cli.say import say, say_json
from vrbench.core.plan.plan import Plan, make_plan
from vrbench.run.disk import bytes_needed
from vrbench.store.directory import find_run, new_run_id


@click.command("run", epilog="Example: vrbench run lab-parallel --trials 6 --set probes.interval=10ms")
@click.argument("profile", metavar="PROFILE")
@click.option("--trials", type=click.IntRange(1), help="How many trials, instead of the profile's number.")
@click.option("--set", "settings", multiple=True, metavar="TABLE.KEY=VALUE", help="Override a key of the profile.")
@click.option("--keep", is_flag=True, help="Leave the environment standing (vrbench cleanup removes it).")
@click.option("--reuse", metavar="RUN", help="Measure the environment that RUN kept, build none.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would happen, and stop.")
@click.option("--verbose", is_flag=True, help="Say all that the plan says before it begins.")
@json_option
@click.option("--plain", is_flag=True, help="Lines instead of the live view.")
@reports_option
def command(
    profile: str,
    trials: int | None,
    settings: tuple[str, ...],
    keep: bool,
    reuse: str | None,
    plan_only: bool,
    verbose: bool,
    as_json: bool,
    plain: bool,
    reports: Path,
) -> int:
    """Build a network, restart its router, measure the outage, report, remove all.

    PROFILE is a TOML file or the name of a shipped profile (vrbench profiles). Ctrl-C once ends the run and removes
    what was built; twice leaves at once, and vrbench cleanup removes it from the journal.
    """
    if trials is not None:
        settings += (f"trials.count={trials}",)
    loaded = open_profile(profile, settings)
    plan = make_plan(loaded, new_run_id(datetime.now(UTC), loaded.name))
    choices = Choices(plain or as_json, verbose, keep, reuse)
    if loaded.lab and (keep or reuse):
        raise UsageProblem("--keep and --reuse need a cloud that stays: for that, start a lab with vrbench lab up")
    if reuse:
        find_run(reports, reuse)
    if plan_only:
        show_plan(plan, choices, as_json)
        return Exit.OK
    from vrbench.cli.measure import conclude, measure_in_lab, measure_on_cloud
    from vrbench.cli.results import show_runs

    if loaded.lab:
        make_ready()
        finished = measure_in_lab(plan, reports, choices)
    else:
        finished = measure_on_cloud(plan, reports, choices)
    show_runs([finished.run], as_json)
    return conclude(finished)


def show_plan(plan: Plan, choices: Choices, as_json: bool) -> None:
    """Print the plan on stdout: lines for people, or one JSON object with every value resolved (times in seconds)."""
    if not as_json:
        for what, how in choices.lines(plan):
            say(f"{what:10} {how}")
        return
    lines = [how if not what else f"{what}: {how}" for what, how in choices.lines(plan)]
    shown = {
        "run_id": plan.run_id,
        "method": plan.method.id,
        "probes_per_s": plan.probes_per_s,
        "costs": [asdict(cost) for cost in plan.costs],
        "profile": asdict(plan.profile),
        "lines": lines,
        "disk_bytes": bytes_needed(plan),
    }
    say_json(shown)
