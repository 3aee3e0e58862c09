"""Outages and faults of quality by gates and a delay line of its own, beside what a whole run makes of them.

    python -m tests.bench.scenes [--seed N] [--outages 300] [--faults 100] [--interval 10ms 100ms] [--keep DIR]

Each part is one ``vrbench run`` with two VMs in a lab, whose operation is nothing that vrbench does. Beside it gates
are shut (packet filters at the router's interfaces, with the clock read around each commit), and a delay line on both
sides of the router loses, delays, repeats and reorders packets, and notes of every probe what really became of it.
Vrbench's own injector, clock and figures are no part of that truth.

Prints a table by kind of scene, and every comparison that fails. Exit 1 when bounds don't hold; when the estimate of an
outage is off by more than an interval and 1 ms, and what the line was held up at worst; when that of a fault is off by
more than a tenth of the time that its lost probes stand for, where that is more; when a cause is claimed that was not
there; when a window is open where nothing was wrong. ``--keep`` leaves the runs there with the truth beside their
samples, and ``--judge DIR`` judges them again without a lab: figures of other code, or a look at one scene
(``--scene 17``).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench import scene_gates
from tests.bench.scene_judge import judge_run, report
from tests.bench.scene_plan import Scene, Wanted, draw_scenes, total_s
from tests.bench.scene_truth import TRUTH, Played, keep_log
from tests.cli.zone import ROOT, Zone, running_zone
from vrbench.core.values import duration
from vrbench.lab import box, lifecycle
from vrbench.lab.status import LabOptions
from vrbench.store.directory import RunDir

VMS = 2
PART_OUTAGES = 75  # in one run, of about four minutes with 25 faults
PROFILE = """
name = "scenes"
[environment]
vms = {vms}
public_ips = {vms}
boot_timeout = "30s"
[operation]
job_timeout = "{longest_s}s"
[trials]
count = 1
baseline = "3s"
validation = "1s"
settle = "0s"
observe_at_most = "{longest_s}s"
[probes]
interval = "{interval}"
banner_interval = "100ms"
egress_target = "203.0.113.1"
control_target = "198.51.100.2"
auth = false
"""
LEAD_S = 1.0  # before the first scene
LONGEST_S = 3.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(31))
    parser.add_argument("--outages", type=int, default=300)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--interval", nargs="+", default=["10ms", "100ms"])
    parser.add_argument("--longest", default=LONGEST_S, type=float, help="seconds of the longest outage")
    parser.add_argument("--part", type=int, help="play this part alone")
    parser.add_argument("--keep", type=Path, help="a directory for the runs and the truth")
    parser.add_argument("--judge", type=Path, help="judge the runs that are kept there; nothing is played")
    parser.add_argument("--scene", type=int, help="with --judge: tell all of this scene")
    asked = parser.parse_args()
    if asked.judge:
        return report([judge_run(run) for run in sorted(asked.judge.glob("*/"))], asked.scene)
    with contextlib.ExitStack() as stack:
        kept = asked.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kept = kept.absolute()
        runs = [play(part, kept) for part in parts(asked)]
        return report([judge_run(run) for run in runs], None)


@dataclass(frozen=True)
class Part:
    """What is played in one lab."""

    number: int
    seed: int
    interval: str
    wanted: Wanted


def parts(asked: argparse.Namespace) -> Iterator[Part]:
    """Yield the parts of what was asked for, at each interval in turn."""
    print(f"seed {asked.seed}", file=sys.stderr)
    count = max(len(asked.interval), -(-asked.outages // PART_OUTAGES))
    for n in range(count):
        interval = asked.interval[n % len(asked.interval)]
        outages, faults = (of * (n + 1) // count - of * n // count for of in (asked.outages, asked.faults))
        if asked.part in (None, n):
            wanted = Wanted(outages, faults, duration(interval), asked.longest, VMS)
            yield Part(n, asked.seed + n, interval, wanted)


def play(part: Part, kept: Path) -> Path:
    """Play a part; return its run's directory, with the truth in its trial's."""
    scenes = draw_scenes(part.wanted, part.seed)
    line = f"part {part.number}: {len(scenes)} scenes in {total_s(scenes):.0f} s at {part.interval}, seed {part.seed}"
    print(line, file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as here, running_zone(Path(here), LabOptions(time_scale=0.05)) as zone:
        longest_s = round(total_s(scenes) * 1.2 + 60)
        text = PROFILE.format(vms=VMS, interval=part.interval, longest_s=longest_s)
        return Rig(zone, scenes).run(zone.profile(text), kept)


@dataclass
class Rig:
    """A run in a lab, with gates and a delay line around its router."""

    zone: Zone
    scenes: Sequence[Scene]

    def run(self, profile: str, kept: Path) -> Path:
        """Carry the run out while the scenes are played; return its directory."""
        argv = [sys.executable, "-m", "tests.bench.scene_run", profile, str(self.zone.state), str(kept)]
        with contextlib.ExitStack() as stack:
            run = stack.enter_context(self._started(lifecycle.enter(self.zone.state, "upstream", argv)))
            trial = Path(said(run, "prepared"))
            guests = self._guests(trial.parent)
            log = self.zone.here / "line.bin"
            line = stack.enter_context(self._inside("scene_line", *self._cables(), str(log)))
            gates = stack.enter_context(self._inside("scene_gates", self._router(), *self._nodes(guests)))
            said(line, "ready")
            said(gates, "ready")
            tell(run, "")
            said(run, "requested")
            played = self._play(gates, line, guests)
            tell(run, "")
            if run.wait(120):
                raise SystemExit(f"the run failed: {trial.parent}")
            assert line.stdin is not None
            assert line.stdout is not None
            line.stdin.close()
            health = json.loads(line.stdout.readline())
            keep_log(log, trial)
        (trial / TRUTH).write_text(json.dumps({"scenes": played, "line": health}), encoding="utf-8")
        return trial.parent

    def _play(
        self, gates: subprocess.Popen[str], line: subprocess.Popen[str], guests: dict[str, str]
    ) -> list[dict[str, Any]]:
        """Play all scenes from now on; return them as they were."""
        at_ns = time.monotonic_ns() + round(LEAD_S * 1e9)
        played, beats = [], []
        for number, scene in enumerate(self.scenes):
            start_ns = at_ns + round(scene.quiet_s * 1e9)
            at_ns = start_ns + round(scene.seconds * 1e9)
            guest = "" if scene.guest is None else [*guests][scene.guest]
            beats += list(_beats(scene, number, start_ns, guest, guests.get(guest, "")))
            times = {"start_ns": start_ns + round(scene.delayed_s * 1e9), "end_ns": at_ns}
            played.append(
                Played(
                    number,
                    scene.kind,
                    scene.gate,
                    guest,
                    start_ns,
                    at_ns,
                    effects=tuple({"side": e.side, "way": e.way, **times, **e.values} for e in scene.effects),
                    is_outage=scene.is_outage,
                )
            )
        tell(line, json.dumps([effect for scene in played for effect in scene.effects]))
        tell(gates, json.dumps(beats))
        assert gates.stdout is not None
        commits = json.loads(gates.stdout.readline())
        shut: dict[int, list[Any]] = defaultdict(list)
        for (label, *start), (_, *end) in zip(commits[::2], commits[1::2], strict=True):
            shut[int(label)].append((start, end))
        time.sleep(max(0.0, (at_ns - time.monotonic_ns()) / 1e9 + 1.0))
        return [{**asdict(scene), "shut": shut[scene.number]} for scene in played]

    def _router(self) -> str:
        return next(n.name for n in lifecycle.status(self.zone.state).nodes if n.kind == "router")

    def _guests(self, run: Path) -> dict[str, str]:
        """Return each VM's address by its name."""
        environment = RunDir(run).read_environment()
        return {g.name: g.ip for g in environment.guests}

    def _nodes(self, guests: dict[str, str]) -> list[str]:
        """Return what the lab calls each guest's node."""
        nodes = {a: n.name for n in lifecycle.status(self.zone.state).nodes for a in n.addresses}
        return [f"{name}={nodes[ip]}" for name, ip in guests.items()]

    def _cables(self) -> tuple[str, str]:
        """Return the router's cables to the guests and to the outside."""
        shown = subprocess.run(self._outer("ip", "-json", "link", "show"), check=True, capture_output=True).stdout
        names = [link["ifname"] for link in json.loads(shown) if "master" in link]
        guests = next(n for n in names if n.startswith("g") and n.endswith(scene_gates.GUEST_IF))
        public = next(n for n in names if n.startswith("p") and n.endswith(scene_gates.PUBLIC_IF))
        return guests, public

    def _outer(self, *argv: str) -> list[str]:
        """Return what runs a command in the lab's outer namespace."""
        inside = box.read(self.zone.state)
        assert inside is not None
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", f"--target={inside.first}", *user, "--mount", "--pid", "--net", "--", *argv]

    def _inside(self, module: str, *arguments: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
        return self._started(self._outer(sys.executable, "-m", f"tests.bench.{module}", *arguments))

    @contextlib.contextmanager
    def _started(self, argv: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        """Start a process that is spoken to by lines, and end it with the block."""
        pipe = subprocess.PIPE
        environment = {**self.zone.environment(), "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(argv, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def _beats(scene: Scene, number: int, start_ns: int, guest: str, address: str) -> Iterator[tuple[int, str, str, str]]:
    """Yield the commits of a scene's gate, shutting and opening in turn."""
    if not scene.gate:
        return
    at_guest = scene.gate == "reset by guest"
    node = guest if at_guest else scene_gates.ROUTER
    close = scene_gates.CLOSE_GUEST if at_guest else scene_gates.CLOSE
    script, at_ns = scene_gates.opening(scene.gate, address), start_ns
    for i, seconds in enumerate((*scene.beats, 0.0)):
        yield at_ns, node, close if i % 2 else script, str(number)
        at_ns += round(seconds * 1e9)


def said(process: subprocess.Popen[str], word: str) -> str:
    """Wait for a line that begins with a word; return the rest of it."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line.startswith(word):
        raise SystemExit(f"expected {word!r}, got {line!r}")
    return line.removeprefix(word).strip()


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    print(line, file=process.stdin, flush=True)


if __name__ == "__main__":
    started = time.monotonic()
    code = main()
    print(f"took {time.monotonic() - started:.0f} s", file=sys.stderr)
    sys.exit(code)
