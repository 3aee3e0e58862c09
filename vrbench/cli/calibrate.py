"""vrbench calibrate: known outages on the embedded lab, and what the instrument makes of them.

The series of outages takes the place of the operation in an otherwise ordinary run: what builds, probes, collects and
computes is what measures a cloud.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vrbench.cli.exits import Exit, UsageProblem
from vrbench.cli.options import json_option, reports_option
from vrbench.cli.say import say, say_json
from vrbench.core.machine_calibration import MachineCalibration
from vrbench.core.model import Verdict
from vrbench.core.values import duration, show_duration

if TYPE_CHECKING:
    from vrbench.cli.measure import Finished
    from vrbench.core.calibrate.calibration import Calibration
    from vrbench.core.figures.results import TrialResult
    from vrbench.embedded.calibration_run import CalibrationPlan, Instrument, Size
    from vrbench.run.plan_file import View

FINEST_S, COARSEST_S = 0.005, 0.5  # what a profile allows, whose threshold is 800 ms
MOST = 1000  # outages of one calibration: some hours
FEWEST = 20  # what later runs carry along must rest on so many


@click.command("calibrate", epilog="Example: vrbench calibrate --quick")
@click.option("--quick", is_flag=True, help="Outages up to 1 s, a minute in all.")
@click.option("--outages", type=click.IntRange(0, MOST), help="How many outages.  [default: 66; 33 with --quick]")
@click.option("--clean", metavar="DURATION", help="Time without any outage.  [default: 30s; 1s with --quick]")
@click.option("--interval", default="10ms", show_default=True, help="Between probes of a stream.")
@click.option("--vms", type=click.IntRange(1, 50), default=2, show_default=True, help="How many VMs are probed.")
@click.option("--seed", type=click.IntRange(0), help="The series of an earlier calibration.  [default: random]")
@json_option
@click.option("--plain", is_flag=True, help="Lines instead of the live view.")
@reports_option
def command(
    quick: bool,
    outages: int | None,
    clean: str | None,
    interval: str,
    vms: int,
    seed: int | None,
    as_json: bool,
    plain: bool,
    reports: Path,
) -> int:
    """Inject outages of known length on the embedded lab, and show measured beside true.

    In the lab's router packets are dropped, refused or answered late, its source NAT goes missing, or it flaps. Each
    outage lasts 20 ms to 30 s, and hits egress, ingress or both, all VMs or one. Shows how far off vrbench is on this
    machine, whether its bounds held the truth, and what it missed or made up. Exit code 0 when all bounds held, no
    error exceeded the time between two probes (and 1 ms), and nothing was missed or made up, else 2.
    """
    from vrbench.cli.lab_ready import make_ready
    from vrbench.cli.screen import make_screen
    from vrbench.embedded.calibration_run import Instrument
    from vrbench.run.plan_file import View

    size, interval_s = _size(quick, outages, clean), _interval_s(interval)
    planned = _planned(size, Instrument(interval_s, vms), seed)
    make_ready()
    view = View.PLAIN if plain or as_json else View.LIVE
    make_screen(view is View.PLAIN).note(planned.line)
    calibrated = _calibrate(planned, reports, view)
    return _conclude(calibrated, as_json)


def _size(quick: bool, outages: int | None, clean: str | None) -> Size:
    from vrbench.embedded.calibration_run import FULL, QUICK

    size = QUICK if quick else FULL
    return replace(
        size,
        outages=size.outages if outages is None else outages,
        clean_s=size.clean_s if clean is None else _seconds("--clean", clean),
    )


def _interval_s(text: str) -> float:
    interval_s = _seconds("--interval", text)
    if not FINEST_S <= interval_s <= COARSEST_S:
        nearest, which = (FINEST_S, "finest") if interval_s < FINEST_S else (COARSEST_S, "coarsest")
        raise UsageProblem(f"--interval: {text} is not possible; the {which} is {show_duration(nearest)}")
    return interval_s


def _seconds(option: str, value: str) -> float:
    try:
        return duration(value)
    except ValueError as error:
        raise UsageProblem(f"{option}: {error}") from None


def _planned(size: Size, instrument: Instrument, seed: int | None) -> CalibrationPlan:
    from vrbench.embedded.calibration_run import plan_calibration
    from vrbench.store.directory import new_run_id

    if not size.outages and not size.clean_s:
        raise UsageProblem("--outages 0 and --clean 0s leave nothing to do")
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    return plan_calibration(new_run_id(datetime.now(UTC), "calibrate"), size, instrument, seed)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibration that is over. ``measured`` and ``trial`` are None when it did not get far enough to compare."""

    planned: CalibrationPlan
    finished: Finished
    trial: TrialResult | None = None
    measured: Calibration | None = None

    @property
    def found(self) -> MachineCalibration | None:
        """What later runs on this machine carry along; None when nothing can be said, or it rests on too little."""
        from vrbench.run.machine_calibrations import summarize

        if not self.measured or not self.measured.comparisons or not self.trial or not self._valid:
            return None
        found = summarize(self.measured, self.planned.seed, datetime.now(UTC))
        return found if found.outages >= FEWEST else None

    @property
    def good(self) -> bool:
        """Whether it came to a good end, and found the instrument to be good."""
        return bool(self.measured and self.measured.good and self._valid and self.finished.ending.clean)

    @property
    def _valid(self) -> bool:
        return self.trial is not None and self.trial.verdict is Verdict.VALID


def _calibrate(planned: CalibrationPlan, reports: Path, view: View, timeout_s: float | None = None) -> Calibrated:
    """Build, inject and probe inside a lab, then hold what was measured against what was injected."""
    from vrbench.cli.measure import measure_lab_run
    from vrbench.embedded.calibration_run import compare
    from vrbench.run.plan_file import LabRun

    finished = measure_lab_run(LabRun(planned.plan, view, planned.series), reports, timeout_s)
    trial = next((t for t in finished.run.trials if not t.facts.interrupted), None)
    if trial is None:
        return Calibrated(planned, finished)
    return Calibrated(planned, finished, trial, compare(trial, finished.store))


def calibrate_quietly(reports: Path, timeout_s: float) -> MachineCalibration | str:
    """Make a quick calibration and keep what it found; return that, or what kept it from giving one."""
    from vrbench.embedded.calibration_run import QUICK, Instrument
    from vrbench.run.machine_calibrations import save_calibration
    from vrbench.run.plan_file import View

    made = _calibrate(_planned(QUICK, Instrument(), None), reports, View.NONE, timeout_s)
    if made.found is None:
        return made.finished.ending.error or f"it gave no verdict, or was not over after {timeout_s:.0f} s"
    save_calibration(made.found, os.environ)
    return made.found


def _conclude(made: Calibrated, as_json: bool) -> int:
    """Show what was measured, keep what it found, and say what went wrong; return the exit code."""
    from vrbench.cli.measure import conclude
    from vrbench.core.judge.verdict import reasons

    if made.measured and made.trial:
        _show(made.measured, made, as_json)
        _keep(made)
        if not made.measured.good:
            say("not good: the CSV's column result says what was missed, not held, off or false", err=True)
        for caveat in reasons(made.trial.caveats) if made.trial.verdict is not Verdict.VALID else ():
            say(f"the trial is {made.trial.verdict.value}: {caveat}", err=True)
    return Exit.OK if made.good else max(conclude(made.finished), Exit.NOT_VALID)


def _keep(made: Calibrated) -> None:
    """Keep what it found for later runs on this machine, where there is one."""
    from vrbench.private import NotPrivate
    from vrbench.run.machine_calibrations import save_calibration
    from vrbench.store.files import StoreError

    if made.found is None:
        say(f"not kept for later runs: that needs a valid trial and {FEWEST} outages", err=True)
        return
    try:
        path = save_calibration(made.found, os.environ)
    except (OSError, StoreError, NotPrivate) as error:
        say(f"the verdict could not be kept for later runs: {error}", err=True)
    else:
        say(f"kept for later runs on this machine: {path}", err=True)


def _show(measured: Calibration, made: Calibrated, as_json: bool) -> None:
    """Print the figures on stdout; write every comparison as CSV, and last the picture, which costs most."""
    from vrbench.report.calibration_table import as_object, calibration_report, write_comparisons
    from vrbench.report.plot import CANNOT_DRAW, can_draw, write_plot

    plan, seed = made.planned.plan, made.planned.seed
    path, plot = (made.finished.store.path / f"calibration.{ending}" for ending in ("csv", "svg"))
    drawn = bool(measured.comparisons) and can_draw()
    if as_json:
        files = {"csv": str(path), "plot": str(plot) if drawn else None}
        say_json({"seed": seed, **files, **as_object(measured)})
    else:
        from vrbench.cli.console import TextConsole

        TextConsole().print(calibration_report(measured))
    write_comparisons(measured, path, plan.run_id, plan.method.id, seed)
    if drawn:
        write_plot(measured, plot)
    say(f"seed {seed}; every comparison: {path}{f', as a picture: {plot}' if drawn else ''}", err=True)
    if measured.comparisons and not drawn:
        say(CANNOT_DRAW, err=True)
