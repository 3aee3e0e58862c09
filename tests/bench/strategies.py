"""Every restart strategy of the lab under the same traffic, in one table with bounds.

    python -m tests.bench.strategies [--trials 10] [--time-scale 1] [--vms 4] [--at-once 6] [--save reports/reference]

Each strategy is measured by ``vrbench run lab-parallel`` with ``lab.strategy`` set, in a lab of its own, so many at
once (a restart mostly waits). Prints the table in Markdown. ``--save`` writes it as strategies.csv as well, over
what was measured of these strategies before. Lab figures show mechanisms, not the speed of CloudStack.
"""

from __future__ import annotations

import argparse
import csv
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cli.zone import ROOT, VRBENCH
from vrbench.cli.exits import Exit
from vrbench.core.figures.results import Run
from vrbench.core.figures.sessions import SessionState, sessions
from vrbench.core.figures.windows import Downtime
from vrbench.core.kinds import ICMP_FRESH, ICMP_PERSISTENT, SSH_SYN
from vrbench.core.model import Verdict
from vrbench.core.plan.tables import STRATEGIES
from vrbench.report.wording import digits_of, figure, surely
from vrbench.store.directory import run_paths
from vrbench.store.loading import load_run

COLUMNS = tuple((kind.labels.export, kind) for kind in (ICMP_FRESH, ICMP_PERSISTENT, SSH_SYN))
Row = dict[str, str | int | float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--time-scale", type=float, default=1.0)
    parser.add_argument("--vms", type=int, default=4)
    parser.add_argument("--at-once", type=int, default=len(STRATEGIES))
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=STRATEGIES)
    parser.add_argument("--save", type=Path, help="directory for strategies.csv")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(asked.at_once) as pool:
        runs = list(pool.map(lambda strategy: measure(strategy, asked, Path(place) / strategy), asked.strategies))
    rows = [row(strategy, run) for strategy, run in zip(asked.strategies, runs, strict=True)]
    print(markdown(rows))
    if asked.save:
        save(rows, asked.save / "strategies.csv")
    return 0


def measure(strategy: str, asked: argparse.Namespace, reports: Path) -> Run:
    """One run of one strategy; its command is what a person would type."""
    settings = {
        "lab.strategy": strategy,
        "lab.time_scale": asked.time_scale,
        "environment.vms": asked.vms,
        "environment.public_ips": asked.vms,
        "trials.count": asked.trials,
        "trials.baseline": "15s",
        "trials.validation": "10s",
        "trials.observe_at_most": "300s",
    }
    command = [*VRBENCH, "run", "lab-parallel", "--plain", "--reports", str(reports)]
    command += [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    paths = run_paths(reports)
    if not paths:
        sys.exit(f"{strategy}: {done.stderr}")
    why = f": {done.stderr.strip().splitlines()[-1]}" if done.returncode > Exit.NOT_VALID else ""
    print(f"{strategy}: exit code {done.returncode}{why}", file=sys.stderr, flush=True)
    return load_run(paths[0])


def row(strategy: str, run: Run) -> Row:
    """Return a strategy's figures over its valid trials."""
    valid = [t for t in run.trials if t.verdict is not Verdict.INVALID]
    listed: Row = {"strategy": strategy, "trials": len(valid), "trials_not_valid": sum(_doubted(run))}
    for name, kind in COLUMNS:
        downtimes = [t.figures_of(kind).downtime for t in valid]
        mean = Downtime.mean(downtimes)
        listed[f"{name}_average_s"] = round(mean.estimate_s, 3)
        listed[f"{name}_at_least_s"] = round(mean.at_least_s, 3)
        listed[f"{name}_at_most_s"] = round(mean.at_most_s, 3)
        listed[f"{name}_lowest_s"] = round(min((d.estimate_s for d in downtimes), default=math.nan), 3)
        listed[f"{name}_highest_s"] = round(max((d.estimate_s for d in downtimes), default=math.nan), 3)
    states = [s.state for t in valid for s in sessions(t)]
    listed["sessions"] = len(states)
    for state in (SessionState.SURVIVED, SessionState.STALLED, SessionState.RESET):
        listed[f"sessions_{state}"] = states.count(state)
    listed["method"] = run.method.id
    return listed


def _doubted(run: Run) -> list[bool]:
    return [t.verdict is not Verdict.VALID for t in run.trials]


def markdown(rows: Sequence[Row]) -> str:
    """Return the table for people: the average, what it surely is, and the lowest trial."""
    titles = ["strategy", *(kind.labels.row for _, kind in COLUMNS), "sessions that survived", "trials (not valid)"]
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    for each in rows:
        cells = [f"`{each['strategy']}`"]
        for name, _ in COLUMNS:
            low, average, high, lowest = (
                float(each[f"{name}_{k}_s"]) for k in ("at_least", "average", "at_most", "lowest")
            )
            over = Downtime(low, average, high)
            cells.append(figure(over) if over.unseen else f"{_bounded(over)}; lowest {_lowest(over, lowest)}")
        cells.append(f"{each['sessions_survived']} of {each['sessions']}")
        cells.append(f"{each['trials']} ({each['trials_not_valid']})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _bounded(d: Downtime) -> str:
    """Word a figure with what it surely is: "14.62 s, surely 14.52 to 14.71 s"."""
    return figure(d) if d.open else f"{figure(d)}, surely {surely(d)}"


def _lowest(over: Downtime, lowest_s: float) -> str:
    """Return the lowest trial, as finely as the average is known."""
    return figure(Downtime(lowest_s, lowest_s, lowest_s), digits_of([over])) if lowest_s else "not seen"


def save(rows: Sequence[Row], path: Path) -> None:
    """Write the rows; strategies that were not measured this time keep those of an earlier time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept: dict[str, dict[str, str] | Row] = {}
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            kept = {row["strategy"]: row for row in csv.DictReader(file)}
    kept |= {str(row["strategy"]): row for row in rows}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept[strategy] for strategy in STRATEGIES if strategy in kept)


if __name__ == "__main__":
    sys.exit(main())
