"""Nothing left, nothing of others touched, everything readable: vrbench under hundreds of drawn faults.

    python -m tests.bench.campaign [--runs 300] [--seed N] [--labs 2] [--only K ...] [--keep DIR]

Each run is one ``vrbench run`` on a lab, from its check of the cloud to its removal, with one or two faults drawn from
the seed: answers that are lost, late, cut, endless or another's; calls that are refused; jobs that fail or hang;
routers and guests that fail; signals and kill -9 at a call or in a phase; probers and agents killed; a full disk. In
each lab stand a network, a VM, addresses, rules and keys of somebody else in the same account. Others are made beside
each run under names that nearly are its own. Afterwards the run is analysed, cleaned up (often with a fault in that,
too, and then without), and what stands in the zone is compared with what stood before.

Prints a line for each run and a table by kind of fault; ``--only K`` repeats runs of the same seed, each by itself.
Exit 1 when anything is wrong: an object left or another's touched, a process or a key left, samples that can't be read,
a traceback, an exit code that is not of the table or not of that fault, a command that hangs. What was wrong is kept
under ``--keep``.
"""

from __future__ import annotations

import argparse
import queue
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import SystemRandom

from tests.bench.campaign_judge import Verdict
from tests.bench.campaign_run import play
from tests.bench.campaign_scene import Starter
from tests.bench.campaign_zone import CampaignLab, running_labs


def carry_out(numbers: Sequence[int], seed: int, labs: Sequence[CampaignLab], until: float) -> list[Verdict]:
    """Share the runs out among the labs; print each as it ends. Runs that would begin after ``until`` are left out."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in numbers:
        waiting.put(number)
    verdicts: list[Verdict] = []

    def work(lab: CampaignLab) -> None:
        with Starter(lab) as starter:
            while time.monotonic() < until:
                try:
                    verdict = play(waiting.get_nowait(), seed, lab, starter)
                except queue.Empty:
                    return
                verdicts.append(verdict)
                print(verdict.line(), flush=True)

    with ThreadPoolExecutor(len(labs)) as workers:
        try:
            list(workers.map(work, labs))  # raises what one of them raised
        finally:
            while not waiting.empty():  # also after a signal: what is under way ends, and nothing more begins
                waiting.get()
    return verdicts


def table(verdicts: Sequence[Verdict]) -> str:
    """Return how many runs each kind of fault had, how they ended, and how many were wrong."""
    by_kind: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        for name in {kind.name for kind, _ in verdict.faults}:
            by_kind[name].append(verdict)
    lines = [f"{'kind':22} runs wrong  exit codes of the run"]
    for name, of_kind in sorted(by_kind.items()):
        codes = sorted({v.codes.get("run", 0) for v in of_kind})
        ends = ", ".join(f"{code}: {sum(v.codes.get('run', 0) == code for v in of_kind)}" for code in codes)
        lines.append(f"{name:22} {len(of_kind):4} {sum(bool(v.wrong) for v in of_kind):5}  {ends}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="number of the first run")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1_000_000))
    parser.add_argument("--labs", type=int, default=2)
    parser.add_argument("--only", type=int, nargs="+", metavar="K", help="these runs alone")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no run later than that")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where to keep what was wrong")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    numbers = asked.only or range(asked.first, asked.first + asked.runs)
    print(f"seed {asked.seed}, {len(numbers)} runs on {asked.labs} labs", flush=True)
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="campaign-") as here,
        running_labs(Path(here), asked.labs, asked.keep) as labs,
    ):
        verdicts = carry_out(numbers, asked.seed, labs, began + 60 * asked.minutes)
    wrong = sum(bool(v.wrong) for v in verdicts)
    print(table(verdicts))
    print(f"{len(verdicts)} runs in {time.monotonic() - began:.0f} s, seed {asked.seed}: {wrong} wrong")
    return int(wrong > 0 or not verdicts)


if __name__ == "__main__":
    sys.exit(main())
