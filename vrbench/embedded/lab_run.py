"""A planned run, carried out by a process inside a lab of its own; both end with this process."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace

from vrbench.core.facts import Context
from vrbench.core.figures.results import RunState
from vrbench.embedded.outages import NAME
from vrbench.embedded.process import run_in_lab
from vrbench.lab.status import LabStatus
from vrbench.run.plan_file import LabRun, write_plan
from vrbench.store.directory import RunDir


def carry_out_in_lab(run: LabRun, store: RunDir, command: Sequence[str], timeout_s: float | None = None) -> int:
    """Start a lab, let ``command`` carry the run out inside it, and return its exit code.

    The command gets the run's directory as its last argument, where plan.json lies. Afterwards the lab and the run's
    keys are gone. Raises LabError, StoreError, RunInUse, and NotStarted when a signal came first.
    """
    profile = run.plan.profile
    assert profile.lab is not None
    with store.owned():
        store.write_run(RunState.STARTING, _context(run), run.plan.method, asdict(profile), run.calibrated)
        try:
            return run_in_lab(profile.lab, store.lab, lambda status: _hand_over(run, store, status, command), timeout_s)
        finally:
            shutil.rmtree(store.lab, ignore_errors=True)
            store.forget_secrets()


def _context(run: LabRun) -> Context:
    operation = run.plan.profile.operation.kind if run.outages is None else NAME
    return Context(run.plan.profile.name, "unknown", "unknown", operation, lab=True)


def _hand_over(run: LabRun, store: RunDir, status: LabStatus, command: Sequence[str]) -> Sequence[str]:
    """Write the plan, with what the lab decides of it; return the command line that carries it out."""
    profile = run.plan.profile
    inside = replace(profile, cloud=replace(profile.cloud, ssh_user=status.ssh_user))
    write_plan(store, replace(run, plan=replace(run.plan, profile=inside)))
    return [*command, str(store.path)]
