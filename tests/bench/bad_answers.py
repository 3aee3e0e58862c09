"""Malformed answers of the API at every call of a check, a run and a removal: each must end in words, and soon

    python -m tests.bench.bad_answers [--count 300] [--commands 30] [--seed 14] [--case 17]

Each case spoils one call, or all calls of one command, on the way to a lab's API: broken HTTP, answers that drip or
unpack without end, other wrappers, and sound answers with one thing in them changed. Cases are made from the seed and
their number (``--case`` shows one). ``--commands``: so many go to ``vrbench doctor`` and ``vrbench cleanup`` besides,
in processes of their own. Wrong are: a traceback, no end, a code that is not in the table, a call that is not named,
anything that moves a terminal, what is said to be gone and stands, and what a later clean-up leaves. Exit 1 when
anything is wrong.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.bench.input_case import ACTING, TABLE
from tests.cloud.answer_case import Case, Grounds, Verdict, grounds_in, make_case, spoiling

PROFILE = """name = "small"
[environment]
vms = 1
public_ips = 1
[probes]
egress_target = "192.0.2.1"
"""
DOCTOR = ("doctor", "--no-calibrate", "small.toml")
RUN = "20261124T120000Z-1a2b3c4d-small"
COMMAND_S = 300.0


def command_case(grounds: Grounds, seed: int, number: int) -> tuple[Case, Verdict]:
    """Give one spoiled answer to a command in a process of its own: to doctor and to a clean-up in turn."""
    checks = number % 2 == 0
    place = grounds.here / f"command{number}"
    journal = place / "reports" / RUN / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    (place / "small.toml").write_text(PROFILE)
    if not checks:
        grounds.build(journal)
    case = make_case(seed, number // 2, 9 if checks else 25, once=True)
    arguments = DOCTOR if checks else ("cleanup", RUN)
    with spoiling(grounds.way, case) as calls:
        code, said, took_s = _ran(place, grounds.environ(), arguments)
    command = calls[case.at] if case.at < len(calls) else ""
    wrong = [*_wrongs(code, said), *([f"it took {took_s:.0f} s"] if took_s > COMMAND_S else [])]
    if code == 0 and not checks:
        wrong += [f"said to be gone: {what}" for what in grounds.lab.objects()]
    if checks and case.spoiled.never and command and command not in said:
        wrong.append(f"{command} is not named")
    return case, Verdict(f"{arguments[0]}: {command}", code, said, (*wrong, *grounds.left(journal)))


def _ran(place: Path, environ: dict[str, str], arguments: tuple[str, ...]) -> tuple[int, str, float]:
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "vrbench", *arguments],
        cwd=place,
        env={**environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.environ["PATH"], "HOME": str(place)},
        capture_output=True,
        timeout=2 * COMMAND_S,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode(errors="surrogateescape"), time.monotonic() - begun


def _wrongs(code: int, said: str) -> Iterator[str]:
    if code not in TABLE:
        yield f"exit {code}"
    if "Traceback" in said or "a bug in vrbench" in said:
        yield "a traceback"
    yield from (f"{name} is shown" for character, name in ACTING.items() if character in said)


def run(grounds: Grounds, seed: int, numbers: range, commands: range, show: bool) -> int:
    """Judge the cases; return how many were wrong."""
    begun, slowest, bad, codes = time.monotonic(), 0.0, 0, Counter[int]()
    calls = grounds.calls()
    inside = ((case, grounds.judge(case)) for case in (make_case(seed, number, calls) for number in numbers))
    alone = (command_case(grounds, seed, number) for number in commands)
    last = begun = time.monotonic()
    asked: set[str] = set()
    for case, verdict in (pair for pairs in (inside, alone) for pair in pairs):
        now = time.monotonic()
        slowest, last = max(slowest, now - last), now
        codes[verdict.code] += 1
        asked.add(verdict.command)
        bad += bool(verdict.wrong)
        if verdict.wrong or show:
            print(f"{'WRONG' if verdict.wrong else 'right'} {case} ({verdict.command}): {'; '.join(verdict.wrong)}")
            print(f"    exit {verdict.code}: {verdict.said[: 5000 if show else 400]!r}", flush=True)
    told = ", ".join(f"{count} × exit {code}" for code, count in sorted(codes.items()))
    print(
        f"answers: {bad} of {codes.total()} wrong (seed {seed}); {told}; {len(asked)} kinds of calls; "
        f"slowest {slowest:.1f} s; {last - begun:.0f} s in all",
        flush=True,
    )
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--commands", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--case", type=int, help="this one alone, with what is said")
    given = parser.parse_args()
    alone = given.case is not None
    numbers = range(given.case, given.case + 1) if alone else range(given.count)
    bad: list[int] = []
    grounds_in(lambda g: bad.append(run(g, given.seed, numbers, range(0 if alone else given.commands), alone)))
    return int(sum(bad) > 0)


if __name__ == "__main__":
    sys.exit(main())
