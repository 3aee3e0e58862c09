"""Making a network real: its source-NAT address, its bridge and its first router."""

from __future__ import annotations

import logging

from vrbench.lab.api.accounts import events
from vrbench.lab.api.accounts.limits import check_address_limit
from vrbench.lab.api.routers.network_routers import NetworkRouters
from vrbench.lab.api.routers.ruleset import check_source_nat, reprogram
from vrbench.lab.api.routers.specs import guest_leg, new_guest_nic, strategy
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, Address, Network, Served, Vpc
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.zone import Zone
from vrbench.lab.ground.port import GroundError
from vrbench.lab.strategies import LIVE_PATCH

log = logging.getLogger(__name__)


def implement(zone: Zone, network: Network, caller: Account) -> None:
    """Bring an Allocated network to Implemented; later callers wait for the first and find it done."""
    with network.home.implementing:
        if network.state != "Allocated":
            bring_up_lost_routers(zone, network.home, caller)
            return
        with zone.lock:
            if network.removed:
                raise errors.internal("Unable to find network")
            network.implement_tried = True
            check_source_nat(zone, network)
            take_source_nat(zone, network.home)
            network.state = "Implementing"
        events.EventLog(zone, caller).record(events.VLAN_ASSIGN, "Completed", network)
        events.EventLog(zone, caller).record(events.DEFAULT_FIREWALL, "Created")
        try:
            zone.ground.add_network(network.uuid)
            _give_routers(zone, network, caller)
        except (ApiError, GroundError):
            _undo(zone, network, caller)
            raise
        with zone.lock:
            network.state = "Implemented"


def _give_routers(zone: Zone, network: Network, caller: Account) -> None:
    """Give a network routers of its own; plug a tier into those that its VPC has."""
    home, routers = network.home, NetworkRouters(zone, network.home, caller)
    if zone.routers_of(home):
        plug(zone, network)
    else:
        strategy(zone, home).bring_up(routers)
    reprogram(zone, home)
    routers.await_primary()  # a VPC's routers elect one with their first tier


def _undo(zone: Zone, network: Network, caller: Account) -> None:
    """Go back to Allocated. What can't be taken down must not hide why that was needed."""
    try:
        _take_down(zone, network, caller)
    except (ApiError, GroundError):
        log.exception("network %s was not taken down completely", network.uuid)
    with zone.lock:
        network.state = "Allocated"


def bring_up_lost_routers(zone: Zone, home: Served, caller: Account) -> None:
    """Bring up routers where somebody destroyed the last; call with ``home.implementing`` held."""
    routers = NetworkRouters(zone, home, caller)
    if not routers.routers():
        strategy(zone, home).bring_up(routers)
        reprogram(zone, home)


def patch_routers(zone: Zone, home: Served, caller: Account) -> None:
    """Renew the software of its routers in place; call with ``home.implementing`` held."""
    LIVE_PATCH.replace(NetworkRouters(zone, home, caller))


def take_source_nat(zone: Zone, home: Served) -> None:
    """Give a network or VPC its source-NAT address unless it has one; call with the lock held."""
    if zone.source_nats(home):
        return
    check_address_limit(zone, home.account)
    address = zone.take_address(home.account)
    assign(address, home, source_nat=True)
    address.state = "Allocated"


def assign(address: Address, home: Served, source_nat: bool) -> None:
    """Tie an address to a network or VPC; call with the lock held."""
    if isinstance(home, Vpc):
        address.vpc = home
    elif isinstance(home, Network):
        address.network, address.vpc = home, home.vpc
    address.source_nat = source_nat


def plug(zone: Zone, network: Network) -> None:
    """Give every router of the tier's VPC a leg in it."""
    with zone.lock:
        routers = zone.routers_of(network.home)
        for router in routers:
            nic = new_guest_nic(zone, network)
            nic.plugged_late = not router.redundant
            router.guests.append(nic)
    for router in routers:
        zone.ground.plug_tier(router.name, guest_leg(router.guests[-1]))


def _unplug(zone: Zone, network: Network) -> None:
    with zone.lock:
        routers = zone.routers_of(network.home)
        for router in routers:
            router.guests[:] = [nic for nic in router.guests if nic.network is not network]
    for router in routers:
        zone.ground.unplug_tier(router.name, network.uuid)


def _take_down(zone: Zone, network: Network, caller: Account) -> None:
    if network.vpc is not None:
        _unplug(zone, network)
    else:
        remove_routers(zone, network, caller)
    zone.ground.remove_network(network.uuid)


def remove_routers(zone: Zone, home: Served, caller: Account) -> None:
    """Force off and destroy every router that it has."""
    routers = NetworkRouters(zone, home, caller)
    for name in routers.routers():
        routers.stop(name, zone.settings.timing.router_force_stop_s, forced=True)
        routers.destroy(name, zone.settings.timing.router_destroy_s)


def clear(zone: Zone, network: Network, caller: Account) -> None:
    """Take down everything that a network without VMs still has; call with ``network.home.implementing`` held."""
    _take_down(zone, network, caller)
    with zone.lock:
        for rule in zone.rules_where(lambda rule: rule.network is network):
            zone.remove(rule)
        for address in [address for address in zone.addresses if address.network is network]:
            if address.vpc is None:
                zone.release_address(address)
            else:
                address.network, address.static_nat = None, None  # it stays with the VPC
