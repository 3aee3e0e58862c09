"""Probers that wait for their pages from a slow swap disk: they see gaps, never an outage and never a path that is up.

    python -m tests.bench.swap [--rounds 5] [--seed N] [--keep FOLDER]

Needs root, and a machine that lets it swap. Every prober of a trial runs in a routed box with two guests; those of the
harness, of the guests, or all of them are swapped out for two seconds and read their pages back from a disk of 20, 150
or 600 reads a second (nothing else is out, or slow). With nothing cut, no stream may have an outage; where all are out,
the path is cut meanwhile, or before, or goes on being cut: bounds must hold the true length. No slot of a trial may
claim "up" while the path was surely down, or "down" while it was up. Exit 1 when one does, or when the probers went on
seeing more than half of their slots: then nobody was held up. ``--keep`` holds the raw logs of every round that failed.
"""

from __future__ import annotations

import argparse
import collections
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from tests.bench.swapping import Swap, swap
from tests.probes.box import Box, routed_box
from tests.probes.trials import Trial, check_truth, reachable, trial
from vrbench.core.figures.results import StreamResult, TrialResult
from vrbench.core.model import Outcome, Sample
from vrbench.probes.observation import SshGuests

OUT_S = 2.0
AFTER_S = 2.0  # until those with the largest interval have seen the path again
READS_PER_S = (20, 150, 600)
TRANSIT_NS = 50_000_000  # a probe that left so shortly before a cut may be lost in it


@dataclass(frozen=True)
class Scene:
    """Who is out, and when the path is cut and mended (seconds from when they are out)."""

    who: str
    cut: tuple[float, float] | None = None

    def __str__(self) -> str:
        return self.who + (f", cut from {self.cut[0]:+g} s to {self.cut[1]:+g} s" if self.cut else "")


SCENES = (
    Scene("harness"),
    Scene("guests"),
    Scene("all"),
    Scene("all", (0.4, 1.2)),
    Scene("all", (-0.5, 1.2)),
    Scene("all", (0.8, 2.8)),
)


@dataclass
class Tally:
    """What became of the slots that were due while their probers were out, and what was wrong in the whole trial."""

    rounds: int = 0
    out_kb: int = 0
    slots: int = 0
    unseen: int = 0
    up: int = 0
    down: int = 0
    false_up: int = 0
    false_down: int = 0
    false_windows: int = 0
    outside: int = 0

    def wrong(self) -> bool:
        return bool(self.false_up + self.false_down + self.false_windows + self.outside) or 2 * self.unseen < self.slots


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of each of the scenes")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(31))
    parser.add_argument("--keep", type=Path, help="folder for raw logs of rounds that failed")
    asked = parser.parse_args()
    for word in (signal.SIGINT, signal.SIGTERM):
        signal.signal(word, signal.default_int_handler)
    print(f"seed {asked.seed}", file=sys.stderr)
    chance = random.Random(asked.seed)
    tallies: dict[Scene, Tally] = collections.defaultdict(Tally)
    with ExitStack() as held:
        home = Path(held.enter_context(tempfile.TemporaryDirectory()))
        slow = held.enter_context(swap(home))
        box = held.enter_context(closing(routed_box(guests=2)))
        ssh_guests = held.enter_context(reachable(box, home))
        for number, scene in product(range(asked.rounds), SCENES):
            folder = home / f"{number}-{SCENES.index(scene)}"
            complaints = play(slow, ssh_guests, box, folder, scene, chance.choice(READS_PER_S), tallies[scene])
            for line in complaints:
                print(f"round {number}, {scene}: {line}", file=sys.stderr, flush=True)
            if complaints and asked.keep:
                shutil.copytree(folder, asked.keep / folder.name, dirs_exist_ok=True)
    return report(tallies)


def play(
    slow: Swap, ssh_guests: SshGuests, box: Box, folder: Path, scene: Scene, reads_per_s: int, tally: Tally
) -> list[str]:
    """One trial of the scene, added to its tally; what was wrong, in words."""
    with trial(ssh_guests, box, folder) as begun:
        pids = {"harness": begun.harness_pids(), "guests": begun.agent_pids()}
        out = pids.get(scene.who) or [*pids["harness"], *pids["guests"]]
        cut, held, moments = ExitStack(), ExitStack(), [0, 0]

        def push_out() -> None:
            tally.out_kb += held.enter_context(slow.swapped_out(out, reads_per_s))
            moments[0] = time.monotonic_ns()

        def fetch_back() -> None:
            moments[1] = time.monotonic_ns()
            held.close()

        steps: list[tuple[float, Callable[[], object]]] = [(0.0, push_out), (OUT_S, fetch_back)]
        if scene.cut:
            steps += [(scene.cut[0], lambda: cut.enter_context(begun.cut())), (scene.cut[1], cut.close)]
        steps.sort(key=lambda step: step[0])
        with held, cut:
            at_s = steps[0][0]
            for due_s, step in steps:
                begun.spend(due_s - at_s)
                at_s = due_s
                step()
        begun.spend(AFTER_S)
        result = begun.end()
    tally.rounds += 1
    return judge(result, begun, scene, (moments[0], moments[1]), tally)


def judge(result: TrialResult, begun: Trial, scene: Scene, out_ns: tuple[int, int], tally: Tally) -> list[str]:
    """Count what every slot of every stream claims beside the truth; what was wrong, in words."""
    wrong: list[str] = []
    for s in result.streams:
        cuts = begun.cuts
        if cuts and not s.stream.kind.headline:
            continue  # which of them a cut hits, and for how long, is not known: a session stays silent for longer
        swapped = scene.who in ("all", "harness" if s.node == "harness" else "guests")
        for sample, at_ns in moments_of(s, result):
            if swapped and out_ns[0] <= at_ns <= out_ns[1]:
                tally.slots += 1
                tally.up += sample.outcome is Outcome.REPLIED
                tally.down += sample.outcome.is_down
                tally.unseen += sample.outcome.is_gap
            slot = f"{s.node} {s.stream.name} slot {sample.slot}"
            if sample.outcome is Outcome.REPLIED and any(c.began[1] < at_ns < c.ended[0] for c in cuts):
                tally.false_up += 1
                wrong.append(f"{slot} was answered while the path was cut")
            if sample.outcome.is_down and not any(c.began[0] - TRANSIT_NS < at_ns < c.ended[1] for c in cuts):
                tally.false_down += 1
                wrong.append(f"{slot} is {sample.outcome.value} though nothing was cut")
        if not cuts and s.outages:
            tally.false_windows += len(s.outages)
            wrong.append(f"{s.node} {s.stream.name}: {s.outages}")
    try:
        if begun.cuts:
            check_truth(result, begun.cuts)
    except AssertionError as error:
        tally.outside += 1
        wrong.append(f"outside its bounds: {error}")
    return wrong


def moments_of(stream: StreamResult, result: TrialResult) -> Iterator[tuple[Sample, int]]:
    """Its slots, and when each was sent, or due (monotonic ns of this machine, whose clock the guests share)."""
    clock = result.facts.clocks.get(stream.node)
    zero_ns = result.facts.requested_ns + (clock.offset_ns if clock else 0)
    for sample in stream.samples:
        yield sample, zero_ns + round((sample.due_s if sample.sent_s is None else sample.sent_s) * 1e9)


def report(tallies: dict[Scene, Tally]) -> int:
    """Print a markdown table; return 1 when something was claimed wrongly, or nobody was held up."""
    print("| swapped out | rounds | MB out | slots due | unseen | up | down | false up | false down | false windows |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for scene, t in tallies.items():
        counts = (t.slots, t.unseen, t.up, t.down, t.false_up, t.false_down, t.false_windows)
        print(f"| {scene} | {t.rounds} | {t.out_kb / 1024:.0f} | " + " | ".join(map(str, counts)) + " |")
    outside, bad = sum(t.outside for t in tallies.values()), [str(s) for s, t in tallies.items() if t.wrong()]
    print(f"rounds with bounds that did not hold the truth: {outside}" + "".join(f"\nMISSED: {name}" for name in bad))
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
