"""vrbench calibrate: known outages on the embedded lab, and what the instrument makes of them.

The series of outages takes the place of the operation in an otherwise ordinary run: what builds, probes, collects and
computes is what measures a cloud.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from vrbench.cli.exits import Exit, UsageProblem
from vrbench.cli.options import json_option, reports_option
from vrbench.core.calibrate.calibration import Calibration
from vrbench.core.calibrate.injections import NOTHING, Injection, draw_series
from vrbench.core.figures.results import TrialResult
from vrbench.core.judge.verdict import reasons
from vrbench.core.model import Verdict
from vrbench.core.plan.plan import Plan, make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.core.values import duration, show_duration
from vrbench.store.directory import RunDir, new_run_id
from vrbench.store.files import StoreError

PROFILE = """
name = "calibrate"
[lab]
time_scale = 0.01
[environment]
vms = {vms}
public_ips = {vms}
boot_timeout = "60s"
[operation]
job_timeout = "{longest_s:.0f}s"
[trials]
count = 1
baseline = "{baseline_s}s"
validation = "1s"
settle = "0s"
observe_at_most = "{longest_s:.0f}s"
[probes]
interval = "{interval}"
banner_interval = "{banner}"
egress_target = "203.0.113.1"
control_target = "198.51.100.2"
session = false
gateway = false
dns = false
auth = false
"""
VMS = 2
FINEST_S, COARSEST_S = 0.005, 0.5  # what a profile allows, whose threshold is 800 ms
BANNER_S = 0.1  # the finest there is: every banner costs a guest's sshd a process
BANNERS_PER_S = 20  # of all guests: their processes share this machine's cores with the probers
RECOVERY_INTERVALS = 3.5  # of the coarsest stream, between two outages: it must have seen the network up
MOST = 1000  # outages of one calibration: some hours
FEWEST = 20  # what later runs carry along must rest on so many
OVERHEAD_S = 1.3  # an outage takes this much longer than it lasts, at most: late answers must arrive, flows be marked


@dataclass(frozen=True, slots=True)
class Size:
    """How much is injected: number of outages, the longest, undisturbed times around them, all in seconds."""

    outages: int
    longest_s: float
    recovery_s: float
    clean_s: float
    baseline_s: int


FULL = Size(outages=66, longest_s=30.0, recovery_s=0.6, clean_s=30.0, baseline_s=5)
QUICK = Size(outages=33, longest_s=1.0, recovery_s=0.35, clean_s=1.0, baseline_s=2)


@click.command("calibrate", epilog="Example: vrbench calibrate --quick")
@click.option("--quick", is_flag=True, help="Outages up to 1 s, a minute in all.")
@click.option("--outages", type=click.IntRange(0, MOST), help="How many outages.  [default: 66; 33 with --quick]")
@click.option(
    "--clean", metavar="DURATION", hidden=True, help="Time without any outage.  [default: 30s; 1s with --quick]"
)
@click.option("--interval", default="10ms", show_default=True, help="Between probes of a stream.")
@click.option("--seed", type=click.IntRange(0), help="The series of an earlier calibration.  [default: random]")
@json_option
@click.option("--plain", is_flag=True, help="Lines instead of the live view.")
@reports_option
@click.option("--vms", type=click.IntRange(1, 50), default=VMS, hidden=True, help="Five streams each.")
@click.option("--run-id", hidden=True)
@click.option("--inside", type=click.Path(path_type=Path), hidden=True, help="State of the lab we run in.")
@click.option("--set", "settings", multiple=True, hidden=True, help="What the lab decides of the profile.")
def command(
    quick: bool,
    outages: int | None,
    clean: str | None,
    interval: str,
    seed: int | None,
    as_json: bool,
    plain: bool,
    reports: Path,
    vms: int,
    run_id: str | None,
    inside: Path | None,
    settings: tuple[str, ...],
) -> int:
    """Inject outages of known length on the embedded lab, and show measured beside true.

    In the lab's router packets are dropped, refused or answered late, its source NAT goes missing, or it flaps. Each
    outage lasts 20 ms to 30 s, and hits egress, ingress or both, all VMs or one. Shows how far off vrbench is on this
    machine, whether its bounds held the truth, and what it missed or made up. Exit code 0 when all bounds held, no
    error exceeded the interval (and 1 ms), and nothing was missed or made up, else 2.
    """
    size = _size(quick, outages, clean)
    run_id = run_id or new_run_id(datetime.now(UTC), "calibrate")
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    interval_s = _seconds("--interval", interval)
    if not FINEST_S <= interval_s <= COARSEST_S:
        nearest, which = (FINEST_S, "finest") if interval_s < FINEST_S else (COARSEST_S, "coarsest")
        raise UsageProblem(f"--interval: {interval} is not possible; the {which} is {show_duration(nearest)}")
    banner_s = max(BANNER_S, interval_s, vms / BANNERS_PER_S)
    recovery_s = max(size.recovery_s, RECOVERY_INTERVALS * banner_s)
    guests = [f"vm{n + 1}" for n in range(vms)]
    series = draw_series(size.outages, size.longest_s, guests, recovery_s, size.clean_s, seed, interval_s)
    if not series:
        raise UsageProblem("--outages 0 and --clean 0s leave nothing to do")
    plan = make_plan(load_profile(_profile(size, interval, banner_s, series, vms), "calibrate", settings), run_id)
    if inside:
        return _measure(plan, series, seed, reports, inside, plain, as_json)
    return _boxed(plan, reports, [*sys.argv[1:], "--run-id", run_id, "--seed", str(seed)])


def _size(quick: bool, outages: int | None, clean: str | None) -> Size:
    size = QUICK if quick else FULL
    return replace(
        size,
        outages=size.outages if outages is None else outages,
        clean_s=size.clean_s if clean is None else _seconds("--clean", clean),
    )


def _seconds(option: str, value: str) -> float:
    try:
        return duration(value)
    except ValueError as error:
        raise UsageProblem(f"{option}: {error}") from None


def _profile(size: Size, interval: str, banner_s: float, series: Sequence[Injection], vms: int) -> str:
    planned_s = sum(i.seconds + i.pause_s + OVERHEAD_S for i in series)
    return PROFILE.format(
        vms=vms,
        longest_s=planned_s * 1.5 + 60,
        baseline_s=size.baseline_s,
        interval=interval,
        banner=show_duration(banner_s),
    )


def _boxed(plan: Plan, reports: Path, arguments: list[str]) -> int:
    from vrbench.cli.machine import make_ready
    from vrbench.cli.run import boxed

    make_ready(install_missing=False)
    return boxed(plan, reports, arguments)


def _measure(
    plan: Plan, series: Sequence[Injection], seed: int, reports: Path, inside: Path, plain: bool, as_json: bool
) -> int:
    """Build, inject and probe inside the lab; print what came of it."""
    from vrbench.cli.injected import CalibrationSession, compare
    from vrbench.cli.run import BYTES_PER_PROBE, conclude
    from vrbench.cli.screen import make_screen
    from vrbench.cli.signals import Signals
    from vrbench.cloud.credentials import load_credentials

    credentials = load_credentials(None, {}, [inside / "cloudstack.ini"])
    needed = plan.probes_per_s * plan.profile.trials.observe_at_most * BYTES_PER_PROBE
    store = RunDir.create(reports, plan.run_id, int(needed))
    screen = make_screen(plain or as_json)
    injected_s = sum(i.seconds + i.pause_s for i in series)
    screen.note(
        f"{sum(i.direction != NOTHING for i in series)} outages in about {injected_s:.0f} s, seed {seed}, "
        f"method {plan.method.id}"
    )
    with Signals(screen.note) as signals, screen:
        session = CalibrationSession(plan, store, credentials, screen, in_lab=True, series=series, lab=inside)
        ended = session.carry_out(signals)
    if ended.run.trials and session.environment:
        (trial,) = ended.run.trials
        measured = compare(trial, session.known, session.environment)
        _show(measured, plan, store, seed, as_json)
        _keep(measured, trial, seed)
        for caveat in reasons(trial.caveats) if trial.verdict is not Verdict.VALID else ():
            click.echo(f"the trial is {trial.verdict.value}: {caveat}", err=True)
        if measured.good and trial.verdict is Verdict.VALID and not (ended.error or ended.interrupted or ended.left):
            return Exit.OK
    return max(conclude(plan, store, ended), Exit.NOT_VALID)


def _keep(measured: Calibration, trial: TrialResult, seed: int) -> None:
    """Keep the verdict for later runs on this machine, unless the trial says nothing, or too little was injected."""
    from vrbench.cli.verdicts import save_verdict, verdict_of

    if trial.verdict is not Verdict.VALID or not measured.comparisons:
        return
    kept = verdict_of(measured, seed, datetime.now(UTC))
    if kept.outages < FEWEST:
        click.echo(f"later runs will not carry this along: it rests on fewer than {FEWEST} outages", err=True)
        return
    try:
        path = save_verdict(kept, os.environ)
    except (OSError, StoreError) as error:
        click.echo(f"the verdict could not be kept for later runs: {error}", err=True)
    else:
        click.echo(f"kept for later runs on this machine: {path}", err=True)


def _show(measured: Calibration, plan: Plan, store: RunDir, seed: int, as_json: bool) -> None:
    """The figures on stdout, every comparison as CSV, the picture last: it costs most and says least that is new."""
    import json

    from vrbench.report.calibration import as_object, calibration_report, write_csv
    from vrbench.report.plot import write_plot

    path, plot = (store.path / f"calibration.{ending}" for ending in ("csv", "svg"))
    drawn = bool(measured.comparisons)
    if as_json:
        files = {"csv": str(path), "plot": str(plot) if drawn else None}
        click.echo(json.dumps({"seed": seed, **files, **as_object(measured)}, indent=1, allow_nan=False))
    else:
        from vrbench.cli.console import PatientConsole

        PatientConsole().print(calibration_report(measured))
    write_csv(measured, path, plan.run_id, plan.method.id, seed)
    if drawn:
        write_plot(measured, plot)
    click.echo(f"seed {seed}; every comparison: {path}{f', as a picture: {plot}' if drawn else ''}", err=True)
