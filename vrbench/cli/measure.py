"""A run from its plan to its stored figures: on a cloud in this process, or inside a lab in a process of its own."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vrbench.cli.choices import Choices
from vrbench.cli.ending import Ending, ending_of, read_ending, tell
from vrbench.cli.exits import Exit
from vrbench.cli.say import called, say
from vrbench.core.facts import Context
from vrbench.core.figures.results import Run, RunState
from vrbench.core.plan.plan import Plan
from vrbench.run.disk import bytes_needed, calibration_bytes
from vrbench.run.machine_calibrations import load_calibration
from vrbench.run.order import RunOrder
from vrbench.run.plan_file import LabRun, View
from vrbench.store.directory import RunDir, find_run
from vrbench.store.files import StoreError
from vrbench.store.loading import load_run

if TYPE_CHECKING:
    from vrbench.core.ports import RunScreen

INSIDE = (sys.executable, "-m", "vrbench.cli.lab_process")


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that is over: where it lies, what was measured, and how it ended."""

    plan: Plan
    store: RunDir
    run: Run
    ending: Ending

    @property
    def code(self) -> int:
        """The exit code: that of what went wrong, else that of the figures."""
        from vrbench.cli.results import exit_code

        return self.ending.code or exit_code(self.run, self.plan.profile.limits, self.plan.profile.trials.count)


def measure_on_cloud(plan: Plan, reports: Path, choices: Choices) -> Finished:
    """Carry the plan out in this process."""
    from vrbench.cli.screen import make_screen
    from vrbench.cloud.credentials.credentials import find_credentials
    from vrbench.run.cloudstack import connect
    from vrbench.run.execute import execute_run
    from vrbench.run.interrupts import Interrupts

    credentials = find_credentials(plan.profile.cloud.endpoint, os.environ)
    kept = RunDir(find_run(reports, choices.reuse)) if choices.reuse else None
    store = RunDir.create(reports, plan.run_id, bytes_needed(plan))
    order = RunOrder(plan, store, keep=choices.keep, reuse=kept, calibrated=load_calibration(os.environ))
    screen = make_screen(choices.plain)
    _tell_plan(plan, choices, screen)
    screen.note(f"{'endpoint':10} {credentials.endpoint} ({credentials.source})")
    for note in credentials.notes:
        screen.note(f"{'note':10} {note}")
    with ExitStack() as held:
        for owned in (store, kept):
            if owned:
                held.enter_context(owned.owned())
        interrupts = held.enter_context(Interrupts(screen.note))
        held.enter_context(screen)
        outcome = execute_run(order, connect(plan, credentials, screen, interrupts))
    return read_back(plan, store, ending_of(outcome))


def _tell_plan(plan: Plan, choices: Choices, screen: RunScreen) -> None:
    """Say what will happen: what one must know, or all of it."""
    for what, how in choices.told(plan):
        screen.note(f"{what:10} {how}")


def measure_in_lab(plan: Plan, reports: Path, choices: Choices) -> Finished:
    """Carry the plan out on an embedded lab of its own."""
    from vrbench.cli.screen import make_screen

    _tell_plan(plan, choices, make_screen(choices.plain))
    view = View.PLAIN if choices.plain else View.LIVE
    return measure_lab_run(LabRun(plan, view), reports)


def measure_lab_run(run: LabRun, reports: Path, timeout_s: float | None = None) -> Finished:
    """Carry a run out in a process inside a lab, which both end with this one."""
    from vrbench.embedded.lab_run import carry_out_in_lab
    from vrbench.embedded.process import NotStarted

    plan = run.plan
    store = RunDir.create(reports, plan.run_id, bytes_needed(plan) if run.outages is None else calibration_bytes(plan))
    try:
        code = carry_out_in_lab(replace(run, calibrated=load_calibration(os.environ)), store, INSIDE, timeout_s)
    except NotStarted:
        ending = Ending(Exit.NOT_VALID, interrupted=True)
    else:
        ending = read_ending(store, code)
    return read_back(plan, store, ending)


def read_back(plan: Plan, store: RunDir, ending: Ending) -> Finished:
    """Read the run as it lies on disk; where even that can't be read, a run without trials."""
    try:
        return Finished(plan, store, load_run(store.path), ending)
    except StoreError as error:
        told = replace(ending, problems=(*ending.problems, str(error)))
        p = plan.profile
        context = Context(p.name, "unknown", "unknown", p.operation.kind, p.lab is not None)
        nothing = Run(plan.run_id, str(store.path), context, plan.method, RunState.FAILED, ())
        return Finished(plan, store, nothing, told)


def conclude(finished: Finished) -> int:
    """Say what went wrong and where things lie; return the exit code."""
    from vrbench.cli.results import over_limits

    path, run = finished.store.path, finished.run
    for sentence in over_limits(run, finished.plan.profile.limits):
        say(f"over the limit: {sentence}", err=True)
    tell(finished.ending, finished.store, in_lab=finished.plan.profile.lab is not None)
    if run.trials:
        say(f"figures: {called(f'export {path} --table trials')}", err=True)
    else:
        say(f"run directory: {path}", err=True)
    return finished.code
