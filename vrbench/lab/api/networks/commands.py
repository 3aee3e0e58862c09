"""Isolated guest networks: create, list, rename, restart, delete."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from vrbench.lab.api.accounts import events, tags
from vrbench.lab.api.accounts.limits import check_address_limit, check_limit
from vrbench.lab.api.networks.listing import list_networks
from vrbench.lab.api.networks.parameters import check_options, check_private, domain_name, resolvers, subnet
from vrbench.lab.api.networks.tiers import check_tier, tier_acl
from vrbench.lab.api.networks.updates import updating, use_source_nat
from vrbench.lab.api.networks.view import network_view
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.routers.implement import assign, bring_up_lost_routers, clear, patch_routers, remove_routers
from vrbench.lab.api.routers.network_routers import NetworkRouters
from vrbench.lab.api.routers.ruleset import check_source_nat, reprogram
from vrbench.lab.api.routers.specs import PAIRED, strategy
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, BuiltIn, Json, Network, Router, Vpc
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.zone import Zone, new_id

GONE = "Networkd ID={id} doesn't exist"
RESTARTABLE = ("Implemented", "Setup")
WRONG_STATE = "Network is not in the right state to be restarted. Correct states are: Implemented, Setup"
VLANS = range(100, 1000)


def create_network(call: Call) -> Json:
    zone, owner = call.zone, call.owner()
    offering, vpc = _usable_offering(call), _vpc(call)
    check_options(call, offering)
    cidr, gateway, named = *_addresses(call, vpc), domain_name(call)
    dns = resolvers(call)
    if dns and vpc is not None:
        raise errors.invalid("DNS can not be specified for a VPC tier")
    _refuse_mismatch(offering, vpc)
    if vpc is not None:
        check_tier(call, vpc, cidr, named)
    own_domain = vpc.domain_name if vpc else f"cs{owner.number:x}sandbox.simulator"
    with zone.lock:
        check_limit(zone, owner, "network", 1)
        network = zone.add(
            Network(
                uuid=new_id(),
                account=owner,
                name=call.required("name"),
                displaytext=call.text("displaytext") or call.required("name"),
                offering=offering,
                cidr=str(cidr),
                gateway=str(gateway),
                netmask=str(cidr.netmask),
                prefix=cidr.prefixlen,
                vlan=_free_vlan(zone),
                domain_name=named or own_domain,
                redundant=vpc is None and (_is_redundant(offering) or zone.settings.strategy == PAIRED),
                vpc=vpc,
                acl=tier_acl(call, vpc) if vpc else None,
                dns=dns,
                displayed=call.flag("displaynetwork", default=True) or not call.caller.is_root,
                external_id=call.text("externalid") or "",
            )
        )
        _take_source_nat(call, network)
    events.EventLog(zone, call.caller).record(events.KINDS[call.shape.name], "Completed", network)
    return {"network": network_view(zone, network, call.caller.is_root)}


def _take_source_nat(call: Call, network: Network) -> None:
    """Take the address asked for as source NAT; when it can't be had, the network stays without. Lock held."""
    wanted = call.text("sourcenatipaddress")
    if not wanted:
        return
    check_address_limit(call.zone, network.account)
    address = call.zone.take_address(network.account, wanted, errors.SHORT_OF_ADDRESSES)
    assign(address, network, source_nat=not call.zone.source_nats(network.home))
    address.state = "Allocated"


def _usable_offering(call: Call) -> BuiltIn:
    offering = call.target("networkofferingid", BuiltIn, "Unable to find network offering")
    call.target("zoneid", BuiltIn)
    if offering.kind != "networkoffering":
        raise errors.unknown_entity(call.shape.name, "networkofferingid", offering.uuid)
    if offering.body["state"] != "Enabled":
        raise errors.invalid("Can't use specified network offering id as its state is not Enabled")
    if not _has_source_nat(offering):
        raise errors.invalid("This lab builds isolated networks with source NAT only")
    return offering


def _has_source_nat(offering: BuiltIn) -> bool:
    return "SourceNat" in {service["name"] for service in offering.body["service"]}


def _vpc(call: Call) -> Vpc | None:
    return call.target("vpcid", Vpc, "Unable to find VPC by id {id}") if call.text("vpcid") else None


def _refuse_mismatch(offering: BuiltIn, vpc: Vpc | None) -> None:
    if offering.body["forvpc"] and vpc is None:
        raise errors.invalid("Network offering can be used for VPC networks only")
    if vpc is not None and not offering.body["forvpc"]:
        raise errors.invalid("Network offering can't be used for VPC networks")


def _is_redundant(offering: BuiltIn) -> bool:
    return any(
        capability["name"] == "RedundantRouter" and capability["value"] == "true"
        for service in offering.body["service"]
        for capability in service.get("capability", ())
    )


def _addresses(call: Call, vpc: Vpc | None) -> tuple[IPv4Network, IPv4Address]:
    """Return the network's CIDR and gateway: as asked, or the zone's guest CIDR with its first address."""
    asked = subnet(call)
    if asked is None and vpc is not None:
        raise errors.invalid("Gateway/netmask are required when create network for VPC")
    if asked is None:
        default = call.zone.settings.guest_cidr
        return default, default[1]
    if vpc is None:
        check_private(asked[0])
    return asked


def _free_vlan(zone: Zone) -> int:
    taken = {network.vlan for network in zone.networks}
    return zone.random.choice([vlan for vlan in VLANS if vlan not in taken])


def update_network(call: Call) -> Task:
    """Answer updateNetwork: names change at once; for what routers must know, the network gets new ones."""
    network, zone = call.target("id", Network, GONE), call.zone

    def change() -> bool:
        offering = _new_offering(call, network)
        dns, named = resolvers(call) or network.dns, domain_name(call) or network.domain_name
        moved = use_source_nat(zone, network, call.text("sourcenatipaddress"))
        renews = moved or (offering, dns, named) != (network.offering, network.dns, network.domain_name)
        network.offering, network.dns, network.domain_name = offering, dns, named
        if call.caller.is_root:
            network.displayed = call.flag("displaynetwork", default=network.displayed)
        return renews

    def renew() -> None:
        with network.home.implementing:
            if network.vpc is None and network.state == "Implemented":
                remove_routers(zone, network, call.caller)
                bring_up_lost_routers(zone, network, call.caller)
            else:
                reprogram(zone, network)

    return updating(call, network, change, renew, lambda: {"network": network_view(zone, network, call.caller.is_root)})


def _new_offering(call: Call, network: Network) -> BuiltIn:
    """Return the offering that the network is to have from now on; redundancy comes and goes with it. Lock held."""
    wanted = call.entity("networkofferingid", BuiltIn)
    if wanted is None or wanted is network.offering:
        return network.offering
    if wanted.removed:
        raise errors.invalid("Unable to find network offering with specified id")
    if wanted.body["state"] != "Enabled":
        raise errors.invalid("Network offering with specified id is not in Enabled state, can't upgrade to it")
    if wanted.body["forvpc"] != network.offering.body["forvpc"]:
        kind = "a vpc offering " if wanted.body["forvpc"] else "not a vpc offering"
        raise errors.invalid(f"Can't update as the new offering is {kind}")
    if not _has_source_nat(wanted):
        raise errors.invalid(f"Can't upgrade from network offering {network.offering.uuid} to {wanted.uuid}")
    network.redundant = network.vpc is None and _is_redundant(wanted)
    return wanted


def delete_network(call: Call) -> Task:
    network = call.target("id", Network, GONE)

    def run() -> Json:
        if call.flag("forced") and not call.caller.is_root:
            raise errors.invalid("Delete network with 'forced' option can only be called by root admins")
        zone = call.zone
        with network.home.implementing:
            _check_deletable(zone, network)
            clear(zone, network, call.caller)
            with zone.lock:
                tags.drop_all(zone, network.uuid)
                zone.remove(network)
        return {"success": True}

    return Task(run, network, "Network", shows_instance=False)


def _check_deletable(zone: Zone, network: Network) -> None:
    with zone.lock:
        if network.removed:
            raise errors.internal("Failed to delete network")
        if network.implement_tried:
            check_source_nat(zone, network)
        if zone.machines_in(network):
            raise errors.internal("Failed to delete network")


def restart_network(call: Call) -> Task:
    """Answer restartNetwork: with cleanup the routers are replaced, without it they get their rules again."""
    network = call.target("id", Network, GONE)
    with call.zone.lock:
        seen, ticket = call.zone.routers_of(network.home), network.restarts.draw()

    def run() -> Json:
        with network.restarts.serve(ticket):
            _check_restartable(call.zone, network)
            call.zone.operate()
            with network.home.implementing:
                _check_restartable(call.zone, network)
                _restart(call, network, seen)
                reprogram(call.zone, network)
        return {"success": True}

    return Task(run, network, "Network", shows_instance=False)


def _restart(call: Call, network: Network, seen: list[Router]) -> None:
    # Without the parameter, servers up to 4.9 clean up and later ones don't.
    cleanup = call.flag("cleanup", default=not call.zone.version.since(4, 11))
    if cleanup and network.vpc is not None and call.zone.version.since(4, 17):
        raise errors.invalid("Cannot restart a VPC tier with cleanup, please restart the whole VPC.")
    if call.flag("makeredundant") and not network.redundant:
        with call.zone.lock:
            network.redundant = True
        cleanup = network.vpc is None
    if cleanup:
        _replace(call.zone, network, call.caller, seen)
    else:
        bring_up_lost_routers(call.zone, network.home, call.caller)
        if call.flag("livepatch"):
            patch_routers(call.zone, network.home, call.caller)


def _check_restartable(zone: Zone, network: Network) -> None:
    with zone.lock:
        if network.removed or network.state not in RESTARTABLE:
            raise ApiError(431, WRONG_STATE, 4350)
        check_source_nat(zone, network)


def _replace(zone: Zone, network: Network, caller: Account, seen: list[Router]) -> None:
    """Restart with cleanup. One that waited for another replaces the routers as well, but fails over its old list."""
    overtaken = any(router.removed for router in seen)
    strategy(zone, network.home).replace(NetworkRouters(zone, network.home, caller))
    if overtaken:
        raise errors.internal("Command failed due to Internal Server Error")


COMMANDS = {
    "createNetwork": create_network,
    "listNetworks": list_networks,
    "updateNetwork": update_network,
    "deleteNetwork": delete_network,
    "restartNetwork": restart_network,
}
