"""The values that the API hands to the ground: routers, guests, and all that a router is programmed with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class GuestLeg:
    """A router's interface in one guest network: of a VPC router one per tier."""

    network: str  # id of the guest network
    gateway: str  # what guests send to
    prefix: int
    mac: str
    own_ip: str = ""  # of a redundant router: its own address, beside the gateway's that floats


@dataclass(frozen=True, slots=True)
class PublicLeg:
    """A router's further public interface, for addresses of another subnet; its MAC is new with every router."""

    ip: str
    prefix: int
    gateway: str
    mac: str


@dataclass(frozen=True, slots=True)
class Vrrp:
    """What makes a router one of two: keepalived moves the gateway addresses, conntrackd shares the connections."""

    priority: int = 100
    commit_first: bool = False  # take over the connections before the public link comes up, not after


@dataclass(frozen=True, slots=True)
class RouterSpec:
    """One virtual router as it will be plugged in. Masks are prefix lengths; MACs are colon-separated.

    A VPC's router has no guest network of its own (``network`` is empty) but ``tiers``. A router with ``vrrp`` has an
    address of its own on every leg, and the gateways' addresses only while it is primary.
    """

    name: str  # r-12-VM: also the name of its node
    network: str  # id of the guest network
    guest_ip: str  # the network's gateway address
    guest_prefix: int
    guest_mac: str
    public_ip: str  # the source-NAT address
    public_prefix: int
    public_gateway: str
    public_mac: str
    own_guest_ip: str = ""
    tiers: tuple[GuestLeg, ...] = ()
    more_public: tuple[PublicLeg, ...] = ()
    vrrp: Vrrp | None = None

    @property
    def legs(self) -> tuple[GuestLeg, ...]:
        """All its guest interfaces as they are plugged in at first."""
        if not self.network:
            return self.tiers
        first = GuestLeg(self.network, self.guest_ip, self.guest_prefix, self.guest_mac, self.own_guest_ip)
        return (first, *self.tiers)


@dataclass(frozen=True, slots=True)
class VmSpec:
    """One guest. ``user_data`` is what the caller sent, decoded from base64 (cloud-config or a script), or empty.

    With ``leased`` it asks for its address by DHCP when it boots, and has none until it is answered. ``like``: which of
    the ground's presets it is made like.
    """

    name: str  # also its hostname and the name of its node
    network: str
    ip: str
    prefix: int
    gateway: str
    mac: str
    authorized_keys: tuple[str, ...] = ()
    user_data: bytes = b""
    leased: bool = False
    like: str = ""


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """Opens something: ingress on one public address, or egress of the network when ``public_ip`` is None."""

    public_ip: str | None
    protocol: str  # tcp, udp, icmp, all
    cidrs: tuple[str, ...] = ()  # sources; empty = any
    destinations: tuple[str, ...] = ()  # egress only; empty = any
    ports: tuple[int, int] | None = None  # inclusive; None = all
    icmp_type: int = -1  # -1 = any
    icmp_code: int = -1


@dataclass(frozen=True, slots=True)
class PortForward:
    """Public address and ports to one guest's address and ports (ranges inclusive, of equal length)."""

    public_ip: str
    protocol: str  # tcp, udp
    public_ports: tuple[int, int]
    guest_ip: str
    guest_ports: tuple[int, int]
    cidrs: tuple[str, ...] = ()  # sources; empty = any


@dataclass(frozen=True, slots=True)
class LoadBalance:
    """One public port to the same port of several guests, a new flow to the next or to the one of its source.

    The flow keeps its source address; a real router's haproxy would put its own in its place.
    """

    public_ip: str
    protocol: str  # tcp, udp
    public_port: int
    guest_port: int
    guest_ips: tuple[str, ...]  # at least one
    by_source: bool = False
    cidrs: tuple[str, ...] = ()  # sources; empty = any


@dataclass(frozen=True, slots=True)
class Host:
    """A guest as its router's DHCP and DNS know it."""

    name: str
    ip: str
    mac: str


@dataclass(frozen=True, slots=True)
class AclLine:
    """One line of a tier's access list."""

    direction: Literal["ingress", "egress"]  # as the tier sees it
    allow: bool
    protocol: str  # tcp, udp, icmp, all
    cidrs: tuple[str, ...] = ()  # the other side; empty = any
    ports: tuple[int, int] | None = None
    icmp_type: int = -1
    icmp_code: int = -1


@dataclass(frozen=True, slots=True)
class Acl:
    """A tier's access list, first match wins; what no line names may leave the tier and may not enter it."""

    network: str
    rules: tuple[AclLine, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All that a router is programmed with. Order within each tuple is the order of creation."""

    public_ips: tuple[str, ...] = ()  # every address the router answers for, source NAT first
    source_nat: str | None = None
    static_nat: tuple[tuple[str, str], ...] = ()  # (public address, guest address)
    port_forwards: tuple[PortForward, ...] = ()
    firewall: tuple[FirewallRule, ...] = ()
    egress: tuple[FirewallRule, ...] = ()
    egress_allowed_by_default: bool = False
    hosts: tuple[Host, ...] = ()
    domain: str = ""  # of the network: names of hosts are known with it and without
    acls: tuple[Acl, ...] = ()  # of a VPC's tiers
    balanced: tuple[LoadBalance, ...] = ()

    def __len__(self) -> int:
        """Return how many rules there are to program: addresses, NAT, firewall, egress and access lists, one each.

        Hosts don't count: they are programmed when a guest starts, and as one file when a router does.
        """
        groups = (self.public_ips, self.static_nat, self.port_forwards, self.balanced, self.firewall, self.egress)
        return sum(len(group) for group in groups) + sum(len(acl.rules) for acl in self.acls)
