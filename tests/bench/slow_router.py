"""A run on a slow router, which takes its time for each rule: how long build and removal are beside the rules alone.

    python -m tests.bench.slow_router [--cost 10] [--vms 10] [--addresses 10] [--access port-forwarding]

A lab of its own, whose router takes ``--cost`` seconds for a rule, and answers no call about rules before those that
came earlier are done. There vrbench builds, measures one short trial, and removes. What it says meanwhile is shown with
its times. Exit 1 when the run is not good, when a rule or address is not told, or when building or removing takes more
than 1.3 times what the rules take one after another.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.cli.zone import ROOT, VRBENCH

AT_MOST = 1.3
PROFILE = """
[lab]
time_scale = 0.05
rule_cost = "{cost:g}s"
[environment]
vms = {vms}
public_ips = {addresses}
access = "{access}"
boot_timeout = "60s"
[trials]
count = 1
baseline = "2s"
validation = "2s"
[probes]
interval = "500ms"
egress_target = "203.0.113.1"
"""
LINE = re.compile(r" *(?P<at>\d+\.\d) s  (?P<text>.*)")


@dataclass
class Told:
    """What a run said, each line with its time since the start."""

    lines: list[tuple[float, str]] = field(default_factory=list)
    code: int = -1

    def at(self, start: str) -> float:
        """Return when a line that starts so was first said."""
        return next((at for at, text in self.lines if text.startswith(start)), float("nan"))

    def counted(self, words: str) -> int:
        return sum(words in text for _, text in self.lines)

    def last(self, words: str) -> float:
        """Return when a line with these words was last said."""
        return max((at for at, text in self.lines if words in text), default=float("nan"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cost", type=float, default=10.0, help="seconds for a rule")
    parser.add_argument("--vms", type=int, default=10)
    parser.add_argument("--addresses", type=int, default=10)
    parser.add_argument("--access", choices=("port-forwarding", "static-nat"), default="port-forwarding")
    return judged(parser.parse_args())


def judged(asked: argparse.Namespace) -> int:
    """Carry the run out and hold what it said against what the rules take."""
    ends = max(asked.vms, asked.addresses)
    on_addresses = asked.addresses + 2 * ends  # ICMP for each address, TCP and what leads to the VM for each end
    told = run(PROFILE.format(**vars(asked)))
    build_s = told.at("waiting for") - told.at("building")
    removal_s = told.last("address") - told.at("removing")
    problems = [f"the run ended with {told.code}"] if told.code else []
    problems += late("the build", build_s, (on_addresses + 1) * asked.cost)  # and the rule for egress
    problems += late("the release of all addresses", removal_s, on_addresses * asked.cost)
    if told.counted("is in place") != on_addresses + 1:
        problems.append(f"{told.counted('is in place')} of {on_addresses + 1} rules were told")
    if told.counted("is gone after") < asked.addresses:
        problems.append(f"{told.counted('is gone after')} things were told to be gone")
    print("\n".join(problems) or "all held")
    return int(bool(problems))


def late(what: str, took_s: float, rules_s: float) -> list[str]:
    """Print how long something took, and return what is wrong with that."""
    print(f"{what} took {took_s:.1f} s; its rules alone {rules_s:.1f} s: {took_s / rules_s:.2f} times (<= {AT_MOST:g})")
    return [] if took_s <= AT_MOST * rules_s else [f"{what} took too long"]


def run(profile: str) -> Told:
    """Run vrbench in a folder of its own, and show what it says."""
    with tempfile.TemporaryDirectory() as here:
        (Path(here) / "slow.toml").write_text(profile)
        process = subprocess.Popen(
            [*VRBENCH, "run", "slow.toml", "--plain"],
            cwd=here,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        told = Told()
        assert process.stderr is not None
        for line in process.stderr:
            print(line, end="", flush=True)
            if found := LINE.fullmatch(line.rstrip("\n")):
                told.lines.append((float(found["at"]), found["text"].strip()))
        told.code = process.wait()
    return told


if __name__ == "__main__":
    sys.exit(main())
