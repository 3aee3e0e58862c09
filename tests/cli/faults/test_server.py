"""Faults of the server and of its jobs: exit code, verdict, caveats."""

from __future__ import annotations

import pytest

from tests.cli.faults.measured import HASTY, SHORT, kept, measure, read
from tests.cli.zone import PROFILE, Zone, check_worth
from vrbench.lab import lifecycle

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def test_a_server_that_stumbles_while_a_job_is_watched_costs_nothing(zone: Zone) -> None:
    """Late, a proxy's page, 503, a reset: the trial is valid and the job is seen to end; figures are the probes'."""
    stumbles = {"api-delay": {"seconds": "0.3"}, "api-html": {"status": "200"}, "api-error": {}, "api-reset": {}}
    for fault, params in stumbles.items():
        lifecycle.fault(zone.state, fault, {"command": "queryAsyncJobResult", "times": "2", **params})
    seen = read(zone, zone.vrbench("run", zone.profile(PROFILE), "--reuse", kept(zone), "--json"))
    check_worth(seen.done.code, [seen.trial])
    assert float(seen.trial["job_s"]) > 0


@pytest.mark.parametrize("status", ["429", "530"])
def test_a_server_that_refuses_to_tell_of_a_job_for_a_while(zone: Zone, status: str) -> None:
    """Rate limit or internal error: asked again."""
    seen = measure(zone, PROFILE, "api-error", command="queryAsyncJobResult", times="2", status=status)
    check_worth(seen.done.code, [seen.trial])


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
    seen = measure(zone, HASTY, "job-hangs", command="restartNetwork", seconds="8")
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
    seen = measure(zone, HASTY, "router-stuck-starting", seconds="8")
    assert seen.trial["verdict"] == "unknown"
    assert {"job-unfinished", "no-recovery-seen"} & seen.caveats
