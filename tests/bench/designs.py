"""Every restart strategy of the lab beside packet captures: each window must be the capture's to 2 ms.

    python -m tests.bench.designs [--trials 3] [--strategies …] [--time-scale 0.05]

A lab for each strategy, one after the other, restarted with cleanup again and again while a whole run probes at 10 ms.
``tcpdump`` listens in every guest and outside. From its files alone it is computed which probes failed, and from where
to where: the first unanswered packet to the first answered one, less what a round trip usually takes beyond the router
where a guest asks. A capture sees what waited for a neighbour's address leave when that was known.

Exit 1 when a window of a ping or a SYN differs from the capture's by more than 2 ms, when either has one more, when a
trial is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.bench import scene_line
from tests.bench.scene_truth import GUEST_IN, GUEST_OUT, PUBLIC_IN, PUBLIC_OUT, RECORD, Probes, Records, all_probes
from tests.cli.zone import Zone, running_zone
from vrbench.core.figures.results import Run, StreamResult, TrialResult
from vrbench.core.kinds import ICMP_FRESH, ICMP_PERSISTENT, SSH_SYN, ProbeKind
from vrbench.core.model import Direction
from vrbench.core.plan.tables import STRATEGIES
from vrbench.lab import lifecycle
from vrbench.lab.status import LabOptions
from vrbench.store.directory import RunDir
from vrbench.store.loading import load_run

KINDS = (ICMP_FRESH, ICMP_PERSISTENT, SSH_SYN)
TOLERANCE_S = 0.002
NEAR_S = 0.1  # windows that begin so near each other are the same
PROFILE = """
name = "designs"
[environment]
vms = 2
public_ips = 2
[trials]
baseline = "3s"
validation = "2s"
settle = "0s"
observe_at_most = "60s"
[probes]
interval = "10ms"
egress_target = "203.0.113.1"
control_target = "198.51.100.2"
auth = false
session = false
"""
TCPDUMP = "tcpdump -Z root -i eth0 --time-stamp-precision=nano -B 16384 -U -w -"
FILTER = "icmp or (tcp port 22 and tcp[13] & 6 != 0)"
NANOSECONDS, FILE_HEADER, PACKET_HEADER = 0xA1B23C4D, 24, struct.Struct("<IIII")
PLACES = {
    scene_line.ECHO: (GUEST_IN, scene_line.ARRIVED),
    scene_line.ECHO_REPLY: (GUEST_OUT, scene_line.SENT_ON),
    scene_line.SYN: (PUBLIC_IN, scene_line.ARRIVED),
    scene_line.SYN_ACK: (PUBLIC_OUT, scene_line.SENT_ON),
}


Key = tuple[ProbeKind, str]


@dataclass(frozen=True)
class Row:
    """One window of ours beside the capture's, either of which may be missing; starts and lengths in seconds."""

    strategy: str
    trial: int
    stream: StreamResult
    ours: tuple[float, float] | None
    capture: tuple[float, float] | None

    @property
    def difference_s(self) -> float:
        """How much longer ours is; all of a window that the other does not have."""
        return (self.ours or (0.0, 0.0))[1] - (self.capture or (0.0, 0.0))[1]

    @property
    def equal(self) -> bool:
        return bool(self.ours and self.capture) and abs(self.difference_s) <= TOLERANCE_S


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--time-scale", type=float, default=0.05)
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=STRATEGIES)
    asked = parser.parse_args()
    found: dict[str, list[Row]] = {}
    for strategy in asked.strategies:
        options = LabOptions(strategy=strategy, time_scale=asked.time_scale)
        with tempfile.TemporaryDirectory() as here, running_zone(Path(here), options) as zone:
            found[strategy] = measure(zone, strategy, asked.trials)
    return report(found)


def measure(zone: Zone, strategy: str, trials: int) -> list[Row]:
    """Run vrbench with captures beside it; all windows of both."""
    process = zone.start("run", zone.profile(PROFILE), "--trials", str(trials), "--plain")
    assert process.stderr is not None
    said = []
    with contextlib.ExitStack() as ending, contextlib.ExitStack() as captures:
        ending.callback(process.terminate)
        for line in process.stderr:
            said.append(line)
            if re.search(r"trial 1( of \d+)?: starting probers", line):
                for node in ("upstream", *(n.name for n in lifecycle.status(zone.state).nodes if n.kind == "vm")):
                    captures.enter_context(capturing(zone, node))
            if "removing" in line:
                captures.pop_all().close()
        process.communicate(timeout=60)
    (path,) = (zone.here / "reports").glob("*/")
    run = load_run(path)
    if len(run.trials) != trials:
        raise SystemExit(f"{strategy}: {len(run.trials)} trials in {path}\n{''.join(said)}")
    records = np.concatenate([read_capture(file) for file in sorted(zone.here.glob("*.pcap"))])
    return list(compare(strategy, run, together(all_probes(records, RunDir(path).read_environment()))))


def together(found: Iterable[tuple[Key, Probes]]) -> dict[Key, Probes]:
    """Put the probes of all trials together: every prober is a new one."""
    parts: dict[Key, list[Probes]] = defaultdict(list)
    for key, probes in found:
        parts[key].append(probes)
    names = ("sent_ns", "answered_ns", "refused_ns")
    joined = {key: [np.concatenate([getattr(p, name) for p in mine]) for name in names] for key, mine in parts.items()}
    order = {key: np.argsort(columns[0], kind="stable") for key, columns in joined.items()}
    return {key: Probes(*(column[order[key]] for column in columns)) for key, columns in joined.items()}


@contextlib.contextmanager
def capturing(zone: Zone, node: str) -> Iterator[None]:
    """Capture in a node while the block lasts."""
    argv = (*TCPDUMP.split(), FILTER)
    with (zone.here / f"{node}.pcap").open("wb") as out:
        enter = lifecycle.enter(zone.state, node, argv)
        tool = subprocess.Popen(enter, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE)
    assert tool.stderr is not None
    try:
        said = tool.stderr.readline()
        if b"listening on" not in said:
            raise SystemExit(f"tcpdump in {node}: {said.decode()}")
        yield
    finally:
        tool.terminate()
        tool.communicate(timeout=10)


def read_capture(path: Path) -> Records:
    """Return what a capture tells of probes, on the monotonic clock of this machine."""
    data, at, records = path.read_bytes(), FILE_HEADER, bytearray()
    if struct.unpack_from("<I", data)[0] != NANOSECONDS:
        raise SystemExit(f"{path} is no capture with nanoseconds")
    wall_ns = time.time_ns() - time.monotonic_ns()
    while at + PACKET_HEADER.size <= len(data):
        seconds, nanoseconds, length, _ = PACKET_HEADER.unpack_from(data, at)
        frame = bytes(scene_line.VNET_HDR) + data[at + PACKET_HEADER.size : at + PACKET_HEADER.size + length]
        at += PACKET_HEADER.size + length
        told = scene_line.word(frame)
        if told is not None and told[0] in PLACES:
            place, stage = PLACES[told[0]]
            t_ns = seconds * 1_000_000_000 + nanoseconds - wall_ns
            records += scene_line.RECORD.pack(t_ns, stage, place, *told)
    return np.frombuffer(bytes(records), RECORD)


def compare(strategy: str, run: Run, probes: dict[Key, Probes]) -> Iterator[Row]:
    """Yield our windows and the capture's, those about the same moment beside each other."""
    for trial in run.trials:
        for result in (r for kind in KINDS for r in trial.of(kind)):
            egress = result.stream.direction is Direction.EGRESS
            place = result.node if egress else result.stream.target.partition(":")[0]
            theirs = capture_windows(probes[result.stream.kind, place], trial, run.method.threshold_s, egress)
            ours = [(w.start_s, w.estimate_s) for w in result.windows if not w.blind]
            for one, other in pairs(ours, theirs):
                yield Row(strategy, trial.facts.number, result, one, other)


def capture_windows(probes: Probes, trial: TrialResult, threshold_s: float, egress: bool) -> list[tuple[float, float]]:
    """Return start and length of each run of unanswered probes in a trial, by the capture alone."""
    end_ns = trial.facts.observed_ns - round(threshold_s * 1e9)
    sent_s = (probes.sent_ns - trial.facts.requested_ns) / 1e9
    here = (sent_s > -trial.facts.baseline_s) & (probes.sent_ns < end_ns)
    failed, sent_s = probes.failed(threshold_s)[here], sent_s[here]
    answered = (probes.answered_ns - probes.sent_ns)[here & (probes.answered_ns > 0)]
    beyond_s = float(np.median(answered)) / 1e9 if egress else 0.0
    edges = np.flatnonzero(np.diff(np.concatenate(([False], failed, [False])).astype(np.int8)))
    found = [
        (float(sent_s[f]) + beyond_s, float(sent_s[v] - sent_s[f]) - beyond_s)
        for f, v in edges.reshape(-1, 2)
        if v < len(sent_s)
    ]
    return [(start, length) for start, length in found if start + length > 0]


Window = tuple[float, float]


def pairs(ours: Sequence[Window], theirs: Sequence[Window]) -> Iterator[tuple[Window | None, Window | None]]:
    """Yield windows that overlap or nearly do beside each other, and those that stand alone."""
    left = list(theirs)
    for one in ours:
        near = [t for t in left if t[0] < one[0] + one[1] + NEAR_S and one[0] < t[0] + t[1] + NEAR_S]
        other = min(near, key=lambda t: abs(t[0] - one[0]), default=None)
        if other is not None:
            left.remove(other)
        yield one, other
    for other in left:
        yield None, other


def report(found: dict[str, list[Row]]) -> int:
    """Print what differs, and a table by strategy and kind; 1 when anything does."""
    rows = [row for listed in found.values() for row in listed]
    for row in (r for r in rows if not r.equal):
        words = f"trial {row.trial}: {row.stream.stream.name}: ours {_words(row.ours)}, capture {_words(row.capture)}"
        print(f"{row.strategy} {words}, {row.difference_s * 1000:+.1f} ms")
    print("| strategy | stream | windows | down, mean (s) | equal to 2 ms | worst difference (ms) |")
    print("|---|---|--:|--:|--:|--:|")
    for strategy, listed in found.items():
        for kind in KINDS:
            mine = [r for r in listed if r.stream.stream.kind is kind]
            down_s = sum(r.ours[1] for r in mine if r.ours) / max(
                1, len({(r.trial, r.stream.stream.name) for r in mine})
            )
            worst = max((r.difference_s * 1000 for r in mine), key=abs, default=0.0)
            equal = sum(r.equal for r in mine)
            print(f"| `{strategy}` | {kind.key} | {len(mine)} | {down_s:.3f} | {equal} of {len(mine)} | {worst:+.2f} |")
    return int(not all(row.equal for row in rows))


def _words(window: Window | None) -> str:
    return f"{window[1]:.4f} s from {window[0]:.4f}" if window else "none"


if __name__ == "__main__":
    started = time.monotonic()
    code = main()
    print(f"took {time.monotonic() - started:.0f} s", file=sys.stderr)
    sys.exit(code)
