"""A whole vrbench run inside a lab, whose operation is nothing that vrbench does: the scenes go on beside it.

As a process in the outside world (PROFILE LAB_STATE REPORTS) it writes ``prepared`` when the network stands and
``requested`` when its trial would restart it. After each it waits for a line on standard input.
"""

from __future__ import annotations

import contextlib
import select
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from vrbench.cloud.credentials.credentials import load_credentials
from vrbench.core.model import Environment
from vrbench.core.plan.plan import make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.core.ports import JobState
from vrbench.run.adapters import OperationSource
from vrbench.run.cloudstack import connect
from vrbench.run.execute import execute_run
from vrbench.run.interrupts import Interrupts
from vrbench.run.order import RunOrder
from vrbench.run.silent import SilentScreen
from vrbench.store.directory import RunDir, new_run_id

ROOM = 100_000_000  # bytes


class Scenes:
    """The operation: it has been asked for when we have said so, and is over when a line comes."""

    def request(self, again: Callable[[], None] = lambda: None) -> None:
        print("requested", flush=True)

    def poll(self) -> JobState:
        return JobState(done=bool(select.select([sys.stdin], [], [], 0)[0]))


@contextlib.contextmanager
def prepare(_environment: Environment, folder: Path) -> Iterator[Scenes]:
    """Let the gates and the delay line be put in; return when they are."""
    print(f"prepared {folder}", flush=True)
    if not sys.stdin.readline():
        raise SystemExit("nobody is there any more")
    yield Scenes()


def main() -> int:
    profile, state, reports = map(Path, sys.argv[1:])
    plan_of = load_profile(profile.read_text(encoding="utf-8"), "scenes")
    store = RunDir.create(reports, new_run_id(datetime.now(UTC), "scenes"), ROOM)
    credentials = load_credentials(None, {}, [state / "cloudstack.ini"])
    plan, screen = make_plan(plan_of, store.path.name), SilentScreen()
    with store.owned(), Interrupts(screen.note) as interrupts, screen:
        adapters = connect(plan, credentials, screen, interrupts, OperationSource("scenes", prepare))
        outcome = execute_run(RunOrder(plan, store, in_lab=True), adapters)
    if outcome.error:
        print(outcome.error, file=sys.stderr)
    return int(outcome.error is not None or bool(outcome.left))


if __name__ == "__main__":
    sys.exit(main())
