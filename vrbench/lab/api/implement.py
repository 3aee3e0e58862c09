"""Making a network real: its source-NAT address, its bridge and its first router."""

from __future__ import annotations

import logging
import time

from vrbench.lab.api import errors, events
from vrbench.lab.api.accounts import check_address_limit
from vrbench.lab.api.errors import ApiError
from vrbench.lab.api.records import Account, Address, Network
from vrbench.lab.api.router_ops import NetworkRouters
from vrbench.lab.api.ruleset import check_source_nat, reprogram
from vrbench.lab.api.zone import Zone
from vrbench.lab.ground import GroundError
from vrbench.lab.strategies import STRATEGIES, Strategy

log = logging.getLogger(__name__)


def strategy(zone: Zone) -> Strategy:
    """The way routers come and go now, by the global setting network.rolling.restart."""
    return STRATEGIES["parallel" if zone.rolling() else "serial"]


def implement(zone: Zone, network: Network, caller: Account) -> None:
    """Bring an Allocated network to Implemented; later callers wait for the first and find it done."""
    with network.implementing:
        if network.state != "Allocated":
            replace_lost_router(zone, network, caller)
            return
        with zone.lock:
            if network.removed:
                raise errors.internal("Unable to find network")
            network.implement_tried = True
            check_source_nat(zone, network)
            _take_source_nat(zone, network)
            network.state = "Implementing"
        events.record(zone, caller, events.VLAN_ASSIGN, "Completed", network)
        events.record(zone, caller, events.DEFAULT_FIREWALL, "Created")
        try:
            zone.ground.add_network(network.uuid)
            strategy(zone).bring_up(NetworkRouters(zone, network, caller))
            reprogram(zone, network)
        except (ApiError, GroundError):
            _undo(zone, network, caller)
            raise
        with zone.lock:
            network.state = "Implemented"


def _undo(zone: Zone, network: Network, caller: Account) -> None:
    """Back to Allocated; what can't be taken down must not hide why that was needed."""
    try:
        _take_down(zone, network, caller)
    except (ApiError, GroundError):
        log.exception("network %s was not taken down completely", network.uuid)
    with zone.lock:
        network.state = "Allocated"


def replace_lost_router(zone: Zone, network: Network, caller: Account) -> None:
    """Bring up a router where somebody destroyed the last; call with ``network.implementing`` held."""
    routers = NetworkRouters(zone, network, caller)
    if not routers.routers():
        strategy(zone).bring_up(routers)
        reprogram(zone, network)


def _take_source_nat(zone: Zone, network: Network) -> None:
    """Give the network its source-NAT address unless an earlier associateIpAddress has."""
    if zone.source_nats(network):
        return
    check_address_limit(zone, network.account)
    address = zone.take_address(network.account)
    assign(address, network, source_nat=True)
    address.state = "Allocated"


def assign(address: Address, network: Network, source_nat: bool) -> None:
    """Tie an address to a network; call with the lock held."""
    address.network, address.source_nat, address.allocated = network, source_nat, time.time()


def _take_down(zone: Zone, network: Network, caller: Account) -> None:
    routers = NetworkRouters(zone, network, caller)
    for name in routers.routers():
        routers.stop(name, zone.settings.timing.router_force_stop_s, forced=True)
        routers.destroy(name, zone.settings.timing.router_destroy_s)
    zone.ground.remove_network(network.uuid)


def clear(zone: Zone, network: Network, caller: Account) -> None:
    """Take down everything that a network without VMs still has; call with ``network.implementing`` held."""
    _take_down(zone, network, caller)
    with zone.lock:
        for rule in zone.rules_where(lambda rule: rule.network is network):
            zone.remove(rule)
        for address in zone.addresses_of(network):
            zone.release_address(address)
