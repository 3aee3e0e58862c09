"""Every figure that calibration must reach, at full size: a thousand known outages from 20 ms to 30 s.

    python -m tests.bench.calibration [--outages 1000] [--seed N]

Calibrations of up to 200 outages each on the embedded lab at 10 ms intervals, one after another (two hours for a
thousand), since all samples of one are held in memory when it is analysed; CI's short form is ``vrbench calibrate
--quick`` in tests/cli. Part n has the seed plus n. Exit 1 when one is missed of: truth within the bounds in 100 %; no
|error| above an interval and 1 ms, and |mean error| at most 1 ms, for the 10 ms streams; nothing of two intervals or
more missed; no false window.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from tests.cli.zone import ROOT, VRBENCH

PART = 200
INTERVAL_MS = 10.0
FINE = ("egress fresh", "egress persistent", "ingress syn")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outages", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(31))
    asked = parser.parse_args()
    parts = []
    for number, done in enumerate(range(0, asked.outages, PART)):
        shown = calibrate(min(PART, asked.outages - done), asked.seed + number)
        print(f"seed {shown['seed']}: {shown['verdict']}", flush=True)
        parts.append(shown)
    return report(parts)


def calibrate(outages: int, seed: int) -> dict[str, Any]:
    """One calibration's JSON; its exit code says nothing that its figures don't."""
    arguments = ["--outages", str(outages), "--seed", str(seed), "--interval", "10ms", "--json"]
    with tempfile.TemporaryDirectory() as here:
        done = subprocess.run(
            [*VRBENCH, "calibrate", *arguments],
            cwd=here,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    if not done.stdout:
        raise SystemExit(f"the calibration with seed {seed} itself failed: exit {done.returncode}")
    shown = json.loads(done.stdout)
    assert isinstance(shown, dict)
    return shown


def report(parts: list[dict[str, Any]]) -> int:
    """Print every figure over all parts with its limit; 1 when one is missed."""
    bad = 0
    for name in (k["kind"] for k in parts[0]["kinds"]):
        kinds = [k for part in parts for k in part["kinds"] if k["kind"] == name]
        outages, seen, clean_s = (sum(k[w] for k in kinds) for w in ("outages", "seen", "clean_s"))
        print(f"{name}: {outages} outages, {seen} seen, {clean_s:.0f} s without any")
        for what, value, limit in figures(kinds, fine=name in FINE):
            over = limit is not None and value > limit
            bad += over
            print(f"  {what:24} {value:8.3f}   {'' if limit is None else f'<= {limit:g}':8} {'MISSED' if over else ''}")
    return int(bad > 0)


def figures(kinds: list[dict[str, Any]], fine: bool) -> Iterator[tuple[str, float, float | None]]:
    """(what, value, limit) of one kind of stream over all parts; errors have limits where the interval is fine."""
    known = [k["outages"] - k["unknown"] for k in kinds]
    mean_s = sum(k["bias_s"] * n for k, n in zip(kinds, known, strict=True)) / max(1, sum(known))
    yield "bounds that don't hold", sum(k["seen"] - k["held"] for k in kinds), 0
    yield "missed", sum(k["missed"] for k in kinds), 0
    yield "false windows", sum(k["false"] for k in kinds), 0
    yield "worst error (ms)", max(k["worst_s"] for k in kinds) * 1000, INTERVAL_MS + 1 if fine else None
    yield "|mean error| (ms)", abs(mean_s) * 1000, 1.0 if fine else None


if __name__ == "__main__":
    started = time.monotonic()
    code = main()
    print(f"took {time.monotonic() - started:.0f} s")
    sys.exit(code)
