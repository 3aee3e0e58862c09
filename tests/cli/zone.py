"""A lab started by hand, and vrbench run inside its outside world: the way an operator stands before a cloud."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coverage import Coverage

from vrbench.cli.exits import Exit
from vrbench.cloud.api.facade import Answer, Cloud
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.core.caveats import CaveatKind, Effect
from vrbench.lab import lifecycle
from vrbench.lab.status import LabOptions, LabStatus

ROOT = Path(__file__).parents[2]
PROFILE = """
name = "small"
[environment]
vms = 2
public_ips = 2
boot_timeout = "60s"
[operation]
job_timeout = "90s"
[trials]
count = 1
baseline = "2s"
validation = "2s"
settle = "0s"
observe_at_most = "40s"
[probes]
egress_target = "203.0.113.1"
control_target = "198.51.100.2"
"""
VRBENCH = [sys.executable, "-m", "vrbench"]


def vrbench_command() -> list[str]:
    """Build the start of a vrbench command; its coverage is measured where this process's is, and in no child of it."""
    if Coverage.current() is None:
        return VRBENCH
    options = [f"--rcfile={ROOT / 'pyproject.toml'}", f"--data-file={ROOT / '.coverage'}"]
    return [sys.executable, "-m", "coverage", "run", *options, "-m", "vrbench"]


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Zone:
    """A running lab and a directory to run vrbench in."""

    state: Path
    here: Path
    status: LabStatus
    environ: dict[str, str] = field(default_factory=dict)

    def command(self, *arguments: str) -> list[str]:
        return lifecycle.enter(self.state, "upstream", [*vrbench_command(), *arguments])

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """vrbench in the background, inside ``upstream``, in a process group of its own."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.here,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def vrbench(self, *arguments: str, timeout_s: float = 200) -> Done:
        """Run vrbench inside ``upstream`` to its end."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            raise
        return Done(process.returncode, out, err)

    def environment(self) -> dict[str, str]:
        ours = {k: v for k, v in os.environ.items() if not k.startswith("CLOUDSTACK_")}
        path = {"PYTHONPATH": str(ROOT), "CLOUDSTACK_CONFIG": str(self.state / "cloudstack.ini")}
        return {**ours, **path, "COLUMNS": "100", **self.environ}

    def profile(self, text: str = PROFILE) -> str:
        """Write the profile to a file; return its name."""
        path = self.here / "small.toml"
        path.write_text(text)
        return str(path)

    @property
    def cloud(self) -> Cloud:
        root = self.status.callers["root"]
        return Cloud(Credentials(self.status.endpoint, root.apikey, root.secretkey))

    def rows(self, command: str, name: str) -> list[Answer]:
        """Return all there is of a kind, what is in projects included."""
        return [*self.cloud.list(command, name, listall=True), *self.cloud.list(command, name, projectid="-1")]

    def left(self) -> list[str]:
        """Every object of anybody's in the zone, and every node that is not part of an empty lab."""
        kinds = {
            "listNetworks": "network",
            "listVirtualMachines": "virtualmachine",
            "listSSHKeyPairs": "sshkeypair",
            "listRouters": "router",
            "listFirewallRules": "firewallrule",
            "listPortForwardingRules": "portforwardingrule",
            "listTags": "tag",
        }
        found = [f"{n} {r.get('name') or r.get('id')}" for c, n in kinds.items() for r in self.rows(c, n)]
        addresses = self.rows("listPublicIpAddresses", "publicipaddress")
        found += [r["ipaddress"] for r in addresses if r.get("associatednetworkid")]
        nodes = [n.name for n in lifecycle.status(self.state).nodes if n.kind not in ("upstream", "neighbour")]
        return found + nodes


@contextmanager
def running_zone(here: Path, options: LabOptions | None = None) -> Iterator[Zone]:
    """Run a lab for as long as the block lasts."""
    state = here / "zone"
    status = lifecycle.up(state, options or LabOptions(time_scale=0.05), lifeline=True)
    try:
        yield Zone(state, here, status)
    finally:
        lifecycle.down(state)


MEASURED = (Exit.OK, Exit.NOT_VALID)  # how a run of nothing wrong ends: the second where this machine stood still
STOOD_STILL = frozenset((CaveatKind.PROBER_STALLED, CaveatKind.UNSEEN, CaveatKind.SLOTS_SKIPPED))
DOUBTS = frozenset(kind for kind in CaveatKind if kind.effect is not Effect.NONE) - STOOD_STILL


def check_worth(code: int, trials: Sequence[Mapping[str, str]]) -> None:
    """Check that every trial is valid, or unknown and says that the machine stood still; and that the code agrees."""
    for trial in trials:
        caveats = set(trial["caveats"].split(";"))
        assert not DOUBTS & caveats, trial["caveats"]
        stood_still = STOOD_STILL & caveats
        assert trial["verdict"] in ("valid", "unknown" if stood_still else "valid"), trial["caveats"]
    assert code == (Exit.OK if all(trial["verdict"] == "valid" for trial in trials) else Exit.NOT_VALID)


def hear(process: subprocess.Popen[str], words: str) -> str:
    """Read what the process says on stderr until it says these words; return it. Fails when it never does."""
    said = []
    for line in process.stderr or ():
        said.append(line)
        if words in line:
            return "".join(said)
    raise AssertionError(f"never said {words!r}: {''.join(said)}")


def wait_for(what: str, seen: Any, timeout_s: float = 120) -> None:
    """Until ``seen()`` is true; fails with ``what`` when it never is."""
    end = time.monotonic() + timeout_s
    while not seen():
        assert time.monotonic() < end, f"not seen within {timeout_s} s: {what}"
        time.sleep(0.05)


def only_run(zone: Zone) -> Path:
    """Find the one run directory under the test's reports."""
    (path,) = (zone.here / "reports").glob("*/")
    return path


def table(zone: Zone, run: Path, name: str) -> list[dict[str, str]]:
    """Read an exported CSV table."""
    done = zone.vrbench("export", run.name, "--table", name)
    assert done.code == 0, done.err
    return list(csv.DictReader(io.StringIO(done.out)))


def running(zone: Zone) -> list[str]:
    """Command lines of vrbench processes that work in this test's directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if str(zone.here) in str((path / "cwd").readlink()):
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
