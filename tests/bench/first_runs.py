"""From keys to a figure without an edit: ``init``, ``doctor`` and ``run``, for each server version and each caller.

    python -m tests.bench.first_runs [--versions 4.11.2 4.20.2] [--callers root user project]

Each cell is a folder of its own on a standing lab of that version. ``init`` writes a profile with few VMs and one
short trial, ``doctor`` must find nothing bad, ``run`` must end with a figure, and nothing may be left. Beside the three
roles: a user in a project, a domain administrator in a subdomain, one that builds for an account there, and root in a
project below. Exit 1 when a cell falls short.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.cli.zone import MEASURED, Zone, running_zone
from tests.cloud.places import BELOW, Made, make
from vrbench.lab.status import LabOptions

VERSIONS = ("4.11.2", "4.15.1", "4.18.0", "4.20.2")
SMALL = (
    "environment.vms=2", "environment.public_ips=2", "environment.boot_timeout=60s", "trials.count=1",
    "trials.baseline=2s", "trials.validation=2s", "trials.settle=0s", "trials.observe_at_most=60s",
    "probes.auth_interval=2s",
)  # fmt: skip


@dataclass(frozen=True)
class Caller:
    """Whose keys, and in whose name is built; ``account`` is one that was made, with its domain's path."""

    role: str = ""
    account: tuple[str, str] = ("", "")
    named: tuple[str, ...] = ()


EXPUNGED_S = 90.0  # until a lab has expunged what a user destroyed
CALLERS: Mapping[str, Caller] = {
    "root": Caller("root"),
    "domadmin": Caller("domadmin"),
    "user": Caller("user"),
    "project": Caller("user", named=("cloud.project=alpha",)),
    "subadmin": Caller(account=("subadmin", BELOW)),
    "for-account": Caller("domadmin", named=("cloud.account=subuser", f"cloud.domain={BELOW}")),
    "project-below": Caller("root", named=("cloud.project=beta",)),
}


def keys(zone: Zone, made: Made, caller: Caller) -> tuple[str, str]:
    if caller.role:
        status = zone.status.callers[caller.role]
        return status.apikey, status.secretkey
    return made.keys[caller.account]


def sets(words: Sequence[str]) -> list[str]:
    return [part for word in words for part in ("--set", word)]


def tried(zone: Zone, made: Made, name: str) -> Iterator[tuple[str, str]]:
    """Yield what each command came to, and what fell short of it ("" where nothing did)."""
    caller, here = CALLERS[name], zone.here / name
    here.mkdir()
    key, secret = keys(zone, made, caller)
    (here / "cloudstack.ini").write_text(
        f"[cloudstack]\nendpoint = {zone.status.endpoint}\nkey = {key}\nsecret = {secret}\n"
    )
    (here / "cloudstack.ini").chmod(0o600)
    there = replace(zone, here=here, environ={**zone.environ, "CLOUDSTACK_CONFIG": str(here / "cloudstack.ini")})
    for words in (
        ("init", "--output", "mine.toml", *sets((*SMALL, *caller.named))),
        ("doctor", "mine.toml", "--no-calibrate"),
        ("run", "mine.toml", "--plain"),
    ):
        begun = time.monotonic()
        done = there.vrbench(*words)
        wanted = MEASURED if words[0] == "run" else (0,)
        short = "" if done.code in wanted else f"ended with {done.code}: {done.out[-1500:]}{done.err[-1500:]}"
        yield f"{words[0]} {time.monotonic() - begun:.0f} s", short
        if short:
            return
    left = cleaned(there)
    yield "nothing left", f"left: {', '.join(left)}" if left else ""


def cleaned(zone: Zone) -> list[str]:
    """Return what stays; who may not expunge cleans up once the server has, as its run has told it."""
    end = time.monotonic() + EXPUNGED_S
    while (left := zone.left()) and time.monotonic() < end:
        zone.vrbench("cleanup", "--all")
    return left


def of_version(version: str, callers: Sequence[str]) -> Iterator[tuple[str, list[str], str]]:
    """Yield caller, what it came to, and what fell short."""
    options = LabOptions(time_scale=0.05, server_version=version)
    with tempfile.TemporaryDirectory() as here, running_zone(Path(here), options) as zone:
        made = make(zone.cloud)
        for name in callers:
            steps = list(tried(zone, made, name))
            yield name, [step for step, _ in steps], next((short for _, short in steps if short), "")


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", nargs="+", default=VERSIONS, choices=VERSIONS)
    parser.add_argument("--callers", nargs="+", default=list(CALLERS), choices=list(CALLERS))
    asked = parser.parse_args(words)
    bad = 0
    for version in asked.versions:
        for name, steps, short in of_version(version, asked.callers):
            print(f"{version}  {name:13} {'; '.join(steps)}{f'  FALLS SHORT: {short}' if short else ''}", flush=True)
            bad += bool(short)
    print(f"{bad} of {len(asked.versions) * len(asked.callers)} fell short")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
