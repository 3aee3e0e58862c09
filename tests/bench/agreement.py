"""Our windows beside fping's and a packet capture's, of the same outages in the same trials.

    python -m tests.bench.agreement [--trials 20]

A lab with three VMs is restarted with cleanup again and again while vrbench probes at 10 ms. In the first guest runs
``fping -p 10 -l -D``; on the public side runs tcpdump. fping's gap is the time between the replies around an outage,
less the one interval that lies between any two replies; the capture's is from the first unanswered SYN to the first
answered one.

Two instruments of one interval with phases of their own may differ by two intervals about the same outage, since each
may be off by one. With four uniform phases fping's gap lies inside our bounds in 11 of 12 windows (each side misses
with P(A > B + C + D) = 1/24) and the estimates within one interval and a half in 199 of 200 (2 (1/2)^4 / 4!). The
capture sees the very packets we send and has no such freedom. So: exit 1 when a window's bounds, widened by fping's own
one interval, don't hold its gap; when the capture's are not held as they stand; when a trial is missing. The strict
counts are printed for both. What fping itself sends is captured in its guest: a gap beside which it left out a probe of
its own, since it was held up, is as long as the hold-up and says nothing of the network.
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.cli.zone import Zone, running_zone
from vrbench.core.figures.results import Run, TrialResult
from vrbench.core.kinds import SSH_SYN
from vrbench.core.model import Direction, OutageWindow
from vrbench.lab import lifecycle
from vrbench.lab.status import LabOptions
from vrbench.store.loading import load_run

INTERVAL_S = 0.010
TOLERANCE_S = INTERVAL_S + 0.005
PROFILE = """
name = "agreement"
[environment]
vms = 3
public_ips = 3
[trials]
baseline = "2s"
validation = "2s"
settle = "0s"
observe_at_most = "60s"
[probes]
interval = "10ms"
egress_target = "203.0.113.1"
control_target = "198.51.100.2"
"""
TCPDUMP = ("tcpdump", "-i", "eth0", "-nn", "-tt", "-l")
FPING_BYTES = 120  # of data, by which its packets are known
SYN_FILTER = "tcp port 22 and (tcp[13] & 2 != 0)"
RAW_PORTS = range(10_000, 32_001)


@dataclass(frozen=True)
class Gap:
    """An outage as another tool saw it: when it began (wall clock) and how long it was, both in seconds."""

    start: float
    length: float


@dataclass(frozen=True)
class Row:
    """One window of ours beside one gap of theirs."""

    trial: int
    stream: str
    tool: str
    window: OutageWindow
    gap: Gap
    held_up: bool  # the tool was, beside the gap

    @property
    def held(self) -> bool:
        return self.window.at_least_s <= self.gap.length <= self.window.at_most_s

    @property
    def consistent(self) -> bool:
        """Held, given what the tool itself can't know, and whether it kept its own pace."""
        if self.held_up:
            return True
        grain = INTERVAL_S + 0.002 if self.tool == "fping" else 0.0005
        return self.window.at_least_s - grain <= self.gap.length <= self.window.at_most_s + grain

    @property
    def difference_s(self) -> float:
        return self.window.estimate_s - self.gap.length


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as here, running_zone(Path(here), LabOptions(time_scale=0.05)) as zone:
        rows = measure(zone, trials)
    return report(rows, trials)


def measure(zone: Zone, trials: int) -> list[Row]:
    """Run vrbench with the two tools beside it; all comparisons."""
    profile = zone.profile(PROFILE)
    process = zone.start("run", profile, "--trials", str(trials), "--plain")
    assert process.stderr is not None
    tools: list[subprocess.Popen[bytes]] = []
    fping_log, sent_log, capture_log = (zone.here / f"{name}.txt" for name in ("fping", "sent", "capture"))
    try:
        for line in process.stderr:
            if re.search(r"trial 1( of \d+)?: baseline", line):
                guest = sorted(n.name for n in lifecycle.status(zone.state).nodes if n.kind == "vm")[0]
                tools.append(start(zone, guest, sent_log, *TCPDUMP, f"icmp[0] = 8 and ip[2:2] = {FPING_BYTES + 28}"))
                size = ("-b", str(FPING_BYTES))
                tools.append(start(zone, guest, fping_log, "fping", *size, "-p", "10", "-l", "-D", "203.0.113.1"))
                tools.append(start(zone, "upstream", capture_log, *TCPDUMP, SYN_FILTER))
            if "removing" in line:
                for tool in tools:
                    tool.terminate()
        process.communicate(timeout=60)
    finally:
        process.terminate()
        for tool in tools:
            tool.terminate()
            tool.wait(10)
    (path,) = (zone.here / "reports").glob("*/")
    run = load_run(path)
    if process.returncode != 0 or len(run.trials) != trials:
        raise SystemExit(f"the run itself failed: exit {process.returncode}, {len(run.trials)} trials in {path}")
    return list(compare(run, fping_log.read_text(), sent_log.read_text(), capture_log.read_text()))


def start(zone: Zone, node: str, log: Path, *argv: str) -> subprocess.Popen[bytes]:
    """Start a tool in a node, writing to ``log``."""
    with log.open("wb") as out:
        return subprocess.Popen(
            lifecycle.enter(zone.state, node, argv), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL
        )


def compare(run: Run, fping: str, sent: str, capture: str) -> Iterator[Row]:
    """Our windows of the first guest beside fping's gaps, those of every address beside the capture's."""
    by_fping, held_up = fping_gaps(fping), hold_ups(sent)
    by_capture = capture_gaps(capture)
    for trial in run.trials:
        zero = datetime.fromisoformat(trial.facts.requested_utc).timestamp()
        for stream in trial.headline(Direction.EGRESS):
            if "/vm1/" in stream.stream.name:
                yield from beside(trial, stream.stream.name, "fping", stream.windows, by_fping, zero, held_up)
        for stream in trial.of(SSH_SYN):
            gaps = by_capture[stream.stream.target.partition(":")[0]]
            yield from beside(trial, stream.stream.name, "capture", stream.windows, gaps, zero)


def beside(
    trial: TrialResult,
    name: str,
    tool: str,
    windows: Sequence[OutageWindow],
    gaps: Sequence[Gap],
    zero: float,
    held_up: Sequence[Gap] = (),
) -> Iterator[Row]:
    """Each outage with the gap that overlaps it most; one without any is a disagreement of its whole length.

    A blind window claims no outage, only how long one can have been. Where our prober was held up, the other tool
    mostly was too, and its gap is of its own making.
    """
    for window in windows:
        if window.blind:
            continue
        begin = zero + window.start_s
        end = begin + window.estimate_s
        near = [g for g in gaps if g.start < end + 0.05 and g.start + g.length > begin - 0.05]
        gap = max(near, key=lambda g: g.length, default=Gap(begin, 0.0))
        yield Row(trial.facts.number, name, tool, window, gap, any(touch(gap, hold_up) for hold_up in held_up))


def touch(gap: Gap, hold_up: Gap) -> bool:
    """Return whether a hold-up lies at or near an end of a gap, or within it."""
    return hold_up.start < gap.start + gap.length + 0.05 and hold_up.start + hold_up.length > gap.start - 0.05


def hold_ups(sent: str) -> list[Gap]:
    """Find the times between probes of fping's of more than two intervals, as a capture beside it tells."""
    times = [float(at) for at in re.findall(r"^([\d.]+) IP ", sent, re.MULTILINE)]
    return [Gap(a, b - a) for a, b in itertools.pairwise(times) if b - a > 2 * INTERVAL_S]


def fping_gaps(log: str) -> list[Gap]:
    """Find the times between replies of more than two intervals, less one interval."""
    times = [float(m[1]) for m in re.finditer(r"^\[([\d.]+)\] .*bytes", log, re.MULTILINE)]
    pairs = itertools.pairwise(times)
    return [Gap(a + INTERVAL_S, b - a - INTERVAL_S) for a, b in pairs if b - a > 2 * INTERVAL_S]


def capture_gaps(log: str) -> dict[str, list[Gap]]:
    """Per address: from the first unanswered SYN to the first answered one after it."""
    sent: dict[str, list[tuple[float, str]]] = defaultdict(list)
    answered: set[tuple[str, str]] = set()
    pattern = re.compile(r"^([\d.]+) IP (\S+)\.(\d+) > (\S+)\.(\d+): Flags \[(S\.?)\], seq (\d+)(?:, ack (\d+))?", re.M)
    for m in pattern.finditer(log):
        if m[6] == "S" and int(m[3]) in RAW_PORTS:
            sent[m[4]].append((float(m[1]), f"{m[3]} {m[7]}"))
        elif m[6] == "S." and int(m[5]) in RAW_PORTS:
            answered.add((m[2], f"{m[5]} {(int(m[8]) - 1) & 0xFFFFFFFF}"))
    return {address: list(gaps_of(address, probes, answered)) for address, probes in sent.items()}


def gaps_of(address: str, probes: list[tuple[float, str]], answered: set[tuple[str, str]]) -> Iterator[Gap]:
    """Find runs of unanswered SYNs to one address."""
    begun: float | None = None
    for at, probe in probes:
        if (address, probe) in answered:
            if begun is not None:
                yield Gap(begun, at - begun)
            begun = None
        elif begun is None:
            begun = at


def report(rows: list[Row], trials: int) -> int:
    """Print every comparison and a verdict per tool; 1 when one fails or is missing."""
    bad = 0
    print("trial  stream                            tool     window                    gap      held  difference")
    for r in rows:
        w = r.window
        bounds = f"{w.estimate_s:.3f} ({w.at_least_s:.3f}-{w.at_most_s:.3f})"
        mark = "yes" if r.held else "held up" if r.held_up else "NO"
        print(
            f"{r.trial:5}  {r.stream:32}  {r.tool:7}  {bounds:24}  {r.gap.length:.3f}  {mark:4}  {r.difference_s:+.4f}"
        )
    for tool in ("fping", "capture"):
        mine = [r for r in rows if r.tool == tool]
        held = sum(r.held for r in mine)
        close = sum(abs(r.difference_s) <= TOLERANCE_S for r in mine)
        consistent = sum(r.consistent for r in mine)
        covered = len({r.trial for r in mine})
        worst = max((abs(r.difference_s) for r in mine), default=0.0)
        print(
            f"{tool}: {covered} of {trials} trials; bounds hold in {held} of {len(mine)} windows, with the tool's own "
            f"grain in {consistent}; estimates within {TOLERANCE_S * 1000:.0f} ms in {close} of {len(mine)}; "
            f"worst {worst * 1000:.1f} ms"
        )
        bad += covered < trials or consistent < len(mine)
    return int(bad > 0)


if __name__ == "__main__":
    started = time.monotonic()
    code = main()
    print(f"took {time.monotonic() - started:.0f} s")
    sys.exit(code)
