"""One of several runs that a command carries out at once, each on a lab of its own.

``python -m vrbench.cli.side PROFILE TRIALS RUN_ID REPORTS``: progress goes to standard output as ``events`` writes it,
and at last {"ending": …}. It ends, in good order, with the process that started it.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from vrbench.cli.ending import Ending
from vrbench.cli.error_codes import code_and_text
from vrbench.cli.measure import measure_lab_run
from vrbench.cli.profiles import open_profile
from vrbench.cli.say import say
from vrbench.cli.streams import settle, work_on
from vrbench.core.plan.plan import make_plan
from vrbench.embedded.process import end_with_parent
from vrbench.run.interrupts import HANDLED
from vrbench.run.plan_file import LabRun, View


def main() -> int:
    """Carry the run out; return its exit code, which tells nothing of the figures."""
    for (
        number
    ) in HANDLED:  # this session is our own: who started it decides what to pass on, and ends us by one of them
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    settle()
    work_on()
    end_with_parent()
    name, trials, run_id, reports = sys.argv[1:]
    try:
        plan = make_plan(open_profile(name, (f"trials.count={trials}",)), run_id)
        ending = measure_lab_run(LabRun(plan, View.EVENTS), Path(reports)).ending
    except Exception as error:  # noqa: BLE001  the last door: known errors get their words and code, others are bugs
        ending = Ending(*code_and_text(error))
    say(json.dumps({"ending": asdict(ending)}))
    return ending.code


if __name__ == "__main__":
    sys.exit(main())
