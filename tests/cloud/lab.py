"""The lab's API without packets, as a real counterpart: fast machines, real jobs, states and errors."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path
from unittest.mock import patch

from tests.lab.no_ground import NoGround
from vrbench.cloud.api.facade import Answer, Cloud
from vrbench.cloud.check.preflight import Resolved, preflight
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.journal.journal import Journal
from vrbench.cloud.journal.replay import Head
from vrbench.cloud.remove.removal import Deadlines, RemovalReport
from vrbench.lab.api.server.server import ApiServer
from vrbench.lab.api.state.settings import ZoneSettings
from vrbench.lab.timing import Timing
from vrbench.route import Way

# What is sent to its public addresses stays on this machine.
HERE = IPv4Network("127.44.0.0/24")
_ON_LOOPBACK = ZoneSettings(public_cidr=HERE, public_gateway=HERE[1], public_first=HERE[10], public_last=HERE[250])
FAST = replace(_ON_LOOPBACK, timing=Timing().scaled(0.005), api_step_s=0.005, expunge_delay_s=0.3)
QUICK = replace(_ON_LOOPBACK, timing=Timing().scaled(0.0005), api_step_s=0.001, expunge_delay_s=0.02)
DEADLINES = Deadlines(job_s=20, network_s=10, settle_s=0.4, poll_s=0.02, read_s=0.5, lost_s=1.0, round_s=0.05)
PLAN = EnvironmentPlan(
    run_id="20261124T120000Z-ab12",
    prefix="vrb-1a2b3c4d",
    zone="",
    network_offering="auto",
    service_offering="",
    template="",
    vms=2,
    public_ips=2,
    access="port-forwarding",
    source_cidr="203.0.113.7/32",
    public_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9o2w0m1l9Jm1bUqg8nQe0w7bq4yqgJ7m8r9m2oVq1P vrbench",),
    user_data="#cloud-config\n",
    job_timeout_s=20,
    poll_s=0.02,
)


def is_clean(report: RemovalReport) -> bool:
    """Return whether a removal left nothing, and nothing went wrong on its way."""
    return not report.left and not report.problems


@dataclass(frozen=True)
class Lab:
    """A zone behind its API, and its callers."""

    server: ApiServer
    endpoint: str

    def cloud(self, role: str = "domadmin") -> Cloud:
        caller = self.server.callers()[role]
        return Cloud(Credentials(self.endpoint, caller.apikey, caller.secretkey))

    def journal(self, path: Path, role: str = "domadmin") -> Journal:
        resolved = self.resolve(PLAN, role)
        return Journal.create(path, Head(PLAN.run_id, self.endpoint, resolved.account, resolved.domain_id))

    def resolve(self, plan: EnvironmentPlan, role: str = "domadmin") -> Resolved:
        return preflight(self.cloud(role), plan, accept_unexpunged=True)[0]

    def rows(self, command: str, name: str, **params: str) -> list[Answer]:
        """Return all there is of one kind, as the root administrator sees it."""
        return self.cloud("root").list(command, name, listall=True, **params)

    def objects(self) -> list[str]:
        """Return everything in the zone that somebody made."""
        kinds = {
            "listNetworks": "network",
            "listVirtualMachines": "virtualmachine",
            "listSSHKeyPairs": "sshkeypair",
            "listRouters": "router",
            "listFirewallRules": "firewallrule",
            "listEgressFirewallRules": "firewallrule",
            "listPortForwardingRules": "portforwardingrule",
            "listTags": "tag",
        }
        found = [
            f"{name} {row.get('name') or row.get('id')}" for c, name in kinds.items() for row in self.rows(c, name)
        ]
        return found + [f"address {row['ipaddress']}" for row in self.addresses()]

    def addresses(self) -> list[Answer]:
        rows = self.rows("listPublicIpAddresses", "publicipaddress")
        return [row for row in rows if row.get("account") != "system" and row.get("state") != "Free"]


@contextmanager
def a_way(source: str = "203.0.113.7") -> Iterator[None]:
    """Have this machine a way to all addresses, whatever network it has: nothing is sent there."""
    with patch("vrbench.cloud.check.own_address.way_to", lambda _: Way(source, 1500)):
        yield


@contextmanager
def running_lab(settings: ZoneSettings = FAST) -> Iterator[Lab]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = ApiServer(NoGround(), settings)
    server.start([listener])
    try:
        with a_way():
            yield Lab(server, f"http://127.0.0.1:{listener.getsockname()[1]}/client/api")
    finally:
        server.stop()


def planned(**changes: object) -> EnvironmentPlan:
    return replace(PLAN, **changes)  # type: ignore[arg-type]


def silent(_: str) -> None:
    """Take progress that nobody looks at."""
