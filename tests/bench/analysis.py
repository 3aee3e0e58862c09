"""How fast a stored run is analysed, and in how much memory.

    python -m tests.bench.analysis [--samples 5000000] [--seed 1] [--at-most-unpacks 8]

A run is made up: two trials of ten guests (fresh, persistent and control pings) and of ten addresses probed with SYN,
all at 10 ms, as the probers log them (sends in turn with a little lateness, answers in batches every 50 ms, in the
order in which they came), with an outage of some 20 s, single losses, refusals, duplicates and a prober that stood
still. ``vrbench analyze`` reads it in a process of its own. Exit 1 when that takes more than 2 s of processor time or
1 GB (of 5 million samples; with other numbers, as much in proportion).

``--at-most-unpacks N`` is for machines of unknown speed: the processor time of analysing (less that of starting) may be
N times that of unpacking the same records one by one with ``struct`` in a process like it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.cli.zone import ROOT, VRBENCH
from vrbench.core.facts import Context, NodeClock, TrialFacts
from vrbench.core.figures.results import RunState
from vrbench.core.log.rawlog import RECORD, LogHeader, RecordKind, StreamHeader, encode_header
from vrbench.core.model import Direction, Stream
from vrbench.core.plan.method import Method
from vrbench.store.directory import RunDir

TRIALS, GUESTS, ADDRESSES, PER_GUEST = 2, 10, 10, 3
STREAMS = GUESTS * PER_GUEST + ADDRESSES
INTERVAL_NS = 10_000_000
TICK_NS = 50_000_000
OUTAGE_NS = 20_000_000_000
SECONDS, MEGABYTES, AT = 2.0, 1000, 5_000_000
RECORDS = np.dtype([("kind", "u1"), ("stream", "u1"), ("detail", "<u2"), ("slot", "<u4"), ("t_ns", "<i8")])
UNPACK = """
import collections, pathlib, sys
from vrbench.core.log.rawlog import RECORD
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.raw")):
    log = path.read_bytes()
    begin = log.index(b"\\n") + 1
    collections.deque(RECORD.iter_unpack(log[begin : begin + (len(log) - begin) // 16 * 16]), maxlen=0)
"""

Bools = NDArray[np.bool_]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=AT)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-most-unpacks", type=float)
    parser.add_argument("--keep", type=Path, help="leave the run there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as here:
        run = make_run(asked.keep or Path(here), asked.samples, asked.seed)
        records = sum(path.stat().st_size for path in run.rglob("*.raw")) // RECORD.size
        print(f"{asked.samples} samples in {records} records of {TRIALS * STREAMS} streams; seed {asked.seed}")
        if asked.at_most_unpacks:
            return in_unpacks(run, asked.at_most_unpacks)
        cost = measure([*VRBENCH, "analyze", str(run)])
    share = asked.samples / AT
    print(
        f"vrbench analyze: {cost.cpu_s:.2f} s of processor time, {cost.wall_s:.2f} s in all, {cost.mb:.0f} MB at most"
    )
    return int(cost.cpu_s > SECONDS * share or cost.mb > MEGABYTES * max(share, 0.1))


@dataclass(frozen=True)
class Cost:
    """What a process took: processor time, time, and memory at its highest (resident)."""

    cpu_s: float
    wall_s: float
    mb: float


def measure(argv: Sequence[str]) -> Cost:
    """Run a command to its end, silently."""
    begun = time.monotonic()
    process = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 2):
        raise SystemExit(f"{argv} failed: {process.returncode}")
    return Cost(used.ru_utime + used.ru_stime, time.monotonic() - begun, used.ru_maxrss / 1000)


def in_unpacks(run: Path, at_most: float) -> int:
    """Compare analysing with unpacking; the quickest of three each, in turn, since other work may slow down any."""
    analyses, unpacks = [], []
    for _ in range(3):
        analyses.append(measure([*VRBENCH, "analyze", str(run)]).cpu_s)
        unpacks.append(measure([sys.executable, "-c", UNPACK, str(run)]).cpu_s)
    start_s = min(measure([*VRBENCH, "analyze", "--help"]).cpu_s for _ in range(3))
    took = (min(analyses) - start_s) / min(unpacks)
    print(f"analysing takes {took:.2f} times as long as unpacking one by one (at most {at_most:g})")
    return int(took > at_most)


def make_run(reports: Path, samples: int, seed: int) -> Path:
    """Make a run directory with about so many samples in all."""
    draw = np.random.default_rng(seed)
    run = RunDir.create(reports, "20261124T120000Z-0badcafe-bench", samples * 40)
    context = Context("bench", "4.20.2.0", "KVM", "restart-network-cleanup", lab=False)
    run.write_run(RunState.DONE, context, Method(0.01, 0.25, 0.8, 1, 15.0, 10.0), {})
    slots = samples // (TRIALS * STREAMS)
    for number in range(1, TRIALS + 1):
        requested = slots // 3 * INTERVAL_NS + 1_000_000_000
        for node, kinds in nodes():
            (run.trial(number) / f"{node}.raw").write_bytes(make_log(draw, node, kinds, slots, requested))
        clocks = {f"vm{n}": NodeClock(0, 100_000) for n in range(GUESTS)}
        run.write_facts(TrialFacts(number, "2026-11-24T12:00:00.000Z", requested, 15.0, job_s=9.0, clocks=clocks))
    return run.path


def nodes() -> Iterator[tuple[str, list[Stream]]]:
    """Every log's node and streams."""
    for n in range(GUESTS):
        yield (
            f"vm{n}",
            [
                Stream(f"icmp-egress/vm{n}/fresh", Direction.EGRESS, "icmp-egress", "fresh", "203.0.113.1", 0.01),
                Stream(f"icmp-egress/vm{n}/old", Direction.EGRESS, "icmp-egress", "persistent", "203.0.113.1", 0.01),
                Stream(f"control/vm{n}", Direction.CONTROL, "control", "fresh", "10.1.1.9", 0.01),
            ],
        )
    ends = [f"198.51.100.{n}:22" for n in range(ADDRESSES)]
    yield "harness", [Stream(f"ssh-ingress/{e}/syn", Direction.INGRESS, "ssh-ingress", "syn", e, 0.01) for e in ends]


def make_log(draw: np.random.Generator, node: str, streams: list[Stream], slots: int, requested_ns: int) -> bytes:
    """One prober's log."""
    start_ns = 1_000_000_000
    phases = [start_ns + i * INTERVAL_NS // len(streams) for i in range(len(streams))]
    header = LogHeader(
        node, start_ns, tuple(StreamHeader(s, p, INTERVAL_NS) for s, p in zip(streams, phases, strict=True))
    )
    shape = (slots, len(streams))
    due = np.array(phases)[None, :] + np.arange(slots)[:, None] * INTERVAL_NS
    sent = due + draw.exponential(60_000, shape).astype(np.int64)
    answered = sent + 300_000 + draw.exponential(150_000, shape).astype(np.int64)
    there = np.ones(shape, dtype=np.bool_)
    stood_still = draw.integers(slots)
    there[stood_still : stood_still + 150] = False
    crosses = np.array([s.direction is not Direction.CONTROL for s in streams])
    down = (sent > requested_ns + 500_000_000) & (sent < requested_ns + OUTAGE_NS) & crosses
    lost = down | (draw.random(shape) < 2e-5)
    refused = down & (draw.random(shape) < 0.05)
    twice = draw.random(shape) < 1e-4
    parts = [
        some(RecordKind.SENT, sent, there),
        some(RecordKind.REPLY, answered, there & ~lost),
        some(RecordKind.REPLY, answered + 40_000, there & ~lost & twice),
        some(RecordKind.REFUSED, answered, there & refused),
    ]
    wall = np.zeros(slots // 100, RECORDS)
    wall["kind"], wall["t_ns"] = RecordKind.WALL, 1_763_985_600_000_000_000
    written = [np.where(p["kind"] == RecordKind.SENT, p["t_ns"], (p["t_ns"] // TICK_NS + 1) * TICK_NS) for p in parts]
    written.append(start_ns + np.arange(len(wall)) * 1_000_000_000)
    records = np.concatenate([*parts, wall])
    order = np.lexsort((records["t_ns"], np.concatenate(written)))
    end = RECORD.pack(RecordKind.END, 0, 0, 0, int(sent.max()) + 1_000_000_000)
    return encode_header(header) + records[order].tobytes() + end


def some(kind: RecordKind, times: NDArray[np.int64], chosen: Bools) -> NDArray[np.void]:
    """Make records of a kind for the chosen slots (rows) and streams (columns)."""
    slots, streams = np.nonzero(chosen)
    records = np.zeros(len(slots), RECORDS)
    records["kind"], records["stream"], records["slot"], records["t_ns"] = kind, streams, slots, times[chosen]
    return records


if __name__ == "__main__":
    sys.exit(main())
