"""A run's adapters that do nothing but play a script: nothing is built, nothing is probed, no time passes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tests.core.logs import MS, stream
from tests.replacing import replace
from vrbench.cloud.check.preflight import Resolved
from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.journal.journal import Journal
from vrbench.cloud.operate.router_watch import RouterWatch
from vrbench.cloud.remove.removal import RemovalReport
from vrbench.core.caveats import Caveat
from vrbench.core.facts import NodeClock, Router
from vrbench.core.findings import Finding, FindingState
from vrbench.core.log.growing_log import StreamState
from vrbench.core.log.history import NOTHING_MARKED, Fate, Marked, Probed, ProbeHistory
from vrbench.core.model import Direction, Endpoint, Environment, Guest, Stream
from vrbench.core.plan.plan import Plan, make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.core.ports import Collected, JobState, Operation
from vrbench.run.adapters import Adapters, OperationSource, Progress, RouterLog
from vrbench.run.execute import execute_run
from vrbench.run.interrupts import Interrupts
from vrbench.run.order import RunOrder, RunOutcome
from vrbench.store.directory import RunDir

SECOND = 1000 * MS
TURNED_AWAY_S = 12.0
RUN_ID = "20261124T120000Z-1a2b3c4d-small"
PROFILE = """
name = "small"
[environment]
vms = 2
public_ips = 2
source_cidr = "203.0.113.7/32"
[operation]
job_timeout = "30s"
[trials]
count = 1
baseline = "2s"
validation = "2s"
settle = "7s"
observe_at_most = "40s"
[probes]
egress_target = "203.0.113.1"
"""
ENVIRONMENT = Environment(
    network_id="n-1",
    network_name="vrb-1a2b3c4d-net",
    zone="z",
    hypervisor="KVM",
    cloud_version="4.20",
    offering="o",
    source_nat_ip="198.51.100.10",
    guests=tuple(Guest(f"vrb-1a2b3c4d-vm{n}", f"v-{n}", f"10.1.1.{n}", f"198.51.100.{n}", 22) for n in (1, 2)),
    endpoints=tuple(Endpoint(f"198.51.100.{n}", 22, f"vrb-1a2b3c4d-vm{n}") for n in (1, 2)),
)
RESOLVED = Resolved(
    zone_id="z-1",
    zone="z",
    network_offering_id="o-1",
    network_offering="o",
    egress_allowed=True,
    service_offering_id="s-1",
    service_offering="small",
    template_id="t-1",
    template="linux",
    hypervisor="KVM",
    version="4.20",
    account="admin",
    domain_id="d-1",
    role="Admin",
    may_expunge=True,
)


@dataclass
class World:
    """Clock, observation, operation and screen of a network that is down between two moments (s after the request)."""

    down_from: float = 2.0
    down_to: float = 6.0
    job_ends: float = 8.0
    job_error: str = ""
    dies_at: float = 1e9
    dead_stream: bool = False
    dead_direction: bool = False
    beside: Stream | None = None  # goes down with the rest, and stays so; before that it answers or not
    answers: bool = True
    now_ns: int = 0
    requested_ns: int | None = None
    turned_away: int = 0  # how often the cloud refuses to take the request
    marked_ns: list[int] = field(default_factory=list)
    started: bool = False
    stopped: int = 0
    phases: list[str] = field(default_factory=list)
    silences: list[tuple[float, float]] = field(default_factory=list)  # when asked for, and for how long
    can_be_silent: bool = True
    on_request: Callable[[], None] = lambda: None
    rows: Mapping[str, str] = field(default_factory=dict)
    marked: Marked = NOTHING_MARKED
    losing: dict[str, Callable[[tuple[Probed, ...]], tuple[Probed, ...]]] = field(default_factory=dict)
    unseen: tuple[StreamState, ...] = ()  # in histories alone
    faked: frozenset[str] = frozenset()
    faults_at: str = ""  # the node of the stream of ingress, where it matters
    crowd: int = 1  # streams like the first

    def monotonic_ns(self) -> int:
        return self.now_ns

    def utc(self) -> str:
        return "2026-11-24T12:00:00.000Z"

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND)

    def start(self) -> None:
        self.started = True

    def mark(self, marked: Marked) -> None:
        assert self.requested_ns is None
        self.marked_ns.append(self.now_ns)
        self.marked = marked

    def histories(self) -> Sequence[ProbeHistory]:
        """Ten probes a second since the beginning, each with what its stream is like now."""
        return [self._history(state) for state in (*self.states(), *self.unseen)]

    def _history(self, state: StreamState) -> ProbeHistory:
        fate = Fate.ANSWERED if state.up else Fate.SILENT
        every_ns = SECOND // 10
        moments = range(0, self.now_ns + 1, every_ns) if state.up is not None else ()
        probes = tuple(Probed(t, fate) for t in moments)
        losing = self.losing.get(state.stream.name)
        return ProbeHistory(state.node, state.stream, losing(probes) if losing else probes)

    def always_up(self) -> frozenset[str]:
        return self.faked

    def request(self, again: Callable[[], None] = lambda: None) -> None:
        for _ in range(self.turned_away):
            self.sleep(TURNED_AWAY_S)
            again()
        self.requested_ns = self.now_ns
        self.on_request()

    def poll(self) -> JobState:
        done = self._elapsed() >= self.job_ends
        return JobState(done, self.job_error if done else "")

    def _elapsed(self) -> float:
        return -1.0 if self.requested_ns is None else (self.now_ns - self.requested_ns) / SECOND

    def states(self) -> Sequence[StreamState]:
        t = self._elapsed()
        up = not self.down_from <= t < self.down_to
        since_s = self.down_to if t >= self.down_to else self.down_from if not up else -100.0
        since = self.now_ns - round((t - since_s) * SECOND)
        alive = StreamState("vm1", stream("a"), up, since, self.now_ns, 99, 0, 0)
        dead = StreamState("vm1", stream("dead"), False, 0, self.now_ns, 99, 1, 0)
        inward = replace(alive, stream=stream("i", Direction.INGRESS, "syn"), up=up and not self.dead_direction)
        inward = replace(inward, node=self.faults_at or inward.node)
        crowd = [replace(alive, stream=stream(f"a{n}")) for n in range(1, self.crowd)]
        listed = (alive, *crowd, inward, *([dead] * self.dead_stream))
        if self.beside is None:
            return listed
        still_up = self.answers and t < self.down_from
        return (*listed, replace(alive, stream=self.beside, up=still_up))

    def failed(self) -> Sequence[str]:
        return ("syn",) if self._elapsed() >= self.dies_at else ()

    def silence(self, streams: Sequence[StreamState], seconds: float) -> frozenset[str]:
        self.silences.append((self._elapsed(), seconds))
        return frozenset(s.stream.name for s in streams if self.can_be_silent)

    def stop(self) -> Collected:
        self.stopped += 1
        return Collected({"vm1": NodeClock(1, 2)}, (), (), tuple(self.failed()))

    def phase(self, name: str, following: str) -> None:
        self.phases.append(name)

    def watch(self, states: Sequence[StreamState], now_ns: int, job: str) -> None:
        assert self.started

    def note(self, text: str) -> None:
        self.phases.append(text)

    def doing(self, text: str) -> None:
        return None

    def label(self, rows: Mapping[str, str]) -> None:
        self.rows = rows


@dataclass
class Script:
    """The steps of a run as they are taken, and what else happens at one of them."""

    steps: list[str] = field(default_factory=list)
    acts: dict[str, Callable[[], None]] = field(default_factory=dict)

    def at(self, step: str) -> None:
        self.steps.append(step)
        self.acts.get(step, lambda: None)()


@dataclass
class FakeCloud:
    """A cloud of two objects (port ``CloudPort``). ``stays``: the keys of what can't be removed."""

    script: Script
    stays: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    endpoint: str = "https://cloud.example/client/api"
    shown: tuple[Router, ...] = ()
    version: str = RESOLVED.version
    asked: EnvironmentPlan | None = None  # for what was to be built
    doubts: tuple[Caveat, ...] = ()

    def caveats(self) -> tuple[Caveat, ...]:
        return self.doubts

    def preflight(self, plan: EnvironmentPlan, accept_slow_removal: bool) -> tuple[Resolved, tuple[Finding, ...]]:
        self.script.at("preflight")
        return replace(RESOLVED, version=self.version), (Finding("cloud", FindingState.WARN, "worth knowing"),)

    def build(self, plan: EnvironmentPlan, resolved: Resolved, journal: Journal, say: Progress) -> Environment:
        self.asked = plan
        journal.intend("network", "net", {})
        self.script.at("build")
        journal.created("net", "n-1")
        journal.intend("vm", "vm1", {})
        journal.created("vm1", "v-1")
        return ENVIRONMENT

    def remove(self, journal: Journal, say: Progress) -> RemovalReport:
        self.script.at("remove")
        left = []
        for entry in journal.pending():
            if entry.key in self.stays:
                left.append(entry.key)
            else:
                journal.destroyed(entry.key)
        return RemovalReport((), tuple(left), (), self.awaited)

    def routers(self, environment: Environment) -> tuple[Router, ...]:
        self.script.at("look at routers")
        return self.shown

    def watching_routers(self, environment: Environment) -> AbstractContextManager[RouterLog]:
        return nullcontext(RouterWatch(tuple))


@dataclass
class FakeProbers:
    """Probers of one trial that see the world (port ``TrialObservation``)."""

    script: Script
    world: World

    def start(self) -> None:
        self.script.at("start probers")
        self.world.start()

    def mark(self, marked: Marked) -> None:
        self.world.mark(marked)

    def histories(self) -> Sequence[ProbeHistory]:
        return self.world.histories()

    def always_up(self) -> frozenset[str]:
        return self.world.always_up()

    def states(self) -> Sequence[StreamState]:
        return self.world.states()

    def failed(self) -> Sequence[str]:
        return self.world.failed()

    def silence(self, streams: Sequence[StreamState], seconds: float) -> frozenset[str]:
        return self.world.silence(streams, seconds)

    def stop(self) -> Collected:
        self.script.at("stop probers")
        return self.world.stop()

    def notes(self) -> tuple[str, ...]:
        return ("how it was probed",)


@dataclass
class FakeGuests:
    """VMs that are there at once (port ``Guests``)."""

    script: Script
    world: World
    keys: RunDir
    caveats: tuple[Caveat, ...] = ()
    silent: tuple[str, ...] = ()

    def await_guests(self, deadline_s: float, say: Progress) -> tuple[Caveat, ...]:
        self.script.at("await guests")
        return self.caveats

    def notes(self) -> tuple[str, ...]:
        return ()

    def silent_addresses(self) -> tuple[str, ...]:
        return self.silent

    def observation(self, folder: Path) -> FakeProbers:
        self.world.requested_ns = None
        return FakeProbers(self.script, self.world)

    def leave(self) -> None:
        self.script.at("leave guests")


class Rig:
    """A run with scripted adapters: set it up, run it, look at what it did."""

    def __init__(self, reports: Path, *settings: str) -> None:
        self.script = Script()
        self.world = World(on_request=lambda: self.script.at("request"))
        self.cloud = FakeCloud(self.script)
        self.plan = make_plan(load_profile(PROFILE, "small", settings), RUN_ID)
        self.store = RunDir.create(reports, RUN_ID, 0)
        self.order = RunOrder(self.plan, self.store)
        self.caveats: tuple[Caveat, ...] = ()
        self.silent: tuple[str, ...] = ()
        self.machine: tuple[Finding, ...] = ()  # what is found of this machine
        self.looked_at: list[str] = []  # the public address that it was held against
        self.guests: list[FakeGuests] = []
        self._now_s = 0.0

    @property
    def steps(self) -> list[str]:
        return self.script.steps

    @property
    def said(self) -> list[str]:
        """Phases and notes, in order."""
        return self.world.phases

    def when(self, step: str, act: Callable[[], None]) -> None:
        self.script.acts[step] = act

    def press(self) -> None:
        """Press Ctrl-C, a second after the last time."""
        self._now_s += 1.0
        signal.raise_signal(signal.SIGINT)

    def run(self) -> RunOutcome:
        """Carry the order out."""
        with Interrupts(self.world.note, lambda: self._now_s) as interrupts:
            source = OperationSource("restart-network-cleanup", self._operation)
            adapters = Adapters(self.cloud, self._reach, source, self.world, self.world, interrupts, self._machine)
            return execute_run(self.order, adapters)

    def _reach(self, environment: Environment, keys: RunDir) -> FakeGuests:
        self.guests.append(FakeGuests(self.script, self.world, keys, self.caveats, self.silent))
        return self.guests[-1]

    def _machine(self, _plan: Plan, public: str, /) -> tuple[Finding, ...]:
        self.looked_at.append(public)
        return self.machine

    @contextmanager
    def _operating(self, folder: Path) -> Iterator[Operation]:
        assert folder.is_dir()
        try:
            yield self.world
        finally:
            self.script.at("leave operation")

    def _operation(self, environment: Environment, folder: Path) -> AbstractContextManager[Operation]:
        return self._operating(folder)

    def pending(self, store: RunDir | None = None) -> list[str]:
        """Return what the journal has not seen go."""
        with Journal.open((store or self.store).journal) as journal:
            return [entry.key for entry in journal.pending()]


def failing(error: BaseException) -> Callable[[], None]:
    """Return an act that raises."""

    def act() -> None:
        raise error

    return act
