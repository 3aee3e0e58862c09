"""Faults of guests and of the fabric: what is not the router's doing is told from what is."""

from __future__ import annotations

import pytest

from tests.cli.faults.measured import QUIET, SHORT, measure, measure_during, vms
from tests.cli.zone import Zone

pytestmark = [pytest.mark.lab, pytest.mark.slow]


# Two VMs ping outside 40 times a second in all, which is 80 packets: half of them is a limit that surely shows.
@pytest.mark.parametrize(("fault", "params"), [("packet-loss", {"percent": "12"}), ("icmp-limit", {"rate": "40"})])
def test_loss_that_was_there_before(zone: Zone, fault: str, params: dict[str, str]) -> None:
    """The figures would not be the restart's: it is never asked for, and the words say what is lost."""
    seen = measure(zone, SHORT, fault, **params)
    assert seen.done.code == 3
    assert "a good part of what is counted is lost before the operation" in seen.done.err
    assert "Nothing was restarted." in seen.done.err
    assert seen.trial == {}


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
