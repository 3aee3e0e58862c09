"""Faults of routers that are renewed: verdict, caveats, causes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.faults.measured import QUIET, SHORT, age, keep, kept, measure, repair, vms
from tests.cli.zone import Zone, running_zone
from vrbench.cloud.errors import JobFailed
from vrbench.lab import lifecycle
from vrbench.lab.router_history import RouterAction
from vrbench.lab.status import LabOptions

pytestmark = [pytest.mark.lab, pytest.mark.slow]


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
    actions = [RouterAction(**action) for action in lifecycle.phases(zone.state)["deeds"]]
    programmed = [action for action in actions if action.what == "program_router"][-1]
    assert (programmed.egress, len(programmed.ingress)) == (False, 2), "the lab knows what the fault left of the order"
    assert seen.trial["ingress_at_most_s"] != ""


def test_an_old_router_that_stays_on_the_wire(zone: Zone) -> None:
    """Two routers on one address, one of which the server has forgotten: named, for both answer; UNKNOWN."""
    seen = measure(zone, SHORT, "two-routers")
    assert (seen.done.code, seen.trial["verdict"]) == (2, "unknown"), seen.done.err
    assert "two-routers" in seen.caveats
    assert "control-down" not in seen.caveats


def test_an_announcement_that_nobody_hears(zone: Zone) -> None:
    """Egress is down for as long as a guest keeps the old MAC, made short here.

    One guest asks anew seconds before the other. Meanwhile it is seen that the router works at the new address: only
    then is stale ARP proven.
    """
    for guest, kept_ms in zip(vms(zone), (1000, 8000), strict=True):
        age(zone, guest, "base_reachable", str(kept_ms), "delay_probe", "500")
    seen = measure(zone, SHORT.replace('"12s"', '"30s"'), "stale-arp")
    assert seen.done.code in (0, 2), seen.done.err
    assert float(seen.trial["egress_downtime_s"]) > 1
    assert "stale ARP" in seen.causes("icmp-egress", "fresh")


def test_addresses_on_the_wrong_side(zone: Zone) -> None:
    """Once the neighbours ask anew nobody answers for the addresses: ingress is lost, egress is not."""
    lifecycle.fault(zone.state, "wrong-interface")
    repair(zone)
    flush = lifecycle.enter(zone.state, "upstream", ["ip", "neigh", "flush", "dev", "eth0"])
    subprocess.run(flush, check=True)
    done = zone.vrbench("run", zone.profile(QUIET), "--reuse", kept(zone))
    assert done.code == 3
    assert "SSH" in done.err


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
