"""Build the network that is measured, in the one order that is safe, each creating call journaled before and after.

    key pair → network → VMs side by side → the network is Implemented and has exactly one source-NAT address
    → addresses side by side → rules side by side → Environment

The order is a contract. A real server that is asked for addresses while the network is still Allocated gives it
several source-NAT addresses, and from then on nothing can be done with that network, not even delete it. So no address
is asked for before the network shows that it can take one. What fails half-way raises; the caller tears down from the
journal (``teardown.py``).
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from vrbench.cloud import operations
from vrbench.cloud.errors import CloudError, CloudRefused, UnsafeNetwork
from vrbench.cloud.facade import Answer, Cloud, Job, Param
from vrbench.cloud.journal import Journal
from vrbench.cloud.offerings import STATIC_NAT
from vrbench.cloud.preflight import Resolved
from vrbench.cloud.side_by_side import Stop, side_by_side
from vrbench.cloud.source import allowed_source
from vrbench.core.model import Endpoint, Environment, Guest
from vrbench.core.plan import EnvironmentPlan

Progress = Callable[[str], None]
R = TypeVar("R")

TAG = "vrbench-run"
SSH_PORT = 22
SHARED_PORT = 2200  # VM i that shares an address answers on port 2200 + i


@dataclass(frozen=True, slots=True)
class Forward:
    """Which VM answers on which address and port; VMs and addresses by number, from 0."""

    address: int
    port: int
    vm: int


@dataclass(frozen=True, slots=True)
class _Vm:
    name: str
    id: str
    ip: str


@dataclass(frozen=True, slots=True)
class _Address:
    id: str
    ip: str


@dataclass(frozen=True, slots=True)
class _Site:
    """What every step of one build needs."""

    cloud: Cloud
    plan: EnvironmentPlan
    resolved: Resolved
    journal: Journal
    progress: Progress
    stop: Stop = field(default_factory=Stop)

    def named(self, what: str) -> str:
        return f"{self.plan.prefix}-{what}"

    def wait(self, job: Job) -> Answer:
        return self.cloud.wait(job, self.plan.job_timeout_s, self.plan.poll_s, self.stop.check)


def build(cloud: Cloud, plan: EnvironmentPlan, resolved: Resolved, journal: Journal, progress: Progress) -> Environment:
    """Make the plan's network, VMs, addresses and rules. Raises CloudError or JournalError; tear down in any case."""
    site = _Site(cloud, plan, resolved, journal, progress)
    progress("registering the run's key pair")
    _register_key(site)
    progress("creating the network")
    network = _create_network(site)
    _tag(site, "Network", [network["id"]])
    progress(f"deploying {plan.vms} VMs side by side; the first one starts the network's router")
    vms = side_by_side([partial(_deploy, site, network["id"], number) for number in range(plan.vms)], site.stop)
    _tag(site, "UserVm", [vm.id for vm in vms])
    source_nat = await_source_nat(cloud, network["id"], plan.job_timeout_s, plan.poll_s)
    progress(f"acquiring {plan.public_ips} public addresses side by side")
    addresses = side_by_side(
        [partial(_acquire, site, network["id"], number) for number in range(plan.public_ips)], site.stop
    )
    forwards = assign(plan.vms, plan.public_ips)
    rules = _rules(site, network, forwards, addresses, vms)
    progress(f"creating {len(rules)} rules: SSH and ICMP from {allowed_source(plan.source_cidr, source_nat)} only")
    side_by_side(rules, site.stop)
    return _environment(site, network, source_nat, forwards, addresses, vms)


def assign(vms: int, public_ips: int) -> tuple[Forward, ...]:
    """Every address leads to a VM and every VM has an address: VMs beyond the addresses share them on other ports."""
    first = [Forward(address, SSH_PORT, address % vms) for address in range(public_ips)]
    shared = [Forward(vm % public_ips, SHARED_PORT + vm, vm) for vm in range(public_ips, vms)]
    return (*first, *shared)


def await_source_nat(cloud: Cloud, network_id: str, deadline_s: float, poll_s: float) -> str:
    """Wait until the network is Implemented and shows exactly one source-NAT address; returns that address.

    Raises UnsafeNetwork when it has several, or isn't there in time: no address may be acquired then.
    """
    until = time.monotonic() + deadline_s
    while True:
        rows = cloud.list("listNetworks", "network", id=network_id)
        state = str(rows[0].get("state")) if rows else "gone"
        shown = cloud.list("listPublicIpAddresses", "publicipaddress", associatednetworkid=network_id)
        source_nats = [str(row["ipaddress"]) for row in shown if row.get("issourcenat")]
        if len(source_nats) > 1:
            raise UnsafeNetwork(
                f"network {network_id} has {len(source_nats)} source-NAT addresses ({', '.join(source_nats)}): the "
                "server can do nothing with such a network any more, not even delete it; tell its administrator"
            )
        if state in ("Implemented", "Setup") and source_nats:
            return source_nats[0]
        if time.monotonic() >= until:
            raise UnsafeNetwork(
                f"network {network_id} is {state} with {len(source_nats)} source-NAT addresses after "
                f"{deadline_s:.0f} s; no address was acquired. Look at its router in the cloud"
            )
        time.sleep(poll_s)


def _register_key(site: _Site) -> None:
    name = site.named("key")
    _call(site, "keypair", name, {"name": name}, "registerSSHKeyPair", name=name, publickey=site.plan.public_key)


def _create_network(site: _Site) -> Answer:
    name = site.named("net")
    answer = _call(
        site,
        "network",
        name,
        {"name": name, "zone": site.resolved.zone_id},
        "createNetwork",
        name=name,
        displaytext=f"vrbench {site.plan.run_id}",  # needed up to 4.17
        networkofferingid=site.resolved.network_offering_id,
        zoneid=site.resolved.zone_id,
    )
    return _part(answer, "network")


def _deploy(site: _Site, network_id: str, number: int) -> _Vm:
    name = site.named(f"vm{number + 1}")
    user_data = base64.b64encode(site.plan.user_data.encode()).decode()
    answer = _job(
        site,
        "vm",
        name,
        {"name": name, "network": network_id},
        "deployVirtualMachine",
        name=name,
        displayname=name,
        serviceofferingid=site.resolved.service_offering_id,
        templateid=site.resolved.template_id,
        zoneid=site.resolved.zone_id,
        networkids=network_id,
        keypair=site.named("key"),
        userdata=user_data or None,
    )
    row = _part(answer, "virtualmachine")
    ip = next((str(nic["ipaddress"]) for nic in row.get("nic", []) if nic.get("networkid") == network_id), "")
    if row.get("state") != "Running" or not ip:
        raise CloudError(f"VM {name} is {row.get('state')} with address {ip or 'none'} after its deployment")
    site.progress(f"VM {name} runs at {ip}")
    return _Vm(name, str(row["id"]), ip)


def _acquire(site: _Site, network_id: str, number: int) -> _Address:
    key = site.named(f"ip{number + 1}")
    answer = _job(site, "address", key, {"network": network_id}, "associateIpAddress", networkid=network_id)
    row = _part(answer, "ipaddress")
    if row.get("issourcenat"):
        raise UnsafeNetwork(f"address {row['ipaddress']} was made a second source-NAT address of network {network_id}")
    return _Address(str(row["id"]), str(row["ipaddress"]))


def _rules(
    site: _Site, network: Answer, forwards: tuple[Forward, ...], addresses: list[_Address], vms: list[_Vm]
) -> list[Callable[[], None]]:
    """All rules as calls: they don't depend on one another."""
    rules: list[Callable[[], None]] = []
    for number, address in enumerate(addresses):
        rules.append(partial(_open, site, address, f"ip{number + 1}-icmp", protocol="icmp", icmptype=-1, icmpcode=-1))
    for forward in forwards:
        address, port = addresses[forward.address], forward.port
        key = f"ip{forward.address + 1}-port{port}"
        rules.append(partial(_open, site, address, key, protocol="tcp", startport=port, endport=port))
        lead = _static_nat if site.plan.access == STATIC_NAT else _port_forward
        rules.append(partial(lead, site, network["id"], address, forward, vms[forward.vm]))
    if not site.resolved.egress_allowed:
        rules.append(partial(_open_egress, site, network))
    return rules


def _open(site: _Site, address: _Address, key: str, **rule: Param) -> None:
    cidr = allowed_source(site.plan.source_cidr, address.ip)
    _job(
        site,
        "firewall",
        site.named(key),
        {"address": address.id},
        "createFirewallRule",
        ipaddressid=address.id,
        cidrlist=cidr,
        **rule,
    )


def _port_forward(site: _Site, network_id: str, address: _Address, forward: Forward, vm: _Vm) -> None:
    _job(
        site,
        "port-forward",
        site.named(f"ip{forward.address + 1}-port{forward.port}-to-vm{forward.vm + 1}"),
        {"address": address.id},
        "createPortForwardingRule",
        ipaddressid=address.id,
        networkid=network_id,
        virtualmachineid=vm.id,
        protocol="tcp",
        publicport=forward.port,
        privateport=SSH_PORT,
        openfirewall=False,  # else it would open the port to the whole world
    )


def _static_nat(site: _Site, network_id: str, address: _Address, forward: Forward, vm: _Vm) -> None:
    key = site.named(f"ip{forward.address + 1}-static-nat-to-vm{forward.vm + 1}")
    _call(
        site,
        "static-nat",
        key,
        {"address": address.id},
        "enableStaticNat",
        ipaddressid=address.id,
        virtualmachineid=vm.id,
        networkid=network_id,
    )


def _open_egress(site: _Site, network: Answer) -> None:
    _job(
        site,
        "egress",
        site.named("egress"),
        {"network": network["id"]},
        "createEgressFirewallRule",
        networkid=network["id"],
        protocol="all",
        cidrlist=network["cidr"],
    )


def _part(answer: Answer, name: str) -> Answer:
    part = answer.get(name)
    if not isinstance(part, dict) or "id" not in part:
        raise CloudError(f"the server's answer shows no {name}, although it reports success")
    return part


def _tag(site: _Site, kind: str, ids: list[str]) -> None:
    """Tags are for people who look at the cloud, and go with what they hang on: failing to set one stops nothing.

    Addresses get none: a server that deletes a network forgets the tags of its addresses, which the next owner of the
    same address would then find.
    """
    tags: dict[str, Param] = {"tags[0].key": TAG, "tags[0].value": site.plan.run_id}
    try:
        site.wait(site.cloud.submit("createTags", resourcetype=kind, resourceids=ids, **tags))
    except CloudError as error:
        site.progress(f"not tagged: {error}")


def _call(site: _Site, kind: str, key: str, params: Mapping[str, str], command: str, **sent: Param) -> Answer:
    """A synchronous creating call between its two journal records."""
    site.journal.intend(kind, key, params)
    answer = _unless_refused(site, key, partial(site.cloud.call, command, **sent))
    made = answer.get(kind)
    site.journal.created(key, str(made.get("id", key)) if isinstance(made, dict) else key)
    return answer


def _job(site: _Site, kind: str, key: str, params: Mapping[str, str], command: str, **sent: Param) -> Answer:
    """An asynchronous creating call. The id is journaled at once: an object whose job fails is there all the same."""
    site.stop.check()
    site.journal.intend(kind, key, params)
    job = _unless_refused(site, key, partial(site.cloud.submit, command, **sent))
    if job.id:
        site.journal.created(key, job.id)
    return site.wait(job)


def _unless_refused(site: _Site, key: str, call: Callable[[], R]) -> R:
    """The call's result; a refusal by which nothing came to be takes the intent back."""
    try:
        return call()
    except CloudRefused as refused:
        if refused.nothing_came_of_it:
            site.journal.destroyed(key)
        raise


def _environment(
    site: _Site,
    network: Answer,
    source_nat: str,
    forwards: tuple[Forward, ...],
    addresses: list[_Address],
    vms: list[_Vm],
) -> Environment:
    ends = {forward.vm: forward for forward in reversed(forwards)}
    return Environment(
        network_id=str(network["id"]),
        network_name=str(network["name"]),
        zone=site.resolved.zone,
        hypervisor=site.resolved.hypervisor,
        cloud_version=site.resolved.version,
        offering=site.resolved.network_offering,
        source_nat_ip=source_nat,
        guests=tuple(
            Guest(vm.name, vm.id, vm.ip, addresses[ends[number].address].ip, ends[number].port)
            for number, vm in enumerate(vms)
        ),
        endpoints=tuple(Endpoint(addresses[f.address].ip, f.port, vms[f.vm].name) for f in forwards),
        routers=tuple(router.name for router in operations.routers(site.cloud, str(network["id"]))),
    )
