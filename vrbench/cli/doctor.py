"""vrbench doctor: everything that a run depends on, before anything is built."""

from __future__ import annotations

import os
import shutil
import tempfile
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import click

from vrbench.cli.exits import Exit
from vrbench.cli.options import json_option, reports_option
from vrbench.cli.say import called, say, say_json
from vrbench.core.findings import Finding, FindingState, exit_code
from vrbench.core.machine_calibration import NOT_CALIBRATED, MachineCalibration
from vrbench.core.plan.plan import Plan
from vrbench.core.text import size

COLOURS = {FindingState.OK: "green", FindingState.WARN: "yellow", FindingState.BAD: "red"}
FRESH = timedelta(days=30)
CALIBRATE_TIMEOUT_S = 180.0
WIDEST = 100
NAME_WIDTH = 15


@click.command("doctor", epilog="Example: vrbench doctor mine.toml")
@click.argument("profile", metavar="[PROFILE]", required=False)
@click.option("--set", "settings", multiple=True, metavar="TABLE.KEY=VALUE", help="Override a key of the profile.")
@click.option("--no-calibrate", is_flag=True, help="Don't calibrate when there is no recent calibration.")
@json_option
@reports_option
def command(profile: str | None, settings: tuple[str, ...], no_calibrate: bool, as_json: bool, reports: Path) -> int:
    """Check everything before anything is built. Changes nothing in the cloud; may calibrate here.

    Without PROFILE only this machine is looked at. A calibration of the last 30 days counts, else a quick one is made
    (a minute, on the embedded lab). Exit code 0 when nothing is bad, else that of the first thing that is: 64 this
    machine or the profile, 3 the cloud, 2 the calibration or the disk.
    """
    checks = []
    for check in examine(profile, settings, not no_calibrate, reports):
        checks.append(check)
        if not as_json:
            _show(check)
    code = exit_code(checks)
    if as_json:
        say_json({"exit_code": code, "checks": [_as_object(c) for c in checks]})
    else:
        say(summary(checks))
    if profile and code == Exit.OK and not as_json:
        say(f"next: {called(f'run {profile}')}")
    return code


def examine(profile: str | None, settings: tuple[str, ...], may_calibrate: bool, reports: Path) -> Iterator[Finding]:
    """Yield every check as soon as it is made; a profile that is wrong ends it."""
    from vrbench.cli.doctor_machine import check_lab, check_machine, check_raw_sockets
    from vrbench.run.disk import bytes_needed
    from vrbench.run.this_machine import check_this_machine, unsent

    plan = _plan(profile, settings) if profile else None
    if isinstance(plan, Finding):
        yield plan
        return
    if plan is None:
        yield from check_machine(False, [check_raw_sockets()], reports, 0)
    else:
        e, trials = plan.profile.environment, plan.profile.trials.count
        words = f"{size(e.vms, e.public_ips)}, {trials} × {plan.profile.operation.kind}"
        yield Finding("profile", FindingState.OK, f"{profile}: {words}")
        in_lab = plan.profile.lab is not None
        probing = [] if in_lab else unsent(check_this_machine(plan, ""))
        yield from check_machine(in_lab, probing, reports, bytes_needed(plan))
        if not in_lab:
            yield from _cloud(plan)
    yield check_calibration(may_calibrate and check_lab(True).state is FindingState.OK)


def _plan(profile: str, settings: tuple[str, ...]) -> Plan | Finding:
    """Return the profile resolved, or all that is wrong with it."""
    from vrbench.cli.exits import UsageProblem
    from vrbench.cli.profiles import open_profile
    from vrbench.core.plan.plan import make_plan
    from vrbench.core.plan.profile import ProfileError
    from vrbench.store.directory import new_run_id

    try:
        loaded = open_profile(profile, settings)
    except (ProfileError, UsageProblem) as error:
        return Finding("profile", FindingState.BAD, str(error), "vrbench profiles --keys lists every key", Exit.USAGE)
    return make_plan(loaded, new_run_id(datetime.now(UTC), loaded.name))


def _cloud(plan: Plan) -> Iterator[Finding]:
    from vrbench.cli.doctor_cloud import check_cloud
    from vrbench.cli.doctor_targets import check_targets

    yield from check_cloud(plan)
    yield from check_targets(plan)


def check_calibration(may_calibrate: bool) -> Finding:
    """Say how wrong the instrument is here: by a recent calibration, or by one that is made now."""
    from vrbench.run.machine_calibrations import load_calibration

    kept = load_calibration(os.environ)
    if may_calibrate and not (kept and is_fresh(kept, datetime.now(UTC))):
        say("calibrating on the embedded lab, a minute (--no-calibrate leaves it out)", err=True)
        made = calibrate_now()
        if isinstance(made, str):
            return Finding("calibration", FindingState.BAD, made, "vrbench calibrate --quick shows why", Exit.NOT_VALID)
        kept = made
    if kept is None:
        return Finding("calibration", FindingState.WARN, NOT_CALIBRATED)
    if not kept.good:
        cure = "wait until the machine is quiet, then: vrbench calibrate --quick"
        return Finding("calibration", FindingState.BAD, kept.line, cure, Exit.NOT_VALID)
    return Finding("calibration", FindingState.OK, kept.line)


def is_fresh(kept: MachineCalibration, now: datetime) -> bool:
    """Return whether a calibration is recent enough not to be made again."""
    return timedelta(0) <= now - datetime.fromisoformat(kept.calibrated_utc) <= FRESH


def calibrate_now() -> MachineCalibration | str:
    """Make a quick calibration, which keeps what it found; return that, or what went wrong."""
    from vrbench.cli.calibrate import calibrate_quietly
    from vrbench.cli.error_codes import code_and_text

    with tempfile.TemporaryDirectory() as here:
        try:
            return calibrate_quietly(Path(here), CALIBRATE_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001  a check that fails is a finding; it keeps no other from being shown
            return code_and_text(error)[1]


def _show(check: Finding) -> None:
    state = f"{check.state:4}"
    say(state, nl=False, fg=COLOURS[check.state], bold=check.state is FindingState.BAD)
    say(line(check, min(WIDEST, shutil.get_terminal_size().columns)).removeprefix(state))


def line(check: Finding, width: int) -> str:
    """Word one check for people: its state, its name, what was found, and below it what to do."""
    indent = " " * (5 + NAME_WIDTH)
    wrap = partial(textwrap.wrap, width=max(20, width - len(indent)), break_on_hyphens=False)
    body = [part for found in check.found.splitlines() for part in wrap(found.strip())]
    body += wrap(check.cure, initial_indent="→ ", subsequent_indent="  ")
    return f"{check.state:4} {check.name:{NAME_WIDTH - 1}} " + f"\n{indent}".join(body)


def summary(checks: Iterable[Finding]) -> str:
    """Say how many checks are of each state."""
    states = [c.state for c in checks]
    bad, warn = states.count(FindingState.BAD), states.count(FindingState.WARN)
    if bad:
        return f"{bad} of {len(states)} checks are bad: a run would fail, or its figures would mislead"
    return f"{len(states)} checks, nothing bad" + (f", {warn} to know of" if warn else "")


def _as_object(check: Finding) -> dict[str, object]:
    return {k: v for k, v in asdict(check).items() if k != "code"}
