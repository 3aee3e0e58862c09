"""What other instruments make of the same outages: each written and read as its users do, beside ours and the truth.

    python -m tests.bench.instruments [--outages 12] [--seed N]

A lab with one VM; outages from 0.3 to 8 s, all traffic dropped in the router's data path by ``lab outage``, whose times
are the truth. Beside vrbench's probers (10 ms, banners 100 ms) run in the guest fping, ping -O twice and a loop around
icmplib, and outside a loop around ssh and a sampler that connects every second with 16 s of patience. Each is read as
it usually is: failures times interval, or the time between two answers. Exit 1 when the truth was not within our own
bounds.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.loops import ICMPLIB, SAMPLER, SSH
from tests.cli.zone import Zone, running_zone
from vrbench.core.figures.windows import Allowance, find_windows
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.samples import read_samples
from vrbench.core.model import OutageWindow
from vrbench.core.plan.plan import make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.lab import lifecycle
from vrbench.lab.status import LabOptions, Outage
from vrbench.probes.observation import SshGuests
from vrbench.remote.host_keys import HostKeyPins
from vrbench.store.directory import RunDir

TARGET = "203.0.113.1"
PROFILE = f"""
name = "instruments"
[environment]
vms = 1
public_ips = 1
[trials]
count = 1
baseline = "2s"
validation = "1s"
settle = "0s"
observe_at_most = "60s"
[probes]
interval = "10ms"
banner_interval = "100ms"
egress_target = "{TARGET}"
control_target = "198.51.100.2"
session = false
dns = false
auth = false
"""
SHORTEST_S, LONGEST_S = 0.3, 8.0
CALM_S = 9.0  # after an outage of the longest kind even a connection attempt backed off to 15 s has ended by then
THRESHOLD_S = 0.8


@dataclass(frozen=True)
class Answer:
    """One probe of a tool: when it was logged (wall clock, seconds), its number, and whether it was answered."""

    at: float
    number: int
    good: bool


@dataclass(frozen=True)
class Reading:
    """What one instrument said of one outage, in seconds; ``held`` where it gives bounds."""

    said_s: float
    true_s: float
    held: bool | None = None

    @property
    def error_s(self) -> float:
        return self.said_s - self.true_s


@dataclass(frozen=True)
class Tool:
    """A command in a node of the lab, and how its log is read."""

    name: str
    node: str
    argv: tuple[str, ...]
    parse: Callable[[str], list[Answer]]
    readings: tuple[tuple[str, Callable[[Sequence[Answer]], float]], ...]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of all are not above (nearest rank); 0.0 of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outages", type=int, default=12)
    parser.add_argument("--longest", type=float, default=LONGEST_S, help="seconds")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(31))
    parser.add_argument("--observe", nargs=2, type=Path, metavar=("RUN", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.observe:
        return observe(*asked.observe)
    print(f"seed {asked.seed}", file=sys.stderr)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the tools inherit it, were it ignored: they end by it
    with tempfile.TemporaryDirectory() as here, running_zone(Path(here), LabOptions(time_scale=0.05)) as zone:
        return report(measure(zone, lengths(asked.outages, asked.longest, asked.seed)))


def lengths(count: int, longest_s: float, seed: int) -> list[float]:
    """Outages spread evenly over the logarithm of their length, in random order."""
    ratio = (longest_s / SHORTEST_S) ** (1 / max(1, count - 1))
    found = [SHORTEST_S * ratio**k for k in range(count)]
    random.Random(seed).shuffle(found)
    return found


def measure(zone: Zone, chosen: Sequence[float]) -> dict[str, list[Reading]]:
    """Build, start everything, cut; what each instrument says of each outage."""
    done = zone.vrbench("run", zone.profile(PROFILE), "--keep", "--plain")
    (run,) = (zone.here / "reports").glob("*/")
    if done.code not in (0, 2):
        raise SystemExit(f"no environment: exit {done.code}\n{done.err}")
    environment = RunDir(run).read_environment()
    guest, public = environment.guests[0], environment.endpoints[0]
    outside = (public.public_ip, str(public.port), str(run / "key"), str(run / "known_hosts"))
    tools = the_tools(guest.name, outside)
    logs = {tool.name: zone.here / f"{tool.name}.txt" for tool in tools}
    folder = zone.here / "raw"
    folder.mkdir()
    with observing(zone, run, folder), ExitStack() as stack:
        for tool in tools:
            stack.enter_context(running(zone, tool, logs[tool.name]))
        outages = [cut(zone, seconds) for seconds in chosen]
    said = {name: list(ours) for name, ours in our_readings(folder, outages)}
    for tool in tools:
        answers = tool.parse(logs[tool.name].read_text(errors="replace"))
        for words, read in tool.readings:
            said[f"{tool.name}, {words}"] = [Reading(read(part), o.duration_s) for o, part in parts(answers, outages)]
    return said


def cut(zone: Zone, seconds: float) -> Outage:
    """One outage between two calm times."""
    time.sleep(random.uniform(0.8, 1.2))
    outage = lifecycle.outage(zone.state, seconds, "both")
    time.sleep(CALM_S if seconds > 2 else 3.0)
    return outage


def observe(run: Path, folder: Path) -> int:
    """In the lab's outside world: vrbench's own probers, until standard input ends."""
    stored = RunDir(run)
    plan = make_plan(load_profile(PROFILE, "instruments"), "bench")
    ssh_guests = SshGuests(plan, stored.read_environment(), stored.key, HostKeyPins(stored.known_hosts))
    observation = ssh_guests.observation(folder)
    observation.start()
    print("started", flush=True)
    sys.stdin.read()
    observation.stop()
    return 0


@contextmanager
def observing(zone: Zone, run: Path, folder: Path) -> Iterator[None]:
    """vrbench's probers at work while the block lasts; their logs are whole after it."""
    argv = [sys.executable, "-m", "tests.bench.instruments", "--observe", str(run), str(folder)]
    process = subprocess.Popen(
        lifecycle.enter(zone.state, "upstream", argv),
        env=zone.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    if process.stdout.readline() != b"started\n":
        raise SystemExit("vrbench's probers did not start")
    try:
        yield
    finally:
        process.stdin.close()
        process.wait(60)


@contextmanager
def running(zone: Zone, tool: Tool, log: Path) -> Iterator[None]:
    """Run a tool in its node while the block lasts."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            lifecycle.enter(zone.state, tool.node, tool.argv),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)  # as one ends it by hand: ping writes out what it holds back
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait(30)


def the_tools(guest: str, outside: tuple[str, ...]) -> tuple[Tool, ...]:
    """Every instrument but ours."""
    fping = ("fping", "-p", "10", "-l", "-D", TARGET)
    ping = ("ping", "-n", "-D", "-O", "-i")
    python = (sys.executable, "-c")
    return (
        Tool("fping -p 10", guest, fping, fping_answers, (by_gap(0.01), by_loss(0.01))),
        Tool("ping -O -i 0.01", guest, (*ping, "0.01", TARGET), ping_answers, (by_gap(0.01), by_loss(0.01))),
        Tool("ping -O -i 0.1", guest, (*ping, "0.1", TARGET), ping_answers, (by_gap(0.1), by_loss(0.1))),
        Tool("icmplib.ping loop", guest, (*python, ICMPLIB, TARGET), loop_answers, (by_loss(0.1),)),
        Tool("ssh loop", "upstream", ("sh", "-c", SSH, "sh", *outside), loop_answers, (by_failures(),)),
        Tool("1 s sampler", "upstream", (*python, SAMPLER, *outside[:2]), loop_answers, (by_loss(1.0),)),
    )


def by_gap(interval_s: float) -> tuple[str, Callable[[Sequence[Answer]], float]]:
    """Measure the longest time between two answers, less the interval that lies there anyway."""

    def read(answers: Sequence[Answer]) -> float:
        times = [a.at for a in answers if a.good]
        return max((b - a - interval_s for a, b in itertools.pairwise(times)), default=0.0)

    return "gap between answers", read


def by_loss(interval_s: float) -> tuple[str, Callable[[Sequence[Answer]], float]]:
    """Failures times interval."""
    return "lost × interval", lambda answers: interval_s * sum(not a.good for a in answers)


def by_failures() -> tuple[str, Callable[[Sequence[Answer]], float]]:
    """From the first failure to the next success."""

    def read(answers: Sequence[Answer]) -> float:
        failed = next((a.at for a in answers if not a.good), None)
        if failed is None:
            return 0.0
        return next((a.at for a in answers if a.good and a.at > failed), answers[-1].at) - failed

    return "first failure to first success", read


def fping_answers(log: str) -> list[Answer]:
    """``[1700000000.123] 203.0.113.1 : [7], 64 bytes, …``, and the numbers between that are missing."""
    found = [(int(m[2]), float(m[1])) for m in re.finditer(r"^\[([\d.]+)\].*\[(\d+)\], \d+ bytes", log, re.M)]
    return with_missing(found)


def ping_answers(log: str) -> list[Answer]:
    """``[1700000000.123456] 64 bytes from …: icmp_seq=7 …``, and the numbers between that are missing."""
    found = [(int(m[2]), float(m[1])) for m in re.finditer(r"^\[([\d.]+)\] \d+ bytes.*icmp_seq=(\d+)", log, re.M)]
    return with_missing(found)


def with_missing(found: list[tuple[int, float]]) -> list[Answer]:
    """Return the answers, each run of missing numbers spread between its neighbours; numbers start again at 65536."""
    listed = []
    for (number, at), (following, then) in itertools.pairwise(found):
        listed.append(Answer(at, number, True))
        missing = (following - number - 1) % 65536
        listed += [Answer(at + (then - at) * (k + 1) / (missing + 1), number + k + 1, False) for k in range(missing)]
    return listed


def loop_answers(log: str) -> list[Answer]:
    """``1700000000.123 ok`` or ``… failed``, logged when the attempt had ended."""
    lines = (line.split() for line in log.splitlines())
    return [Answer(float(w[0]), k, w[1] == "ok") for k, w in enumerate(lines) if len(w) == 2]


def parts(answers: Sequence[Answer], outages: Sequence[Outage]) -> Iterator[tuple[Outage, list[Answer]]]:
    """For each outage, what was logged from a little before it until a little before the next one."""
    begins = [o.start.utc_ns / 1e9 - 0.5 for o in outages] + [float("inf")]
    for outage, begin, end in zip(outages, begins, begins[1:], strict=False):
        yield outage, [a for a in answers if begin <= a.at < end]


def our_readings(folder: Path, outages: Sequence[Outage]) -> Iterator[tuple[str, Iterator[Reading]]]:
    """Our streams across the router; the lab's guests share this machine's monotonic clock."""
    for path in sorted(folder.glob("*.raw")):
        log = read_samples(LogFile.read(path.read_bytes(), 0), THRESHOLD_S)
        for found in log.streams:
            if found.stream.probe in ("icmp-egress", "ssh-ingress"):
                rtts = [s.rtt_s for s in found.samples[:200] if s.rtt_s is not None]
                windows = find_windows(
                    found.samples,
                    Allowance(rtt_s=percentile(rtts, 0.99), grain_s=found.grain_s),
                    merge=1,
                    whole=log.ended,
                )
                yield f"**vrbench {found.stream.probe}, {found.stream.flow}**", of_windows(windows, outages)


def of_windows(windows: Sequence[OutageWindow], outages: Sequence[Outage]) -> Iterator[Reading]:
    """Read what the windows near each outage say of it together."""
    begins = [o.start.monotonic_ns / 1e9 - 0.5 for o in outages] + [float("inf")]
    for outage, begin, end in zip(outages, begins, begins[1:], strict=False):
        near = [w for w in windows if begin <= w.start_s < end]
        at_least, at_most = sum(w.at_least_s for w in near), sum(w.at_most_s for w in near)
        slack_s = (outage.start.uncertainty_ns + outage.end.uncertainty_ns) / 1e9
        held = at_least - slack_s <= outage.duration_s <= at_most + slack_s
        yield Reading(sum(w.estimate_s for w in near), outage.duration_s, held)


def report(said: dict[str, list[Reading]]) -> int:
    """Print a markdown table; return 1 when our bounds failed or one of ours is worse than the best of the others."""
    print("| instrument | mean error (ms) | worst error (ms) | outages not seen | truth within bounds |")
    print("|---|--:|--:|--:|--:|")
    worst: dict[str, float] = {}
    bad = 0
    for name, readings in said.items():
        errors = [r.error_s * 1000 for r in readings]
        worst[name] = max(errors, key=abs)
        unseen = sum(r.said_s == 0 for r in readings)
        held = [r.held for r in readings if r.held is not None]
        bounds = f"{sum(held)} of {len(held)}" if held else "gives none"
        bad += not all(held)
        print(f"| {name} | {statistics.fmean(errors):+.1f} | {worst[name]:+.1f} | {unseen} | {bounds} |")
    best = min(abs(w) for name, w in worst.items() if "vrbench" not in name)
    ours = max(abs(w) for name, w in worst.items() if "vrbench" in name and "banner" not in name)
    count = len(next(iter(said.values())))
    print(f"{count} outages; worst of ours at 10 ms {ours:.1f} ms, best of the others {best:.1f} ms")
    return int(bad > 0)


if __name__ == "__main__":
    started = time.monotonic()
    code = main()
    print(f"took {time.monotonic() - started:.0f} s", file=sys.stderr)
    sys.exit(code)
