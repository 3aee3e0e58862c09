"""The two agents that can be put into a guest: our prober where there is Python, else a shell script around ping."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vrbench.core.log.pinglog import TICK, PingLog, PingSetup, PingStream, interval_steps
from vrbench.probes.bundle import agent_bundle
from vrbench.probes.config import PhasedStream, ProbeError
from vrbench.probes.neighbours import GATEWAY
from vrbench.remote.connection import Completed

FRESH_S = 0.5  # between two processes that send a probe each; a second where sleep takes no fractions
SURVEY_S = 3.0  # how long ping's pace is measured
SURVEY_DEADLINE_S = 30.0


class RawCopy:
    """A raw log as it is fetched from the guest."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def fetched(self) -> int:
        """Return how many bytes of what the guest wrote are here."""
        return self.log.stat().st_size if self.log.exists() else 0

    def append(self, chunk: bytes) -> None:
        """Keep what comes next. Raises OSError."""
        with self.log.open("ab") as file:
            file.write(chunk)


class PingCopy:
    """What ping printed, kept beside the raw log that is made of it."""

    def __init__(self, log: Path, setup: PingSetup) -> None:
        self._raw, self._text = RawCopy(log), RawCopy(log.with_suffix(".ping"))
        self._made = PingLog(setup)

    def fetched(self) -> int:
        """Return how many bytes of what the guest wrote are here."""
        return self._text.fetched()

    def append(self, chunk: bytes) -> None:
        """Keep what comes next. Raises OSError."""
        self._text.append(chunk)
        self._raw.append(self._made.feed(chunk))


@dataclass(frozen=True, slots=True)
class Task:
    """What an agent is to do: for which node, for how long at most, which of how many guests it is (see ``echo``)."""

    node: str
    streams: tuple[PhasedStream, ...]
    max_s: float
    lane: tuple[int, int]


Ask = Callable[[Sequence[str], float], Completed]  # runs the agent in the guest with these arguments, for so many s


@dataclass(frozen=True, slots=True)
class PythonAgent:
    """Our own prober; ``command`` is the interpreter, with the right to raw sockets if possible."""

    command: tuple[str, ...]
    file = "agent.pyz"
    tick_ns = 0
    stays = True  # for a whole run, answering line by line

    def content(self) -> bytes:
        """Return the agent's file."""
        return agent_bundle()

    def prepare(self, task: Task, place: str, log: Path, ask: Ask) -> tuple[bytes, RawCopy | PingCopy]:
        """Return the agent's configuration, to log to ``place``, and where its log goes here."""
        config = {
            "log": place,
            "node": task.node,
            "max_s": task.max_s,
            "lane": task.lane,
            "streams": [phased.as_json() for phased in task.streams],
        }
        return json.dumps(config).encode(), RawCopy(log)


@dataclass(frozen=True, slots=True)
class PingAgent:
    """The shell script around ``ping`` of ``kind`` iputils or busybox; ``command`` is the shell."""

    command: tuple[str, ...]
    kind: str
    ping: str
    file = "agent.sh"
    tick_ns = TICK
    stays = False  # one for each trial, and a process for each question

    def content(self) -> bytes:
        """Return the agent's file."""
        return (Path(__file__).parent / "ping_agent.sh").read_bytes()

    def prepare(self, task: Task, place: str, log: Path, ask: Ask) -> tuple[bytes, RawCopy | PingCopy]:
        """Return the agent's configuration without what ping can't probe, and where its log goes. Raises ProbeError."""
        streams = [s.stream for s in task.streams if s.stream.flow in ("persistent", "fresh")]
        if not streams:
            raise ProbeError(f"guest {task.node} has no Python, and nothing is to be probed that ping could")
        pace = self._pace(task.node, min(s.interval_s for s in streams), ask)
        if any(s.target == GATEWAY for s in streams):
            gateway = json.loads(ask(["facts"], SURVEY_DEADLINE_S).out)["gateway"]
            streams = [replace(s, target=gateway) if s.target == GATEWAY else s for s in streams]
        lone_s = max([pace.lone_s, *(s.interval_s for s in streams if s.flow == "fresh")])
        lone_ns = round(lone_s * 100) * TICK
        pings = tuple(
            PingStream(s, pace.asked_ns, pace.period_ns) if s.flow == "persistent" else PingStream(s, lone_ns, lone_ns)
            for s in streams
        )
        new = f"-new-{round(lone_ns / 1e6)}ms" if any(s.flow == "fresh" for s in streams) else ""
        setup = PingSetup(task.node, f"{self.kind}-{round(pace.asked_ns / 1e6)}ms{new}", pings)
        lines = [f"{self.kind}:{self.ping}", f"{math.ceil(task.max_s)}", *map(_config_line, range(len(pings)), pings)]
        return "".join(f"{line}\n" for line in lines).encode(), PingCopy(log, setup)

    def _pace(self, node: str, asked_s: float, ask: Ask) -> Pace:
        """Return the finest interval that this ping takes, and what it makes of it."""
        steps = [f"{step:g} {max(3, round(SURVEY_S / step))}" for step in interval_steps(asked_s)]
        done = ask(["survey", self.ping, *steps], SURVEY_DEADLINE_S)
        try:
            every, count, hundredths, fine = done.out.decode().split()
            asked_ns = round(float(every) * 1e9)
            measured_ns = int(hundredths) * TICK // (int(count) - 1)
        except ValueError as error:
            said = (done.out + done.err).decode(errors="replace").strip() or f"exit code {done.code}"
            cure = "log in as root, allow sudo without a password, or choose a template with Python 3.6 or later"
            raise ProbeError(f"guest {node} has no Python, and its ping does not work: {said}; {cure}") from error
        # Of few probes the last one's wait weighs too much to measure by.
        period_ns = max(asked_ns, measured_ns) if int(count) > 10 else asked_ns
        return Pace(asked_ns, period_ns, FRESH_S if fine == "1" else 1.0)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a guest's ping sends: as asked, in fact, and one process per probe (s)."""

    asked_ns: int
    period_ns: int
    lone_s: float


def _config_line(index: int, ping: PingStream) -> str:
    """Describe a stream for the script: seconds for ping itself, hundredths for the script's own clock."""
    stream = ping.stream
    every = f"{ping.asked_ns / 1e9:g}" if stream.flow == "persistent" else f"{ping.asked_ns // TICK}"
    return f"{index} {stream.flow} {every} {stream.target}"


def agent_for(kind: str, sudo: str, program: str) -> PythonAgent | PingAgent:
    """Return the agent for what a guest was found to have: kind "python", "iputils" or "busybox"."""
    if kind == "python":
        return PythonAgent((*sudo.split(), program))
    return PingAgent((*sudo.split(), "sh"), kind, program)
