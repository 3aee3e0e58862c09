"""Bad profiles, credentials and stored runs: each must end in words, with an exit code of the table, and soon

    python -m tests.bench.bad_inputs [--kind profiles] [--count 1000] [--seed 14] [--case 17]

Cases are made from the seed and their number, so each can be asked again by itself (``--case`` shows what it says). It
is given to the real command, in a child with a limit of time and memory, from which no other machine can be reached.
Wrong are: a traceback, no end, a code that is not in the table, raw control characters, a secret that is shown, a
message that names neither the key nor the file nor the setting, and a good trial that is lost with a bad one. Exit 1
when anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

# Before they are loaded: a process with threads can't be copied safely, and arenas of a gigabyte meet the limit.
os.environ |= {"OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}

from tests.bench import bad_credentials, bad_profiles, bad_runs
from tests.bench.input_case import Answer, Case, ask, problems

OURS = tuple(
    f"vrbench.{name}"
    for name in ("cli.measure", "cloud.api.facade", "core.analysis", "report.export_files", "report.tables")
)
KINDS: dict[str, tuple[Callable[[random.Random, Path], Case], int]] = {
    "profiles": (bad_profiles.make, 1000),
    "credentials": (bad_credentials.make, 500),
    "runs": (bad_runs.make, 300),
}


def load_all() -> None:
    """Load once what commands load when they need it."""
    for name in ("cs", "msgspec", "paramiko", "pyarrow.parquet", "requests", *OURS):
        import_module(name)


def one(kind: str, seed: int, number: int) -> tuple[Case, Answer, list[str]]:
    """Make a case, ask it, and judge the answer."""
    rng = random.Random(f"{kind} {seed} {number}")
    here = Path(tempfile.mkdtemp(prefix="vrbench-bad-"))
    before = Path.cwd()
    try:
        os.chdir(here)
        case = KINDS[kind][0](rng, here)
        answer = ask(case, here)
    finally:
        os.chdir(before)
        shutil.rmtree(here)
    found = problems(case, answer)
    if case.trials and not found and _trials_shown(answer.out) < case.trials:
        found.append(f"fewer than {case.trials} good trials are shown")
    return case, answer, found


def _trials_shown(out: str) -> int:
    try:
        return len(json.loads(out)["trials"])
    except ValueError:
        return 0  # no JSON at all


def run(kind: str, seed: int, numbers: range, show: bool) -> int:
    """Run cases of one kind; return how many were wrong."""
    bad, begun, slowest, codes, reasons = 0, time.monotonic(), (0.0, 0), Counter[int | None](), Counter[str]()
    for number in numbers:
        case, answer, found = one(kind, seed, number)
        codes[answer.code] += 1
        slowest = max(slowest, (answer.seconds, number))
        bad += bool(found)
        reasons.update(reason.partition(":")[0] for reason in found)
        if found or show:
            print(f"{'WRONG' if found else 'right'} {kind} {number}: {case.what[:200]!r} {'; '.join(found)}")
            said = (answer.out + answer.err) if show else answer.err[-300:]
            print(f"    exit {answer.code} after {answer.seconds:.1f} s: {said!r}", flush=True)
    told = ", ".join(f"{count} × exit {code}" for code, count in sorted(codes.items(), key=str))
    print(
        f"{kind}: {bad} of {len(numbers)} wrong (seed {seed}); {told}; slowest {slowest[0]:.1f} s (case {slowest[1]}); "
        f"{time.monotonic() - begun:.0f} s in all{'; ' if reasons else ''}"
        + ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()),
        flush=True,
    )
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="left out: all of them")
    parser.add_argument("--count", type=int, help="cases of each kind")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--case", type=int, help="this one alone, with what it says")
    given = parser.parse_args()
    load_all()
    bad = 0
    for kind in given.kind or list(KINDS):
        numbers = range(given.count or KINDS[kind][1])
        one_alone = given.case is not None
        bad += run(kind, given.seed, range(given.case, given.case + 1) if one_alone else numbers, one_alone)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
