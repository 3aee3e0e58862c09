"""A network that is kept, and one trial on it under a fault of the lab: what vrbench says of it."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cli.zone import MEASURED, PROFILE, Done, Zone, hear, table
from vrbench.core.figures.results import TrialResult
from vrbench.lab import lifecycle
from vrbench.store.loading import load_run

SHORT = PROFILE.replace('"40s"', '"12s"')  # where there is no recovery to wait for
HASTY = SHORT.replace('job_timeout = "90s"', 'job_timeout = "3s"')  # where there is no job's end to wait for
QUIET = SHORT.replace("[operation]", '[operation]\nkind = "restart-network"')  # no outage of its own


@dataclass(frozen=True)
class Measured:
    """One trial under a fault: how the command ended, the trial's row and its windows."""

    done: Done
    trial: Mapping[str, str] = field(default_factory=dict)
    windows: list[dict[str, str]] = field(default_factory=list)

    @property
    def caveats(self) -> set[str]:
        return set(self.trial["caveats"].split(";"))

    def causes(self, probe: str, flow: str) -> str:
        """Join the causes of all windows of one kind of stream, in one text."""
        return "; ".join(w["cause"] for w in self.windows if (w["probe"], w["flow"]) == (probe, flow))

    def down(self, probe: str, flow: str) -> float:
        """Seconds that streams of one kind were seen down in all."""
        return sum(float(w["estimate_s"]) for w in self.windows if (w["probe"], w["flow"]) == (probe, flow))


def keep(zone: Zone) -> None:
    done = zone.vrbench("run", zone.profile(PROFILE), "--keep")  # whose jobs may take their time on a busy machine
    assert done.code in MEASURED, done.err


def kept(zone: Zone) -> str:
    """Return the run that keep() made: the oldest."""
    return min(path.name for path in (zone.here / "reports").glob("*/"))


def repair(zone: Zone) -> None:
    (network,) = zone.rows("listNetworks", "network")
    zone.cloud.wait(zone.cloud.submit("restartNetwork", id=network["id"], cleanup=True), 120, 0.2)


def vms(zone: Zone) -> list[str]:
    return sorted(str(row["name"]) for row in zone.rows("listVirtualMachines", "virtualmachine"))


def age(zone: Zone, guest: str, *times: str) -> None:
    """Set how long a guest keeps its neighbours' addresses, and have it learn them anew: a timer that runs stays so."""
    for words in (("ntable", "change", "name", "arp_cache", "dev", "eth0", *times), ("neigh", "flush", "dev", "eth0")):
        subprocess.run(lifecycle.enter(zone.state, guest, ["ip", *words]), check=True)


def trial_of(zone: Zone, done: Done) -> TrialResult:
    """Return the only trial of a run that was just made."""
    (run,) = done.json["runs"]
    (trial,) = load_run(zone.here / run["path"]).trials
    return trial


def measure(zone: Zone, profile: str, fault: str, **params: str) -> Measured:
    """Measure a trial with the fault on from before its beginning."""
    lifecycle.fault(zone.state, fault, params)
    return read(zone, zone.vrbench("run", zone.profile(profile), "--reuse", kept(zone), "--json"))


def measure_during(zone: Zone, profile: str, fault: str, **params: str) -> Measured:
    """Measure a trial with the fault switched on when its operation is asked for."""
    return read(zone, during(zone, profile, ": operating", lambda: lifecycle.fault(zone.state, fault, params)))


def during(zone: Zone, profile: str, phase: str, act: Callable[[], object]) -> Done:
    """Measure a trial on the kept network, with ``act`` called when it says that it enters a phase."""
    process = zone.start("run", zone.profile(profile), "--reuse", kept(zone), "--json", "--plain")
    said = [hear(process, phase)]
    rest = threading.Thread(target=lambda: said.extend(process.stderr or ()))
    rest.start()
    act()
    assert process.stdout is not None
    out = process.stdout.read()
    rest.join()
    return Done(process.wait(), out, "".join(said))


def read(zone: Zone, done: Done) -> Measured:
    runs = done.json["runs"] if done.out.startswith("{") else []
    if not runs or not done.json["trials"]:
        return Measured(done)
    (trial,) = table(zone, Path(runs[0]["path"]), "trials")
    return Measured(done, trial, table(zone, Path(runs[0]["path"]), "windows"))
