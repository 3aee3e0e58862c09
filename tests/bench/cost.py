"""What probing costs: CPU per probe, memory, and how punctual it stays under many targets.

    python -m tests.bench.cost [--seconds 10]

Two network namespaces joined by a cable; the far one answers for a whole prefix. Our probers run as the harness and the
guests run them; fping runs at the same rate, and so does the least that any program could do at our schedule (floor.c,
built with gcc): what it pays is the kernel's and this machine's price, the far end's work included, since between
namespaces the sender does that too. Each has the machine for itself. CPU is what the scheduler counted for the process
(/proc/PID/task/*/schedstat) between two moments of steady work, start-up left out. All of it twice: on cores that sleep
between probes, and on such as are kept awake. Exit 1 when one of the limits of CPU per probe, share of a core, memory
or punctuality is missed; on a busy machine each figure is an upper bound, since caches are shared.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from tests.probes.box import Box
from tests.probes.rig import Agent, wait_for
from vrbench.core.log.rawlog import RecordKind, decode_header, decode_records
from vrbench.core.model import Direction, Stream
from vrbench.core.plan.schedule import phases
from vrbench.probes.config import PhasedStream, at_once
from vrbench.probes.prober_process import ProberConfig, start_prober

NEAR, FAR = "10.49.0.1", "10.49.0.2"
PER_PROBER = 250  # a raw log numbers its streams in one byte
ON_TIME_NS = 2_000_000
SETTLED_S = 1.0
PYTHONS = (Path(sys.executable).name, Path(sys.executable).resolve().name)
NAMES = {"fping": "fping", "floor": "bare C loop"}


@dataclass(frozen=True)
class Figure:
    """One measured figure, and what it must not exceed (or, with ``least``, not fall below)."""

    what: str
    value: float
    unit: str
    limit: float | None = None
    least: bool = False

    @property
    def missed(self) -> bool:
        if self.limit is None:
            return False
        return self.value < self.limit if self.least else self.value > self.limit

    def __str__(self) -> str:
        bound = "" if self.limit is None else f"{'at least' if self.least else 'at most'} {self.limit:g} {self.unit}"
        return f"| {self.what} | {self.value:.4g} {self.unit} | {bound} | {'**missed**' if self.missed else ''} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--targets", type=int, default=1000)
    parser.add_argument("--ratios", action="store_true", help="hold only three times fping's CPU per probe")
    asked = parser.parse_args()
    figures: list[Figure] = []
    with joined() as box:
        for cores, keep in (("idle cores", nullcontext), ("cores awake", awake)):
            with tempfile.TemporaryDirectory() as here, keep():
                found = list(in_a_guest(box, Path(here), asked.seconds))
                if keep is nullcontext or not asked.ratios:  # on cores that are awake no ratio is held
                    found += beside_fping(box, Path(here), asked.seconds)
                    found += many_targets(box, Path(here), asked.seconds, asked.targets)
            figures += [replace(figure, what=f"{cores}: {figure.what}") for figure in found]
    print("| what | measured | limit | |\n|---|--:|--:|---|")
    for figure in figures:
        print(figure)
    if asked.ratios:
        ours, theirs = (
            next(f.value for f in figures if f.what.startswith(f"idle cores: {who}, 20 t"))
            for who in ("vrbench", "fping")
        )
        return int(ours > 3 * theirs)
    return int(any(figure.missed for figure in figures))


@contextmanager
def awake() -> Iterator[None]:
    """Something of the lowest priority computes on every core, so that none of them sleeps between two probes.

    A core that sleeps wakes up slow and with cold caches, a virtual one after its hypervisor has run something else,
    and all of that is counted as the CPU time of whoever woke up.
    """
    loop = ["nice", "-n", "19", "timeout", "900", "sh", "-c", "while :; do :; done"]
    busy = [subprocess.Popen(loop) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for process in busy:
            process.terminate()  # timeout hands it on to its shell
            process.wait()


@contextmanager
def joined() -> Iterator[Box]:
    """``near`` and ``far``, the latter answering for 10.50.0.0/16."""
    box = Box()
    try:
        box.sh(
            None,
            f"""
            for n in near far; do ip netns add $n; ip -n $n link set lo up; done
            ip link add v0 netns near type veth peer name v1 netns far
            ip -n near addr add {NEAR}/24 dev v0; ip -n near link set v0 up
            ip -n far addr add {FAR}/24 dev v1; ip -n far link set v1 up
            ip -n far route add local 10.50.0.0/16 dev lo
            ip -n near route add 10.50.0.0/16 via {FAR}
            """,
        )
        yield box
    finally:
        box.close()


def address(number: int) -> str:
    return f"10.50.{number // 250}.{number % 250 + 1}"


def streams(targets: range, interval_s: float, flow: str = "persistent") -> tuple[PhasedStream, ...]:
    """One stream per target, phases as in a trial."""
    return tuple(
        PhasedStream(Stream(f"icmp/{n}", Direction.EGRESS, "icmp-egress", flow, address(n), interval_s), phase_s)
        for n, phase_s in zip(targets, phases(len(targets), interval_s, targets.start), strict=True)
    )


@dataclass
class Prober:
    """A prober of ours at work, and where it logs."""

    pid: int
    log: Path


@contextmanager
def probing(box: Box, log: Path, chosen: tuple[PhasedStream, ...]) -> Iterator[Prober]:
    """Run a prober of the harness's in ``near`` while the block lasts."""
    with box.inside("near"):
        observer = start_prober(ProberConfig("icmp", "harness", log, chosen))
    try:
        yield Prober(observer.pid, log)
    finally:
        observer.stop()


def cpu_ns(pid: int) -> int:
    """Add up what all threads of a process have run for."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def spent(pids: Sequence[int], seconds: float) -> tuple[list[int], float]:
    """CPU (ns) of each process over the next seconds, and how many these were."""
    wait(SETTLED_S)
    before, begun = [cpu_ns(pid) for pid in pids], time.monotonic()
    wait(seconds)
    took_s = time.monotonic() - begun
    return [cpu_ns(pid) - was for pid, was in zip(pids, before, strict=True)], took_s


def wait(seconds: float) -> None:
    end = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() >= end, "time to pass", seconds + 10)


def beside_fping(box: Box, here: Path, seconds: float) -> Iterator[Figure]:
    """One target and twenty, 100 probes a second each: our prober, fping and the bare loop, one after another."""
    floor = here / "floor"
    subprocess.run(["gcc", "-O2", "-o", floor, Path(__file__).with_name("floor.c")], check=True)
    for count, limit in ((1, None), (20, 10.0)):
        rate, some = count * 100, f"{count} {'target' if count == 1 else 'targets'} × 100/s"
        for flow in ("persistent", "fresh"):
            with probing(box, here / f"{count}{flow}.raw", streams(range(count), 0.01, flow)) as ours:
                (used,), took_s = spent([ours.pid], seconds)
            yield Figure(f"vrbench, {some}, {flow}", used / 1000 / took_s / rate, "µs per probe", limit)
            if count > 1:
                yield Figure(f"vrbench, {count} streams × 100/s, {flow}", used / 1e7 / took_s, "% of a core", 3.0)
        targets = [address(n) for n in range(count)]
        others = {
            "fping": ("fping", "-q", "-p", "10", "-i", "0", "-l", *targets),
            "floor": (str(floor), str(len(set(phases(count, 0.01, 0)))), *targets),
        }
        for name, argv in others.items():
            spawned = box.spawn("near", *argv)
            try:
                (used,), took_s = spent([command_pid(spawned.pid, name)], seconds)
            finally:
                box.kill(spawned)
            yield Figure(f"{NAMES[name]}, {some}", used / 1000 / took_s / rate, "µs per probe")


def command_pid(parent: int, name: str) -> int:
    """Wait for the process of that name below ``parent``, as soon as there is one."""
    wait_for(lambda: bool(named(parent, name)), f"{name} to run")
    return named(parent, name)[0]


def named(parent: int, name: str) -> list[int]:
    found = [parent]
    for pid in found:
        found += [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [pid for pid in found if Path(f"/proc/{pid}/comm").read_text().strip() == name]


FPING = 1.25  # about 1; one and the same code varies by a fifth from run to run, as fping does


def in_a_guest(box: Box, here: Path, seconds: float) -> Iterator[Figure]:
    """Measure the agent as it runs in guests, its follower, and fping beside them in the same seconds.

    An old flow and new ones, and the four pings of an ordinary trial. What four cost is mostly the kernel's: the bare
    loop, which logs nothing, takes two thirds of it.
    """
    for flows in (("persistent", "fresh"), ("persistent", "fresh", "persistent", "persistent")):
        count = len(flows)
        home = here / f"agent{count}"
        home.mkdir()
        agent = Agent(box, home, guest="near")
        chosen = [streams(range(k, k + 1), 0.01, flow)[0].stream for k, flow in enumerate(flows)]
        agent.configure(*at_once(chosen, count), max_s=seconds + 60)
        agent.start()
        spawned = (
            box.spawn("near", *agent.prefix, "follow", str(agent.log), "0"),
            box.spawn("near", "fping", "-q", "-p", "10", "-i", "0", "-l", *map(address, range(count))),
        )
        pid, follower, fping = agent.pid(), inmost(spawned[0].pid), command_pid(spawned[1].pid, "fping")
        (mine, following, theirs), took_s = spent((pid, follower, fping), seconds)
        memory = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        assert memory is not None
        for other in spawned:
            box.kill(other)
        agent.stop()
        what = f"guest agent and its follower, {count} × 100/s"
        yield Figure(what, (mine + following) / 1e7 / took_s, "% of a core", 1.5 if count == 2 else None)
        yield Figure(what, (mine + following) / theirs, "times fping beside them", FPING)
        yield Figure(f"guest agent, {count} × 100/s", int(memory[1]) / 1024, "MB resident", 20.0)


def inmost(parent: int) -> int:
    """Wait for the process at the end of the chain of children below ``parent``, once it runs Python."""
    wait_for(lambda: any(named(parent, name) for name in PYTHONS), "the follower")
    return next(pids[0] for pids in (named(parent, name) for name in PYTHONS) if pids)


def many_targets(box: Box, here: Path, seconds: float, count: int) -> Iterator[Figure]:
    """Measure a thousand targets at 10/s, on one core, with as many probers as that takes."""
    shares = [range(first, min(first + PER_PROBER, count)) for first in range(0, count, PER_PROBER)]
    with ExitStack() as stack:
        stack.enter_context(one_core())
        probers = [
            stack.enter_context(probing(box, here / f"many{k}.raw", streams(share, 0.1)))
            for k, share in enumerate(shares)
        ]
        begun_ns = time.monotonic_ns()  # on the one core, starting or ending a prober holds up the others
        used, took_s = spent([p.pid for p in probers], seconds)
        ended_ns = time.monotonic_ns()
    counted = [punctual(p.log, begun_ns, ended_ns) for p in probers]
    slots, on_time, answered = (sum(c[k] for c in counted) for k in range(3))
    what = f"{count} targets × 10/s on one core"
    yield Figure(what, sum(used) / 1000 / took_s / (count * 10), "µs per probe", 10.0)
    yield Figure(what, sum(used) / 1e7 / took_s, "% of the core", 100.0)
    yield Figure(what, 100 * on_time / slots, "% sent within 2 ms of plan", 99.9, least=True)
    yield Figure(what, 100 * answered / slots, "% answered")


@contextmanager
def one_core() -> Iterator[None]:
    """Keep what is started in the block on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def punctual(path: Path, begun_ns: int, ended_ns: int) -> tuple[int, int, int]:
    """Slots of all streams due between two moments, how many of them were sent in time, and how many answered."""
    log = path.read_bytes()
    header, offset = decode_header(log)
    due = [
        range(*(max(0, -((h.start_ns - at) // h.interval_ns)) for at in (begun_ns, ended_ns))) for h in header.streams
    ]
    on_time = answered = 0
    for r in decode_records(log, offset, len(header.streams)):
        if r.kind is RecordKind.SENT and r.slot in due[r.stream]:
            h = header.streams[r.stream]
            on_time += r.t_ns - (h.start_ns + r.slot * h.interval_ns) <= ON_TIME_NS
        answered += r.kind is RecordKind.REPLY and r.slot in due[r.stream]
    return sum(map(len, due)), on_time, answered


if __name__ == "__main__":
    sys.exit(main())
