"""The process inside an embedded lab: ``python -m vrbench.cli.lab_process RUN_DIR``, which ``cli.measure`` starts.

It carries out the run whose plan lies in that directory, writes down how it ended, and exits with that code. What there
is to show of it the process outside reads from the directory. Where it is shown beside another run (``View.EVENTS``),
its progress goes to standard output.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vrbench.cli.ending import Ending, ending_of, write_ending
from vrbench.cli.error_codes import code_and_text
from vrbench.cli.events import EventScreen
from vrbench.cli.say import say
from vrbench.cli.screen import ShownScreen, Unfailing, make_screen
from vrbench.cli.streams import settle, work_on
from vrbench.cloud.credentials.credentials import load_credentials
from vrbench.embedded.outages import known_outages
from vrbench.run.cloudstack import connect
from vrbench.run.execute import execute_run
from vrbench.run.interrupts import Interrupts
from vrbench.run.order import RunOrder
from vrbench.run.plan_file import LabRun, View, read_plan
from vrbench.run.silent import SilentScreen
from vrbench.store.directory import RunDir
from vrbench.store.files import StoreError


def main() -> int:
    """Carry the run out, and leave its ending behind; return the exit code."""
    settle()
    work_on()
    store = RunDir(Path(sys.argv[1]))
    try:
        ending = carry_out(store, read_plan(store))
    except Exception as error:  # noqa: BLE001  the last door: known errors get their words and code, others are bugs
        ending = Ending(*code_and_text(error))
    try:
        write_ending(store, ending)
    except StoreError as error:
        say(f"vrbench: {ending.error or error}", err=True)
        return ending.code or code_and_text(error)[0]
    return ending.code


def carry_out(store: RunDir, run: LabRun) -> Ending:
    """Carry out what was planned, against the lab around this process."""
    plan, lab = run.plan, store.lab
    credentials = load_credentials(None, {}, [lab / "cloudstack.ini"])
    screen = screen_for(run.view)
    with Interrupts(screen.note) as interrupts, screen:
        outages = run.outages
        operation = None if outages is None else known_outages(lab, outages, plan.profile.probes, screen.doing)
        adapters = connect(plan, credentials, screen, interrupts, operation)
        outcome = execute_run(RunOrder(plan, store, in_lab=True, calibrated=run.calibrated), adapters)
    return ending_of(outcome)


def screen_for(view: View) -> ShownScreen:
    """Return the screen that shows a run in this way."""
    if view is View.NONE:
        return SilentScreen()
    return Unfailing(EventScreen()) if view is View.EVENTS else make_screen(view is View.PLAIN)


if __name__ == "__main__":
    sys.exit(main())
