"""A run of a campaign under way: its process, and what its faults can get at."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.bench.campaign_front import Front
from tests.bench.campaign_hasty import Order
from tests.bench.campaign_zone import CampaignLab
from tests.cli.zone import ROOT
from vrbench.lab import box, lifecycle
from vrbench.lab.status import LabError
from vrbench.lab.system.processes import arguments, children
from vrbench.private import child_environment

LIMIT_S = 90.0  # a run or a clean-up that takes longer hangs
LOOK_S = 0.03
LOOKS_FOR_S = 2.0  # for a process to kill
PROBER, AGENT = "vrbench.probes.prober", "agent.pyz"


@dataclass
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str = ""
    err: str = ""
    hung: bool = False

    @property
    def said(self) -> str:
        return self.out + self.err


class Starter:
    """Starts one vrbench at a time inside a lab's outside world."""

    def __init__(self, lab: CampaignLab) -> None:
        command = [sys.executable, "-m", "tests.bench.campaign_hasty"]
        self._process = subprocess.Popen(
            lifecycle.enter(lab.zone.state, "upstream", command),
            cwd=lab.zone.here,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._told, self._said = self._process.stdin, self._process.stdout

    def __enter__(self) -> Starter:
        return self

    def __exit__(self, *_: object) -> None:
        self._told.close()
        self._process.wait()
        self._said.close()

    def begin(self, order: Order) -> None:
        """Start it."""
        self._told.write(json.dumps(asdict(order)).encode() + b"\n")
        self._told.flush()

    def over(self, within_s: float) -> bool:
        """Return whether it has ended, after so much time at most."""
        return bool(select.select([self._said], [], [], within_s)[0])

    def code(self) -> int:
        """Return its exit code."""
        return int(self._said.readline())

    def harness(self) -> int:
        """Return its process, as this side of the lab knows it; 0 when there is none."""
        server = next(iter(children(self._process.pid)), 0)
        return next(iter(children(server)), 0) if server else 0


@dataclass
class RunScene:
    """The run under way, as its faults see it."""

    lab: CampaignLab
    starter: Starter
    here: Path
    reports: Path
    events: list[tuple[str, float, Callable[[], None]]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    @property
    def front(self) -> Front:
        return self.lab.front

    def fault(self, name: str, params: dict[str, str]) -> None:
        try:
            lifecycle.fault(self.lab.zone.state, name, params)
            self.done.append(name)
        except LabError as error:  # such as a guest that has just gone
            self.done.append(f"no {name}: {error}")

    def at(self, words: str, delay_s: float, act: Callable[[], None]) -> None:
        self.events.append((words, delay_s, act))

    def on_small_disk(self) -> None:
        assert self.lab.small_disk is not None
        self.reports = self.lab.small_disk / "reports"

    def clear(self) -> None:
        """Switch all faults of the lab off."""
        with contextlib.suppress(LabError):  # of a guest that is just going
            lifecycle.fault(self.lab.zone.state, "", on=False)
        lifecycle.fault(self.lab.zone.state, "", on=False)

    def fault_of_guest(self, name: str) -> None:
        rows = self.lab.cloud().list("listVirtualMachines", "virtualmachine", listall=True)
        ours = [str(row["name"]) for row in rows if str(row["name"]).startswith("vrb-")]
        if ours:
            self.fault(name, {"vm": ours[0]})

    def signal(self, number: int) -> None:
        """Send vrbench a signal."""
        with contextlib.suppress(ProcessLookupError):
            if pid := self.starter.harness():
                os.kill(pid, number)

    def kill(self, role: str) -> None:
        """Kill the harness, one of its probers, or an agent in a guest of the run."""
        self.done.append(f"killed {role}")
        if role == "harness":
            self.signal(signal.SIGKILL)
            return
        until = time.monotonic() + LOOKS_FOR_S
        while time.monotonic() < until:
            above, sign = (self.starter.harness(), PROBER) if role == "prober" else (self._lab_process(), AGENT)
            victims = [pid for pid in below(above) if any(sign in word for word in arguments(pid))]
            if victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victims[0], signal.SIGKILL)
                return
            time.sleep(LOOK_S)
        self.done[-1] = f"no {role} to kill"

    def _lab_process(self) -> int:
        known = box.read(self.lab.zone.state)
        return known.first if known else 0

    def vrbench(self, *arguments: str) -> Ended:
        """Run vrbench inside the lab's outside world, with what is to happen meanwhile."""
        number = len(list(self.here.glob("*.err")))
        out, err = (self.here / f"{number}-{arguments[0]}.{stream}" for stream in ("out", "err"))
        err.touch()
        order = Order(list(arguments), str(self.here), self.environment(), str(out), str(err))
        self.lab.front.signal = self.signal
        self.starter.begin(order)
        hung = self._watch(err)
        code = self.starter.code()
        return Ended(code, out.read_text("utf-8", "replace"), err.read_text("utf-8", "replace"), hung)

    def environment(self) -> dict[str, str]:
        """Return the environment of an operator who asks the front."""
        file = str(self.here / "cloudstack.ini")
        return child_environment(PYTHONPATH=str(ROOT), CLOUDSTACK_CONFIG=file, COLUMNS="100")

    def _watch(self, err: Path) -> bool:
        """Wait for the end, and let happen what is to happen at some words; return whether it had to be ended."""
        until = time.monotonic() + LIMIT_S
        due: list[tuple[float, Callable[[], None]]] = []
        while not self.starter.over(LOOK_S):
            said = err.read_text("utf-8", "replace") if self.events else ""
            for event in [e for e in self.events if e[0] in said]:
                self.events.remove(event)
                due.append((time.monotonic() + event[1], event[2]))
            for happening in [d for d in due if d[0] <= time.monotonic()]:
                due.remove(happening)
                happening[1]()
            if time.monotonic() > until:
                self.signal(signal.SIGKILL)
                return True
        return False


def below(pid: int) -> list[int]:
    """Return all processes that descend from one."""
    found = children(pid) if pid else []
    return found + [deeper for child in found for deeper in below(child)]
