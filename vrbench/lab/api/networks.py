"""Isolated guest networks: create, list, rename, restart, delete."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError

from vrbench.lab.api import errors, events, tags
from vrbench.lab.api.accounts import check_limit
from vrbench.lab.api.call import Call, Task, nobody
from vrbench.lab.api.design import PAIRED, strategy
from vrbench.lab.api.errors import ApiError
from vrbench.lab.api.implement import bring_up_lost_routers, clear, patch_routers
from vrbench.lab.api.network_view import network_view
from vrbench.lab.api.records import Account, BuiltIn, Json, Network, Router, Vpc
from vrbench.lab.api.router_ops import NetworkRouters
from vrbench.lab.api.ruleset import check_source_nat, reprogram
from vrbench.lab.api.tiers import tier_acl, tier_addresses
from vrbench.lab.api.zone import Zone, new_id

GONE = "Networkd ID={id} doesn't exist"
RESTARTABLE = ("Implemented", "Setup")
WRONG_STATE = "Network is not in the right state to be restarted. Correct states are: Implemented, Setup"
VLANS = range(100, 1000)


def create_network(call: Call) -> Json:
    zone, owner = call.zone, call.owner()
    offering, vpc = _usable_offering(call), _vpc(call)
    _refuse_mismatch(offering, vpc)
    cidr, gateway = _addresses(call) if vpc is None else tier_addresses(call, vpc)
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
                domain_name=call.text("networkdomain") or f"cs{owner.number:x}sandbox.simulator",
                redundant=vpc is None and (_is_redundant(offering) or zone.settings.strategy == PAIRED),
                vpc=vpc,
                acl=tier_acl(call, vpc) if vpc else None,
            )
        )
    events.record(zone, call.caller, events.KINDS[call.shape.name], "Completed", network)
    return {"network": network_view(zone, network, call.caller.is_root)}


def _usable_offering(call: Call) -> BuiltIn:
    offering = call.target("networkofferingid", BuiltIn, "Unable to find network offering")
    call.target("zoneid", BuiltIn)
    if offering.kind != "networkoffering":
        raise errors.unknown_entity(call.shape.name, "networkofferingid", offering.uuid)
    if offering.body["state"] != "Enabled":
        raise errors.invalid("Can't use specified network offering id as its state is not Enabled")
    if offering.body["specifyvlan"] or "SourceNat" not in {service["name"] for service in offering.body["service"]}:
        raise errors.invalid("This lab builds isolated networks with source NAT only")
    return offering


def _vpc(call: Call) -> Vpc | None:
    return call.target("vpcid", Vpc, "Unable to find VPC by id {id}") if call.text("vpcid") else None


def _refuse_mismatch(offering: BuiltIn, vpc: Vpc | None) -> None:
    if offering.body["forvpc"] and vpc is None:
        raise errors.invalid("Network offering can be used for VPC networks only")
    if vpc is not None and not offering.body["forvpc"]:
        raise errors.invalid(
            f"Cannot create a network with offering {offering.body['name']} in a VPC: the offering is not for VPC"
        )


def _is_redundant(offering: BuiltIn) -> bool:
    return any(
        capability["name"] == "RedundantRouter" and capability["value"] == "true"
        for service in offering.body["service"]
        for capability in service.get("capability", ())
    )


def _addresses(call: Call) -> tuple[IPv4Network, IPv4Address]:
    """The network's CIDR and gateway: as asked, or the zone's guest CIDR with its first address."""
    default = call.zone.settings.guest_cidr
    wanted = call.text("gateway")
    if wanted is None:
        return default, default[1]
    try:
        gateway = IPv4Address(wanted)
    except AddressValueError:
        raise errors.invalid("Gateway parameter is invalid") from None
    netmask = call.text("netmask")
    if netmask is None:
        raise errors.invalid("Gateway and netmask must be specified together")
    try:
        return IPv4Network(f"{gateway}/{netmask}", strict=False), gateway
    except (NetmaskValueError, ValueError):
        raise errors.invalid("Netmask parameter is invalid") from None


def _free_vlan(zone: Zone) -> int:
    taken = {network.vlan for network in zone.networks}
    return zone.random.choice([vlan for vlan in VLANS if vlan not in taken])


def list_networks(call: Call) -> Json:
    """listNetworks: newest first; an administrator of a domain sees the whole domain without asking."""
    mine = _scope(call)
    call.entity("id", Network)
    chosen = [n for n in reversed(call.zone.networks) if mine(n.account) and _matches(call, n)]
    rows = [network_view(call.zone, network, call.caller.is_root) for network in chosen]
    return call.listing("network", rows)


def _scope(call: Call) -> Callable[[Account], bool]:
    """Whose networks are shown: an administrator sees its domain, with ``listall`` all that is below it.

    Unlike other lists, this one takes no notice of an account without its domain, or of being asked by id.
    """
    domain, name = call.domain(), call.text("account")
    if call.text("projectid"):
        return nobody  # there are no projects here
    if domain is not None and name:
        owner = call.owner()
        return lambda account: account is owner
    if call.caller.role == "user":
        return lambda account: account is call.caller
    top = domain or call.caller.domain
    deep = call.flag("isrecursive") or (call.flag("listall") and domain is None)
    return lambda account: account.domain is top or (deep and top.holds(account.domain))


def _matches(call: Call, network: Network) -> bool:
    fields = {
        "id": network.uuid,
        "name": network.name,
        "type": "Isolated",
        "state": network.state,
        "networkofferingid": network.offering.uuid,
        "zoneid": call.zone.built_ins["zone"][0].uuid,
        "vpcid": network.vpc.uuid if network.vpc else None,
        "aclid": network.acl.uuid if network.acl else None,
    }
    keyword = (call.text("keyword") or "").lower()
    if keyword not in f"{network.name} {network.displaytext}".lower():
        return False
    if call.text("restartrequired") is not None and call.flag("restartrequired") != network.restart_required:
        return False
    if call.flag("issystem") or (call.text("forvpc") is not None and call.flag("forvpc") != (network.vpc is not None)):
        return False
    wanted = {name: call.text(name) for name in fields}
    same = all(wanted[name] in (None, "") or wanted[name] == value for name, value in fields.items())
    return same and tags.carries(call, network.uuid)


def update_network(call: Call) -> Task:
    network = call.target("id", Network, GONE)

    def run() -> Json:
        with call.zone.lock:
            network.name = call.text("name") or network.name
            network.displaytext = call.text("displaytext") or network.displaytext
            return {"network": network_view(call.zone, network, call.caller.is_root)}

    return Task(run, network, "Network", shows_instance=False)


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
    """restartNetwork: with cleanup the routers are replaced, without it they get their rules again."""
    network = call.target("id", Network, GONE)
    with call.zone.lock:
        seen, ticket = call.zone.routers_of(network.home), network.restarts.draw()

    def run() -> Json:
        with network.restarts.serve(ticket):
            _check_restartable(call.zone, network)
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
