"""What a network's routers are like: the restart strategy they follow, and what they are plugged in with."""

from __future__ import annotations

from vrbench.lab.api.state.entities import Address, GuestNic, Network, PublicNic, Router, Served
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.zone import Zone, new_id
from vrbench.lab.ground.specs import GuestLeg, PublicLeg, RouterSpec
from vrbench.lab.strategies import REDUNDANT, STRATEGIES, Strategy

ROLLING_DEFAULT = "parallel"
PAIRED = "redundant"


def strategy(zone: Zone, home: Served) -> Strategy:
    """Choose by the number of routers, by the setting network.rolling.restart, and by how the lab was started."""
    kind = zone.settings.strategy
    if home.redundant:
        return REDUNDANT["parallel" if zone.rolling() else "serial"]
    if not zone.rolling():
        return STRATEGIES["serial"]
    return STRATEGIES[ROLLING_DEFAULT if kind in ("serial", PAIRED) else kind]


def new_guest_nic(zone: Zone, network: Network) -> GuestNic:
    """Return a router's new leg in a network, with the gateway's address or, where that floats, its own; lock held."""
    floats = strategy(zone, network.home).vrrp is not None
    ip = zone.free_guest_ip(network) if floats else network.gateway
    if ip is None:
        raise ApiError(533, f"Unable to acquire Guest IP address for network {network.name}")
    return GuestNic(uuid=new_id(), ip=ip, mac=zone.new_mac(network), network=network)


def router_spec(zone: Zone, router: Router) -> RouterSpec:
    """Return the router as the ground plugs it in: of a network with its leg there, of a VPC with one in every tier."""
    public, home = zone.settings.public_ranges[router.subnet], router.home
    legs = tuple(guest_leg(nic) for nic in router.guests)
    first = legs[0] if isinstance(home, Network) else GuestLeg("", "", 0, "")
    return RouterSpec(
        name=router.name,
        network=first.network,
        guest_ip=first.gateway,
        guest_prefix=first.prefix,
        guest_mac=first.mac,
        own_guest_ip=first.own_ip,
        tiers=() if isinstance(home, Network) else legs,
        public_ip=router.public.ip,
        public_prefix=public.cidr.prefixlen,
        public_gateway=str(public.gateway),
        public_mac=router.public.mac,
        more_public=tuple(public_leg(zone, nic) for nic in router.more_public),
        vrrp=strategy(zone, home).vrrp,
    )


def public_leg(zone: Zone, nic: PublicNic) -> PublicLeg:
    """Return one leg in a further public subnet as the ground plugs it in."""
    public = zone.settings.public_ranges[nic.subnet]
    return PublicLeg(nic.ip, public.cidr.prefixlen, str(public.gateway), nic.mac)


def fit_public_nics(zone: Zone, router: Router) -> tuple[list[PublicNic], list[PublicNic]]:
    """Give the router's record a leg in every public subnet that it has addresses of, and only there; lock held.

    Returns those that are new and those that are gone. A leg has the first of its subnet's addresses.
    """
    needed: dict[int, Address] = {}
    for address in zone.addresses_of(router.home):
        if address.subnet != router.subnet:
            needed.setdefault(address.subnet, address)
    had = router.more_public
    kept = [nic for nic in had if nic.subnet in needed and needed[nic.subnet].ip == nic.ip]
    missing = [address for subnet, address in needed.items() if subnet not in {nic.subnet for nic in kept}]
    new = [PublicNic(uuid=new_id(), ip=a.ip, mac=zone.new_public_mac(a), subnet=a.subnet) for a in missing]
    router.more_public = [*kept, *new]
    return new, [nic for nic in had if nic not in kept]


def guest_leg(nic: GuestNic) -> GuestLeg:
    """Return one leg of a router as the ground plugs it in."""
    network = nic.network
    own_ip = "" if nic.ip == network.gateway else nic.ip
    return GuestLeg(network.uuid, network.gateway, network.prefix, nic.mac, own_ip)
