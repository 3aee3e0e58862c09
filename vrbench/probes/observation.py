"""All probers of one trial as the main path's ``Observation`` port: the harness's own and one agent per guest."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from pathlib import Path

from vrbench.core.caveats import Caveat
from vrbench.core.facts import NodeClock
from vrbench.core.kinds import SSH_SYN
from vrbench.core.log.growing_log import GrowingLog, StreamState
from vrbench.core.log.history import Marked, ProbeHistory
from vrbench.core.model import HARNESS, Direction, Environment, Guest, Stream
from vrbench.core.plan.plan import Plan
from vrbench.core.plan.streams import guest_streams, harness_streams, short_name
from vrbench.core.ports import Collected
from vrbench.core.text import some
from vrbench.parallel import CancelToken, parallel
from vrbench.probes.agent_home import AgentHome
from vrbench.probes.config import Login, ProbeError, at_once, phased
from vrbench.probes.followed_log import FollowedLog
from vrbench.probes.guest import GuestAgent
from vrbench.probes.nobodys_port import always_up
from vrbench.probes.ping_check import reach
from vrbench.probes.prober_process import ProberConfig, ProberProcess, how_probed, start_prober
from vrbench.probes.readiness import Readiness, noted
from vrbench.probes.spare_probers import SpareProbers
from vrbench.probes.waiting import RETRY_S, GuestLogins, GuestWait
from vrbench.remote.connection import Remote
from vrbench.remote.errors import RemoteError
from vrbench.remote.host_keys import HostKeyPins

COLLECT_S = 30.0
REACH_S = 5.0
ASK_S = 20.0
FIRST_WITHIN_S = 0.5


@dataclass
class SshGuests:
    """How this run reaches its guests, what it probes there, and what stays there and here from trial to trial."""

    plan: Plan
    environment: Environment
    key: Path
    pins: HostKeyPins
    spares: SpareProbers = field(default_factory=SpareProbers)
    _homes: dict[str, AgentHome] = field(default_factory=dict)
    _begun: int = 0
    _always_up: frozenset[str] | None = None
    logins: GuestLogins = field(init=False)

    def __post_init__(self) -> None:
        self.logins = GuestLogins(self.environment, self.plan.profile.cloud.ssh_user, self.key, self.pins)

    def connect(self, guest: Guest) -> Remote:
        """Open a new SSH connection through the router to a guest. Raises RemoteError."""
        return self.logins.connect(guest)

    def home(self, guest: Guest) -> AgentHome:
        """Return where the agent of a guest lives."""
        return self._homes.setdefault(guest.name, AgentHome(guest, lambda: self.connect(guest)))

    def begin(self) -> None:
        """Note that a trial has begun; what the next one needs is made ready while this one's baseline is probed."""
        self._begun += 1
        if self._begun < self.plan.profile.trials.count:
            self.spares.keep(harness_streams(self.plan, self.environment))

    def always_up(self) -> frozenset[str]:
        """Return the public ends where connections say nothing; looked at once, if they are probed."""
        if self._always_up is None:
            probed = self.plan.profile.probes.probes(SSH_SYN)
            self._always_up = always_up(self.environment.endpoints) if probed else frozenset()
        return self._always_up

    @property
    def login(self) -> Login:
        """What probers need that log in by themselves."""
        return self.logins.probers

    def notes(self) -> tuple[str, ...]:
        """Return what people should know of how guests are logged in to."""
        return tuple(self.logins.notes)

    def await_guests(self, deadline_s: float, say: Callable[[str], None] = lambda _words: None) -> tuple[Caveat, ...]:
        """Return when every guest has let us in and booted to its end, with what may spoil figures.

        Raises ProbeError: a guest did not let us in before the deadline (with the last reason), or can't probe.
        """
        waiting = GuestWait(self.logins, self.home, time.monotonic() + deadline_s, say)
        self.spares.keep(harness_streams(self.plan, self.environment))
        seen = parallel(self.environment.guests, waiting.one)
        names = [g.name for g in self.environment.guests]
        missing = {name: reason for name, reason in zip(names, seen, strict=True) if isinstance(reason, str)}
        if missing:
            name, reason = next(iter(missing.items()))
            raise ProbeError(
                f"{len(missing)} of {some(len(names), 'VM')} did not answer on SSH within {deadline_s:.0f} s; "
                f"{name}: {reason}. Check cloud.ssh_user, that the template has sshd and cloud-init, and "
                "environment.source_cidr: the firewall lets in only that address, which must be this machine's as the "
                "cloud sees it"
            )
        labels = [short_name(self.environment, name) for name in names]
        return noted({label: r for label, r in zip(labels, seen, strict=True) if isinstance(r, Readiness)})

    def silent_addresses(self) -> tuple[str, ...]:
        """Return the public addresses that don't answer a ping from here, although a rule lets us in."""
        try:
            return reach((e.public_ip for e in self.environment.endpoints), REACH_S).down
        except ProbeError:
            return ()  # this user may not ping, and no figure needs it

    def observation(self, folder: Path) -> TrialProbers:
        """Prepare the probers of one trial, not started yet; raw logs go to ``folder``."""
        return TrialProbers(self, folder)

    def leave(self) -> None:
        """Clean the guests up, whatever trials left there that is not needed any more, and end what waits here."""
        self.spares.end()
        parallel(list(self._homes.values()), lambda home, _: _clear_out(home))


def _clear_out(home: AgentHome) -> None:
    with contextlib.suppress(ProbeError, RemoteError):  # the VM goes after the run, and no prober is left in it
        if not home.owes:
            home.remove()
    home.leave()


@dataclass
class TrialProbers:
    """The probers of one trial (port ``core.ports.Observation``). Start once, stop once."""

    ssh_guests: SshGuests
    folder: Path
    _agents: list[GuestAgent] = field(default_factory=list)
    _probers: list[ProberProcess] = field(default_factory=list)
    _logs: list[FollowedLog] = field(default_factory=list)
    _clocks: dict[str, NodeClock] = field(default_factory=dict)
    _boots: dict[str, str] = field(default_factory=dict)
    _gateways: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def start(self) -> None:
        """Start the harness's own probers and the agents, side by side. Raises ProbeError or RemoteError."""
        plan, environment = self.ssh_guests.plan, self.ssh_guests.environment
        seed = random.SystemRandom().getrandbits(32)
        self._agents = [self._agent(g) for g in environment.guests]
        steps: list[Callable[[CancelToken], None]] = [
            *(partial(self._start_agent, index, seed) for index in range(len(self._agents))),
            lambda _: self._look_for_proxies(),
        ]
        probers: list[Callable[[CancelToken], None]] = []
        for prober, streams in harness_streams(plan, environment).items():
            # An sshd with penalties turns away whoever logs in while banners are read: so sessions are opened before.
            first = any(stream.kind.footprint.kept for stream in streams)
            (steps if first else probers).append(partial(self._start_prober, prober, streams, seed))
        try:
            for group in (steps, probers):
                parallel(group, lambda step, stop: step(stop))
        except BaseException:
            self.stop()
            raise
        self.ssh_guests.begin()

    def _look_for_proxies(self) -> None:
        self.ssh_guests.always_up()

    def mark(self, marked: Marked) -> None:
        for log in self._logs:
            log.live.mark(marked)

    def histories(self) -> Sequence[ProbeHistory]:
        return [history for log in self._logs for history in log.histories()]

    def always_up(self) -> frozenset[str]:
        return self.ssh_guests.always_up()

    def states(self) -> Sequence[StreamState]:
        # What ends in the router is evidence for later: nobody watches it, and nobody waits for it.
        found = (state for log in self._logs for state in log.states())
        return [state for state in found if state.stream.direction is not Direction.ROUTER]

    def failed(self) -> Sequence[str]:
        return [p.config.prober for p in self._probers if not p.alive()]

    def silence(self, streams: Sequence[StreamState], seconds: float) -> frozenset[str]:
        """Have streams of guests be silent for so long, then go on; return the names of those that will."""
        wanted: dict[str, list[str]] = {}
        for state in streams:
            wanted.setdefault(state.node, []).append(state.stream.name)
        agents = [agent for agent in self._agents if agent.guest.name in wanted]
        asked = parallel(agents, lambda agent, stop: _silenced(agent, wanted[agent.guest.name], seconds, stop))
        return frozenset(name for names in asked for name in names)

    def notes(self) -> tuple[str, ...]:
        """Return what people should know of how it is probed, as the logs that are here by now say."""
        return tuple(dict.fromkeys(words for log in self._logs for words in how_probed(log.path)))

    def stop(self) -> Collected:
        """End the probers, fetch what the guests wrote, and clean the guests up."""
        probing: list[ProberProcess | GuestAgent] = [*self._probers, *self._agents]
        bad = [end for end in parallel(probing, lambda one, _: self._finish(one)) if end]
        return Collected(
            clocks=dict(self._clocks),
            gateways=dict(self._gateways),
            agents_lost=tuple(end.words for end in bad if end.what is _What.LOST),
            guests_rebooted=tuple(end.words for end in bad if end.what is _What.REBOOTED),
            probers_failed=tuple(end.words for end in bad if end.what is _What.FAILED),
        )

    def _finish(self, one: ProberProcess | GuestAgent) -> _BadEnd | None:
        return self._finish_agent(one) if isinstance(one, GuestAgent) else _stopped(one)

    def _agent(self, guest: Guest) -> GuestAgent:
        label = short_name(self.ssh_guests.environment, guest.name)
        return GuestAgent(self.ssh_guests.home(guest), self.folder / f"guest-{label}.raw")

    def _start_agent(self, index: int, seed: int, stop: CancelToken) -> None:
        plan, agent = self.ssh_guests.plan, self._agents[index]
        streams = guest_streams(plan, self.ssh_guests.environment, index)
        boot = agent.home.settle_in().boot_id
        stop.check()
        clock = agent.measure_clock()
        stop.check()
        agent.start(at_once(streams, seed + index + 1), _longest_s(plan), (index, len(self._agents)))
        self._boots[agent.guest.name] = boot
        self._clocks[agent.guest.name] = NodeClock(clock.offset_ns, clock.error_ns)
        agent.follow()
        self._logs.append(self._followed(agent.local_log, clock.offset_ns))

    def _start_prober(self, prober: str, streams: Sequence[Stream], seed: int, stop: CancelToken) -> None:
        ssh_guests, log = self.ssh_guests, self.folder / f"{HARNESS}-{prober}.raw"
        # Streams that probe rarely must have probed before the operation is asked for, and the first of them soon.
        within_s = min(ssh_guests.plan.method.baseline_s / 2, len(streams) * FIRST_WITHIN_S)
        login = ssh_guests.login if any(s.kind.logs_in for s in streams) else None
        starting = phased(streams, seed, within_s)
        config = ProberConfig(prober, HARNESS, log, starting, ssh_guests.plan.method.threshold_s, login)
        stop.check()
        self._probers.append(start_prober(config, ssh_guests.spares.take(prober)))
        self._logs.append(self._followed(log, 0))

    def _followed(self, path: Path, offset_ns: int) -> FollowedLog:
        return FollowedLog(path, GrowingLog(round(self.ssh_guests.plan.method.threshold_s * 1e9)), offset_ns)

    def _finish_agent(self, agent: GuestAgent) -> _BadEnd | None:
        """Collect one guest's samples, then clean up there; returns what went wrong, None when all is well."""
        name, until = agent.guest.name, time.monotonic() + COLLECT_S
        lost, rebooted = "", False
        if name in self._boots:  # else it never probed
            try:
                agent.finish(COLLECT_S)
            except ProbeError as error:
                lost = f"{name}: {error}; what is missing may still be in the guest: {agent.place}"
            rebooted = self._rebooted(agent, until)
        agent.leave()
        agent.home.owes |= bool(lost)
        if not lost:
            with contextlib.suppress(ProbeError, RemoteError):  # the VM goes after the run, and the prober has ended
                agent.clear()
        if rebooted:
            return _BadEnd(_What.REBOOTED, name)
        return _BadEnd(_What.LOST, lost) if lost else None

    def _rebooted(self, agent: GuestAgent, until: float) -> bool:
        """Return whether the guest was booted since the start; if not, measure its clock once more, and its gateway's
        address is asked after.

        Tries until then, at least once. A guest that can't be asked keeps its first clock, and was not seen to reboot.
        """
        name = agent.guest.name
        while True:
            try:
                if agent.home.facts().boot_id != self._boots[name]:
                    return True
                clock = agent.measure_clock()
                self._gateways[name] = agent.claimants()
            except RemoteError:
                if time.monotonic() + RETRY_S > until:
                    return False
                time.sleep(RETRY_S)
            except ProbeError:
                return False
            else:
                self._clocks[name] = self._clocks[name].drifting_to(NodeClock(clock.offset_ns, clock.error_ns))
                return False


class _What(Enum):
    """What can be wrong with the end of a trial."""

    LOST = auto()  # a guest's samples
    REBOOTED = auto()  # a guest
    FAILED = auto()  # one of the harness's probers


@dataclass(frozen=True, slots=True)
class _BadEnd:
    """Why samples are not whole."""

    what: _What
    words: str


def _silenced(agent: GuestAgent, streams: list[str], seconds: float, stop: CancelToken) -> list[str]:
    """Return the streams that will be silent: all of the guest's, or none. Its path may have come back just now."""
    until = time.monotonic() + ASK_S
    while True:
        try:
            return streams if agent.silence(streams, seconds) else []
        except RemoteError:
            if time.monotonic() + RETRY_S > until:
                return []
            stop.sleep(RETRY_S)


def _stopped(prober: ProberProcess) -> _BadEnd | None:
    """End a prober; return what was wrong with its end."""
    try:
        prober.stop()
    except ProbeError as error:
        return _BadEnd(_What.FAILED, str(error))
    return None


def _longest_s(plan: Plan) -> float:
    """Return after how long an agent ends by itself, should nobody come back for it."""
    t = plan.profile.trials
    return t.baseline + t.observe_at_most + t.validation + 300
