"""One malformed answer at one call of a check, a run or a removal: what came of it, and whether that was right."""

from __future__ import annotations

import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.cloud.faulty import Fault, Way, way_to
from tests.cloud.lab import DEADLINES, QUICK, Lab, is_clean, planned, running_lab, silent
from tests.cloud.malformed import Malformed, malformed
from tests.cloud.test_transport import BROKEN
from vrbench.cli.error_codes import code_and_text
from vrbench.cli.exits import Exit
from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.build.environment import build
from vrbench.cloud.check.preflight import preflight
from vrbench.cloud.journal.journal import Journal
from vrbench.cloud.journal.replay import Head
from vrbench.cloud.operate.operations import RunningOperation
from vrbench.cloud.remove.steps import remove_journaled

PLAN = planned(vms=1, public_ips=1, poll_s=0.01, settle_s=0.3, job_timeout_s=3.0)
WAITS = replace(DEADLINES, job_s=2.0, network_s=3.0, poll_s=0.01, read_s=0.3, lost_s=1.0, round_s=0.01, settle_s=0.3)
LIMITS_S = 1.0, 2.0  # of a look, of a change
PATIENT_S = 60.0, 60.0
TOO_LONG_S = 60.0  # for a case; its waits are a few seconds each
OURS = re.compile(r"^(\w+Error|\w+Exception|UnboundLocal\w*): ")  # how a bug of ours would be told by a job's watcher


@dataclass(frozen=True, slots=True)
class Case:
    """Which call is spoiled, for how long, and how."""

    number: int
    at: int
    stays: bool
    spoiled: Malformed

    def __str__(self) -> str:
        return f"case {self.number}: call {self.at}{', and all like it' if self.stays else ''}: {self.spoiled.what}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it ended: the command that was spoiled, the exit code, what was said, and what was wrong with that."""

    command: str
    code: int
    said: str
    wrong: tuple[str, ...]


def make_case(seed: int, number: int, calls: int, *, once: bool = False) -> Case:
    """Make a case from the seed and its number: all calls are spoiled in turn, a quarter of them for good."""
    rng = random.Random(f"answers {seed} {number}")
    return Case(number, number % calls, rng.random() < 0.25 and not once, malformed(rng, list(BROKEN.items())))


class Grounds:
    """A lab, and the way to it; one for many cases."""

    def __init__(self, lab: Lab, way: Way, here: Path) -> None:
        self.lab, self.way, self.here = lab, way, here

    def calls(self) -> int:
        """Return how many calls a whole run makes, undisturbed."""
        self.way.calls.clear()
        code, said = self._run(self.here / "undisturbed", PATIENT_S)
        assert (code, said) == (Exit.OK, ""), said
        return len(self.way.calls)

    def judge(self, case: Case) -> Verdict:
        """Run with one answer spoiled, clean up without; say what was wrong."""
        path = self.here / f"j{case.number}"
        begun = time.monotonic()
        with spoiling(self.way, case) as calls:
            code, said = self._run(path)
        took_s = time.monotonic() - begun
        command = calls[case.at] if case.at < len(calls) else ""
        wrong = [] if code in (Exit.OK, Exit.FAILED) else [f"exit {code}"]
        if code == Exit.OK:
            wrong += [f"said to be gone: {what}" for what in self.lab.objects()]
        elif case.spoiled.never and command not in said and "took too long" not in said:  # a machine that stood still
            wrong.append(f"{command} is not named")
        if took_s > TOO_LONG_S:
            wrong.append(f"it took {took_s:.0f} s")
        return Verdict(command, code, said, (*wrong, *self.left(path)))

    def build(self, path: Path) -> None:
        """Build undisturbed."""
        resolved = self.lab.resolve(PLAN)
        head = Head(PLAN.run_id, self.way.endpoint, resolved.account, resolved.domain_id)
        with Journal.create(path, head) as journal:
            build(self.lab.cloud(), PLAN, resolved, journal, silent)

    def environ(self) -> dict[str, str]:
        """Return what a command finds the cloud by."""
        asks = self.lab.cloud()._credentials
        names = ("CLOUDSTACK_ENDPOINT", "CLOUDSTACK_KEY", "CLOUDSTACK_SECRET")
        return dict(zip(names, (self.way.endpoint, asks.key, asks.secret), strict=True))

    def left(self, path: Path) -> list[str]:
        """Clean up undisturbed, and name what stands all the same."""
        if path.exists():
            with Journal.open(path) as journal:
                report = remove_journaled(self.way.cloud(self.lab.cloud()), journal, silent, DEADLINES)
            if not is_clean(report):
                return [f"a clean-up leaves {report}"]
        return [f"stands: {what}" for what in self.lab.objects()]

    def _run(self, path: Path, limits_s: tuple[float, float] = LIMITS_S) -> tuple[int, str]:
        """Check, build, restart and remove by the way; return the exit code and what was said, as a run ends."""
        said: list[str] = []
        cloud = Cloud(replace(self.lab.cloud()._credentials, endpoint=self.way.endpoint), *limits_s)
        code = self._caught(lambda: self._measure(cloud, path), said)
        if path.exists():
            code = max(code, self._caught(lambda: self._remove(cloud, path, said), said))
        return code, "\n".join(said)

    def _caught(self, work: Callable[[], int], said: list[str]) -> int:
        try:
            return work()
        except Exception as error:  # noqa: BLE001  judged by its code, as the command line does
            code, text = code_and_text(error)
            said.append(text)
            return code

    def _measure(self, cloud: Cloud, path: Path) -> int:
        resolved, _ = preflight(cloud, PLAN)
        with Journal.create(
            path, Head(PLAN.run_id, self.way.endpoint, resolved.account, resolved.domain_id)
        ) as journal:
            environment = build(cloud, PLAN, resolved, journal, silent)
        operation = RunningOperation(cloud, "restart-network-cleanup", environment, 3.0, 0.01)
        operation.request()
        until = time.monotonic() + 3.5
        while not (state := operation.poll()).done and time.monotonic() < until:
            time.sleep(0.01)
        if OURS.match(state.error or ""):
            raise AssertionError(state.error)
        return Exit.OK

    def _remove(self, cloud: Cloud, path: Path, said: list[str]) -> int:
        with Journal.open(path) as journal:
            report = remove_journaled(cloud, journal, silent, WAITS)
        said += [*report.left, *report.problems]
        return Exit.FAILED if report.left else Exit.OK


@contextmanager
def spoiling(way: Way, case: Case) -> Iterator[list[str]]:
    """Spoil answers as the case says during the block; the calls that were made are listed as they come."""
    way.calls.clear()
    commands: set[str] = set()

    def spoil(number: int, command: str) -> Fault | None:
        commands.update([command] if number == case.at else [])
        return case.spoiled.fault if number == case.at or (case.stays and command in commands) else None

    way.spoil = spoil
    try:
        yield way.calls
    finally:
        way.spoil = lambda _number, _command: None


def grounds_in(work: Callable[[Grounds], object]) -> None:
    """Have ``work`` done on grounds of its own."""
    with tempfile.TemporaryDirectory() as here, running_lab(QUICK) as lab, way_to(lab.endpoint) as way:
        work(Grounds(lab, way, Path(here)))
