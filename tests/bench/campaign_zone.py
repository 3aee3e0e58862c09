"""The labs of a campaign: a front before each, what belongs to others, and what stands there at any moment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.campaign_front import Front, Reply, running_front
from tests.cli.zone import Zone, running_zone
from tests.cloud.lab import PLAN
from tests.cloud.server import Request
from vrbench.cloud.api.facade import Answer, Cloud, Param
from vrbench.cloud.check.preflight import preflight
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.lab.status import LabOptions

ROLES = ("root", "domadmin")
SMALL_DISK = "24m"
KINDS = {  # what there can be in a zone: the command that lists it, and the name of a row
    "listNetworks": "network",
    "listVirtualMachines": "virtualmachine",
    "listRouters": "router",
    "listPublicIpAddresses": "publicipaddress",
    "listFirewallRules": "firewallrule",
    "listEgressFirewallRules": "firewallrule",
    "listPortForwardingRules": "portforwardingrule",
    "listSSHKeyPairs": "sshkeypair",
    "listTags": "tag",
}
LISTED = {  # how to see what a command removes
    "deleteNetwork": ("listNetworks", "network"),
    "deleteSSHKeyPair": ("listSSHKeyPairs", "sshkeypair"),
    "disassociateIpAddress": ("listPublicIpAddresses", "publicipaddress"),
}
JOB_S = 30.0
TAKEN_WITHIN_S = 3.0
PASSING = re.compile(
    "cpuused|network.*kbs.*|disk.*(read|write)|memory.*kbs|lastupdated"
)  # what a VM measures of itself


@dataclass
class CampaignLab:
    """One lab, with its front and the look-alikes that were made beside the run under way."""

    zone: Zone
    front: Front
    small_disk: Path | None
    keep: Path | None  # where the runs go that were wrong
    alike: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)  # role, command that removes it, params
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cloud(self, role: str = "root") -> Cloud:
        keys = self.zone.status.callers[role]
        return Cloud(Credentials(self.zone.status.endpoint, keys.apikey, keys.secretkey))

    def client_file(self, role: str) -> str:
        """Return a cloudstack.ini of this caller, who asks the front."""
        keys = self.zone.status.callers[role]
        return f"[cloudstack]\nendpoint = {self.front.endpoint}\nkey = {keys.apikey}\nsecret = {keys.secretkey}\n"

    def standing(self) -> dict[str, str]:
        """Return everything in the zone that anybody made, as the root administrator sees it."""
        root = self.cloud()
        found = {}
        for command, name in KINDS.items():
            for row in root.list(command, name, listall=True):
                if name != "publicipaddress" or (row.get("state") != "Free" and row.get("account") != "system"):
                    found[f"{name} {_identity(row)}"] = json.dumps(_lasting(row))
        return found

    def make_alike(self, role: str, request: Request, reply: Reply) -> None:
        """Beside the run's network make objects of others that are called nearly the same: a network and two keys."""
        if request.params["command"] != "createNetwork" or reply.status != 200:
            return
        cloud, name, sent = self.cloud(role), request.params["name"], request.params
        with self._lock:
            if self.alike:
                return
            same = {k: sent[k] for k in ("networkofferingid", "zoneid")}
            made = cloud.call("createNetwork", name=f"{name}2", displaytext=sent["displaytext"], **same)["network"]
            self.alike.append((role, "deleteNetwork", {"id": made["id"]}))
            for key in (f"{name.removesuffix('-net')}-key2", f"x{name.removesuffix('-net')}-key"):
                cloud.call("registerSSHKeyPair", name=key, publickey=f"ssh-ed25519 {key}")
                self.alike.append((role, "deleteSSHKeyPair", {"name": key}))

    def take(self, role: str, address: str) -> None:
        """Acquire an address that the run has just released, for the other network of the same account."""
        root, cloud = self.cloud(), self.cloud(role)
        other = cloud.list("listNetworks", "network", keyword=f"vrbench-{role}-net")[0]["id"]
        until = time.monotonic() + TAKEN_WITHIN_S
        while (row := root.list("listPublicIpAddresses", "publicipaddress", id=address)[0])["state"] != "Free":
            if time.monotonic() > until:
                return
            time.sleep(0.02)
        _run(cloud, "associateIpAddress", networkid=other, ipaddress=row["ipaddress"])
        self.alike.append((role, "disassociateIpAddress", {"id": address}))

    def lost_alike(self) -> list[str]:
        """Remove the look-alikes, and what others took; return what was gone already."""
        gone = []
        for role, command, params in reversed(self.alike):
            cloud, (listing, name) = self.cloud(role), LISTED[command]
            rows = cloud.list(listing, name, **params)
            if not rows or (name == "publicipaddress" and not rows[0].get("associatednetworkid")):
                gone.append(f"{name} {params}")
            elif command == "deleteSSHKeyPair":
                cloud.call(command, **params)
            else:
                _run(cloud, command, **params)
        self.alike = []
        return gone


def _lasting(row: Answer) -> Answer:
    return {name: row[name] for name in sorted(row) if not PASSING.fullmatch(name)}


def _run(cloud: Cloud, command: str, **params: Param) -> Answer:
    return cloud.wait(cloud.submit(command, **params), JOB_S, 0.05)


def _identity(row: Answer) -> str:
    return str(row.get("id") or row.get("name") or f"{row.get('resourceid')} {row.get('key')}")


@contextmanager
def running_labs(here: Path, count: int, keep: Path | None) -> Iterator[list[CampaignLab]]:
    """Run so many labs side by side, with something of others in each."""
    with ExitStack() as stack:
        yield [stack.enter_context(_running_lab(here / f"lab-{number}", keep)) for number in range(count)]


@contextmanager
def _running_lab(here: Path, keep: Path | None) -> Iterator[CampaignLab]:
    here.mkdir()
    with (
        _small_disk(here / "small") as small,
        running_zone(here, LabOptions(time_scale=0.02, build_scale=0.01)) as zone,
        running_front(zone.state, zone.status.endpoint) as front,
    ):
        lab = CampaignLab(zone, front, small, keep)
        for role in ROLES:
            _build_other(lab.cloud(role), f"vrbench-{role}")
        yield lab


@contextmanager
def _small_disk(place: Path) -> Iterator[Path | None]:
    """Mount a disk that is soon full, as only root may; made before the lab, whose processes see it only then."""
    if os.geteuid() != 0:
        yield None
        return
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _build_other(cloud: Cloud, name: str) -> None:
    """Make a network, a VM, addresses, rules, tags and a key pair whose names are nearly ours, in the same account."""
    found = preflight(cloud, PLAN, accept_unexpunged=True)[0]
    zone, offering, service = found.zone_id, found.network_offering_id, found.service_offering_id
    made = cloud.call("createNetwork", name=f"{name}-net", displaytext=name, networkofferingid=offering, zoneid=zone)
    network = str(made["network"]["id"])
    cloud.call("registerSSHKeyPair", name=f"{name}-key", publickey=f"ssh-ed25519 {name}")
    kept = {"keypair": f"{name}-key", "networkids": network}
    given: dict[str, Param] = {**kept, "name": f"{name}-vm1", "templateid": found.template_id}
    vm = _run(cloud, "deployVirtualMachine", zoneid=zone, serviceofferingid=service, **given)
    address = str(_run(cloud, "associateIpAddress", networkid=network)["ipaddress"]["id"])
    _run(cloud, "createFirewallRule", ipaddressid=address, protocol="tcp", startport=22, endport=22)
    vm_id = str(vm["virtualmachine"]["id"])
    ports: dict[str, Param] = {"protocol": "tcp", "publicport": 22, "privateport": 22}
    _run(cloud, "createPortForwardingRule", ipaddressid=address, virtualmachineid=vm_id, openfirewall=False, **ports)
    _run(cloud, "createEgressFirewallRule", networkid=network, protocol="all")
    tags: dict[str, Param] = {"tags[0].key": "vrbench-run", "tags[0].value": "20200101T000000Z-0000-of-another"}
    _run(cloud, "createTags", resourcetype="UserVm", resourceids=vm_id, **tags)
