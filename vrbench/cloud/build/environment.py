"""Build the network that is measured, in the one order that is safe, each creating call journaled before and after.

    key pair → (a network offering, where none fits) → network → VMs in parallel
    → the network is Implemented and has exactly one source-NAT address
    → addresses in parallel → rules, a few at once → Environment

The order is a contract. A real server that is asked for addresses while the network is still Allocated gives it
several source-NAT addresses, and from then on nothing can be done with that network, not even delete it. So no address
is asked for before the network shows that it can take one. What fails half-way raises; the caller removes by the
journal (``remove/steps.py``).
"""

from __future__ import annotations

import base64
import time
from dataclasses import replace
from functools import partial
from operator import itemgetter

from vrbench.cloud.api.calls import ON_ROUTER
from vrbench.cloud.api.facade import Answer, Cloud, Param
from vrbench.cloud.api.patience import look_again
from vrbench.cloud.api.turned_away import WhenTurnedAway
from vrbench.cloud.build.access import access_rules, forwards_of
from vrbench.cloud.build.key_pair import register_key
from vrbench.cloud.build.making import Making, Wave, make, make_all
from vrbench.cloud.build.steps import Address, BuildContext, Built, Progress, Vm
from vrbench.cloud.check.offerings import redundant_offering
from vrbench.cloud.check.own_address import allowed_source
from vrbench.cloud.check.preflight import Resolved
from vrbench.cloud.environment_plan import TAG, EnvironmentPlan
from vrbench.cloud.errors import CloudError, UnsafeNetwork
from vrbench.cloud.journal.journal import Journal
from vrbench.cloud.operate import operations
from vrbench.core.model import Endpoint, Environment, Guest
from vrbench.core.text import some

VMS = Wave("VM", "runs")
ADDRESSES = Wave("address", "is ours")
RULES = Wave("rule", "is in place", width=ON_ROUTER, grace_s=0.0, one_by_one=True)


def build(cloud: Cloud, plan: EnvironmentPlan, resolved: Resolved, journal: Journal, progress: Progress) -> Environment:
    """Make the plan's network, VMs, addresses and rules. Raises CloudError or JournalError; tear down in any case."""
    context = BuildContext(cloud.acting_for(resolved.owner), plan, resolved, journal, progress)
    with context.cloud.waits_by(WhenTurnedAway(progress, context.stop.sleep)):
        return _build(context)


def _build(context: BuildContext) -> Environment:
    plan, progress = context.plan, context.progress
    progress("registering the run's key pair")
    key = register_key(context)
    context = replace(context, resolved=_with_offering(context))
    progress("creating the network")
    network = make(context, _network(context))
    _tag(context, "Network", [network["id"]])
    progress(f"deploying {some(plan.vms, 'VM')} in parallel; the first one starts the network's router")
    vms = make_all(context, [_vm(context, key, network["id"], number) for number in range(plan.vms)], VMS)
    _tag(context, "UserVm", [vm.id for vm in vms])
    source_nat = await_source_nat(context.cloud, network["id"], plan.job_timeout_s, plan.poll_s)
    source = allowed_source(plan.source_cidr, source_nat)  # before more addresses are taken: it may be hopeless
    progress(f"acquiring {some(plan.public_ips, 'public address', 'public addresses')} in parallel")
    wanted = [_address(context, network["id"], number) for number in range(plan.public_ips)]
    addresses = make_all(context, wanted, ADDRESSES)
    built = Built(network, source_nat, vms, addresses, forwards_of(plan))
    rules = access_rules(context, built)
    progress(f"creating {len(rules)} rules, {RULES.width} at once: SSH and ICMP from {source} only")
    make_all(context, rules, RULES)
    return _environment(context, built)


def await_source_nat(cloud: Cloud, network_id: str, deadline_s: float, poll_s: float) -> str:
    """Wait until the network is Implemented and shows exactly one source-NAT address; return that address.

    Raises UnsafeNetwork when it has several, or isn't there in time: no address may be acquired then.
    """
    until = time.monotonic() + deadline_s
    while True:
        rows = look_again(partial(cloud.list, "listNetworks", "network", id=network_id))
        state = str(rows[0].get("state")) if rows else "gone"
        ours = partial(cloud.list, "listPublicIpAddresses", "publicipaddress", associatednetworkid=network_id)
        shown = look_again(ours)
        # Of a network that is gone, newer servers list all addresses of the account.
        there = [row for row in shown if row.get("associatednetworkid", network_id) == network_id]
        source_nats = [str(row["ipaddress"]) for row in there if row.get("issourcenat")]
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
                f"{deadline_s:.0f} s; no address was acquired. Look at its router's state and events in the cloud"
            )
        time.sleep(poll_s)


def _with_offering(context: BuildContext) -> Resolved:
    """Return what was resolved, with the network offering; one that has to be made is made and enabled."""
    resolved = context.resolved
    if resolved.network_offering_id:
        return resolved
    context.progress("making a network offering with two routers, for this run")
    name = context.named("offering")
    sent = redundant_offering(name, context.plan.run_id)
    made = make(
        context,
        Making("offering", name, {"name": name}, "createNetworkOffering", sent, itemgetter("networkoffering")),
    )
    context.cloud.call("updateNetworkOffering", id=made["id"], state="Enabled")
    return replace(resolved, network_offering_id=str(made["id"]), network_offering=name)


def _network(context: BuildContext) -> Making[Answer]:
    name = context.named("net")
    sent: dict[str, Param] = {
        "name": name,
        "displaytext": f"vrbench {context.plan.run_id}",  # needed up to 4.17
        "networkofferingid": context.resolved.network_offering_id,
        "zoneid": context.resolved.zone_id,
    }
    noted = context.noted(name=name, zone=context.resolved.zone_id)
    return Making("network", name, noted, "createNetwork", sent, itemgetter("network"))


def _vm(context: BuildContext, key: str, network_id: str, number: int) -> Making[Vm]:
    name = context.named(f"vm{number + 1}")
    user_data = base64.b64encode(context.plan.user_data.encode()).decode()
    sent: dict[str, Param] = {
        "name": name,
        "displayname": name,
        "serviceofferingid": context.resolved.service_offering_id,
        "templateid": context.resolved.template_id,
        "zoneid": context.resolved.zone_id,
        "networkids": network_id,
        "keypair": key,
        "userdata": user_data or None,
    }

    def take(answer: Answer) -> Vm:
        row = answer["virtualmachine"]
        addresses = {nic.get("networkid"): nic.get("ipaddress") for nic in row.get("nic", [])}
        ip = str(addresses.get(network_id) or "")
        if row.get("state") != "Running" or not ip:
            raise CloudError(
                f"VM {name} was deployed and is {row.get('state')} with address {ip or 'none'}; it must be Running "
                "with an address. Look at the VM's events in the cloud"
            )
        return Vm(name, str(row["id"]), ip)

    return Making("vm", name, context.noted(name=name, network=network_id), "deployVirtualMachine", sent, take)


def _address(context: BuildContext, network_id: str, number: int) -> Making[Address]:
    def take(answer: Answer) -> Address:
        row = answer["ipaddress"]
        if row.get("issourcenat"):
            raise UnsafeNetwork(
                f"address {row['ipaddress']} was made a second source-NAT address of network {network_id}: nothing "
                "more was asked for. The clean-up may need the cloud's administrator"
            )
        return Address(str(row["id"]), str(row["ipaddress"]))

    key, noted = context.named(f"ip{number + 1}"), {"network": network_id}
    return Making("address", key, noted, "associateIpAddress", {"networkid": network_id}, take)


def _tag(context: BuildContext, kind: str, ids: list[str]) -> None:
    """Tag objects for people who look at the cloud. Tags go with what they hang on; failing to set one stops nothing.

    Addresses get none: a server that deletes a network forgets the tags of its addresses, which the next owner of the
    same address would then find.
    """
    tags: dict[str, Param] = {"tags[0].key": TAG, "tags[0].value": context.plan.run_id}
    try:
        job = context.cloud.submit("createTags", resourcetype=kind, resourceids=ids, **tags)
        context.wait(job, context.plan.job_timeout_s)
    except CloudError as error:
        context.progress(f"not tagged: {error}")


def _environment(context: BuildContext, built: Built) -> Environment:
    first = {forward.vm: forward for forward in reversed(built.forwards)}
    routers = look_again(partial(operations.list_routers, context.cloud, built.network_id))
    return Environment(
        network_id=built.network_id,
        network_name=str(built.network["name"]),
        zone=context.resolved.zone,
        hypervisor=context.resolved.hypervisor,
        cloud_version=context.resolved.version,
        offering=context.resolved.network_offering,
        source_nat_ip=built.source_nat,
        guests=tuple(
            Guest(vm.name, vm.id, vm.ip, built.addresses[first[number].address].ip, first[number].port)
            for number, vm in enumerate(built.vms)
        ),
        endpoints=tuple(Endpoint(built.addresses[f.address].ip, f.port, built.vms[f.vm].name) for f in built.forwards),
        routers=tuple(router.name for router in routers),
        owner=context.resolved.owner,
    )
