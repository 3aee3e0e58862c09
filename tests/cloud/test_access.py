"""A template whose sshd listens on another port."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cloud.lab import QUICK, planned, running_lab, silent
from vrbench.cloud.build.environment import build


@pytest.mark.parametrize(("access", "outside"), [("port-forwarding", "22"), ("static-nat", "2222")])
def test_sshd_may_listen_elsewhere(tmp_path: Path, access: str, outside: str) -> None:
    """Port forwarding translates the port, static NAT does not; the firewall opens what is used outside alone."""
    plan = planned(access=access, ssh_port=2222, vms=1, public_ips=1)
    with running_lab(QUICK) as lab:
        environment = build(lab.cloud(), plan, lab.resolve(plan), lab.journal(tmp_path / "j"), silent)
        forwards = lab.rows("listPortForwardingRules", "portforwardingrule")
        opened = {row["startport"] for row in lab.rows("listFirewallRules", "firewallrule") if row["protocol"] == "tcp"}
    assert [(row["publicport"], row["privateport"]) for row in forwards] == [("22", "2222")][: access[0] == "p"]
    assert {str(port) for port in opened} == {outside}
    assert [str(guest.public_port) for guest in environment.guests] == [outside]
