"""What vrbench says of each fault of the lab: exit code, verdict, caveats, causes. One kept network, measured anew."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cli.test_run import table
from tests.cli.zone import PROFILE, Done, Zone, running_zone
from vrbench.cloud.errors import JobFailed
from vrbench.lab import lifecycle
from vrbench.lab.status import LabOptions

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SHORT = PROFILE.replace('"40s"', '"12s"').replace('job_timeout = "30s"', 'job_timeout = "10s"')
QUIET = SHORT.replace("[operation]", '[operation]\nkind = "restart-network"')  # no outage of its own
KEPT = "20261124T000000Z-00000000-kept"


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
        """The causes of all windows of one kind of stream, in one text."""
        return "; ".join(w["cause"] for w in self.windows if (w["probe"], w["flow"]) == (probe, flow))

    def down(self, probe: str, flow: str) -> float:
        """Seconds that streams of one kind were seen down in all."""
        return sum(float(w["estimate_s"]) for w in self.windows if (w["probe"], w["flow"]) == (probe, flow))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Zone]:
    """A lab with a network that a first run built and kept."""
    request.getfixturevalue("lab_possible")
    with running_zone(tmp_path_factory.mktemp("faults"), LabOptions(time_scale=0.05)) as zone:
        keep(zone)
        yield zone


def keep(zone: Zone) -> None:
    done = zone.vrbench("run", zone.profile(SHORT), "--keep", "--run-id", KEPT)
    assert done.code == 0, done.err


@pytest.fixture
def zone(kept: Zone) -> Iterator[Zone]:
    """The kept network; whatever a test left wrong is put right."""
    yield kept
    lifecycle.fault(kept.state, "", on=False)
    repair(kept)


def repair(zone: Zone) -> None:
    (network,) = zone.rows("listNetworks", "network")
    zone.cloud.wait(zone.cloud.submit("restartNetwork", id=network["id"], cleanup=True), 30, 0.2, lambda _: None)


def vms(zone: Zone) -> list[str]:
    return sorted(str(row["name"]) for row in zone.rows("listVirtualMachines", "virtualmachine"))


def measure(zone: Zone, profile: str, fault: str, **params: str) -> Measured:
    """A trial with the fault on from before its beginning."""
    lifecycle.fault(zone.state, fault, params)
    return read(zone, zone.vrbench("run", zone.profile(profile), "--reuse", KEPT, "--json"))


def measure_during(zone: Zone, profile: str, fault: str, **params: str) -> Measured:
    """A trial with the fault switched on when its operation is asked for."""
    process = zone.start("run", zone.profile(profile), "--reuse", KEPT, "--json", "--plain")
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if ": operating" in line:
            break
    lifecycle.fault(zone.state, fault, params)
    rest = threading.Thread(target=lambda: said.extend(process.stderr or ()))
    rest.start()
    assert process.stdout is not None
    out = process.stdout.read()
    rest.join()
    return read(zone, Done(process.wait(), out, "".join(said)))


def read(zone: Zone, done: Done) -> Measured:
    runs = done.json["runs"] if done.out.startswith("{") else []
    if not runs or not done.json["trials"]:
        return Measured(done)
    (trial,) = table(zone, Path(runs[0]["path"]), "trials")
    return Measured(done, trial, table(zone, Path(runs[0]["path"]), "windows"))


def test_a_server_that_stumbles_while_a_job_is_watched_costs_nothing(zone: Zone) -> None:
    """Late, a proxy's page, 503, a reset: the trial is valid and the job is seen to end; figures are the probes'."""
    stumbles = {"api-delay": {"seconds": "0.3"}, "api-html": {"status": "200"}, "api-error": {}, "api-reset": {}}
    for fault, params in stumbles.items():
        lifecycle.fault(zone.state, fault, {"command": "queryAsyncJobResult", "times": "2", **params})
    seen = read(zone, zone.vrbench("run", zone.profile(SHORT), "--reuse", KEPT, "--json"))
    assert (seen.done.code, seen.trial["verdict"]) == (0, "valid"), seen.done.err
    assert float(seen.trial["job_s"]) > 0


@pytest.mark.parametrize("status", ["429", "530"])
def test_a_server_that_refuses_to_tell_of_a_job_for_a_while(zone: Zone, status: str) -> None:
    """Rate limit or internal error: asked again."""
    seen = measure(zone, SHORT, "api-error", command="queryAsyncJobResult", times="2", status=status)
    assert (seen.done.code, seen.trial["verdict"]) == (0, "valid"), seen.done.err


def test_a_server_that_refuses_the_keys_is_named(zone: Zone) -> None:
    """Exit 3 or 64 with the reason, and nothing is restarted or measured."""
    seen = measure(zone, SHORT, "api-error", status="401", command="restartNetwork")
    assert seen.done.code == 3
    assert "unable to verify user credentials" in seen.done.err


def test_a_job_that_fails_although_the_network_works(zone: Zone) -> None:
    """INVALID: what was measured is not what was asked for; the job's words are passed on."""
    seen = measure(zone, SHORT, "job-fails", command="restartNetwork", text="Failed to restart network")
    assert (seen.done.code, seen.trial["verdict"]) == (3, "invalid")
    assert "job-failed" in seen.caveats
    assert "Failed to restart network" in seen.done.err


def test_a_job_that_hangs(zone: Zone) -> None:
    """UNKNOWN: the operation may still do something to the network; the run waits for it before it goes on."""
    seen = measure(zone, SHORT.replace('"10s"', '"3s"'), "job-hangs", command="restartNetwork", seconds="5")
    assert seen.trial["verdict"] == "unknown"
    assert {"job-unfinished", "no-recovery-seen"} & seen.caveats
    assert seen.done.code in (2, 3)


def test_a_new_router_that_finds_no_place(zone: Zone) -> None:
    """The job fails, the old router goes on: INVALID with no downtime."""
    seen = measure(zone, SHORT, "router-not-placed")
    assert (seen.done.code, seen.trial["verdict"]) == (3, "invalid")
    assert float(seen.trial["egress_downtime_s"]) == float(seen.trial["ingress_downtime_s"]) == 0


def test_a_router_stuck_in_starting(zone: Zone) -> None:
    """UNKNOWN: the job was not seen to end in its time."""
    seen = measure(zone, SHORT.replace('"10s"', '"3s"'), "router-stuck-starting", seconds="5")
    assert seen.trial["verdict"] == "unknown"
    assert {"job-unfinished", "no-recovery-seen"} & seen.caveats


def test_a_job_that_succeeds_while_the_traffic_is_dead(zone: Zone) -> None:
    """UNKNOWN: no recovery was seen, figures are lower bounds, and what the guests saw can't be fetched."""
    seen = measure(zone, SHORT, "rules-missing")
    assert (seen.done.code, seen.trial["verdict"]) == (2, "unknown")
    assert {"no-recovery-seen", "agent-lost"} <= seen.caveats
    assert seen.causes("ssh-ingress", "syn").startswith("unattributed")
    assert seen.trial["egress_at_most_s"] == seen.trial["ingress_at_most_s"] == ""
    assert seen.down("ssh-ingress", "syn") > 5


def test_source_nat_that_is_missing_after_the_restart(zone: Zone) -> None:
    """Egress does not recover and says why; ingress does."""
    seen = measure(zone, SHORT, "rules-missing", what="source-nat")
    assert seen.trial["verdict"] == "unknown"
    assert "NAT missing" in seen.causes("icmp-egress", "fresh")
    assert seen.trial["ingress_at_most_s"] != ""


def test_an_old_router_that_stays_on_the_wire(zone: Zone) -> None:
    """Two routers on one address, one of which the server has forgotten: named, for both answer; UNKNOWN."""
    seen = measure(zone, SHORT, "two-routers")
    assert (seen.done.code, seen.trial["verdict"]) == (2, "unknown"), seen.done.err
    assert "two-routers" in seen.caveats
    assert "control-down" not in seen.caveats


def test_an_announcement_that_nobody_hears(zone: Zone) -> None:
    """Egress is down for as long as guests keep the old MAC (made short here); stale ARP is named."""
    ages = "ip ntable change name arp_cache dev eth0 base_reachable 3000 delay_probe 500".split()
    for guest in vms(zone):
        subprocess.run(lifecycle.enter(zone.state, guest, ages), check=True)
    seen = measure(zone, SHORT.replace('"12s"', '"25s"'), "stale-arp")
    assert seen.done.code in (0, 2), seen.done.err
    assert float(seen.trial["egress_downtime_s"]) > 1
    assert "stale ARP" in seen.causes("icmp-egress", "fresh")


def test_addresses_on_the_wrong_side(zone: Zone) -> None:
    """Once the neighbours ask anew nobody answers for the addresses: ingress is lost, egress is not."""
    lifecycle.fault(zone.state, "wrong-interface")
    repair(zone)
    flush = lifecycle.enter(zone.state, "upstream", ["ip", "neigh", "flush", "dev", "eth0"])
    subprocess.run(flush, check=True)
    done = zone.vrbench("run", zone.profile(QUIET), "--reuse", KEPT)
    assert done.code == 3
    assert "SSH" in done.err


@pytest.mark.parametrize(("fault", "params"), [("packet-loss", {"percent": "10"}), ("icmp-limit", {"rate": "80"})])
def test_loss_that_was_there_before(zone: Zone, fault: str, params: dict[str, str]) -> None:
    """The baseline is lossy, and says so: the figures are not the restart's alone."""
    seen = measure(zone, SHORT, fault, **params)
    assert {"baseline-lossy", "down-at-request", "no-samples"} & seen.caveats
    assert seen.trial["verdict"] != "valid" or "baseline-lossy" in seen.caveats


def test_a_guest_that_loses_its_lease(zone: Zone) -> None:
    """INVALID: its way to its neighbour, which does not cross the router, was down as well."""
    seen = measure_during(zone, QUIET, "lease-lost", vm=vms(zone)[0])
    assert seen.trial["verdict"] == "invalid"
    assert "control-down" in seen.caveats


def test_a_guest_that_reboots(zone: Zone) -> None:
    """INVALID: the guest's own outage is not the router's."""
    seen = measure_during(zone, QUIET, "guest-reboot", vm=vms(zone)[0])
    assert seen.trial["verdict"] == "invalid"
    assert {"guest-rebooted", "control-down"} & seen.caveats


def test_an_ssh_server_that_is_gone(zone: Zone) -> None:
    """Its port refuses: ingress of that VM does not recover, egress is untouched."""
    seen = measure_during(zone, QUIET, "sshd-gone", vm=vms(zone)[0])
    assert seen.trial["verdict"] == "unknown"
    assert float(seen.trial["egress_downtime_s"]) == 0
    refused = [w for w in seen.windows if w["flow"] == "syn" and int(w["refused"]) > 0]
    assert refused


def test_an_ssh_server_that_is_slow(zone: Zone) -> None:
    """The port answers and no banner comes: the service is slow, not the network."""
    seen = measure_during(zone, QUIET, "sshd-slow", vm=vms(zone)[0])
    assert seen.down("ssh-ingress", "syn") == 0
    assert seen.down("ssh-ingress", "banner") > 1
    assert "service slow" in seen.causes("ssh-ingress", "banner")


def test_an_old_router_that_does_not_stop(tmp_path: Path, lab_possible: None) -> None:
    """Both routers stay, the job fails: INVALID; and the next restart fails as well (so it has a lab of its own)."""
    del lab_possible
    with running_zone(tmp_path, LabOptions(time_scale=0.05)) as zone:
        keep(zone)
        seen = measure(zone, SHORT, "router-not-stopped")
        assert (seen.done.code, seen.trial["verdict"]) == (3, "invalid")
        assert {str(r["state"]) for r in zone.rows("listRouters", "router")} == {"Running", "Stopping"}
        lifecycle.fault(zone.state, "", on=False)
        with pytest.raises(JobFailed):
            repair(zone)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Zone]:
    """A lab whose network has two routers."""
    request.getfixturevalue("lab_possible")
    with running_zone(tmp_path_factory.mktemp("pair"), LabOptions(strategy="redundant", time_scale=0.05)) as zone:
        keep(zone)
        yield zone


def test_a_pair_of_which_both_are_backup(pair: Zone) -> None:
    """Nobody forwards: both directions go down, stay down, and the trial is UNKNOWN."""
    seen = measure_during(pair, QUIET, "both-backup")
    lifecycle.fault(pair.state, "", on=False)
    assert seen.trial["verdict"] == "unknown"
    assert "no-recovery-seen" in seen.caveats
    assert seen.down("ssh-ingress", "syn") > 3


def test_a_pair_of_which_both_are_primary(pair: Zone) -> None:
    """Both answer for the same addresses: what is measured is what the tenant sees, and the job is no witness."""
    seen = measure_during(pair, QUIET, "split-brain")
    lifecycle.fault(pair.state, "", on=False)
    assert (seen.done.code, seen.trial["verdict"]) == (2, "unknown"), seen.done.err
    assert "two-routers" in seen.caveats
    assert "job-failed" not in seen.caveats
