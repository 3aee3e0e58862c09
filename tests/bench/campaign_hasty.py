"""vrbench with its patience shortened, so that a campaign of hundreds of faults fits into minutes: no rule is changed.

It waits for a lab that does in hundredths of a second what a cloud does in minutes. ``python -m`` reads orders from
standard input, carries each out in a process of its own, for which all is loaded already, and prints its exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from dataclasses import dataclass
from typing import Any

from vrbench.cli.main import main
from vrbench.cloud import environment_plan
from vrbench.cloud.api import patience, turned_away
from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.cloud.remove import removal
from vrbench.probes import agent_home, guest, observation, waiting
from vrbench.remote import connection
from vrbench.run import trial, trials

ANSWER_S = 3.0  # until a call is given up
SETTLES_S = 6.0  # until a call that was given up can't take effect any more
POLL_S = 0.05
GUEST_S = 5.0  # until a guest is given up
LOADED = (
    *("cs", "requests", "paramiko", "numpy", "rich.table", "rich.console", "vrbench.report.tables"),
    *("vrbench.cli.run", "vrbench.cli.measure", "vrbench.cli.cleanup", "vrbench.cli.analyze", "vrbench.cli.screen"),
    *("vrbench.run.cloudstack", "vrbench.run.execute", "vrbench.store.loading", "vrbench.core.analysis"),
)
DEADLINES = {"job_s": 12.0, "network_s": 10.0, "settle_s": SETTLES_S, "poll_s": POLL_S}
DEADLINES |= {"read_s": 4.0, "lost_s": 5.0, "round_s": 1.0}


def hasten() -> None:
    """Shorten what vrbench waits for where nothing else is asked of it."""
    make, wait = Cloud.__init__, Cloud.wait

    def impatient(cloud: Cloud, credentials: Credentials, **_: float) -> None:
        make(cloud, credentials, ANSWER_S, ANSWER_S, ANSWER_S)

    turned_away.FIRST_S = 4 * POLL_S  # type: ignore[misc]
    _hurry(removal.Deadlines, DEADLINES)
    _hurry(environment_plan.EnvironmentPlan, {"poll_s": POLL_S, "settle_s": SETTLES_S})
    patience.look_again.__defaults__ = (4.0, 2 * POLL_S, *(patience.look_again.__defaults__ or ())[2:])
    _hurry(trial.TrialLimits, {"first_answers_s": 5.0})
    trials.JOB_LOOK_S = POLL_S
    observation.COLLECT_S = observation.ASK_S = waiting.LOOK_STEP_S = GUEST_S
    guest.STOP_S, observation.REACH_S = GUEST_S, GUEST_S / 2
    for asked in (agent_home.AgentHome.ask, agent_home.AgentHome.facts, connection.Remote.run):
        asked.__defaults__ = tuple(GUEST_S if isinstance(d, float) else d for d in asked.__defaults__ or ())

    def looking_often(cloud: Cloud, job: Any, deadline_s: float, poll_s: float = POLL_S, *more: Any) -> Any:
        return wait(cloud, job, deadline_s, min(poll_s, POLL_S), *more)

    Cloud.__init__ = impatient  # type: ignore[method-assign, assignment]
    Cloud.wait = looking_often  # type: ignore[method-assign, assignment]


def _hurry(kind: Any, instead: dict[str, float]) -> None:
    """Have values of this kind made with other defaults; what is given stands."""
    make, names = kind.__init__, kind.__match_args__

    def hurried(value: object, *given: Any, **named: Any) -> None:
        rest = {name: quick for name, quick in instead.items() if name not in names[: len(given)]}
        make(value, *given, **{**rest, **named})

    kind.__init__ = hurried


@dataclass(frozen=True)
class Order:
    """One command to carry out: vrbench's arguments, where, in which environment, and where to print."""

    arguments: list[str]
    here: str
    environ: dict[str, str]
    out: str
    err: str


def main_of(order: Order) -> None:
    """Be vrbench, as started by an operator."""
    os.setsid()
    os.chdir(order.here)
    os.environ.clear()
    os.environ.update(order.environ)
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, order.out, os.O_WRONLY | os.O_CREAT),
        (2, order.err, os.O_WRONLY | os.O_CREAT),
    ):
        os.dup2(os.open(path, flags), number)
    sys.argv = ["vrbench", *order.arguments]
    main()


def serve() -> None:
    """Carry out orders until there are no more."""
    for name in LOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            main_of(Order(**json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    hasten()
    serve()
