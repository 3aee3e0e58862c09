"""All probers of a trial in the box, all real: guests with sshd and agent, the harness's own; outages of known time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.probes.box import Box
from tests.probes.cuts import DROP, MEND, Cut, cut_off
from tests.probes.rig import HARNESS, ROUTER, wait_for
from tests.probes.servers import start_sshd, stop_server
from vrbench.core.analysis import analyze_trial
from vrbench.core.calibrate.calibration import came_late
from vrbench.core.facts import TrialFacts
from vrbench.core.figures.results import StreamResult, TrialResult
from vrbench.core.figures.windows import Downtime
from vrbench.core.log.outcomes import CODES, codes_of
from vrbench.core.model import Endpoint, Environment, Guest, Outcome
from vrbench.core.plan.plan import make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.probes.observation import SshGuests, TrialProbers
from vrbench.remote.host_keys import HostKeyPins
from vrbench.remote.keys import generate_key

GUESTS = 2
PROFILE = f"""
[lab]
[environment]
vms = {GUESTS}
public_ips = {GUESTS}
[probes]
interval = "20ms"
banner_interval = "100ms"
auth = false
dns = false
egress_target = "{HARNESS}"
control_target = "{ROUTER}"
"""


@dataclass
class Trial:
    """One trial under way, without an operation: a test makes the outages itself."""

    box: Box
    observation: TrialProbers
    requested_ns: int = 0
    cuts: list[Cut] = field(default_factory=list)

    def request(self, again: Callable[[], None] = lambda: None) -> None:
        """Make everything that was probed until now the baseline."""
        self.requested_ns = time.monotonic_ns()

    def spend(self, seconds: float) -> None:
        """Let the probers work, or stand still, for a while: the thing under test, not a wait for a result."""
        time.sleep(seconds)

    @contextmanager
    def cut(self, rule: str = DROP, node: str = "router", mend: str = MEND) -> Iterator[None]:
        """Take the path down for the length of the block; remember it in ``cuts``."""
        with cut_off(self.box, rule, node, mend) as made:
            yield
        self.cuts.append(made)

    def harness_pids(self) -> list[int]:
        """Return the harness's own probers."""
        return [o.pid for o in self.observation._probers]

    def agent_pids(self, guest: str = "") -> list[int]:
        """Return the probers in the guests, or in the one of that name."""
        homes = [a.place.rpartition("/")[0] for a in self.observation._agents if guest in ("", a.guest.name)]
        return [pid for home in homes for pid in processes(home, "talk") if detached(pid)]

    def end(self) -> TrialResult:
        """Stop all probers, collect, analyse."""
        observed_ns = time.monotonic_ns()
        collected = self.observation.stop()
        self.facts = TrialFacts(
            number=1,
            requested_utc="2026-11-24T12:00:00.000Z",
            requested_ns=self.requested_ns,
            baseline_s=15.0,
            clocks=dict(collected.clocks),
            agents_lost=collected.agents_lost,
            probers_failed=collected.probers_failed,
            observed_ns=observed_ns,
        )
        return self.analyze(self.logs())

    def logs(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.observation.folder.glob("*.raw"))]

    def analyze(self, logs: Sequence[bytes]) -> TrialResult:
        method = replace(self.observation.ssh_guests.plan.method, baseline_s=15.0)
        return analyze_trial(self.facts, logs, method)


def processes(*words: str) -> list[int]:
    """Find processes with every word in their command line, by the host's numbers; not what enters the box."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if all(word in line for word in words) and "nsenter" not in line:
                found.append(int(path.parent.name))
    return found


def detached(pid: int) -> bool:
    """Return whether a process reads from nowhere, as probers do, and not from a connection as what started them."""
    return os.readlink(f"/proc/{pid}/fd/0") == os.devnull


@contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end of the block."""
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def reachable(
    box: Box, home: Path, *settings: str, profile: str = PROFILE, guests: int = GUESTS
) -> Iterator[SshGuests]:
    """Provide guests with an sshd, started with more ``settings``; this thread stands in the harness's network."""
    key = generate_key(home / "id")
    servers = [start_sshd(box, f"guest{i}", home, key, *settings) for i in range(guests)]
    named = tuple(Guest(f"vrb-1-vm{i + 1}", f"id-{i}", f"10.1.1.{10 + i}", ROUTER, 2200 + i) for i in range(guests))
    endpoints = tuple(Endpoint(g.public_ip, g.public_port, g.name) for g in named)
    environment = Environment("n", "vrb-1-net", "z", "h", "v", "o", ROUTER, named, endpoints)
    plan = make_plan(load_profile(profile, "test"), "run")
    try:
        with box.inside("harness"):
            yield SshGuests(plan, environment, home / "id", HostKeyPins(home / "known_hosts"))
    finally:
        for i, server in enumerate(servers):
            stop_server(box, f"guest{i}", server)


@contextmanager
def trial(ssh_guests: SshGuests, box: Box, folder: Path, baseline_s: float = 1.0) -> Iterator[Trial]:
    """Provide a trial whose streams are all up, requested after the baseline; what is in the guests goes with it."""
    folder.mkdir()
    observation = ssh_guests.observation(folder)
    observation.start()
    try:
        begun = Trial(box, observation)
        wait_for(lambda: all(s.up for s in observation.states()), "every stream up")
        begun.spend(baseline_s)
        begun.request()
        yield begun
    finally:
        for agent in observation._agents:
            agent.leave()
            agent.home.remove()
            agent.home.leave()
        for observer in observation._probers:
            with suppress(Exception):
                observer.stop()


def tally(stream: StreamResult, outcome: Outcome) -> int:
    """Return how many of its slots came to that."""
    return codes_of(stream.samples).count(CODES[outcome])


def measured(result: TrialResult) -> list[StreamResult]:
    """Return the streams that make the figures."""
    return [s for s in result.streams if s.stream.kind.headline]


def check_truth(result: TrialResult, cuts: Sequence[Cut], streams: Sequence[StreamResult] | None = None) -> None:
    """Check each stream: every cut's length lies within the bounds of what was seen of it, and nothing else was seen.

    Cuts must lie a second apart from each other; a window belongs to the cut that was the last to begin before it, or
    that began within a second after it (a blind stretch begins before what it hides), or to the first. Banners that all
    came, too late, are of an sshd that had no processor in time: they prove nothing of the path, and their windows say
    0 s at least.
    """
    zero_s = result.facts.requested_ns / 1e9
    for s in measured(result) if streams is None else streams:
        for cut, following in zip(cuts, [*cuts[1:], None], strict=True):
            first = cut.began[0] / 1e9 - 1.0 - zero_s if cut is not cuts[0] else float("-inf")
            last = following.began[0] / 1e9 - 1.0 - zero_s if following else float("inf")
            windows = [w for w in s.windows if first <= w.start_s < last]
            seen = Downtime.total(windows)
            assert seen.at_least_s <= cut.at_most_s, (s.stream.name, windows)
            assert seen.at_most_s >= cut.at_least_s, (s.stream.name, windows)
        for w in s.outages:
            began, ended = (result.facts.requested_ns + 1e9 * at for at in (w.start_s, w.start_s + w.estimate_s))
            down = any(began <= c.ended[1] + 10e6 and c.began[0] - 10e6 <= ended for c in cuts)
            assert down or came_late(s, w), f"{s.stream.name}: a window at {w.start_s:.3f} s, where nothing was cut"
